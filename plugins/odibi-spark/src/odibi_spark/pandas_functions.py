"""Functions on pandas frames, on Spark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from odibi.errors import TransformError
from odibi_spark.arrow import collect, distribute
from odibi_spark.failures import told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def call(
    function: Callable[[Any], Any], frame: Any, *, kind: str, rowwise: bool, schema: str | None, limit: int
) -> Any:
    """What a function that declares ``frame="pandas"`` makes of a frame.

    One that is ``rowwise`` is called where the rows are, with some of them at a time. Another is called here, with all
    of them, of which there may not be more than the engine's ``driver_limit``. With ``frame="pandas_on_spark"`` it is
    called once, with a frame that looks like one of pandas and is none.

    Raises:
        TransformError: there is no such kind of frame.
    """
    if kind == "pandas":
        return _spread(function, frame, schema) if rowwise else _gathered(function, frame, limit)
    if kind == "pandas_on_spark":
        made = function(frame.pandas_api())
        if hasattr(made, "to_frame") and not hasattr(made, "to_spark"):
            made = made.to_frame()
        return made.to_spark() if hasattr(made, "to_spark") else made
    raise TransformError(
        f"Spark has no frames of the kind {kind!r}", remedy="The kinds are 'pandas' and 'pandas_on_spark'."
    )


def _spread(function: Callable[[Any], Any], frame: Any, schema: str | None) -> Any:
    """Call the function in Spark's workers."""
    wanted: Any = schema
    if wanted is None:
        wanted = _found_out(function, frame)

    def work(batches: Iterator[Any]) -> Iterator[Any]:
        for batch in batches:
            yield function(batch)

    with told("a function on pandas frames"):
        return frame.mapInPandas(work, wanted)


def _found_out(function: Callable[[Any], Any], frame: Any) -> Any:
    """The columns that the function makes, of a frame without rows."""
    import pyarrow as pa
    from pyspark.sql.pandas.types import from_arrow_schema

    empty = _pandas(frame.limit(0).toArrow())
    made = function(empty)
    found = pa.Schema.from_pandas(made, preserve_index=False)
    for field in found:
        if pa.types.is_null(field.type):
            raise TransformError(
                f"the type of the column {field.name!r} does not show when the function gets no rows",
                remedy='Declare what it returns: @transform(frame="pandas", rowwise=True, schema="id long, ...").',
            )
    return from_arrow_schema(found, prefer_timestamp_ntz=True)


def _gathered(function: Callable[[Any], Any], frame: Any, limit: int) -> Any:
    """Call the function here, with all rows."""
    made = function(_pandas(collect(frame, limit)))
    if made is None or not hasattr(made, "__arrow_c_stream__"):
        return made
    return distribute(frame.sparkSession, made)


def _pandas(table: Any) -> Any:
    import pandas as pd

    return table.to_pandas(types_mapper=pd.ArrowDtype)
