"""Frames to folders of files.

What is written whole goes beside its place first, under a hidden name, and is put there in one step if the storage has
such a step. Where it has none, the new objects come beside the old ones, which are removed afterwards: whoever reads
meanwhile may see both.

What is appended goes into the folder itself, under names that begin with the part's; a hidden object says when all of
it is there. An attempt that was cut off is removed by the next one.
"""

from __future__ import annotations

import difflib
import json
import threading
from contextlib import suppress
from enum import Enum
from secrets import token_hex
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from weakref import WeakValueDictionary

from odibi.contracts.finding import is_hidden
from odibi.contracts.format import WriteMode, WriteReport
from odibi.contracts.storage import ABSENT, ALWAYS, FolderStorage, check_path
from odibi.errors import Conflict, DataError, InvalidPath, NotFound, StorageError
from odibi_spark.failures import told
from odibi_spark.kinds import functions_for, observation_for
from odibi_spark.places import address, remove_empty

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from odibi.contracts.format import Target
    from odibi.contracts.storage import Stat, When
    from odibi_spark.formats.base import FileFormat

_TABLES = {"_delta_log": "Delta", ".hoodie": "Hudi"}
_KEYED = (WriteMode.APPEND_ONCE, WriteMode.UPSERT)


class _There(Enum):
    """What is at a path."""

    NOTHING = ""
    OBJECT = "object"
    FOLDER = "folder"

    def __bool__(self) -> bool:
        return self is not _There.NOTHING


class _Turn:
    """One at a time: Spark's jobs that write to one folder share a folder for what is not finished."""

    def __init__(self) -> None:
        self.lock = threading.Lock()


_turns: WeakValueDictionary[str, _Turn] = WeakValueDictionary()
_taking = threading.Lock()


def write(frame: Any, target: Target, engine: Any, format_: FileFormat) -> WriteReport:  # noqa: ARG001 - a seam
    """Write ``frame`` as ``target`` says; see :meth:`odibi.contracts.Engine.write`."""
    path = _path_of(target)
    if target.mode in _KEYED:
        raise DataError(
            f"mode {target.mode.value} looks at the rows that are there, which is not safe beside others with files",
            where=str(target),
            remedy="Use 'format: delta', which has a merge.",
        )
    _check_columns(frame, target)
    there = _look(target, path)
    if there and target.mode in (WriteMode.ERROR, WriteMode.IGNORE):
        return _refused(target)
    if target.mode is WriteMode.APPEND:
        if there is _There.OBJECT:
            raise _single(target)
        return _append(frame, target, path, format_)
    return _replace(frame, target, path, format_)


def save(
    frame: Any,
    spark_name: str,
    options: Mapping[str, str],
    target: Target,
    path: str,
    *,
    name: str,
    partition_by: Sequence[str],
) -> int | None:
    """Have Spark write all rows to objects below ``path``.

    Args:
        frame: the rows.
        spark_name: of the format.
        options: for the writer, and for the file system.
        target: whose storage.
        path: in it.
        name: how the objects' names begin.
        partition_by: columns that become folders.

    Returns:
        How many rows: counted by Spark as it wrote them; ``None`` if it does not say, as a server of Connect that has
        much to do does not wait for the count.
    """
    functions = functions_for(frame)
    seen = observation_for(frame)
    with told(str(target)):
        observed = frame.observe(seen, functions.count(functions.lit(1)).alias("rows"))
        writer = observed.write.format(spark_name).mode("append").options(**options)
        writer = writer.options(
            **{
                "mapreduce.output.basename": name,
                "mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
            }
        )
        if partition_by:
            writer = writer.partitionBy(*partition_by)
        writer.save(address(target.storage, path))
        rows = seen.get.get("rows")
    if partition_by and not rows and not _named(target, path, name):
        # One part without rows keeps the columns; a target without any part could not be read again.
        return save(frame, spark_name, options, target, path, name=name, partition_by=())
    return None if rows is None else int(rows)


# --- the whole target -----------------------------------------------------------------------------------------------


def _replace(frame: Any, target: Target, path: str, format_: FileFormat) -> WriteReport:
    storage = target.storage
    when = ALWAYS if target.mode is WriteMode.OVERWRITE else ABSENT
    if not isinstance(storage, FolderStorage):
        return _beside(frame, target, path, format_, when)
    above = path.rpartition("/")[0]
    stage = "/".join(filter(None, (above, f".odibi-stage-{token_hex(8)}")))
    name = _whole(target)
    try:
        rows = format_.saved(frame, target, stage, name=name, partition_by=target.partition_by)
        written = [stat for stat in storage.list(stage) if not is_hidden(stat.path[len(stage) + 1 :])]
        if storage.replace_folder(stage, path, when=when):
            etags = {path + stat.path[len(stage) :]: stat.etag for stat in written}
            size = sum(stat.size for stat in written)
            return WriteReport(rows, size, tuple(etags), etags=etags, exact=_is_exact(target, format_))
    except Conflict:
        _discard(target, stage)
        return _refused(target)
    except BaseException:
        _discard(target, stage)
        raise
    _discard(target, stage)
    return _beside(frame, target, path, format_, when)


def _beside(frame: Any, target: Target, path: str, format_: FileFormat, when: When) -> WriteReport:
    """Write new objects, and then remove the old ones."""
    storage = target.storage
    with suppress(NotFound, InvalidPath):
        storage.stat(path)
        raise _single(target)
    claim = f"{path}/_odibi-claim"
    if when is ABSENT:
        try:
            storage.write(claim, b"", when=ABSENT)
        except Conflict:
            return _refused(target)
    with _turn(target, path):
        old = [stat.path for stat in storage.list(path) if stat.path != claim]
        name = f"{_whole(target)}-{token_hex(4)}"
        try:
            rows = format_.saved(frame, target, path, name=name, partition_by=target.partition_by)
        except BaseException:
            _remove(target, path, name)
            if when is ABSENT:
                with suppress(StorageError):
                    storage.delete(claim)
            raise
        written = _named(target, path, name)
        for each in old:
            storage.delete(each)
    return _report(rows, written, exact=_is_exact(target, format_))


