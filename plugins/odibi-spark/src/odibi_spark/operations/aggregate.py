"""``aggregate``: one row a group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import attrs

from odibi import option
from odibi.contracts.columns import names_of, refuse_repeats, require
from odibi.errors import TransformError
from odibi_spark.kinds import functions_for
from odibi_spark.operations.expressions import asks_tables, column_of, enclosed, quoted_for
from odibi_spark.operations.failures import explained
from odibi_spark.operations.frames import analyze, named, types_of
from odibi_spark.operations.measures import FUNCTIONS, measure
from odibi_spark.operations.names import quoted
from odibi_spark.operations.rows import asked

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from odibi.contracts.transform import TransformContext


@attrs.frozen
class Aggregate:
    """Make one row of each group of rows whose keys are the same; nulls are the same.

    The groups are in no order. Without keys there is one row, over an empty frame too.
    """

    rowwise: ClassVar[bool] = False

    by: str | tuple[str, ...] = option((), help="The key columns.", aliases=("group_by", "keys"))
    measures: Mapping[str, str] = option(
        help="New column to SQL expression (sum(amount)), or column to function (sum).", aliases=("aggregations",)
    )

    def apply(self, frame: DataFrame, context: TransformContext) -> DataFrame:
        """The keys, then the measures, in the order given.

        Raises:
            TransformError: a column is missing, two columns would have one name, or an expression cannot be.
        """
        columns = frame.columns
        by = names_of(self.by)
        require(by, columns, "aggregate")
        if not self.measures:
            raise TransformError("there is nothing to measure", where="aggregate", remedy="Give 'measures'.")
        refuse_repeats([*by, *self.measures], "aggregate", "the result would have the column")
        if any(asks_tables(text) for text in self.measures.values()):
            return self._asked(frame, by, context)
        functions = functions_for(frame)
        with explained("aggregate", columns):
            measured = [
                functions.expr(own) if (own := self._function(name, text, frame)) else
                column_of(functions, text.strip(), context, "aggregate")
                for name, text in self.measures.items()
            ]  # fmt: skip
            groups = frame.alias("df").groupBy(*(functions.col(quoted(key)) for key in by))
            found = groups.agg(*(column.alias(f"_odibi_{at}") for at, column in enumerate(measured)))
            analyze(found)
        return named(found, [*by, *self.measures])

    def _function(self, name: str, text: str, frame: DataFrame) -> str | None:
        """The SQL of a measure that is the name of a function."""
        word, columns = text.strip(), frame.columns
        is_function = word in FUNCTIONS
        if not is_function and (not word.isidentifier() or word in columns or name not in columns):
            return None
        require([name], columns, "aggregate")
        return measure(word, name, quoted(name), types_of(frame)[name], "aggregate")

    def _asked(self, frame: DataFrame, by: tuple[str, ...], context: TransformContext) -> DataFrame:
        """The same by a query, where a measure has a subquery."""
        keys = [f"df.{quoted_for(key, context)}" for key in by]
        measured = []
        for at, (name, text) in enumerate(self.measures.items()):
            if self._function(name, text, frame):
                raise TransformError(
                    f"the measure {name!r} is the name of a function, beside a measure with a subquery",
                    where="aggregate",
                    remedy=f"Write it as an expression, such as {text.strip()}({name}).",
                )
            measured.append(f"{enclosed(text, 'aggregate')} AS _odibi_{at}")
        query = f"SELECT {', '.join([*keys, *measured])} FROM df" + (f" GROUP BY {', '.join(keys)}" if keys else "")  # noqa: S608 - expressions are what users write
        return named(asked(context, query, frame, operation="aggregate"), [*by, *self.measures])
