"""A checkpoint store in memory, for those who test pipelines without a disk, and for the tests of the suite.

Stores of one process that have the same name share what they hold, as those of several processes share a database::

    MemoryCheckpoints(name="my test").begin("run 1", "etl", {})
    MemoryCheckpoints(name="my test").load("run 1")
    erase("my test")
"""

from __future__ import annotations

import json
import math
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, ClassVar

import attrs

from odibi import option
from odibi.contracts.checkpoint import RunLock, RunRecord
from odibi.errors import Conflict, NotFound

ENDS = ("succeeded", "failed", "cancelled")
"""The states in which a run can end."""


@attrs.define
class Run:
    """A run and its journal, whose values are JSON text, so that nobody can change them from afar."""

    run_id: str
    pipeline: str
    detail: str
    started: float
    lock: MemoryLock | None
    state: str = "running"
    finished: float | None = None
    journal: list[str] = attrs.field(factory=list)


class Ledger:
    """What the stores of one name share; whoever looks at it holds ``change``, which tells when a lock is free.

    Attributes:
        results: pipeline to node to the id of a run and a record.
        holders: pipeline to the lock that is held.
        tokens: pipeline to the newest token of its lock.
    """

    def __init__(self) -> None:
        self.change = threading.Condition(threading.RLock())
        self.runs: dict[str, Run] = {}
        self.results: dict[str, dict[str, tuple[str, str]]] = {}
        self.offsets: dict[str, str] = {}
        self.holders: dict[str, MemoryLock] = {}
        self.tokens: dict[str, int] = {}


@attrs.define(eq=False)
class MemoryLock:
    """The right to run one pipeline; see :class:`odibi.contracts.RunLock`."""

    pipeline: str
    token: int
    since: float
    ledger: Ledger = attrs.field(repr=False)

    def held(self) -> bool:
        """Whether it is still ours."""
        with self.ledger.change:
            return self.ledger.holders.get(self.pipeline) is self

    def release(self) -> None:
        """Give it back."""
        with self.ledger.change:
            if self.held():
                del self.ledger.holders[self.pipeline]
                self.ledger.change.notify_all()


_ledgers: dict[str, Ledger] = {}
_guard = threading.Lock()


def erase(name: str) -> None:
    """Forget what the stores of this name hold; those that are open keep it among themselves."""
    with _guard:
        _ledgers.pop(name, None)


def _ledger_of(name: str) -> Ledger:
    with _guard:
        return _ledgers.setdefault(name, Ledger()) if name else Ledger()


