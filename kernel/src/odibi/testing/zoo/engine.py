"""Engines with one defect each."""

# ruff: noqa: D102 - what each does wrong stands in its docstring

from __future__ import annotations

import io
import sqlite3
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar

import attrs

from odibi.contracts.bounds import Bound, key_digest
from odibi.contracts.engine import Column, FrameInfo
from odibi.contracts.format import WriteMode, WriteReport
from odibi.contracts.storage import ALWAYS
from odibi.errors import DataError, NotFound, OdibiError, TransformError
from odibi.testing.engine import EngineSuite
from odibi.testing.reference.engine import (
    RowsEngine,
    RowsFrame,
    RowsSession,
    bounded,
    concatenated,
    key_places,
    merged,
    objects_of,
)
from odibi.testing.reference.format import JsonLines
from odibi.testing.zoo import Zoo

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from odibi.contracts.bounds import Value
    from odibi.contracts.format import Source, Target
    from odibi.contracts.storage import When


def _new_value(frame: RowsFrame) -> None:
    frame.rows[0][0] = 999


def _new_row(frame: RowsFrame) -> None:
    frame.rows.append([None for _ in frame.types])


def _new_column(frame: RowsFrame) -> None:
    frame.types["new"] = "int64"
    for row in frame.rows:
        row.append(0)


class RowsEngineSuite(EngineSuite):
    """On the engine of plain rows."""

    component = RowsEngine
    format = JsonLines
    format_name = "jsonl"

    def changes(self) -> Sequence[Callable[[Any], object]]:
        """Values, rows and columns."""
        return (_new_value, _new_row, _new_column)


zoo = Zoo(RowsEngineSuite)


# --- frames ---------------------------------------------------------------------------------------------------------


@zoo.defect
class SharesTheFrame(RowsEngine):
    """share hands out the same object."""

    def share(self, frame: RowsFrame) -> RowsFrame:
        return frame


@zoo.defect
class SharesTheRows(RowsEngine):
    """share copies the list of rows, and not the rows."""

    def share(self, frame: RowsFrame) -> RowsFrame:
        return RowsFrame(dict(frame.types), list(frame.rows))


@zoo.defect
class SharesTheColumns(RowsEngine):
    """share copies the rows; a column that is added to a handle is added to all."""

    def share(self, frame: RowsFrame) -> RowsFrame:
        return RowsFrame(frame.types, [list(row) for row in frame.rows])


@zoo.defect
class SortsItsInput(RowsEngine):
    """write sorts the frame by its first column, in place."""

    def write(self, frame: RowsFrame, target: Target) -> WriteReport:
        frame.rows.sort(key=lambda row: -(row[0] or 0))
        return super().write(frame, target)


@zoo.defect
class FillsNullsOfItsInput(RowsEngine):
    """Going to Arrow puts texts in place of nulls, in the frame that it was given."""

    def to_arrow(self, frame: RowsFrame) -> Any:
        for row in frame.rows:
            row[:] = [
                "" if value is None and word == "string" else value
                for value, word in zip(row, frame.types.values(), strict=True)
            ]
        return super().to_arrow(frame)


