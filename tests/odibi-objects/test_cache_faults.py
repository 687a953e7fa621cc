"""A cache whose process is killed, or whose storage fails, at each of its operations in turn."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, BinaryIO

import pytest
from storages import Killed, LosesAnswers, MemoryStorage, Wrapped, transient
from turning import Turned

from odibi.contracts.cache import Lease
from odibi.errors import Conflict, StorageError, Transient
from odibi_objects.cache import StorageCache

Step = Callable[[StorageCache], object]


def writing(data: bytes) -> Callable[[BinaryIO], object]:
    return lambda file: file.write(data)


class Story:
    """Some minutes in the life of a cache."""

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
            lambda cache: cache.put("a", writing(b"first"), lease=self.lease, label="x"),
            lambda cache: cache.release(self.lease) if self.lease else None,
            lambda cache: cache.put("b", writing(b"b" * 10), 60.0),
            lambda cache: cache.put("a", writing(b"second")),
            self.take,
            lambda cache: cache.renew(self.lease, 90.0) if self.lease else None,
            lambda cache: cache.get("a"),
            lambda cache: cache.put("c", writing(b"c" * 10)),
            lambda cache: cache.get("b"),
            lambda cache: cache.evict(20),
            lambda cache: self.turned.pass_(61.0),
            lambda cache: cache.purge_expired(),
            lambda cache: cache.delete("c"),
        ]
        return [tick(step) for step in some]


def opened(storage: Any, turned: Turned) -> StorageCache:
    cache = StorageCache(connection=storage, prefix="c", parallel=1, count_every=0)
    turned.drive(cache.clock)
    return cache


def seen(cache: StorageCache) -> dict[str, Any]:
    """All that a cache shows, by reading its content without using it."""
    found = {}
    for key in "abc":
        there = cache._get(key)
        found[key] = None if there is None else (bytes(there.data), there.label)
    assert cache.find("abc") == {key for key, there in found.items() if there}
    sizes = {entry.key: entry.size for entry in cache.entries()}
    stats = cache.stats()
    assert (stats.entries, stats.bytes, stats.corrupt) == (len(sizes), sum(sizes.values()), 0)
    return found


def told() -> list[dict[str, Any]]:
    storage, story = MemoryStorage(), Story()
    cache, observer = opened(storage, story.turned), opened(storage, story.turned)
    shown = [seen(observer)]
    for step in story.steps():
        step(cache)
        shown.append(seen(observer))
    assert shown[2]["a"] == (b"first", "x")
    assert shown[11] == {"a": None, "b": (b"b" * 10, ""), "c": (b"c" * 10, "")}
    assert not any(shown[-1].values())
    return shown


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
def test_killed_at_any_operation(done: bool) -> None:
    """What was put stays, what was being put is there whole or not at all, and nothing is in the way of anybody."""
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
        there = seen(next_one)
        assert there in (shown[steps], shown[steps + 1]), (number, steps)
        assert list(next_one.verify()) == []
        next_one.purge_expired()
        assert seen(next_one) == there
        story.turned.pass_(1000.0)
        assert next_one.lease("a", 10.0) is not None
        next_one.put("a", writing(b"again"))
        assert seen(next_one)["a"] == (b"again", "")
        assert next_one.evict(0) >= 1
        next_one.purge_expired()
        assert not [path for path in storage.objects if "/entries/" in path]
        number += 1
    assert number > 30


@pytest.mark.parametrize("done", [False, True], ids=["lost request", "lost answer"])
def test_an_operation_that_fails_once_and_a_call_that_is_made_again(done: bool) -> None:
    shown = told()
    number = 0
    while True:
        storage, story = MemoryStorage(), Story()
        wrapped = Wrapped(storage)
        wrapped.fail(number, transient, done=done)
        cache, observer = opened(wrapped, story.turned), opened(storage, story.turned)
        for step, expected in zip(story.steps(), shown[1:], strict=True):
            try:
                step(cache)
            except Transient:
                step(cache)
            assert seen(observer) == expected, (number, step)
        cache.close()
        if wrapped.number <= number:
            break
        number += 1
    assert number > 30


def test_a_storage_that_tries_writes_again_by_itself() -> None:
    shown = told()
    storage, story = MemoryStorage(), Story()
    cache, observer = opened(LosesAnswers(storage), story.turned), opened(storage, story.turned)
    for step, expected in zip(story.steps(), shown[1:], strict=True):
        step(cache)
        assert seen(observer) == expected


def test_who_puts_what_somebody_else_puts_too_leaves_one_of_them() -> None:
    """Two versions that were put at the very same moment are one entry, and the other one goes with the next purge."""
    storage, turned = MemoryStorage(), Turned()
    inner, outer = opened(storage, turned), Wrapped(storage)
    cache = opened(outer, turned)

    class Between(Wrapped):
        def list(self, prefix: str = "") -> Any:
            found = [*super().list(prefix)]
            if "/entries/" in prefix and not self.asked["write"]:
                self.asked["write"] += 1
                inner.put("a", writing(b"inner"))
            return iter(found)

    cache.connection = Between(storage)
    cache.put("a", writing(b"outer"))
    assert len([path for path in storage.objects if "/entries/" in path]) == 2
    found = cache.get("a")
    assert found is not None
    assert bytes(found.data) in (b"inner", b"outer")
    assert [entry.key for entry in cache.entries()] == ["a"]
    assert cache.stats().entries == 1
    assert cache.purge_expired() == 0
    assert len([path for path in storage.objects if "/entries/" in path]) == 1
    again = cache.get("a")
    assert again is not None
    assert bytes(again.data) == bytes(found.data)


def test_an_entry_that_is_replaced_while_it_is_read_is_read_anew() -> None:
    storage, turned = MemoryStorage(), Turned()
    other = opened(storage, turned)
    wrapped = Wrapped(storage)
    cache = opened(wrapped, turned)
    other.put("a", writing(b"0"))

    class Replaced(Wrapped):
        times = 0

        def read(self, path: str) -> bytes:
            if "/entries/" in path and self.times < 5:
                self.times += 1
                other.put("a", writing(b"%d" % self.times))
            return super().read(path)

    cache.connection = Replaced(storage)
    found = cache.get("a")
    assert found is not None
    assert bytes(found.data) == b"5"


def test_time_that_is_up_while_it_is_read_is_up() -> None:
    turned = Turned()

    class Slow(Wrapped):
        def read(self, path: str) -> bytes:
            turned.pass_(10.0 if "/entries/" in path else 0.0)
            return super().read(path)

    cache = opened(Slow(MemoryStorage()), turned)
    cache.put("a", writing(b"x"), 15.0)
    assert cache.get("a") is not None
    assert cache.find(["a"]) == {"a"}
    assert cache.get("a") is None


def test_an_entry_under_the_name_of_another_is_damaged(caplog: pytest.LogCaptureFixture) -> None:
    storage = MemoryStorage()
    cache = opened(storage, Turned())
    cache.put("a", writing(b"of a"))
    cache.put("b", writing(b"of b"))
    a, b = (next(path for path in storage.objects if f"/{key}!/" in path) for key in "ab")
    storage.damage(a, lambda _: storage.objects[b].data)
    (listed, _) = cache.entries()
    assert (listed.key, listed.checksum) == ("a", "")
    assert [entry.key for entry in cache.verify()] == ["a"]
    assert "the entry a of the cache is damaged" in caplog.text
    assert cache.find("ab") == {"b"}


def test_what_fails_while_tidying_up_is_no_failure_of_the_put() -> None:
    storage, turned = MemoryStorage(), Turned()
    wrapped = Wrapped(storage)
    cache = opened(wrapped, turned)
    cache.put("a", writing(b"old"))
    wrapped.fail(2, transient)  # a listing, the object; then what it replaces is removed
    cache.put("a", writing(b"new"))
    assert len([path for path in storage.objects if "/entries/" in path]) == 2
    found = cache.get("a")
    assert found is not None
    assert bytes(found.data) == b"new"
    cache.delete("a")
    assert cache.get("a") is None


def test_counts_that_cannot_be_written_fail_nothing(caplog: pytest.LogCaptureFixture) -> None:
    storage, turned = MemoryStorage(), Turned()
    wrapped = Wrapped(storage)
    cache = StorageCache(connection=wrapped, prefix="c")
    turned.drive(cache.clock)
    cache.get("a")
    wrapped.broken = True
    cache.close()
    assert "what was counted in the cache could not be written" in caplog.text
    wrapped.broken = False
    cache.close()
    assert opened(storage, turned).stats().misses == 1


def test_errors_of_the_storage_come_out_as_they_are() -> None:
    wrapped = Wrapped(MemoryStorage())
    cache = opened(wrapped, Turned())
    cache.put("a", writing(b"x"))
    wrapped.broken = True
    calls: list[Callable[[], object]] = [
        lambda: cache.get("a"),
        lambda: cache.find(["a", "b"]),
        lambda: cache.put("a", writing(b"y")),
        lambda: cache.delete("a"),
        lambda: list(cache.entries()),
        lambda: list(cache.verify()),
        lambda: cache.purge_expired(),
        lambda: cache.evict(0),
        lambda: cache.lease("a", 10.0),
        lambda: cache.stats(),
    ]
    for call in calls:
        with pytest.raises(Transient):
            call()
    assert issubclass(Conflict, StorageError)
