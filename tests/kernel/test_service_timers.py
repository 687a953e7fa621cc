"""Moments to come: a heap, held against a dictionary that is searched."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from odibi.model import Misfire
from odibi.service.misfires import MOST, PUNCTUAL, made_up_for, moments, newest
from odibi.service.timers import Timers, moment_of
from odibi.testing.reference.trigger import DailySchedule, IntervalSchedule

START = datetime(2026, 3, 28, tzinfo=UTC)
SECONDS = st.integers(0, 50)

operations = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.integers(0, 6), SECONDS),
        st.tuples(st.just("drop"), st.integers(0, 6), st.just(0)),
        st.tuples(st.just("due"), st.just(0), SECONDS),
        st.tuples(st.just("fill"), st.integers(0, 6), SECONDS),
    ),
    max_size=40,
)


@given(operations)
def test_each_key_comes_up_once_at_its_last_moment(steps: list[tuple[str, int, int]]) -> None:
    timers: Timers[int] = Timers()
    model: dict[int, datetime] = {}
    for what, key, seconds in steps:
        moment = START + timedelta(seconds=seconds)
        if what == "set":
            timers.set(key, moment)
            model[key] = moment
        elif what == "fill":
            timers.fill(iter([(key, moment)]))
            model[key] = moment
        elif what == "drop":
            timers.drop(key)
            model.pop(key, None)
        else:
            found = list(timers.due(moment.timestamp()))
            wanted = {key: each for key, each in model.items() if each <= moment}
            assert dict(found) == wanted
            assert [each for _, each in found] == sorted(wanted.values())
            for each in wanted:
                del model[each]
        assert len(timers) == len(model)
        assert timers.next() == (min(model.values()).timestamp() if model else None)
        assert all((key in timers) == (key in model) for key in range(7))
        assert all(timers.when(key) == each.timestamp() for key, each in model.items())


def test_what_is_set_while_others_come_up_comes_up_too() -> None:
    timers: Timers[str] = Timers()
    timers.set("a", START)
    seen = []
    for key, moment in timers.due((START + timedelta(seconds=2)).timestamp()):
        seen.append(moment)
        timers.set(key, moment + timedelta(seconds=1))
    assert seen == [START + timedelta(seconds=each) for each in range(3)]
    assert timers.next() == (START + timedelta(seconds=3)).timestamp()


@given(st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1)))
def test_a_moment_survives_being_seconds(moment: datetime) -> None:
    aware = moment.replace(tzinfo=UTC)
    assert moment_of(aware.timestamp()) == aware


@given(st.floats(0.5, 5000), st.integers(0, 400_000), st.integers(1, 40))
def test_the_newest_moments_are_those_of_a_walk(every: float, seconds: int, count: int) -> None:
    schedule = IntervalSchedule(every=every)
    until = START + timedelta(seconds=min(seconds, every * 300))
    walked = list(moments(schedule, START, until))
    assert newest(schedule, START, until, count) == walked[-count:]


@given(
    st.floats(1, 4000),
    st.integers(0, 200_000),
    st.sampled_from(Misfire),
    st.none() | st.integers(0, 100_000),
)
def test_what_is_made_up_for(every: float, late: int, policy: Misfire, grace: int | None) -> None:
    schedule, now = IntervalSchedule(every=every), START + timedelta(seconds=min(late, every * 300))
    missed = list(moments(schedule, START, now))
    found = made_up_for(schedule, START, now, policy, grace)
    fresh = [each for each in missed if grace is None or now - each <= timedelta(seconds=grace)]
    assert found == sorted(set(found))
    punctual = [each for each in missed[-1:] if now - each <= PUNCTUAL]
    if policy is Misfire.ALL:
        assert found == (fresh or punctual)
    elif policy is Misfire.LATEST:
        assert found == (fresh[-1:] or punctual)
    else:
        assert found == punctual


def test_a_year_of_seconds_is_not_walked() -> None:
    """The newest moment of 31 million is found by looking back from the end."""
    asked = 0

    class Counting:
        def next_after(self, moment: datetime) -> datetime | None:
            nonlocal asked
            asked += 1
            return IntervalSchedule(every=1).next_after(moment)

    now = START + timedelta(days=365)
    assert made_up_for(Counting(), START, now, Misfire.LATEST, None) == [now]
    assert asked < 100
    assert len(made_up_for(Counting(), START, now, Misfire.ALL, None)) == MOST


def test_moments_over_a_change_of_clocks() -> None:
    schedule = DailySchedule(at="02:30", zone="Europe/Berlin")
    found = made_up_for(schedule, START, START + timedelta(days=3), Misfire.ALL, None)
    assert [each.isoformat() for each in found] == [
        "2026-03-28T01:30:00+00:00",
        "2026-03-29T01:30:00+00:00",
        "2026-03-30T00:30:00+00:00",
    ]
