"""The schedules under the conformance suites."""

from __future__ import annotations

from odibi_triggers.conformance import CronSuite, DateSuite, IntervalSuite


class TestCron(CronSuite):
    pass


class TestInterval(IntervalSuite):
    pass


class TestDate(DateSuite):
    pass
