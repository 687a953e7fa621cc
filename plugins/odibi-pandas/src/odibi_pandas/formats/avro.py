"""Avro object containers, by fastavro."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Literal

import attrs

from odibi import option
from odibi.errors import DataError
from odibi_pandas.formats.base import FileFormat, chosen, reading, rechunked

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS = 10_000
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MAGIC = b"Obj\x01"


@attrs.frozen
class AvroFormat(FileFormat):
    """Rows with their schema.

    Dates, moments (in milli- or microseconds), times, decimals and UUIDs keep their types; a UUID is a text. An enum is
    a text, a map a list of pairs. A union of more than one type and null is refused. Unsigned integers are written as
    ``long``, moments with a zone as UTC.
    """

    extensions: ClassVar[tuple[str, ...]] = (".avro",)
    title: ClassVar[str] = "Avro"

    compression: Literal["none", "deflate", "bzip2", "xz"] = option(
        "deflate", help="Of what is written.", aliases=("codec",), only="write"
    )

    def load(self, file: BinaryIO, *, name: str, columns: Sequence[str] | None) -> pa.Table:
        """All rows of the wanted columns."""
        import pyarrow as pa

        return pa.concat_tables(list(self._tables(file, _ROWS, name, columns)))

    def load_chunks(self, file: BinaryIO, rows: int, *, name: str, columns: Sequence[str] | None) -> Iterator[pa.Table]:
        """The same, some rows at a time."""
        return rechunked(self._tables(file, min(rows, _ROWS), name, columns), rows)

    def peek(self, file: BinaryIO, *, name: str, columns: Sequence[str] | None) -> pa.Schema | None:
        """The schema that the file holds."""
        return next(self._tables(file, 1, name, columns)).schema

    def dump(self, tables: Iterator[pa.Table], schema: pa.Schema, file: BinaryIO) -> None:
        """One container."""
        from fastavro.write import Writer

        from odibi_pandas.formats.avro_schema import to_avro

        for column in schema.names:
            if not _NAME.fullmatch(column):
                raise DataError(
                    f"Avro does not allow the name {column!r} of a column",
                    remedy="Rename it before, to letters, digits and underscores; a digit must not come first.",
                )
        record = {"type": "record", "name": "row", "fields": [to_avro(field) for field in schema]}
        # The mark between blocks is random by custom; made of the schema, the same frame gives the same bytes.
        mark = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).digest()[:16]
        codec = "null" if self.compression == "none" else self.compression
        writer = Writer(file, record, codec=codec, sync_marker=mark)
        for table in tables:
            for begin in range(0, table.num_rows, _ROWS):
                for row in _rows(table.slice(begin, _ROWS)):
                    writer.write(row)
        writer.flush()

    def _tables(self, file: BinaryIO, rows: int, name: str, columns: Sequence[str] | None) -> Iterator[pa.Table]:
        import fastavro

        from odibi_pandas.formats.avro_schema import to_arrow

        file.seek(0)
        start = file.read(len(_MAGIC))
        file.seek(0)
        if start != _MAGIC:
            raise DataError(
                "the file is empty" if not start else "this is not an Avro file: it does not begin as one",
                where=name,
                remedy="Check that the file is whole and that 'format' is right.",
            )
        with reading(self.title, name):
            source = fastavro.reader(file)
            written: Any = source.writer_schema
            if not isinstance(written, dict) or written.get("type") != "record":
                raise DataError(
                    "the file holds single values, not records", where=name, remedy="Write records with fields."
                )
            schema = to_arrow(written, chosen([it["name"] for it in written["fields"]], columns, name), name)
            yield schema.empty_table()
            batch: list[Any] = []
            for row in source:
                batch.append(row)
                if len(batch) == rows:
                    yield _table(batch, schema)
                    batch = []
            if batch:
                yield _table(batch, schema)


def _table(rows: list[Any], schema: pa.Schema) -> pa.Table:
    import pyarrow as pa

    arrays = []
    for field in schema:
        values = [row[field.name] for row in rows]
        arrays.append(pa.array([_arrow_value(value) for value in values], field.type))
    return pa.table(arrays, schema=schema)


def _arrow_value(value: Any) -> Any:
    import uuid

    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, dict):
        return {key: _arrow_value(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_arrow_value(item) for item in value]
    return value


def _rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    """Rows with values as fastavro takes them: of moments the number, as Python's lose nanoseconds and far years."""
    import pyarrow as pa

    columns = []
    for column in table.columns:
        kind = column.type
        if pa.types.is_timestamp(kind) or pa.types.is_time(kind) or pa.types.is_duration(kind):
            columns.append(_numbers(column).to_pylist())
        else:
            columns.append(column.to_pylist())
    for row in zip(*columns, strict=True):
        yield dict(zip(table.column_names, row, strict=True))


def _numbers(column: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow as pa

    kind = column.type
    if pa.types.is_timestamp(kind) and kind.unit == "s":
        column = column.cast(pa.timestamp("ms", kind.tz))
    elif pa.types.is_timestamp(kind) and kind.unit == "ns":
        column = column.cast(pa.timestamp("us", kind.tz))
    elif pa.types.is_time32(kind):
        return column.cast(pa.time32("ms")).cast(pa.int32())
    elif pa.types.is_time64(kind):
        return column.cast(pa.time64("us")).cast(pa.int64())
    elif pa.types.is_duration(kind):
        return column.cast(pa.duration("us")).cast(pa.int64())
    return column.cast(pa.int64())
