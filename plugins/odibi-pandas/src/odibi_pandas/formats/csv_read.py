"""The rows of a CSV file as Arrow tables."""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING, Any, BinaryIO

import attrs

from odibi.errors import DataError
from odibi_pandas.formats.base import chosen, first_line
from odibi_pandas.formats.csv import BAD_LINE
from odibi_pandas.formats.csv_faults import faults, line_of_row
from odibi_pandas.formats.csv_head import Head, known, read_head
from odibi_pandas.formats.texts import RawText, Utf8Stream, lines, undecodable
from odibi_pandas.inference import Rules
from odibi_pandas.texts import Unfit, as_type, type_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from odibi_pandas.formats.csv import CsvFormat

_log = logging.getLogger("odibi_pandas")

_BLOCK = 1 << 20
_LARGEST_BLOCK = 1 << 30
_SHOWN = 10


def tables(
    format_: CsvFormat, file: BinaryIO, *, name: str, columns: Sequence[str] | None, streaming: bool
) -> Iterator[pa.Table]:
    """All rows in order, in tables of any size, at least one.

    Args:
        format_: the options.
        file: seekable.
        name: what to call it in an error.
        columns: the columns wanted; ``None`` for all.
        streaming: hold one block in memory, rather than all rows.

    Raises:
        DataError: the file is broken; says in which line.
    """
    encoding = format_.encoding
    if format_.encoding_fallback is not None:
        fault = undecodable(file, encoding, name, format_.title)
        if fault is not None:
            _log.warning("%s Read as %s.", fault, format_.encoding_fallback)
            encoding = format_.encoding_fallback
    try:
        yield from _Reading(format_, file, encoding, name, columns).tables(streaming=streaming)
    except UnicodeDecodeError as error:
        raise (undecodable(file, encoding, name, format_.title) or _generic(name, error)) from error


class _Watched(io.RawIOBase):
    """Watches for what pyarrow does not tell: quotes that are never closed, NUL bytes."""

    def __init__(self, stream: Utf8Stream, quote: str | None) -> None:
        self._stream = stream
        self._quote = quote.encode() if quote else b""
        self.quotes = 0
        self.nul = False

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        data = self._stream.read(size)
        if self._quote:
            self.quotes += data.count(self._quote)
        self.nul = self.nul or b"\0" in data
        return data


class _Uncommented(Utf8Stream):
    """A text without the lines that begin with a character."""

    def __init__(self, stream: Utf8Stream, comment: str) -> None:
        self._lines = lines(stream)
        self._comment = comment.encode()
        self._ahead = b""

    def read(self, size: int = -1, /) -> bytes:
        while len(self._ahead) < size or size < 0:
            line = next(self._lines, None)
            if line is None:
                break
            if not line.startswith(self._comment):
                self._ahead += line
        end = len(self._ahead) if size < 0 else size
        data, self._ahead = self._ahead[:end], self._ahead[end:]
        return data


