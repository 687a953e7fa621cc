"""The heads of Avro containers, read without Spark: whether they are some, and what Spark would misread."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from odibi.errors import DataError
from odibi_spark.formats.base import check_distinct, known_columns
from odibi_spark.formats.texts import where_of

if TYPE_CHECKING:
    from odibi.contracts.finding import Part
    from odibi.contracts.format import Source

_MAGIC = b"Obj\x01"
_AT_ONCE = 8
_LONGEST = 1 << 26


def check_heads(source: Source, parts: Sequence[Part], wanted: Sequence[str] | None, *, union_by_name: bool) -> None:
    """Refuse files that are no containers of records, or whose columns Spark would give another meaning.

    Raises:
        DataError: says which file, and which column.
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        schemas = list(pool.map(lambda part: _schema(source, part), parts))
    first = [field["name"] for field in schemas[0]["fields"]]
    for part, schema in zip(parts, schemas, strict=True):
        where = where_of(source, part)
        names = [field["name"] for field in schema["fields"]]
        check_distinct(names, where)
        if set(names) != set(first):
            raise _different(source, parts[0], where, first, names, union_by_name=union_by_name)
        if wanted is not None:
            known_columns([name for name in wanted if name not in part.partition], names, where)
        for field in schema["fields"]:
            if wanted is None or field["name"] in wanted:
                _check_type(field["type"], field["name"], where)


def _different(
    source: Source, part: Part, where: str, first: Sequence[str], names: Sequence[str], *, union_by_name: bool
) -> DataError:
    lacking = [repr(name) for name in first if name not in names]
    more = [repr(name) for name in names if name not in first]
    said = [f"lacks {', '.join(lacking)}"] if lacking else []
    said += [f"has {', '.join(more)} besides"] if more else []
    remedy = "Read the parts one by one, and put them together with the operation union."
    if union_by_name:
        remedy = f"Spark's Avro has no union_by_name. {remedy}"
    return DataError(f"the part {' and '.join(said)}, unlike {where_of(source, part)}", where=where, remedy=remedy)


def _schema(source: Source, part: Part) -> dict[str, Any]:
    where = where_of(source, part)
    with source.storage.open(part.path) as file:
        start = file.read(len(_MAGIC))
        if start != _MAGIC:
            raise DataError(
                "the file is empty" if not start else "this is not an Avro file: it does not begin as one",
                where=where,
                remedy="Check that the file is whole and that 'format' is right.",
            )
        try:
            schema = json.loads(_metadata(file)["avro.schema"])
        except (EOFError, KeyError, ValueError) as error:
            raise DataError(
                "this is not valid Avro: its head is damaged or cut off",
                where=where,
                remedy="Check that the file is whole and that 'format' is right.",
            ) from error
    if not isinstance(schema, dict) or schema.get("type") != "record":
        raise DataError("the file holds single values, not records", where=where, remedy="Write records with fields.")
    return schema


def _metadata(file: Any) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    while count := _long(file):
        if count < 0:
            count = -count
            _long(file)
        for _ in range(count):
            key = _bytes(file).decode()
            found[key] = _bytes(file)
    return found


def _long(file: Any) -> int:
    """A number in Avro's way: seven bits a byte, the lowest first, the sign in the lowest bit."""
    value, shift = 0, 0
    while True:
        byte: bytes = file.read(1)
        if not byte or shift > 63:
            raise EOFError
        value |= (byte[0] & 0x7F) << shift
        shift += 7
        if not byte[0] & 0x80:
            return (value >> 1) ^ -(value & 1)


def _bytes(file: Any) -> bytes:
    size = _long(file)
    if not 0 <= size <= _LONGEST:
        raise ValueError("a length that cannot be")
    data: bytes = file.read(size)
    if len(data) != size:
        raise EOFError
    return data


def _check_type(kind: Any, column: str, where: str) -> None:
    if isinstance(kind, list):
        others = [each for each in kind if each != "null"]
        if len(others) > 1:
            raise _refused(column, f"one of {len(others)} types", where)
        for each in others:
            _check_type(each, column, where)
    elif isinstance(kind, Mapping):
        if kind.get("logicalType") in ("time-millis", "time-micros"):
            raise _refused(column, "a time of day", where)
        for inner in (kind.get("items"), kind.get("values"), *(each["type"] for each in kind.get("fields", ()))):
            if inner is not None:
                _check_type(inner, column, where)


def _refused(column: str, what: str, where: str) -> DataError:
    return DataError(
        f"column {column!r} is {what}, which no column can be",
        where=where,
        remedy="Read the other columns with 'columns', or have it written with one type.",
    )
