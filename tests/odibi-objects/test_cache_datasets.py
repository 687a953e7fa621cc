"""Datasets of the cache over storages: whose process is killed, or whose storage fails, at each operation in turn."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, BinaryIO

import attrs
import pytest
from storages import Killed, LosesAnswers, MemoryStorage, Wrapped, transient
from turning import Turned

from odibi.contracts.cache import Lease
from odibi.errors import Conflict, StorageError, Transient
from odibi_objects.cache import StorageCache
from odibi_objects.entries import Version, version_of

Step = Callable[[StorageCache], object]

DAY = 86400.0


def opened(storage: Any, turned: Turned, **more: Any) -> StorageCache:
    cache = StorageCache(connection=storage, prefix="c", parallel=1, count_every=0, **more)
    turned.drive(cache.clock)
    return cache


def writing(data: bytes) -> Callable[[BinaryIO], object]:
    return lambda file: file.write(data)


def put(cache: StorageCache, key: str, said: bytes, ttl: float | None = None, lease: Lease | None = None) -> None:
    dataset = cache.dataset(key)
    for number in range(2):
        dataset.storage.write(f"{dataset.path}/part-{number}", said * (number + 1))
    cache.put_dataset(key, dataset, said, ttl, label="spark", lease=lease)


def seen(cache: StorageCache) -> dict[str, Any]:
    """All that a cache shows, with the objects read, by a user of its own that is not told of."""
    found: dict[str, Any] = {}
    for key in "abc":
        there = cache._get(key)
        found[key] = None
        if there is not None and there.dataset is None:
            found[key] = bytes(there.data)
        elif there is not None and there.dataset is not None:
            said, place = bytes(there.data), there.dataset
            assert [place.storage.read(stat.path) for stat in place.storage.list(place.path)] == [said, said * 2]
            found[key] = [said.decode(), there.label]
    assert cache.find("abc") == {key for key, there in found.items() if there}
    sizes = {entry.key: entry.size for entry in cache.entries()}
    stats = cache.stats()
    assert (stats.entries, stats.bytes, stats.corrupt) == (len(sizes), sum(sizes.values()), 0)
    return found


class Story:
    """Some days in the life of a cache."""

    def __init__(self) -> None:
        self.lease: Lease | None = None
        self.turned = Turned()

    def take(self, cache: StorageCache) -> None:
        self.lease = cache.lease("a", 60.0)
        assert self.lease is not None

    def steps(self) -> list[Step]:
        def tick(work: Step) -> Step:
            def step(cache: StorageCache) -> None:
                self.turned.pass_(0.001)
                work(cache)

            return step

        some: list[Step] = [
            self.take,
            lambda cache: put(cache, "a", b"first", lease=self.lease),
            lambda cache: cache.release(self.lease) if self.lease else None,
            lambda cache: put(cache, "b", b"timed", 60.0),
            lambda cache: put(cache, "a", b"second"),
            lambda cache: cache.get("a"),
            lambda cache: cache.put("b", writing(b"plain"), 60.0),
            lambda cache: put(cache, "b", b"again", 60.0),
            lambda cache: cache.evict(0),
            lambda cache: self.turned.pass_(61.0),
            lambda cache: cache.purge_expired(),
            lambda cache: put(cache, "c", b"c"),
            lambda cache: cache.delete("c"),
            lambda cache: self.turned.pass_(DAY),
            lambda cache: cache.evict(0),
            lambda cache: put(cache, "c", b"last"),
        ]
        return [tick(step) for step in some]


def told() -> list[dict[str, Any]]:
    storage, story = MemoryStorage(), Story()
    cache = opened(storage, story.turned)
    shown = [seen(opened(copied(storage), story.turned))]
    for step in story.steps():
        step(cache)
        shown.append(seen(opened(copied(storage), story.turned)))
    assert shown[2]["a"] == ["first", "spark"]
    assert shown[5] == {"a": ["second", "spark"], "b": ["timed", "spark"], "c": None}
    assert shown[7]["b"] == b"plain"
    assert shown[9]["a"] == ["second", "spark"]
    assert shown[-1] == {"a": None, "b": None, "c": ["last", "spark"]}
    return shown


def copied(storage: MemoryStorage) -> MemoryStorage:
    """The same objects, so that whoever looks leaves no trace."""
    copy = MemoryStorage()
    copy.objects, copy._number = dict(storage.objects), storage._number
    return copy


def nothing_is_left(cache: StorageCache, storage: MemoryStorage, turned: Turned) -> None:
    """But what belongs to entries, after as long as somebody may read or write."""
    for _ in range(2):
        turned.pass_(7 * DAY)
        cache.purge_expired()
    entries: list[Version] = []
    for path in storage.objects:
        version = version_of(storage.stat(path), "c/entries") if path.startswith("c/entries/") else None
        if version is not None and version.beside is not None:
            entries.append(version)
    places = {path.rpartition("/")[0] for path in storage.objects if path.startswith("c/datasets/")}
    assert {place.rpartition("/")[2] for place in places} == {f"{each.key}-{each.nonce}" for each in entries}
    assert not [path for path in storage.objects if path.startswith("c/left/")]


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
def test_killed_at_any_operation(done: bool) -> None:
    """Each entry is there with all its objects or not at all, and whatever else is left goes one day."""
    shown = told()
    number = 0
    while True:
        storage, story = MemoryStorage(), Story()
        wrapped = Wrapped(storage)
        wrapped.fail(number, done=done)
        cache = opened(wrapped, story.turned)
        steps = 0
        with suppress(Killed):
            for step in story.steps():
                step(cache)
                steps += 1
        if steps == len(shown) - 1:
            break
        next_one = opened(storage, story.turned)
        there = seen(opened(copied(storage), story.turned))
        for key in "abc":
            assert there[key] in (shown[steps][key], shown[steps + 1][key]), (number, steps)
        assert list(next_one.verify()) == []
        put(next_one, "a", b"after")
        assert seen(next_one)["a"] == ["after", "spark"]
        nothing_is_left(next_one, storage, story.turned)
        assert seen(next_one)["a"] == ["after", "spark"]
        number += 1
    assert number > 100


@pytest.mark.parametrize("done", [False, True], ids=["lost request", "lost answer"])
def test_an_operation_that_fails_once_and_a_call_that_is_made_again(done: bool) -> None:
    """Nothing is there of what failed, or all of it."""
    shown = told()
    number = 0
    while True:
        storage, story = MemoryStorage(), Story()
        wrapped = Wrapped(storage)
        wrapped.fail(number, transient, done=done)
        cache = opened(wrapped, story.turned)
        for step, expected in zip(story.steps(), shown[1:], strict=True):
            try:
                step(cache)
            except Transient:
                assert list(opened(copied(storage), story.turned).verify()) == []
                step(cache)
            assert seen(opened(copied(storage), story.turned)) == expected, (number, step)
        cache.close()
        nothing_is_left(opened(storage, story.turned), storage, story.turned)
        if wrapped.number <= number:
            break
        number += 1
    assert number > 100


def test_a_storage_that_tries_writes_again_by_itself() -> None:
    shown = told()
    storage, story = MemoryStorage(), Story()
    cache = opened(LosesAnswers(storage), story.turned)
    for step, expected in zip(story.steps(), shown[1:], strict=True):
        step(cache)
        assert seen(opened(copied(storage), story.turned)) == expected


def test_a_put_that_is_refused_leaves_nothing() -> None:
    """Not even where the answer to its write was lost, so that it may be there."""
    storage, turned = MemoryStorage(), Turned()
    wrapped = Wrapped(storage)
    cache = opened(wrapped, turned)
    dataset = cache.dataset("key")
    dataset.storage.write(f"{dataset.path}/part", b"x")

    class Refuses(Wrapped):
        def write(self, path: str, data: Any, **more: Any) -> Any:
            found = super().write(path, data, **more)
            if "/entries/" in path:
                raise transient()
            return found

    refusing = Refuses(storage)
    cache.connection = refusing
    with pytest.raises(Transient):
        cache.put_dataset("key", dataset, b"known")
    assert [path for path in storage.objects if "/tallies/" not in path] == []


def test_what_others_read_is_not_removed_to_make_room() -> None:
    """What another machine got is known to all at once, however seldom it writes its counts."""
    storage, turned = MemoryStorage(), Turned()
    one, other = opened(storage, turned), StorageCache(connection=storage, prefix="c", count_every="1h")
    turned.drive(other.clock)
    put(one, "a", b"first")
    turned.pass_(DAY)
    found = other.get("a")
    assert found is not None
    assert found.dataset is not None
    turned.pass_(3600.0)
    assert one.evict(0) == 0
    bounded = opened(storage, turned, max_size=3000)
    bounded.put("b", writing(bytes(2950)))
    assert bounded.find(["a", "b"]) >= {"a"}
    assert len(list(storage.list(found.dataset.path))) == 2
    turned.pass_(DAY)
    assert one.evict(0) >= 1
    assert list(storage.list(found.dataset.path)) == []
    other.close()


class Between(Wrapped):
    """Has somebody else do something before one of its operations."""

    def __init__(self, storage: Any, at: int, work: Callable[[], object]) -> None:
        super().__init__(storage)
        self.at, self.work, self.reached = at, work, False

    def _do(self, what: str, work: Callable[[], Any]) -> Any:
        if self.number == self.at and not self.reached:
            self.reached = True
            self.work()
        return super()._do(what, work)


REMOVING: dict[str, Step] = {
    "evict": lambda cache: cache.evict(0),
    "replace": lambda cache: put(cache, "a", b"second"),
    "replace by another": lambda cache: cache.put("a", writing(b"second")),
    "delete": lambda cache: cache.delete("a"),
}


@pytest.mark.parametrize("act", REMOVING)
def test_who_reads_while_it_is_removed_has_it_or_sees_that_it_is_gone(act: str) -> None:
    """At whichever operation of the one who removes it; deleting alone takes it from who has it, and is no damage."""
    number = 0
    while True:
        storage, turned = MemoryStorage(), Turned()
        reader = opened(storage, turned)
        put(reader, "a", b"first")
        turned.pass_(DAY)
        got: list[Any] = []
        between = Between(storage, number, lambda: got.append(reader.get("a")))  # noqa: B023 - called in this turn
        REMOVING[act](opened(between, turned))
        if not between.reached:
            break
        (found,) = got
        if found is not None and found.dataset is not None and act != "delete":
            assert len(list(storage.list(found.dataset.path))) == 2, number
        assert reader.stats().corrupt == 0
        number += 1
    assert number > 3


@pytest.mark.parametrize("act", REMOVING)
def test_who_removes_it_while_it_is_read_leaves_it_or_is_seen(act: str) -> None:
    """At whichever operation of the one who reads."""
    number = 0
    while True:
        storage, turned = MemoryStorage(), Turned()
        remover = opened(storage, turned)
        put(remover, "a", b"first")
        turned.pass_(DAY)
        between = Between(storage, number, lambda: REMOVING[act](remover))  # noqa: B023 - called in this turn
        found = opened(between, turned).get("a")
        if not between.reached:
            break
        if found is not None and found.dataset is not None and act != "delete":
            assert len(list(storage.list(found.dataset.path))) == 2, number
        assert remover.stats().corrupt == 0
        number += 1
    assert number > 3


def test_a_place_is_put_once_and_of_its_key() -> None:
    storage, turned = MemoryStorage(), Turned()
    cache = opened(storage, turned)
    dataset = cache.dataset("key")
    with pytest.raises(ValueError, match="is for 'key'"):
        cache.put_dataset("other", dataset, b"")
    for path in ("", "..", "c/entries", f"{dataset.path}/part"):
        with pytest.raises(ValueError, match="not a dataset of this cache"):
            cache.put_dataset("key", attrs.evolve(dataset, path=path), b"")
    dataset.storage.write(f"{dataset.path}/part", b"x")
    cache.put_dataset("key", dataset, b"one")
    with pytest.raises(StorageError, match="put before"):
        cache.put_dataset("key", dataset, b"two")
    found = cache.get("key")
    assert found is not None
    assert found.data == b"one"


def test_a_lost_lease_leaves_nothing() -> None:
    storage, turned = MemoryStorage(), Turned()
    one, other = opened(storage, turned), opened(storage, turned)
    lease = one.lease("a", 10.0)
    turned.pass_(1000.0)
    newer = other.lease("a", 10.0)
    put(other, "a", b"theirs", lease=newer)
    before = set(storage.objects)
    with pytest.raises(Conflict):
        put(one, "a", b"ours", lease=lease)
    assert {path for path in set(storage.objects) - before if "/tallies/" not in path} == set()
    assert seen(one)["a"] == ["theirs", "spark"]
