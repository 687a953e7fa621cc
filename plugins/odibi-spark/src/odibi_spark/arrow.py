"""Frames of Spark as Arrow, and back: for other engines, for caches, and for people to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

from odibi.contracts.engine import Column, FrameInfo
from odibi.contracts.plain import plain
from odibi.errors import DataError
from odibi_spark.arrow_types import arrow_type, fitting
from odibi_spark.failures import told
from odibi_spark.kinds import is_remote

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

_SCHEMA = b"odibi.spark"


def info(frame: Any) -> FrameInfo:
    """The columns, in Arrow's words; rows are not known without computing them."""
    columns = []
    for field in frame.schema.fields:
        kind = arrow_type(field.dataType)
        word = field.dataType.simpleString() if kind is None else str(kind)
        columns.append(Column(field.name, word, field.nullable))
    return FrameInfo(None, tuple(columns))


def rows(frame: Any, n: int) -> Sequence[Mapping[str, Any]]:
    """Up to ``n`` rows as values that JSON has."""
    if n < 1:
        return []
    with told("a sample"):
        table = frame.limit(n).toArrow()
    names = table.column_names
    columns = [[plain(value) for value in _listed(column)] for column in table.columns]
    return [{name: values[at] for name, values in zip(names, columns, strict=True)} for at in range(table.num_rows)]


def _listed(column: Any) -> list[Any]:
    import pyarrow as pa

    try:
        return list(column.to_pylist())
    except (OverflowError, ValueError, pa.ArrowException):  # a moment that Python's calendar does not reach
        return list(column.cast(pa.string()).to_pylist())


def collect(frame: Any, limit: int) -> pa.Table:
    """All rows, in this process.

    Args:
        frame: of Spark.
        limit: the bytes that may come.

    Raises:
        DataError: there are more.
    """
    import pyarrow as pa

    with told("rows for this process"):
        schema = frame.schema
        if not schema.fields:
            raise DataError("a frame without columns has no rows that could be handed over")
        table = pa.Table.from_batches(*_batches(frame, limit))
    return _in_utc(table)


def _batches(frame: Any, limit: int) -> tuple[list[Any], Any]:
    """The batches of a frame and their schema, as they come from the cluster."""
    spark = frame.sparkSession
    if is_remote(spark):
        return _from_server(frame, limit)
    try:
        table = frame.toArrow()
    except Exception as error:
        if "maxResultSize" in str(error):
            raise _too_much(limit) from None
        raise
    if table.nbytes > limit:
        raise _too_much(limit)
    return table.to_batches(), table.schema


def _from_server(frame: Any, limit: int) -> tuple[list[Any], Any]:
    """Through a client, which hands on one batch after the other; the rest is not asked for when it gets too much."""
    client, query = frame.sparkSession._client, frame._plan.to_proto(frame.sparkSession._client)
    batches: list[Any] = []
    held = 0
    schema = None
    answers = client.to_table_as_iterator(query, frame._plan.observations)
    for each in answers:
        batch = getattr(each, "to_batches", None)
        if batch is None:
            continue  # the schema
        for one in batch():
            schema = one.schema
            held += one.nbytes
            if held > limit:
                answers.close()
                raise _too_much(limit)
            batches.append(one)
    if schema is None:
        table = frame.limit(0).toArrow()
        return table.to_batches(), table.schema
    return batches, schema


def _too_much(limit: int) -> DataError:
    return DataError(
        f"the frame has more than {limit:,} bytes, the most that may come to this process",
        where="engine spark",
        remedy="Keep the work on Spark, reduce the frame before, or raise the engine's driver_limit.",
    )


def _in_utc(table: pa.Table) -> pa.Table:
    """The table with moments in UTC, in whatever zone the session shows them."""
    import pyarrow as pa

    for at, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type) and field.type.tz not in (None, "UTC"):
            table = table.set_column(at, field.name, table.column(at).cast(pa.timestamp(field.type.unit, "UTC")))
    return table.replace_schema_metadata(None)


def distribute(spark: Any, stream: Any) -> Any:
    """A frame of the rows of any object with ``__arrow_c_stream__``."""
    import pyarrow as pa

    table = fitting(pa.table(stream))
    if not table.num_columns:
        raise DataError("a table without columns cannot be a frame of Spark", remedy="Give it at least one column.")
    if not table.num_rows:
        # Without any chunk, which is how a stream may come, a column of lists is more than pyspark takes.
        table = pa.Table.from_arrays([pa.array([], field.type) for field in table.schema], schema=table.schema)
    with told("rows for Spark"):
        return spark.createDataFrame(table, schema=_schema_of(table.schema))


def _schema_of(schema: Any) -> Any:
    from pyspark.sql.pandas.types import from_arrow_schema

    return from_arrow_schema(schema, prefer_timestamp_ntz=True)


def write_file(frame: Any, file: BinaryIO, limit: int) -> None:
    """Write the rows as one Arrow IPC file, with what Spark says of the columns."""
    import pyarrow as pa

    table = collect(frame, limit)
    schema = table.schema.with_metadata({_SCHEMA: frame.schema.json().encode()})
    with pa.ipc.new_file(file, schema) as writer:
        writer.write_table(table.cast(schema))


def read_file(spark: Any, data: memoryview) -> Any:
    """The frame that :func:`write_file` wrote."""
    import json

    import pyarrow as pa
    from pyspark.sql.types import StructType

    try:
        table = pa.ipc.open_file(pa.py_buffer(data)).read_all()
        said = (table.schema.metadata or {})[_SCHEMA]
        schema = StructType.fromJson(json.loads(said))
    except (pa.ArrowException, KeyError, ValueError, OSError) as error:
        raise DataError(f"this is no kept frame of Spark: {str(error).splitlines()[0]}") from None
    with told("a kept frame", data=True):
        return spark.createDataFrame(table.replace_schema_metadata(None), schema=schema)
