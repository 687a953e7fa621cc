"""Disk caches with one thing wrong that only files or several processes show; the zoo of the kit has the others."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import attrs
import pytest

from odibi.contracts.cache import Cached, CacheEntry, CacheStats, Lease
from odibi.errors import StorageError
from odibi.testing.cache import CacheSuite
from odibi_local.cache import DiskCache
from odibi_local.cache_files import shard_of
from odibi_local.cache_index import unsealed
from odibi_local.conformance import DiskCacheSuite


class Mutant(DiskCache):
    """What all of them share."""

    __slots__ = ("__dict__",)


class Unchecked(Mutant):
    """Torn files are read."""

    def get(self, key: str) -> Cached | None:
        raw = self._index.look_up(key)
        row = unsealed(raw) if raw else None
        if row is None:
            return super().get(key)
        handle = self._files._open(row.key, row.file)
        with open(handle, "rb") as file:
            return Cached(memoryview(file.read()), row.label)


class DamageStays(Mutant):
    """A torn file is a miss, and stays."""

    def _drop(self, raw: Any, fault: str) -> None:
        pass


class DamageRaises(Mutant):
    """A torn file is an error."""

    def _drop(self, raw: Any, fault: str) -> None:
        raise StorageError("it is damaged")


class FirstInFirstOut(Mutant):
    """The times of files do not move when they are read."""

    def get(self, key: str) -> Cached | None:
        raw = self._index.look_up(key)
        found = super().get(key)
        row = raw and unsealed(raw)
        if row and found:
            place = self._files._folder(shard_of(key))
            os.utime(f"{row.key}.{row.file}", ns=(row.used, row.used), dir_fd=place)
            os.close(place)
        return found


class WritesInPlace(Mutant):
    """What replaces an entry is written over its file, which somebody has mapped."""

    def put(self, key: str, *args: Any, **more: Any) -> CacheEntry:
        before = [file.open("r+b") for file in self.files(key)]
        entry = super().put(key, *args, **more)
        for file in before:
            with file:
                file.write(bytes(os.fstat(file.fileno()).st_size))
        return entry

    def files(self, key: str) -> Iterator[Path]:
        return Path(self.path).glob(f"v1/??/{key}.*")


class VisibleTooSoon(Mutant):
    """An entry is there from the moment at which its writing begins, and so is that of a writer that was killed."""

    def put(self, key: str, writer: Callable[[BinaryIO], object], *args: Any, **more: Any) -> CacheEntry:
        super().put(key, lambda file: file.flush())
        return super().put(key, writer, *args, **more)


class LeasesWithinAProcess(Mutant):
    """As with a lock of threads: exclusive in one process alone."""

    held: ClassVar[dict[tuple[str, str], Lease]] = {}

    def lease(self, key: str, ttl: float) -> Lease | None:
        last = self.held.get((self.path, key))
        if last is not None and last.expires > self._now():
            return None
        time.sleep(0.02)  # as if it were work to get one: so that the others come meanwhile
        lease = self.held[self.path, key] = Lease(key, 1 if last is None else last.token + 1, self._now() + ttl)
        return lease

    def release(self, lease: Lease) -> None:
        self.held[self.path, lease.key] = attrs.evolve(lease, expires=0.0)

    def put(self, key: str, writer: Any, ttl: Any = None, *, lease: Any = None, **more: Any) -> CacheEntry:
        return super().put(key, writer, ttl, **more)


class CountsWithinAProcess(Mutant):
    """What other processes count is not seen."""

    counted: ClassVar[dict[str, int]] = {}

    def get(self, key: str) -> Cached | None:
        found = super().get(key)
        self.counted[self.path] = self.counted.get(self.path, 0) + (found is not None)
        return found

    def stats(self) -> CacheStats:
        return attrs.evolve(super().stats(), hits=self.counted.get(self.path, 0))


S = CacheSuite
ZOO: list[tuple[type[DiskCache], Callable[..., None], dict[str, Any]]] = [
    (Unchecked, S.test_damage_is_a_miss, {"damage": "cut short by one", "size": 5_000}),
    (DamageStays, S.test_damage_is_a_miss, {"damage": "middle", "size": 1}),
    (DamageRaises, S.test_damage_is_a_miss, {"damage": "emptied", "size": 3_000_000}),
    (FirstInFirstOut, S.test_the_least_recently_used_go_first, {}),
    (WritesInPlace, S.test_a_reader_keeps_what_it_has, {}),
    (VisibleTooSoon, S.test_a_killed_writer_leaves_nothing, {}),
    (LeasesWithinAProcess, S.test_processes_compute_each_key_once, {}),
    (CountsWithinAProcess, S.test_processes_compute_each_key_once, {}),
]


def run(cache: type[DiskCache], place: Path, test: Callable[..., None], arguments: dict[str, Any]) -> None:
    class Suite(DiskCacheSuite):
        component = cache

        def process_code(self, place: Path) -> str:
            made = f"(path={str(place)!r})"
            if cache is DiskCache:
                return f"from odibi_local.cache import DiskCache\ncache = DiskCache{made}"
            return f"import runpy\ncache = runpy.run_path({__file__!r})[{cache.__name__!r}]{made}"

    suite = Suite()
    with suite.opened(place) as store:
        test(suite, store, **arguments)


@pytest.mark.parametrize(("mutant", "test", "arguments"), ZOO, ids=lambda value: getattr(value, "__name__", ""))
def test_the_suite_refuses_it(
    tmp_path: Path, mutant: type[DiskCache], test: Callable[..., None], arguments: dict[str, Any]
) -> None:
    run(DiskCache, tmp_path, test, arguments)
    with pytest.raises((AssertionError, StorageError)):
        run(mutant, tmp_path, test, arguments)
