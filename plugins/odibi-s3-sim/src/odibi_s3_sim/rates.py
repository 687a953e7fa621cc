"""How many requests a prefix takes a second before S3 answers ``503 SlowDown``."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from odibi_s3_sim.faults import WRITES

if TYPE_CHECKING:
    from odibi_s3_sim.clock import Clock

WRITES_PER_SECOND = 3500.0
READS_PER_SECOND = 5500.0
"""For each prefix; from "Best practices design patterns: optimizing Amazon S3 performance" in its user guide."""

_MANY = 10_000
"""Prefixes to keep in mind; those that are at rest are forgotten beyond that."""


class RateLimits:
    """A token bucket for the reads and one for the writes of each prefix.

    A prefix is what stands before the last ``/`` of a key. S3 splits busy prefixes further over minutes; a simulation
    that did the same would hide the throttling that pipelines meet.

    Args:
        clock: on which they fill up.
        writes, reads: requests a second; a bucket holds as many as come in one second.
    """

    def __init__(self, clock: Clock, writes: float = WRITES_PER_SECOND, reads: float = READS_PER_SECOND) -> None:
        self._clock = clock
        self._rates = {True: writes, False: reads}
        self._left: dict[tuple[str, bool], tuple[float, float]] = {}
        self._lock = threading.Lock()

    def admits(self, operation: str, key: str) -> bool:
        """Whether a request is within the limits; it then counts."""
        writes = operation in WRITES
        rate = self._rates[writes]
        name = (key.rpartition("/")[0], writes)
        with self._lock:
            now = self._clock.monotonic()
            left, then = self._left.get(name, (rate, now))
            left = min(rate, left + (now - then) * rate)
            admitted = left >= 1
            self._left[name] = (left - 1 if admitted else left, now)
            if len(self._left) > _MANY:
                self._left = {each: state for each, state in self._left.items() if now - state[1] < 1}
        return admitted
