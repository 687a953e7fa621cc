"""Figures in words, for people."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


def took(seconds: float | None) -> str:
    """A duration: ``0.4 ms``, ``12 ms``, ``1.23 s``, ``3 min 04 s``, ``2 h 05 min``; empty if it is not known."""
    if seconds is None:
        return ""
    if seconds < 0.0995:
        return f"{seconds * 1000:.1f} ms" if seconds < 0.00995 else f"{seconds * 1000:.0f} ms"
    if seconds < 9.995:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes:02d} min"


def size(number: float | None) -> str:
    """Bytes: ``999 B``, ``1.5 kB``, ``12 MB``, powers of 1000; empty if the number is not known."""
    if number is None:
        return ""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 999.5:
            return f"{number:.0f} {unit}" if unit == "B" or number >= 99.95 else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:,.1f} TB"


def count(number: int | None, one: str = "", many: str = "") -> str:
    """``1,234``, or with words ``1 row`` and ``2 rows``; empty if the number is not known."""
    if number is None:
        return ""
    if not one:
        return f"{number:,}"
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def change(number: int) -> str:
    """``+5``, ``−5`` with a minus sign, ``±0``."""
    return "±0" if number == 0 else ("+" if number > 0 else "−") + f"{abs(number):,}"


def share(part: float, whole: float) -> str:
    """A part in per cent of the whole: ``<0.1 %``, ``4.5 %``, ``45 %``; empty if the whole is nothing."""
    if not whole:
        return ""
    per_cent = 100 * part / whole
    if 0 < per_cent < 0.1:
        return "<0.1 %"
    return f"{per_cent:.1f} %" if per_cent < 9.95 else f"{per_cent:.0f} %"


def moment(epoch: float) -> str:
    """``2013-01-31 05:17:00 UTC`` of seconds since the epoch; empty of 0 and of what no calendar reaches."""
    try:
        return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if epoch else ""
    except (OverflowError, OSError, ValueError):
        return ""


def visible(text: str) -> str:
    """The text with control characters shown by their pictures, and halves of characters by a mark.

    Line breaks and tabs stay. What comes out can always be written as UTF-8.
    """
    return _CONTROL.sub(_picture, text)


def _picture(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 32:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else "\ufffd"


def width(text: str) -> int:
    """How many columns of a fixed grid the text takes: 2 for a wide character, 0 for one that joins its neighbour."""
    return sum(
        0
        if unicodedata.category(each) in ("Mn", "Me", "Cf")
        else 2
        if unicodedata.east_asian_width(each) in "WF"
        else 1
        for each in text
    )


def shorten(text: str, columns: int) -> str:
    """The text in no more columns than given, with an ellipsis in its middle, as names differ at both their ends."""
    if width(text) <= columns:
        return text
    head, tail = (columns - 1) - (columns - 1) // 3, (columns - 1) // 3
    return f"{_start(text, head)}…{_start(text[::-1], tail)[::-1]}"


def _start(text: str, columns: int) -> str:
    taken = 0
    for place, each in enumerate(text):
        taken += width(each)
        if taken > columns:
            return text[:place]
    return text
