"""A checkpoint store in any storage, shared by whoever reaches it."""

from __future__ import annotations

import heapq
import logging
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from typing import Any, cast
from uuid import uuid4

import attrs

from odibi import option
from odibi.contracts.checkpoint import RunLock, RunRecord
from odibi.contracts.storage import Storage
from odibi.errors import Conflict, NotFound, StorageError
from odibi_objects import documents
from odibi_objects.clock import Clock, Stamps
from odibi_objects.crew import Crew
from odibi_objects.index import Done, RunIndex
from odibi_objects.journal import Journal, ended
from odibi_objects.leases import Claim, Leases
from odibi_objects.lock import StorageLock
from odibi_objects.machine import from_json, is_gone, this_process
from odibi_objects.names import backwards, key_of
from odibi_objects.offsets import Offsets, Right
from odibi_objects.options import duration, folder, positive
from odibi_objects.results import Results
from odibi_objects.runlogs import Extent, Log, RunLogs
from odibi_objects.values import plain, text

_log = logging.getLogger("odibi.checkpoint")

ENDS = ("succeeded", "failed", "cancelled")
"""The states in which a run can end."""

_ABANDONED = 7 * 86400.0
"""Seconds without a word after which a run without a lock, on a machine that cannot be asked, is taken for dead."""

_SHORTEST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0
"""Seconds between two looks at a lock that is waited for."""


