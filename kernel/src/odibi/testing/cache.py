"""The conformance suite for caches: every sentence of :class:`odibi.contracts.Cache`, as tests.

A plugin that offers a cache derives from it, and says how to get at an empty place, and at what is stored there::

    from odibi.testing.cache import CacheSuite


    class MyCacheSuite(CacheSuite):
        component = MyCache

        def options(self, place):
            return {"path": str(place)}

        def corrupt(self, place, key, damage):
            file = place / key
            file.write_bytes(damage(file.read_bytes()))

        def set_clock(self, cache, clock):
            cache.clock = clock

Without :meth:`CacheSuite.set_clock` the tests that turn the clock skip themselves. A cache whose options are not plain
values (one that is given a storage) overrides ``make``, ``make_bounded`` and ``process_code``, too. What depends on
what a cache is made of (a disk that is full, a server that goes away) is the plugin's own to test.

Needs pytest and hypothesis: ``pip install odibi-kernel[testing]``.
"""

from __future__ import annotations

import io
import json
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import attrs
import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.stateful import run_state_machine_as_test

from odibi.contracts.cache import Cache, CacheEntry
from odibi.errors import StorageError
from odibi.testing.cache_datasets import CacheDatasetTests
from odibi.testing.cache_histories import histories
from odibi.testing.cache_leases import CacheLeaseTests
from odibi.testing.cache_store import (
    Clock,
    Opened,
    Stopped,
    Warnings,
    content,
    flip,
    keys_of,
    writing,
)
from odibi.testing.component import needs

__all__ = ["CacheSuite", "Clock"]

BAD_KEYS = ["", "A", "é", "a.b", "a/b", "../a", "a\\b", "a b", "a\n", "\x00", "%61", "a" * 129, "a,b", "*", "ａ"]
KEYS = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=128)

_LAWS = settings(
    deadline=None,
    max_examples=15,
    suppress_health_check=[HealthCheck.differing_executors, HealthCheck.function_scoped_fixture],
)

DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "first byte": flip(0),
    "last byte": flip(-1, 7),
    "middle": lambda stored: flip(len(stored) // 2, 3)(stored),
    "cut short by one": lambda stored: stored[:-1],
    "emptied": lambda stored: b"",  # noqa: ARG005
    "longer by one": lambda stored: stored + b"\0",
    "zeros": lambda stored: bytes(len(stored)),
    "halves swapped": lambda stored: stored[len(stored) // 2 :] + stored[: len(stored) // 2],
}

SIZES = (1, 5_000, 3_000_000)


def _numbered(size: int) -> bytes:
    """Content without two equal halves."""
    return array("I", range(size // 4 + 1)).tobytes()[1 : size + 1]


class CacheSuite(CacheLeaseTests, CacheDatasetTests):
    """What holds for every cache; see the module's documentation."""

    sizes: ClassVar[tuple[int, ...]] = (0, 1, 1_000, (1 << 20) - 1, 1 << 20, 5_000_001)
    """Of the content that is put, in bytes: give the ones at which your cache does something else."""

    listed: ClassVar[int] = 400
    """Entries of which a listing must bring all: give more than your cache asks for at once."""

    # --- what is put comes back -------------------------------------------------------------------------------------

    def test_what_is_put_comes_back(self, store: Opened) -> None:
        """Of any size, as a read-only view of bytes, with its label."""
        cache = store.open()
        for size in self.sizes:
            data = _numbered(size)
            cache.put("key", writing(data), label=f"of {size}")
            found = cache.get("key")
            assert found is not None
            assert isinstance(found.data, memoryview)
            assert (found.data.format, found.data.ndim) == ("B", 1)
            assert found.data.readonly
            assert found.data.nbytes == size
            assert found.data == data
            assert found.label == f"of {size}"

    def test_nothing_is_there_at_first(self, store: Opened) -> None:
        """Nor is it an error to ask for it, or to remove it."""
        cache = store.open()
        assert cache.get("key") is None
        assert cache.find(["key"]) == set()
        assert list(cache.entries()) == []
        assert list(cache.verify()) == []
        assert cache.purge_expired() == 0
        assert cache.evict(0) == 0
        cache.delete("key")
        stats = cache.stats()
        assert (stats.entries, stats.bytes, stats.hits, stats.puts, stats.corrupt) == (0, 0, 0, 0, 0)

    @given(
        pieces=st.lists(st.tuples(st.binary(max_size=50), st.sampled_from([bytes, bytearray, memoryview])), max_size=8)
    )
    @_LAWS
    def test_content_may_come_in_pieces(self, place: Path, pieces: list[tuple[bytes, Any]]) -> None:
        """Whatever their sizes and kinds."""
        with self.opened(place) as store:
            cache = store.open()

            def writer(file: BinaryIO) -> None:
                for piece, kind in pieces:
                    assert file.write(kind(piece)) == len(piece)

            entry = cache.put("key", writer)
            whole = b"".join(piece for piece, _ in pieces)
            assert entry.size == len(whole)
            assert content(cache, "key") == whole

    def test_the_writer_gets_a_binary_file(self, store: Opened) -> None:
        """One that knows how far it is, takes any buffer, and may be wrapped, flushed and closed."""
        cache = store.open()

        def in_order(file: BinaryIO) -> None:
            assert file.writable()
            assert not file.closed
            assert file.tell() == 0
            file.write(b"abc")
            assert file.tell() == 3
            file.flush()
            file.write(array("H", [1, 2]))
            assert file.tell() == 7
            file.writelines([b"x", b"y"])

        def as_text(file: BinaryIO) -> None:
            with io.TextIOWrapper(file, "utf-8", newline="\n") as text:
                json.dump({"ü": 1}, text, ensure_ascii=False)

        cache.put("binary", in_order)
        assert content(cache, "binary") == b"abc" + array("H", [1, 2]).tobytes() + b"xy"
        cache.put("text", as_text)
        assert content(cache, "text") == '{"ü": 1}'.encode()

    def test_a_writer_cannot_write_afterwards(self, store: Opened) -> None:
        """What is stored is what was there when it returned."""
        cache = store.open()
        kept: list[BinaryIO] = []

        def writer(file: BinaryIO) -> None:
            kept.append(file)
            file.write(b"content")

        cache.put("key", writer)
        with pytest.raises(ValueError):  # noqa: PT011 - as of any closed file
            kept[0].write(b"more")
        assert content(cache, "key") == b"content"

    def test_put_returns_the_entry(self, store: Opened) -> None:
        """As :meth:`Cache.entries` shows it."""
        cache = store.open()
        before = store.now()
        entry = cache.put("key", writing(b"content"), 60.0, label="json")
        after = store.now()
        assert (entry.key, entry.size, entry.label) == ("key", 7, "json")
        assert before - 1e-3 <= entry.created <= after + 1e-3
        assert abs(entry.used - entry.created) < 1.0
        assert entry.expires is not None
        assert abs(entry.expires - entry.created - 60.0) < 1e-3
        (listed,) = cache.entries()
        assert attrs.evolve(listed, used=entry.used) == entry
        assert abs(listed.used - entry.used) < 1.0

    def test_the_checksum_is_of_the_content(self, store: Opened) -> None:
        """``algorithm:hex``, the same for the same content and for no other."""
        cache = store.open()
        one = cache.put("one", writing(b"content")).checksum
        algorithm, _, digest = one.partition(":")
        assert algorithm
        assert int(digest, 16) >= 0
        assert cache.put("two", writing(b"content"), label="other").checksum == one
        assert cache.put("three", writing(b"Content")).checksum != one

    @given(label=st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
    @_LAWS
    def test_a_label_is_any_text(self, place: Path, label: str) -> None:
        """Or empty, when none is given."""
        with self.opened(place) as store:
            cache = store.open()
            assert cache.put("key", writing(b"x"), label=label).label == label
            found = cache.get("key")
            assert found is not None
            assert found.label == label
            cache.put("key", writing(b"x"))
            found = cache.get("key")
            assert found is not None
            assert found.label == ""

    def test_put_replaces_all_of_what_was_there(self, store: Opened) -> None:
        """Content, label and time to live."""
        cache = store.open()
        cache.put("key", writing(b"old and longer"), 60.0, label="old")
        store.tick()
        cache.put("key", writing(b"new"), label="new")
        found = cache.get("key")
        assert found is not None
        assert (bytes(found.data), found.label) == (b"new", "new")
        (entry,) = cache.entries()
        assert (entry.size, entry.label, entry.expires) == (3, "new", None)
        stats = cache.stats()
        assert (stats.entries, stats.bytes, stats.puts) == (1, 3, 2)

    def test_all_users_see_the_same(self, store: Opened) -> None:
        """What one puts, replaces or deletes, every other sees at once."""
        one, other = store.open(), store.open()
        assert other.get("key") is None
        one.put("key", writing(b"first"), label="a")
        assert content(other, "key") == b"first"
        other.put("key", writing(b"second"))
        assert content(one, "key") == b"second"
        assert one.find(["key"]) == other.find(["key"]) == {"key"}
        one.delete("key")
        assert other.get("key") is None
        assert other.find(["key"]) == set()
        assert list(other.entries()) == []

    def test_what_is_there_outlives_who_put_it(self, store: Opened) -> None:
        """A cache that is opened later has it, and one that was open already; closing twice harms neither."""
        cache = store.open()
        other = store.open()
        cache.put("key", writing(b"content"), label="x")
        cache.close()
        cache.close()
        for user in (other, store.open()):
            found = user.get("key")
            assert found is not None
            assert (bytes(found.data), found.label) == (b"content", "x")

    # --- whole or not at all ----------------------------------------------------------------------------------------

    @pytest.mark.parametrize("raised", [Stopped("half way"), OSError(5, "its source"), KeyboardInterrupt()], ids=repr)
    @pytest.mark.parametrize("size", [0, 10, 3_000_000])
    def test_a_writer_that_raises_changes_nothing(self, store: Opened, raised: BaseException, size: int) -> None:
        """Its error comes out as it is; what was there stays, and what was not is not."""
        cache = store.open()
        cache.put("there", writing(b"old"), label="old")
        before = cache.stats()

        def writer(file: BinaryIO) -> None:
            file.write(bytes(size))
            raise raised

        for key in ("there", "new"):
            with pytest.raises(type(raised)) as caught:
                cache.put(key, writer, label="new")
            assert caught.value is raised
        after = cache.stats()
        assert (after.entries, after.bytes, after.puts) == (before.entries, before.bytes, before.puts)
        assert keys_of(cache) == ["there"]
        found = cache.get("there")
        assert found is not None
        assert (bytes(found.data), found.label) == (b"old", "old")
        assert cache.get("new") is None

    def test_what_is_half_written_is_not_seen(self, store: Opened) -> None:
        """By nobody, in no way; and nobody can spoil it."""
        one, other = store.open(), store.open()
        one.put("there", writing(b"old"))

        def writer(file: BinaryIO) -> None:
            file.write(b"half" * 100_000)
            file.flush()
            for cache in (one, other):
                assert content(cache, "there") == b"old"
                assert cache.get("new") is None
                assert cache.find(["there", "new"]) == {"there"}
                assert keys_of(cache) == ["there"]
                assert list(cache.verify()) == []
                assert (cache.stats().entries, cache.stats().bytes) == (1, 3)
                cache.purge_expired()
                cache.evict(1_000)
            file.write(b"done")

        one.put("new", writer)
        assert content(other, "new") == b"half" * 100_000 + b"done"
        one.delete("new")
        one.put("there", writer)
        assert content(other, "there") == b"half" * 100_000 + b"done"

    def test_a_writer_may_use_the_cache(self, store: Opened) -> None:
        """The one that returns last is what is there."""
        cache = store.open()

        def outer(file: BinaryIO) -> None:
            file.write(b"out")
            cache.put("key", writing(b"inner"))
            cache.put("other", writing(b"beside"))
            assert content(cache, "key") == b"inner"
            file.write(b"er")

        cache.put("key", outer)
        assert content(cache, "key") == b"outer"
        assert content(cache, "other") == b"beside"

    def test_a_reader_keeps_what_it_has(self, store: Opened) -> None:
        """Whatever becomes of the entry, and of the cache."""
        small, large = b"small", _numbered(3_000_000)
        ends: list[Callable[[Cache], object]] = [
            lambda cache: cache.delete("key"),
            lambda cache: cache.put("key", writing(b"replaced")),
            lambda cache: cache.evict(0),
            lambda cache: cache.close(),
        ]

        def expire(cache: Cache) -> None:
            store.clock.advance(61)
            cache.purge_expired()

        if store.has_clock:
            ends.append(expire)
        other = store.open()
        for data in (small, large):
            for end in ends:
                cache = store.open()
                cache.put("key", writing(data), 60.0)
                held = cache.get("key")
                assert held is not None
                end(other)
                end(cache)
                assert held.data == data
                cache.close()
                assert held.data == data

    # --- keys -------------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("key", [*BAD_KEYS, None, 1, b"a"], ids=repr)
    def test_bad_keys_are_refused(self, store: Opened, key: Any) -> None:
        """Wherever a key is taken."""
        cache = store.open()
        calls: list[Callable[[], object]] = [
            lambda: cache.get(key),
            lambda: cache.find(["good", key]),
            lambda: cache.put(key, writing(b"x")),
            lambda: cache.delete(key),
            lambda: cache.lease(key, 10.0),
        ]
        for call in calls:
            with pytest.raises(ValueError):  # noqa: PT011 - the words are the cache's own
                call()
        assert list(cache.entries()) == []

    @given(keys=st.sets(KEYS, min_size=1, max_size=12))
    @_LAWS
    def test_keys_are_compared_whole(self, place: Path, keys: set[str]) -> None:
        """None stands for another, whatever their characters would mean elsewhere."""
        keys |= {"k" * 128, "k" * 127, "k" * 127 + "_", "k" * 64}
        with self.opened(place) as store:
            cache = store.open()
            for key in keys:
                cache.put(key, writing(key.encode()))
            assert {key: content(cache, key) for key in keys} == {key: key.encode() for key in keys}
            near = (
                {key[:-1] or "_" for key in keys}
                | {("_" + key[1:]) for key in keys}
                | {key[:127] + "-" for key in keys}
            )
            assert cache.find(near | keys) == keys
            assert keys_of(cache) == sorted(keys)
            gone = min(keys)
            cache.delete(gone)
            assert keys_of(cache) == sorted(keys - {gone})

    # --- looking ----------------------------------------------------------------------------------------------------

    def test_find_takes_thousands(self, store: Opened) -> None:
        """In any collection, and none."""
        cache = store.open()
        there = {f"k{number:05}" for number in range(0, 300, 3)}
        for key in there:
            cache.put(key, writing(b"x"))
        asked = [f"k{number:05}" for number in range(12_000)]
        assert cache.find(asked) == there
        assert cache.find(set(asked)) == there
        assert cache.find(dict.fromkeys(asked)) == there
        assert cache.find((*asked[:10], *asked[:10])) == there & set(asked[:10])
        assert cache.find([]) == set()

    def test_find_only_looks(self, store: Opened) -> None:
        """It counts as no use, and reads no content."""
        cache = store.open()
        for key in ("a", "b"):
            cache.put(key, writing(b"x" * 10))
            store.tick()
        before = cache.stats()
        cache.find(["a", "b", "c"])
        after = cache.stats()
        assert (after.hits, after.misses) == (before.hits, before.misses)
        assert cache.evict(10) == 1
        assert cache.find(["a", "b"]) == {"b"}
        store.corrupt("b", flip(0))
        with Warnings() as warnings:
            assert cache.find(["b"]) == {"b"}
        assert warnings.messages == []
        assert cache.stats().corrupt == 0

    def test_entries_come_by_key(self, store: Opened) -> None:
        """All of them, one after the other, whatever happens meanwhile."""
        cache = store.open()
        count = self.listed
        keys = [f"{number * 7919 % count:06}" for number in range(count)]
        for key in keys:
            cache.put(key, writing(b"x"))
        assert keys_of(cache) == sorted(keys)
        listing = cache.entries()
        seen = [next(listing).key for _ in range(10)]
        assert next(iter(listing), None) is not None
        cache.delete(max(keys))
        cache.put(sorted(keys)[count // 2], writing(b"longer"))
        seen += [entry.key for entry in listing]
        assert len(seen) == len(set(seen))
        assert set(sorted(keys)[:-1]) - set(seen) <= {"000010"}

    # --- time -------------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("ttl", [1, 10.0, 0.25, 86_400 * 365])
    def test_an_entry_is_gone_at_the_very_second(self, store: Opened, ttl: float) -> None:
        """And is there until then."""
        cache, other = store.open(), store.open()
        clock = store.clock
        entry = cache.put("key", writing(b"content"), ttl)
        assert entry.expires == pytest.approx(clock() + ttl, abs=1e-3)
        assert entry.expires is not None
        clock.now = entry.expires - 0.001
        assert content(cache, "key") == content(other, "key") == b"content"
        assert cache.find(["key"]) == {"key"}
        clock.now = entry.expires
        for user in (other, cache):
            assert user.find(["key"]) == set()
            assert user.get("key") is None
        clock.advance(1e6)
        assert cache.get("key") is None

    def test_without_a_time_it_stays(self, store: Opened) -> None:
        """For years."""
        cache = store.open()
        cache.put("key", writing(b"content"))
        store.clock.advance(10 * 365 * 86_400.0)
        assert cache.purge_expired() == 0
        assert cache.find(["key"]) == {"key"}
        assert content(cache, "key") == b"content"

    def test_reading_does_not_prolong_it(self, store: Opened) -> None:
        """Only a new put does."""
        cache = store.open()
        cache.put("key", writing(b"content"), 10)
        store.clock.advance(9)
        assert cache.get("key") is not None
        store.clock.advance(1)
        assert cache.get("key") is None
        cache.put("key", writing(b"again"), 10)
        store.clock.advance(9)
        assert content(cache, "key") == b"again"

    def test_expired_entries_are_listed_until_they_are_purged(self, store: Opened) -> None:
        """And purging leaves the others."""
        cache = store.open()
        for key, ttl in (("a", 5), ("b", 10), ("c", None), ("d", 5)):
            cache.put(key, writing(b"xyz"), ttl)
        store.clock.advance(5)
        assert keys_of(cache) == ["a", "b", "c", "d"]
        assert cache.purge_expired() == 2
        assert keys_of(cache) == ["b", "c"]
        assert cache.find("abcd") == {"b", "c"}
        assert cache.stats().bytes == 6
        assert cache.purge_expired() == 0

    # --- room -------------------------------------------------------------------------------------------------------

    def test_the_least_recently_used_go_first(self, store: Opened) -> None:
        """Reading and replacing are uses, by whomever; looking is none."""
        cache, other = store.open(), store.open()
        for key in ("a", "b", "c", "d", "e"):
            cache.put(key, writing(b"x" * 10))
            store.tick()
        assert other.get("a") is not None
        store.tick()
        cache.put("b", writing(b"y" * 10))
        store.tick()
        list(cache.entries())
        list(cache.verify())
        cache.find(["c"])
        store.tick()
        assert cache.evict(40) == 1
        assert keys_of(cache) == ["a", "b", "d", "e"]
        assert other.evict(20) == 2
        assert keys_of(cache) == ["a", "b"]
        store.tick()
        assert cache.get("a") is not None
        assert cache.evict(10) == 1
        assert keys_of(cache) == ["a"]
        assert cache.stats().evictions == 4

    def test_no_more_is_evicted_than_must_be(self, store: Opened) -> None:
        """At most so many bytes are left, and may be."""
        cache = store.open()
        for key, size in (("a", 5), ("b", 1), ("c", 10)):
            cache.put(key, writing(bytes(size)))
            store.tick()
        assert cache.evict(1_000) == 0
        assert cache.evict(16) == 0
        assert cache.evict(15) == 1
        assert keys_of(cache) == ["b", "c"]
        assert cache.evict(9) == 2
        assert cache.stats().bytes == 0

    def test_used_is_when_it_was_used(self, store: Opened) -> None:
        """Looking changes nothing."""
        cache, other = store.open(), store.open()
        entry = cache.put("key", writing(b"content"))
        store.clock.advance(100)
        cache.find(["key"])
        list(cache.verify())
        (listed,) = cache.entries()
        assert listed.used == pytest.approx(entry.created, abs=0.01)
        assert other.get("key") is not None
        (listed,) = cache.entries()
        assert listed.used == pytest.approx(entry.created + 100, abs=0.01)
        assert listed.created == entry.created

    @needs("bound")
    def test_a_bound_is_kept(self, store: Opened) -> None:
        """By itself, by removing the least recently used."""
        cache = store.open_bounded(100)
        for number in range(20):
            cache.put(f"k{number:02}", writing(bytes(30)))
            store.tick()
            assert cache.stats().bytes <= 100
            if number > 1:
                assert cache.get("k00") is not None
                store.tick()
            assert cache.find([f"k{number:02}"])
        assert keys_of(cache) == ["k00", "k18", "k19"]
        assert cache.stats().evictions == 17

    @needs("bound")
    def test_replacing_within_a_bound_evicts_nothing(self, store: Opened) -> None:
        """What goes makes room for what comes."""
        cache = store.open_bounded(100)
        cache.put("a", writing(bytes(50)))
        store.tick()
        for _ in range(3):
            cache.put("b", writing(bytes(50)))
        assert keys_of(cache) == ["a", "b"]
        assert cache.stats().evictions == 0

    @needs("bound")
    def test_what_is_larger_than_the_bound_does_not_break_it(self, store: Opened) -> None:
        """Whether it is refused or forgotten; and it never hides that what was there is gone."""
        cache = store.open_bounded(100)
        cache.put("key", writing(bytes(50)))
        try:
            cache.put("key", writing(b"x" * 101))
        except StorageError:
            assert content(cache, "key") == bytes(50)
        else:
            assert content(cache, "key") in (None, b"x" * 101)
        assert cache.stats().bytes <= 100

    # --- counts -----------------------------------------------------------------------------------------------------

    def test_everything_is_counted(self, store: Opened) -> None:
        """Hits, misses, puts, evictions and damage; entries and bytes are what is there."""
        cache = store.open()
        cache.get("a")
        for key in ("a", "b", "c"):
            cache.put(key, writing(b"12345"))
            store.tick()
        cache.get("a")
        cache.get("a")
        cache.get("nothing")
        cache.delete("c")
        store.tick()
        cache.evict(5)
        stats = cache.stats()
        assert (stats.entries, stats.bytes) == (1, 5)
        assert (stats.hits, stats.misses, stats.puts, stats.evictions, stats.corrupt) == (2, 2, 3, 1, 0)

    def test_all_users_are_counted_together(self, store: Opened) -> None:
        """At the latest when they are closed."""
        users = [store.open() for _ in range(3)]
        for number, user in enumerate(users):
            user.put(f"k{number}", writing(b"x"))
            for _ in range(number + 1):
                user.get("k0")
                user.get("nothing")
            user.close()
        stats = store.open().stats()
        assert (stats.hits, stats.misses, stats.puts, stats.entries) == (6, 6, 3, 3)

    def test_an_expired_entry_is_a_miss(self, store: Opened) -> None:
        """To whoever asks for it."""
        cache = store.open()
        cache.put("key", writing(b"x"), 5)
        store.clock.advance(5)
        cache.get("key")
        assert (cache.stats().hits, cache.stats().misses) == (0, 1)

    # --- damage -----------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("size", SIZES)
    @pytest.mark.parametrize("damage", DAMAGES)
    def test_damage_is_a_miss(self, store: Opened, damage: str, size: int) -> None:
        """The entry is removed, counted, and warned of; it can be put again, and others are untouched."""
        cache, other = store.open(), store.open()
        if size == 1 and damage == "halves swapped":
            return
        data = b"\xff" + _numbered(size - 1)
        cache.put("key", writing(data))
        cache.put("beside", writing(b"beside"))
        store.corrupt("key", DAMAGES[damage])
        with Warnings() as warnings:
            assert other.get("key") is None
        assert len(warnings.messages) == 1
        assert "key" in warnings.messages[0]
        stats = other.stats()
        assert (stats.corrupt, stats.misses, stats.hits, stats.entries) == (1, 1, 0, 1)
        assert cache.find(["key", "beside"]) == {"beside"}
        assert keys_of(cache) == ["beside"]
        with Warnings() as warnings:
            assert cache.get("key") is None
            assert content(cache, "beside") == b"beside"
        assert warnings.messages == []
        assert cache.stats().corrupt == 1
        cache.put("key", writing(data))
        assert content(cache, "key") == data

    @given(data=st.binary(min_size=1, max_size=300), position=st.integers(0, 100_000), bit=st.integers(0, 7))
    @_LAWS
    def test_a_flipped_bit_is_a_miss(self, place: Path, data: bytes, position: int, bit: int) -> None:
        """Wherever it is."""
        with self.opened(place) as store, Warnings() as warnings:
            cache = store.open()
            cache.put("key", writing(data))
            store.corrupt("key", flip(position, bit))
            assert cache.get("key") is None
            assert cache.find(["key"]) == set()
            assert len(warnings.messages) == 1

    def test_damage_to_what_was_read_before_is_seen(self, store: Opened) -> None:
        """Each time is a first time."""
        cache = store.open()
        for data in (b"small", _numbered(3_000_000)):
            cache.put("key", writing(data))
            store.tick()
            assert content(cache, "key") == data
            store.corrupt("key", flip(-1))
            with Warnings():
                assert cache.get("key") is None

    def test_verify_finds_what_is_damaged(self, store: Opened) -> None:
        """Removes it, counts it, warns of it; and leaves everything else."""
        cache, other = store.open(), store.open()
        for key in ("a", "b", "c", "d"):
            cache.put(key, writing(key.encode() * 2_000))
        store.corrupt("b", flip(1_000))
        store.corrupt("d", lambda stored: stored[:-1])
        with Warnings() as warnings:
            damaged = list(other.verify())
        assert [entry.key for entry in damaged] == ["b", "d"]
        assert all(isinstance(entry, CacheEntry) for entry in damaged)
        assert len(warnings.messages) == 2
        assert keys_of(cache) == ["a", "c"]
        assert other.stats().corrupt == 2
        assert list(cache.verify()) == []
        assert content(cache, "a") == b"a" * 2_000

    def test_any_history(self, place: Path) -> None:
        """Random histories of two users beside a dict that does the same."""
        some = settings(max_examples=30, stateful_step_count=40, deadline=None)
        run_state_machine_as_test(histories(lambda: self.open_place(place)), settings=some)
