"""Arrow's types and Delta's: what a table can hold, and how a frame is made to fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from odibi.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

_MOST_DIGITS = 38
_DIGITS = 19
"""Of a whole number, at most."""


class _Refused(Exception):
    """A type that Delta has not; says what to do instead."""


_REMEDIES = {
    "time": "Cast it to text, or to a number of seconds, in a step before.",
    "duration": "Cast it to a number of seconds, in a step before.",
    "interval": "Cast it to numbers, in a step before.",
    "null": "It holds nothing but nulls, and so has no type: cast it to one, in a step before.",
    "decimal": f"A Delta table has {_MOST_DIGITS} digits at most: cast it to fewer, or to text, in a step before.",
    "other": "Cast it to a type that Delta has, such as text, in a step before.",
}


def delta_type(kind: pa.DataType) -> pa.DataType:
    """The type under which Delta keeps all values of ``kind``, or nearly all: a cast to it shows whether all.

    Raises:
        _Refused: there is none; its argument is the remedy.
    """
    import pyarrow as pa

    of = pa.types
    if of.is_dictionary(kind) or of.is_run_end_encoded(kind):
        return delta_type(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):
        if getattr(kind, "extension_name", "") == "arrow.json":
            return pa.string()
        raise _Refused(_REMEDIES["other"])
    if of.is_signed_integer(kind) or of.is_boolean(kind) or of.is_float32(kind) or of.is_float64(kind):
        return kind
    if of.is_unsigned_integer(kind):
        return {8: pa.int16(), 16: pa.int32(), 32: pa.int64(), 64: pa.decimal128(20, 0)}[kind.bit_width]
    if of.is_float16(kind):
        return pa.float32()
    if of.is_decimal(kind):
        precision, scale = (kind.precision, kind.scale) if kind.scale >= 0 else (kind.precision - kind.scale, 0)
        if precision > _MOST_DIGITS or scale > precision:
            raise _Refused(_REMEDIES["decimal"])
        return pa.decimal128(precision, scale)
    if of.is_date(kind):
        return pa.date32()
    if of.is_timestamp(kind):
        return pa.timestamp("us", "UTC" if kind.tz else None)
    if of.is_string(kind) or of.is_large_string(kind) or of.is_string_view(kind):
        return kind if of.is_large_string(kind) else pa.string()
    if of.is_binary(kind) or of.is_large_binary(kind) or of.is_binary_view(kind) or of.is_fixed_size_binary(kind):
        return kind if of.is_large_binary(kind) else pa.binary()
    if of.is_map(kind):
        return pa.map_(delta_type(kind.key_type), delta_type(kind.item_type))
    if of.is_struct(kind):
        return pa.struct([(field.name, delta_type(field.type)) for field in kind])
    if of.is_list(kind) or of.is_large_list(kind) or of.is_fixed_size_list(kind):
        item = delta_type(kind.value_type)
        return pa.large_list(item) if of.is_large_list(kind) else pa.list_(item)
    if of.is_list_view(kind) or of.is_large_list_view(kind):
        return pa.list_(delta_type(kind.value_type))
    name = next((each for each in ("time", "duration", "interval", "null") if str(kind).find(each) >= 0), "other")
    raise _Refused(_REMEDIES[name])


def fitted(table: pa.Table, where: str, *, untyped: Sequence[str] = ()) -> pa.Table:
    """The table in types that Delta has, without any loss.

    Args:
        table: a frame's rows.
        where: the target, for errors.
        untyped: columns that may stay without a type, as they get that of the table they go into.

    Raises:
        DataError: a column's type is none of Delta's, a value would change, or a name cannot be one.
    """
    import pyarrow as pa

    check_names(table.column_names, where)
    fields, columns = [], []
    for field, column in zip(table.schema, table.columns, strict=True):
        if pa.types.is_null(field.type) and field.name in untyped:
            fields.append(pa.field(field.name, field.type))
            columns.append(column)
            continue
        try:
            kind = delta_type(field.type)
        except _Refused as refusal:
            raise DataError(
                f"the column {field.name!r} is of type {field.type}, which Delta has not",
                where=where,
                remedy=str(refusal),
            ) from None
        fields.append(pa.field(field.name, kind))
        columns.append(_cast(column, kind, field.name, where))
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def check_names(names: Sequence[str], where: str) -> None:
    """Refuse names that a table cannot have beside each other, or at all.

    Raises:
        DataError: one is empty or has a backtick, or two differ in upper and lower case at most.
    """
    if not names:
        raise DataError("the frame has no columns", where=where, remedy="A table needs one at least.")
    seen: dict[str, str] = {}
    for name in names:
        if not name or "`" in name:
            raise DataError(f"a table cannot have a column called {name!r}", where=where, remedy="Rename it.")
        if name.lower() in seen:
            raise DataError(
                f"the columns {seen[name.lower()]!r} and {name!r} have one name to Delta, which does not tell upper"
                " case from lower",
                where=where,
                remedy="Rename one of them in a step before.",
            )
        seen[name.lower()] = name


def _cast(column: pa.ChunkedArray, kind: pa.DataType, name: str, where: str) -> pa.ChunkedArray:
    import pyarrow as pa

    if column.type.equals(kind):
        return column
    try:
        return _plain(column).cast(kind, safe=True)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError):
        pass
    if pa.types.is_timestamp(column.type):
        raise DataError(
            f"the column {name!r} has moments of type {column.type} that Delta cannot hold: it keeps microseconds",
            where=where,
            remedy="Round them to microseconds in a step before.",
        )
    raise DataError(
        f"the column {name!r} has values of type {column.type} that do not go into Delta's {kind} without a loss",
        where=where,
        remedy="Cast it in a step before.",
    )


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Without the wrappers that Arrow does not cast through."""
    import pyarrow as pa

    if isinstance(column.type, pa.BaseExtensionType):
        return pa.chunked_array([chunk.storage for chunk in column.chunks], column.type.storage_type)
    if pa.types.is_run_end_encoded(column.type):
        import pyarrow.compute as pc

        return pc.run_end_decode(column)
    if pa.types.is_float16(column.type):
        return column.cast(pa.float32())
    return column


