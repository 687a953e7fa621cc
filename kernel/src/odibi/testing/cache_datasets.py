"""The tests of datasets, for caches that have room for them; :mod:`odibi.testing.cache` has the others."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING, cast

import pytest

from odibi.contracts.cache import DatasetCache
from odibi.errors import Conflict, NotFound, StorageError
from odibi.testing.cache_leases import ended, processes
from odibi.testing.cache_store import CacheBase, Opened, Warnings, content, flip, in_threads, keys_of, writing
from odibi.testing.component import needs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from odibi.contracts.cache import Cache, Cached, Dataset

HOUR, WEEK = 3600.0, 7 * 86400.0
"""Somebody may read a dataset an hour after it was used last, and nobody does a week after."""

PARTS: Mapping[str, bytes] = {
    "_SUCCESS": b"",
    ".part-0.parquet.crc": b"crc",
    "part-0.parquet": b"first " * 500,
    "day=1/part-1.parquet": b"second " * 10,
    "day=1/.hidden/_more": b"x",
}
"""Objects as an engine may write them; those that it hides from its readers are part of them."""


def _write(dataset: Dataset, parts: Mapping[str, bytes] = PARTS) -> int:
    """Write objects to a dataset; how many bytes."""
    for name, data in parts.items():
        dataset.storage.write(f"{dataset.path}/{name}", data)
    return sum(map(len, parts.values()))


def _written(dataset: Dataset) -> dict[str, bytes]:
    """The objects that a dataset holds."""
    paths = [stat.path for stat in dataset.storage.list(dataset.path)]
    return {path.removeprefix(f"{dataset.path}/"): dataset.storage.read(path) for path in paths}


def _put(
    cache: DatasetCache, key: str, known: bytes = b"known", parts: Mapping[str, bytes] = PARTS, ttl: float | None = None
) -> Dataset:
    """Put an entry with a dataset; where that is."""
    dataset = cache.dataset(key)
    _write(dataset, parts)
    cache.put_dataset(key, dataset, known, ttl)
    return dataset


def _got(cache: Cache, key: str) -> tuple[Cached, Dataset]:
    """An entry with its dataset, which must be there."""
    found = cache.get(key)
    assert found is not None
    assert found.dataset is not None
    return found, found.dataset


def _remove(dataset: Dataset, path: str) -> None:
    dataset.storage.delete(path)


def _change(dataset: Dataset, path: str) -> None:
    dataset.storage.write(path, flip(0)(dataset.storage.read(path)))


def _cut(dataset: Dataset, path: str) -> None:
    dataset.storage.write(path, dataset.storage.read(path)[:-1])


def _lengthen(dataset: Dataset, path: str) -> None:
    dataset.storage.write(path, dataset.storage.read(path) + b"\0")


def _add(dataset: Dataset, path: str) -> None:
    dataset.storage.write(f"{path}-copy", dataset.storage.read(path))


def _move(dataset: Dataset, path: str) -> None:
    dataset.storage.write(f"{path}-moved", dataset.storage.read(path))
    dataset.storage.delete(path)


DAMAGES: Mapping[str, Callable[[Dataset, str], None]] = {
    "removed": _remove,
    "changed": _change,
    "cut short": _cut,
    "longer": _lengthen,
    "added": _add,
    "moved": _move,
}

DAMAGED = ("part-0.parquet", ".part-0.parquet.crc", "day=1/.hidden/_more")


_HAMMER = """
import sys
from random import Random
from odibi.errors import NotFound
random = Random(int(sys.argv[1]))
keys = "abc"

def put(key):
    said = f"{key}{random.randrange(10)}".encode()
    dataset = cache.dataset(key)
    for number in range(3):
        dataset.storage.write(f"{dataset.path}/part-{number}", said * (number + 1))
    cache.put_dataset(key, dataset, said, random.choice([None, 0.001, 60]))

def get(key):
    found = cache.get(key)
    if found is not None and found.dataset is not None:
        said, place = bytes(found.data), found.dataset
        assert said[:1] == key.encode(), "another key's content"
        for number in range(3):
            assert place.storage.read(f"{place.path}/part-{number}") == said * (number + 1), "other objects"

