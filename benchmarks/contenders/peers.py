"""Other frameworks, each used as its documentation says for a graph that stays in one process."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module

from benchmarks.contenders import Job, Once, node_function, own_function


def pipefunc(job: Job, strategy: str = "generation") -> Once:
    """``Pipeline.map``, which has a sequential mode and takes any executor."""
    library = import_module("pipefunc")
    names = job.shape.names()
    pipeline = library.Pipeline(
        [library.PipeFunc(own_function(job.shape, node), output_name=names[node]) for node in range(len(names))]
    )

    def once() -> None:
        if job.workers == 1:
            pipeline.map({}, parallel=False, storage="dict")
        else:
            with ThreadPoolExecutor(job.workers) as executor:
                pipeline.map({}, executor=executor, storage="dict", scheduling_strategy=strategy)

    return once


def pipefunc_eager(job: Job) -> Once:
    """The same, without its barrier between generations."""
    return pipefunc(job, "eager")


def hamilton(job: Job) -> Once:
    """A driver over a module of functions; for threads the adapter that submits each node to a pool."""
    os.environ["HAMILTON_TELEMETRY_ENABLED"] = "false"
    driver = import_module("hamilton.driver")
    module = import_module("hamilton.ad_hoc_utils").create_temporary_module(
        *[own_function(job.shape, node, annotated=True) for node in range(len(job.shape))]
    )
    if job.workers == 1:
        adapter = import_module("hamilton.base").DictResult()
    else:
        adapter = import_module("hamilton.plugins.h_threadpool").FutureAdapter(max_workers=job.workers)
    built = driver.Builder().with_modules(module).with_adapters(adapter).build()
    names = job.shape.names()
    wanted = [names[leaf] for leaf in job.shape.leaves()]

    def once() -> None:
        built.execute(wanted)

    return once


def dask(job: Job) -> Once:
    """A graph of tasks for dask's own schedulers of one process."""
    names = job.shape.names()
    graph = {
        names[node]: (node_function(job.shape, node), *[names[source] for source in inputs])
        for node, inputs in enumerate(job.shape.inputs)
    }
    wanted = [names[leaf] for leaf in job.shape.leaves()]
    if job.workers == 1:
        get_sync = import_module("dask").get
        return lambda: (get_sync(graph, wanted), None)[1]
    get = import_module("dask.threaded").get
    return lambda: (get(graph, wanted, num_workers=job.workers), None)[1]


def kedro(job: Job) -> Once:
    """A pipeline over data sets in memory, without its log."""
    import logging

    os.environ["DO_NOT_TRACK"] = "1"
    logging.disable(logging.WARNING)
    parts = import_module("kedro.pipeline")
    catalog = import_module("kedro.io").DataCatalog
    runners = import_module("kedro.runner")
    names = job.shape.names()
    pipeline = parts.Pipeline(
        [
            parts.node(
                node_function(job.shape, node),
                [names[source] for source in inputs] or None,
                names[node],
                name=names[node],
            )
            for node, inputs in enumerate(job.shape.inputs)
        ]
    )

    def once() -> None:
        runner = runners.SequentialRunner() if job.workers == 1 else runners.ThreadRunner(max_workers=job.workers)
        runner.run(pipeline, catalog())

    return once
