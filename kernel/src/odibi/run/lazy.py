"""What nodes of a lazy engine need around their work: a session from the first step on, and frames that are kept.

See :class:`odibi.contracts.engine.LazyEngine`.
"""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from odibi.errors import OdibiError
from odibi.events import NodeProgressed
from odibi.run.context import NodeContext

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from odibi.contracts.engine import LazyEngine, Progress
    from odibi.run.frames import Frames
    from odibi.run.resources import Resources
    from odibi.run.task import NodeTask


def is_lazy(resources: Resources, engine: str | None) -> bool:
    """Whether the frames of the engine are recipes; it need not be built, or imported, to say so."""
    if engine is None:
        return False
    try:
        return resources.host.capability("engine", engine, "lazy").is_there
    except (OdibiError, ValueError):
        return False  # that it is not there, or broken, is told where it is needed


def open_session(task: NodeTask, context: NodeContext) -> None:
    """Open the node's session before anything else, and pass on what it tells of its progress."""
    queue, node = task.queue, task.node.name
    watch = getattr(context.session, "watch", None)
    if watch is None or queue.emit is None:
        return

    def tell(progress: Progress) -> None:
        if queue.emit is not None:
            now = monotonic_ns()
            wall = queue.wall_offset + now / 1e9
            queue.emit(
                NodeProgressed(
                    queue.run_id, now, wall, node, progress.done, progress.total, progress.unit, progress.detail
                )
            )

    watch(tell)


def retained(engine: LazyEngine, frame: Any, uses: int, inputs: Iterable[Any], frames: Frames, name: str) -> Any:
    """The frame, kept by its engine for as many uses; with the inputs that are frames of the same engine."""
    own = [value for value in inputs if frames.engine_of(value) == name]
    return engine.retain(frame, uses=uses, inputs=own)


class LazyCall:
    """A node that does nothing but call its function, on a lazy engine.

    Args:
        body: calls it.
        engine: the node's.
        uses: how many nodes, and askers, will want the rows of its result.
        slots: of its inputs.
        resources: builds the engine.
        frames: knows which engine a value belongs to.
    """

    def __init__(
        self,
        body: Callable[[NodeTask], Any],
        engine: str,
        uses: int,
        slots: tuple[int, ...],
        resources: Resources,
        frames: Frames,
    ) -> None:
        self._body = body
        self._engine = engine
        self._uses = uses
        self._slots = slots
        self._resources = resources
        self._frames = frames

    def __call__(self, task: NodeTask) -> Any:
        """Call the function within a session of the engine."""
        engine: Any = self._resources.engine(self._engine)
        context = NodeContext(task, engine, self._frames, {})
        try:
            open_session(task, context)
            value = self._body(task)
            if self._frames.engine_of(value) != self._engine:
                return value
            inputs = [task.queue.values[slot] for slot in self._slots]
            return retained(engine, value, self._uses, inputs, self._frames, self._engine)
        finally:
            context.close()
