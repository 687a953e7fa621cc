"""The clocks that a simulation can run on."""

from __future__ import annotations

import threading
import time
from typing import Literal, Protocol, cast

import attrs


class Clock(Protocol):
    """Tells the time, and lets it pass."""

    def time(self) -> float:
        """Seconds since the epoch, for the dates of objects."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        ...


@attrs.frozen
class RealClock:
    """The machine's: who waits, waits."""

    def time(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds since some moment."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Sleep."""
        if seconds > 0:
            time.sleep(seconds)


class VirtualClock:
    """A clock on which waiting takes no time: it is put forward instead.

    Waits of several threads add up, as if one came after another. Dates are not moved by it, as objects that other
    processes see would otherwise come from the future.

    Args:
        start: where it begins, in seconds since the epoch; it then moves by waiting alone, dates as well. Without one
            it moves with the machine's clock, too.
    """

    def __init__(self, start: float | None = None) -> None:
        self._start = start
        self._waited = 0.0
        self._lock = threading.Lock()

    @property
    def waited(self) -> float:
        """Seconds by which waiting has put it forward."""
        return self._waited

    def time(self) -> float:
        """Seconds since the epoch."""
        return time.time() if self._start is None else self._start + self._waited

    def monotonic(self) -> float:
        """Seconds since some moment."""
        return (time.monotonic() if self._start is None else self._start) + self._waited

    def sleep(self, seconds: float) -> None:
        """Put it forward."""
        if seconds > 0:
            with self._lock:
                self._waited += seconds


def clock_of(kind: Literal["virtual", "real"]) -> Clock:
    """The clock that an option names."""
    return RealClock() if kind == "real" else cast("Clock", VirtualClock())
