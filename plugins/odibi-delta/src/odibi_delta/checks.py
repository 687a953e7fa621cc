"""What is asked of a frame before any of it is written, and the words in which it is refused."""

from __future__ import annotations

import difflib
import logging
from typing import TYPE_CHECKING

from odibi.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

_log = logging.getLogger("odibi_delta")

MANY, TOO_MANY = 1_000, 10_000
"""Partitions of one write that are worth a warning, and that are refused."""

NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
"""The name of the folder of rows whose partition column is null; so no value may be called like that."""


def no_column(what: str, name: str, columns: Sequence[str], where: str) -> DataError:
    """That there is no column of that name.

    Args:
        what: it was wanted for, as in ``"key column"``.
        name: of the column.
        columns: those there are.
        where: the table.
    """
    close = difflib.get_close_matches(name, columns, n=1)
    hint = f"Did you mean {close[0]!r}? " if close else ""
    return DataError(
        f"there is no {what} {name!r}", where=where, remedy=f"{hint}The columns are: {', '.join(columns)}."
    )


def check_columns(wanted: Sequence[str], columns: Sequence[str], where: str, what: str = "column") -> None:
    """Refuse a name that is no column.

    Raises:
        DataError: names the first one, and the column that it may have meant.
    """
    for name in wanted:
        if name not in columns:
            raise no_column(what, name, columns, where)


def check_keys(table: pa.Table, keys: Sequence[str], where: str) -> None:
    """Refuse rows that their keys do not tell apart.

    Raises:
        DataError: there are no keys, one is no column, one is null, or two rows have the same.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if not keys:
        raise DataError("rows are merged by key, but the node names no keys", where=where, remedy="Give 'keys'.")
    check_columns(keys, table.column_names, where, "key column")
    for key in keys:
        kind = table.schema.field(key).type
        if pa.types.is_nested(kind):
            raise DataError(f"the key {key!r} is of type {kind}", where=where, remedy="Use keys of simple types.")
        nulls = table.column(key).null_count
        if nulls:
            raise null_key(key, nulls, where)
    counted = table.select(list(dict.fromkeys(keys))).group_by(list(dict.fromkeys(keys))).aggregate([([], "count_all")])
    if counted.num_rows < table.num_rows:
        twice = pc.sum(pc.greater(counted.column("count_all"), 1)).as_py()
        raise same_keys(twice, keys, where)


def null_key(key: str, rows: int, where: str) -> DataError:
    """That a key is null in some rows."""
    return DataError(
        f"the key {key!r} is null in {plural(rows, 'row')}",
        where=where,
        remedy="Remove these rows, or fill the key, in a step before.",
    )


def same_keys(twice: int, keys: Sequence[str], where: str) -> DataError:
    """That some keys are those of several rows."""
    said = "key is that of several rows" if twice == 1 else "keys are those of several rows each"
    return DataError(
        f"{twice} {said} ({', '.join(keys)})",
        where=where,
        remedy="Keep one row a key in a step before, for example with drop_duplicates.",
    )


def check_partitions(table: pa.Table, by: Sequence[str], where: str) -> None:
    """Refuse partitions that cannot be, or that are too many; warn of many.

    Raises:
        DataError: a column is missing or of a type whose values make no folder, a value would come back as null, no
            column is left, or there would be too many.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if not by:
        return
    check_columns(by, table.column_names, where, "column to partition by:")
    if len(set(by)) == table.num_columns:
        raise DataError(
            "all columns are partitions, so that nothing is left to write",
            where=where,
            remedy="Partition by fewer columns.",
        )
    for name in by:
        kind = table.schema.field(name).type
        if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            raise DataError(
                f"the table cannot be partitioned by {name!r}: {kind} values make no names of folders",
                where=where,
                remedy="Partition by columns of text, dates or numbers.",
            )
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            lost = pc.is_in(table.column(name), pa.array(["", NO_VALUE], kind))
            if pc.any(lost).as_py():
                raise lost_partition(name, where)
    check_number(table.select(list(by)).group_by(list(by)).aggregate([]).num_rows, where)


def lost_partition(name: str, where: str) -> DataError:
    """That a column to partition by has values that would come back as null."""
    return DataError(
        f"the column {name!r} to partition by has empty texts (or {NO_VALUE}), which a Delta table cannot tell from"
        " null",
        where=where,
        remedy="Replace them in a step before, by null for example.",
    )


def check_number(partitions: int, where: str) -> None:
    """Refuse too many partitions; warn of many.

    Raises:
        DataError: there would be too many.
    """
    if partitions > TOO_MANY:
        raise DataError(
            f"there would be {partitions:,} partitions, more than {TOO_MANY:,}",
            where=where,
            remedy="Partition by columns of fewer values, such as the year rather than the moment.",
        )
    if partitions > MANY:
        found = f"{partitions:,}"
        _log.warning("%s: %s partitions, more than %s; small files are slow to read", where, found, f"{MANY:,}")


def check_partitioning(wanted: Sequence[str], there: Sequence[str], where: str) -> None:
    """Refuse to write with other partitions than the table has; a node that names none takes those of the table.

    Raises:
        DataError: they differ.
    """
    if wanted and list(wanted) != list(there):
        has = f"is partitioned by {', '.join(there)}" if there else "has no partitions"
        raise DataError(
            f"the table {has}, and the node would partition it by {', '.join(wanted)}",
            where=where,
            remedy="Give the same partition_by or none; mode: overwrite with schema_mode: overwrite changes it.",
        )


def plural(number: int, what: str) -> str:
    """``1 row``, ``2 rows``."""
    return f"{number:,} {what}{'s' * (number != 1)}"