@attrs.frozen
class Match:
    """A frame beside a table.

    Attributes:
        table: the frame's rows, with the types of the table; the table's columns come first, in its order.
        added: columns that the table does not have.
        lacking: columns of the table that the frame does not have.
    """

    table: pa.Table
    added: tuple[str, ...]
    lacking: tuple[str, ...]


def matched(table: pa.Table, schema: pa.Schema, where: str, *, merge: bool) -> Match:
    """The rows of ``table``, whose types are Delta's, as the columns of a table want them.

    Args:
        table: the frame.
        schema: the table's.
        where: the target, for errors.
        merge: whether the frame may have more columns or fewer.

    Raises:
        DataError: the columns differ, or the types do such that values could change.
    """
    import pyarrow as pa

    there = {name.lower(): name for name in schema.names}
    names = [there.get(name.lower(), name) for name in table.column_names]
    table = table.rename_columns(names)
    added = tuple(name for name in names if name not in schema.names)
    lacking = tuple(name for name in schema.names if name not in names)
    if (added or lacking) and not merge:
        said = [f"lacks {', '.join(map(repr, lacking))}"] * bool(lacking)
        if added:
            shown = ", ".join(f"{name!r} ({table.schema.field(name).type})" for name in added)
            said.append(f"has {shown} besides")
        raise DataError(
            f"the frame {' and '.join(said)}, unlike the table",
            where=where,
            remedy="Give it the table's columns in a step before, or set schema_mode: merge (or overwrite).",
        )
    columns, fields, wrong = [], [], []
    for name in [name for name in schema.names if name not in lacking] + list(added):
        column, kind = table.column(name), table.schema.field(name).type
        if name not in added:
            wanted = delta_type(schema.field(name).type)
            if not _goes_into(kind, wanted):
                wrong.append(f"{name!r} ({kind}, in the table {wanted})")
                continue
            column, kind = _narrowed(column, wanted, name, where), wanted
        columns.append(column)
        fields.append(pa.field(name, kind))
    if wrong:
        raise DataError(
            f"the frame has other types than the table: {', '.join(wrong)}",
            where=where,
            remedy="Cast these columns in a step before, or replace the table with schema_mode: overwrite.",
        )
    return Match(pa.Table.from_arrays(columns, schema=pa.schema(fields)), added, lacking)


