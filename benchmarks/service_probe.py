"""Who is how late, in a process of its own; JSON to stdout.

``python -m benchmarks.service_probe due WHO COUNT`` lets so many schedules come up in one moment.
``python -m benchmarks.service_probe serve STORE COUNT LEAST MOST SECONDS`` lets a whole service run on one core, with
so many triggers whose intervals lie between two numbers of seconds.
"""

from __future__ import annotations

import heapq
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import odibi
from odibi.api import LoadedProject
from odibi.model import Checkpoints, Node, Pipeline, Project, Trigger
from odibi.service.dispatch import Dispatcher
from odibi.service.jobs import Job
from odibi.service.service import Service
from odibi.service.timers import Timers, moment_of

WORKERS = 10
PATIENCE = 120.0
LEAD = 0.5
"""Seconds from the last schedule that is set to the moment at which all of them come up."""

Fire = Callable[[float, int], "Lateness"]
"""Lets so many schedules come up at a moment."""


class Lateness:
    """How long after a moment each call came.

    Attributes:
        moment: in seconds since the epoch.
        seconds: in the order of the calls.
    """

    def __init__(self, lead: float, count: int) -> None:
        self.moment = time.time() + lead
        self.seconds: list[float] = []
        self._count = count
        self._all = threading.Event()

    def __call__(self) -> None:
        self.seconds.append(time.time() - self.moment)
        if len(self.seconds) >= self._count:
            self._all.set()

    def come(self) -> None:
        """Return at the moment."""
        threading.Event().wait(max(0.0, self.moment - time.time()))

    def wait(self) -> None:
        """Return after the last call."""
        if not self._all.wait(PATIENCE):
            raise RuntimeError(f"{len(self.seconds):,} of {self._count:,} have begun")


def main() -> None:
    """Do what is asked for, and say what was seen."""
    what, *more = sys.argv[1:]
    if what == "due":
        who, count = more
        print(json.dumps(_due(who, int(count))))
    else:
        store, count, least, most, seconds = more
        print(json.dumps(_serve(store, int(count), float(least), float(most), float(seconds))))


# --- all in one moment ------------------------------------------------------------------------------------------------


def _due(who: str, count: int) -> list[float]:
    """How late each of them is; what begins its threads is not counted."""
    with WHO[who]() as fire:
        fire(LEAD, WORKERS * 10).wait()
        late = fire(LEAD + count / (1_000 if who == "apscheduler" else 50_000), count)
        late.wait()
    return late.seconds


@contextmanager
def _odibi() -> Iterator[Fire]:
    """Timers and a dispatcher, as the service has them: each schedule in a lane of its own."""
    dispatcher: Dispatcher[Lateness] = Dispatcher(lambda job: job(), WORKERS)
    timers: Timers[int] = Timers()

    def fire(lead: float, count: int) -> Lateness:
        late = Lateness(lead, count)
        timers.fill((at, moment_of(late.moment)) for at in range(count))
        late.come()
        for at, _ in timers.due(time.time()):
            dispatcher.submit(at, late)
        return late

    yield fire
    dispatcher.wait(PATIENCE)
    dispatcher.close()


@contextmanager
def _pool() -> Iterator[Fire]:
    """A heap and a thread pool."""
    with ThreadPoolExecutor(WORKERS) as pool:

        def fire(lead: float, count: int) -> Lateness:
            late = Lateness(lead, count)
            heap = [(late.moment, at) for at in range(count)]
            late.come()
            while heap:
                heapq.heappop(heap)
                pool.submit(late)
            return late

        yield fire


