"""Types by the words that users write."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from odibi.contracts.columns import did_you_mean, listed
from odibi.errors import TransformError

if TYPE_CHECKING:
    import pyarrow as pa

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

_PLAIN = (
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64"),
    *("string", "large_string", "binary", "large_binary", "bool", "date32", "date64"),
    *("time32[s]", "time32[ms]", "time64[us]", "time64[ns]"),
    *("duration[s]", "duration[ms]", "duration[us]", "duration[ns]"),
    *("timestamp[s]", "timestamp[ms]", "timestamp[us]", "timestamp[ns]"),
)
_DECIMAL = re.compile(r"(?:decimal|decimal128|numeric)\(\s*(\d+)\s*(?:,\s*(-?\d+)\s*)?\)")
_ZONED = re.compile(r"(?:datetime|timestamp)\(\s*([^)]+?)\s*\)|timestamp\[(s|ms|us|ns),\s*tz=([^\]]+)\]")


def arrow_type(text: str, operation: str) -> pa.DataType:
    """The type that ``text`` means.

    Args:
        text: ``int``, ``float``, ``str``, ``bool``, ``date``, ``datetime``, ``datetime(Europe/Paris)``,
            ``decimal(10, 2)``, or a type in Arrow's words.
        operation: who asks, for the error.

    Raises:
        TransformError: it means none.
    """
    import pyarrow as pa

    word = text.strip()
    plain = _WORDS.get(word.lower(), word.lower())
    if plain in _PLAIN:
        if "[" in plain:
            base, unit = plain.rstrip("]").split("[")
            made: pa.DataType = getattr(pa, base)(unit)
            return made
        return pa.type_for_alias(plain)
    if found := _DECIMAL.fullmatch(word.lower()):
        precision, scale = int(found[1]), int(found[2] or 0)
        if not 1 <= precision <= 38 or not 0 <= scale <= precision:
            raise TransformError(
                f"the type {text!r} cannot be",
                where=operation,
                remedy="A decimal has a precision of 1 to 38 digits, and a scale of at most as many.",
            )
        return pa.decimal128(precision, scale)
    if found := _ZONED.fullmatch(word):
        return pa.timestamp(found[2] or "us", tz=_zone(found[1] or found[3], operation))
    known = {*_WORDS, *_PLAIN, "decimal(10, 2)", "datetime(UTC)"}
    raise TransformError(
        f"the type {text!r} is not known",
        where=operation,
        remedy=did_you_mean(word, known) + f"Among the types are {listed(_COMMON)}.",
    )


_COMMON = ("int", "float", "str", "bool", "date", "datetime", "datetime(Europe/Paris)", "decimal(10, 2)", "int32")


def _zone(name: str, operation: str) -> str:
    from zoneinfo import ZoneInfo

    if re.fullmatch(r"[+-]\d\d:\d\d", name):
        return name
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError) as error:
        raise TransformError(
            f"the time zone {name!r} is not known",
            where=operation,
            remedy="Write a name such as 'Europe/Paris' or 'UTC', or an offset such as '+02:00'.",
        ) from error
    return name


def kind_of(type_: pa.DataType) -> str:
    """The kind of a type: values of two kinds never compare or mix."""
    from pyarrow import types

    if types.is_dictionary(type_):
        return kind_of(type_.value_type)
    kinds = {
        "number": types.is_integer(type_) or types.is_floating(type_) or types.is_decimal(type_),
        "text": types.is_string(type_) or types.is_large_string(type_) or types.is_string_view(type_),
        "bool": types.is_boolean(type_),
        "date": types.is_date(type_),
        "datetime with a zone": types.is_timestamp(type_) and type_.tz is not None,
        "datetime": types.is_timestamp(type_),
        "null": types.is_null(type_),
    }
    return next((kind for kind, is_it in kinds.items() if is_it), str(type_))
