"""The suites for this package's schedules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from odibi.testing.trigger import Example, ScheduleSuite
from odibi_triggers.cron import CronSchedule
from odibi_triggers.date import DateSchedule
from odibi_triggers.interval import IntervalSchedule

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class CronSuite(ScheduleSuite):
    """Of ``cron``; what its fields mean, and what it does where clocks are put."""

    component = CronSchedule
    examples: ClassVar[Sequence[Example]] = (
        ({"cron": "0 0 29 2 *"}, "2025-01-01T00:00:00+00:00", "2028-02-29T00:00:00+00:00"),
        ({"cron": "0 0 29 2 *"}, "2096-03-01T00:00:00+00:00", "2104-02-29T00:00:00+00:00"),
        ({"cron": "0 0 30 2 *"}, "2025-01-01T00:00:00+00:00", None),
        ({"cron": "*/15 9-17 * * mon-fri"}, "2026-05-01T17:45:00+00:00", "2026-05-04T09:00:00+00:00"),
        ({"cron": "0 6 13 * fri"}, "2026-05-08T06:00:00+00:00", "2026-05-13T06:00:00+00:00"),
        ({"cron": "0 6 L * *"}, "2028-02-01T00:00:00+00:00", "2028-02-29T06:00:00+00:00"),
        ({"cron": "0 6 * * mon#2"}, "2026-05-04T06:00:00+00:00", "2026-05-11T06:00:00+00:00"),
        ({"cron": "0 6 * * L5"}, "2026-05-01T06:00:00+00:00", "2026-05-29T06:00:00+00:00"),
        ({"cron": "0 6 15W * *"}, "2026-08-01T06:00:00+00:00", "2026-08-14T06:00:00+00:00"),
        ({"cron": "0 * * * * */20"}, "2026-05-01T06:00:40+00:00", "2026-05-01T07:00:00+00:00"),
        ({"cron": "* * * * * */20"}, "2026-05-01T06:00:20.5+00:00", "2026-05-01T06:00:40+00:00"),
        ({"cron": "@weekly"}, "2026-05-01T06:00:20+00:00", "2026-05-03T00:00:00+00:00"),
        (
            {"cron": "0 12 * * *", "start": "2026-05-01T12:00:00+00:00", "until": "2026-05-03T12:00:00+00:00"},
            "2026-01-01T00:00:00+00:00",
            "2026-05-01T12:00:00+00:00",
        ),
        (
            {"cron": "0 12 * * *", "until": "2026-05-03T12:00", "zone": "Europe/Berlin"},
            "2026-05-03T12:00:00+02:00",
            None,
        ),
        # Skipped, one fire for all that is skipped; the time itself comes again on the next day.
        (
            {"cron": "0,30 2 * * *", "zone": "Europe/Berlin"},
            "2024-03-31T01:59:59+01:00",
            "2024-03-31T03:00:00+02:00",
        ),
        (
            {"cron": "0,30 2 * * *", "zone": "Europe/Berlin"},
            "2024-03-31T03:00:00+02:00",
            "2024-04-01T02:00:00+02:00",
        ),
        # Shown twice: the first.
        ({"cron": "30 2 * * *", "zone": "Europe/Berlin"}, "2024-10-27T02:30:00+02:00", "2024-10-28T02:30:00+01:00"),
        # Each hour of the day: as time goes by.
        ({"cron": "*/5 * * * *", "zone": "Europe/Berlin"}, "2024-03-31T01:55:00+01:00", "2024-03-31T03:00:00+02:00"),
        ({"cron": "3/5 * * * *", "zone": "Europe/Berlin"}, "2024-03-31T01:58:00+01:00", "2024-03-31T03:03:00+02:00"),
        ({"cron": "*/5 * * * *", "zone": "Europe/Berlin"}, "2024-10-27T02:55:00+02:00", "2024-10-27T02:00:00+01:00"),
        # A day that was left out, 30 December 2011.
        ({"cron": "0 9 30 12 *", "zone": "Pacific/Apia"}, "2011-12-29T12:00:00-10:00", "2011-12-31T00:00:00+14:00"),
        # A clock put forward at midnight, and one put by half an hour.
        (
            {"cron": "0 0 * * *", "zone": "America/Sao_Paulo"},
            "2018-11-03T12:00:00-03:00",
            "2018-11-04T01:00:00-02:00",
        ),
        (
            {"cron": "15 2 * * *", "zone": "Australia/Lord_Howe"},
            "2024-10-06T01:59:00+10:30",
            "2024-10-06T02:30:00+11:00",
        ),
    )

    def options(self, place: Path) -> Mapping[str, Any]:  # noqa: ARG002 - it needs none
        """In a zone whose clocks are put by half an hour."""
        return {"cron": "*/7 1-3 * * *", "zone": "Australia/Lord_Howe"}

    def daily(self, at: str, zone: str) -> Mapping[str, Any]:
        """At a certain hour and minute."""
        return {"cron": f"{int(at[3:])} {int(at[:2])} * * *", "zone": zone}

    def every(self, seconds: int) -> Mapping[str, Any] | None:
        """Each hour, in a zone whose clocks are put by whole hours."""
        return {"cron": "0 * * * *", "zone": "America/New_York"} if seconds == 3600 else None


class IntervalSuite(ScheduleSuite):
    """Of ``interval``, where fires do not depend on the ends of runs."""

    component = IntervalSchedule
    examples: ClassVar[Sequence[Example]] = (
        ({"every": "15m"}, "2026-05-01T06:00:00+00:00", "2026-05-01T06:15:00+00:00"),
        ({"every": 0.1}, "2026-05-01T06:00:00.05+00:00", "2026-05-01T06:00:00.1+00:00"),
        (
            {"every": "36h", "anchor": "2026-05-01T06:00:00+02:00"},
            "2026-04-30T00:00:00+00:00",
            "2026-05-01T04:00:00+00:00",
        ),
        (
            {"every": "1h", "start": "2026-05-01T06:30:00+00:00"},
            "2026-01-01T00:00:00+00:00",
            "2026-05-01T07:00:00+00:00",
        ),
        ({"every": "1h", "until": "2026-05-01T06:00:00+00:00"}, "2026-05-01T06:00:00+00:00", None),
        # What the digest gives must stay: another release is to fire at the same moments.
        (
            {"every": "1h", "jitter": "10m", "seed": "orders"},
            "2026-05-01T06:30:00+00:00",
            "2026-05-01T07:03:55.841121+00:00",
        ),
    )

    def options(self, place: Path) -> Mapping[str, Any]:  # noqa: ARG002 - it needs none
        """As late as its jitter lets it be."""
        return {"every": 3600, "jitter": 3600, "seed": "suite"}

    def every(self, seconds: int) -> Mapping[str, Any]:
        """Just that."""
        return {"every": seconds}


class DateSuite(ScheduleSuite):
    """Of ``date``."""

    component = DateSchedule
    examples: ClassVar[Sequence[Example]] = (
        ({"at": "2026-05-01T06:00:00+02:00"}, "2026-01-01T00:00:00+00:00", "2026-05-01T04:00:00+00:00"),
        ({"at": "2026-05-01T06:00:00+02:00"}, "2026-05-01T04:00:00+00:00", None),
        (
            {"at": ["2026-07-01T06:00", "2026-05-01T06:00"], "zone": "Europe/Berlin"},
            "2026-05-01T04:00:00+00:00",
            "2026-07-01T04:00:00+00:00",
        ),
        (
            {"at": "2024-03-31T02:30", "zone": "Europe/Berlin"},
            "2024-03-01T00:00:00+00:00",
            "2024-03-31T01:00:00+00:00",
        ),
        (
            {"at": "2024-10-27T02:30", "zone": "Europe/Berlin"},
            "2024-03-01T00:00:00+00:00",
            "2024-10-27T00:30:00+00:00",
        ),
    )

    def options(self, place: Path) -> Mapping[str, Any]:  # noqa: ARG002 - it needs none
        """Some that lie among the moments that the suite asks about."""
        return {
            "at": [f"{year}-0{month}-15T06:00:00.000001+01:00" for year in range(1990, 2080, 3) for month in (2, 7)]
        }
