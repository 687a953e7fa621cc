"""Caches with one defect each."""

# ruff: noqa: D102, ARG002 - what each does wrong stands in its docstring

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING, Any, BinaryIO

import attrs

from odibi.contracts.cache import Cached, CacheEntry, CacheStats, Dataset, Lease
from odibi.errors import Conflict, StorageError
from odibi.testing.cache import CacheSuite, Clock
from odibi.testing.reference.cache import IN_USE, Draft, Kept, MemoryCache, Objects, Shelf, checksum
from odibi.testing.zoo import Zoo

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from pathlib import Path

    Writer = Callable[[BinaryIO], object]


class SoundCache(CacheSuite):
    """The suite on a cache that keeps its promises."""

    component = MemoryCache

    def options(self, place: Path) -> Mapping[str, Any]:
        """The place is a name."""
        return {"name": str(place)}

    def corrupt(self, place: Path, key: str, damage: Callable[[bytes], bytes]) -> None:
        """It takes damage itself."""
        MemoryCache(name=str(place)).damage(key, damage)

    def set_clock(self, cache: MemoryCache, clock: Clock) -> None:
        """It takes any."""
        cache.clock = clock


zoo = Zoo(SoundCache)


# --- time -----------------------------------------------------------------------------------------------------------


@zoo.defect
class Late(MemoryCache):
    """An entry is still there at the very second at which its time is up."""

    def is_over(self, entry: CacheEntry) -> bool:
        return entry.expires is not None and self.clock() > entry.expires


@zoo.defect
class WholeSeconds(MemoryCache):
    """Time is looked at in whole seconds, so that an entry goes up to a second early."""

    def is_over(self, entry: CacheEntry) -> bool:
        return entry.expires is not None and int(self.clock()) >= int(entry.expires)


@zoo.defect
class FindIgnoresTime(MemoryCache):
    """``find`` brings entries whose time is up."""

    def find(self, keys: Collection[str]) -> set[str]:
        for key in keys:
            self.check(key)
        return set(keys) & set(self.shelf.kept)


@zoo.defect
class ReadingProlongs(MemoryCache):
    """An entry that is read lives for as long again, as in a session store."""

    def use(self, kept: Kept) -> None:
        super().use(kept)
        if kept.entry.expires is not None:
            lives = kept.entry.expires - kept.entry.created
            kept.entry = attrs.evolve(kept.entry, expires=self.clock() + lives)


@zoo.defect
class KeepsTheOldTime(MemoryCache):
    """A put without a time to live leaves the one that was there."""

    def put(self, key: str, writer: Writer, ttl: float | None = None, **more: Any) -> CacheEntry:
        old = self.shelf.kept.get(key)
        if ttl is None and old is not None and old.entry.expires is not None:
            ttl = old.entry.expires - self.clock()
        return super().put(key, writer, ttl, **more)


@zoo.defect
class HidesExpired(MemoryCache):
    """Entries whose time is up are not listed, so that nobody sees what a purge would free."""

    def entries(self) -> Iterator[CacheEntry]:
        return (entry for entry in super().entries() if not self.is_over(entry))


@zoo.defect
class PurgesTheLiving(MemoryCache):
    """``purge_expired`` removes whatever has a time to live, whether or not it is up."""

    def purge_expired(self) -> int:
        timed = [entry.key for entry in self.entries() if entry.expires is not None]
        for key in timed:
            self.delete(key)
        return len(timed)


# --- content --------------------------------------------------------------------------------------------------------


@zoo.defect
class Unchecked(MemoryCache):
    """``get`` hands out damaged content."""

    def is_whole(self, kept: Kept) -> bool:
        return True


@zoo.defect
class ComparesSizes(MemoryCache):
    """Content of the right size is taken for whole."""

    def is_whole(self, kept: Kept) -> bool:
        return len(kept.data) == kept.entry.size or super().is_whole(kept)


@zoo.defect
class ChecksOnce(MemoryCache):
    """Content that was whole once is not checked again."""

    def is_whole(self, kept: Kept) -> bool:
        return kept.entry.used > kept.entry.created or super().is_whole(kept)


@zoo.defect
class DamageStays(MemoryCache):
    """A damaged entry is a miss, and stays."""

    def is_whole(self, kept: Kept) -> bool:
        whole = super().is_whole(kept)
        self.shelf.kept[kept.entry.key] = kept
        return whole


