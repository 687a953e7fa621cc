"""Moments to come, of any number of schedules: one heap, and no thread."""

from __future__ import annotations

import heapq
import itertools
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

K = TypeVar("K", bound="Hashable")


class Timers(Generic[K]):
    """What is to happen when, the soonest first.

    A key has one moment at most. What is set anew, or taken out, stays in the heap and is passed over when it comes up,
    as taking it out would cost a look at all.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, K, datetime]] = []
        self._current: dict[K, tuple[int, float]] = {}
        self._numbers = itertools.count()

    def set(self, key: K, moment: datetime) -> None:
        """Let ``key`` come up at a moment, and at no other."""
        number, seconds = next(self._numbers), moment.timestamp()
        self._current[key] = (number, seconds)
        heapq.heappush(self._heap, (seconds, number, key, moment))

    def fill(self, moments: Iterator[tuple[K, datetime]]) -> None:
        """Set many at once: a heap is built faster than it grows."""
        for key, moment in moments:
            number, seconds = next(self._numbers), moment.timestamp()
            self._current[key] = (number, seconds)
            self._heap.append((seconds, number, key, moment))
        heapq.heapify(self._heap)

    def drop(self, key: K) -> None:
        """Let ``key`` come up no more."""
        self._current.pop(key, None)

    def next(self) -> float | None:
        """When the next one comes up, in seconds since the epoch."""
        heap = self._heap
        while heap:
            if self._is_current(heap[0][2], heap[0][1]):
                return heap[0][0]
            heapq.heappop(heap)
        return None

    def due(self, now: float) -> Iterator[tuple[K, datetime]]:
        """What comes up until ``now`` (seconds since the epoch), in order; each is taken out as it is given.

        What is set meanwhile, to a moment until ``now``, comes up as well.
        """
        heap = self._heap
        while heap and heap[0][0] <= now:
            _, number, key, moment = heapq.heappop(heap)
            if self._is_current(key, number):
                del self._current[key]
                yield key, moment

    def when(self, key: K) -> float | None:
        """When ``key`` comes up, in seconds since the epoch; ``None`` if it does not."""
        found = self._current.get(key)
        return None if found is None else found[1]

    def _is_current(self, key: K, number: int) -> bool:
        found = self._current.get(key)
        return found is not None and found[0] == number

    def __len__(self) -> int:
        return len(self._current)

    def __contains__(self, key: object) -> bool:
        return key in self._current


def moment_of(seconds: float) -> datetime:
    """A moment, in UTC, from seconds since the epoch."""
    return datetime.fromtimestamp(seconds, UTC)
