"""Whether a checkpoint store keeps what its contract promises.

For the author of a store, one test class is all::

    from odibi.testing.checkpoint import CheckpointSuite


    class MyStoreSuite(CheckpointSuite):
        component = MyStore

        def options(self, place):
            return {"path": str(place / "runs.db")}

Two stores made for one place must share their data, and those of two places must not. A store whose options are not
plain values (one that is given a storage) overrides ``make`` and ``process_code``, too.

Needs pytest and hypothesis: ``pip install odibi-kernel[testing]``.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, cast

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from odibi.contracts.checkpoint import CheckpointStore
from odibi.errors import Conflict, NotFound
from odibi.testing.checkpoint_histories import histories
from odibi.testing.component import ComponentSuite, needs, together

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from odibi.contracts.checkpoint import RunLock

__all__ = ["CheckpointSuite"]

NAMES = (
    "etl",
    "etl_daily",
    "etl_",
    "ETL",
    "e%",
    "%",
    "_tl",
    "etl ",
    "",
    "etl'; DROP TABLE runs; --",
    '"etl"',
    "../etl",
    "etl/daily",
    "etl\\daily",
    "*",
    "[a-z]tl",
    "é",
    "e\u0301",
    "日本語 🚀",
    "two\nlines",
    "x" * 300,
)
"""Names that something might take for one another, or for something else than a name."""

ENDS = ("succeeded", "failed", "cancelled")

_VALUES: tuple[Any, ...] = (
    {},
    {"deep": [{"list": [1, [2, [3]]]}], "empty": [[], {}, ""]},
    {"numbers": [0, -1, 2**53 + 1, 0.1, 1e300, -0.5], "flags": [True, False, None]},
    {"text": ["é", "日本語", "\u0000", "\U0001f600", "a\nb\tc", "'\"\\", "\u2028"], "": "no key"},
    {"long": "x" * 200_000},
)


def result(node: str, value: Any = 0, **more: Any) -> dict[str, Any]:
    """A record that is a node's result."""
    return {"node": node, "fingerprint": f"{value}", "value": value, **more}


def _kind(value: object) -> str:
    return f"{type(value).__name__} {value}" if isinstance(value, float) else type(value).__name__


