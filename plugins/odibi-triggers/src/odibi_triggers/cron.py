"""The trigger ``cron``."""

from __future__ import annotations

from datetime import datetime, timedelta

import attrs

from odibi.contracts.options import option
from odibi_triggers.cron_fields import CronFields, compiled
from odibi_triggers.moments import check_after, given, named, since_epoch
from odibi_triggers.wall_clock import DAY, EPOCH, WallClock, wall_clock

_MILLION = 1_000_000


@attrs.frozen
class CronSchedule:
    """Fires when a clock on the wall shows what a cron expression means.

    Where clocks are put, it matters whether the expression leaves out an hour of the day. If it does (``30 2 * * *``),
    each time that it means is one fire: of a time shown twice the first, for a time skipped the moment at which the
    clock is put forward past it, and times skipped together are one fire. If it does not (``*/5 * * * *``,
    ``30 * * * *``), it fires whenever the clock shows such a time, in both of two hours that show the same, and nothing
    is made up for. So says the manual of Vixie's cron, whose code goes by whether minute or hour begin with ``*``.
    """

    cron: str = option(
        help="Minute, hour, day, month and weekday, as in '30 2 * * mon-fri'; or '@daily' and its like.",
        validator=lambda it, *_: it._compile(),
    )
    zone: str = option(
        "UTC",
        help="The time zone of the clock, as in 'Europe/Berlin'.",
        validator=lambda it, *_: it._find_clock(),
    )
    start: str | None = option(
        None,
        help="Nothing fires before this moment, in ISO 8601; a time without an offset is the zone's.",
        validator=lambda it, *_: check_after(it._find_clock, it._before_start),
    )
    until: str | None = option(
        None,
        help="Nothing fires after this moment, likewise.",
        validator=lambda it, *_: check_after(it._find_clock, it._until),
    )

    _fields: CronFields = attrs.field(init=False, repr=False, eq=False)
    _clock: WallClock | None = attrs.field(init=False, repr=False, eq=False)
    _after: int | None = attrs.field(init=False, repr=False, eq=False)
    _last: int | None = attrs.field(init=False, repr=False, eq=False)

    @_fields.default
    def _compile(self) -> CronFields:
        return named("cron", lambda: compiled(self.cron))

    @_clock.default
    def _find_clock(self) -> WallClock | None:
        return None if self.zone == "UTC" else named("zone", lambda: wall_clock(self.zone))

    @_after.default
    def _before_start(self) -> int | None:
        """The last second before ``start``."""
        start = given("start", self.start, self.zone)
        return None if start is None else -(-start // _MILLION) - 1

    @_last.default
    def _until(self) -> int | None:
        """The last second at which it may fire."""
        until = given("until", self.until, self.zone)
        return None if until is None else until // _MILLION

    def next_after(self, moment: datetime) -> datetime | None:
        """The first fire strictly after ``moment``, in UTC.

        Raises:
            ValueError: ``moment`` is not aware of its time zone.
        """
        since = since_epoch(moment)
        after = since.days * DAY + since.seconds
        if self._after is not None and after < self._after:
            after = self._after
        if self._clock is None:
            found = self._fields.next_from(after + 1)
        elif self._fields.every_hour:
            found = each_showing(self._fields, self._clock, after)
        else:
            found = each_time_once(self._fields, self._clock, after)
        if found is None or (self._last is not None and found > self._last):
            return None
        try:
            return EPOCH + timedelta(seconds=found)
        except OverflowError:
            return None


def each_time_once(fields: CronFields, clock: WallClock, after: int) -> int | None:
    """The first instant after one at which a clock comes to a time meant, for the first time.

    Later times are come to later, so the next of them is found without looking at what happens to clocks in between.
    """
    begin, end, offset, before = clock.stretch(after)
    # Up to here, the clock has shown everything.
    wall = fields.next_from(max(after + 1 + offset, begin + before))
    if wall is None:
        return None
    found = wall - offset
    return found if found < end else clock.first_instant(wall)


def each_showing(fields: CronFields, clock: WallClock, after: int) -> int | None:
    """The first instant after one at which a clock shows a time meant."""
    instant = after + 1
    while True:
        _, end, offset, _ = clock.stretch(instant)
        wall = fields.next_from(instant + offset)
        if wall is not None and wall - offset < end:
            return wall - offset
        # A clock that is put back within a day or so may show what it has shown; later it shows nothing before 'wall'.
        if end - after < 2 * DAY:
            instant = end
        elif wall is None:
            return None
        else:
            instant = max(end, wall - offset - 2 * DAY)