def _goes_into(kind: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether values of one type can be values of the other, if they are in its range."""
    import pyarrow as pa

    if kind.equals(wanted) or pa.types.is_null(kind):
        return True
    if _is_whole(kind) and _is_whole(wanted):
        return True
    if pa.types.is_integer(kind) and pa.types.is_floating(wanted):
        return True
    if pa.types.is_floating(kind) and (pa.types.is_floating(wanted) or pa.types.is_integer(wanted)):
        return True
    return _widens(kind, wanted)


def _widens(kind: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether all values of one type are values of the other; within lists and the like none is looked at."""
    import pyarrow as pa

    of = pa.types
    if kind.equals(wanted) or of.is_null(kind) or any(same(kind) and same(wanted) for same in (_is_text, _is_bytes)):
        return True
    if of.is_integer(kind) and of.is_integer(wanted):
        return bool(kind.bit_width <= wanted.bit_width)
    if of.is_float32(kind) and of.is_float64(wanted):
        return True
    if of.is_map(kind) and of.is_map(wanted):
        return _widens(kind.key_type, wanted.key_type) and _widens(kind.item_type, wanted.item_type)
    if _is_list(kind) and _is_list(wanted):
        return _widens(kind.value_type, wanted.value_type)
    if of.is_struct(kind) and of.is_struct(wanted):
        names = [field.name for field in kind] == [field.name for field in wanted]
        return names and all(_widens(one.type, other.type) for one, other in zip(kind, wanted, strict=True))
    return False


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_bytes(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _is_whole(kind: pa.DataType) -> bool:
    """Whether it holds numbers exactly; Arrow checks a cast from one such type to another."""
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_decimal(kind))


def _is_list(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _narrowed(column: pa.ChunkedArray, kind: pa.DataType, name: str, where: str) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    if column.type.equals(kind):
        return column
    try:
        if pa.types.is_integer(column.type) and pa.types.is_decimal(kind):
            # Arrow wants room for the largest of all numbers first, though there may be none.
            column = column.cast(pa.decimal128(_MOST_DIGITS, min(kind.scale, _MOST_DIGITS - _DIGITS)))
        found = column.cast(kind, safe=True)
        if pa.types.is_floating(column.type) and pa.types.is_float32(kind):
            # Arrow rounds here without a word.
            back = found.cast(column.type)
            alike = pc.or_kleene(pc.equal(back, column), pc.and_(pc.is_nan(back), pc.is_nan(column)))
            if not pc.all(alike, min_count=0).as_py():
                raise pa.ArrowInvalid("rounded")
        return found
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError):
        raise DataError(
            f"the column {name!r} has values of type {column.type} that do not go into the table's {kind} unchanged",
            where=where,
            remedy="Cast or round it in a step before, or replace the table with schema_mode: overwrite.",
        ) from None


def as_read(table: pa.Table) -> pa.Table:
    """Rows from delta-rs in the types that other readers use as well: no views."""
    import pyarrow as pa

    fields = [pa.field(field.name, _without_views(field.type), field.nullable) for field in table.schema]
    schema = pa.schema(fields)
    return table if table.schema.equals(schema) else table.cast(schema)


def _without_views(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    of = pa.types
    if of.is_string_view(kind):
        return pa.string()
    if of.is_binary_view(kind):
        return pa.binary()
    if of.is_map(kind):
        return pa.map_(_without_views(kind.key_type), _without_views(kind.item_type))
    if of.is_struct(kind):
        return pa.struct([pa.field(each.name, _without_views(each.type), each.nullable) for each in kind])
    if of.is_list(kind):
        return pa.list_(kind.value_field.with_type(_without_views(kind.value_type)))
    return kind
