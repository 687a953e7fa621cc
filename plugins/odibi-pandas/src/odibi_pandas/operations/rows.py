"""Which rows, in what order: ``filter``, ``drop_duplicates``, ``sort``, ``sample``."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import attrs

from odibi import option
from odibi.contracts.columns import names_of, require, unused
from odibi.errors import TransformError
from odibi_pandas.operations.expressions import enclosed, sees_one_row
from odibi_pandas.operations.names import quoted
from odibi_pandas.operations.tables import ask, frame_of, key_table, numbers, row_numbers, table_of

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from odibi.contracts.transform import TransformContext


@attrs.frozen(slots=False)
class Filter:
    """Keep the rows for which a condition is true; null is not true. The order stays."""

    rowwise: ClassVar[bool] = False
    """``True`` on an instance whose condition looks at one row alone: no subquery, no window."""

    where: str = option(
        help="A condition in SQL over the frame's columns; it may ask the node's inputs in subqueries.",
        aliases=("condition",),
    )

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "rowwise", sees_one_row(self.where))

    def apply(self, frame: pd.DataFrame, context: TransformContext) -> pd.DataFrame:
        """The rows that meet the condition.

        Raises:
            TransformError: the condition cannot be parsed or evaluated.
        """
        import numpy as np

        table = table_of(frame, context)
        row = unused("_odibi_row", table.column_names)
        numbered = table.append_column(row, row_numbers(table))
        query = f"SELECT {quoted(row)} AS r FROM df WHERE {enclosed(self.where, 'filter')}"  # noqa: S608 - SQL is what users write
        found = ask(
            context, query, {"df": numbered}, operation="filter", about=f"the condition {self.where!r}", hidden=row
        )
        return frame_of(table.take(np.sort(numbers(found.column("r")))), context)


@attrs.frozen
class SortKey:
    """What to sort by; in a project ``{column: amount, descending: true, nulls: first}``, or just a name."""

    column: str = option(help="The column.")
    descending: bool = option(False, help="Whether the largest comes first.")
    nulls: Literal["first", "last"] = option("last", help="Where rows without a value go, whichever the direction.")

    def sql(self, expression: str) -> str:
        """The key in SQL, with ``expression`` for the column."""
        return f"{expression} {'DESC' if self.descending else 'ASC'} NULLS {self.nulls.upper()}"


@attrs.frozen
class DropDuplicates:
    """Keep one row of each set of rows whose keys are the same; nulls are the same. The order stays."""

    rowwise: ClassVar[bool] = False

    keys: str | tuple[str, ...] = option((), help="The columns that are compared; by default all.", aliases=("subset",))
    keep: Literal["first", "last", "none"] = option(
        "first", help="Which row of the set stays: the first, the last, or none of a set of several."
    )
    order_by: str | SortKey | tuple[str | SortKey, ...] = option(  # noqa: RUF009 - a field
        (), help="What 'first' and 'last' mean, as 'by' of sort; by default the order of the frame."
    )

    def apply(self, frame: pd.DataFrame, context: TransformContext) -> pd.DataFrame:
        """The frame without the other rows.

        Raises:
            TransformError: a column is missing.
        """
        table = table_of(frame, context)
        keys = names_of(self.keys) or tuple(table.column_names)
        require(keys, table.column_names, "drop_duplicates")
        return frame_of(self.distinct(table, keys, context), context)

    def distinct(self, table: pa.Table, keys: tuple[str, ...], context: TransformContext) -> pa.Table:
        """The rows of ``table`` that stay."""
        import numpy as np

        order = _sort_keys(self.order_by)
        require([key.column for key in order], table.column_names, "drop_duplicates")
        asked = key_table(table, [*keys, *(key.column for key in order)])
        groups = ", ".join(f"k{i}" for i in range(len(keys)))
        if self.keep == "none":
            query = f"SELECT min(r) AS r FROM t GROUP BY {groups} HAVING count(*) = 1"  # noqa: S608
        elif not order:
            chosen = "min" if self.keep == "first" else "max"
            query = f"SELECT {chosen}(r) AS r FROM t GROUP BY {groups}"  # noqa: S608
        else:
            by = ", ".join([*(key.sql(f"k{len(keys) + i}") for i, key in enumerate(order)), "r"])
            picked = "first_value" if self.keep == "first" else "last_value"
            query = (
                f"SELECT DISTINCT {picked}(r) OVER (PARTITION BY {groups} ORDER BY {by} "  # noqa: S608
                "ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS r FROM t"
            )
        found = ask(context, query, {"t": asked}, operation="drop_duplicates")
        return table.take(np.sort(numbers(found.column("r"))))


@attrs.frozen
class Sort:
    """Order the rows. Rows that compare equal stay in the order in which they were."""

    rowwise: ClassVar[bool] = False

    by: str | SortKey | tuple[str | SortKey, ...] = option(  # noqa: RUF009 - a field
        help="Columns, most important first: a name, or {column, descending: false, nulls: first|last}."
    )

    def apply(self, frame: pd.DataFrame, context: TransformContext) -> pd.DataFrame:
        """The rows in order; nulls come last unless said otherwise, ascending and descending alike.

        Raises:
            TransformError: a column is missing, or there is nothing to sort by.
        """
        table = table_of(frame, context)
        keys = _sort_keys(self.by)
        if not keys:
            raise TransformError("there is nothing to sort by", where="sort", remedy="Name a column in 'by'.")
        require([key.column for key in keys], table.column_names, "sort")
        order = ", ".join([*(key.sql(f"k{i}") for i, key in enumerate(keys)), "r"])
        asked = key_table(table, [key.column for key in keys])
        found = ask(context, f"SELECT r FROM t ORDER BY {order}", {"t": asked}, operation="sort")  # noqa: S608
        return frame_of(table.take(numbers(found.column("r"))), context)


@attrs.frozen
class Sample:
    """Keep some rows drawn at random without replacement; the order stays.

    The draw depends on the seed, the number of rows and their order, and on nothing else: not on the worker, the
    machine or the run.
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

    def apply(self, frame: pd.DataFrame, context: TransformContext) -> pd.DataFrame:
        """The rows drawn."""
        import numpy as np

        rows = len(frame)
        wanted = self.n if self.n is not None else round(rows * (self.fraction or 0.0))
        # Raw bits: NumPy promises them to stay the same from version to version, but not what it draws from them.
        draws = np.random.PCG64(self.seed).random_raw(rows)
        chosen = np.sort(np.argsort(draws, kind="stable")[:wanted])
        table = table_of(frame, context)
        return frame_of(table.take(chosen), context)


def _sort_keys(by: str | SortKey | tuple[str | SortKey, ...]) -> list[SortKey]:
    entries = (by,) if isinstance(by, str | SortKey) else by
    return [SortKey(column=entry) if isinstance(entry, str) else entry for entry in entries]
