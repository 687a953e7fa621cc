"""What reading only new rows costs, beside reading all and filtering."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.crew import ROOT
from benchmarks.figures import Report, Table, number
from benchmarks.incremental_probe import CSV_WAYS, WAYS, keep_mark
from benchmarks.settings import Settings, progress

NEW = 0.001
"""The part of the rows that is new."""

_COLUMNS = ["how", "s, median", "MB, peak", "rows given", "times as fast"]


def measure(settings: Settings) -> Report:
    """Files of rows in the order of a moment, of which one in a thousand is new.

    A Parquet file of 10 million rows, and a CSV file of 6 million (350 MB) that was read before the new ones were
    appended. With ``quick``, a tenth.
    """
    report = Report("incremental")
    in_parquet = Table("incremental: new rows of a Parquet file", _COLUMNS)
    in_csv = Table("incremental: new rows of a CSV file that only grew", _COLUMNS)
    report.tables.extend([in_parquet, in_csv])
    for needed in ("odibi_pandas", "odibi_local"):
        try:
            import_module(needed)
        except ImportError as error:
            in_parquet.note(f"nothing is measured: {error}")
            return report
    rows = 1_000_000 if settings.quick else 10_000_000
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "events.parquet"
        progress(f"incremental: making {rows:,} rows")
        above = _make(path, rows)
        _compare(report, in_parquet, WAYS, path, above, settings)
    in_parquet.note(f"{rows:,} rows of a moment, a key, an amount and a text, in row groups of 131,072; {NEW:.1%} new")
    in_parquet.note("read, then filter: pandas.read_parquet with Arrow types, and a mask; in turns with the other")
    in_parquet.note("MB, peak: what a new process takes at most while it reads, above what it held when it began")
    in_parquet.note("to be: 10 times as fast at least")
    rows = 600_000 if settings.quick else 6_000_000
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "events.csv"
        progress(f"incremental: making {rows:,} rows of CSV")
        above = _make_csv(path, rows)
        size = path.stat().st_size
        _compare(report, in_csv, CSV_WAYS, path, above, settings)
    in_csv.note(f"{rows:,} rows of the same columns, {size / 1e6:.0f} MB; {NEW:.1%} were appended since it was read")
    in_csv.note(
        "read_csv, then filter: pandas' engine on pyarrow; incremental, whole: where the file did not only grow"
    )
    in_csv.note("incremental, tail: what was read before is hashed, and not parsed")
    in_csv.note("to be: 10 times as fast as the whole at 350 MB, in half the memory at most")
    return report


def _compare(
    report: Report,
    table: Table,
    ways: Mapping[str, Callable[[Path, Any], int]],
    path: Path,
    above: Any,
    settings: Settings,
) -> None:
    """Read in all ways in turns, and tell of each how fast it is beside the first."""
    times: dict[str, list[float]] = {how: [] for how in ways}
    given: dict[str, int] = {}
    for _ in range(3 if settings.quick else 5):
        for how, read in ways.items():
            begin = time.perf_counter()
            given[how] = read(path, above)
            times[how].append(time.perf_counter() - begin)
    progress("incremental: memory, in processes of their own")
    peaks = {how: sorted(_peak(how, path, above) for _ in range(3))[1] for how in ways}
    medians = {how: sorted(each)[len(each) // 2] for how, each in times.items()}
    slow = next(iter(medians.values()))
    for how, median in medians.items():
        table.rows.append([how, number(median), number(peaks[how] / 1e6), f"{given[how]:,}", number(slow / median)])
        raw = {"how": how, "seconds": times[how], "peak": peaks[how], "given": given[how]}
        report.raw.append({**raw, "file": path.name, "bytes": path.stat().st_size})


def _rows(begin: int, end: int) -> Any:
    import numpy as np
    import pyarrow as pa

    chance = np.random.default_rng(7 + begin)
    rows = end - begin
    moments = pa.array(np.arange(begin, end, dtype="int64") * 1_000_000).cast(pa.timestamp("us"))
    return pa.table(
        {
            "updated_at": moments,
            "id": pa.array(chance.permutation(rows)),
            "amount": pa.array(chance.random(rows)),
            "name": pa.array(chance.integers(0, 10**9, rows)).cast(pa.string()),
        }
    )


def _make(path: Path, rows: int) -> Any:
    """The file; returns the moment above which rows are new."""
    from pyarrow import parquet

    table = _rows(0, rows)
    parquet.write_table(table, path, row_group_size=1 << 17)
    return table["updated_at"][rows - 1 - round(rows * NEW)].as_py()


def _make_csv(path: Path, rows: int) -> Any:
    """The same as CSV, with a mark from before the new rows were appended."""
    import pyarrow as pa
    from pyarrow import csv

    old = rows - round(rows * NEW)
    seconds = pa.timestamp("s")  # a fraction of zeros would only be more to read
    for begin, end in ((0, old), (old, rows)):
        table = _rows(begin, end)
        table = table.set_column(0, "updated_at", table["updated_at"].cast(seconds))
        with path.open("ab") as file:
            csv.write_csv(table, file, csv.WriteOptions(include_header=not begin))
        if not begin:
            keep_mark(path)
            above = table["updated_at"][-1].as_py()
    return above


def _peak(how: str, path: Path, above: Any) -> float:
    """Bytes that a process of its own took for it, above what it held before; 0 where the system does not say."""
    command = [sys.executable, "-m", "benchmarks.incremental_probe", how, str(path), above.isoformat()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=600)
    return float(json.loads(done.stdout)["peak"])
