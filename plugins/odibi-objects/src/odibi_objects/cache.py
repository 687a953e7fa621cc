"""A cache in any storage, shared by whoever reaches it."""

from __future__ import annotations

import heapq
import logging
from collections.abc import Mapping
from contextlib import suppress
from io import BytesIO
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, BinaryIO, ClassVar, cast

import attrs

from odibi import option
from odibi.contracts.cache import Cached, CacheEntry, CacheStats, Dataset, Lease
from odibi.contracts.storage import Storage
from odibi.errors import Conflict, NotFound, StorageError
from odibi_objects import entries as layout
from odibi_objects.clock import Clock
from odibi_objects.crew import Crew
from odibi_objects.datasets import IN_USE, Datasets, packed, unpacked
from odibi_objects.entries import FOREVER, MAX_LABEL, SEAL, SHARDS, Seal, Sealing, Version, by_key, check_key
from odibi_objects.leases import Claim, Leases
from odibi_objects.names import below
from odibi_objects.options import duration, folder, pause, positive, size
from odibi_objects.room import Room
from odibi_objects.tallies import Tallies

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

_log = logging.getLogger("odibi.cache")

_TRIES = 20
"""How often an entry that was replaced while it was being read is looked for again."""

_PATIENCE = 1000
"""Entries of a shard that are passed over for each key that is wanted, before all are asked for one by one. A listing
gives about as many with each request."""

_IN_MEMORY = 32 << 20
"""Bytes of content that are held in memory while they are written; more goes to a temporary file."""

_IDLE = 24 * 3600.0
"""Seconds after which the object of a lease that nobody holds is removed."""


