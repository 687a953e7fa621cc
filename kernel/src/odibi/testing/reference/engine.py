"""An engine of plain rows: lists of Python values, SQL by SQLite in memory. For tests of pipelines and of suites.

It needs nothing but the standard library, save pyarrow where a frame becomes Arrow.
"""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Mapping
from contextlib import suppress
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, cast
from urllib.parse import quote

import attrs

from odibi.contracts.bounds import KEY_KINDS, Bound, key_digest, kind_of_type
from odibi.contracts.engine import Column, FrameInfo
from odibi.contracts.format import WriteMode, WriteReport
from odibi.contracts.storage import ABSENT, ALWAYS, Match, check_path
from odibi.errors import Cancelled, Conflict, DataError, NotFound, TransformError
from odibi.testing.frames import Table, from_arrow, to_arrow

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from odibi.contracts.bounds import Value
    from odibi.contracts.format import Format, Source, Target
    from odibi.contracts.storage import Stat, When

_SPECIAL = re.compile(r"[*?\[]")
_IN_MEMORY = 1 << 20
_TRIES = 50
"""How often rows are merged into an object that others keep changing."""

_KEYED = (WriteMode.APPEND_ONCE, WriteMode.UPSERT)


@attrs.define(eq=False)
class RowsFrame:
    """A table that can be changed in place.

    Attributes:
        types: the columns in order, each with its type in Arrow's words.
        rows: a list of values a row.
    """

    types: dict[str, str]
    rows: list[list[Any]]


def concatenated(frames: Sequence[RowsFrame], where: str) -> RowsFrame:
    """Frames of the same columns one below the other.

    Raises:
        DataError: they have other columns, or types that do not go together.
    """
    first = frames[0]
    types = dict(first.types)
    for frame in frames[1:]:
        if set(frame.types) != set(types):
            raise DataError(
                f"the parts have different columns: {', '.join(frame.types)}, and {', '.join(types)}", where=where
            )
        for column, word in frame.types.items():
            types[column] = _common(types[column], word, f"{where}, column {column!r}")
    rows = [
        [_widened(row[at], types[column]) for column, at in places]
        for frame in frames
        for places in [[(column, list(frame.types).index(column)) for column in types]]
        for row in frame.rows
    ]
    return RowsFrame(types, rows)


def _common(one: str, other: str, where: str) -> str:
    if one == other or other == "null":
        return one
    if one == "null":
        return other
    if {one, other} == {"int64", "double"}:
        return "double"
    raise DataError(f"the parts have different types, {one} and {other}", where=where)


def _widened(value: Any, word: str) -> Any:
    return float(value) if word == "double" and value is not None else value


