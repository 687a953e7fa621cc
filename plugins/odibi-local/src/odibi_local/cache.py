"""A cache in a folder: one file an entry, and an SQLite database that knows them."""

from __future__ import annotations

import logging
import math
import os
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, cast
from weakref import finalize

import attrs

from odibi import option
from odibi.contracts.cache import Cached, CacheEntry, CacheStats, Dataset, Lease
from odibi.errors import StorageError
from odibi_local import cache_leases
from odibi_local.amounts import byte_count, seconds
from odibi_local.cache_datasets import FOLDER, IN_USE, Datasets, has_dataset, packed, unpacked
from odibi_local.cache_drafts import too_large
from odibi_local.cache_files import CacheFiles, shard_of
from odibi_local.cache_index import CacheIndex, Raw, Row, described, same, unsealed
from odibi_local.failures import display

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from odibi_local.cache_drafts import Draft

_KEY = re.compile(r"[a-z0-9_-]{1,128}")
_TRIES = 100
_FAR = 9e9
"""Seconds since the epoch that the index can hold in nanoseconds."""
_ROW, _CONTENT, _GONE = "what the index says of it", "its content", "its file is gone"
_OBJECTS = "the objects of its dataset"

_log = logging.getLogger("odibi.cache")


def _size(given: int | str | None) -> int | str | None:
    return byte_count(given)


def _duration(given: float | str | None) -> float | str | None:
    return seconds(given)