@attrs.define(eq=False)
class StorageCheckpoints:
    """The journals of runs as objects of a connection; see :class:`odibi.contracts.CheckpointStore` for its promises.

    All that it needs of the connection are atomic writes, compare-and-set, and listings that show what was written; so
    runs on several machines share one store, and none of them has to be a server.

    A lock lasts for ``lease`` and is renewed for as long as its process lives. That of a process which died ends at
    once on its own machine; elsewhere, after ``lease`` for whoever watches it, or a little more than ``clock_skew``
    for whoever comes later. A run that was begun under a lock goes on for as long as that is held, and only the store
    that began it can write to it; one that was begun without goes on while its process lives.
    """

    connection: Storage = option(help="The connection that holds the journals.", connection=True)  # noqa: RUF009
    prefix: str = option("_odibi/checkpoints", help="The folder of the connection for the journals.", converter=folder)
    lease: float | str = option(
        30.0,
        help="How long a lock outlives a process on another machine that died: seconds, or with a unit.",
        converter=duration,
    )
    clock_skew: float | str = option(
        60.0, help="How far the clocks of two machines may be apart: seconds, or with a unit.", converter=duration
    )
    parallel: int = option(16, help="How many requests run at once where many are needed.", converter=positive)

    clock: Clock = attrs.field(factory=Clock, init=False, repr=False)
    _crew: Crew = attrs.field(init=False, repr=False)
    _stamps: Stamps = attrs.field(init=False, repr=False)
    _leases: Leases = attrs.field(init=False, repr=False)
    _logs: RunLogs = attrs.field(init=False, repr=False)
    _index: RunIndex = attrs.field(init=False, repr=False)
    _offsets: Offsets = attrs.field(init=False, repr=False)
    _journals: dict[str, Journal] = attrs.field(factory=dict, init=False, repr=False)
    _undecided: dict[str, dict[str, Any]] = attrs.field(factory=dict, init=False, repr=False)
    _locks: list[StorageLock] = attrs.field(factory=list, init=False, repr=False)
    _guard: threading.Lock = attrs.field(factory=threading.Lock, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._crew = Crew(self.parallel)
        self._stamps = Stamps(self.clock)
        self._leases = Leases(self.connection, self.clock, cast(float, self.clock_skew))
        self._logs = RunLogs(self.connection, self.prefix, self._crew)
        self._index = RunIndex(self.connection, self.prefix)
        self._offsets = Offsets(self.connection, self.prefix, self._logs, self._stamps, self._crew)

    # --- locks ------------------------------------------------------------------------------------------------------

    def lock(self, pipeline: str, *, wait: float = 0.0) -> StorageLock:
        """The pipeline's lock. Five requests, if it is free."""
        key = key_of(text(pipeline, "the pipeline's name"))
        path = self._lock_path(key)
        lease = cast(float, self.lease)
        until = self.clock.monotonic() + wait
        pause = _SHORTEST_PAUSE
        while True:
            taken, claim = self._leases.take(path, pipeline, lease)
            if taken:
                break
            left = until - self.clock.monotonic()
            if left <= 0:
                raise _taken(claim)
            self.clock.sleep(min(pause, left))
            pause = min(pause * 2, _LONGEST_PAUSE)
        self._stamps.see(claim.stamp)
        lock = StorageLock(pipeline, path, claim, leases=self._leases, clock=self.clock, stamps=self._stamps)
        try:
            for run_id in self._index.opened(key):
                self._over(key, run_id, under=lock.token)
            self._offsets.tidy(key, lock.token)
            if claim.seized:
                self._results(key)  # what we write is to be newer than what the last holder wrote, whose word we lack
        except BaseException:
            lock.release()
            raise
        with self._guard:
            self._locks = [lock, *(each for each in self._locks if each.held())]
        return lock

    def _lock_path(self, key: str) -> str:
        return self._index.path(key, "lock")

    # --- writing ----------------------------------------------------------------------------------------------------

    def begin(
        self,
        run_id: str,
        pipeline: str,
        detail: Mapping[str, Any],
        *,
        lock: RunLock | None = None,
        sync: bool = True,  # noqa: ARG002 - an object that is written is durable; there is nothing to put off
    ) -> None:
        """Open a run's journal. Two requests, three under a lock.

        Raises:
            Conflict: there is such a run; or the lock was lost, or is another pipeline's.
            TypeError, ValueError: ``detail`` is not JSON.
        """
        text(run_id, "the run's id")
        key = key_of(text(pipeline, "the pipeline's name"))
        told = plain(detail, "detail")
        if lock is not None:
            _check_held(lock, run_id, pipeline)
        content = self._beginning(run_id, pipeline, told, lock)
        # A call that failed without anybody knowing whether it was done is done again with the very same content.
        before = self._undecided.get(run_id)
        if before is not None and all(before[each] == content[each] for each in ("pipeline", "detail", "token")):
            content = before
        self._undecided[run_id] = content
        try:
            self._begin(key, run_id, content)
        except Conflict:
            del self._undecided[run_id]
            raise
        if lock is not None:
            claim = self._leases.current(self._lock_path(key), cast(float, self.lease))
            if claim is None or claim.token != lock.token:
                # Whoever took over looked for open runs when it had the lock, and may not have seen this one yet.
                del self._undecided[run_id]
                with suppress(StorageError):
                    if self._over(key, run_id):
                        self._index.bury(key, run_id)
                        self._remove(key, [Done(run_id, "interrupted", True, ())])
                raise _lost(run_id)
        del self._undecided[run_id]
        self._journals[run_id] = Journal(
            self._logs,
            content,
            1,
            may_write=lambda: None if lock is None else self._check_right(lock, run_id),
            stamps=self._stamps,
            whole=True,
        )

    def _beginning(self, run_id: str, pipeline: str, detail: Any, lock: RunLock | None) -> dict[str, Any]:
        return {
            "run": run_id,
            "pipeline": pipeline,
            "started": self.clock.time(),
            "detail": detail,
            "token": None if lock is None else lock.token,
            "holder": attrs.asdict(this_process()),
            "nonce": uuid4().hex,
            "stamp": self._stamps.take(),
        }

    def _begin(self, key: str, run_id: str, content: Mapping[str, Any]) -> None:
        there = Conflict("there is such a run already", where=_where(run_id), remedy="Give the run another id.")
        mark = {each: content[each] for each in ("pipeline", "started", "token", "holder", "nonce")}
        if not self._index.open(key, run_id, mark):
            raise there
        if not self._logs.take(run_id, 0, documents.encode("begin", content)):
            self._index.close(key, run_id)
            first = self._logs.object(run_id, 0)
            raise there if first is None or first["kind"] != "end" else _lost(run_id)

    def append(self, run_id: str, records: Sequence[Mapping[str, Any]]) -> None:
        """Add records to the journal, durably and all or none. One request, shared by all who come while it waits.

        A record whose ``node`` or ``fingerprint`` is null is no result. Should the storage fail without anybody
        knowing whether the records were stored, the same call again stores them once.

        Raises:
            NotFound: there is no such run.
            Conflict: it has ended, or its lock was lost.
            TypeError, ValueError: a record is not JSON.
        """
        told = _told(records)
        journal = self._journal(run_id)
        if told:
            journal.append(told)
            return
        journal.check()
        if self._logs.extent(run_id) is None:
            raise _no_such_run(run_id)
        if (end := self._logs.end(run_id)) is not None:
            raise ended(run_id, end)

    def finish(
        self,
        run_id: str,
        state: str,
        offsets: Mapping[str, Any] | None = None,
        *,
        records: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """End a run, and move the offsets of the streams it consumed, in one transaction: the object that ends it.

        Raises:
            NotFound: there is no such run.
            Conflict: it has ended, or its lock was lost.
            TypeError, ValueError: a record or an offset is not JSON, or no run can end in ``state``.
        """
        if state not in ENDS:
            raise ValueError(f"{state!r} is no state in which a run ends; those are {', '.join(ENDS)}")
        moved = plain(offsets or {}, "offsets")
        for stream in moved:
            text(stream, "a stream's name")
        told = _told(records)
        journal = self._journal(run_id)
        if moved:
            journal.check()
            self._offsets.current(moved)  # so that what ends now ends after them
            self._offsets.promise(run_id, moved)
        key = key_of(str(journal.begin["pipeline"]))
        try:
            end = journal.finish(state, self.clock.time(), moved, told)
        except Conflict:
            if moved:  # and promised, which may have come too late for whoever ended the run
                with suppress(StorageError):
                    self._over(key, run_id)
            raise
        self._journals.pop(run_id, None)
        try:
            if journal.alone:
                self._settle(key, journal.begin, journal.results, end)
            else:
                self._over(key, run_id)
        except StorageError as error:
            # It has ended all the same; whoever takes the lock next puts the rest into its place.
            _log.warning("the end of run %s is stored, but not yet filed: %s", run_id, error)

    def move(self, offsets: Mapping[str, Any], *, lock: RunLock | None = None) -> None:
        """Move the offsets of streams outside of a run, by one object.

        Raises:
            Conflict: the lock was lost.
            TypeError, ValueError: an offset is not JSON, or the lock is none of such a store.
        """
        moved = plain(offsets, "offsets")
        for stream in moved:
            text(stream, "a stream's name")
        right = None if lock is None else self._right(lock)
        settle = self._offsets.move(moved, right)
        if settle is None:
            assert isinstance(lock, StorageLock)
            raise _not_held(lock.pipeline)
        try:
            settle()
        except StorageError as error:
            # It has happened all the same; whoever takes a lock next puts the rest into its place.
            _log.warning("a move of offsets is stored, but not yet filed: %s", error)

    def _right(self, lock: RunLock) -> Right:
        """What a lock gives the right to.

        Raises:
            Conflict: it was lost.
            ValueError: it is none of such a store.
        """
        if not isinstance(lock, StorageLock):
            raise ValueError(f"an object of type {type(lock).__name__} is no lock of this store")
        if not lock.held():
            raise _not_held(lock.pipeline)
        key, token = key_of(lock.pipeline), lock.token

        def stands() -> bool:
            claim = self._leases.current(self._lock_path(key), cast(float, self.lease))
            return claim is not None and claim.token == token and not claim.free and lock.held()

        return Right(key, token, stands)

    def _check_right(self, lock: RunLock, run_id: str) -> None:
        if not lock.held():
            if self._logs.extent(run_id) is None:
                self._journals.pop(run_id, None)
                raise _no_such_run(run_id)
            raise _lost(run_id)

    def _journal(self, run_id: str) -> Journal:
        """The journal of a run that is written here, or that nobody holds a lock for."""
        journal = self._journals.get(text(run_id, "the run's id"))
        if journal is not None:
            return journal
        extent = self._logs.extent(run_id)
        log = None if extent is None else self._logs.ends(extent)
        if log is None:
            raise _no_such_run(run_id)
        if log.end is not None:
            raise ended(run_id, log.end)
        if log.begin["token"] is not None:
            raise _lost(run_id)
        self._stamps.see(log.newest_stamp)
        with self._guard:
            return self._journals.setdefault(
                run_id,
                Journal(
                    self._logs,
                    log.begin,
                    log.extent.last + 1,
                    may_write=lambda: None,
                    stamps=self._stamps,
                    whole=False,
                ),
            )

    # --- ends -------------------------------------------------------------------------------------------------------

    def _over(self, key: str, run_id: str, *, under: int | None = None) -> bool:
        """Whether an open run is over. If so, it is ended, and all that it leaves behind is put into its place.

        Args:
            key: the pipeline's.
            run_id: the run.
            under: the token of the pipeline's lock, if it is held here.
        """
        extent = self._logs.extent(run_id)
        try:
            log = None if extent is None else self._logs.ends(extent)
        except documents.Damaged as error:
            _log.warning("run %s can be neither continued nor ended: %s", run_id, error)
            return False
        begun = self._index.marker(key, run_id) if extent is None else None if log is None else log.begin
        if extent is None and begun is None:
            self._index.close(key, run_id)
            return True
        if begun is not None and (log is None or log.end is None):
            if self._goes_on(key, begun, 0.0 if extent is None else extent.touched, under=under):
                return False
            self._seal(run_id, 0 if extent is None else extent.last + 1, under)
        whole = self._logs.load(run_id)
        if whole is None:
            # It was ended before it began. Its mark makes way for one that has the rest removed.
            self._index.bury(key, run_id)
            self._index.close(key, run_id)
        elif whole.end is not None:
            self._stamps.see(whole.newest_stamp)
            self._settle(key, whole.begin, _results(whole), whole.end)
        return True

    def _seal(self, run_id: str, number: int, token: int | None) -> None:
        """End the run of a holder that is gone. Should it not be, it finds out when it writes the next time."""
        while True:
            there = self._logs.object(run_id, number)
            if there is not None and there["kind"] == "end":
                return
            said: dict[str, Any] = {"run": run_id, "nonce": uuid4().hex, "token": token, "stamp": self._stamps.take()}
            end = {**said, "state": "interrupted", "finished": None, "offsets": {}, "calls": []}
            end["sealed"] = str(this_process())
            if there is None and self._logs.take(run_id, number, documents.encode("end", end)):
                return
            number += 1 if there is not None else 0

    def _settle(self, key: str, begin: Mapping[str, Any], results: Results, end: Mapping[str, Any]) -> None:
        """Put what a run that has ended leaves behind into its place; doing it again changes nothing."""
        run_id = str(begin["run"])
        self._offsets.settle(run_id, end)
        if results.nodes:
            self._change_results(key, results)
        self._index.add(key, run_id, end["state"], {**_brief(begin), "finished": end["finished"]})
        if end["offsets"] or end.get("sealed"):
            self._offsets.withdraw(run_id)
        self._index.close(key, run_id)  # last: as long as the run is open, whoever comes does the rest

    def _goes_on(self, key: str, begun: Mapping[str, Any], touched: float, *, under: int | None = None) -> bool:
        """Whether a run that was begun, and not ended, still has a holder.

        Args:
            key: the pipeline's.
            begun: what was said at its beginning.
            touched: when it was last written to.
            under: the token of the pipeline's lock, if it is held here.
        """
        token = begun["token"]
        if token is None:
            holder = from_json(begun["holder"])
            if holder.machine == this_process().machine:
                return not is_gone(holder)
            return bool(max(touched, begun["started"]) > self.clock.time() - _ABANDONED)
        if under is not None:
            return bool(token >= under)  # a newer one is that of whoever took over from us meanwhile
        path = self._lock_path(key)
        claim = self._leases.current(path, cast(float, self.lease))
        return claim is not None and claim.token == token and not self._leases.is_over(path, claim)

    # --- reading ----------------------------------------------------------------------------------------------------

    def load(self, run_id: str) -> RunRecord:
        """A run with its outcomes. One request, and one for each write of its journal, some at once."""
        log = self._logs.load(text(run_id, "the run's id"))
        if log is None:
            raise _no_such_run(run_id)
        return self._record(log)

    def latest(self, pipeline: str, *, states: Sequence[str] = ()) -> RunRecord | None:
        """The newest run of the pipeline, with its outcomes; of those in ``states`` if any are given."""
        if isinstance(states, str):
            raise TypeError(f"states must be a list, such as [{states!r}]")
        for run in self._of_pipeline(key_of(pipeline)):
            if states and run.state and run.state not in states:
                continue
            log = self._logs.load(run.run_id)
            if log is not None:
                record = self._record(log)
                if not states or record.state in states:
                    return record
        return None

    def runs(self, pipeline: str | None = None, *, limit: int | None = None) -> Iterator[RunRecord]:
        """Runs without their outcomes, newest first, lazily. One or two requests a run, some at once."""
        if limit is not None and limit < 0:
            raise ValueError(f"limit is {limit}; it must be 0 or more")
        return self._runs(pipeline, limit)

    def _runs(self, pipeline: str | None, left: int | None) -> Iterator[RunRecord]:
        found: Iterator[Extent | Done] = (
            self._logs.extents() if pipeline is None else self._of_pipeline(key_of(pipeline))
        )
        while left is None or left > 0:
            page = list(islice(found, self.parallel if left is None else min(self.parallel, left)))
            if not page:
                return
            for record in self._crew.map(self._short, page):
                if record is not None:
                    yield record
                    left = None if left is None else left - 1

    def _short(self, run: Extent | Done) -> RunRecord | None:
        """The record of a run without its outcomes; ``None`` if it is gone, or damaged."""
        if isinstance(run, Done) and run.state:
            content = self._index.record(run)
            return None if content is None else _run_record(content, content["state"], content["finished"])
        extent = run if isinstance(run, Extent) else self._logs.extent(run.run_id)
        try:
            log = None if extent is None else self._logs.ends(extent)
        except documents.Damaged as error:
            _log.warning("run %s is left out: %s", run.run_id, error)
            return None
        return None if log is None else attrs.evolve(self._record(log), outcomes=())

    def _of_pipeline(self, key: str) -> Iterator[Done]:
        """The runs of a pipeline, newest first, lazily; those that are open have no state here."""
        # In this order: what is done by the time it is looked for among the open runs will be found among the others.
        opened = [Done(run_id, "", False, ()) for run_id in self._index.opened(key)]
        last: Done | None = None
        for run in heapq.merge(opened, self._index.done(key), key=_newest_first):
            if last is not None and last.run_id != run.run_id and not last.removed:
                yield last
            last = run
        if last is not None and not last.removed:
            yield last

    def _record(self, log: Log) -> RunRecord:
        if log.end is not None:
            state, finished = log.end["state"], log.end["finished"]
        else:
            goes_on = self._goes_on(key_of(log.pipeline), log.begin, log.extent.touched)
            state, finished = "running" if goes_on else "interrupted", None
        outcomes = [record for batch in log.batches for records in batch["calls"] for record in records]
        return _run_record(log.begin, state, finished, outcomes)

    def results(self, pipeline: str) -> Mapping[str, Mapping[str, Any]]:
        """Node to its newest record that has a ``fingerprint``. Two requests, if no run is open."""
        return self._results(key_of(pipeline)).records()

    def _results(self, key: str) -> Results:
        # In this order: what is filed by the time it is looked for among the open runs will be found in the file.
        found = Results()
        for run_id in self._index.opened(key):
            with suppress(documents.Damaged):
                log = self._logs.load(run_id)
                if log is not None:
                    self._stamps.see(log.newest_stamp)
                    found.merge(_results(log))
        path = self._index.path(key, "results")
        try:
            filed = documents.read(self.connection, path, "results")
        except documents.Damaged as error:
            _log.warning("the results of earlier runs are not used: %s", error)
            filed = None
        found.merge(Results.from_json(filed))
        self._stamps.see(found.newest)
        return found

    def _change_results(self, key: str, more: Results) -> None:
        def merged(filed: dict[str, Any] | None) -> dict[str, Any] | None:
            before = Results.from_json(filed)
            after = Results.from_json(filed)
            after.merge(more)
            return None if filed is not None and after == before else after.to_json()

        documents.change(self.connection, self._index.path(key, "results"), "results", merged)

    def offset(self, stream: str) -> Any | None:
        """How far a stream was consumed by finished runs; ``None`` if it never was. Two requests."""
        found = self._offsets.current([text(stream, "the stream's name")])
        return found[stream].value if stream in found else None

    def offsets(self, prefix: str = "") -> Mapping[str, Any]:
        """The offsets of all streams whose name begins with ``prefix``, in the order of their names, as of one instant.

        Four requests, and two for each of the streams, some at once. What is looked for is a folder, that of the prefix
        up to its last slash; names elsewhere cost nothing, those in it that begin otherwise a part of a listing.
        """
        found = self._offsets.beginning_with(text(prefix, "the prefix"))
        return {stream: offset.value for stream, offset in found.items()}

    # --- clearing away ----------------------------------------------------------------------------------------------

    def forget(self, pipeline: str, nodes: Sequence[str] | None = None) -> None:
        """Drop :meth:`results` of these nodes, or of all."""
        if isinstance(nodes, str):
            raise TypeError(f"nodes must be a list, such as [{nodes!r}]")
        key = key_of(pipeline)
        there = self._results(key)
        there.forget(self._stamps.take(), nodes)
        self._change_results(key, there)

    def prune(self, keep_last: int, pipeline: str | None = None) -> int:
        """Remove all but the newest ``keep_last`` finished runs of each pipeline; returns how many.

        A run that was interrupted counts as finished, save that the newest run of a pipeline, if it was interrupted,
        is kept beside those. The oldest go first.
        """
        if keep_last < 0:
            raise ValueError(f"keep_last is {keep_last}; it must be 0 or more")
        keys = self._index.keys() if pipeline is None else [key_of(pipeline)]
        return sum(self._prune(key, keep_last) for key in keys)

    def _prune(self, key: str, keep_last: int) -> int:
        going_on = [run_id for run_id in self._index.opened(key) if not self._over(key, run_id)]
        there: list[Done] = []
        for run in self._index.done(key):
            if run.removed:  # and whoever did was killed meanwhile
                self._remove(key, [run])
            else:
                there.append(run)
        if there and there[0].state == "interrupted" and not any(run_id > there[0].run_id for run_id in going_on):
            del there[0]
        old = [run for run in there if run.run_id not in going_on][keep_last:]
        for run in reversed(old):
            self._index.bury(key, run.run_id)
        self._remove(key, old)
        return len(old)

    def remove(self, run_id: str) -> None:
        """Remove a run with its journal."""
        extent = self._logs.extent(text(run_id, "the run's id"))
        log = None if extent is None else self._logs.ends(extent)
        if log is None:
            raise _no_such_run(run_id)
        key = key_of(log.pipeline)
        if (log.end is None or self._index.marker(key, run_id) is not None) and not self._over(key, run_id):
            raise Conflict("the run goes on", where=_where(run_id), remedy="Wait until it has ended, or cancel it.")
        end: Mapping[str, Any] | None = log.end or self._logs.end(run_id)
        self._index.bury(key, run_id)
        self._remove(key, [Done(run_id, "interrupted" if end is None else end["state"], True, ())])

    def _remove(self, key: str, runs: Sequence[Done]) -> None:
        """Remove what there is of runs that are buried: many at once, or the parts of one at once."""

        def remove(run: Done) -> None:
            self._logs.remove(run.run_id, self._crew if len(runs) == 1 else None)
            self._index.forget(key, run.run_id, run.state)
            self._journals.pop(run.run_id, None)

        self._crew.do(remove, runs)

    def close(self) -> None:
        """Give back the locks that were taken here, and let the threads go; may be called twice."""
        with self._guard:
            locks, self._locks = self._locks, []
            self._journals.clear()
        for lock in locks:
            lock.release()
        self._crew.close()


def _told(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    told = []
    for at, record in enumerate(records):
        if not isinstance(record, Mapping):
            raise TypeError(f"records[{at}] must be a mapping, not {type(record).__name__}")
        told.append(plain(record, f"records[{at}]"))
    return told


def _results(log: Log) -> Results:
    found = Results()
    for batch in log.batches:
        for records in batch["calls"]:
            found.add(log.run_id, batch["stamp"], records)
    return found


def _newest_first(run: Done) -> str:
    return backwards(run.run_id)


def _brief(begin: Mapping[str, Any]) -> dict[str, Any]:
    return {each: begin[each] for each in ("pipeline", "started", "detail")}


def _run_record(
    begin: Mapping[str, Any], state: str, finished: float | None, outcomes: Iterable[Mapping[str, Any]] = ()
) -> RunRecord:
    return RunRecord(
        begin["run"], begin["pipeline"], state, begin["started"], finished, begin["detail"], list(outcomes)
    )


def _check_held(lock: RunLock, run_id: str, pipeline: str) -> None:
    if not lock.held() or (isinstance(lock, StorageLock) and lock.pipeline != pipeline):
        raise _lost(run_id)


def _taken(claim: Claim) -> Conflict:
    since = f"{datetime.fromtimestamp(claim.since, UTC):%Y-%m-%d %H:%M:%S} UTC"
    return Conflict(
        f"it is being run by {claim.holder} since {since}",
        where=f"pipeline {claim.name}",
        remedy="Wait until that run has ended, or end that process.",
    )


def _where(run_id: str) -> str:
    return f"run {run_id}"


def _no_such_run(run_id: str) -> NotFound:
    return NotFound(
        "there is no such run", where=_where(run_id), remedy="It may have been removed; look at the list of runs."
    )


def _lost(run_id: str) -> Conflict:
    return Conflict(
        "the lock under which it writes was lost, or is not held here",
        where=_where(run_id),
        remedy="Another run of the pipeline may have begun. Run it again; what was journalled is kept.",
    )


def _not_held(pipeline: str) -> Conflict:
    return Conflict(
        "the lock under which its offsets are to be moved was lost, or is not held here",
        where=f"pipeline {pipeline}",
        remedy="Take it again, and look at the offsets before you move them.",
    )
