"""Triggers that need nothing but the standard library: for tests of pipelines, and as examples of the contract."""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import attrs

from odibi.contracts.options import option
from odibi.contracts.trigger import Batch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from threading import Event


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.utcoffset() is None:
        raise ValueError(f"{text!r} does not say its time zone, as in '2026-01-01T00:00:00+01:00'")
    return moment.astimezone(UTC)


def _is_moment(_: object, field: attrs.Attribute[str], value: str) -> None:
    try:
        _moment(value)
    except ValueError as error:
        raise ValueError(f"{field.name}: {error}") from None


def _positive(_: object, field: attrs.Attribute[float], value: float) -> None:
    if not 1e-6 <= value < float("inf"):
        raise ValueError(f"{field.name} must be a microsecond at least")


def in_utc(moment: datetime) -> datetime:
    """The moment in UTC, in which alone moments can be compared: with one ``tzinfo``, Python compares wall clocks.

    Raises:
        ValueError: it is not aware of its time zone.
    """
    if moment.utcoffset() is None:
        raise ValueError(f"{moment} is not aware of its time zone")
    return moment.astimezone(UTC)


@attrs.frozen
class IntervalSchedule:
    """Fires each so many seconds, whatever clocks on walls show."""

    every: float = option(help="Seconds from one fire to the next.", validator=_positive)
    anchor: str = option(
        "1970-01-01T00:00:00+00:00", help="A moment at which it fires, in ISO 8601.", validator=_is_moment
    )
    until: str | None = option(
        None, help="Nothing fires after this moment.", validator=attrs.validators.optional(_is_moment)
    )

    def next_after(self, moment: datetime) -> datetime | None:
        """The first fire strictly after ``moment``, in UTC."""
        moment, anchor, step = in_utc(moment), _moment(self.anchor), timedelta(seconds=self.every)
        try:
            found = anchor + ((moment - anchor) // step + 1) * step
        except OverflowError:
            return None
        return found if self.until is None or found <= _moment(self.until) else None


@attrs.frozen
class DailySchedule:
    """Fires every day when a clock on the wall shows a time; once on days on which it shows it twice or never."""

    at: str = option("00:00", help="The time of day, as in '02:30'.")
    zone: str = option("UTC", help="The time zone of the clock, as in 'Europe/Berlin'.")
    until: str | None = option(
        None, help="Nothing fires after this moment.", validator=attrs.validators.optional(_is_moment)
    )

    def __attrs_post_init__(self) -> None:
        self.wall_time()
        ZoneInfo(self.zone)

    def wall_time(self) -> time:
        """The time of day that was asked for."""
        found = time.fromisoformat(self.at)
        if found.tzinfo is not None:
            raise ValueError(f"at: {self.at!r} has a time zone; give it under 'zone'")
        return found

    def next_after(self, moment: datetime) -> datetime | None:
        """The first fire strictly after ``moment``, in the schedule's zone."""
        moment, zone = in_utc(moment), ZoneInfo(self.zone)
        try:
            day = moment.astimezone(zone).date() - timedelta(days=1)
            while (found := self.on(datetime.combine(day, self.wall_time()), zone)) <= moment:
                day += timedelta(days=1)
        except OverflowError:
            return None
        return found.astimezone(zone) if self.until is None or found <= _moment(self.until) else None

    def on(self, wall: datetime, zone: ZoneInfo) -> datetime:
        """When the wall clock shows ``wall`` for the first time, in UTC.

        Where it is put forward over that time, it is the moment at which a clock that nobody had put forward shows it.
        """
        return wall.replace(tzinfo=zone, fold=0).astimezone(UTC)


@attrs.define
class FolderSource:
    """Files that appear in a folder, in the order of their names: a batch each.

    A file must appear whole (write it elsewhere and rename it), and under a name that sorts behind those that are
    there, as names that begin with the time do.
    """

    folder: Path = option(help="The folder to watch.", is_path=True, converter=Path)  # noqa: RUF009
    interval: float = option(0.05, help="Seconds between looks.", validator=_positive)

    def poll(self, offset: str | None, stop: Event) -> Iterator[Batch]:
        """A batch a file whose name sorts behind ``offset``; its payload is the file's path."""
        while not stop.is_set():
            names = self.names()
            for name in names[bisect_right(names, offset) if offset is not None else 0 :]:
                if stop.is_set():
                    return
                offset = name
                yield self.batch(name)
            stop.wait(min(self.interval, 0.5))

    def names(self) -> list[str]:
        """The files that are there."""
        if not self.folder.is_dir():
            return []
        return sorted(each.name for each in self.folder.iterdir() if each.is_file())

    def batch(self, name: str) -> Batch:
        """The batch that a file is."""
        return Batch(id=name, offset=name, payload=str(self.folder / name))

    def close(self) -> None:
        """Nothing is held between looks."""
