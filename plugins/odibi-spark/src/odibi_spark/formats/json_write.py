"""Frames as JSON has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from odibi.errors import DataError
from odibi_spark.formats.base import quoted
from odibi_spark.formats.csv_write import refuse_bytes
from odibi_spark.kinds import functions_for

if TYPE_CHECKING:
    from pyspark.sql.types import DataType

    from odibi.contracts.format import Target
    from odibi_spark.formats.json import JsonFormat


def as_json(format_: JsonFormat, frame: Any, target: Target) -> Any:
    """Moments in ISO 8601, decimals as texts, NaN as null, at whatever depth; columns that become folders as they are.

    Raises:
        DataError: a column is of a type that JSON does not have.
    """
    refuse_bytes(frame, str(target), format_.title)
    f = functions_for(frame)
    columns = []
    for field in frame.schema.fields:
        column = f.col(quoted(field.name))
        if field.name not in target.partition_by:
            column = _value(f, column, field.dataType, field.name, str(target))
        columns.append(column.alias(field.name))
    return frame.select(*columns)


def _value(f: Any, column: Any, type_: DataType, name: str, where: str) -> Any:
    from pyspark.sql.types import ArrayType, MapType, StructType

    word = type_.simpleString()
    if word == "timestamp":
        local = f.convert_timezone(f.current_timezone(), f.lit("UTC"), column.cast("timestamp_ntz"))
        return f.concat(_moment(f, local), f.lit("+00:00"))
    if word == "timestamp_ntz":
        return _moment(f, column)
    if word.startswith("decimal"):
        return column.cast("string")
    if word in ("double", "float"):
        message = f"column '{name}' holds an infinite number, which JSON does not know"
        infinite = f.abs(column) == float("inf")
        return f.when(infinite, f.raise_error(f.lit(message))).when(~f.isnan(column), column)
    if "interval" in word or word == "variant":
        raise DataError(
            f"column {name!r} is {word}, which JSON does not have", where=where, remedy="Cast it to text before."
        )
    if not _changes(word):
        return column
    if isinstance(type_, ArrayType):
        element = type_.elementType
        return f.transform(column, lambda item: _value(f, item, element, name, where))
    if isinstance(type_, MapType):
        value = type_.valueType
        return f.transform_values(column, lambda _, item: _value(f, item, value, name, where))
    if isinstance(type_, StructType):
        fields = [
            _value(f, column.getField(field.name), field.dataType, name, where).alias(field.name)
            for field in type_.fields
        ]
        return f.when(column.isNotNull(), f.struct(*fields))
    return column


def _moment(f: Any, local: Any) -> Any:
    text = f.date_format(local, "yyyy-MM-dd'T'HH:mm:ss.SSSSSS")
    return f.regexp_replace(text, r"\.000000$", "")


def _changes(word: str) -> bool:
    return any(each in word for each in ("timestamp", "decimal", "double", "float"))
