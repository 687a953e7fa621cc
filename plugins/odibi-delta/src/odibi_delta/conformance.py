"""What a format of Delta tables is held to on any engine, and what that takes: a storage in a folder, an engine.

A format for another engine derives from :class:`DeltaSuite` and says how to make a frame of its engine and what is in
one. Needs pytest and pyarrow.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar
from uuid import uuid4

import pytest

from odibi.contracts.format import Source, Target, WriteMode, WriteReport
from odibi.contracts.storage import ABSENT, ALWAYS, Match, Stat, When, check_path
from odibi.errors import Conflict, DataError, NotFound, OdibiError
from odibi.testing.component import ComponentSuite, together
from odibi_delta.pandas_format import PandasDeltaFormat

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_one_at_a_time = threading.Lock()

_RACERS = 4


class ArrowEngine:
    """As much of an engine as a format for Arrow asks for; its frames are Arrow tables."""

    frame_type: ClassVar[str] = "pyarrow:Table"
    dialect: ClassVar[str] = "duckdb"

    def to_arrow(self, frame: Any) -> Any:
        """The frame itself."""
        return frame

    def from_arrow(self, stream: Any) -> Any:
        """An Arrow table."""
        import pyarrow as pa

        return pa.table(stream)


class FolderStorage:
    """Objects as files of a folder, to which a reader can go directly.

    Args:
        folder: where they are.
        scheme: what their addresses begin with, instead of ``file``.
        options: what it tells a reader of Delta tables.
    """

    def __init__(self, folder: Path, *, scheme: str = "file", options: Mapping[str, Any] | None = None) -> None:
        self.folder = folder
        self.scheme = scheme
        self.options = dict(options or {})

    def read(self, path: str) -> bytes:
        """The whole object."""
        try:
            return self._file(path).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise NotFound("nothing is there", where=path) from None

    def open(self, path: str) -> BinaryIO:
        """The object as a file."""
        return BytesIO(self.read(path))

    def write(self, path: str, data: bytes | memoryview | BinaryIO, *, when: When = ALWAYS) -> Stat:
        """Store an object."""
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
        """A file whose content becomes the object."""
        file = BytesIO()
        yield file
        self.write(path, file.getvalue(), when=when)

    def stat(self, path: str) -> Stat:
        """What is known of an object."""
        file = self._file(path)
        if not file.is_file():
            raise NotFound("nothing is there", where=path)
        status = file.stat()
        return Stat(path, status.st_size, status.st_mtime, f"{status.st_ino:x}-{status.st_mtime_ns:x}")

    def list(self, prefix: str = "") -> Iterator[Stat]:
        """The objects below a folder, by path."""
        top = self._file(prefix) if prefix else self.folder
        names = [top] if top.is_file() else [Path(at, name) for at, _, files in os.walk(top) for name in files]
        for path in sorted(name.relative_to(self.folder).as_posix() for name in names):
            try:
                yield self.stat(path)
            except NotFound:  # removed meanwhile
                continue

    def delete(self, path: str) -> None:
        """Remove an object."""
        self._file(path).unlink(missing_ok=True)

    def uri(self, path: str) -> str:
        """Of the file."""
        return self._file(path).as_uri().replace("file:", f"{self.scheme}:", 1)

    def native_options(self, for_: str) -> Mapping[str, Any]:
        """Those given."""
        return self.options if for_ == "delta" else {}

    def close(self) -> None:
        """Nothing is held."""

    def _file(self, path: str) -> Path:
        return self.folder / check_path(path)


class DeltaSuite(ComponentSuite):
    """What holds for a Delta table, whichever engine reads and writes it."""

    family: ClassVar[str] = "format"

    def engine(self) -> Any:
        """The engine; one for all tests."""
        raise NotImplementedError

    def frame(self, columns: Mapping[str, Sequence[Any]]) -> Any:
        """A frame of the engine with these values."""
        raise NotImplementedError

    def rows(self, frame: Any) -> list[dict[str, Any]]:
        """The rows of a frame of the engine."""
        raise NotImplementedError

    # --- what the tests use -----------------------------------------------------------------------------------------

    def write(
        self, place: Path, columns: Mapping[str, Sequence[Any]], mode: str, *, part: str = "p", **more: Any
    ) -> WriteReport:
        """Write a frame to the table in ``place``."""
        given: dict[str, Any] = {name: more.pop(name) for name in ("keys", "partition_by") if name in more}
        form = self.component(**more)
        target = Target(
            FolderStorage(place), "lake", form, "delta", part=part, path="table", mode=WriteMode(mode), **given
        )
        report: WriteReport = form.write(self.frame(columns), target, self.engine())
        return report

    def source(self, place: Path, columns: tuple[str, ...] | None = None, **options: Any) -> Source:
        """The table in ``place``."""
        form = self.component(**options)
        return Source(FolderStorage(place), "lake", form, "delta", path="table", columns=columns)

    def read(self, place: Path, columns: tuple[str, ...] | None = None, **options: Any) -> list[dict[str, Any]]:
        """Its rows, in an order of their own."""
        source = self.source(place, columns, **options)
        return sorted(self.rows(source.format.read(source, self.engine())), key=repr)  # type: ignore[union-attr]

    def version(self, place: Path, **options: Any) -> str | None:
        """Of its data."""
        source = self.source(place, **options)
        told: str | None = source.format.version(source)  # type: ignore[union-attr]
        return told

    # --- what holds -------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("mode", [mode.value for mode in WriteMode])
    def test_every_mode_makes_a_table(self, place: Path, mode: str) -> None:
        """Its report tells the rows and the version."""
        keys = ("id",) if mode in ("upsert", "append_once") else ()
        report = self.write(place, {"id": [1, 2], "v": ["a", None]}, mode, keys=keys)
        assert self.read(place) == [{"id": 1, "v": "a"}, {"id": 2, "v": None}]
        assert report.rows in (2, None)
        assert not report.skipped
        assert report.version == self.version(place)

    def test_overwrite_replaces_and_old_versions_stay(self, place: Path) -> None:
        """A reader may ask for either."""
        self.write(place, {"id": [1]}, "overwrite")
        self.write(place, {"id": [2]}, "overwrite")
        assert self.read(place) == [{"id": 2}]
        assert self.read(place, version=0) == [{"id": 1}]

    def test_a_part_is_appended_once(self, place: Path) -> None:
        """However often it comes."""
        self.write(place, {"id": [1]}, "append", part="one")
        self.write(place, {"id": [2]}, "append", part="two")
        before = self.version(place)
        report = self.write(place, {"id": [1]}, "append", part="one")
        assert report.skipped
        assert self.read(place) == [{"id": 1}, {"id": 2}]
        assert self.version(place) == before == report.version

    def test_rows_are_merged_by_key(self, place: Path) -> None:
        """Those that are there are replaced, or left."""
        self.write(place, {"id": [1, 2], "v": ["a", "b"]}, "overwrite")
        self.write(place, {"id": [2, 3], "v": ["B", "C"]}, "upsert", keys=("id",))
        assert [row["v"] for row in self.read(place)] == ["a", "B", "C"]
        self.write(place, {"id": [3, 4], "v": ["no", "d"]}, "append_once", keys=("id",))
        assert [row["v"] for row in self.read(place)] == ["a", "B", "C", "d"]

    @pytest.mark.parametrize("mode", ["upsert", "append_once"])
    @pytest.mark.parametrize(("ids", "keys"), [([1, None], ("id",)), ([1, 1], ("id",)), ([1, 2], ("idd",))])
    def test_bad_keys_are_refused(self, place: Path, mode: str, ids: list[Any], keys: tuple[str, ...]) -> None:
        """Before anything is written."""
        with pytest.raises(DataError):
            self.write(place, {"id": ids}, mode, keys=keys)
        assert self.version(place) is None

    def test_error_and_ignore_leave_what_is_there(self, place: Path) -> None:
        """One refuses, the other does nothing."""
        self.write(place, {"id": [1]}, "overwrite")
        with pytest.raises(DataError):
            self.write(place, {"id": [2]}, "error")
        assert self.write(place, {"id": [2]}, "ignore").skipped
        assert self.read(place) == [{"id": 1}]

    @pytest.mark.parametrize("mode", ["error", "ignore", "append", "upsert"])
    def test_racers(self, place: Path, mode: str) -> None:
        """One is the first; all others are refused, or skipped, or come after it."""
        keys = ("id",) if mode == "upsert" else ()

        def act(number: int) -> Any:
            return lambda: self.write(place, {"id": [number]}, mode, part=str(number), keys=keys)

        outcomes = together(*[act(number) for number in range(_RACERS)])
        assert all(isinstance(each, WriteReport | OdibiError) for each in outcomes), outcomes
        won = [each for each in outcomes if isinstance(each, WriteReport) and not each.skipped]
        alone = mode in ("error", "ignore")
        assert len(won) == len(self.read(place)) == (1 if alone else _RACERS), outcomes

    def test_columns(self, place: Path) -> None:
        """Those wanted, in their order; one that is missing is named."""
        self.write(place, {"a": [1], "b": ["x"]}, "overwrite", partition_by=("a",))
        assert [list(row) for row in self.read(place, ("b", "a"))] == [["b", "a"]]
        with pytest.raises(DataError, match="'bb'"):
            self.read(place, ("bb",))

    def test_other_columns_are_refused_unless_allowed(self, place: Path) -> None:
        """They are added by schema_mode merge, and replace the table's by overwrite."""
        self.write(place, {"id": [1], "a": ["x"]}, "overwrite")
        with pytest.raises(DataError, match="'b'"):
            self.write(place, {"id": [2], "b": ["y"]}, "append", part="1")
        self.write(place, {"id": [2], "b": ["y"]}, "append", part="2", schema_mode="merge")
        assert self.read(place) == [{"id": 1, "a": "x", "b": None}, {"id": 2, "a": None, "b": "y"}]
        self.write(place, {"c": [True]}, "overwrite", schema_mode="overwrite")
        assert self.read(place) == [{"c": True}]

    def test_another_partitioning_is_refused(self, place: Path) -> None:
        """None named is that of the table."""
        self.write(place, {"a": [1], "b": [1]}, "overwrite", partition_by=("a",))
        with pytest.raises(DataError, match="partition"):
            self.write(place, {"a": [2], "b": [2]}, "append", part="1", partition_by=("b",))
        self.write(place, {"a": [2], "b": [2]}, "append", part="2")
        assert len(self.read(place)) == 2

    def test_changes(self, place: Path) -> None:
        """The change data feed tells what became of each row."""
        self.write(place, {"id": [1]}, "overwrite", configuration={"delta.enableChangeDataFeed": True})
        self.write(place, {"id": [2]}, "append")
        found = self.read(place, ("id", "_change_type", "_commit_version"), change_data_feed=True, starting_version=1)
        assert found == [{"id": 2, "_change_type": "insert", "_commit_version": 1}]

    def test_a_version_changes_with_the_data(self, place: Path) -> None:
        """There is none without a table, and a pinned one stays."""
        assert self.version(place) is None
        versions = []
        for number in range(3):
            self.write(place, {"id": [number]}, "append", part=str(number))
            versions.append(self.version(place))
        assert len(set(versions)) == 3
        assert self.version(place) == versions[2]
        assert [self.version(place, version=number) for number in range(3)] == versions

    def test_where_there_is_no_table(self, place: Path) -> None:
        """That is NotFound, with what there is instead."""
        with pytest.raises(NotFound):
            self.read(place)
        FolderStorage(place).write("table/a.csv", b"x")
        with pytest.raises(NotFound, match=r"a\.csv"):
            self.read(place)


class PandasDeltaSuite(DeltaSuite):
    """The suite for the format by delta-rs, on Arrow tables."""

    component: ClassVar[type] = PandasDeltaFormat

    def engine(self) -> ArrowEngine:
        """One for Arrow tables."""
        return ArrowEngine()

    def frame(self, columns: Mapping[str, Sequence[Any]]) -> Any:
        """An Arrow table."""
        import pyarrow as pa

        return pa.table({name: pa.array(list(values)) for name, values in columns.items()})

    def rows(self, frame: Any) -> list[dict[str, Any]]:
        """A mapping a row."""
        found: list[dict[str, Any]] = frame.to_pylist()
        return found
