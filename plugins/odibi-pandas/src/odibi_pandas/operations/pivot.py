"""``pivot`` and ``unpivot``: values to columns and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from odibi import option
from odibi.contracts.columns import listed, names_of, refuse_repeats, require
from odibi.errors import TransformError
from odibi_pandas.operations.kinds import kind_of
from odibi_pandas.operations.measures import measure
from odibi_pandas.operations.tables import ask, frame_of, key_table, numbers, table_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    from odibi.contracts.transform import TransformContext


@attrs.frozen
class Pivot:
    """Make a column of each value of a column, and one row of each group.

    Rows are in the order of the group keys, columns in the order of the values they stand for; nulls come last, and
    the column of the null value is called ``null``. A combination that does not occur is null.
    """

    rowwise: ClassVar[bool] = False

    group_by: str | tuple[str, ...] = option(help="The columns that stay, and identify a row of the result.")
    pivot_column: str = option(help="The column whose values become columns.")
    value_column: str = option(help="The column that fills them.")
    agg_func: str = option("sum", help="What becomes of several values: sum, mean, count, min, max, first, last, ...")
    max_columns: int = option(1000, help="Fail if more columns than this would be made.")

    def apply(self, frame: pd.DataFrame, context: TransformContext) -> pd.DataFrame:
        """The group keys, then a column a value.

        Raises:
            TransformError: a column is missing, the function does not go with it, there are too many values, or a
                value reads as another value or as a group key.
        """
        import pyarrow as pa

        table = table_of(frame, context)
        by = names_of(self.group_by)
        if not by:
            raise TransformError("there is nothing to group by", where="pivot", remedy="Name a column in 'group_by'.")
        require([*by, self.pivot_column, self.value_column], table.column_names, "pivot")
        refuse_repeats([*by, self.pivot_column], "pivot", "'group_by' and 'pivot_column' have")
        cells = self._cells(table, by, context)
        group, place, row = (numbers(cells.column(name)) for name in ("g", "p", "r"))
        groups, places = _representatives(group, row), _representatives(place, row)
        if len(places) > self.max_columns:
            raise TransformError(
                f"{self.pivot_column!r} has {len(places)} values, and 'max_columns' is {self.max_columns}",
                where="pivot",
                remedy="Choose another column, or raise 'max_columns'.",
            )
        labels = [_label(value) for value in table.column(self.pivot_column).take(pa.array(places)).to_pylist()]
        self._check_labels(labels, by)
        keys = table.take(pa.array(groups))
        columns = {name: keys.column(name) for name in by}
        positions = _positions(group, place, len(groups), len(places))
        for label, found in zip(labels, positions, strict=True):
            columns[label] = cells.column("v").take(pa.array(found, mask=found < 0))
        return frame_of(pa.table(columns), context)

    def _cells(self, table: pa.Table, by: tuple[str, ...], context: TransformContext) -> pa.Table:
        """One row a combination: the ranks of its group and of its value, its measure, and a row that has it."""
        asked = key_table(table, [*by, self.pivot_column, self.value_column])
        groups = [f"k{i}" for i in range(len(by))]
        pivot, value = f"k{len(by)}", f"k{len(by) + 1}"
        held = table.schema.field(self.value_column).type
        measured = measure(self.agg_func, self.value_column, value, "r", held, "pivot")
        order = ", ".join(f"{key} NULLS LAST" for key in groups)
        query = (
            f"SELECT dense_rank() OVER (ORDER BY {order}) - 1 AS g, "  # noqa: S608 - names of our own
            f"dense_rank() OVER (ORDER BY {pivot} NULLS LAST) - 1 AS p, min(r) AS r, {measured} AS v "
            f"FROM t GROUP BY {', '.join([*groups, pivot])}"
        )
        return ask(context, query, {"t": asked}, operation="pivot")

    def _check_labels(self, labels: Sequence[str], by: Sequence[str]) -> None:
        for label in labels:
            if label in by:
                raise TransformError(
                    f"the value {label!r} of {self.pivot_column!r} would make a column that 'group_by' has too",
                    where="pivot",
                    remedy="Rename the column, or change the value, first.",
                )
        doubled = sorted({label for label in labels if labels.count(label) > 1})
        if doubled or "" in labels:
            what = f"two values read as {listed(doubled)}" if doubled else "one of the values is an empty text"
            raise TransformError(
                f"{what} in {self.pivot_column!r}, and cannot name a column",
                where="pivot",
                remedy="Give them different texts first, for example with derive.",
            )


def _representatives(ranks: np.ndarray[Any, Any], rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """For each rank 0, 1, 2, ... a row that has it."""
    import numpy as np

    _, first = np.unique(ranks, return_index=True)
    chosen: np.ndarray[Any, Any] = rows[first]
    return chosen


def _positions(
    group: np.ndarray[Any, Any], place: np.ndarray[Any, Any], groups: int, places: int
) -> list[np.ndarray[Any, Any]]:
    """For each column, which cell stands in each of its rows; -1 for none."""
    from itertools import pairwise

    import numpy as np

    order = np.argsort(place, kind="stable")
    bounds = np.searchsorted(place[order], np.arange(places + 1))
    made = []
    for start, stop in pairwise(bounds):
        cells = order[start:stop]
        found = np.full(groups, -1, dtype=np.int64)
        found[group[cells]] = cells
        made.append(found)
    return made


def _label(value: object) -> str:
    """What the column of a value is called."""
    from datetime import date

    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, date) else str(value)


@attrs.frozen
class Unpivot:
    """Make a row of each value of some columns.

    The rows of one row stand together, in the order of the columns. Nulls are kept, so that no row is lost.
    """

    rowwise: ClassVar[bool] = True

    id_columns: str | tuple[str, ...] = option((), help="The columns that are repeated; all others are left out.")
    value_columns: str | tuple[str, ...] = option(
        (), help="The columns that become rows; by default all that are not 'id_columns'."
    )
    variable_name: str = option("variable", help="The new column that says which column a value is from.")
    value_name: str = option("value", help="The new column that holds the values.")
    include_nulls: bool = option(True, help="Whether a null makes a row too.")

    def apply(self, frame: pd.DataFrame, context: TransformContext) -> pd.DataFrame:
        """The id columns, the name and the value.

        Raises:
            TransformError: a column is missing, the values are of different types, or names collide.
        """
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        table = table_of(frame, context)
        ids = names_of(self.id_columns)
        require(ids, table.column_names, "unpivot")
        chosen = names_of(self.value_columns) or tuple(name for name in table.column_names if name not in ids)
        require(chosen, table.column_names, "unpivot")
        if not chosen:
            raise TransformError("no column is left to unpivot", where="unpivot", remedy="Name 'value_columns'.")
        refuse_repeats(chosen, "unpivot", "'value_columns' has")
        refuse_repeats([*ids, self.variable_name, self.value_name], "unpivot", "the result would have the column")
        rows, width = table.num_rows, len(chosen)
        row, column = np.repeat(np.arange(rows), width), np.tile(np.arange(width), rows)
        repeated = table.take(pa.array(row))
        columns = {name: repeated.column(name) for name in ids}
        columns[self.variable_name] = pa.array(chosen, pa.string()).take(pa.array(column))
        columns[self.value_name] = _stacked(table, chosen).take(pa.array(column * rows + row))
        result = pa.table(columns)
        if not self.include_nulls:
            result = result.filter(pc.is_valid(result.column(self.value_name)))
        return frame_of(result, context)


def _stacked(table: pa.Table, columns: Sequence[str]) -> pa.ChunkedArray:
    """The columns below one another, in a type that holds them all."""
    import pyarrow as pa

    held: dict[str, str] = {}
    for name in columns:
        held.setdefault(kind_of(table.schema.field(name).type), name)
    held.pop("null", None)
    if len(held) > 1:
        (one, first), (other, second) = list(held.items())[:2]
        raise TransformError(
            f"{first!r} holds a {one}, and {second!r} a {other}; they cannot stand in one column",
            where="unpivot",
            remedy="Cast them to one type first, or name fewer 'value_columns'.",
        )
    parts = [table.select([name]).rename_columns(["v"]) for name in columns]
    return pa.concat_tables(parts, promote_options="permissive").column("v")
