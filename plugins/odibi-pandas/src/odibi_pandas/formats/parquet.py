"""Parquet, by pyarrow."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Literal

import attrs

from odibi import option
from odibi_pandas.formats.base import FileFormat, chosen, reading, rechunked

if TYPE_CHECKING:
    import pyarrow as pa

_INDEX = re.compile(r"__index_level_\d+__")


def _positive(_: Any, __: Any, value: int) -> None:
    if value < 1:
        raise ValueError("must be 1 or more")


@attrs.frozen
class ParquetFormat(FileFormat):
    """Columns with their types, compressed; reads the wanted columns alone.

    Keeps all types of Arrow but intervals. A column without a single value comes back as text. The nameless index
    that pandas may have put into a file is left out.
    """

    extensions: ClassVar[tuple[str, ...]] = (".parquet", ".pq", ".parq")
    title: ClassVar[str] = "Parquet"

    compression: Literal["snappy", "zstd", "gzip", "lz4", "brotli", "none"] = option(
        "snappy", help="Of what is written.", only="write"
    )
    row_group_size: int = option(
        1 << 20,
        help="Rows that are stored together, the least that a reader can take.",
        only="write",
        validator=_positive,
    )

    def load(self, file: BinaryIO, *, name: str, columns: Sequence[str] | None) -> pa.Table:
        """All rows of the wanted columns."""
        from pyarrow import parquet

        with reading(self.title, name):
            source = parquet.ParquetFile(file, page_checksum_verification=True)
            return _plain(source.read(columns=chosen(_names(source.schema_arrow), columns, name)))

    def load_chunks(self, file: BinaryIO, rows: int, *, name: str, columns: Sequence[str] | None) -> Iterator[pa.Table]:
        """The same, some rows at a time."""
        return rechunked(self._batches(file, rows, name, columns), rows)

    def peek(self, file: BinaryIO, *, name: str, columns: Sequence[str] | None) -> pa.Schema | None:
        """The schema that the file holds."""
        return next(self._batches(file, 1, name, columns)).schema

    def _batches(self, file: BinaryIO, rows: int, name: str, columns: Sequence[str] | None) -> Iterator[pa.Table]:
        import pyarrow as pa
        from pyarrow import parquet

        with reading(self.title, name):
            source = parquet.ParquetFile(file, page_checksum_verification=True)
            wanted = chosen(_names(source.schema_arrow), columns, name)
            yield _plain(pa.schema([source.schema_arrow.field(column) for column in wanted]).empty_table())
            for batch in source.iter_batches(batch_size=rows, columns=wanted):
                yield _plain(pa.Table.from_batches([batch]).select(wanted))

    def dump(self, tables: Iterator[pa.Table], schema: pa.Schema, file: BinaryIO) -> None:
        """One file of row groups."""
        from pyarrow import parquet

        with parquet.ParquetWriter(file, schema, compression=self.compression, write_page_checksum=True) as writer:
            for table in tables:
                writer.write_table(table, row_group_size=self.row_group_size)


def _names(schema: pa.Schema) -> list[str]:
    """The names of the columns without the index of a frame that pandas wrote."""
    metadata = (schema.metadata or {}).get(b"pandas")
    if metadata is None:
        return list(schema.names)
    index = {it for it in json.loads(metadata).get("index_columns", ()) if isinstance(it, str)}
    return [name for name in schema.names if not (name in index and _INDEX.fullmatch(name))]


def _plain(table: pa.Table) -> pa.Table:
    table.validate(full=True)  # a text that is no UTF-8 would fail later on, in somebody else's hands
    return table.replace_schema_metadata(None)