class _Lazy(RowsFrame):
    """A frame whose rows are in a stream until somebody asks for them."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.types = {field.name: str(field.type) for field in stream.schema}

    @property
    def rows(self) -> list[list[Any]]:
        if "_rows" not in self.__dict__:
            self.__dict__["_rows"] = [list(row.values()) for row in self.stream.read_all().to_pylist()]
        return self.__dict__["_rows"]  # type: ignore[no-any-return]

    @rows.setter
    def rows(self, rows: list[list[Any]]) -> None:
        self.__dict__["_rows"] = rows


@zoo.defect
class InspectComputes(RowsEngine):
    """Frames are lazy, and inspect computes them to count the rows."""

    def from_arrow(self, stream: Any) -> RowsFrame:
        import pyarrow as pa

        return _Lazy(pa.RecordBatchReader.from_stream(stream))


@zoo.defect
class InspectSamples(RowsEngine):
    """inspect says the type of the first value, and not that of the column."""

    def inspect(self, frame: RowsFrame) -> FrameInfo:
        words = {int: "int64", str: "string", float: "double", bool: "bool", type(None): "null"}
        first = frame.rows[0] if frame.rows else [None for _ in frame.types]
        schema = [Column(name, words[type(value)]) for name, value in zip(frame.types, first, strict=True)]
        return FrameInfo(len(frame.rows), tuple(schema))


@zoo.defect
class SampleOfNumbers(RowsEngine):
    """sample returns numbers of a class of its own, as those of array libraries are."""

    class Float64(float):
        """A number."""

    def sample(self, frame: RowsFrame, n: int) -> Sequence[Mapping[str, Any]]:
        return [
            {name: self.Float64(value) if isinstance(value, float) else value for name, value in row.items()}
            for row in super().sample(frame, n)
        ]


@zoo.defect
class SampleOfNaN(RowsEngine):
    """A null in a column of numbers is NaN in a sample."""

    def sample(self, frame: RowsFrame, n: int) -> Sequence[Mapping[str, Any]]:
        numbers = {name for name, word in frame.types.items() if word == "double"}
        return [
            {name: float("nan") if value is None and name in numbers else value for name, value in row.items()}
            for row in super().sample(frame, n)
        ]


@zoo.defect
class SampleOfAll(RowsEngine):
    """sample of no rows returns all of them."""

    def sample(self, frame: RowsFrame, n: int) -> Sequence[Mapping[str, Any]]:
        return super().sample(frame, n or len(frame.rows))


# --- Arrow ----------------------------------------------------------------------------------------------------------


@zoo.defect
class TakesTheFirstBatch(RowsEngine):
    """from_arrow takes the first batch of a stream for all of it."""

    def from_arrow(self, stream: Any) -> RowsFrame:
        import pyarrow as pa

        table = pa.table(stream)
        batches = table.to_batches()
        return super().from_arrow(pa.Table.from_batches(batches[:1]) if batches else table)


@zoo.defect
class TakesTablesAlone(RowsEngine):
    """from_arrow knows the tables of one library, and no other object with a stream."""

    def from_arrow(self, stream: Any) -> RowsFrame:
        return super().from_arrow(stream.slice(0))


@zoo.defect
class KeepsAStream(RowsEngine):
    """write_arrow writes an IPC stream, and no file."""

    def write_arrow(self, frame: RowsFrame, file: BinaryIO) -> None:
        import pyarrow as pa

        table = self.to_arrow(frame)
        with pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table)

    def read_arrow(self, data: memoryview) -> RowsFrame:
        import pyarrow as pa

        try:
            return self.from_arrow(pa.ipc.open_stream(pa.py_buffer(data)).read_all())
        except (pa.ArrowException, OSError, ValueError) as error:
            raise DataError("none") from error


@zoo.defect
class KeepsNoInts(RowsEngine):
    """What is kept comes back with numbers for whole numbers where there was a null, as in older array libraries."""

    def read_arrow(self, data: memoryview) -> RowsFrame:
        frame = super().read_arrow(data)
        for at, (name, word) in enumerate(frame.types.items()):
            if word == "int64" and any(row[at] is None for row in frame.rows):
                frame.types[name] = "double"
                for row in frame.rows:
                    row[at] = None if row[at] is None else float(row[at])
        return frame


@zoo.defect
class ClosesTheFile(RowsEngine):
    """write_arrow closes the file that it was given."""

    def write_arrow(self, frame: RowsFrame, file: BinaryIO) -> None:
        content = io.BytesIO()
        super().write_arrow(frame, content)
        with file:
            file.write(content.getvalue())


@zoo.defect
class RaisesWhatArrowRaises(RowsEngine):
    """read_arrow of nonsense raises the error of the library."""

    def read_arrow(self, data: memoryview) -> RowsFrame:
        import pyarrow as pa

        return self.from_arrow(pa.ipc.open_file(pa.py_buffer(data)).read_all())


# --- reading --------------------------------------------------------------------------------------------------------


@zoo.defect
class DropsTheRest(RowsEngine):
    """read_chunks leaves out the last chunk if it is not full."""

    def read_chunks(self, source: Source, rows: int) -> Iterator[RowsFrame]:
        for frame in super().read_chunks(source, rows):
            if len(frame.rows) == rows:
                yield frame


@zoo.defect
class OneChunk(RowsEngine):
    """read_chunks reads all and gives it as one."""

    def read_chunks(self, source: Source, rows: int) -> Iterator[RowsFrame]:
        yield concatenated(list(super().read_chunks(source, rows)), str(source))


@zoo.defect
class ChunksOfAllColumns(RowsEngine):
    """read_chunks forgets which columns are wanted."""

    def read_chunks(self, source: Source, rows: int) -> Iterator[RowsFrame]:
        return super().read_chunks(attrs.evolve(source, columns=None), rows)


@zoo.defect
class ColumnsOfTheFile(RowsEngine):
    """The wanted columns come in the order of the file."""

    def read(self, source: Source) -> RowsFrame:
        frame = super().read(source)
        if source.columns is None or set(frame.types) != set(source.columns):
            return frame
        whole = super().read(attrs.evolve(source, columns=None))
        order = [name for name in whole.types if name in source.columns]
        at = [list(frame.types).index(name) for name in order]
        return RowsFrame({name: frame.types[name] for name in order}, [[row[i] for i in at] for row in frame.rows])


@zoo.defect
class EmptyForMissing(RowsEngine):
    """What is not there is a frame without rows."""

    def read(self, source: Source) -> RowsFrame:
        try:
            return super().read(source)
        except NotFound:
            return RowsFrame({}, [])


@zoo.defect
class PrefixIsNoFolder(RowsEngine):
    """The folder ``in/all`` holds ``in/all_of_it``, too."""

    def read(self, source: Source) -> RowsFrame:
        path = source.path or ""
        plain = not any(sign in path for sign in "*?[") and ".." not in path and source.only is None
        if not plain or not hasattr(source.format, "read_object"):
            return super().read(source)
        folder = path.rpartition("/")[0]
        objects = [stat.path for stat in source.storage.list(folder) if stat.path.startswith(path)]
        if not objects:
            return super().read(source)
        return concatenated([super(PrefixIsNoFolder, self).read(attrs.evolve(source, path=it)) for it in objects], path)


@zoo.defect
@attrs.frozen(eq=False)
class RemembersWhatItRead(RowsEngine):
    """A path that was read is not read again."""

    _read: dict[str, RowsFrame] = attrs.field(factory=dict, init=False, repr=False)

    def read(self, source: Source) -> RowsFrame:
        key = f"{id(source.storage)} {source} {source.columns} {source.only}"
        if key not in self._read:
            self._read[key] = super().read(source)
        return self.share(self._read[key])


@zoo.defect
class SwallowsTheStorage(RowsEngine):
    """An error of the storage that would pass is a DataError, which is not tried again."""

    def read(self, source: Source) -> RowsFrame:
        try:
            return super().read(source)
        except OdibiError as error:
            if error.retryable:
                raise DataError(error.what, where=str(source)) from error
            raise


@zoo.defect
class DoesNotSayWhere(RowsEngine):
    """The error about a damaged object does not name it."""

    def read(self, source: Source) -> RowsFrame:
        try:
            return super().read(source)
        except DataError as error:
            raise DataError("the data is damaged") from error


@zoo.defect
class SkipsDamagedParts(RowsEngine):
    """A part of a folder that cannot be read is left out."""

    def read(self, source: Source) -> RowsFrame:
        if not hasattr(source.format, "read_object"):
            return super().read(source)
        found = objects_of(source)
        if len(found) == 1:
            return super().read(source)
        frames = []
        for stat in found:
            try:
                frames.append(super().read(attrs.evolve(source, path=stat.path, only=None)))
            except DataError:
                continue
        return concatenated(frames, str(source))


# --- batches --------------------------------------------------------------------------------------------------------


@zoo.defect
class ReadsMoreThanTheBatch(RowsEngine):
    """A batch is not heeded: all that the path means is read."""

    def read(self, source: Source) -> RowsFrame:
        return super().read(attrs.evolve(source, only=None))


@zoo.defect
class ReadsMoreThanTheBatchInChunks(RowsEngine):
    """A batch is heeded when it is read whole, and not in chunks."""

    def read_chunks(self, source: Source, rows: int) -> Iterator[RowsFrame]:
        return super().read_chunks(attrs.evolve(source, only=None), rows)


def _as_it_is_now(source: Source) -> Source:
    """The same objects in whatever version is there."""
    if source.only is None:
        return source
    there = {stat.path: stat for stat in source.storage.list()}
    now = [attrs.evolve(file, etag=there[file.path].etag) if file.path in there else file for file in source.only]
    return attrs.evolve(source, only=tuple(now))


@zoo.defect
class ReadsAnyVersionOfABatch(RowsEngine):
    """The objects of a batch are read as they are now, also if they were replaced since."""

    def read(self, source: Source) -> RowsFrame:
        return super().read(_as_it_is_now(source))


@zoo.defect
class PassesOverWhatIsGone(RowsEngine):
    """What was removed since the batch was made is left out."""

    def read(self, source: Source) -> RowsFrame:
        if source.only is None:
            return super().read(source)
        there = {stat.path for stat in source.storage.list()}
        return super().read(attrs.evolve(source, only=tuple(it for it in source.only if it.path in there)))


@zoo.defect
class SortsTheBatch(RowsEngine):
    """The objects of a batch are read in the order of their paths, and not in that of the batch."""

    def read(self, source: Source) -> RowsFrame:
        only = None if source.only is None else tuple(sorted(source.only, key=lambda file: file.path))
        return super().read(attrs.evolve(source, only=only))


@zoo.defect
class ReadsHalfOfTheBatch(RowsEngine):
    """What the path does not mean is left out of the batch without a word."""

    def read(self, source: Source) -> RowsFrame:
        try:
            return super().read(source)
        except DataError:
            if source.only is None:
                raise
        meant = {stat.path for stat in objects_of(attrs.evolve(source, only=None))}
        return super().read(attrs.evolve(source, only=tuple(it for it in source.only if it.path in meant)))


# --- bounds ---------------------------------------------------------------------------------------------------------


class _Bounded(RowsEngine):
    """An engine that has a way of its own with bounds."""

    def meant(self, frame: RowsFrame, bound: Bound) -> RowsFrame:
        """The rows that it takes to be meant."""
        raise NotImplementedError

    def read(self, source: Source) -> RowsFrame:
        if source.after is None:
            return super().read(source)
        return self.meant(super().read(attrs.evolve(source, after=None)), source.after)

    def read_chunks(self, source: Source, rows: int) -> Iterator[RowsFrame]:
        for frame in super().read_chunks(attrs.evolve(source, after=None), rows):
            yield frame if source.after is None else self.meant(frame, source.after)


@zoo.defect
class GivesTheNewestAgain(_Bounded):
    """Rows that are equal to the lower bound are given, though they were read before."""

    def meant(self, frame: RowsFrame, bound: Bound) -> RowsFrame:
        found = bounded(frame, Bound(bound.column, None, bound.upto), "")
        bounded(frame, bound, "")
        at = list(frame.types).index(bound.column)
        found.rows = [row for row in found.rows if bound.above is None or row[at] >= bound.above]
        return found


@zoo.defect
class ComparesTexts(_Bounded):
    """Numbers are compared as their texts are."""

    def meant(self, frame: RowsFrame, bound: Bound) -> RowsFrame:
        bounded(frame, bound, "")
        ends = {
            key: None if value is None else str(value) for key, value in (("above", bound.above), ("upto", bound.upto))
        }
        textual, at = Bound(bound.column, **ends), list(frame.types).index(bound.column)
        rows = [row for row in frame.rows if row[at] is not None and textual.holds(str(row[at]))]
        return RowsFrame(frame.types, rows)


@zoo.defect
class GivesRowsWithoutAValue(_Bounded):
    """Rows whose column is null are given each time."""

    def meant(self, frame: RowsFrame, bound: Bound) -> RowsFrame:
        bounded(frame, bound, "")
        at = list(frame.types).index(bound.column)
        return RowsFrame(frame.types, [row for row in frame.rows if row[at] is None or bound.holds(row[at])])


@zoo.defect
class IgnoresTheUpperBound(_Bounded):
    """Rows that came after the bound was found are given, too."""

    def meant(self, frame: RowsFrame, bound: Bound) -> RowsFrame:
        bounded(frame, bound, "")
        return bounded(frame, attrs.evolve(bound, upto=None), "")


@zoo.defect
class IgnoresBoundsInChunks(RowsEngine):
    """Bounds are heeded when a source is read whole, and not in chunks."""

    def read_chunks(self, source: Source, rows: int) -> Iterator[RowsFrame]:
        return super().read_chunks(attrs.evolve(source, after=None), rows)


@zoo.defect
class ComparesWhateverThereIs(_Bounded):
    """A bound of another type is made one of the column's, with whatever order that has."""

    def meant(self, frame: RowsFrame, bound: Bound) -> RowsFrame:
        at = list(frame.types).index(bound.column) if bound.column in frame.types else 0
        kind: Any = type(next((row[at] for row in frame.rows if row[at] is not None), 0))
        ends = {key: None if it is None else kind(it) for key, it in (("above", bound.above), ("upto", bound.upto))}
        return bounded(frame, Bound(bound.column, **ends), "")