@contextmanager
def _apscheduler() -> Iterator[Fire]:
    """APScheduler 3 with its memory store and its thread pool; jobs that are late are run whatever the time."""
    from apscheduler.executors.pool import ThreadPoolExecutor as Pool  # type: ignore[import-untyped]
    from apscheduler.schedulers.background import BackgroundScheduler  # type: ignore[import-untyped]

    scheduler = BackgroundScheduler(
        executors={"default": Pool(WORKERS)}, job_defaults={"misfire_grace_time": None}, timezone=UTC
    )
    scheduler.start()

    def fire(lead: float, count: int) -> Lateness:
        late = Lateness(lead, count)
        scheduler.pause()  # each job that is added would wake it
        for _ in range(count):
            scheduler.add_job(late, "date", run_date=datetime.fromtimestamp(late.moment, UTC))
        if time.time() > late.moment - LEAD / 5:
            raise RuntimeError("the moment came before all jobs were added")
        scheduler.resume()
        return late

    yield fire
    scheduler.shutdown()


WHO: dict[str, Callable[[], AbstractContextManager[Fire]]] = {
    "odibi": _odibi,
    "pool": _pool,
    "apscheduler": _apscheduler,
}


# --- a whole service --------------------------------------------------------------------------------------------------


class Watched(Service):
    """A service that notes when its threads take up what moment."""

    begun: list[tuple[float, float]]

    def _perform(self, job: Job) -> None:
        if job.moment is not None:
            self.begun.append((job.moment.timestamp(), time.time()))
        super()._perform(job)


def _serve(store: str, count: int, least: float, most: float, seconds: float) -> dict[str, Any]:
    """Serve a project for some seconds; gives the CPU time, and for each moment the delay of thread and node."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    called: list[tuple[float, float]] = []

    def node(trigger: Any) -> int:
        called.append((datetime.fromisoformat(trigger["moment"]).timestamp(), time.time()))
        return len(called)

    with tempfile.TemporaryDirectory() as folder:
        service = Watched([_project(store, Path(folder), node, _intervals(count, least, most))])
        service.begun = []
        service.start()
        try:
            _wait_for(lambda: sum(each.next is not None for each in service.status()) == count)
            begin, cpu, wall = time.time(), time.process_time(), time.perf_counter()
            time.sleep(seconds)  # what is measured is what goes on meanwhile
            cpu, wall, end = time.process_time() - cpu, time.perf_counter() - wall, time.time()
        finally:
            service.stop()
    return {
        "dispatch": _delays(service.begun, begin, end),
        "node": _delays(called, begin, end),
        "cpu": cpu,
        "wall": wall,
    }


def _delays(found: Sequence[tuple[float, float]], begin: float, end: float) -> list[float]:
    return [at - moment for moment, at in list(found) if begin <= moment < end]


def _intervals(count: int, least: float, most: float) -> list[float]:
    return [least + (most - least) * at / count for at in range(count)]


def _project(store: str, folder: Path, function: Callable[..., Any], intervals: Sequence[float]) -> LoadedProject:
    """One trigger a pipeline, and one node in each."""
    now = time.time()
    triggers, pipelines = {}, []
    for at, seconds in enumerate(intervals):
        # The first fires lie apart by the same step, over the shortest of the intervals from its half on.
        anchor = moment_of(now + min(intervals) * (0.5 + at / len(intervals))).isoformat()
        name = f"t{at}"
        triggers[name] = Trigger("interval", (f"p{at}",), options={"every": seconds, "anchor": anchor})
        pipelines.append(Pipeline(f"p{at}", (Node("n", (name,), function, arguments={"trigger": name}, version="1"),)))
    options = {"path": str(folder / "runs.db")} if store == "sqlite" else {}
    project = Project(
        "benchmark",
        root=folder,
        engine=None,
        checkpoints=Checkpoints(store, options=options),
        pipelines=tuple(pipelines),
        triggers=triggers,
    )
    return LoadedProject(project, host=odibi.Host([MemoryStore]))


class MemoryStore:
    """A plugin: the kit's checkpoint store, which keeps everything in memory."""

    @staticmethod
    @odibi.hookimpl
    def odibi_checkpoints() -> dict[str, str]:
        return {"memory": "odibi.testing.reference.checkpoint:MemoryCheckpoints"}


def _wait_for(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            raise RuntimeError("the service does not begin")
        time.sleep(0.02)


if __name__ == "__main__":
    main()
