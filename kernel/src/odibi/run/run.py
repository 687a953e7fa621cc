"""One execution of a plan, from the first event to the last."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Any, cast

from odibi.contracts.executor import State
from odibi.contracts.format import WriteMode
from odibi.errors import OdibiError
from odibi.events import NodeFinished, RunFinished, RunStarted
from odibi.log import is_bound
from odibi.model import OnError
from odibi.run.body import BodyMaker
from odibi.run.dispatch import Dispatch, Listener
from odibi.run.frames import Frames
from odibi.run.queue import WorkQueue
from odibi.run.result import KeptValues, RunResult
from odibi.run.samples import Samples
from odibi.run.task import logged
from odibi.run.usage import UsageWatch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from odibi.contracts.executor import Executor, Outcome, Work
    from odibi.contracts.observer import Observer, RunFacts
    from odibi.model import Pipeline
    from odibi.plan import Plan
    from odibi.run.resources import Resources
    from odibi.run.state import RunState


def new_run_id(now: int | None = None) -> str:
    """An id that sorts by time: UTC to the microsecond, and random digits against ties.

    Args:
        now: nanoseconds since the epoch; the present by default.
    """
    seconds, rest = divmod(time.time_ns() if now is None else now, 1_000_000_000)
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(seconds))
    return f"{stamp}.{rest // 1000:06d}-{secrets.token_hex(4)}"


def has_state(plan: Plan, resources: Resources) -> bool:
    """Whether a run of this plan goes by what earlier runs left, or leaves something to later ones."""
    project = resources.project
    if project.cache is not None or project.checkpoints is not None:
        return True
    appends = plan.prepared.get("appends")
    if appends is None:
        nodes = plan.graph.nodes
        appends = any(node.write is not None and node.write.mode is WriteMode.APPEND for node in nodes)
        plan.prepared["appends"] = appends
    return bool(appends)


def nothing_to_resume(pipeline: str) -> OdibiError:
    """The error for a run that is to be resumed in a project that records none."""
    return OdibiError(
        "there is nothing to resume: the project has no checkpoint store",
        where=f"pipeline '{pipeline}'",
        remedy="Add 'checkpoints: sqlite' to the project file.",
    )


class Run:
    """One execution of a plan.

    Args:
        plan: what to run.
        pipeline: whose nodes these are; its settings count where a node has none.
        resources: builds what the nodes need; not closed here.
        executor: runs the tasks; not closed here.
        observers: told every event, and closed at the end, which waits for them.
        watching: the project's own observers with what listens for them; the end does not wait for those.
        given: values handed in, by name.
        run_id: a new one by default.
        state: what earlier runs left, and where this one leaves what becomes of it; ``None`` for a run that neither
            knows nor tells.
        facts: what it is about, for observers.
    """

    def __init__(
        self,
        plan: Plan,
        pipeline: Pipeline,
        resources: Resources,
        executor: Executor,
        *,
        observers: Sequence[Observer] = (),
        watching: Sequence[tuple[Observer, Listener]] = (),
        given: Mapping[str, Any] | None = None,
        run_id: str | None = None,
        state: RunState | None = None,
        facts: RunFacts | None = None,
    ) -> None:
        self.run_id = run_id or new_run_id()
        self._facts = facts
        self._state = state
        self.plan = plan
        self._pipeline = pipeline
        self._resources = resources
        self._executor = executor
        self._dispatch = Dispatch([*self._listeners(observers), *(listener for _, listener in watching)])
        told = [*observers, *(observer for observer, _ in watching)]
        frames = Frames(resources)
        rows = max((int(getattr(each, "samples", 0)) for each in told), default=0)
        samples = Samples(plan, resources, frames, rows) if rows > 0 else None
        self._usage = UsageWatch() if any(getattr(each, "usage", False) for each in told) else None
        nodes = plan.graph.nodes
        project = resources.project
        self._on_error = [node.on_error or pipeline.on_error or OnError.FAIL_FAST for node in nodes]
        increments = state.increments if state is not None else None
        bodies = BodyMaker(plan, pipeline, resources, frames, self.run_id, increments, samples).bodies()
        kind: Callable[..., WorkQueue] = WorkQueue
        more: dict[str, Any] = {}
        if state is not None:
            bodies, kind, more = state.prepare(bodies, frames, self.run_id)
        if self._usage is not None:
            bodies = list(map(self._usage.around, bodies))
        if is_bound():  # else the way of a node is as short as it was
            bodies = list(map(logged, bodies))
        self._queue = kind(
            plan,
            bodies,
            given or {},
            self.run_id,
            on_error=self._on_error,
            retries=[node.retry or pipeline.retry or project.retry for node in nodes],
            timeouts=[pipeline.timeout if node.timeout is None else node.timeout for node in nodes],
            emit=self._dispatch.emit,
            runner=resources.host.node_runner(),
            share=frames.share,
            **more,
        )

    def _listeners(self, observers: Sequence[Observer]) -> list[Listener]:
        listeners = [
            Listener(type(observer).__name__, observer.handle, getattr(observer, "close", None))
            for observer in observers
        ]
        hooks = self._resources.host.event_listeners()
        listeners += [Listener(label, tell, awaited=False) for label, tell in hooks]
        return listeners

    def cancel(self, *, running: bool = False) -> None:
        """Start no more nodes; with ``running``, also ask those that run now to stop."""
        self._queue.stop(running=running)

    def execute(self) -> RunResult:
        """Run the plan in the calling thread, and whatever workers the executor adds.

        A failed node is an outcome, not an exception.

        Raises:
            KeyboardInterrupt: it came while nodes ran here; what ran was let finish first.
        """
        begin = time.monotonic_ns()
        self._dispatch.start()
        if self._usage is not None:
            self._usage.start()
        self._tell_started(begin)
        error: BaseException | None = None
        try:
            if self._state is not None:
                self._state.begin(self.run_id)
                self._tell_settled()
            self._executor.drain(cast("Work", self._queue))
        except BaseException as raised:
            error = raised
            self._queue.abandon(raised)
        self._queue.settle()
        if self._usage is not None:
            self._usage.stop()
        duration = (time.monotonic_ns() - begin) / 1e9
        result = self._result(duration)
        if self._state is not None:
            try:
                self._state.finish(result.state, cast("list[Outcome]", self._queue.outcomes))
            except Exception as raised:
                error = error or self._queue.interrupted or raised
        self._tell_finished(result)
        self._dispatch.finish()
        error = error or self._queue.interrupted
        if error is not None:
            raise error
        return result

    def _result(self, duration: float) -> RunResult:
        queue, nodes = self._queue, self.plan.graph.nodes
        settled = cast("list[Outcome]", queue.outcomes)
        outcomes = {outcome.node: outcome for outcome in settled}
        here = {
            nodes[node].name: self._executor.fetch(queue.values[node])
            for node in sorted(self.plan.keep)
            if settled[node].state.good and settled[node].attempts
        }
        values: Mapping[str, Any] = here
        if self._state is not None and self.plan.later:
            values = KeptValues(here, self.plan.graph, self.plan.later, self._state.load)
        failed = [node for node, outcome in enumerate(settled) if outcome.state is State.FAILED]
        ignored = frozenset(nodes[node].name for node in failed if self._on_error[node] is OnError.IGNORE)
        if len(failed) > len(ignored):
            state = "failed"
        elif any(outcome.state is State.CANCELLED for outcome in settled):
            state = "cancelled"
        else:
            state = "succeeded"
        return RunResult(self.run_id, self._pipeline.name, state, outcomes, values, duration, ignored)

    def _tell_settled(self) -> None:
        emit = self._queue.emit
        if emit is None or not self._queue.settled:
            return
        now = time.monotonic_ns()
        wall = self._queue.wall_offset + now / 1e9
        for outcome in self._queue.settled.values():
            emit(NodeFinished(self.run_id, now, wall, outcome.node, outcome))

    def _tell_started(self, begin: int) -> None:
        if self._queue.emit is not None:
            self._queue.emit(
                RunStarted(
                    self.run_id,
                    begin,
                    self._queue.wall_offset + begin / 1e9,
                    self._pipeline.name,
                    self._resources.project.name,
                    len(self.plan),
                    getattr(self._executor, "workers", 1),
                    [(distribution, version) for _, distribution, version in self._resources.host.plugin_set()],
                    self._state.resumed if self._state is not None else "",
                    self._facts,
                )
            )

    def _tell_finished(self, result: RunResult) -> None:
        if self._queue.emit is not None:
            now = time.monotonic_ns()
            wall = self._queue.wall_offset + now / 1e9
            self._queue.emit(
                RunFinished(self.run_id, now, wall, self._pipeline.name, result.state, result.counts(), result.duration)
            )