@zoo.defect
class DamageUncounted(MemoryCache):
    """``corrupt`` is always 0."""

    def count(self, what: str) -> None:
        if what != "corrupt":
            super().count(what)


@zoo.defect
class DamageUntold(MemoryCache):
    """Nobody is warned of damage."""

    def is_whole(self, kept: Kept) -> bool:
        logger = logging.getLogger("odibi.cache")
        logger.disabled = True
        try:
            return super().is_whole(kept)
        finally:
            logger.disabled = False


@zoo.defect
class DamageRaises(MemoryCache):
    """Damaged content is an error, where it should be computed again."""

    def is_whole(self, kept: Kept) -> bool:
        if not super().is_whole(kept):
            raise StorageError("the content is damaged", where=kept.entry.key)
        return True


@zoo.defect
class VerifyTrusts(MemoryCache):
    """``verify`` compares sizes, and says that all is well."""

    def verify(self) -> Iterator[CacheEntry]:
        for kept in list(self.shelf.kept.values()):
            if len(kept.data) != kept.entry.size and not self.is_whole(kept):
                yield kept.entry


@zoo.defect
class VerifyIsAUse(MemoryCache):
    """``verify`` reads through ``get``, after which everything was used just now."""

    def verify(self) -> Iterator[CacheEntry]:
        return (entry for entry in list(self.entries()) if self.get(entry.key) is None)


@zoo.defect
class EmptyIsNothing(MemoryCache):
    """Content without a byte is taken for none."""

    def get(self, key: str) -> Cached | None:
        found = super().get(key)
        return found if found is not None and found.data else None


@zoo.defect
class Writable(MemoryCache):
    """What is handed out can be written to."""

    def get(self, key: str) -> Cached | None:
        found = super().get(key)
        return None if found is None else Cached(memoryview(bytearray(found.data)), found.label)


@zoo.defect
class TakesItAway(MemoryCache):
    """The view that a reader has ends with the cache from which it came."""

    _views: list[memoryview]

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self._views = []

    def get(self, key: str) -> Cached | None:
        found = super().get(key)
        if found is not None:
            self._views.append(found.data)
        return found

    def close(self) -> None:
        for view in self._views:
            view.release()


@zoo.defect
class ForgetsLabels(MemoryCache):
    """Content comes back without its label."""

    def get(self, key: str) -> Cached | None:
        found = super().get(key)
        return None if found is None else Cached(found.data)


@zoo.defect
class LabelsInAscii(MemoryCache):
    """Labels lose the characters that ASCII does not have."""

    def put(self, key: str, writer: Writer, ttl: float | None = None, *, label: str = "", **more: Any) -> CacheEntry:
        return super().put(key, writer, ttl, label=label.encode("ascii", "replace").decode(), **more)


@zoo.defect
class ChecksumOfTheEntry(MemoryCache):
    """The checksum covers the key, so that the same content has another one elsewhere."""

    def put(self, key: str, writer: Writer, ttl: float | None = None, **more: Any) -> CacheEntry:
        entry = super().put(key, writer, ttl, **more)
        return attrs.evolve(entry, checksum=checksum(key.encode() + self.shelf.kept[key].data))


# --- whole or not at all --------------------------------------------------------------------------------------------


@zoo.defect
class VisibleTooSoon(MemoryCache):
    """An entry shows while it is being written."""

    def put(self, key: str, writer: Writer, ttl: float | None = None, **more: Any) -> CacheEntry:
        self.check(key)
        before = self.shelf.kept.get(key)
        super().put(key, lambda file: file, ttl)
        self.shelf.counts["puts"] -= 1
        try:
            return super().put(key, writer, ttl, **more)
        except BaseException:
            del self.shelf.kept[key]
            if before is not None:
                self.shelf.kept[key] = before
            raise


@zoo.defect
class DeletesFirst(MemoryCache):
    """What was there goes before what replaces it has been written."""

    def put(self, key: str, writer: Writer, ttl: float | None = None, **more: Any) -> CacheEntry:
        self.delete(key)
        return super().put(key, writer, ttl, **more)


