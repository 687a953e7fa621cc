"""Sizes and durations as people write them: ``10GB``, ``512 MiB``, ``36h``, ``1h30m``."""

from __future__ import annotations

import math
import re

_BYTES = {
    "": 1,
    "b": 1,
    **{f"{prefix}b": 1000**power for power, prefix in enumerate("kmgt", 1)},
    **{f"{prefix}ib": 1024**power for power, prefix in enumerate("kmgt", 1)},
}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?\s*(?:ms|s|m|h|d|w)\s*)+")
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)")


def byte_count(given: int | str | None) -> int | None:
    """A size in bytes; ``None`` stays ``None``.

    Args:
        given: a number of bytes, or text with a unit: kB, MB, GB, TB are powers of 1000, KiB, MiB, GiB, TiB of 1024.

    Raises:
        ValueError: it is not a size, or not more than nothing; the message says how to write one.
    """
    if given is None:
        return None
    size: float = 0
    if isinstance(given, str):
        found = _SIZE.fullmatch(given.strip().lower())
        if found is None or found[2] not in _BYTES:
            raise ValueError(f"{given!r} is not a size; write a number with kB, MB, GB, TB or KiB, MiB, GiB, TiB")
        number = float(found[1]) if "." in found[1] else int(found[1])
        size = number * _BYTES[found[2]]
    elif not isinstance(given, bool):
        size = given
    if not 1 <= size < math.inf:
        raise ValueError(f"{given!r} is not a size of at least one byte")
    return int(size)


def seconds(given: float | str | None) -> float | None:
    """The length of a duration in seconds; ``None`` stays ``None``.

    Args:
        given: a number of seconds, or text with units.

    Raises:
        ValueError: it is not a duration, or not more than nothing; the message says how to write one.
    """
    if given is None:
        return None
    length = 0.0
    if isinstance(given, str):
        text = given.strip().lower()
        if not _DURATION.fullmatch(text):
            raise ValueError(f"{given!r} is not a duration; write a number with ms, s, m, h, d or w, such as 36h or 7d")
        length = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
    elif not isinstance(given, bool):
        length = float(given)
    if not 0 < length < math.inf:
        raise ValueError(f"{given!r} is not a duration of more than nothing")
    return length
