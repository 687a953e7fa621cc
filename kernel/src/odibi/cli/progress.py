"""Where each node of a run is, from its events."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from odibi.draw import place_of
from odibi.events import NodeFinished, NodeProgressed, NodeStarted, RunStarted, StepFinished
from odibi.model import Function, Operation, Sql

if TYPE_CHECKING:
    from collections.abc import Iterable

    from odibi.events import Event
    from odibi.model import Node, Step


class Running(NamedTuple):
    """A node that runs now.

    Attributes:
        node: its name.
        since: nanoseconds on the monotonic clock.
        step: what it is doing.
        attempt: 1 for the first.
        far: how far its engine says that it is.
    """

    node: str
    since: int
    step: str
    attempt: int
    far: str = ""


class Progress:
    """An observer of one run of one pipeline; may be asked from other threads at any time.

    Args:
        nodes: those that it may run; how many it does is known when it starts.
    """

    def __init__(self, nodes: Iterable[Node]) -> None:
        self._nodes = {node.name: node for node in nodes}
        self._running: dict[str, Running] = {}
        self._lock = Lock()
        self.total = len(self._nodes)
        self.workers = 0
        self.counts: dict[str, int] = {}
        self.failed_in: dict[str, str] = {}
        """For each node that failed, what it was doing."""

    def handle(self, event: Event) -> None:
        """Take one event."""
        with self._lock:
            if isinstance(event, RunStarted):
                self.workers = event.workers
                self.total = event.nodes
            elif isinstance(event, NodeStarted):
                step = self._part(event.node, 0)
                self._running[event.node] = Running(event.node, event.monotonic, step, event.attempt)
            elif isinstance(event, StepFinished) and event.node in self._running and not event.failed:
                parts = [part for part, _ in _parts(self._nodes[event.node])]
                done = (event.step, event.position)
                step = self._part(event.node, parts.index(done) + 1 if done in parts else 0)
                self._running[event.node] = self._running[event.node]._replace(step=step)
            elif isinstance(event, NodeProgressed) and event.node in self._running:
                far = f"{event.done:,} of {event.total:,} {event.unit}"
                self._running[event.node] = self._running[event.node]._replace(far=far)
            elif isinstance(event, NodeFinished):
                state = event.outcome.state.value
                running = self._running.pop(event.node, None)
                self.counts[state] = self.counts.get(state, 0) + 1
                if running is not None and state == "failed":
                    self.failed_in[event.node] = running.step

    def close(self) -> None:
        """Nothing to let go."""

    def running(self) -> list[Running]:
        """The nodes that run now, the longest running first."""
        with self._lock:
            return list(self._running.values())

    @property
    def done(self) -> int:
        """How many nodes have their outcome."""
        return sum(self.counts.values())

    def _part(self, name: str, place: int) -> str:
        parts = _parts(self._nodes[name]) if name in self._nodes else []
        return parts[place][1] if place < len(parts) else ""


def _parts(node: Node) -> list[tuple[tuple[str, int], str]]:
    """What a node does, in order: the step and position of its event, and words for it."""
    parts = []
    if node.read is not None:
        parts.append((("read", 0), f"read {place_of(node.read)}"))
    elif node.function is not None:
        parts.append((("function", 0), "function"))
    steps = node.transform.steps if node.transform is not None else ()
    for at, step in enumerate(steps):
        kind, words = _words(step)
        parts.append(((kind, at), words if len(steps) == 1 else f"step {at + 1} of {len(steps)}: {words}"))
    if node.validation is not None:
        parts.append((("validate", 0), "validate"))
    if node.write is not None:
        parts.append((("write", 0), f"write {place_of(node.write)}"))
    return parts


def _words(step: Step) -> tuple[str, str]:
    match step:
        case Sql():
            return "sql", "sql"
        case Operation():
            return "operation", step.operation
        case Function():
            name = step.function if isinstance(step.function, str) else getattr(step.function, "__name__", "function")
            return "function", f"function {name}"
