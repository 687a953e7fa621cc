"""Durations, sizes, counts and moments in the words in which people read them."""

from __future__ import annotations

import json
import shlex
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from odibi_story.record import Failure, NodeStory, RunStory

_MINUTE, _HOUR = 60, 3600


def duration(seconds: float | None) -> str:
    """``4 ms``, ``1.2 s``, ``3 min 20 s``, ``2 h 5 min``; empty where it is not known."""
    if seconds is None:
        return ""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    if seconds < _HOUR:
        minutes, rest = divmod(round(seconds), _MINUTE)
        return f"{minutes} min {rest} s"
    hours, rest = divmod(round(seconds), _HOUR)
    return f"{hours} h {rest // _MINUTE} min"


def size(count: int | None) -> str:
    """``512 B``, ``1.5 kB``, ``20 MB``: powers of 1,000; empty where it is not known."""
    if count is None:
        return ""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 999.5:
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 10 else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def count(number: int | None) -> str:
    """``336,776``; empty where it is not known."""
    return "" if number is None else f"{number:,}"


def plural(number: int, what: str) -> str:
    """``1 node``, ``2 nodes``."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def moment(seconds: float) -> str:
    """``2026-01-31 12:00:05 UTC``."""
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return "?"


def counts(story: RunStory) -> str:
    """``5 succeeded, 1 failed``."""
    return ", ".join(f"{number:,} {state}" for state, number in story.counts.items() if number) or "no nodes"


def command(story: RunStory) -> str:
    """What runs the same again, for a shell; empty if nothing does."""
    if not story.command:
        return ""
    words = shlex.join(story.command)
    return f"cd {shlex.quote(story.folder)} && {words}" if story.folder else words


def said(failure: Failure) -> str:
    """What a failure says; with the class of an error that is not Odibi's own, whose words often need it."""
    return f"{failure.type}: {failure.message}" if failure.trace else failure.message


def took(node: NodeStory) -> float | None:
    """Seconds from a node's first start to its end; ``None`` if it did not run to an end."""
    return None if node.started is None or node.finished is None else node.finished - node.started


def brief(value: Any, longest: int = 60) -> str:
    """A JSON value on one line."""
    if value is None:
        return "–"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
