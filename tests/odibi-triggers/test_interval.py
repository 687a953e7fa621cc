"""Intervals: exact on the grid, with jitter that keeps their order, and by the ends of runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odibi_triggers.interval import IntervalSchedule

MAY = datetime(2026, 5, 1, tzinfo=UTC)
BEGINS = st.datetimes(datetime(1980, 1, 1), datetime(2090, 1, 1))


def walk(schedule, moment, count):
    found = []
    for _ in range(count):
        moment = schedule.next_after(moment)
        found.append(moment)
    return found


@pytest.mark.parametrize("every", [900, "900s", "15m", "0.25h", 900.0])
def test_every_takes_what_durations_are(every):
    assert walk(IntervalSchedule(every=every), MAY, 2) == [MAY + timedelta(minutes=15), MAY + timedelta(minutes=30)]


def test_the_grid_does_not_drift():
    """A tenth of a second is none in binary; in a million steps it must not show."""
    schedule = IntervalSchedule(every=0.1, anchor="2026-05-01T00:00:00+00:00")
    later = MAY + timedelta(days=1000)
    assert schedule.next_after(later - timedelta(microseconds=1)) == later
    assert schedule.next_after(later) == later + timedelta(milliseconds=100)


@given(st.integers(1, 10**7), st.floats(0, 1), st.text(max_size=3), BEGINS)
def test_jitter_keeps_every_fire_and_its_order(step, share, seed, begin):
    """Each fire lies less than the jitter after its place on the grid; none is lost, none overtakes."""
    every, begin = timedelta(microseconds=step), begin.replace(tzinfo=UTC)
    jitter = timedelta(microseconds=int(step * share))
    options = {"every": every.total_seconds(), "anchor": begin.isoformat()}
    plain = IntervalSchedule(**options)
    late = IntervalSchedule(**options, jitter=jitter.total_seconds(), seed=seed)
    places = [begin, *walk(plain, begin, 20)]
    fires = walk(late, begin - timedelta(microseconds=1), 21)
    for place, fire in zip(places, fires, strict=True):
        assert place <= fire <= place + max(jitter - timedelta(microseconds=1), timedelta(0))
    assert all(one < other for one, other in pairwise(fires))


def test_jitter_spreads_evenly_and_by_the_seed():
    one, other = (walk(IntervalSchedule(every=60, jitter=60, seed=seed), MAY, 6000) for seed in ("one", "other"))
    assert one != other
    lateness = [fire.second + fire.microsecond / 1e6 for fire in one]
    counts = [sum(low <= each < low + 15 for each in lateness) for low in (0, 15, 30, 45)]
    assert all(1300 < count < 1700 for count in counts), counts


@given(BEGINS, st.sampled_from([0, "30s"]))
def test_after_the_end_of_a_run_comes_a_pause(end, jitter):
    end = end.replace(tzinfo=UTC)
    schedule = IntervalSchedule(every="10m", after="end", jitter=jitter)
    assert schedule.after == "end"
    found = schedule.next_after(end)
    assert found == schedule.next_after(end)
    assert timedelta(minutes=10) <= found - end < timedelta(minutes=10, seconds=30 if jitter else 0, microseconds=1)


def test_start_and_until_belong_to_it():
    bounds = {"start": "2026-05-01T00:00:00+00:00", "until": "2026-05-01T02:00:00+00:00"}
    before = MAY - timedelta(days=1)
    grid = IntervalSchedule(every="1h", **bounds)
    assert walk(grid, before, 3) == [MAY, MAY + timedelta(hours=1), MAY + timedelta(hours=2)]
    assert grid.next_after(MAY + timedelta(hours=2)) is None
    pause = IntervalSchedule(every="1h", after="end", **bounds)
    assert pause.next_after(before) == MAY
    assert pause.next_after(MAY + timedelta(minutes=30)) == MAY + timedelta(minutes=90)
    assert pause.next_after(MAY + timedelta(minutes=61)) is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"every": 0}, "every: 0 is no duration; give a number of seconds"),
        ({"every": -5}, "every: -5 is no duration"),
        ({"every": "soon"}, "every: 'soon' is no duration"),
        ({"every": 1e-9}, "every: 1e-09 is less than a microsecond"),
        ({"every": 1e305}, "every: 1e+305 is less than a microsecond, or more than there is"),
        ({"every": float("nan")}, "every: nan is no duration"),
        ({"every": 10, "jitter": 11}, "jitter: 11 is more than every"),
        ({"every": 10, "jitter": "x"}, "jitter: 'x' is no duration"),
        ({"every": 10, "after": "middle"}, "'after' must be in"),
        ({"every": 10, "anchor": "2026-05-01"}, "anchor: '2026-05-01' does not say its time zone"),
        ({"every": 10, "after": "end", "anchor": "2026-05-01T00:00:00+00:00"}, "anchor: with after: end"),
        ({"every": 10, "until": "x"}, "until: 'x' is no moment in ISO 8601"),
    ],
)
def test_options_that_mean_nothing_are_refused(options, said):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - what it says is looked at
        IntervalSchedule(**options)
    assert said in str(caught.value)


@pytest.mark.parametrize("every", [1e-6, 1, 1e18, "99999999w"])
def test_the_ends_of_the_calendar_are_no_error(every):
    schedule = IntervalSchedule(every=every)
    for moment in (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)):
        found = schedule.next_after(moment)
        assert found is None or found > moment
