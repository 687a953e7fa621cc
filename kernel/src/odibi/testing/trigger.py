"""Whether a trigger keeps what its contract promises: :class:`ScheduleSuite` or :class:`SourceSuite`, by its kind.

For the author of a schedule::

    from odibi.testing.trigger import ScheduleSuite


    class TestMyCron(ScheduleSuite):
        component = MyCron

        # options, a moment, and the first fire after it; None where nothing fires any more
        examples = (
            ({"cron": "0 0 29 2 *"}, "2025-01-01T00:00:00+00:00", "2028-02-29T00:00:00+00:00"),
            ({"cron": "0 0 30 2 *"}, "2025-01-01T00:00:00+00:00", None),
        )

        def options(self, place):
            return {"cron": "*/7 * * * *"}

        def daily(self, at, zone):  # at: "02:30"; None, as by default, if it cannot
            return {"cron": f"{int(at[3:])} {int(at[:2])} * * *", "zone": zone}

        def every(self, seconds):  # asked for 3600; likewise
            return {"cron": "0 * * * *"}

For the author of a source::

    from odibi.testing.trigger import SourceSuite


    class TestMyWatch(SourceSuite):
        component = MyWatch

        def options(self, place):
            return {"folder": str(place), "interval": 0.05}

        def arrive(self, place, n):
            names = [f"{time.time_ns()}-{at}.csv" for at in range(n)]
            for name in names:
                publish(place / name)
            return names  # in the order in which the source gives them

        def arrived(self, batch):  # which of what arrived is in a batch
            return [Path(each).name for each in batch.payload]

Options with which a source looks often keep the suite short. An author whose component needs more than options of plain
values (one that is given a storage, or a queue) overrides ``make`` and ``process_code``, too.

Needs pytest and hypothesis: ``pip install odibi-kernel[testing]``.
"""

from __future__ import annotations

import itertools
import json
import os
import queue
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, ClassVar, cast
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from odibi.contracts.trigger import Batch, Schedule, TriggerSource
from odibi.testing.component import TOGETHER, ComponentSuite, close, together

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["ScheduleSuite", "SourceSuite"]

Example = tuple["Mapping[str, Any]", str, str | None]

PATIENCE = 30.0
"""Seconds after which a test gives up waiting for what must come."""

STOP = 2.0
"""Seconds within which a source must stop in one of :data:`TRIES`: the contract's second, and one more."""

TRIES = 4

_TURNS = (
    ("Europe/Berlin", "2024-03-31"),
    ("Europe/Berlin", "2024-10-27"),
    ("Europe/Dublin", "2025-03-30"),
    ("America/New_York", "2025-03-09"),
    ("America/New_York", "2025-11-02"),
    ("America/Sao_Paulo", "2018-02-18"),
    ("America/Sao_Paulo", "2018-11-04"),
    ("America/Sao_Paulo", "2024-11-04"),
    ("Australia/Lord_Howe", "2024-04-07"),
    ("Australia/Lord_Howe", "2024-10-06"),
    ("Asia/Kolkata", "2024-03-31"),
    ("UTC", "2024-03-31"),
)
"""Zones with a day on which a clock is put forward or back, or on which it is not though others are."""

_TIMES = ("00:00", "00:30", "01:30", "02:00", "02:30", "03:00", "12:15", "23:45")
"""Times of day, among them all that the days above skip or repeat."""

_ZONES = ("UTC", "Europe/Berlin", "America/Sao_Paulo", "Asia/Kolkata", "Pacific/Apia", "Australia/Lord_Howe")

_LAWS = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.differing_executors,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)

_MOMENTS = st.builds(
    lambda moment, zone, fold: moment.replace(tzinfo=UTC).astimezone(zone).replace(fold=fold),
    st.datetimes(datetime(1980, 1, 1), datetime(2090, 1, 1)),
    st.sampled_from([*map(ZoneInfo, _ZONES), timezone(timedelta(hours=-9, minutes=-30))]),
    st.sampled_from([0, 1]),
)

_NEXT_IN_ANOTHER_PROCESS = """
import datetime, json, sys
for moment in json.loads(sys.argv[1]):
    found = trigger.next_after(datetime.datetime.fromisoformat(moment))
    print(json.dumps(found and found.astimezone(datetime.timezone.utc).isoformat()))
"""