class _Reading:
    """One pass over one file."""

    def __init__(
        self, format_: CsvFormat, file: BinaryIO, encoding: str, name: str, columns: Sequence[str] | None
    ) -> None:
        self._format = format_
        self._file = file
        self._encoding = encoding
        self._name = name
        self._columns = columns
        self._bad: list[str] = []
        self._bad_count = 0

    def tables(self, *, streaming: bool) -> Iterator[pa.Table]:
        """All rows; see :func:`tables`."""
        block = _BLOCK
        done = 0
        while True:
            try:
                for table in self._parsed(block, streaming=streaming, skip=done):
                    done += table.num_rows
                    yield table
                return
            except _TooLong:
                # A row that is longer than a block: usually a quote that is not closed, at times a long text.
                fault = next(faults(self._format, self._file, self._encoding, self._name), None)
                if fault is not None and fault.fields is None:
                    raise fault.error(self._name) from None
                if block >= _LARGEST_BLOCK:
                    raise DataError(
                        "a row is longer than 1 GiB", where=self._name, remedy="Check the quotes of the file."
                    ) from None
                block *= 32

    def _parsed(self, block: int, *, streaming: bool, skip: int) -> Iterator[pa.Table]:
        import pyarrow as pa

        stream = Utf8Stream(RawText(self._file, self._encoding, self._name, self._format.title))
        head = read_head(self._format, stream, self._name)
        wanted = chosen(head.names, self._columns, self._name)
        typed = self._types(head, wanted)
        if self._format.comment is not None:
            stream = _Uncommented(stream, self._format.comment)
        watched = _Watched(stream, self._format.quotechar)
        self._bad, self._bad_count = [], 0
        empty = pa.table({column: pa.array([], pa.string()) for column in wanted})
        seen = 0
        last = None
        # The first table comes without rows, so that the columns are known whatever follows.
        yield self._finished(empty, typed, 0)
        for batch in self._batches(watched, head, wanted, block, streaming=streaming):
            if watched.nul:
                self._explain()
            last = batch if batch.num_rows else last
            begin = seen
            seen += batch.num_rows
            table = batch.select(wanted)
            if self._format.max_rows is not None and seen > self._format.max_rows:
                table = table.slice(0, self._format.max_rows - begin)
            if seen > skip:
                yield self._finished(table.slice(max(skip - begin, 0)), typed, max(begin, skip))
            if self._format.max_rows is not None and seen >= self._format.max_rows:
                self._report()
                return
        if watched.nul or watched.quotes % 2 or _ends_in_line_end(last, head.names[-1]):
            self._explain(ragged=False)
        self._report()
        if self._format.on_bad_lines == "collect" and self._bad:
            nulls: list[Any] = [
                pa.nulls(len(self._bad), field.type) for field in self._finished(empty, typed, 0).schema
            ]
            nulls[-1] = pa.array(self._bad, pa.string())
            yield pa.table(nulls, names=[*wanted, BAD_LINE])

    def _batches(
        self, watched: _Watched, head: Head, wanted: list[str], block: int, *, streaming: bool
    ) -> Iterator[pa.Table]:
        import pyarrow as pa
        from pyarrow import csv

        format_ = self._format
        text = {column: pa.string() for column in wanted}
        if format_.quotechar is not None:
            # A quote that is never closed shows at the end of this column alone, so it comes along, as it is.
            text.setdefault(head.names[-1], pa.binary())
        lenient = format_.on_bad_lines != "error"
        options: dict[str, Any] = {
            "read_options": csv.ReadOptions(column_names=list(head.names), block_size=block, use_threads=not streaming),
            "parse_options": csv.ParseOptions(
                delimiter=head.delimiter,
                quote_char=format_.quotechar or False,
                escape_char=format_.escapechar or False,
                newlines_in_values=format_.quotechar is not None,
                # In a file of one column an empty line is a row.
                ignore_empty_lines=len(head.names) > 1,
                invalid_row_handler=self._handle if lenient else None,
            ),
            "convert_options": csv.ConvertOptions(
                column_types=text,
                include_columns=list(text),
                null_values=["", *(format_.null_values or ())],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        }
        start = watched.read(1)
        if not start:
            return
        source: Any = _Rejoined(start, watched)
        try:
            if streaming:
                with csv.open_csv(source, **options) as reader:
                    for batch in reader:
                        yield pa.Table.from_batches([batch])
            else:
                yield csv.read_csv(source, **options)
        except pa.ArrowInvalid as error:
            if "straddling" in str(error):
                raise _TooLong from error
            self._explain(error)

    def _handle(self, row: Any) -> str:
        self._bad_count += 1
        if self._format.on_bad_lines == "collect":
            self._bad.append(row.text)
        return "skip"

    def _finished(self, table: pa.Table, typed: dict[str, pa.DataType], begin: int) -> pa.Table:
        """``table`` with the types that the user asked for; its first row is row ``begin`` of the file."""
        import pyarrow as pa

        if typed or self._format.trim:
            columns = [self._column(it, table.column(it), typed.get(it), begin) for it in table.column_names]
            table = pa.table(columns, names=table.column_names)
        if self._format.on_bad_lines == "collect":
            table = table.append_column(BAD_LINE, pa.nulls(table.num_rows, pa.string()))
        return table

    def _column(self, name: str, values: pa.ChunkedArray, kind: pa.DataType | None, begin: int) -> pa.ChunkedArray:
        import pyarrow as pa
        import pyarrow.compute as pc

        if self._format.trim:
            values = pc.utf8_trim_whitespace(values)
            values = pc.if_else(pc.equal(values, ""), pa.scalar(None, values.type), values)
        if kind is None:
            return values
        dated = not isinstance(self._format.dates, bool) and name in self._format.dates
        rules = attrs.evolve(self._format, infer_types=True).rules() or Rules()
        try:
            return as_type(values, kind, rules, self._format.date_format if dated else None)
        except Unfit as unfit:
            raise self._unfit(name, kind, begin + unfit.row) from unfit

    def _types(self, head: Head, wanted: list[str]) -> dict[str, pa.DataType]:
        """The types that the user asked for."""
        import pyarrow as pa

        given = self._format.dtypes
        if isinstance(given, str):
            return {column: type_of(given, column, self._name) for column in wanted}
        types = {}
        for column, word in (given or {}).items():
            known(column, head.names, "dtypes", self._name)
            types[column] = type_of(word, column, self._name)
        if not isinstance(self._format.dates, bool):
            for column in self._format.dates:
                known(column, head.names, "dates", self._name)
                types.setdefault(column, pa.timestamp("us"))
        return types

    def _unfit(self, column: str, kind: pa.DataType, row: int) -> DataError:
        line = line_of_row(self._format, self._file, self._encoding, self._name, row)
        return DataError(
            f"a value of column {column!r} is not of the type {kind}",
            where=f"{self._name}:{line}",
            remedy="Correct it, name it in null_values if it stands for null, or read the column as str.",
        )

    def _report(self) -> None:
        """Say how many rows were left out, and which, if that was asked for."""
        if not self._bad_count:
            return
        where = ""
        if self._format.on_bad_lines != "skip":
            shown = []
            for fault in faults(self._format, self._file, self._encoding, self._name):
                shown.append(f"line {fault.line}: {fault.what}")
                if len(shown) == _SHOWN:
                    break
            where = " (" + "; ".join(shown) + (", ..." if self._bad_count > len(shown) else "") + ")"
        _log.warning("%s: %d rows with too many or too few fields were left out%s", self._name, self._bad_count, where)

    def _explain(self, error: Exception | None = None, *, ragged: bool = True) -> None:
        """Raise what is wrong with the file; return if nothing is found and ``error`` is not given."""
        undecoded = undecodable(self._file, self._encoding, self._name, self._format.title)
        if undecoded is not None:
            raise undecoded from error
        lenient = self._format.on_bad_lines != "error" or not ragged
        for fault in faults(self._format, self._file, self._encoding, self._name):
            if fault.fields is None or not lenient:
                raise fault.error(self._name) from error
        if error is not None:
            raise _generic(self._name, error) from error


class _TooLong(Exception):
    """A row does not fit into a block."""


class _Rejoined(io.RawIOBase):
    """A stream with its first byte put back."""

    def __init__(self, start: bytes, rest: _Watched) -> None:
        self._start = start
        self._rest = rest

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        if self._start:
            data = self._start + self._rest.read(size - 1 if size > 0 else size)
            self._start = b""
            return data
        return self._rest.read(size)


def _ends_in_line_end(table: pa.Table | None, column: str) -> bool:
    """Whether the very last text of the file ends in a line end, which the last row's own is never part of."""
    if table is None or column not in table.column_names:
        return False
    last = table.column(column)[-1].as_py()
    return last is not None and last[-1:] in ("\n", "\r", b"\n", b"\r")


def _generic(name: str, error: Exception) -> DataError:
    return DataError(
        f"this is not valid CSV: {first_line(error)}",
        where=name,
        remedy="Check the options delimiter, quotechar and encoding.",
    )
