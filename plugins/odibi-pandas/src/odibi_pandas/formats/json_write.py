"""Arrow tables as JSON."""

from __future__ import annotations

import codecs
import json
from itertools import chain
from typing import TYPE_CHECKING, Any, BinaryIO

from odibi.contracts.plain import plain
from odibi.errors import DataError
from odibi_pandas.formats.csv_write import refuse_bytes
from odibi_pandas.formats.texts import compressed

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from odibi_pandas.formats.json import JsonFormat

_ROWS = 10_000


def dump(format_: JsonFormat, tables: Iterator[pa.Table], schema: pa.Schema, file: BinaryIO) -> None:
    """An array of objects, or an object a line."""
    refuse_bytes(schema, format_.title)
    codec = None if format_.compression in ("auto", "none") else format_.compression
    sink = compressed(file, codec)
    encoder = codecs.getincrementalencoder(format_.encoding)()
    rows = chain.from_iterable(map(_objects, tables))
    if format_.lines:
        for row in rows:
            sink.write(encoder.encode(row + "\n"))
    else:
        before = "[\n"
        for row in rows:
            sink.write(encoder.encode(before + row))
            before = ",\n"
        sink.write(encoder.encode(("[" if before == "[\n" else "\n") + "]\n"))
    sink.close()


def _objects(table: pa.Table) -> Iterator[str]:
    names = table.column_names
    for begin in range(0, table.num_rows, _ROWS):
        part = table.slice(begin, _ROWS)
        columns = [[_value(value, name) for value in part.column(name).to_pylist()] for name in names]
        for row in zip(*columns, strict=True):
            yield json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False, separators=(",", ":"))


def _value(value: Any, column: str) -> Any:
    if isinstance(value, (int, str)) or value is None:
        return value
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        raise DataError(
            f"column {column!r} holds an infinite number, which JSON does not know",
            remedy="Replace it before, or write Parquet instead.",
        )
    return plain(value)
