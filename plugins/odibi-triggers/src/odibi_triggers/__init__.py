"""What starts runs: cron, intervals, moments, files that arrive, and events that are sent."""

from __future__ import annotations

from odibi import hookimpl

__version__ = "0.1.0"
ODIBI_API = ">=1.0,<2"


@hookimpl
def odibi_triggers() -> dict[str, str]:
    """The triggers by their ``type``."""
    return {
        "cron": "odibi_triggers.cron:CronSchedule",
        "interval": "odibi_triggers.interval:IntervalSchedule",
        "date": "odibi_triggers.date:DateSchedule",
        "file_watch": "odibi_triggers.file_watch:FileWatch",
        "event": "odibi_triggers.event:EventTrigger",
    }


@hookimpl
def odibi_suites() -> dict[str, str]:
    """The conformance suites for them."""
    return {
        "trigger.cron": "odibi_triggers.conformance:CronSuite",
        "trigger.interval": "odibi_triggers.conformance:IntervalSuite",
        "trigger.date": "odibi_triggers.conformance:DateSuite",
        "trigger.file_watch": "odibi_triggers.conformance_files:FileWatchSuite",
        "trigger.event": "odibi_triggers.conformance_events:EventSuite",
    }
