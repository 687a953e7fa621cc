"""Bodies of nodes whose results are kept: they look before they compute, and put away what they computed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from odibi.contracts.executor import State
from odibi.errors import OdibiError, TransformError
from odibi.events import NodeWarned
from odibi.model import CachePolicy
from odibi.plan import Action
from odibi.run.sensitive import withheld
from odibi.run.task import NodeTask, Produced

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from odibi.plan import Plan
    from odibi.run.flight import Flight, Flights
    from odibi.run.journal import Soundness
    from odibi.run.task import Body
    from odibi.run.values import Values


class Keeping:
    """The body of a node whose result is put into the cache.

    Of all who want the same result at the same time, here and on other machines, one computes it, unless the node does
    more than that.

    Args:
        at: the node.
        body: computes it.
        plan: with fingerprints.
        values: the cache.
        sound: whether what came out may be kept under its fingerprint.
        flights: for nodes that do nothing but compute; ``None`` for others.
    """

    def __init__(
        self, at: int, body: Body, plan: Plan, values: Values, sound: Soundness, flights: Flights | None
    ) -> None:
        self._at = at
        self._body = body
        self._key = plan.prints[at].value
        self._values = values
        policy = plan.graph.nodes[at].cache
        write = plan.graph.nodes[at].write
        self._always = policy is not None or (write is not None and bool(write.options))
        self._ttl = policy.ttl if isinstance(policy, CachePolicy) else None
        self._sound = sound
        self._flights = flights

    def __call__(self, task: NodeTask) -> Produced:
        """Compute it, or take what somebody else computed meanwhile."""
        if self._flights is None:
            return self._compute(task, None)
        with self._flights.flight(self._key, task.cancelled) as flight:
            if flight.landed:
                there, value = self._values.get(self._key)
                if there:
                    return Produced(value, state=State.REUSED, reason="it was computed elsewhere meanwhile")
            return self._compute(task, flight)

    def _compute(self, task: NodeTask, flight: Flight | None) -> Produced:
        made = self._body(task)
        produced = made if type(made) is Produced else Produced(made)
        if self._sound.of(self._at) and produced.value is not None and not self._is_written(produced):
            lease = flight.lease if flight is not None else None
            with self._values.session(task, produced.value):
                try:
                    produced.kept, produced.value = self._values.put(self._key, produced.value, self._ttl, lease)
                except TransformError as error:
                    if not (task.node.sensitive and error.quotes_data):
                        raise
                    raise withheld(task.node.name, "kept", error) from None
        return produced

    def _is_written(self, produced: Produced) -> bool:
        """Whether what the node wrote can stand for its result, so that it need not be kept twice."""
        return not self._always and produced.write is not None and produced.write.exact


class Loading:
    """The body of a node that does not run: gets its result from where it is kept.

    Where that turns out to be damaged or gone, the result is computed after all, with all that this takes.
    """

    def __init__(self, at: int, plan: Plan, bodies: Sequence[Body], stand_ins: Loaders) -> None:
        self._at = at
        self._plan = plan
        self._bodies = bodies
        self._loaders = stand_ins

    def __call__(self, task: NodeTask) -> Produced:
        """Load it."""
        state = State.RESTORED if self._plan.actions[self._at] is Action.RESTORE else State.REUSED
        there, value = self._loaders.load(self._at, self._plan.loads[self._at])
        if there:
            return Produced(value, state=state, reason=self._plan.reasons[self._at])
        if task.queue.emit is not None:
            now = time.monotonic_ns()
            task.queue.emit(
                NodeWarned(
                    task.queue.run_id,
                    now,
                    task.queue.wall_offset + now / 1e9,
                    task.node.name,
                    "its kept result is damaged or gone; it is computed again",
                )
            )
        return self._recompute(task)

    def _recompute(self, task: NodeTask) -> Produced:
        queue = _Aside(task.queue)
        made = Produced(None)
        for at in self._missing(queue):
            made_now = self._bodies[at](NodeTask(queue, at, 1))  # type: ignore[arg-type]
            made = made_now if type(made_now) is Produced else Produced(made_now)
            queue.values[at] = made.value
        return made

    def _missing(self, queue: _Aside) -> list[int]:
        """The nodes that have to be computed for this one's sake, in order; other results are loaded."""
        graph = self._plan.graph
        todo, wanted = [self._at], {self._at}
        while todo:
            for slot in graph.inputs[todo.pop()]:
                if slot >= len(graph) or slot in wanted or queue.values[slot] is not None:
                    continue
                where = self._plan.loads.get(slot) or self._plan.later.get(slot) or "cache"
                there, value = self._loaders.load(slot, where)
                if there:
                    queue.values[slot] = value
                else:
                    wanted.add(slot)
                    todo.append(slot)
        return [at for at in graph.order if at in wanted]


class _Aside:
    """A work queue as bodies see it, with values of its own: those of the run, and those worked out beside it."""

    def __init__(self, queue: Any) -> None:
        self._queue = queue
        self.values = list(queue.values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queue, name)


class Loaders:
    """Gets results of nodes from where they are kept.

    Args:
        plan: with fingerprints.
        values: the cache; ``None`` if there is none.
        read: reads what a node wrote.
    """

    def __init__(self, plan: Plan, values: Values | None, read: Callable[[int], Any]) -> None:
        self._plan = plan
        self._values = values
        self._read = read

    def load(self, at: int, where: str) -> tuple[bool, Any]:
        """Whether the result is there, and the result."""
        if where == "cache":
            return self._values.get(self._plan.prints[at].value) if self._values is not None else (False, None)
        try:
            return True, self._read(at)
        except OdibiError:
            return False, None
