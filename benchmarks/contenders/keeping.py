"""Odibi with a cache and a checkpoint store, run again with nothing changed."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import odibi
from benchmarks.contenders import Job, Once
from benchmarks.contenders.program import FRAMES, checked, functions_of, load_program
from benchmarks.shapes import Shape, chain

Functions = Sequence[Callable[..., Any]]


def kept_pipeline(functions: Functions, job: Job) -> odibi.Pipeline:
    """A pipeline of these functions, with its stores in the job's folder."""
    return odibi.Pipeline(
        "benchmark",
        functions,
        engine="pandas" if job.values == FRAMES else None,
        cache={"type": "disk", "path": str(job.folder / "cache")},
        checkpoints={"type": "sqlite", "path": str(job.folder / "runs.db")},
    )


def _functions(job: Job) -> Functions:
    return functions_of(load_program(job.shape, job.values, job.folder), job.shape)


def again(job: Job) -> Once:
    """``Pipeline.run()`` of a pipeline that this process has run before."""
    functions = _functions(job)
    pipeline = kept_pipeline(functions, job)
    return checked(functions, lambda: (pipeline.run(workers=job.workers), None)[1])


def with_values(job: Job) -> Once:
    """The same, and the values of all leaves are asked for."""
    functions = _functions(job)
    pipeline = kept_pipeline(functions, job)
    names = job.shape.names()
    wanted = [names[leaf] for leaf in job.shape.leaves()]

    def once() -> None:
        result = pipeline.run(workers=job.workers)
        for name in wanted:
            if result[name] is None:
                raise AssertionError(f"'{name}' has no value")

    return checked(functions, once)


def anew(job: Job) -> Once:
    """The same with a new ``Pipeline`` each time: the stores are opened, and the code is looked at again."""
    functions = _functions(job)
    return checked(functions, lambda: (kept_pipeline(functions, job).run(workers=job.workers), None)[1])


def first(job: Job) -> Once:
    """The first run in a new process; ``inside`` is without imports, which a pipeline of two nodes does before."""
    again(job)
    told = {"inputs": job.shape.inputs, "workers": job.workers, "values": job.values, "folder": str(job.folder)}

    def once() -> Mapping[str, float]:
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.contenders.keeping"]
        done = subprocess.run(command, input=json.dumps(told), capture_output=True, text=True, check=True)
        found: dict[str, float] = json.loads(done.stdout)
        return found

    return once


def main() -> None:
    """The new process of :func:`first`."""
    told = json.load(sys.stdin)
    shape = Shape("", [tuple(each) for each in told["inputs"]])
    job = Job(shape, told["workers"], told["values"], Path(told["folder"]))
    with tempfile.TemporaryDirectory() as folder:
        again(Job(chain(2), job.workers, job.values, Path(folder)))
        functions = _functions(job)
        gc.collect()
        begin_cpu, begin = process_time(), perf_counter()
        result = kept_pipeline(functions, job).run(workers=job.workers)
        found = {"inside": perf_counter() - begin, "inside cpu": process_time() - begin_cpu}
    if result.counts() != {"reused": len(shape)}:
        raise AssertionError(f"nodes ran again: {result.counts()}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
