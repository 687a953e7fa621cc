"""Which job runs next, and on which thread: at most one at a time in a lane, and so many at a time in all."""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

_log = logging.getLogger("odibi.service")

J = TypeVar("J")


class Lane(Generic[J]):
    """Jobs that must not run at once, in the order in which they came.

    Attributes:
        name: what they have in common: a pipeline.
        running: the one that runs.
        waiting: those that will.
    """

    __slots__ = ("name", "running", "waiting")

    def __init__(self, name: Hashable) -> None:
        self.name = name
        self.running: J | None = None
        self.waiting: deque[J] = deque()


class Dispatcher(Generic[J]):
    """Runs jobs on threads of its own, which take the next one as soon as they are free.

    Args:
        perform: does a job; what it raises is logged.
        size: how many jobs may run at once.
    """

    def __init__(self, perform: Callable[[J], None], size: int) -> None:
        self._perform = perform
        self._size = size
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._news = threading.Condition(self._lock)
        self._lanes: dict[Hashable, Lane[J]] = {}
        self._ready: deque[Lane[J]] = deque()
        self._threads: list[threading.Thread] = []
        self._free = 0
        self._held = False
        self._closed = False
        self._called = False

    def submit(self, lane: Hashable, job: J) -> None:
        """Let a job run once those before it in its lane are done."""
        with self._lock:
            found = self._lanes.get(lane)
            if found is None:
                found = self._lanes[lane] = Lane(lane)
                self._ready.append(found)
            found.waiting.append(job)
            self._call()

    def lane(self, name: Hashable) -> tuple[J | None, list[J]]:
        """What runs in a lane, and what waits there."""
        with self._lock:
            found = self._lanes.get(name)
            return (None, []) if found is None else (found.running, list(found.waiting))

    def withdraw(self, lane: Hashable, unwanted: Callable[[J], bool]) -> list[J]:
        """Take jobs that wait out of a lane; gives those that were taken out."""
        with self._lock:
            found = self._lanes.get(lane)
            if found is None:
                return []
            gone = [job for job in found.waiting if unwanted(job)]
            found.waiting = deque(job for job in found.waiting if not unwanted(job))
            return gone

    def running(self) -> list[J]:
        """The jobs that run."""
        with self._lock:
            return [lane.running for lane in self._lanes.values() if lane.running is not None]

    def hold(self) -> None:
        """Begin no more jobs; those that wait are dropped."""
        with self._lock:
            self._held = True
            for lane in self._lanes.values():
                lane.waiting.clear()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until nothing runs and nothing waits; whether that came about in time."""
        with self._lock:
            return self._idle.wait_for(lambda: not self._lanes, timeout)

    def close(self) -> None:
        """End the threads once they are free; call :meth:`hold` and :meth:`wait` first."""
        self.hold()
        with self._lock:
            self._closed = True
            self._news.notify_all()
        for thread in self._threads:
            thread.join()

    def _call(self) -> None:
        """Have one more thread come for what is ready, if there is one that has nothing to do.

        One at a time: whoever comes calls the next. When very many jobs are submitted at once, threads that are all
        awake would wait for each other, and keep the one that submits from going on.
        """
        if self._called or not self._ready:
            return
        if self._free:
            self._free -= 1
            self._called = True
            self._news.notify()
        elif len(self._threads) < self._size:
            name = f"odibi-service-{len(self._threads) + 1}"
            thread = threading.Thread(target=self._work, name=name, daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the system has no more of them
                if not self._threads:
                    raise
                return  # those that are there do it, once they are free
            self._threads.append(thread)
            self._called = True

    def _work(self) -> None:
        lane: Lane[J] | None = None
        while (taken := self._next(lane)) is not None:
            lane, job = taken
            try:
                self._perform(job)
            except Exception:
                _log.exception("a job of the service failed")

    def _next(self, done: Lane[J] | None) -> tuple[Lane[J], J] | None:
        """Put back the lane whose job is done, and wait for one that is ready, with its job; ``None`` at the end.

        Both at once, as every look at the lock may have to wait for whoever has it: when very many jobs come up in one
        moment, that is most of what they cost.
        """
        with self._lock:
            if done is None:
                self._called = False
            else:
                done.running = None
                if done.waiting and not self._held:
                    self._ready.append(done)  # behind the lanes that have waited longer
                else:
                    self._leave(done)
            while True:
                while self._ready:
                    lane = self._ready.popleft()
                    if lane.waiting and not self._held:
                        job = lane.running = lane.waiting.popleft()
                        self._call()
                        return lane, job
                    self._leave(lane)
                if self._closed:
                    return None
                self._free += 1
                self._news.wait()
                self._called = False

    def _leave(self, lane: Lane[J]) -> None:
        self._lanes.pop(lane.name, None)
        if not self._lanes:
            self._idle.notify_all()
