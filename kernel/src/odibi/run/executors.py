"""The executors that need nothing but this process."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping  # the types of a component's fields are looked up at run time
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from odibi.contracts.options import option

if TYPE_CHECKING:
    from odibi.contracts.executor import Work


def default_workers() -> int:
    """Workers when nobody says how many: enough to overlap reading with computing, few enough for the memory."""
    return min(8, max(4, os.cpu_count() or 1))


def _at_least_one(_: object, field: attrs.Attribute[int], value: int) -> None:
    if value < 1:
        raise ValueError(f"{field.name} must be at least 1")


@attrs.define
class InlineExecutor:
    """Runs one node after another in the thread that called; for debuggers, profilers and small machines."""

    capabilities: ClassVar[Mapping[str, str]] = {"parallel": "none"}

    def drain(self, work: Work) -> None:
        """Take tasks and report outcomes until nothing is left."""
        task = work.take()
        while task is not None:
            task = work.report(task, task.run()) or work.take()

    def fetch(self, ref: Any) -> Any:
        """The value itself: it never left this process."""
        return ref

    def close(self) -> None:
        """Nothing to let go."""


@attrs.define
class ThreadsExecutor:
    """Runs ready nodes on threads of this process; the thread that called is one of them."""

    workers: int = option(
        factory=default_workers,
        help="How many nodes may run at once.",
        aliases=("max_workers",),
        validator=_at_least_one,
    )

    def drain(self, work: Work) -> None:
        """Take tasks and report outcomes until nothing is left.

        A thread is started only when a worker sees more tasks than it can take: a chain never pays for a second one.
        """
        _Crew(work, self.workers).work()

    def fetch(self, ref: Any) -> Any:
        """The value itself: it never left this process."""
        return ref

    def close(self) -> None:
        """Nothing to let go: threads end with :meth:`drain`."""


class _Crew:
    """The workers of one drain."""

    def __init__(self, work: Work, size: int) -> None:
        self._queue = work
        self._free = size - 1
        self._threads: list[tuple[threading.Thread, threading.Event]] = []
        self._lock = threading.Lock()

    def work(self) -> None:
        try:
            self._loop()
            self._join()
        except BaseException as error:
            self._queue.abandon(error)
            self._join()  # what runs may finish, wherever the interrupt came; a second one leaves it behind
            raise

    def _join(self) -> None:
        # Threads start threads, so the list may grow while it is walked.
        for thread, ended in self._threads:
            ended.wait()  # a join() that is interrupted takes its thread for ended from then on (CPython before 3.13)
            if thread.ident is not None:
                thread.join()

    def _loop(self) -> None:
        queue = self._queue
        task = queue.take()
        while task is not None:
            if self._free and queue.ready():
                self._hire()
            task = queue.report(task, task.run()) or queue.take()

    def _hire(self) -> None:
        with self._lock:
            if not self._free:
                return
            self._free -= 1
            ended = threading.Event()
            name = f"odibi-worker-{len(self._threads) + 2}"
            thread = threading.Thread(target=self._serve, args=(ended,), name=name)
            self._threads.append((thread, ended))
        try:
            thread.start()
        except RuntimeError:  # the system gives no more threads
            ended.set()
            raise

    def _serve(self, ended: threading.Event) -> None:
        try:
            self._loop()
        except BaseException as error:
            self._queue.abandon(error)
        finally:
            ended.set()
