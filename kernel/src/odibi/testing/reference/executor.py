"""An executor that runs one task after another: for tests, and as an example of the contract."""

from __future__ import annotations

from collections.abc import Mapping  # the host looks up the fields' types at run time
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

if TYPE_CHECKING:
    from odibi.contracts.executor import Outcome, Task, Work


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
