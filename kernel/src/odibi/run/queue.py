"""The work queue of one run: which node is next, what became of each, and who still needs its value.

There is no level barrier: a node is ready the moment its last input is done. Among ready nodes the plan's priority
decides, and a worker that finished one node is handed the next without going through anybody else. One lock guards
everything; what is done under it is counted in array look-ups.
"""

from __future__ import annotations

import threading
import time
from heapq import heapify, heappop, heappush
from random import Random
from typing import TYPE_CHECKING, Any

from odibi.contracts.executor import Outcome, State
from odibi.events import NodeFinished, NodeRetried
from odibi.model import OnError
from odibi.run.retry import can_pass, delay_after
from odibi.run.task import NodeTask

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from odibi.events import Event
    from odibi.model import Retry
    from odibi.plan import Plan
    from odibi.run.task import Body

_TRIES = 20
"""How often a worker gives way to the one that holds the lock before it queues."""


class WorkQueue:
    """What :class:`odibi.contracts.executor.Work` promises, for the nodes of one plan.

    Args:
        plan: what to run.
        bodies: for each node what runs it.
        given: the values handed to the run, by name.
        run_id: of the run.
        on_error, retries, timeouts: for each node.
        emit: takes events; ``None`` if nobody listens.
        runner: runs one task in place of ``task.run()``; ``None`` for that itself.
        share: makes one more reader's handle on a value.
        settled: outcomes of nodes that need not run.
        right: raises if the run may not publish any more; ``None`` if nobody could take that from it.
    """

    def __init__(
        self,
        plan: Plan,
        bodies: Sequence[Body],
        given: Mapping[str, Any],
        run_id: str,
        *,
        on_error: Sequence[OnError],
        retries: Sequence[Retry | None],
        timeouts: Sequence[float | None],
        emit: Callable[[Event], object] | None,
        runner: Callable[[Any], Outcome] | None,
        share: Callable[[Any], Any],
        settled: Mapping[int, Outcome] | None = None,
        right: Callable[[], object] | None = None,
    ) -> None:
        graph = plan.graph
        count = len(graph)
        self.graph = graph
        self.right = right
        self.settled = settled or {}
        self._inputs, self._successors = graph.inputs, graph.successors
        self.bodies = bodies
        self.run_id = run_id
        self.timeouts = timeouts
        self.emit = emit
        self.runner = runner
        self.share = share
        self.values: list[Any] = [None] * count + [given[name] for name in graph.given]
        self.outcomes: list[Outcome | None] = [None] * count
        self.kept = plan.keep
        self.interrupted: BaseException | None = None
        self.wall_offset = time.time() - time.monotonic_ns() / 1e9
        self._on_error = on_error
        self._retries = retries
        self._priority = plan.priority
        self._node_at = [0] * count
        for node, turn in enumerate(plan.priority):
            self._node_at[turn] = node
        self._left = count
        if settled or plan.loads:
            self._leave_out(self.settled, plan.loads)
        self._waiting = list(map(len, self._inputs))
        if graph.given:
            self._waiting = [sum(slot < count for slot in slots) for slots in self._inputs]
        self._readers = list(map(len, self._successors))
        for node in plan.keep:
            self._readers[node] += 1
        self._ready = [turn for turn, waiting in zip(plan.priority, self._waiting, strict=True) if not waiting]
        if settled:
            self._ready = [turn for turn in self._ready if self._node_at[turn] not in settled]
        heapify(self._ready)
        self._delayed: list[tuple[float, int, NodeTask]] = []
        self._first_start: dict[int, int] = {}
        self._untried: dict[int, Outcome] = {}
        self._running = 0
        self._idle = 0
        self._stopping = False
        self._cancelled = False
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._random = Random()  # noqa: S311 - jitter
        self._workers: dict[int, str] = {}
        self._tasks: set[NodeTask] = set()

    # --- what executors see -----------------------------------------------------------------------------------------

    def take(self, *, wait: bool = True) -> NodeTask | None:
        """The ready task that should run first; see :class:`odibi.contracts.executor.Work`."""
        with self._lock:
            while True:
                task = self._pop()
                if task is not None and self._idle and self._ready:
                    # Whoever is woken wakes the next: all come when there is work for all, and none for nothing.
                    self._changed.notify()
                if task is not None or not wait or self._over():
                    return task
                self._idle += 1
                try:
                    self._changed.wait(self._delayed[0][0] - time.monotonic() if self._delayed else None)
                finally:
                    self._idle -= 1

    def report(self, task: NodeTask, outcome: Outcome) -> NodeTask | None:
        """Take over the outcome, free what it no longer needs, and hand out the task to carry on with."""
        node = task.index
        if outcome.state is not State.SUCCEEDED and not outcome.state.good:
            return self._report_unsuccessful(task, outcome)
        value = outcome.value
        outcome.value = None
        if task.attempt > 1:
            outcome.started = self._first_start.pop(node, outcome.started)
            self._untried.pop(node, None)
        if self.emit is not None:
            self._emit_finished(outcome)
        if not self._lock.acquire(blocking=False):
            self._contend()
        try:
            self._conclude(node, outcome, value)
            del value
            return self._pop_and_wake()
        finally:
            self._lock.release()

    def finished(self) -> bool:
        """Whether every node has its outcome."""
        return not self._left

    def ready(self) -> int:
        """How many tasks wait to be taken."""
        return len(self._ready) + len(self._delayed)

    def abandon(self, error: BaseException) -> None:
        """Start nothing more, and let the run end with ``error``."""
        self.interrupted = self.interrupted or error
        self.stop()

    # --- what the run and its tasks see -----------------------------------------------------------------------------

    def stop(self, *, running: bool = False) -> None:
        """Start no more nodes.

        Args:
            running: also ask the nodes that run now to stop.
        """
        with self._lock:
            self._stopping = True
            self._cancelled = self._cancelled or running
            tasks = list(self._tasks) if running else []
            self._changed.notify_all()
        for task in tasks:
            task.interrupt()

    def cancelled(self) -> bool:
        """Whether running nodes should stop."""
        return self._cancelled

    def worker(self) -> str:
        """The name of the calling worker."""
        ident = threading.get_ident()
        name = self._workers.get(ident)
        if name is None:
            name = self._workers[ident] = f"worker-{len(self._workers) + 1}"
        return name

    def watch(self, task: NodeTask) -> None:
        """Let :meth:`stop` interrupt ``task`` while it runs."""
        with self._lock:
            self._tasks.add(task)

    def unwatch(self, task: NodeTask) -> None:
        """End :meth:`watch`."""
        with self._lock:
            self._tasks.discard(task)

    def settle(self) -> None:
        """Give every node that never started its outcome; called once the executor is done."""
        for node, outcome in self._untried.items():
            # It failed, and the run ended before it could be tried again: that it failed must not be lost.
            if self.outcomes[node] is None:
                self._record(node, outcome)
                self._skip_dependants(node, outcome.state)
        for node in self.graph.order:
            if self.outcomes[node] is None:
                self._settle(node, State.CANCELLED, "the run ended before it started")

    # --- inside -----------------------------------------------------------------------------------------------------

    def _contend(self) -> None:
        """Acquire the lock without queueing for it, as long as that may work.

        A thread that queues is given the lock while it still waits for the interpreter, and the one that has the
        interpreter then queues in turn: from there on every node costs a switch of threads. Giving way and trying
        again never owns the one while waiting for the other.
        """
        for _ in range(_TRIES):
            time.sleep(0)
            if self._lock.acquire(blocking=False):
                return
        self._lock.acquire()

    def _leave_out(self, settled: Mapping[int, Outcome], loaded: Mapping[int, object]) -> None:
        """Let nodes that do not run wait for nothing and read nothing."""
        for node, outcome in settled.items():
            self.outcomes[node] = outcome
        self._left -= len(settled)
        if not self._left:
            self._inputs = [()] * len(settled)
            self._successors = self._inputs
            return
        idle = settled.keys() | loaded.keys()
        done = settled.keys()
        self._inputs = [
            () if node in idle else slots if not done else tuple([slot for slot in slots if slot not in done])
            for node, slots in enumerate(self.graph.inputs)
        ]
        self._successors = [
            [each for each in readers if each not in idle] if readers else () for readers in self.graph.successors
        ]

    def _conclude(self, node: int, outcome: Outcome, value: Any) -> None:
        """Take over a good outcome, with the lock held."""
        self.outcomes[node] = outcome
        self._left -= 1
        self._running -= 1
        if self._readers[node]:
            self.values[node] = value
        del value
        self._release_inputs(node)
        waiting = self._waiting
        for successor in self._successors[node]:
            waiting[successor] -= 1
            if not waiting[successor]:
                heappush(self._ready, self._priority[successor])

    def _pop(self) -> NodeTask | None:
        if self._stopping:
            return None
        if self._delayed and self._delayed[0][0] <= time.monotonic():
            self._running += 1
            return heappop(self._delayed)[2]
        if self._ready:
            self._running += 1
            return NodeTask(self, self._node_at[heappop(self._ready)], 1)
        return None

    def _pop_and_wake(self) -> NodeTask | None:
        task = self._pop()
        if self._idle:
            if self._over():
                self._changed.notify_all()
            elif self._ready:
                self._changed.notify()
        return task

    def _over(self) -> bool:
        # A worker without work stays while others run: what they finish, or have to try again, may be its next task.
        return self._stopping or not self._left or not (self._running or self._ready or self._delayed)

    def _release_inputs(self, node: int) -> None:
        count = len(self.outcomes)
        for slot in self._inputs[node]:
            if slot < count:
                self._readers[slot] -= 1
                if not self._readers[slot]:
                    self.values[slot] = None

    def _report_unsuccessful(self, task: NodeTask, outcome: Outcome) -> NodeTask | None:
        node = task.index
        outcome.value = None
        outcome.started = self._first_start.setdefault(node, outcome.started)
        error = outcome.error
        self._untried.pop(node, None)
        if outcome.state is State.FAILED and error is not None and self._retry(task, outcome, error):
            with self._lock:
                self._running -= 1
                return self._pop_and_wake()
        if error is not None and not isinstance(error, Exception) and outcome.state is State.CANCELLED:
            self.interrupted = self.interrupted or error
        if self.emit is not None:
            self._emit_finished(outcome)
        with self._lock:
            self.outcomes[node] = outcome
            self._left -= 1
            self._running -= 1
            self._release_inputs(node)
            if outcome.state is State.CANCELLED or self._on_error[node] is OnError.FAIL_FAST:
                self._stopping = True
        self._skip_dependants(node, outcome.state)
        with self._lock:
            return self._pop_and_wake()

    def _retry(self, task: NodeTask, outcome: Outcome, error: BaseException) -> bool:
        retry = self._retries[task.index]
        if retry is None or not retry.enabled or task.attempt >= retry.max_attempts or self._stopping:
            return False
        if not can_pass(error, retry):
            return False
        delay = delay_after(task.attempt, retry, self._random)
        if self.emit is not None:
            now = time.monotonic_ns()
            wall = self.wall_offset + now / 1e9
            self.emit(NodeRetried(self.run_id, now, wall, task.node.name, task.attempt, delay, error))
        again = NodeTask(self, task.index, task.attempt + 1)
        with self._lock:
            self._untried[task.index] = outcome
            heappush(self._delayed, (time.monotonic() + delay, self._priority[task.index], again))
        return True

    def _skip_dependants(self, node: int, state: State) -> None:
        word = "failed" if state is State.FAILED else f"was {state.value}"
        reason = f"'{self.graph.nodes[node].name}', which it needs, {word}"
        # What lies behind a settled node is settled too, so each node is looked at once, however many fail.
        todo = [node]
        while todo:
            below = self._successors[todo.pop()]
            todo += [dependant for dependant in below if self._settle(dependant, State.SKIPPED, reason)]

    def _settle(self, node: int, state: State, reason: str) -> bool:
        """Give a node that never started its outcome; whether it had none yet."""
        return self._record(node, Outcome(self.graph.nodes[node].name, state, attempts=0, reason=reason))

    def _record(self, node: int, outcome: Outcome) -> bool:
        with self._lock:
            if self.outcomes[node] is not None:
                return False
            self.outcomes[node] = outcome
            self._left -= 1
            self._release_inputs(node)
        if self.emit is not None:
            self._emit_finished(outcome)
        return True

    def _emit_finished(self, outcome: Outcome) -> None:
        at = outcome.finished or time.monotonic_ns()
        self.emit(NodeFinished(self.run_id, at, self.wall_offset + at / 1e9, outcome.node, outcome))  # type: ignore[misc]