@attrs.define(eq=False)
class StorageCache:
    """Entries as objects of a connection; see :class:`odibi.contracts.Cache` for what it promises.

    All that it needs of the connection are atomic writes, compare-and-set, and listings that show what was written; so
    runs on several machines share one cache, and none of them has to be a server.

    An entry with a dataset that was used within the last six hours is not removed to make room, and its objects stay as
    long when it is replaced or its time is up: whoever got it may still read them.
    """

    capabilities: ClassVar[Mapping[str, str]] = {"datasets": "full"}

    connection: Storage = option(help="The connection that holds the entries.", connection=True)  # noqa: RUF009
    prefix: str = option("_odibi/cache", help="The folder of the connection for the entries.", converter=folder)
    max_size: int | str | None = option(
        None,
        help="How much may be in it, in bytes or with a unit (10GB, 512MiB); what was used least recently goes first.",
        converter=size,
    )
    ttl: float | str | None = option(
        None,
        help="How long entries live that come without a time of their own: seconds, or with a unit (36h, 7d).",
        converter=duration,
    )
    count_every: float | str = option(
        300.0,
        help="How long a process keeps to itself what it counted, and which entries it used, before it writes that "
        "down: seconds, or with a unit; 0 to write it with each use, which costs a request.",
        converter=pause,
    )
    clock_skew: float | str = option(
        60.0, help="How far the clocks of two machines may be apart: seconds, or with a unit.", converter=duration
    )
    parallel: int = option(16, help="How many requests run at once where many are needed.", converter=positive)

    clock: Clock = attrs.field(factory=Clock, init=False, repr=False)
    _crew: Crew = attrs.field(init=False, repr=False)
    _leases: Leases = attrs.field(init=False, repr=False)
    _tallies: Tallies = attrs.field(init=False, repr=False)
    _room: Room | None = attrs.field(init=False, repr=False, default=None)
    _datasets: Datasets = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._crew = Crew(self.parallel)
        self._datasets = Datasets(self.connection, self.prefix, self.clock, self._crew)
        self._leases = Leases(self.connection, self.clock, cast(float, self.clock_skew))
        tallies = below(self.prefix, "tallies")
        self._tallies = Tallies(self.connection, tallies, self.clock, self._crew, cast(float, self.count_every))
        if self.max_size is not None:
            self._room = Room(cast(int, self.max_size), self.clock, self._by_use, self._tallies.last_used)

    def get(self, key: str) -> Cached | None:
        """The content, checked, or ``None``. Two requests for a hit, one for a miss, five for one with a dataset."""
        check_key(key)
        found = self._get(key)
        self._tallies.count("misses" if found is None else "hits")
        if found is not None:
            self._tallies.use(key)
        self._tallies.tick()
        return found

    def find(self, keys: Collection[str]) -> set[str]:
        """Those of ``keys`` that have an entry whose time is not up; at most 16 listings, as a rule."""
        wanted: dict[str, set[str]] = {}
        for key in keys:
            wanted.setdefault(layout.shard_of(check_key(key)), set()).add(key)
        now = self.clock.time()
        found: set[str] = set()
        unseen: set[str] = set()
        for seen, rest in self._crew.map(lambda shard: self._find(shard, wanted[shard]), wanted):
            found.update(version.key for version in seen if version.expires > now)
            unseen |= rest
        for newest in self._crew.map(self._newest, sorted(unseen)):
            if newest is not None and newest.expires > now:
                found.add(newest.key)
        return found

    def put(
        self,
        key: str,
        writer: Callable[[BinaryIO], object],
        ttl: float | None = None,
        *,
        label: str = "",
        lease: Lease | None = None,
    ) -> CacheEntry:
        """Store what ``writer`` writes. Two requests, three under a lease, and one for each version it replaces.

        The content goes to a temporary file first if it is large, so that a storage is only ever given what is whole.

        Raises:
            Conflict: the lease was lost to a newer one.
            StorageError: it cannot be stored.
            ValueError: ``label`` has more than 512 bytes, ``ttl`` is below 0, or the lease is another key's.
        """
        lives = self._checked(key, ttl, label, lease)
        with SpooledTemporaryFile(_IN_MEMORY) as draft:
            sealing = Sealing(draft)
            writer(sealing)  # type: ignore[arg-type]
            older = self._allowed(key, lease)
            version = self._next(key, older, lives)
            sealed = sealing.finish(version, label)
            draft.seek(0)
            self.connection.write(self._path(version), cast(BinaryIO, draft))
        return self._put(version, sealed, older)

    def dataset(self, key: str) -> Dataset:
        """A place for the result behind ``key``, with nothing in it, that nobody else is given."""
        return self._datasets.place(check_key(key))

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
        owner, token = self._datasets.parse(dataset)
        if any(version.nonce == token for version in self._versions(layout.folder_of(owner))):
            raise StorageError("this dataset was put before", where=dataset.path, remedy="Ask for another place.")
        path = ""
        try:
            lives = self._checked(key, ttl, label, lease)
            if key != owner:
                raise ValueError(f"the dataset is for {owner!r}, not for {key!r}")
            objects = self._datasets.finished(dataset, token)
            beside = sum(int(size) for _, size, _ in objects)
            whole = packed(objects, content)
            most = cast("int | None", self.max_size)
            if most is not None and beside + len(whole) > most:
                raise StorageError(
                    f"the entry is larger than the whole cache may be ({most} bytes)",
                    where=key,
                    remedy="Raise the cache's max_size, or do not cache this.",
                )
            with BytesIO() as draft:
                sealing = Sealing(draft)
                sealing.write(whole)
                older = self._allowed(key, lease)
                version = self._next(key, older, lives, token, beside)
                sealed = sealing.finish(version, label)
                path = self._path(version)
                self.connection.write(path, draft.getvalue())
        except BaseException:
            with suppress(StorageError):
                if path:
                    self.connection.delete(path)  # it may be there: an answer may have been lost
                self._datasets.remove(dataset)
            raise
        return self._put(version, sealed, older)

    def delete(self, key: str) -> None:
        """Remove the entry; deleting nothing succeeds."""
        self._remove(self._versions(layout.folder_of(check_key(key))), at_once=True)

    def entries(self) -> Iterator[CacheEntry]:
        """Every entry, lazily, by key; expired ones too. Reads the last kilobyte of each."""
        used = self._tallies.sums().used
        newest = (each for each, _ in by_key(self._merged()))
        for entry in self._crew.map(lambda version: self._entry(version, used), newest):
            if entry is not None:
                yield entry

    def verify(self) -> Iterator[CacheEntry]:
        """Check the content of every entry; those that are damaged are removed and come out."""
        used = self._tallies.sums().used
        version: Version | None
        for listed, _ in by_key(self._merged()):
            version = listed
            while version is not None:
                entry = self._entry(version, used)
                try:
                    whole = self.connection.read(self._path(version))
                except NotFound:
                    version = self._newest(listed.key)
                    continue
                opened = layout.opened(whole, version)
                sound = opened is not None
                if opened is not None and version.beside is not None and self._content(version, opened[1]) is None:
                    newest = self._newest(listed.key)
                    if newest != version:
                        version = newest
                        continue
                    sound = False
                if not sound:
                    self._damaged(version)
                    yield entry or _unsealed(version, used)
                break

    def purge_expired(self) -> int:
        """Remove entries whose time is up, versions that were replaced, and leases that nobody holds any more."""
        now = self.clock.time()
        gone: list[Version] = []
        expired = 0
        keys: set[str] = set()
        with_datasets: list[Version] = []
        for newest, older in by_key(self._merged()):
            with_datasets += (version for version in (newest, *older) if version.beside is not None)
            gone += older
            if newest.expires <= now:
                gone.append(newest)
                expired += 1
            else:
                keys.add(newest.key)
        self._remove(gone)
        self._datasets.purge(with_datasets)
        self._purge_leases()
        self._tallies.add_up(keys)
        return expired

    def evict(self, max_bytes: int) -> int:
        """Remove the least recently used entries until at most ``max_bytes`` are left; returns how many.

        What other processes used in the last minutes may not be known yet; see :mod:`odibi_objects.tallies`.
        """
        there = sorted(self._by_use(), key=lambda pair: (pair[0], pair[1].name))
        total = sum(version.size for _, version in there)
        gone: list[Version] = []
        recent = self.clock.time() - IN_USE
        for used, version in there:
            if total <= max_bytes:
                break
            if version.beside is not None and used > recent:
                continue
            gone.append(version)
            total -= version.size
        self._remove(gone)
        if gone:
            self._tallies.count("evictions", len(gone))
            with suppress(StorageError):
                self._tallies.flush()
        return len(gone)

    def lease(self, key: str, ttl: float) -> Lease | None:
        """The right to compute ``key`` for ``ttl`` seconds, or ``None``. One request if nobody had it before."""
        taken, claim = self._leases.take(self._lease_path(check_key(key)), key, _length(ttl), expect_none=True)
        return _lease(claim) if taken else None

    def renew(self, lease: Lease, ttl: float) -> Lease | None:
        """The same lease for ``ttl`` seconds from now on; ``None`` if it was lost."""
        claim = self._leases.renew(self._lease_path(lease.key), lease.token, _length(ttl))
        return None if claim is None else _lease(claim)

    def release(self, lease: Lease) -> None:
        """Give a lease back; giving back a lost one does nothing."""
        self._leases.release(self._lease_path(lease.key), lease.token)

    def stats(self) -> CacheStats:
        """Counts and sizes; what other processes counted in the last five minutes may be missing."""
        sizes = [newest.size for newest, _ in by_key(self._merged())]
        counts = self._tallies.sums().counts
        return CacheStats(
            entries=len(sizes),
            bytes=sum(sizes),
            hits=counts["hits"],
            misses=counts["misses"],
            puts=counts["puts"],
            evictions=counts["evictions"],
            corrupt=counts["corrupt"],
        )

    def close(self) -> None:
        """Write what was counted, and let the threads go; may be called twice."""
        try:
            self._tallies.flush(last=True)
        except StorageError as error:
            _log.warning("what was counted in the cache could not be written: %s", error)
        finally:
            self._crew.close()

    # --- reading ----------------------------------------------------------------------------------------------------

    def _get(self, key: str) -> Cached | None:
        for _ in range(_TRIES):
            version = self._newest(key)
            if version is None or version.expires <= self.clock.time():
                return None
            try:
                whole = self.connection.read(self._path(version))
            except NotFound:
                continue  # it was replaced, or removed, since the listing
            if version.expires <= self.clock.time():
                return None
            opened = layout.opened(whole, version)
            if opened is None:
                self._damaged(version)
                return None
            sealed, content = opened
            if version.beside is None:
                return Cached(content, sealed.label)
            # Told to all at once: whoever removes the entry looks afterwards when it was used last. So either its
            # objects stay, or it is seen to be gone here.
            self._tallies.use(key)
            with suppress(StorageError):
                self._tallies.flush()
            known = self._content(version, content)
            if self._newest(key) != version:
                continue
            if known is None:
                self._damaged(version)
                return None
            return Cached(known, sealed.label, self._datasets.of(version))
        return None

    def _content(self, version: Version, whole: memoryview) -> memoryview | None:
        """The content of an entry with a dataset; ``None`` if its objects are not those that were put."""
        objects, content = unpacked(whole)
        return content if self._datasets.objects(self._datasets.of(version)) == objects else None

    def _newest(self, key: str) -> Version | None:
        for newest, _ in by_key(self._versions(layout.folder_of(key))):
            return newest
        return None

    def _find(self, shard: str, keys: set[str]) -> tuple[list[Version], set[str]]:
        """The entries of some keys of a shard, and those that were not looked for, as it holds so many others."""
        if len(keys) == 1:
            return [], keys
        last = max(keys)
        patience = len(keys) * _PATIENCE
        found: list[Version] = []
        for newest, _ in by_key(self._versions(shard)):
            patience -= 1
            if patience < 0:
                return found, {key for key in keys if key >= newest.key}
            if newest.key > last:
                break
            if newest.key in keys:
                found.append(newest)
        return found, set()

    def _entry(self, listed: Version, used: dict[str, float]) -> CacheEntry | None:
        """What the seal of an object, or of the one that replaced it, says; ``None`` if the entry is gone by now."""
        version: Version | None = listed
        while version is not None:
            try:
                with self.connection.open(self._path(version)) as file:
                    file.seek(version.sealed)
                    found = layout.read_seal(file.read(SEAL))
            except NotFound:
                version = self._newest(listed.key)
                continue
            if found is None or not found.fits(version):
                return _unsealed(version, used)
            return found.entry(max(version.created, used.get(version.key, 0.0)), version.beside)
        return None

    # --- writing ----------------------------------------------------------------------------------------------------

    def _checked(self, key: str, ttl: float | None, label: str, lease: Lease | None) -> float | None:
        """How long what is put lives.

        Raises:
            ValueError: one of these is none.
        """
        check_key(key)
        if len(label.encode("utf-8")) > MAX_LABEL:
            raise ValueError(f"a label has at most {MAX_LABEL} bytes, not {len(label.encode('utf-8'))}")
        if lease is not None and lease.key != key:
            raise ValueError(f"the lease is for {lease.key!r}, not for {key!r}")
        return cast("float | None", self.ttl) if ttl is None else _length(ttl)

    def _allowed(self, key: str, lease: Lease | None) -> list[Version]:
        """The versions that a put replaces.

        Raises:
            Conflict: its lease was lost.
        """
        if lease is not None:
            self._check(lease)
        return list(self._versions(layout.folder_of(key)))

    def _next(
        self, key: str, older: list[Version], lives: float | None, nonce: str = "", beside: int | None = None
    ) -> Version:
        now = self.clock.time()
        return layout.next_version(key, older, now, FOREVER if lives is None else now + lives, nonce, beside)

    def _put(self, version: Version, sealed: Seal, older: list[Version]) -> CacheEntry:
        """What is left to do when a version is there."""
        self._tallies.count("puts")
        self._tallies.use(version.key)
        self._remove_quietly(older)
        if self._room is not None:
            crowded_out = self._room.make(attrs.evolve(version, size=sealed.size + (version.beside or 0)), older)
            self._tallies.count("evictions", len(crowded_out))
            self._remove_quietly(crowded_out)
        self._tallies.tick()
        return sealed.entry(self._tallies.last_used(version.key), version.beside)

    # --- listing ----------------------------------------------------------------------------------------------------

    def _versions(self, where: str) -> Iterator[Version]:
        """All versions in a folder below that of the entries, in the order of their keys."""
        root = below(self.prefix, "entries")
        for stat in self.connection.list(f"{root}/{where}"):
            version = layout.version_of(stat, root)
            if version is not None:
                yield version

    def _merged(self) -> Iterator[Version]:
        """All versions, in the order of their keys."""
        return heapq.merge(*(self._versions(shard) for shard in SHARDS), key=lambda version: version.key)

    def _by_use(self) -> Iterator[tuple[float, Version]]:
        """Every entry with the time when it was last used; versions that were replaced are removed on the way."""
        used = self._tallies.sums().used
        for versions in self._crew.map(lambda shard: list(self._versions(shard)), SHARDS):
            for newest, older in by_key(versions):
                self._remove_quietly(older)
                yield max(newest.created, used.get(newest.key, 0.0)), newest

    # --- removing ---------------------------------------------------------------------------------------------------

    def _remove(self, versions: Iterable[Version], *, at_once: bool = False) -> None:
        """Remove entries; their objects, too, unless somebody may read them (or even then, if ``at_once``)."""
        gone = list(versions)
        with_datasets = [version for version in gone if version.beside is not None]
        left = [(version, "" if at_once else self._datasets.leave(version)) for version in with_datasets]
        self._crew.do(self.connection.delete, map(self._path, gone))
        if self._room is not None:
            self._room.forget(gone)
        if not left:
            return
        recent = self.clock.time() - IN_USE
        used = {} if at_once else self._tallies.sums().used
        for version, mark in left:
            if at_once or max(version.created, used.get(version.key, 0.0)) <= recent:
                self._datasets.remove(self._datasets.of(version))
                if mark:
                    self.connection.delete(mark)

    def _remove_quietly(self, versions: list[Version]) -> None:
        """Remove what nobody sees any more; what stays for once goes with the next purge."""
        with suppress(StorageError):
            self._remove(versions)

    def _damaged(self, version: Version) -> None:
        self._tallies.count("corrupt")
        _log.warning(
            "the entry %s of the cache is damaged, and is removed: %s",
            version.key,
            self.connection.uri(self._path(version)),
        )
        with suppress(StorageError):
            self._remove([version], at_once=True)
            self._tallies.flush()

    def _purge_leases(self) -> None:
        root = below(self.prefix, "leases")
        now = self.clock.time()
        old = [stat.path for stat in self.connection.list(root) if stat.modified < now - _IDLE]

        def purge(path: str) -> None:
            claim = self._leases.current(path, _IDLE)
            if claim is not None and (claim.free or claim.expires < now - _IDLE):
                self.connection.delete(path)

        self._crew.do(purge, old)

    # --- leases -----------------------------------------------------------------------------------------------------

    def _check(self, lease: Lease) -> None:
        claim = self._leases.current(self._lease_path(lease.key), 0.0)
        if claim is not None and claim.token > lease.token:
            raise Conflict(
                f"the lease was lost to {claim.holder}",
                where=lease.key,
                remedy="Use what the other stores; nothing was stored here.",
            )

    def _lease_path(self, key: str) -> str:
        return below(self.prefix, f"leases/{layout.shard_of(key)}/{key}")

    def _path(self, version: Version) -> str:
        return below(self.prefix, f"entries/{version.name}")


def _length(ttl: float) -> float:
    if not ttl >= 0:
        raise ValueError(f"{ttl!r} is no time to live; give seconds, 0 or more")
    return float(ttl)


def _lease(claim: Claim) -> Lease:
    return Lease(claim.name, claim.token, claim.expires)


def _unsealed(version: Version, used: dict[str, float]) -> CacheEntry:
    """What is known of an entry whose seal is damaged."""
    expires = None if version.expires == FOREVER else version.expires
    moment = max(version.created, used.get(version.key, 0.0))
    return CacheEntry(version.key, version.size, version.created, moment, "", "", expires)
