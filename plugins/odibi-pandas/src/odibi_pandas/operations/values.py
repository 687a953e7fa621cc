"""New values for columns: ``fillna``, ``derive``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from odibi import option
from odibi.contracts.columns import listed, names_of, require, unused
from odibi.errors import TransformError
from odibi_pandas.operations.expressions import enclosed, sees_one_row
from odibi_pandas.operations.kinds import kind_of
from odibi_pandas.operations.names import quoted
from odibi_pandas.operations.tables import ask, frame_of, row_numbers, table_of

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from odibi.contracts.transform import TransformContext


@attrs.frozen
class Fillna:
    """Put a value where a column has none: null, and NaN in columns of floats. Types stay."""

    rowwise: ClassVar[bool] = True

    values: Mapping[str, Any] = option(factory=dict, help="Column to value.")
    value: Any = option(default=None, help="One value for all of 'columns'.")  # noqa: RUF009 - a field
    columns: str | tuple[str, ...] = option((), help="The columns that get 'value'; by default all.")

    def __attrs_post_init__(self) -> None:
        if bool(self.values) == (self.value is not None):
            raise ValueError("give either 'values', or 'value' with or without 'columns'")
        if self.values and self.columns:
            raise ValueError("'columns' belongs to 'value'; 'values' names its columns itself")

    def apply(self, frame: pd.DataFrame, context: TransformContext) -> pd.DataFrame:
        """The frame with its gaps filled.

        Raises:
            TransformError: a column is missing, or cannot hold its value.
        """
        table = table_of(frame, context)
        values = self.values or dict.fromkeys(names_of(self.columns) or table.column_names, self.value)
        require(values, table.column_names, "fillna")
        for column, value in values.items():
            table = table.set_column(table.column_names.index(column), column, _filled(table, column, value))
        return frame_of(table, context)


def _filled(table: pa.Table, column: str, value: object) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    values = table.column(column)
    held = values.type
    if pa.types.is_dictionary(held):
        values = values.cast(held.value_type)
    filled = pc.if_else(pc.is_null(values, nan_is_null=True), _scalar(value, values.type, column), values)
    return filled.dictionary_encode() if pa.types.is_dictionary(held) else filled


def _scalar(value: object, type_: pa.DataType, column: str) -> pa.Scalar:
    """``value`` as a column of ``type_`` would hold it."""
    from decimal import Decimal

    import pyarrow as pa

    is_bool = isinstance(value, bool)
    try:
        if value is None or is_bool is not bool(pa.types.is_boolean(type_)):
            raise pa.ArrowInvalid("no value of that kind")
        if isinstance(value, str) and pa.types.is_temporal(type_):
            return pa.scalar(value).cast(type_)
        if isinstance(value, int | float) and kind_of(type_) == "number":
            # Unlike the making of a scalar, its cast refuses what it would have to cut off.
            return pa.scalar(Decimal(str(value)) if pa.types.is_decimal(type_) else value).cast(type_)
        return pa.scalar(value, type_)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise TransformError(
            f"the column {column!r} holds {type_}, and {value!r} cannot be one",
            where="fillna",
            remedy="Give a value of the column's type, cast the column first, or name the columns to fill.",
        ) from error


@attrs.frozen(slots=False)
class Derive:
    """Add columns by SQL expressions. Rows, their order and all other columns stay as they are."""

    rowwise: ClassVar[bool] = False
    """``True`` on an instance whose expressions look at one row alone: no subquery, no window."""

    columns: Mapping[str, str] = option(
        help="New column to expression; an expression may use the columns of the frame and those derived before it."
    )
    replace: bool = option(False, help="Whether an expression may replace a column that is there, where it stands.")

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "rowwise", all(map(sees_one_row, self.columns.values())))

    def apply(self, frame: pd.DataFrame, context: TransformContext) -> pd.DataFrame:
        """The frame with the columns, at its end or where they replace others.

        Raises:
            TransformError: a column is there already and ``replace`` is not set, or an expression fails.
        """
        table = table_of(frame, context)
        names = table.column_names
        there = [column for column in self.columns if column in names]
        if there and not self.replace:
            raise TransformError(
                f"the frame has the column{'s' if len(there) > 1 else ''} {listed(there)} already",
                where="derive",
                remedy="Choose another name, or set 'replace: true'.",
            )
        if not self.columns:
            return frame
        row = unused("_odibi_row", [*names, *self.columns])
        derived = self._derived(table.append_column(row, row_numbers(table)), row, context)
        for column in self.columns:
            values = derived.column(column)
            if column in names:
                table = table.set_column(names.index(column), column, values)
            else:
                table = table.append_column(column, values)
        return frame_of(table, context)

    def _derived(self, numbered: pa.Table, row: str, context: TransformContext) -> pa.Table:
        """The new columns alone, in the order of the rows (a window would else change it)."""
        wanted = ", ".join(map(quoted, self.columns))
        query = f"SELECT {wanted} FROM {self._nested(numbered, len(self.columns))} ORDER BY {quoted(row)}"  # noqa: S608
        try:
            return ask(context, query, {"df": numbered}, operation="derive", hidden=row)
        except TransformError:
            self._blame(numbered, row, context)
            raise

    def _nested(self, table: pa.Table, depth: int) -> str:
        """The frame with the first ``depth`` columns derived, each over those before it, as a thing to select from."""
        source, names = "df", list(table.column_names)
        for column, expression in list(self.columns.items())[:depth]:
            made = f"{enclosed(expression, 'derive')} AS {quoted(column)}"
            parts = [made if name == column else quoted(name) for name in names]
            if column not in names:
                parts.append(made)
                names.append(column)
            source = f"(SELECT {', '.join(parts)} FROM {source}) AS df"  # noqa: S608 - expressions are what users write
        return source

    def _blame(self, numbered: pa.Table, row: str, context: TransformContext) -> None:
        """Find the first expression that cannot be used, and say so; costs one query each, and no rows."""
        empty = numbered.slice(0, 0)
        for depth, (column, expression) in enumerate(self.columns.items(), start=1):
            query = f"SELECT * FROM {self._nested(numbered, depth)}"  # noqa: S608
            about = f"the column {column!r} ({expression})"
            ask(context, query, {"df": empty}, operation="derive", about=about, hidden=row)
