"""An engine whose frames are Arrow tables, a storage over a folder, and short ways to a Delta table on both."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

import pyarrow as pa

from odibi.contracts.format import Source, Target, WriteMode, WriteReport
from odibi.contracts.storage import ABSENT, ALWAYS, Match, Stat, When, check_path
from odibi.errors import Conflict, NotFound
from odibi_delta.pandas_format import PandasDeltaFormat

_one_at_a_time = threading.Lock()


class ArrowEngine:
    """As much of an engine as a table format asks for."""

    frame_type = "pyarrow:Table"
    dialect = "duckdb"

    def to_arrow(self, frame: pa.Table) -> pa.Table:
        return frame

    def from_arrow(self, stream: Any) -> pa.Table:
        return pa.table(stream)


class FolderStorage:
    """Objects as files of a folder; delta-rs goes there directly."""

    def __init__(self, folder: Path, *, scheme: str = "file", options: Mapping[str, Any] | None = None) -> None:
        self.folder = folder
        self.scheme = scheme
        self.options = dict(options or {})

    def read(self, path: str) -> bytes:
        try:
            return self._file(path).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise NotFound("nothing is there", where=path) from None

    def open(self, path: str) -> BinaryIO:
        return BytesIO(self.read(path))

    def write(self, path: str, data: bytes | memoryview | BinaryIO, *, when: When = ALWAYS) -> Stat:
        content = bytes(data) if isinstance(data, bytes | bytearray | memoryview) else data.read()
        file = self._file(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_name(f".draft-{uuid4().hex}")
        draft.write_bytes(content)
        with _one_at_a_time:
            etag = self.stat(path).etag if file.exists() else None
            if (when is ABSENT and etag) or (isinstance(when, Match) and when.etag != etag):
                draft.unlink()
                raise Conflict("it is another", where=path)
            draft.replace(file)
        return self.stat(path)

    @contextmanager
    def create(self, path: str, *, when: When = ALWAYS) -> Iterator[BinaryIO]:
        file = BytesIO()
        yield file
        self.write(path, file.getvalue(), when=when)

    def stat(self, path: str) -> Stat:
        file = self._file(path)
        if not file.is_file():
            raise NotFound("nothing is there", where=path)
        status = file.stat()
        return Stat(path, status.st_size, status.st_mtime, f"{status.st_ino:x}-{status.st_mtime_ns:x}")

    def list(self, prefix: str = "") -> Iterator[Stat]:
        top = self._file(prefix) if prefix else self.folder
        names = [top] if top.is_file() else [Path(at, name) for at, _, files in os.walk(top) for name in files]
        for path in sorted(name.relative_to(self.folder).as_posix() for name in names):
            try:
                yield self.stat(path)
            except NotFound:  # removed meanwhile
                continue

    def delete(self, path: str) -> None:
        self._file(path).unlink(missing_ok=True)

    def uri(self, path: str) -> str:
        return self._file(path).as_uri().replace("file:", f"{self.scheme}:", 1)

    def native_options(self, for_: str) -> Mapping[str, Any]:
        return self.options if for_ == "delta" else {}

    def close(self) -> None:
        pass

    def _file(self, path: str) -> Path:
        return self.folder / check_path(path)


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


def sorted_rows(frame: pa.Table) -> list[dict[str, Any]]:
    return sorted(frame.to_pylist(), key=repr)