@zoo.defect
class TakesTheLastForTheNewest(RowsEngine):
    """The newest value is that of the last row."""

    def newest(self, frame: RowsFrame, column: str) -> Value | None:
        found: Value | None = super().newest(frame, column)
        return frame.rows[-1][list(frame.types).index(column)] if frame.rows else found


# --- tails ----------------------------------------------------------------------------------------------------------


class _Tailed(RowsEngine):
    """An engine that counts the rows that it read, and gives those after them."""

    capabilities: ClassVar[Mapping[str, str]] = {**RowsEngine.capabilities, "tails": "full"}

    def known(self, mark: Any) -> int:
        """How many rows it takes to have been read."""
        raise NotImplementedError

    def read_from(self, source: Source, mark: Any) -> tuple[RowsFrame, Mapping[str, Any]]:
        assert source.after is not None
        found = self.read(attrs.evolve(source, after=None))
        known = self.known(mark)
        fresh = found.rows[known if known <= len(found.rows) else 0 :]
        return bounded(RowsFrame(found.types, fresh), source.after, str(source)), {"rows": len(found.rows)}


@zoo.defect
class TakesLargerForGrown(_Tailed):
    """What was read is taken to be as it was if there is no less now: a row that was changed since is passed over."""

    def known(self, mark: Any) -> int:
        rows = mark.get("rows", 0) if isinstance(mark, dict) else 0
        return rows if isinstance(rows, int) else 0


