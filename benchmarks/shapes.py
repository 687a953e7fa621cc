"""The graphs that are measured, and what no scheduler can beat on them."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from heapq import heappop, heappush

import attrs

Inputs = Sequence[tuple[int, ...]]


@attrs.frozen
class Shape:
    """A graph without names: every node comes after its inputs.

    Attributes:
        name: what it looks like.
        inputs: for each node the nodes whose values it takes.
        seconds: for each node how long it sleeps; empty for nodes that do nothing.
    """

    name: str
    inputs: Inputs = attrs.field(repr=False)
    seconds: Sequence[float] = attrs.field(default=(), repr=False)

    def __len__(self) -> int:
        return len(self.inputs)

    def names(self) -> list[str]:
        return [f"n{at}" for at in range(len(self))]

    def successors(self) -> list[list[int]]:
        after: list[list[int]] = [[] for _ in self.inputs]
        for node, inputs in enumerate(self.inputs):
            for source in inputs:
                after[source].append(node)
        return after

    def leaves(self) -> list[int]:
        """The nodes that nothing reads."""
        read = {source for inputs in self.inputs for source in inputs}
        return [node for node in range(len(self)) if node not in read]

    def levels(self) -> list[list[int]]:
        """The nodes by the longest way to them: what an executor with a barrier runs at once."""
        level: list[int] = []
        rows: list[list[int]] = []
        for node, inputs in enumerate(self.inputs):
            level.append(max((level[source] + 1 for source in inputs), default=0))
            if level[node] == len(rows):
                rows.append([])
            rows[level[node]].append(node)
        return rows

    def remaining(self, weights: Sequence[float]) -> list[float]:
        """For each node the length of the longest path that starts with it."""
        length = list(weights)
        for node in reversed(range(len(self))):
            for source in self.inputs[node]:
                length[source] = max(length[source], weights[source] + length[node])
        return length


def chain(count: int) -> Shape:
    """Each node takes the value of the one before."""
    return Shape("chain", [() if at == 0 else (at - 1,) for at in range(count)])


def wide(count: int) -> Shape:
    """No node takes anything."""
    return Shape("wide", [()] * count)


def diamond(count: int) -> Shape:
    """Diamonds in a row: one node, two that take it, one that takes both and begins the next."""
    inputs: list[tuple[int, ...]] = [()]
    while len(inputs) < count:
        top = len(inputs) - 1
        inputs += [(top,), (top,), (top + 1, top + 2)]
    return Shape("diamond", inputs[:count])


def layered(count: int, levels: int = 20, seed: int = 1) -> Shape:
    """Levels of equal size; each node takes one to three of the level above."""
    chosen = random.Random(seed)
    width = max(1, count // levels)
    inputs: list[tuple[int, ...]] = []
    for at in range(count):
        level = min(at // width, levels - 1)
        above = range((level - 1) * width, level * width) if level else range(0)
        inputs.append(tuple(sorted(chosen.sample(above, min(len(above), chosen.randint(1, 3))))) if level else ())
    return Shape("layered", inputs)


def comb(teeth: int, leaves: int) -> Shape:
    """One long chain; each of its nodes also feeds some leaves, which are written before the chain goes on."""
    inputs: list[tuple[int, ...]] = [()]
    back = 0
    for _ in range(teeth - 1):
        inputs += [(back,)] * (leaves + 1)
        back = len(inputs) - 1
    return Shape("comb", inputs)


def late_chain(links: int, leaves: int) -> Shape:
    """Many leaves without inputs, and after them, as written, one long chain."""
    first = leaves
    return Shape("late chain", [()] * (leaves + 1) + [(first + at,) for at in range(links - 1)])


def bursts(count: int, width: int) -> Shape:
    """One node, many that take it, one that takes all of these, and so on: workers idle, and must all wake at once."""
    inputs: list[tuple[int, ...]] = [()]
    for _ in range(count):
        top = len(inputs) - 1
        inputs += [(top,)] * width
        inputs.append(tuple(range(top + 1, top + 1 + width)))
    return Shape("bursts", inputs)


def ragged(shape: Shape, shortest: float, longest: float, seed: int = 1) -> Shape:
    """The same graph with nodes that sleep; in seconds, evenly drawn."""
    drawn = random.Random(seed)
    return attrs.evolve(shape, seconds=[drawn.uniform(shortest, longest) for _ in range(len(shape))])


SHAPES: dict[str, Callable[[int], Shape]] = {"chain": chain, "wide": wide, "diamond": diamond, "layered": layered}


def lower_bound(shape: Shape, seconds: Sequence[float], workers: int) -> float:
    """What no schedule can beat: the longest path, or all the work evenly spread."""
    return max(*shape.remaining(seconds), sum(seconds) / workers)


def simulate(shape: Shape, seconds: Sequence[float], workers: int, urgency: Sequence[float] | None) -> float:
    """The makespan of a list schedule that costs nothing.

    Args:
        shape: what to run.
        seconds: how long each node takes.
        workers: how many nodes may run at once.
        urgency: the ready node with the highest goes first; ``None`` for first in, first out.
    """
    after = shape.successors()
    waiting = [len(inputs) for inputs in shape.inputs]
    arrivals = 0
    ready: list[tuple[float, int]] = []
    running: list[tuple[float, int]] = []
    now = 0.0

    def arrive(node: int) -> None:
        nonlocal arrivals
        arrivals += 1
        heappush(ready, (float(arrivals) if urgency is None else -urgency[node], node))

    for node, left in enumerate(waiting):
        if not left:
            arrive(node)
    while ready or running:
        while ready and len(running) < workers:
            _, node = heappop(ready)
            heappush(running, (now + seconds[node], node))
        now, done = heappop(running)
        for successor in after[done]:
            waiting[successor] -= 1
            if not waiting[successor]:
                arrive(successor)
    return now
