"""JSON: records in an array, or an object a line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Literal

import attrs

from odibi import option
from odibi_pandas.formats.base import FileFormat, rechunked
from odibi_pandas.formats.csv import check_encoding, not_negative

if TYPE_CHECKING:
    import pyarrow as pa

    from odibi_pandas.inference import Rules

_LINES = (".jsonl", ".ndjson")


def _records(_: Any, __: Any, value: str | None) -> None:
    if value not in (None, "records"):
        raise ValueError("only 'records' is read and written: objects with the columns' names as keys")


@attrs.frozen
class JsonFormat(FileFormat):
    """Objects, one a row: in an array, one a line, or one after another; which of them is found by itself.

    A column has the type of its values: truth values, numbers (floats if one is), texts, lists or objects. Texts that
    are all dates or moments in ISO 8601 become such. A column whose values have different types is an error, as is an
    integer too long for 64 bits; ``dtypes`` says what they are to be.
    """

    extensions: ClassVar[tuple[str, ...]] = (
        *(".json", ".jsonl", ".ndjson", ".json.gz", ".jsonl.gz", ".ndjson.gz", ".json.bz2", ".json.zst", ".jsonl.zst"),
    )
    title: ClassVar[str] = "JSON"

    lines: bool | None = option(
        None,
        help="Write an object a line; by default for names that end in .jsonl or .ndjson, and for parts of an"
        " append. Reading finds it by itself.",
        only="write",
    )
    orient: str | None = option(None, help="Only 'records', the default.", validator=_records)
    max_rows: int | None = option(
        None, help="Read no more rows than this.", aliases=("nrows",), only="read", validator=not_negative
    )
    encoding: str = option("utf-8", help="Of the text; a byte order mark is found by itself.", validator=check_encoding)
    dtypes: Mapping[str, str] | None = option(
        None,
        help="Column to type, as for CSV; slower, as the file is then read without pyarrow.",
        aliases=("dtype", "types"),
        only="read",
    )
    dates: bool = option(
        True, help="Find dates and moments among texts.", aliases=("parse_dates", "convert_dates"), only="read"
    )
    compression: Literal["auto", "none", "gzip", "bz2", "zstd"] = option(
        "auto", help="Of what is written; auto goes by the name. Reading finds it by itself.", only="write"
    )

    def load(self, file: BinaryIO, *, name: str, columns: Sequence[str] | None) -> pa.Table:
        """All rows; dates as texts."""
        import pyarrow as pa

        from odibi_pandas.formats.json_read import tables

        return pa.concat_tables(list(tables(self, file, name=name, columns=columns, streaming=False)))

    def load_chunks(self, file: BinaryIO, rows: int, *, name: str, columns: Sequence[str] | None) -> Iterator[pa.Table]:
        """The same, some rows at a time; objects that are not one a line are all held in memory."""
        from odibi_pandas.formats.json_read import tables

        for table in tables(self, file, name=name, columns=columns, streaming=True):
            yield from rechunked(iter([table]), rows)

    def rules(self) -> Rules | None:
        """Texts may be dates."""
        from odibi_pandas.inference import DATES_ONLY

        return DATES_ONLY if self.dates else None

    def infers(self, column: str) -> bool:
        """Not where the user said the type."""
        return column not in (self.dtypes or {})

    def for_path(self, path: str) -> JsonFormat:
        """With the layout and the compression that the name means."""
        from odibi_pandas.formats.texts import compression_of

        codec: Any = (compression_of(path) or "none") if self.compression == "auto" else self.compression
        lines = any(ending in path.lower() for ending in _LINES) if self.lines is None else self.lines
        return attrs.evolve(self, compression=codec, lines=lines)

    def extension(self) -> str:
        """Of new parts."""
        from odibi_pandas.formats.texts import CODECS

        codecs_by_name = {codec: ending for ending, codec in CODECS.items()}
        return (".jsonl" if self.lines else ".json") + codecs_by_name.get(self.compression, "")

    def dump(self, tables: Iterator[pa.Table], schema: pa.Schema, file: BinaryIO) -> None:
        """Moments in ISO 8601, decimals and durations as texts, NaN as null."""
        from odibi_pandas.formats.json_write import dump

        dump(self, tables, schema, file)