@zoo.defect
class TrustsItsMarks(_Tailed):
    """Reads from the start, and fails for marks that it did not make."""

    def known(self, mark: Any) -> int:
        return 0 * int(mark["rows"]) if mark is not None else 0


# --- keys -----------------------------------------------------------------------------------------------------------


@zoo.defect
class TakesTheFirstOfEachKey(RowsEngine):
    """Of the rows with one key the first is taken, whatever its value is."""

    def newest_of_each(self, frame: RowsFrame, key: Sequence[str], column: str) -> RowsFrame:
        super().newest_of_each(frame, key, column)
        places = key_places(frame, key)
        found: dict[bytes, list[Any]] = {}
        for row in frame.rows:
            found.setdefault(key_digest([row[at] for at in places]), row)
        return RowsFrame(frame.types, list(found.values()))


@zoo.defect
class SortsByKey(RowsEngine):
    """What is left of each key is in another order than it was."""

    def newest_of_each(self, frame: RowsFrame, key: Sequence[str], column: str) -> RowsFrame:
        found, places = super().newest_of_each(frame, key, column), key_places(frame, key)
        return RowsFrame(found.types, sorted(found.rows, key=lambda row: [row[at] for at in places]))


@zoo.defect
class DigestsJoinedKeys(RowsEngine):
    """The columns of a key are joined to one text before it is digested."""

    def digests(self, frame: RowsFrame, key: Sequence[str], bound: Bound) -> Iterator[tuple[int, bytes, Value]]:
        places = key_places(frame, key)
        for at, _, value in super().digests(frame, key, bound):
            yield at, key_digest(["".join(str(frame.rows[at][each]) for each in places)]), value


