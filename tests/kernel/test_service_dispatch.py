"""Jobs in lanes: one at a time in each, so many in all, none lost."""

from __future__ import annotations

import threading
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from odibi.service.dispatch import Dispatcher

PATIENCE = 30.0


class Watched:
    """What runs: how much at once in all, and in each lane, and in which order."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.now: Counter[str] = Counter()
        self.most = 0
        self.most_in_lane = 0
        self.order: dict[str, list[int]] = {}
        self.gate: threading.Event | None = None
        self.begun = threading.Semaphore(0)

    def perform(self, job: tuple[str, int]) -> None:
        lane, number = job
        with self.lock:
            self.now[lane] += 1
            self.most = max(self.most, self.now.total())
            self.most_in_lane = max(self.most_in_lane, self.now[lane])
            self.order.setdefault(lane, []).append(number)
        self.begun.release()
        if self.gate is not None:
            assert self.gate.wait(PATIENCE)
        with self.lock:
            self.now[lane] -= 1
        if number < 0:
            raise ValueError("a job that fails")


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 99)), max_size=60), st.integers(1, 5))
def test_each_job_runs_once_and_in_its_lanes_order(jobs: list[tuple[str, int]], size: int) -> None:
    watched = Watched()
    dispatcher = Dispatcher(watched.perform, size)
    for job in jobs:
        dispatcher.submit(job[0], job)
    assert dispatcher.wait(PATIENCE)
    dispatcher.close()
    for lane in "abcd":
        assert watched.order.get(lane, []) == [number for name, number in jobs if name == lane]
    assert watched.most <= size
    assert watched.most_in_lane <= 1


def test_lanes_run_at_once_up_to_the_limit() -> None:
    watched = Watched()
    watched.gate = threading.Event()
    dispatcher = Dispatcher(watched.perform, 3)
    for at in range(6):
        dispatcher.submit(f"lane {at}", (f"lane {at}", at))
    for _ in range(3):
        assert watched.begun.acquire(timeout=PATIENCE)
    assert len(dispatcher.running()) == 3
    assert not dispatcher.wait(0)
    watched.gate.set()
    assert dispatcher.wait(PATIENCE)
    dispatcher.close()
    assert watched.most == 3
    assert sum(map(len, watched.order.values())) == 6


def test_what_waits_can_be_withdrawn_and_what_runs_cannot() -> None:
    watched = Watched()
    watched.gate = threading.Event()
    dispatcher = Dispatcher(watched.perform, 2)
    for number in range(4):
        dispatcher.submit("a", ("a", number))
    assert watched.begun.acquire(timeout=PATIENCE)
    assert dispatcher.lane("a") == (("a", 0), [("a", 1), ("a", 2), ("a", 3)])
    assert dispatcher.withdraw("a", lambda job: job[1] != 2) == [("a", 1), ("a", 3)]
    assert dispatcher.withdraw("b", lambda _: True) == []
    watched.gate.set()
    assert dispatcher.wait(PATIENCE)
    dispatcher.close()
    assert watched.order == {"a": [0, 2]}
    assert dispatcher.lane("a") == (None, [])


def test_held_it_begins_nothing_more() -> None:
    watched = Watched()
    watched.gate = threading.Event()
    dispatcher = Dispatcher(watched.perform, 2)
    for lane, number in (("a", 0), ("b", 0), ("a", 1), ("c", 0)):
        dispatcher.submit(lane, (lane, number))
    for _ in range(2):
        assert watched.begun.acquire(timeout=PATIENCE)
    dispatcher.hold()
    watched.gate.set()
    assert dispatcher.wait(PATIENCE)
    dispatcher.close()
    assert watched.order == {"a": [0], "b": [0]}


def test_a_job_that_raises_does_not_end_its_thread(caplog: pytest.LogCaptureFixture) -> None:
    watched = Watched()
    dispatcher = Dispatcher(watched.perform, 1)
    dispatcher.submit("a", ("a", -1))
    dispatcher.submit("a", ("a", 1))
    assert dispatcher.wait(PATIENCE)
    dispatcher.close()
    assert watched.order == {"a": [-1, 1]}
    assert "a job that fails" in caplog.text


def test_threads_are_begun_when_they_are_needed_and_ended() -> None:
    before = threading.active_count()
    watched = Watched()
    dispatcher = Dispatcher(watched.perform, 50)
    for number in range(20):
        dispatcher.submit("a", ("a", number))
        assert dispatcher.wait(PATIENCE)
    assert threading.active_count() - before <= 2
    dispatcher.close()
    assert threading.active_count() == before


def test_what_is_left_when_the_system_gives_no_more_threads_does_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched()
    dispatcher = Dispatcher(watched.perform, 5)
    start = threading.Thread.start
    begun: list[threading.Thread] = []

    def scarce(thread: threading.Thread) -> None:
        if begun:
            raise RuntimeError("can't start new thread")
        begun.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", scarce)
    for number in range(20):
        dispatcher.submit(number % 4, (f"lane {number % 4}", number))
    assert dispatcher.wait(PATIENCE)
    dispatcher.close()
    assert sum(map(len, watched.order.values())) == 20
    assert watched.most == 1


def test_it_says_so_when_the_system_gives_no_thread_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched()
    dispatcher = Dispatcher(watched.perform, 5)

    def none(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as scarce:
        scarce.setattr(threading.Thread, "start", none)
        with pytest.raises(RuntimeError, match="new thread"):
            dispatcher.submit("a", ("a", 1))
    dispatcher.submit("a", ("a", 2))
    assert dispatcher.wait(PATIENCE)
    dispatcher.close()
    assert watched.order == {"a": [1, 2]}