@zoo.defect
class KeepsTheHalf(MemoryCache):
    """A writer that raises leaves what it had written."""

    def put(self, key: str, writer: Writer, ttl: float | None = None, **more: Any) -> CacheEntry:
        failed: list[BaseException] = []

        def careless(file: BinaryIO) -> None:
            try:
                writer(file)
            except BaseException as error:  # that is the defect
                failed.append(error)

        entry = super().put(key, careless, ttl, **more)
        if failed:
            raise failed[0]
        return entry


@zoo.defect
class KeepsTheInterrupted(MemoryCache):
    """A writer that an interrupt ends leaves what it had written: only an ``Exception`` was thought of."""

    def put(self, key: str, writer: Writer, ttl: float | None = None, **more: Any) -> CacheEntry:
        draft = Draft()
        done = False
        try:
            writer(draft)
            done = True
        except Exception:
            done = True
            raise
        finally:
            if not done:
                super().put(key, lambda file: file.write(draft.getvalue()), ttl, **more)
            draft.close()
        return super().put(key, lambda file: file.write(draft.content), ttl, **more)


@zoo.defect
class WrapsErrors(MemoryCache):
    """What a writer raises comes out as an error of the cache."""

    def put(self, key: str, writer: Writer, ttl: float | None = None, **more: Any) -> CacheEntry:
        def wrapped(file: BinaryIO) -> None:
            try:
                writer(file)
            except Exception as error:
                raise StorageError("the writer failed") from error

        return super().put(key, wrapped, ttl, **more)


@zoo.defect
class CountsFailedPuts(MemoryCache):
    """A put is counted when it begins."""

    def put(self, key: str, writer: Writer, ttl: float | None = None, **more: Any) -> CacheEntry:
        self.check(key)
        self.count("puts")
        entry = super().put(key, writer, ttl, **more)
        self.shelf.counts["puts"] -= 1
        return entry


@zoo.defect
class WritesLater(MemoryCache):
    """What is put waits in a queue of its own cache, and others see it when that is closed."""

    _others: Shelf

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self._others, self.shelf = self.shelf, Shelf()
        self.shelf.kept.update(self._others.kept)

    def close(self) -> None:
        self._others.kept.update(self.shelf.kept)


@zoo.defect
class ErasesAtTheEnd(MemoryCache):
    """Closing it removes all entries, as of a temporary folder."""

    def close(self) -> None:
        self.shelf.kept.clear()


# --- keys -----------------------------------------------------------------------------------------------------------


@zoo.defect
class AnyKey(MemoryCache):
    """A key that cannot be is a miss."""

    def get(self, key: str) -> Cached | None:
        try:
            return super().get(key)
        except ValueError:
            return None


@zoo.defect
class FoldsCase(MemoryCache):
    """Letters are folded, and capitals let in."""

    def check(self, key: str) -> None:
        super().check(key.lower() if isinstance(key, str) else key)


@zoo.defect
class LongKeys(MemoryCache):
    """Keys are compared as far as their 64th character."""

    def put(self, key: str, *args: Any, **more: Any) -> CacheEntry:
        self.check(key)
        return super().put(key[:64], *args, **more)

    def get(self, key: str) -> Cached | None:
        self.check(key)
        return super().get(key[:64])


@zoo.defect
class MatchesPatterns(MemoryCache):
    """``_`` stands for any character where several keys are asked for, as in SQL."""

    def find(self, keys: Collection[str]) -> set[str]:
        found = super().find(keys)
        like = [key for key in keys if "_" in key and key not in found]
        for entry in self.entries():
            for key in like:
                if len(key) == len(entry.key) and all(a in ("_", b) for a, b in zip(key, entry.key, strict=True)):
                    found.add(key)
        return found


@zoo.defect
class FindTrusts(MemoryCache):
    """``find`` takes anything for a key."""

    def find(self, keys: Collection[str]) -> set[str]:
        return super().find([key for key in keys if isinstance(key, str) and key in self.shelf.kept])


@zoo.defect
class FindsTheFirst(MemoryCache):
    """``find`` drops the keys that do not fit into one statement."""

    def find(self, keys: Collection[str]) -> set[str]:
        return super().find(list(keys)[:999])


@zoo.defect
class FindCounts(MemoryCache):
    """``find`` counts what it finds as hits."""

    def find(self, keys: Collection[str]) -> set[str]:
        found = super().find(keys)
        for _ in found:
            self.count("hits")
        return found


