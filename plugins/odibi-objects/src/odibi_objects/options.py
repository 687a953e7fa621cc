"""What the options of both components may be."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from odibi.contracts.storage import check_path
from odibi.errors import InvalidPath

_BYTES = {"": 1, "B": 1} | {
    f"{letter}{kind}": base**power
    for kind, base in (("B", 1000), ("IB", 1024))
    for power, letter in enumerate("KMGTP", 1)
}
_SECONDS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_QUANTITY = re.compile(r"\s*(\d+(?:\.\d*)?)\s*([A-Za-z]*)\s*")


def folder(text: str) -> str:
    """A folder of a connection; ``""`` is its root.

    Raises:
        ValueError: it leads out of the connection.
    """
    try:
        return check_path(text)
    except InvalidPath as error:
        raise ValueError(str(error)) from None


def size(given: int | str | None) -> int | None:
    """Bytes, of a number or of text with a unit (``10GB``, ``512MiB``).

    Raises:
        ValueError: it is no size, or less than a byte.
    """
    if given is None:
        return None
    bytes_ = _quantity(given, _BYTES, str.upper)
    if bytes_ is None or bytes_ < 1:
        raise ValueError(f"{given!r} is no size; give a number of bytes, or one with a unit, such as 10GB or 512MiB")
    return int(bytes_)


def duration(given: float | str | None) -> float | None:
    """Seconds, of a number or of text with a unit (``90s``, ``36h``, ``7d``).

    Raises:
        ValueError: it is no duration, or not above 0.
    """
    if given is None:
        return None
    seconds = _quantity(given, _SECONDS, str.lower)
    if seconds is None or not 0 < seconds < float("inf"):
        raise ValueError(f"{given!r} is no duration; give a number of seconds, or one with a unit, such as 90s or 7d")
    return seconds


def pause(given: float | str) -> float:
    """As :func:`duration`, or 0.

    Raises:
        ValueError: it is neither.
    """
    if not isinstance(given, bool) and given in (0, "0"):
        return 0.0
    found = duration(given)
    assert found is not None
    return found


def positive(given: int) -> int:
    """A whole number above 0.

    Raises:
        ValueError: it is none.
    """
    if given < 1:
        raise ValueError(f"{given} is too few; give 1 or more")
    return given


def _quantity(given: float | str, units: dict[str, Any], fold: Callable[[str], str]) -> float | None:
    if isinstance(given, str):
        match = _QUANTITY.fullmatch(given)
        unit = units.get(fold(match[2])) if match else None
        return float(match[1]) * unit if match and unit else None
    return None if isinstance(given, bool) else float(given)
