"""Those who run the same graph: Odibi, the floors of the machine, and other frameworks.

A contender is a function from a :class:`Job` to one that runs it once. What a framework does once for a graph (its
objects, its checks) belongs into the first, what it does for every run into the second. The second may return seconds
by name, which are recorded beside the time the run took.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import attrs

from benchmarks.shapes import Shape

Once = Callable[[], Mapping[str, float] | None]
"""Runs a job once."""


@attrs.frozen
class Job:
    """What is run.

    Attributes:
        shape: the graph.
        workers: how many nodes may run at once.
        values: what nodes give, for those who keep results; see :mod:`benchmarks.contenders.program`.
        folder: an empty folder of the contender's own.
    """

    shape: Shape
    workers: int
    values: str = "ints"
    folder: Path = Path()


@attrs.frozen
class Contender:
    """One who runs jobs.

    Attributes:
        name: as tables show it.
        home: ``module:function`` that builds a job, in this package.
        needs: the module without which it cannot be run.
        distribution: what to install for it.
    """

    name: str
    home: str
    needs: str | None = None
    distribution: str | None = None

    def missing(self) -> bool:
        return self.needs is not None and not is_installed(self.needs)

    def load(self) -> Callable[[Job], Once]:
        module, _, function = self.home.partition(":")
        return getattr(import_module(f"{__name__}.{module}"), function)  # type: ignore[no-any-return]


def is_installed(module: str) -> bool:
    """Whether a module can be imported; it is not."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


CONTENDERS = {
    it.name: it
    for it in (
        Contender("bare", "floors:bare"),
        Contender("pool", "floors:pool"),
        Contender("levels", "floors:levels"),
        Contender("odibi", "ours:silent"),
        Contender("odibi events", "ours:watched"),
        Contender("odibi own", "ours:own_functions"),
        Contender("pipefunc", "peers:pipefunc", "pipefunc", "pipefunc"),
        Contender("pipefunc eager", "peers:pipefunc_eager", "pipefunc", "pipefunc"),
        Contender("hamilton", "peers:hamilton", "hamilton", "sf-hamilton"),
        Contender("dask", "peers:dask", "dask", "dask"),
        Contender("kedro", "peers:kedro", "kedro", "kedro"),
        Contender("look-ups", "keepers:look_ups"),
        Contender("odibi again", "keeping:again"),
        Contender("odibi values", "keeping:with_values"),
        Contender("odibi anew", "keeping:anew"),
        Contender("odibi first", "keeping:first"),
        Contender("diskcache", "keepers:diskcache", "diskcache", "diskcache"),
        Contender("doit", "keepers:doit", "doit", "doit"),
        Contender("doit contents", "keepers:doit_contents", "doit", "doit"),
        Contender("joblib.Memory", "keepers:joblib", "joblib", "joblib"),
        Contender("hamilton cache", "keepers:hamilton", "hamilton", "sf-hamilton"),
        Contender("snakemake", "keepers:snakemake", "snakemake", "snakemake"),
    )
}
"""By name, in the order in which tables show them."""


def node_function(shape: Shape, node: int) -> Callable[..., int]:
    """What a node does: nothing, or sleep. Its parameters are ``p0``, ``p1``, ..., one an input."""
    make = _maker(len(shape.inputs[node]), sleeps=bool(shape.seconds))
    return make(shape.seconds[node]) if shape.seconds else make(0.0)


@cache
def _maker(count: int, *, sleeps: bool) -> Callable[[float], Callable[..., int]]:
    """Makes functions of ``count`` parameters; those that do nothing are one and the same."""
    parameters = ", ".join(f"p{at}" for at in range(count))
    pause = "sleep(seconds)" if sleeps else "pass"
    code = f"def make(seconds):\n def node({parameters}):\n  {pause}\n  return 1\n return node"
    scope: dict[str, Any] = {"sleep": time.sleep, "__name__": __name__}
    exec(code, scope)
    make: Callable[[float], Callable[..., int]] = scope["make"]
    return make if sleeps else cache(make)


def own_function(shape: Shape, node: int, *, annotated: bool = False) -> Callable[..., int]:
    """As :func:`node_function`, but a function of its own: its name is the node's, its parameters are the inputs."""
    kind = ": int" if annotated else ""
    parameters = ", ".join(f"n{source}{kind}" for source in shape.inputs[node])
    sleep = f"sleep({shape.seconds[node]!r})\n    " if shape.seconds else ""
    scope: dict[str, Any] = {"sleep": time.sleep, "__name__": __name__}
    code = f"def n{node}({parameters}){' -> int' if annotated else ''}:\n    {sleep}return 1\n"
    exec(code, scope)
    function: Callable[..., int] = scope[f"n{node}"]
    return function
