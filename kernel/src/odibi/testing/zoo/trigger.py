"""Triggers that each break one promise: schedules by the wall clock and by seconds, and a source."""

from __future__ import annotations

import itertools
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar
from zoneinfo import ZoneInfo

import attrs

from odibi.contracts.trigger import Batch
from odibi.testing.reference.trigger import DailySchedule, FolderSource, IntervalSchedule, in_utc
from odibi.testing.trigger import ScheduleSuite, SourceSuite
from odibi.testing.zoo import Zoo

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from threading import Event

    from odibi.testing.trigger import Example

C = TypeVar("C", bound=type)


class SoundInterval(ScheduleSuite):
    """The suite on a schedule by seconds."""

    component: ClassVar[type] = IntervalSchedule
    examples: ClassVar[Sequence[Example]] = (
        ({"every": 90}, "2024-01-01T00:00:00+00:00", "2024-01-01T00:01:30+00:00"),
        ({"every": 90}, "2024-01-01T05:30:01+05:30", "2024-01-01T00:01:30+00:00"),
        ({"every": 60, "until": "2024-01-01T00:01:00+00:00"}, "2024-01-01T00:00:59+00:00", "2024-01-01T00:01:00+00:00"),
        ({"every": 60, "until": "2024-01-01T00:01:00+00:00"}, "2024-01-01T00:01:00+00:00", None),
    )

    def options(self, place: Path) -> Mapping[str, Any]:  # noqa: ARG002
        """A number that does not divide a day."""
        return {"every": 1000.5, "anchor": "2020-02-29T12:00:00+01:00"}

    def every(self, seconds: int) -> Mapping[str, Any]:
        """As asked for."""
        return {"every": seconds}


class SoundDaily(ScheduleSuite):
    """The suite on a schedule by the wall clock."""

    component: ClassVar[type] = DailySchedule
    examples: ClassVar[Sequence[Example]] = (
        ({"at": "02:30", "zone": "Europe/Berlin"}, "2024-03-31T00:00:00+01:00", "2024-03-31T03:30:00+02:00"),
        ({"at": "02:30", "zone": "Europe/Berlin"}, "2024-10-27T02:30:00+02:00", "2024-10-28T02:30:00+01:00"),
        ({"at": "12:00"}, "2024-02-28T12:00:00+00:00", "2024-02-29T12:00:00+00:00"),
        ({"at": "12:00", "until": "2024-05-01T00:00:00+00:00"}, "2024-04-30T13:00:00+00:00", None),
    )

    def options(self, place: Path) -> Mapping[str, Any]:  # noqa: ARG002
        """A time that is skipped and repeated."""
        return {"at": "02:30", "zone": "Europe/Berlin"}

    def daily(self, at: str, zone: str) -> Mapping[str, Any]:
        """As asked for."""
        return {"at": at, "zone": zone}


class SoundSource(SourceSuite):
    """The suite on a folder in which files appear."""

    component: ClassVar[type] = FolderSource
    _numbers = itertools.count()

    def options(self, place: Path) -> Mapping[str, Any]:
        """A folder in the place, looked at often."""
        return {"folder": str(place / "in"), "interval": 0.005}

    def arrive(self, place: Path, n: int) -> list[str]:
        """Files that appear whole."""
        (place / "in").mkdir(exist_ok=True)
        names = [f"{next(self._numbers):09}.csv" for _ in range(n)]
        for name in names:
            (place / name).write_text(name)
            (place / name).rename(place / "in" / name)
        return names

    def arrived(self, batch: Batch) -> list[str]:
        """The files' names."""
        paths = batch.payload if isinstance(batch.payload, list) else [batch.payload]
        return [Path(each).name for each in paths]


class _Kinds(Zoo):
    """Takes for each defect the suite on the sound component that it is made of."""

    def _add(self, component: C, why: str) -> C:
        sound = self.sound
        for suite in (SoundInterval, SoundDaily, SoundSource):
            if issubclass(component, suite.component):
                self.sound = suite
        try:
            return super()._add(component, why)
        finally:
            self.sound = sound


