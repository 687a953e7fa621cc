"""JSON values to text and back: nothing is changed on the way, and what would be is refused with its place."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

_DEEPEST = 200
"""Levels of nesting: what is written must be readable from deeper in the stack than it was written from."""

_SCALARS = frozenset({str, int, float, bool, type(None)})
_NESTED = (dict, list, tuple, Mapping)


def _default(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError


_encode = json.JSONEncoder(check_circular=False, allow_nan=False, separators=(",", ":"), default=_default).encode


def to_json(value: Any, what: str) -> str:
    """``value`` as JSON text in ASCII.

    Args:
        value: mappings with keys of text, lists, text, numbers, true, false, nothing. Tuples count as lists.
        what: what to call it in an error.

    Raises:
        TypeError: something in it is not a JSON value; says where and which type.
        ValueError: a number in it is NaN or infinite, or it is nested too deeply.
    """
    problem = f"it is nested more than {_DEEPEST} levels deep, or holds itself"
    try:
        text = _encode(value)
        if not isinstance(value, _NESTED) or _is_sound(value, _DEEPEST):
            return text
    except (TypeError, ValueError) as error:
        problem = str(error)
    except RecursionError:
        pass
    _explain(value, what, _DEEPEST)
    raise ValueError(f"{what} cannot be written as JSON: {problem}")


def from_json(texts: Iterable[str]) -> list[Any]:
    """The values of many texts, each of which may be several with commas between; one pass, as calls cost the most.

    Raises:
        ValueError: they are not JSON.
    """
    found: list[Any] = json.loads(f"[{','.join(texts)}]")
    return found


def _is_sound(value: Any, left: int) -> bool:
    """Whether all keys are text, which the encoder makes of them without a word, and nothing is nested too deeply."""
    items: Iterable[Any]
    if type(value) is dict or isinstance(value, Mapping):
        for key in value:
            if type(key) is not str and not isinstance(key, str):
                return False
        items = value.values()
    else:
        items = value
    for item in items:
        if type(item) in _SCALARS or not isinstance(item, _NESTED):
            continue
        if not left or not _is_sound(item, left - 1):
            return False
    return True


def _explain(value: Any, where: str, left: int) -> None:
    """Raise an error about the first part of ``value`` that is not JSON."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where} is {value!r}, which JSON cannot say")
    if value is None or isinstance(value, str | int | float) or left < 0:
        return
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"a key of {where} is of type {type(key).__name__} ({key!r}); JSON has only text there")
            _explain(item, f"{where}[{key!r}]", left - 1)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _explain(item, f"{where}[{index}]", left - 1)
    else:
        raise TypeError(f"{where} is of type {type(value).__name__}, which is not a JSON value")
