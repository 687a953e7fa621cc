"""Frames to targets."""

from __future__ import annotations

import difflib
import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from odibi.contracts.format import WriteMode, WriteReport
from odibi.contracts.storage import ABSENT, Match, check_path
from odibi.errors import Conflict, DataError, NotFound, OdibiError
from odibi_pandas.finding import is_hidden
from odibi_pandas.formats.base import FileFormat
from odibi_pandas.frames import from_table, to_table
from odibi_pandas.merging import check_keys, merge
from odibi_pandas.partitions import combinations
from odibi_pandas.publish import Draft, Published, publish, publish_absent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    import pyarrow as pa

    from odibi.contracts.engine import Engine
    from odibi.contracts.format import Format, Target

_log = logging.getLogger("odibi_pandas")

_MANY, _TOO_MANY = 1_000, 10_000
_KEYED = (WriteMode.APPEND_ONCE, WriteMode.UPSERT)


def write(frame: Any, target: Target, engine: Engine) -> WriteReport:
    """Write ``frame`` as ``target`` says; see :meth:`odibi.contracts.Engine.write`."""
    if not hasattr(target.format, "write_object"):
        report: WriteReport = target.format.write(frame, target, engine)
        return report
    with _naming(target):
        if target.mode in _KEYED:
            return _write_by_key(to_table(frame), target)
        return _Writer(target).write(iter([frame]), chunked=False)


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
        single = there == [self._path]
        in_folder = mode is WriteMode.APPEND or bool(self._target.partition_by)
        if there and mode in (WriteMode.ERROR, WriteMode.IGNORE):
            return self._refused(mode)
        if single and in_folder:
            raise DataError(
                "there is one object, but parts are to be written below this path",
                where=str(self._target),
                remedy="Write to another path, or remove the object first.",
            )
        # A folder of parts stays one, so that its readers find the new part where they look.
        in_folder = in_folder or bool(there)
        in_folder = in_folder and not single
        drafts = self._parts(frames, chunked=chunked) if in_folder else self._whole(frames)
        if mode is WriteMode.APPEND:
            return self._report(publish_absent(self._storage, drafts))
        if mode in (WriteMode.ERROR, WriteMode.IGNORE):
            published = publish_absent(self._storage, drafts)
            return self._refused(mode) if published.kept else self._report(published)
        return self._report(publish(self._storage, drafts, replaced=there if in_folder else ()))

    def _there(self) -> list[str]:
        """The objects that a reader of the path would see."""
        try:
            return [self._storage.stat(self._path).path]
        except NotFound:
            below = (stat.path for stat in self._storage.list(self._path))
            return [path for path in below if not is_hidden(path[len(self._path) + 1 :])]

    def _refused(self, mode: WriteMode) -> WriteReport:
        if mode is WriteMode.IGNORE:
            return WriteReport(rows=0, bytes=0, skipped=True)
        raise DataError(
            "there is data already", where=str(self._target), remedy="Choose another path, or mode overwrite or append."
        )

    def _report(self, published: Published) -> WriteReport:
        return WriteReport(
            rows=published.rows,
            bytes=published.bytes,
            paths=tuple(published.etags),
            skipped=bool(published.kept) and not published.etags,
            etags=published.etags,
        )

    def _whole(self, frames: Iterator[Any]) -> Iterator[Draft]:
        yield Draft(self._path, lambda file: self._format.write_object_chunks(frames, file))

    def _parts(self, frames: Iterator[Any], *, chunked: bool) -> Iterator[Draft]:
        name = f"part-{quote(self._target.part, safe='')}"
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
    """Read what is there, merge, and write if it is still the same; once more if somebody was faster."""
    if target.partition_by:
        raise DataError(
            f"mode {target.mode.value} does not write to folders",
            where=str(target),
            remedy="Leave out partition_by, or use a table format.",
        )
    check_keys(new, target.keys, str(target))
    try:
        return _merge_once(new, target)
    except Conflict:
        return _merge_once(new, target)


def _merge_once(new: pa.Table, target: Target) -> WriteReport:
    storage, path = target.storage, path_of(target)
    format_: Format = target.format  # type: ignore[assignment]
    if isinstance(format_, FileFormat):
        format_ = format_.for_path(path)
    try:
        seen = storage.stat(path)
    except NotFound:
        if next(storage.list(path), None) is not None:
            raise DataError(
                f"there is a folder of parts, and mode {target.mode.value} writes to a single object",
                where=str(target),
                remedy="Write to another path, or use a table format.",
            ) from None
        return _replace(target, format_, new, new.num_rows, ABSENT)
    with storage.open(path) as file:
        old = to_table(format_.read_object(file, name=f"{target.connection}:{path}"))
    merged = merge(old, new, target.keys, str(target), replace=target.mode is WriteMode.UPSERT)
    if not merged.rows:
        return WriteReport(rows=0, bytes=0, skipped=True)
    return _replace(target, format_, merged.table, merged.rows, Match(seen.etag))


def _replace(target: Target, format_: Format, table: pa.Table, rows: int, when: Any) -> WriteReport:
    path = path_of(target)
    with target.storage.create(path, when=when) as file:
        format_.write_object(from_table(table), file)
    stat = target.storage.stat(path)
    return WriteReport(rows=rows, bytes=stat.size, paths=(path,), etags={path: stat.etag})