_POLL_IN_ANOTHER_PROCESS = """
import json, sys, threading
stop = threading.Event()
batches = trigger.poll(None, stop)
for _ in range(json.loads(sys.argv[1])):
    batch = next(batches)
    print(json.dumps([batch.id, batch.offset, batch.payload]), flush=True)
stop.set()
trigger.close()
"""


class TriggerSuite(ComponentSuite):
    """What schedules and sources have in common."""

    family: ClassVar[str] = "trigger"

    # --- what a subclass says ---------------------------------------------------------------------------------------

    def process_code(self, place: Path) -> str:
        """Python statements that, in another process, bind ``trigger`` to one more component on ``place``."""
        options = json.dumps(dict(self.options(place)))
        home, name = self.component.__module__, self.component.__qualname__
        return f"import json, {home}\ntrigger = {home}.{name}(**json.loads({options!r}))"

    # --- what the tests use -----------------------------------------------------------------------------------------

    def _elsewhere(self, place: Path, code: str, given: Any, environment: Mapping[str, str]) -> list[Any]:
        """The JSON lines that ``code`` prints in another process, where it has a ``trigger``, and what is ``given``."""
        done = subprocess.run(  # noqa: S603 - our own interpreter
            [sys.executable, "-c", f"{self.process_code(place)}\n{code}", json.dumps(given)],
            capture_output=True,
            check=False,
            text=True,
            timeout=TOGETHER,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environment},
        )
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def _left_out(self, what: str) -> None:
        pytest.skip(f"declared: trigger {self.component.__qualname__}'s suite has {what}")


