"""Arrow tables as CSV."""

from __future__ import annotations

import codecs
import io
from csv import writer
from typing import TYPE_CHECKING, Any, BinaryIO

from odibi.errors import DataError
from odibi_pandas.formats.texts import compressed

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from odibi_pandas.formats.csv import CsvFormat


def dump(format_: CsvFormat, tables: Iterator[pa.Table], schema: pa.Schema, file: BinaryIO) -> None:
    """Texts are quoted and nulls are not, so that an empty text and a null stay apart."""
    import pyarrow as pa
    from pyarrow import csv

    refuse_bytes(schema, format_.title)
    codec = None if format_.compression in ("auto", "none") else format_.compression
    sink = compressed(file, codec)
    if codecs.lookup(format_.encoding).name != "utf-8":
        sink = _Transcoded(sink, format_.encoding)
    as_text = bool(format_.null_text) or len(schema) == 1
    written = pa.schema([pa.field(field.name, pa.string()) for field in schema]) if as_text else schema
    delimiter = format_.delimiter or ","
    if format_.header is not False:
        sink.write(_header(schema.names, delimiter))
    options = csv.WriteOptions(include_header=False, delimiter=delimiter)
    with csv.CSVWriter(sink, written, write_options=options) as to_csv:
        for table in tables:
            _refuse_nul(table)
            for batch in (_texts(table, format_.null_text) if as_text else table).to_batches():
                if batch.num_rows:  # for a batch without rows pyarrow writes whatever its buffer holds
                    to_csv.write_batch(batch)
    sink.close()


def _header(names: list[str], delimiter: str) -> bytes:
    """The names, quoted where they must be: pyarrow would quote each, which no spreadsheet does."""
    line = io.StringIO()
    writer(line, delimiter=delimiter, lineterminator="\n").writerow(names)
    return line.getvalue().encode()


def refuse_bytes(schema: pa.Schema, title: str) -> None:
    """Refuse columns of bytes, which are no text."""
    import pyarrow as pa

    for field in schema:
        kind = field.type
        if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
            raise DataError(
                f"column {field.name!r} holds bytes, which {title} cannot",
                remedy="Make texts of them in a step before (hex, base64 or decode in SQL), or write Parquet instead.",
            )


def _refuse_nul(table: pa.Table) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    for name, column in zip(table.column_names, table.columns, strict=True):
        text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
        if text and pc.any(pc.match_substring(column, "\0")).as_py():
            raise DataError(
                f"column {name!r} holds a NUL character, which no reader of CSV expects",
                remedy="Remove it in a step before, or write Parquet instead.",
            )


def _texts(table: pa.Table, null_text: str) -> pa.Table:
    """All values as texts, for a file where null has a text; a lone empty field would be no row at all."""
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = [pc.fill_null(column.cast(pa.string()), null_text) for column in table.columns]
    return pa.table(columns, names=table.column_names)


class _Transcoded(io.RawIOBase):
    """Takes UTF-8 and passes it on in another encoding."""

    def __init__(self, sink: Any, encoding: str) -> None:
        self._sink = sink
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._encoder = codecs.getincrementalencoder(encoding)()

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self._sink.write(self._encoder.encode(self._decoder.decode(bytes(data))))
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._sink.close()
        super().close()
