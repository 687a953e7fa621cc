"""Frames to targets."""

from __future__ import annotations

import difflib
import logging
from contextlib import suppress
from enum import Enum
from secrets import token_hex
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

import attrs

from odibi.contracts.finding import is_hidden
from odibi.contracts.format import WriteMode, WriteReport
from odibi.contracts.storage import ABSENT, ALWAYS, Match, check_path
from odibi.errors import Conflict, DataError, NotFound, OdibiError
from odibi_pandas.formats.base import FileFormat
from odibi_pandas.frames import from_table, to_table
from odibi_pandas.merging import check_keys, merge
from odibi_pandas.partitions import combinations
from odibi_pandas.publish import Draft, Published, SingleObject, publish, publish_absent, publish_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    import pyarrow as pa

    from odibi.contracts.engine import Engine
    from odibi.contracts.format import Format, Target
    from odibi.contracts.storage import When

_log = logging.getLogger("odibi_pandas")

_TABLES = {"_delta_log": "Delta", ".hoodie": "Hudi"}
"""Folders that make a table of the folder that holds them; without them its files mean nothing."""

_MANY, _TOO_MANY = 1_000, 10_000
_TRIES = 50
"""How often rows are merged into an object that others keep changing."""

_IN_MEMORY = 64 << 20
"""Bytes of a merged object that are kept in memory before it is published; more of them go to a temporary file."""

_KEYED = (WriteMode.APPEND_ONCE, WriteMode.UPSERT)


def write(frame: Any, target: Target, engine: Engine) -> WriteReport:
    """Write ``frame`` as ``target`` says; see :meth:`odibi.contracts.Engine.write`."""
    if not hasattr(target.format, "write_object"):
        report: WriteReport = target.format.write(frame, target, engine)
        return report
    with _naming(target):
        if target.mode in _KEYED:
            return _write_by_key(to_table(frame), target)
        writer = _Writer(target)
        if target.mode is WriteMode.APPEND and not len(frame) and writer.holds_parts():
            # A part without rows would add nothing but an object to open, each time that nothing new had come.
            return WriteReport(rows=0, bytes=0, skipped=True)
        report = writer.write(iter([frame]), chunked=False)
        return attrs.evolve(report, exact=_comes_back(frame, target, report))


def _comes_back(frame: Any, target: Target, report: WriteReport) -> bool:
    """Whether reading the target gives the frame as it was."""
    import pandas as pd

    if not getattr(target.format, "exact", False) or target.mode is not WriteMode.OVERWRITE or len(report.paths) != 1:
        return False
    index = frame.index
    plain = type(index) is pd.RangeIndex and index.start == 0 and index.step == 1 and index.name is None
    names = frame.columns
    told = type(names) is pd.Index and names.is_unique and names.name is None and not frame.attrs
    return (
        bool(plain and told and not target.partition_by)
        and all(isinstance(dtype, pd.ArrowDtype) for dtype in frame.dtypes)
        and all(type(name) is str for name in names)
    )


def write_chunks(frames: Iterator[Any], target: Target) -> WriteReport:
    """Write frames one after another as one target; see :meth:`odibi.contracts.Engine.write_chunks`."""
    if not hasattr(target.format, "write_object"):
        raise DataError(
            f"the format {target.format_name!r} does not write in chunks",
            where=str(target),
            remedy="Leave out chunk_rows in the node's 'read'.",
        )
    if target.mode in _KEYED:
        raise DataError(
            f"mode {target.mode.value} compares all rows with all that are there, and so cannot write in chunks",
            where=str(target),
            remedy="Leave out chunk_rows in the node's 'read', or use mode append or overwrite.",
        )
    with _naming(target):
        return _Writer(target).write(frames, chunked=True)


class _There(Enum):
    """What is at a path."""

    NOTHING = ""
    OBJECT = "object"
    FOLDER = "folder"

    def __bool__(self) -> bool:
        return self is not _There.NOTHING


