"""Cron where clocks are put: beside a search minute by minute that knows nothing but zoneinfo, and beside cronsim.

The search takes what a schedule means as sets of numbers, with which its text was made; it reads no expression.
"""

from __future__ import annotations

import heapq
import os
import random
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import attrs
import pytest
from cronsim import CronSim, CronSimError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from odibi_triggers.cron import CronSchedule

FULL = os.environ.get("ODIBI_FAULTS") == "full"

LAWS = settings(
    max_examples=2000 if FULL else 250, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)

TURNS = (
    ("Europe/Berlin", "2024-03-31"),
    ("Europe/Berlin", "2024-10-27"),
    ("Europe/Dublin", "2025-03-30"),
    ("Europe/Dublin", "2025-10-26"),
    ("America/New_York", "2025-03-09"),
    ("America/New_York", "2025-11-02"),
    ("Australia/Lord_Howe", "2024-04-07"),  # by half an hour
    ("Australia/Lord_Howe", "2024-10-06"),
    ("America/Sao_Paulo", "2018-02-18"),  # at midnight
    ("America/Sao_Paulo", "2018-11-04"),
    ("Africa/Cairo", "2024-04-26"),
    ("Africa/Cairo", "2024-11-01"),
    ("America/Santiago", "2024-09-08"),
    ("Africa/Casablanca", "2024-03-10"),  # summer time ends for Ramadan
    ("Africa/Casablanca", "2024-04-14"),
    ("Antarctica/Troll", "2024-03-31"),  # by two hours
    ("Antarctica/Troll", "2024-10-27"),
    ("Pacific/Apia", "2011-12-30"),  # a day that there was not
    ("Pacific/Kwajalein", "1993-08-21"),
    ("America/Caracas", "2007-12-09"),  # back, for good, by half an hour
    ("Asia/Pyongyang", "2018-05-05"),
    ("Asia/Kolkata", "2024-03-31"),
    ("UTC", "2024-03-31"),
)

MINUTES, HOURS, DAYS, MONTHS, WEEKDAYS = (range(60), range(24), range(1, 32), range(1, 13), range(7))
EARLY = range(4)
"""Hours that clocks skip or repeat."""


@attrs.frozen
class Field:
    """What is written, and what it means."""

    text: str
    values: frozenset[int]


@attrs.frozen
class Spec:
    minute: Field
    hour: Field
    day: Field
    month: Field
    weekday: Field

    @property
    def text(self) -> str:
        return " ".join(it.text for it in attrs.astuple(self, recurse=False))

    @property
    def every_hour(self) -> bool:
        return len(self.hour.values) == 24

    def means_day(self, day: date) -> bool:
        if day.month not in self.month.values:
            return False
        by_day, by_weekday = day.day in self.day.values, day.isoweekday() % 7 in self.weekday.values
        return by_day or by_weekday if self.either else by_day and by_weekday

    @property
    def either(self) -> bool:
        """Whether day and weekday are both said; to croniter, all of one are none if the other's text has a star."""
        day, weekday = self.day, self.weekday
        if (len(day.values) == 31 and "*" in weekday.text) or (len(weekday.values) == 7 and "*" in day.text):
            return False
        return "*" not in (day.text, weekday.text)

    def means(self, wall: datetime) -> bool:
        return wall.minute in self.minute.values and wall.hour in self.hour.values and self.means_day(wall)


@attrs.frozen
class Minute:
    """A minute of UTC: what a clock shows, whether it has shown it before, and what it has just skipped."""

    instant: int
    wall: datetime
    again: bool
    skipped: tuple[datetime, ...]


@lru_cache(maxsize=64)
def minutes(zone: str, begin: int, end: int) -> list[Minute]:
    """Those from one instant to another, minute by minute."""
    found = []
    before = datetime.fromtimestamp(begin - 60, ZoneInfo(zone)).replace(tzinfo=None)
    for instant in range(begin, end, 60):
        shown = datetime.fromtimestamp(instant, ZoneInfo(zone))
        wall = shown.replace(tzinfo=None, fold=0)
        jump = (wall - before) // timedelta(minutes=1) - 1
        skipped = tuple(before + timedelta(minutes=n + 1) for n in range(jump)) if jump > 0 else ()
        found.append(Minute(instant, wall, bool(shown.fold), skipped))
        before = wall
    return found


