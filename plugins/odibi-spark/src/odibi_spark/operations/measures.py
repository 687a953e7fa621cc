"""Functions that make one value of many, by the words users write."""

from __future__ import annotations

from typing import TYPE_CHECKING

from odibi.contracts.columns import did_you_mean, listed
from odibi.errors import TransformError
from odibi_spark.operations.kinds import kind_of, word_of

if TYPE_CHECKING:
    from pyspark.sql.types import DataType

_ANY = {
    "count": "count({0})",
    "count_distinct": "count(DISTINCT {0})",
    "min": "min({0})",
    "max": "max({0})",
}
_ORDERED = ("first", "last")
_NUMBERS = {
    "sum": "sum({0})",
    "mean": "avg({0})",
    "median": "median({0})",
    "std": "stddev_samp({0})",
    "var": "var_samp({0})",
}
_ALIASES = {"avg": "mean", "average": "mean", "nunique": "count_distinct", "stddev": "std", "variance": "var"}

FUNCTIONS = (*_ANY, *_ORDERED, *_NUMBERS, *_ALIASES)
"""All of which leave nulls out."""


def measure(function: str, column: str, sql: str, type_: DataType, operation: str) -> str:
    """The SQL of a function over a column.

    Args:
        function: one of :data:`FUNCTIONS`.
        column: for errors.
        sql: what the column is in the query.
        type_: of the column.
        operation: who asks, for errors.

    Raises:
        TransformError: there is no such function, it does not go with the type, or it needs an order of rows.
    """
    from pyspark.sql.types import DecimalType

    name = _ALIASES.get(function, function)
    if name in _ORDERED:
        raise TransformError(
            f"nothing says which row is the {name}, and a Spark frame has no order of rows",
            where=operation,
            remedy=f"Take min or max, write {'min' if name == 'first' else 'max'}_by(column, by what) as a measure of"
            " aggregate, or keep one row a group with drop_duplicates and its 'order_by' before.",
        )
    if name not in _ANY and name not in _NUMBERS:
        raise TransformError(
            f"the function {function!r} is not known",
            where=operation,
            remedy=did_you_mean(function, FUNCTIONS) + f"The functions are: {listed(FUNCTIONS)}.",
        )
    kind = kind_of(type_)
    if name in _NUMBERS and kind not in ("number", "null") and not (name == "sum" and kind == "bool"):
        raise TransformError(
            f"{function!r} needs numbers, and the column {column!r} holds {word_of(type_)}",
            where=operation,
            remedy="Cast the column first, or take another function.",
        )
    text = (_ANY.get(name) or _NUMBERS[name]).format(f"CAST({sql} AS INT)" if kind == "bool" and name == "sum" else sql)
    if name == "sum" and isinstance(type_, DecimalType):
        return f"CAST({text} AS DECIMAL(38, {type_.scale}))"
    if name == "median" and isinstance(type_, DecimalType):
        return f"CAST({text} AS DECIMAL({type_.precision}, {type_.scale}))"
    if name == "mean" and isinstance(type_, DecimalType):
        # Spark's own average of decimals is a decimal of four more digits.
        return f"CAST(sum({sql}) AS DOUBLE) / nullif(count({sql}), 0)"
    return text