zoo = _Kinds(SoundDaily)


# --- schedules by the wall clock --------------------------------------------------------------------------------------


@zoo.defect
class SkipsTheHourThatIsNot(DailySchedule):
    """On a day whose clock skips the time it does not fire at all."""

    def next_after(self, moment: datetime) -> datetime | None:
        """The next that a clock shows."""
        found = super().next_after(moment)
        while found is not None and f"{found:%H:%M}" != self.at:
            found = super().next_after(found)
        return found


@zoo.defect
class RepeatsTheFoldHour(DailySchedule):
    """On a day whose clock shows the time twice it fires twice."""

    def next_after(self, moment: datetime) -> datetime | None:
        """The second time counts, too."""
        found, zone = super().next_after(moment), ZoneInfo(self.zone)
        wall = datetime.combine(in_utc(moment).astimezone(zone).date(), self.wall_time(), zone)
        second = wall.replace(fold=1)
        if second.utcoffset() < wall.utcoffset() and second.astimezone(UTC) > in_utc(moment):  # type: ignore[operator]
            return found if found is not None and in_utc(found) < second.astimezone(UTC) else second
        return found


@zoo.defect
class AddsADayInUtc(DailySchedule):
    """It adds 24 hours to the last fire, and so is an hour off after clocks were put."""

    def next_after(self, moment: datetime) -> datetime | None:
        """The offset of a winter's day for ever."""
        zone = ZoneInfo(self.zone)
        winter = datetime(2020, 1, 15, tzinfo=zone).utcoffset() or timedelta()
        day = (in_utc(moment) + winter).date() - timedelta(days=1)
        while (found := datetime.combine(day, self.wall_time(), UTC) - winter) <= in_utc(moment):
            day += timedelta(days=1)
        end = None if self.until is None else datetime.fromisoformat(self.until)
        return found if end is None or found <= end else None


@zoo.defect
class ComparesWallClocks(DailySchedule):
    """It compares moments of one zone, for which Python looks at the clock's face and not at the fold."""

    def next_after(self, moment: datetime) -> datetime | None:
        """What looks later."""
        if in_utc(moment).year == datetime.max.year:
            return None
        local, zone = moment.astimezone(ZoneInfo(self.zone)), ZoneInfo(self.zone)
        found = datetime.combine(local.date(), self.wall_time(), zone)
        if found <= local:
            found = datetime.combine(local.date() + timedelta(days=1), self.wall_time(), zone)
        found = found.astimezone(UTC).astimezone(zone)
        return found if self.until is None or found <= datetime.fromisoformat(self.until) else None


@zoo.defect
class ShowsATimeThatIsNot(DailySchedule):
    """Its answer is 02:30 on a day whose clocks go from 02:00 to 03:00."""

    def next_after(self, moment: datetime) -> datetime | None:
        """The right moment, under a name that nobody else understands."""
        found = super().next_after(moment)
        return None if found is None else datetime.combine(found.date(), self.wall_time(), found.tzinfo)


@zoo.defect
class TakesTheMomentsZone(DailySchedule):
    """It goes by the clock of the zone in which it is asked, and not by its own."""

    def next_after(self, moment: datetime) -> datetime | None:
        """At somebody else's half past two."""
        in_utc(moment)
        zone = moment.tzinfo
        wall = datetime.combine(moment.date(), self.wall_time(), zone)
        while wall.astimezone(UTC) <= in_utc(moment):
            wall += timedelta(days=1)
        found = wall.astimezone(UTC)
        return found if self.until is None or found <= datetime.fromisoformat(self.until) else None


@zoo.defect
class AnswersNaively(DailySchedule):
    """Its answers do not say their time zone."""

    def next_after(self, moment: datetime) -> datetime | None:
        """Without the zone."""
        found = super().next_after(moment)
        return None if found is None else found.replace(tzinfo=None)