def brute(spec: Spec, those: list[Minute]) -> list[int]:
    """The fires, by the rules that the README gives."""
    if spec.every_hour:
        return [it.instant for it in those if spec.means(it.wall)]
    return [it.instant for it in those if (not it.again and spec.means(it.wall)) or any(map(spec.means, it.skipped))]


def window(turn: tuple[str, str]) -> tuple[str, int, int]:
    zone, day = turn
    middle = int(datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp())
    return zone, middle - 3 * 86400, middle + 4 * 86400


def fires(schedule: CronSchedule, begin: int, end: int) -> list[int]:
    """From ``begin`` to before ``end``."""
    found, moment = [], datetime.fromtimestamp(begin, UTC) - timedelta(microseconds=1)
    while (then := schedule.next_after(moment)) is not None and then.timestamp() < end:
        found.append(int(then.timestamp()))
        moment = then
    return found


@st.composite
def fields(draw: st.DrawFn, values: range) -> Field:
    low, high = values[0], values[-1]
    number = st.integers(low, high)
    kinds = ["one", "one", "list", "range", "range/", "all"]
    match draw(st.sampled_from(kinds if values == EARLY else ["*", "*/", *kinds])):
        case "*":
            return Field("*", frozenset(values))
        case "*/":
            step = draw(st.integers(1, len(values)))
            return Field(f"*/{step}", frozenset(values[::step]))
        case "one":
            at = draw(number)
            return Field(str(at), frozenset([at]))
        case "list":
            chosen = draw(st.lists(number, min_size=2, max_size=5, unique=True))
            return Field(",".join(map(str, chosen)), frozenset(chosen))
        case "all":
            return Field(f"{low}-{high}", frozenset(values))
        case kind:
            begin, end = sorted(draw(st.lists(number, min_size=2, max_size=2, unique=True)))
            step = draw(st.integers(1, 10)) if kind == "range/" else 1
            text = f"{begin}-{end}/{step}" if kind == "range/" else f"{begin}-{end}"
            return Field(text, frozenset(range(begin, end + 1, step)))


ALL_DAYS, ALL_MONTHS, ALL_WEEKDAYS = (Field("*", frozenset(each)) for each in (DAYS, MONTHS, WEEKDAYS))

SPECS = st.builds(
    Spec,
    fields(MINUTES),
    st.one_of(fields(HOURS), fields(EARLY), st.just(Field("*", frozenset(HOURS)))),
    st.one_of(st.just(ALL_DAYS), fields(DAYS)),
    st.one_of(st.just(ALL_MONTHS), fields(MONTHS)),
    st.one_of(st.just(ALL_WEEKDAYS), fields(WEEKDAYS)),
)


@LAWS
@given(SPECS, st.sampled_from(TURNS))
def test_fires_are_those_of_a_search_minute_by_minute(spec: Spec, turn: tuple[str, str]) -> None:
    zone, begin, end = window(turn)
    assert fires(CronSchedule(cron=spec.text, zone=zone), begin, end) == brute(spec, minutes(zone, begin, end))


@LAWS
@given(SPECS, st.sampled_from(TURNS), st.lists(st.integers(0, 7 * 86400 - 1), min_size=20, max_size=20))
def test_from_wherever_one_starts(spec: Spec, turn: tuple[str, str], starts: list[int]) -> None:
    zone, begin, end = window(turn)
    expected = brute(spec, minutes(zone, begin, end))
    schedule = CronSchedule(cron=spec.text, zone=zone)
    for start in starts:
        found = schedule.next_after(datetime.fromtimestamp(begin + start, ZoneInfo(zone)))
        first = next((it for it in expected if it > begin + start), None)
        if first is None:
            assert found is None or found.timestamp() >= end
        else:
            assert found is not None
            assert found.timestamp() == first


def as_cronsim_means_it(spec: Spec) -> bool:
    """It goes by whether a field begins with ``*``, where croniter and we go by what it means."""
    days = (spec.day, spec.weekday)
    plain = all(it.text == "*" or not it.text.startswith("*") for it in days)
    stars = spec.minute.text.startswith("*") or spec.hour.text.startswith("*")
    return plain and stars == spec.every_hour


