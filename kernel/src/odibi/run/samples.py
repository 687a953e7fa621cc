"""Some rows of the nodes' frames, for people to look at: taken only if an observer asks for them."""

from __future__ import annotations

import logging
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from odibi.events import RowsSampled
from odibi.redact import MASK
from odibi.run.lazy import is_lazy
from odibi.run.sensitive import declared, joined

if TYPE_CHECKING:
    from collections.abc import Mapping

    from odibi.contracts.engine import Engine
    from odibi.plan import Plan
    from odibi.run.frames import Frames
    from odibi.run.resources import Resources
    from odibi.run.task import Body, NodeTask

_log = logging.getLogger("odibi.run")


class Samples:
    """Takes samples of one run's frames.

    Values of a sensitive column stay masked under its name in every node downstream. What a step renames or computes
    from it is a new column, which its own node has to call sensitive.

    Args:
        plan: of the run.
        resources: has the engines.
        frames: knows which engine a value is of.
        rows: how many of each frame.
    """

    def __init__(self, plan: Plan, resources: Resources, frames: Frames, rows: int) -> None:
        self._plan, self._resources, self._frames, self._rows = plan, resources, frames, rows
        self._lazy: dict[str, bool] = {}
        self._declared = declared(plan.graph)
        self._seen: dict[int, frozenset[str]] = {}

    def around(self, body: Body) -> Body:
        """A body that shows what it returns; for nodes whose value is all that there is to see."""

        def sampled(task: NodeTask) -> Any:
            value = body(task)
            name = self._frames.engine_of(value)
            if name is not None:
                self.take(task, "result", value, self._resources.engine(name), name)
            return value

        return sampled

    def take(self, task: NodeTask, step: str, frame: Any, engine: Engine, name: str) -> None:
        """Tell of some rows of a frame; whatever goes wrong with that does not touch the node.

        Args:
            task: whose frame it is.
            step: after which part of the node, as :class:`~odibi.events.RowsSampled` has it.
            frame: of the engine ``engine`` of this ``name``.
        """
        queue = task.queue
        if queue.emit is None or frame is None or self._is_lazy(name):
            return
        try:
            info = engine.inspect(frame)
            rows = engine.sample(frame, self._rows)
            masked = self._masks(task.index, frozenset(column.name for column in info.schema))
            shown = [_masked(row, masked) for row in rows]
        except Exception:
            _log.debug("no sample of node '%s' could be taken", task.node.name, exc_info=True)
            return
        now = monotonic_ns()
        wall = queue.wall_offset + now / 1e9
        queue.emit(RowsSampled(queue.run_id, now, wall, task.node.name, step, shown, info.schema, info.rows))

    def _is_lazy(self, name: str) -> bool:
        known = self._lazy.get(name)
        if known is None:
            known = self._lazy[name] = is_lazy(self._resources, name)
        return known

    def _masks(self, index: int, columns: frozenset[str]) -> frozenset[str]:
        """The columns of a node's frame to mask.

        Args:
            index: the node's.
            columns: all columns of its frame.
        """
        graph = self._plan.graph
        own = graph.nodes[index].sensitive
        above = [self._seen.get(slot, self._declared[slot]) for slot in graph.inputs[index] if slot < len(graph)]
        names = None if own is True else joined(own or (), above)
        # Where all is sensitive, nodes downstream mask by name what was seen here.
        self._seen[index] = self._seen.get(index, frozenset()) | (columns if names is None else names)
        return columns if names is None else columns & names


def _masked(row: Mapping[str, Any], masked: frozenset[str]) -> dict[str, Any]:
    return {name: MASK if name in masked else value for name, value in row.items()}
