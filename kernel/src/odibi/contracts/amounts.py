"""Sizes and durations as people write them: ``10GB``, ``512MiB``, ``90s``, ``7d``, ``1h30m``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_BYTES = {"": 1, "B": 1} | {
    f"{letter}{kind}": base**power
    for kind, base in (("B", 1000), ("IB", 1024))
    for power, letter in enumerate("KMGTP", 1)
}
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART = re.compile(r"\s*(\d+(?:\.\d*)?)\s*(ms|s|m|h|d|w)\s*")
_QUANTITY = re.compile(r"\s*(\d+(?:\.\d*)?)\s*([A-Za-z]*)\s*")


def size(given: int | str) -> int:
    """Bytes, of a number or of text with a unit: powers of 1000 (``10GB``) or of 1024 (``512MiB``).

    Raises:
        ValueError: it is no size, or less than a byte.
    """
    found = _quantity(given, _BYTES, str.upper)
    if found is None or found < 1:
        raise ValueError(f"{given!r} is no size; give a number of bytes, or one with a unit, such as 10GB or 512MiB")
    return int(found)


def duration(given: float | str) -> float:
    """Seconds, of a number or of text with units (``90s``, ``36h``, ``1h30m``).

    Raises:
        ValueError: it is no duration, or not above 0.
    """
    plain = _quantity(given, {"": 1.0}, str)
    found = _parts(given) if plain is None and isinstance(given, str) else plain
    if found is None or not 0 < found < float("inf"):
        raise ValueError(f"{given!r} is no duration; give a number of seconds, or one with a unit, such as 90s or 7d")
    return found


def seconds(text: str) -> float:
    """Seconds, of text whose numbers all have units; 0 counts, too.

    Raises:
        ValueError: it is no such text; the message says how to write one.
    """
    found = _parts(text)
    if found is None:
        raise ValueError(f"{text!r} is not a duration; write a number with ms, s, m, h, d or w, such as 36h or 7d")
    return found


def _parts(text: str) -> float | None:
    given, end, total = text.lower(), 0, 0.0
    while end < len(given):
        part = _PART.match(given, end)
        if part is None:
            return None
        total += float(part.group(1)) * _SECONDS[part.group(2)]
        end = part.end()
    return total if given.strip() else None


def _quantity(given: float | str, units: Mapping[str, float], folded: Callable[[str], str]) -> float | None:
    if isinstance(given, bool):
        return None
    if isinstance(given, int | float):
        return float(given)
    match = _QUANTITY.fullmatch(given)
    unit = units.get(folded(match.group(2))) if match else None
    return float(match.group(1)) * unit if match and unit is not None else None
