"""What clocks show, beside zoneinfo."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from odibi_triggers.wall_clock import EPOCH, WallClock, wall_clock

ZONES = st.sampled_from(sorted(available_timezones()))
INSTANTS = st.integers(*(int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (1900, 2200)))
LAWS = settings(max_examples=300, deadline=None)


def shown(zone: str, instant: int) -> int:
    return int((datetime.fromtimestamp(instant, ZoneInfo(zone)).replace(tzinfo=UTC) - EPOCH).total_seconds())


@LAWS
@given(ZONES, st.lists(INSTANTS, min_size=1, max_size=20))
def test_clocks_show_what_zoneinfo_says(zone, instants):
    clock = wall_clock(zone)
    for instant in instants:
        assert clock.wall(instant) == shown(zone, instant)
        begin, end, offset, _ = clock.stretch(instant)
        assert begin <= instant < end
        for at in (begin, end - 1, (begin + instant) // 2, (instant + end) // 2):
            assert shown(zone, at) - at == offset, f"{zone} at {at} and {instant}"


@LAWS
@given(ZONES, INSTANTS)
def test_turns_are_found_wherever_one_begins(zone, instant):
    """A stretch ends at a turn or where a block does; the next begins there, and knows what was before it."""
    asked = WallClock(zone)
    for _ in range(6):
        _, end, offset, _ = asked.stretch(instant)
        begin, _, then, before = WallClock(zone).stretch(end)
        assert begin <= end
        if then != offset:
            assert (begin, before) == (end, offset)
        later = WallClock(zone).stretch(end + 7200)
        if then != offset and later[2] == then:
            assert later[0] == end, "a turn must be known for as long as a clock may show a time again"
        instant = end


@LAWS
@given(ZONES, INSTANTS)
def test_the_first_instant_is_the_first_that_shows_it_or_more(zone, wall):
    """By definition: nothing before it shows the time, or a later one."""
    found = wall_clock(zone).first_instant(wall)
    assert shown(zone, found) >= wall
    assert shown(zone, found - 1) < wall
    if shown(zone, found) > wall:  # skipped
        assert shown(zone, found) - shown(zone, found - 1) > 1
    for hours in range(1, 30):
        assert shown(zone, found - hours * 3600) < wall


@pytest.mark.parametrize("instant", [-62135596800, 253402300799, -(10**12), 10**12])
@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago", "UTC"])
def test_beyond_the_calendar_clocks_go_on(zone, instant):
    clock = wall_clock(zone)
    assert abs(clock.wall(instant) - instant) <= timedelta(hours=15).total_seconds()
    assert clock.first_instant(clock.wall(instant)) == instant
