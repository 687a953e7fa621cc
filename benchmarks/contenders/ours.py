"""Odibi: the public ``Pipeline.run()``, from the plan to the result."""

from __future__ import annotations

from collections.abc import Mapping

import odibi
from benchmarks.contenders import Job, Once, node_function, own_function
from benchmarks.shapes import Shape


class Counting:
    """An observer that counts."""

    def __init__(self) -> None:
        self.events = 0

    def handle(self, event: object) -> None:
        """Count the event."""
        self.events += 1

    def close(self) -> None:
        """Nothing to let go."""


def nodes_of(shape: Shape, *, own: bool = False) -> list[odibi.Node]:
    """The graph's nodes; with ``own``, each with a function of its own."""
    names = shape.names()
    nodes = []
    for at, sources in enumerate(shape.inputs):
        inputs = tuple(names[source] for source in sources)
        if own:
            nodes.append(odibi.Node(names[at], depends_on=inputs, function=own_function(shape, at)))
        else:
            arguments = {f"p{place}": name for place, name in enumerate(inputs)}
            function = node_function(shape, at)
            nodes.append(odibi.Node(names[at], depends_on=inputs, function=function, arguments=arguments))
    return nodes


def _runner(job: Job, *, watched: bool, own: bool) -> Once:
    pipeline = odibi.Pipeline("benchmark", nodes_of(job.shape, own=own), engine=None)
    count = len(job.shape)

    def once() -> Mapping[str, float]:
        observers: list[Counting] = [Counting()] if watched else []
        result = pipeline.run(workers=job.workers, observers=observers)
        if watched and observers[0].events != 2 * count + 2:
            raise AssertionError(f"{observers[0].events} events of {count} nodes")
        return {"execute": result.duration}

    return once


def silent(job: Job) -> Once:
    """Nobody watches."""
    return _runner(job, watched=False, own=False)


def watched(job: Job) -> Once:
    """An observer is told every event, and has caught up before the run is over."""
    return _runner(job, watched=True, own=False)


def own_functions(job: Job) -> Once:
    """The same, and every node has a function of its own, as in a program."""
    return _runner(job, watched=True, own=True)