@zoo.defect
class FindIsAUse(MemoryCache):
    """What ``find`` brings is used by that."""

    def find(self, keys: Collection[str]) -> set[str]:
        found = super().find(keys)
        for key in sorted(found):
            self.use(self.shelf.kept[key])
        return found


@zoo.defect
class Unsorted(MemoryCache):
    """Entries come in the order in which they were put."""

    def entries(self) -> Iterator[CacheEntry]:
        return iter([kept.entry for kept in list(self.shelf.kept.values())])


# --- room -----------------------------------------------------------------------------------------------------------


@zoo.defect
class FirstInFirstOut(MemoryCache):
    """Reading is no use: the oldest entry goes first."""

    def use(self, kept: Kept) -> None:
        kept.entry = attrs.evolve(kept.entry, used=self.clock())


@zoo.defect
class EvictsTheNewest(MemoryCache):
    """What was used last goes first."""

    def by_use(self) -> list[Kept]:
        return super().by_use()[::-1]


@zoo.defect
class EvictsOneTooMany(MemoryCache):
    """``evict`` leaves less than it may."""

    def evict(self, max_bytes: int) -> int:
        return super().evict(max_bytes - 1)


@zoo.defect
class Unbounded(MemoryCache):
    """The bound on its size is ignored."""

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self.max_size = None


@zoo.defect
class BoundOfEach(MemoryCache):
    """The bound is that of one entry, not of all."""

    def evict(self, max_bytes: int) -> int:
        return 0 if max_bytes == self.max_size else super().evict(max_bytes)


@zoo.defect
class MakesRoomTwice(MemoryCache):
    """Room is made for what is put as if what it replaces were to stay."""

    def put(self, key: str, writer: Writer, ttl: float | None = None, **more: Any) -> CacheEntry:
        if self.max_size is not None:
            with Draft() as draft:
                writer(draft)
            self.evict(max(0, self.max_size - len(draft.content)))
        return super().put(key, writer, ttl, **more)


@zoo.defect
class EvictionsUncounted(MemoryCache):
    """What was evicted is not counted."""

    def count(self, what: str) -> None:
        if what != "evictions":
            super().count(what)


@zoo.defect
class CountsItsOwn(MemoryCache):
    """Each user has counts of its own."""

    _hits = 0

    def get(self, key: str) -> Cached | None:
        found = super().get(key)
        self._hits += found is not None
        return found

    def stats(self) -> CacheStats:
        return attrs.evolve(super().stats(), hits=self._hits)


@zoo.defect
class ExpiredIsNoMiss(MemoryCache):
    """Asking for what has expired is not counted."""

    def get(self, key: str) -> Cached | None:
        kept = self.shelf.kept.get(key)
        return None if kept is not None and self.is_over(kept.entry) else super().get(key)


# --- leases ---------------------------------------------------------------------------------------------------------


@zoo.defect
class LeasesForAll(MemoryCache):
    """Whoever asks for a lease gets one."""

    def lease(self, key: str, ttl: float) -> Lease | None:
        last = self.shelf.leases.get(key)
        if last is not None:
            self.release(last)
        return super().lease(key, ttl)


@zoo.defect
class RacesForLeases(MemoryCache):
    """Whether a lease is free is looked up before the lock is taken, so that two get it."""

    def lease(self, key: str, ttl: float) -> Lease | None:
        self.check(key)
        last = self.shelf.leases.get(key)
        if last is not None and self.clock() < last.expires:
            return None
        time.sleep(0.001)
        lease = Lease(key, last.token + 1 if last is not None else 1, self.clock() + ttl)
        self.shelf.leases[key] = lease
        return lease


@zoo.defect
class LeasesWithoutEnd(MemoryCache):
    """A lease that is not given back is held for ever."""

    def lease(self, key: str, ttl: float) -> Lease | None:
        lease = super().lease(key, ttl)
        if lease is not None:
            self.shelf.leases[key] = attrs.evolve(lease, expires=math.inf)
        return lease


@zoo.defect
class LeasesEndLate(MemoryCache):
    """A lease is still held at the very second at which it ends."""

    def lease(self, key: str, ttl: float) -> Lease | None:
        last = self.shelf.leases.get(key)
        return None if last is not None and self.clock() == last.expires else super().lease(key, ttl)


