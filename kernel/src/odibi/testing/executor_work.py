"""The work that the tests of executors hand out: graphs, a queue that watches its rules, and what the nodes do."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import attrs

from odibi.contracts.executor import Outcome, State
from odibi.model import Node

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

PATIENCE = 40.0
"""Seconds after which a test gives up waiting."""

_LOOK = 0.005


# --- what nodes do; importable, so that they can run anywhere ---------------------------------------------------------


def total(folder: str, name: str, weight: int, **inputs: int) -> int:
    """A number that depends on every input, and a mark in the folder that it was computed."""
    mark(folder, name)
    return add_up(weight, inputs)


def add_up(weight: int, inputs: Mapping[str, int]) -> int:
    """The number."""
    return weight + sum(inputs[name] * at for at, name in enumerate(sorted(inputs), 2)) % 1_000_003


def give(value: Any) -> Any:
    """What it is told to."""
    return value


def same(**inputs: Any) -> Any:
    """Its only input."""
    (value,) = inputs.values()
    return value


def mark(folder: str, name: str) -> None:
    """Leave a mark that a node was run."""
    Path(folder, f"{name}.{uuid4().hex}").touch()


def marks(folder: str | Path, name: str) -> int:
    """How many marks a node left."""
    return len(list(Path(folder).glob(f"{name}.*")))


def meet(folder: str, name: str, count: int, **inputs: Any) -> bool:
    """Wait until ``count`` nodes are in the folder at the same time; whether they came."""
    assert inputs is not None
    mark(folder, f"meet-{name}")
    deadline = time.monotonic() + PATIENCE / 2
    while marks(folder, "meet-*") < count:
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK)
    return True


def wait_for(folder: str, name: str, **inputs: Any) -> bool:
    """Wait until a node has left its mark; whether it did."""
    assert inputs is not None
    deadline = time.monotonic() + PATIENCE / 2
    while not marks(folder, name):
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK)
    return True


def note(folder: str, name: str, **inputs: Any) -> str:
    """Leave a mark."""
    assert inputs is not None
    mark(folder, name)
    return name


class Unusual(BaseException):
    """An error that is no ``Exception``, as some libraries have for being cancelled."""


ERRORS: Mapping[str, type[BaseException]] = {
    error.__name__: error
    for error in (
        ValueError,
        KeyError,
        TimeoutError,
        EOFError,
        BrokenPipeError,
        StopIteration,
        AssertionError,
        RecursionError,
        MemoryError,
        SystemExit,
        Unusual,
    )
}
"""By name, so that it can be sent anywhere."""


def fail(folder: str, name: str, error: str, **inputs: Any) -> None:
    """Leave a mark, and raise."""
    assert inputs is not None
    mark(folder, name)
    raise ERRORS[error](f"{name} went wrong")


def fail_at_first(folder: str, name: str, times: int) -> int:
    """Fail so often; then say how often it was run."""
    mark(folder, name)
    run = marks(folder, name)
    if run <= times:
        raise ConnectionError(f"attempt {run}")
    return run


# --- the queue --------------------------------------------------------------------------------------------------------


def node(name: str, function: Callable[..., Any], /, *inputs: str, **params: Any) -> Node:
    """A node that calls a function with its inputs, by their names, and with its parameters."""
    return Node(name, depends_on=inputs, function=function, params=params)


class StrictTask:
    """What :class:`odibi.contracts.executor.Task` promises."""

    def __init__(self, work: StrictWork, node_: Node, attempt: int) -> None:
        self._work = work
        self.node = node_
        self.attempt = attempt
        self._runs = 0

    def __repr__(self) -> str:
        return f"<task of '{self.node.name}', attempt {self.attempt}>"

    @property
    def inputs(self) -> Mapping[str, Any]:
        """Input name to the reference under which its value was reported."""
        return {name: self._work.refs[name] for name in self.node.depends_on}

    def run(self) -> Outcome:
        """Run it here and now: a reference of an executor in this process is the value itself."""
        self._runs += 1
        if self._runs > 1:
            self._work.wrong.append(f"{self} was run {self._runs} times")
        self._work.entered(1)
        begin = time.monotonic_ns()
        worker = threading.current_thread().name
        name = self.node.name
        try:
            assert callable(self.node.function)
            value = self.node.function(**self.inputs, **self.node.params)
        except BaseException as error:
            stop = isinstance(error, KeyboardInterrupt)
            state = State.CANCELLED if stop else State.FAILED
            return Outcome(name, state, None, error, self.attempt, begin, time.monotonic_ns(), worker)
        finally:
            self._work.entered(-1)
        return Outcome(name, State.SUCCEEDED, value, None, self.attempt, begin, time.monotonic_ns(), worker)


@attrs.define(eq=False)
class StrictWork:
    """What :class:`odibi.contracts.executor.Work` promises, for a graph; it keeps a list of what was done wrong.

    Attributes:
        nodes: in an order in which each comes after its inputs.
        retries: how often a node may be tried again.
        delay: seconds before it is.
        fail_fast: whether nothing is started after a failure.
        hint: what :meth:`ready` says in place of the truth.
        trip: called with ``"take"`` or ``"report"`` at each such call, with no lock held; it may raise.
        refs: the reference that was reported for each node.
        outcomes: of each node that has one.
        taken: every task that was handed out.
        wrong: what the executor did that it must not, in words.
        abandoned: what the executor said why it cannot go on.
        interrupted: the error of a node that was cancelled.
    """

    nodes: Sequence[Node]
    retries: Mapping[str, int] = attrs.field(factory=dict)
    delay: float = 0.02
    fail_fast: bool = False
    hint: int | None = None
    trip: Callable[[str], object] | None = None
    refs: dict[str, Any] = attrs.field(factory=dict, init=False)
    outcomes: dict[str, Outcome] = attrs.field(factory=dict, init=False)
    taken: list[StrictTask] = attrs.field(factory=list, init=False)
    wrong: list[str] = attrs.field(factory=list, init=False)
    abandoned: BaseException | None = attrs.field(default=None, init=False)
    interrupted: BaseException | None = attrs.field(default=None, init=False)
    _held: set[StrictTask] = attrs.field(factory=set, init=False)
    _reported: set[StrictTask] = attrs.field(factory=set, init=False)
    _known: set[int] = attrs.field(factory=set, init=False)
    _seen: list[tuple[Outcome, Outcome]] = attrs.field(factory=list, init=False)
    _inside: int = attrs.field(default=0, init=False)
    _stopping: bool = attrs.field(default=False, init=False)
    _drained: bool = attrs.field(default=False, init=False)
    _changed: threading.Condition = attrs.field(factory=lambda: threading.Condition(threading.RLock()), init=False)
    _ready: list[Node] = attrs.field(factory=list, init=False)
    _delayed: list[tuple[float, Node, int]] = attrs.field(factory=list, init=False)
    _waiting: dict[str, set[str]] = attrs.field(factory=dict, init=False)
    _readers: dict[str, list[Node]] = attrs.field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self._readers = {each.name: [] for each in self.nodes}
        for each in self.nodes:
            for name in each.depends_on:
                self._readers[name].append(each)
            self._waiting[each.name] = set(each.depends_on)
        self._ready = [each for each in self.nodes if not each.depends_on]

    # --- what the executor sees ---

    def take(self, *, wait: bool = True) -> StrictTask | None:
        """The next task; see the contract."""
        if self.trip is not None:
            self.trip("take")
        with self._changed:
            self._late("take")
            while True:
                task = self._pop()
                if task is not None or not wait or self._over():
                    return task
                due = min((at for at, *_ in self._delayed), default=None)
                self._changed.wait(None if due is None else max(0.0, due - time.monotonic()))

    def report(self, task: StrictTask, outcome: Outcome) -> StrictTask | None:
        """What became of a task; see the contract."""
        if self.trip is not None:
            self.trip("report")
        with self._changed:
            self._late(f"report of {task}")
            self._look_at(task, outcome)
            value, outcome.value = outcome.value, None
            self._seen.append((outcome, attrs.evolve(outcome)))
            self._known.add(id(outcome))
            self._reported.add(task)
            self._conclude(task, outcome, value)
            following = self._pop()
            self._changed.notify_all()
            return following

    def finished(self) -> bool:
        """Whether every node has its outcome."""
        with self._changed:
            return len(self.outcomes) == len(self.nodes)

    def ready(self) -> int:
        """A hint, which may be wrong."""
        with self._changed:
            return len(self._ready) + len(self._delayed) if self.hint is None else self.hint

    def abandon(self, error: BaseException) -> None:
        """The executor cannot go on."""
        with self._changed:
            self.abandoned = self.abandoned or error
            self._stopping = True
            self._changed.notify_all()

    # --- what the tests see ---

    def stop(self) -> None:
        """Hand out nothing more, as a run does that is cancelled."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def entered(self, change: int) -> None:
        """A task begins or ends to run in this process."""
        with self._changed:
            self._inside += change

    def over(self) -> None:
        """The executor says that it is done: from here on everything it does is wrong."""
        with self._changed:
            self._drained = True
            if self._inside:
                self.wrong.append(f"{self._inside} tasks still run after drain() has returned")
            lost = [task for task in self.taken if task not in self._reported]
            if lost:
                self.wrong.append(f"never reported: {lost}")

    def check(self) -> None:
        """Nothing was done wrong.

        Raises:
            AssertionError: something was.
        """
        with self._changed:
            changed = [was.node for now, was in self._seen if now != was]
            if changed:
                self.wrong.append(f"outcomes were changed after they were reported: {changed}")
            assert not self.wrong, "; ".join(self.wrong)

    # --- inside ---

    def _late(self, what: str) -> None:
        if self._drained:
            self.wrong.append(f"{what} after drain() has returned")

    def _look_at(self, task: StrictTask, outcome: Outcome) -> None:
        name = task.node.name
        if task not in self._held:
            self.wrong.append(f"{task} was reported, and never taken")
        if task in self._reported:
            self.wrong.append(f"{task} was reported twice")
        if outcome.node != name:
            self.wrong.append(f"{task} was reported with the outcome of {outcome.node!r}")
        if outcome.attempts != task.attempt:
            self.wrong.append(f"{task} was reported with {outcome.attempts} attempts")
        if id(outcome) in self._known:  # they are all kept, so that no two have one id
            self.wrong.append(f"{task} was reported with the outcome of another task")
        if outcome.state not in (State.SUCCEEDED, State.FAILED, State.CANCELLED):
            self.wrong.append(f"{task} was reported as {outcome.state.value}")
        if (outcome.state is State.SUCCEEDED) == (outcome.error is not None):
            self.wrong.append(f"{task} is reported as {outcome.state.value} with the error {outcome.error!r}")
        if not 0 < outcome.started <= outcome.finished:
            self.wrong.append(f"{task} ran from {outcome.started} to {outcome.finished} ns")

    def _conclude(self, task: StrictTask, outcome: Outcome, value: Any) -> None:
        name = task.node.name
        if outcome.state is State.FAILED and task.attempt <= self.retries.get(name, 0) and not self._stopping:
            self._delayed.append((time.monotonic() + self.delay, task.node, task.attempt + 1))
            return
        self.outcomes[name] = outcome
        if outcome.state.good:
            self.refs[name] = value
            for reader in self._readers[name]:
                waiting = self._waiting[reader.name]
                waiting.discard(name)
                if not waiting and reader.name not in self.outcomes:
                    self._ready.append(reader)
            return
        if outcome.state is State.CANCELLED:
            self.interrupted = outcome.error
        if self.fail_fast or outcome.state is State.CANCELLED:
            self._stopping = True
        todo = [name]
        while todo:
            for reader in self._readers[todo.pop()]:
                if reader.name not in self.outcomes:
                    self.outcomes[reader.name] = Outcome(reader.name, State.SKIPPED, attempts=0)
                    todo.append(reader.name)

    def _pop(self) -> StrictTask | None:
        if self._stopping:
            return None
        now = time.monotonic()
        due = next((each for each in self._delayed if each[0] <= now), None)
        if due is not None:
            self._delayed.remove(due)
            return self._hand_out(due[1], due[2])
        return self._hand_out(self._ready.pop(0), 1) if self._ready else None

    def _hand_out(self, node_: Node, attempt: int) -> StrictTask:
        task = StrictTask(self, node_, attempt)
        self.taken.append(task)
        self._held.add(task)
        return task

    def _over(self) -> bool:
        running = len(self.taken) > len(self._reported)
        return self._stopping or not (running or self._ready or self._delayed)


def states(work: StrictWork) -> dict[str, str]:
    """What became of each node that has an outcome."""
    return {name: outcome.state.value for name, outcome in work.outcomes.items()}


def names(nodes: Iterable[Node]) -> list[str]:
    """Of these nodes."""
    return [each.name for each in nodes]