@zoo.defect
class GuessesAZone(DailySchedule):
    """It takes a moment without a time zone for one of the machine's."""

    def next_after(self, moment: datetime) -> datetime | None:
        """With the machine's zone."""
        return super().next_after(moment.astimezone())


@zoo.defect
class GoesByTheMachine(DailySchedule):
    """It goes by the clock of the machine, whatever zone was asked for."""

    def next_after(self, moment: datetime) -> datetime | None:
        """In the zone of TZ."""
        name = os.environ.get("TZ") or self.zone
        return DailySchedule(at=self.at, zone=name, until=self.until).next_after(moment)


@zoo.defect
class ForgetsLeapDays(DailySchedule):
    """February has 28 days."""

    def next_after(self, moment: datetime) -> datetime | None:
        """From the 28th to the first of March."""
        found = super().next_after(moment)
        return super().next_after(found) if found is not None and (found.month, found.day) == (2, 29) else found


@zoo.defect
class BeginsAgain(DailySchedule):
    """A year after its end it fires again."""

    def next_after(self, moment: datetime) -> datetime | None:
        """As if it had no end."""
        if self.until is not None and in_utc(moment) > datetime.fromisoformat(self.until) + timedelta(days=366):
            return DailySchedule(at=self.at, zone=self.zone).next_after(moment)
        return super().next_after(moment)


# --- schedules by seconds ---------------------------------------------------------------------------------------------


@zoo.defect
class FiresAtTheSameMoment(IntervalSchedule):
    """Asked for what comes after a fire, it says that fire."""

    def next_after(self, moment: datetime) -> datetime | None:
        """At or after."""
        return super().next_after(moment - timedelta(microseconds=1))


@zoo.defect
class CountsFromTheMoment(IntervalSchedule):
    """It adds its seconds to whatever moment it is asked for, so a service that looks often never fires."""

    def next_after(self, moment: datetime) -> datetime | None:
        """No anchor."""
        found = in_utc(moment) + timedelta(seconds=self.every)
        return found if self.until is None or found <= datetime.fromisoformat(self.until) else None


@zoo.defect
class RemembersWhatItSaid(IntervalSchedule):
    """It goes on from its last answer, not from the moment."""

    _last: ClassVar[dict[int, datetime]] = {}

    def next_after(self, moment: datetime) -> datetime | None:
        """Never earlier than before."""
        last = self._last.get(id(self))
        found = super().next_after(moment if last is None or last - in_utc(moment) > timedelta(days=2) else last)
        if found is not None:
            self._last[id(self)] = found
        return found


@zoo.defect
class ForgetsThePast(IntervalSchedule):
    """It never says a fire that is past, so nothing that was missed is caught up with."""

    def next_after(self, moment: datetime) -> datetime | None:
        """After now, whatever is asked."""
        return super().next_after(max(in_utc(moment), datetime.now(UTC)))


@zoo.defect
class RoundsToSeconds(IntervalSchedule):
    """It drops the microseconds of the moment, and says a fire that is past."""

    def next_after(self, moment: datetime) -> datetime | None:
        """To the whole second."""
        found = super().next_after(moment.replace(microsecond=0))
        return None if found is None else found.replace(microsecond=0)


