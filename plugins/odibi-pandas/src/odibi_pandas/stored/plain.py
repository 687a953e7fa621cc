"""Plain Python values as JSON, and back as they were: types, order and all."""

from __future__ import annotations

import datetime
import decimal
import json
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_TAG = "$"
_JSON_INTEGER = 1 << 62
"""Longer integers are written in hex, which Python reads back whatever their length."""


class NotPlain(Exception):
    """A value of another type; the type is the argument."""


def dumps(value: Any) -> str:
    """``value`` as JSON.

    Raises:
        NotPlain: it is, or holds, what does not come back as it is.
    """
    return json.dumps(_encoded(value), allow_nan=False, separators=(",", ":"))


def loads(text: str) -> Any:
    """What :func:`dumps` was given."""
    return _decoded(json.loads(text))


def _encoded(value: Any) -> Any:
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return value
    if kind is int:
        return value if -_JSON_INTEGER < value < _JSON_INTEGER else {_TAG: "int", "": hex(value)}
    if kind is float:
        return value if math.isfinite(value) else {_TAG: "float", "": repr(value)}
    if kind is list:
        return [_encoded(item) for item in value]
    if kind is dict:
        return {_TAG: "dict", "": [[_encoded(key), _encoded(item)] for key, item in value.items()]}
    if kind is tuple:
        return {_TAG: "tuple", "": [_encoded(item) for item in value]}
    if kind.__name__ in _SCALARS and kind is _SCALARS[kind.__name__][0]:
        return {_TAG: kind.__name__, "": _SCALARS[kind.__name__][1](value)}
    missing = _missing()
    for name, single in missing.items():
        if value is single:
            return {_TAG: name}
    raise NotPlain(kind)


def _decoded(value: Any) -> Any:
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    if not isinstance(value, dict):
        return value
    kind: str = value[_TAG]
    held: Any = value.get("")
    if kind == "dict":
        return {_decoded(key): _decoded(item) for key, item in held}
    if kind == "tuple":
        return tuple(_decoded(item) for item in held)
    if kind in _SCALARS:
        return _SCALARS[kind][2](held)
    return _missing()[kind]


def _missing() -> dict[str, Any]:
    import pandas as pd

    return {"NA": pd.NA, "NaT": pd.NaT}


def _moment(value: datetime.datetime | datetime.time) -> str:
    if value.tzinfo is not None or value.fold:
        raise NotPlain(type(value))  # a time zone may be any object at all
    return value.isoformat()


def _duration(text: str) -> datetime.timedelta:
    days, seconds, microseconds = map(int, text.split(","))
    return datetime.timedelta(days, seconds, microseconds)


_SCALARS: dict[str, tuple[type, Callable[[Any], str], Callable[[str], Any]]] = {
    "int": (int, hex, lambda text: int(text, 16)),
    "float": (float, repr, float),
    "bytes": (bytes, bytes.hex, bytes.fromhex),
    "Decimal": (decimal.Decimal, str, decimal.Decimal),
    "date": (datetime.date, datetime.date.isoformat, datetime.date.fromisoformat),
    "datetime": (datetime.datetime, _moment, datetime.datetime.fromisoformat),
    "time": (datetime.time, _moment, datetime.time.fromisoformat),
    "timedelta": (
        datetime.timedelta,
        lambda value: f"{value.days},{value.seconds},{value.microseconds}",
        _duration,
    ),
}
