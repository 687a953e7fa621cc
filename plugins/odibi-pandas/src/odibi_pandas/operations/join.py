"""``join``: rows of two frames side by side."""

# ruff: noqa: S608 - the queries hold names of our own alone

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

import attrs

from odibi import option
from odibi.contracts.columns import listed, refuse_repeats, require
from odibi.errors import TransformError
from odibi_pandas.operations.kinds import kind_of
from odibi_pandas.operations.names import quoted
from odibi_pandas.operations.tables import ask, frame_of, key_table, shown, table_of

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from odibi.contracts.transform import TransformContext

_BY_LEFT = "ORDER BY l.r NULLS LAST, r.r"
_PAIRS = {
    "inner": f"SELECT l.r AS l, r.r AS r FROM a AS l JOIN b AS r ON {{on}} {_BY_LEFT}",
    "left": f"SELECT l.r AS l, r.r AS r FROM a AS l LEFT JOIN b AS r ON {{on}} {_BY_LEFT}",
    "right": "SELECT l.r AS l, r.r AS r FROM a AS l RIGHT JOIN b AS r ON {on} ORDER BY r.r, l.r",
    "full": f"SELECT l.r AS l, r.r AS r FROM a AS l FULL JOIN b AS r ON {{on}} {_BY_LEFT}",
    "semi": "SELECT l.r AS l FROM a AS l WHERE EXISTS (SELECT 1 FROM b AS r WHERE {on}) ORDER BY l.r",
    "anti": "SELECT l.r AS l FROM a AS l WHERE NOT EXISTS (SELECT 1 FROM b AS r WHERE {on}) ORDER BY l.r",
    "cross": "SELECT l.r AS l, r.r AS r FROM a AS l CROSS JOIN b AS r ORDER BY l.r, r.r",
}
"""Which rows meet, by number. Only the keys go through SQL."""