@zoo.defect
class AddsToTheWallClock(IntervalSchedule):
    """It adds seconds to what a clock shows, and so loses or repeats an hour when it is put."""

    def next_after(self, moment: datetime) -> datetime | None:
        """In the moment's zone."""
        in_utc(moment)
        anchor = datetime.fromisoformat(self.anchor).astimezone(moment.tzinfo)
        step = timedelta(seconds=self.every)
        found = anchor + ((moment - anchor) // step + 1) * step
        return found if self.until is None or found <= datetime.fromisoformat(self.until) else None


@zoo.defect
class FallsOverTheEnd(IntervalSchedule):
    """It raises for the last days that there are."""

    def next_after(self, moment: datetime) -> datetime | None:
        """One step too far."""
        moment + timedelta(days=30)
        return super().next_after(moment)


# --- sources ----------------------------------------------------------------------------------------------------------


@zoo.defect
class IgnoresStop(FolderSource):
    """It looks for ever, whatever it is told."""

    def poll(self, offset: str | None, stop: Event) -> Iterator[Batch]:  # noqa: ARG002
        """As if nobody had said anything."""
        while True:
            for name in self.names():
                if offset is None or name > offset:
                    offset = name
                    yield self.batch(name)
            time.sleep(self.interval)


@zoo.defect
class StopsAtTheNextLook(FolderSource):
    """It sleeps through being told to stop, for as long as it looks seldom."""

    def poll(self, offset: str | None, stop: Event) -> Iterator[Batch]:
        """Half a minute at a time."""
        for pause in itertools.count():
            for name in self.names():
                if offset is None or name > offset:
                    offset = name
                    yield self.batch(name)
            if stop.is_set():
                return
            time.sleep(5.0 if pause > 20 else 0.005)


@zoo.defect
class DrainsBeforeItStops(FolderSource):
    """Told to stop, it gives all that is there first."""

    def poll(self, offset: str | None, stop: Event) -> Iterator[Batch]:
        """To the last."""
        while not stop.is_set():
            for name in self.names():
                if offset is None or name > offset:
                    offset = name
                    yield self.batch(name)
            stop.wait(self.interval)


@zoo.defect
class EndsWhenThereIsNothing(FolderSource):
    """It ends when nothing is left, as if nothing could arrive any more."""

    def poll(self, offset: str | None, stop: Event) -> Iterator[Batch]:
        """Once through."""
        for name in self.names():
            if (offset is None or name > offset) and not stop.is_set():
                yield self.batch(name)


@zoo.defect
class CommitsByItself(FolderSource):
    """What it gave it never gives again, though the run was killed."""

    _given: ClassVar[dict[str, str]] = {}

    def poll(self, offset: str | None, stop: Event) -> Iterator[Batch]:
        """Behind what was given last."""
        mine = self._given.get(str(self.folder))
        if offset is not None and mine is not None and mine > offset:
            offset = mine
        for batch in super().poll(offset, stop):
            self._given[str(self.folder)] = batch.offset
            yield batch


@zoo.defect
class RemovesWhatItGives(FolderSource):
    """It moves a file away when it gives it, before anybody has read it."""

    def poll(self, offset: str | None, stop: Event) -> Iterator[Batch]:
        """And away with it."""
        for batch in super().poll(offset, stop):
            (self.folder / batch.id).unlink(missing_ok=True)
            yield batch


@zoo.defect
class NumbersBatches(FolderSource):
    """Its ids count from one at each start."""

    def poll(self, offset: str | None, stop: Event) -> Iterator[Batch]:
        """By number."""
        for number, batch in enumerate(super().poll(offset, stop), 1):
            yield attrs.evolve(batch, id=f"batch-{number}")


@zoo.defect
class TimesItsIds(FolderSource):
    """Its ids hold the time at which it looked."""

    def batch(self, name: str) -> Batch:
        """By the clock."""
        return attrs.evolve(super().batch(name), id=f"{name}@{time.time_ns()}")


@zoo.defect
class HashesItsIds(FolderSource):
    """Its ids are made with hash(), which is another in each process."""

    def batch(self, name: str) -> Batch:
        """By Python's hash."""
        return attrs.evolve(super().batch(name), id=f"{hash(name):x}")


@zoo.defect
class ReadsTheOffsetAsInclusive(FolderSource):
    """It begins with the batch whose offset was committed, not behind it."""

    def poll(self, offset: str | None, stop: Event) -> Iterator[Batch]:
        """At or behind."""
        return super().poll(None if offset is None else offset[:-1], stop)


@zoo.defect
class OffsetIsOfTheLook(FolderSource):
    """Each batch has the offset of all that was there when it looked, so what follows it is lost."""

    def poll(self, offset: str | None, stop: Event) -> Iterator[Batch]:
        """One offset a look."""
        while not stop.is_set():
            names = [name for name in self.names() if offset is None or name > offset]
            for name in names:
                if stop.is_set():
                    return
                yield attrs.evolve(self.batch(name), offset=names[-1])
            offset = names[-1] if names else offset
            stop.wait(self.interval)


@zoo.defect
class BeginsWithNow(FolderSource):
    """At the very beginning it gives only what arrives from then on."""

    def poll(self, offset: str | None, stop: Event) -> Iterator[Batch]:
        """What is there already does not count."""
        names = self.names()
        return super().poll(offset if offset is not None or not names else names[-1], stop)


@zoo.defect
class GivesThemAsTheFolderDoes(FolderSource):
    """It gives files in whatever order the folder lists them, the newest first."""

    def poll(self, offset: str | None, stop: Event) -> Iterator[Batch]:
        """Backwards."""
        while not stop.is_set():
            new = [name for name in self.names() if offset is None or name > offset]
            for name in reversed(new):
                if stop.is_set():
                    return
                yield self.batch(name)
            offset = max([*new, offset or ""]) or None
            stop.wait(self.interval)


@zoo.defect
@attrs.define(eq=False)
class RemembersItsLastPoll(FolderSource):
    """Polled again, it goes on where it was, whatever offset it is handed."""

    _at: str | None = attrs.field(default=None, init=False, repr=False)

    def poll(self, offset: str | None, stop: Event) -> Iterator[Batch]:
        """Its own offset first."""
        for batch in super().poll(self._at or offset, stop):
            self._at = batch.offset
            yield batch


@zoo.defect
class ReadsAhead(FolderSource):
    """It takes a batch off its list before it is asked for the next, and forgets it when it is left there."""

    _taken: ClassVar[dict[str, set[str]]] = {}

    def poll(self, offset: str | None, stop: Event) -> Iterator[Batch]:
        """Two at a time are taken, one is given."""
        taken = self._taken.setdefault(str(self.folder), set()) if offset is not None else set()
        while not stop.is_set():
            new = [name for name in self.names() if (offset is None or name > offset) and name not in taken]
            taken.update(new[:2])
            for name in new[:2]:
                if stop.is_set():
                    return
                offset = name
                yield self.batch(name)
            stop.wait(self.interval)


@zoo.defect
class GivesPaths(FolderSource):
    """Its payload is a Path, which no journal can hold."""

    def batch(self, name: str) -> Batch:
        """An object."""
        return attrs.evolve(super().batch(name), payload=self.folder / name)


@zoo.defect
class GivesTuples(FolderSource):
    """Its offset is a tuple, which JSON gives back as a list, which it does not know again."""

    def poll(self, offset: Any, stop: Event) -> Iterator[Batch]:
        """A pair."""
        for batch in super().poll(offset[0] if isinstance(offset, tuple) else offset and offset[0], stop):
            yield attrs.evolve(batch, offset=(batch.offset, 1))


@zoo.defect
@attrs.define(eq=False)
class ChangesWhatItGave(FolderSource):
    """It gives one list each time, with what was in it before taken out."""

    _payload: list[str] = attrs.field(factory=list, init=False, repr=False)

    def batch(self, name: str) -> Batch:
        """The same list for all."""
        self._payload[:] = [str(self.folder / name)]
        return attrs.evolve(super().batch(name), payload=self._payload)


@zoo.defect
@attrs.define(eq=False)
class WaitsWhenItIsClosed(FolderSource):
    """Closing it waits for the iterator to end."""

    _polls: list[Any] = attrs.field(factory=list, init=False, repr=False)

    def poll(self, offset: str | None, stop: Event) -> Iterator[Batch]:
        """Remembered until it is told to stop."""
        self._polls.append(stop)
        yield from super().poll(offset, stop)

    def close(self) -> None:
        """Until then."""
        for stop in self._polls:
            stop.wait()


@zoo.defect
class SharesOnePlace(FolderSource):
    """All that watch in one process watch the folder of the first."""

    _first: ClassVar[list[Path]] = []

    def names(self) -> list[str]:
        """Of the first."""
        self._first.append(self.folder)
        return FolderSource(folder=self._first[0]).names()
