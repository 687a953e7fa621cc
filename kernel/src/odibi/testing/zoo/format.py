"""Formats with one defect each."""

# ruff: noqa: D102, ARG002 - what each does wrong stands in its docstring

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar

import attrs

from odibi.errors import DataError, OdibiError
from odibi.testing.format import FormatSuite
from odibi.testing.reference.engine import RowsEngine, RowsFrame, concatenated
from odibi.testing.reference.format import JsonLines
from odibi.testing.zoo import Zoo

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence


class JsonLinesSuite(FormatSuite):
    """On JSON lines."""

    component = JsonLines
    engine_type = RowsEngine

    def damaged(self, whole: bytes) -> Iterable[bytes]:
        """A line that is cut off, one without all keys, what is no object, no UTF-8, and braces without an end."""
        return (
            whole[:-3],
            whole.replace(b"x1,", b"x\xc3,"),
            whole + b'{"a": 1}\n',
            whole + b"[1]\n",
            b"7\n",
            whole + b"\xc3\n",
            b"[" * 100_000,
            b"\x81\xff",
        )


zoo = Zoo(JsonLinesSuite)


# --- reading --------------------------------------------------------------------------------------------------------


@zoo.defect
class DropsTheRest(JsonLines):
    """Chunks end with the last full one."""

    def read_object_chunks(
        self, file: BinaryIO, rows: int, *, name: str, columns: Sequence[str] | None = None
    ) -> Iterator[RowsFrame]:
        for at, frame in enumerate(super().read_object_chunks(file, rows, name=name, columns=columns)):
            if at == 0 or len(frame.rows) == rows:
                yield frame


@zoo.defect
class OneChunk(JsonLines):
    """All rows are one chunk."""

    def read_object_chunks(
        self, file: BinaryIO, rows: int, *, name: str, columns: Sequence[str] | None = None
    ) -> Iterator[RowsFrame]:
        yield concatenated(list(super().read_object_chunks(file, rows, name=name, columns=columns)), name)


@zoo.defect
class TypesOfTheChunk(JsonLines):
    """Each chunk has the types of its own values."""

    def read_object_chunks(
        self, file: BinaryIO, rows: int, *, name: str, columns: Sequence[str] | None = None
    ) -> Iterator[RowsFrame]:
        for frame in super().read_object_chunks(file, rows, name=name, columns=columns):
            empty = {column for at, column in enumerate(frame.types) if all(row[at] is None for row in frame.rows)}
            types = {column: "null" if column in empty else word for column, word in frame.types.items()}
            yield RowsFrame(types, frame.rows)


@zoo.defect
class AllColumns(JsonLines):
    """Reads all columns, whichever are wanted."""

    def read_object(self, file: BinaryIO, *, name: str, columns: Sequence[str] | None = None) -> RowsFrame:
        super().read_object(file, name=name, columns=columns)
        file.seek(0)
        return super().read_object(file, name=name)


@zoo.defect
class ColumnsOfTheFile(JsonLines):
    """The wanted columns come in the order of the file."""

    def read_object_chunks(
        self, file: BinaryIO, rows: int, *, name: str, columns: Sequence[str] | None = None
    ) -> Iterator[RowsFrame]:
        if columns is not None:
            known = list(super().read_object(file, name=name).types)
            file.seek(0)
            columns = sorted(columns, key=lambda column: known.index(column) if column in known else -1)
        yield from super().read_object_chunks(file, rows, name=name, columns=columns)


@zoo.defect
class NullForUnknownColumns(JsonLines):
    """A wanted column that is not there is null."""

    def _wanted(self, types: Mapping[str, str], columns: Sequence[str] | None, name: str) -> dict[str, str]:
        return super()._wanted({**dict.fromkeys(columns or (), "null"), **types}, columns, name)


