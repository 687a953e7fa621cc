"""How much processor time and memory nodes take: looked at only if an observer asks."""

from __future__ import annotations

import os
import threading
from time import thread_time_ns
from typing import TYPE_CHECKING, Any

from odibi.contracts.executor import Usage
from odibi.run.task import Produced

if TYPE_CHECKING:
    from odibi.run.task import Body, NodeTask

LOOK = 0.02
"""Seconds between two looks at the memory of the process: 15 us each."""

_STATM = "/proc/self/statm"


class _Peak:
    """The most that was seen since it was begun."""

    __slots__ = ("bytes",)

    def __init__(self, now: int | None) -> None:
        self.bytes = now


class UsageWatch:
    """Watches the process while nodes run.

    The resident memory of the process is read from Linux's ``/proc`` on a thread of its own; elsewhere it is not known.
    """

    def __init__(self) -> None:
        self._peaks: set[_Peak] = set()
        self._now = _resident()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="odibi-usage", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        if self._now is not None:
            self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()

    def around(self, body: Body) -> Body:
        """A body that says what it took; where it fails, nothing is said."""

        def measured(task: NodeTask) -> Any:
            peak = _Peak(self._now)
            self._peaks.add(peak)
            begin = thread_time_ns()
            try:
                value = body(task)
            finally:
                cpu = thread_time_ns() - begin
                self._peaks.discard(peak)
            usage = Usage(cpu / 1e9, peak.bytes)
            if type(value) is Produced:
                value.usage = usage
                return value
            return Produced(value, usage=usage)

        return measured

    def _look(self) -> None:
        while not self._over.wait(LOOK):
            now = self._now = _resident()
            if now is None:
                return
            for peak in tuple(self._peaks):
                if peak.bytes is None or peak.bytes < now:
                    peak.bytes = now


def _resident() -> int | None:
    """Bytes of the process that are in memory; ``None`` where the system does not tell in this way."""
    try:
        with open(_STATM, "rb") as file:  # noqa: PTH123 - read fifty times a second
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None