@attrs.frozen
class RowsEngine:
    """Frames are :class:`RowsFrame`; SQL runs in SQLite, which knows whole numbers, numbers, texts and bytes.

    It writes single objects, and folders of parts by ``append`` alone; it makes no folders of values.
    """

    frame_type: ClassVar[str] = "odibi.testing.reference.engine:RowsFrame"
    dialect: ClassVar[str] = "sqlite"
    capabilities: ClassVar[Mapping[str, str]] = {"bounds": "full", "keys": "full"}

    def read(self, source: Source) -> RowsFrame:
        """The data at ``source`` as one frame, of its rows those that are meant."""
        frame = self._whole(source)
        return frame if source.after is None else bounded(frame, source.after, str(source))

    def newest(self, frame: RowsFrame, column: str) -> Value | None:
        """The greatest value of a column."""
        every = Bound(column)
        known = bounded(frame, every, "the frame")
        at = list(frame.types).index(column)
        return max((row[at] for row in known.rows), default=None)

    def digests(self, frame: RowsFrame, key: Sequence[str], bound: Bound) -> Iterator[tuple[int, bytes, Value]]:
        """Place, digest of the key and value of each row that ``bound`` means."""
        bounded(frame, bound, "the frame")
        at, places = list(frame.types).index(bound.column), key_places(frame, key)
        for place, row in enumerate(frame.rows):
            if bound.holds(row[at]):
                yield place, key_digest([row[each] for each in places]), row[at]

    def newest_of_each(self, frame: RowsFrame, key: Sequence[str], column: str) -> RowsFrame:
        """Of the rows that have one key, the one with the greatest value."""
        at, places = list(frame.types).index(column), key_places(frame, key)
        newest: dict[bytes, int] = {}
        for place, row in enumerate(frame.rows):
            held = newest.setdefault(key_digest([row[each] for each in places]), place)
            if row[at] > frame.rows[held][at]:
                newest[key_digest([row[each] for each in places])] = place
        return RowsFrame(dict(frame.types), [frame.rows[place] for place in sorted(newest.values())])

    def without(self, frame: RowsFrame, rows: Collection[int]) -> RowsFrame:
        """The other rows."""
        left = set(rows)
        return RowsFrame(dict(frame.types), [row for at, row in enumerate(frame.rows) if at not in left])

    def _whole(self, source: Source) -> RowsFrame:
        if not hasattr(source.format, "read_object"):
            return cast("RowsFrame", source.format.read(source, self))
        frames = []
        for stat in objects_of(source):
            with source.storage.open(stat.path) as file:
                name = f"{source.connection}:{stat.path}"
                frames.append(source.format.read_object(file, name=name, columns=source.columns))
        return concatenated(frames, str(source))

    def read_chunks(self, source: Source, rows: int) -> Iterator[RowsFrame]:
        """The same, about ``rows`` rows at a time."""
        for frame in self._chunks(source, rows):
            yield frame if source.after is None else bounded(frame, source.after, str(source))

    def _chunks(self, source: Source, rows: int) -> Iterator[RowsFrame]:
        if not hasattr(source.format, "read_object"):
            whole = source.format.read(source, self)
            for begin in range(0, max(len(whole.rows), 1), rows):
                yield RowsFrame(dict(whole.types), whole.rows[begin : begin + rows])
            return
        for stat in objects_of(source):
            with source.storage.open(stat.path) as file:
                name = f"{source.connection}:{stat.path}"
                form = cast("Format", source.format)
                yield from form.read_object_chunks(file, rows, name=name, columns=source.columns)

    def write(self, frame: RowsFrame, target: Target) -> WriteReport:
        """Write ``frame`` as ``target`` says."""
        if not hasattr(target.format, "write_object"):
            return target.format.write(frame, target, self)
        if target.mode in _KEYED:
            return self._merge(frame, target)
        return self.write_chunks(iter([frame]), target)

    def write_chunks(self, frames: Iterator[RowsFrame], target: Target) -> WriteReport:
        """Write frames one after another as one target."""
        path = _path(target)
        if target.mode in _KEYED or not hasattr(target.format, "write_object"):
            raise DataError(f"mode {target.mode.value} of {target.format_name} does not write in chunks")
        there = self.there(target)
        if there and target.mode is WriteMode.IGNORE:
            return WriteReport(rows=0, bytes=0, skipped=True)
        if there and target.mode is WriteMode.ERROR:
            raise _taken(target)
        if target.mode is WriteMode.APPEND:
            return self._append(frames, target, path)
        if there == "folder":
            raise _folder(target)
        when = ALWAYS if target.mode is WriteMode.OVERWRITE else ABSENT
        try:
            return self.publish(frames, target, path, when)
        except Conflict:
            if target.mode is WriteMode.IGNORE:
                return WriteReport(rows=0, bytes=0, skipped=True)
            raise _taken(target) from None

    def _append(self, frames: Iterator[RowsFrame], target: Target, path: str) -> WriteReport:
        if self.there(target) == "object":
            raise DataError("there is one object, and no folder for parts", where=str(target), remedy="Remove it.")
        part = f"{path}/part-{quote(target.part, safe='')}{_format(target).extensions[0]}"
        try:
            return self.publish(frames, target, part, ABSENT)
        except Conflict:
            stat = target.storage.stat(part)
            return WriteReport(rows=0, bytes=0, paths=(part,), skipped=True, etags={part: stat.etag})

    def there(self, target: Target) -> str:
        """What is at the target's path: ``"object"``, ``"folder"`` or nothing."""
        path = _path(target)
        with suppress(NotFound):
            target.storage.stat(path)
            return "object"
        return "folder" if next(target.storage.list(path), None) is not None else ""

    def publish(self, frames: Iterator[RowsFrame], target: Target, path: str, when: When) -> WriteReport:
        """Write all to the side, and then the whole object at once."""
        with SpooledTemporaryFile(_IN_MEMORY) as spooled:
            file = cast("BinaryIO", spooled)
            rows = _format(target).write_object_chunks(frames, file)
            file.seek(0)
            stat = target.storage.write(path, file, when=when)
        return WriteReport(rows=rows, bytes=stat.size, paths=(path,), etags={path: stat.etag})

    def _merge(self, frame: RowsFrame, target: Target) -> WriteReport:
        path = _path(target)
        check_keys(frame, target)
        for _ in range(_TRIES):
            if self.there(target) == "folder":
                raise _folder(target)
            with suppress(Conflict):
                return self._merge_once(frame, target, path)
        raise Conflict("others changed the object each time that rows were merged into it", where=str(target))

    def _merge_once(self, frame: RowsFrame, target: Target, path: str) -> WriteReport:
        try:
            stat = target.storage.stat(path)
        except NotFound:
            return self.publish(iter([frame]), target, path, ABSENT)
        with target.storage.open(path) as file:
            old = _format(target).read_object(file, name=f"{target.connection}:{path}")
        new, changed = merged(old, frame, target)
        if not changed:
            return WriteReport(rows=0, bytes=0, paths=(path,), skipped=True, etags={path: stat.etag})
        return attrs.evolve(self.publish(iter([new]), target, path, Match(stat.etag)), rows=changed)

    def sql(self, query: str, frames: Mapping[str, RowsFrame]) -> RowsFrame:
        """The result of a single query that sees ``frames`` under their names, and nothing else."""
        session = self.session("sql")
        try:
            return session.sql(query, frames)
        finally:
            session.close()

    def session(self, node: str) -> RowsSession:
        """A new namespace for one attempt of ``node``."""
        return RowsSession(node)

    def share(self, frame: RowsFrame) -> RowsFrame:
        """A copy."""
        return RowsFrame(dict(frame.types), [_copied(row) for row in frame.rows])

    def to_arrow(self, frame: RowsFrame) -> Any:
        """The frame as an Arrow table."""
        return to_arrow(Table(frame.types, frame.rows))

    def from_arrow(self, stream: Any) -> RowsFrame:
        """A frame from any object with ``__arrow_c_stream__``."""
        table = from_arrow(stream)
        return RowsFrame(dict(table.types), [list(row) for row in table.rows])

    def write_arrow(self, frame: RowsFrame, file: BinaryIO) -> None:
        """Write the frame to ``file`` as one Arrow IPC file."""
        import pyarrow as pa

        try:
            table = self.to_arrow(frame)
        except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
            raise DataError(f"the frame does not come back from Arrow: {error}") from error
        if [str(kind) for kind in table.schema.types] != list(frame.types.values()):
            raise DataError(f"Arrow has other words for the types {', '.join(frame.types.values())}")
        with pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)

    def read_arrow(self, data: memoryview) -> RowsFrame:
        """The frame that :meth:`write_arrow` wrote."""
        import pyarrow as pa

        try:
            with pa.ipc.open_file(pa.py_buffer(data)) as reader:
                table = reader.read_all()
            table.validate(full=True)
            return self.from_arrow(table)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise DataError(f"this is no Arrow file: {error}", remedy="Make the frame again.") from error

    def inspect(self, frame: RowsFrame) -> FrameInfo:
        """Rows and schema."""
        return FrameInfo(len(frame.rows), tuple(Column(name, word) for name, word in frame.types.items()))

    def sample(self, frame: RowsFrame, n: int) -> Sequence[Mapping[str, Any]]:
        """Up to ``n`` rows."""
        return [dict(zip(frame.types, _copied(row), strict=True)) for row in frame.rows[:n]]

    def close(self) -> None:
        """It holds nothing."""


