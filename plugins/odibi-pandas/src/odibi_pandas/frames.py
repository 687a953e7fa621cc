"""Between pandas frames and Arrow tables.

The frames of this engine have Arrow-backed columns, so that going to Arrow and back copies nothing. Frames that a
function made may have any columns that pandas knows; they are converted when they have to be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from odibi.contracts.engine import Column, FrameInfo
from odibi.contracts.plain import plain
from odibi.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pandas as pd
    import pyarrow as pa


def to_table(frame: pd.DataFrame) -> pa.Table:
    """The frame as an Arrow table.

    Named levels of the index come first, as columns; an index without a name holds no data and is left out. Names of
    columns that are not strings become strings.

    Raises:
        DataError: a column cannot be expressed in Arrow, or two would have one name.
    """
    import pandas as pd
    import pyarrow as pa

    if isinstance(frame.columns, pd.MultiIndex):
        raise DataError(
            "the frame's columns have more than one level",
            remedy="Give each column one name, such as frame.columns = ['_'.join(c) for c in frame.columns].",
        )
    names: list[str] = []
    arrays: list[pa.ChunkedArray] = []
    for name, values in _columns(frame):
        names.append(name)
        arrays.append(_to_arrow(name, values))
    if len(set(names)) != len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise DataError(
            f"the frame has more than one column called {', '.join(map(repr, twice))}",
            remedy="Rename all but one of them.",
        )
    return pa.table(arrays, names=names)


def from_table(table: pa.Table) -> pd.DataFrame:
    """The table as a frame with Arrow-backed columns, without a copy; equal names are told apart by ``_1``, ``_2``."""
    import pandas as pd

    if not table.num_columns:
        return pd.DataFrame(index=pd.RangeIndex(table.num_rows))
    names = table.column_names
    if len(set(names)) != len(names):
        names = distinct(names)
    columns = {
        name: pd.arrays.ArrowExtensionArray(_plain(column)) for name, column in zip(names, table.columns, strict=True)
    }
    return pd.DataFrame(columns, copy=False)


def distinct(names: Sequence[str]) -> list[str]:
    """``names`` with ``_1``, ``_2`` after those that were there before, whichever their case, as SQL sees it."""
    taken: set[str] = set()
    result = []
    for name in names:
        candidate, count = name, 0
        while candidate.casefold() in taken:
            count += 1
            candidate = f"{name}_{count}"
        taken.add(candidate.casefold())
        result.append(candidate)
    return result


def info(frame: pd.DataFrame) -> FrameInfo:
    """Rows, columns and memory, as far as they are known without computing."""
    schema = []
    size = 0
    for name, values in _columns(frame):
        schema.append(Column(name, _type_of(values)))
        size += int(values.nbytes)
    return FrameInfo(rows=len(frame), schema=tuple(schema), bytes=size)


def rows(frame: pd.DataFrame, n: int) -> list[Mapping[str, Any]]:
    """The first ``n`` rows as values that JSON has."""
    head = frame.head(max(n, 0))
    columns = [(name, [plain(value) for value in _values(values)]) for name, values in _columns(head)]
    return [{name: values[row] for name, values in columns} for row in range(len(head))]


def _values(values: Any) -> list[Any]:
    try:
        return list(values.tolist())
    except (OverflowError, ValueError):
        # A moment that Python's calendar does not reach.
        return [None if missing else str(value) for value, missing in zip(_texts(values), values.isna(), strict=True)]


def _texts(values: Any) -> list[Any]:
    import pyarrow as pa

    number = pa.int32() if pa.types.is_date32(values.dtype.pyarrow_dtype) else pa.int64()
    return [f"{it} ({values.dtype.pyarrow_dtype})" for it in values.__arrow_array__().cast(number).to_pylist()]


def _columns(frame: pd.DataFrame) -> Iterator[tuple[str, Any]]:
    """Name and pandas array of each column, those of named index levels first."""
    index = frame.index
    for level, name in enumerate(index.names):
        if name is not None:
            yield str(name), index.get_level_values(level).array
    for name, series in frame.items():
        yield str(name), series.array


def _to_arrow(name: str, values: Any) -> pa.ChunkedArray:
    import pandas as pd
    import pyarrow as pa

    if isinstance(values, pd.arrays.ArrowExtensionArray):
        column = values.__arrow_array__()
        return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
    try:
        return _plain(pa.chunked_array([pa.array(values, from_pandas=True)]))
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError, TypeError) as error:
        if isinstance(values.dtype, pd.PeriodDtype | pd.IntervalDtype | pd.SparseDtype):
            kinds = f"values of the type {values.dtype}"
        else:
            found = sorted({type(value).__name__ for value in values if value is not None and value is not pd.NA})
            kinds = f"values of the types {', '.join(found)}" if len(found) > 1 else f"values of the type {found[0]}"
        raise DataError(
            f"column {name!r} holds {kinds}, which do not fit one Arrow type",
            remedy="Convert the column to one type, for example with astype or the cast operation.",
        ) from error


def _type_of(values: Any) -> str:
    import pandas as pd
    import pyarrow as pa

    dtype = values.dtype
    if isinstance(dtype, pd.ArrowDtype):
        return str(dtype.pyarrow_dtype)
    try:
        return str(pa.array(values[:100] if dtype.kind == "O" else values[:0], from_pandas=True).type)
    except (pa.ArrowException, OverflowError, TypeError):
        return str(dtype)


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column in a type that pandas can compute with: dictionaries and views become what they stand for."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_dictionary(kind):
        return column.cast(kind.value_type)
    if pa.types.is_run_end_encoded(kind):
        return pc.run_end_decode(column)
    if pa.types.is_string_view(kind):
        return column.cast(pa.large_string())
    if pa.types.is_binary_view(kind):
        return column.cast(pa.large_binary())
    if isinstance(kind, pa.BaseExtensionType):
        return pa.chunked_array([chunk.storage for chunk in column.chunks], type=kind.storage_type)
    return column
