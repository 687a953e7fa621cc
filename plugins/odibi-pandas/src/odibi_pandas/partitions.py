"""Columns that are folders: ``year=2013/month=1/``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from odibi.contracts.finding import NULL
from odibi.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

_INTEGER = re.compile(r"0|-?[1-9]\d{0,18}")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def type_of(values: set[str | None]) -> pa.DataType:
    """The type of a partition column: integers, dates, or else text."""
    import pyarrow as pa

    given = [value for value in values if value is not None]
    if given and all(_INTEGER.fullmatch(value) and -(2**63) <= int(value) < 2**63 for value in given):
        return pa.int64()
    if given and all(_DATE.fullmatch(value) for value in given):
        try:
            return pa.array(given).cast(pa.date32()).type
        except pa.ArrowInvalid:
            return pa.string()
    return pa.string()


def folder_of(names: Sequence[str], values: Sequence[Any]) -> str:
    """The folder for rows with these values."""
    return "/".join(f"{quote(name, safe=' ')}={_text(value, name)}" for name, value in zip(names, values, strict=True))


def _text(value: Any, name: str) -> str:
    if value is None:
        return NULL
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    if text == NULL:
        raise DataError(
            f"column {name!r} holds the text {NULL}, which stands for null in a folder's name",
            remedy="Replace it before, or do not partition by this column.",
        )
    return quote(text, safe=" +:,@")


def combinations(table: pa.Table, names: Sequence[str]) -> list[tuple[str, pa.Table]]:
    """The folders of a table's rows in the order in which they come up, each with its rows in their order."""
    import pyarrow as pa
    import pyarrow.compute as pc

    codes: Any = None
    for name in names:
        kind = table.schema.field(name).type
        if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            raise DataError(
                f"column {name!r} cannot name folders: it is {kind}",
                remedy="Partition by columns of numbers, texts, dates or truth values.",
            )
        encoded = table.column(name).combine_chunks().dictionary_encode(null_encoding="encode")
        if isinstance(encoded, pa.ChunkedArray):
            encoded = encoded.combine_chunks()
        own = encoded.indices.cast(pa.int64())
        codes = own if codes is None else pc.add(pc.multiply(codes, len(encoded.dictionary)), own)
    rest = [name for name in table.column_names if name not in names]
    order = pc.sort_indices(
        pa.table({"code": codes, "row": pa.array(range(table.num_rows), pa.int64())}),
        sort_keys=[("code", "ascending"), ("row", "ascending")],
    )
    sorted_codes = pc.take(codes, order)
    runs = pc.run_end_encode(sorted_codes)
    ends = runs.run_ends.to_pylist()
    found = []
    begin = 0
    for end in ends:
        rows = order.slice(begin, end - begin)
        first = rows[0].as_py()
        values = [table.column(name)[first].as_py() for name in names]
        found.append((first, folder_of(names, values), table.select(rest).take(rows)))
        begin = end
    return [(folder, part) for _, folder, part in sorted(found, key=lambda it: it[0])]
