"""The rows of a table between two values of a column, and the greatest of its values."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from odibi.errors import DataError
from odibi_pandas.frames import to_table

if TYPE_CHECKING:
    import pyarrow as pa

    from odibi.contracts import Bound


def within(table: pa.Table, bound: Bound, where: str) -> pa.Table:
    """The rows of ``table`` that ``bound`` means, in their order.

    Raises:
        DataError: there is no such column, or its values cannot be compared with the bounds.
    """
    import pyarrow.compute as pc

    column = _plain(_column(table, bound.column, where))
    bound.check(_kind_of(column.type), where)
    mask = pc.is_valid(column)
    if _is_float(column.type):
        mask = pc.and_(mask, pc.fill_null(pc.invert(pc.is_nan(column)), False))
    for value, compare in ((bound.above, pc.greater), (bound.upto, pc.less_equal)):
        if value is None:
            continue
        side = _beyond(column.type, value)
        if (side > 0 and compare is pc.greater) or (side < 0 and compare is pc.less_equal):
            return table.slice(0, 0)
        if not side:
            mask = pc.and_(mask, pc.fill_null(compare(*_comparable(column, value)), False))
    return table.filter(mask)


def newest(frame: Any, column: str) -> Any:
    """The greatest value of a column; see :meth:`odibi.contracts.BoundedEngine.newest`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from odibi.contracts import Bound

    values = _plain(_column(to_table(frame[[column]] if column in frame.columns else frame), column, "the frame"))
    Bound(column).check(_kind_of(values.type), "the frame")
    if _is_float(values.type):
        values = values.filter(pc.invert(pc.is_nan(values)))
    found = pc.max(values)
    if not found.is_valid:
        return None
    if pa.types.is_timestamp(found.type):
        if found.type.unit == "ns" and found.value % 1000:
            raise DataError(
                f"column {column!r} has moments finer than a microsecond, which a watermark does not keep",
                remedy="Read by another column, or keep this one in microseconds.",
            )
        return found.cast(pa.timestamp("us", found.type.tz)).as_py()
    return found.as_py()


def may_hold(statistics: Any, bound: Bound) -> bool:
    """Whether rows that ``bound`` means may be among those that Parquet's statistics are of.

    The least and the greatest value may be rounded, but only outwards. What cannot be told counts as yes.
    """
    if statistics is None or not statistics.has_min_max:
        return True
    try:
        least, greatest = statistics.min, statistics.max
        if any(isinstance(each, float) and math.isnan(each) for each in (least, greatest)):
            return True
        below = bound.above is not None and bool(greatest <= bound.above)
        beyond = bound.upto is not None and bool(least > bound.upto)
    except (TypeError, ValueError, OverflowError):
        return True
    return not (below or beyond)


def _column(table: pa.Table, name: str, where: str) -> pa.ChunkedArray:
    if name not in table.column_names:
        raise DataError(
            f"there is no column {name!r} to tell by what is new",
            where=where,
            remedy=f"The columns are: {', '.join(table.column_names)}.",
        )
    return table.column(name)


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The values themselves, where the column has codes for them, and of dates those that have an order with dates."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column.cast(pa.date32()) if pa.types.is_date64(column.type) else column


def _is_float(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_floating(kind))


def _kind_of(kind: pa.DataType) -> str | None:
    import pyarrow as pa

    types = pa.types
    if types.is_integer(kind):
        return "int"
    if types.is_floating(kind):
        return "float"
    if types.is_decimal(kind):
        return "decimal"
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return "str"
    if types.is_date(kind):
        return "date"
    if types.is_timestamp(kind):
        return "datetime" if kind.tz is None else "datetime with a zone"
    return None


def _beyond(kind: pa.DataType, value: Any) -> int:
    """Whether a whole number is above (1) or below (-1) all that a column of whole numbers may hold; else 0."""
    import pyarrow as pa

    if not pa.types.is_integer(kind):
        return 0
    least, most = (0, 2**64 - 1) if pa.types.is_unsigned_integer(kind) else (-(2**63), 2**63 - 1)
    return 1 if value > most else -1 if value < least else 0


def _comparable(column: pa.ChunkedArray, value: Any) -> tuple[pa.ChunkedArray, pa.Scalar]:
    """Both in a type in which neither loses anything."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_timestamp(kind):
        return column, pa.scalar(value, pa.timestamp("us", kind.tz))
    if pa.types.is_unsigned_integer(kind):
        return column, pa.scalar(value, pa.uint64())
    if pa.types.is_decimal(kind):
        digits = value.as_tuple()
        scale = max(kind.scale, -digits.exponent)
        whole = max(kind.precision - kind.scale, len(digits.digits) + digits.exponent, 1)
        wide = pa.decimal256(min(whole + scale, 76), scale)
        return column.cast(wide), pa.scalar(value, wide)
    return column, pa.scalar(value)