class _naming:  # noqa: N801 - used as a function
    """Say which target an error of a format is about; the format knows only the file."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OdibiError) and not error.where:
            error.where = str(self._target)


class _Writer:
    """All modes that do not look at keys."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._storage = target.storage
        self._path = path_of(target)
        self._format: Format = target.format  # type: ignore[assignment]
        if isinstance(self._format, FileFormat):
            self._format = self._format.for_path(self._path)

    def write(self, frames: Iterator[Any], *, chunked: bool) -> WriteReport:
        """Do what the mode says."""
        mode = self._target.mode
        there = self._there()
        if there and mode in (WriteMode.ERROR, WriteMode.IGNORE):
            return self._refused(mode)
        # A folder of parts stays one, so that its readers find the new part where they look.
        in_folder = mode is WriteMode.APPEND or bool(self._target.partition_by) or there is _There.FOLDER
        if not in_folder:
            if mode is WriteMode.OVERWRITE:
                return self._report(publish(self._storage, self._whole(frames)))
            published = publish_absent(self._storage, self._whole(frames))
            return self._refused(mode) if published.kept else self._report(published)
        if mode is WriteMode.APPEND:
            if there is _There.OBJECT:
                raise self._single()
            return self._report(publish_absent(self._storage, self._parts(frames, chunked=chunked)))
        return self._write_folder(frames, mode, chunked=chunked)

    def _write_folder(self, frames: Iterator[Any], mode: WriteMode, *, chunked: bool) -> WriteReport:
        overwrite = mode is WriteMode.OVERWRITE
        # Names that no version of the folder had, so that who has listed an old one never opens a part of a new one.
        version = f"-{token_hex(4)}" if overwrite else ""
        drafts = self._parts(frames, chunked=chunked, version=version)
        try:
            return self._report(publish_folder(self._storage, self._path, drafts, when=ALWAYS if overwrite else ABSENT))
        except SingleObject:
            raise self._single() from None
        except Conflict:
            if overwrite:
                raise
            return self._refused(mode)

    def holds_parts(self) -> bool:
        """Whether a reader of the path would see a folder of parts."""
        return self._there() is _There.FOLDER

    def _there(self) -> _There:
        """What a reader of the path would see."""
        with suppress(NotFound):
            self._storage.stat(self._path)
            return _There.OBJECT
        anything = False
        for stat in self._storage.list(self._path):
            if stat.path == self._path:  # another writer has created it since
                return _There.OBJECT
            anything = True
            if not is_hidden(stat.path[len(self._path) + 1 :]):
                self._check_no_table()
                return _There.FOLDER
        if anything:
            self._check_no_table()
        return _There.NOTHING

    def _check_no_table(self) -> None:
        for folder, kind in _TABLES.items():
            if next(self._storage.list(f"{self._path}/{folder}"), None) is not None:
                raise DataError(
                    f"there is a {kind} table, whose files must not be written one by one",
                    where=str(self._target),
                    remedy="Write it with the format of the table, or write to another path.",
                )

    def _single(self) -> DataError:
        return DataError(
            "there is one object, but parts are to be written below this path",
            where=str(self._target),
            remedy="Write to another path, or remove the object first.",
        )

    def _refused(self, mode: WriteMode) -> WriteReport:
        if mode is WriteMode.IGNORE:
            return WriteReport(rows=0, bytes=0, skipped=True)
        raise DataError(
            "there is data already", where=str(self._target), remedy="Choose another path, or mode overwrite or append."
        )

    def _report(self, published: Published) -> WriteReport:
        etags = {**published.kept, **published.etags}
        return WriteReport(
            rows=published.rows,
            bytes=published.bytes,
            paths=tuple(etags),
            skipped=bool(published.kept) and not published.etags,
            etags=etags,
        )

    def _whole(self, frames: Iterator[Any]) -> Iterator[Draft]:
        yield Draft(self._path, lambda file: self._format.write_object_chunks(frames, file))

    def _parts(self, frames: Iterator[Any], *, chunked: bool, version: str = "") -> Iterator[Draft]:
        name = f"part-{quote(self._target.part, safe='')}{version}"
        ending = self._format.extension() if isinstance(self._format, FileFormat) else self._format.extensions[0]
        if not self._target.partition_by:
            path = f"{self._path}/{name}{ending}"
            yield Draft(path, lambda file: self._format.write_object_chunks(frames, file))
            return
        seen: set[str] = set()
        for at, frame in enumerate(frames):
            number = f"-{at:05d}" if chunked else ""
            for folder, table in self._partitioned(to_table(frame), seen, first=at == 0):
                path = "/".join(filter(None, (self._path, folder, f"{name}{number}{ending}")))
                yield Draft(path, _one(self._format, table))

    def _partitioned(self, table: pa.Table, seen: set[str], *, first: bool) -> list[tuple[str, pa.Table]]:
        by = self._target.partition_by
        for column in by:
            if column not in table.column_names:
                close = difflib.get_close_matches(column, table.column_names, n=1)
                hint = f"Did you mean {close[0]!r}? " if close else ""
                raise DataError(
                    f"there is no column {column!r} to partition by",
                    where=str(self._target),
                    remedy=f"{hint}The columns are: {', '.join(table.column_names)}.",
                )
        if len(set(by)) == table.num_columns:
            raise DataError(
                "all columns are folders, so that nothing is left to write",
                where=str(self._target),
                remedy="Partition by fewer columns.",
            )
        if not table.num_rows:
            # One part without rows keeps the columns; a target without any part could not be read again.
            return [("", table)] if first else []
        found = combinations(table, by)
        before = len(seen)
        seen.update(folder for folder, _ in found)
        if len(seen) > _TOO_MANY:
            raise DataError(
                f"there would be {len(seen):,} folders, more than {_TOO_MANY:,}",
                where=str(self._target),
                remedy="Partition by columns of fewer values, such as the year rather than the moment.",
            )
        if before <= _MANY < len(seen):
            _log.warning("%s: more than %s folders; small files are slow to read", self._target, f"{_MANY:,}")
        return found


