"""Types by the words that users write, which are Arrow's whatever the engine."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from odibi.contracts.columns import did_you_mean, listed
from odibi.errors import TransformError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from pyspark.sql.types import DataType

_WORDS = {
    "int": "int64",
    "integer": "int64",
    "float": "float64",
    "double": "float64",
    "str": "string",
    "text": "string",
    "boolean": "bool",
    "date": "date32",
    "date32[day]": "date32",
    "datetime": "timestamp[us]",
    "timestamp": "timestamp[us]",
}
"""Our words, where they are not Arrow's own."""

_SPARK = {
    "int8": "tinyint",
    "int16": "smallint",
    "int32": "int",
    "int64": "bigint",
    "float32": "float",
    "float64": "double",
    "string": "string",
    "large_string": "string",
    "binary": "binary",
    "large_binary": "binary",
    "bool": "boolean",
    "date32": "date",
    "date64": "date",
    "timestamp[us]": "timestamp_ntz",
}
"""Arrow's words to Spark's."""

_UNKNOWN_TO_SPARK = {
    "uint8": "int16",
    "uint16": "int32",
    "uint32": "int64",
    "uint64": "decimal(20, 0)",
    "timestamp[s]": "timestamp[us]",
    "timestamp[ms]": "timestamp[us]",
    "timestamp[ns]": "timestamp[us]",
    **dict.fromkeys(("time32[s]", "time32[ms]", "time64[us]", "time64[ns]"), "str"),
    **dict.fromkeys(("duration[s]", "duration[ms]", "duration[us]", "duration[ns]"), "int"),
}
"""Arrow's words for what Spark has no type for, and what holds the same values."""

_NAMES = {
    "tinyint": "int8",
    "smallint": "int16",
    "int": "int32",
    "bigint": "int64",
    "float": "float",
    "double": "double",
    "string": "string",
    "binary": "binary",
    "boolean": "bool",
    "date": "date32[day]",
    "timestamp": "timestamp[us, tz=UTC]",
    "timestamp_ntz": "timestamp[us]",
    "void": "null",
}
"""Spark's words to what Arrow says of a column's type."""

_KINDS = {
    **dict.fromkeys(("tinyint", "smallint", "int", "bigint", "float", "double"), "number"),
    "string": "text",
    "boolean": "bool",
    "date": "date",
    "timestamp": "datetime with a zone",
    "timestamp_ntz": "datetime",
    "void": "null",
}

_DIGITS = {"tinyint": 3, "smallint": 5, "int": 10, "bigint": 19}

_COMMON = ("int", "float", "str", "bool", "date", "datetime", "datetime(Europe/Paris)", "decimal(10, 2)", "int32")
_DECIMAL = re.compile(r"(?:decimal|decimal128|numeric)\(\s*(\d+)\s*(?:,\s*(-?\d+)\s*)?\)")
_ZONED = re.compile(r"(?:datetime|timestamp)\(\s*([^)]+?)\s*\)|timestamp\[(s|ms|us|ns),\s*tz=([^\]]+)\]")


def spark_type(text: str, operation: str) -> str:
    """The type that ``text`` means, in Spark's words.

    Args:
        text: ``int``, ``float``, ``str``, ``bool``, ``date``, ``datetime``, ``datetime(Europe/Paris)``,
            ``decimal(10, 2)``, or a type in Arrow's words. A moment with a zone is a ``timestamp``, which knows no
            zone of its own.
        operation: who asks, for the error.

    Raises:
        TransformError: it means none, or one that Spark does not have.
    """
    word = text.strip()
    name = _WORDS.get(word.lower(), word.lower())
    if name in _SPARK:
        return _SPARK[name]
    if found := _DECIMAL.fullmatch(word.lower()):
        precision, scale = int(found[1]), int(found[2] or 0)
        if not 1 <= precision <= 38 or not 0 <= scale <= precision:
            raise TransformError(
                f"the type {text!r} cannot be",
                where=operation,
                remedy="A decimal has a precision of 1 to 38 digits, and a scale of at most as many.",
            )
        return f"decimal({precision},{scale})"
    if found := _ZONED.fullmatch(word):
        _check_zone(found[1] or found[3], operation)
        return "timestamp"
    if name in _UNKNOWN_TO_SPARK:
        raise TransformError(
            f"Spark has no type for {text!r}",
            where=operation,
            remedy=f"Take {_UNKNOWN_TO_SPARK[name]!r}, on any engine.",
        )
    known = {*_WORDS, *_SPARK, "decimal(10, 2)", "datetime(UTC)"}
    raise TransformError(
        f"the type {text!r} is not known",
        where=operation,
        remedy=did_you_mean(word, known) + f"Among the types are {listed(_COMMON)}.",
    )


