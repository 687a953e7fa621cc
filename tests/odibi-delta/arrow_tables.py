"""Short ways to Delta tables in a folder, by an engine whose frames are Arrow tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from odibi.contracts.format import Source, Target, WriteMode, WriteReport
from odibi_delta.conformance import ArrowEngine, FolderStorage
from odibi_delta.pandas_format import PandasDeltaFormat

__all__ = ["ArrowEngine", "FolderStorage", "Lake", "table"]


class Lake:
    """Tables in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.storage: Any = FolderStorage(folder)
        self.engine: Any = ArrowEngine()

    def target(
        self, mode: str = "overwrite", *, path: str = "t", part: str = "p", by: tuple[str, ...] = (), **options: Any
    ) -> Target:
        keys = options.pop("keys", ())
        return Target(
            storage=self.storage,
            connection="lake",
            format=PandasDeltaFormat(**options),
            format_name="delta",
            part=part,
            path=path,
            mode=WriteMode(mode),
            partition_by=by,
            keys=keys,
        )

    def write(self, frame: pa.Table | Mapping[str, Any], mode: str = "overwrite", **more: Any) -> WriteReport:
        target = self.target(mode, **more)
        return target.format.write(table(frame), target, self.engine)  # type: ignore[union-attr,no-any-return]

    def source(self, path: str | None = "t", columns: tuple[str, ...] | None = None, **options: Any) -> Source:
        return Source(
            storage=self.storage,
            connection="lake",
            format=PandasDeltaFormat(**options),
            format_name="delta",
            path=path,
            columns=columns,
        )

    def read(self, path: str | None = "t", columns: tuple[str, ...] | None = None, **options: Any) -> pa.Table:
        source = self.source(path, columns, **options)
        return source.format.read(source, self.engine)  # type: ignore[union-attr]

    def rows(self, path: str = "t", **options: Any) -> list[dict[str, Any]]:
        """The rows, in an order of their own."""
        return sorted(self.read(path, **options).to_pylist(), key=repr)

    def version(self, path: str = "t", **options: Any) -> str | None:
        source = self.source(path, **options)
        return source.format.version(source)  # type: ignore[union-attr,no-any-return]

    def log_file(self, version: int, path: str = "t") -> Path:
        return self.folder / path / "_delta_log" / f"{version:020}.json"

    def data_files(self, path: str = "t") -> list[Path]:
        return sorted((self.folder / path).rglob("*.parquet"))


def table(frame: pa.Table | Mapping[str, Any]) -> pa.Table:
    return frame if isinstance(frame, pa.Table) else pa.table(dict(frame))
