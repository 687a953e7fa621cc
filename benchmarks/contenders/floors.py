"""What running a graph costs without a framework."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from benchmarks.contenders import Job, Once, node_function


def bare(job: Job) -> Once:
    """A loop over the nodes that calls each with the values of its inputs; always with one worker."""
    inputs = job.shape.inputs
    functions = [node_function(job.shape, node) for node in range(len(inputs))]

    def once() -> None:
        values: list[int] = []
        for function, sources in zip(functions, inputs, strict=True):
            values.append(function(*[values[source] for source in sources]))

    return once


def pool(job: Job) -> Once:
    """A thread pool that is given each node when its last input is done: first in, first out."""
    inputs = job.shape.inputs
    after = job.shape.successors()
    functions = [node_function(job.shape, node) for node in range(len(inputs))]
    sources = [node for node, needed in enumerate(inputs) if not needed]

    def once() -> None:
        waiting = [len(needed) for needed in inputs]
        values = [0] * len(inputs)
        left = len(inputs)
        lock = threading.Lock()
        over = threading.Event()

        def run(node: int) -> None:
            nonlocal left
            values[node] = functions[node](*[values[source] for source in inputs[node]])
            ready = []
            with lock:
                left -= 1
                if not left:
                    over.set()
                for successor in after[node]:
                    waiting[successor] -= 1
                    if not waiting[successor]:
                        ready.append(successor)
            for successor in ready:
                executor.submit(run, successor)

        with ThreadPoolExecutor(job.workers) as executor:
            for node in sources:
                executor.submit(run, node)
            over.wait()

    return once


def levels(job: Job) -> Once:
    """A thread pool that runs one level after another, with a barrier between them."""
    inputs = job.shape.inputs
    functions = [node_function(job.shape, node) for node in range(len(inputs))]
    rows = job.shape.levels()

    def once() -> None:
        values = [0] * len(inputs)

        def run(node: int) -> None:
            values[node] = functions[node](*[values[source] for source in inputs[node]])

        with ThreadPoolExecutor(job.workers) as executor:
            for row in rows:
                list(executor.map(run, row))

    return once
