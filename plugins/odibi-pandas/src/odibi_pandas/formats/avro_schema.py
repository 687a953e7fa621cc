"""Arrow's types in Avro's words, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from odibi.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa


def to_avro(field: pa.Field) -> dict[str, Any]:
    """The field of a record; every field may be null.

    Raises:
        DataError: Avro has no such type.
    """
    return {"name": field.name, "type": ["null", _avro_type(field.type, field.name)], "default": None}


def _avro_type(kind: pa.DataType, path: str) -> Any:
    import pyarrow as pa

    types = pa.types
    if types.is_null(kind):
        return "string"
    if types.is_boolean(kind):
        return "boolean"
    if types.is_integer(kind):
        return "int" if kind.bit_width < 32 or kind == pa.int32() else "long"
    if types.is_floating(kind):
        return "double" if kind == pa.float64() else "float"
    if types.is_string(kind) or types.is_large_string(kind):
        return "string"
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind):
        return "bytes"
    if types.is_date(kind):
        return {"type": "int", "logicalType": "date"}
    if types.is_timestamp(kind):
        unit = "millis" if kind.unit in ("s", "ms") else "micros"
        local = "" if kind.tz is not None else "local-"
        return {"type": "long", "logicalType": f"{local}timestamp-{unit}"}
    if types.is_time32(kind):
        return {"type": "int", "logicalType": "time-millis"}
    if types.is_time64(kind):
        return {"type": "long", "logicalType": "time-micros"}
    if types.is_decimal128(kind):
        return {"type": "bytes", "logicalType": "decimal", "precision": kind.precision, "scale": kind.scale}
    if types.is_list(kind) or types.is_large_list(kind):
        return {"type": "array", "items": ["null", _avro_type(kind.value_type, path)]}
    if types.is_struct(kind):
        fields = [kind.field(at) for at in range(kind.num_fields)]
        return {
            "type": "record",
            "name": "_".join(("row", *path.split("."))),
            "fields": [
                {"name": it.name, "type": ["null", _avro_type(it.type, f"{path}.{it.name}")], "default": None}
                for it in fields
            ],
        }
    raise DataError(
        f"column {path!r} is {kind}, which Avro does not have",
        remedy="Cast or drop it before, or write Parquet instead.",
    )


def to_arrow(record: dict[str, Any], columns: list[str], name: str) -> pa.Schema:
    """The schema of these columns of the records in the file ``name``.

    Raises:
        DataError: a field has a type that a column cannot have.
    """
    import pyarrow as pa

    types = {field["name"]: field["type"] for field in record["fields"]}
    return pa.schema([pa.field(column, _Types(name).of(types[column], column)) for column in columns])


class _Types:
    """Avro's types as Arrow's, for the file ``name``."""

    def __init__(self, name: str) -> None:
        self._name = name

    def of(self, kind: Any, column: str) -> pa.DataType:
        """The Arrow type of an Avro type."""
        import pyarrow as pa

        if isinstance(kind, list):
            others = [it for it in kind if it != "null"]
            if len(others) > 1:
                raise self._refusal(column, f"one of {len(others)} types")
            return self.of(others[0], column) if others else pa.null()
        if isinstance(kind, dict):
            logical = self._logical(kind)
            if logical is not None:
                return logical
            if kind["type"] == "array":
                return pa.list_(self.of(kind["items"], column))
            if kind["type"] == "map":
                return pa.map_(pa.string(), self.of(kind["values"], column))
            if kind["type"] in ("record", "error"):
                return pa.struct([pa.field(it["name"], self.of(it["type"], column)) for it in kind["fields"]])
            if kind["type"] == "enum":
                return pa.string()
            if kind["type"] == "fixed":
                return pa.binary()
            return self.of(kind["type"], column)
        plain = {
            "null": pa.null(),
            "boolean": pa.bool_(),
            "int": pa.int32(),
            "long": pa.int64(),
            "float": pa.float32(),
            "double": pa.float64(),
            "string": pa.string(),
            "bytes": pa.binary(),
        }
        if kind not in plain:
            raise self._refusal(column, f"of the type {kind!r}, which holds itself or is named elsewhere")
        return plain[kind]

    def _logical(self, kind: dict[str, Any]) -> pa.DataType | None:
        import pyarrow as pa

        logical = kind.get("logicalType")
        if logical == "decimal" and kind["precision"] <= 38:
            return pa.decimal128(kind["precision"], kind.get("scale", 0))
        return {
            "date": pa.date32(),
            "time-millis": pa.time32("ms"),
            "time-micros": pa.time64("us"),
            "timestamp-millis": pa.timestamp("ms", "UTC"),
            "timestamp-micros": pa.timestamp("us", "UTC"),
            "local-timestamp-millis": pa.timestamp("ms"),
            "local-timestamp-micros": pa.timestamp("us"),
            "uuid": pa.string(),
        }.get(str(logical))

    def _refusal(self, column: str, what: str) -> DataError:
        return DataError(
            f"column {column!r} is {what}, which no column can be",
            where=self._name,
            remedy="Read the other columns with 'columns', or have it written with one type.",
        )
