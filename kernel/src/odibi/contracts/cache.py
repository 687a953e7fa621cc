"""Cache: results by fingerprint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, runtime_checkable

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@attrs.frozen
class CacheEntry:
    """One entry.

    Attributes:
        key: the fingerprint.
        size: in bytes.
        created, used: seconds since the epoch, UTC.
        expires: seconds since the epoch, UTC; ``None`` for never.
        checksum: of the content, as ``"algorithm:hex"``.
    """

    key: str
    size: int
    created: float
    used: float
    checksum: str
    expires: float | None = None


@attrs.frozen
class CacheStats:
    """Counts since the cache was made; ``corrupt`` counts entries that failed their checksum (each also a miss)."""

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
    """Frames by key, stored as Arrow IPC. Nothing is ever unpickled.

    Promises:
        * Content is checked on the way in and out: a flipped bit is a miss, never a wrong answer.
        * An entry is visible whole or not at all, to every process.
        * An entry whose time is up is not returned, at the very second it is up.
        * :meth:`evict` and :meth:`purge_expired` never spoil an entry that somebody reads.
        * All methods may be called from many threads and processes at once.
    """

    def get(self, key: str) -> Any | None:
        """The entry as an object with ``__arrow_c_stream__`` (memory-mapped where it is local), or ``None``."""
        ...

    def put(
        self,
        key: str,
        writer: Callable[[BinaryIO], None],
        ttl: float | None = None,
        *,
        lease: Lease | None = None,
    ) -> CacheEntry:
        """Store what ``writer`` writes to the file it is given.

        Args:
            key: the fingerprint, in hex.
            writer: writes an Arrow IPC file. If it raises, there is no entry.
            ttl: seconds to live; ``None`` for ever.
            lease: the lease under which this was computed.

        Raises:
            Conflict: the lease was lost to a newer one.
        """
        ...

    def delete(self, key: str) -> None:
        """Remove the entry; deleting nothing succeeds."""
        ...

    def entries(self) -> Iterator[CacheEntry]:
        """Every entry, lazily, by key; expired ones too."""
        ...

    def purge_expired(self) -> int:
        """Remove entries whose time is up; returns how many."""
        ...

    def evict(self, max_bytes: int) -> int:
        """Remove the least recently used entries until at most ``max_bytes`` are left; returns how many."""
        ...

    def lease(self, key: str, ttl: float) -> Lease | None:
        """The right to compute ``key`` for ``ttl`` seconds, or ``None`` while somebody else holds it.

        Holds across threads, processes and machines that share the cache; ends by itself when ``ttl`` is over.
        """
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