def _whole(target: Target) -> str:
    """How objects are called that are no part of an append, whose next attempt would remove them."""
    return f"all-{quote(target.part, safe='')}"


def _is_exact(target: Target, format_: FileFormat) -> bool:
    return format_.exact and target.mode is WriteMode.OVERWRITE and not target.partition_by


# --- one more part --------------------------------------------------------------------------------------------------


def _append(frame: Any, target: Target, path: str, format_: FileFormat) -> WriteReport:
    storage = target.storage
    part = quote(target.part, safe="")
    name, mark = f"part-{part}", f"{path}/_odibi-part-{part}.json"
    with _turn(target, path):
        with suppress(NotFound):
            said = json.loads(storage.read(mark))
            return WriteReport(
                said["rows"], said["bytes"], tuple(said["etags"]), skipped=True, etags=dict(said["etags"])
            )
        _remove(target, path, name)
        try:
            rows = format_.saved(frame, target, path, name=name, partition_by=target.partition_by)
        except BaseException:
            with suppress(StorageError):
                _remove(target, path, name)
            raise
        report = _report(rows, _named(target, path, name))
        said = {"rows": report.rows, "bytes": report.bytes, "etags": dict(report.etags)}
        with suppress(Conflict):
            storage.write(mark, json.dumps(said).encode(), when=ABSENT)
    return report


def _turn(target: Target, path: str) -> Any:
    uri = target.storage.uri(path)
    with _taking:
        turn = _turns.get(uri)
        if turn is None:
            turn = _turns[uri] = _Turn()
    return _Held(turn)


class _Held:
    """A ``with`` block in which nobody else of this process writes to the folder."""

    def __init__(self, turn: _Turn) -> None:
        self._turn = turn

    def __enter__(self) -> None:
        self._turn.lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._turn.lock.release()


# --- what is there --------------------------------------------------------------------------------------------------


def _path_of(target: Target) -> str:
    path = check_path(target.path) if target.path is not None else ""
    if not path:
        raise DataError(
            f"the format {target.format_name!r} writes files, but the node names no path",
            where=str(target),
            remedy="Give 'path', or a format that has tables.",
        )
    return path


def _look(target: Target, path: str) -> _There:
    storage = target.storage
    with suppress(NotFound):
        storage.stat(path)
        return _There.OBJECT
    anything = False
    for stat in storage.list(path):
        if stat.path == path:  # another writer has created it since
            return _There.OBJECT
        anything = True
        if not is_hidden(stat.path[len(path) + 1 :]):
            break
    else:
        if anything:
            _check_no_table(target, path)
        return _There.NOTHING
    _check_no_table(target, path)
    return _There.FOLDER


def _check_no_table(target: Target, path: str) -> None:
    for folder, kind in _TABLES.items():
        if next(target.storage.list(f"{path}/{folder}"), None) is not None:
            raise DataError(
                f"there is a {kind} table, whose files must not be written one by one",
                where=str(target),
                remedy="Write it with the format of the table, or write to another path.",
            )


def _check_columns(frame: Any, target: Target) -> None:
    columns = frame.columns
    seen: dict[str, str] = {}
    for column in columns:
        if (other := seen.setdefault(column.casefold(), column)) != column or columns.count(column) > 1:
            raise DataError(
                f"the columns {other!r} and {column!r} have the same name to Spark, which does not tell cases apart",
                where=str(target),
                remedy="Rename one of them.",
            )
    for column in target.partition_by:
        if column not in columns:
            close = difflib.get_close_matches(column, columns, n=1)
            hint = f"Did you mean {close[0]!r}? " if close else ""
            raise DataError(
                f"there is no column {column!r} to partition by",
                where=str(target),
                remedy=f"{hint}The columns are: {', '.join(columns)}.",
            )
    if target.partition_by and len(set(target.partition_by)) == len(columns):
        raise DataError(
            "all columns are folders, so that nothing is left to write",
            where=str(target),
            remedy="Partition by fewer columns.",
        )


def _refused(target: Target) -> WriteReport:
    if target.mode is WriteMode.IGNORE:
        return WriteReport(rows=0, bytes=0, skipped=True)
    raise DataError(
        "there is data already", where=str(target), remedy="Choose another path, or mode overwrite or append."
    )


def _single(target: Target) -> DataError:
    return DataError(
        "there is one object, but parts are to be written below this path",
        where=str(target),
        remedy="Write to another path, or remove the object first.",
    )


def _named(target: Target, path: str, name: str) -> list[Stat]:
    """The objects of one part."""
    return [stat for stat in target.storage.list(path) if stat.path.rpartition("/")[2].startswith(f"{name}-")]


def _report(rows: int | None, written: Sequence[Stat], *, exact: bool = False) -> WriteReport:
    etags = {stat.path: stat.etag for stat in written}
    return WriteReport(rows, sum(stat.size for stat in written), tuple(etags), etags=etags, exact=exact)


def _remove(target: Target, path: str, name: str) -> None:
    for stat in _named(target, path, name):
        target.storage.delete(stat.path)


def _discard(target: Target, stage: str) -> None:
    with suppress(StorageError):
        for stat in list(target.storage.list(stage)):
            target.storage.delete(stat.path)
    remove_empty(target.storage, stage)
