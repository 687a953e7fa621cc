"""Excel workbooks, by openpyxl."""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Iterator, Mapping, Sequence
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar

import attrs

from odibi import option
from odibi.errors import DataError
from odibi_pandas.formats.base import FileFormat, chosen, reading
from odibi_pandas.frames import distinct

if TYPE_CHECKING:
    import pyarrow as pa

_MOST_ROWS = 1_048_576
_MOST_COLUMNS = 16_384
_LONGEST_TEXT = 32_767
_IN_MEMORY = 16 << 20
"""Bytes of a workbook that are kept in memory before they are written; more of them go to a temporary file."""

_FIRST_YEAR = 1901
"""Excel's calendar begins in 1900, with a day that never was."""


def _not_negative(_: Any, field: Any, value: int) -> None:
    if value < 0:
        raise ValueError(f"{field.name} must not be negative")


def _header(value: Any) -> Any:
    return {"infer": True, None: False}.get(value, value)


@attrs.frozen
class ExcelFormat(FileFormat):
    """One sheet of an ``.xlsx`` or ``.xlsm`` workbook; formulas are read as the values that Excel last saved.

    A column of numbers, truth values, dates or moments has that type; numbers that are all whole are integers, and
    moments that are all at midnight are dates, as Excel does not tell them apart. A column that mixes them is text.
    Empty cells are null, rows without any value are left out at the end, and errors such as ``#DIV/0!`` are null. What
    is written loses parts of a second and the difference between an empty text and null; a moment with a zone is text.
    """

    extensions: ClassVar[tuple[str, ...]] = (".xlsx", ".xlsm")
    title: ClassVar[str] = "Excel"

    sheet: str | int = option(0, help="The sheet's name, or its number from 0.", aliases=("sheet_name",))
    header: bool | int | str | None = option(
        True,
        help="Whether the first row has the names, or the number of the row that has them, from 0.",
        converter=_header,
    )
    skip_rows: int = option(
        0, help="Rows to leave out before the header.", aliases=("skiprows",), only="read", validator=_not_negative
    )
    max_rows: int | None = option(None, help="Read no more rows than this.", aliases=("nrows",), only="read")
    dtypes: Mapping[str, str] | None = option(
        None,
        help="Column to type, for columns that are not what they look like.",
        aliases=("dtype", "types"),
        only="read",
    )

    def load(self, file: BinaryIO, *, name: str, columns: Sequence[str] | None) -> pa.Table:
        """All rows."""
        import pyarrow as pa

        names, rows, first = self._cells(file, name)
        wanted = chosen(names, columns, name)
        values = list(zip(*rows, strict=True)) if rows else [() for _ in names]
        arrays = []
        for column in wanted:
            cells = list(values[names.index(column)])
            arrays.append(self._typed(column, cells, name, first))
        return pa.table(arrays, names=wanted)

    def dump(self, tables: Iterator[pa.Table], schema: pa.Schema, file: BinaryIO) -> None:
        """One sheet; the names of the columns in its first row."""
        from openpyxl import Workbook

        if len(schema) > _MOST_COLUMNS:
            raise DataError(f"a sheet holds {_MOST_COLUMNS:,} columns, not {len(schema):,}", remedy="Write fewer.")
        book = Workbook(write_only=True)
        title = self.sheet if isinstance(self.sheet, str) else f"Sheet{self.sheet + 1}"
        sheet = book.create_sheet(title)
        try:
            self._fill(sheet, tables, schema)
        except BaseException:
            sheet.close()  # it has a generator at work that wants to be ended
            raise
        with SpooledTemporaryFile(_IN_MEMORY) as whole:
            # An archive whose file fails tries to complete it when it is forgotten, and raises where nobody looks.
            book.save(whole)
            whole.seek(0)
            shutil.copyfileobj(whole, file)

    def _fill(self, sheet: Any, tables: Iterator[pa.Table], schema: pa.Schema) -> None:
        count = 0
        if self.header is not False:
            sheet.append([_as_cell(sheet, name) for name in schema.names])
            count += 1
        for table in tables:
            count += table.num_rows
            if count > _MOST_ROWS:
                raise DataError(
                    f"a sheet holds {_MOST_ROWS:,} rows, and there are more", remedy="Write CSV or Parquet instead."
                )
            columns = [
                [_as_cell(sheet, _value(value, name)) for value in table.column(name).to_pylist()]
                for name in schema.names
            ]
            for row in zip(*columns, strict=True):
                sheet.append(row)

    def _cells(self, file: BinaryIO, name: str) -> tuple[list[str], list[tuple[Any, ...]], int]:
        """The names, the rows below them, and the number of the first of these in the sheet, from 1."""
        from openpyxl import load_workbook

        file.seek(0)
        start = file.read(8)
        file.seek(0)
        if not start:
            raise DataError("the file is empty", where=name, remedy="Save the workbook again, or leave it out.")
        if start.startswith(b"\xd0\xcf\x11\xe0"):
            raise DataError(
                "this is a workbook of an old Excel (.xls), or one with a password",
                where=name,
                remedy="Save it as .xlsx without a password.",
            )
        if not start.startswith(b"PK"):
            raise DataError(
                "this is not an Excel workbook",
                where=name,
                remedy="Save it as .xlsx, or set 'format' to what it is; many exports named .xlsx are CSV or HTML.",
            )
        with reading(self.title, name):
            book = load_workbook(file, read_only=True, data_only=True)
            try:
                rows = list(self._sheet(book, name).iter_rows(values_only=True))
            finally:
                book.close()
        while rows and not any(cell is not None for cell in rows[-1]):
            rows.pop()
        return self._headed(rows, name)

    def _sheet(self, book: Any, name: str) -> Any:
        titles = book.sheetnames
        if isinstance(self.sheet, str) and self.sheet in titles:
            return book[self.sheet]
        if isinstance(self.sheet, int) and self.sheet < len(titles):
            return book[titles[self.sheet]]
        raise DataError(f"there is no sheet {self.sheet!r}", where=name, remedy=f"The sheets are: {', '.join(titles)}.")

    def _headed(self, rows: list[tuple[Any, ...]], name: str) -> tuple[list[str], list[tuple[Any, ...]], int]:
        begin = self.skip_rows
        has_header = self.header is not False
        if has_header:
            begin += self.header if type(self.header) is int else 0
        if begin >= len(rows):
            raise DataError(
                "the sheet has no row with the names of the columns",
                where=name,
                remedy="Check 'sheet', 'header' and 'skip_rows'.",
            )
        width = max(len(row) for row in rows[begin:])
        while width and all(len(row) < width or row[width - 1] is None for row in rows[begin:]):
            width -= 1
        padded = [(row + (None,) * width)[:width] for row in rows[begin:]]
        names = [f"column_{at}" for at in range(width)]
        if has_header:
            names = [str(cell) if cell is not None else given for cell, given in zip(padded[0], names, strict=True)]
            padded = padded[1:]
        if len(set(names)) != len(names):
            twice = [it for it in dict.fromkeys(names) if names.count(it) > 1]
            raise DataError(
                f"more than one column is called {', '.join(map(repr, twice))}",
                where=f"{name}, row {begin + 1}",
                remedy=f"Give each a name of its own in the sheet, such as {distinct(names)[names.index(twice[0])]!r}.",
            )
        if self.max_rows is not None:
            padded = padded[: self.max_rows]
        return names, padded, begin + 1 + has_header

    def _typed(self, column: str, cells: list[Any], name: str, first: int) -> pa.Array:
        import pyarrow as pa

        from odibi_pandas.inference import Rules
        from odibi_pandas.texts import Unfit, as_type, type_of

        values = [None if isinstance(cell, str) and cell in _ERRORS else cell for cell in cells]
        word = (self.dtypes or {}).get(column)
        if word is not None:
            texts = pa.chunked_array([pa.array([_text(value) for value in values], pa.string())])
            kind = type_of(word, column, name)
            try:
                return as_type(texts, kind, Rules(), None)
            except Unfit as unfit:
                raise DataError(
                    f"a value of column {column!r} is not of the type {kind}",
                    where=f"{name}, row {first + unfit.row}",
                    remedy="Correct it in the sheet, or read the column as str.",
                ) from unfit
        kinds = {type(value) for value in values if value is not None}
        if not kinds:
            return pa.nulls(len(values))
        if kinds <= {int, float}:
            whole = all(float(value).is_integer() for value in values if value is not None)
            exact = all(abs(value) < 2**53 for value in values if value is not None)
            return pa.array(
                [None if value is None else int(value) if whole and exact else float(value) for value in values],
                pa.int64() if whole and exact else pa.float64(),
            )
        if kinds <= {datetime.datetime, datetime.date}:
            return _moments(values)
        if len(kinds) == 1 and kinds <= {bool, str, datetime.time}:
            return pa.array(values)
        return pa.array([_text(value) for value in values], pa.string())


