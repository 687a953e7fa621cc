"""Sizes as people write them: ``8MiB``, ``64 MB``."""

from __future__ import annotations

import re

_UNITS = {
    "": 1,
    "b": 1,
    **{f"{prefix}b": 1000**power for power, prefix in enumerate("kmg", 1)},
    **{f"{prefix}ib": 1024**power for power, prefix in enumerate("kmg", 1)},
}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)")


def byte_count(given: int | str) -> int:
    """A size in bytes.

    Args:
        given: a number of bytes, or text with a unit: kB, MB, GB are powers of 1000, KiB, MiB, GiB of 1024.

    Raises:
        ValueError: it is not a size.
    """
    if isinstance(given, int):
        return given
    found = _SIZE.fullmatch(given.strip().lower())
    if found is None or found[2] not in _UNITS:
        raise ValueError(f"{given!r} is not a size; write a number with kB, MB, GB or KiB, MiB, GiB")
    return int(float(found[1]) * _UNITS[found[2]])
