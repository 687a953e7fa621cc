"""Columns of Spark frames by their place, and what Spark says of a plan that cannot be.

Spark finds columns without regard to case, and reads dots and backticks in names. An operation that works under the
plain names of :func:`plain` is free of all that; :func:`named` gives the columns their own names back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pyspark.sql import DataFrame
    from pyspark.sql.types import DataType


def plain(frame: DataFrame, prefix: str = "c") -> DataFrame:
    """The frame with its columns called ``c0``, ``c1``, ... in order."""
    return frame.toDF(*(f"{prefix}{at}" for at in range(len(frame.columns))))


def named(frame: DataFrame, names: Iterable[str]) -> DataFrame:
    """The frame with its columns called ``names`` in order."""
    return frame.toDF(*names)


def places(names: Iterable[str], columns: Sequence[str], prefix: str = "c") -> list[str]:
    """What :func:`plain` calls the columns ``names``."""
    return [f"{prefix}{columns.index(name)}" for name in names]


def types_of(frame: DataFrame) -> dict[str, DataType]:
    """The columns with their types."""
    return {field.name: field.dataType for field in frame.schema.fields}


def analyze(frame: DataFrame) -> None:
    """Let Spark find out whether the frame can be, which needs no job.

    A client of Spark Connect asks the server nothing for a frame whose columns it knows from the frame before; so this
    is about a column that it cannot know.
    """
    _ = frame.selectExpr("1 AS n").schema
