"""What reading only new rows costs, beside reading all and filtering."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.crew import ROOT
from benchmarks.figures import Report, Table, number
from benchmarks.incremental_probe import WAYS
from benchmarks.settings import Settings, progress

NEW = 0.001
"""The part of the rows that is new."""


def measure(settings: Settings) -> Report:
    """One Parquet file of 10 million rows in the order of a moment, of which one in a thousand is new.

    With ``quick``, 1 million.
    """
    report = Report("incremental")
    table = Table(
        "incremental: new rows of a Parquet file", ["how", "s, median", "MB, peak", "rows given", "times as fast"]
    )
    report.tables.append(table)
    for needed in ("odibi_pandas", "odibi_local"):
        try:
            import_module(needed)
        except ImportError as error:
            table.note(f"nothing is measured: {error}")
            return report
    rows = 1_000_000 if settings.quick else 10_000_000
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "events.parquet"
        progress(f"incremental: making {rows:,} rows")
        above = _make(path, rows)
        times: dict[str, list[float]] = {how: [] for how in WAYS}
        given: dict[str, int] = {}
        for _ in range(3 if settings.quick else 5):
            for how, read in WAYS.items():
                begin = time.perf_counter()
                given[how] = read(path, above)
                times[how].append(time.perf_counter() - begin)
        progress("incremental: memory, in processes of their own")
        peaks = {how: sorted(_peak(how, path, above) for _ in range(3))[1] for how in WAYS}
    medians = {how: sorted(each)[len(each) // 2] for how, each in times.items()}
    slow = medians["read, then filter"]
    for how, median in medians.items():
        table.rows.append([how, number(median), number(peaks[how] / 1e6), f"{given[how]:,}", number(slow / median)])
        raw = {"how": how, "rows": rows, "seconds": times[how], "peak": peaks[how], "given": given[how]}
        report.raw.append(raw)
    table.note(f"{rows:,} rows of a moment, a key, an amount and a text, in row groups of 131,072; {NEW:.1%} are new")
    table.note("read, then filter: pandas.read_parquet with Arrow types, and a mask; in turns with the other")
    table.note("MB, peak: what a new process takes at most while it reads, above what it held when all was imported")
    table.note("to be: 10 times as fast at least")
    return report


def _make(path: Path, rows: int) -> Any:
    """The file; returns the moment above which rows are new."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import parquet

    chance = np.random.default_rng(7)
    moments = pa.array(np.arange(rows, dtype="int64") * 1_000_000).cast(pa.timestamp("us"))
    columns = {
        "updated_at": moments,
        "id": pa.array(chance.permutation(rows)),
        "amount": pa.array(chance.random(rows)),
        "name": pa.array(chance.integers(0, 10**9, rows)).cast(pa.string()),
    }
    parquet.write_table(pa.table(columns), path, row_group_size=1 << 17)
    return moments[rows - 1 - round(rows * NEW)].as_py()


def _peak(how: str, path: Path, above: Any) -> float:
    """Bytes that a process of its own took for it, above what it held before; 0 where the system does not say."""
    command = [sys.executable, "-m", "benchmarks.incremental_probe", how, str(path), above.isoformat()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=600)
    return float(json.loads(done.stdout)["peak"])
