"""Sending, on a thread of its own: whoever has something to send goes on at once.

An outbox belongs to a destination, not to a run: what one run could not send while the destination was away goes on
after the run, and the next run's waits behind it. Its thread ends when nothing is left.
"""

from __future__ import annotations

import atexit
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from weakref import WeakValueDictionary

from odibi_alerts.refusals import Refused, TryAgain

MOST = 100
"""Notices that wait at most; further ones are dropped, and counted in a log line."""

PATIENCE = 5.0
"""Seconds that the end of the process waits for what is still to be sent."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
"""Seconds before the second attempt, which double from one to the next, and their bound."""

_log = logging.getLogger("odibi.alerts")
_lock = threading.Lock()
_random = random.SystemRandom()
"""Of our own: what others draw from the module's is to be the same whether something is sent or not."""
_ended = threading.Event()
_outboxes: WeakValueDictionary[Hashable, Outbox] = WeakValueDictionary()


class Outbox:
    """What is to be sent to one destination, in order.

    Args:
        name: for log lines.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._jobs: deque[Callable[[], None]] = deque()
        self._changed = threading.Condition()
        self._serving = False
        self._dropped = 0

    def put(self, job: Callable[[], None]) -> None:
        """Add something to send; it must not raise."""
        with self._changed:
            if len(self._jobs) >= MOST:
                self._dropped += 1
                return
            self._jobs.append(job)
            if self._serving:
                return
            self._serving = True
        try:
            threading.Thread(target=self._serve, name=f"odibi-alerts-{self.name}", daemon=True).start()
        except RuntimeError:  # no thread can begin once the interpreter ends; the caller is a listener's, and may wait
            self._serve()

    def wait(self, patience: float) -> bool:
        """Whether all was sent, or given up, within ``patience`` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._serving, patience)

    def _serve(self) -> None:
        while True:
            with self._changed:
                dropped, self._dropped = self._dropped, 0
                if not self._jobs:
                    self._serving = False
                    self._changed.notify_all()
                    job = None
                else:
                    job = self._jobs.popleft()
            if dropped:
                _log.warning("%s: %d alerts were dropped, as %d were waiting", self.name, dropped, MOST)
            if job is None:
                return
            job()


def outbox_for(key: Hashable, name: str) -> Outbox:
    """The outbox of a destination, which all alerts with the same options share."""
    with _lock:
        found = _outboxes.get(key)
        if found is None:
            if not _outboxes:
                atexit.unregister(_at_exit)
                atexit.register(_at_exit)
            _outboxes[key] = found = Outbox(name)
        return found


def deliver(attempt: Callable[[float], None], *, timeout: float, deadline: float) -> None:
    """Try until it is sent, or the time is up.

    Args:
        attempt: sends within the seconds that it is given.
        timeout: seconds for each attempt.
        deadline: seconds for all of them, with the pauses between them.

    Raises:
        Refused: it can not be sent.
        TryAgain: the time is up.
    """
    until = time.monotonic() + deadline
    pause = FIRST_PAUSE
    while True:
        try:
            attempt(max(0.1, min(timeout, until - time.monotonic())))
        except TryAgain as error:
            rest = max(error.after, pause * _random.uniform(0.5, 1.0))
            if time.monotonic() + rest >= until:
                raise
            time.sleep(rest)
            pause = min(2 * pause, LONGEST_PAUSE)
        else:
            return


def attempted(name: str, what: str, attempt: Callable[[float], None], *, timeout: float, deadline: float) -> None:
    """Deliver, and log what could not be; see :func:`deliver`.

    Args:
        name: of the alert.
        what: is to be told, in words.
    """
    try:
        deliver(attempt, timeout=timeout, deadline=deadline)
        return
    except (Refused, TryAgain) as error:
        words = str(error)
    except Exception as error:
        # Words of an error that nobody foresaw could quote an address, which is a secret.
        words = type(error).__name__
    if not _ended.is_set():  # else it was given up, and what goes wrong then is the end of the process
        _log.warning("%s could not tell that %s: %s", name, what, words)


def settle(patience: float) -> list[str]:
    """Wait until everything was sent, or given up.

    Args:
        patience: seconds, for all of it together.

    Returns:
        The names of the outboxes that still have something.
    """
    until = time.monotonic() + patience
    return [each.name for each in list(_outboxes.values()) if not each.wait(max(0.0, until - time.monotonic()))]


def _at_exit() -> None:
    for name in settle(PATIENCE):
        _log.warning("%s: alerts are not sent yet after %g s, and are given up", name, PATIENCE)
    _ended.set()