class ScheduleSuite(TriggerSuite):
    """Tests of one schedule; see the module for how to use it."""

    examples: ClassVar[Sequence[Example]] = ()
    """Options, a moment, and the first fire strictly after it, as ISO 8601 texts; at least one."""

    # --- what a subclass says ---------------------------------------------------------------------------------------

    def daily(self, at: str, zone: str) -> Mapping[str, Any] | None:  # noqa: ARG002 - for those that can
        """The options with which it fires every day at a time of a zone's clock; ``None`` if it cannot.

        Args:
            at: such as ``"02:30"``.
            zone: such as ``"Europe/Berlin"``.
        """
        return None

    def every(self, seconds: int) -> Mapping[str, Any] | None:  # noqa: ARG002
        """The options with which it fires each so many seconds, whatever clocks show; ``None`` if it cannot.

        Args:
            seconds: a divisor of a day.
        """
        return None

    # --- what the tests use -----------------------------------------------------------------------------------------

    def schedules(self, place: Path) -> list[Schedule]:
        """One for each of the options that the author gave."""
        given: list[Mapping[str, Any]] = [self.options(place)]
        for options in [each[0] for each in self.examples]:
            if options not in given:
                given.append(options)
        return [cast("Schedule", self.component(**options)) for options in given]

    def next(self, schedule: Schedule, moment: datetime) -> datetime | None:
        """The first fire after a moment, in UTC, once it is seen to be one."""
        found = schedule.next_after(moment)
        if found is None:
            return None
        assert isinstance(found, datetime), f"after {moment} comes {found!r}, which is no datetime"
        assert found.utcoffset() is not None, f"after {moment} comes {found}, which is not aware of its time zone"
        utc = found.astimezone(UTC)
        assert utc > moment.astimezone(UTC), f"{found} does not come strictly after {moment}"
        again = utc.astimezone(found.tzinfo)
        assert again.replace(tzinfo=None) == found.replace(tzinfo=None), f"{found} is shown by no clock of its zone"
        return utc

    def walk(self, schedule: Schedule, moment: datetime, end: datetime) -> list[datetime]:
        """The fires after a moment, up to and with ``end``, in UTC."""
        fires: list[datetime] = []
        found = self.next(schedule, moment)
        while found is not None and found <= end.astimezone(UTC):
            fires.append(found)
            assert len(fires) < 10_000, f"{schedule!r} fires more than 10 000 times from {moment} to {end}"
            found = self.next(schedule, found)
        return fires

    def _daily(self, at: str, zone: str) -> Schedule:
        options = self.daily(at, zone)
        if options is None:
            self._left_out("no options for a time of day (daily)")
        return cast("Schedule", self.component(**cast("Any", options)))

    def _every(self, seconds: int) -> Schedule:
        options = self.every(seconds)
        if options is None:
            self._left_out("no options for a number of seconds (every)")
        return cast("Schedule", self.component(**cast("Any", options)))

    # --- tests ------------------------------------------------------------------------------------------------------

    def test_it_is_a_schedule(self, subject: Any) -> None:
        """And no source, which the service would treat otherwise."""
        assert isinstance(subject, Schedule)
        assert not isinstance(subject, TriggerSource)

    def test_the_author_gives_examples(self) -> None:
        """What a schedule's options mean, nobody else can know."""
        assert self.examples, "give at least one (options, moment, next) as 'examples'"

    def test_every_example_is_so(self) -> None:
        """The first fire after the moment is the one that the author expects."""
        for options, moment, expected in self.examples:
            found = self.next(cast("Schedule", self.component(**options)), datetime.fromisoformat(moment))
            wanted = None if expected is None else datetime.fromisoformat(expected).astimezone(UTC)
            assert found == wanted, f"with {options}, after {moment}"

    def test_it_fires_strictly_after(self, place: Path) -> None:
        """Asked for what comes after a fire, it says the one after; a microsecond before it, that fire."""
        for schedule in self.schedules(place):
            moment = datetime(2024, 2, 27, 13, 5, 7, 11, UTC)
            for _ in range(30):
                found = self.next(schedule, moment)
                if found is None:
                    break
                assert self.next(schedule, found - timedelta(microseconds=1)) == found
                moment = found

    def test_no_fire_is_skipped(self, place: Path) -> None:
        """What comes after a moment also comes after any later moment up to it: the fires are the same for all."""

        @_LAWS
        @given(_MOMENTS, st.floats(0, 1, exclude_max=True))
        def law(moment: datetime, share: float) -> None:
            for schedule in schedules:
                found = self.next(schedule, moment)
                if found is None:
                    later = moment.astimezone(UTC) + timedelta(days=400 * share)
                    assert self.next(schedule, later) is None, f"nothing comes after {moment}, but after {later}"
                else:
                    between = moment.astimezone(UTC) + (found - moment.astimezone(UTC)) * share
                    between = min(between, found - timedelta(microseconds=1))  # sums are rounded
                    assert self.next(schedule, between) == found, f"{found} comes after {moment}, but {between}"

        schedules = self.schedules(place)
        law()

    def test_later_moments_have_no_earlier_fires(self, place: Path) -> None:
        """The answers grow with the moments."""

        @_LAWS
        @given(_MOMENTS, _MOMENTS)
        def law(one: datetime, two: datetime) -> None:
            early, late = sorted([one, two], key=lambda moment: moment.astimezone(UTC))
            for schedule in schedules:
                first, second = self.next(schedule, early), self.next(schedule, late)
                assert second is None or (first is not None and first <= second)

        schedules = self.schedules(place)
        law()

    def test_the_same_moment_gives_the_same_answer(self, place: Path) -> None:
        """Whatever was asked before, of this one or of another, and in whatever zone the moment is said."""

        @_LAWS
        @given(st.lists(_MOMENTS, min_size=1, max_size=6), st.sampled_from(_ZONES))
        def law(moments: list[datetime], zone: str) -> None:
            for schedule, other in zip(schedules, others, strict=True):
                first = [self.next(schedule, moment) for moment in moments]
                assert [self.next(schedule, moment) for moment in reversed(moments)] == first[::-1]
                assert [self.next(other, moment) for moment in moments] == first
                elsewhere = [moment.astimezone(ZoneInfo(zone)) for moment in moments]
                assert [self.next(schedule, moment) for moment in elsewhere] == first, f"said in {zone}"

        schedules, others = self.schedules(place), self.schedules(place)
        law()

    def test_the_answer_does_not_depend_on_the_machine(self, place: Path) -> None:
        """Another process with another time zone and other random numbers gives the same answers."""
        zones = itertools.cycle(map(ZoneInfo, _ZONES))
        moments = [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=9.37 * n) for n in range(40)]
        said = [moment.astimezone(zone).isoformat() for moment, zone in zip(moments, zones, strict=False)]
        schedule = cast("Schedule", self.make(place))
        expected = [self.next(schedule, moment) for moment in moments]
        for zone in ("America/Los_Angeles", "Asia/Tokyo"):
            found = self._elsewhere(place, _NEXT_IN_ANOTHER_PROCESS, said, {"TZ": zone, "PYTHONHASHSEED": "7"})
            assert found == [each and each.isoformat() for each in expected], f"with TZ={zone}"

    def test_many_threads_may_ask(self, place: Path) -> None:
        """A schedule is asked by the service and by those who show what comes next."""
        schedule = cast("Schedule", self.make(place))
        moments = [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=31 * n) for n in range(50)]
        expected = [self.next(schedule, moment) for moment in moments]
        works = [lambda: [self.next(schedule, moment) for moment in moments]] * 4
        assert together(*works) == [expected] * 4

    def test_a_moment_without_a_time_zone_is_refused(self, place: Path) -> None:
        """Guessing whose clock it is from would be right on the author's machine, and wrong in production."""
        for schedule in self.schedules(place):
            for moment in (datetime(2024, 5, 1, 12), datetime(2024, 10, 27, 2, 30)):
                with pytest.raises(Exception) as caught:  # noqa: PT011 - which one is not said
                    schedule.next_after(moment)
                assert str(caught.value).strip(), f"{type(caught.value).__name__} does not say what is wrong"

    def test_what_has_ended_stays_so(self, place: Path) -> None:
        """Once nothing comes any more, nothing ever does."""
        ended = [each for each in self.examples if each[2] is None]
        if not ended:
            self._left_out("no example of a schedule that ends")
        for options, said, _ in ended:
            schedule, moment = cast("Schedule", self.component(**options)), datetime.fromisoformat(said)
            for later in (timedelta(0), timedelta(microseconds=1), *(timedelta(days=3**n) for n in range(9))):
                assert schedule.next_after(moment + later) is None, f"with {options}, after {moment + later}"
        assert place.is_dir()

    def test_the_last_days_there_are_can_be_asked_for(self, place: Path) -> None:
        """Nothing comes after them, or something does; it is no error."""
        for schedule in self.schedules(place):
            for moment in (datetime(9999, 12, 30, tzinfo=UTC), datetime.max.replace(tzinfo=UTC)):
                self.next(schedule, moment)

    @pytest.mark.parametrize(("zone", "day"), _TURNS)
    def test_a_daily_fire_comes_once_a_day_when_clocks_are_put(self, zone: str, day: str) -> None:
        """Neither skipped on a day that does not have the time, nor repeated on one that has it twice."""
        first = datetime.combine(date.fromisoformat(day) - timedelta(days=4), datetime.min.time(), ZoneInfo(zone))
        for at in _TIMES:
            fires = self.walk(
                self._daily(at, zone), first - timedelta(seconds=1), first + timedelta(days=8, seconds=-1)
            )
            walls = [fire.astimezone(ZoneInfo(zone)) for fire in fires]
            what = f"{at} in {zone} fires at {', '.join(map(str, walls))}"
            assert len(walls) == 8, what
            gaps = [later - earlier for earlier, later in itertools.pairwise(fires)]
            assert all(timedelta(hours=22) <= gap <= timedelta(hours=26) for gap in gaps), what
            ordinary = [f"{wall:%H:%M}" for wall in walls if abs((wall.date() - date.fromisoformat(day)).days) > 1]
            assert ordinary == [at] * len(ordinary), what

    @pytest.mark.parametrize(("zone", "day"), _TURNS)
    def test_fires_are_the_same_from_wherever_one_starts(self, zone: str, day: str) -> None:
        """A service that starts amid the hour that is skipped or repeated sees what one sees that ran before."""
        begin = datetime.combine(date.fromisoformat(day) - timedelta(days=1), datetime.min.time(), ZoneInfo(zone))
        end = begin + timedelta(days=4)
        for at in _TIMES:
            schedule = self._daily(at, zone)
            fires = self.walk(schedule, begin, end)
            for minutes in range(0, 60 * 48, 23):
                # In UTC, for in the zone Python adds to what the clock shows, and not to the time.
                moment = begin.astimezone(UTC) + timedelta(minutes=minutes)
                expected = next((fire for fire in fires if fire > moment), None)
                for said in (moment, moment.astimezone(ZoneInfo(zone))):
                    assert self.next(schedule, said) == expected, f"{at} in {zone}, after {said}"

    @pytest.mark.parametrize("year", [2000, 2023, 2024, 2100])
    def test_leap_days_are_days(self, year: int) -> None:
        """Those that there are, and no others."""
        schedule = self._daily("12:00", "UTC")
        begin, end = datetime(year, 2, 27, tzinfo=UTC), datetime(year, 3, 2, tzinfo=UTC)
        days = (begin.date() + timedelta(days=n) for n in range((end - begin).days))
        assert [fire.date() for fire in self.walk(schedule, begin, end)] == list(days)

    def test_a_fire_each_hour_comes_each_hour_when_clocks_are_put(self) -> None:
        """Time itself does not jump: 23 fires on a day of 23 hours, 25 on one of 25."""
        schedule = self._every(3600)
        for zone, day in _TURNS:
            begin = datetime.combine(date.fromisoformat(day), datetime.min.time(), ZoneInfo(zone))
            moment, fires = begin, []
            for _ in range(30):
                found = schedule.next_after(moment)
                assert found is not None
                fires.append(cast("datetime", self.next(schedule, moment)))
                moment = found.astimezone(ZoneInfo(zone))  # as somebody would who shows them to people
            gaps = {later - earlier for earlier, later in itertools.pairwise(fires)}
            assert gaps == {timedelta(hours=1)}, f"in {zone} on {day}: {gaps}"