@zoo.defect
class SkipsBadLines(JsonLines):
    """Lines that cannot be read are left out."""

    def _parsed(self, file: BinaryIO, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
        for number, line in enumerate(file, 1):
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(row, dict):
                yield number, row


@zoo.defect
class RaisesWhatJsonRaises(JsonLines):
    """What is no JSON raises the library's error."""

    def _parsed(self, file: BinaryIO, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
        for number, line in enumerate(file, 1):
            yield number, dict(json.loads(line))


@zoo.defect
class RaisesOnlySometimes(JsonLines):
    """A text that is no UTF-8 raises the codec's error; other damage is a DataError."""

    def _parsed(self, file: BinaryIO, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
        content = file.read()
        content.decode("utf-8")
        return super()._parsed(io.BytesIO(content), name)


@zoo.defect
class DoesNotSayWhere(JsonLines):
    """The error does not name the object."""

    def read_object_chunks(
        self, file: BinaryIO, rows: int, *, name: str, columns: Sequence[str] | None = None
    ) -> Iterator[RowsFrame]:
        return super().read_object_chunks(file, rows, name="", columns=columns)

    def read_object(self, file: BinaryIO, *, name: str, columns: Sequence[str] | None = None) -> RowsFrame:
        return super().read_object(file, name="", columns=columns)


@zoo.defect
class ReplacesWhatItCannotDecode(JsonLines):
    """Bytes that are no UTF-8 become question marks."""

    def _parsed(self, file: BinaryIO, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
        text = file.read().decode("utf-8", "replace")
        return super()._parsed(io.BytesIO(text.encode()), name)


@zoo.defect
class SplitsLinesLikeText(JsonLines):
    """A character that ends a line in a text, and not in JSON, ends one here."""

    def _parsed(self, file: BinaryIO, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
        try:
            lines = file.read().decode().splitlines()
        except UnicodeDecodeError as error:
            raise DataError("no UTF-8", where=name) from error
        return super()._parsed(io.BytesIO("\n".join(lines).encode()), name)


@zoo.defect
class ClosesWhatItRead(JsonLines):
    """The file is closed when it was read."""

    def read_object(self, file: BinaryIO, *, name: str, columns: Sequence[str] | None = None) -> RowsFrame:
        with file:
            return super().read_object(file, name=name, columns=columns)


@zoo.defect
class BlamesTheData(JsonLines):
    """Whatever goes wrong while it reads is a DataError, also what would pass."""

    def read_object(self, file: BinaryIO, *, name: str, columns: Sequence[str] | None = None) -> RowsFrame:
        try:
            return super().read_object(file, name=name, columns=columns)
        except OdibiError as error:
            raise DataError(f"it cannot be read: {error}", where=name) from error


@zoo.defect
class NumbersForWholeNumbers(JsonLines):
    """A column of whole numbers with a null in it is read as numbers."""

    def read_object(self, file: BinaryIO, *, name: str, columns: Sequence[str] | None = None) -> RowsFrame:
        frame = super().read_object(file, name=name, columns=columns)
        for at, (column, word) in enumerate(frame.types.items()):
            if word == "int64" and any(row[at] is None for row in frame.rows):
                frame.types[column] = "double"
                for row in frame.rows:
                    row[at] = None if row[at] is None else float(row[at])
        return frame


@zoo.defect
class StripsTexts(JsonLines):
    """Texts lose the line breaks that are in them."""

    def _line(self, row: Mapping[str, Any]) -> bytes:
        return super()._line(
            {key: value.replace("\n", " ") if isinstance(value, str) else value for key, value in row.items()}
        )


@zoo.defect
class LeavesNullsOut(JsonLines):
    """A null is not written, so that a row without a value has another shape."""

    def _line(self, row: Mapping[str, Any]) -> bytes:
        return super()._line({key: value for key, value in row.items() if value is not None})


# --- writing --------------------------------------------------------------------------------------------------------


@zoo.defect
class ClosesWhatItWrote(JsonLines):
    """The file is closed when it was written."""

    def write_object(self, frame: RowsFrame, file: BinaryIO) -> None:
        super().write_object(frame, file)
        file.close()


@zoo.defect
class SortsItsInput(JsonLines):
    """The rows of the frame are put in order, in place."""

    def write_object(self, frame: RowsFrame, file: BinaryIO) -> None:
        frame.rows.sort(key=lambda row: str(row[-1]))
        super().write_object(frame, file)


@zoo.defect
class AddsAnIndex(JsonLines):
    """The frame gets a column with the number of the row, in place."""

    def write_object(self, frame: RowsFrame, file: BinaryIO) -> None:
        if "index" not in frame.types:
            frame.types["index"] = "int64"
            for at, row in enumerate(frame.rows):
                row.append(at)
        super().write_object(frame, file)


@zoo.defect
class GoesBack(JsonLines):
    """It writes a first line that it corrects at the end, which an upload cannot."""

    def write_object(self, frame: RowsFrame, file: BinaryIO) -> None:
        begin = file.tell()
        file.write(b" \n")
        super().write_object(frame, file)
        file.seek(begin)
        file.write(b"\n\n")
        file.seek(0, io.SEEK_END)


@zoo.defect
class GathersChunks(JsonLines):
    """All frames are held before the first is written."""

    def write_object_chunks(self, frames: Iterator[RowsFrame], file: BinaryIO) -> int:
        return super().write_object_chunks(iter(list(frames)), file)


@zoo.defect
class CountsFrames(JsonLines):
    """It returns how many frames were written, and not how many rows."""

    def write_object_chunks(self, frames: Iterator[RowsFrame], file: BinaryIO) -> int:
        count = 0

        def counted() -> Iterator[RowsFrame]:
            nonlocal count
            for frame in frames:
                count += 1
                yield frame

        super().write_object_chunks(counted(), file)
        return count


@zoo.defect
class WritesTheFirstChunk(JsonLines):
    """The chunks after the first are forgotten."""

    def write_object_chunks(self, frames: Iterator[RowsFrame], file: BinaryIO) -> int:
        count = super().write_object_chunks(iter([next(frames)]), file)
        return count + sum(len(frame.rows) for frame in frames)


@zoo.defect
class TakesAnyChunk(JsonLines):
    """Chunks with other columns are written all the same."""

    def write_object_chunks(self, frames: Iterator[RowsFrame], file: BinaryIO) -> int:
        return sum(super(TakesAnyChunk, self).write_object_chunks(iter([frame]), file) for frame in frames)


@zoo.defect
class BlamesTheFrame(JsonLines):
    """Whatever goes wrong while the frames are made is a DataError of the format."""

    def write_object_chunks(self, frames: Iterator[RowsFrame], file: BinaryIO) -> int:
        try:
            return super().write_object_chunks(frames, file)
        except Exception as error:
            raise DataError(f"the frame cannot be written: {error}") from error


@zoo.defect
class EndsWithTheError(JsonLines):
    """An error while the frames are made ends the object, as if that were all."""

    def write_object_chunks(self, frames: Iterator[RowsFrame], file: BinaryIO) -> int:
        def some() -> Iterator[RowsFrame]:
            try:
                yield from frames
            except DataError:
                raise
            except Exception:
                return

        return super().write_object_chunks(some(), file)


# --- what it says of itself -----------------------------------------------------------------------------------------


@zoo.defect
class SaysItIsExact(JsonLines):
    """It says that frames come back as they were, which empty columns do not."""

    exact: ClassVar[bool] = True


@zoo.defect
class NamesWithoutADot(JsonLines):
    """Its extensions lack the dot."""

    extensions: ClassVar[tuple[str, ...]] = ("jsonl",)


@zoo.defect
@attrs.frozen(init=False)
class TakesAnyOption(JsonLines):
    """What it does not know is taken without a word."""

    def __init__(self, **options: Any) -> None:
        known = {field.name for field in attrs.fields(JsonLines)}
        self.__attrs_init__(**{key: value for key, value in options.items() if key in known})


@zoo.defect
@attrs.frozen(eq=False)
class OneAtATime(JsonLines):
    """It keeps the rows that it is reading in itself, and mixes up those of two objects."""

    _held: list[list[Any]] = attrs.field(factory=list, init=False, repr=False)

    def read_object_chunks(
        self, file: BinaryIO, rows: int, *, name: str, columns: Sequence[str] | None = None
    ) -> Iterator[RowsFrame]:
        types: dict[str, str] = {}
        self._held.clear()
        for frame in super().read_object_chunks(file, 1, name=name, columns=columns):
            types = frame.types
            self._held.extend(frame.rows)
            if len(self._held) > rows:  # one of them begins the next chunk
                chunk = self._held[:rows]
                del self._held[:rows]
                yield RowsFrame(dict(types), chunk)
        yield RowsFrame(dict(types), list(self._held))
