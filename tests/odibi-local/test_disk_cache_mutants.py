"""Disk caches with one thing wrong each: the conformance suite must refuse every one of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from typing import Any, BinaryIO

import attrs
import pytest

from odibi.contracts.cache import Cached, CacheEntry, CacheStats, Lease
from odibi.errors import Conflict, StorageError
from odibi.testing.cache import CacheStore, CacheSuite, Clock
from odibi_local import cache_leases
from odibi_local.cache import DiskCache
from odibi_local.cache_files import _shard
from odibi_local.cache_index import unsealed

from .test_disk_cache_suite import DiskStore


class Mutant(DiskCache):
    """What all of them share."""

    __slots__ = ("__dict__",)

    def shifted(self, seconds: float) -> DiskCache:
        """A sound cache on the same place whose clock is off."""
        return DiskCache.with_clock(lambda: self._clock() + seconds, path=self.path)


class Unchecked(Mutant):
    def get(self, key: str) -> Cached | None:
        raw = self._index.look_up(key)
        row = unsealed(raw) if raw else None
        if row is None:
            return super().get(key)
        handle = self._files._open(row.key, row.file)
        with open(handle, "rb") as file:
            return Cached(memoryview(file.read()), row.label)


class DamageStays(Mutant):
    def _drop(self, raw: Any, fault: str) -> None:
        pass


class DamageUntold(Mutant):
    def _remove_damaged(self, raw: Any, fault: str) -> bool:
        gone = self._index.remove_damaged(raw)
        return bool(gone)


class DamageUncounted(Mutant):
    def stats(self) -> CacheStats:
        return attrs.evolve(super().stats(), corrupt=0)


class DamageRaises(Mutant):
    def _drop(self, raw: Any, fault: str) -> None:
        raise StorageError("it is damaged")


class VerifyTrusts(Mutant):
    def verify(self) -> Iterator[CacheEntry]:
        return iter(())


class VerifyTouches(Mutant):
    def verify(self) -> Iterator[CacheEntry]:
        for entry in list(self.entries()):
            super().get(entry.key)
        return super().verify()


class Late(Mutant):
    def get(self, key: str) -> Cached | None:
        return self.shifted(-0.0005).get(key)


class Early(Mutant):
    def get(self, key: str) -> Cached | None:
        return self.shifted(0.002).get(key)


class FindIgnoresTime(Mutant):
    def find(self, keys: Collection[str]) -> set[str]:
        return {entry.key for entry in self.entries()} & set(keys)


class FindReads(Mutant):
    def find(self, keys: Collection[str]) -> set[str]:
        return {key for key in keys if super(FindReads, self).get(key) is not None}


class FindTrusts(Mutant):
    def find(self, keys: Collection[str]) -> set[str]:
        return self._index.find(keys, self._now())


class ReadingProlongs(Mutant):
    def get(self, key: str) -> Cached | None:
        found = super().get(key)
        if found is not None:
            data = bytes(found.data)
            super().put(key, lambda file: file.write(data), 10, label=found.label)
        return found


class DeletesFirst(Mutant):
    def put(self, key: str, writer: Callable[[BinaryIO], object], *args: Any, **more: Any) -> CacheEntry:
        super().delete(key)
        return super().put(key, writer, *args, **more)


class KeepsTheHalf(Mutant):
    def put(self, key: str, writer: Callable[[BinaryIO], object], *args: Any, **more: Any) -> CacheEntry:
        failed: list[BaseException] = []

        def careless(file: BinaryIO) -> None:
            try:
                writer(file)
            except BaseException as error:
                failed.append(error)

        entry = super().put(key, careless, *args, **more)
        if failed:
            raise failed[0]
        return entry


class WrapsErrors(Mutant):
    def put(self, key: str, writer: Callable[[BinaryIO], object], *args: Any, **more: Any) -> CacheEntry:
        def wrapped(file: BinaryIO) -> None:
            try:
                writer(file)
            except Exception as error:
                raise StorageError("the writer failed") from error

        return super().put(key, wrapped, *args, **more)


class ForgetsLabels(Mutant):
    def get(self, key: str) -> Cached | None:
        found = super().get(key)
        return found and Cached(found.data)


class KeepsTheOldTime(Mutant):
    def put(self, key: str, writer: Callable[[BinaryIO], object], ttl: float | None = None, **more: Any) -> CacheEntry:
        old = [entry for entry in self.entries() if entry.key == key and entry.expires is not None]
        if ttl is None and old:
            ttl = (old[0].expires or 0) - self._now()
        return super().put(key, writer, ttl, **more)


class Writable(Mutant):
    def get(self, key: str) -> Cached | None:
        found = super().get(key)
        return found and Cached(memoryview(bytearray(found.data)), found.label)


class TakesItAway(Mutant):
    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self.__dict__["given"] = []

    def get(self, key: str) -> Cached | None:
        found = super().get(key)
        if found is not None:
            self.__dict__["given"].append(found.data)
        return found

    def close(self) -> None:
        super().close()
        for data in self.__dict__["given"]:
            data.release()


class AnyKey(Mutant):
    def get(self, key: str) -> Cached | None:
        try:
            return super().get(key)
        except ValueError:
            return None


class SomeKeys(Mutant):
    def find(self, keys: Collection[str]) -> set[str]:
        return super().find([key for key in keys if isinstance(key, str) and key.isidentifier()])


class Folds(Mutant):
    """As a database that takes ``_`` for any character."""

    def get(self, key: str) -> Cached | None:
        return super().get(key) if isinstance(key, str) and "_" not in key else super().get("x" if key else key)


class Unsorted(Mutant):
    def entries(self) -> Iterator[CacheEntry]:
        return reversed(list(super().entries()))


class HidesExpired(Mutant):
    def entries(self) -> Iterator[CacheEntry]:
        return (entry for entry in super().entries() if entry.expires is None or entry.expires > self._now())


class PurgesAll(Mutant):
    def purge_expired(self) -> int:
        count = 0
        for entry in list(self.entries()):
            if entry.expires is not None:
                self.delete(entry.key)
                count += 1
        return count


class FirstInFirstOut(Mutant):
    def get(self, key: str) -> Cached | None:
        raw = self._index.look_up(key)
        found = super().get(key)
        row = raw and unsealed(raw)
        if row and found:
            place = self._files._folder(_shard(key))
            os.utime(f"{row.key}.{row.file}", ns=(row.used, row.used), dir_fd=place)
            os.close(place)
        return found


class EvictsTooMuch(Mutant):
    def evict(self, max_bytes: int) -> int:
        return super().evict(max_bytes - 1)


class EvictsTooLittle(Mutant):
    def evict(self, max_bytes: int) -> int:
        return super().evict(max_bytes + 1)


class Unbounded(Mutant):
    @property
    def _limit(self) -> int | None:
        return None


class CountsItsOwn(Mutant):
    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self.__dict__["hits"] = 0

    def get(self, key: str) -> Cached | None:
        found = super().get(key)
        self.__dict__["hits"] += found is not None
        return found

    def stats(self) -> CacheStats:
        return attrs.evolve(super().stats(), hits=self.__dict__["hits"])


class CountsNoMisses(Mutant):
    def stats(self) -> CacheStats:
        return attrs.evolve(super().stats(), misses=0)


class CountsFailedPuts(Mutant):
    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self.__dict__["puts"] = 0

    def put(self, *args: Any, **more: Any) -> CacheEntry:
        self.__dict__["puts"] += 1
        return super().put(*args, **more)

    def stats(self) -> CacheStats:
        return attrs.evolve(super().stats(), puts=self.__dict__["puts"])


class LeasesForAll(Mutant):
    def lease(self, key: str, ttl: float) -> Lease | None:
        now = self._now()
        return super().lease(key, ttl) or self._index.change(
            lambda db: (db.execute("DELETE FROM leases"), cache_leases.take(db, key, now, now + ttl))[1]
        )


class LeasesWithinAProcess(Mutant):
    """As with a lock of threads: exclusive for one cache alone."""

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self.__dict__["held"] = {}

    def lease(self, key: str, ttl: float) -> Lease | None:
        held = self.__dict__["held"].get(key)
        if held is not None and held.expires > self._now():
            return None
        self.__dict__["held"][key] = Lease(key, 1 if held is None else held.token + 1, self._now() + ttl)
        return self.__dict__["held"][key]


class LeasesWithoutEnd(Mutant):
    def lease(self, key: str, ttl: float) -> Lease | None:
        return super().lease(key, ttl * 1000)


class LeasesEndLate(Mutant):
    def lease(self, key: str, ttl: float) -> Lease | None:
        lease = super().lease(key, ttl + 0.01)
        return lease and Lease(key, lease.token, lease.expires - 0.01)


class TokensStandStill(Mutant):
    def lease(self, key: str, ttl: float) -> Lease | None:
        lease = super().lease(key, ttl)
        if lease is not None:
            self._index.change(lambda db: db.execute("UPDATE leases SET token = 1"))
        return lease and attrs.evolve(lease, token=1)


class Unfenced(Mutant):
    def put(self, key: str, *args: Any, lease: Lease | None = None, **more: Any) -> CacheEntry:
        return super().put(key, *args, **more)


class FencedAtFirst(Mutant):
    def put(self, key: str, *args: Any, lease: Lease | None = None, **more: Any) -> CacheEntry:
        if lease is not None:
            self._index.read(lambda db: cache_leases.check(db, lease))
        return super().put(key, *args, **more)


class FencedWhileHeld(Mutant):
    """Forgets that there was a newer one as soon as that is given back."""

    def put(self, key: str, *args: Any, lease: Lease | None = None, **more: Any) -> CacheEntry:
        try:
            return super().put(key, *args, lease=lease, **more)
        except Conflict:
            if self._index.read(lambda db: cache_leases.is_held(db, key, self._now())):
                raise
            return super().put(key, *args, **more)


class PutGivesBack(Mutant):
    def put(self, key: str, *args: Any, lease: Lease | None = None, **more: Any) -> CacheEntry:
        entry = super().put(key, *args, lease=lease, **more)
        if lease is not None:
            self.release(lease)
        return entry


class RenewsTheLost(Mutant):
    def renew(self, lease: Lease, ttl: float) -> Lease | None:
        return super().renew(lease, ttl) or attrs.evolve(lease, expires=self._now() + ttl)


class RenewsFromItsEnd(Mutant):
    def renew(self, lease: Lease, ttl: float) -> Lease | None:
        return super().renew(lease, ttl + 5)


class ReleasesAnybodys(Mutant):
    def release(self, lease: Lease) -> None:
        self._index.change(lambda db: db.execute("UPDATE leases SET expires = NULL WHERE key = ?", (lease.key,)))


class DeletesTheLease(Mutant):
    def delete(self, key: str) -> None:
        super().delete(key)
        self._index.change(lambda db: db.execute("DELETE FROM leases WHERE key = ?", (key,)))


class WritesLater(Mutant):
    """Holds the content in memory until it is closed, as a cache with a queue might."""

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self.__dict__["kept"] = {}

    def get(self, key: str) -> Cached | None:
        kept = self.__dict__["kept"].get(key)
        return Cached(memoryview(kept)) if kept is not None else super().get(key)

    def put(self, key: str, writer: Callable[[BinaryIO], object], *args: Any, **more: Any) -> CacheEntry:
        entry = super().put(key, writer, *args, **more)
        found = super().get(key)
        self.__dict__["kept"][key] = bytes(found.data) if found else b""
        super().delete(key)
        return entry


S = CacheSuite
ZOO: list[tuple[type[DiskCache], Callable[..., None], dict[str, Any]]] = [
    (Unchecked, S.test_damage_is_a_miss, {"damage": "last byte", "size": 5_000}),
    (DamageStays, S.test_damage_is_a_miss, {"damage": "middle", "size": 1}),
    (DamageUntold, S.test_damage_is_a_miss, {"damage": "emptied", "size": 5_000}),
    (DamageUncounted, S.test_damage_is_a_miss, {"damage": "longer by one", "size": 5_000}),
    (DamageRaises, S.test_damage_is_a_miss, {"damage": "cut short by one", "size": 3_000_000}),
    (VerifyTrusts, S.test_verify_finds_what_is_damaged, {}),
    (VerifyTouches, S.test_the_least_recently_used_go_first, {}),
    (Late, S.test_an_entry_is_gone_at_the_very_second, {"ttl": 10.0}),
    (Early, S.test_an_entry_is_gone_at_the_very_second, {"ttl": 1}),
    (FindIgnoresTime, S.test_an_entry_is_gone_at_the_very_second, {"ttl": 1}),
    (FindReads, S.test_find_only_looks, {}),
    (FindTrusts, S.test_bad_keys_are_refused, {"key": "a.b"}),
    (ReadingProlongs, S.test_reading_does_not_prolong_it, {}),
    (DeletesFirst, S.test_a_writer_that_raises_changes_nothing, {"raised": ZeroDivisionError(), "size": 10}),
    (DeletesFirst, S.test_what_is_half_written_is_not_seen, {}),
    (KeepsTheHalf, S.test_a_writer_that_raises_changes_nothing, {"raised": ZeroDivisionError(), "size": 10}),
    (WrapsErrors, S.test_a_writer_that_raises_changes_nothing, {"raised": OSError(5, "its own"), "size": 0}),
    (ForgetsLabels, S.test_what_is_put_comes_back, {}),
    (KeepsTheOldTime, S.test_put_replaces_all_of_what_was_there, {}),
    (Writable, S.test_what_is_put_comes_back, {}),
    (TakesItAway, S.test_a_reader_keeps_what_it_has, {}),
    (AnyKey, S.test_bad_keys_are_refused, {"key": "../a"}),
    (SomeKeys, S.test_bad_keys_are_refused, {"key": "a/b"}),
    (Folds, S.test_keys_are_compared_whole, {}),
    (Unsorted, S.test_entries_come_by_key, {}),
    (HidesExpired, S.test_expired_entries_are_listed_until_they_are_purged, {}),
    (PurgesAll, S.test_expired_entries_are_listed_until_they_are_purged, {}),
    (FirstInFirstOut, S.test_the_least_recently_used_go_first, {}),
    (EvictsTooMuch, S.test_no_more_is_evicted_than_must_be, {}),
    (EvictsTooLittle, S.test_no_more_is_evicted_than_must_be, {}),
    (Unbounded, S.test_a_bound_is_kept, {}),
    (Unbounded, S.test_what_is_larger_than_the_bound_does_not_break_it, {}),
    (CountsItsOwn, S.test_all_users_are_counted_together, {}),
    (CountsNoMisses, S.test_everything_is_counted, {}),
    (CountsFailedPuts, S.test_a_writer_that_raises_changes_nothing, {"raised": ZeroDivisionError(), "size": 0}),
    (LeasesForAll, S.test_one_holds_a_lease, {}),
    (LeasesForAll, S.test_of_many_one_gets_the_lease, {}),
    (LeasesWithinAProcess, S.test_one_holds_a_lease, {}),
    (LeasesWithoutEnd, S.test_a_lease_ends_at_the_very_second, {}),
    (LeasesEndLate, S.test_a_lease_ends_at_the_very_second, {}),
    (TokensStandStill, S.test_tokens_grow_for_ever, {}),
    (Unfenced, S.test_a_put_under_a_lease_is_fenced, {}),
    (FencedAtFirst, S.test_a_lease_lost_while_writing_is_lost, {}),
    (FencedWhileHeld, S.test_a_put_under_a_lease_is_fenced, {}),
    (PutGivesBack, S.test_a_put_under_a_lease_is_fenced, {}),
    (RenewsTheLost, S.test_a_lost_lease_is_lost, {}),
    (RenewsFromItsEnd, S.test_a_lease_can_be_renewed, {}),
    (ReleasesAnybodys, S.test_giving_back_twice_does_nothing, {}),
    (ReleasesAnybodys, S.test_a_lost_lease_is_lost, {}),
    (DeletesTheLease, S.test_a_lease_is_no_entry, {}),
    (WritesLater, S.test_all_users_see_the_same, {}),
    (WritesLater, S.test_what_is_there_outlives_who_put_it, {}),
]


class MutantStore(DiskStore):
    def __init__(self, mutant: type[DiskCache]) -> None:
        super().__init__()
        self.mutant = mutant

    def open(self) -> DiskCache:
        assert isinstance(self.clock, Clock)
        return self.mutant.with_clock(self.clock, path=str(self.folder))

    def open_bounded(self, max_bytes: int) -> DiskCache:
        assert isinstance(self.clock, Clock)
        return self.mutant.with_clock(self.clock, path=str(self.folder), max_size=max_bytes)


def run(cache: type[DiskCache], test: Callable[..., None], arguments: dict[str, Any]) -> None:
    class Suite(CacheSuite):
        def new_store(self) -> CacheStore:
            return MutantStore(cache)

    suite = Suite()
    if hasattr(test, "hypothesis"):
        test(suite)
        return
    with suite.opened() as store:
        test(suite, store, **arguments)


@pytest.mark.parametrize(("mutant", "test", "arguments"), ZOO, ids=lambda value: getattr(value, "__name__", ""))
def test_the_suite_refuses_it(mutant: type[DiskCache], test: Callable[..., None], arguments: dict[str, Any]) -> None:
    run(DiskCache, test, arguments)
    with pytest.raises((AssertionError, pytest.fail.Exception, StorageError, ValueError)):
        run(mutant, test, arguments)
