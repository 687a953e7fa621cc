"""A store whose process is killed, or whose storage fails, at each of its operations in turn."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import attrs
import pytest
from storages import Killed, LosesAnswers, MemoryStorage, Wrapped, transient

from odibi.contracts.checkpoint import RunLock
from odibi.errors import Conflict, NotFound, StorageError, Transient
from odibi_objects.checkpoint import StorageCheckpoints

Step = Callable[[StorageCheckpoints], object]


def result(node: str, value: int) -> dict[str, Any]:
    return {"node": node, "fingerprint": str(value), "value": value}


STREAMS = ("orders", "customers", "bills", "dead/1", "dead/2")


class Story:
    """Some days in the life of a store: two runs, the second of which moves offsets again, and what is tidied up.

    Offsets are moved outside of runs as well, and streams are forgotten and come again.
    """

    def __init__(self) -> None:
        self.lock: RunLock | None = None

    def take(self, store: StorageCheckpoints, pipeline: str = "etl") -> None:
        self.lock = store.lock(pipeline)

    def give_back(self, store: StorageCheckpoints) -> None:
        assert self.lock is not None
        self.lock.release()

    def steps(self) -> list[Step]:
        return [
            lambda store: self.take(store, "other"),
            lambda store: store.begin("0", "other", {}, lock=self.lock),
            lambda store: store.finish("0", "failed", {"bills": 1, "orders": 0}),
            self.give_back,
            self.take,
            lambda store: store.begin("1", "etl", {"n": 1}, lock=self.lock),
            lambda store: store.append("1", [result("a", 1), result("b", 1)]),
            lambda store: store.append("1", [result("a", 2), {"node": "c"}]),
            lambda store: store.finish("1", "succeeded", {"orders": 1, "customers": 1}),
            self.give_back,
            self.take,
            lambda store: store.begin("2", "etl", {"n": 2}, lock=self.lock),
            lambda store: store.append("2", [result("b", 3)]),
            lambda store: store.append("2", [{"note": "x"}, result("d", 3)]),
            lambda store: store.finish("2", "failed", {"orders": 2}, records=[result("d", 4), {"last": True}]),
            lambda store: store.prune(1, "etl"),
            self.give_back,
            lambda store: store.move({"orders": 3, "dead/1": [1], "dead/2": [2], "bills": None}),
            self.take,
            lambda store: store.move({"dead/1": None, "customers": 2}, lock=self.lock),
            lambda store: store.move({"dead/1": [3], "dead/2": None}, lock=self.lock),
            self.give_back,
            lambda store: store.forget("etl", ["a"]),
            lambda store: store.remove("0"),
            lambda store: store.prune(0),
            lambda store: store.forget("etl"),
        ]


def seen(store: StorageCheckpoints) -> dict[str, Any]:
    """All that a store shows; whether a run goes on depends on who looks, so that is left out."""
    runs = {}
    for pipeline in ("etl", "other"):
        for run in store.runs(pipeline):
            whole = store.load(run.run_id)
            state = "open" if whole.state in ("running", "interrupted") else whole.state
            runs[run.run_id] = (pipeline, state, dict(whole.detail), list(whole.outcomes))
            assert (run.state, run.finished, run.detail) == (whole.state, whole.finished, whole.detail)
    return {
        "runs": runs,
        "results": {pipeline: store.results(pipeline) for pipeline in ("etl", "other")},
        "offsets": {stream: store.offset(stream) for stream in STREAMS},
        "offsets by name": list(store.offsets().items()),
        "dead": store.offsets("dead/"),
    }


def opened(storage: Any, *, later: float = 0.0) -> StorageCheckpoints:
    """A store; to one that is opened ``later`` seconds later, all leases of the ones before are over."""
    store = StorageCheckpoints(connection=storage, prefix="s", parallel=1)
    monotonic = store.clock.monotonic
    store.clock.monotonic = lambda: monotonic() + later
    return store


def told() -> list[dict[str, Any]]:
    """What is to be seen before the story and after each of its steps."""
    storage = MemoryStorage()
    store, observer = opened(storage), opened(storage)
    shown = [seen(observer)]
    for step in Story().steps():
        step(store)
        shown.append(seen(observer))
    store.close()
    return shown


def until_killed(store: StorageCheckpoints) -> int:
    """Live through the story until the process is killed; how many of its steps were done."""
    done = 0
    with suppress(Killed):
        for step in Story().steps():
            step(store)
            done += 1
    return done


def rest(storage: MemoryStorage) -> list[str]:
    """Objects that stand for something that is under way."""
    return [path for path in storage.objects if "/open/" in path or "/ending/" in path or path.endswith(".-")]


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
def test_killed_at_any_operation(done: bool) -> None:
    """What was done stays, what was under way is there whole or not at all, and whoever comes next goes on from it."""
    shown = told()
    number = 0
    while True:
        storage = MemoryStorage()
        wrapped = Wrapped(storage)
        wrapped.fail(number, done=done)
        store = opened(wrapped)
        steps = until_killed(store)
        if steps == len(shown) - 1:
            break
        with suppress(Killed):
            store.close()  # ends its threads; it can tell nobody any more
        next_one = opened(storage, later=1000.0)
        there = seen(next_one)
        assert there in (shown[steps], shown[steps + 1]), (number, steps)
        locks = [next_one.lock("other"), next_one.lock("etl")]
        assert seen(next_one) == there
        assert all(run.state != "running" for run in next_one.runs())
        next_one.begin("3", "etl", {}, lock=locks[1])
        next_one.append("3", [result("e", 4)])
        next_one.finish("3", "succeeded", {"orders": 3})
        assert next_one.results("etl")["e"] == {**result("e", 4), "run_id": "3"}
        assert next_one.offset("orders") == 3
        next_one.prune(100)  # nothing, but for what was half removed
        assert not [path for path in storage.objects if path.endswith(".-")]
        for run in list(next_one.runs("other")):
            next_one.remove(run.run_id)
        next_one.prune(0)
        assert list(next_one.runs()) == []
        for lock in locks:
            lock.release()
        assert rest(storage) == []
        assert not [path for path in storage.objects if "/runs/" in path or "/done/" in path]
        assert len([path for path in storage.objects if "/names/" in path]) == len(next_one.offsets())
        next_one.close()
        number += 1
    assert number > 80


def attempts(store: StorageCheckpoints, step: Step) -> None:
    """Do a step as somebody who tries again does it."""
    try:
        step(store)
    except Transient:
        with suppress(NotFound):  # it was removed the first time
            step(store)


@pytest.mark.parametrize("done", [False, True], ids=["lost request", "lost answer"])
def test_an_operation_that_fails_once_and_a_call_that_is_made_again(done: bool) -> None:
    """However far the first call came, after the second all is as if there had been only one."""
    shown = told()
    number = 0
    while True:
        storage = MemoryStorage()
        wrapped = Wrapped(storage)
        wrapped.fail(number, transient, done=done)
        store, observer = opened(wrapped), opened(storage)
        for step, expected in zip(Story().steps(), shown[1:], strict=True):
            attempts(store, step)
            assert seen(observer) == expected, (number, step)
        store.close()
        if wrapped.number <= number:
            break
        number += 1
    assert number > 80


def test_a_storage_that_tries_writes_again_by_itself() -> None:
    """It meets its own objects, which are not taken for somebody else's."""
    shown = told()
    storage = MemoryStorage()
    store, observer = opened(LosesAnswers(storage)), opened(storage)
    for step, expected in zip(Story().steps(), shown[1:], strict=True):
        step(store)
        assert seen(observer) == expected
    store.close()


