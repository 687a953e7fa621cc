"""``pivot`` and ``unpivot``: values to columns and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from odibi import option
from odibi.contracts.columns import listed, names_of, refuse_repeats, require
from odibi.errors import TransformError
from odibi_spark.kinds import functions_for
from odibi_spark.operations.failures import explained
from odibi_spark.operations.frames import analyze, named, places, plain, types_of
from odibi_spark.operations.kinds import common_type, kind_of, word_of
from odibi_spark.operations.measures import measure

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame
    from pyspark.sql.types import DataType

    from odibi.contracts.transform import TransformContext


@attrs.frozen
class Pivot:
    """Make a column of each value of a column, and one row of each group.

    Rows are in no order, columns in the order of the values they stand for; nulls come last, and the column of the
    null value is called ``null``. A combination that does not occur is null. Unlike all other operations it starts a
    job of its own, which finds the values.
    """

    rowwise: ClassVar[bool] = False

    group_by: str | tuple[str, ...] = option(help="The columns that stay, and identify a row of the result.")
    pivot_column: str = option(help="The column whose values become columns.")
    value_column: str = option(help="The column that fills them.")
    agg_func: str = option("sum", help="What becomes of several values: sum, mean, count, min, max, first, last, ...")
    max_columns: int = option(1000, help="Fail if more columns than this would be made.")

    def apply(self, frame: DataFrame, context: TransformContext) -> DataFrame:  # noqa: ARG002 - the contract's
        """The group keys, then a column a value.

        Raises:
            TransformError: a column is missing, the function does not go with it, there are too many values, or a
                value reads as another value or as a group key.
        """
        columns, types = frame.columns, types_of(frame)
        by = names_of(self.group_by)
        if not by:
            raise TransformError("there is nothing to group by", where="pivot", remedy="Name a column in 'group_by'.")
        require([*by, self.pivot_column, self.value_column], columns, "pivot")
        refuse_repeats([*by, self.pivot_column], "pivot", "'group_by' and 'pivot_column' have")
        (pivot,) = places([self.pivot_column], columns)
        (value,) = places([self.value_column], columns)
        measured = measure(self.agg_func, self.value_column, value, types[self.value_column], "pivot")
        functions = functions_for(frame)
        with explained("pivot", columns):
            numbered = plain(frame).withColumn("p", _as_text(functions, functions.col(pivot), types[self.pivot_column]))
            texts, labels = self._values(numbered, pivot)
            self._check_labels(labels, by)
            groups = numbered.groupBy(*places(by, columns))
            if not texts:
                return named(groups.agg(functions.count(functions.lit(1)).alias("n")).drop("n"), by)
            found = groups.pivot("p", list(texts)).agg(functions.expr(measured))
            analyze(found)
        return named(found, [*by, *labels])

    def _values(self, numbered: DataFrame, pivot: str) -> tuple[list[str], list[str]]:
        """The values as texts that no two share, and as columns are called; in order, nulls last."""
        functions = functions_for(numbered)
        values = numbered.groupBy("p").agg(functions.min(pivot).alias("v"))
        found = values.orderBy(functions.col("v").asc_nulls_last()).limit(max(self.max_columns, 0) + 1).toArrow()
        if found.num_rows > self.max_columns:
            raise TransformError(
                f"{self.pivot_column!r} has more than {self.max_columns} values, which is what 'max_columns' allows",
                where="pivot",
                remedy="Choose another column, or raise 'max_columns'.",
            )
        return found.column("p").to_pylist(), [_label(value) for value in found.column("v").to_pylist()]

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


def _as_text(functions: Any, column: Column, type_: DataType) -> Column:
    """Values as texts that are the same if the values are; a null as one that no value has."""
    name = type_.typeName()
    if name in ("float", "double"):
        # There are two zeros that are equal, and read differently.
        column = functions.when(column == functions.lit(0), functions.lit(0).cast(type_)).otherwise(column)
    text = functions.hex(column) if name == "binary" else column.cast("string")
    made: Column = functions.coalesce(functions.concat(functions.lit("v"), text), functions.lit("null"))
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
    """Make a row of each value of some columns. Nulls are kept, so that no row is lost."""

    rowwise: ClassVar[bool] = True

    id_columns: str | tuple[str, ...] = option((), help="The columns that are repeated; all others are left out.")
    value_columns: str | tuple[str, ...] = option(
        (), help="The columns that become rows; by default all that are not 'id_columns'."
    )
    variable_name: str = option("variable", help="The new column that says which column a value is from.")
    value_name: str = option("value", help="The new column that holds the values.")
    include_nulls: bool = option(True, help="Whether a null makes a row too.")

    def apply(self, frame: DataFrame, context: TransformContext) -> DataFrame:  # noqa: ARG002 - the contract's
        """The id columns, the name and the value.

        Raises:
            TransformError: a column is missing, the values are of different types, or names collide.
        """
        columns, types = frame.columns, types_of(frame)
        ids = names_of(self.id_columns)
        require(ids, columns, "unpivot")
        chosen = names_of(self.value_columns) or tuple(name for name in columns if name not in ids)
        require(chosen, columns, "unpivot")
        if not chosen:
            raise TransformError("no column is left to unpivot", where="unpivot", remedy="Name 'value_columns'.")
        refuse_repeats(chosen, "unpivot", "'value_columns' has")
        refuse_repeats([*ids, self.variable_name, self.value_name], "unpivot", "the result would have the column")
        common = _common({name: types[name] for name in chosen})
        functions = functions_for(frame)
        cells = [
            functions.struct(functions.lit(name).alias("k"), functions.col(place).cast(common).alias("v"))
            for name, place in zip(chosen, places(chosen, columns), strict=True)
        ]
        kept = places(ids, columns)
        tall = plain(frame).select(*kept, functions.explode(functions.array(*cells)).alias("e"))
        tall = tall.select(*kept, "e.k", "e.v")
        if not self.include_nulls:
            tall = tall.where("v IS NOT NULL")
        return named(tall, [*ids, self.variable_name, self.value_name])


def _common(types: dict[str, DataType]) -> DataType:
    """A type that holds the values of all columns."""
    held: dict[str, str] = {}
    for name, type_ in types.items():
        held.setdefault(kind_of(type_), name)
    held.pop("null", None)
    if len(held) > 1:
        (one, first), (other, second) = list(held.items())[:2]
        raise TransformError(
            f"{first!r} holds a {one}, and {second!r} a {other}; they cannot stand in one column",
            where="unpivot",
            remedy="Cast them to one type first, or name fewer 'value_columns'.",
        )
    found = common_type(list(types.values()))
    if found is None:
        words = listed(dict.fromkeys(map(word_of, types.values())))
        raise TransformError(
            f"no type holds all values of the columns, which are {words}",
            where="unpivot",
            remedy="Cast them to one type first, or name fewer 'value_columns'.",
        )
    return found
