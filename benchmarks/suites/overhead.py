"""What a node costs that does nothing."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median

from benchmarks.contenders import Job
from benchmarks.crew import Crew, Limits
from benchmarks.figures import NOTHING, Report, Samples, Table, number, per_node, ratio
from benchmarks.settings import Settings, progress
from benchmarks.shapes import SHAPES

NAMES = ("bare", "pool", "odibi", "odibi events", "odibi own", "pipefunc", "hamilton", "dask", "kedro")
PEERS = ("pool", "pipefunc", "hamilton", "dask", "kedro")
OURS = "odibi events"
"""The one that claims are about: somebody watches."""

PARTS = ("executing, µs", "executing/bare", "executing")

Found = Mapping[str, Samples | str]


def measure(settings: Settings) -> Report:
    """Every graph in every size with one worker and with eight, by every contender that survives it."""
    sizes = (100,) if settings.quick else (100, 1_000, 10_000, 100_000)
    shapes = ("chain", "wide") if settings.quick else tuple(SHAPES)
    limits = Limits(build=4, run=2, budget=0.05, rounds=(3, 1)) if settings.quick else Limits()
    costs = Table("overhead: microseconds a node, median (minimum)", ["graph", "nodes", "workers", *NAMES])
    ratios = Table(
        f"overhead: ratios of medians; 'ours' is '{OURS}'",
        ["graph", "nodes", "workers", "ours/bare", "own/bare", *(f"{peer}/ours" for peer in PEERS), *PARTS],
    )
    report = Report("overhead", [costs, ratios])
    with Crew(NAMES, limits, settings.pythons) as crew:
        for name, distribution in crew.absent.items():
            costs.note(f"{name} is left out: '{distribution}' is not installed")
        for kind in shapes:
            for at, size in enumerate(sizes):
                growth = sizes[at + 1] // size if at + 1 < len(sizes) else 1
                shape = SHAPES[kind](size)
                for workers in (1, 8):
                    progress(f"overhead: {kind}, {size:,} nodes, {workers} workers")
                    found = crew.compare(Job(shape, workers), growth=growth)
                    _add(report, (kind, size, workers), found)
    costs.note("odibi: nobody watches; odibi events: an observer counts; odibi own: and each node has its own function")
    costs.note("the time of Odibi is that of Pipeline.run(): plan, preparation, execution, result, observer caught up")
    ratios.note(
        "executing: without the plan, the preparation and the observer's last events; peers did theirs when built"
    )
    return report


def _add(report: Report, case: tuple[str, int, int], found: Found) -> None:
    kind, size, workers = case
    costs, ratios = report.tables
    head = [kind, f"{size:,}", str(workers)]
    costs.rows.append([*head, *(per_node(found.get(name), size) for name in NAMES)])
    ours, bare = found.get(OURS), found.get("bare")
    ratios.rows.append(
        [
            *head,
            ratio(ours, bare),
            ratio(found.get("odibi own"), bare),
            *(ratio(found.get(peer), ours) for peer in PEERS),
            *_executing(ours, bare, size),
        ]
    )
    for name, samples in found.items():
        record: dict[str, object] = {"graph": kind, "nodes": size, "workers": workers, "contender": name}
        if isinstance(samples, Samples):
            record |= {"seconds": samples.seconds, "parts": samples.parts, "build": samples.build}
        else:
            record |= {"left_out": samples}
            costs.note(f"{name} is left out of {kind} with {workers} workers: {samples}")
        report.raw.append(record)


def _executing(ours: Samples | str | None, bare: Samples | str | None, size: int) -> list[str]:
    """What the execution alone costs, over a bare call, and as a part of the whole."""
    if not isinstance(ours, Samples) or not isinstance(bare, Samples):
        return [NOTHING] * len(PARTS)
    executing = median(ours.parts["execute"])
    share = sum(ours.parts["execute"]) / sum(ours.seconds)
    return [number(executing / size * 1e6), number(executing / bare.median), f"{100 * share:.0f} %"]
