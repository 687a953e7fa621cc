"""``cast``: columns as other types, and every value that will not go refused or made null."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import attrs

from odibi import option
from odibi.contracts.columns import require
from odibi.errors import TransformError
from odibi_spark.kinds import functions_for
from odibi_spark.operations.conversions import Conversion
from odibi_spark.operations.failures import explained, failure, shown
from odibi_spark.operations.frames import analyze, named, plain, types_of
from odibi_spark.operations.kinds import kind_of, spark_type, word_of

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame
    from pyspark.sql.types import DataType

    from odibi.contracts.transform import TransformContext


@attrs.frozen
class Cast:
    """Give columns other types.

    A value goes over whole or not at all: ``1.5`` is no ``int``, ``300`` no ``int8``, ``" 7"`` no number, and of the
    numbers only 0 and 1 are ``bool``. What is rounded: a float becomes the nearest float32 or decimal. A time without
    a zone counts as UTC, a time with one becomes the date or the local text of the session's zone. Null stays null.
    A value that will not go is found when the rows are computed, and the first of them is named.
    """

    rowwise: ClassVar[bool] = True

    types: Mapping[str, str] = option(
        help="Column to type: int, float, str, bool, date, datetime, datetime(zone), decimal(p, s), or Arrow's names."
    )
    on_error: Literal["error", "null"] | None = option("error", help="What becomes of a value that will not go.")
    # YAML reads a plain null as no value at all, so that means "null" too.

    def apply(self, frame: DataFrame, context: TransformContext) -> DataFrame:
        """The frame with the columns cast, where they were; it fails when it is computed if a value will not go.

        Raises:
            TransformError: a column is missing, or a type is not known or cannot be reached from the column's.
        """
        names, held, functions = frame.columns, types_of(frame), functions_for(frame)
        require(self.types, names, "cast")
        wanted = {column: spark_type(text, "cast") for column, text in self.types.items()}
        columns = [
            self._cast(functions, f"c{at}", name, held[name], wanted[name], context)
            if name in wanted
            else functions.col(f"c{at}")
            for at, name in enumerate(names)
        ]
        with explained("cast", names):
            found = plain(frame).select(*columns)
            analyze(found)
        return named(found, names)

    def _cast(
        self, functions: Any, place: str, name: str, held: DataType, wanted: str, context: TransformContext
    ) -> Column:
        made = Conversion(functions, held, wanted).of(place)
        if made is None:
            raise TransformError(
                f"the column {name!r} holds {word_of(held)}, which cannot become {self.types[name]!r}",
                where="cast",
                remedy="Cast to 'str' first, or derive the column with an expression.",
            )
        if self.on_error != "error" or held.simpleString() == wanted:
            return made
        value = functions.col(place)
        text = shown(functions, value, name, context, is_text=kind_of(held) == "text")
        what = functions.concat(
            functions.lit(f"a value of the column {name!r} ({word_of(held)}) cannot become {self.types[name]!r}: "),
            text,
        )
        remedy = "Clean the values first, or set 'on_error: null'."
        failed = failure(functions, "cast", what, remedy).cast(wanted)
        return functions.when(value.isNotNull() & made.isNull(), failed).otherwise(made)  # type: ignore[no-any-return]
