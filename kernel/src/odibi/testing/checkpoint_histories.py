"""Random histories of a checkpoint store, beside a model of plain dicts that does the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from odibi.errors import Conflict, NotFound

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from odibi.contracts.checkpoint import CheckpointStore, RunLock, RunRecord


@attrs.define
class _Run:
    """What the model knows of a run.

    Attributes:
        holder: the token of the lock under which it was begun.
    """

    pipeline: str
    detail: Any
    holder: int | None
    state: str = "running"
    outcomes: list[dict[str, Any]] = attrs.field(factory=list)


_ENDS = st.sampled_from(["succeeded", "failed", "cancelled"])
_STATES = st.sampled_from(["succeeded", "failed", "cancelled", "running", "interrupted"])
_NUMBERED = st.integers(0, 60)
_PIPELINES = st.sampled_from(["etl", "etl_daily", "e%"])
_NODES = st.sampled_from(["a", "b", "é", ""])
_WORDS = st.text(max_size=5)
_NUMBERS = st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False)
_JSON = st.recursive(
    st.none() | st.booleans() | _NUMBERS | _WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=3),
    max_leaves=5,
)
_DETAILS = st.dictionaries(_WORDS, _JSON, max_size=2)
_STREAMS = st.sampled_from(["a", "a/b", "a/B", "a!b/é", "", "%"]) | st.text("a/%é", max_size=3)
_PREFIXES = st.sampled_from(["", "a", "a/", "a!", "%", "_"]) | _STREAMS
_MOVED = st.dictionaries(_STREAMS, _JSON, max_size=3)
_OFFSETS = st.none() | _MOVED
_RECORDS = st.one_of(
    st.builds(lambda node, value: {"node": node, "fingerprint": str(value), "value": value}, _NODES, _JSON),
    st.builds(lambda node, value: {"node": node, "value": value}, _NODES, _JSON),
    st.dictionaries(_WORDS, _JSON, max_size=3),
)


def histories(make: Callable[[Path], CheckpointStore], folder: Path) -> type[RuleBasedStateMachine]:
    """A hypothesis state machine that compares a store to a model of plain dicts.

    Args:
        make: as :meth:`CheckpointSuite.make`.
        folder: where the places of all histories are made.
    """

    class Histories(RuleBasedStateMachine):
        """Calls of one handle, looked at through it and through another."""

        places = 0

        @initialize()
        def start(self) -> None:
            Histories.places += 1
            self.place = folder / f"history {Histories.places}"
            self.place.mkdir()
            self.store, self.other = make(self.place), make(self.place)
            self.runs: dict[str, _Run] = {}
            self.results: dict[str, dict[str, dict[str, Any]]] = {}
            self.offsets: dict[str, Any] = {}
            self.forgotten: set[str] = set()
            self.locks: dict[str, RunLock] = {}
            self.tokens: dict[str, int] = {}

        def teardown(self) -> None:
            if hasattr(self, "store"):
                for lock in self.locks.values():
                    lock.release()
                self.store.close()
                self.other.close()

        # --- the model ---

        def writable(self, run: _Run) -> bool:
            """Whether the run goes on and whoever began it may write."""
            if run.state != "running" or run.holder is None:
                return run.state == "running"
            lock = self.locks.get(run.pipeline)
            return lock is not None and lock.token == run.holder

        def state(self, run: _Run) -> str:
            return "interrupted" if run.state == "running" and not self.writable(run) else run.state

        def newest_first(self, pipeline: str | None = None) -> list[str]:
            found = [run_id for run_id, run in self.runs.items() if pipeline in (None, run.pipeline)]
            return sorted(found, reverse=True)

        def check(self, seen: RunRecord, run_id: str, *, whole: bool) -> None:
            run = self.runs[run_id]
            assert (seen.run_id, seen.pipeline, seen.state) == (run_id, run.pipeline, self.state(run))
            assert seen.detail == run.detail
            assert list(seen.outcomes) == (run.outcomes if whole else [])
            assert (seen.finished is None) == (run.state == "running")

        def some_run(self, data: st.DataObject) -> str:
            return data.draw(st.sampled_from(sorted(self.runs)), label="run")

        # --- calls ---

        @rule(pipeline=_PIPELINES, by_other=st.booleans())
        def lock(self, pipeline: str, by_other: bool) -> None:
            handle = self.other if by_other else self.store
            if pipeline in self.locks:
                with pytest.raises(Conflict):
                    handle.lock(pipeline)
                assert self.locks[pipeline].held()
                return
            if by_other:
                # Some other process had it, and is gone.
                lock = handle.lock(pipeline)
                lock.release()
            else:
                lock = self.locks[pipeline] = handle.lock(pipeline)
                assert lock.held()
            assert lock.token > self.tokens.get(pipeline, lock.token - 1)
            self.tokens[pipeline] = lock.token

        @precondition(lambda self: self.locks)
        @rule(data=st.data())
        def release(self, data: st.DataObject) -> None:
            pipeline = data.draw(st.sampled_from(sorted(self.locks)), label="pipeline")
            lock = self.locks.pop(pipeline)
            lock.release()
            assert not lock.held()
            with pytest.raises(Conflict):
                self.store.begin("late", pipeline, {}, lock=lock)

        @rule(number=_NUMBERED, pipeline=_PIPELINES, detail=_DETAILS, locked=st.booleans(), sync=st.booleans())
        def begin(self, number: int, pipeline: str, detail: dict[str, Any], locked: bool, sync: bool) -> None:
            run_id = f"{number:03}"
            lock = self.locks.get(pipeline) if locked else None
            if run_id in self.runs:
                with pytest.raises(Conflict):
                    self.store.begin(run_id, pipeline, detail, lock=lock, sync=sync)
                return
            self.store.begin(run_id, pipeline, detail, lock=lock, sync=sync)
            self.runs[run_id] = _Run(pipeline, detail, None if lock is None else lock.token)

        @precondition(lambda self: self.runs)
        @rule(data=st.data(), records=st.lists(_RECORDS, max_size=4))
        def append(self, data: st.DataObject, records: list[dict[str, Any]]) -> None:
            run_id = self.some_run(data)
            run = self.runs[run_id]
            if not self.writable(run):
                with pytest.raises(Conflict):
                    self.store.append(run_id, records)
                return
            self.store.append(run_id, records)
            self.journalled(run_id, records)

        def journalled(self, run_id: str, records: list[dict[str, Any]]) -> None:
            run = self.runs[run_id]
            run.outcomes += records
            for record in records:
                if "node" in record and "fingerprint" in record:
                    newest = self.results.setdefault(run.pipeline, {})
                    newest[record["node"]] = {**record, "run_id": run_id}

        @precondition(lambda self: self.runs)
        @rule(data=st.data(), state=_ENDS, offsets=_OFFSETS, records=st.lists(_RECORDS, max_size=2))
        def finish(
            self, data: st.DataObject, state: str, offsets: dict[str, Any] | None, records: list[dict[str, Any]]
        ) -> None:
            run_id = self.some_run(data)
            run = self.runs[run_id]
            if not self.writable(run):
                with pytest.raises(Conflict):
                    self.store.finish(run_id, state, offsets, records=records)
                return
            self.store.finish(run_id, state, offsets, records=records)
            self.journalled(run_id, records)
            run.state = state
            self.moved(offsets or {})

        def moved(self, offsets: dict[str, Any]) -> None:
            """Those that are nothing are forgotten."""
            self.offsets.update(offsets)
            self.offsets = {stream: value for stream, value in self.offsets.items() if value is not None}
            self.forgotten |= {stream for stream, value in offsets.items() if value is None}

        @rule(offsets=_MOVED, by_other=st.booleans())
        def move(self, offsets: dict[str, Any], by_other: bool) -> None:
            (self.other if by_other else self.store).move(offsets)
            self.moved(offsets)

        @rule(data=st.data(), streams=st.lists(_STREAMS, max_size=3))
        def forget_streams(self, data: st.DataObject, streams: list[str]) -> None:
            known = data.draw(st.lists(st.sampled_from(sorted(self.offsets)), max_size=2)) if self.offsets else []
            offsets = dict.fromkeys([*streams, *known])
            self.store.move(offsets)
            self.moved(offsets)

        @rule(offsets=_MOVED, pipeline=_PIPELINES)
        def move_under_a_lock(self, offsets: dict[str, Any], pipeline: str) -> None:
            lock = self.locks.get(pipeline)
            if lock is not None:
                self.store.move(offsets, lock=lock)
                self.moved(offsets)
                return
            lost = self.store.lock(pipeline)
            self.tokens[pipeline] = lost.token
            lost.release()
            with pytest.raises(Conflict):
                self.store.move(offsets, lock=lost)

        @rule(prefix=_PREFIXES)
        def look_by_prefix(self, prefix: str) -> None:
            expected = [(name, self.offsets[name]) for name in sorted(self.offsets) if name.startswith(prefix)]
            assert list(self.other.offsets(prefix).items()) == expected

        @rule(keep=st.integers(0, 3), pipeline=st.none() | _PIPELINES)
        def prune(self, keep: int, pipeline: str | None) -> None:
            doomed = []
            for name in {run.pipeline for run in self.runs.values()} & (
                {pipeline} if pipeline else set(self.pipelines())
            ):
                ids = self.newest_first(name)
                kept = {run_id for run_id in ids if self.state(self.runs[run_id]) == "running"}
                if self.state(self.runs[ids[0]]) == "interrupted":
                    kept.add(ids[0])
                doomed += [run_id for run_id in ids if run_id not in kept][keep:]
            assert self.store.prune(keep, pipeline) == len(doomed)
            for run_id in doomed:
                del self.runs[run_id]

        def pipelines(self) -> list[str]:
            return [run.pipeline for run in self.runs.values()]

        @precondition(lambda self: self.runs)
        @rule(data=st.data())
        def remove(self, data: st.DataObject) -> None:
            run_id = self.some_run(data)
            if self.state(self.runs[run_id]) == "running":
                with pytest.raises(Conflict):
                    self.other.remove(run_id)
                return
            self.other.remove(run_id)
            del self.runs[run_id]
            with pytest.raises(NotFound):
                self.store.append(run_id, [])

        @rule(pipeline=_PIPELINES, nodes=st.none() | st.lists(_NODES, max_size=2))
        def forget(self, pipeline: str, nodes: list[str] | None) -> None:
            self.other.forget(pipeline, nodes)
            newest = self.results.get(pipeline, {})
            for node in list(newest) if nodes is None else nodes:
                newest.pop(node, None)

        @precondition(lambda self: not self.locks)
        @precondition(lambda self: all(run.state != "running" for run in self.runs.values()))
        @rule()
        def reopen(self) -> None:
            self.store.close()
            self.store = make(self.place)

        @rule(pipeline=_PIPELINES, states=st.lists(_STATES, max_size=3))
        def latest(self, pipeline: str, states: list[str]) -> None:
            ids = self.newest_first(pipeline)
            fitting = [run_id for run_id in ids if not states or self.state(self.runs[run_id]) in states]
            for handle in (self.store, self.other):
                found = handle.latest(pipeline, states=states)
                if found is None:
                    assert not fitting
                else:
                    assert found.run_id == fitting[0]
                    self.check(found, fitting[0], whole=True)

        @rule(pipeline=st.none() | _PIPELINES, limit=st.none() | st.integers(0, 4))
        def list_runs(self, pipeline: str | None, limit: int | None) -> None:
            expected = self.newest_first(pipeline)[:limit]
            found = list(self.other.runs(pipeline, limit=limit))
            assert [run.run_id for run in found] == expected
            for run in found:
                self.check(run, run.run_id, whole=False)

        # --- what always holds ---

        @invariant()
        def everything_is_as_it_should_be(self) -> None:
            if not hasattr(self, "store"):
                return
            for handle in (self.store, self.other):
                for run_id in self.runs:
                    self.check(handle.load(run_id), run_id, whole=True)
                for pipeline in ("etl", "etl_daily", "e%"):
                    assert handle.results(pipeline) == self.results.get(pipeline, {})
                assert list(handle.offsets().items()) == [(name, self.offsets[name]) for name in sorted(self.offsets)]
                for stream in self.offsets.keys() | self.forgotten:
                    assert handle.offset(stream) == self.offsets.get(stream)
            for lock in self.locks.values():
                assert lock.held()

    return Histories
