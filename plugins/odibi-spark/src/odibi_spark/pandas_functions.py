"""Functions on pandas frames, on Spark."""

from __future__ import annotations

import sys
import sysconfig
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from odibi.errors import TransformError
from odibi_spark.arrow import collect, distribute
from odibi_spark.arrow_types import arrow_schema
from odibi_spark.failures import told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SOME_ROWS = 100
_travelling = threading.Lock()


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
        try:
            like_pandas = frame.pandas_api()
        except ImportError as error:
            raise TransformError(
                f"Spark's frames that look like pandas do not work with the pandas that is installed: {error}",
                remedy='Install pandas 2, or declare frame="pandas".',
            ) from None
        made = function(like_pandas)
        if hasattr(made, "to_frame") and not hasattr(made, "to_spark"):
            made = made.to_frame()
        return made.to_spark() if hasattr(made, "to_spark") else made
    raise TransformError(
        f"Spark has no frames of the kind {kind!r}", remedy="The kinds are 'pandas' and 'pandas_on_spark'."
    )


def _spread(function: Callable[[Any], Any], frame: Any, schema: str | None) -> Any:
    """Call the function in Spark's workers."""
    if "context" in getattr(function, "keywords", {}):
        raise TransformError(
            "a function that works where the rows are cannot have the node's context",
            remedy="Leave out its parameter 'context', or the mark 'rowwise'.",
        )
    spark = frame.sparkSession
    with told("a function on pandas frames"):
        wanted = spark.createDataFrame([], schema).schema if schema is not None else _found_out(function, frame)
        with _by_value(getattr(function, "func", function)):
            return frame.mapInArrow(_Work(function, arrow_schema(wanted)), wanted)


class _Work:
    """Calls a function with some rows at a time, in a worker of Spark."""

    def __init__(self, function: Callable[[Any], Any], schema: Any) -> None:
        self._function = function
        self._schema = schema

    def __call__(self, batches: Iterator[Any]) -> Iterator[Any]:
        import pandas as pd
        import pyarrow as pa

        for batch in batches:
            made = self._function(pa.Table.from_batches([batch]).to_pandas(types_mapper=pd.ArrowDtype))
            table = pa.Table.from_pandas(made, preserve_index=False)
            yield from table.select(self._schema.names).cast(self._schema).to_batches()


@contextmanager
def _by_value(function: Any) -> Iterator[None]:
    """Let a function of the project travel as it is: workers cannot import the module that it stands in."""
    from pyspark.cloudpickle import register_pickle_by_value, unregister_pickle_by_value

    modules = [sys.modules[__name__]]
    own = sys.modules.get(getattr(function, "__module__", ""))
    if own is not None and not _is_installed(own):
        modules.append(own)
    with _travelling:
        for module in modules:
            register_pickle_by_value(module)  # type: ignore[no-untyped-call]
        try:
            yield
        finally:
            for module in modules:
                unregister_pickle_by_value(module)  # type: ignore[no-untyped-call]


def _is_installed(module: Any) -> bool:
    file = getattr(module, "__file__", None)
    if file is None:
        return True
    homes = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return any(Path(file).is_relative_to(home) for home in homes)


def _found_out(function: Callable[[Any], Any], frame: Any) -> Any:
    """The columns that the function makes, of some rows: what it makes of none may have other types."""
    import pyarrow as pa
    from pyspark.sql.pandas.types import from_arrow_schema

    made = function(_pandas(frame.limit(_SOME_ROWS).toArrow()))
    found = pa.Schema.from_pandas(made, preserve_index=False)
    for field in found:
        if pa.types.is_null(field.type):
            raise TransformError(
                f"the type of the column {field.name!r} does not show in what the function makes of {_SOME_ROWS} rows",
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
