"""What is wrong in a CSV file, and in which line; slow, and asked only when something is."""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING, BinaryIO

import attrs

from odibi.errors import DataError
from odibi_pandas.formats.csv_head import Head, dialect, is_closed, open_quote, read_head
from odibi_pandas.formats.texts import RawText, Utf8Stream, lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from odibi_pandas.formats.csv import CsvFormat


_LONG = 1 << 16


@attrs.frozen
class Fault:
    """One mistake in a file.

    Attributes:
        line: where it begins, from 1.
        what: what it is.
        remedy: what to do.
        fields: the number of fields of a row that has the wrong one; else ``None``.
    """

    line: int
    what: str
    remedy: str
    fields: int | None = None

    def error(self, name: str) -> DataError:
        """The fault as an error of the file ``name``."""
        return DataError(self.what, where=f"{name}:{self.line}", remedy=self.remedy)


def faults(format_: CsvFormat, file: BinaryIO, encoding: str, name: str) -> Iterator[Fault]:
    """The faults of a file in order, as far as the first that makes the rest meaningless."""
    for _, fault in _rows(format_, file, encoding, name):
        if fault is not None:
            yield fault


def line_of_row(format_: CsvFormat, file: BinaryIO, encoding: str, name: str, row: int) -> int:
    """The line in which a row begins; rows count from 0, and those that are left out do not."""
    good = (line for line, fault in _rows(format_, file, encoding, name) if fault is None)
    for at, line in enumerate(good):
        if at == row:
            return line
    return 0


class _Lines:
    """Feeds :mod:`csv` and knows where a row began.

    csv refuses fields of more than 128 KiB, so that the insides of long lines, and of rows that go over several lines,
    are cut short; nothing that gives a row its shape is lost.
    """

    def __init__(self, source: Iterator[bytes], format_: CsvFormat, head: Head) -> None:
        self._source = source
        self._comment = format_.comment
        shaping = re.escape(f"{head.delimiter}{format_.quotechar or ''}{format_.escapechar or ''}\r\n")
        self._inside = re.compile(f"[^{shaping}]{{2,}}")
        self.last = 0
        self.first = 0
        self.held: list[str] = []
        self.nul = 0
        for _ in range(head.lines):
            if next(source, None) is not None:
                self.last += 1

    def begin(self) -> None:
        """Expect a new row."""
        self.first = 0
        self.held = []

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        while True:
            line = next(self._source)
            self.last += 1
            text = line.decode("utf-8", "replace")
            if self._comment is None or not text.startswith(self._comment):
                break
        if self.first or len(text) > _LONG:
            text = self._inside.sub("x", text)
        self.first = self.first or self.last
        self.held.append(text)
        if b"\0" in line:
            self.nul = self.nul or self.last
        return text


def _rows(format_: CsvFormat, file: BinaryIO, encoding: str, name: str) -> Iterator[tuple[int, Fault | None]]:
    """The line of each row, and what is wrong with it."""
    head = read_head(format_, Utf8Stream(RawText(file, encoding, name, "CSV")), name)
    source = _Lines(lines(Utf8Stream(RawText(file, encoding, name, "CSV"))), format_, head)
    arguments = dialect(format_, head.delimiter)
    reader = csv.reader(source, **arguments)  # type: ignore[arg-type]
    expected = len(head.names)
    while True:
        source.begin()
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield source.first, _unclosed(source.first)
            return
        if source.nul:
            yield (
                source.nul,
                Fault(
                    source.nul,
                    "the line holds a NUL byte",
                    "The file is damaged, or not text; UTF-16 needs encoding: utf-16.",
                ),
            )
            return
        if not row and expected > 1:
            continue
        if _may_be_open(source.held, format_.quotechar) and not is_closed(source.held, arguments):
            yield source.first, _unclosed(source.first)
            return
        width = max(len(row), 1)
        yield source.first, None if width == expected else _ragged(source.first, expected, width)


def _may_be_open(held: list[str], quote: str | None) -> bool:
    # Quotes inside a field that does not begin with one have no meaning, so their number tells nothing.
    return quote is not None and (len(held) > 1 or bool(held and quote in held[0]))


def _unclosed(line: int) -> Fault:
    error = open_quote("")
    return Fault(line, error.what, error.remedy)


def _ragged(line: int, expected: int, found: int) -> Fault:
    return Fault(
        line,
        f"the row has {found} field{'s' * (found != 1)}, but there are {expected} columns",
        "Correct the row, or set on_bad_lines: skip, warn or collect; check the delimiter and the quotes too.",
        found,
    )
