"""The trigger ``date``."""

from __future__ import annotations

from bisect import bisect_right
from datetime import datetime

import attrs

from odibi.contracts.options import option
from odibi_triggers.moments import check_after, microseconds, named, read_moment
from odibi_triggers.wall_clock import wall_clock


@attrs.frozen
class DateSchedule:
    """Fires at the moments that it is given, once each."""

    at: str | list[str] = option(  # noqa: RUF009 - what it makes is a field
        help="A moment, or several, in ISO 8601, as in '2026-01-31T06:00:00+01:00'; with zone also without offset.",
        validator=lambda it, *_: check_after(it._known_zone, it._read),
    )
    zone: str | None = option(
        None,
        help="The time zone whose clock shows a time that has no offset, as in 'Europe/Berlin'.",
        validator=lambda it, *_: it._known_zone(),
    )

    _moments: tuple[datetime, ...] = attrs.field(init=False, repr=False, eq=False)
    _counts: tuple[int, ...] = attrs.field(init=False, repr=False, eq=False)

    @_moments.default
    def _read(self) -> tuple[datetime, ...]:
        zone = self._known_zone()
        texts = [self.at] if isinstance(self.at, str) else list(self.at)
        if not texts:
            raise ValueError("at: there is no moment; give one at least, such as '2026-01-31T06:00:00+01:00'")
        return tuple(sorted(named("at", lambda: {read_moment(text, zone) for text in texts})))

    def _known_zone(self) -> str | None:
        zone = self.zone
        if zone is not None:
            named("zone", lambda: wall_clock(zone))
        return zone

    @_counts.default
    def _count(self) -> tuple[int, ...]:
        return tuple(microseconds(moment) for moment in self._moments)

    def next_after(self, moment: datetime) -> datetime | None:
        """The first of the moments strictly after ``moment``, in UTC.

        Raises:
            ValueError: ``moment`` is not aware of its time zone.
        """
        place = bisect_right(self._counts, microseconds(moment))
        return self._moments[place] if place < len(self._moments) else None