class CheckpointSuite(ComponentSuite):
    """What holds for every checkpoint store; see the module for how to use it."""

    family = "checkpoint"

    patience: ClassVar[float] = 30.0
    """Seconds within which the store must notice that a process is dead."""

    # --- what a subclass says ---------------------------------------------------------------------------------------

    def process_code(self, place: Path) -> str:
        """Python statements that, in another process, bind ``store`` to one more handle on the data in ``place``."""
        options = json.dumps(dict(self.options(place)))
        home, name = self.component.__module__, self.component.__qualname__
        return f"import json, {home}\nstore = {home}.{name}(**json.loads({options!r}))"

    # --- what the tests use -----------------------------------------------------------------------------------------

    @pytest.fixture
    def store(self, subject: CheckpointStore) -> CheckpointStore:
        """A store."""
        return subject

    @pytest.fixture
    def other(self, place: Path) -> Iterator[CheckpointStore]:
        """Another handle on the same data."""
        store = self.make(place)
        yield store
        store.close()

    @contextmanager
    def process(self, place: Path, code: str) -> Iterator[subprocess.Popen[str]]:
        """Another process that runs ``code`` with a ``store``; it is killed at the end if it still runs."""
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        process = subprocess.Popen(  # noqa: S603 - our own code
            [sys.executable, "-c", f"{self.process_code(place)}\n{code}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    @contextmanager
    def holder(self, place: Path, pipeline: str, code: str = "") -> Iterator[subprocess.Popen[str]]:
        """Another process that holds the lock of ``pipeline``, has then run ``code``, and waits."""
        taken = f"lock = store.lock({pipeline!r})\n{code}\nprint('held', flush=True)\ninput()"
        with self.process(place, taken) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n", "the other process does not get the lock"
            yield process

    def until(self, is_so: Callable[[], bool], what: str) -> None:
        """Wait for something that must come true by itself."""
        deadline = time.monotonic() + self.patience
        while not is_so():
            assert time.monotonic() < deadline, f"after {self.patience} s: {what}"
            time.sleep(0.01)

    # --- journals ---------------------------------------------------------------------------------------------------

    def test_a_run_from_begin_to_end(self, store: CheckpointStore, other: CheckpointStore) -> None:
        """What is known of it is there at once, to every handle."""
        before = time.time()
        store.begin("r1", "etl", {"command": "odibi run", "plan": [1, 2]})
        begun = time.time()
        for seen in (store.load("r1"), other.load("r1")):
            assert (seen.run_id, seen.pipeline, seen.state) == ("r1", "etl", "running")
            assert seen.detail == {"command": "odibi run", "plan": [1, 2]}
            assert list(seen.outcomes) == []
            assert seen.finished is None
            assert before - 1 <= seen.started <= begun + 1
        store.append("r1", [{"node": "a"}])
        store.append("r1", [{"node": "b"}])
        store.finish("r1", "succeeded")
        for seen in (store.load("r1"), other.load("r1")):
            assert seen.state == "succeeded"
            assert list(seen.outcomes) == [{"node": "a"}, {"node": "b"}]
            assert seen.finished is not None
            assert seen.started - 1 <= seen.finished <= time.time() + 1

    def test_outlives_the_store(self, store: CheckpointStore, place: Path) -> None:
        """Journal, results and offsets are there for whoever opens the place later."""
        store.begin("r1", "etl", {})
        store.append("r1", [result("a")])
        store.finish("r1", "failed", {"orders": 5})
        store.close()
        again = self.make(place)
        try:
            assert again.load("r1").outcomes == [result("a")]
            assert again.results("etl") == {"a": {**result("a"), "run_id": "r1"}}
            assert again.offset("orders") == 5
        finally:
            again.close()

    def test_places_are_apart(self, store: CheckpointStore, tmp_path: Path) -> None:
        """What is in one place does not show in another."""
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        another = self.make(elsewhere)
        try:
            store.begin("r1", "etl", {})
            assert list(another.runs()) == []
            with pytest.raises(NotFound):
                another.load("r1")
        finally:
            another.close()

    @pytest.mark.parametrize("state", ENDS)
    def test_every_end(self, store: CheckpointStore, state: str) -> None:
        """A run ends as whoever ended it said."""
        store.begin("r1", "etl", {})
        store.finish("r1", state)
        assert store.load("r1").state == state

    def test_records_keep_their_order(self, store: CheckpointStore, other: CheckpointStore) -> None:
        """However many come with a call; one like the one before it is one more."""
        store.begin("r1", "etl", {})
        sizes = [1, 2, 0, 7, 100, 1, 1500, 3]
        expected: list[dict[str, Any]] = []
        for size in sizes:
            batch = [{"n": len(expected) + at} for at in range(size)]
            expected += batch
            store.append("r1", batch)
        for _ in range(2):
            store.append("r1", [{"again": True}, {"again": True}])
        assert list(other.load("r1").outcomes) == [*expected, *[{"again": True}] * 4]

    def test_records_of_two_runs_do_not_mix(self, store: CheckpointStore) -> None:
        """Each journal has its own run's alone."""
        for run in ("r1", "r2"):
            store.begin(run, "etl", {})
        for n in range(10):
            store.append("r1", [{"run": 1, "n": n}])
            store.append("r2", [{"run": 2, "n": n}, {"run": 2, "more": n}])
        assert [record["run"] for record in store.load("r1").outcomes] == [1] * 10
        assert [record["run"] for record in store.load("r2").outcomes] == [2] * 20

    @pytest.mark.parametrize("value", _VALUES, ids=lambda value: next(iter(value), "nothing") or "text")
    def test_values_come_back_as_they_were(self, store: CheckpointStore, other: CheckpointStore, value: Any) -> None:
        """Any JSON value, wherever one is taken, in value and in type."""
        store.begin("r1", "etl", value)
        store.append("r1", [value, {"node": "a", "fingerprint": "f", "value": value}])
        store.finish("r1", "succeeded", {"orders": value})
        seen = other.load("r1")
        assert seen.detail == value
        assert list(seen.outcomes) == [value, {"node": "a", "fingerprint": "f", "value": value}]
        assert other.results("etl")["a"]["value"] == value
        assert other.offset("orders") == value
        assert _types(seen.outcomes[0]) == _types(value)

    @pytest.mark.parametrize("bad", [math.nan, math.inf, object(), {1, 2}, b"x", {1: 2}], ids=_kind)
    def test_what_is_not_json_is_refused_whole(self, store: CheckpointStore, bad: Any) -> None:
        """With what came beside it; nothing has changed."""
        store.begin("r1", "etl", {})
        with pytest.raises((TypeError, ValueError)):
            store.append("r1", [result("a"), {"node": "b", "value": [bad]}])
        with pytest.raises((TypeError, ValueError)):
            store.begin("r2", "etl", {"value": bad})
        with pytest.raises((TypeError, ValueError)):
            store.finish("r1", "succeeded", {"orders": bad})
        assert store.load("r1").state == "running"
        assert list(store.load("r1").outcomes) == []
        assert store.results("etl") == {}
        assert store.offset("orders") is None
        with pytest.raises(NotFound):
            store.load("r2")

    def test_what_is_handed_in_may_change_afterwards(self, store: CheckpointStore) -> None:
        """The store keeps what it was at the time."""
        detail, record = {"n": [1]}, result("a", 1)
        store.begin("r1", "etl", detail)
        store.append("r1", [record])
        detail["n"].append(2)
        record["value"] = 2
        assert store.load("r1").detail == {"n": [1]}
        assert store.results("etl")["a"]["value"] == 1

    def test_what_is_handed_out_is_nobody_elses(self, store: CheckpointStore) -> None:
        """Changing it does not change the journal, nor the results."""
        store.begin("r1", "etl", {})
        store.append("r1", [result("a", [1])])
        cast("Any", store.load("r1").outcomes[0])["value"].append(2)
        assert store.load("r1").outcomes[0]["value"] == [1]
        # Results may be handed out again, and then cannot be changed.
        for change in (lambda: cast("Any", store.results("etl")).clear(), self._spoil(store)):
            with contextlib.suppress(TypeError, AttributeError):
                change()
        assert store.results("etl")["a"]["value"] == [1]

    def _spoil(self, store: CheckpointStore) -> Callable[[], None]:
        def spoil() -> None:
            cast("Any", store.results("etl"))["a"]["value"] = 2

        return spoil

    def test_a_run_begins_once(self, store: CheckpointStore, other: CheckpointStore) -> None:
        """By whomever, for whichever pipeline; the first stays as it was."""
        store.begin("r1", "etl", {"first": True})
        store.append("r1", [{"n": 1}])
        for handle, pipeline in ((store, "etl"), (other, "etl"), (other, "another")):
            with pytest.raises(Conflict):
                handle.begin("r1", pipeline, {})
        seen = store.load("r1")
        assert (seen.detail, list(seen.outcomes)) == ({"first": True}, [{"n": 1}])

    def test_begin_need_not_sync(self, store: CheckpointStore, other: CheckpointStore) -> None:
        """It is there all the same, and durable with what follows."""
        store.begin("r1", "etl", {"n": 1}, sync=False)
        assert store.load("r1").state == "running"
        store.append("r1", [result("a")])
        assert list(other.load("r1").outcomes) == [result("a")]
        store.begin("r2", "etl", {"n": 2}, sync=False)
        store.finish("r2", "succeeded")
        assert other.load("r2").detail == {"n": 2}

    @pytest.mark.parametrize("call", ["append", "append nothing", "finish", "load", "remove"])
    def test_there_is_no_such_run(self, store: CheckpointStore, call: str) -> None:
        """Is said with its id, and ids are compared whole."""
        store.begin("r10", "etl", {})
        calls: dict[str, Callable[[], object]] = {
            "append": lambda: store.append("r1", [{"n": 1}]),
            "append nothing": lambda: store.append("r1", []),
            "finish": lambda: store.finish("r1", "succeeded"),
            "load": lambda: store.load("r1"),
            "remove": lambda: store.remove("r1"),
        }
        with pytest.raises(NotFound) as caught:
            calls[call]()
        assert "r1" in str(caught.value)

    def test_a_finished_run_stays_as_it_is(self, store: CheckpointStore, other: CheckpointStore) -> None:
        """Nothing is appended, it does not end twice, and no offset moves late."""
        store.begin("r1", "etl", {})
        store.append("r1", [{"n": 1}])
        store.finish("r1", "failed", {"orders": 1})
        for handle in (store, other):
            with pytest.raises(Conflict):
                handle.append("r1", [result("late")])
            with pytest.raises(Conflict):
                handle.finish("r1", "succeeded", {"orders": 2})
        seen = other.load("r1")
        assert (seen.state, list(seen.outcomes), other.offset("orders")) == ("failed", [{"n": 1}], 1)
        assert other.results("etl") == {}

    def test_the_last_records_come_with_the_end(self, store: CheckpointStore, other: CheckpointStore) -> None:
        """After those before, and as results like those."""
        store.begin("r1", "etl", {})
        store.append("r1", [result("a", 1), {"n": 1}])
        store.finish(
            "r1", "failed", {"orders": 1}, records=[result("a", 2), {"n": 2}, {"node": "b", "state": "failed"}]
        )
        seen = other.load("r1")
        last = [result("a", 2), {"n": 2}, {"node": "b", "state": "failed"}]
        assert (seen.state, list(seen.outcomes)) == ("failed", [result("a", 1), {"n": 1}, *last])
        assert other.results("etl") == {"a": {**result("a", 2), "run_id": "r1"}}
        store.begin("r2", "etl", {}, sync=False)
        store.finish("r2", "succeeded", records=[result("b", n) for n in range(700)])
        assert [record["value"] for record in other.load("r2").outcomes] == list(range(700))
        assert other.results("etl")["b"]["value"] == 699

    def test_the_last_records_come_with_the_end_or_not_at_all(
        self, store: CheckpointStore, other: CheckpointStore
    ) -> None:
        """If one cannot be kept, the run has not ended; if the run cannot end, none is kept."""
        store.begin("r1", "etl", {})
        for records in ([result("a"), result("b", math.nan)], [result("a"), {"value": object()}]):
            with pytest.raises((TypeError, ValueError)):
                store.finish("r1", "succeeded", {"orders": 1}, records=[*records, result("c")])
        seen = other.load("r1")
        assert (seen.state, list(seen.outcomes), other.results("etl")) == ("running", [], {})
        assert other.offset("orders") is None
        store.finish("r1", "succeeded")
        for run in ("r1", "r2"):
            with pytest.raises((Conflict, NotFound)):
                store.finish(run, "failed", {"orders": 1}, records=[result("late")])
        seen = other.load("r1")
        assert (seen.state, list(seen.outcomes), other.results("etl")) == ("succeeded", [], {})
        assert other.offset("orders") is None

    def test_a_run_cannot_end_in_any_state(self, store: CheckpointStore) -> None:
        """That it was interrupted is found out, never said."""
        store.begin("r1", "etl", {})
        for state in ("running", "interrupted", "done", ""):
            with pytest.raises(ValueError, match="state"):
                store.finish("r1", state)
        assert store.load("r1").state == "running"

    # --- the newest result of each node -----------------------------------------------------------------------------

    def test_results_are_the_newest_of_all_runs(self, store: CheckpointStore, other: CheckpointStore) -> None:
        """Node by node, with the run it comes from."""
        store.begin("r1", "etl", {})
        store.append("r1", [result("a", 1), result("b", 1), result("c", 1), result("a", 2)])
        store.append("r1", [result("b", 2)])
        store.finish("r1", "succeeded")
        store.begin("r2", "etl", {})
        store.append("r2", [result("a", 3)])
        assert other.results("etl") == {
            "a": {**result("a", 3), "run_id": "r2"},
            "b": {**result("b", 2), "run_id": "r1"},
            "c": {**result("c", 1), "run_id": "r1"},
        }

    def test_the_newest_is_the_one_that_was_appended_last(self, store: CheckpointStore) -> None:
        """Whichever run is the newer one."""
        store.begin("r1", "etl", {})
        store.begin("r2", "etl", {})
        store.append("r2", [result("a", 2)])
        store.append("r1", [result("a", 1)])
        assert store.results("etl")["a"] == {**result("a", 1), "run_id": "r1"}

    def test_a_record_without_fingerprint_is_no_result(self, store: CheckpointStore) -> None:
        """Nor is one without node; null is as good as nothing."""
        store.begin("r1", "etl", {})
        store.append("r1", [result("a", 1), {"node": "a", "state": "failed"}, {"fingerprint": "f"}, {"n": 1}])
        store.append("r1", [{"node": "a", "fingerprint": None}, {"node": None, "fingerprint": "f"}])
        store.finish("r1", "failed")
        assert store.results("etl") == {"a": {**result("a", 1), "run_id": "r1"}}
        assert len(store.load("r1").outcomes) == 6

    def test_results_outlive_their_runs(self, store: CheckpointStore, other: CheckpointStore) -> None:
        """Pruning and removing leave them alone."""
        for run in ("r1", "r2", "r3"):
            store.begin(run, "etl", {})
            store.append(run, [result("all", run), result(run, run)])
            store.finish(run, "succeeded")
        expected = dict(other.results("etl"))
        assert set(expected) == {"all", "r1", "r2", "r3"}
        store.remove("r2")
        assert other.results("etl") == expected
        assert store.prune(0) == 2
        assert other.results("etl") == expected

    def test_forget_some(self, store: CheckpointStore, other: CheckpointStore) -> None:
        """The results of these nodes and no others; the journal stays."""
        store.begin("r1", "etl", {})
        store.append("r1", [result(node) for node in ("a", "b", "ab", "%", "_")])
        store.forget("etl", ["a", "%", "never was"])
        assert set(other.results("etl")) == {"b", "ab", "_"}
        store.forget("etl", [])
        assert set(other.results("etl")) == {"b", "ab", "_"}
        assert len(store.load("r1").outcomes) == 5
        store.append("r1", [result("a", 2)])
        assert other.results("etl")["a"]["value"] == 2

    def test_forget_all(self, store: CheckpointStore, other: CheckpointStore) -> None:
        """Of this pipeline and no other."""
        for run, pipeline in (("r1", "etl"), ("r2", "other")):
            store.begin(run, pipeline, {})
            store.append(run, [result("a"), result("b")])
        store.forget("etl")
        assert other.results("etl") == {}
        assert set(other.results("other")) == {"a", "b"}
        store.forget("never was")

    # --- names ------------------------------------------------------------------------------------------------------

    def test_names_are_compared_whole(self, store: CheckpointStore, other: CheckpointStore) -> None:
        """Of pipelines, nodes and streams, wherever they are taken, whatever their characters mean elsewhere."""
        for at, name in enumerate(NAMES):
            run = f"r{at:02}"
            store.begin(run, name, {"name": name})
            store.append(run, [result("node", name), result(name, at)])
            store.finish(run, "succeeded", {name: at})
        for at, name in enumerate(NAMES):
            latest = other.latest(name)
            assert latest is not None
            assert (latest.run_id, latest.pipeline, latest.detail) == (f"r{at:02}", name, {"name": name})
            assert [run.run_id for run in other.runs(name)] == [f"r{at:02}"]
            assert other.results(name)["node"]["value"] == name
            assert other.results(name)[name]["value"] == at
            assert other.offset(name) == at
        for at, name in enumerate(NAMES):
            store.forget(name, [name])
            assert store.prune(0, name) == 1
            assert other.latest(name) is None
            assert set(other.results(name)) == {"node"}
            assert len(list(other.runs())) == len(NAMES) - at - 1

    def test_each_name_has_its_own_lock(self, store: CheckpointStore, other: CheckpointStore) -> None:
        """No two names share one."""
        locks = [store.lock(name) for name in NAMES]
        for name, lock in zip(NAMES, locks, strict=True):
            assert lock.held()
            with pytest.raises(Conflict):
                other.lock(name)
        for lock in locks:
            lock.release()

    @pytest.mark.parametrize("run_id", NAMES)
    def test_any_run_id(self, store: CheckpointStore, other: CheckpointStore, run_id: str) -> None:
        """Is text as well as any other."""
        store.begin(run_id, "etl", {})
        store.append(run_id, [result("a")])
        store.finish(run_id, "succeeded")
        assert other.load(run_id).run_id == run_id
        assert other.results("etl")["a"]["run_id"] == run_id
        store.remove(run_id)
        with pytest.raises(NotFound):
            other.load(run_id)

    # --- offsets ----------------------------------------------------------------------------------------------------

    def test_offsets_move_when_the_run_ends(self, store: CheckpointStore, other: CheckpointStore) -> None:
        """Not before, and only those that the run consumed."""
        assert store.offset("orders") is None
        store.begin("r1", "etl", {})
        store.append("r1", [{"n": 1}])
        assert other.offset("orders") is None
        store.finish("r1", "succeeded", {"orders": {"page": 7}, "customers": "2024-01-01"})
        assert other.offset("orders") == {"page": 7}
        store.begin("r2", "etl", {})
        store.finish("r2", "succeeded", {"orders": {"page": 8}})
        assert (other.offset("orders"), other.offset("customers")) == ({"page": 8}, "2024-01-01")
        store.begin("r3", "etl", {})
        store.finish("r3", "succeeded")
        assert other.offset("orders") == {"page": 8}

    def test_offsets_move_with_the_end_or_not_at_all(self, store: CheckpointStore, other: CheckpointStore) -> None:
        """A run that cannot end moves none."""
        lock = store.lock("etl")
        store.begin("r1", "etl", {}, lock=lock)
        lock.release()
        with pytest.raises(Conflict):
            store.finish("r1", "succeeded", {"orders": 1})
        assert other.offset("orders") is None
        assert other.load("r1").state != "succeeded"

    def test_offsets_outlive_their_runs(self, store: CheckpointStore) -> None:
        """Removing a run takes nothing back."""
        store.begin("r1", "etl", {})
        store.finish("r1", "succeeded", {"orders": 1})
        store.remove("r1")
        assert store.offset("orders") == 1

    # --- finding runs -----------------------------------------------------------------------------------------------

    def test_the_newest_comes_first(self, store: CheckpointStore, other: CheckpointStore) -> None:
        """Of one pipeline or of all, as many as wanted, without outcomes."""
        ids = [f"2024-01-{day:02}" for day in range(1, 29)]
        for at, run in enumerate(ids):
            store.begin(run, ("a", "b")[at % 2], {"at": at})
            store.append(run, [{"n": at}])
            store.finish(run, ENDS[at % 3])
        assert [run.run_id for run in other.runs()] == ids[::-1]
        assert [run.run_id for run in other.runs("b")] == ids[1::2][::-1]
        assert [run.run_id for run in other.runs(limit=3)] == ids[:-4:-1]
        assert [run.run_id for run in other.runs("a", limit=3)] == ids[0::2][:-4:-1]
        assert list(other.runs(limit=0)) == []
        assert len(list(other.runs("a", limit=1000))) == 14
        assert list(other.runs("c")) == []
        first = next(other.runs())
        assert (first.detail, first.pipeline, first.state, list(first.outcomes)) == ({"at": 27}, "b", ENDS[0], [])

    def test_ids_sort_whatever_the_order_in_which_they_began(self, store: CheckpointStore) -> None:
        """The newest run is the one whose id sorts last."""
        for run in ("b", "a2", "c", "a10", "a1"):
            store.begin(run, "etl", {})
        assert [run.run_id for run in store.runs("etl")] == ["c", "b", "a2", "a10", "a1"]
        latest = store.latest("etl")
        assert latest is not None
        assert latest.run_id == "c"

    def test_many_runs_are_listed(self, store: CheckpointStore, other: CheckpointStore) -> None:
        """All of them, once."""
        ids = [f"{at:03}" for at in range(350)]
        for at, run in enumerate(ids):
            store.begin(run, ("a", "b")[at % 2], {}, sync=False)
        assert [run.run_id for run in other.runs()] == ids[::-1]
        assert [run.run_id for run in other.runs("a")] == ids[::2][::-1]

    def test_runs_can_be_removed_while_they_are_listed(self, store: CheckpointStore, other: CheckpointStore) -> None:
        """Those that stay come out, in order, once."""
        for at in range(300):
            store.begin(f"{at:03}", "etl", {}, sync=False)
            store.finish(f"{at:03}", "succeeded")
        listed = other.runs()
        seen = [next(listed).run_id]
        assert store.prune(100) == 200
        seen += [run.run_id for run in listed]
        assert seen[:100] == [f"{at:03}" for at in range(299, 199, -1)]
        assert seen == sorted(set(seen), reverse=True)

    def test_the_latest_in_some_state(self, store: CheckpointStore, other: CheckpointStore) -> None:
        """The newest of those in one of the states, with its outcomes."""
        assert store.latest("etl") is None
        assert store.latest("etl", states=["succeeded"]) is None
        for run, state in (("1", "succeeded"), ("2", "failed"), ("3", "succeeded"), ("4", "cancelled"), ("5", "")):
            store.begin(run, "etl", {"run": run})
            store.append(run, [{"run": run}])
            if state:
                store.finish(run, state)

        def latest(*states: str) -> str | None:
            found = other.latest("etl", states=states)
            assert found is None or list(found.outcomes) == [{"run": found.run_id}]
            assert found is None or found.detail == {"run": found.run_id}
            return None if found is None else found.run_id

        assert latest() == "5"
        assert latest("running") == "5"
        assert latest("succeeded") == "3"
        assert latest("failed") == "2"
        assert latest("failed", "succeeded") == "3"
        assert latest("cancelled", "failed", "succeeded") == "4"
        assert latest("interrupted") is None
        assert latest("interrupted", "failed") == "2"

    # --- clearing away ----------------------------------------------------------------------------------------------

    def test_prune_keeps_the_newest(self, store: CheckpointStore, other: CheckpointStore) -> None:
        """So many of each pipeline, or of the one that is named; says how many are gone."""
        for at in range(10):
            for pipeline in ("a", "b"):
                store.begin(f"{at}{pipeline}", pipeline, {})
                store.append(f"{at}{pipeline}", [{"n": at}])
                store.finish(f"{at}{pipeline}", ENDS[at % 3])
        assert store.prune(7, "a") == 3
        assert len(list(other.runs("a"))) == 7
        assert len(list(other.runs("b"))) == 10
        assert store.prune(4) == 3 + 6
        for pipeline in ("a", "b"):
            assert [run.run_id for run in other.runs(pipeline)] == [f"{at}{pipeline}" for at in (9, 8, 7, 6)]
        assert store.prune(4) == 0
        assert list(other.load("6a").outcomes) == [{"n": 6}]
        with pytest.raises(NotFound):
            other.load("5a")
        assert store.prune(1, "never was") == 0
        assert store.prune(0) == 8
        assert list(other.runs()) == []

    def test_prune_removes_many(self, store: CheckpointStore) -> None:
        """In one call."""
        for at in range(250):
            store.begin(f"{at:03}", "etl", {}, sync=False)
            store.finish(f"{at:03}", "succeeded")
        assert store.prune(3) == 247
        assert [run.run_id for run in store.runs()] == ["249", "248", "247"]

    def test_prune_keeps_what_goes_on(self, store: CheckpointStore, other: CheckpointStore) -> None:
        """Beside as many finished ones as it is to keep."""
        lock = store.lock("etl")
        store.begin("1", "etl", {}, lock=lock)
        store.begin("2", "other", {})
        for run in ("3", "4"):
            store.begin(run, "etl", {})
            store.finish(run, "succeeded")
        assert other.prune(1) == 1
        assert [run.run_id for run in other.runs()] == ["4", "2", "1"]
        assert other.prune(0) == 1
        assert [run.run_id for run in other.runs()] == ["2", "1"]
        store.append("1", [{"n": 1}])
        store.finish("1", "succeeded")
        lock.release()

    def test_prune_keeps_the_newest_if_it_was_interrupted(self, store: CheckpointStore) -> None:
        """It can be resumed; one that a newer run followed cannot."""
        store.begin("1", "etl", {})
        store.finish("1", "succeeded")
        self.interrupt(store, "2", "etl")
        self.interrupt(store, "3", "etl")
        assert store.prune(0) == 2
        assert [(run.run_id, run.state) for run in store.runs()] == [("3", "interrupted")]
        store.begin("4", "etl", {})
        store.finish("4", "succeeded")
        assert store.prune(1) == 1
        assert [run.run_id for run in store.runs()] == ["4"]

    def test_prune_does_not_count_backwards(self, store: CheckpointStore) -> None:
        """And removes nothing then."""
        store.begin("1", "etl", {})
        store.finish("1", "succeeded")
        with pytest.raises(ValueError, match="keep_last"):
            store.prune(-1)
        assert store.load("1").state == "succeeded"

    def test_remove(self, store: CheckpointStore, other: CheckpointStore) -> None:
        """The run is gone with its journal, others stay, and its id is free."""
        for run in ("1", "2"):
            store.begin(run, "etl", {})
            store.append(run, [{"n": 1}])
            store.finish(run, "failed")
        other.remove("1")
        assert [run.run_id for run in store.runs()] == ["2"]
        with pytest.raises(NotFound):
            store.load("1")
        store.begin("1", "etl", {"again": True})
        assert list(other.load("1").outcomes) == []

    def test_a_run_that_goes_on_cannot_be_removed(self, store: CheckpointStore, other: CheckpointStore) -> None:
        """By nobody, with a lock or without."""
        lock = store.lock("etl")
        store.begin("1", "etl", {}, lock=lock)
        store.begin("2", "other", {})
        for handle in (store, other):
            for run in ("1", "2"):
                with pytest.raises(Conflict):
                    handle.remove(run)
        store.append("1", [{"n": 1}])
        lock.release()

    def test_an_interrupted_run_can_be_removed(self, store: CheckpointStore) -> None:
        """It does not go on."""
        self.interrupt(store, "1", "etl")
        store.remove("1")
        assert list(store.runs()) == []

    def interrupt(self, store: CheckpointStore, run_id: str, pipeline: str) -> None:
        """A run whose holder went without ending it, after which somebody else had the pipeline."""
        lock = store.lock(pipeline)
        store.begin(run_id, pipeline, {}, lock=lock)
        lock.release()
        store.lock(pipeline).release()

    # --- locks ------------------------------------------------------------------------------------------------------

    def test_one_holds_the_lock(self, store: CheckpointStore, other: CheckpointStore) -> None:
        """Until it gives it back; others are told who holds it, and giving back twice takes nothing away."""
        lock = store.lock("etl")
        assert lock.held()
        for handle in (store, other):
            with pytest.raises(Conflict) as caught:
                handle.lock("etl")
            assert "etl" in str(caught.value)
            assert str(os.getpid()) in str(caught.value), "it does not say who holds the lock"
        assert lock.held()
        other.lock("etl_daily").release()
        lock.release()
        assert not lock.held()
        lock.release()
        next_lock = other.lock("etl")
        assert next_lock.held()
        assert not lock.held()
        lock.release()
        assert next_lock.held(), "giving a lost lock back took it from its holder"
        next_lock.release()

    def test_each_holder_has_a_greater_token(self, store: CheckpointStore, other: CheckpointStore) -> None:
        """Whichever handle took the lock."""
        tokens = []
        for handle in (store, other) * 5:
            lock = handle.lock("etl")
            tokens.append(lock.token)
            lock.release()
        assert tokens == sorted(set(tokens))

    def test_of_many_that_want_the_lock_one_gets_it(self, place: Path) -> None:
        """Of threads on one handle and on several."""
        stores = [self.make(place) for _ in range(4)]
        try:
            for _ in range(5):
                held: list[RunLock] = []

                def take(store: CheckpointStore, held: list[RunLock] = held) -> bool:
                    try:
                        held.append(store.lock("etl"))
                    except Conflict:
                        return False
                    return True

                assert _together([lambda store=store: take(store) for store in stores * 2]).count(True) == 1  # type: ignore[misc]
                held[0].release()
        finally:
            for store in stores:
                store.close()

    def test_waits_for_the_lock(self, store: CheckpointStore, other: CheckpointStore) -> None:
        """Whoever waits has it when it is given back."""
        lock = store.lock("etl")
        waits = threading.Event()

        def wait() -> RunLock:
            waits.set()
            return other.lock("etl", wait=self.patience)

        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(wait)
            assert waits.wait(self.patience)
            assert not waiting.done()
            lock.release()
            got = waiting.result(self.patience)
        assert got.held()
        assert got.token > lock.token
        got.release()

    def test_waits_no_longer_than_told(self, store: CheckpointStore, other: CheckpointStore) -> None:
        """But as long, and the holder is not disturbed."""
        lock = store.lock("etl")
        begin = time.monotonic()
        with pytest.raises(Conflict):
            other.lock("etl", wait=0.05)
        assert time.monotonic() - begin >= 0.05
        assert lock.held()
        lock.release()

    def test_who_waits_gets_the_lock_in_some_order(self, place: Path) -> None:
        """One after the other, none twice, each with a token of its own."""
        stores = [self.make(place) for _ in range(4)]
        inside = threading.Lock()

        def turn(store: CheckpointStore) -> int:
            lock = store.lock("etl", wait=self.patience)
            assert inside.acquire(blocking=False), "two hold the lock"
            token = lock.token
            inside.release()
            lock.release()
            return token

        try:
            tokens = _together([lambda store=store: turn(store) for store in stores * 2])  # type: ignore[misc]
            assert len(set(tokens)) == 8
        finally:
            for store in stores:
                store.close()

    def test_runs_of_two_pipelines_go_on_at_once(self, store: CheckpointStore, other: CheckpointStore) -> None:
        """Neither is in the other's way."""
        locks = [store.lock("a"), other.lock("b")]
        store.begin("1", "a", {}, lock=locks[0])
        other.begin("2", "b", {}, lock=locks[1])
        for n in range(5):
            store.append("1", [result("node", n)])
            other.append("2", [result("node", -n)])
        assert store.results("a")["node"]["value"] == 4
        assert store.results("b")["node"]["value"] == -4
        store.finish("1", "succeeded")
        other.finish("2", "succeeded")
        for lock in locks:
            lock.release()

    def test_who_gave_the_lock_back_cannot_write(self, store: CheckpointStore) -> None:
        """What it wrote before stays."""
        lock = store.lock("etl")
        store.begin("1", "etl", {}, lock=lock)
        store.append("1", [result("a", 1)])
        lock.release()
        self.check_shut_out(store, lock)

    def test_who_lost_the_lock_cannot_write(self, store: CheckpointStore, other: CheckpointStore) -> None:
        """Whether or not somebody has it now, who is not disturbed."""
        lock = store.lock("etl")
        store.begin("1", "etl", {}, lock=lock)
        store.append("1", [result("a", 1)])
        lock.release()
        newer = other.lock("etl")
        self.check_shut_out(store, lock)
        other.begin("2", "etl", {}, lock=newer)
        self.check_shut_out(store, lock)
        other.append("2", [result("b", 2)])
        other.finish("2", "succeeded")
        newer.release()
        self.check_shut_out(store, lock)
        assert other.load("2").state == "succeeded"

    def check_shut_out(self, store: CheckpointStore, lock: RunLock) -> None:
        """Run 1 was begun under a lock, journalled ``a``, and must not get further."""
        assert not lock.held()
        offset = store.offset("orders")
        with pytest.raises(Conflict):
            store.append("1", [result("a", "late")])
        with pytest.raises(Conflict):
            store.append("1", [])
        with pytest.raises(Conflict):
            store.finish("1", "succeeded", {"orders": "late"}, records=[result("a", "late")])
        with pytest.raises(Conflict):
            store.begin("1b", "etl", {}, lock=lock)
        assert list(store.load("1").outcomes) == [result("a", 1)]
        assert store.load("1").state == "interrupted"
        assert store.results("etl")["a"] == {**result("a", 1), "run_id": "1"}
        assert store.offset("orders") == offset
        with pytest.raises(NotFound):
            store.load("1b")

    def test_a_lock_is_for_one_pipeline(self, store: CheckpointStore) -> None:
        """No run of another is begun under it."""
        lock = store.lock("a")
        with pytest.raises((Conflict, ValueError)):
            store.begin("1", "b", {}, lock=lock)
        assert list(store.runs()) == []
        lock.release()

    # --- other processes --------------------------------------------------------------------------------------------

    @needs("shared")
    def test_keeps_other_processes_out(self, store: CheckpointStore, place: Path) -> None:
        """They are told the process that holds it; other pipelines are free."""
        with self.holder(place, "etl") as process:
            with pytest.raises(Conflict) as caught:
                store.lock("etl")
            assert str(process.pid) in str(caught.value)
            store.lock("etl_daily").release()
            process.communicate("go on\n", timeout=self.patience)
        store.lock("etl", wait=self.patience).release()

    @needs("shared")
    def test_a_lock_dies_with_its_holder(self, store: CheckpointStore, place: Path) -> None:
        """Its run was interrupted, with all that was appended; the next one goes on."""
        code = "store.begin('1', 'etl', {}, lock=lock)\nstore.append('1', [{'n': 1}, {'n': 2}])"
        with self.holder(place, "etl", code) as process:
            assert store.load("1").state == "running"
            with pytest.raises(Conflict):
                store.remove("1")
            assert store.prune(0) == 0
            process.kill()
            process.wait()
            self.until(lambda: store.load("1").state == "interrupted", "the run of a dead process still goes on")
        latest = store.latest("etl", states=["interrupted"])
        assert latest is not None
        assert list(latest.outcomes) == [{"n": 1}, {"n": 2}]
        assert latest.finished is None
        assert store.latest("etl", states=["running"]) is None
        assert [run.state for run in store.runs("etl")] == ["interrupted"]
        lock = store.lock("etl", wait=self.patience)
        assert lock.held()
        store.begin("2", "etl", {}, lock=lock)
        store.finish("2", "succeeded")
        lock.release()
        assert store.load("1").state == "interrupted"

    @needs("shared")
    def test_tokens_grow_across_processes(self, store: CheckpointStore, place: Path) -> None:
        """Whoever had the lock between."""
        first = store.lock("etl")
        first.release()
        with self.process(place, "print(store.lock('etl').token, flush=True)") as process:
            assert process.stdout is not None
            token = int(process.stdout.readline())
            process.wait(self.patience)
        last = store.lock("etl", wait=self.patience)
        assert first.token < token < last.token
        last.release()

    @needs("shared")
    def test_a_run_without_lock_dies_with_its_process(self, store: CheckpointStore, place: Path) -> None:
        """And goes on until then."""
        code = "store.begin('1', 'etl', {})\nstore.append('1', [{'n': 1}])"
        with self.holder(place, "something else", code) as process:
            assert store.load("1").state == "running"
            process.kill()
            process.wait()
            self.until(lambda: store.load("1").state == "interrupted", "the run of a dead process still goes on")
        assert list(store.load("1").outcomes) == [{"n": 1}]

    @needs("shared")
    @pytest.mark.parametrize("round_", range(4))
    def test_killed_while_it_appends(self, store: CheckpointStore, place: Path, round_: int) -> None:
        """Whatever was said to be durable is there, what was being written is there whole or not at all."""
        code = """
import itertools
for n in itertools.count():
    batch = [{"node": f"n{at}", "fingerprint": str(n), "n": n, "at": at, "fill": "x" * 300} for at in range(n % 5 + 1)]
    store.append("1", batch)
    print(n, flush=True)
"""
        before = "store.begin('1', 'etl', {}, lock=lock)\nprint('begun', flush=True)"
        with self.process(place, f"lock = store.lock('etl')\n{before}\n{code}") as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "begun\n"
            for _ in range((0, 1, 20, 77)[round_]):
                process.stdout.readline()
            process.send_signal(signal.SIGKILL)
            said = process.stdout.read().splitlines()
        durable = int(said[-1]) if said else (0, 1, 20, 77)[round_] - 1
        outcomes = list(store.load("1").outcomes)
        expected = [(n, at) for n in range(durable + 2) for at in range(n % 5 + 1)]
        seen = [(record["n"], record["at"]) for record in outcomes]
        least = sum(n % 5 + 1 for n in range(durable + 1))
        assert seen in (expected, expected[:least]), (durable, seen[-10:])
        assert all(record["fill"] == "x" * 300 for record in outcomes)
        newest = {record["node"]: {**record, "run_id": "1"} for record in outcomes}
        assert store.results("etl") == newest

    # --- many at once -----------------------------------------------------------------------------------------------

    def test_many_threads_append(self, store: CheckpointStore, other: CheckpointStore) -> None:
        """Every record is there when its call returns, once, with those of its call, in the order of its thread."""
        threads, calls = 8, 25
        store.begin("r1", "etl", {})

        def work(thread: int) -> None:
            for call in range(calls):
                batch = [result(f"{thread}", call, thread=thread, call=call, at=at) for at in range(call % 3 + 1)]
                store.append("r1", batch)
                if call % 10 == 0:
                    mine = [record for record in other.load("r1").outcomes if record["thread"] == thread]
                    assert mine[-len(batch) :] == batch, "a record is not there though its call has returned"

        _together([lambda thread=thread: work(thread) for thread in range(threads)])  # type: ignore[misc]
        outcomes = list(other.load("r1").outcomes)
        expected = [(call, at) for call in range(calls) for at in range(call % 3 + 1)]
        for thread in range(threads):
            assert [(r["call"], r["at"]) for r in outcomes if r["thread"] == thread] == expected
        batches = [(r["thread"], r["call"]) for r in outcomes if r["at"] == 0]
        together = [(t, c, at) for t, c in batches for at in range(c % 3 + 1)]
        assert [(r["thread"], r["call"], r["at"]) for r in outcomes] == together, "records of two calls are mixed"
        assert {node: record["call"] for node, record in other.results("etl").items()} == {
            str(thread): calls - 1 for thread in range(threads)
        }

    def test_a_mistake_of_one_thread_is_no_others(self, store: CheckpointStore) -> None:
        """Where calls share a sync, only the one that is wrong fails."""
        store.begin("r1", "etl", {})

        def work(thread: int) -> None:
            for call in range(20):
                if thread % 2:
                    with pytest.raises(NotFound):
                        store.append("no such run", [result("bad")])
                else:
                    store.append("r1", [{"thread": thread, "call": call}])

        _together([lambda thread=thread: work(thread) for thread in range(6)])  # type: ignore[misc]
        assert len(store.load("r1").outcomes) == 60
        assert store.results("etl") == {}

    @needs("shared")
    def test_many_processes_append(self, store: CheckpointStore, place: Path) -> None:
        """Each to its own run; nothing is lost, nothing mixed."""
        code = """
import sys
store.begin(f"r{me}", f"pipeline {me}", {})
print("ready", flush=True)
sys.stdin.readline()
for n in range(30):
    store.append(f"r{me}", [{"node": "a", "fingerprint": str(n), "n": n, "me": me}])
store.finish(f"r{me}", "succeeded", {f"stream {me}": 30})
"""
        with (
            self.process(place, f"me = 0\n{code}") as first,
            self.process(place, f"me = 1\n{code}") as second,
            self.process(place, f"me = 2\n{code}") as third,
        ):
            everybody = (first, second, third)
            for process in everybody:
                assert process.stdout is not None
                assert process.stdout.readline() == "ready\n"
            for process in everybody:
                assert process.stdin is not None
                process.stdin.write("go\n")
                process.stdin.flush()
            for process in everybody:
                process.communicate(timeout=2 * self.patience)
                assert process.returncode == 0
        for me in range(3):
            assert [(r["me"], r["n"]) for r in store.load(f"r{me}").outcomes] == [(me, n) for n in range(30)]
            assert store.results(f"pipeline {me}")["a"]["n"] == 29
            assert store.offset(f"stream {me}") == 30

    def test_many_open_a_new_store_at_once(self, place: Path) -> None:
        """One of them makes it, and all use it."""

        def work(at: int) -> None:
            store = self.make(place)
            try:
                store.begin(f"r{at}", "etl", {})
                store.append(f"r{at}", [{"at": at}])
            finally:
                store.close()

        _together([lambda at=at: work(at) for at in range(8)])  # type: ignore[misc]
        store = self.make(place)
        try:
            assert [run.run_id for run in store.runs()] == [f"r{at}" for at in range(7, -1, -1)]
            assert [list(store.load(f"r{at}").outcomes) for at in range(8)] == [[{"at": at}] for at in range(8)]
        finally:
            store.close()

    # --- the rest ---------------------------------------------------------------------------------------------------

    def test_an_empty_store(self, store: CheckpointStore) -> None:
        """Has nothing, and says so."""
        assert list(store.runs()) == []
        assert store.latest("etl") is None
        assert store.results("etl") == {}
        assert store.offset("orders") is None
        assert store.prune(0) == 0
        store.forget("etl")
        with pytest.raises(NotFound):
            store.load("1")

    def test_a_closed_store_leaves_others_alone(self, store: CheckpointStore, other: CheckpointStore) -> None:
        """Handles on the same data go on."""
        store.begin("r1", "etl", {})
        other.load("r1")
        other.close()
        store.append("r1", [{"n": 1}])
        assert list(store.load("r1").outcomes) == [{"n": 1}]

    def test_a_closed_store_holds_no_lock(self, store: CheckpointStore, other: CheckpointStore) -> None:
        """A lock dies with its holder; closing twice harms nobody."""
        lock = store.lock("etl")
        store.begin("1", "etl", {}, lock=lock)
        store.close()
        store.close()
        other.lock("etl").release()
        assert other.load("1").state == "interrupted"

    def test_histories(self, tmp_path: Path) -> None:
        """Random histories of a store beside plain dicts that do the same."""
        run_state_machine_as_test(
            histories(self.make, tmp_path),
            settings=settings(
                max_examples=30, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
            ),
        )


def _together(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """What the calls return, made at the same time by a thread each; raises what one of them raised."""
    results = together(*calls)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


def _types(value: Any) -> Any:
    """The shape of a value by its types, which ``1 == 1.0 == True`` does not tell."""
    if isinstance(value, dict):
        return {key: _types(item) for key, item in value.items()}
    return [_types(item) for item in value] if isinstance(value, list) else type(value)