@attrs.frozen
class Join:
    """Put the rows of an input beside those of the frame, wherever their keys are equal. A null key equals nothing.

    The key columns stand in the result once, under the names they have in the frame; ``right`` and ``full`` take them
    from whichever side has the row. Rows are in the order of the frame, then of the input (for ``right`` the other way
    round); what only the input has comes last in ``full``.
    """

    rowwise: ClassVar[bool] = False

    right: str = option(help="The input to join, one of the node's depends_on.", aliases=("with",))
    on: str | tuple[str, ...] | Mapping[str, str] = option(
        (), help="The key columns; {name in the frame: name in the input} where they differ.", aliases=("keys",)
    )
    how: Literal["inner", "left", "right", "full", "outer", "semi", "anti", "cross"] = option(
        "inner", help="Which rows stay: as in SQL; semi and anti keep the frame's rows that have, or lack, a partner."
    )
    suffix: str | None = option(
        None, help="Added to columns of the input that the frame has too; without it they are an error."
    )
    validate: Literal["one_to_one", "one_to_many", "many_to_one", "many_to_many"] = option(
        "many_to_many", help="Fail if a key that should be there once is there more often."
    )

    def apply(self, frame: pd.DataFrame, context: TransformContext) -> pd.DataFrame:
        """The joined frame.

        Raises:
            TransformError: an input or a column is missing, keys are of different types, both sides have a column, or
                a key breaks ``validate``.
        """
        how = "full" if self.how == "outer" else self.how
        left, right = table_of(frame, context), table_of(context.get(self.right), context)
        keys = self._keys(left, right, how)
        names = self._names(left, right, keys, how)
        tables = {"a": key_table(left, list(keys)), "b": key_table(right, list(keys.values()))}
        self._check_counts(tables, keys, context)
        on = " AND ".join(f"l.k{i} = r.k{i}" for i in range(len(keys)))
        pairs = ask(context, _PAIRS[how].format(on=on), tables, operation="join")
        result = left.take(pairs.column("l"))
        if how in ("semi", "anti"):
            return frame_of(result, context)
        partners = right.take(pairs.column("r"))
        if how in ("right", "full"):
            for mine, theirs in keys.items():
                result = result.set_column(
                    result.column_names.index(mine), mine, _either(result.column(mine), partners.column(theirs))
                )
        for old, new in names.items():
            result = result.append_column(new, partners.column(old))
        return frame_of(result, context)

    def _keys(self, left: pa.Table, right: pa.Table, how: str) -> dict[str, str]:
        """Names of the key columns in the frame to names in the input."""
        if isinstance(self.on, str):
            keys = {self.on: self.on}
        else:
            keys = dict(self.on) if isinstance(self.on, Mapping) else dict(zip(self.on, self.on, strict=True))
        if bool(keys) == (how == "cross"):
            remedy = "A cross join has no keys." if keys else "Name the key columns in 'on', or ask for 'how: cross'."
            raise TransformError(f"'on' does not go with 'how: {how}'", where="join", remedy=remedy)
        require(keys, left.column_names, "join")
        require(keys.values(), right.column_names, "join", what=f"the input {self.right!r}")
        for mine, theirs in keys.items():
            held, met = left.schema.field(mine).type, right.schema.field(theirs).type
            if kind_of(held) != kind_of(met) and "null" not in (kind_of(held), kind_of(met)):
                raise TransformError(
                    f"the key {mine!r} holds {held} in the frame, and {theirs!r} holds {met} in {self.right!r}",
                    where="join",
                    remedy="Cast one of them first.",
                )
        return keys

    def _names(self, left: pa.Table, right: pa.Table, keys: dict[str, str], how: str) -> dict[str, str]:
        """Columns that the input brings, to their names in the result."""
        if how in ("semi", "anti"):
            return {}
        there = set(left.column_names)
        brought = [column for column in right.column_names if column not in keys.values()]
        both = [column for column in brought if column in there]
        if both and not self.suffix:
            raise TransformError(
                f"the frame and the input {self.right!r} both have {listed(both)}",
                where="join",
                remedy="Set 'suffix' to rename those of the input, or select the columns you need first.",
            )
        names = {column: f"{column}{self.suffix}" if column in there else column for column in brought}
        refuse_repeats([*left.column_names, *names.values()], "join", "the result would have the column")
        return names

    def _check_counts(self, tables: dict[str, pa.Table], keys: dict[str, str], context: TransformContext) -> None:
        """Refuse a key that is there twice on a side where ``validate`` says once."""
        mine, theirs = self.validate.split("_to_")
        sides = (("a", mine, "the frame", list(keys)), ("b", theirs, f"the input {self.right!r}", list(keys.values())))
        for table, times, name, columns in sides:
            if times != "one" or not columns:
                continue
            wanted = ", ".join(f"k{i}" for i in range(len(columns)))
            known = " AND ".join(f"k{i} IS NOT NULL" for i in range(len(columns)))
            query = (
                f"SELECT {wanted}, count(*) AS n, min(r) AS r FROM t WHERE {known} "
                f"GROUP BY {wanted} HAVING count(*) > 1 ORDER BY {quoted('r')}"
            )
            found = ask(context, query, {"t": tables[table]}, operation="join")
            if found.num_rows:
                first = found.slice(0, 1).to_pylist()[0]
                key = ", ".join(f"{c} = {shown(first[f'k{i}'], c, context)}" for i, c in enumerate(columns))
                raise TransformError(
                    f"{found.num_rows} keys are more than once in {name}, such as {key} ({first['n']} times),"
                    f" which breaks {self.validate!r}",
                    where="join",
                    remedy="Remove the duplicates first, or change 'validate'.",
                )


def _either(mine: pa.ChunkedArray, theirs: pa.ChunkedArray) -> pa.ChunkedArray:
    """The key from the side that has it, in a type that holds both."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(mine.type):
        mine = mine.cast(mine.type.value_type)
    if pa.types.is_dictionary(theirs.type):
        theirs = theirs.cast(theirs.type.value_type)
    if mine.type == theirs.type:
        return pc.coalesce(mine, theirs)
    schemas = [pa.schema([("key", side.type)]) for side in (mine, theirs)]
    common = pa.unify_schemas(schemas, promote_options="permissive").field("key").type
    return pc.coalesce(mine.cast(common), theirs.cast(common))
