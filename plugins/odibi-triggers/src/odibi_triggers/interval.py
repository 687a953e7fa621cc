"""The trigger ``interval``."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Literal

import attrs

from odibi.contracts.amounts import duration
from odibi.contracts.options import option
from odibi_triggers.moments import at_microsecond, check_after, given, microseconds, named

if TYPE_CHECKING:
    from datetime import datetime

_MILLION = 1_000_000


def _microseconds(name: str, text: float | str) -> int:
    found = named(name, lambda: duration(text)) * _MILLION
    if not 1 <= found < float("inf"):
        raise ValueError(f"{name}: {text!r} is less than a microsecond, or more than there is")
    return round(found)


@attrs.frozen
class IntervalSchedule:
    """Fires again and again, whatever clocks on walls show.

    With ``after: start`` the fires are ``anchor`` and each ``every`` before and after it, whatever runs take. With
    ``after: end`` the pause between two runs is ``every``: what :meth:`next_after` is given must be the end of the last
    run, or the moment of the service's start where there was none, and the answer then depends on nothing else. Whoever
    asks finds out by :attr:`from_end`.
    """

    every: float | str = option(
        help="How long from one fire to the next: seconds, or with a unit (90s, 15m, 2h).",
        validator=lambda it, *_: it._every(),
    )
    after: Literal["start", "end"] = option(
        "start",
        help="Whether that is from the moment at which a run was to start, or from the end of the last run.",
        validator=attrs.validators.in_(("start", "end")),
    )
    anchor: str | None = option(
        None,
        help="A moment at which it fires, in ISO 8601; by default 1970-01-01T00:00:00+00:00. Not with after: end.",
        validator=lambda it, *_: it._anchored(),
    )
    jitter: float | str = option(
        0.0,
        help="Each fire is later by less than this: seconds, or with a unit. By how much is fixed for each fire.",
        validator=lambda it, *_: check_after(it._every, it._jitter),
    )
    seed: str = option("", help="Another text gives other fires by jitter; use one for each trigger.")
    start: str | None = option(
        None, help="Nothing fires before this moment, in ISO 8601.", validator=lambda it, *_: it._starts()
    )
    until: str | None = option(
        None, help="Nothing fires after this moment, in ISO 8601.", validator=lambda it, *_: it._ends()
    )

    _step: int = attrs.field(init=False, repr=False, eq=False)
    _spread: int = attrs.field(init=False, repr=False, eq=False)
    _anchor: int = attrs.field(init=False, repr=False, eq=False)
    _start: int | None = attrs.field(init=False, repr=False, eq=False)
    _until: int | None = attrs.field(init=False, repr=False, eq=False)

    @_step.default
    def _every(self) -> int:
        return _microseconds("every", self.every)

    @_spread.default
    def _jitter(self) -> int:
        found = _microseconds("jitter", self.jitter) if self.jitter != 0 else 0
        if found > self._every():
            raise ValueError(f"jitter: {self.jitter!r} is more than every, so fires would overtake one another")
        return found

    @_anchor.default
    def _anchored(self) -> int:
        if self.after == "end" and self.anchor is not None:
            raise ValueError("anchor: with after: end, fires go by the ends of runs; leave anchor out")
        return given("anchor", self.anchor) or 0

    @_start.default
    def _starts(self) -> int | None:
        return given("start", self.start)

    @_until.default
    def _ends(self) -> int | None:
        return given("until", self.until)

    @property
    def from_end(self) -> bool:
        """Whether the next fire counts from the end of the last run."""
        return self.after == "end"

    def next_after(self, moment: datetime) -> datetime | None:
        """The first fire strictly after ``moment``, in UTC.

        Args:
            moment: with ``after: end``, the end of the last run.

        Raises:
            ValueError: ``moment`` is not aware of its time zone.
        """
        asked = microseconds(moment)
        if self.after == "end":
            found = self._late(asked + self._step)
            if self._start is not None:
                found = max(found, self._start)
        else:
            found = self._on_grid(asked if self._start is None else max(asked, self._start - 1))
        return None if self._until is not None and found > self._until else at_microsecond(found)

    def _on_grid(self, after: int) -> int:
        place = self._anchor + (after - self._anchor) // self._step * self._step
        found = self._late(place)  # one that is late may be yet to come
        return found if found > after else self._late(place + self._step)

    def _late(self, place: int) -> int:
        """A fire that was to be at ``place``, with its jitter: evenly spread, the same in every process."""
        if not self._spread:
            return place
        digest = blake2b(f"{place} {self.seed}".encode(), digest_size=8).digest()
        return place + int.from_bytes(digest, "big") % self._spread
