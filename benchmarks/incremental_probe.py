"""New rows of a Parquet file, read in one way or another: ``python -m benchmarks.incremental_probe HOW PATH ABOVE``.

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


WAYS: dict[str, Callable[[Path, Any], int]] = {"read, then filter": _filtered, "incremental": _bounded}
"""What is compared: from the file, and the moment above which rows are new, to the number of these."""


def main() -> None:
    """Read a file of a few rows, so that all is imported, and then the one that is asked for."""
    import pyarrow as pa
    from pyarrow import parquet

    how, path, above = WAYS[sys.argv[1]], Path(sys.argv[2]), datetime.fromisoformat(sys.argv[3])
    small = path.with_name("small.parquet")
    parquet.write_table(pa.table({"updated_at": pa.array([above], pa.timestamp("us"))}), small)
    how(small, above)
    small.unlink()
    held = resident()[0]
    how(path, above)
    print(json.dumps({"peak": max(resident()[1] - held, 0)}))


if __name__ == "__main__":
    main()