class SourceSuite(TriggerSuite):
    """Tests of one source; see the module for how to use it."""

    # --- what a subclass says ---------------------------------------------------------------------------------------

    def arrive(self, place: Path, n: int) -> Sequence[Any]:
        """Let ``n`` pieces of data arrive, without the source's help, each behind all that were there.

        Returns:
            What tells each from all others, in the order in which the source gives them.
        """
        raise NotImplementedError

    def arrived(self, batch: Batch) -> Sequence[Any]:
        """What is in a batch, as :meth:`arrive` told it; by default the payload is that, or a list of it."""
        return batch.payload if isinstance(batch.payload, list) else [batch.payload]

    # --- what the tests use -----------------------------------------------------------------------------------------

    @contextmanager
    def polling(self, source: TriggerSource, offset: Any = None) -> Iterator[_Poll]:
        """Poll on a thread, and stop in the end; what the source raised meanwhile is raised here."""
        poll = _Poll(source, offset, self.arrived)
        try:
            yield poll
        finally:
            poll.stop.set()
            poll.thread.join(PATIENCE)
        assert not poll.thread.is_alive(), f"it goes on polling {PATIENCE:g} s after it was told to stop"
        poll.check()

    def read(self, source: TriggerSource, offset: Any, expected: Sequence[Any]) -> list[Batch]:
        """Poll until all that is expected has come; nothing else may."""
        with self.polling(source, offset) as poll:
            return poll.until(expected)

    # --- tests ------------------------------------------------------------------------------------------------------

    def test_it_is_a_source(self, subject: Any) -> None:
        """And no schedule, which the service would treat otherwise."""
        assert isinstance(subject, TriggerSource)
        assert not isinstance(subject, Schedule)

    def test_what_is_there_is_given_in_order(self, subject: TriggerSource, place: Path) -> None:
        """From the very beginning, if no offset was committed."""
        expected = [*self.arrive(place, 1), *self.arrive(place, 3), *self.arrive(place, 1)]
        assert len(set(expected)) == len(expected) == 5
        self.read(subject, None, expected)

    def test_what_arrives_meanwhile_is_given(self, subject: TriggerSource, place: Path) -> None:
        """Whether the source waits for it or not."""
        with self.polling(subject) as poll:
            seen: list[Any] = []
            for n in (1, 2, 1, 5):
                seen += self.arrive(place, n)
                poll.until(seen)

    def test_what_arrives_while_nobody_polls_is_given(self, subject: TriggerSource, place: Path) -> None:
        """After the offset that was committed, and only that."""
        first = self.arrive(place, 2)
        last = self.read(subject, None, first)[-1]
        second = self.arrive(place, 2)
        self.read(subject, last.offset, second)

    def test_what_arrives_while_a_batch_is_consumed_is_given(self, subject: TriggerSource, place: Path) -> None:
        """A run takes its time, during which the iterator stands still."""
        expected, seen = [*self.arrive(place, 1)], list[Any]()
        with self.patience(subject) as stop:
            for batch in subject.poll(None, stop):
                seen += self.arrived(batch)
                if len(expected) < 8:
                    expected += self.arrive(place, 2 if len(expected) == 1 else 1)
                elif len(seen) >= len(expected):
                    stop.set()
        assert seen == expected

    @contextmanager
    def patience(self, source: TriggerSource) -> Iterator[threading.Event]:
        """An event that is set by itself after :data:`PATIENCE`, for tests that iterate on their own thread."""
        stop = threading.Event()
        timer = threading.Timer(PATIENCE, stop.set)
        timer.start()
        try:
            yield stop
            assert timer.is_alive(), f"after {PATIENCE:g} s {type(source).__name__} had not given what arrived"
        finally:
            stop.set()
            timer.cancel()
            timer.join()

    def test_batches_are_what_the_contract_says(self, subject: TriggerSource, place: Path) -> None:
        """An id that is text, an offset and a payload of JSON values; the offset moves with each batch."""
        with self.polling(subject) as poll:
            expected: list[Any] = []
            for _ in range(4):
                expected += self.arrive(place, 1)
                poll.until(expected)
        for batch in poll.batches:
            assert isinstance(batch, Batch)
            assert isinstance(batch.id, str)
            assert batch.id.strip()
            for name, value in (("offset", batch.offset), ("payload", batch.payload)):
                text = json.dumps(value, allow_nan=False)
                assert json.loads(text) == value, f"the {name} {value!r} is not what JSON makes of it"
            assert batch.offset is not None, "an offset of None is the very beginning"
        assert len({batch.id for batch in poll.batches}) == len(poll.batches), "two batches have one id"
        offsets = [json.dumps(batch.offset, sort_keys=True) for batch in poll.batches]
        assert len(set(offsets)) == len(offsets), "two batches have one offset"

    def test_each_offset_resumes_exactly_behind_its_batch(self, place: Path) -> None:
        """Neither one piece too few nor one too many, by another component, from the offset as JSON gives it back."""
        source = self.make(place)
        expected: list[Any] = []
        with self.polling(source) as poll:
            for n in (1, 3, 1, 2):
                expected += self.arrive(place, n)
                poll.until(expected)
        close(source)
        given: list[Any] = []
        for batch in poll.batches:
            given += self.arrived(batch)
            other = self.make(place)
            left = expected[len(given) :] or self.arrive(place, 1)
            self.read(other, json.loads(json.dumps(batch.offset)), left)
            close(other)
            if len(given) == len(expected):
                expected += left

    def test_ids_are_the_same_after_a_restart(self, place: Path) -> None:
        """For the same data, so that a run that was begun for it is known; and other data has another id."""
        known: dict[str, tuple[Any, ...]] = {}
        expected: list[Any] = []
        offset: Any = None
        for _ in range(3):
            new = self.arrive(place, 1)
            expected += new
            rounds = []
            for _ in range(3):
                source = self.make(place)
                batches = self.read(source, offset, new)
                close(source)
                rounds.append(batches)
                for batch in batches:
                    what = tuple(self.arrived(batch))
                    assert known.setdefault(batch.id, what) == what, f"two different batches have the id {batch.id!r}"
            seen = [[(batch.id, batch.offset, batch.payload) for batch in batches] for batches in rounds]
            assert seen[0] == seen[1] == seen[2], "the same data is another batch after a restart"
            offset = rounds[0][-1].offset
        again = self.make(place)
        for batch in self.read(again, None, expected):
            what = tuple(self.arrived(batch))
            assert known.setdefault(batch.id, what) == what, f"two different batches have the id {batch.id!r}"
        close(again)

    def test_ids_are_the_same_in_another_process(self, subject: TriggerSource, place: Path) -> None:
        """And so are offsets and payloads."""
        new = self.arrive(place, 1)
        batches = self.read(subject, None, new)
        for seed in ("1", "2"):
            found = self._elsewhere(place, _POLL_IN_ANOTHER_PROCESS, len(batches), {"PYTHONHASHSEED": seed})
            assert found == [[batch.id, batch.offset, batch.payload] for batch in batches]

    def test_what_was_not_committed_comes_again(self, place: Path) -> None:
        """The run that a batch was for may have been killed: only the offset that is handed in counts."""
        first = self.arrive(place, 1)
        source = self.make(place)
        offset = self.read(source, None, first)[-1].offset
        close(source)
        second = self.arrive(place, 1)
        for offset_again, expected in [(offset, second)] * 3 + [(None, [*first, *second])] * 2:
            source = self.make(place)
            self.read(source, offset_again, expected)
            close(source)

    def test_one_component_can_be_polled_again(self, subject: TriggerSource, place: Path) -> None:
        """From an offset of before, too: what it remembers of the last poll does not count."""
        first = self.arrive(place, 1)
        offset = self.read(subject, None, first)[-1].offset
        second = self.arrive(place, 1)
        self.read(subject, offset, second)
        self.read(subject, None, [*first, *second])
        self.read(subject, offset, second)

    def test_nothing_is_lost_when_the_consumer_stops_between_batches(self, subject: TriggerSource, place: Path) -> None:
        """It leaves the iterator where it is, and begins again behind the last batch that it consumed."""
        expected, seen = list[Any](), list[Any]()
        offset: Any = None
        for _ in range(5):
            expected += self.arrive(place, 1)
            expected += self.arrive(place, 1)
            with self.patience(subject) as stop:
                batches = subject.poll(offset, stop)
                for batch in batches:
                    seen += self.arrived(batch)
                    offset = batch.offset
                    break
                getattr(batches, "close", lambda: None)()
        left = expected[len(seen) :]
        if left:
            seen += [each for batch in self.read(subject, offset, left) for each in self.arrived(batch)]
        assert seen == expected

    def test_two_that_poll_one_place_each_see_all(self, subject: TriggerSource, place: Path) -> None:
        """What one was given is not taken from the other."""
        other = self.make(place)
        try:
            with self.polling(subject) as one, self.polling(other) as two:
                expected: list[Any] = []
                for n in (2, 1, 3):
                    expected += self.arrive(place, n)
                    one.until(expected)
                    two.until(expected)
        finally:
            close(other)

    def test_places_are_apart(self, subject: TriggerSource, place: Path, tmp_path: Path) -> None:
        """What arrives at one is not given by a component on another."""
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        other = self.make(elsewhere)
        try:
            here, there = self.arrive(place, 1), self.arrive(elsewhere, 2)
            self.read(subject, None, here)
            self.read(other, None, there)
        finally:
            close(other)

    def test_it_stops_while_it_waits(self, subject: TriggerSource, place: Path) -> None:
        """Within a second of being told, though nothing arrives: a service that dawdles is killed."""
        self._stops(subject, self.read(subject, None, self.arrive(place, 1))[-1].offset)

    def test_it_stops_where_nothing_ever_arrived(self, subject: TriggerSource) -> None:
        """Likewise at the very beginning."""
        self._stops(subject, None)

    def _stops(self, source: TriggerSource, offset: Any) -> None:
        took: list[float] = []
        for _ in range(TRIES):  # a machine that is busy elsewhere may be late once, but not each time
            with self.polling(source, offset) as poll:
                poll.begun.wait(PATIENCE)
                poll.stop.wait(0.1)  # so that it waits
                begin = time.monotonic()
                poll.stop.set()
                poll.thread.join(PATIENCE)
                took.append(time.monotonic() - begin)
            assert poll.batches == [], "it gives what did not arrive"
            if took[-1] <= STOP:
                return
        pytest.fail(f"told to stop, it took {', '.join(f'{each:.1f}' for each in took)} s")

    def test_it_ends_if_it_is_told_to_stop_before_it_begins(self, subject: TriggerSource, place: Path) -> None:
        """With something there, and with nothing."""
        for n in (0, 3):
            self.arrive(place, n)
            poll = _Poll(subject, None, self.arrived, stopped=True)
            poll.thread.join(PATIENCE)
            assert not poll.thread.is_alive(), "it polls though it was told to stop"
            poll.check()

    def test_it_stops_amid_much_data(self, subject: TriggerSource, place: Path) -> None:
        """The consumer does not have to take all that is there first; what it did not take comes next time."""
        expected = list(self.arrive(place, 60))
        seen: list[Any] = []
        offset = None
        with self.patience(subject) as stop:
            for batch in subject.poll(None, stop):
                assert not (stop.is_set() and len(seen) >= 30), "it goes on giving though it was told to stop"
                seen += self.arrived(batch)
                offset = batch.offset
                stop.set()
        left = expected[len(seen) :] or self.arrive(place, 1)
        self.read(subject, offset, left)

    def test_many_arrivals_are_all_given(self, subject: TriggerSource, place: Path) -> None:
        """In order, and behind the last there is nothing more."""
        expected = list(self.arrive(place, 250))
        last = self.read(subject, None, expected)[-1]
        self.read(subject, last.offset, self.arrive(place, 1))

    def test_it_can_be_closed_while_it_polls(self, place: Path) -> None:
        """Closing does not wait for the iterator, and does not keep it from ending; closed again, it does no harm."""
        source = self.make(place)
        poll = _Poll(source, None, self.arrived)
        poll.until(self.arrive(place, 1))
        (closed,) = together(lambda: close(source))
        assert closed is None, f"closing it while it polls raised {closed!r}"
        poll.stop.set()
        poll.thread.join(PATIENCE)
        assert not poll.thread.is_alive(), "it goes on polling though it was closed and told to stop"
        close(source)

    def test_what_was_given_stays_as_it_was(self, subject: TriggerSource, place: Path) -> None:
        """Later batches are others; these may be journalled yet."""
        with self.polling(subject) as poll:
            expected = list(self.arrive(place, 1))
            poll.until(expected)
            first = json.dumps([poll.batches[0].id, poll.batches[0].offset, poll.batches[0].payload])
            for _ in range(3):
                expected += self.arrive(place, 1)
                poll.until(expected)
            assert json.dumps([poll.batches[0].id, poll.batches[0].offset, poll.batches[0].payload]) == first

    def test_histories(self, tmp_path: Path) -> None:
        """Random arrivals, restarts and commits beside a list that does the same."""
        numbers = itertools.count()

        class History(RuleBasedStateMachine):
            @initialize()
            def begin(self) -> None:
                self.place = tmp_path / f"history-{next(numbers)}"
                self.place.mkdir()
                self.source = suite.make(self.place)
                self.all: list[Any] = []
                self.committed, self.offset = 0, None

            @rule(n=st.integers(1, 4))
            def arrive(self, n: int) -> None:
                self.all += suite.arrive(self.place, n)

            @rule(take=st.integers(1, 4), commit=st.integers(0, 4))
            def consume(self, take: int, commit: int) -> None:
                left = self.all[self.committed :]
                if not left:
                    return
                with suite.polling(self.source, self.offset) as poll:
                    poll.until(left, at_least=take)
                for batch in poll.batches[:commit]:
                    self.committed += len(suite.arrived(batch))
                    self.offset = json.loads(json.dumps(batch.offset))

            @rule()
            def restart(self) -> None:
                close(self.source)
                self.source = suite.make(self.place)

            def teardown(self) -> None:
                if hasattr(self, "source"):
                    close(self.source)

        suite = self
        run_state_machine_as_test(
            History,
            settings=settings(
                max_examples=10, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
            ),
        )


