"""How CSV files begin: the lines to leave out, the delimiter, the names of the columns; found without Spark."""

from __future__ import annotations

import codecs
import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Any

import attrs

from odibi.errors import DataError
from odibi_spark.formats.base import check_distinct
from odibi_spark.formats.csv import default_delimiter
from odibi_spark.formats.texts import LINE_END, Encoding, encoding_of, lines_of, opened, undecodable, where_of

if TYPE_CHECKING:
    from odibi.contracts.finding import Part
    from odibi.contracts.format import Source
    from odibi_spark.formats.csv import CsvFormat

_START = 1 << 16
_LARGEST = 1 << 26
_AT_ONCE = 8
_SNIFFED = 50
_DELIMITERS = (",", ";", "\t", "|")


@attrs.frozen
class Head:
    """What the beginning of a file says.

    Attributes:
        part: the file.
        names: of the columns.
        delimiter: between fields.
        encoding: of the text.
        skipped: the lines before the first row, as Spark sees them.
    """

    part: Part
    names: tuple[str, ...]
    delimiter: str
    encoding: Encoding
    skipped: tuple[str, ...]


def heads_of(format_: CsvFormat, source: Source, parts: Sequence[Part], others: frozenset[str]) -> list[Head]:
    """The heads of all parts.

    Args:
        format_: the options.
        source: whose parts.
        parts: the files.
        others: paths of those in the fallback's encoding.

    Raises:
        DataError: a file has none, or is no text.
    """

    def look(part: Part) -> Head:
        fallback = format_.encoding_fallback
        stated = fallback if fallback is not None and part.path in others else format_.encoding
        return _head(format_, source, part, stated)

    if len(parts) == 1:
        return [look(parts[0])]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(look, parts))


def _head(format_: CsvFormat, source: Source, part: Part, stated: str) -> Head:
    size = _START
    while True:
        with opened(source, part, format_.title) as file:
            data = _start(file, size)
        whole = len(data) < size
        encoding = encoding_of(data, stated, where_of(source, part))
        beginning = _Beginning(format_, source, part, encoding, _decoded(data, encoding, source, part, whole=whole))
        found = beginning.head(whole=whole or size >= _LARGEST)
        if found is not None:
            return found
        size *= 8


def _start(file: Any, size: int) -> bytes:
    found = b""
    while len(found) < size:
        block = file.read(size - len(found))
        if not block:
            break
        found += block
    return found


def _decoded(data: bytes, encoding: Encoding, source: Source, part: Part, *, whole: bool) -> list[str]:
    """The lines without their ends; not the last one, if it may go on."""
    name = encoding.name
    try:
        text = codecs.getincrementaldecoder(name)().decode(data, whole)
    except UnicodeDecodeError as error:
        text = data[: error.start].decode(name, "replace")
        lines = LINE_END.split(text)
        if len(lines) < 2:
            raise undecodable(encoding, data[error.start], where_of(source, part, len(lines))) from error
        return lines[:-1]  # the look at all rows says which line it is, and what the fallback is for
    if not whole and text.endswith("\r"):
        text = text[:-1]
    lines = LINE_END.split(text)
    if not whole or lines[-1] == "":
        lines.pop()
    return lines


