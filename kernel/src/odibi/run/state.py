"""What a run knows of earlier ones and leaves to later ones: stores, lock, fingerprints, decisions."""

from __future__ import annotations

import logging
import os
import platform
import time
from typing import TYPE_CHECKING, Any

from odibi.errors import Conflict, NotFound
from odibi.fingerprint import Fingerprints
from odibi.model import CachePolicy, Read
from odibi.plan import INPUT, Action
from odibi.reuse import decide, has_effect
from odibi.run.batches import as_first_tried, earlier_attempt, files_read, offsets_of, recorded_batches
from odibi.run.earlier import UNFINISHED, EarlierRuns, to_resume
from odibi.run.flight import Flights
from odibi.run.frames import Frames
from odibi.run.increments import increments_of
from odibi.run.journal import Journal, JournalledQueue, Soundness, settled_outcomes
from odibi.run.lazy import is_lazy
from odibi.run.loading import Keeping, Loaders, Loading
from odibi.run.queue import WorkQueue
from odibi.run.resources import Resources
from odibi.run.run import nothing_to_resume
from odibi.run.values import Values
from odibi.sources import SourceVersions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from odibi.contracts.checkpoint import CheckpointStore, RunLock, RunRecord
    from odibi.contracts.executor import Outcome
    from odibi.contracts.trigger import Batch, FileVersion
    from odibi.model import Node, Pipeline
    from odibi.plan import Plan
    from odibi.run.increments import Increments
    from odibi.run.task import Body


_log = logging.getLogger("odibi.run")


