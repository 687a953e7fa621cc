"""The cache under the conformance suite for caches."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from storages import FileStorage

from odibi.testing.cache import CacheStore, CacheSuite, Clock
from odibi.testing.cache_store import START
from odibi_objects.cache import StorageCache

_PROCESS = """
import sys
sys.path.insert(0, {here!r})
from storages import FileStorage
from odibi_objects.cache import StorageCache
cache = StorageCache(connection=FileStorage({folder!r}), prefix="c", count_every=0)
"""


class ObjectStore(CacheStore):
    """A storage in files; counts and uses are written at once, as the suite looks at them at once."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.begun = int(time.monotonic())  # whole, so that nothing is rounded
        self.folder = tempfile.mkdtemp()
        self.storage = FileStorage(self.folder)

    def open(self) -> StorageCache:
        return self._open()

    def open_bounded(self, max_bytes: int) -> StorageCache:
        return self._open(max_size=max_bytes)

    def _open(self, max_size: int | None = None) -> StorageCache:
        cache = StorageCache(connection=self.storage, prefix="c", count_every=0, max_size=max_size, parallel=4)
        clock = self.clock
        assert clock is not None
        # The monotonic clock of a machine is one for all of its processes, of which the suite starts some.
        cache.clock.time, cache.clock.monotonic = clock, lambda: self.begun + clock.now - START
        return cache

    def corrupt(self, key: str, damage: Callable[[bytes], bytes]) -> None:
        (entry,) = (stat.path for stat in self.storage.list() if f"/{key}!/" in stat.path)
        self.storage.damage(entry, damage)

    def process_code(self) -> str:
        return _PROCESS.format(here=str(Path(__file__).parent), folder=self.folder)

    def close(self) -> None:
        shutil.rmtree(self.folder)


class TestStorageCache(CacheSuite):
    def new_store(self) -> CacheStore:
        return ObjectStore()