class _Poll:
    """A source that is polled on a thread.

    Args:
        source: the source.
        offset: from where.
        arrived: what is in a batch.
        stopped: whether it is told to stop before it begins.
    """

    def __init__(self, source: TriggerSource, offset: Any, arrived: Any, *, stopped: bool = False) -> None:
        self.stop = threading.Event()
        self.begun = threading.Event()
        self.batches: list[Batch] = []
        self._source, self._offset, self._arrived = source, offset, arrived
        self._new: queue.SimpleQueue[Batch | BaseException | None] = queue.SimpleQueue()
        self._seen: list[Any] = []
        self._expected: list[Any] | None = None
        if stopped:
            self.stop.set()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def until(self, expected: Iterable[Any], *, at_least: int | None = None) -> list[Batch]:
        """Wait until these have come, in order and no others; with ``at_least``, until so many have."""
        expected = self._expected = list(expected)
        enough = len(expected) if at_least is None else min(at_least, len(expected))
        deadline = time.monotonic() + PATIENCE
        while len(self._seen) < enough:
            self._take(max(0.0, deadline - time.monotonic()), expected)
        self._compare(expected)
        return self.batches

    def check(self) -> None:
        """Take what still came; the iterator must have ended by itself."""
        while not self._new.empty():
            got = self._new.get()
            if isinstance(got, BaseException):
                raise AssertionError(f"polling raised {type(got).__name__}: {got}") from got
            if got is not None:
                self._keep(got)
        if self._expected is not None:
            self._compare(self._expected)

    def _take(self, seconds: float, expected: list[Any]) -> None:
        try:
            got = self._new.get(timeout=seconds)
        except queue.Empty:
            raise AssertionError(
                f"{PATIENCE:g} s after it arrived, {expected[len(self._seen) :]} is not there"
            ) from None
        if isinstance(got, BaseException):
            raise AssertionError(f"polling raised {type(got).__name__}: {got}") from got
        assert got is not None, f"it ended by itself, and {expected[len(self._seen) :]} was not there"
        self._keep(got)
        self._compare(expected)

    def _keep(self, batch: Batch) -> None:
        self.batches.append(batch)
        self._seen += self._arrived(batch)

    def _compare(self, expected: list[Any]) -> None:
        assert self._seen == expected[: len(self._seen)], "lost, twice, out of order, or from nowhere"

    def _run(self) -> None:
        self.begun.set()
        try:
            for batch in self._source.poll(self._offset, self.stop):
                self._new.put(batch)
            self._new.put(None)
        except BaseException as error:  # shown by the test that waits
            self._new.put(error)