class _Beginning:
    """The first lines of a file."""

    def __init__(self, format_: CsvFormat, source: Source, part: Part, encoding: Encoding, lines: list[str]) -> None:
        self._format = format_
        self._source = source
        self._part = part
        self._encoding = encoding
        self._lines = lines

    def head(self, *, whole: bool) -> Head | None:
        """The head; ``None`` if it needs more lines."""
        format_ = self._format
        delimiter = format_.delimiter or default_delimiter(self._part.path)
        if delimiter == "auto":
            delimiter = self._sniffed()
        has_header = format_.header is not False
        at = format_.header if type(format_.header) is int else 0
        begin = end = format_.skip_rows
        row: list[str] | None = None
        for fields, closed, after in islice(self._records(delimiter), at + 1):
            if not closed:
                if not whole:
                    return None
                raise open_quote(where_of(self._source, self._part, end + 1))
            row, begin, end = fields, end, after
            at -= 1
        if row is None or at >= 0:
            return self._without_rows(delimiter) if whole else None
        names = self._names(row, has_header, end)
        if len(names) == 1 and format_.delimiter is None:
            self._suspect(end)
        skipped = self._lines[: end if has_header else begin]
        return Head(self._part, names, delimiter, self._encoding, tuple(skipped))

    def _records(self, delimiter: str) -> Iterator[tuple[list[str], bool, int]]:
        """The fields of each row, whether its quotes are closed, and the number of lines up to its end."""
        comment, skip = self._format.comment, self._format.skip_rows
        arguments = dialect(self._format, delimiter)
        lines = self._lines[skip:]
        if lines and not skip:
            lines[0] = lines[0].removeprefix("\ufeff")
        at = skip
        held: list[str] = []

        def feed() -> Iterator[str]:
            nonlocal at
            for line in lines:
                at += 1
                if comment is None or not line.startswith(comment):
                    held.append(line + "\n")
                    yield held[-1]

        for row in csv.reader(feed(), **arguments):
            if row:
                yield row, at - skip < len(lines) or is_closed(held, arguments), at
            held.clear()

    def _sniffed(self) -> str:
        """The delimiter that cuts the first rows into the same number of fields, the most of them."""
        best, most = ",", 1
        for candidate in _DELIMITERS:
            widths = self._widths(candidate, _SNIFFED)
            if len(set(widths)) == 1 and widths[0] > most:
                best, most = candidate, widths[0]
        return best

    def _suspect(self, line: int) -> None:
        """Refuse to read a file as one column that has several by another delimiter."""
        for candidate in _DELIMITERS:
            widths = self._widths(candidate, 2)
            if len(set(widths)) == 1 and widths[0] > 1:
                raise DataError(
                    f"there is one column by the delimiter ',' but {widths[0]} by {candidate!r}",
                    where=where_of(self._source, self._part, line),
                    remedy=f"Set delimiter: {candidate!r}, or 'auto'; or ',' if it is really one column.",
                )

    def _widths(self, candidate: str, count: int) -> list[int]:
        return [len(row) for row, closed, _ in islice(self._records(candidate), count) if closed]

    def _without_rows(self, delimiter: str) -> Head:
        names = self._format.column_names
        if names is None:
            raise DataError(
                "there is no line with the names of the columns" if self._lines else "the file is empty",
                where=where_of(self._source, self._part),
                remedy="Leave it out; if an empty file is right, give column_names and set header: false.",
            )
        return Head(self._part, names, delimiter, self._encoding, tuple(self._lines))

    def _names(self, row: list[str], has_header: bool, line: int) -> tuple[str, ...]:
        format_, where = self._format, where_of(self._source, self._part, line)
        if format_.column_names is not None:
            if len(format_.column_names) != len(row):
                raise DataError(
                    f"there are {len(row)} columns, but column_names has {len(format_.column_names)}",
                    where=where,
                    remedy="Give one name for each column.",
                )
            names = list(format_.column_names)
        else:
            names = [text.strip() if format_.trim else text for text in row] if has_header else [""] * len(row)
        names = [text or f"column_{at}" for at, text in enumerate(names)]
        twice = [text for text, count in Counter(names).items() if count > 1]
        if twice:
            raise DataError(
                f"more than one column is called {', '.join(map(repr, twice))}",
                where=where,
                remedy="Give all columns names of their own with column_names.",
            )
        check_distinct(names, where)
        return tuple(names)


def dialect(format_: CsvFormat, delimiter: str) -> dict[str, Any]:
    """The arguments with which :mod:`csv` reads such files."""
    if format_.quotechar is None:
        return {"delimiter": delimiter, "quoting": csv.QUOTE_NONE, "escapechar": format_.escapechar}
    return {"delimiter": delimiter, "quotechar": format_.quotechar, "escapechar": format_.escapechar}


def is_closed(lines: Sequence[str], arguments: dict[str, Any]) -> bool:
    """Whether no quote is open at the end of ``lines``."""
    try:
        list(csv.reader(lines, strict=True, **arguments))
    except csv.Error as error:
        return "unexpected end" not in str(error)
    return True


def open_quote(where: str) -> DataError:
    """The error of a quote that swallows the rest of the file."""
    return DataError(
        "a quote that is opened in this line is never closed",
        where=where,
        remedy="Close it, or set quotechar to another character (or null) if quotes have no meaning in this file.",
    )


def ragged(where: str, expected: int, found: int) -> DataError:
    """The error of a row with the wrong number of fields."""
    return DataError(
        f"the row has {found} field{'s' * (found != 1)}, but there are {expected} columns",
        where=where,
        remedy="Correct the row, or set on_bad_lines: skip, warn or collect; check the delimiter and the quotes too.",
    )


def nul_byte(where: str) -> DataError:
    """The error of bytes that no text has."""
    return DataError(
        "the line holds a NUL byte",
        where=where,
        remedy="The file is damaged, or not text; UTF-16 needs encoding: utf-16.",
    )


def check_rows(format_: CsvFormat, source: Source, head: Head, *, lenient: bool = False) -> None:
    """Go through a file row by row, without Spark, and raise what is wrong with the first that is.

    Args:
        format_: the options.
        source: of the file.
        head: of the file.
        lenient: rows may have any number of fields.
    """
    arguments = dialect(format_, head.delimiter)
    held: list[str] = []
    first = last = 0

    def feed() -> Iterator[str]:
        nonlocal first, last
        for number, line in lines_of(source, head.part, head.encoding, format_.title):
            if number <= len(head.skipped) or (format_.comment is not None and line.startswith(format_.comment)):
                continue
            if "\0" in line:
                raise nul_byte(where_of(source, head.part, number))
            first, last = first or number, number
            held.append(line + "\n")
            yield held[-1]

    limit = csv.field_size_limit(1 << 30)
    try:
        for row in csv.reader(feed(), **arguments):
            if len(held) > 1 and not is_closed(held, arguments):
                raise open_quote(where_of(source, head.part, first))
            width = max(len(row), 1)
            if not lenient and width != len(head.names) and (row or len(head.names) == 1):
                raise ragged(where_of(source, head.part, first), len(head.names), width)
            if held and not is_closed(held, arguments):
                raise open_quote(where_of(source, head.part, first))
            held.clear()
            first = 0
    except csv.Error as error:
        raise open_quote(where_of(source, head.part, first or None)) from error
    finally:
        csv.field_size_limit(limit)