@LAWS
@given(SPECS.filter(as_cronsim_means_it), st.sampled_from([it for it in TURNS if "2024" in it[1] or "2025" in it[1]]))
def test_fires_are_those_of_cronsim(spec: Spec, turn: tuple[str, str]) -> None:
    zone, begin, end = window(turn)
    if spec.every_hour and spec.text.split()[2:] != ["*", "*", "*"] and zone in MIDNIGHT:
        return  # cronsim loses its way from day to day if a day does not begin at midnight
    theirs = []
    try:
        for found in CronSim(spec.text, datetime.fromtimestamp(begin - 1, ZoneInfo(zone))):
            if found.timestamp() >= end:
                break
            theirs.append(int(found.timestamp()))
    except CronSimError:  # it refuses days that no month has
        return
    # Of several times that are skipped it makes as many fires, all at one moment.
    assert fires(CronSchedule(cron=spec.text, zone=zone), begin, end) == sorted(set(theirs))


MIDNIGHT = ("Africa/Cairo", "America/Santiago")


@pytest.mark.parametrize("turn", TURNS, ids=" ".join)
@pytest.mark.parametrize("step", [1, 5, 15, 30, 60])
def test_steps_of_an_hour_neither_burst_nor_pause(step: int, turn: tuple[str, str]) -> None:
    """As far as clocks are put by whole steps: then each fire comes so many minutes after another."""
    zone, begin, end = window(turn)
    if zone in ("Australia/Lord_Howe", "America/Caracas", "Asia/Pyongyang") and step == 60:
        return
    found = fires(CronSchedule(cron=f"*/{step} * * * *" if step < 60 else "0 * * * *", zone=zone), begin, end)
    assert {later - earlier for earlier, later in pairwise(found)} == {step * 60}


@pytest.mark.parametrize("year", ["", " 0 2024"])
@pytest.mark.parametrize("minute", ["0", "59", "*/20", "*"])
def test_the_last_hour_of_a_day_comes_twice_though_the_next_such_day_is_far(minute: str, year: str) -> None:
    """At midnight the clock is put back into a day that was over."""
    zone, begin, end = window(("Africa/Cairo", "2024-11-01"))
    values = {"0": {0}, "59": {59}, "*/20": {0, 20, 40}, "*": set(MINUTES)}[minute]
    hours, day = Field("*", frozenset(HOURS)), Field("31", frozenset([31]))
    spec = Spec(Field(minute, frozenset(values)), hours, day, Field("10", frozenset([10])), ALL_WEEKDAYS)
    found = fires(CronSchedule(cron=spec.text + year, zone=zone), begin, end)
    assert found == brute(spec, minutes(zone, begin, end))
    assert len(found) == 25 * len(values)


# --- a hundred thousand schedules, a year -----------------------------------------------------------------------------

ZONES = (
    "Europe/Berlin",
    "Europe/Dublin",
    "America/New_York",
    "America/Santiago",
    "Australia/Lord_Howe",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Pacific/Auckland",
    "Asia/Kolkata",
    "UTC",
)
SCHEDULES = 100_000
DISTINCT = SCHEDULES if FULL else 20_000
YEAR = 2024
BEGIN, END = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (YEAR, YEAR + 1))


class Calendar:
    """The days of the year in a zone: on those without a turn, time goes on as on the clock."""

    def __init__(self, zone: str) -> None:
        self.plain: list[tuple[date, int]] = []
        self.shown: dict[tuple[int, int], list[tuple[date, int, bool]]] = defaultdict(list)
        self.skipped: dict[tuple[int, int], list[tuple[date, int]]] = defaultdict(list)
        turned = set()
        before = datetime(YEAR - 1, 12, 30)
        midnights = [(before + timedelta(days=n)).replace(tzinfo=ZoneInfo(zone)) for n in range(371)]
        for this, then in pairwise(midnights):
            begin, end = (int(it.timestamp()) for it in (this, then))
            if this.utcoffset() == then.utcoffset():
                self.plain.append((this.date(), begin))
                continue
            # Wherever the day begins: midnight may be what is skipped, or what comes twice.
            turned.add(this.date())
            for it in minutes(zone, begin - 3 * 3600, end + 3 * 3600):
                if it.wall.date() == this.date():
                    self.shown[it.wall.hour, it.wall.minute].append((it.wall.date(), it.instant, it.again))
                for wall in it.skipped:
                    self.skipped[wall.hour, wall.minute].append((wall.date(), it.instant))
        assert len(turned) <= 4

    def fires(self, spec: Spec) -> list[int]:
        times = [(hour, minute) for hour in spec.hour.values for minute in spec.minute.values]
        seconds = [hour * 3600 + minute * 60 for hour, minute in times]
        found = {begin + second for day, begin in self.plain if spec.means_day(day) for second in seconds}
        for time in times:
            shown, skipped = self.shown.get(time, ()), self.skipped.get(time, ())
            found.update(at for day, at, again in shown if spec.means_day(day) and (spec.every_hour or not again))
            found.update(at for day, at in skipped if spec.means_day(day) and not spec.every_hour)
        return sorted(it for it in found if BEGIN <= it < END)


