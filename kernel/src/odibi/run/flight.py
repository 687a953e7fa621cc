"""Single flight: of all who want one result at the same time, one computes it and the others wait for that."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from random import Random
from typing import TYPE_CHECKING

import attrs

from odibi.errors import Cancelled, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from odibi.contracts.cache import Cache, Lease

LEASE = 15.0
"""Seconds for which the right to compute is taken; renewed for as long as the computing goes on."""

_SHORTEST, _LONGEST = 0.005, 0.5


@attrs.define(eq=False)
class Flight:
    """One caller's turn at one key.

    Attributes:
        key: of the result.
        landed: whether somebody else put the result there while this caller waited.
        lease: to be given with the result; ``None`` if it landed, or if the cache cannot give leases now, in which
            case computing it twice is the lesser harm.
    """

    key: str
    landed: bool = False
    lease: Lease | None = None


class Flights:
    """Leases of one cache, renewed by one thread for as long as somebody computes under them.

    Args:
        cache: holds the results, and the leases.
        ttl: seconds of a lease: how long others wait for a holder that died.
    """

    def __init__(self, cache: Cache, ttl: float = LEASE) -> None:
        self._cache = cache
        self._ttl = ttl
        self._active: set[Flight] = set()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._renewer: threading.Thread | None = None

    @contextmanager
    def flight(self, key: str, cancelled: Callable[[], bool] | None = None) -> Iterator[Flight]:
        """A ``with`` block in which the result is either there (``landed``) or this caller's to compute.

        Args:
            key: of the result.
            cancelled: asked while waiting.

        Raises:
            Cancelled: it was, while waiting.
        """
        flight = self._board(key, cancelled)
        if flight.lease is None:
            yield flight
            return
        with self._lock:
            self._active.add(flight)
            if self._renewer is None:
                self._renewer = threading.Thread(target=self._renew, name="odibi-leases", daemon=True)
                self._renewer.start()
        try:
            yield flight
        finally:
            with self._lock:
                self._active.discard(flight)
                lease = flight.lease
            if lease is not None:
                self._release(lease)

    def close(self) -> None:
        """Renew nothing more; may be called twice."""
        self._over.set()
        if self._renewer is not None:
            self._renewer.join()

    def _board(self, key: str, cancelled: Callable[[], bool] | None) -> Flight:
        # Those who wait for one result do not all look at once.
        pause, random, waited = _SHORTEST, Random(), False  # noqa: S311
        while True:
            try:
                lease = self._cache.lease(key, self._ttl)
                if waited and lease is not None and self._cache.find((key,)):
                    self._release(lease)
                    return Flight(key, landed=True)
            except StorageError:
                return Flight(key)
            if lease is not None:
                return Flight(key, lease=lease)
            waited = True
            if cancelled is not None and cancelled():
                raise Cancelled("it was cancelled while somebody else computed the same")
            self._over.wait(pause * (0.5 + random.random()))
            pause = min(pause * 1.5, _LONGEST)

    def _release(self, lease: Lease) -> None:
        try:
            self._cache.release(lease)
        except StorageError:
            return  # it ends by itself

    def _renew(self) -> None:
        while not self._over.wait(self._ttl / 3):
            with self._lock:
                active = list(self._active)
            for flight in active:
                if flight.lease is None:
                    continue
                try:
                    renewed = self._cache.renew(flight.lease, self._ttl)
                except StorageError:
                    continue  # once more before it ends
                with self._lock:
                    if flight in self._active and renewed is not None:
                        flight.lease = renewed  # one that was lost stays, so that the put is refused


def get_or_compute(
    cache: Cache,
    key: str,
    get: Callable[[], tuple[bool, object]],
    compute: Callable[[Lease | None], object],
    flights: Flights | None = None,
) -> object:
    """The result behind ``key``: from the cache, or computed by one of all who ask at the same time.

    Args:
        cache: where it is kept.
        key: of the result.
        get: whether the cache holds it, and the result.
        compute: computes it and puts it into the cache under the lease that it is given.
        flights: leases of the cache, if there are some already.
    """
    there, value = get()
    if there:
        return value
    own = flights or Flights(cache)
    try:
        with own.flight(key) as flight:
            there, value = get()  # between the first look and the lease somebody may have put it there
            return value if there else compute(flight.lease)
    finally:
        if flights is None:
            own.close()
