"""How many requests each call makes, which is what it costs; and that runs of the past cost nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from storages import MemoryStorage, Wrapped, transient

from odibi.errors import Transient
from odibi_objects.checkpoint import StorageCheckpoints


def result(node: str, value: int) -> dict[str, Any]:
    return {"node": node, "fingerprint": str(value), "value": value}


class Counted:
    """A store that says what its calls cost."""

    def __init__(self) -> None:
        self.storage = Wrapped(MemoryStorage())
        self.store = StorageCheckpoints(connection=self.storage, prefix="s", parallel=1)

    def requests(self, call: Callable[[StorageCheckpoints], Any]) -> int:
        self.storage.asked.clear()
        call(self.store)
        return self.storage.requests

    def run(self, run_id: str, offsets: dict[str, Any] | None = None) -> None:
        """One as the kernel makes it."""
        lock = self.store.lock("etl")
        self.store.begin(run_id, "etl", {}, lock=lock)
        self.store.append(run_id, [result("a", 1), result("b", 2)])
        self.store.append(run_id, [result("c", 3)])
        self.store.finish(run_id, "succeeded", offsets)
        lock.release()

    def costs(self, run_id: str) -> dict[str, int]:
        """What each call of a run costs, and each look at it afterwards."""
        costs: dict[str, int] = {}
        locks = []
        costs["lock"] = self.requests(lambda store: locks.append(store.lock("etl")))
        costs["results"] = self.requests(lambda store: store.results("etl"))
        costs["offset"] = self.requests(lambda store: store.offset("orders"))
        costs["begin"] = self.requests(lambda store: store.begin(run_id, "etl", {}, lock=locks[0]))
        costs["held"] = self.requests(lambda _: locks[0].held())
        costs["append"] = self.requests(lambda store: store.append(run_id, [result("a", 1)] * 1000))
        costs["results while it runs"] = self.requests(lambda store: store.results("etl"))
        costs["finish"] = self.requests(lambda store: store.finish(run_id, "succeeded", {"orders": run_id}))
        costs["release"] = self.requests(lambda _: locks[0].release())
        costs["release again"] = self.requests(lambda _: locks[0].release())
        costs["load"] = self.requests(lambda store: store.load(run_id))
        costs["latest"] = self.requests(lambda store: store.latest("etl"))
        costs["latest succeeded"] = self.requests(lambda store: store.latest("etl", states=["succeeded"]))
        costs["newest run"] = self.requests(lambda store: next(store.runs("etl", limit=1)))
        costs["newest run of all"] = self.requests(lambda store: next(store.runs(limit=1)))
        costs["ten runs"] = self.requests(lambda store: list(store.runs("etl", limit=10)))
        costs["forget"] = self.requests(lambda store: store.forget("etl", ["a"]))
        costs["prune nothing"] = self.requests(lambda store: store.prune(1000, "etl"))
        return costs


def test_each_call_makes_few_requests_however_many_runs_there_were() -> None:
    counted = Counted()
    for number in range(12):
        counted.run(f"{number:03}", {"orders": number})
    few = counted.costs("100")
    assert few == {
        "lock": 5,
        "results": 2,
        "offset": 2,
        "begin": 3,
        "held": 0,
        "append": 1,
        "results while it runs": 5,
        "finish": 13,
        "release": 1,
        "release again": 0,
        "load": 4,
        "latest": 6,
        "latest succeeded": 6,
        "newest run": 3,
        "newest run of all": 3,
        "ten runs": 12,
        "forget": 5,
        "prune nothing": 2,
    }
    for number in range(200, 300):
        counted.run(f"{number:03}", {"orders": number})
    assert counted.costs("900") == few


def test_a_run_that_moves_no_offsets_ends_for_less() -> None:
    counted = Counted()
    lock = counted.store.lock("etl")
    counted.store.begin("1", "etl", {}, lock=lock)
    counted.store.append("1", [result("a", 1)])
    assert counted.requests(lambda store: store.finish("1", "succeeded")) == 5
    counted.store.begin("2", "etl", {}, lock=lock)
    assert counted.requests(lambda store: store.finish("2", "succeeded")) == 3
    lock.release()


def test_offsets_are_moved_and_found_for_what_they_are() -> None:
    counted = Counted()
    lock = counted.store.lock("etl")
    counted.store.move({"a/1": 1, "a/2": 1, "a": 1, "b/1": 1})
    counted.store.offsets()

    def costs() -> dict[str, int]:
        return {
            "move": counted.requests(lambda store: store.move({"a/1": 2})),
            "move two": counted.requests(lambda store: store.move({"a/1": 2, "b/1": 2})),
            "move under a lock": counted.requests(lambda store: store.move({"a/1": 2}, lock=lock)),
            "move a new one": counted.requests(lambda store: store.move({"a/3": 2})),
            "forget": counted.requests(lambda store: store.move({"a/3": None})),
            "come again": counted.requests(lambda store: store.move({"a/3": 2})),
            "forget again": counted.requests(lambda store: store.move({"a/3": None})),
            "two": counted.requests(lambda store: store.offsets("a/")),
            "none": counted.requests(lambda store: store.offsets("c/")),
            "one of two": counted.requests(lambda store: store.offsets("a/1")),
            "lock": counted.requests(lambda store: store.lock("other").release()),
        }

    few = costs()
    assert few == {
        "move": 7,
        "move two": 11,
        "move under a lock": 9,
        "move a new one": 8 - 1,
        "forget": 8,
        "come again": 9,
        "forget again": 8,
        "two": 2 * (2 + 2),
        "none": 2,
        "one of two": 2 * (2 + 1),
        "lock": 4 + 1,
    }
    for number in range(30):
        others = {f"x/{number}/{at}": at for at in range(50)}
        counted.store.move(others)
        counted.store.move(dict.fromkeys(list(others)[::2]))
    counted.store.move({f"a/x{number}": None for number in range(50)})
    counted.store.move({f"a/3/{number}": 1 for number in range(50)})
    counted.store.move({f"a/3/{number}": None for number in range(50)})
    # One that was forgotten is there again, as far as it has an object; apart from that, nothing has changed.
    after = costs()
    assert after == {**few, "lock": 5 + 1, "move a new one": 9}
    lock.release()


def test_a_run_is_pruned_for_what_it_was() -> None:
    counted = Counted()
    for number in range(3):
        counted.run(f"{number}")
    # Two listings; one mark, one listing of its log, four objects, the entry of the index, the mark again.
    assert counted.requests(lambda store: store.prune(2, "etl")) == 2 + 2 + 4 + 2


def test_a_pipeline_costs_nothing_to_another() -> None:
    counted = Counted()
    counted.run("1", {"orders": 1})
    before = counted.costs("2")
    for number in range(30):
        counted.store.begin(f"x{number}", f"other {number}", {})
        counted.store.append(f"x{number}", [result("a", number)])
    del before["newest run of all"]
    after = counted.costs("3")
    del after["newest run of all"]
    assert {name: cost for name, cost in after.items() if name != "ten runs"} == {
        name: cost for name, cost in before.items() if name != "ten runs"
    }


class Slow(Wrapped):
    """Lets writes to logs of runs wait for a word."""

    def __init__(self, storage: Any) -> None:
        super().__init__(storage)
        self.go, self.waits = threading.Event(), threading.Event()
        self.go.set()

    def write(self, path: str, data: Any, **more: Any) -> Any:
        if "/runs/" in path:
            self.waits.set()
            assert self.go.wait(30)
        return super().write(path, data, **more)


def test_who_comes_while_a_write_is_under_way_shares_the_next() -> None:
    storage = Slow(MemoryStorage())
    store = StorageCheckpoints(connection=storage, prefix="s")
    store.begin("1", "etl", {})
    storage.asked.clear()
    storage.waits.clear()
    storage.go.clear()
    with ThreadPoolExecutor(21) as pool:
        calls = [pool.submit(store.append, "1", [{"call": 0}, {"call": 0}])]
        assert storage.waits.wait(30)
        queued = store._journals["1"]._queue
        calls += [pool.submit(store.append, "1", [{"call": call}, {"call": call}]) for call in range(1, 21)]
        while len(queued) < 20:
            assert not calls[0].done()
            queued = store._journals["1"]._queue
        storage.go.set()
        for call in calls:
            call.result()
    assert storage.asked == {"write": 2}
    told = [record["call"] for record in store.load("1").outcomes]
    assert told[::2] == told[1::2]
    assert sorted(told) == sorted([*range(21)] * 2)
    store.close()


def test_who_shares_a_write_shares_its_failure() -> None:
    storage = Slow(MemoryStorage())
    store = StorageCheckpoints(connection=storage, prefix="s")
    store.begin("1", "etl", {})
    storage.waits.clear()
    storage.go.clear()
    with ThreadPoolExecutor(6) as pool:
        calls = [pool.submit(store.append, "1", [{"call": 0}])]
        assert storage.waits.wait(30)
        calls += [pool.submit(store.append, "1", [{"call": call}]) for call in range(1, 6)]
        while len(store._journals["1"]._queue) < 5:
            assert not calls[0].done()
        storage.fail(1, transient, done=True)
        storage.go.set()
        calls[0].result()
        errors = [call.exception() for call in calls[1:]]
    assert all(isinstance(error, Transient) for error in errors)
    assert len({id(error) for error in errors}) == 5
    # The storage did it all the same; whoever calls again with the same does not double it.
    for call in range(1, 6):
        store.append("1", [{"call": call}])
    store.append("1", [{"call": 1}])
    told = [record["call"] for record in store.load("1").outcomes]
    assert (told[0], sorted(told[1:6]), told[6:]) == (0, [1, 2, 3, 4, 5], [1])
    store.close()


@pytest.mark.parametrize("landed", [True, False])
def test_one_that_is_repeated_after_others_came_is_not_doubled(landed: bool) -> None:
    storage = Wrapped(MemoryStorage())
    store = StorageCheckpoints(connection=storage, prefix="s", parallel=1)
    store.begin("1", "etl", {})
    storage.fail(0, transient, done=landed)
    with pytest.raises(Transient):
        store.append("1", [result("a", 1)])
    store.append("1", [result("b", 2)])
    assert [record["node"] for record in store.load("1").outcomes] == (["a", "b"] if landed else ["b"])
    assert set(store.results("etl")) == ({"a", "b"} if landed else {"b"})
    store.finish("1", "succeeded")
    assert set(store.results("etl")) == ({"a", "b"} if landed else {"b"})
