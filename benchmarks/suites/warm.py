"""What a run costs that finds nothing to do, in a process that goes on."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median

import attrs

from benchmarks.contenders import Job
from benchmarks.contenders.program import FRAMES, INTS
from benchmarks.crew import Crew, Limits
from benchmarks.figures import Report, Samples, Table, both_ratios, cpu, spread
from benchmarks.settings import Settings, progress
from benchmarks.shapes import layered, wide

FLOOR, OURS = "look-ups", "odibi again"

GOES_BY = {
    FLOOR: "nothing",
    OURS: "code, journal, index",
    "odibi values": "and checks each value",
    "odibi anew": "code, journal, index",
    "odibi first": "code, journal, index",
    "diskcache": "nothing",
    "doit": "time stamps",
    "doit contents": "contents of files",
    "joblib.Memory": "code, contents",
    "hamilton cache": "code, contents",
    "snakemake": "time stamps, rules",
}
"""By what each knows that nothing has changed."""

CONTENTS = ("doit contents", "joblib.Memory", "hamilton cache")
"""Those who look at contents, of code or of data, each time."""

SOME = ("odibi values", "joblib.Memory")

Found = Mapping[str, Samples | str]


def measure(settings: Settings) -> Report:
    """Wide and layered graphs of nodes that give numbers, and of nodes that give frames."""
    size = 20 if settings.quick else 1_000
    limits = (
        Limits(build=20, run=5, budget=0.05, rounds=(2, 1))
        if settings.quick
        else Limits(build=600, run=60, budget=15, rounds=(15, 7))
    )
    cases = [(INTS, wide(size)), (INTS, layered(size)), (FRAMES, wide(size)), (FRAMES, layered(size))]
    if settings.quick:
        cases = cases[1:3]
    report = Report("warm")
    columns: dict[str, Found] = {}
    with Crew(tuple(GOES_BY), limits, settings.pythons) as crew:
        for values, shape in cases:
            progress(f"warm: {shape.name}, {size:,} nodes that give {values}")
            # Each process that loads pandas takes its time.
            found = crew.compare(Job(shape, 1, values), only=SOME if settings.quick and values == FRAMES else None)
            columns[f"{shape.name}, {values}"] = {who: _of_the_run(samples) for who, samples in found.items()}
        absent = dict(crew.absent)
    report.tables += [
        _times(columns, f"warm: {size:,} nodes and nothing to do, ms, median (minimum to maximum)"),
        _ratios(columns, "warm: ratios of medians, by the clock | by CPU time"),
    ]
    for name, distribution in absent.items():
        report.tables[0].note(f"{name} is left out: '{distribution}' is not installed")
    _explain(report.tables[0])
    for case, found in columns.items():
        for who, samples in found.items():
            record: dict[str, object] = {"case": case, "nodes": size, "contender": who}
            if isinstance(samples, Samples):
                record |= {"seconds": samples.seconds, "cpu": samples.parts["cpu"], "first": samples.first}
            else:
                record |= {"left_out": samples}
                report.tables[0].note(f"{who} is left out of {case}: {samples}")
            report.raw.append(record)
    return report


def _of_the_run(samples: Samples | str) -> Samples | str:
    """The samples of the run itself, where it takes place in a process within the process."""
    if not isinstance(samples, Samples) or "inside" not in samples.parts:
        return samples
    parts = {"cpu": samples.parts["inside cpu"], "process": samples.seconds}
    return attrs.evolve(samples, seconds=samples.parts["inside"], parts=parts)


def _times(columns: Mapping[str, Found], title: str) -> Table:
    table = Table(title, ["who", "goes by", *columns, *(f"CPU: {case}" for case in columns)])
    for who, by in GOES_BY.items():
        found = [column.get(who) for column in columns.values()]
        if any(found):
            table.rows.append([who, by, *map(spread, found), *map(cpu, found)])
    return table


def _ratios(columns: Mapping[str, Found], title: str) -> Table:
    table = Table(title, ["ratio", *columns])
    for who in GOES_BY:
        if who.startswith("odibi"):
            table.rows.append(
                [f"{who} / {FLOOR}", *(both_ratios(column.get(who), column.get(FLOOR)) for column in columns.values())]
            )
    for who in GOES_BY:
        if who != FLOOR and not who.startswith("odibi"):
            table.rows.append(
                [f"{who} / {OURS}", *(both_ratios(column.get(who), column.get(OURS)) for column in columns.values())]
            )
    best = [both_ratios(_best(column), column.get(OURS)) for column in columns.values()]
    table.rows.append([f"best that looks at contents / {OURS}", *best])
    table.note(
        f"to be: '{OURS}' at most 2.0 times the look-ups; the best that looks at contents at least 10 times ours"
    )
    return table


def _best(column: Found) -> Samples | None:
    """The fastest of those who look at contents."""
    found = [samples for who in CONTENTS if isinstance(samples := column.get(who), Samples)]
    return min(found, key=lambda samples: median(samples.parts["cpu"]), default=None)


def _explain(table: Table) -> None:
    table.note(f"{FLOOR}: SELECT by primary key, one a node, execute() and fetchone(), in a database that stays open")
    table.note(
        "odibi: code is what its digest says, memory of it is kept while nothing that went in has changed; the journal "
        "says what was done, the cache's index what is held. Values are read, and checked, when they are asked for"
    )
    table.note("odibi again: a Pipeline that this process has run before; values: and each leaf's value is read")
    table.note("odibi anew: a new Pipeline each time; first: the first in a new process, after its imports")
    table.note(
        "diskcache: get() by a key that stands for the node, values are read, nobody asks whether they are right"
    )
    table.note("doit: a file a node, time stamps first, size and MD5 only where they differ; contents: always MD5")
    table.note("joblib.Memory, hamilton cache: code and arguments are digested, values are read")
    table.note("snakemake: one rule, through its Python API: time stamps, code, parameters, sets of inputs")
