"""Executor: takes ready tasks and runs them where it likes."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from odibi.contracts.engine import FrameInfo
    from odibi.contracts.format import WriteReport
    from odibi.model import Node


class State(str, Enum):
    """What became of a node in a run."""

    SUCCEEDED = "succeeded"
    REUSED = "reused"
    """The cache held its result."""
    RESTORED = "restored"
    """An interrupted run had finished it, and its result is still there."""
    FAILED = "failed"
    SKIPPED = "skipped"
    """An input failed, so it never started."""
    CANCELLED = "cancelled"
    """The run ended before it did."""

    @property
    def good(self) -> bool:
        """Whether the node's result can be used."""
        return self in (State.SUCCEEDED, State.REUSED, State.RESTORED)


@attrs.frozen
class Usage:
    """What an attempt at a node took.

    Attributes:
        cpu: seconds of processor time of the thread that ran it. What an engine does on threads of its own, or in
            another process, is not in it.
        memory: the most bytes that the whole process held in memory while it ran, looked at every
            20 ms; ``None`` where the system does not tell. What ran beside it is in it.
    """

    cpu: float
    memory: int | None = None


@attrs.define
class Outcome:
    """What became of one node. Complete when it is reported; not changed afterwards.

    Attributes:
        node: the node's name.
        state: see :class:`State`.
        value: when it is reported, a reference to the result in the executor's own terms (the result itself, for
            executors that work in this process). The work queue takes it over and leaves ``None``.
        error: why it failed; ``None`` otherwise.
        attempts: how often it was tried; 0 if it never started.
        started, finished: nanoseconds on the monotonic clock; 0 if it never started.
        worker: who ran it.
        info: rows and schema of the result, where it is a frame.
        write: what was written.
        reason: why it never started, in words; empty if it did.
        warnings: sentences for people: validation rules that only warn, and their like.
        quarantined: rows that validation set aside.
        kept: under which label the cache keeps the result; empty if it does not.
        usage: what its last attempt took; ``None`` if no observer asked, or it did not run here.
    """

    node: str
    state: State
    value: Any = None
    error: BaseException | None = None
    attempts: int = 1
    started: int = 0
    finished: int = 0
    worker: str = ""
    info: FrameInfo | None = None
    write: WriteReport | None = None
    reason: str = ""
    warnings: Sequence[str] = ()
    quarantined: int = 0
    kept: str = ""
    usage: Usage | None = None

    @property
    def duration(self) -> float:
        """Seconds from its first start to its end, waits between attempts included."""
        return (self.finished - self.started) / 1e9


class Task(Protocol):
    """One attempt at one node, ready to be run.

    An executor in this process calls :meth:`run`. One that runs elsewhere sends :attr:`node` and :attr:`inputs` (its
    own references) there, and gives back what came of it.
    """

    node: Node
    attempt: int
    """1 for the first."""

    @property
    def inputs(self) -> Mapping[str, Any]:
        """Input name to the reference under which the executor reported its value."""
        ...

    def run(self) -> Outcome:
        """Run it here and now. Never raises an ordinary exception: a failure is an outcome."""
        ...


class Work(Protocol):
    """The work queue of one run, as an executor sees it. Safe to use from many threads."""

    def take(self, *, wait: bool = True) -> Task | None:
        """The ready task that should run first.

        Args:
            wait: block until one is ready. Without it, ``None`` may mean "not now".

        Returns:
            ``None`` when nothing is left to start: the worker may go.
        """
        ...

    def report(self, task: Task, outcome: Outcome) -> Task | None:
        """Say what became of ``task``; every task taken must be reported once.

        Returns:
            The task that this worker should carry on with, already taken; ``None`` to call :meth:`take`.
        """
        ...

    def finished(self) -> bool:
        """Whether every node has its outcome."""
        ...

    def ready(self) -> int:
        """How many tasks wait to be taken, retries that are not due yet included; a hint for starting workers."""
        ...

    def abandon(self, error: BaseException) -> None:
        """Say that the executor itself cannot go on; every :meth:`take` returns ``None`` from now on."""
        ...


@runtime_checkable
class Executor(Protocol):
    """Runs tasks.

    Promises:
        * :meth:`drain` returns once every task it took was reported, and leaves no thread or process of its own with
          work in flight, except tasks that were given up on at their timeout.
        * Values stay where they were made until somebody needs them (:meth:`fetch`).
        * An error of the work queue itself comes out of :meth:`drain`, or is handed to :meth:`Work.abandon`.
    """

    def drain(self, work: Work) -> None:
        """Take tasks and report outcomes until :meth:`Work.take` says that nothing is left."""
        ...

    def fetch(self, ref: Any) -> Any:
        """The value behind a reference that this executor reported."""
        ...

    def close(self) -> None:
        """Let go of workers; may be called twice."""
        ...
