"""The rows of a frame between two values of a column, and the greatest of its values.

A filter is written so that Spark hands it on to what it reads, where that compares as Spark does: Parquet then leaves
out row groups, Delta files, and a database rows.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from odibi.contracts.bounds import Bound, kind_of_type
from odibi.errors import DataError
from odibi_spark.arrow_types import arrow_type
from odibi_spark.failures import told
from odibi_spark.formats.base import quoted
from odibi_spark.kinds import functions_for

if TYPE_CHECKING:
    from odibi.contracts.bounds import Value

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DIGITS = 38
"""Of the longest decimals that Spark has."""


def within(frame: Any, bound: Bound, where: str, *, foreign: bool = False) -> Any:
    """The rows of ``frame`` that ``bound`` means.

    Args:
        frame: of Spark.
        bound: what is meant.
        where: the source, for errors.
        foreign: whether a filter would be evaluated by somebody whose texts have another order than Spark's.

    Raises:
        DataError: there is no such column, or its values cannot be compared with the bounds.
    """
    kind = _kind(frame, bound, where)
    f = functions_for(frame)
    column = f.col(quoted(bound.column))
    meant = column.isNotNull()
    if kind == "float":
        meant = meant & ~f.isnan(column)
    if kind == "str" and foreign:
        column = column.cast("binary")  # as UTF-8, which has the order of code points; nobody else is asked for it
    for value, is_above in ((bound.above, True), (bound.upto, False)):
        if value is None:
            continue
        beyond = _beyond(value)
        if beyond:
            meant = meant & f.lit((beyond < 0) == is_above)
            continue
        literal = _literal(f, value)
        if kind == "str" and foreign:
            literal = literal.cast("binary")
        meant = meant & (column > literal if is_above else column <= literal)
    return frame.filter(meant)


def newest(frame: Any, column: str) -> Value | None:
    """The greatest value of a column; see :meth:`odibi.contracts.BoundedEngine.newest`. A Spark job."""
    where = "the frame"
    kind = _kind(frame, Bound(column), where)
    f = functions_for(frame)
    values = f.col(quoted(column))
    if kind == "float":
        values = f.when(~f.isnan(values), values)
    greatest = f.max(values)
    if kind == "datetime with a zone":
        greatest = f.unix_micros(greatest)  # a moment would come in the zone of this process, which has hours twice
    with told(where, data=True):
        found = frame.agg(greatest).first()[0]
    if kind != "datetime with a zone" or found is None:
        return found  # type: ignore[no-any-return]
    try:
        return _EPOCH + timedelta(microseconds=found)
    except OverflowError:
        raise DataError(
            f"column {column!r} has moments that Python's calendar does not reach",
            remedy="Read by another column, or leave these rows out of the source.",
        ) from None


def _kind(frame: Any, bound: Bound, where: str) -> str | None:
    fields = {field.name: field.dataType for field in frame.schema.fields}
    if bound.column not in fields:
        raise DataError(
            f"there is no column {bound.column!r} to tell by what is new",
            where=where,
            remedy=f"The columns are: {', '.join(fields)}.",
        )
    kind = fields[bound.column]
    word = arrow_type(kind)
    # A collation has an order of its own, in which texts that differ may be equal.
    is_plain = getattr(kind, "collation", "UTF8_BINARY") == "UTF8_BINARY"
    found = kind_of_type(str(word)) if word is not None and is_plain else None
    bound.check(found, where)
    return found


def _beyond(value: Value) -> int:
    """Whether a number is above (1) or below (-1) all that a column of its kind may hold; else 0."""
    if isinstance(value, int):
        return 1 if value >= 2**63 else -1 if value < -(2**63) else 0
    if isinstance(value, Decimal) and value.adjusted() >= _DIGITS:
        return -1 if value < 0 else 1
    return 0


def _literal(f: Any, value: Value) -> Any:
    """The value as an expression that is of its very type: Python's own moments would take the zone of the session."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            return f.expr(f"TIMESTAMP_NTZ'{value.isoformat(sep=' ')}'")
        return f.expr(f"TIMESTAMP_LTZ'{value.astimezone(UTC).replace(tzinfo=None).isoformat(sep=' ')}Z'")
    if isinstance(value, date):
        return f.expr(f"DATE'{value.isoformat()}'")
    return f.lit(value)
