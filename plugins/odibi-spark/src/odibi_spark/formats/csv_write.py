"""Frames as the texts that a CSV file has."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Any

from odibi.errors import DataError
from odibi_spark.formats.base import quoted
from odibi_spark.kinds import functions_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from odibi.contracts.format import Target
    from odibi_spark.formats.csv import CsvFormat

_NESTED = ("array", "map", "struct", "variant", "interval")


def encoding_for(name: str, known: Mapping[str, str]) -> str:
    """Spark's name for an encoding to write.

    Raises:
        DataError: Spark does not write it.
    """
    found = known.get(codecs.lookup(name).name)
    if found is None:
        raise DataError(
            f"Spark does not write the encoding {name!r}",
            remedy="Leave it at utf-8, or take latin-1 or utf-16; or write on another engine.",
        )
    return found


def refuse_bytes(frame: Any, where: str, title: str) -> None:
    """Refuse columns of bytes, which are no text."""
    for field in frame.schema.fields:
        if "binary" in field.dataType.simpleString():
            raise DataError(
                f"column {field.name!r} holds bytes, which {title} cannot",
                where=where,
                remedy="Make texts of them in a step before (hex, base64 or decode in SQL), or write Parquet instead.",
            )


def as_texts(format_: CsvFormat, frame: Any, target: Target) -> Any:
    """All columns but those that become folders as texts, which are read as what they were."""
    where = str(target)
    refuse_bytes(frame, where, format_.title)
    f = functions_for(frame)
    columns = []
    alone = len(frame.columns) - len(target.partition_by) == 1
    for field in frame.schema.fields:
        word, column = field.dataType.simpleString(), f.col(quoted(field.name))
        if word.startswith(_NESTED):
            raise DataError(
                f"column {field.name!r} is {word}, which no field of CSV can be",
                where=where,
                remedy="Take it apart, or make JSON of it in a step before, or write JSON or Parquet instead.",
            )
        if field.name not in target.partition_by:
            column = _text(f, column, word, field.name)
            if alone and format_.null_text == "":
                # An empty line would be no row at all.
                column = f.coalesce(column, f.lit(""))
        columns.append(column.alias(field.name))
    return frame.select(*columns)


def _text(f: Any, column: Any, word: str, name: str) -> Any:
    if word == "timestamp":
        local = f.convert_timezone(f.current_timezone(), f.lit("UTC"), column.cast("timestamp_ntz"))
        return f.date_format(local, "yyyy-MM-dd HH:mm:ss.SSSSSS'Z'")
    if word == "timestamp_ntz":
        return f.date_format(column, "yyyy-MM-dd HH:mm:ss.SSSSSS")
    if word == "string":
        message = f"column '{name}' holds a NUL character, which no reader of CSV expects"
        return f.when(column.contains("\0"), f.raise_error(f.lit(message))).otherwise(column)
    return column.cast("string")
