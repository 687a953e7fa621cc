"""CSV: parsed by pyarrow as texts, given types by :mod:`odibi_pandas.inference`.

pyarrow's parser is fast and strict about the number of columns, but says which row is wrong only roughly, does not see
a quote that is never closed, and guesses types from the first block when it reads in chunks. So types are found here,
from all values; and where a file is broken, it is read a second time, slowly, to say what is wrong in which line.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Literal

import attrs

from odibi import option
from odibi_pandas.formats.base import FileFormat, rechunked

if TYPE_CHECKING:
    import pyarrow as pa

    from odibi_pandas.inference import Rules

BAD_LINE = "_bad_line"
"""The column in which ``on_bad_lines: collect`` puts the text of rows that have too many or too few fields."""


def _one_character(_: Any, field: Any, value: str | None) -> None:
    if value is not None and (len(value) != 1 or ord(value) > 127):
        raise ValueError(f"{field.name} must be one ASCII character")


def _delimiter(_: Any, __: Any, value: str | None) -> None:
    if value is not None and value != "auto" and (len(value) != 1 or ord(value) > 127):
        raise ValueError("must be one ASCII character, such as ';' or a tab, or 'auto'")


def check_encoding(_: Any, __: Any, value: str | None) -> None:
    """Refuse the name of an encoding that there is not."""
    if value is None:
        return
    try:
        codecs.lookup(value)
    except LookupError:
        raise ValueError(f"there is no encoding {value!r}; write utf-8, cp1252, latin-1, utf-16 or another") from None


def not_negative(_: Any, __: Any, value: int | None) -> None:
    """Refuse a number below zero."""
    if value is not None and value < 0:
        raise ValueError("must not be negative")


def _header(value: Any) -> Any:
    return {"infer": True, None: False}.get(value, value)


def _header_row(_: Any, __: Any, value: Any) -> None:
    if isinstance(value, str) or (not isinstance(value, bool) and value < 0):
        raise ValueError("must be true, false, or the number of the line with the names, counted from 0")


@attrs.frozen
class CsvFormat(FileFormat):
    """Text with one row a line.

    Without further options: an empty field is null and a quoted empty field is an empty text; a column is of integers,
    truth values, floats, dates or moments if all its values are, and else of text, unchanged. ``NA``, ``N/A``,
    ``null`` and their like are null in columns of anything but text. Numbers with leading zeros or a plus sign, and
    integers too long for 64 bits, are text. A row with too many or too few fields is an error.
    """

    extensions: ClassVar[tuple[str, ...]] = (
        *(".csv", ".csv.gz", ".csv.bz2", ".csv.zst", ".tsv", ".tsv.gz", ".tsv.bz2", ".tsv.zst", ".txt"),
    )
    title: ClassVar[str] = "CSV"

    delimiter: str | None = option(
        None,
        help="Between fields; a comma by default, 'auto' to find it out.",
        aliases=("sep", "delim"),
        validator=_delimiter,
    )
    header: bool | int | str | None = option(
        True,
        help="Whether the first line has the names, or the number of the line that has them, from 0.",
        converter=_header,
        validator=_header_row,
    )
    column_names: tuple[str, ...] | None = option(
        None, help="Names of the columns, in place of those in the file.", aliases=("names",), only="read"
    )
    max_rows: int | None = option(
        None, help="Read no more rows than this.", aliases=("nrows",), only="read", validator=not_negative
    )
    skip_rows: int = option(
        0, help="Lines to leave out before the header.", aliases=("skiprows",), only="read", validator=not_negative
    )
    encoding: str = option("utf-8", help="Of the text; a byte order mark is found by itself.", validator=check_encoding)
    encoding_fallback: str | None = option(
        None,
        help="The encoding of files that turn out not to be in the first one.",
        only="read",
        validator=check_encoding,
    )
    quotechar: str | None = option(
        '"', help="Around fields; null for none.", aliases=("quote",), validator=_one_character
    )
    escapechar: str | None = option(
        None,
        help="Before characters that are to be taken as they are.",
        aliases=("escape",),
        only="read",
        validator=_one_character,
    )
    comment: str | None = option(
        None, help="Lines that begin with this are left out.", only="read", validator=_one_character
    )
    decimal: str = option(".", help="The decimal point.", only="read", validator=_one_character)
    thousands: str | None = option(
        None, help="What groups the digits of numbers.", only="read", validator=_one_character
    )
    null_values: tuple[str, ...] | None = option(
        None, help="Texts that are null in every column, text included.", aliases=("na_values",), only="read"
    )
    true_values: tuple[str, ...] = option(("true", "True", "TRUE"), help="Words for true.", only="read")
    false_values: tuple[str, ...] = option(("false", "False", "FALSE"), help="Words for false.", only="read")
    dtypes: Mapping[str, str] | str | None = option(
        None,
        help="Column to type, or one type for all; int, float, str, bool, date, datetime, decimal(10, 2) or an"
        " Arrow type.",
        aliases=("dtype", "types"),
        only="read",
    )
    dates: tuple[str, ...] | bool = option(
        True,
        help="The columns of dates or moments; true finds them, false leaves them text.",
        aliases=("parse_dates",),
        only="read",
    )
    date_format: str | None = option(
        None, help="How the columns named in 'dates' are written, such as %d.%m.%Y.", only="read"
    )
    infer_types: bool = option(
        True,
        help="Find the types of columns; false leaves all text.",
        aliases=("infer_schema", "inferSchema"),
        only="read",
    )
    on_bad_lines: Literal["error", "skip", "warn", "collect"] = option(
        "error",
        help="What a row with too many or too few fields does: stop the reading, be left out and counted, be shown too,"
        " or come last with its text in the column _bad_line.",
        only="read",
    )
    trim: bool = option(
        False, help="Remove white space around names and values.", aliases=("skipinitialspace",), only="read"
    )
    null_text: str = option("", help="What is written for null.", aliases=("na_rep",), only="write")
    compression: Literal["auto", "none", "gzip", "bz2", "zstd"] = option(
        "auto", help="Of what is written; auto goes by the name. Reading finds it by itself.", only="write"
    )

    def load(self, file: BinaryIO, *, name: str, columns: Sequence[str] | None) -> pa.Table:
        """All rows; columns without a given type as texts."""
        import pyarrow as pa

        from odibi_pandas.formats.csv_read import tables

        return pa.concat_tables(list(tables(self, file, name=name, columns=columns, streaming=False)))

    def load_chunks(self, file: BinaryIO, rows: int, *, name: str, columns: Sequence[str] | None) -> Iterator[pa.Table]:
        """The same, some rows at a time."""
        from odibi_pandas.formats.csv_read import tables

        return rechunked(tables(self, file, name=name, columns=columns, streaming=True), rows)

    def lead(self, file: BinaryIO, *, name: str) -> bytes | None:
        """The line with the names, of a plain file in UTF-8."""
        from odibi_pandas.formats.csv_tail import lead

        return lead(self, file, name)

    def rules(self) -> Rules | None:
        """How values are written."""
        from odibi_pandas.inference import DATES_ONLY, MARKERS, Rules

        if not self.infer_types:
            return None
        kinds = Rules().kinds
        return Rules(
            kinds=kinds if self.dates is True else kinds - DATES_ONLY.kinds,
            markers=MARKERS if self.null_values is None else ("", *self.null_values),
            true_values=self.true_values,
            false_values=self.false_values,
            decimal=self.decimal,
            thousands=self.thousands,
        )

    def infers(self, column: str) -> bool:
        """Not where the user said the type."""
        return not isinstance(self.dtypes, str) and column not in (self.dtypes or {}) and column != BAD_LINE

    def for_path(self, path: str) -> CsvFormat:
        """With the compression and the delimiter that the name means."""
        from odibi_pandas.formats.texts import compression_of

        codec: Any = (compression_of(path) or "none") if self.compression == "auto" else self.compression
        return attrs.evolve(self, compression=codec, delimiter=self.delimiter or default_delimiter(path))

    def extension(self) -> str:
        """``.csv``, with the ending of a compression that was asked for."""
        from odibi_pandas.formats.texts import CODECS

        codecs_by_name = {codec: ending for ending, codec in reversed(CODECS.items())}
        return ".csv" + codecs_by_name.get(self.compression, "")

    def dump(self, tables: Iterator[pa.Table], schema: pa.Schema, file: BinaryIO) -> None:
        """Texts in quotes, nulls as nothing."""
        from odibi_pandas.formats.csv_write import dump

        dump(self, tables, schema, file)


def default_delimiter(name: str) -> str:
    """What separates fields in a file of this name, unless the user says otherwise."""
    return "\t" if any(ending in name.lower() for ending in (".tsv", ".tab")) else ","
