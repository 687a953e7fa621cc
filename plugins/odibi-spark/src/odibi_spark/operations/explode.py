"""``explode``: lists to rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import attrs

from odibi import option
from odibi.contracts.columns import listed, names_of, require
from odibi.errors import TransformError
from odibi_spark.kinds import functions_for
from odibi_spark.operations.failures import failure
from odibi_spark.operations.frames import named, places, plain, types_of
from odibi_spark.operations.kinds import word_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import DataType

    from odibi.contracts.transform import TransformContext


@attrs.frozen
class Explode:
    """Make a row of each element of a list; the other columns are repeated."""

    rowwise: ClassVar[bool] = True

    columns: str | tuple[str, ...] = option(
        help="The columns that hold lists; several are exploded side by side, and must be equally long in each row.",
        aliases=("column",),
    )
    keep_empty: bool = option(True, help="Whether a row whose list is null or empty stays, with null in its place.")

    def apply(self, frame: DataFrame, context: TransformContext) -> DataFrame:  # noqa: ARG002 - the contract's
        """The frame with elements in place of lists; it fails when it is computed if the lists of a row differ.

        Raises:
            TransformError: a column is missing or holds no lists.
        """
        names, types, functions = frame.columns, types_of(frame), functions_for(frame)
        columns = tuple(dict.fromkeys(names_of(self.columns)))
        require(columns, names, "explode")
        if not columns:
            raise TransformError("there is nothing to explode", where="explode", remedy="Name a column in 'columns'.")
        for name in columns:
            _check_list(name, types[name])
        # A null list is an empty one, also where it stands beside others.
        lists = [
            functions.coalesce(functions.col(place), functions.array().cast(types[name]))
            for name, place in zip(columns, places(columns, names), strict=True)
        ]
        zipped = functions.arrays_zip(*(each.alias(f"e{at}") for at, each in enumerate(lists)))
        for other in lists[1:]:
            differ = failure(
                functions,
                "explode",
                functions.lit(f"the lists of {listed(columns)} differ in length in a row"),
                "Explode them one after another, or make them equally long.",
            )
            zipped = functions.when(functions.size(lists[0]) != functions.size(other), differ).otherwise(zipped)
        make = functions.explode_outer if self.keep_empty else functions.explode
        exploded = plain(frame).select("*", make(zipped).alias("e"))
        kept = [
            functions.col("e").getField(f"e{columns.index(name)}") if name in columns else functions.col(f"c{at}")
            for at, name in enumerate(names)
        ]
        return named(exploded.select(*kept), names)


def _check_list(name: str, type_: DataType) -> None:
    from pyspark.sql.types import ArrayType

    if not isinstance(type_, ArrayType):
        raise TransformError(
            f"the column {name!r} holds {word_of(type_)}, not lists",
            where="explode",
            remedy="Make lists of it first, for example with derive and split.",
        )
