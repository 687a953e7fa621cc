"""What the tests of caches need: a clock to turn, a place for content, and ways to look at it and to damage it."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import attrs
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from odibi.contracts.cache import Cache

T = TypeVar("T")

START = 1_700_000_000.0
"""Where a clock begins: a moment that file systems can hold."""

PATIENCE = 60.0
"""Seconds after which a test gives up waiting."""


@attrs.define
class Clock:
    """A clock that a test turns.

    Attributes:
        now: seconds since the epoch.
    """

    now: float = START

    def __call__(self) -> float:
        """The time."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


class CacheStore:
    """One place for content, empty when it is made, and how to get at it.

    Attributes:
        clock: what its caches take the time from; ``None`` if they cannot be told.
    """

    clock: Clock | None = None

    def open(self) -> Cache:
        """Another cache on the place, as another process would have; with no bound and no time to live of its own."""
        raise NotImplementedError

    def open_bounded(self, max_bytes: int) -> Cache:
        """Another cache on the place, which keeps to ``max_bytes``; skips the test if that cannot be."""
        pytest.skip(f"the cache cannot be bound to {max_bytes} bytes")

    def corrupt(self, key: str, damage: Callable[[bytes], bytes]) -> None:
        """Replace the stored bytes of ``key``'s content by what ``damage`` makes of them, behind the caches' backs."""
        raise NotImplementedError

    def process_code(self) -> str:
        """Python text with which another process has a cache on the place in its variable ``cache``, on the real clock.

        Skips the test if there is no such text.
        """
        pytest.skip("nothing says how another process opens the cache")

    def close(self) -> None:
        """Remove the place."""


class Opened:
    """A store with the caches it opened, all of which are closed in the end."""

    def __init__(self, store: CacheStore) -> None:
        self._store = store
        self._caches: list[Cache] = []

    @property
    def clock(self) -> Clock:
        """The store's; skips the test if there is none."""
        if self._store.clock is None:
            pytest.skip("the cache's clock cannot be turned")
        return self._store.clock

    @property
    def has_clock(self) -> bool:
        """Whether there is a clock to turn."""
        return self._store.clock is not None

    def now(self) -> float:
        """What the caches take for the time, in seconds since the epoch."""
        return self._store.clock() if self._store.clock is not None else time.time()

    def tick(self) -> None:
        """Let a little time pass, so that what comes next is used later than what came before."""
        if self._store.clock is not None:
            self._store.clock.advance(0.001)

    def open(self) -> Cache:
        """As the store's."""
        self._caches.append(self._store.open())
        return self._caches[-1]

    def open_bounded(self, max_bytes: int) -> Cache:
        """As the store's."""
        self._caches.append(self._store.open_bounded(max_bytes))
        return self._caches[-1]

    def process_code(self) -> str:
        """As the store's."""
        return self._store.process_code()

    def corrupt(self, key: str, damage: Callable[[bytes], bytes]) -> None:
        """As the store's."""
        self._store.corrupt(key, damage)

    def close(self) -> None:
        """Close the caches, and remove the place."""
        for cache in self._caches:
            cache.close()
        self._store.close()


class Warnings(logging.Handler):
    """What the cache warns of while the ``with`` block lasts."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []
        self._logger = logging.getLogger("odibi.cache")

    def emit(self, record: logging.LogRecord) -> None:
        """Note the message."""
        self.messages.append(record.getMessage())

    def __enter__(self) -> Warnings:
        self._logger.addHandler(self)
        return self

    def __exit__(self, *error: object) -> None:
        self._logger.removeHandler(self)


class Stopped(Exception):
    """What a writer raises that gives up."""


def writing(data: bytes) -> Callable[[BinaryIO], object]:
    """A writer of ``data``."""
    return lambda file: file.write(data)


def content(cache: Cache, key: str) -> bytes | None:
    """A copy of what is there."""
    found = cache.get(key)
    return None if found is None else bytes(found.data)


def keys_of(cache: Cache) -> list[str]:
    """The keys of all entries, in the order in which they come."""
    return [entry.key for entry in cache.entries()]


def flip(position: int, bit: int = 0) -> Callable[[bytes], bytes]:
    """Damage that flips one bit of the byte at ``position``, counted round the end."""

    def damage(stored: bytes) -> bytes:
        changed = bytearray(stored)
        changed[position % len(changed)] ^= 1 << bit
        return bytes(changed)

    return damage


def together(count: int, work: Callable[[int], T]) -> list[T]:
    """What ``work`` returns in each of ``count`` threads, which begin at once."""
    start = threading.Barrier(count)

    def one(index: int) -> T:
        start.wait(PATIENCE)
        return work(index)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))
