"""CSV, by Spark: parsed as texts, given types by :mod:`odibi_spark.formats.inference`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import attrs

from odibi import option
from odibi_spark.formats.base import FileFormat
from odibi_spark.formats.inference import java_pattern
from odibi_spark.formats.texts import check_encoding

if TYPE_CHECKING:
    from odibi.contracts.finding import Part
    from odibi.contracts.format import Source, Target

BAD_LINE = "_bad_line"
"""The column in which ``on_bad_lines: collect`` puts the text of rows that have too many or too few fields."""

WRITTEN = {
    "utf-8": "UTF-8",
    "ascii": "US-ASCII",
    "iso8859-1": "ISO-8859-1",
    "utf-16": "UTF-16",
    "utf-16-le": "UTF-16LE",
    "utf-16-be": "UTF-16BE",
    "utf-32": "UTF-32",
}
"""Encodings that Spark writes, with its names for them."""


def _one_character(_: Any, field: Any, value: str | None) -> None:
    if value is not None and (len(value) != 1 or ord(value) > 127):
        raise ValueError(f"{field.name} must be one ASCII character")


def _delimiter(_: Any, __: Any, value: str | None) -> None:
    if value is not None and value != "auto" and (len(value) != 1 or ord(value) > 127):
        raise ValueError("must be one ASCII character, such as ';' or a tab, or 'auto'")


def not_negative(_: Any, __: Any, value: int | None) -> None:
    """Refuse a number below zero."""
    if value is not None and value < 0:
        raise ValueError("must not be negative")


def _header(value: Any) -> Any:
    return {"infer": True, None: False}.get(value, value)


def _header_row(_: Any, __: Any, value: Any) -> None:
    if isinstance(value, str) or (not isinstance(value, bool) and value < 0):
        raise ValueError("must be true, false, or the number of the line with the names, counted from 0")


def _readable(_: Any, __: Any, value: str | None) -> None:
    if value is not None:
        java_pattern(value)


def compression_of(path: str) -> str:
    """How what is written to ``path`` is to be compressed, by its name."""
    codecs_by_ending = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}
    return next((codec for ending, codec in codecs_by_ending.items() if path.lower().endswith(ending)), "none")


@attrs.frozen
class CsvFormat(FileFormat):
    """Text with one row a line.

    Without further options: an empty field is null and a quoted empty field is an empty text; a column is of integers,
    truth values, floats, dates or moments if all its values are, and else of text, unchanged. ``NA``, ``N/A``,
    ``null`` and their like are null in columns of anything but text. Numbers with leading zeros or a plus sign, and
    integers too long for 64 bits, are text. A row with too many or too few fields is an error.

    The types take one look at all rows, which also finds what is wrong with them; ``schema`` spares it. Files whose
    fields hold line breaks are each read by one task. Other than on pandas, moments with nanoseconds stay text,
    ``null_values`` hold for quoted fields too, and ``max_rows`` takes any rows, where there are several parts.
    """

    spark_name: ClassVar[str] = "csv"
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
        None, help="How the columns named in 'dates' are written, such as %d.%m.%Y.", only="read", validator=_readable
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
    schema: str | None = option(
        None,
        help="Spark alone: the columns in the order of the file with Spark's types, such as 'id bigint, name string';"
        " then nothing is looked at before the rows are needed.",
        only="read",
    )
    null_text: str = option("", help="What is written for null.", aliases=("na_rep",), only="write")
    compression: Literal["auto", "none", "gzip", "bz2", "zstd"] = option(
        "auto", help="Of what is written; auto goes by the name. Reading goes by the name too.", only="write"
    )

    def load(self, source: Source, parts: Sequence[Part], engine: Any, wanted: Sequence[str] | None) -> Any:
        """The frame of all parts; a look at all rows tells their types."""
        from odibi_spark.formats.csv_read import frame_of

        frame = frame_of(self, source, parts, engine, wanted)
        return frame if self.max_rows is None else frame.limit(self.max_rows)

    def saved(self, frame: Any, target: Target, path: str, *, name: str, partition_by: Sequence[str]) -> int | None:
        """Write all rows to objects below ``path``; returns how many rows."""
        codec: Any = compression_of(str(target.path)) if self.compression == "auto" else self.compression
        named = attrs.evolve(
            self,
            compression=codec,
            delimiter=self.delimiter or default_delimiter(str(target.path)),
        )
        return FileFormat.saved(named, frame, target, path, name=name, partition_by=partition_by)

    def prepared(self, frame: Any, target: Target) -> Any:
        """Every value as the text that is written."""
        from odibi_spark.formats.csv_write import as_texts

        return as_texts(self, frame, target)

    def write_options(self) -> Mapping[str, Any]:
        """What Spark's writer is told."""
        from odibi_spark.formats.csv_write import encoding_for

        return {
            "sep": self.delimiter or ",",
            "quote": self.quotechar or "",
            "escape": self.quotechar or "",
            "header": self.header is not False,
            "nullValue": self.null_text,
            "emptyValue": 2 * self.quotechar if self.quotechar else "",
            "ignoreLeadingWhiteSpace": False,
            "ignoreTrailingWhiteSpace": False,
            "encoding": encoding_for(self.encoding, WRITTEN),
            "compression": {"auto": "none", "bz2": "bzip2"}.get(self.compression, self.compression),
        }


def default_delimiter(name: str) -> str:
    """What separates fields in a file of this name, unless the user says otherwise."""
    return "\t" if any(ending in name.lower() for ending in (".tsv", ".tab")) else ","