def path_of(target: Target) -> str:
    """The path to write to.

    Raises:
        DataError: the target has none.
        InvalidPath: it could leave the storage.
    """
    path = check_path(target.path) if target.path is not None else ""
    if not path:
        raise DataError(
            f"the format {target.format_name!r} writes files, but the node names no path",
            where=str(target),
            remedy="Give 'path', or a format that has tables.",
        )
    return path


def _one(format_: Format, table: pa.Table) -> Any:
    def write_to(file: BinaryIO) -> int:
        format_.write_object(from_table(table), file)
        return int(table.num_rows)

    return write_to


def _write_by_key(new: pa.Table, target: Target) -> WriteReport:
    """Read what is there, merge, and write if it is still the same; once more whenever somebody was faster."""
    if target.partition_by:
        raise DataError(
            f"mode {target.mode.value} does not write to folders",
            where=str(target),
            remedy="Leave out partition_by, or use a table format.",
        )
    check_keys(new, target.keys, str(target))
    for _ in range(_TRIES):
        # Each time that this loses, another writer has won: all of them come to an end.
        with suppress(Conflict):
            return _merge_once(new, target)
    raise Conflict(
        f"others changed the object each time that rows were merged into it; given up after {_TRIES} times",
        where=str(target),
        remedy="Let fewer nodes write to it at the same time, or use a table format.",
    )


def _merge_once(new: pa.Table, target: Target) -> WriteReport:
    storage, path = target.storage, path_of(target)
    format_: Format = target.format  # type: ignore[assignment]
    if isinstance(format_, FileFormat):
        format_ = format_.for_path(path)
    try:
        seen = storage.stat(path)
    except NotFound:
        below = next(storage.list(path), None)
        if below is not None and below.path == path:
            raise Conflict("another writer has created the object", where=str(target)) from None
        if below is not None:
            raise DataError(
                f"there is a folder of parts, and mode {target.mode.value} writes to a single object",
                where=str(target),
                remedy="Write to another path, or use a table format.",
            ) from None
        return _replace(target, format_, new, new.num_rows, ABSENT)
    try:
        file = storage.open(path)
    except NotFound:
        raise Conflict("the object is gone", where=str(target)) from None
    # Should it be another object than the one seen by now, writing will fail.
    with file:
        old = to_table(format_.read_object(file, name=f"{target.connection}:{path}"))
    merged = merge(old, new, target.keys, str(target), replace=target.mode is WriteMode.UPSERT)
    if not merged.rows:
        if _etag(target) != seen.etag:
            raise Conflict("the object has changed", where=str(target))
        return WriteReport(rows=0, bytes=0, paths=(path,), skipped=True, etags={path: seen.etag})
    return _replace(target, format_, merged.table, merged.rows, Match(seen.etag))


def _etag(target: Target) -> str:
    try:
        return target.storage.stat(path_of(target)).etag
    except NotFound:
        return ""


def _replace(target: Target, format_: Format, table: pa.Table, rows: int, when: When) -> WriteReport:
    path = path_of(target)
    with SpooledTemporaryFile(_IN_MEMORY) as file:
        format_.write_object(from_table(table), cast("BinaryIO", file))
        file.seek(0)
        # Tells the etag of what was written; asked afterwards, that could be the one of the next writer.
        stat = target.storage.write(path, cast("BinaryIO", file), when=when)
    return WriteReport(rows=rows, bytes=stat.size, paths=(path,), etags={path: stat.etag})
