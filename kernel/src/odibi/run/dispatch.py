"""Events on their way from nodes to those who watch.

A node's thread only appends to a queue. Each listener has a queue and a thread of its own, so that one that is slow,
or hangs, keeps neither the run nor the others.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from odibi.events import PluginFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from odibi.events import Event

MOST_FAILURES = 3
"""Errors in a row after which a listener is told nothing more."""

PATIENCE = 5.0
"""Seconds that the end of a run waits for a listener to catch up."""

_SHORTEST, _LONGEST = 0.005, 0.1  # seconds between looks into a queue, while it is busy and when it is not

_log = logging.getLogger("odibi.events")


class Listener:
    """One who watches: takes events from its queue on a thread of its own."""

    def __init__(self, name: str, handle: Callable[[Event], object], close: Callable[[], object] | None = None) -> None:
        self.name = name
        self.queue: deque[Event] = deque()
        self._handle = handle
        self._close = close
        self._failures = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve, name=f"odibi-listener-{name}", daemon=True)
        self.tell: Callable[[Event], object] = lambda _: None
        """Passes on that this listener failed."""

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def finish(self, patience: float) -> bool:
        """Handle what is left, and close; whether that was done within ``patience`` seconds."""
        self._over.set()
        self._thread.join(patience)
        return not self._thread.is_alive()

    def _serve(self) -> None:
        pause = _SHORTEST
        while True:
            over = self._over.is_set()
            if self._drain():
                pause = _SHORTEST
            elif over:
                break
            else:
                self._over.wait(pause)
                pause = min(pause * 1.5, _LONGEST)
        if self._close is not None:
            try:
                self._close()
            except Exception as error:
                _log.warning("%s failed to close: %s: %s", self.name, type(error).__name__, error)

    def _drain(self) -> bool:
        queue = self.queue
        if not queue:
            return False
        while queue:
            event = queue.popleft()
            if self._failures >= MOST_FAILURES:
                continue
            try:
                self._handle(event)
                self._failures = 0
            except Exception as error:
                self._failed(event, error)
        return True

    def _failed(self, event: Event, error: Exception) -> None:
        self._failures += 1
        cut_off = self._failures >= MOST_FAILURES
        if self._failures == 1 or cut_off:
            more = "; it is told nothing more" if cut_off else ""
            _log.warning("%s raised %s: %s%s", self.name, type(error).__name__, error, more)
        self.tell(PluginFailed(event.run_id, time.monotonic_ns(), time.time(), self.name, "handle", error, cut_off))


class Dispatch:
    """Tells every listener of a run."""

    def __init__(self, listeners: Sequence[Listener]) -> None:
        self._listeners = listeners
        for listener in listeners:
            others = [other.queue.append for other in listeners if other is not listener]
            listener.tell = _to_all(others)
        queues = [listener.queue.append for listener in listeners]
        self.emit: Callable[[Event], Any] | None = None
        """Takes an event; ``None`` when nobody listens, so that none need be made."""
        if queues:
            self.emit = queues[0] if len(queues) == 1 else _to_all(queues)

    def start(self) -> None:
        """Begin to listen."""
        for listener in self._listeners:
            listener.start()

    def finish(self) -> None:
        """Let all catch up, and close them; one that hangs is left behind."""
        deadline = time.monotonic() + PATIENCE
        for listener in self._listeners:
            if not listener.finish(max(0.0, deadline - time.monotonic())):
                _log.warning("%s has not caught up after %g s; the run ends without it", listener.name, PATIENCE)


def _to_all(appends: Sequence[Callable[[Event], object]]) -> Callable[[Event], None]:
    def tell(event: Event) -> None:
        for append in appends:
            append(event)

    return tell
