"""How a CSV file begins: the lines to leave out, the delimiter, the names of the columns."""

from __future__ import annotations

import csv
import difflib
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING

import attrs

from odibi.errors import DataError
from odibi_pandas.formats.csv import default_delimiter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from odibi_pandas.formats.csv import CsvFormat
    from odibi_pandas.formats.texts import Utf8Stream

_CHUNK = 1 << 16
_SNIFFED = 50
_DELIMITERS = (",", ";", "\t", "|")


@attrs.frozen
class Head:
    """What the beginning of a file says.

    Attributes:
        names: of the columns.
        delimiter: between fields.
        lines: how many lines come before the first row.
    """

    names: tuple[str, ...]
    delimiter: str
    lines: int


def dialect(format_: CsvFormat, delimiter: str) -> dict[str, object]:
    """The arguments with which :mod:`csv` reads as pyarrow does."""
    if format_.quotechar is None:
        return {"delimiter": delimiter, "quoting": csv.QUOTE_NONE, "escapechar": format_.escapechar}
    return {"delimiter": delimiter, "quotechar": format_.quotechar, "escapechar": format_.escapechar}


def read_head(format_: CsvFormat, stream: Utf8Stream, name: str) -> Head:
    """The head of a file; afterwards ``stream`` is at the first row.

    Raises:
        DataError: there is none, or two columns have one name.
        UnicodeDecodeError: it is not text in the encoding.
    """
    held = b""
    while True:
        block = stream.read(_CHUNK)
        held += block
        lines = held.splitlines(keepends=True)
        if block:
            lines = lines[:-1]
        found = _head(format_, lines, name, whole=not block)
        if found is not None:
            stream.unread(held[sum(map(len, lines[: found.lines])) :])
            return found


def _head(format_: CsvFormat, raw: list[bytes], name: str, *, whole: bool) -> Head | None:
    """The head in the first lines of a file; ``None`` if it needs more of them."""
    if not whole and sum(map(len, raw)) < _CHUNK // 2:
        return None
    lines = [line.decode() for line in raw]
    records = _Records(format_, lines)
    delimiter = format_.delimiter or default_delimiter(name)
    if delimiter == "auto":
        delimiter = _sniffed(records)
    has_header = format_.header is not False
    at = format_.header if type(format_.header) is int else 0
    begin = format_.skip_rows
    for row, closed, end in islice(records.parsed(delimiter), at + 1):
        if not closed and not whole:
            return None
        first, begin, before = row, end, begin
        at -= 1
        if not closed:
            raise open_quote(f"{name}:{before + 1}")
    if at >= 0:
        return _without_rows(format_, name, delimiter, lines) if whole else None
    where = f"{name}:{begin}"
    names = _names(format_, first, has_header, where)
    if len(names) == 1 and format_.delimiter is None:
        _suspect(records, where)
    return Head(names, delimiter, begin if has_header else before)


def open_quote(where: str) -> DataError:
    """The error of a quote that swallows the rest of the file."""
    return DataError(
        "a quote that is opened in this line is never closed",
        where=where,
        remedy="Close it, or set quotechar to another character (or null) if quotes have no meaning in this file.",
    )


def _without_rows(format_: CsvFormat, name: str, delimiter: str, lines: list[str]) -> Head:
    if format_.column_names is None:
        raise DataError(
            "there is no line with the names of the columns" if lines else "the file is empty",
            where=name,
            remedy="Leave it out; if an empty file is right, give column_names and set header: false.",
        )
    return Head(format_.column_names, delimiter, len(lines))


class _Records:
    """The first lines of a file as rows, by whichever delimiter."""

    def __init__(self, format_: CsvFormat, lines: list[str]) -> None:
        self._format = format_
        self._lines = lines

    def parsed(self, delimiter: str) -> Iterator[tuple[list[str], bool, int]]:
        """Fields of each row, whether its quotes are closed, and the number of lines up to its end."""
        comment = self._format.comment
        at = skip = self._format.skip_rows

        def feed() -> Iterator[str]:
            nonlocal at
            for line in self._lines[skip:]:
                at += 1
                if comment is None or not line.startswith(comment):
                    yield line

        arguments = dialect(self._format, delimiter)
        begin = at
        for row in csv.reader(feed(), **arguments):  # type: ignore[arg-type]
            if row:
                # A row that ends before the lines do is closed; whether the last one is, csv says when it is strict.
                yield row, at < len(self._lines) or is_closed(self._lines[begin:], arguments), at
            begin = at


def is_closed(lines: list[str], arguments: Mapping[str, object]) -> bool:
    """Whether no quote is open at the end of ``lines``."""
    try:
        list(csv.reader(lines, strict=True, **arguments))  # type: ignore[arg-type]
    except csv.Error as error:
        return "unexpected end" not in str(error)
    return True


def _sniffed(records: _Records) -> str:
    """The delimiter that cuts the first rows into the same number of fields, the most of them."""
    best, most = ",", 1
    for candidate in _DELIMITERS:
        widths = _widths(records, candidate, _SNIFFED)
        if len(set(widths)) == 1 and widths[0] > most:
            best, most = candidate, widths[0]
    return best


def _suspect(records: _Records, where: str) -> None:
    """Refuse to read a file as one column that has several by another delimiter."""
    for candidate in _DELIMITERS:
        widths = _widths(records, candidate, 2)
        if len(set(widths)) == 1 and widths[0] > 1:
            raise DataError(
                f"there is one column by the delimiter ',' but {widths[0]} by {candidate!r}",
                where=where,
                remedy=f"Set delimiter: {candidate!r}, or 'auto'; or ',' if it is really one column.",
            )


def _widths(records: _Records, delimiter: str, count: int) -> list[int]:
    return [len(row) for row, closed, _ in islice(records.parsed(delimiter), count) if closed]


def _names(format_: CsvFormat, first: list[str], has_header: bool, where: str) -> tuple[str, ...]:
    if format_.column_names is not None:
        if len(format_.column_names) != len(first):
            raise DataError(
                f"there are {len(first)} columns, but column_names has {len(format_.column_names)}",
                where=where,
                remedy="Give one name for each column.",
            )
        names = list(format_.column_names)
    elif has_header:
        names = [text.strip() if format_.trim else text for text in first]
    else:
        names = [""] * len(first)
    names = [text or f"column_{at}" for at, text in enumerate(names)]
    twice = [text for text, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(
            f"more than one column is called {', '.join(map(repr, twice))}",
            where=where,
            remedy="Give all columns names of their own with column_names.",
        )
    return tuple(names)


def known(column: str, names: tuple[str, ...], option: str, name: str) -> None:
    """Refuse an option about a column that is not there."""
    if column not in names:
        close = difflib.get_close_matches(column, names, n=1)
        hint = f"Did you mean {close[0]!r}? " if close else ""
        raise DataError(
            f"the option {option} names the column {column!r}, which is not there",
            where=name,
            remedy=f"{hint}The columns are: {', '.join(names)}.",
        )
