"""A run that goes on while its caller does something else."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from odibi.errors import Cancelled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from odibi.events import Event
    from odibi.run.result import RunResult
    from odibi.run.run import Run


class EventLog:
    """An observer that keeps every event, for any number of readers, each from the first on."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._over = False
        self._changed = threading.Condition()

    def handle(self, event: Event) -> None:
        """Keep the event."""
        with self._changed:
            self._events.append(event)
            self._changed.notify_all()

    def close(self) -> None:
        """No more will come."""
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Event]:
        at = 0
        while True:
            with self._changed:
                while at == len(self._events) and not self._over:
                    self._changed.wait()
                if at == len(self._events):
                    return
                event = self._events[at]
            at += 1
            yield event


class RunHandle:
    """A started run.

    Args:
        run: the run.
        log: an observer of it.
        after: called when it is over, to let go of what it used.
    """

    def __init__(self, run: Run, log: EventLog, after: Callable[[], object] | None = None) -> None:
        self._run = run
        self._log = log
        self._after = after
        self._result: RunResult | None = None
        self._error: BaseException | None = None
        # Not a daemon: a process that ends waits for its nodes, as it waits for the threads they run on.
        self._thread = threading.Thread(target=self._execute, name=f"odibi-run-{run.run_id}")
        self._thread.start()

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self._run.run_id

    def events(self) -> Iterator[Event]:
        """Every event from the first to the last; waits for those still to come."""
        return iter(self._log)

    def cancel(self, *, running: bool = False) -> None:
        """Start no more nodes and let those that run finish; with ``running``, ask them to stop as well."""
        self._run.cancel(running=running)

    def done(self) -> bool:
        """Whether the run is over."""
        return not self._thread.is_alive()

    def result(self, timeout: float | None = None) -> RunResult:
        """What came of it.

        Args:
            timeout: seconds to wait for the end; ``None`` for as long as it takes.

        Raises:
            TimeoutError: it is not over yet; it goes on.
        """
        self._thread.join(timeout)
        if self._thread.is_alive():
            raise TimeoutError(f"run {self.run_id} is not over after {timeout:g} s")
        if self._error is not None:
            raise self._error
        if self._result is None:
            raise Cancelled(f"run {self.run_id} ended without a result")
        return self._result

    def _execute(self) -> None:
        try:
            self._result = self._run.execute()
        except BaseException as error:
            self._error = error
        finally:
            self._log.close()
            if self._after is not None:
                self._after()

    def __repr__(self) -> str:
        return f"<run {self.run_id}, {'over' if self.done() else 'running'}>"
