"""Parquet, by pyarrow."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Literal

import attrs

from odibi import option
from odibi.errors import DataError
from odibi_pandas.formats.base import FileFormat, chosen, reading, rechunked

if TYPE_CHECKING:
    import pyarrow as pa

    from odibi.contracts import Bound

_INDEX = re.compile(r"__index_level_\d+__")


def _positive(_: Any, __: Any, value: int) -> None:
    if value < 1:
        raise ValueError("must be 1 or more")


@attrs.frozen
class ParquetFormat(FileFormat):
    """Columns with their types, compressed; reads the wanted columns alone.

    Keeps all types of Arrow but intervals. The nameless index that pandas may have put into a file is left out.
    """

    exact: ClassVar[bool] = True

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
            table = source.read(columns=chosen(_names(source.schema_arrow), columns, name))
            return _plain(table, _written_as(source))

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
            wanted, original = chosen(_names(source.schema_arrow), columns, name), _written_as(source)
            yield _plain(pa.schema([source.schema_arrow.field(column) for column in wanted]).empty_table(), original)
            for batch in source.iter_batches(batch_size=rows, columns=wanted):
                yield _plain(pa.Table.from_batches([batch]).select(wanted), original)

    def load_within(
        self, file: BinaryIO, rows: int, *, name: str, columns: Sequence[str] | None, bound: Bound
    ) -> Iterator[pa.Table]:
        """The same without the row groups that hold no row of ``bound``, by their statistics or by its column alone."""
        import pyarrow as pa
        from pyarrow import parquet

        from odibi_pandas.bounds import may_hold, within

        with reading(self.title, name):
            source = parquet.ParquetFile(file, page_checksum_verification=True)
            wanted, original = chosen(_names(source.schema_arrow), columns, name), _written_as(source)
            empty = pa.schema([source.schema_arrow.field(column) for column in wanted]).empty_table()
            yield _plain(empty, original)
            leaves = [source.schema.column(at).path for at in range(len(source.schema))]
            at = leaves.index(bound.column) if bound.column in leaves else None
            for group in range(source.num_row_groups):
                if at is not None:
                    if not may_hold(source.metadata.row_group(group).column(at).statistics, bound):
                        continue
                    if not within(source.read_row_group(group, [bound.column]), bound, name).num_rows:
                        continue
                for batch in source.iter_batches(batch_size=rows, row_groups=[group], columns=wanted):
                    yield _plain(pa.Table.from_batches([batch]).select(wanted), original)

    def dump(self, tables: Iterator[pa.Table], schema: pa.Schema, file: BinaryIO) -> None:
        """One file of row groups."""
        from pyarrow import parquet

        from odibi_pandas.survey import marked

        for field in schema:
            _check_kept(field.name, field.type)
        codec = self.compression
        with parquet.ParquetWriter(file, marked(schema), compression=codec, write_page_checksum=True) as writer:
            for table in tables:
                writer.write_table(table, row_group_size=self.row_group_size)


def _names(schema: pa.Schema) -> list[str]:
    """The names of the columns without the index of a frame that pandas wrote."""
    metadata = (schema.metadata or {}).get(b"pandas")
    if metadata is None:
        return list(schema.names)
    index = {it for it in json.loads(metadata).get("index_columns", ()) if isinstance(it, str)}
    return [name for name in schema.names if not (name in index and _INDEX.fullmatch(name))]


def _check_kept(name: str, kind: pa.DataType, *, views: bool = False) -> None:
    """Refuse the few types that pyarrow writes, and does not read again, or not as they were."""
    import pyarrow as pa

    views = views or pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind)
    lossy = pa.types.is_date64(kind) or ((pa.types.is_timestamp(kind) or pa.types.is_time32(kind)) and kind.unit == "s")
    for at in range(kind.num_fields):
        inner = kind.field(at)
        if pa.types.is_struct(kind) and pa.types.is_fixed_size_list(inner.type) and not inner.nullable:
            raise DataError(
                f"column {name!r} has a list of fixed size that may not be null, in a struct that may, which Parquet's"
                " reader does not understand",
                remedy="Cast the column before, or write another format.",
            )
        _check_kept(name, inner.type, views=views)
    if views and lossy:
        raise DataError(
            f"column {name!r} has a list view of {kind}, which Parquet does not keep",
            remedy="Cast the column before, or write another format.",
        )


def _written_as(source: Any) -> Any:
    """The schema that Arrow noted when it wrote the file, if it did; Parquet itself has no seconds, for one."""
    import pyarrow as pa

    noted = (source.metadata.metadata or {}).get(b"ARROW:schema")
    return None if noted is None else pa.ipc.read_schema(pa.py_buffer(base64.b64decode(noted)))


def _plain(table: pa.Table, original: Any) -> pa.Table:
    import pyarrow as pa

    table.validate(full=True)  # a text that is no UTF-8 would fail later on, in somebody else's hands
    for at, field in enumerate(table.schema if original is not None else ()):
        was = original.get_field_index(field.name)
        kind = original.field(was).type if was >= 0 else field.type
        if kind != field.type:
            with suppress(pa.ArrowNotImplementedError):
                table = table.set_column(at, field.name, table.column(at).cast(kind))
    return table.replace_schema_metadata(None)