def a_spec(chance: random.Random) -> Spec:
    """One of a mix as people have it, with more around the turns than they would wish for."""

    def some(values: range, most: int) -> Field:
        chosen = sorted(chance.sample(values, chance.randint(1, most)))
        return Field(",".join(map(str, chosen)), frozenset(chosen))

    def span(begin: int, end: int) -> Field:
        return Field(f"{begin}-{end}", frozenset(range(begin, end + 1)))

    minute, hour, day, month = some(MINUTES, 1), some(HOURS, 1), some(DAYS, 1), some(MONTHS, 1)
    early, every = some(range(4), 2), Field("*", frozenset(HOURS))
    match chance.choices(range(7), (350, 250, 150, 100, 100, 40, 4))[0]:
        case 0:
            return Spec(minute, hour, day, ALL_MONTHS, ALL_WEEKDAYS)
        case 1:
            return Spec(minute, early, ALL_DAYS, some(range(3, 5), 1), some(WEEKDAYS, 2))
        case 2:
            return Spec(minute, hour, day, month, some(WEEKDAYS, 1))
        case 3:
            return Spec(some(MINUTES, 2), early, span(25, 31), some(MONTHS, 2), ALL_WEEKDAYS)
        case 4:
            return Spec(minute, early, span(1, 11), some(MONTHS, 2), ALL_WEEKDAYS)
        case 5:
            step = chance.choice((10, 15, 20))
            steps = Field(f"*/{step}", frozenset(range(0, 60, step)))
            return Spec(chance.choice((minute, steps)), every, day, some(range(3, 12), 2), ALL_WEEKDAYS)
    return Spec(minute, early if chance.random() < 0.9 else every, ALL_DAYS, ALL_MONTHS, ALL_WEEKDAYS)


def test_a_year_of_a_hundred_thousand_schedules() -> None:
    """Each fires exactly when it should, in the order of time, whatever the others do."""
    chance = random.Random(20240331)
    calendars = {zone: Calendar(zone) for zone in ZONES}
    kinds = [(a_spec(chance), chance.choice(ZONES)) for _ in range(DISTINCT)]
    expected = [calendars[zone].fires(spec) for spec, zone in kinds]
    chosen = [at % DISTINCT for at in range(SCHEDULES)]
    schedules = [CronSchedule(cron=kinds[kind][0].text, zone=kinds[kind][1]) for kind in chosen]
    begin = datetime.fromtimestamp(BEGIN, UTC) - timedelta(microseconds=1)
    end = datetime.fromtimestamp(END, UTC)
    heap = [(then, at) for at, it in enumerate(schedules) if (then := it.next_after(begin)) is not None and then < end]
    heapq.heapify(heap)
    seen = [0] * SCHEDULES
    epoch, second = datetime(1970, 1, 1, tzinfo=UTC), timedelta(seconds=1)
    while heap:
        now, at = heap[0]
        wanted = expected[chosen[at]]
        if seen[at] >= len(wanted) or wanted[seen[at]] != (now - epoch) // second:
            kind = kinds[chosen[at]]
            pytest.fail(f"{kind[0].text} in {kind[1]} fires at {now}; fire {seen[at]} of {wanted[:20]}")
        seen[at] += 1
        then = schedules[at].next_after(now)
        if then is None or then >= end:
            heapq.heappop(heap)
        else:
            heapq.heapreplace(heap, (then, at))
    missing = [kinds[chosen[at]] for at in range(SCHEDULES) if seen[at] != len(expected[chosen[at]])]
    assert not missing, [(spec.text, zone) for spec, zone in missing[:5]]
    assert sum(seen) > 500_000
