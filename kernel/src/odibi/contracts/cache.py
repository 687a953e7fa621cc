"""Cache: results by fingerprint."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, Protocol, runtime_checkable

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from odibi.contracts.storage import Storage


@attrs.frozen
class CacheEntry:
    """One entry.

    Attributes:
        key: the fingerprint.
        size: of the content, in bytes.
        created, used: seconds since the epoch, UTC.
        checksum: of the content, as ``"algorithm:hex"``.
        label: what the content is, as whoever put it there said (``"pandas"``, ``"json"``).
        expires: seconds since the epoch, UTC; ``None`` for never.
    """

    key: str
    size: int
    created: float
    used: float
    checksum: str
    label: str = ""
    expires: float | None = None


@attrs.frozen
class Cached:
    """What :meth:`Cache.get` found.

    Attributes:
        data: the content, read-only; memory-mapped where the cache is local. It stays valid for as long as somebody
            holds it, whatever happens to the entry.
        label: as it was put.
        dataset: the objects that belong to it, if it was put with :meth:`DatasetCache.put_dataset`.
    """

    data: memoryview
    label: str = ""
    dataset: Dataset | None = None


@attrs.frozen
class Dataset:
    """A place for objects that an engine writes past this process.

    Attributes:
        storage: where.
        path: of a folder in it.
    """

    storage: Storage
    path: str


@attrs.frozen
class CacheStats:
    """What is there, and counts since the cache was made, of all its users together.

    ``corrupt`` counts entries that failed their checksum (each is also a miss).
    """

    entries: int
    bytes: int
    hits: int
    misses: int
    puts: int
    evictions: int
    corrupt: int


@attrs.frozen
class Lease:
    """The right to compute one key, for a while.

    Attributes:
        key: what may be computed.
        token: grows with each lease of the key; a :meth:`Cache.put` under an older token is refused.
        expires: seconds since the epoch, UTC.
    """

    key: str
    token: int
    expires: float


@runtime_checkable
class Cache(Protocol):
    """Bytes by key. Frames are stored as Arrow IPC files, which engines write and read; nothing is ever unpickled.

    Promises:
        * Content is checked on the way in and out: a flipped bit, wherever it is, is a miss, never a wrong answer.
          The damaged entry is removed, counted, and told in a warning of the logger ``odibi.cache``.
        * An entry is visible whole or not at all, to every process.
        * An entry whose time is up is not returned, at the very second it is up.
        * :meth:`evict` and :meth:`purge_expired` never spoil an entry that somebody reads.
        * A cache with a bound on its size keeps it by itself, removing the least recently used entries.
        * All methods may be called from many threads and processes at once.

    A key is a fingerprint: 1 to 128 of the characters ``a-z``, ``0-9``, ``-`` and ``_``; anything else is a
    ``ValueError``.
    """

    def get(self, key: str) -> Cached | None:
        """The content, checked, or ``None``."""
        ...

    def find(self, keys: Collection[str]) -> set[str]:
        """Those of ``keys`` that have an entry whose time is not up.

        Looks at no content, counts neither as hit nor as miss, and does not change what was used last. Made for
        thousands of keys at once.
        """
        ...

    def put(
        self,
        key: str,
        writer: Callable[[BinaryIO], object],
        ttl: float | None = None,
        *,
        label: str = "",
        lease: Lease | None = None,
    ) -> CacheEntry:
        """Store what ``writer`` writes to the file it is given, instead of what is there.

        Args:
            key: the fingerprint.
            writer: writes the content, in order. If it raises, nothing has changed, and its error comes out. The file
                takes any buffer, knows how far it is, and may be wrapped, flushed and closed; when this returns it is
                closed, and writing to it is a ``ValueError``, as for any closed file.
            ttl: seconds to live; ``None`` for as long as the cache itself keeps entries.
            label: given back with the content.
            lease: the lease under which this was computed.

        Raises:
            Conflict: the lease was lost to a newer one; nothing was stored.
            StorageError: it cannot be stored (the disk is full, say); nothing has changed.
        """
        ...

    def delete(self, key: str) -> None:
        """Remove the entry; deleting nothing succeeds."""
        ...

    def entries(self) -> Iterator[CacheEntry]:
        """Every entry, lazily, by key; expired ones too."""
        ...

    def verify(self) -> Iterator[CacheEntry]:
        """Check the content of every entry; those that are damaged are removed and come out."""
        ...

    def purge_expired(self) -> int:
        """Remove entries whose time is up, and what killed writers left behind; returns how many entries."""
        ...

    def evict(self, max_bytes: int) -> int:
        """Remove the least recently used entries until at most ``max_bytes`` are left; returns how many."""
        ...

    def lease(self, key: str, ttl: float) -> Lease | None:
        """The right to compute ``key`` for ``ttl`` seconds, or ``None`` while somebody else holds it.

        Holds across threads, processes and machines that share the cache; ends by itself when ``ttl`` is over.
        """
        ...

    def renew(self, lease: Lease, ttl: float) -> Lease | None:
        """The same lease (with its token) for ``ttl`` seconds from now on; ``None`` if it was lost."""
        ...

    def release(self, lease: Lease) -> None:
        """Give a lease back; giving back a lost one does nothing."""
        ...

    def stats(self) -> CacheStats:
        """Counts and sizes."""
        ...

    def close(self) -> None:
        """Let go of what the cache holds; may be called twice."""
        ...


@runtime_checkable
class DatasetCache(Cache, Protocol):
    """A cache with room for datasets: objects that an engine on many machines writes and reads by their addresses.

    Has the capability ``datasets``. An entry with a dataset is one like any other: visible whole or not at all, counted
    with all its bytes, and removed with all its objects. Beyond what :class:`Cache` promises:

        * :meth:`Cache.get` finds such an entry only if every object of it is there, of its size and with its etag;
          otherwise it is damaged.
        * An entry that was used within the last hours is not removed to make room, and its objects outlive it for as
          long if it expires or is replaced, as whoever got it may read them as late as that. :meth:`Cache.delete`
          removes them at once.
        * A dataset that never became an entry, as its writer was killed, is removed by :meth:`Cache.purge_expired`
          days later.
    """

    def dataset(self, key: str) -> Dataset:
        """A place for the result behind ``key``, with nothing in it, that nobody else is given."""
        ...

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
        """Store what was written to ``dataset``, with ``content``, instead of what is there.

        Args:
            key: the fingerprint.
            dataset: from :meth:`dataset`, with all its objects written. If this raises, they are removed.
            content: given back by :meth:`Cache.get`.
            ttl, label, lease: as for :meth:`Cache.put`.

        Raises:
            Conflict: as for :meth:`Cache.put`.
            StorageError: as for :meth:`Cache.put`; or it is larger than the cache may get, or took so long to be
                written that it may have been taken for abandoned.
        """
        ...