@attrs.frozen(eq=False)
class DiskCache:
    """Results as files of one folder; see :class:`odibi.contracts.Cache` for what it promises.

    The folder belongs on a disk of the machine: the index is a database that several machines cannot share. Processes
    of one machine can. Counts of hits and misses are written now and then; a process that is killed takes up to a
    thousand along.

    An entry with a dataset that was used within the last six hours is not removed to make room, and its objects stay as
    long when it is replaced or its time is up: whoever got it may still read them.
    """

    capabilities: ClassVar[Mapping[str, str]] = {"datasets": "full"}
    effects: ClassVar[tuple[str, ...]] = ("files",)

    path: str = option(
        ".odibi/cache", help="The folder, on a disk of this machine.", is_path=True, converter=os.path.abspath
    )
    max_size: int | str | None = option(
        None,
        help="How much may be in it, in bytes or with a unit (10GB, 512MiB); what was used least recently goes first.",
        converter=_size,
    )
    ttl: float | str | None = option(
        None,
        help="How long entries live that come without a time of their own: seconds, or with a unit (36h, 7d).",
        converter=_duration,
    )
    fsync: bool = option(
        False,
        help="Have each entry on disk before it counts as stored. Without, a power cut may cost the last entries; they "
        "are computed again, and one that is torn is seen by its checksum.",
    )
    _clock: Callable[[], float] = attrs.field(init=False, repr=False, default=time.time)
    _files: CacheFiles = attrs.field(init=False, repr=False)
    _index: CacheIndex = attrs.field(init=False, repr=False)
    _datasets: Datasets = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        files = CacheFiles(self.path, durable=self.fsync)
        object.__setattr__(self, "_datasets", Datasets(files.home, durable=self.fsync))
        index = CacheIndex(files.home, prepare=files.prepare, durable=self.fsync)
        object.__setattr__(self, "_files", files)
        object.__setattr__(self, "_index", index)
        finalize(self, index.close)

    @classmethod
    def with_clock(cls, clock: Callable[[], float], **options: Any) -> DiskCache:
        """A cache that takes the time, in seconds since the epoch, from ``clock``: for tests.

        Args:
            clock: returns the time.
            options: as usual.
        """
        cache = cls(**options)
        object.__setattr__(cache, "_clock", clock)
        return cache

    def get(self, key: str) -> Cached | None:
        """The content, checked, or ``None``."""
        _check(key)
        found = self._get(key)
        self._index.count(hit=found is not None)
        return found

    def find(self, keys: Collection[str]) -> set[str]:
        """Those of ``keys`` that have an entry whose time is not up."""
        for key in keys:
            _check(key)
        return self._index.find(keys, self._now())

    def put(
        self,
        key: str,
        writer: Callable[[BinaryIO], object],
        ttl: float | None = None,
        *,
        label: str = "",
        lease: Lease | None = None,
    ) -> CacheEntry:
        """Store what ``writer`` writes to the file it is given, instead of what is there."""
        lifetime = self._checked(key, ttl, label, lease)
        with self._files.draft() as draft:
            draft.fill(key, writer, self._limit)
            row, gone = self._enter(draft, key, 0, lifetime, label, lease)
        self._remove(gone)
        return row.entry()

    def dataset(self, key: str) -> Dataset:
        """A place for the result behind ``key``, with nothing in it, that nobody else is given."""
        _check(key)
        self._files.make_folder(FOLDER)
        now = self._now()
        if not self._datasets.swept:
            self._datasets.swept = True
            self._sweep_datasets(now)
        return self._datasets.place(key, shard_of(key), now)

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
        owner, file = self._datasets.parse(dataset)
        if self._files.used(owner, file) is not None:
            raise StorageError("this dataset was put before", where=dataset.path, remedy="Ask for another place.")
        published = False
        try:
            lifetime = self._checked(key, ttl, label, lease)
            if key != owner:
                raise ValueError(f"the dataset is for {owner!r}, not for {key!r}")
            objects = self._datasets.finished(dataset, file, self._now())
            size = sum(int(each) for _, each, _ in objects)
            whole = packed(objects, content)
            if self._limit is not None and size + len(whole) > self._limit:
                raise too_large(self._limit, key)
            with self._files.draft(file) as draft:
                draft.fill(key, lambda opened: opened.write(whole), None)
                published = True
                row, gone = self._enter(draft, key, size, lifetime, label, lease)
        except BaseException as error:
            if isinstance(error, StorageError) or not published:  # else nobody knows whether the index knows it
                self._datasets.remove(dataset)
            raise
        self._remove(gone)
        return row.entry()

    def delete(self, key: str) -> None:
        """Remove the entry; deleting nothing succeeds."""
        _check(key)
        self._remove(self._index.remove(key), at_once=True)

    def entries(self) -> Iterator[CacheEntry]:
        """Every entry, lazily, by key; expired ones too."""
        for raw in self._index.rows():
            row = unsealed(raw)
            if row is not None:
                yield row.entry(self._files.used(row.key, row.file))

    def verify(self) -> Iterator[CacheEntry]:
        """Check the content of every entry; those that are damaged are removed and come out."""
        for raw in self._index.rows():
            fault = self._fault(raw)
            if fault and self._remove_damaged(raw, fault):
                yield described(raw)

    def purge_expired(self) -> int:
        """Remove entries whose time is up, and what killed writers left behind; returns how many entries."""
        now = self._now()
        count = 0
        while gone := self._index.remove_expired(now):
            self._remove(gone)
            count += len(gone)
        self._index.change(lambda db: cache_leases.forget(db, now))
        self._index.recount()
        self._sweep_datasets(now)
        self._files.sweep(self._index.files_of, lambda key, file: self._datasets.is_there(self._place(key, file)))
        return count

    def evict(self, max_bytes: int) -> int:
        """Remove the least recently used entries until at most ``max_bytes`` are left; returns how many."""
        count = 0
        while gone := self._index.evict(self._files, max_bytes, self._recent()):
            self._remove(gone)
            count += len(gone)
        return count

    def lease(self, key: str, ttl: float) -> Lease | None:
        """The right to compute ``key`` for ``ttl`` seconds, or ``None`` while somebody else holds it."""
        _check(key)
        now = self._now()
        expires = now + _length(ttl)
        # Who waits asks often, and must not keep those who write.
        if self._index.read(lambda db: cache_leases.is_held(db, key, now)):
            return None
        return self._index.change(lambda db: cache_leases.take(db, key, now, expires))

    def renew(self, lease: Lease, ttl: float) -> Lease | None:
        """The same lease (with its token) for ``ttl`` seconds from now on; ``None`` if it was lost."""
        now = self._now()
        expires = now + _length(ttl)
        return self._index.change(lambda db: cache_leases.renew(db, lease, now, expires))

    def release(self, lease: Lease) -> None:
        """Give a lease back; giving back a lost one does nothing."""
        self._index.change(lambda db: cache_leases.release(db, lease))

    def stats(self) -> CacheStats:
        """Counts and sizes."""
        return self._index.stats()

    def close(self) -> None:
        """Write what was counted and close the index; what :meth:`get` gave stays valid."""
        self._index.close()

    @property
    def _limit(self) -> int | None:
        return cast("int | None", self.max_size)

    def _now(self) -> float:
        return float(self._clock())

    def _get(self, key: str) -> Cached | None:
        for _ in range(_TRIES):
            raw = self._index.look_up(key)
            if raw is None:
                return None
            row = unsealed(raw)
            if row is None:
                self._drop(raw, _ROW)
                return None
            now = self._now()
            if not row.alive(now):
                return None
            try:
                data = self._files.read(row, self._index.turn(now))
            except FileNotFoundError:
                if same(self._index.look_up(key), raw):
                    self._drop(raw, _GONE)
                    return None
                continue  # it was replaced or removed just now
            if data is None:
                self._drop(raw, _CONTENT)
                return None
            if not has_dataset(row.file):
                return Cached(data, row.label)
            content = self._content(row, data)
            # Whoever removes the entry looks afterwards when it was used last, which was noted above. So either its
            # objects stay, or it is seen to be gone here.
            if same(self._index.look_up(key), raw):
                if content is None:
                    self._drop(raw, _OBJECTS)
                    return None
                return Cached(content, row.label, self._place(key, row.file))
        return None

    def _fault(self, raw: Raw) -> str:
        """What is wrong with an entry; nothing if it is whole."""
        row = unsealed(raw)
        if row is None:
            return _ROW
        try:
            data = self._files.read(row)
        except FileNotFoundError:
            return _GONE
        if data is None:
            return _CONTENT
        return _OBJECTS if has_dataset(row.file) and self._content(row, data) is None else ""

    def _content(self, row: Row, data: memoryview) -> memoryview | None:
        """The content of an entry with a dataset; ``None`` if its objects are not those that were put."""
        objects, content = unpacked(data)
        return content if self._datasets.objects(self._place(row.key, row.file)) == objects else None

    def _drop(self, raw: Raw, fault: str) -> None:
        try:
            self._remove_damaged(raw, fault)
        except StorageError as error:
            _log.warning("the cached %s is damaged (%s) and cannot be removed: %s", display(str(raw[0])), fault, error)

    def _remove_damaged(self, raw: Raw, fault: str) -> bool:
        """Remove a damaged entry, and say so; false if somebody else did, or replaced it."""
        gone = self._index.remove_damaged(raw)
        if gone:
            _log.warning(
                "the cached %s in %s was damaged (%s) and is removed", display(str(raw[0])), display(self.path), fault
            )
        self._remove(gone, at_once=True)
        return bool(gone)

    # --- putting and removing ---------------------------------------------------------------------------------------

    def _checked(self, key: str, ttl: float | None, label: str, lease: Lease | None) -> float | None:
        """How long what is put lives.

        Raises:
            ValueError: one of these is none.
        """
        _check(key)
        lifetime = _length(ttl) if ttl is not None else cast("float | None", self.ttl)
        label.encode()  # a ValueError now, and not when all is written
        if lease is not None and lease.key != key:
            raise ValueError(f"the lease is for {lease.key!r}, not for {key!r}")
        return lifetime

    def _enter(
        self, draft: Draft, key: str, beside: int, lifetime: float | None, label: str, lease: Lease | None
    ) -> tuple[Row, list[tuple[str, str]]]:
        """Make the entry of ``key`` of what was written, with ``beside`` bytes of objects; returns what had to go."""

        def allowed(db: sqlite3.Connection) -> None:
            if lease is not None:
                cache_leases.check(db, lease)

        now = self._now()
        turn = self._index.turn(now)
        file = draft.publish(key, turn)
        expires = None if lifetime is None or lifetime == math.inf else now + lifetime
        row = Row(key, file, draft.size + beside, now, turn, expires, draft.checksum, label)
        return row, self._index.enter(row, self._files, limit=self._limit, recent=self._recent(), allowed=allowed)

    def _place(self, key: str, file: str) -> Dataset:
        return self._datasets.at(key, shard_of(str(key)), file)

    def _recent(self) -> int:
        """The moment since when datasets were used that somebody may still read, in nanoseconds."""
        return int(min(max(self._now() - IN_USE, 0.0), _FAR) * 1e9)

    def _remove(self, gone: Iterable[tuple[str, str]], *, at_once: bool = False) -> None:
        """Remove the files of entries that the index does not know any more, and their objects.

        Args:
            gone: keys and files.
            at_once: even if somebody may read the objects; else they stay for a while, with the file, which tells when
                they were used last.
        """
        recent = self._recent()
        unread = []
        for key, file in gone:
            if has_dataset(file):
                if not at_once and (self._files.used(key, file) or 0) > recent:
                    continue
                self._datasets.remove(self._place(key, file))
            unread.append((key, file))
        self._files.remove(unread)

    def _sweep_datasets(self, now: float) -> None:
        """Remove datasets that are no entries, and that nobody reads or writes any more."""
        for some in self._datasets.all():
            known = self._index.files_of({key for key, _, _ in some})
            for key, file, dataset in some:
                if (key, file) in known:
                    continue
                if self._files.used(key, file) is not None:
                    self._remove([(key, file)])
                elif self._datasets.is_abandoned(file, now):
                    self._datasets.remove(dataset)


def _check(key: str) -> None:
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise ValueError(f"{key!r} is not a key: 1 to 128 of the characters a-z, 0-9, - and _")


def _length(ttl: float) -> float:
    if not ttl >= 0:
        raise ValueError(f"{ttl!r} is not a time to live: give seconds, 0 or more")
    return float(ttl)