_ERRORS = {"#DIV/0!", "#N/A", "#NAME?", "#NULL!", "#NUM!", "#REF!", "#VALUE!", "#GETTING_DATA"}


def _moments(values: list[Any]) -> pa.Array:
    import pyarrow as pa

    if all(not isinstance(it, datetime.datetime) or it.time() == datetime.time.min for it in values if it is not None):
        dates = [it.date() if isinstance(it, datetime.datetime) else it for it in values]
        return pa.array(dates, pa.date32())
    midnight = datetime.time.min
    moments = [
        datetime.datetime.combine(it, midnight)
        if isinstance(it, datetime.date) and not isinstance(it, datetime.datetime)
        else it
        for it in values
    ]
    return pa.array(moments, pa.timestamp("us"))


def _text(value: Any) -> str | None:
    """A cell as it would read: whole numbers without a point, dates in ISO 8601."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    return str(value)


def _as_cell(sheet: Any, value: Any) -> Any:
    """A cell with the value; a text is never taken for a formula or an error, and no digit of a float is lost."""
    from openpyxl.cell import WriteOnlyCell

    if isinstance(value, str) and value.startswith(("=", "#")):
        cell = WriteOnlyCell(sheet, value)
        cell.data_type = "s"
        return cell
    if isinstance(value, float) and float(f"{value:.16g}") != value:  # openpyxl writes sixteen digits
        cell = WriteOnlyCell(sheet, repr(value))
        cell.data_type = "n"
        return cell
    return value


def _value(value: Any, column: str) -> Any:
    """A value as a cell holds it."""
    import decimal
    import math

    if isinstance(value, str):
        if len(value) > _LONGEST_TEXT:
            raise DataError(
                f"a text of column {column!r} has {len(value):,} characters; a cell holds {_LONGEST_TEXT:,}",
                remedy="Shorten it, or write CSV or Parquet instead.",
            )
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 2**53:
        return str(value)
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        return value.isoformat()
    if isinstance(value, datetime.date) and value.year < _FIRST_YEAR:
        return value.isoformat()
    if isinstance(value, (bytes, list, dict, tuple)):
        raise DataError(
            f"column {column!r} holds values of the type {type(value).__name__}, which a cell cannot",
            remedy="Convert it to text, drop it, or write Parquet instead.",
        )
    if isinstance(value, decimal.Decimal):
        return float(value) if decimal.Decimal(repr(float(value))) == value else str(value)
    return value
