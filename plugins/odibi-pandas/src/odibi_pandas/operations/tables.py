"""Frames as Arrow tables and back, and the questions that operations ask of SQL about them.

Questions are asked over *key tables*: copies of the columns in question under plain names (``k0``, ``k1``, ...) with
the number of each row as ``r``. So no answer depends on how columns are called, or on what SQL makes of the types of
columns that are not asked about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from odibi.errors import TransformError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import pandas as pd
    import pyarrow as pa

    from odibi.contracts.transform import TransformContext


def table_of(frame: pd.DataFrame, context: TransformContext) -> pa.Table:
    """The frame as an Arrow table, without a copy where that is possible."""
    import pyarrow as pa

    return pa.table(context.engine.to_arrow(frame))


def frame_of(table: pa.Table, context: TransformContext) -> pd.DataFrame:
    """The Arrow table as a frame of the node's engine."""
    frame: pd.DataFrame = context.engine.from_arrow(table)
    return frame


def key_table(table: pa.Table, keys: Sequence[str]) -> pa.Table:
    """The columns ``keys`` as ``k0``, ``k1``, ... and the row numbers as ``r``."""
    import pyarrow as pa

    columns = {f"k{i}": table.column(key) for i, key in enumerate(keys)}
    return pa.table({**columns, "r": row_numbers(table)})


def row_numbers(table: pa.Table) -> pa.Array:
    """0, 1, 2, ... for each row."""
    import numpy as np
    import pyarrow as pa

    return pa.array(np.arange(table.num_rows, dtype=np.int64))


def ask(
    context: TransformContext,
    query: str,
    tables: Mapping[str, pa.Table],
    *,
    operation: str,
    about: str = "",
    hidden: str = "",
) -> pa.Table:
    """The answer to a query over ``tables``, in the node's own namespace.

    Args:
        context: of the step.
        query: one ``SELECT``.
        tables: what it sees besides the node's inputs.
        operation: who asks, for the error.
        about: what a person would call the question, for the error.
        hidden: a column of our own that an error need not list.

    Raises:
        TransformError: the query fails; the engine's own words are kept.
    """
    frames = {name: frame_of(table, context) for name, table in tables.items()}
    try:
        return table_of(context.sql(query, frames), context)
    except TransformError as error:
        head = f"{about}: " if about else ""
        remedy = error.remedy.replace(f", {hidden}", "") if hidden else error.remedy
        raise TransformError(f"{head}{error.what}", where=operation, remedy=remedy) from error


def numbers(column: pa.ChunkedArray) -> np.ndarray[Any, Any]:
    """A column of row numbers for NumPy; nulls are not allowed in it."""
    import numpy as np

    return np.asarray(column.to_numpy(), dtype=np.int64)


def shown(value: object, column: str, context: TransformContext) -> str:
    """A value as an error may show it: ``***`` if its column is sensitive, cut short if it is long."""
    sensitive = getattr(context, "sensitive", True)
    if sensitive is True or (sensitive and column in sensitive):
        return "***"
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
