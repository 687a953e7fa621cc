"""New rows of a file, read in one way or another: ``python -m benchmarks.incremental_probe HOW PATH ABOVE``.

As a program it tells what memory that takes, as JSON; in a process of its own, which never gives back all it took.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.memory_probe import resident


def _filtered(path: Path, above: Any) -> int:
    import pandas as pd

    frame = pd.read_parquet(path, dtype_backend="pyarrow")
    return len(frame[frame["updated_at"] > above])


def _bounded(path: Path, above: Any) -> int:
    from odibi_pandas.formats.parquet import ParquetFormat

    return _read(path, above, ParquetFormat(), lambda engine, source: engine.read(source))


def _csv_filtered(path: Path, above: Any) -> int:
    import pandas as pd

    frame = pd.read_csv(path, engine="pyarrow", dtype_backend="pyarrow", parse_dates=["updated_at"])
    return len(frame[frame["updated_at"] > above])


def _csv_bounded(path: Path, above: Any) -> int:
    from odibi_pandas.formats.csv import CsvFormat

    return _read(path, above, CsvFormat(), lambda engine, source: engine.read(source))


def _csv_tail(path: Path, above: Any) -> int:
    from odibi_pandas.formats.csv import CsvFormat

    mark = json.loads(mark_of(path).read_text())
    return _read(path, above, CsvFormat(), lambda engine, source: engine.read_from(source, mark)[0])


def _read(path: Path, above: Any, format_: Any, read: Callable[[Any, Any], Any]) -> int:
    from odibi.contracts import Bound, Source
    from odibi_local.storage import LocalStorage
    from odibi_pandas.engine import PandasEngine

    storage: Any = LocalStorage(base_path=str(path.parent))
    after = Bound("updated_at", above)
    source = Source(storage, "lake", format_, path.suffix[1:], path.name, after=after)
    engine = PandasEngine()
    try:
        return len(read(engine, source))
    finally:
        engine.close()


def mark_of(path: Path) -> Path:
    """Where the mark of a CSV file is, of when it was read the last time."""
    return path.with_suffix(".mark")


def keep_mark(path: Path) -> None:
    """Read a CSV file as the first run does, and keep its mark."""
    from odibi_pandas.formats.csv import CsvFormat

    def read(engine: Any, source: Any) -> Any:
        frame, mark = engine.read_from(source, None)
        mark_of(path).write_text(json.dumps(mark))
        return frame

    _read(path, None, CsvFormat(), read)


WAYS: dict[str, Callable[[Path, Any], int]] = {"read, then filter": _filtered, "incremental": _bounded}
"""What is compared: from the file, and the moment above which rows are new, to the number of these."""

CSV_WAYS: dict[str, Callable[[Path, Any], int]] = {
    "incremental, whole": _csv_bounded,
    "incremental, tail": _csv_tail,
    "read_csv, then filter": _csv_filtered,
}
"""The same for a CSV file that grew since its mark was kept."""


def _small(path: Path, above: Any) -> Path:
    """A file of a few rows beside another, of its format."""
    import pyarrow as pa
    from pyarrow import parquet

    small = path.with_name(f"small{path.suffix}")
    if path.suffix == ".csv":
        small.write_text(f"updated_at,id\n{above.isoformat()},1\n")
        keep_mark(small)
    else:
        parquet.write_table(pa.table({"updated_at": pa.array([above], pa.timestamp("us"))}), small)
    return small


def main() -> None:
    """Read a file of a few rows, so that all is imported, and then the one that is asked for."""
    how, path, above = {**WAYS, **CSV_WAYS}[sys.argv[1]], Path(sys.argv[2]), datetime.fromisoformat(sys.argv[3])
    small = _small(path, above)
    how(small, above)
    for each in (small, mark_of(small)):
        each.unlink(missing_ok=True)
    held = resident()[0]
    how(path, above)
    print(json.dumps({"peak": max(resident()[1] - held, 0)}))


if __name__ == "__main__":
    main()
