"""The journal of one run: what became of each node, durable before anything that needs it starts."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from odibi.contracts.executor import State
from odibi.errors import OdibiError
from odibi.fingerprint import recorded
from odibi.plan import Action
from odibi.reuse import UNCHANGED
from odibi.run.queue import WorkQueue
from odibi.sources import MADE_HERE, SourceVersions, is_there, table_version

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from odibi.contracts.checkpoint import CheckpointStore
    from odibi.contracts.executor import Outcome
    from odibi.contracts.storage import Storage
    from odibi.model import Read
    from odibi.plan import Plan
    from odibi.redact import Redactor
    from odibi.run.task import NodeTask

Record = dict[str, Any]


class Soundness:
    """Whether what a node made is what its fingerprint says.

    A source may change between the moment the plan looked at it and the moment it was read. What came of that is a good
    result, but nobody knows of what; so neither it nor anything made from it is recorded under a fingerprint.
    """

    def __init__(
        self,
        plan: Plan,
        storage: Callable[[str], Storage],
        table_version: Callable[[Read, str | None], str | None],
    ) -> None:
        self._plan = plan
        self._storage = storage
        self._table_version = table_version
        self._known: dict[int, bool] = {}

    def of(self, node: int) -> bool:
        """Whether the node's result is sound; asked once it was computed, and its inputs before it."""
        known = self._known.get(node)
        if known is None:
            count = len(self._plan.graph)
            inputs = self._plan.graph.inputs[node]
            known = all(self._known.get(slot, True) for slot in inputs if slot < count) and self._unmoved(node)
            self._known[node] = known
        return known

    def _unmoved(self, node: int) -> bool:
        read, made = self._plan.graph.nodes[node].read, self._plan.prints[node]
        if read is None or read.path is None or made.source is None:
            return True
        if read.incremental is not None:
            return True  # what is read was pinned, and does not change with its source
        try:
            if made.source.looked == MADE_HERE.digest:
                return True  # its makers stand for it
            if made.source.batch is not None:
                return is_there(self._storage(read.connection), made.source.batch)
            version = self._table_version(read, self._plan.graph.nodes[node].engine)
            if version is not None:
                return table_version(version).digest == made.source.looked
            now = SourceVersions(self._storage, {f"{read.connection}:{read.path}": made.source.checked}).of(
                read.connection, read.path, made.without
            )
        except OdibiError:
            return False
        return now.digest == made.source.looked


class Journal:
    """Writes what becomes of a run's nodes into a checkpoint store.

    Args:
        store: where it goes.
        plan: with fingerprints.
        run_id: of the run.
        root: the run that this one, perhaps over several steps, resumes; else itself.
        sound: which results may be recorded under their fingerprints.
        redactor: takes secrets out of error texts.
        appended: told how many seconds each append took, and whether it was done.
    """

    def __init__(
        self,
        store: CheckpointStore,
        plan: Plan,
        run_id: str,
        root: str,
        sound: Soundness,
        redactor: Redactor,
        appended: Callable[[float, bool], object] | None = None,
    ) -> None:
        self.run_id = run_id
        self._appended = appended
        self._store = store
        self._plan = plan
        self._root = root
        self._sound = sound
        self._redactor = redactor
        self._wall = time.time() - time.monotonic_ns() / 1e9
        self._written: set[int] = set()

    def append(self, entries: Sequence[tuple[int, Outcome]]) -> None:
        """Make these outcomes durable, in one go.

        Raises:
            StorageError: it cannot be done; none is recorded.
        """
        records = [self._record(node, outcome) for node, outcome in entries]
        begin, done = time.monotonic(), False
        try:
            self._store.append(self.run_id, records)
            done = True
        finally:
            if self._appended is not None:
                self._appended(time.monotonic() - begin, done)
        self._written.update(node for node, _ in entries)

    def finish(
        self,
        state: str,
        outcomes: Sequence[Outcome],
        results: Mapping[str, Mapping[str, Any]],
        offsets: Mapping[str, Any] | None,
    ) -> None:
        """Record what is not yet recorded, and end the run."""
        rest: list[Record] = []
        kept: dict[str, list[str]] = {}
        for node, outcome in enumerate(outcomes):
            if node in self._written:
                continue
            if outcome.state in (State.REUSED, State.RESTORED) and not outcome.attempts:
                kept.setdefault(outcome.state.value, []).append(outcome.node)
                if (again := self._settled(node, results.get(outcome.node))) is not None:
                    rest.append(again)
            else:
                rest.append(self._record(node, outcome))
        if kept:
            rest.insert(0, {"kept": kept})
        self._store.finish(self.run_id, state, offsets, records=rest)

    def _settled(self, node: int, result: Mapping[str, Any] | None) -> Record | None:
        """The result anew, if its sources have settled since it was recorded: they need not be read again to know."""
        source = self._plan.prints[node].source
        if result is None or source is None or result.get("checked", {}) == source.checked:
            return None
        return {**{key: value for key, value in result.items() if key != "run_id"}, "checked": dict(source.checked)}

    def _record(self, node: int, outcome: Outcome) -> Record:
        record: Record = {"node": outcome.node, "state": outcome.state.value, "attempts": outcome.attempts}
        if outcome.attempts:
            record["started"] = self._wall + outcome.started / 1e9
            record["finished"] = self._wall + outcome.finished / 1e9
            record["seconds"] = round(outcome.duration, 6)
            record["worker"] = outcome.worker
        if outcome.reason:
            record["reason"] = outcome.reason
        if outcome.error is not None:
            record["error"] = self._redactor.redact(f"{type(outcome.error).__name__}: {outcome.error}")
        if outcome.warnings:
            record["warnings"] = [self._redactor.redact(each) for each in outcome.warnings]
        if outcome.quarantined:
            record["quarantined"] = outcome.quarantined
        if outcome.info is not None:
            record["rows"], record["bytes"] = outcome.info.rows, outcome.info.bytes
        if outcome.write is not None:
            record["write"] = {
                "rows": outcome.write.rows,
                "bytes": outcome.write.bytes,
                "paths": list(outcome.write.paths),
                "etags": dict(outcome.write.etags),
                **({"version": outcome.write.version} if outcome.write.version else {}),
                "exact": outcome.write.exact,
            }
        # What somebody else computed meanwhile, under the same fingerprint, is this node's result as well.
        made = outcome.state is State.SUCCEEDED or (outcome.attempts and self._plan.actions[node] is Action.RUN)
        if outcome.state.good and made and self._sound.of(node):
            record |= recorded(self._plan.prints[node], self._plan.graph.nodes[node].depends_on)
            record["root"] = self._root
            if outcome.kept:
                record["cached"] = outcome.kept
        return record


