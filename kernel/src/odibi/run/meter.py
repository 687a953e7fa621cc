"""What runs measure: an observer that turns the events of one run into measurements.

Their names and what they mean are in :mod:`odibi.contracts.measured`; who gets them is in
:mod:`odibi.run.meter_project`.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from odibi.contracts import measured as names
from odibi.contracts.executor import State
from odibi.events import (
    NodeFinished,
    NodeRetried,
    NodeStarted,
    NodeWarned,
    PluginFailed,
    RunFinished,
    RunStarted,
    StepFinished,
)
from odibi.run.dispatch import MOMENT, Listener
from odibi.run.meter_tally import Tally

if TYPE_CHECKING:
    from collections.abc import Sequence

    from odibi.contracts.executor import Outcome
    from odibi.events import Event
    from odibi.plan import Plan
    from odibi.run.meter_project import ProjectMeter

TELL = 1.0
"""Seconds between two times that sinks are told, in the middle of a run."""

FLUSH = 15.0
"""Seconds between two times that they send what they have, likewise; often enough for who looks at them."""

_STATES = ("succeeded", "failed", "cancelled")
_LOOKUPS = {State.REUSED: "hit", State.RESTORED: "restored"}


class RunMeter:
    """Turns the events of one run into measurements.

    Args:
        project: gets them.
        plan: what the run is to do.
    """

    def __init__(self, project: ProjectMeter, plan: Plan) -> None:
        self._project = project
        self._pipeline = project.names.name("pipeline", plan.pipeline)
        self._labels = (project.project, self._pipeline)
        self._graph = plan.graph
        for node in plan.graph.nodes[: names.MOST_NODES]:
            project.names.node(self._pipeline, node.name)
        self._ends = [0] * len(plan.graph)
        self._rows: list[int | None] = [None] * len(plan.graph)
        self._read: dict[str, int] = {}
        self._begin = 0
        self._told = self._flushed = time.monotonic()
        self._tally = Tally()
        self._on_step: dict[str, list[float]] = {}
        self._appends: deque[tuple[float, bool]] = deque()
        self.usage = project.usage

    def handle(self, event: Event) -> None:
        """Take one event, and let the sinks know at once; see :class:`~odibi.contracts.observer.Observer`."""
        self.take([event])
        self.tell()

    def take(self, events: Sequence[Event]) -> None:
        """Take events that came together; those of nodes that have their outcome are the many."""
        outcomes: list[Outcome] = []
        ended: RunFinished | None = None
        for event in events:
            kind = type(event)
            if kind is NodeFinished:
                outcomes.append(event.outcome)  # type: ignore[attr-defined]
            elif kind is NodeStarted:
                continue  # its outcome says when it began
            elif isinstance(event, StepFinished):
                self._step(event)
            elif isinstance(event, RunStarted):
                self._started(event)
            elif isinstance(event, RunFinished):
                ended = event
            elif isinstance(event, NodeRetried):
                self._of_node(names.RETRIES, event.node)
            elif isinstance(event, NodeWarned):
                self._of_node(names.WARNINGS, event.node)
            elif isinstance(event, PluginFailed):
                plugin = self._project.names.name("plugin", event.plugin)
                self._tally.add(names.PLUGIN_FAILURES, (self._project.project, plugin, event.hook))
        if outcomes:
            self._settled(outcomes)
        for step, seconds in self._on_step.items():
            self._tally.observe(names.STEP_DURATION, (*self._labels, step), seconds)
        self._on_step.clear()
        if ended is not None:
            self._ended(ended)

    def appended(self, seconds: float, done: bool) -> None:
        """Outcomes were recorded, or could not be; called on nodes' own threads."""
        self._appends.append((seconds, done))

    def tell(self) -> None:
        """Let the sinks have what was measured."""
        self._told = time.monotonic()
        appends = [self._appends.popleft() for _ in range(len(self._appends))]
        self._tally.observe(
            names.CHECKPOINT_DURATION, (self._project.project,), [seconds for seconds, done in appends if done]
        )
        for _, done in appends:
            self._tally.add(names.CHECKPOINT_APPENDS, (self._project.project, "done" if done else "failed"))
        measured = self._tally.take()
        self._project.tell(measured)

    def tell_if_due(self) -> None:
        """The same, if the last time was a while ago; and let them send it, if that was a longer while ago."""
        now = time.monotonic()
        if (self._tally or self._appends) and now - self._told >= TELL:
            self.tell()
        if now - self._flushed >= FLUSH:
            self._flushed = now
            self._project.flush()

    def close(self) -> None:
        """Wait a moment for the sinks to have sent everything: those who look when a run is over find it there."""
        self.tell()
        deadline = time.monotonic() + MOMENT * 0.8
        for sent in self._project.flush():
            if not sent.wait(max(0.0, deadline - time.monotonic())):
                return

    # --- events to measurements -------------------------------------------------------------------------------------

    def _started(self, event: RunStarted) -> None:
        self._begin = event.monotonic
        running, first = self._project.begins(self._pipeline)
        tally, labels = self._tally, self._labels
        tally.set(names.RUNS_RUNNING, labels, running)
        tally.set(names.LAST_START, labels, event.wall)
        if first:  # whoever watches a counter sees it rise only if it was there before
            for state in _STATES:
                tally.add(names.RUNS, (*labels, state), 0)
            for outcome in State:
                tally.add(names.NODES, (*labels, outcome.value), 0)
            for result in ("hit", "restored", "miss") if self._project.has_cache else ():
                tally.add(names.CACHE_LOOKUPS, (*labels, result), 0)
            self._project.look_at_history(tally, event.pipeline, labels)
        self.tell()

    def _ended(self, event: RunFinished) -> None:
        tally, labels = self._tally, self._labels
        tally.add(names.RUNS, (*labels, event.state))
        tally.observe(names.RUN_DURATION, labels, [event.duration])
        tally.set(names.LAST_DURATION, labels, event.duration)
        tally.set(names.RUNS_RUNNING, labels, self._project.ends(self._pipeline))
        tally.set(names.LAST_SUCCEEDED, labels, int(event.state == "succeeded"))
        if event.state == "succeeded":
            tally.set(names.LAST_SUCCESS, labels, event.wall)
        self._project.look_at_cache(tally)

    def _step(self, event: StepFinished) -> None:
        self._on_step.setdefault(event.step, []).append(event.duration)
        if event.step == "read" and event.rows is not None:
            self._read[event.node] = self._read.get(event.node, 0) + event.rows

    def _settled(self, outcomes: Sequence[Outcome]) -> None:
        index, inputs, ends, count = self._graph.index, self._graph.inputs, self._ends, len(self._ends)
        begin = self._begin
        shown = self._project.names.nodes(self._pipeline)
        states: dict[State, int] = {}
        durations: list[float] = []
        waits: list[float] = []
        attempts = 0
        for outcome in outcomes:
            state = outcome.state
            states[state] = states.get(state, 0) + 1
            tries = outcome.attempts
            node = outcome.node
            at = index[node]
            if not tries:
                if outcome.info is not None:
                    self._rows[at] = outcome.info.rows
                continue
            attempts += tries
            ready, started = begin, outcome.started
            ends[at] = finished = outcome.finished
            for slot in inputs[at]:
                if slot < count and ends[slot] > ready:
                    ready = ends[slot]
            duration = (finished - started) / 1e9
            durations.append(duration)
            waits.append((started - ready) / 1e9 if started > ready else 0.0)
            if node in shown:
                self._tally.set(names.NODE_LAST_DURATION, (*self._labels, shown[node]), duration)
            # Of most nodes nothing more is known; this is gone through ten thousand times in a large run.
            if (
                state is State.FAILED
                or outcome.info is not None
                or outcome.write is not None
                or outcome.usage is not None
                or outcome.quarantined
            ):
                self._node(at, outcome)
        self._add(states, durations, waits, attempts)

    def _add(self, states: dict[State, int], durations: list[float], waits: list[float], attempts: int) -> None:
        tally, labels = self._tally, self._labels
        for state, count in states.items():
            tally.add(names.NODES, (*labels, state.value), count)
        tally.observe(names.NODE_DURATION, labels, durations)
        tally.observe(names.NODE_WAIT, labels, waits)
        if attempts:
            tally.add(names.ATTEMPTS, labels, attempts)
        if self._project.has_cache:
            for state, count in states.items():
                if state in _LOOKUPS:
                    tally.add(names.CACHE_LOOKUPS, (*labels, _LOOKUPS[state]), count)
            missed = states.get(State.SUCCEEDED, 0) + states.get(State.FAILED, 0)
            if missed:
                tally.add(names.CACHE_LOOKUPS, (*labels, "miss"), missed)

    def _node(self, at: int, outcome: Outcome) -> None:
        """What is told of a node by its name, beside how long it took."""
        tally = self._tally
        node = self._project.names.node(self._pipeline, outcome.node)
        labels = (*self._labels, node)
        usage = outcome.usage
        if usage is not None:
            tally.add(names.CPU, labels, usage.cpu)
            if usage.memory is not None and node != names.OTHERS:
                tally.set(names.MEMORY, labels, usage.memory)
        if outcome.state is State.FAILED:
            tally.add(names.FAILURES, labels)
        if outcome.info is not None:
            self._frame(at, outcome, labels)
        if outcome.write is not None and outcome.write.bytes:
            tally.add(names.BYTES_WRITTEN, labels, outcome.write.bytes)
        if outcome.quarantined:
            tally.add(names.QUARANTINED, labels, outcome.quarantined)

    def _frame(self, at: int, outcome: Outcome, labels: tuple[str, ...]) -> None:
        """Rows in and out of a node that has a frame."""
        assert outcome.info is not None
        rows = self._rows[at] = outcome.info.rows
        if rows is not None:
            self._tally.add(names.ROWS_OUT, labels, rows)
        count = len(self._rows)
        came = [self._rows[slot] for slot in self._graph.inputs[at] if slot < count]
        came.append(self._read.pop(outcome.node, None))
        known = [each for each in came if each is not None]
        if known:
            self._tally.add(names.ROWS_IN, labels, sum(known))

    def _of_node(self, metric: names.Metric, node: str) -> None:
        name = self._project.names.node(self._pipeline, node)
        self._tally.add(metric, (*self._labels, name))


class MeterListener(Listener):
    """A listener that is told of all events that came together at once: summing up many costs little more than one."""

    def __init__(self, meter: RunMeter) -> None:
        super().__init__("metrics", meter.handle, meter.close, awaited=False)
        self._meter = meter

    def _drain(self) -> bool:
        queue, meter = self.queue, self._meter
        events = [queue.popleft() for _ in range(len(queue))]
        if not events:
            meter.tell_if_due()
            return False
        try:
            meter.take(events)
            meter.tell_if_due()
        except Exception as error:
            self._failed(events[-1], error)
        return True