class Interrupting(Wrapped):
    """Lets something happen right before one of its operations."""

    def __init__(self, storage: Any) -> None:
        super().__init__(storage)
        self.happens: Callable[[], None] = lambda: None
        self.at = -1

    def _do(self, what: str, work: Callable[[], Any]) -> Any:
        if self.number == self.at:
            self.at = -1
            self.happens()
        return super()._do(what, work)


@attrs.define
class Fenced:
    """A holder that is overtaken at some operation without noticing, as its machine was asleep for a while."""

    storage: MemoryStorage = attrs.field(factory=MemoryStorage)
    late: list[str] = attrs.field(factory=list)
    before: dict[str, Any] = attrs.field(factory=dict)

    def run(self, at: int) -> None:
        """Overtake it, and go on with what it was about to do."""
        wrapped = Interrupting(self.storage)
        old, new = opened(wrapped), opened(self.storage, later=1000.0)
        lock = old.lock("etl")
        wrapped.number = 0

        def overtake() -> None:
            newer = new.lock("etl")
            assert newer.token > lock.token
            self.late.append("overtaken")
            new.begin("2", "etl", {}, lock=newer)
            new.append("2", [result("a", 2)])
            self.before = seen(new)

        wrapped.at, wrapped.happens = at, overtake
        calls: list[tuple[str, Callable[[], object]]] = [
            ("begin", lambda: old.begin("1", "etl", {}, lock=lock)),
            ("append", lambda: old.append("1", [result("a", 1)])),
            ("append", lambda: old.append("1", [result("b", 1)])),
            ("finish", lambda: old.finish("1", "succeeded", {"orders": 1})),
        ]
        for name, call in calls:
            try:
                call()
            except (Conflict, NotFound):
                self.late.append("refused")
            else:
                self.late.append(name)
        wrapped.at = -1
        # It still believes that it holds the lock: nothing but compare-and-set keeps it out.
        assert lock.held()
        after = seen(new)
        for shown in (self.before, after):
            # One that was begun just when it was overtaken may be there, with nothing in it, or not.
            if shown and shown["runs"].get("1") == ("etl", "open", {}, []):
                del shown["runs"]["1"]
        if "overtaken" in self.late:
            if self.late[-1] == "refused":
                assert after == self.before
            new.append("2", [result("b", 2)])
            new.finish("2", "succeeded")
            assert new.results("etl")["a"] == {**result("a", 2), "run_id": "2"}
            assert new.results("etl")["b"] == {**result("b", 2), "run_id": "2"}
        lock.release()
        new.close()
        old.close()


