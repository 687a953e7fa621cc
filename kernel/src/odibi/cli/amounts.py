"""Sizes, times and ages, as people read and write them."""

from __future__ import annotations

import re
import time

import click

SHORTEST = 0.05
"""Seconds; what takes less takes no time to speak of."""

_UNITS = {"": 1, "b": 1} | {
    f"{prefix}{kind}": base**power
    for kind, base in (("b", 1000), ("ib", 1024))
    for power, prefix in enumerate("kmgt", 1)
}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)")


def size_of(_: click.Context, option: click.Parameter, given: str | None) -> int | None:
    """The bytes that an option says, with or without a unit; the callback of such an option."""
    if given is None:
        return None
    found = _SIZE.fullmatch(given.strip().lower())
    if found is None or found[2] not in _UNITS:
        raise click.BadParameter(
            f"{given!r} is no size; write a number with kB, MB, GB, TB or KiB, MiB, GiB, TiB.", param=option
        )
    return int(float(found[1]) * _UNITS[found[2]])


def bytes_text(size: float) -> str:
    """``999 B``, ``1.5 kB``, ``12 MB``: powers of 1000."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 99.95 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} TB"


def length_text(seconds: float) -> str:
    """About how long, in the unit that fits: ``<0.1 s``, ``3.2 s``, ``4 min``, ``2 h``, ``5 d``."""
    if seconds < SHORTEST:
        return "<0.1 s"
    for size, unit in ((86400, "d"), (3600, "h")):
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {unit}"
    return f"{seconds / 60:.0f} min" if seconds >= 60 else f"{seconds:.1f} s"


def ago(moment: float, now: float | None = None) -> str:
    """How long ago, as in ``4 min ago``.

    Args:
        moment: seconds since the epoch.
        now: the same; the present by default.
    """
    passed = (time.time() if now is None else now) - moment
    if passed < 1:
        return "just now"
    return f"{passed:.0f} s ago" if passed < 60 else f"{length_text(passed)} ago"


def utc(moment: float) -> str:
    """A moment as ``2026-01-31 23:59:59 UTC``."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(moment))
