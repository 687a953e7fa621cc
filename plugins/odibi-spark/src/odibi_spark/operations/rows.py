"""Which rows, in what order: ``filter``, ``drop_duplicates``, ``sort``, ``sample``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import attrs

from odibi import option
from odibi.contracts.columns import listed, names_of, require
from odibi.errors import TransformError
from odibi_spark.kinds import functions_for
from odibi_spark.operations.expressions import asks_tables, column_of, enclosed, sees_one_row
from odibi_spark.operations.failures import explained
from odibi_spark.operations.frames import analyze, named, places, plain, types_of
from odibi_spark.operations.kinds import can_be_compared

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import Column, DataFrame

    from odibi.contracts.transform import TransformContext


@attrs.frozen(slots=False)
class Filter:
    """Keep the rows for which a condition is true; null is not true."""

    rowwise: ClassVar[bool] = False
    """``True`` on an instance whose condition looks at one row alone: no subquery, no window."""

    where: str = option(
        help="A condition in SQL over the frame's columns; it may ask the node's inputs in subqueries.",
        aliases=("condition",),
    )

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "rowwise", sees_one_row(self.where))

    def apply(self, frame: DataFrame, context: TransformContext) -> DataFrame:
        """The rows that meet the condition.

        Raises:
            TransformError: the condition cannot be parsed or resolved.
        """
        about = f"the condition {self.where!r}"
        if asks_tables(self.where):
            query = f"SELECT * FROM df WHERE {enclosed(self.where, 'filter')}"  # noqa: S608 - SQL is what users write
            found: DataFrame = asked(context, query, frame, operation="filter", about=about)
            return found
        functions = functions_for(frame)
        with explained("filter", frame.columns, about=about):
            kept = frame.alias("df").where(column_of(functions, self.where, context, "filter"))
            analyze(kept)
        return kept


def asked(context: TransformContext, query: str, frame: DataFrame, *, operation: str, about: str = "") -> Any:
    """The answer to a query over the frame as ``df``, in the node's own namespace.

    Raises:
        TransformError: the query cannot be; the engine's own words are kept.
    """
    try:
        return context.sql(query, {"df": frame})
    except TransformError as error:
        head = f"{about}: " if about else ""
        raise TransformError(f"{head}{error.what}", where=operation, remedy=error.remedy) from error


@attrs.frozen
class SortKey:
    """What to sort by; in a project ``{column: amount, descending: true, nulls: first}``, or just a name."""

    column: str = option(help="The column.")
    descending: bool = option(False, help="Whether the largest comes first.")
    nulls: Literal["first", "last"] = option("last", help="Where rows without a value go, whichever the direction.")

    def sql(self, expression: str, *, backwards: bool = False) -> str:
        """The key in SQL, with ``expression`` for the column."""
        descending, first = self.descending is not backwards, (self.nulls == "first") is not backwards
        return f"{expression} {'DESC' if descending else 'ASC'} NULLS {'FIRST' if first else 'LAST'}"

    def order(self, column: Column) -> Column:
        """The key as Spark has it."""
        direction, first = "desc" if self.descending else "asc", self.nulls == "first"
        found: Column = getattr(column, f"{direction}_nulls_{'first' if first else 'last'}")()
        return found


@attrs.frozen
class DropDuplicates:
    """Keep one row of each set of rows whose keys are the same; nulls are the same.

    A Spark frame has no order of rows, so ``order_by`` has to say which is the first or the last, unless all columns
    are keys. Rows that compare equal there are told apart by their other columns, in the order of the frame: of those
    the smallest counts as the first, nulls last.
    """

    rowwise: ClassVar[bool] = False

    keys: str | tuple[str, ...] = option((), help="The columns that are compared; by default all.", aliases=("subset",))
    keep: Literal["first", "last", "none"] = option(
        "first", help="Which row of the set stays: the first, the last, or none of a set of several."
    )
    order_by: str | SortKey | tuple[str | SortKey, ...] = option(  # noqa: RUF009 - a field
        (), help="What 'first' and 'last' mean, as 'by' of sort; by default the order of the frame."
    )

    def apply(self, frame: DataFrame, context: TransformContext) -> DataFrame:  # noqa: ARG002 - the contract's
        """The frame without the other rows.

        Raises:
            TransformError: a column is missing, or nothing says which row is the first or the last.
        """
        columns, types = frame.columns, types_of(frame)
        keys = names_of(self.keys) or tuple(columns)
        require(keys, columns, "drop_duplicates")
        order = sort_keys(self.order_by)
        require([key.column for key in order], columns, "drop_duplicates")
        others = [column for column in columns if column not in keys]
        if self.keep != "none" and not others:
            return distinct(frame, "drop_duplicates")
        if self.keep != "none" and not order:
            raise TransformError(
                f"nothing says which row is the {self.keep}, and a Spark frame has no order of rows",
                where="drop_duplicates",
                remedy=f"Set 'order_by' to columns that order the rows, such as {listed(others[:1])}.",
            )
        groups = ", ".join(places(keys, columns))
        if self.keep == "none":
            counted = f"count(*) OVER (PARTITION BY {groups})"
        else:
            ties = [SortKey(column=name) for name in others if can_be_compared(types[name])]
            told = [key.column for key in order]
            ordered = [*order, *(tie for tie in ties if tie.column not in told)]
            by = [key.sql(places([key.column], columns)[0], backwards=self.keep == "last") for key in ordered]
            counted = f"row_number() OVER (PARTITION BY {groups} ORDER BY {', '.join(by)})"
        with explained("drop_duplicates", columns):
            numbered = plain(frame).selectExpr("*", f"{counted} AS n").where("n = 1").drop("n")
            analyze(numbered)
        return named(numbered, columns)


def distinct(frame: DataFrame, operation: str) -> DataFrame:
    """Each of the frame's rows once.

    Raises:
        TransformError: a column holds what cannot be compared.
    """
    with explained(operation, frame.columns):
        found = plain(frame).distinct()
        analyze(found)
    return named(found, frame.columns)


@attrs.frozen
class Sort:
    """Order the rows. Rows that compare equal are in no order."""

    rowwise: ClassVar[bool] = False

    by: str | SortKey | tuple[str | SortKey, ...] = option(  # noqa: RUF009 - a field
        help="Columns, most important first: a name, or {column, descending: false, nulls: first|last}."
    )

    def apply(self, frame: DataFrame, context: TransformContext) -> DataFrame:  # noqa: ARG002 - the contract's
        """The rows in order; nulls come last unless said otherwise, ascending and descending alike.

        Raises:
            TransformError: a column is missing, or there is nothing to sort by.
        """
        keys, columns = sort_keys(self.by), frame.columns
        if not keys:
            raise TransformError("there is nothing to sort by", where="sort", remedy="Name a column in 'by'.")
        require([key.column for key in keys], columns, "sort")
        column = functions_for(frame).col
        at = places([key.column for key in keys], columns)
        order = [key.order(column(place)) for key, place in zip(keys, at, strict=True)]
        with explained("sort", columns):
            found = plain(frame).orderBy(*order)
            analyze(found)
        return named(found, columns)


@attrs.frozen
class Sample:
    """Keep some rows drawn at random without replacement.

    The draw depends on the seed and on what the rows hold, and on nothing else: not on how they are spread, the
    machine or the run. A ``fraction`` decides on each row by itself, so that about that part of the rows stays.
    """

    rowwise: ClassVar[bool] = False

    n: int | None = option(None, help="How many rows; all, if there are fewer. Give this or 'fraction'.")
    fraction: float | None = option(None, help="What part of the rows, 0 to 1, rounded to whole rows.")
    seed: int = option(0, help="Another seed draws other rows; at least 0.")

    def __attrs_post_init__(self) -> None:
        if (self.n is None) == (self.fraction is None):
            raise ValueError("give either 'n' or 'fraction'")
        if self.n is not None and self.n < 0:
            raise ValueError(f"n is {self.n}, and must be at least 0")
        if self.fraction is not None and not 0 <= self.fraction <= 1:
            raise ValueError(f"fraction is {self.fraction}, and must lie between 0 and 1")
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}, and must be at least 0")

    def apply(self, frame: DataFrame, context: TransformContext) -> DataFrame:  # noqa: ARG002 - the contract's
        """The rows drawn."""
        if self.n == 0 or self.fraction == 0:
            return frame.limit(0)
        if self.fraction == 1:
            return frame
        columns, types = frame.columns, types_of(frame)
        seen = [f"c{at}" for at, name in enumerate(columns) if can_be_compared(types[name])]
        # Rows that are the same get numbers, so that they are not all drawn or all left.
        numbered = plain(frame).selectExpr("*", f"xxhash64({', '.join(seen) or '0'}) AS h")
        numbered = numbered.selectExpr("*", "row_number() OVER (PARTITION BY h ORDER BY h) AS i")
        numbered = numbered.selectExpr("*", f"xxhash64('{self.seed}', h, i) AS d")
        if self.n is not None:
            drawn = numbered.orderBy("d", "h", "i").limit(self.n)
        else:
            drawn = numbered.where(f"shiftrightunsigned(d, 11) / 9007199254740992D < {self.fraction!r}D")
        return named(drawn.drop("h", "i", "d"), columns)


def sort_keys(by: str | SortKey | Sequence[str | SortKey]) -> list[SortKey]:
    """Names and keys as keys."""
    entries = (by,) if isinstance(by, str | SortKey) else by
    return [SortKey(column=entry) if isinstance(entry, str) else entry for entry in entries]
