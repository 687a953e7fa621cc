"""What the tests of caches need: a clock to turn, a place for content, and ways to look at it and to damage it."""

from __future__ import annotations

import json
import logging
import tempfile
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import pytest

from odibi.testing.clock import PATIENCE, START, Clock
from odibi.testing.component import ComponentSuite, together

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

    from odibi.contracts.cache import Cache

__all__ = ["PATIENCE", "START", "CacheBase", "Clock", "Opened", "Stopped", "Warnings"]
__all__ += ["content", "flip", "in_threads", "keys_of", "writing"]

T = TypeVar("T")


class Opened:
    """A place of one test, with the caches that were opened on it; :meth:`close` closes them.

    Args:
        suite: says how.
        place: where it is.
        clock: what the caches take the time from; ``None`` if they cannot be told.
    """

    def __init__(self, suite: CacheBase, place: Path, clock: Clock | None) -> None:
        self._suite, self._place, self._clock = suite, place, clock
        self._caches: list[Cache] = []

    @property
    def clock(self) -> Clock:
        """What the caches take the time from; skips the test if they cannot be told."""
        if self._clock is None:
            pytest.skip("the suite does not set the cache's clock")
        return self._clock

    @property
    def has_clock(self) -> bool:
        """Whether there is a clock to turn."""
        return self._clock is not None

    @property
    def has_datasets(self) -> bool:
        """Whether the caches have room for datasets."""
        return self._suite.capability("datasets").is_there

    def now(self) -> float:
        """What the caches take for the time, in seconds since the epoch."""
        return time.time() if self._clock is None else self._clock()

    def tick(self) -> None:
        """Let a little time pass, so that what comes next is used later than what came before."""
        if self._clock is not None:
            self._clock.advance(0.001)

    def open(self) -> Cache:
        """Another cache on the place, as another process would have."""
        return self._begin(self._suite.make(self._place))

    def open_bounded(self, max_bytes: int) -> Cache:
        """Another cache on the place, which keeps to ``max_bytes``."""
        return self._begin(self._suite.make_bounded(self._place, max_bytes))

    def _begin(self, cache: Cache) -> Cache:
        self._caches.append(cache)
        if self._clock is not None:
            self._suite.set_clock(cache, self._clock)
        return cache

    def process_code(self) -> str:
        """As the suite's."""
        return self._suite.process_code(self._place)

    def corrupt(self, key: str, damage: Callable[[bytes], bytes]) -> None:
        """As the suite's."""
        self._suite.corrupt(self._place, key, damage)

    def close(self) -> None:
        """Close the caches."""
        for cache in self._caches:
            cache.close()


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


def in_threads(count: int, work: Callable[[int], T]) -> list[T]:
    """What ``work`` returns in each of ``count`` threads, which begin at once; raises what one of them raised."""
    found: list[T] = []
    for result in together(*[partial(work, index) for index in range(count)]):
        if isinstance(result, BaseException):
            raise result
        found.append(result)
    return found


class CacheBase(ComponentSuite):
    """What a plugin says of its cache, and what the tests use."""

    family = "cache"

    # --- what a subclass says ---------------------------------------------------------------------------------------

    def make_bounded(self, place: Path, max_bytes: int) -> Cache:
        """A cache for ``place`` that keeps below ``max_bytes``; by an option ``max_size``, where nothing is said."""
        return cast("Cache", self.component(**self.options(place), max_size=max_bytes))

    def set_clock(self, cache: Any, clock: Clock) -> None:
        """Make a cache that nobody has used take the time, in seconds since the epoch, from ``clock()``."""

    def corrupt(self, place: Path, key: str, damage: Callable[[bytes], bytes]) -> None:
        """Replace the stored bytes of ``key``'s content by what ``damage`` makes of them, behind the caches' backs."""
        raise NotImplementedError

    def process_code(self, place: Path) -> str:
        """Python statements with which another process has a cache on ``place`` in its variable ``cache``."""
        options = json.dumps(dict(self.options(place)))
        home, name = self.component.__module__, self.component.__qualname__
        return f"import json, {home}\ncache = {home}.{name}(**json.loads({options!r}))"

    # --- what the tests use -----------------------------------------------------------------------------------------

    @contextmanager
    def opened(self, folder: Path) -> Iterator[Opened]:
        """A new place in ``folder`` for the time of the ``with`` block."""
        store = self.open_place(folder)
        try:
            yield store
        finally:
            store.close()

    def open_place(self, folder: Path) -> Opened:
        """A new place in ``folder``."""
        turns = type(self).set_clock is not CacheBase.set_clock
        return Opened(self, Path(tempfile.mkdtemp(dir=folder)), Clock() if turns else None)

    @pytest.fixture
    def store(self, place: Path) -> Iterator[Opened]:
        """A new place."""
        with self.opened(place) as store:
            yield store