@zoo.defect
class CountsWhatIsMeant(RowsEngine):
    """Rows are counted among those that are meant, and not in the frame."""

    def digests(self, frame: RowsFrame, key: Sequence[str], bound: Bound) -> Iterator[tuple[int, bytes, Value]]:
        for at, (_, digest, value) in enumerate(super().digests(frame, key, bound)):
            yield at, digest, value


@zoo.defect
class TakesNullForAKey(RowsEngine):
    """Rows without a key are taken for one row."""

    def newest_of_each(self, frame: RowsFrame, key: Sequence[str], column: str) -> RowsFrame:
        at = [list(frame.types).index(name) for name in key if name in frame.types]
        whole = [row for row in frame.rows if all(row[each] is not None for each in at)]
        rest = [row for row in frame.rows if any(row[each] is None for each in at)]
        found = super().newest_of_each(RowsFrame(frame.types, whole), key, column)
        return RowsFrame(found.types, [*found.rows, *rest[:1]])


@zoo.defect
class DropsRowsInPlace(RowsEngine):
    """Rows that are left out are gone from the frame that was given as well."""

    def without(self, frame: RowsFrame, rows: Collection[int]) -> RowsFrame:
        found = super().without(frame, rows)
        frame.rows[:] = found.rows
        return found


# --- writing --------------------------------------------------------------------------------------------------------


