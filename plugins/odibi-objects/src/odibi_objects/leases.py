"""Leases as objects: who may do something, until when, decided by compare-and-set alone.

A lease object is written by whoever takes the lease, and is rewritten, never removed, when it is renewed or given
back; so its token grows from one holder to the next. Nothing that is decided here relies on two machines' clocks
agreeing:

- On the machine of the holder, its process can be looked up, with which a lease ends, and the monotonic clock is one
  for all.
- On any other, a lease is over when its object was not changed for as long as the lease lasts, by the watcher's own
  monotonic clock since it first saw it like this.
- A process that has only just come takes it for over without watching if the time that stands in it passed so long ago
  that no two clocks should be that far apart.

Should a holder go on all the same (its machine was asleep, say), the token tells: see those who use this.
"""

from __future__ import annotations

import threading
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import attrs

from odibi.contracts.storage import ABSENT, Match
from odibi.errors import NotFound, Transient
from odibi_objects import documents
from odibi_objects.machine import Process, from_json, is_gone, this_process

if TYPE_CHECKING:
    from odibi.contracts.storage import Storage
    from odibi_objects.clock import Clock

_TRIES = 200
_MOST_WATCHED = 10_000
_NOBODY = Process("", "an unknown machine", 0, "")


@attrs.frozen
class Claim:
    """What stands in a lease object.

    Attributes:
        name: what is leased.
        token: of this holder; greater than those of all holders before it.
        mark: changes with each write of the object.
        ttl: seconds for which it holds from ``ticks`` on.
        holder: the process that took it.
        since: when it was taken, seconds since the epoch by the holder's clock.
        renewed: when it was last renewed, likewise.
        ticks: the same moment on the monotonic clock of the holder's machine.
        free: it was given back.
        stamp: the newest that the holder knew.
        seized: the holder before did not give it back.
    """

    name: str
    token: int
    mark: str
    ttl: float
    holder: Process
    since: float
    renewed: float
    ticks: float
    free: bool = False
    stamp: int = 0
    seized: bool = False

    @property
    def expires(self) -> float:
        """Seconds since the epoch, by the holder's clock."""
        return self.renewed + self.ttl


@attrs.frozen
class Seen:
    """A claim with the etag of its object."""

    etag: str
    claim: Claim


