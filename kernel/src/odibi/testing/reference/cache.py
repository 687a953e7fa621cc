"""A cache in memory, for those who test pipelines without a disk, and for the tests of the suite for caches.

Caches of one process that have the same name share what they hold, as those of several processes share a folder::

    MemoryCache(name="my test").put("key", writer)
    MemoryCache(name="my test").get("key")
    erase("my test")
"""

from __future__ import annotations

import io
import logging
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from hashlib import sha256
from typing import BinaryIO, ClassVar

import attrs

from odibi import option
from odibi.contracts.cache import Cached, CacheEntry, CacheStats, Dataset, Lease
from odibi.errors import Conflict, StorageError
from odibi.testing.reference.storage import MemoryStorage

_KEY = re.compile("[a-z0-9_-]{1,128}")
_ENDED = float("-inf")

IN_USE = 6 * 3600.0
"""Seconds after its last use for which somebody may still read the objects of a dataset."""

ABANDONED = 48 * 3600.0
"""Seconds after which a dataset that has not become an entry never will."""

Objects = tuple[tuple[str, int, str], ...]
"""Path, size and etag of each object."""

_log = logging.getLogger("odibi.cache")


@attrs.define
class Kept:
    """An entry with its content.

    Attributes:
        turn: grows with each use of any entry.
        dataset: where the objects are that belong to it.
        objects: as they were when it was put.
    """

    entry: CacheEntry
    data: bytes
    turn: int
    dataset: Dataset | None = None
    objects: Objects = ()


class Shelf:
    """What the caches of one name share; whoever looks at it holds ``lock``.

    Attributes:
        storage: of the datasets.
        given: path to when it was given, of the datasets that are being written.
        left: path to dataset and to when it was used last, of those whose entries are gone.
    """

    def __init__(self) -> None:
        self.storage = MemoryStorage()
        self.given: dict[str, float] = {}
        self.left: dict[str, tuple[Dataset, float]] = {}
        self.lock = threading.RLock()
        self.kept: dict[str, Kept] = {}
        self.leases: dict[str, Lease] = {}
        self.counts: Counter[str] = Counter()
        self._turns = 0

    def turn(self) -> int:
        """A greater number than all before."""
        self._turns += 1
        return self._turns


class Draft(io.BytesIO):
    """A file in memory whose content is known when it was closed, too."""

    content = b""

    def close(self) -> None:
        """Let nobody write any more."""
        if not self.closed:
            self.content = self.getvalue()
        super().close()


_shelves: dict[str, Shelf] = {}
_guard = threading.Lock()


def erase(name: str) -> None:
    """Forget what the caches of this name hold; those that are open keep it among themselves."""
    with _guard:
        _shelves.pop(name, None)


def _shelf_of(name: str) -> Shelf:
    with _guard:
        return _shelves.setdefault(name, Shelf()) if name else Shelf()