@zoo.defect
class TokensBeginAnew(MemoryCache):
    """A lease that was given back is forgotten, and the next one has its token."""

    def release(self, lease: Lease) -> None:
        last = self.shelf.leases.get(lease.key)
        if last is not None and last.token == lease.token:
            del self.shelf.leases[lease.key]


@zoo.defect
class Unfenced(MemoryCache):
    """A put under a lease that was lost is made."""

    def fence(self, lease: Lease) -> None:
        pass


@zoo.defect
class FencedAtFirst(MemoryCache):
    """The lease is looked at before the writing, and may be lost by its end."""

    def put(self, key: str, *args: Any, lease: Lease | None = None, **more: Any) -> CacheEntry:
        if lease is not None:
            self.fence(lease)
        return super().put(key, *args, **more)


@zoo.defect
class FencedWhileHeld(MemoryCache):
    """That there was a newer lease is forgotten when that is given back."""

    def fence(self, lease: Lease) -> None:
        if self.shelf.leases[lease.key].expires > self.clock():
            super().fence(lease)


@zoo.defect
class FencedByTime(MemoryCache):
    """A put under a lease whose time is up is refused, though nobody had a newer one."""

    def fence(self, lease: Lease) -> None:
        super().fence(lease)
        if self.clock() >= lease.expires:
            raise Conflict("the lease is over", where=lease.key)


@zoo.defect
class PutGivesBack(MemoryCache):
    """A put ends the lease under which it was made."""

    def put(self, key: str, *args: Any, lease: Lease | None = None, **more: Any) -> CacheEntry:
        entry = super().put(key, *args, lease=lease, **more)
        if lease is not None:
            self.release(lease)
        return entry


@zoo.defect
class RenewsTheLost(MemoryCache):
    """A lease that somebody else has by now is renewed."""

    def renew(self, lease: Lease, ttl: float) -> Lease | None:
        return super().renew(lease, ttl) or attrs.evolve(lease, expires=self.clock() + ttl)


@zoo.defect
class RenewsFromItsEnd(MemoryCache):
    """Renewing adds to the time that is left."""

    def renew(self, lease: Lease, ttl: float) -> Lease | None:
        left = self.shelf.leases[lease.key].expires - self.clock()
        return super().renew(lease, ttl + max(0.0, left))


@zoo.defect
class ReleasesAnybodys(MemoryCache):
    """Giving back a lease that was lost takes it from whoever has it."""

    def release(self, lease: Lease) -> None:
        last = self.shelf.leases.get(lease.key)
        if last is not None:
            super().release(last)


@zoo.defect
class DeletesTheLease(MemoryCache):
    """Deleting an entry frees its lease."""

    def delete(self, key: str) -> None:
        super().delete(key)
        last = self.shelf.leases.get(key)
        if last is not None:
            self.release(last)


# --- datasets -------------------------------------------------------------------------------------------------------


@zoo.defect
class TrustsObjects(MemoryCache):
    """The objects of a dataset are not looked at when the entry is got."""

    def has_all(self, kept: Kept) -> bool:
        return True


@zoo.defect
class ComparesSizesOfObjects(MemoryCache):
    """An object of the right size is taken for the one that was put, whatever its etag."""

    def has_all(self, kept: Kept) -> bool:
        return kept.dataset is None or [each[:2] for each in self.objects_of(kept.dataset)] == [
            each[:2] for each in kept.objects
        ]


@zoo.defect
class CountsObjects(MemoryCache):
    """As many objects as were put, with as many bytes, are taken for those that were put."""

    def has_all(self, kept: Kept) -> bool:
        if kept.dataset is None:
            return True
        there = self.objects_of(kept.dataset)
        return (len(there), sum(each[1] for each in there)) == (
            len(kept.objects),
            sum(each[1] for each in kept.objects),
        )


@zoo.defect
class IgnoresMoreObjects(MemoryCache):
    """What has come to a dataset since is not seen."""

    def has_all(self, kept: Kept) -> bool:
        return kept.dataset is None or set(kept.objects) <= set(self.objects_of(kept.dataset))


