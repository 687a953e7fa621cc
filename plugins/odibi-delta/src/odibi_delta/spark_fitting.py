"""Frames of Spark beside tables: which columns go where, in which types, and whether keys and partitions are sound.

What can be said from the types alone is said by the code that says it for Arrow tables, which is given one without
rows. What depends on values is left to Spark.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import attrs

from odibi.errors import DataError
from odibi_delta.checks import (
    NO_VALUE,
    check_columns,
    check_keys,
    check_number,
    check_partitioning,
    check_partitions,
    lost_partition,
    null_key,
    same_keys,
)
from odibi_delta.spark_failures import UNFIT
from odibi_delta.spark_places import quoted
from odibi_delta.spark_sessions import functions_for
from odibi_delta.types import fitted, matched

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from odibi_delta.snapshot import Snapshot

_MADE = ("delta.generationExpression", "delta.identity.start", "CURRENT_DEFAULT")
"""What is noted at columns of a table that Spark fills itself."""


@attrs.frozen
class Fit:
    """A frame that goes into a table.

    Attributes:
        frame: with the table's columns and types, as far as it has them.
        table: an Arrow table of its columns, without rows.
        added: columns that the table does not have yet.
        unfit: what to say of columns of which a value does not go into the table's type, each by its number in the text
            that Spark then raises.
    """

    frame: Any
    table: pa.Table
    added: tuple[str, ...] = ()
    unfit: tuple[str, ...] = ()


def as_new(frame: Any, where: str) -> Fit:
    """The frame as a table of its own.

    Raises:
        DataError: Delta has not the type of a column, or a name cannot be one.
    """
    return Fit(frame, fitted(_empty(frame.schema, where), where))


def as_part(frame: Any, snapshot: Snapshot, where: str, *, merge: bool) -> Fit:
    """The frame as the columns of a table want it.

    Args:
        frame: of Spark.
        snapshot: of the table.
        where: what errors call it.
        merge: whether the frame may have more columns or fewer.

    Raises:
        DataError: the columns differ, or their types do such that values could change.
    """
    from pyspark.sql.types import ArrayType, MapType, NullType, StructType

    given = {field.name.lower(): field for field in frame.schema.fields}
    schema = StructType.fromJson(json.loads(snapshot.schema))
    fields = [
        field
        for field in schema.fields
        if field.name.lower() in given or not any(note in field.metadata for note in _MADE)
    ]
    there = _empty(StructType(fields), where).schema
    found = matched(fitted(_empty(frame.schema, where), where, untyped=there.names), there, where, merge=merge)
    wanted = {field.name: field.dataType for field in fields}
    functions = functions_for(frame)
    columns: list[Any] = []
    unfit: list[str] = []
    for name in found.table.column_names:
        have = given[name.lower()]
        column = frame[quoted(have.name)]
        if name in wanted and wanted[name].simpleString() != have.dataType.simpleString():
            kind = wanted[name]
            if isinstance(have.dataType, NullType | ArrayType | MapType | StructType):
                column = column.cast(kind)
            else:
                # A cast may cut or round without a word: what does not come back is refused.
                cast = column.try_cast(kind)
                same = column.isNull() | cast.try_cast(have.dataType).eqNullSafe(column)
                wrong = functions.raise_error(functions.lit(f"{UNFIT}:{len(unfit)}:"))
                column = functions.when(same, cast).otherwise(wrong)
                before, after = (_arrow(each, where) for each in (have, _with_type(have, kind)))
                unfit.append(
                    f"the column {have.name!r} has values of type {before} that do not go into the table's {after}"
                    " unchanged"
                )
        columns.append(column.alias(name))
    return Fit(frame.select(*columns), found.table, found.added, tuple(unfit))


def _with_type(field: Any, kind: Any) -> Any:
    """The field with another type."""
    from pyspark.sql.types import StructField

    return StructField(field.name, kind)


# --- keys and partitions ----------------------------------------------------------------------------------------------


def checked_keys(fit: Fit, keys: Sequence[str], where: str) -> int:
    """Refuse rows that their keys do not tell apart; a Spark job.

    Returns:
        How many rows there are.

    Raises:
        DataError: there are no keys, one is no column, one is null, or two rows have the same.
    """
    check_keys(fit.table, keys, where)
    functions = functions_for(fit.frame)
    names = list(dict.fromkeys(keys))
    columns = {f"k{number}": fit.frame[quoted(name)] for number, name in enumerate(names)}
    grouped = fit.frame.select(*(column.alias(short) for short, column in columns.items())).groupBy(*columns)
    counted = grouped.agg(functions.count(functions.lit(1)).alias("n"))
    n = functions.col("n")
    nulls = [functions.sum(functions.when(functions.col(short).isNull(), n)).alias(short) for short in columns]
    twice = functions.sum(functions.when(n > 1, 1)).alias("twice")
    found = counted.agg(functions.sum(n).alias("rows"), twice, *nulls).first()
    for short, name in zip(columns, names, strict=True):
        if found[short]:
            raise null_key(name, int(found[short]), where)
    if found["twice"]:
        raise same_keys(int(found["twice"]), keys, where)
    return int(found["rows"] or 0)


def checked_partitions(fit: Fit, by: Sequence[str], where: str) -> None:
    """Refuse partitions that cannot be, or that are too many, and warn of many; a Spark job if there are any.

    Raises:
        DataError: as :func:`odibi_delta.checks.check_partitions`.
    """
    import pyarrow as pa

    check_partitions(fit.table, by, where)
    if not by:
        return
    functions = functions_for(fit.frame)
    columns = {f"p{number}": fit.frame[quoted(name)] for number, name in enumerate(by)}
    distinct = fit.frame.select(*(column.alias(short) for short, column in columns.items())).distinct()
    texts = {
        short: name
        for short, name in zip(columns, by, strict=True)
        if pa.types.is_string(fit.table.schema.field(name).type)
    }
    lost = [functions.max(functions.col(short).isin("", NO_VALUE)).alias(short) for short in texts]
    found = distinct.agg(functions.count(functions.lit(1)).alias("n"), *lost).first()
    for short, name in texts.items():
        if found[short]:
            raise lost_partition(name, where)
    check_number(int(found["n"]), where)


def check_same_partitions(fit: Fit, wanted: Sequence[str], there: Sequence[str], where: str) -> None:
    """Refuse to write with other partitions than the table has, or without one of their columns.

    Raises:
        DataError: they differ.
    """
    check_partitioning(wanted, there, where)
    check_columns(there, fit.table.column_names, where, "column to partition by:")


# --- types ------------------------------------------------------------------------------------------------------------


def _empty(schema: Any, where: str) -> pa.Table:
    """An Arrow table with the columns of a frame, and no rows."""
    import pyarrow as pa

    return pa.schema([(field.name, _arrow(field, where)) for field in schema.fields]).empty_table()


def _arrow(field: Any, where: str) -> pa.DataType:
    from pyspark.errors import PySparkTypeError, PySparkValueError
    from pyspark.sql.pandas.types import to_arrow_schema
    from pyspark.sql.types import StructType

    try:
        return to_arrow_schema(StructType([field])).field(0).type
    except (PySparkTypeError, PySparkValueError):
        raise DataError(
            f"the column {field.name!r} is of type {field.dataType.simpleString()}, which Delta has not",
            where=where,
            remedy="Cast it to a type that Delta has, such as text, in a step before.",
        ) from None
