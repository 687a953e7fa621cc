"""Rows by key: those that are there, and those that are new."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

import attrs

from odibi.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa


@attrs.frozen
class Merged:
    """The outcome of a merge.

    Attributes:
        table: all rows: those that were there in their order, then the new ones in theirs.
        rows: how many of the given rows are in it.
    """

    table: pa.Table
    rows: int


def check_keys(table: pa.Table, keys: Sequence[str], where: str) -> None:
    """Refuse rows that their keys do not tell apart.

    Raises:
        DataError: a key column is missing, a key is null, or two rows have the same keys.
    """
    import pyarrow.compute as pc

    if not keys:
        raise DataError("rows are merged by key, but no keys are given", where=where, remedy="Give 'keys'.")
    for key in keys:
        if key not in table.column_names:
            close = difflib.get_close_matches(key, table.column_names, n=1)
            hint = f"Did you mean {close[0]!r}? " if close else ""
            raise DataError(
                f"there is no key column {key!r}",
                where=where,
                remedy=f"{hint}The columns are: {', '.join(table.column_names)}.",
            )
        nulls = table.column(key).null_count
        if nulls:
            raise DataError(
                f"the key {key!r} is null in {nulls} row{'s' * (nulls != 1)}",
                where=where,
                remedy="Remove these rows, or fill the key, in a step before.",
            )
    counts = table.select(list(keys)).group_by(list(keys)).aggregate([([], "count_all")])
    extra = table.num_rows - counts.num_rows
    if extra:
        keyed = pc.sum(pc.greater(counts.column("count_all"), 1)).as_py()
        raise DataError(
            f"{keyed} key{'s' * (keyed != 1)} ({', '.join(keys)}) come{'s' * (keyed == 1)} in more than one row",
            where=where,
            remedy="Keep one row a key in a step before, for example with drop_duplicates.",
        )


def merge(old: pa.Table, new: pa.Table, keys: Sequence[str], where: str, *, replace: bool) -> Merged:
    """The rows of ``old`` with those of ``new``, whose keys were checked.

    Args:
        old: what is there.
        new: what is written.
        keys: the columns that tell rows apart.
        where: the target, for errors.
        replace: whether a row whose keys are there replaces the old one, or is left out.

    Raises:
        DataError: the two have different columns or types.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    old, new = _alike(old, new, where)
    found = _matches(old, new, keys)
    known = set(pc.drop_null(found).unique().to_pylist())
    fresh = [row for row in range(new.num_rows) if row not in known]
    everything = pa.concat_tables([old, new])
    kept = pa.array(range(old.num_rows), pa.int64())
    if replace:
        kept = pc.coalesce(pc.add(found, old.num_rows), kept)
    rows = pa.concat_arrays([_array(kept), pa.array([old.num_rows + row for row in fresh], pa.int64())])
    return Merged(everything.take(rows), new.num_rows if replace else len(fresh))


def _matches(old: pa.Table, new: pa.Table, keys: Sequence[str]) -> pa.Array:
    """For each old row the number of the new row with its keys, or null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    left = old.select(list(keys)).append_column("__old", pa.array(range(old.num_rows), pa.int64()))
    right = new.select(list(keys)).append_column("__new", pa.array(range(new.num_rows), pa.int64()))
    joined = left.join(right, keys=list(keys), join_type="left outer")
    return _array(pc.take(joined.column("__new"), pc.sort_indices(joined.column("__old"))))


def _array(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    import pyarrow as pa

    return pa.concat_arrays(values.chunks) if isinstance(values, pa.ChunkedArray) else values


def _alike(old: pa.Table, new: pa.Table, where: str) -> tuple[pa.Table, pa.Table]:
    import pyarrow as pa

    if set(old.column_names) != set(new.column_names):
        missing = sorted(set(old.column_names) - set(new.column_names))
        extra = sorted(set(new.column_names) - set(old.column_names))
        said = [f"lacks {', '.join(map(repr, missing))}"] if missing else []
        said += [f"has {', '.join(map(repr, extra))} besides"] if extra else []
        raise DataError(
            f"the frame {' and '.join(said)}, unlike what is there",
            where=where,
            remedy="Give it the same columns in a step before.",
        )
    new = new.select(old.column_names)
    if old.schema.equals(new.schema):
        return old, new
    try:
        schema = pa.unify_schemas([old.schema, new.schema], promote_options="permissive")
        return old.cast(schema), new.cast(schema)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        differing = [
            f"{field.name} ({field.type}, there {old.schema.field(field.name).type})"
            for field in new.schema
            if field.type != old.schema.field(field.name).type
        ]
        raise DataError(
            f"the frame has other types than what is there: {', '.join(differing)}",
            where=where,
            remedy="Cast these columns in a step before.",
        ) from error
