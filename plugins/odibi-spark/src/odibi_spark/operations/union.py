"""``union``: rows of several frames below one another."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import attrs

from odibi import option
from odibi.contracts.columns import listed, names_of
from odibi.errors import TransformError
from odibi_spark.kinds import functions_for
from odibi_spark.operations.frames import named, plain, types_of
from odibi_spark.operations.kinds import common_type, kind_of, word_of
from odibi_spark.operations.rows import distinct

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import DataType

    from odibi.contracts.transform import TransformContext


@attrs.frozen
class Union:
    """Put the rows of inputs below those of the frame.

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

    def apply(self, frame: DataFrame, context: TransformContext) -> DataFrame:
        """All rows.

        Raises:
            TransformError: an input is missing, or columns do not go together.
        """
        frames = [frame]
        frames += [self._fitted(frame, context.get(name), name) for name in names_of(self.inputs)]
        types = self._types(frames)
        whole, *others = (_aligned(each, types) for each in frames)
        for other in others:
            whole = whole.union(other)
        result = named(whole, types)
        return distinct(result, "union") if self.distinct else result

    def _fitted(self, first: DataFrame, other: DataFrame, name: str) -> DataFrame:
        """``other`` with columns that find those of ``first`` by their names."""
        ours, theirs = first.columns, other.columns
        if self.by == "position":
            if len(theirs) != len(ours):
                raise TransformError(
                    f"the frame has {len(ours)} columns, and the input {name!r} has {len(theirs)}",
                    where="union",
                    remedy="Select the same number of columns first, or use 'by: name'.",
                )
            return named(other, ours)
        if self.missing == "error":
            lacks = [column for column in ours if column not in theirs]
            adds = [column for column in theirs if column not in ours]
            if lacks or adds:
                parts = [f"lacks {listed(lacks)}"] * bool(lacks) + [f"has {listed(adds)} besides"] * bool(adds)
                raise TransformError(
                    f"the input {name!r} {' and '.join(parts)}",
                    where="union",
                    remedy="Select or rename columns first, or set 'missing: null'.",
                )
        return other

    def _types(self, frames: list[DataFrame]) -> dict[str, DataType]:
        """The columns of the result; refuses those that would meet another kind of values."""
        met: dict[str, list[DataType]] = {}
        for frame, name in zip(frames, ("the frame", *names_of(self.inputs)), strict=True):
            for column, held in types_of(frame).items():
                there = next((each for each in met.get(column, ()) if kind_of(each) != "null"), None)
                if there is not None and kind_of(held) != "null" and kind_of(there) != kind_of(held):
                    raise TransformError(
                        f"the column {column!r} holds {word_of(there)}, but {word_of(held)} in {name!r}",
                        where="union",
                        remedy="Cast one of them first.",
                    )
                met.setdefault(column, []).append(held)
        return {column: _meeting(column, types) for column, types in met.items()}


def _meeting(column: str, types: list[DataType]) -> DataType:
    found = common_type(types)
    if found is None:
        held = listed(dict.fromkeys(map(word_of, types)))
        raise TransformError(
            f"the columns do not go together: no type holds all of {column!r}, which are {held}",
            where="union",
            remedy="Cast them to one type first.",
        )
    return found


def _aligned(frame: DataFrame, types: dict[str, DataType]) -> DataFrame:
    """The frame with just those columns, of those types; nulls for those it lacks."""
    functions, names, held = functions_for(frame), frame.columns, types_of(frame)
    columns = []
    for name, wanted in types.items():
        column = functions.col(f"c{names.index(name)}") if name in held else functions.lit(None)
        columns.append(column if held.get(name) == wanted else column.cast(wanted))
    return plain(frame).select(*columns)
