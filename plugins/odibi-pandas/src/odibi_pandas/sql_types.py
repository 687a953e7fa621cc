"""What becomes of the types that DuckDB has and pandas cannot compute with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


def settled(table: pa.Table, relation: Any) -> pa.Table:
    """The result of a query with types that the next step can use.

    * A sum of integers (HUGEINT) becomes ``int64`` if all values fit, as they nearly always do; else it stays a
      decimal of 38 digits.
    * A difference of moments (INTERVAL) becomes ``duration[us]`` unless it counts months.

    Args:
        table: the result.
        relation: the relation that gave it; knows the SQL types.
    """
    import pyarrow as pa

    for at, field in enumerate(table.schema):
        column = None
        if pa.types.is_decimal128(field.type) and str(relation.types[at]) in ("HUGEINT", "UHUGEINT"):
            column = _integers(table.column(at))
        elif field.type == pa.month_day_nano_interval():
            column = _durations(table.column(at))
        if column is not None:
            table = table.set_column(at, field.name, column)
    return table


def _integers(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    import pyarrow as pa

    try:
        return column.cast(pa.int64())
    except pa.ArrowInvalid:
        return None


def _durations(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    import numpy as np
    import pyarrow as pa

    parts = np.dtype([("months", "i4"), ("days", "i4"), ("nanoseconds", "i8")])
    chunks = []
    for chunk in column.chunks:
        values = np.frombuffer(chunk.buffers()[1], dtype=parts, count=len(chunk) + chunk.offset)[chunk.offset :]
        valid = np.asarray(chunk.is_valid())
        if (values["months"][valid] != 0).any():
            return None
        microseconds = values["days"].astype("i8") * 86_400_000_000 + values["nanoseconds"] // 1000
        chunks.append(pa.array(microseconds, pa.int64(), mask=~valid).cast(pa.duration("us")))
    return pa.chunked_array(chunks, type=pa.duration("us"))