def bounded(frame: RowsFrame, bound: Bound, where: str) -> RowsFrame:
    """The rows that ``bound`` means.

    Raises:
        DataError: there is no such column, or its values cannot be compared with the bounds.
    """
    if bound.column not in frame.types:
        raise DataError(
            f"there is no column {bound.column!r}", where=where, remedy=f"There are: {', '.join(frame.types)}."
        )
    at = list(frame.types).index(bound.column)
    bound.check(kind_of_type(frame.types[bound.column]), where)
    return RowsFrame(dict(frame.types), [row for row in frame.rows if bound.holds(row[at])])


def key_places(frame: RowsFrame, key: Sequence[str]) -> list[int]:
    """Where the columns of a key are in a row.

    Raises:
        DataError: one is not there, is of no kind that a key may have, or has no value in some row.
    """
    names = list(frame.types)
    for name in key:
        kind = kind_of_type(frame.types.get(name, ""))
        if kind not in KEY_KINDS:
            raise DataError(f"there is no column {name!r} to know rows by, or it is of a kind that no key has")
    places = [names.index(name) for name in key]
    if any(row[at] is None for row in frame.rows for at in places):
        raise DataError(f"some row has no value in {', '.join(key)}, by which rows are known")
    return places


def _copied(value: Any) -> Any:
    return [_copied(each) for each in value] if isinstance(value, list) else value


