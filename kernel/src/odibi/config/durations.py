"""Durations as people write them: ``90m``, ``36h``, ``7d``, ``1h30m``."""

from __future__ import annotations

import re

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)\s*")


def seconds(text: str) -> float:
    """The length of a duration in seconds.

    Raises:
        ValueError: it is not one; the message says how to write one.
    """
    given = text.strip().lower()
    total, end = 0.0, 0
    while given and end < len(given):
        part = _PART.match(given, end)
        if part is None:
            break
        total += float(part.group(1)) * _SECONDS[part.group(2)]
        end = part.end()
    if not given or end < len(given):
        raise ValueError(f"{text!r} is not a duration; write a number with ms, s, m, h, d or w, such as 36h or 7d")
    return total