@zoo.defect
class WritesInPlace(RowsEngine):
    """An overwrite removes what is there before it makes the new data."""

    def publish(self, frames: Iterator[RowsFrame], target: Target, path: str, when: When) -> WriteReport:
        if when is ALWAYS:
            target.storage.delete(path)
        return super().publish(frames, target, path, when)


@zoo.defect
class PublishesWhatItHas(RowsEngine):
    """What was written before an error is published."""

    def publish(self, frames: Iterator[RowsFrame], target: Target, path: str, when: When) -> WriteReport:
        failed: list[Exception] = []

        def some() -> Iterator[RowsFrame]:
            try:
                yield from frames
            except Exception as error:
                failed.append(error)

        report = super().publish(some(), target, path, when)
        if failed:
            raise failed[0]
        return report


@zoo.defect
@attrs.frozen(eq=False)
class AppendsTwice(RowsEngine):
    """The same part again is another one."""

    _count: list[int] = attrs.field(factory=list, init=False, repr=False)

    def write(self, frame: RowsFrame, target: Target) -> WriteReport:
        self._count.append(1)
        return super().write(frame, attrs.evolve(target, part=f"{target.part}-{len(self._count)}"))


@zoo.defect
class AppendReplaces(RowsEngine):
    """A part that is there is written again, and said to be new."""

    def publish(self, frames: Iterator[RowsFrame], target: Target, path: str, when: When) -> WriteReport:
        return super().publish(frames, target, path, ALWAYS if target.mode is WriteMode.APPEND else when)


@zoo.defect
class LooksBeforeItLeaps(RowsEngine):
    """Modes that write where nothing is look first, and then write whatever has come meanwhile."""

    def publish(self, frames: Iterator[RowsFrame], target: Target, path: str, when: When) -> WriteReport:
        waiting = threading.Event()
        waiting.wait(0.02)  # what makes the frames takes its time
        if target.mode in (WriteMode.ERROR, WriteMode.IGNORE):
            when = ALWAYS
        return super().publish(frames, target, path, when)


@zoo.defect
class MergesWithoutMatch(RowsEngine):
    """Rows are merged into what was read, whoever has written since."""

    def publish(self, frames: Iterator[RowsFrame], target: Target, path: str, when: When) -> WriteReport:
        if target.mode in (WriteMode.UPSERT, WriteMode.APPEND_ONCE):
            threading.Event().wait(0.02)
            when = ALWAYS
        return super().publish(frames, target, path, when)


@zoo.defect
class JoinsKeys(RowsEngine):
    """Several keys are joined to one text, so that some are taken for others."""

    def write(self, frame: RowsFrame, target: Target) -> WriteReport:
        if len(target.keys) < 2:
            return super().write(frame, target)
        try:
            old = self.read(_source(target))
        except NotFound:
            return super().write(frame, target)
        there = {"".join(map(str, row[:2])) for row in old.rows}
        fresh = [row for row in frame.rows if "".join(map(str, row[:2])) not in there]
        replaced, _ = merged(old, RowsFrame(frame.types, fresh), target)
        return super().write(replaced, attrs.evolve(target, mode=WriteMode.OVERWRITE))


