"""Time, in one place, so that a test can turn it."""

from __future__ import annotations

import threading
import time as wall
from collections.abc import Callable

import attrs


@attrs.define
class Clock:
    """The clocks of this machine.

    Attributes:
        time: seconds since the epoch, UTC; may jump, and differs from other machines'.
        monotonic: seconds since some moment that all processes of this machine share; never jumps.
        sleep: lets seconds pass.
    """

    time: Callable[[], float] = wall.time
    monotonic: Callable[[], float] = wall.monotonic
    sleep: Callable[[float], None] = wall.sleep


class Stamps:
    """A logical clock (Lamport, "Time, clocks, and the ordering of events in a distributed system", 1978).

    A stamp is greater than any that was taken or seen before here, and near the time of day in microseconds. So what
    one machine writes after having seen what another wrote is the newer of the two, wherever their clocks stand.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = 0
        self._lock = threading.Lock()

    @property
    def last(self) -> int:
        """The greatest so far."""
        return self._last

    def take(self) -> int:
        """The next stamp."""
        with self._lock:
            self._last = max(self._last + 1, int(self._clock.time() * 1_000_000))
            return self._last

    def see(self, stamp: int) -> None:
        """Learn of a stamp that another process took."""
        with self._lock:
            self._last = max(self._last, stamp)
