"""Which entries have to go so that a cache stays within its bound, without listing it for each put.

All entries are listed now and then; in between, a user of the cache knows what it has put and used itself. What
others put meanwhile shows with the next listing, so that a cache with several users may exceed its bound for a while.
"""

from __future__ import annotations

import heapq
import threading
from typing import TYPE_CHECKING

from odibi_objects.datasets import IN_USE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from odibi_objects.clock import Clock
    from odibi_objects.entries import Version

_GOOD_FOR = 600.0
"""Seconds after which the entries are listed again."""


class Room:
    """The entries as this user knows them, the least recently used first.

    Args:
        most: bytes that there may be; datasets that somebody may read stay all the same.
        clock: tells the time.
        listed: gives all entries with the time when each was last used.
        last_used: when this user last used a key; 0 if it did not.
    """

    def __init__(
        self,
        most: int,
        clock: Clock,
        listed: Callable[[], Iterable[tuple[float, Version]]],
        last_used: Callable[[str], float],
    ) -> None:
        self._most = most
        self._clock = clock
        self._listed = listed
        self._last_used = last_used
        self._lock = threading.RLock()  # listing removes what was replaced, of which it tells us
        self._as_of: float | None = None
        self._total = 0
        self._there: dict[str, int] = {}
        self._heap: list[tuple[float, str, Version]] = []

    def make(self, added: Version, replaced: Iterable[Version]) -> list[Version]:
        """What has to go now that an entry was put; whoever asks removes it."""
        with self._lock:
            if self._as_of is None or self._clock.monotonic() - self._as_of >= _GOOD_FOR:
                self._list()
            self._add(added.created, added)
            for version in replaced:
                self._drop(version)
            return list(self._over())

    def forget(self, versions: Iterable[Version]) -> None:
        """These were removed."""
        with self._lock:
            for version in versions:
                self._drop(version)

    def _list(self) -> None:
        self._there, self._heap, self._total = {}, [], 0
        for used, version in self._listed():
            self._add(used, version)
        self._as_of = self._clock.monotonic()

    def _add(self, used: float, version: Version) -> None:
        if version.name not in self._there:
            self._there[version.name] = version.size
            self._total += version.size
            heapq.heappush(self._heap, (used, version.name, version))

    def _drop(self, version: Version) -> None:
        self._total -= self._there.pop(version.name, 0)

    def _over(self) -> Iterable[Version]:
        read = []
        while self._total > self._most and self._heap:
            used, name, version = heapq.heappop(self._heap)
            if name not in self._there:
                continue
            now = max(used, self._last_used(version.key))
            if now > used:
                heapq.heappush(self._heap, (now, name, version))
                continue
            if version.beside is not None and self._clock.time() < now + IN_USE:
                read.append((now, name, version))
                continue
            self._drop(version)
            yield version
        for each in read:
            heapq.heappush(self._heap, each)
