"""The reference triggers keep what the contract promises; the zoo runs the suite on one of them only."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest

from odibi.testing.clock import Clock
from odibi.testing.zoo.trigger import SoundDaily, SoundInterval, SoundSource


class TestIntervalSchedule(SoundInterval):
    pass


class TestDailySchedule(SoundDaily):
    pass


class TestFolderSource(SoundSource):
    pass


def test_a_clock_stands_until_it_is_turned() -> None:
    clock = Clock.at("2026-03-29T01:59:00+01:00")
    assert clock() == clock() == datetime(2026, 3, 29, 0, 59, tzinfo=UTC).timestamp()
    clock.advance(60)
    assert clock.moment() == datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert clock.monotonic() == 60


def test_a_clock_that_is_put_back_has_not_let_time_pass() -> None:
    clock = Clock(1000.0)
    clock.advance(5)
    clock.set(10)
    assert (clock(), clock.monotonic(), clock.monotonic_ns()) == (10, 5, 5_000_000_000)
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(-1)
    with pytest.raises(ValueError, match="time zone"):
        clock.set("2026-03-29T01:59:00")


def test_who_waits_on_a_clock_waits_for_the_test() -> None:
    clock, stop, waits = Clock(), threading.Event(), []

    def wait() -> None:
        waits.append(clock.wait(stop, 60))
        clock.sleep(60)
        waits.append(clock.wait(stop))

    thread = threading.Thread(target=wait)
    thread.start()
    clock.when_waiting()
    clock.advance(59.5)
    assert waits == []
    clock.advance(0.5)
    while len(waits) < 1:
        clock.when_waiting()
    clock.when_waiting()
    clock.set(clock.moment() + timedelta(days=1))
    assert waits == [False]
    while thread.is_alive() and clock.monotonic() < 1000:
        clock.when_waiting()
        clock.advance(60)
        if clock.monotonic() >= 180:
            stop.set()
            thread.join(30)
    assert waits == [False, True]