def test_a_holder_that_was_overtaken_cannot_write_wherever_it_was() -> None:
    at, refused = 0, 0
    while True:
        story = Fenced()
        story.run(at)
        if "overtaken" not in story.late:
            break
        done = story.late[: story.late.index("overtaken")]
        after = story.late[story.late.index("overtaken") + 1 :]
        # What it was doing may still succeed if nothing of it was left to do; nothing that it begins later does.
        assert set(after[1:]) <= {"refused"}, (at, story.late)
        if after[:1] == ["refused"]:
            refused += 1
        else:
            # It had ended its run already, and was putting things in their place: that is all the same to others.
            assert after == ["finish"], (at, story.late)
            assert done[-1:] == ["append"]
        at += 1
    assert refused > 5
    assert story.late == ["begin", "append", "append", "finish"]


def test_a_holder_that_was_overtaken_moves_nothing_wherever_it_was() -> None:
    """Whoever has the lock next sees what will ever have been moved under it before."""
    outcomes: list[str] = []
    at = 0
    while not outcomes or outcomes[-1] != "not overtaken":
        storage = MemoryStorage()
        wrapped = Interrupting(storage)
        old, new = opened(wrapped), opened(storage, later=1000.0)
        old.move({"orders": 1, "dead/1": 1})
        lock = old.lock("etl")
        shown: list[Any] = []

        def overtake(new: StorageCheckpoints = new, shown: list[Any] = shown) -> None:
            newer = new.lock("etl")
            shown.append(new.offsets())
            new.move({"bills": 1}, lock=newer)

        wrapped.number, wrapped.at, wrapped.happens = 0, at, overtake
        after = {"dead/2": 2, "orders": 2}
        try:
            old.move({"orders": 2, "dead/1": None, "dead/2": 2}, lock=lock)
            outcomes.append("moved" if shown else "not overtaken")
        except Conflict:
            after = {"dead/1": 1, "orders": 1}
            outcomes.append("refused")
        assert shown in ([after], []), at
        assert new.offsets() == {**after, **({"bills": 1} if shown else {})}
        assert list(new.offsets()) == sorted(new.offsets())
        new.lock("other").release()
        assert [path for path in rest(storage) if "/ending/" in path] == []
        new.close()
        old.close()
        at += 1
    assert outcomes.count("refused") > 5
    assert outcomes.count("moved") > 5
    assert outcomes == sorted(outcomes, key=["refused", "moved", "not overtaken"].index)


