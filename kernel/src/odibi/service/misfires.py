"""Moments of a schedule that passed while nobody looked, and which of them are made up for."""

from __future__ import annotations

from datetime import UTC, timedelta
from itertools import islice
from typing import TYPE_CHECKING

from odibi.model import Misfire

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from odibi.contracts.trigger import Schedule

PUNCTUAL = timedelta(seconds=30)
"""A moment that is looked at no later than this is no misfire: machines are busy at times."""

MOST = 10_000
"""So many moments are made up for at most, the newest ones; more of them are hardly what anybody means."""


def moments(schedule: Schedule, after: datetime, until: datetime) -> Iterator[datetime]:
    """The moments of a schedule after one and up to another, in UTC."""
    found = schedule.next_after(after)
    while found is not None and (found := found.astimezone(UTC)) <= until:
        yield found
        found = schedule.next_after(found)


def newest(schedule: Schedule, after: datetime, until: datetime, count: int = 1) -> list[datetime]:
    """The last ``count`` moments, in order; the cost does not grow with the length of the time."""
    step = timedelta(seconds=1)
    while True:
        begin = max(after, until - step)
        found = list(islice(moments(schedule, begin, until), 4 * count + 64))
        if len(found) >= 4 * count + 64:
            # More than were wanted: from a later moment on, there may be enough, and fewer to walk over.
            return _last(schedule, found[-1], until, found, count)
        if len(found) >= count or begin == after:
            return found[-count:]
        step *= 4


def _last(schedule: Schedule, begin: datetime, until: datetime, found: list[datetime], count: int) -> list[datetime]:
    """The last of what was found and of what follows."""
    for moment in moments(schedule, begin, until):
        found.append(moment)
        if len(found) > 8 * count + 128:
            del found[: -count - 1]
    return found[-count:]


def made_up_for(
    schedule: Schedule, after: datetime, now: datetime, policy: Misfire, grace: float | None
) -> list[datetime]:
    """Which moments after one that was dealt with, and up to now, are still to be dealt with, in order.

    Args:
        schedule: whose.
        after: the last moment that was dealt with.
        now: the present; a moment just before it is no misfire.
        policy: what to do about the others.
        grace: seconds; a moment that is further back is not made up for.
    """
    last = newest(schedule, after, now)
    if not last:
        return []
    if policy is Misfire.SKIP:
        return last if now - last[0] <= PUNCTUAL else []
    begin = after if grace is None else max(after, now - timedelta(seconds=grace) - timedelta(microseconds=1))
    if policy is Misfire.LATEST:
        return [each for each in last if each > begin or now - each <= PUNCTUAL]
    found = newest(schedule, begin, now, MOST)
    return found if found or now - last[0] > PUNCTUAL else last