def _check_zone(name: str, operation: str) -> None:
    from zoneinfo import ZoneInfo

    if re.fullmatch(r"[+-]\d\d:\d\d", name):
        return
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError) as error:
        raise TransformError(
            f"the time zone {name!r} is not known",
            where=operation,
            remedy="Write a name such as 'Europe/Paris' or 'UTC', or an offset such as '+02:00'.",
        ) from error


def word_of(type_: DataType) -> str:
    """The type as users know it from any engine: in Arrow's words."""
    from pyspark.sql.types import ArrayType, DecimalType

    if isinstance(type_, DecimalType):
        return f"decimal128({type_.precision}, {type_.scale})"
    if isinstance(type_, ArrayType):
        return f"list<element: {word_of(type_.elementType)}>"
    return _NAMES.get(type_.simpleString(), type_.simpleString())


def kind_of(type_: DataType) -> str:
    """The kind of a type: values of two kinds never compare or mix."""
    text = type_.simpleString()
    return "number" if text.startswith("decimal") else _KINDS.get(text, text)


def can_be_compared(type_: DataType) -> bool:
    """Whether rows can be ordered by such a column."""
    from pyspark.sql.types import ArrayType, AtomicType, NullType, StructType

    if isinstance(type_, ArrayType):
        return can_be_compared(type_.elementType)
    if isinstance(type_, StructType):
        return all(can_be_compared(field.dataType) for field in type_.fields)
    return isinstance(type_, AtomicType | NullType) and type_.simpleString() not in ("variant", "interval")


def common_type(types: Sequence[DataType]) -> DataType | None:
    """The type that holds the values of all, which are of one kind, as Arrow finds it; ``None`` if there is none."""
    import pyarrow as pa

    distinct = list(dict.fromkeys(types))
    known = [type_ for type_ in distinct if kind_of(type_) != "null"] or distinct[:1]
    if len(known) == 1:
        return known[0]
    words = [type_.simpleString() for type_ in known]
    if any(word.startswith("decimal") for word in words) and not {"float", "double"} & set(words):
        return _wide_decimal(known)
    # Where there are floats, decimals become such.
    arrows = [_NAMES.get(word, "") for word in words if not word.startswith("decimal")]
    try:
        schemas = [pa.schema([("v", pa.type_for_alias(arrow))]) for arrow in arrows]
        found = pa.unify_schemas(schemas, promote_options="permissive").field("v").type
    except (pa.ArrowTypeError, pa.ArrowInvalid, ValueError):
        return None
    return _spark(found)


def _wide_decimal(types: Sequence[DataType]) -> DataType | None:
    """The decimal that has room for all digits of decimals and integers, on both sides of the point."""
    from pyspark.sql.types import DecimalType

    whole, scale = 0, 0
    for type_ in types:
        if isinstance(type_, DecimalType):
            whole, scale = max(whole, type_.precision - type_.scale), max(scale, type_.scale)
        else:
            whole = max(whole, _DIGITS[type_.simpleString()])
    return DecimalType(whole + scale, scale) if whole + scale <= 38 else None


def _spark(type_: pa.DataType) -> DataType | None:
    from pyspark.sql import types

    made: dict[str, DataType] = {
        "int8": types.ByteType(),
        "int16": types.ShortType(),
        "int32": types.IntegerType(),
        "int64": types.LongType(),
        "float": types.FloatType(),
        "double": types.DoubleType(),
    }
    return made.get(str(type_))
