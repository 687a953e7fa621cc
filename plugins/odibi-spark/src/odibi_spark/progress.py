"""How far Spark is with what nodes asked of it."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from odibi.contracts.engine import Progress

if TYPE_CHECKING:
    from collections.abc import Callable

    Tell = Callable[[Progress], None]

_PAUSE = 0.5
"""Seconds between two looks at what is watched."""


class Watcher:
    """Looks at the jobs of the nodes that are watched, and tells what has changed; one thread, while there are any.

    Spark Connect tells by itself, on the thread of the node.

    Args:
        spark: gives the session.
        remote: whether it is one of Spark Connect.
    """

    def __init__(self, spark: Callable[[], Any], remote: Callable[[], bool]) -> None:
        self._spark = spark
        self._remote = remote
        self._watched: dict[str, Tell] = {}
        self._threads: dict[int, str] = {}
        self._last: dict[str, Progress] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._handled = False

    def watch(self, mark: str, tell: Tell) -> None:
        """Tell of the jobs with this mark."""
        with self._lock:
            self._watched[mark] = tell
            if self._remote():
                self._threads[threading.get_ident()] = mark
                if not self._handled:
                    self._handled = True
                    self._spark().registerProgressHandler(self._told)
            elif self._thread is None:
                self._thread = threading.Thread(target=self._look_around, name="odibi-spark-progress", daemon=True)
                self._thread.start()

    def forget(self, mark: str) -> None:
        """Tell no more of it; what it came to is told now."""
        with self._lock:
            tell = self._watched.pop(mark, None)
            self._last.pop(mark, None)
            for thread, each in list(self._threads.items()):
                if each == mark:
                    del self._threads[thread]
        if tell is not None and not self._remote():
            with suppress(Exception):  # the session is gone
                found = self._look(mark)
                if found is not None:
                    tell(found)

    def _look_around(self) -> None:
        idle = threading.Event()
        while True:
            idle.wait(_PAUSE)
            with self._lock:
                watched = dict(self._watched)
                if not watched:
                    self._thread = None
                    return
            for mark, tell in watched.items():
                with suppress(Exception):  # a node has come to its end, or the session has
                    found = self._look(mark)
                    if found is not None and self._last.get(mark) != found:
                        self._last[mark] = found
                        tell(found)

    def _look(self, mark: str) -> Progress | None:
        tracker = self._spark().sparkContext.statusTracker()
        done = total = 0
        detail = ""
        jobs = [info for info in map(tracker.getJobInfo, tracker.getJobIdsForGroup(mark)) if info is not None]
        for job in jobs:
            for number in job.stageIds:
                stage = tracker.getStageInfo(number)
                if stage is None:
                    continue
                total += stage.numTasks
                done += stage.numCompletedTasks
                if stage.numActiveTasks:
                    detail = f"stage {number}: {stage.name.split(' at ')[0]}"
        return Progress(done, total, "tasks", detail) if jobs else None

    def _told(self, stages: Any, inflight_tasks: int, operation_id: str | None, done: bool) -> None:  # noqa: ARG002
        mark = self._threads.get(threading.get_ident())
        tell = self._watched.get(mark) if mark is not None else None
        if tell is None or not stages:
            return
        tasks = sum(stage.num_tasks for stage in stages)
        completed = sum(stage.num_completed_tasks for stage in stages)
        tell(Progress(completed, tasks, "tasks", f"{inflight_tasks} running" if inflight_tasks else ""))
