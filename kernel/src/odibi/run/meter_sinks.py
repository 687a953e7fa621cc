"""Measurements on their way from runs to a sink.

Each sink has a queue and a thread of its own, for as long as the project is open: one that is slow, or hangs, keeps
neither a run nor the other sinks.
"""

from __future__ import annotations

import logging
import threading
import time
from queue import SimpleQueue
from typing import TYPE_CHECKING

import attrs

from odibi.run.dispatch import HANGS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from odibi.contracts.metric import Measurement, MetricSink

MOST_FAILURES = 3
"""Errors in a row after which a method of a sink is not called for a while."""

LEFT_ALONE = 300.0
"""Seconds for which it is; a service that runs for months must not go without it for ever."""

BACKLOG = 256
"""So many batches of measurements may wait for a sink; what comes when there are more is dropped, and counted."""

TOGETHER = 32
"""So many runs that have ended wait at most for one flush that is for all of them."""

_log = logging.getLogger("odibi.metrics")


class _Close:
    """Says that nothing more comes."""


@attrs.define(eq=False)
class _Calls:
    """How calls of one method go: a sink that cannot send what it has may well be told more, and send it later.

    Attributes:
        hook: the method.
        failures: how many failed in a row.
        until: when it is called again, in seconds of the clock; ``None`` if it is not left alone.
    """

    hook: str
    failures: int = 0
    until: float | None = None


class SinkThread:
    """Gives measurements to one sink.

    Args:
        name: of the sink, for warnings.
        sink: what takes them; it is closed with this.
        failed: told what was called (``record``, ``flush`` or ``close``) when that raised.
        dropped: told how many measurements the sink never gets.
        redact: masks secrets in a text.
        now: the time, in seconds on a monotonic clock.
    """

    def __init__(
        self,
        name: str,
        sink: MetricSink,
        *,
        failed: Callable[[str], object],
        dropped: Callable[[int], object],
        redact: Callable[[str], str],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.sink = sink
        self._failed, self._dropped, self._redact, self._now = failed, dropped, redact, now
        self._queue: SimpleQueue[Sequence[Measurement] | threading.Event | _Close] = SimpleQueue()
        self._records, self._flushes = _Calls("record"), _Calls("flush")
        self._awaited: tuple[float, threading.Event] | None = None
        self._full = False
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name=f"odibi-sink-{name}", daemon=True)
        self._thread.start()

    def put(self, measurements: Sequence[Measurement]) -> None:
        """Let the sink have measurements when its turn comes; returns at once."""
        if self._closed:
            return
        if self._queue.qsize() < BACKLOG:
            self._full = False
            self._queue.put(measurements)
            return
        if not self._full:
            self._full = True
            _log.warning("the metric sink %s does not keep up; what is measured meanwhile is dropped", self.name)
        self._dropped(len(measurements))

    def flush(self) -> threading.Event:
        """Let it send what it holds back; returns at once, with what is set when that is done.

        Of a sink that has been at it for long already nobody need wait for more: what is given back is set.
        """
        done = threading.Event()
        if self._closed or self._queue.qsize() >= BACKLOG:
            done.set()
            return done
        self._queue.put(done)
        now = self._now()
        if self._awaited is None or self._awaited[1].is_set():
            self._awaited = (now, done)
        elif now - self._awaited[0] > HANGS:
            done = threading.Event()
            done.set()
        return done

    def close(self) -> None:
        """Close the sink once it has taken what waits; :meth:`join` waits for that. May be called twice."""
        if not self._closed:
            self._closed = True
            self._queue.put(_Close())

    def join(self, patience: float) -> bool:
        """Whether it was closed within so many seconds."""
        self._thread.join(patience)
        return not self._thread.is_alive()

    def _serve(self) -> None:
        ended: list[threading.Event] = []
        while True:
            what = self._queue.get()
            if isinstance(what, _Close):
                self._call(_Calls("close"), self.sink.close)  # which flushes
                _set(ended)
                return
            if isinstance(what, threading.Event):
                ended.append(what)
            elif self._left_alone(self._records):
                self._dropped(len(what))
            else:
                self._call(self._records, lambda what=what: self.sink.record(what))  # type: ignore[misc]
            # In a service in which many runs end at once, one flush is for all of them.
            if ended and (self._queue.empty() or len(ended) >= TOGETHER):
                if not self._left_alone(self._flushes):
                    self._call(self._flushes, self.sink.flush)
                _set(ended)
                ended = []

    def _left_alone(self, calls: _Calls) -> bool:
        if calls.until is not None and self._now() >= calls.until:
            calls.until, calls.failures = None, 0
        return calls.until is not None

    def _call(self, calls: _Calls, call: Callable[[], object]) -> None:
        try:
            call()
        except Exception as error:
            calls.failures += 1
            cut_off = calls.failures >= MOST_FAILURES
            if calls.failures == 1 or cut_off:
                words = self._redact(f"{type(error).__name__}: {error}")
                more = f"; it is not asked to for {LEFT_ALONE:g} s" if cut_off else ""
                _log.warning("the metric sink %s failed to %s: %s%s", self.name, calls.hook, words, more)
            if cut_off:
                calls.until = self._now() + LEFT_ALONE
            self._failed(calls.hook)
        else:
            calls.failures = 0


def _set(events: Sequence[threading.Event]) -> None:
    for each in events:
        each.set()
