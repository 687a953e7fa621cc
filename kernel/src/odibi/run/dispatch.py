"""Events on their way from nodes to those who watch.

A node's thread only appends to a queue. Each listener has a queue and a thread of its own, so that one that is slow,
or hangs, keeps neither the run nor the others. The run's end waits for those whom its caller gave, who want to have
been told when it is over; of those whom the project or a plugin brings it waits a moment, and they go on by themselves.
"""

from __future__ import annotations

import atexit
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
"""Seconds that the end of a run waits for the listeners of its caller, and the end of the process for all others."""

HANGS = 1.0
"""Seconds without an event handled after which a listener of a run that is over counts as hanging."""

MOMENT = 0.25
"""Seconds that the end of a run waits for the other listeners to catch up, all of them together."""

_SHORTEST, _LONGEST = 0.005, 0.1  # seconds between looks into a queue, while it is busy and when it is not

_log = logging.getLogger("odibi.events")


class Listener:
    """One who watches: takes events from its queue on a thread of its own.

    Args:
        name: for warnings.
        handle: takes an event.
        close: called after the last one.
        awaited: whether the run's end waits until it has caught up.
    """

    def __init__(
        self,
        name: str,
        handle: Callable[[Event], object],
        close: Callable[[], object] | None = None,
        *,
        awaited: bool = True,
    ) -> None:
        self.name = name
        self.awaited = awaited
        self.queue: deque[Event] = deque()
        self._handle = handle
        self._close = close
        self._failures = 0
        self._left: tuple[float, int] | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve, name=f"odibi-listener-{name}", daemon=True)
        self.tell: Callable[[Event], object] = lambda _: None
        """Passes on that this listener failed."""

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def end(self) -> None:
        """Say that nothing more comes: what is left is handled, and then it closes."""
        self._over.set()

    def join(self, patience: float) -> bool:
        """Whether all was handled within ``patience`` seconds."""
        if self._thread.ident is not None:
            self._thread.join(patience)
        return not self._thread.is_alive()

    def leave(self) -> None:
        """Say that nobody waits for it any more."""
        self._left = (time.monotonic(), len(self.queue))

    @property
    def hangs(self) -> bool:
        """Whether nobody waits for it any more, and it has not got on for longer than it should."""
        if self._left is None or not self._thread.is_alive():
            return False
        since, waiting = self._left
        if len(self.queue) < waiting:
            self.leave()
            return False
        return time.monotonic() - since > HANGS

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
        awaited = [listener for listener in self._listeners if listener.awaited]
        others = [listener for listener in self._listeners if not listener.awaited]
        for listener in others:
            listener.end()
        deadline = time.monotonic() + MOMENT
        for listener in others:
            if not listener.join(max(0.0, deadline - time.monotonic())):
                _leave(listener)
        deadline = time.monotonic() + PATIENCE
        for listener in awaited:
            listener.end()  # one after another, as those that come later are told that it failed
            if not listener.join(max(0.0, deadline - time.monotonic())):
                _log.warning("%s has not caught up after %g s; the run ends without it", listener.name, PATIENCE)


_late: set[Listener] = set()
"""Listeners of runs that are over, which have not caught up."""


def _leave(listener: Listener) -> None:
    if not _late:
        # Registered as late as this, so that it runs before whatever closes the things that listeners write to.
        atexit.unregister(_at_exit)
        atexit.register(_at_exit)
    listener.leave()
    _late.add(listener)


def settle(patience: float) -> list[str]:
    """Wait until all listeners have caught up that the ends of runs have not waited for.

    Args:
        patience: seconds, for all of them together.

    Returns:
        The names of those that still have not.
    """
    deadline = time.monotonic() + patience
    for listener in tuple(_late):
        if listener.join(max(0.0, deadline - time.monotonic())):
            _late.discard(listener)
    return sorted({listener.name for listener in _late})


def _at_exit() -> None:
    for name in settle(PATIENCE):
        _log.warning("%s has not caught up after %g s, and is left behind", name, PATIENCE)


def _to_all(appends: Sequence[Callable[[Event], object]]) -> Callable[[Event], None]:
    def tell(event: Event) -> None:
        for append in appends:
            append(event)

    return tell