def _source(target: Target) -> Any:
    from odibi.contracts.format import Source

    return Source(
        storage=target.storage,
        connection=target.connection,
        format=target.format,
        format_name=target.format_name,
        path=target.path,
    )


@zoo.defect
class KeepsTheLastOfAKey(RowsEngine):
    """Of rows with one key all but the last are dropped without a word."""

    def write(self, frame: RowsFrame, target: Target) -> WriteReport:
        if "id" in target.keys:
            at = list(frame.types).index("id")
            frame = RowsFrame(frame.types, list({row[at]: row for row in frame.rows}.values()))
        return super().write(frame, target)


@zoo.defect
class UpsertsLikeAppendOnce(RowsEngine):
    """upsert leaves the rows that are there."""

    def write(self, frame: RowsFrame, target: Target) -> WriteReport:
        if target.mode is WriteMode.UPSERT:
            target = attrs.evolve(target, mode=WriteMode.APPEND_ONCE)
        return super().write(frame, target)


@zoo.defect
class IgnoresQuietly(RowsEngine):
    """Mode ignore does nothing, and says that it wrote."""

    def write_chunks(self, frames: Iterator[RowsFrame], target: Target) -> WriteReport:
        return attrs.evolve(super().write_chunks(frames, target), skipped=False)


@zoo.defect
class ErrorSeesObjectsAlone(RowsEngine):
    """Mode error writes an object beside a folder of parts."""

    def there(self, target: Target) -> str:
        found = super().there(target)
        return "" if found == "folder" and target.mode is WriteMode.ERROR else found


@zoo.defect
class GathersChunks(RowsEngine):
    """write_chunks holds all frames before it writes the first."""

    def write_chunks(self, frames: Iterator[RowsFrame], target: Target) -> WriteReport:
        return super().write_chunks(iter(list(frames)), target)


@zoo.defect
class ReportsWhatItDoesNotKnow(RowsEngine):
    """The report names the folder and not the part that was written."""

    def write_chunks(self, frames: Iterator[RowsFrame], target: Target) -> WriteReport:
        return attrs.evolve(super().write_chunks(frames, target), paths=(target.path or "",))


@zoo.defect
class SaysItIsExact(RowsEngine):
    """Every write is said to give back the frame, an append beside others too."""

    def write(self, frame: RowsFrame, target: Target) -> WriteReport:
        return attrs.evolve(super().write(frame, target), exact=True)


@zoo.defect
class ReplacesBrokenSpecialTables(RowsEngine):
    """A table format is bypassed: its storage is looked at before it is asked."""

    def write(self, frame: RowsFrame, target: Target) -> WriteReport:
        list(target.storage.list())
        return super().write(frame, target)


# --- SQL ------------------------------------------------------------------------------------------------------------


class _OneDatabase(RowsSession):
    """Keeps the frames of each query for the next one."""

    def __init__(self, node: str, known: dict[str, RowsFrame]) -> None:
        super().__init__(node)
        self._known = known

    def sql(self, query: str, frames: Mapping[str, RowsFrame]) -> RowsFrame:
        self._known.update(frames)
        return super().sql(query, dict(self._known))


@zoo.defect
class SessionLeaksItsViews(RowsEngine):
    """A session remembers the frames of the queries before."""

    def session(self, node: str) -> RowsSession:
        return _OneDatabase(node, {})


@zoo.defect
@attrs.frozen(eq=False)
class OneNamespaceForAll(RowsEngine):
    """All sessions share a namespace, until one of a node with the same name begins."""

    _known: dict[str, RowsFrame] = attrs.field(factory=dict, init=False, repr=False)

    def session(self, node: str) -> RowsSession:
        return _OneDatabase(node, self._known)


class _Replaced(RowsSession):
    """Registers the frames, and then asks: another session may have replaced them."""

    def __init__(self, node: str, known: dict[str, RowsFrame]) -> None:
        super().__init__(node)
        self._known = known

    def sql(self, query: str, frames: Mapping[str, RowsFrame]) -> RowsFrame:
        self._known.update(frames)
        threading.Event().wait(0.001)
        return super().sql(query, {name: self._known.get(name, frame) for name, frame in frames.items()})