@zoo.defect
class OverlooksTheHidden(MemoryCache):
    """Objects that engines hide from their readers are not seen: neither when they change, nor when all has to go."""

    def objects_of(self, dataset: Dataset) -> Objects:
        def is_hidden(path: str) -> bool:
            return any(part[0] in "._" for part in path[len(dataset.path) + 1 :].split("/"))

        return tuple(each for each in super().objects_of(dataset) if not is_hidden(each[0]))


@zoo.defect
class LooksInOneFolder(MemoryCache):
    """Objects in folders of a dataset stay when it goes."""

    def remove_objects(self, dataset: Dataset) -> None:
        for stat in list(dataset.storage.list(dataset.path)):
            if "/" not in stat.path[len(dataset.path) + 1 :]:
                dataset.storage.delete(stat.path)


@zoo.defect
class WeighsContentOnly(MemoryCache):
    """The bytes of objects do not count, neither in an entry's size nor for the bound."""

    def objects_of(self, dataset: Dataset) -> Objects:
        return tuple((path, 0, f"{size} {etag}") for path, size, etag in super().objects_of(dataset))


@zoo.defect
class ForgetsTheDataset(MemoryCache):
    """An entry comes back without its dataset."""

    def get(self, key: str) -> Cached | None:
        found = super().get(key)
        return None if found is None else attrs.evolve(found, dataset=None)


@zoo.defect
class OnePlaceForAKey(MemoryCache):
    """All who compute the same are given the same place."""

    def dataset(self, key: str) -> Dataset:
        dataset = Dataset(self.shelf.storage, f"datasets/{super().dataset(key).path.split('/')[1].rpartition('-')[0]}")
        self.shelf.given[dataset.path] = self.clock()
        return dataset


@zoo.defect
class PlacesInPlaces(MemoryCache):
    """The place for one key lies in that for another, which shows as more objects, and goes with it."""

    def dataset(self, key: str) -> Dataset:
        found = super().dataset(key)
        dataset = Dataset(found.storage, f"datasets/{'/'.join(key)}/{found.path.rpartition('-')[2]}")
        if key == "a":
            dataset = Dataset(found.storage, "datasets/a")
        self.shelf.given[dataset.path] = self.shelf.given.pop(found.path)
        return dataset


@zoo.defect
class AnEntryAtFirst(MemoryCache):
    """The entry shows as soon as there is a place for it."""

    def dataset(self, key: str) -> Dataset:
        dataset = super().dataset(key)
        if key not in self.shelf.kept:
            super().put(key, lambda file: file)
            self.shelf.counts["puts"] -= 1
        return dataset


@zoo.defect
class KeepsDeletedObjects(MemoryCache):
    """Deleting an entry leaves its objects to the next purge."""

    def delete(self, key: str) -> None:
        self.check(key)
        with self.shelf.lock:
            kept = self.shelf.kept.pop(key, None)
            if kept is not None:
                self.leave(kept)


@zoo.defect
class KeepsDamagedObjects(MemoryCache):
    """The objects of a damaged entry stay for good."""

    def is_whole(self, kept: Kept) -> bool:
        dataset, kept.dataset = kept.dataset, None
        try:
            whole = super().is_whole(kept)
        finally:
            kept.dataset = dataset
        if whole and not self.has_all(kept):
            del self.shelf.kept[kept.entry.key]
            self.count("corrupt")
            logging.getLogger("odibi.cache").warning("the entry %s is damaged", kept.entry.key)
            return False
        return whole


@zoo.defect
class KeepsReplacedObjects(MemoryCache):
    """The objects of an entry that was replaced stay for good."""

    def leave(self, kept: Kept) -> None:
        if kept.entry.key not in self.shelf.kept:
            super().leave(kept)


@zoo.defect
class TakesReplacedObjects(MemoryCache):
    """The objects of an entry that was replaced go at once, under whoever reads them."""

    def leave(self, kept: Kept) -> None:
        if kept.entry.key in self.shelf.kept and kept.dataset is not None:
            self.remove_objects(kept.dataset)
        else:
            super().leave(kept)


@zoo.defect
class TakesExpiredObjects(MemoryCache):
    """The objects of an entry whose time is up go at once, under whoever reads them."""

    def leave(self, kept: Kept) -> None:
        if self.is_over(kept.entry) and kept.dataset is not None:
            self.remove_objects(kept.dataset)
        else:
            super().leave(kept)