acts = [put, put, get, get, get, get, lambda key: cache.put(key, lambda file: file.write(b"plain"))]
acts.append(lambda key: cache.evict(random.choice([0, 10, 100])))
acts.append(lambda key: cache.purge_expired())
acts.append(lambda key: list(cache.verify()))
print("ready", flush=True)
input()
for _ in range(100):
    random.choice(acts)(random.choice(keys))
cache.close()
"""


class CacheDatasetTests(CacheBase):
    """Tests of datasets."""

    # --- what is put comes back -------------------------------------------------------------------------------------

    @needs("datasets")
    def test_a_dataset_comes_back(self, store: Opened) -> None:
        """With its content and its label, for every user; it counts with all its bytes."""
        cache, other = _room(store), store.open()
        dataset = cache.dataset("key")
        size = _write(dataset)
        entry = cache.put_dataset("key", dataset, b"known", label="spark")
        assert (entry.key, entry.label, entry.expires) == ("key", "spark", None)
        assert entry.size >= size + len(b"known")
        found, there = _got(other, "key")
        assert (bytes(found.data), found.label, found.data.readonly) == (b"known", "spark", True)
        assert there.path == dataset.path
        assert _written(there) == PARTS
        assert other.find(["key", "other"]) == {"key"}
        (listed,) = other.entries()
        assert (listed.key, listed.size, listed.checksum) == ("key", entry.size, entry.checksum)
        stats = other.stats()
        assert (stats.entries, stats.bytes) == (1, entry.size)
        assert (stats.puts, stats.hits, stats.misses, stats.corrupt) == (1, 1, 0, 0)

    @needs("datasets")
    def test_datasets_and_others_are_beside_each_other(self, store: Opened) -> None:
        """Each comes back as it was put, and takes the place of the other."""
        cache = _room(store)
        _put(cache, "b", b"")
        cache.put("a", writing(b"plain"))
        empty = _put(cache, "c", b"none", {})
        found = cache.get("a")
        assert found is not None
        assert found.dataset is None
        assert _written(_got(cache, "b")[1]) == PARTS
        assert bytes(_got(cache, "b")[0].data) == b""
        assert _got(cache, "c")[1].path == empty.path
        assert keys_of(cache) == ["a", "b", "c"]
        _put(cache, "a")
        cache.put("b", writing(b"plain"))
        assert _written(_got(cache, "a")[1]) == PARTS
        found = cache.get("b")
        assert found is not None
        assert (bytes(found.data), found.dataset) == (b"plain", None)
        assert cache.stats().entries == 3
        assert cache.stats().bytes == sum(entry.size for entry in cache.entries())

    @needs("datasets")
    def test_a_place_is_nobody_elses(self, store: Opened) -> None:
        """There is nothing in it, and no other lies in it, whoever asks."""
        caches = [_room(store), _room(store)]
        keys = ["a", "a", "a-b", "a_b", "b", "_", "-", "k" * 128]
        places = [cache.dataset(key) for cache in caches for key in keys]
        for number, place in enumerate(places):
            _write(place, {"part": b"%d" % number})
        assert [_written(place) for place in places] == [{"part": b"%d" % number} for number in range(len(places))]
        paths = sorted(f"{place.path}/" for place in places)
        assert not any(later.startswith(path) for path, later in pairwise(paths))

    @needs("datasets")
    def test_a_place_is_no_entry(self, store: Opened) -> None:
        """Nothing shows before all is written."""
        cache, other = _room(store), store.open()
        cache.put("there", writing(b"old"))
        for key in ("new", "there"):
            _write(cache.dataset(key))
        assert other.get("new") is None
        assert content(other, "there") == b"old"
        assert other.find(["new", "there"]) == {"there"}
        assert keys_of(other) == ["there"]
        assert list(other.verify()) == []
        stats = other.stats()
        assert (stats.entries, stats.bytes, stats.puts, stats.corrupt) == (1, 3, 1, 0)

    @needs("datasets")
    def test_what_is_no_key_has_no_place(self, store: Opened) -> None:
        """As elsewhere."""
        cache = _room(store)
        for key in ("", "A", "a/b", "../a", "a" * 129):
            with pytest.raises(ValueError):  # noqa: PT011 - its words are the cache's own
                cache.dataset(key)

    @needs("datasets")
    def test_its_time_is_up_at_the_very_second(self, store: Opened) -> None:
        """As of any other entry."""
        cache = _room(store)
        _put(cache, "key", ttl=10)
        store.clock.advance(9.999)
        assert cache.find(["key"]) == {"key"}
        _got(cache, "key")
        store.clock.advance(0.001)
        assert cache.get("key") is None
        assert cache.find(["key"]) == set()

    # --- damage -----------------------------------------------------------------------------------------------------

    @needs("datasets")
    @pytest.mark.parametrize("name", DAMAGED)
    @pytest.mark.parametrize("damage", DAMAGES)
    def test_a_damaged_object_is_a_miss(self, store: Opened, damage: str, name: str) -> None:
        """The entry is removed with its objects, counted, and warned of; others are untouched."""
        cache, other = _room(store), store.open()
        dataset = _put(cache, "key")
        beside = _put(cache, "beside")
        _got(other, "key")
        DAMAGES[damage](dataset, f"{dataset.path}/{name}")
        with Warnings() as warnings:
            assert other.get("key") is None
        assert len(warnings.messages) == 1
        assert "key" in warnings.messages[0]
        assert cache.find(["key", "beside"]) == {"beside"}
        assert _written(dataset) == {}
        assert _written(beside) == PARTS
        stats = other.stats()
        assert (stats.corrupt, stats.misses, stats.hits, stats.entries) == (1, 1, 1, 1)
        with Warnings() as warnings:
            assert cache.get("key") is None
            _got(cache, "beside")
        assert warnings.messages == []
        _put(cache, "key")
        assert _written(_got(other, "key")[1]) == PARTS

    @needs("datasets")
    @pytest.mark.parametrize("position", [0, 3, -1])
    def test_damaged_content_takes_the_objects_along(self, store: Opened, position: int) -> None:
        """What they belong to is gone."""
        cache = _room(store)
        dataset = _put(cache, "key")
        store.corrupt("key", flip(position))
        with Warnings() as warnings:
            assert cache.get("key") is None
        assert len(warnings.messages) == 1
        assert keys_of(cache) == []
        assert cache.stats().corrupt == 1
        assert _gone(store, cache, dataset)

    @needs("datasets")
    def test_verify_looks_at_objects(self, store: Opened) -> None:
        """Of every entry; those that are damaged go with all that belongs to them."""
        cache, other = _room(store), store.open()
        places = {key: _put(cache, key) for key in "abcde"}
        for key, damage in (("b", _remove), ("c", _change), ("e", _add)):
            damage(places[key], f"{places[key].path}/part-0.parquet")
        with Warnings() as warnings:
            damaged = list(other.verify())
        assert [entry.key for entry in damaged] == ["b", "c", "e"]
        assert len(warnings.messages) == 3
        assert keys_of(cache) == ["a", "d"]
        assert [_written(places[key]) for key in "abcde"] == [PARTS, {}, {}, PARTS, {}]
        assert other.stats().corrupt == 3
        assert list(cache.verify()) == []

    # --- what goes --------------------------------------------------------------------------------------------------

    @needs("datasets")
    def test_deleting_removes_the_objects(self, store: Opened) -> None:
        """At once, and all of them."""
        cache = _room(store)
        dataset, beside = _put(cache, "key"), _put(cache, "key-2")
        cache.delete("key")
        assert cache.get("key") is None
        assert _written(dataset) == {}
        assert _written(beside) == PARTS
        assert keys_of(cache) == ["key-2"]
        assert cache.stats().bytes == sum(entry.size for entry in cache.entries())

    @needs("datasets")
    @pytest.mark.parametrize("plain", [False, True], ids=["by a dataset", "by another"])
    def test_what_was_replaced_can_be_read_for_a_while(self, store: Opened, plain: bool) -> None:
        """By whoever got it, or has put it; and then its objects go."""
        cache, other = _room(store), store.open()
        old = _put(cache, "key", b"old", {"part": b"old"})
        assert bytes(_got(other, "key")[0].data) == b"old"
        if plain:
            new = None
            cache.put("key", writing(b"new"))
        else:
            new = _put(cache, "key", b"new", {"part": b"new"})
        assert content(other, "key") == b"new"
        assert _written(old) == {"part": b"old"}
        cache.purge_expired()
        assert _written(old) == {"part": b"old"}
        assert cache.stats().entries == 1
        store.clock.advance(HOUR)
        cache.purge_expired()
        assert _written(old) == {"part": b"old"}
        store.clock.advance(WEEK)
        cache.purge_expired()
        assert _written(old) == {}
        assert content(other, "key") == b"new"
        assert new is None or _written(new) == {"part": b"new"}

    @needs("datasets")
    def test_what_expired_can_be_read_for_a_while(self, store: Opened) -> None:
        """By whoever got it in time."""
        cache = _room(store)
        dataset = _put(cache, "key", ttl=10)
        lasting = _put(cache, "lasting")
        store.clock.advance(10)
        assert cache.purge_expired() == 1
        assert keys_of(cache) == ["lasting"]
        assert _written(dataset) == PARTS
        assert cache.purge_expired() == 0
        assert _gone(store, cache, dataset)
        assert _written(lasting) == PARTS
        _got(cache, "lasting")

    @needs("datasets")
    def test_what_expired_long_ago_goes(self, store: Opened) -> None:
        """Its objects at the latest with the next purge but one."""
        cache = _room(store)
        dataset = _put(cache, "key", ttl=10)
        store.clock.advance(WEEK)
        assert cache.purge_expired() == 1
        assert _gone(store, cache, dataset)

    @needs("datasets")
    def test_what_never_became_an_entry_goes(self, store: Opened) -> None:
        """But not while somebody may be writing it."""
        cache, other = _room(store), store.open()
        abandoned = cache.dataset("key")
        _write(abandoned)
        entry = _put(cache, "key")
        for _ in range(2):
            assert other.purge_expired() == 0
            assert _written(abandoned) == PARTS
            store.clock.advance(HOUR)
        late = cache.dataset("late")
        _write(late)
        store.clock.advance(WEEK)
        assert _gone(store, cache, abandoned, late)
        assert _written(entry) == PARTS
        _got(cache, "key")

    @needs("datasets")
    def test_what_was_written_for_too_long_is_no_half_entry(self, store: Opened) -> None:
        """It may have been taken for abandoned by the time it is put."""
        cache, other = _room(store), store.open()
        dataset = cache.dataset("key")
        _write(dataset, {"part-0": b"0"})
        store.clock.advance(WEEK)
        other.purge_expired()
        _write(dataset, {"part-1": b"1"})
        try:
            cache.put_dataset("key", dataset, b"known")
        except StorageError:
            assert other.get("key") is None
            assert _written(dataset) == {}
        else:
            assert _written(_got(other, "key")[1]) == {"part-0": b"0", "part-1": b"1"}

    # --- room -------------------------------------------------------------------------------------------------------

    @needs("datasets")
    def test_what_may_be_read_is_not_evicted(self, store: Opened) -> None:
        """Whoever got it within the last hours may still read it; after that it goes in its turn."""
        cache, other = _room(store), store.open()
        first = _put(cache, "a")
        store.tick()
        cache.put("b", writing(b"plain"))
        assert other.evict(0) == 1
        assert keys_of(cache) == ["a"]
        store.clock.advance(WEEK)
        second = _put(cache, "c")
        _got(other, "a")
        store.clock.advance(HOUR)
        assert cache.evict(0) == 0
        assert (_written(first), _written(second)) == (PARTS, PARTS)
        store.clock.advance(WEEK)
        _got(other, "c")
        assert cache.evict(0) == 1
        assert keys_of(cache) == ["c"]
        assert cache.find(["a", "c"]) == {"c"}
        assert _gone(store, cache, first)
        assert cache.stats().evictions == 2

    @needs("datasets")
    def test_what_is_evicted_is_what_was_used_least_recently(self, store: Opened) -> None:
        """And no more of it than must be; with all its bytes."""
        cache = _room(store)
        places = {}
        for key in "abc":
            places[key] = _put(cache, key, parts={"part": bytes(10_000)})
            store.tick()
        _got(cache, "a")
        store.clock.advance(WEEK)
        assert cache.evict(cache.stats().bytes) == 0
        assert cache.evict(25_000) == 1
        assert keys_of(cache) == ["a", "c"]
        assert 20_000 <= cache.stats().bytes <= 25_000
        assert cache.evict(15_000) == 1
        assert keys_of(cache) == ["a"]
        assert cache.stats().evictions == 2
        assert _written(places["a"]) == {"part": bytes(10_000)}

    @needs("datasets", "bound")
    def test_a_bound_counts_the_objects(self, store: Opened) -> None:
        """They make others go; and are themselves not removed while somebody may read them."""
        cache = cast(DatasetCache, store.open_bounded(20_000))
        cache.put("plain", writing(bytes(5_000)))
        store.tick()
        first = _put(cache, "a", parts={"part": bytes(12_000)})
        assert keys_of(cache) == ["a", "plain"]
        store.tick()
        second = _put(cache, "b", parts={"part": bytes(12_000)})
        assert keys_of(cache) == ["a", "b"]
        assert _written(first) == _written(second) == {"part": bytes(12_000)}
        store.clock.advance(WEEK)
        _put(cache, "c", parts={"part": bytes(3_000)})
        assert keys_of(cache) == ["b", "c"]
        assert cache.stats().bytes <= 20_000
        assert cache.stats().evictions == 2

    @needs("datasets", "bound")
    def test_what_is_larger_than_the_bound_leaves_nothing_behind(self, store: Opened) -> None:
        """It is refused, and what was there stays."""
        cache = cast(DatasetCache, store.open_bounded(5_000))
        before = _put(cache, "key", parts={"part": bytes(100)})
        dataset = cache.dataset("key")
        _write(dataset, {"part-0": bytes(4_000), "part-1": bytes(4_000)})
        with pytest.raises(StorageError):
            cache.put_dataset("key", dataset, b"known")
        assert _written(dataset) == {}
        assert _got(cache, "key")[1].path == before.path

    # --- leases, and all at once ------------------------------------------------------------------------------------

    @needs("datasets")
    def test_a_lost_lease_removes_what_was_written(self, store: Opened) -> None:
        """And leaves what the other has put."""
        cache, other = _room(store), _room(store)
        old = cache.lease("key", 10)
        assert old is not None
        dataset = cache.dataset("key")
        _write(dataset)
        store.clock.advance(10)
        new = other.lease("key", 10)
        assert new is not None
        theirs = other.dataset("key")
        _write(theirs)
        other.put_dataset("key", theirs, b"theirs", lease=new)
        puts = cache.stats().puts
        with pytest.raises(Conflict):
            cache.put_dataset("key", dataset, b"too late", lease=old)
        assert _written(dataset) == {}
        assert _written(theirs) == PARTS
        found, there = _got(cache, "key")
        assert (bytes(found.data), there.path) == (b"theirs", theirs.path)
        assert cache.stats().puts == puts

    @needs("datasets")
    def test_a_put_is_made_under_the_newest_lease(self, store: Opened) -> None:
        """And the lease of another key is a mistake, which leaves nothing."""
        cache = _room(store)
        lease = cache.lease("key", 60.0)
        assert lease is not None
        wrong = cache.dataset("other")
        _write(wrong)
        with pytest.raises(ValueError):  # noqa: PT011 - its words are the cache's own
            cache.put_dataset("other", wrong, b"known", lease=lease)
        assert _written(wrong) == {}
        dataset = cache.dataset("key")
        _write(dataset)
        cache.put_dataset("key", dataset, b"known", lease=lease)
        assert _got(cache, "key")[1].path == dataset.path
        assert store.open().lease("key", 60.0) is None

    @needs("datasets")
    def test_of_many_writers_one_stays(self, store: Opened) -> None:
        """Whole, while the others can still be read by those who wrote them; and they go one day."""
        caches = [_room(store) for _ in range(2)]
        places: list[Dataset] = []

        def work(index: int) -> None:
            for number in range(4):
                said = f"{index}.{number}".encode()
                parts = {f"part-{at}": said * (at + 1) for at in range(3)}
                place = _put(caches[index % 2], "key", said, parts)
                places.append(place)
                assert _written(place) == parts

        with Warnings() as warnings:
            in_threads(4, work)
            found, there = _got(caches[0], "key")
        assert warnings.messages == []
        assert _written(there) == {f"part-{at}": bytes(found.data) * (at + 1) for at in range(3)}
        assert caches[0].stats().entries == 1
        assert caches[0].stats().puts == 16
        if store.has_clock:
            assert _gone(store, caches[0], *(place for place in places if place.path != there.path))
        assert _got(caches[1], "key")[1].path == there.path

    @needs("datasets")
    @pytest.mark.parametrize("deletes", [False, True], ids=["nobody deletes", "some delete"])
    def test_readers_and_writers_get_in_nobodys_way(self, store: Opened, deletes: bool) -> None:
        """What is got is there to be read, whatever else is done; unless it is deleted, which is no damage either."""
        caches = [_room(store) for _ in range(2)]
        keys = ["a", "b"]

        def put(cache: DatasetCache, key: str, random: Random) -> None:
            said = f"{key}{random.randrange(10)}".encode()
            _put(cache, key, said, {"part-0": said, "part-1": said * 100})

        def get(cache: DatasetCache, key: str, random: Random) -> None:  # noqa: ARG001
            found = cache.get(key)
            if found is None or found.dataset is None:
                return
            said = bytes(found.data)
            assert said.decode().startswith(key)
            with suppress(*([NotFound] if deletes else [])):
                written = _written(found.dataset)
                assert deletes or written == {"part-0": said, "part-1": said * 100}

        acts: list[Callable[[DatasetCache, str, Random], object]] = [put, get, get, get]
        acts.append(lambda cache, key, _: cache.put(key, writing(b"plain")))
        acts.append(lambda cache, _, __: cache.evict(0))
        acts.append(lambda cache, _, __: cache.purge_expired())
        acts.append(lambda cache, _, __: list(cache.verify()))
        acts.append(lambda cache, _, __: [entry.key for entry in cache.entries()])
        if deletes:
            acts.append(lambda cache, key, _: cache.delete(key))

        def work(index: int) -> None:
            random = Random(index)  # noqa: S311
            for _ in range(30):
                random.choice(acts)(caches[index % 2], random.choice(keys), random)

        with Warnings() as warnings:
            in_threads(4, work)
            assert list(caches[0].verify()) == []
        assert warnings.messages == []
        entries = list(caches[0].entries())
        stats = caches[0].stats()
        assert (stats.entries, stats.bytes) == (len(entries), sum(entry.size for entry in entries))
        assert stats.corrupt == 0

    @needs("datasets", "shared")
    def test_processes_and_their_datasets_get_in_nobodys_way(self, store: Opened) -> None:
        """What one of them got is there to be read, whatever the others do."""
        cache = _room(store)
        with processes(3, store, _HAMMER) as started:
            for process in started:
                ended(process)
        with Warnings() as warnings:
            assert list(cache.verify()) == []
        assert warnings.messages == []
        stats = cache.stats()
        assert stats.corrupt == 0
        assert stats.bytes == sum(entry.size for entry in cache.entries())


def _room(store: Opened) -> DatasetCache:
    """Another cache on the place."""
    cache = store.open()
    assert isinstance(cache, DatasetCache), "it says that it has room for datasets"
    return cache


def _gone(store: Opened, cache: Cache, *datasets: Dataset) -> bool:
    """Whether nothing is left of datasets once the cache was purged, after as long as anybody may read them."""
    for _ in range(2):
        if not any(map(_written, datasets)):
            return True
        store.clock.advance(WEEK)
        cache.purge_expired()
    return not any(map(_written, datasets))
