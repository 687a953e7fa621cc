"""What reading a file through a node costs over the library that reads it."""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any

import odibi
from benchmarks.figures import NOTHING, Report, Samples, Table, number
from benchmarks.settings import Settings, progress

OURS = "odibi"


def measure(settings: Settings) -> Report:
    """CSV and Parquet of about 100 MB each, in turns; with ``quick`` of 2 MB."""
    megabytes = 2 if settings.quick else 100
    table = Table(
        f"io: reading a file of about {megabytes} MB, ms, median (minimum)",
        ["file", "MB", "pandas", "pyarrow", OURS, "ours/pandas", "ours/pyarrow"],
    )
    report = Report("io", [table])
    for needed in ("pandas", "pyarrow", "odibi_pandas", "odibi_local"):
        try:
            import_module(needed)
        except ImportError as error:
            table.note(f"nothing is measured: {error}")
            return report
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("csv", "parquet"):
            progress(f"io: {kind}")
            path = Path(folder) / f"data.{kind}"
            _write(path, megabytes)
            _compare(report, path, rounds=2 if settings.quick else 7)
    table.note("pandas: read_csv(engine='pyarrow') and read_parquet, both with Arrow-backed columns")
    table.note("odibi: Pipeline.run() of one node that reads the file through odibi-local")
    return report


def _write(path: Path, megabytes: int) -> None:
    """Numbers, words and times, the same each time."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import csv, parquet

    chosen = np.random.default_rng(1)
    rows = megabytes * (17_000 if path.suffix == ".csv" else 34_000)
    table = pa.table(
        {
            "id": np.arange(rows),
            "amount": chosen.normal(100.0, 20.0, rows).round(2) if path.suffix == ".csv" else chosen.normal(size=rows),
            "share": chosen.random(rows),
            "word": np.array([f"word {at}" for at in range(1000)])[chosen.integers(0, 1000, rows)],
            "moment": np.datetime64("2026-01-01", "s") + chosen.integers(0, 31_536_000, rows),
        }
    )
    if path.suffix == ".csv":
        csv.write_csv(table, path)
    else:
        parquet.write_table(table, path, row_group_size=200_000)


def _readers(path: Path) -> dict[str, Callable[[], Any]]:
    import pandas as pd
    from pyarrow import csv, parquet

    pipeline = odibi.Pipeline(
        "benchmark",
        [odibi.Node("data", read=odibi.Read("here", path=path.name))],
        connections={"here": {"type": "local", "base_path": str(path.parent)}},
    )
    ours = lambda: pipeline.run(workers=1)["data"]  # noqa: E731
    if path.suffix == ".csv":
        return {
            "pandas": lambda: pd.read_csv(path, engine="pyarrow", dtype_backend="pyarrow"),
            "pyarrow": lambda: csv.read_csv(path),
            OURS: ours,
        }
    return {
        "pandas": lambda: pd.read_parquet(path, dtype_backend="pyarrow"),
        "pyarrow": lambda: parquet.read_table(path),
        OURS: ours,
    }


def _compare(report: Report, path: Path, *, rounds: int) -> None:
    table = report.tables[0]
    readers = _readers(path)
    found = {who: Samples() for who in readers}
    rows: dict[str, int] = {}
    for count in range(rounds + 1):
        for who, read in list(readers.items()):
            gc.collect()
            begin = perf_counter()
            try:
                rows[who] = len(read())
            except odibi.OdibiError as error:
                table.note(f"{who} is left out of {path.name}: {error}")
                del readers[who], found[who]
                continue
            if count:
                found[who].seconds.append(perf_counter() - begin)
    if len(set(rows.values())) != 1:
        raise AssertionError(f"not all read the same rows: {rows}")

    def cell(who: str) -> str:
        return f"{number(found[who].median * 1e3)} ({number(found[who].least * 1e3)})" if who in found else NOTHING

    def over(who: str) -> str:
        return number(found[OURS].median / found[who].median) if OURS in found else NOTHING

    size = path.stat().st_size / 1e6
    cells = [cell("pandas"), cell("pyarrow"), cell(OURS), over("pandas"), over("pyarrow")]
    table.rows.append([path.suffix[1:], number(size), *cells])
    for who, samples in found.items():
        report.raw.append({"file": path.suffix[1:], "megabytes": size, "who": who, "seconds": samples.seconds})