@zoo.defect
class EvictsWhatIsRead(MemoryCache):
    """Room is made of datasets that somebody got a moment ago."""

    def is_read(self, kept: Kept) -> bool:
        return False


@zoo.defect
class EvictsByAge(MemoryCache):
    """Whether somebody may read a dataset is told by when it was put, and not by when it was used."""

    def is_read(self, kept: Kept) -> bool:
        return kept.dataset is not None and self.clock() < kept.entry.created + IN_USE


@zoo.defect
class EvictsNoDatasets(MemoryCache):
    """A dataset is never removed to make room."""

    def is_read(self, kept: Kept) -> bool:
        return kept.dataset is not None


@zoo.defect
class StopsAtWhatIsRead(MemoryCache):
    """A dataset that must stay ends the search for room, though others could go."""

    def by_use(self) -> list[Kept]:
        found = super().by_use()
        last = next((at for at, kept in enumerate(found) if self.is_read(kept)), len(found))
        return found[:last]


@zoo.defect
class KeepsTheAbandoned(MemoryCache):
    """What a writer that died left of a dataset stays for good."""

    def sweep(self) -> None:
        given, self.shelf.given = self.shelf.given, {}
        super().sweep()
        self.shelf.given = given


@zoo.defect
class PurgesTheUnfinished(MemoryCache):
    """A dataset that is just being written is taken for abandoned."""

    def sweep(self) -> None:
        super().sweep()
        for path in list(self.shelf.given):
            self.remove_objects(Dataset(self.shelf.storage, path))


@zoo.defect
class PutsTheAbandoned(MemoryCache):
    """What is left of a dataset that was taken for abandoned can still become an entry."""

    def put_dataset(self, key: str, dataset: Dataset, *args: Any, **more: Any) -> CacheEntry:
        self.shelf.given.setdefault(dataset.path, self.clock())
        return super().put_dataset(key, dataset, *args, **more)


@zoo.defect
class KeepsTheRefused(MemoryCache):
    """Objects of a dataset that is refused stay for good."""

    def put_dataset(self, key: str, dataset: Dataset, *args: Any, **more: Any) -> CacheEntry:
        written = {stat.path: dataset.storage.read(stat.path) for stat in dataset.storage.list(dataset.path)}
        try:
            return super().put_dataset(key, dataset, *args, **more)
        except BaseException:
            for path, data in written.items():
                dataset.storage.write(path, data)
            raise


@zoo.defect
class ClearsTheKey(MemoryCache):
    """Where a put is refused, all datasets of its key go, that of the entry among them."""

    def put_dataset(self, key: str, dataset: Dataset, *args: Any, **more: Any) -> CacheEntry:
        try:
            return super().put_dataset(key, dataset, *args, **more)
        except BaseException:
            for stat in list(self.shelf.storage.list("datasets")):
                if stat.path.startswith(f"datasets/{key}-"):
                    self.shelf.storage.delete(stat.path)
            raise


@zoo.defect
class DatasetsUnfenced(MemoryCache):
    """The lease under which a dataset is put is not looked at."""

    def put_dataset(self, key: str, *args: Any, lease: Lease | None = None, **more: Any) -> CacheEntry:
        if lease is not None and lease.key != key:
            return super().put_dataset(key, *args, lease=lease, **more)
        return super().put_dataset(key, *args, **more)


@zoo.defect
class DatasetsLastForEver(MemoryCache):
    """The time to live of a dataset is forgotten."""

    def put_dataset(
        self, key: str, dataset: Dataset, content: bytes, ttl: float | None = None, **more: Any
    ) -> CacheEntry:
        return super().put_dataset(key, dataset, content, **more)


@zoo.defect
class VerifyTrustsObjects(MemoryCache):
    """``verify`` reads the content, and not what the engine wrote."""

    def verify(self) -> Iterator[CacheEntry]:
        for entry in self.entries():
            kept = self.shelf.kept.get(entry.key)
            if kept is not None and checksum(kept.data) != entry.checksum and not self.is_whole(kept):
                yield entry


@zoo.defect
class DatasetsWithoutLabels(MemoryCache):
    """A dataset is put without its label, so that nobody knows which engine wrote it."""

    def put_dataset(self, *args: Any, label: str = "", **more: Any) -> CacheEntry:
        return super().put_dataset(*args, **more)