# --- finding and merging --------------------------------------------------------------------------------------------


def objects_of(source: Source) -> list[Stat]:
    """The objects that a source means; at least one.

    Raises:
        NotFound: there is none.
        DataError: the source has no path, or is of a batch that holds what the path does not mean.
        Conflict: it is of a batch, an object of which is not there as it was.
    """
    if source.path is None:
        raise DataError(f"the format {source.format_name!r} reads files, but the node names no path")
    path = check_path(source.path)
    if _SPECIAL.search(path):
        fixed = path[: cast("re.Match[str]", _SPECIAL.search(path)).start()].rpartition("/")[0]
        pattern = re.compile(_expression(path) + "(/.*)?", re.DOTALL)
        found = [stat for stat in source.storage.list(fixed) if pattern.fullmatch(stat.path)]
        path = fixed
    else:
        try:
            found = [source.storage.stat(path)]
        except NotFound:
            found = list(source.storage.list(path))
    shown = [stat for stat in found if not _hidden(stat.path[len(path) :] if stat.path != path else "")]
    if source.only is not None:
        shown = _of_batch(source, {stat.path: stat for stat in shown})
    if not shown:
        raise NotFound("there is no such object or folder", where=str(source), remedy="Check the path.")
    return shown


def _of_batch(source: Source, there: Mapping[str, Stat]) -> list[Stat]:
    """Those of the objects that the source wants, in its order."""
    for file in source.only or ():
        where = f"{source.connection}:{file.path}"
        stat = there.get(file.path)
        if stat is None and any(each.path == file.path for each in source.storage.list(file.path)):
            raise DataError("it is in the batch, but the path does not mean it", where=where)
        if stat is None or stat.etag != file.etag:
            raise Conflict("it is not there any more as the batch has it", where=where)
    return [there[file.path] for file in source.only or ()]


def _hidden(path: str) -> bool:
    return any(part.startswith((".", "_")) for part in path.split("/"))


def _expression(path: str) -> str:
    """The regular expression of a pattern, in which ``**`` alone crosses a ``/``."""
    words = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    expression = ""
    for piece in re.split(r"(\*\*/|\*\*|\*|\?|\[!?\]?[^\]]*\])", path):
        if piece.startswith("[") and piece.endswith("]"):
            inside = piece[1:-1].replace("\\", r"\\")
            expression += f"[^{inside[1:]}]" if inside.startswith("!") else f"[{inside}]"
        else:
            expression += words.get(piece) or re.escape(piece)
    return expression


def check_keys(frame: RowsFrame, target: Target) -> None:
    """Refuse rows that their keys do not tell apart.

    Raises:
        DataError: there is no such column, a key is null, or two rows have the same keys.
    """
    for key in target.keys:
        if key not in frame.types:
            raise DataError(f"there is no key column {key!r}", where=str(target))
    found = _by_key(frame, target)
    if not target.keys or len(found) != len(frame.rows) or any(None in key for key in found):
        raise DataError("the keys do not tell the rows apart", where=str(target), remedy="Keep one row a key.")


def merged(old: RowsFrame, new: RowsFrame, target: Target) -> tuple[RowsFrame, int]:
    """The rows that were there with the new ones, and how many of these are in it."""
    both = concatenated([old, new], str(target))
    there, coming = (
        _by_key(RowsFrame(both.types, both.rows[: len(old.rows)]), target),
        _by_key(RowsFrame(both.types, both.rows[len(old.rows) :]), target),
    )
    if target.mode is WriteMode.UPSERT:
        return RowsFrame(both.types, list({**there, **coming}.values())), len(coming)
    return RowsFrame(both.types, list({**coming, **there}.values())), len(coming.keys() - there.keys())


def _by_key(frame: RowsFrame, target: Target) -> dict[tuple[Any, ...], list[Any]]:
    at = [list(frame.types).index(key) for key in target.keys]
    return {tuple(row[each] for each in at): row for row in frame.rows}


def _path(target: Target) -> str:
    if target.partition_by:
        raise DataError("this engine makes no folders of values", where=str(target), remedy="Leave out partition_by.")
    path = check_path(target.path or "")
    if not path:
        raise DataError("the target has no path", where=str(target), remedy="Give 'path'.")
    return path


