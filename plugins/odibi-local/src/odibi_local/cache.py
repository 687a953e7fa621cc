"""A cache in a folder: one file an entry, and an SQLite database that knows them."""

from __future__ import annotations

import logging
import math
import os
import re
import time
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, cast
from weakref import finalize

import attrs

from odibi import option
from odibi.contracts.cache import Cached, CacheEntry, CacheStats, Lease
from odibi.errors import StorageError
from odibi_local import cache_leases
from odibi_local.amounts import byte_count, seconds
from odibi_local.cache_files import CacheFiles
from odibi_local.cache_index import CacheIndex, Raw, Row, described, same, unsealed
from odibi_local.failures import display

if TYPE_CHECKING:
    import sqlite3

_KEY = re.compile(r"[a-z0-9_-]{1,128}")
_TRIES = 100
_ROW, _CONTENT, _GONE = "what the index says of it", "its content", "its file is gone"

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
    """

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

    def __attrs_post_init__(self) -> None:
        files = CacheFiles(self.path, durable=self.fsync)
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
        _check(key)
        lifetime = _length(ttl) if ttl is not None else cast("float | None", self.ttl)
        label.encode()  # a ValueError now, and not when all is written
        if lease is not None and lease.key != key:
            raise ValueError(f"the lease is for {lease.key!r}, not for {key!r}")

        def allowed(db: sqlite3.Connection) -> None:
            if lease is not None:
                cache_leases.check(db, lease)

        limit = self._limit
        with self._files.draft() as draft:
            draft.fill(key, writer, limit)
            now = self._now()
            turn = self._index.turn(now)
            file = draft.publish(key, turn)
            expires = None if lifetime in (None, math.inf) else now + lifetime
            row = Row(key, file, draft.size, now, turn, expires, draft.checksum, label)
            gone = self._index.enter(row, self._files, limit=limit, allowed=allowed)
        self._files.remove(gone)
        return row.entry()

    def delete(self, key: str) -> None:
        """Remove the entry; deleting nothing succeeds."""
        _check(key)
        self._files.remove(self._index.remove(key))

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
            self._files.remove(gone)
            count += len(gone)
        self._index.change(lambda db: cache_leases.forget(db, now))
        self._index.recount()
        self._files.sweep(self._index.files_of)
        return count

    def evict(self, max_bytes: int) -> int:
        """Remove the least recently used entries until at most ``max_bytes`` are left; returns how many."""
        count = 0
        while gone := self._index.evict(self._files, max_bytes):
            self._files.remove(gone)
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
            return Cached(data, row.label)
        return None

    def _fault(self, raw: Raw) -> str:
        """What is wrong with an entry; nothing if it is whole."""
        row = unsealed(raw)
        if row is None:
            return _ROW
        try:
            return "" if self._files.read(row) is not None else _CONTENT
        except FileNotFoundError:
            return _GONE

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
        self._files.remove(gone)
        return bool(gone)


def _check(key: str) -> None:
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise ValueError(f"{key!r} is not a key: 1 to 128 of the characters a-z, 0-9, - and _")


def _length(ttl: float) -> float:
    if not ttl >= 0:
        raise ValueError(f"{ttl!r} is not a time to live: give seconds, 0 or more")
    return float(ttl)
