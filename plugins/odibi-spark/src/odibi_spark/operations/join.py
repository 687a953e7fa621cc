"""``join``: rows of two frames side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

import attrs

from odibi import option
from odibi.contracts.columns import listed, refuse_repeats, require
from odibi.errors import TransformError
from odibi_spark.kinds import functions_for
from odibi_spark.operations.failures import explained, failure, shown
from odibi_spark.operations.frames import analyze, named, places, plain, types_of
from odibi_spark.operations.kinds import common_type, kind_of, word_of

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from odibi.contracts.transform import TransformContext

_HOW = {"semi": "left_semi", "anti": "left_anti"}


@attrs.frozen
class Join:
    """Put the rows of an input beside those of the frame, wherever their keys are equal. A null key equals nothing.

    The key columns stand in the result once, under the names they have in the frame; ``right`` and ``full`` take them
    from whichever side has the row. Rows are in no order. What ``validate`` demands is found out when the rows are
    computed.
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

    def apply(self, frame: DataFrame, context: TransformContext) -> DataFrame:
        """The joined frame.

        Raises:
            TransformError: an input or a column is missing, keys are of different types, or both sides have a column.
        """
        how = "full" if self.how == "outer" else self.how
        other = context.get(self.right)
        keys = self._keys(frame, other, how)
        names = self._names(frame, other, keys, how)
        mine, theirs = self.validate.split("_to_")
        left, right = plain(frame, "l"), plain(other, "r")
        left_at, right_at = places(keys, frame.columns, "l"), places(keys.values(), other.columns, "r")
        with explained("join", frame.columns):
            if mine == "one" and keys:
                left = self._checked(left, left_at, list(keys), "the frame", context)
            if theirs == "one" and keys:
                right = self._checked(right, right_at, list(keys.values()), f"the input {self.right!r}", context)
            if how == "cross":
                joined = left.crossJoin(right)
            else:
                functions = functions_for(frame)
                pairs = zip(left_at, right_at, strict=True)
                on = [functions.col(one) == functions.col(another) for one, another in pairs]
                joined = left.join(right, on, _HOW.get(how, how))
            columns = self._columns(frame, other, keys, how)
            brought = [functions_for(frame).col(place) for place in places(names, other.columns, "r")]
            result = joined.select(*columns, *brought)
            analyze(result)
        return named(result, [*frame.columns, *names.values()])

    def _columns(self, frame: DataFrame, other: DataFrame, keys: Mapping[str, str], how: str) -> list[Column]:
        """Those of the frame, with its keys from whichever side has the row."""
        functions, ours, theirs = functions_for(frame), types_of(frame), types_of(other)
        columns = []
        for at, name in enumerate(frame.columns):
            column = functions.col(f"l{at}")
            if how in ("right", "full") and name in keys:
                partner = functions.col(places([keys[name]], other.columns, "r")[0])
                common = common_type([ours[name], theirs[keys[name]]])
                if common is None:
                    raise TransformError(
                        f"no type holds both the key {name!r}, which is {word_of(ours[name])} in the frame, and"
                        f" {keys[name]!r}, which is {word_of(theirs[keys[name]])} in {self.right!r}",
                        where="join",
                        remedy="Cast one of them first.",
                    )
                column = functions.coalesce(column.cast(common), partner.cast(common))
            columns.append(column)
        return columns

    def _keys(self, left: DataFrame, right: DataFrame, how: str) -> dict[str, str]:
        """Names of the key columns in the frame to names in the input."""
        if isinstance(self.on, str):
            keys = {self.on: self.on}
        else:
            keys = dict(self.on) if isinstance(self.on, Mapping) else dict(zip(self.on, self.on, strict=True))
        if bool(keys) == (how == "cross"):
            remedy = "A cross join has no keys." if keys else "Name the key columns in 'on', or ask for 'how: cross'."
            raise TransformError(f"'on' does not go with 'how: {how}'", where="join", remedy=remedy)
        require(keys, left.columns, "join")
        require(keys.values(), right.columns, "join", what=f"the input {self.right!r}")
        ours, others = types_of(left), types_of(right)
        for mine, theirs in keys.items():
            held, met = ours[mine], others[theirs]
            if kind_of(held) != kind_of(met) and "null" not in (kind_of(held), kind_of(met)):
                raise TransformError(
                    f"the key {mine!r} holds {word_of(held)} in the frame, and {theirs!r} holds {word_of(met)} in"
                    f" {self.right!r}",
                    where="join",
                    remedy="Cast one of them first.",
                )
        return keys

    def _names(self, left: DataFrame, right: DataFrame, keys: dict[str, str], how: str) -> dict[str, str]:
        """Columns that the input brings, to their names in the result."""
        if how in ("semi", "anti"):
            return {}
        there = set(left.columns)
        brought = [column for column in right.columns if column not in keys.values()]
        both = [column for column in brought if column in there]
        if both and not self.suffix:
            raise TransformError(
                f"the frame and the input {self.right!r} both have {listed(both)}",
                where="join",
                remedy="Set 'suffix' to rename those of the input, or select the columns you need first.",
            )
        names = {column: f"{column}{self.suffix}" if column in there else column for column in brought}
        refuse_repeats([*left.columns, *names.values()], "join", "the result would have the column")
        return names

    def _checked(
        self, side: DataFrame, keys: Sequence[str], columns: Sequence[str], name: str, context: TransformContext
    ) -> DataFrame:
        """The side, whose first key fails if a key is there twice where ``validate`` says once.

        The keys that are there twice are counted apart, in one row that meets all: unlike a window over the keys this
        needs no sorting, and neither null keys nor frequent ones gather on one machine.
        """
        functions = functions_for(side)
        col, lit = functions.col, functions.lit
        types = types_of(side)
        counted = side.dropna(subset=list(keys)).groupBy(*keys).agg(functions.count(lit(1)).alias("n")).where("n > 1")
        example: list[Column] = []
        for key, column in zip(keys, columns, strict=True):
            is_text = kind_of(types[key]) == "text"
            example += [lit(f"{', ' if example else ''}{column} = ")]
            example += [shown(functions, col(key), column, context, is_text=is_text)]
        told = functions.concat(*example, lit(" ("), col("n").cast("string"), lit(" times)"))
        check = counted.agg(functions.count(lit(1)).alias("_keys"), functions.min(told).alias("_told"))
        what = functions.concat(
            col("_keys").cast("string"),
            lit(f" keys are more than once in {name}, such as "),
            col("_told"),
            lit(f", which breaks {self.validate!r}"),
        )
        failed = failure(functions, "join", what, "Remove the duplicates first, or change 'validate'.")
        checked = functions.when(col("_keys") > 0, failed.cast(types[keys[0]])).otherwise(col(keys[0]))
        kept = [checked.alias(each) if each == keys[0] else col(each) for each in side.columns]
        return side.crossJoin(check).select(*kept)
