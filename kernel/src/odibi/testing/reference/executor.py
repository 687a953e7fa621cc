"""Executors for tests, and as examples of the contract: one task after another, and with values that are elsewhere."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator, Mapping  # the host looks up the fields' types at run time
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from odibi.contracts.executor import Outcome, State
from odibi.contracts.options import option

if TYPE_CHECKING:
    from odibi.contracts.executor import Task, Work


@attrs.define
class SerialExecutor:
    """Runs one task after another, in the thread that called.

    What it ran stands in :attr:`ran`, in that order, for tests that ask which nodes were run and which were not.
    """

    capabilities: ClassVar[Mapping[str, str]] = {"parallel": "none"}

    ran: list[str] = attrs.field(factory=list, init=False, repr=False)
    """The names of the nodes, one for each attempt."""

    def drain(self, work: Work) -> None:
        """Take tasks and report outcomes until nothing is left."""
        task = work.take()
        while task is not None:
            task = work.report(task, self.run(task)) or work.take()

    def run(self, task: Task) -> Outcome:
        """Run one task."""
        self.ran.append(task.node.name)
        return task.run()

    def fetch(self, ref: Any) -> Any:
        """The value itself: it never left this process."""
        return ref

    def close(self) -> None:
        """Nothing to let go."""


@attrs.define
class TicketExecutor:
    """Runs tasks as one does that sends them away, on threads: what is reported is a ticket, and never the value.

    It calls the nodes' functions itself, so it runs nodes that are nothing but a function. Whoever takes a reference
    for a value fails with it at once.
    """

    capabilities: ClassVar[Mapping[str, str]] = {"in_process": "none"}

    workers: int = option(2, help="How many nodes may run at once.", validator=attrs.validators.ge(1))
    _values: dict[str, Any] = attrs.field(factory=dict, init=False, repr=False)
    _numbers: Iterator[int] = attrs.field(factory=itertools.count, init=False, repr=False)

    def drain(self, work: Work) -> None:
        """Take tasks and report outcomes until nothing is left."""
        threads = [threading.Thread(target=self._serve, args=(work,)) for _ in range(self.workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def fetch(self, ref: str) -> Any:
        """The value for a ticket."""
        return self._values[ref]

    def close(self) -> None:
        """Let go of all values."""
        self._values.clear()

    def _serve(self, work: Work) -> None:
        try:
            task = work.take()
            while task is not None:
                task = work.report(task, self._call(task)) or work.take()
        except BaseException as error:
            work.abandon(error)

    def _call(self, task: Task) -> Outcome:
        node, begin = task.node, time.monotonic_ns()
        try:
            if not callable(node.function):
                raise TypeError(f"'{node.name}' has no function to call")
            inputs = {name: self._values[ticket] for name, ticket in task.inputs.items()}
            ticket = f"{node.name}-{next(self._numbers)}"
            self._values[ticket] = node.function(**inputs, **node.params)
        except BaseException as error:
            return Outcome(node.name, State.FAILED, None, error, task.attempt, begin, time.monotonic_ns())
        return Outcome(node.name, State.SUCCEEDED, ticket, None, task.attempt, begin, time.monotonic_ns())
