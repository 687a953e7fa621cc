"""The rows of a frame, told by their keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from odibi.contracts.bounds import KEY_KINDS, key_digest, kind_of_type
from odibi.errors import DataError
from odibi_pandas.bounds import within
from odibi_pandas.frames import to_table

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    import pyarrow as pa

    from odibi.contracts import Bound
    from odibi.contracts.bounds import Value

_FRAME = "the frame"
_ROWS = 1 << 16
"""Rows that become Python values at a time."""
_PLACE = "\0place"


def digests(frame: Any, key: Sequence[str], bound: Bound) -> Iterator[tuple[int, bytes, Value]]:
    """Place, digest of the key and value; see :meth:`odibi.contracts.KeyedEngine.digests`."""
    import numpy as np
    import pyarrow as pa

    table = _with_keys(to_table(frame), key)
    names = list(dict.fromkeys([*key, bound.column]))
    known = table.select([name for name in names if name in table.column_names])
    found = within(known.append_column(_PLACE, pa.array(np.arange(table.num_rows))), bound, _FRAME)
    for begin in range(0, found.num_rows, _ROWS):
        part = found.slice(begin, _ROWS)
        columns = {name: _values(part.column(name), name) for name in names}
        keys = zip(*(columns[name] for name in key), strict=True)
        for place, values, value in zip(part.column(_PLACE).to_pylist(), keys, columns[bound.column], strict=True):
            yield place, key_digest(values), value


def newest_of_each(frame: Any, key: Sequence[str], column: str) -> Any:
    """One row of each key; see :meth:`odibi.contracts.KeyedEngine.newest_of_each`."""
    import numpy as np
    import pyarrow.compute as pc

    _with_keys(to_table(frame), key)
    keys = frame[list(dict.fromkeys(key))].reset_index(drop=True)
    if not keys.duplicated().any():
        return frame
    values = to_table(frame[[column]])
    order = pc.sort_indices(values, sort_keys=[(column, "descending")]).to_numpy()  # stable: of equals, the first
    is_double = keys.iloc[order].duplicated().to_numpy()
    return frame.iloc[np.sort(order[~is_double])].reset_index(drop=True)


def without(frame: Any, rows: Collection[int]) -> Any:
    """The other rows; see :meth:`odibi.contracts.KeyedEngine.without`."""
    import numpy as np

    if not rows:
        return frame
    keep = np.ones(len(frame), dtype=bool)
    keep[list(rows)] = False
    return frame[keep].reset_index(drop=True)


def _with_keys(table: pa.Table, key: Sequence[str]) -> pa.Table:
    """The table, once it is sure that each of its rows has a key.

    Raises:
        DataError: a column of the key is not there, is of a kind that no key has, or has no value somewhere.
    """
    for name in key:
        if name not in table.column_names:
            raise DataError(
                f"there is no column {name!r} of the key",
                where=_FRAME,
                remedy=f"The columns are: {', '.join(table.column_names)}.",
            )
        column = table.column(name)
        if column.null_count:
            raise DataError(
                f"column {name!r} of the key has no value in {column.null_count:,} of {table.num_rows:,} rows, by which"
                " they could be known again",
                where=_FRAME,
                remedy="Give a key that each row has.",
            )
        if kind_of_type(str(column.type)) not in KEY_KINDS:
            raise DataError(
                f"column {name!r} of the key is {column.type}, which no key can be told by",
                where=_FRAME,
                remedy=f"Give columns of these kinds: {', '.join(KEY_KINDS)}.",
            )
    return table


def _values(column: pa.ChunkedArray, name: str) -> list[Any]:
    """The values as Python has them, which is what digests are of."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_date64(column.type):
        column = column.cast(pa.date32())
    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
        whole = column.cast(pa.timestamp("us", column.type.tz), safe=False)
        if not pc.all(pc.equal(whole.cast(column.type), column)).as_py():
            raise DataError(
                f"column {name!r} has moments finer than a microsecond, which Python does not keep",
                where=_FRAME,
                remedy="Read by another column, or keep this one in microseconds.",
            )
        column = whole
    return list(column.to_pylist())
