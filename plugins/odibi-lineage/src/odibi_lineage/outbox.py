"""Sending, on a thread of its own: a run goes on at once, whatever the server does.

An outbox belongs to a destination, not to a run. Its thread ends when nothing is left to send.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING

from odibi_lineage.transports import NotSent, Transport

if TYPE_CHECKING:
    from openlineage.client.event_v2 import RunEvent

    Make = Callable[[], RunEvent]
    """Makes an event, on the thread that sends it: the client is not imported before."""

MOST = 10_000
"""Events that wait at most; further ones are dropped, and counted in a log line."""

PATIENCE = 5.0
"""Seconds that the end of the process waits for what is still to be sent."""

FIRST_PAUSE = 0.5
"""Seconds before the second attempt at an event, which double from one to the next."""

MOST_OUTBOXES = 100
"""Destinations that are remembered, with whether they are away; those that were used longest ago are forgotten."""

AWAY = 30.0
"""Seconds for which nothing is sent to a destination that took no event for its deadline."""

_log = logging.getLogger("odibi.lineage")
_lock = threading.Lock()
_ended = threading.Event()
_outboxes: OrderedDict[Hashable, Outbox] = OrderedDict()


class Outbox:
    """What is to be sent to one destination, in order.

    Args:
        connect: makes what sends, when there is something to send.
        deadline: seconds for all attempts at one event.
    """

    def __init__(self, connect: Callable[[], Transport], deadline: float) -> None:
        self._connect = connect
        self._deadline = deadline
        self._waiting: deque[Make] = deque()
        self._changed = threading.Condition()  # on a lock that its holder may take again
        self._serving = False
        self._lost = 0
        self._away_until = 0.0

    def put(self, make: Make) -> None:
        """Add an event."""
        with self._changed:
            if len(self._waiting) >= MOST:
                self._lost += 1
                return
            self._waiting.append(make)
            if self._serving:
                return
            self._serving = True
        try:
            threading.Thread(target=self._serve, name="odibi-lineage", daemon=True).start()
        except RuntimeError:  # no thread can begin once the interpreter ends; the caller is a listener's, and may wait
            self._serve()

    def wait(self, patience: float) -> bool:
        """Whether all was sent, or given up, within ``patience`` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._serving, patience)

    def _serve(self) -> None:
        transport: Transport | None = None
        try:
            while (make := self._next()) is not None:
                try:
                    transport = transport or self._connect()
                    self._send(transport, make())
                except NotSent as error:
                    if error.again:
                        self._away_until = time.monotonic() + AWAY
                    self._lose(str(error))
                except Exception as error:
                    # Words of an error that nobody foresaw could quote a key.
                    self._lose(type(error).__name__)
        finally:
            if transport is not None:
                transport.close()

    @property
    def busy(self) -> bool:
        """Whether something is still to be sent."""
        return self._serving

    def report(self) -> None:
        """Log how many events were lost since the last report."""
        with self._changed:
            lost, self._lost = self._lost, 0
        if lost and not _ended.is_set():
            _log.warning("openlineage: %d events are lost", lost)

    def _lose(self, why: str) -> None:
        """Count an event that is lost; the first since the last report is logged with the reason."""
        with self._changed:
            self._lost += 1
            first = self._lost == 1
        if first and not _ended.is_set():  # else it was given up, and what goes wrong then is the end of the process
            _log.warning("openlineage: an event is not sent: %s", why)

    def _next(self) -> Make | None:
        with self._changed:
            if self._waiting and time.monotonic() < self._away_until:
                self._lost += len(self._waiting)
                self._waiting.clear()
            if self._waiting:
                return self._waiting.popleft()
            away = time.monotonic() < self._away_until
        if not away:  # else there would be a line an event
            self.report()
        with self._changed:
            if self._waiting:  # meanwhile
                return self._next()
            self._serving = False
            self._changed.notify_all()
        return None

    def _send(self, transport: Transport, event: RunEvent) -> None:
        until = time.monotonic() + self._deadline
        pause = FIRST_PAUSE
        while True:
            try:
                transport.emit(event)
            except NotSent as error:
                if not error.again or time.monotonic() + pause >= until:
                    raise
                time.sleep(pause)
                pause *= 2
            else:
                return


def outbox_for(key: Hashable, connect: Callable[[], Transport], deadline: float) -> Outbox:
    """The outbox of a destination, which all observers with the same options share."""
    with _lock:
        if not _outboxes:
            atexit.register(_at_exit)
        found = _outboxes.pop(key, None) or Outbox(connect, deadline)
        _outboxes[key] = found
        idle = [each for each, outbox in _outboxes.items() if not outbox.busy and each != key]
        for each in idle[: max(0, len(_outboxes) - MOST_OUTBOXES)]:
            del _outboxes[each]
        return found


def settle(patience: float) -> bool:
    """Whether everything was sent, or given up, within ``patience`` seconds."""
    until = time.monotonic() + patience
    return all(outbox.wait(max(0.0, until - time.monotonic())) for outbox in list(_outboxes.values()))


def report() -> None:
    """Log how many events were lost, of each destination."""
    for outbox in list(_outboxes.values()):
        outbox.report()


def _at_exit() -> None:
    settled = settle(PATIENCE)
    report()
    if not settled:
        _log.warning("openlineage: events are not sent yet after %g s, and are given up", PATIENCE)
    _ended.set()