@zoo.defect
@attrs.frozen(eq=False)
class RacesForNames(RowsEngine):
    """Nodes that run side by side with one name for their inputs get each other's."""

    _known: dict[str, RowsFrame] = attrs.field(factory=dict, init=False, repr=False)

    def session(self, node: str) -> RowsSession:
        return _Replaced(node, self._known)


class _AnyStatement(RowsSession):
    def sql(self, query: str, frames: Mapping[str, RowsFrame]) -> RowsFrame:
        try:
            return super().sql(query, frames)
        except TransformError:
            connection = sqlite3.connect(":memory:")
        try:
            connection.execute("CREATE TABLE t (id, name, height)")
            connection.execute(query)
        except sqlite3.Error as error:
            raise TransformError(str(error)) from error
        finally:
            connection.close()
        return RowsFrame({}, [])


@zoo.defect
class RunsAnyStatement(RowsEngine):
    """SQL that is no query is run."""

    def session(self, node: str) -> RowsSession:
        return _AnyStatement(node)


class _FirstStatement(RowsSession):
    def sql(self, query: str, frames: Mapping[str, RowsFrame]) -> RowsFrame:
        return super().sql(query.partition(";")[0], frames)


@zoo.defect
class RunsTheFirstStatement(RowsEngine):
    """Of several statements the first is run, and the others are forgotten."""

    def session(self, node: str) -> RowsSession:
        return _FirstStatement(node)


class _Terse(RowsSession):
    def sql(self, query: str, frames: Mapping[str, RowsFrame]) -> RowsFrame:
        try:
            return super().sql(query, frames)
        except TransformError as error:
            raise TransformError("the query failed") from error


@zoo.defect
class SaysThatItFailed(RowsEngine):
    """The error does not say what the query names that is not there."""

    def session(self, node: str) -> RowsSession:
        return _Terse(node)


class _Raw(RowsSession):
    def sql(self, query: str, frames: Mapping[str, RowsFrame]) -> RowsFrame:
        try:
            return super().sql(query, frames)
        except TransformError as error:
            raise error.__cause__ or error from None


@zoo.defect
class RaisesWhatTheDatabaseRaises(RowsEngine):
    """A query that cannot be parsed raises the database's own error."""

    def session(self, node: str) -> RowsSession:
        return _Raw(node)


class _Deaf(RowsSession):
    def interrupt(self) -> None:
        """Nothing."""


@zoo.defect
class CannotBeInterrupted(RowsEngine):
    """interrupt does nothing."""

    def session(self, node: str) -> RowsSession:
        return _Deaf(node)


class _NoNulls(RowsSession):
    def sql(self, query: str, frames: Mapping[str, RowsFrame]) -> RowsFrame:
        result = super().sql(query, frames)
        for row in result.rows:
            row[:] = ["" if value is None else value for value in row]
        return RowsFrame(
            {name: "string" if word == "null" else word for name, word in result.types.items()}, result.rows
        )


@zoo.defect
class NullsBecomeTexts(RowsEngine):
    """What SQL has as null comes out as an empty text."""

    def session(self, node: str) -> RowsSession:
        return _NoNulls(node)


class _Aliased(RowsSession):
    def sql(self, query: str, frames: Mapping[str, RowsFrame]) -> RowsFrame:
        super().sql(query, frames)  # for its errors
        if query.strip().upper() == "SELECT * FROM T":
            return frames["t"]
        return super().sql(query, frames)


@zoo.defect
class ResultIsTheInput(RowsEngine):
    """A query that asks for a whole frame is answered with that frame itself."""

    def session(self, node: str) -> RowsSession:
        return _Aliased(node)


# --- the end --------------------------------------------------------------------------------------------------------


@zoo.defect
@attrs.frozen(eq=False)
class ClosesOnce(RowsEngine):
    """A second close fails."""

    _closed: list[bool] = attrs.field(factory=list, init=False, repr=False)

    def close(self) -> None:
        if self._closed:
            raise ValueError("it is closed")
        self._closed.append(True)


@zoo.defect
class NamesNoClass(RowsEngine):
    """frame_type is another class than that of its frames."""

    frame_type = "odibi.testing.frames:Table"
