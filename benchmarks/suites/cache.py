"""What it costs to keep a frame and to get it back."""

from __future__ import annotations

import gc
import os
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.contenders import is_installed
from benchmarks.contenders.frames import ARROW, NUMPY, STORES, Store, mixed_frame, read_every_byte
from benchmarks.figures import Report, Samples, Table, both_ratios, number
from benchmarks.settings import Settings, progress
from benchmarks.turns import shuffled, timed

OURS, FLOOR = "odibi", "Arrow file"
PUT, GET, TOUCH = "put", "get", "get, read all"
Found = dict[str, dict[str, Samples]]


def measure(settings: Settings) -> Report:
    """Frames of 1 and 100 MB, of Arrow's memory and of numpy's; with ``quick`` of 0.1 MB."""
    report = Report("cache")
    for needed in ("pyarrow", "odibi_pandas", "odibi_local"):
        try:
            import_module(needed)
        except ImportError as error:
            table = Table("cache", ["store"])
            table.note(f"nothing is measured: {error}")
            report.tables.append(table)
            return report
    for megabytes, rounds in ((0.1, 2),) if settings.quick else ((1, 25), (100, 9)):
        for kind in (ARROW, NUMPY):
            progress(f"cache: {megabytes:g} MB, {kind}")
            report.tables.append(_compare(report, megabytes, kind, rounds))
    report.tables[-1].note("ratios are of medians, by the clock | by CPU time")
    report.tables[-1].note("odibi: DiskCache with the pandas engine; each get reads and checks every byte")
    report.tables[-1].note(
        "Arrow file: from_pandas() and write; memory map, read_all() and to_pandas(): checks nothing"
    )
    report.tables[-1].note("read all: get, and then each byte of the frame's memory is read once")
    report.tables[-1].note("to be: odibi's get and put take at most twice what the Arrow file does")
    return report


def _compare(report: Report, megabytes: float, kind: str, rounds: int) -> Table:
    table = Table(
        f"cache: a {kind} frame of {megabytes:g} MB, ms, median (minimum)",
        ["store", PUT, GET, TOUCH, f"{PUT} / {FLOOR}", f"{PUT} / with fsync", f"{GET} / {FLOOR}", f"{TOUCH} / {FLOOR}"],
    )
    frame = mixed_frame(megabytes, kind)
    with tempfile.TemporaryDirectory() as folder:
        stores: dict[str, Store] = {}
        for who, needs, make in STORES:
            if needs is not None and not is_installed(needs):
                table.note(f"{who} is left out: '{needs}' is not installed")
                continue
            place = Path(folder) / str(len(stores))
            place.mkdir()
            stores[who] = make(place, kind)
        found: Found = {who: {PUT: Samples(), GET: Samples(), TOUCH: Samples()} for who in stores}
        for at, order in enumerate(shuffled(stores, rounds + 1)):
            for who in order:
                # What others have not yet written to the disk must not be this one's burden.
                os.sync()
                _round(stores[who], f"frame-{at}", frame, found[who] if at else None)
    for who, figures in found.items():
        table.rows.append(_row(who, figures, found))
        for what, samples in figures.items():
            report.raw.append(
                {"megabytes": megabytes, "frame": kind, "store": who, "what": what, "seconds": samples.seconds}
            )
    return table


def _round(store: Store, name: str, frame: Any, figures: dict[str, Samples] | None) -> None:
    """Put a frame, get it twice, once reading all of it; the first round is not counted, but looked at."""
    given: list[Any] = []

    def take() -> None:
        given.append(store.get(name))

    def take_all() -> None:
        take()
        read_every_byte(given[-1])

    for what, work in ((PUT, lambda: store.put(name, frame)), (GET, take), (TOUCH, take_all)):
        given.clear()
        gc.collect()
        took, cpu = timed(work)
        if figures is not None:
            figures[what].take({"seconds": [took], "parts": {"cpu": [cpu]}})
        elif what is GET:
            from pandas.testing import assert_frame_equal

            assert_frame_equal(given[0], frame)
    given.clear()
    gc.collect()
    store.drop(name)


def _row(who: str, figures: dict[str, Samples], found: Found) -> list[str]:
    times = [f"{number(samples.median * 1e3)} ({number(samples.least * 1e3)})" for samples in figures.values()]
    over = [(PUT, FLOOR), (PUT, f"{FLOOR}, fsync"), (GET, FLOOR), (TOUCH, FLOOR)]
    return [who, *times, *(both_ratios(figures[what], found[floor][what]) for what, floor in over)]
