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
import math
import time
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from odibi.errors import Conflict, NotFound
from odibi.testing.checkpoint_base import ENDS, NAMES, result
from odibi.testing.checkpoint_histories import histories
from odibi.testing.checkpoint_locks import CheckpointLockTests
from odibi.testing.checkpoint_offsets import CheckpointOffsetTests

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from odibi.contracts.checkpoint import CheckpointStore

__all__ = ["CheckpointSuite"]

_VALUES: tuple[Any, ...] = (
    {},
    {"deep": [{"list": [1, [2, [3]]]}], "empty": [[], {}, ""]},
    {"numbers": [0, -1, 2**53 + 1, 0.1 + 0.2, 1e300, -0.5], "flags": [True, False, None]},
    {"text": ["é", "日本語", "\u0000", "\U0001f600", "a\nb\tc", "'\"\\", "\u2028"], "": "no key"},
    {"long": "x" * 200_000},
)


def _kind(value: object) -> str:
    return f"{type(value).__name__} {value}" if isinstance(value, float) else type(value).__name__


class CheckpointSuite(CheckpointLockTests, CheckpointOffsetTests):
    """What holds for every checkpoint store; see the module for how to use it."""

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
        assert store.offsets() == {}
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
            with pytest.raises(ValueError):  # noqa: PT011 - in words of its own
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

    # --- the rest ---------------------------------------------------------------------------------------------------

    def test_an_empty_store(self, store: CheckpointStore) -> None:
        """Has nothing, and says so."""
        assert list(store.runs()) == []
        assert store.latest("etl") is None
        assert store.results("etl") == {}
        assert store.offset("orders") is None
        assert store.offsets() == store.offsets("o") == {}
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


def _types(value: Any) -> Any:
    """The shape of a value by its types, which ``1 == 1.0 == True`` does not tell."""
    if isinstance(value, dict):
        return {key: _types(item) for key, item in value.items()}
    return [_types(item) for item in value] if isinstance(value, list) else type(value)
