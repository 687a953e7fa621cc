"""One attempt at one node."""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING, Any

import attrs

from odibi.contracts.executor import Outcome, State
from odibi.errors import Cancelled
from odibi.events import NodeStarted
from odibi.log import LEVELS, Bound, bound
from odibi.run.deadline import call_within

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from odibi.contracts.engine import FrameInfo, Session
    from odibi.contracts.executor import Usage
    from odibi.contracts.format import WriteReport
    from odibi.model import Node
    from odibi.run.queue import WorkQueue

    Body = Callable[["NodeTask"], Any]
    """Computes a node's value; returns it, or a :class:`Produced` with more to say."""


@attrs.define
class Produced:
    """A node's value with what is known about it; the fields are those of :class:`Outcome`."""

    value: Any
    info: FrameInfo | None = None
    write: WriteReport | None = None
    warnings: Sequence[str] = ()
    quarantined: int = 0
    kept: str = ""
    state: State = State.SUCCEEDED
    reason: str = ""
    usage: Usage | None = None


def logged(body: Body) -> Body:
    """A body whose lines in the log know whose they are, also on the thread that it has for its timeout."""

    def run(task: NodeTask) -> Any:
        node = task.node
        level = LEVELS.get((node.log_level or "").lower())
        token = bound.set(Bound(task.queue.run_id, node.name, task.attempt, level))
        try:
            return body(task)
        finally:
            bound.reset(token)

    return run


class NodeTask:
    """What :class:`odibi.contracts.executor.Task` promises.

    Made for every attempt at every node, so it holds no more than it must.
    """

    __slots__ = ("_given_up", "_inside", "_session", "attempt", "index", "queue")

    def __init__(self, queue: WorkQueue, index: int, attempt: int) -> None:
        self.queue = queue
        self.index = index
        self.attempt = attempt
        self._inside = False
        self._given_up = False
        self._session: Session | None = None

    def __lt__(self, other: NodeTask) -> bool:
        # Two retries that are due at the same moment have to be put in some order.
        return self.index < other.index

    def __repr__(self) -> str:
        return f"<task of node '{self.node.name}', attempt {self.attempt}>"

    @property
    def node(self) -> Node:
        """The node."""
        return self.queue.graph.nodes[self.index]

    @property
    def inputs(self) -> Mapping[str, Any]:
        """Input name to the reference under which its value was reported."""
        graph = self.queue.graph
        return {graph.name(slot): self.queue.values[slot] for slot in graph.inputs[self.index]}

    def cancelled(self) -> bool:
        """Whether this attempt should stop: the run was cancelled, or its time is up."""
        return self._given_up or self.queue.cancelled()

    def check(self) -> None:
        """Go on only if this attempt is still wanted, and the run still has the right to; asked before publishing.

        Raises:
            Cancelled: it is not.
            Conflict: another run has taken the pipeline's lock.
        """
        if self.cancelled():
            raise Cancelled("it was cancelled", where=f"node '{self.node.name}'")
        if self.queue.right is not None:
            self.queue.right()

    def hold(self, session: Session | None) -> None:
        """Remember the session that :meth:`interrupt` has to reach, or forget it."""
        self._session = session
        if session is None:
            self.queue.unwatch(self)
        else:
            self.queue.watch(self)

    def interrupt(self) -> None:
        """Ask a query that this task waits for to stop."""
        if self._session is not None:
            self._session.interrupt()

    def run(self) -> Outcome:
        """Run the attempt here and now; see :class:`odibi.contracts.executor.Task`."""
        queue = self.queue
        runner = queue.runner
        if runner is not None and not self._inside:
            # The plugins' wrappers end in this same method.
            self._inside = True
            begin = monotonic_ns()
            try:
                return runner(self)
            except BaseException as error:
                return self._failed(error, begin, queue.worker())
        index = self.index
        worker = queue.worker()
        name = queue.graph.nodes[index].name
        begin = monotonic_ns()
        if queue.emit is not None:
            queue.emit(NodeStarted(queue.run_id, begin, queue.wall_offset + begin / 1e9, name, self.attempt, worker))
        try:
            timeout = queue.timeouts[index]
            if timeout is None:
                value = queue.bodies[index](self)
            else:
                value = self._run_within(timeout)
        except BaseException as error:
            return self._failed(error, begin, worker)
        if type(value) is Produced:
            return Outcome(
                name,
                value.state,
                value.value,
                None,
                self.attempt,
                begin,
                monotonic_ns(),
                worker,
                value.info,
                value.write,
                value.reason,
                value.warnings,
                value.quarantined,
                value.kept,
                value.usage,
            )
        return Outcome(name, State.SUCCEEDED, value, None, self.attempt, begin, monotonic_ns(), worker)

    def _run_within(self, timeout: float) -> Any:
        return call_within(
            timeout,
            lambda: self.queue.bodies[self.index](self),
            name=self.node.name,
            interrupt=self._give_up,
        )

    def _give_up(self) -> None:
        self._given_up = True
        self.interrupt()

    def _failed(self, error: BaseException, begin: int, worker: str) -> Outcome:
        # SystemExit is a node that called sys.exit(): its own failure, not the end of this process.
        stop = isinstance(error, Cancelled | KeyboardInterrupt | GeneratorExit)
        if not stop and self.queue.cancelled():
            stop = True
        state = State.CANCELLED if stop else State.FAILED
        return Outcome(self.node.name, state, None, error, self.attempt, begin, monotonic_ns(), worker)
