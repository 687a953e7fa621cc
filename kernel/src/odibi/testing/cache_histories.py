"""Random histories of a cache with two users, beside a dict that does the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

import attrs
import hypothesis.strategies as st
import pytest
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from odibi.errors import Conflict
from odibi.testing.cache_store import Opened, Stopped, Warnings, flip, writing

if TYPE_CHECKING:
    from collections.abc import Callable

    from odibi.contracts.cache import CacheEntry, Lease
    from odibi.testing.cache_store import CacheStore


@attrs.define
class _Known:
    """What the model knows of an entry."""

    data: bytes
    label: str
    expires: float | None
    turn: int


_NAMES = ("a", "b", "a-b", "a_b", "0" * 64)
_KEYS = st.sampled_from(_NAMES)
_USERS = st.integers(0, 1)


def histories(new_store: Callable[[], CacheStore]) -> type[RuleBasedStateMachine]:
    """A hypothesis state machine that compares a cache to a model.

    Args:
        new_store: makes a new, empty place.
    """

    class Histories(RuleBasedStateMachine):
        """Calls of two users of one place."""

        @initialize()
        def begin(self) -> None:
            """Two users, and nothing there."""
            self.store = Opened(new_store())
            self.caches = [self.store.open(), self.store.open()]
            self.model: dict[str, _Known] = {}
            self.leases: dict[str, list[Lease]] = {}
            self.held: dict[str, Lease] = {}
            self.turn = 0
            self.puts = self.corrupt = 0

        def teardown(self) -> None:
            """Remove the place."""
            if hasattr(self, "store"):
                self.store.close()

        def used(self) -> int:
            """Later than all before."""
            self.store.tick()
            self.turn += 1
            return self.turn

        def alive(self, key: str) -> bool:
            """Whether the model has it."""
            known = self.model.get(key)
            return known is not None and (known.expires is None or self.store.now() < known.expires)

        def is_held(self, key: str) -> bool:
            """Whether the model has a lease of it."""
            return key in self.held and self.store.now() < self.held[key].expires

        def enter(self, entry: CacheEntry, data: bytes, label: str, ttl: float | None, turn: int) -> None:
            """Note what was put."""
            assert (entry.size, entry.label) == (len(data), label)
            assert (entry.expires is None) == (ttl is None)
            self.model[entry.key] = _Known(data, label, entry.expires, turn)
            self.puts += 1

        @rule(
            user=_USERS,
            key=_KEYS,
            data=st.binary(max_size=40),
            label=st.sampled_from(["", "json", "é"]),
            ttl=st.sampled_from([None, 1, 10, 100]),
        )
        def put(self, user: int, key: str, data: bytes, label: str, ttl: int | None) -> None:
            """Put something."""
            turn, ttl = self.used(), ttl if self.store.has_clock else None
            self.enter(self.caches[user].put(key, writing(data), ttl, label=label), data, label, ttl, turn)

        @rule(user=_USERS, key=_KEYS, data=st.binary(max_size=40))
        def put_fails(self, user: int, key: str, data: bytes) -> None:
            """Begin to put something."""

            def writer(file: BinaryIO) -> None:
                file.write(data)
                raise Stopped

            with pytest.raises(Stopped):
                self.caches[user].put(key, writer)

        @rule(user=_USERS, key=_KEYS)
        def get(self, user: int, key: str) -> None:
            """Get it, and see whether it is what was put."""
            turn = self.used()
            found = self.caches[user].get(key)
            if self.alive(key):
                known = self.model[key]
                assert found is not None
                assert (bytes(found.data), found.label) == (known.data, known.label)
                known.turn = turn
            else:
                assert found is None

        @rule(user=_USERS, key=_KEYS)
        def delete(self, user: int, key: str) -> None:
            """Delete it."""
            self.caches[user].delete(key)
            self.model.pop(key, None)

        @precondition(lambda self: self.store.has_clock)
        @rule(seconds=st.sampled_from([0.5, 1, 9, 50]))
        def wait(self, seconds: float) -> None:
            """Let time pass."""
            self.store.clock.advance(seconds)

        @precondition(lambda self: self.store.has_clock and self.model)
        @rule(data=st.data())
        def wait_until_one_ends(self, data: st.DataObject) -> None:
            """Let exactly as much time pass as something has left."""
            ends = {known.expires for known in self.model.values()} | {lease.expires for lease in self.held.values()}
            later = sorted(end for end in ends if end is not None and end > self.store.now())
            if later:
                self.store.clock.now = data.draw(st.sampled_from(later))

        @rule(user=_USERS)
        def purge(self, user: int) -> None:
            """Remove what has expired."""
            expired = [key for key in self.model if not self.alive(key)]
            assert self.caches[user].purge_expired() <= len(expired)
            for key in expired:
                del self.model[key]

        @rule(user=_USERS, left=st.integers(0, 120))
        def evict(self, user: int, left: int) -> None:
            """Make room."""
            self.purge(user)  # what has expired may be gone already
            gone = 0
            while sum(len(known.data) for known in self.model.values()) > left:
                del self.model[min(self.model, key=lambda key: self.model[key].turn)]
                gone += 1
            assert self.caches[user].evict(left) == gone

        @precondition(lambda self: any(known.data for known in self.model.values()))
        @rule(user=_USERS, position=st.integers(0, 1_000), data=st.data())
        def damage(self, user: int, position: int, data: st.DataObject) -> None:
            """Flip a bit of one that is there, and have it noticed."""
            key = data.draw(st.sampled_from(sorted(key for key, known in self.model.items() if known.data)))
            alive = self.alive(key)
            if not alive:
                return
            self.store.corrupt(key, flip(position))
            with Warnings() as warnings:
                assert self.caches[user].get(key) is None
            assert len(warnings.messages) == 1
            del self.model[key]
            self.corrupt += 1

        @rule(user=_USERS, key=_KEYS, ttl=st.sampled_from([1, 10, 100]))
        def lease(self, user: int, key: str, ttl: int) -> None:
            """Take the lease, if nobody has it."""
            lease = self.caches[user].lease(key, ttl if self.store.has_clock else 1e6)
            if self.is_held(key):
                assert lease is None
            else:
                assert lease is not None
                before = self.leases.setdefault(key, [])
                assert all(other.token < lease.token for other in before)
                before.append(lease)
                self.held[key] = lease

        @precondition(lambda self: self.leases)
        @rule(user=_USERS, data=st.data(), release=st.booleans())
        def end_or_renew(self, user: int, data: st.DataObject, release: bool) -> None:
            """Give a lease back, or renew it; an old one, perhaps."""
            key = data.draw(st.sampled_from(sorted(self.leases)))
            lease = data.draw(st.sampled_from(self.leases[key]))
            current = self.held.get(key)
            is_current = current is not None and current.token == lease.token
            if release:
                self.caches[user].release(lease)
                if is_current:
                    del self.held[key]
                return
            renewed = self.caches[user].renew(lease, 10 if self.store.has_clock else 1e6)
            if not is_current:
                assert renewed is None
            elif self.is_held(key):
                assert renewed is not None
            if renewed is not None:
                assert renewed.token == lease.token
                self.held[key] = renewed

        @precondition(lambda self: self.leases)
        @rule(user=_USERS, data=st.data(), written=st.binary(max_size=40))
        def put_under_a_lease(self, user: int, data: st.DataObject, written: bytes) -> None:
            """Put under a lease; an old one, perhaps."""
            key = data.draw(st.sampled_from(sorted(self.leases)))
            lease = data.draw(st.sampled_from(self.leases[key]))
            turn = self.used()
            if lease.token == self.leases[key][-1].token:
                self.enter(self.caches[user].put(key, writing(written), lease=lease), written, "", None, turn)
            else:
                with pytest.raises(Conflict):
                    self.caches[user].put(key, writing(written), lease=lease)

        @rule(user=_USERS)
        def reopen(self, user: int) -> None:
            """Close a cache and open another."""
            self.caches[user].close()
            self.caches[user] = self.store.open()

        @rule(user=_USERS)
        def verify(self, user: int) -> None:
            """Find nothing wrong."""
            assert list(self.caches[user].verify()) == []

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
                assert (stats.puts, stats.corrupt) == (self.puts, self.corrupt)

    return Histories
