"""Values that users write in a project, as columns of Spark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from odibi.errors import TransformError
from odibi_spark.operations.kinds import kind_of, word_of

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import Column
    from pyspark.sql.types import DataType


def literal(functions: Any, value: object, type_: DataType, column: str, operation: str) -> Column:
    """``value`` as a column of ``type_`` would hold it, whole.

    Raises:
        TransformError: it cannot.
    """
    import pyarrow as pa

    try:
        found = _fitted(value, type_)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise TransformError(
            f"the column {column!r} holds {word_of(type_)}, and {value!r} cannot be one",
            where=operation,
            remedy="Give a value of the column's type, cast the column first, or name the columns to fill.",
        ) from error
    if isinstance(found, bytes | bytearray):
        made: Column = functions.unhex(functions.lit(found.hex()))
        return made
    is_plain = isinstance(found, str | bool | int | float)
    # Spark takes moments of Python in the zone of this process; a text with its offset means the same everywhere.
    lit = functions.lit(found if is_plain else str(found))
    return lit.cast(type_)  # type: ignore[no-any-return]


def _fitted(value: object, type_: DataType) -> object:
    """The value in Python, after Arrow has seen that the type holds it."""
    from decimal import Decimal

    import pyarrow as pa

    arrow = _arrow(type_)
    is_bool = isinstance(value, bool)
    if arrow is None or value is None or is_bool is not pa.types.is_boolean(arrow):
        raise ValueError("no value of that kind")
    if isinstance(value, str) and pa.types.is_temporal(arrow):
        return pa.scalar(value).cast(arrow).as_py()
    if isinstance(value, int | float) and kind_of(type_) == "number":
        # Unlike the making of a scalar, its cast refuses what it would have to cut off.
        return pa.scalar(Decimal(str(value)) if pa.types.is_decimal(arrow) else value).cast(arrow).as_py()
    return pa.scalar(value, arrow).as_py()


def _arrow(type_: DataType) -> pa.DataType | None:
    import pyarrow as pa
    from pyspark.sql.types import DecimalType

    if isinstance(type_, DecimalType):
        return pa.decimal128(type_.precision, type_.scale)
    word = word_of(type_)
    if word.startswith("timestamp"):
        return pa.timestamp("us", "UTC" if "tz" in word else None)
    try:
        return pa.type_for_alias(word)
    except ValueError:
        return None
