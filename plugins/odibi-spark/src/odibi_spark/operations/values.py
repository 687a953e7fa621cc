"""New values for columns: ``fillna``, ``derive``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from odibi import option
from odibi.contracts.columns import listed, names_of, require
from odibi.errors import TransformError
from odibi_spark.kinds import functions_for
from odibi_spark.operations.expressions import asks_tables, column_of, enclosed, sees_one_row
from odibi_spark.operations.failures import explained
from odibi_spark.operations.frames import analyze, named, plain, types_of
from odibi_spark.operations.literals import literal
from odibi_spark.operations.rows import asked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import DataFrame

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

    def apply(self, frame: DataFrame, context: TransformContext) -> DataFrame:  # noqa: ARG002 - the contract's
        """The frame with its gaps filled.

        Raises:
            TransformError: a column is missing, or cannot hold its value.
        """
        names, types, functions = frame.columns, types_of(frame), functions_for(frame)
        values = self.values or dict.fromkeys(names_of(self.columns) or names, self.value)
        require(values, names, "fillna")
        filled = []
        for at, name in enumerate(names):
            column = functions.col(f"c{at}")
            if name in values:
                made = literal(functions, values[name], types[name], name, "fillna")
                is_gap = column.isNull()
                if types[name].typeName() in ("float", "double"):
                    is_gap = is_gap | functions.isnan(column)
                column = functions.when(is_gap, made).otherwise(column)
            filled.append(column)
        return named(plain(frame).select(*filled), names)


@attrs.frozen(slots=False)
class Derive:
    """Add columns by SQL expressions. Rows and all other columns stay as they are."""

    rowwise: ClassVar[bool] = False
    """``True`` on an instance whose expressions look at one row alone: no subquery, no window."""

    columns: Mapping[str, str] = option(
        help="New column to expression; an expression may use the columns of the frame and those derived before it."
    )
    replace: bool = option(False, help="Whether an expression may replace a column that is there, where it stands.")

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "rowwise", all(map(sees_one_row, self.columns.values())))

    def apply(self, frame: DataFrame, context: TransformContext) -> DataFrame:
        """The frame with the columns, at its end or where they replace others.

        Raises:
            TransformError: a column is there already and ``replace`` is not set, or an expression cannot be.
        """
        there = [column for column in self.columns if column in frame.columns]
        if there and not self.replace:
            raise TransformError(
                f"the frame has the column{'s' if len(there) > 1 else ''} {listed(there)} already",
                where="derive",
                remedy="Choose another name, or set 'replace: true'.",
            )
        for column, expression in self.columns.items():
            frame = _derived(frame, column, expression, context)
        return frame


def _derived(frame: DataFrame, column: str, expression: str, context: TransformContext) -> DataFrame:
    about, names = f"the column {column!r} ({expression})", frame.columns
    if asks_tables(expression):
        query = f"SELECT *, {enclosed(expression, 'derive')} AS _odibi_new FROM df"  # noqa: S608 - SQL is what users write
        found = asked(context, query, frame, operation="derive", about=about)
    else:
        with explained("derive", names, about=about):
            made = column_of(functions_for(frame), expression, context, "derive")
            found = frame.alias("df").select("*", made.alias("_odibi_new"))
            analyze(found)
    return _placed(found, names, column)


def _placed(found: DataFrame, names: Sequence[str], column: str) -> DataFrame:
    """The frame whose last column is new, with it where the column of its name was."""
    if column not in names:
        return named(found, [*names, column])
    order = [f"c{at}" for at in range(len(names))]
    order[names.index(column)] = f"c{len(names)}"
    return named(plain(found).select(*order), names)
