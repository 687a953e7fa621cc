"""Functions that make one value of many, by the words users write."""

from __future__ import annotations

from typing import TYPE_CHECKING

from odibi.contracts.columns import did_you_mean, listed
from odibi.errors import TransformError
from odibi_pandas.operations.kinds import kind_of

if TYPE_CHECKING:
    import pyarrow as pa

_ANY = {
    "count": "count({0})",
    "count_distinct": "count(DISTINCT {0})",
    "min": "min({0})",
    "max": "max({0})",
    "first": "arg_min({0}, {1})",
    "last": "arg_max({0}, {1})",
}
_NUMBERS = {
    "sum": "sum({0})",
    "mean": "avg({0})",
    "median": "median({0})",
    "std": "stddev_samp({0})",
    "var": "var_samp({0})",
}
_ALIASES = {"avg": "mean", "average": "mean", "nunique": "count_distinct", "stddev": "std", "variance": "var"}

FUNCTIONS = (*_ANY, *_NUMBERS, *_ALIASES)
"""All of which leave nulls out; so ``first`` is the first value that is not null, in the order of the rows."""


def measure(function: str, column: str, sql: str, row: str, type_: pa.DataType, operation: str) -> str:
    """The SQL of a function over a column.

    Args:
        function: one of :data:`FUNCTIONS`.
        column: for errors.
        sql: what the column is in the query.
        row: what the row's number is in the query.
        type_: of the column.
        operation: who asks, for errors.

    Raises:
        TransformError: there is no such function, or it does not go with the type.
    """
    name = _ALIASES.get(function, function)
    if name not in _ANY and name not in _NUMBERS:
        raise TransformError(
            f"the function {function!r} is not known",
            where=operation,
            remedy=did_you_mean(function, FUNCTIONS) + f"The functions are: {listed(FUNCTIONS)}.",
        )
    kind = kind_of(type_)
    if name in _NUMBERS and kind not in ("number", "null") and not (name == "sum" and kind == "bool"):
        raise TransformError(
            f"{function!r} needs numbers, and the column {column!r} holds {type_}",
            where=operation,
            remedy="Cast the column first, or take another function.",
        )
    text = (_ANY.get(name) or _NUMBERS[name]).format(sql, row)
    if name == "sum" and _is_whole(type_):
        # SQL adds integers up in 128 bits, which no file format holds; a sum that is too large for 64 is an error.
        return f"CAST({text} AS BIGINT)"
    return text


def _is_whole(type_: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(type_) or pa.types.is_boolean(type_))
