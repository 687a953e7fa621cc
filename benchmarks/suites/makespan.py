"""How close to the best possible schedule nodes of unequal length are run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import median

from benchmarks.contenders import Job
from benchmarks.crew import Crew, Limits
from benchmarks.figures import NOTHING, Report, Samples, Table, number
from benchmarks.settings import Settings, progress
from benchmarks.shapes import Shape, bursts, comb, late_chain, layered, lower_bound, ragged, simulate

NAMES: tuple[str, ...] = ("odibi events", "pool", "levels", "dask", "pipefunc eager", "pipefunc", "hamilton", "kedro")
WORKERS = 8
SHORTEST, LONGEST = 0.001, 0.020  # seconds


def measure(settings: Settings) -> Report:
    """Sleeping nodes on a layered graph, a comb, a long chain written after many leaves, and bursts."""
    if settings.quick:
        names = NAMES[:5]
        graphs = [layered(60), bursts(2, 12)]
        limits = Limits(build=5, run=5, budget=0.1, rounds=(1, 1))
    else:
        names = NAMES
        graphs = [layered(800), comb(60, 8), late_chain(60, 420), bursts(10, 24)]
        limits = Limits(build=30, run=20, budget=6, rounds=(5, 3))
    table = Table(
        f"makespan: nodes of {SHORTEST * 1e3:g} to {LONGEST * 1e3:g} ms, {WORKERS} workers, over the lower bound",
        ["who", *(f"{graph.name} ({len(graph)})" for graph in graphs)],
    )
    report = Report("makespan", [table])
    columns: list[dict[str, str]] = []
    with Crew(names, limits, settings.pythons) as crew:
        for name, distribution in crew.absent.items():
            table.note(f"{name} is left out: '{distribution}' is not installed")
        for graph in graphs:
            progress(f"makespan: {graph.name}")
            columns.append(_column(crew, ragged(graph, SHORTEST, LONGEST), report))
    for who in columns[0]:
        table.rows.append([who, *(column[who] for column in columns)])
    table.note("median (minimum); the bound is the longest path, or all the work on eight workers, if that is more")
    table.note(
        "ideal: a simulated list schedule that costs nothing; by the seconds, or the nodes, still ahead of a node"
    )
    return report


def real_seconds(asked: Sequence[float]) -> list[float]:
    """How long nodes sleep that were asked to sleep so long; a sleep takes a little more."""
    excess = []
    for wanted in (SHORTEST, LONGEST / 4, SHORTEST, LONGEST / 2) * 5:
        begin = time.perf_counter()
        time.sleep(wanted)
        excess.append(time.perf_counter() - begin - wanted)
    more = median(excess)
    return [wanted + more for wanted in asked]


def _column(crew: Crew, shape: Shape, report: Report) -> dict[str, str]:
    """One graph's cells, top to bottom."""
    before = real_seconds(shape.seconds)
    found = crew.compare(Job(shape, WORKERS))
    after = real_seconds(shape.seconds)
    seconds = [(early + late) / 2 for early, late in zip(before, after, strict=True)]
    bound = lower_bound(shape, seconds, WORKERS)
    hops = shape.remaining([1.0] * len(shape))
    cells = {
        "lower bound, ms": number(bound * 1e3),
        "ideal, by seconds": number(simulate(shape, seconds, WORKERS, shape.remaining(seconds)) / bound),
        "ideal, by nodes": number(simulate(shape, seconds, WORKERS, hops) / bound),
        "ideal, first in first out": number(simulate(shape, seconds, WORKERS, None) / bound),
    }
    for name in crew.names:
        samples = found.get(name)
        cells[name] = NOTHING
        if isinstance(samples, Samples):
            cells[name] = f"{samples.median / bound:.3f} ({samples.least / bound:.3f})"
            report.raw.append({"graph": shape.name, "contender": name, "bound": bound, "seconds": samples.seconds})
        elif samples is not None:
            report.tables[0].note(f"{name} is left out of {shape.name}: {samples}")
            report.raw.append({"graph": shape.name, "contender": name, "left_out": samples})
    return cells