@attrs.define(eq=False)
class MemoryCache:
    """Entries in the memory of this process; see :class:`odibi.contracts.Cache` for what it promises.

    Attributes:
        clock: returns the time, in seconds since the epoch; a test may set another one.
    """

    capabilities: ClassVar = {"shared": "none: its entries are in the memory of one process", "datasets": "full"}

    name: str = option("", help="Caches of one process with the same name share their entries; without, none does.")
    max_size: int | None = option(
        None, help="How much may be in it, in bytes; what was used least recently goes first."
    )
    ttl: float | None = option(None, help="How long entries live that come without a time of their own, in seconds.")

    clock: Callable[[], float] = attrs.field(default=time.time, init=False, repr=False)
    shelf: Shelf = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self.shelf = _shelf_of(self.name)

    def get(self, key: str) -> Cached | None:
        """The content, checked, or ``None``."""
        self.check(key)
        with self.shelf.lock:
            kept = self.shelf.kept.get(key)
            if kept is None or self.is_over(kept.entry) or not self.is_whole(kept):
                self.count("misses")
                return None
            self.count("hits")
            self.use(kept)
            return Cached(memoryview(kept.data), kept.entry.label, kept.dataset)

    def find(self, keys: Collection[str]) -> set[str]:
        """Those of ``keys`` that have an entry whose time is not up."""
        for key in keys:
            self.check(key)
        with self.shelf.lock:
            return {key for key in keys if key in self.shelf.kept and not self.is_over(self.shelf.kept[key].entry)}

    def put(
        self,
        key: str,
        writer: Callable[[BinaryIO], object],
        ttl: float | None = None,
        *,
        label: str = "",
        lease: Lease | None = None,
    ) -> CacheEntry:
        """Store what ``writer`` writes, instead of what is there."""
        self.check(key)
        if lease is not None and lease.key != key:
            raise ValueError(f"the lease is for {lease.key!r}, not for {key!r}")
        with Draft() as draft:
            writer(draft)
        return self.store(key, draft.content, ttl, label, lease)

    def delete(self, key: str) -> None:
        """Remove the entry; deleting nothing succeeds."""
        self.check(key)
        with self.shelf.lock:
            kept = self.shelf.kept.pop(key, None)
            if kept is not None and kept.dataset is not None:
                self.remove_objects(kept.dataset)

    def entries(self) -> Iterator[CacheEntry]:
        """Every entry, lazily, by key; expired ones too."""
        with self.shelf.lock:
            keys = sorted(self.shelf.kept)
        for key in keys:
            kept = self.shelf.kept.get(key)
            if kept is not None:
                yield kept.entry

    def verify(self) -> Iterator[CacheEntry]:
        """Check the content of every entry; those that are damaged are removed and come out."""
        for entry in self.entries():
            with self.shelf.lock:
                kept = self.shelf.kept.get(entry.key)
                damaged = kept is not None and not self.is_whole(kept)
            if damaged:
                yield entry

    def purge_expired(self) -> int:
        """Remove entries whose time is up; returns how many."""
        with self.shelf.lock:
            over = [key for key, kept in self.shelf.kept.items() if self.is_over(kept.entry)]
            for key in over:
                self.leave(self.shelf.kept.pop(key))
            self.sweep()
        return len(over)

    def evict(self, max_bytes: int) -> int:
        """Remove the least recently used entries until at most ``max_bytes`` are left; returns how many."""
        gone = 0
        with self.shelf.lock:
            left = sum(kept.entry.size for kept in self.shelf.kept.values())
            for kept in self.by_use():
                if left <= max_bytes:
                    break
                if self.is_read(kept):
                    continue
                self.leave(self.shelf.kept.pop(kept.entry.key))
                left -= kept.entry.size
                gone += 1
                self.count("evictions")
        return gone

    def lease(self, key: str, ttl: float) -> Lease | None:
        """The right to compute ``key`` for ``ttl`` seconds, or ``None`` while somebody else holds it."""
        self.check(key)
        with self.shelf.lock:
            last = self.shelf.leases.get(key)
            if last is not None and self.clock() < last.expires:
                return None
            lease = Lease(key, last.token + 1 if last is not None else 1, self.clock() + ttl)
            self.shelf.leases[key] = lease
            return lease

    def renew(self, lease: Lease, ttl: float) -> Lease | None:
        """The same lease for ``ttl`` seconds from now on; ``None`` if it was lost."""
        with self.shelf.lock:
            last = self.shelf.leases.get(lease.key)
            if last is None or last.token != lease.token or self.clock() >= last.expires:
                return None
            renewed = self.shelf.leases[lease.key] = attrs.evolve(last, expires=self.clock() + ttl)
            return renewed

    def release(self, lease: Lease) -> None:
        """Give a lease back; giving back a lost one does nothing."""
        with self.shelf.lock:
            last = self.shelf.leases.get(lease.key)
            if last is not None and last.token == lease.token:
                self.shelf.leases[lease.key] = attrs.evolve(last, expires=_ENDED)

    def stats(self) -> CacheStats:
        """Counts and sizes."""
        with self.shelf.lock:
            sizes = [kept.entry.size for kept in self.shelf.kept.values()]
            counts = ("hits", "misses", "puts", "evictions", "corrupt")
            return CacheStats(len(sizes), sum(sizes), **{name: self.shelf.counts[name] for name in counts})

    def close(self) -> None:
        """Nothing is held that need be let go of."""

    def damage(self, key: str, how: Callable[[bytes], bytes]) -> None:
        """Replace the content of an entry by what ``how`` makes of it, as decay does: for tests."""
        with self.shelf.lock:
            self.shelf.kept[key].data = how(self.shelf.kept[key].data)

    # --- datasets ---------------------------------------------------------------------------------------------------

    def dataset(self, key: str) -> Dataset:
        """A place for the result behind ``key``, with nothing in it, that nobody else is given."""
        self.check(key)
        with self.shelf.lock:
            dataset = Dataset(self.shelf.storage, f"datasets/{key}-{self.shelf.turn()}")
            self.shelf.given[dataset.path] = self.clock()
            return dataset

    def put_dataset(
        self,
        key: str,
        dataset: Dataset,
        content: bytes,
        ttl: float | None = None,
        *,
        label: str = "",
        lease: Lease | None = None,
    ) -> CacheEntry:
        """Store what was written to ``dataset``, with ``content``, instead of what is there."""
        with self.shelf.lock:
            if dataset.path in {kept.dataset.path for kept in self.shelf.kept.values() if kept.dataset is not None}:
                raise StorageError("this dataset is an entry already", where=dataset.path)
            try:
                if self.shelf.given.pop(dataset.path, None) is None:
                    raise StorageError("this dataset was taken for abandoned", where=dataset.path)
                self.check(key)
                if lease is not None and lease.key != key:
                    raise ValueError(f"the lease is for {lease.key!r}, not for {key!r}")
                return self.store(key, bytes(content), ttl, label, lease, dataset)
            except BaseException:
                self.remove_objects(dataset)
                raise

    # --- the parts --------------------------------------------------------------------------------------------------

    def store(
        self, key: str, data: bytes, ttl: float | None, label: str, lease: Lease | None, dataset: Dataset | None = None
    ) -> CacheEntry:
        """Make an entry of what was written."""
        lives = self.ttl if ttl is None else ttl
        objects = () if dataset is None else self.objects_of(dataset)
        size = len(data) + sum(each for _, each, _ in objects)
        if self.max_size is not None and size > self.max_size:
            raise StorageError(f"{size} bytes are more than the cache may hold", where=key)
        with self.shelf.lock:
            if lease is not None:
                self.fence(lease)
            now = self.clock()
            expires = None if lives is None else now + lives
            entry = CacheEntry(key, size, now, now, checksum(data), label, expires)
            before = self.shelf.kept.get(key)
            self.shelf.kept[key] = Kept(entry, data, self.shelf.turn(), dataset, objects)
            if before is not None:
                self.leave(before)
            self.count("puts")
            if self.max_size is not None:
                self.evict(self.max_size)
        return entry

    def objects_of(self, dataset: Dataset) -> Objects:
        """What is there of a dataset."""
        return tuple((stat.path, stat.size, stat.etag) for stat in dataset.storage.list(dataset.path))

    def remove_objects(self, dataset: Dataset) -> None:
        """Remove all that is there of a dataset."""
        for stat in list(dataset.storage.list(dataset.path)):
            dataset.storage.delete(stat.path)

    def leave(self, kept: Kept) -> None:
        """An entry is gone: its objects stay for as long as somebody may read them."""
        if kept.dataset is None:
            return
        if self.is_read(kept):
            self.shelf.left[kept.dataset.path] = (kept.dataset, self.clock())
        else:
            self.remove_objects(kept.dataset)

    def is_read(self, kept: Kept) -> bool:
        """Whether somebody may read objects of the entry by now."""
        return kept.dataset is not None and self.clock() < kept.entry.used + IN_USE

    def sweep(self) -> None:
        """Remove the objects that nobody reads or writes any more."""
        for path, (dataset, since) in list(self.shelf.left.items()):
            if self.clock() >= since + IN_USE:
                del self.shelf.left[path]
                self.remove_objects(dataset)
        for path, given in list(self.shelf.given.items()):
            if self.clock() >= given + ABANDONED:
                del self.shelf.given[path]
                self.remove_objects(Dataset(self.shelf.storage, path))

    def check(self, key: str) -> None:
        """Refuse what is no key."""
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            raise ValueError(f"{key!r} is no key: give 1 to 128 of the characters a-z, 0-9, - and _")

    def is_over(self, entry: CacheEntry) -> bool:
        """Whether its time is up."""
        return entry.expires is not None and self.clock() >= entry.expires

    def is_whole(self, kept: Kept) -> bool:
        """Whether content and objects are what was put; if not, the entry is removed, counted and told."""
        if checksum(kept.data) == kept.entry.checksum and self.has_all(kept):
            return True
        del self.shelf.kept[kept.entry.key]
        if kept.dataset is not None:
            self.remove_objects(kept.dataset)
        self.count("corrupt")
        _log.warning("the content of the entry %s is damaged; it is removed", kept.entry.key)
        return False

    def has_all(self, kept: Kept) -> bool:
        """Whether the objects of an entry are those that were put."""
        return kept.dataset is None or self.objects_of(kept.dataset) == kept.objects

    def use(self, kept: Kept) -> None:
        """Note that it was used."""
        kept.entry, kept.turn = attrs.evolve(kept.entry, used=self.clock()), self.shelf.turn()

    def by_use(self) -> list[Kept]:
        """What is there, least recently used first."""
        return sorted(self.shelf.kept.values(), key=lambda kept: kept.turn)

    def fence(self, lease: Lease) -> None:
        """Refuse a lease after which there was a newer one."""
        last = self.shelf.leases.get(lease.key)
        if last is None or last.token != lease.token:
            raise Conflict("the lease was lost to a newer one", where=lease.key)

    def count(self, what: str) -> None:
        """Add one."""
        self.shelf.counts[what] += 1


def checksum(data: bytes) -> str:
    """Of some content, as entries show it."""
    return f"sha256:{sha256(data).hexdigest()}"
