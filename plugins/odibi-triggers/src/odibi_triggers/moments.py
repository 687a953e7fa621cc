"""Moments as options say them, and as whole numbers, with which schedules reckon."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from odibi_triggers.wall_clock import EPOCH, wall_clock

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_SECOND = timedelta(seconds=1)
_MICROSECOND = timedelta(microseconds=1)


def since_epoch(moment: datetime) -> timedelta:
    """The time from 1970 in UTC to a moment; unlike a float of seconds it is exact.

    Raises:
        ValueError: the moment is not aware of its time zone.
    """
    try:
        return moment - EPOCH
    except TypeError:
        raise ValueError(f"{moment} is not aware of its time zone; give it one, such as datetime.UTC") from None


def microseconds(moment: datetime) -> int:
    """Microseconds from 1970 in UTC to a moment.

    Raises:
        ValueError: the moment is not aware of its time zone.
    """
    return since_epoch(moment) // _MICROSECOND


def at_microsecond(count: int) -> datetime | None:
    """The moment so many microseconds after 1970, in UTC; ``None`` where Python's calendar does not reach."""
    try:
        return EPOCH + timedelta(microseconds=count)
    except OverflowError:
        return None


def read_moment(text: str, zone: str | None = None) -> datetime:
    """The moment that a text in ISO 8601 says, in UTC.

    Args:
        text: such as ``2026-01-01T06:00:00+01:00``.
        zone: whose clocks show a time that comes without an offset. A time that they show twice is the first; one that
            they skip is the moment at which they are put forward past it.

    Raises:
        ValueError: it is no such text, or has no offset and there is no ``zone``, or there is no such zone.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no moment in ISO 8601; write it as in '2026-01-31T06:00:00+01:00'") from None
    try:
        if found.utcoffset() is not None:
            return found.astimezone(UTC)
        if zone is None:
            raise ValueError(f"{text!r} does not say its time zone; write it as in '2026-01-31T06:00:00+01:00'")
        clock = wall_clock(zone)
        shown = (found.replace(tzinfo=UTC) - EPOCH) // _SECOND
        instant = clock.first_instant(shown)
        rest = found.microsecond if clock.wall(instant) == shown else 0
        return EPOCH + timedelta(seconds=instant, microseconds=rest)
    except OverflowError:
        raise ValueError(f"{text!r} lies outside of the years 1 to 9999") from None


def given(name: str, text: str | None, zone: str | None = None) -> int | None:
    """The microsecond that an option says; ``None`` if it was not given.

    Raises:
        ValueError: see :func:`read_moment`; it names the option.
    """
    return None if text is None else named(name, lambda: microseconds(read_moment(text, zone)))


def named(name: str, read: Callable[[], T]) -> T:
    """What ``read`` gives; its ``ValueError`` gets the name of the option in front.

    Raises:
        ValueError: as ``read`` does.
    """
    try:
        return read()
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def check_after(first: Callable[[], object], check: Callable[[], object]) -> None:
    """Check an option that cannot be understood without another one; if that is wrong, it says so itself.

    Raises:
        ValueError: as ``check`` does.
    """
    try:
        first()
    except ValueError:
        return
    check()
