"""``union``: rows of several frames below one another."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import attrs

from odibi import option
from odibi.contracts.columns import listed, names_of
from odibi.errors import TransformError
from odibi_pandas.operations.kinds import kind_of
from odibi_pandas.operations.rows import DropDuplicates
from odibi_pandas.operations.tables import frame_of, table_of

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from odibi.contracts.transform import TransformContext


@attrs.frozen
class Union:
    """Put the rows of inputs below those of the frame, in the order in which they are named.

    Numbers of different types meet in one that holds both; nothing else is converted.
    """

    rowwise: ClassVar[bool] = False

    inputs: str | tuple[str, ...] = option(help="The inputs to add, of the node's depends_on.", aliases=("with",))
    by: Literal["name", "position"] = option("name", help="How columns find one another.")
    distinct: bool = option(False, help="Keep the first of rows that are the same in all columns.")
    missing: Literal["error", "null"] | None = option(
        "error",
        help="What to do, by name, about a column that not all have: fail, or fill with nulls.",
        aliases=("missing_columns",),
    )
    # YAML reads a plain null as no value at all, so that means "null" too.

    def apply(self, frame: pd.DataFrame, context: TransformContext) -> pd.DataFrame:
        """All rows.

        Raises:
            TransformError: an input is missing, or columns do not go together.
        """
        import pyarrow as pa

        first = table_of(frame, context)
        tables = [first]
        tables += [self._fitted(first, table_of(context.get(name), context), name) for name in names_of(self.inputs)]
        self._check_types(tables)
        try:
            result = pa.concat_tables(tables, promote_options="permissive")
        except (pa.ArrowTypeError, pa.ArrowInvalid) as error:
            raise TransformError(f"the columns do not go together: {error}", where="union") from error
        if self.distinct:
            result = DropDuplicates().distinct(result, tuple(result.column_names), context)
        return frame_of(result, context)

    def _fitted(self, first: pa.Table, other: pa.Table, name: str) -> pa.Table:
        """``other`` with columns that find those of ``first`` by their names."""
        if self.by == "position":
            if other.num_columns != first.num_columns:
                raise TransformError(
                    f"the frame has {first.num_columns} columns, and the input {name!r} has {other.num_columns}",
                    where="union",
                    remedy="Select the same number of columns first, or use 'by: name'.",
                )
            return other.rename_columns(first.column_names)
        if self.missing == "error":
            lacks = [column for column in first.column_names if column not in other.column_names]
            adds = [column for column in other.column_names if column not in first.column_names]
            if lacks or adds:
                parts = [f"lacks {listed(lacks)}"] * bool(lacks) + [f"has {listed(adds)} besides"] * bool(adds)
                raise TransformError(
                    f"the input {name!r} {' and '.join(parts)}",
                    where="union",
                    remedy="Select or rename columns first, or set 'missing: null'.",
                )
        return other

    def _check_types(self, tables: list[pa.Table]) -> None:
        """Refuse columns that would meet another kind of values."""
        held: dict[str, pa.DataType] = {}
        for table, name in zip(tables, ("the frame", *names_of(self.inputs)), strict=True):
            for field in table.schema:
                if kind_of(field.type) == "null":
                    continue
                there = held.setdefault(field.name, field.type)
                if kind_of(there) != kind_of(field.type):
                    raise TransformError(
                        f"the column {field.name!r} holds {there}, but {field.type} in {name!r}",
                        where="union",
                        remedy="Cast one of them first.",
                    )
