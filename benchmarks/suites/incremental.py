"""What reading only new rows costs, beside reading all and filtering."""

from __future__ import annotations

import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.figures import Report, Table, number
from benchmarks.settings import Settings, progress

NEW = 0.001
"""The part of the rows that is new."""


def measure(settings: Settings) -> Report:
    """One Parquet file of 10 million rows in the order of a moment, of which one in a thousand is new.

    With ``quick``, 1 million.
    """
    report = Report("incremental")
    table = Table("incremental: new rows of a Parquet file", ["how", "s, median", "rows given", "times as fast"])
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
        times: dict[str, list[float]] = {"read, then filter": [], "incremental": []}
        given: dict[str, int] = {}
        for _ in range(3 if settings.quick else 5):
            for how, read in (("read, then filter", _filtered), ("incremental", _bounded)):
                begin = time.perf_counter()
                given[how] = read(path, above)
                times[how].append(time.perf_counter() - begin)
    medians = {how: sorted(each)[len(each) // 2] for how, each in times.items()}
    slow = medians["read, then filter"]
    for how, median in medians.items():
        table.rows.append([how, number(median), f"{given[how]:,}", number(slow / median)])
        report.raw.append({"how": how, "rows": rows, "seconds": times[how], "given": given[how]})
    table.note(f"{rows:,} rows of a moment, a key, an amount and a text, in row groups of 131,072; {NEW:.1%} are new")
    table.note("read, then filter: pandas.read_parquet with Arrow types, and a mask; in turns with the other")
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


def _filtered(path: Path, above: Any) -> int:
    import pandas as pd

    frame = pd.read_parquet(path, dtype_backend="pyarrow")
    return len(frame[frame["updated_at"] > above])


def _bounded(path: Path, above: Any) -> int:
    from odibi.contracts import Bound, Source
    from odibi_local.storage import LocalStorage
    from odibi_pandas.engine import PandasEngine
    from odibi_pandas.formats.parquet import ParquetFormat

    storage: Any = LocalStorage(base_path=str(path.parent))
    after = Bound("updated_at", above)
    source = Source(storage, "lake", ParquetFormat(), "parquet", path.name, after=after)
    engine = PandasEngine()
    try:
        return len(engine.read(source))
    finally:
        engine.close()
