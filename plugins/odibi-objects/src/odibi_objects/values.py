"""JSON values as they are, or an error that says where they are not."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

_DEEPEST = 200
"""Levels of nesting that can be read back, however deep in its own calls the reader is."""


def plain(value: Any, what: str) -> Any:
    """A copy made of dicts, lists and scalars alone.

    Args:
        value: mappings with keys of text, lists, tuples, text, numbers, true, false, nothing.
        what: to call it in an error.

    Raises:
        TypeError: something in it is no JSON value.
        ValueError: a number in it is none that JSON has, or it is nested too deeply.
    """
    copied = _copy(value, what, _DEEPEST)
    return json.loads(json.dumps(copied))


def text(value: Any, what: str) -> str:
    """``value``, if it is text.

    Raises:
        TypeError: it is not.
        ValueError: it holds half of a surrogate pair.
    """
    if not isinstance(value, str):
        raise TypeError(f"{what} must be text, not {type(value).__name__}")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(f"{what} holds half of a surrogate pair: {value!r}") from None
    return value


def _copy(value: Any, where: str, levels: int) -> Any:
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{where} is {value}, for which JSON has no number")
        return value
    if levels == 0:
        raise ValueError(f"{where} is nested more than {_DEEPEST} levels deep")
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"{where} has a key of type {type(key).__name__}; in JSON keys are text")
        return {key: _copy(item, f"{where}.{key}", levels - 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_copy(item, f"{where}[{at}]", levels - 1) for at, item in enumerate(value)]
    raise TypeError(f"{where} is of type {type(value).__name__}, which JSON does not have")
