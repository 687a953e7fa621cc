"""Texts to the types that a user asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from odibi.errors import DataError, OdibiError
from odibi_pandas.inference import Rules, cleaned

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

_PANDAS_WORDS = {
    "object": "string",
    "category": "string",
    "number": "float64",
    "datetime64": "timestamp[us]",
    "datetime64[ns]": "timestamp[ns]",
    "datetime64[us]": "timestamp[us]",
    "datetime64[ms]": "timestamp[ms]",
    "datetime64[s]": "timestamp[s]",
}


class Unfit(Exception):
    """A text does not fit the type.

    Attributes:
        row: its position in the column, from 0.
        text: the text.
    """

    def __init__(self, row: int, text: str) -> None:
        super().__init__(text)
        self.row = row
        self.text = text


def type_of(word: str, column: str, name: str) -> pa.DataType:
    """The Arrow type that ``word`` means: our words, Arrow's, or those of pandas.

    Raises:
        DataError: it means none.
    """
    from odibi_pandas.operations.kinds import arrow_type

    try:
        return arrow_type(_PANDAS_WORDS.get(word.strip().lower(), word), "dtypes")
    except OdibiError as error:
        raise DataError(f"the type of column {column!r}: {error.what}", where=name, remedy=error.remedy) from error


def as_type(column: pa.ChunkedArray, kind: pa.DataType, rules: Rules, date_format: str | None) -> pa.ChunkedArray:
    """The texts as values of the type ``kind``.

    Raises:
        Unfit: one does not fit; the first such.
    """
    import pyarrow as pa

    def convert(values: pa.ChunkedArray) -> pa.ChunkedArray:
        return _convert(values, kind, rules, date_format)

    try:
        return convert(column)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        row = _first_unfit(column, convert)
        raise Unfit(row, str(column[row].as_py())) from None


def _convert(column: pa.ChunkedArray, kind: pa.DataType, rules: Rules, date_format: str | None) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    types = pa.types
    if types.is_string(kind) or types.is_large_string(kind) or types.is_binary(kind) or types.is_large_binary(kind):
        return column.cast(kind)
    number = types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
    column = cleaned(column, rules, number=number)
    if types.is_boolean(kind):
        return _truth(column, rules)
    if number and rules.decimal != "." and not types.is_integer(kind):
        column = pc.replace_substring(column, rules.decimal, ".")
    if types.is_duration(kind):
        return column.cast(pa.int64()).cast(kind)
    if types.is_date(kind) or types.is_timestamp(kind):
        if date_format is not None:
            return _zoned(pc.strptime(column, format=date_format, unit="us"), kind)
        if types.is_date(kind):
            return _moments(column, pa.timestamp("us")).cast(kind)
        return _moments(column, kind)
    return column.cast(kind)


def _moments(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Moments with or without an offset, for a type with or without a zone; without either they are UTC."""
    import pyarrow as pa

    for written in (pa.timestamp(kind.unit), pa.timestamp(kind.unit, "UTC")):
        try:
            return _zoned(column.cast(written), kind)
        except pa.ArrowInvalid:
            continue
    raise pa.ArrowInvalid("not moments")


def _zoned(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_timestamp(kind) and kind.tz is not None and column.type.tz is None:
        column = pc.assume_timezone(column, kind.tz)
    return column.cast(kind)


def _truth(column: pa.ChunkedArray, rules: Rules) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    true = pc.is_in(column, value_set=pa.array([*rules.true_values, "1"], column.type), skip_nulls=True)
    false = pc.is_in(column, value_set=pa.array([*rules.false_values, "0"], column.type), skip_nulls=True)
    known = pc.or_(true, false)
    if (pc.sum(known).as_py() or 0) != len(column) - column.null_count:
        raise pa.ArrowInvalid("not a truth value")
    return pc.if_else(known, true, pa.scalar(None, pa.bool_()))


def _first_unfit(column: pa.ChunkedArray, convert: Callable[[pa.ChunkedArray], pa.ChunkedArray]) -> int:
    """Where the first text is that cannot be converted, by halving."""
    import pyarrow as pa

    begin, end = 0, len(column)
    while end - begin > 1:
        middle = (begin + end) // 2
        try:
            convert(column.slice(begin, middle - begin))
            begin = middle
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            end = middle
    return begin
