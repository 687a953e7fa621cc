"""Arrow tables in the types that Spark has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from odibi.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa


def fitting(table: pa.Table) -> pa.Table:
    """The table with every column in a type that Spark has, where that loses nothing.

    Unsigned integers become wider signed ones, moments of finer grain than a microsecond become those of microseconds
    if they are whole ones, and dictionaries and views become what they stand for.

    Raises:
        DataError: a column is of a type that Spark does not have, or holds values that would change.
    """
    import pyarrow as pa

    for at, field in enumerate(table.schema):
        wanted = _wanted(field.type)
        if wanted is None:
            raise DataError(
                f"Spark has no type for column {field.name!r}, which is {field.type}",
                remedy="Cast the column before, for example to text.",
            )
        if wanted == field.type:
            continue
        try:
            column = table.column(at).cast(wanted)
        except pa.ArrowInvalid:
            raise DataError(
                f"column {field.name!r} is {field.type}, and some of its values would change as Spark's {wanted}",
                remedy="Round or cast the column before.",
            ) from None
        table = table.set_column(at, pa.field(field.name, wanted, field.nullable), column)
    return table.replace_schema_metadata(None)


def _wanted(kind: Any) -> Any:
    """The type that Spark takes in place of ``kind``; ``None`` if there is none."""
    import pyarrow as pa

    types = pa.types
    simple = {
        pa.uint8(): pa.int16(),
        pa.uint16(): pa.int32(),
        pa.uint32(): pa.int64(),
        pa.uint64(): pa.decimal128(20, 0),
        pa.float16(): pa.float32(),
        pa.date64(): pa.date32(),
        pa.string_view(): pa.string(),
        pa.large_string(): pa.string(),
        pa.binary_view(): pa.binary(),
        pa.large_binary(): pa.binary(),
    }
    if kind in simple:
        return simple[kind]
    if types.is_timestamp(kind):
        return pa.timestamp("us", kind.tz)
    if types.is_duration(kind):
        return pa.duration("us")
    if types.is_time(kind) or types.is_interval(kind) or types.is_decimal256(kind) or types.is_union(kind):
        return None
    if types.is_dictionary(kind):
        return _wanted(kind.value_type)
    if types.is_run_end_encoded(kind):
        return _wanted(kind.value_type)
    if types.is_fixed_size_binary(kind):
        return pa.binary()
    if isinstance(kind, pa.BaseExtensionType):
        return _wanted(kind.storage_type)
    return _nested(kind)


def _nested(kind: Any) -> Any:
    import pyarrow as pa

    types = pa.types
    if types.is_map(kind):
        key, item = _wanted(kind.key_type), _wanted(kind.item_type)
        return None if key is None or item is None else pa.map_(key, pa.field("value", item, kind.item_field.nullable))
    if types.is_struct(kind):
        inner = [(kind.field(at), _wanted(kind.field(at).type)) for at in range(kind.num_fields)]
        if any(wanted is None for _, wanted in inner):
            return None
        return pa.struct([pa.field(field.name, wanted, field.nullable) for field, wanted in inner])
    lists = (types.is_list, types.is_large_list, types.is_fixed_size_list, types.is_list_view, types.is_large_list_view)
    if any(is_one(kind) for is_one in lists):
        wanted = _wanted(kind.value_type)
        return None if wanted is None else pa.list_(pa.field("element", wanted, kind.value_field.nullable))
    return kind


def arrow_schema(schema: Any) -> pa.Schema:
    """The Arrow schema of a frame of Spark, as its rows come from it; moments in UTC.

    Raises:
        DataError: Arrow has no type for a column.
    """
    import pyarrow as pa

    fields = []
    for field in schema.fields:
        kind = arrow_type(field.dataType)
        if kind is None:
            raise DataError(
                f"Arrow has no type for column {field.name!r}, which is {field.dataType.simpleString()}",
                remedy="Cast the column before, for example to text.",
            )
        fields.append(pa.field(field.name, kind, field.nullable))
    return pa.schema(fields)


def arrow_type(kind: Any) -> Any:
    """The Arrow type of values of a type of Spark; ``None`` where there is none.

    Spark's own table of these has changed from release to release.
    """
    import pyarrow as pa
    from pyspark.sql import types as of

    simple = {
        of.NullType: pa.null(),
        of.BooleanType: pa.bool_(),
        of.ByteType: pa.int8(),
        of.ShortType: pa.int16(),
        of.IntegerType: pa.int32(),
        of.LongType: pa.int64(),
        of.FloatType: pa.float32(),
        of.DoubleType: pa.float64(),
        of.StringType: pa.string(),
        of.CharType: pa.string(),
        of.VarcharType: pa.string(),
        of.BinaryType: pa.binary(),
        of.DateType: pa.date32(),
        of.TimestampType: pa.timestamp("us", "UTC"),
        of.TimestampNTZType: pa.timestamp("us"),
        of.DayTimeIntervalType: pa.duration("us"),
    }
    if type(kind) in simple:
        return simple[type(kind)]
    if isinstance(kind, of.DecimalType):
        return pa.decimal128(kind.precision, kind.scale)
    if isinstance(kind, of.ArrayType):
        item = arrow_type(kind.elementType)
        return None if item is None else pa.list_(pa.field("element", item, kind.containsNull))
    if isinstance(kind, of.MapType):
        key, item = arrow_type(kind.keyType), arrow_type(kind.valueType)
        if key is None or item is None:
            return None
        return pa.map_(pa.field("key", key, nullable=False), pa.field("value", item, kind.valueContainsNull))
    if isinstance(kind, of.StructType):
        inner = [(field, arrow_type(field.dataType)) for field in kind.fields]
        if any(found is None for _, found in inner):
            return None
        return pa.struct([pa.field(field.name, found, field.nullable) for field, found in inner])
    return None