class Leases:
    """Takes, renews, gives back and judges leases.

    Args:
        storage: where the lease objects are.
        clock: tells the time.
        skew: by how many seconds the clocks of two machines may differ.
    """

    def __init__(self, storage: Storage, clock: Clock, skew: float) -> None:
        self._storage = storage
        self._clock = clock
        self._skew = skew
        self._watched: dict[str, tuple[str, float]] = {}
        self._held: dict[tuple[str, int], Seen] = {}
        self._undecided: dict[str, str] = {}
        self._given_up: set[tuple[str, int]] = set()
        self._lock = threading.Lock()

    def take(self, path: str, name: str, ttl: float, *, expect_none: bool = False) -> tuple[bool, Claim]:
        """Take a lease, unless somebody holds it.

        Args:
            path: of the lease object.
            name: what is leased.
            ttl: seconds.
            expect_none: it was probably never leased; saves a request if so.

        Returns:
            Whether it was taken, and the claim that stands now.

        Raises:
            StorageError: the storage fails. If it is not known whether the lease was taken, the same call again tells.
        """
        if expect_none and path not in self._watched and (mine := self._write(path, self._claim(name, ttl), None)):
            return True, mine
        for _ in range(_TRIES):
            seen = self._look(path, ttl)
            if seen is not None and not self.is_over(path, seen.claim):
                if self._undecided.pop(path, None) != seen.claim.mark:
                    return False, seen.claim
                with self._lock:
                    self._held[path, seen.claim.token] = seen
                return True, seen.claim
            claim = self._claim(name, ttl, seen.claim if seen else None)
            if mine := self._write(path, claim, seen.etag if seen else None):
                return True, mine
        raise Transient("others kept taking the lease", where=path, remedy="Try again.")

    def renew(self, path: str, token: int, ttl: float | None = None, *, stamp: int = 0) -> Claim | None:
        """Let a lease last for ``ttl`` seconds (by default, as many as before) from now on; ``None`` if it was lost.

        One that is over, and that nobody took since, can be renewed. One request, as long as all goes well.
        """
        return self._rewrite(path, token, lambda claim: self._renewed(claim, ttl, stamp))

    def release(self, path: str, token: int, *, stamp: int = 0) -> None:
        """Give a lease back; one that was lost is left alone."""
        self._given_up.add((path, token))  # should it not get through, others have to wait, but not we
        self._rewrite(path, token, lambda claim: attrs.evolve(self._renewed(claim, None, stamp), free=True))
        with self._lock:
            self._held.pop((path, token), None)
        self._given_up.discard((path, token))

    def current(self, path: str, ttl: float) -> Claim | None:
        """The claim that stands, whoever's; ``None`` if there never was one. One request.

        A damaged object stands for a claim of somebody unknown, for ``ttl`` seconds.
        """
        try:
            return _claim_in(self._storage.read(path), path, ttl)
        except NotFound:
            return None

    def is_over(self, path: str, claim: Claim) -> bool:
        """Whether what ``claim`` says holds no more; the first look at one of another machine starts a watch."""
        if claim.free or (path, claim.token) in self._given_up or is_gone(claim.holder):
            return True
        now = self._clock.monotonic()
        with self._lock:
            mark, since = self._watched.get(path, ("", now))
            if mark != claim.mark:
                if len(self._watched) >= _MOST_WATCHED:
                    del self._watched[next(iter(self._watched))]
                self._watched[path] = (claim.mark, since := now)
        if claim.holder.machine == this_process().machine:
            return now >= claim.ticks + claim.ttl
        return now >= since + claim.ttl or self._clock.time() >= claim.expires + self._skew

    def _claim(self, name: str, ttl: float, before: Claim | None = None) -> Claim:
        now, ticks = self._clock.time(), self._clock.monotonic()
        mine = Claim(name, int(now * 1000), uuid4().hex, ttl, this_process(), now, now, ticks)
        if before is None:
            return mine
        # From the time of day as well, so that tokens grow even if the object was removed meanwhile.
        token = max(before.token + 1, mine.token)
        return attrs.evolve(mine, token=token, stamp=before.stamp, seized=not before.free)

    def _renewed(self, claim: Claim, ttl: float | None, stamp: int) -> Claim:
        return attrs.evolve(
            claim,
            mark=uuid4().hex,
            ttl=claim.ttl if ttl is None else ttl,
            renewed=self._clock.time(),
            ticks=self._clock.monotonic(),
            stamp=max(claim.stamp, stamp),
        )

    def _rewrite(self, path: str, token: int, how: Any) -> Claim | None:
        with self._lock:
            seen = self._held.get((path, token))
        for _ in range(_TRIES):
            if seen is None and ((seen := self._look(path, 0.0)) is None or seen.claim.token != token):
                return None
            if seen.claim.free:
                return None
            if mine := self._write(path, how(seen.claim), seen.etag):
                return mine
            seen = None
        raise Transient("others kept changing the lease", where=path, remedy="Try again.")

    def _write(self, path: str, claim: Claim, etag: str | None) -> Claim | None:
        body = documents.encode("lease", attrs.asdict(claim))
        try:
            stat = documents.swap(self._storage, path, body, ABSENT if etag is None else Match(etag))
        except BaseException:
            self._undecided[path] = claim.mark
            raise
        with self._lock:
            if stat is None:
                self._held.pop((path, claim.token), None)
                return None
            self._undecided.pop(path, None)
            self._held[path, claim.token] = Seen(stat.etag, claim)
        return claim

    def _look(self, path: str, ttl: float) -> Seen | None:
        try:
            etag = self._storage.stat(path).etag
            return Seen(etag, _claim_in(self._storage.read(path), path, ttl))
        except NotFound:
            return None


def _claim_in(data: bytes, path: str, ttl: float) -> Claim:
    try:
        content = documents.decode(data, path, "lease")
    except documents.Damaged:
        # Somebody may hold it, so it is waited for as long as a lease of ours would last.
        return Claim(path, 0, sha256(data).hexdigest(), ttl, _NOBODY, 0.0, float("inf"), 0.0)
    content.pop("kind")
    return Claim(**{**content, "holder": from_json(content["holder"])})