@attrs.define(eq=False)
class MemoryCheckpoints:
    """Journals in the memory of this process; see :class:`odibi.contracts.CheckpointStore` for what it promises.

    A run that was begun without a lock goes on until it is finished: it cannot outlive its process.

    Attributes:
        clock: returns the time, in seconds since the epoch; a test may set another one.
    """

    capabilities: ClassVar = {"shared": "none: its journals are in the memory of one process"}

    name: str = option("", help="Stores of one process with the same name share their journals; without, none does.")

    clock: Callable[[], float] = attrs.field(default=time.time, init=False, repr=False)
    ledger: Ledger = attrs.field(init=False, repr=False)
    _locks: list[MemoryLock] = attrs.field(factory=list, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self.ledger = _ledger_of(self.name)

    def lock(self, pipeline: str, *, wait: float = 0.0) -> MemoryLock:
        """The pipeline's lock."""
        with self.ledger.change:
            if not self.ledger.change.wait_for(lambda: pipeline not in self.ledger.holders, wait):
                since = datetime.fromtimestamp(self.ledger.holders[pipeline].since, UTC)
                raise Conflict(
                    f"process {os.getpid()} on {socket.gethostname()} has held its lock since {since:%Y-%m-%d %X} UTC",
                    where=f"pipeline {pipeline!r}",
                )
            lock = MemoryLock(pipeline, self.token(pipeline), self.clock(), self.ledger)
            self.ledger.holders[pipeline] = lock
            self._locks.append(lock)
            return lock

    def begin(
        self,
        run_id: str,
        pipeline: str,
        detail: Mapping[str, Any],
        *,
        lock: RunLock | None = None,
        sync: bool = True,  # noqa: ARG002 - memory is never durable
    ) -> None:
        """Open a run's journal."""
        text = to_text(detail)
        if lock is not None and (not isinstance(lock, MemoryLock) or lock.pipeline != pipeline):
            raise ValueError(f"this is no lock of the pipeline {pipeline!r}")
        with self.ledger.change:
            if run_id in self.ledger.runs:
                raise Conflict("it has begun already", where=f"run {run_id!r}")
            run = Run(run_id, pipeline, text, self.clock(), lock)
            self.check_lock(run)
            self.ledger.runs[run_id] = run

    def append(self, run_id: str, records: Sequence[Mapping[str, Any]]) -> None:
        """Add records to the journal, all or none."""
        texts = [to_text(record) for record in records]
        with self.ledger.change:
            run = self.run(run_id)
            self.check_open(run)
            self.check_lock(run)
            self.journal(run, texts)

    def finish(
        self,
        run_id: str,
        state: str,
        offsets: Mapping[str, Any] | None = None,
        *,
        records: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """End a run, and move the offsets of the streams it consumed, all at once or not at all."""
        if state not in ENDS:
            raise ValueError(f"no run can end in the state {state!r}; there are: {', '.join(ENDS)}")
        texts = [to_text(record) for record in records]
        moved = to_texts(offsets or {})
        with self.ledger.change:
            run = self.run(run_id)
            self.check_open(run)
            self.check_lock(run)
            self.journal(run, texts)
            run.state, run.finished = state, self.clock()
            self.shift(moved)

    def load(self, run_id: str) -> RunRecord:
        """A run with its outcomes."""
        with self.ledger.change:
            return self.record(self.run(run_id))

    def latest(self, pipeline: str, *, states: Sequence[str] = ()) -> RunRecord | None:
        """The newest run of the pipeline, with its outcomes; of those in ``states`` if any are given."""
        with self.ledger.change:
            for run in self.newest_first(pipeline):
                if not states or self.state(run) in states:
                    return self.record(run)
        return None

    def runs(self, pipeline: str | None = None, *, limit: int | None = None) -> Iterator[RunRecord]:
        """Runs without their outcomes, newest first."""
        with self.ledger.change:
            found = self.newest_first(pipeline)
        for run in found[:limit]:
            with self.ledger.change:
                shown = self.record(run, whole=False) if self.ledger.runs.get(run.run_id) is run else None
            if shown is not None:
                yield shown

    def results(self, pipeline: str) -> Mapping[str, Mapping[str, Any]]:
        """Node to the record with a ``fingerprint`` that was appended last."""
        with self.ledger.change:
            found = self.ledger.results.get(pipeline, {})
            return {node: {**json.loads(text), "run_id": run_id} for node, (run_id, text) in found.items()}

    def forget(self, pipeline: str, nodes: Sequence[str] | None = None) -> None:
        """Drop :meth:`results` of these nodes, or of all."""
        with self.ledger.change:
            found = self.ledger.results.get(pipeline, {})
            for node in list(found) if nodes is None else nodes:
                found.pop(node, None)

    def prune(self, keep_last: int, pipeline: str | None = None) -> int:
        """Remove all but the newest ``keep_last`` finished runs of each pipeline; returns how many."""
        if keep_last < 0:
            raise ValueError(f"keep_last is {keep_last}; give 0 or more")
        gone = 0
        with self.ledger.change:
            for name in {run.pipeline for run in self.newest_first(pipeline)}:
                for run in self.prunable(self.newest_first(name))[keep_last:]:
                    del self.ledger.runs[run.run_id]
                    gone += 1
        return gone

    def remove(self, run_id: str) -> None:
        """Remove a run with its journal."""
        with self.ledger.change:
            if self.state(self.run(run_id)) == "running":
                raise Conflict("it goes on", where=f"run {run_id!r}")
            del self.ledger.runs[run_id]

    def offset(self, stream: str) -> Any | None:
        """How far a stream was consumed by finished runs; ``None`` if it never was."""
        with self.ledger.change:
            return json.loads(self.ledger.offsets.get(stream, "null"))

    def offsets(self, prefix: str = "") -> Mapping[str, Any]:
        """The offsets of all streams whose name begins with ``prefix``, in the order of their names."""
        with self.ledger.change:
            found = sorted(stream for stream in self.ledger.offsets if stream.startswith(prefix))
            return {stream: json.loads(self.ledger.offsets[stream]) for stream in found}

    def move(self, offsets: Mapping[str, Any], *, lock: RunLock | None = None) -> None:
        """Move the offsets of streams outside of a run, all at once or not at all."""
        moved = to_texts(offsets)
        if lock is not None and not isinstance(lock, MemoryLock):
            raise ValueError("this is no lock of this store")
        with self.ledger.change:
            self.check_right(lock)
            self.shift(moved)

    def close(self) -> None:
        """Give the locks back that were taken here; may be called twice."""
        for lock in self._locks:
            lock.release()

    # --- the parts --------------------------------------------------------------------------------------------------

    def token(self, pipeline: str) -> int:
        """A greater one than all before."""
        self.ledger.tokens[pipeline] = self.ledger.tokens.get(pipeline, 0) + 1
        return self.ledger.tokens[pipeline]

    def run(self, run_id: str) -> Run:
        """The run of this id."""
        with suppress(KeyError):
            return self.ledger.runs[run_id]
        raise NotFound("there is no such run", where=f"run {run_id!r}")

    def check_open(self, run: Run) -> None:
        """Refuse to change what has ended."""
        if run.state != "running":
            raise Conflict(f"it has {run.state}", where=f"run {run.run_id!r}")

    def check_lock(self, run: Run) -> None:
        """Refuse whoever lost the lock under which the run was begun."""
        if run.lock is not None and not run.lock.held():
            raise Conflict("its lock was lost", where=f"run {run.run_id!r}")

    def check_right(self, lock: MemoryLock | None) -> None:
        """Refuse whoever lost the lock under which offsets are to be moved."""
        if lock is not None and not lock.held():
            raise Conflict("its lock was lost", where=f"pipeline {lock.pipeline!r}")

    def shift(self, moved: Mapping[str, str]) -> None:
        """Move offsets, given as text; a null forgets its stream."""
        for stream, text in moved.items():
            if text == "null":
                self.ledger.offsets.pop(stream, None)
            else:
                self.ledger.offsets[stream] = text

    def journal(self, run: Run, texts: Sequence[str]) -> None:
        """Add records."""
        run.journal += texts
        for text in texts:
            record = json.loads(text)
            node = record.get("node")
            if node is not None and record.get("fingerprint") is not None:
                self.ledger.results.setdefault(run.pipeline, {})[node] = run.run_id, text

    def state(self, run: Run) -> str:
        """A run whose lock was lost does not go on."""
        over = run.state == "running" and run.lock is not None and not run.lock.held()
        return "interrupted" if over else run.state

    def record(self, run: Run, *, whole: bool = True) -> RunRecord:
        """What is shown of a run."""
        outcomes = [json.loads(text) for text in run.journal] if whole else []
        detail = json.loads(run.detail)
        return RunRecord(run.run_id, run.pipeline, self.state(run), run.started, run.finished, detail, outcomes)

    def newest_first(self, pipeline: str | None) -> list[Run]:
        """All runs of one pipeline, or of all."""
        found = [run for run in self.ledger.runs.values() if pipeline is None or run.pipeline == pipeline]
        return sorted(found, key=lambda run: run.run_id, reverse=True)

    def prunable(self, newest_first: Sequence[Run]) -> list[Run]:
        """Those of a pipeline's runs that count as finished: not the newest one, if it can be resumed."""
        states = [self.state(run) for run in newest_first]
        return [
            run
            for at, (run, state) in enumerate(zip(newest_first, states, strict=True))
            if state != "running" and not (at == 0 and state == "interrupted")
        ]


def to_text(value: object) -> str:
    """A JSON value as text.

    Raises:
        TypeError: something in it is no JSON value.
        ValueError: a number in it is infinite, or none.
    """
    return json.dumps(_plain(value))


def to_texts(offsets: Mapping[str, Any]) -> dict[str, str]:
    """Streams to their offsets as text.

    Raises:
        TypeError, ValueError: as :func:`to_text`; or a stream's name is no text.
    """
    for stream in offsets:
        if not isinstance(stream, str):
            raise TypeError(f"the stream {stream!r} is no text")
    return {stream: to_text(value) for stream, value in offsets.items()}


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"the key {key!r} is no text")
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"JSON cannot say {value!r}")
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(f"{type(value).__name__} is no JSON value")