class RunState:
    """The state of one run.

    Args:
        plan: what the run is about.
        pipeline: whose.
        resources: builds stores and connections; not closed here.
        fingerprints: of the pipeline, kept from run to run; made by default.
        force: run every node of the plan that was selected.
        use_cache: take results from the cache, and put them there.
        resume: a run's id, or ``True`` for the last one.
        given: values handed to the run, by name.
        offsets: how far streams are consumed if the run succeeds; moved in one transaction with its end.
        batches: trigger to the batch that is consumed. Their offsets move as well, and a run of the same batches that
            did not succeed is resumed unless ``force`` is given. Which files are read is up to ``resources``.
        lock: keep other runs of the pipeline out.

    Attributes:
        plan: the same, with a decision for each node.
        resumed: the id of the run that this one goes on with; empty if none.
        increments: what it reads of incremental reads; ``None`` if it has none.

    Raises:
        Conflict: another run of the pipeline goes on.
        NotFound: the run to be resumed is not there.
    """

    def __init__(
        self,
        plan: Plan,
        pipeline: Pipeline,
        resources: Resources,
        run_id: str,
        *,
        fingerprints: Fingerprints | None = None,
        force: bool = False,
        use_cache: bool = True,
        resume: str | bool = False,
        given: Mapping[str, Any] | None = None,
        offsets: Mapping[str, Any] | None = None,
        batches: Mapping[str, Batch] | None = None,
        lock: bool = True,
    ) -> None:
        self._batches = batches or {}
        self._offsets = {**offsets_of(pipeline.name, self._batches), **(offsets or {})}
        self._pipeline = pipeline
        self._needed = {name for node in pipeline.nodes for name in node.depends_on}
        self._resources = resources
        self._run_id = run_id
        config = resources.project.checkpoints
        self._store: CheckpointStore | None = resources.checkpoints()
        self._lock: RunLock | None = None
        self._flights: Flights | None = None
        self._journal: Journal | None = None
        self.appended: Callable[[float, bool], object] | None = None
        """Told how many seconds each append to the journal takes, and whether it is done; set before the run begins."""
        self._use_cache = use_cache
        self._loaders: Loaders | None = None
        self.increments: Increments | None = None
        if resume and self._store is None:
            raise nothing_to_resume(pipeline.name)
        if self._store is not None and lock:
            self._lock = self._take_lock(self._store, config.wait if config is not None else 0.0)
        try:
            self.increments = increments_of(plan, pipeline, resources, run_id, self._lock)
            automatic = config is not None and config.resume
            record = attempt = None
            if self._store is not None:
                # An interrupted run of other batches is no beginning of this one.
                unasked = automatic and not force and not self._batches
                record = to_resume(self._store, pipeline.name, resume, automatic=unasked)
                attempt = earlier_attempt(self._store, pipeline.name, self._batches)
                pinned = self.increments.attempt() if self.increments is not None else None
                begun = pinned if attempt is None or force else attempt
                if record is None and begun is not None and begun.state in UNFINISHED:
                    # To consume a batch again is to go on with it. Else a node whose result cannot be known from its
                    # inputs would append another one beside that which it appended the first time. So it is with the
                    # rows that a run has pinned, which are the same even if the run is forced.
                    record = begun
            self._earlier = EarlierRuns(pipeline, resources, use_cache=use_cache, resumed=record)
            self.resumed = record.run_id if record is not None else ""
            self._root = self._earlier.root or run_id
            sources = SourceVersions(resources.storage, self._earlier.checked())
            made = fingerprints or Fingerprints(pipeline, resources)
            consumed = self._consumed(attempt, given or {})
            forced = [at for at, reason in enumerate(plan.reasons) if reason != INPUT] if force else ()

            def decided() -> Plan:
                increment = self.increments.version if self.increments is not None else None
                prints = made.of(plan.graph, sources, self._nonce, *consumed, increment=increment)
                return decide(plan, prints, self._earlier, force=forced)

            self.plan = decided()
            while self.increments is not None and self.increments.begin_anew(self.plan):
                self.plan = decided()
        except BaseException:
            self.close()
            raise

    def _consumed(
        self, attempt: RunRecord | None, given: Mapping[str, Any]
    ) -> tuple[Mapping[str, Any], Mapping[str, Sequence[FileVersion]]]:
        """The values and the files that results go by."""
        if not self._batches:
            return given, {}
        asked, self._batches = self._batches, as_first_tried(attempt, self._batches)
        brought = {name: it.payload for name, it in self._batches.items() if given.get(name) is asked[name].payload}
        return {**given, **brought}, files_read(self._pipeline, self._batches)

    def _take_lock(self, store: CheckpointStore, wait: float) -> RunLock:
        try:
            return store.lock(self._pipeline.name)
        except Conflict as error:
            if wait <= 0:
                raise
            _log.warning("%s; waiting up to %g s for it to end", error.what, wait)
        return store.lock(self._pipeline.name, wait=wait)

    def _nonce(self, name: str, base: str, ttl: float | None) -> str:
        """What tells this result of a volatile node from others: the run that it was made in."""
        result = self._earlier.results.get(name)
        if result is not None and result.get("base") == base and "nonce" in result:
            nonce = str(result["nonce"])
            if self.increments is not None and self.increments.is_pinned(name):
                return nonce
            if result.get("run_id") in self._earlier.chain:
                return nonce
            if ttl is not None and 0 <= time.time() - float(result.get("finished", 0.0)) < ttl:
                return nonce
        return self._root

    # --- the run ----------------------------------------------------------------------------------------------------

    def prepare(
        self, bodies: Sequence[Body], frames: Frames, run_id: str
    ) -> tuple[list[Body], Callable[..., WorkQueue], dict[str, Any]]:
        """The bodies with what keeps and loads results around them, the kind of queue, and what that also needs."""
        plan, resources = self.plan, self._resources
        sound = Soundness(plan, resources.storage, self._table_version)
        cache = resources.cache() if self._use_cache else None
        values = Values(cache, frames, resources) if cache is not None else None
        self._loaders = Loaders(plan, values, self._read)
        around = list(bodies)
        for at, action in enumerate(plan.actions):
            node = plan.graph.nodes[at]
            if action is not Action.RUN:
                if at in plan.loads:
                    around[at] = Loading(at, plan, bodies, self._loaders)
            elif values is not None and self._is_kept(node):
                if self._flights is None and cache is not None:
                    self._flights = Flights(cache)
                flights = None if has_effect(node) else self._flights
                around[at] = Keeping(at, bodies[at], plan, values, sound, flights)
        more: dict[str, Any] = {"settled": settled_outcomes(plan, self._earlier.results)}
        if self._store is None:
            return around, WorkQueue, more
        self._journal = Journal(self._store, plan, run_id, self._root, sound, resources.redactor, self.appended)
        if self._lock is not None:
            more["right"] = self._check_right
        return around, JournalledQueue, {**more, "journal": self._journal}

    def _table_version(self, read: Read, engine: str | None) -> str | None:
        name = self._engine_of(engine)
        return self._resources.table_version(read, name) if self._resources.knows_version(read, name) else None

    def _engine_of(self, engine: str | None) -> str:
        return engine or self._pipeline.engine or self._resources.project.engine or ""

    def _is_kept(self, node: Node) -> bool:
        """Whether the node's result goes into the cache."""
        policy = node.cache
        if policy is not None:
            return policy.enabled if isinstance(policy, CachePolicy) else policy
        if node.sensitive:
            return False
        if is_lazy(self._resources, self._engine_of(node.engine)):
            return False  # to keep it would be to compute it, where the plan of the engine may be to do without
        return node.write is None or node.name in self._needed  # what nobody needs need not be kept

    def begin(self, run_id: str) -> None:
        """Open the journal."""
        if self._store is None:
            return
        plan = self.plan
        detail: dict[str, Any] = {
            "project": self._resources.project.name,
            "nodes": len(plan),
            "root": self._root,
            "host": platform.node(),
            "pid": os.getpid(),
            "plugins": [list(each) for each in self._resources.host.plugin_set()],
        }
        if self.resumed:
            detail["resumes"] = list(self._earlier.chain)
        runs = {plan.graph.nodes[at].name: plan.reasons[at] for at, it in enumerate(plan.actions) if it is Action.RUN}
        detail["run"] = self._resources.redactor.scrub(runs)
        if self._batches:
            detail["batches"] = self._resources.redactor.scrub(recorded_batches(self._batches))
        # A run that does nothing can do without a mark that it began: nothing is half done if it dies.
        sync = bool(runs or self._batches)
        self._store.begin(run_id, self._pipeline.name, detail, lock=self._lock, sync=sync)

    def finish(self, state: str, outcomes: Sequence[Outcome]) -> None:
        """Record what is not yet recorded, and end the run."""
        if self._journal is None or self._store is None:
            return
        # A run that did not succeed has not consumed its streams.
        offsets = None
        if state == "succeeded":
            moved = self.increments.offsets(outcomes) if self.increments is not None else {}
            offsets = {**moved, **self._offsets} or None
        self._journal.finish(state, outcomes, self._earlier.results, offsets)
        config = self._resources.project.checkpoints
        if config is not None and config.keep_last is not None:
            self._store.prune(config.keep_last, self._pipeline.name)

    def close(self) -> None:
        """Give back the lock; may be called twice."""
        if self._flights is not None:
            self._flights.close()
        if self._lock is not None:
            self._lock.release()

    def _check_right(self) -> None:
        if self._lock is not None and not self._lock.held():
            raise Conflict(
                "another run has taken over the pipeline while this one did not answer",
                where=f"pipeline '{self._pipeline.name}'",
                remedy="Nothing more is published by this run; look at the other one with odibi runs ls.",
            )

    # --- values of nodes that did not run ---------------------------------------------------------------------------

    def load(self, at: int) -> Any:
        """The result of a node that did not run, once the run is over.

        Raises:
            NotFound: it is damaged or gone.
        """
        plan, resources = self.plan, self._resources
        # What the run opened is closed by now, but for the stores.
        opened = Resources(resources.project, resources.host, resources.redactor, stores=resources)
        try:
            cache = opened.cache()
            values = Values(cache, Frames(opened), opened) if cache is not None else None
            there, value = Loaders(plan, values, lambda each: self._read_with(opened, each)).load(at, plan.later[at])
        finally:
            opened.close()
        if not there:
            raise NotFound(
                "its kept result is damaged or gone",
                where=f"node '{plan.graph.nodes[at].name}'",
                remedy="Run the pipeline again: it is computed anew.",
            )
        return value

    def _read(self, at: int) -> Any:
        return self._read_with(self._resources, at)

    def _read_with(self, resources: Resources, at: int) -> Any:
        node = self.plan.graph.nodes[at]
        write = node.write
        assert write is not None
        name = self._engine_of(node.engine)
        return resources.engine(name).read(
            resources.source(Read(write.connection, write.path, format=write.format), name)
        )
