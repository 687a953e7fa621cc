"""A clock that a test turns: for triggers, times to live, and whatever else takes the time from a function.

It can be handed in wherever ``time.time`` is (calling it gives seconds since the epoch), and what waits on it waits for
the test and not for the machine::

    clock = Clock.at("2026-03-29T01:59:00+01:00")
    schedule.next_after(clock.moment())
    clock.advance(60)
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from datetime import tzinfo

START = 1_700_000_000.0
"""Where a clock begins, in seconds since the epoch: a moment that file systems can hold."""

PATIENCE = 60.0
"""Seconds of real time after which whoever waits for others gives up."""

_LOOK = 0.005
"""Seconds between looks at an event that somebody else may set."""


@attrs.define(eq=False)
class Clock:
    """A clock that stands still until it is turned. Safe to use from many threads.

    Attributes:
        now: seconds since the epoch.
    """

    now: float = START
    _elapsed: float = attrs.field(default=0.0, init=False, repr=False)
    _waiting: int = attrs.field(default=0, init=False, repr=False)
    _changed: threading.Condition = attrs.field(factory=threading.Condition, init=False, repr=False)

    @classmethod
    def at(cls, moment: datetime | str) -> Clock:
        """A clock that begins at a moment.

        Args:
            moment: aware of its time zone, or the text of one that is, in ISO 8601.

        Raises:
            ValueError: it does not say its time zone.
        """
        return cls(_seconds(moment))

    def __call__(self) -> float:
        """The time, in seconds since the epoch."""
        return self.now

    def moment(self, zone: tzinfo = UTC) -> datetime:
        """The time, as a moment in a time zone."""
        return datetime.fromtimestamp(self.now, zone)

    def monotonic(self) -> float:
        """Seconds by which the clock was advanced; setting it, forward or back, does not count."""
        return self._elapsed

    def monotonic_ns(self) -> int:
        """The same in nanoseconds."""
        return round(self._elapsed * 1e9)

    def advance(self, seconds: float) -> None:
        """Let time pass.

        Raises:
            ValueError: ``seconds`` is negative; a clock that goes back is *set* (:meth:`set`).
        """
        if seconds < 0:
            raise ValueError("time does not pass backwards; use set() for a clock that somebody puts back")
        with self._changed:
            self.now += seconds
            self._elapsed += seconds
            self._changed.notify_all()

    def set(self, moment: datetime | float | str) -> None:
        """Put the clock forward or back, as an administrator does; nobody has waited meanwhile.

        Args:
            moment: seconds since the epoch, or as for :meth:`at`.
        """
        with self._changed:
            self.now = moment if isinstance(moment, int | float) else _seconds(moment)
            self._changed.notify_all()

    def sleep(self, seconds: float) -> None:
        """Wait until the clock was advanced by so much."""
        self.wait(threading.Event(), seconds)

    def wait(self, event: threading.Event, seconds: float | None = None) -> bool:
        """Wait until ``event`` is set, or the clock was advanced by ``seconds``; whether it is set.

        What ``event.wait(seconds)`` is on the real clock.
        """
        with self._changed:
            until = None if seconds is None else self._elapsed + seconds
            self._waiting += 1
            self._changed.notify_all()
            try:
                while not event.is_set() and (until is None or self._elapsed < until):
                    self._changed.wait(_LOOK)  # whoever sets the event does not know of this condition
            finally:
                self._waiting -= 1
        return event.is_set()

    def when_waiting(self, count: int = 1) -> None:
        """Return once ``count`` threads wait on the clock, so that advancing it wakes them.

        Raises:
            AssertionError: they do not come.
        """
        deadline = time.monotonic() + PATIENCE
        with self._changed:
            while self._waiting < count:
                assert time.monotonic() < deadline, f"{self._waiting} threads wait on the clock, and not {count}"
                self._changed.wait(_LOOK)


def _seconds(moment: datetime | str) -> float:
    moment = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    if moment.utcoffset() is None:
        raise ValueError(f"{moment} does not say its time zone")
    return moment.timestamp()
