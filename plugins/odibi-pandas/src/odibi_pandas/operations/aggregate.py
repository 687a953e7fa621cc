"""``aggregate``: one row a group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import attrs

from odibi import option
from odibi.contracts.columns import names_of, refuse_repeats, require, unused
from odibi.errors import TransformError
from odibi_pandas.operations.expressions import enclosed
from odibi_pandas.operations.measures import FUNCTIONS, measure
from odibi_pandas.operations.names import quoted
from odibi_pandas.operations.tables import ask, frame_of, row_numbers, table_of

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from odibi.contracts.transform import TransformContext


@attrs.frozen
class Aggregate:
    """Make one row of each group of rows whose keys are the same; nulls are the same.

    The groups are in the order of their keys, nulls last. Without keys there is one row, over an empty frame too.
    """

    rowwise: ClassVar[bool] = False

    by: str | tuple[str, ...] = option((), help="The key columns.", aliases=("group_by", "keys"))
    measures: Mapping[str, str] = option(
        help="New column to SQL expression (sum(amount)), or column to function (sum).", aliases=("aggregations",)
    )

    def apply(self, frame: pd.DataFrame, context: TransformContext) -> pd.DataFrame:
        """The keys, then the measures, in the order given.

        Raises:
            TransformError: a column is missing, two columns would have one name, or an expression fails.
        """
        table = table_of(frame, context)
        by = names_of(self.by)
        require(by, table.column_names, "aggregate")
        if not self.measures:
            raise TransformError("there is nothing to measure", where="aggregate", remedy="Give 'measures'.")
        refuse_repeats([*by, *self.measures], "aggregate", "the result would have the column")
        row = unused("_odibi_row", table.column_names)
        expressions = [self._expression(name, text, table, row) for name, text in self.measures.items()]
        numbered = table.append_column(row, row_numbers(table))
        found = ask(context, _query(by, row, expressions), {"df": numbered}, operation="aggregate", hidden=row)
        # The keys are taken from the table, so that SQL does not change their types.
        keys = table.select(by).take(found.column("r")) if by else None
        columns = {name: keys.column(name) for name in by} if keys is not None else {}
        return frame_of(_table(columns, found, list(self.measures)), context)

    def _expression(self, name: str, text: str, table: pa.Table, row: str) -> str:
        word = text.strip()
        columns = table.column_names
        is_function = word in FUNCTIONS
        if not is_function and (not word.isidentifier() or word in columns or name not in columns):
            return word
        require([name], columns, "aggregate")
        return measure(word, name, quoted(name), quoted(row), table.schema.field(name).type, "aggregate")


def _query(by: tuple[str, ...], row: str, expressions: list[str]) -> str:
    measured = (f"{enclosed(text, 'aggregate')} AS m{i}" for i, text in enumerate(expressions))
    wanted = ", ".join([f"min({quoted(row)}) AS r", *measured])
    keys = ", ".join(f"df.{quoted(key)}" for key in by)
    if not by:
        return f"SELECT {wanted} FROM df"  # noqa: S608 - expressions are what users write
    order = ", ".join(f"df.{quoted(key)} NULLS LAST" for key in by)
    return f"SELECT {wanted} FROM df GROUP BY {keys} ORDER BY {order}"  # noqa: S608


def _table(columns: dict[str, pa.ChunkedArray], found: pa.Table, measures: list[str]) -> pa.Table:
    import pyarrow as pa

    return pa.table({**columns, **{name: found.column(f"m{i}") for i, name in enumerate(measures)}})