def test_a_helper_that_was_asleep_brings_nothing_back() -> None:
    """Whoever puts an old move into its place, while newer ones come and go, changes nothing, wherever it was."""
    at, asleep = 0, True
    while asleep:
        storage = MemoryStorage()
        killed = Wrapped(storage)
        store = opened(killed)
        killed.fail(4, done=True)  # the listing, two streams, the move itself, which has happened then
        with suppress(Killed):
            store.move({"orders": 1, "dead/1": 1})
        wrapped = Interrupting(storage)
        helper, other = opened(wrapped), opened(storage)

        def meanwhile(other: StorageCheckpoints = other) -> None:
            other.move({"orders": 2, "dead/1": None})
            other.move({"dead/1": 3})
            other.move({"dead/1": None, "orders": 4})

        wrapped.number, wrapped.at, wrapped.happens = 0, at, meanwhile
        helper.lock("etl").release()
        asleep = wrapped.at == -1
        if asleep:
            for handle in (helper, other):
                assert handle.offsets() == {"orders": 4}, at
                assert handle.offset("dead/1") is None
            assert rest(storage) == []
            assert len([path for path in storage.objects if "/names/" in path]) == 1, at
        for handle in (helper, other):
            handle.close()
        at += 1
    assert at > 12


def test_a_move_that_cannot_be_filed_has_happened_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    storage = MemoryStorage()
    wrapped = Wrapped(storage)
    store, other = opened(wrapped), opened(storage)
    wrapped.fail(3, transient)  # the listing, the stream, the move; then the stream
    with caplog.at_level(logging.WARNING, "odibi.checkpoint"):
        store.move({"orders": 1})
    assert "not yet filed" in caplog.text
    assert (other.offset("orders"), other.offsets()) == (1, {"orders": 1})
    wrapped.fail(None)
    store.move({"bills": 1})
    assert rest(storage) == []
    assert other.offsets() == {"bills": 1, "orders": 1}


def test_one_that_was_overtaken_while_it_took_over_ends_no_newer_run() -> None:
    storage = MemoryStorage()
    wrapped = Interrupting(storage)
    slow, quick = opened(wrapped), opened(storage, later=1000.0)

    def overtake() -> None:
        lock = quick.lock("etl")
        quick.begin("1", "etl", {}, lock=lock)
        quick.append("1", [result("a", 1)])

    wrapped.at, wrapped.happens = 2, overtake  # a look at the lock, and a write; then the open runs are listed
    lock = slow.lock("etl")
    assert lock.held()
    quick.append("1", [result("a", 2)])
    assert quick.load("1").state == "running"
    with pytest.raises(Conflict):
        slow.begin("2", "etl", {}, lock=lock)
    quick.finish("1", "succeeded")
    assert [run.run_id for run in quick.runs()] == ["1"]
    slow.close()
    quick.close()


def test_an_end_that_cannot_be_filed_is_an_end_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    storage = MemoryStorage()
    wrapped = Wrapped(storage)
    store, other = opened(wrapped), opened(storage)
    store.begin("1", "etl", {})
    store.append("1", [result("a", 1)])
    wrapped.fail(2, transient)  # the listing of the promises, the stream, the promise; then the end
    with pytest.raises(Transient):
        store.finish("1", "succeeded", {"orders": 1})
    assert other.offset("orders") is None
    assert other.load("1").state == "running"
    wrapped.fail(4, transient)
    with caplog.at_level(logging.WARNING, "odibi.checkpoint"):
        store.finish("1", "succeeded", {"orders": 1})
    assert "not yet filed" in caplog.text
    assert "/open/" in " ".join(rest(storage))
    assert (other.load("1").state, other.offset("orders")) == ("succeeded", 1)
    assert other.results("etl") == {"a": {**result("a", 1), "run_id": "1"}}
    other.lock("etl").release()
    assert rest(storage) == []
    assert (other.load("1").state, other.offset("orders")) == ("succeeded", 1)
    assert [run.state for run in other.runs("etl")] == ["succeeded"]


def test_nothing_but_storage_errors_comes_out() -> None:
    """Whatever fails, and wherever, the storage's own error passes through as it is, if it has to come out at all."""

    def failing() -> StorageError:
        return StorageError("the disk is full", where="the test", remedy="Make room.")

    number = raised = 0
    while True:
        wrapped = Wrapped(MemoryStorage())
        wrapped.fail(number, failing)
        store = opened(wrapped)
        try:
            for step in Story().steps():
                step(store)
        except StorageError as error:
            raised += str(error) == "the test: the disk is full. Make room."
        store.close()
        if wrapped.number <= number:
            break
        number += 1
    assert number > 80
    assert raised > number / 2
