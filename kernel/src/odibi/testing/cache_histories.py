"""Random histories of a cache with two users, beside a dict that does the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, cast

import attrs
import hypothesis.strategies as st
import pytest
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from odibi.errors import Conflict
from odibi.testing.cache_store import Stopped, Warnings, flip, writing

if TYPE_CHECKING:
    from collections.abc import Callable

    from odibi.contracts.cache import Dataset, DatasetCache, Lease
    from odibi.testing.cache_store import Opened


@attrs.define
class _Known:
    """What the model knows of an entry.

    Attributes:
        objects: of its dataset, by their names; ``None`` if it has none.
        place: where they are.
    """

    data: bytes
    label: str
    expires: float | None
    turn: int
    size: int
    objects: dict[str, bytes] | None = None
    place: Dataset | None = None


_NAMES = ("a", "a_b", "a-b")
_KEYS = st.sampled_from(_NAMES)
_USERS = st.integers(0, 1)
_DATA = st.binary(max_size=40)
_LABELS = st.sampled_from(["", "json", "é"])
_TIMES = st.sampled_from([None, None, 1, 10, 100])
_OBJECTS = st.dictionaries(st.sampled_from(["part-0", ".part-0.crc", "in/part-1", "_SUCCESS"]), _DATA, max_size=3)
_WEEK = 7 * 86400.0


def _objects(place: Dataset) -> dict[str, bytes]:
    """What is there of a dataset."""
    paths = [stat.path for stat in place.storage.list(place.path)]
    return {path.removeprefix(f"{place.path}/"): place.storage.read(path) for path in paths}


def histories(open_place: Callable[[], Opened]) -> type[RuleBasedStateMachine]:
    """A hypothesis state machine that compares a cache to a model.

    Args:
        open_place: makes a new, empty place.
    """

    class Histories(RuleBasedStateMachine):
        """Calls of two users of one place.

        There are few keys, and rules that pick one that is there, so that what is put is also read, replaced and
        evicted. What has expired may be removed at any time; so the model purges before it counts. Some entries have
        datasets, if the cache has room for them; hardly an hour passes, so these are not evicted.
        """

        @initialize()
        def begin(self) -> None:
            """Two users, and nothing there."""
            self.store = open_place()
            self.caches = [self.store.open(), self.store.open()]
            self.model: dict[str, _Known] = {}
            self.places: list[Dataset] = []
            self.leases: dict[str, list[Lease]] = {}
            self.held: dict[str, Lease] = {}
            self.turn = 0
            self.hits = self.misses = self.puts = self.corrupt = self.evictions = 0

        def teardown(self) -> None:
            """See that everything was counted, and remove the place."""
            if not hasattr(self, "store"):
                return
            try:
                for cache in self.caches:
                    cache.close()
                stats = self.store.open().stats()
                assert (stats.hits, stats.misses) == (self.hits, self.misses)
                assert (stats.puts, stats.corrupt, stats.evictions) == (self.puts, self.corrupt, self.evictions)
                self.see_what_is_left()
            finally:
                self.store.close()

        def see_what_is_left(self) -> None:
            """Of datasets, once nobody can read or write them any more: those of entries, whole."""
            if not self.places or not self.store.has_clock:
                return
            cache = self.store.open()
            for _ in range(2):
                self.store.clock.advance(_WEEK)
                cache.purge_expired()
            left = {
                known.place.path: known.objects for known in self.model.values() if known.place and not known.expires
            }
            for place in self.places:
                assert _objects(place) == left.get(place.path, {})

        # --- the model ----------------------------------------------------------------------------------------------

        def used(self) -> int:
            """Later than all before."""
            self.store.tick()
            self.turn += 1
            return self.turn

        def alive(self, key: str) -> bool:
            """Whether there is an entry whose time is not up."""
            known = self.model.get(key)
            return known is not None and (known.expires is None or self.store.now() < known.expires)

        def is_held(self, key: str) -> bool:
            """Whether somebody holds its lease."""
            return key in self.held and self.store.now() < self.held[key].expires

        def ttl(self, seconds: float) -> float:
            """A time for a lease; one that does not end where there is no clock to turn."""
            return seconds if self.store.has_clock else 1e6

        def look(self, user: int, key: str, turn: int) -> None:
            """Get it, and see whether it is what was put."""
            found = self.caches[user].get(key)
            if not self.alive(key):
                assert found is None
                self.misses += 1
                return
            known = self.model[key]
            assert found is not None
            assert (bytes(found.data), found.label) == (known.data, known.label)
            assert (found.dataset is None) == (known.objects is None)
            assert found.dataset is None or _objects(found.dataset) == known.objects
            known.turn = turn
            self.hits += 1

        def store_in(
            self,
            user: int,
            key: str,
            data: bytes,
            label: str,
            ttl: float | None,
            lease: Lease | None = None,
            objects: dict[str, bytes] | None = None,
        ) -> None:
            """Put it, and note what was put."""
            turn, ttl = self.used(), ttl if self.store.has_clock else None
            place = None
            if objects is None:
                entry = self.caches[user].put(key, writing(data), ttl, label=label, lease=lease)
                assert entry.size == len(data)
            else:
                cache = cast("DatasetCache", self.caches[user])
                place = self.begin_dataset(user, key, objects)
                entry = cache.put_dataset(key, place, data, ttl, label=label, lease=lease)
                assert entry.size >= len(data) + sum(map(len, objects.values()))
            assert (entry.key, entry.label) == (key, label)
            assert (entry.expires is None) == (ttl is None)
            if entry.expires is not None and ttl is not None:
                assert abs(entry.expires - self.store.now() - ttl) < 1e-3
            self.model[key] = _Known(data, label, entry.expires, turn, entry.size, objects, place)
            self.puts += 1

        def begin_dataset(self, user: int, key: str, objects: dict[str, bytes]) -> Dataset:
            """Write what is to become an entry, or not."""
            place = cast("DatasetCache", self.caches[user]).dataset(key)
            for name, data in objects.items():
                place.storage.write(f"{place.path}/{name}", data)
            self.places.append(place)
            return place

        def take(self, user: int, key: str, seconds: float) -> None:
            """Ask for the lease, and see whether that is right."""
            lease = self.caches[user].lease(key, self.ttl(seconds))
            if self.is_held(key):
                assert lease is None
                return
            assert lease is not None
            assert not self.store.has_clock or abs(lease.expires - self.store.now() - seconds) < 1e-3
            before = self.leases.setdefault(key, [])
            assert all(other.token < lease.token for other in before)
            before.append(lease)
            self.held[key] = lease

        # --- entries ------------------------------------------------------------------------------------------------

        @rule(user=_USERS, key=_KEYS, data=_DATA, label=_LABELS, ttl=_TIMES)
        def put(self, user: int, key: str, data: bytes, label: str, ttl: int | None) -> None:
            """Put something."""
            self.store_in(user, key, data, label, ttl)

        @precondition(lambda self: self.store.has_datasets)
        @rule(user=_USERS, key=_KEYS, data=_DATA, label=_LABELS, ttl=_TIMES, objects=_OBJECTS)
        def put_dataset(
            self, user: int, key: str, data: bytes, label: str, ttl: int | None, objects: dict[str, bytes]
        ) -> None:
            """Put something with a dataset."""
            self.store_in(user, key, data, label, ttl, objects=objects)

        @precondition(lambda self: self.store.has_datasets)
        @rule(user=_USERS, key=_KEYS, objects=_OBJECTS)
        def abandon(self, user: int, key: str, objects: dict[str, bytes]) -> None:
            """Begin to."""
            self.begin_dataset(user, key, objects)

        @precondition(lambda self: any(known.place and self.alive(key) for key, known in self.model.items()))
        @rule(user=_USERS, at=st.integers(0, 2), name=st.sampled_from(["part-0", "more"]))
        def damage_a_dataset(self, user: int, at: int, name: str) -> None:
            """Change an object, or add one, and have it noticed."""
            some = sorted(key for key, known in self.model.items() if known.place and self.alive(key))
            key = some[at % len(some)]
            place = self.model.pop(key).place
            assert place is not None
            place.storage.write(f"{place.path}/{name}", b"what was not put")
            with Warnings() as warnings:
                assert self.caches[user].get(key) is None
            assert len(warnings.messages) == 1
            assert _objects(place) == {}
            self.corrupt += 1
            self.misses += 1

        @precondition(lambda self: self.model)
        @rule(user=_USERS, at=st.integers(0, 2), data=_DATA, label=_LABELS, ttl=_TIMES, fails=st.booleans())
        def replace(self, user: int, at: int, data: bytes, label: str, ttl: int | None, fails: bool) -> None:
            """Put something where there is something, or begin to."""
            key = sorted(self.model)[at % len(self.model)]
            if not fails:
                self.store_in(user, key, data, label, ttl)
                return

            def writer(file: BinaryIO) -> None:
                file.write(data)
                raise Stopped

            with pytest.raises(Stopped):
                self.caches[user].put(key, writer)

        @rule(user=_USERS, key=_KEYS)
        def get(self, user: int, key: str) -> None:
            """Get something."""
            self.look(user, key, self.used())

        @precondition(lambda self: self.model)
        @rule(user=_USERS, at=st.integers(0, 2))
        def get_what_is_there(self, user: int, at: int) -> None:
            """Get something that was put."""
            self.look(user, sorted(self.model)[at % len(self.model)], self.used())

        @rule(user=_USERS, key=_KEYS, act=st.sampled_from(["delete", "reopen", "verify", "purge"]))
        def keep_house(self, user: int, key: str, act: str) -> None:
            """Do what is done now and then."""
            cache = self.caches[user]
            if act == "delete":
                cache.delete(key)
                self.model.pop(key, None)
            elif act == "reopen":
                cache.close()
                self.caches[user] = self.store.open()
            elif act == "verify":
                assert list(cache.verify()) == []
            else:
                self.purge(user)

        def purge(self, user: int) -> None:
            """Remove what has expired."""
            expired = [key for key in self.model if not self.alive(key)]
            assert self.caches[user].purge_expired() <= len(expired)
            for key in expired:
                del self.model[key]

        @precondition(lambda self: self.model)
        @rule(user=_USERS, kept=st.integers(0, 2), more=st.integers(-1, 1))
        def evict(self, user: int, kept: int, more: int) -> None:
            """Leave as much as the latest few take, or hardly more or less."""
            self.purge(user)
            latest = sorted(self.model.values(), key=lambda known: -known.turn)
            left = max(0, sum(known.size for known in latest[:kept]) + more)
            gone = 0
            while sum(known.size for known in self.model.values()) > left:
                some = [key for key, known in self.model.items() if known.objects is None]
                if not some:
                    break
                del self.model[min(some, key=lambda key: self.model[key].turn)]
                gone += 1
            assert self.caches[user].evict(left) == gone
            self.evictions += gone

        @precondition(lambda self: any(known.data and self.alive(key) for key, known in self.model.items()))
        @rule(user=_USERS, at=st.integers(0, 2), position=st.integers(0, 1_000))
        def damage(self, user: int, at: int, position: int) -> None:
            """Flip a bit of one that is there, and have it noticed."""
            whole = sorted(key for key, known in self.model.items() if known.data and self.alive(key))
            key = whole[at % len(whole)]
            self.store.corrupt(key, flip(position))
            with Warnings() as warnings:
                assert self.caches[user].get(key) is None
            assert len(warnings.messages) == 1
            del self.model[key]
            self.corrupt += 1
            self.misses += 1

        # --- time ---------------------------------------------------------------------------------------------------

        @precondition(lambda self: self.store.has_clock)
        @rule(seconds=st.sampled_from([0.5, 1, 9, 50]))
        def wait(self, seconds: float) -> None:
            """Let time pass."""
            self.store.clock.advance(seconds)

        @precondition(lambda self: self.store.has_clock and (self.model or self.held))
        @rule(user=_USERS, at=st.integers(0, 5))
        def wait_until_one_ends(self, user: int, at: int) -> None:
            """Let exactly as much time pass as something has left, and look whether it has ended."""
            ends = [(known.expires, key, False) for key, known in self.model.items() if known.expires is not None]
            ends += [(lease.expires, key, True) for key, lease in self.held.items()]
            later = sorted(end for end in ends if end[0] > self.store.now())
            if later:
                moment, key, is_lease = later[at % len(later)]
                self.store.clock.now = moment
                if is_lease:
                    self.take(user, key, 10)
                else:
                    assert self.caches[user].get(key) is None
                    self.misses += 1

        # --- leases -------------------------------------------------------------------------------------------------

        @rule(user=_USERS, key=_KEYS, seconds=st.sampled_from([1, 10, 100]))
        def lease(self, user: int, key: str, seconds: int) -> None:
            """Take the lease, if nobody has it."""
            self.take(user, key, seconds)

        @precondition(lambda self: self.leases)
        @rule(user=_USERS, at=st.integers(0, 2), back=st.integers(0, 1), release=st.booleans())
        def end_or_renew(self, user: int, at: int, back: int, release: bool) -> None:
            """Give a lease back, or renew it; the newest of its key, or the one before."""
            lease = self.leased(at, back)
            current = self.held.get(lease.key)
            is_current = current is not None and current.token == lease.token
            if release:
                self.caches[user].release(lease)
                if is_current:
                    del self.held[lease.key]
            else:
                renewed = self.caches[user].renew(lease, self.ttl(10))
                if not is_current:
                    assert renewed is None
                elif self.is_held(lease.key):
                    assert renewed is not None
                if renewed is not None:
                    assert renewed.token == lease.token
                    assert not self.store.has_clock or abs(renewed.expires - self.store.now() - 10) < 1e-3
                    self.held[lease.key] = renewed
            self.take(user, lease.key, 10)

        @precondition(lambda self: self.leases)
        @rule(user=_USERS, at=st.integers(0, 2), back=st.integers(0, 1), data=_DATA, label=_LABELS)
        def put_under_a_lease(self, user: int, at: int, back: int, data: bytes, label: str) -> None:
            """Put under a lease; the newest of its key, or the one before."""
            lease = self.leased(at, back)
            if lease.token == self.leases[lease.key][-1].token:
                self.store_in(user, lease.key, data, label, None, lease)
            else:
                with pytest.raises(Conflict):
                    self.caches[user].put(lease.key, writing(data), lease=lease)
                if self.store.has_datasets:
                    place = self.begin_dataset(user, lease.key, {"part-0": data})
                    with pytest.raises(Conflict):
                        cast("DatasetCache", self.caches[user]).put_dataset(lease.key, place, data, lease=lease)
                    assert _objects(place) == {}

        def leased(self, at: int, back: int) -> Lease:
            """One of the leases there were."""
            of_key = self.leases[sorted(self.leases)[at % len(self.leases)]]
            return of_key[-1 - back % len(of_key)]

        @invariant()
        def shows_what_is_there(self) -> None:
            """Whichever way one looks."""
            if not hasattr(self, "store"):
                return
            alive = {key for key in self.model if self.alive(key)}
            for cache in self.caches:
                assert cache.find([*_NAMES, "other"]) == alive
                listed = list(cache.entries())
                assert [entry.key for entry in listed] == sorted(entry.key for entry in listed)
                assert alive <= {entry.key for entry in listed} <= set(self.model)
                stats = cache.stats()
                assert (stats.entries, stats.bytes) == (len(listed), sum(entry.size for entry in listed))
                assert (stats.puts, stats.corrupt, stats.evictions) == (self.puts, self.corrupt, self.evictions)

    return Histories