class JournalledQueue(WorkQueue):
    """A work queue in which a node's successors start once its outcome is durable.

    Outcomes that come while others are being made durable wait, and then share one sync. The worker that finds nobody
    at it does it itself if nothing else is ready, and leaves it to a thread otherwise.
    """

    journal: Journal

    def __init__(self, *args: Any, journal: Journal, **named: Any) -> None:
        self.journal = journal
        self._pending: list[tuple[int, Outcome, Any]] = []
        self._committing = False
        super().__init__(*args, **named)

    def report(self, task: NodeTask, outcome: Outcome) -> NodeTask | None:
        """As the base, but the outcome counts once it is durable."""
        if outcome.state is not State.SUCCEEDED:
            # What was loaded from where earlier runs left it is no news, and what failed holds nobody up.
            return super().report(task, outcome)
        node = task.index
        value, outcome.value = outcome.value, None
        if task.attempt > 1:
            outcome.started = self._first_start.pop(node, outcome.started)
            self._untried.pop(node, None)
        if self.emit is not None:
            self._emit_finished(outcome)
        with self._lock:
            self._pending.append((node, outcome, value))
            del value
            if self._committing:
                return self._pop_waiting()
            self._committing = True
            following = self._pop_waiting()
        if following is None:
            self._commit()
            with self._lock:
                return self._pop_and_wake()
        threading.Thread(target=self._commit, name="odibi-journal").start()
        return following

    def _pop_waiting(self) -> NodeTask | None:
        # The nodes that are being made durable still count as running: whoever has nothing to do waits for them.
        task = self._pop()
        if self._idle and self._ready:
            self._changed.notify()
        return task

    def _commit(self) -> None:
        """Make all that waits durable, until nothing does."""
        while True:
            with self._lock:
                batch, self._pending = self._pending, []
                if not batch:
                    self._committing = False
                    self._changed.notify_all()
                    return
            error: BaseException | None = None
            try:
                self.journal.append([(node, outcome) for node, outcome, _ in batch])
            except BaseException as raised:
                error = raised
            with self._lock:
                if error is not None:
                    self.interrupted = self.interrupted or error
                    self._stopping = True
                while batch:
                    self._conclude(*batch.pop())
                if self._idle:
                    self._changed.notify_all()

    def settle(self) -> None:
        """As the base, once everything is durable."""
        with self._lock:
            while self._committing:
                self._changed.wait()
        super().settle()


def settled_outcomes(plan: Plan, results: Mapping[str, Mapping[str, Any]]) -> dict[int, Outcome]:
    """The outcomes of the nodes that need neither run nor be loaded."""
    from odibi.contracts.engine import FrameInfo
    from odibi.contracts.executor import Outcome

    outcomes: dict[int, Outcome] = {}
    states = {Action.REUSE: State.REUSED, Action.RESTORE: State.RESTORED}
    for node, action in enumerate(plan.actions):
        if action is Action.RUN or node in plan.loads:
            continue
        name, reason = plan.graph.nodes[node].name, plan.reasons[node]
        outcome = Outcome(name, states[action], None, None, 0, reason="" if reason is UNCHANGED else reason)
        rows = results[name].get("rows") if name in results else None
        if rows is not None:
            outcome.info = FrameInfo(rows, ())
        outcomes[node] = outcome
    return outcomes