def _format(target: Target) -> Format:
    return cast("Format", target.format)


def _taken(target: Target) -> DataError:
    return DataError("there is data already", where=str(target), remedy="Choose another path or mode.")


def _folder(target: Target) -> DataError:
    return DataError(
        "there is a folder of parts, and this mode writes one object",
        where=str(target),
        remedy="Write to another path, or append.",
    )


# --- SQL ------------------------------------------------------------------------------------------------------------


class RowsSession:
    """The queries of one attempt of one node, each in a database of its own."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._lock = threading.Lock()
        self._running: set[sqlite3.Connection] = set()
        self._interrupted = False

    def sql(self, query: str, frames: Mapping[str, RowsFrame]) -> RowsFrame:
        """The result of a single query that sees ``frames`` under their names, and nothing else."""
        connection = sqlite3.connect(":memory:", check_same_thread=False)
        with self._lock:
            self._running.add(connection)
        try:
            for name, frame in frames.items():
                _put(connection, name, frame)
            # A view takes queries alone, and tells the types of the columns that it passes on.
            connection.execute(f"CREATE TEMP VIEW odibi_result AS {query}")
            declared = list(connection.execute("PRAGMA temp.table_info(odibi_result)"))
            connection.execute("DROP VIEW odibi_result")
            connection.commit()
            connection.set_authorizer(_only_reading)
            if self._interrupted:
                raise Cancelled("the query was stopped", where=self._node)
            rows = [list(row) for row in connection.execute(query)]
            return _result([row[1] for row in declared], [row[2] for row in declared], rows)
        except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError) as error:
            if self._interrupted:
                raise Cancelled("the query was stopped", where=self._node) from error
            raise TransformError(
                f"{error}", where="SQL", remedy=f"Check the query; its inputs are: {', '.join(frames) or 'none'}."
            ) from error
        finally:
            with self._lock:
                self._running.discard(connection)
                connection.close()

    def interrupt(self) -> None:
        """Stop the queries that run in other threads, and let no more begin."""
        with self._lock:
            self._interrupted = True
            for connection in self._running:
                connection.interrupt()

    def close(self) -> None:
        """Nothing outlives a query."""


def _only_reading(action: int, first: str | None, *_: object) -> int:
    allowed = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE)
    its_own = action == sqlite3.SQLITE_READ and (first or "").casefold().startswith("sqlite_")
    return sqlite3.SQLITE_OK if action in allowed and not its_own else sqlite3.SQLITE_DENY


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _put(connection: sqlite3.Connection, name: str, frame: RowsFrame) -> None:
    # BLOB, so that SQLite takes the values as they are; the rest says what a column is when it comes out again.
    columns = ", ".join(f"{_quoted(column)} {_quoted(f'BLOB {word}')}" for column, word in frame.types.items())
    connection.execute(f"CREATE TABLE {_quoted(name)} ({columns})")
    places = ", ".join("?" * len(frame.types))
    rows = ([_stored(value) for value in row] for row in frame.rows)
    connection.executemany(f"INSERT INTO {_quoted(name)} VALUES ({places})", rows)  # noqa: S608 - quoted


def _stored(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float | str | bytes) else str(value)


def _result(names: Sequence[str], declared: Sequence[str], rows: list[list[Any]]) -> RowsFrame:
    types: dict[str, str] = {}
    for at, (name, said) in enumerate(zip(names, declared, strict=True)):
        word, found = said.removeprefix("BLOB "), {type(row[at]) for row in rows} - {type(None)}
        if word == "bool" and found <= {int}:
            for row in rows:
                row[at] = None if row[at] is None else bool(row[at])
        elif not _fits(word, found):
            word = _word_of(found)
        types[name] = word
    for row in rows:
        row[:] = [_widened(value, word) for value, word in zip(row, types.values(), strict=True)]
    return RowsFrame(types, rows)


def _fits(word: str, found: set[type]) -> bool:
    kinds: dict[str, set[type]] = {"int64": {int}, "double": {float, int}, "string": {str}, "binary": {bytes}}
    return word in kinds and found <= kinds[word]


def _word_of(found: set[type]) -> str:
    if not found:
        return "null"
    words = {(int,): "int64", (float,): "double", (float, int): "double", (str,): "string", (bytes,): "binary"}
    word = words.get(tuple(sorted(found, key=lambda kind: kind.__name__)))
    if word is None:
        raise ValueError("a column of the result mixes texts with numbers or bytes")
    return word
