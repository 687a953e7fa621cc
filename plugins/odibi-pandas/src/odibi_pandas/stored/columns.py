"""The columns of a frame, and its labels, as Arrow arrays that give them back as they were.

What Arrow has no word for is said beside the arrays, in notes that JSON can hold. The numbers of a NumPy column are
stored as they lie in memory; an Arrow-backed column is stored as itself, and taken back without a copy.
"""

from __future__ import annotations

import datetime
import zoneinfo
from typing import TYPE_CHECKING, Any

import attrs

from odibi.errors import DataError
from odibi_pandas.stored import plain

if TYPE_CHECKING:
    import pyarrow as pa

Note = dict[str, Any]


@attrs.define
class Arrays:
    """The arrays of a frame, as notes name them.

    Attributes:
        rows: those with a value for each row.
        others: those of any length: categories, levels, and labels of columns.
    """

    rows: list[pa.ChunkedArray] = attrs.field(factory=list)
    others: list[pa.ChunkedArray] = attrs.field(factory=list)

    def add(self, array: pa.Array | pa.ChunkedArray, *, of_rows: bool) -> int:
        """Keep an array; returns the number by which it is found again."""
        import pyarrow as pa

        among = self.rows if of_rows else self.others
        among.append(pa.chunked_array([array]) if isinstance(array, pa.Array) else array)
        return len(among) - 1 if of_rows else -len(among)

    def get(self, number: int) -> pa.ChunkedArray:
        """The array of this number."""
        return self.rows[number] if number >= 0 else self.others[-number - 1]

    def head(self, rows: int) -> Arrays:
        """The same for the first rows alone."""
        return Arrays([array.slice(0, rows) for array in self.rows], self.others)


def array_of(values: Any) -> Any:
    """The pandas array of a series or an index; NumPy's own where pandas only wraps it."""
    import pandas as pd

    array = values.array
    return array.to_numpy() if type(array) is pd.arrays.NumpyExtensionArray else array


def encode(values: Any, arrays: Arrays, name: str, *, of_rows: bool = True) -> Note:
    """The note for what :func:`array_of` gives.

    Args:
        values: the array.
        arrays: takes what has to be stored.
        name: what to call it in an error.
        of_rows: whether it has a value for each row.

    Raises:
        DataError: it would not come back as it is.
    """
    import numpy as np
    import pandas as pd

    def kept(kind: str, array: Any, **more: Any) -> Note:
        return {"kind": kind, "at": arrays.add(array, of_rows=of_rows), **more}

    def both(kind: str, one: Any, other: Any, **more: Any) -> Note:
        return {"kind": kind, "of": [encode(it, arrays, name, of_rows=of_rows) for it in (one, other)], **more}

    dtype = values.dtype
    if isinstance(dtype, pd.ArrowDtype):
        return kept("arrow", values.__arrow_array__())
    if isinstance(dtype, pd.StringDtype):
        missing = "NA" if dtype.na_value is pd.NA else "nan"
        return kept("string", _strings(values, name), storage=dtype.storage, missing=missing)
    if isinstance(dtype, pd.CategoricalDtype):
        categories = encode_labels(dtype.categories, arrays, f"the categories' index of {name}", of_rows=False)
        return kept("category", _array(values.codes), ordered=dtype.ordered, categories=categories)
    if isinstance(dtype, pd.DatetimeTZDtype):
        return kept("zoned", _array(values.view("i8")), unit=dtype.unit, zone=_zone(dtype.tz, name))
    if isinstance(dtype, pd.PeriodDtype):
        return kept("period", _array(values.view("i8")), dtype=dtype.name)
    if isinstance(dtype, pd.IntervalDtype):
        return both("interval", array_of(values.left), array_of(values.right), closed=dtype.closed)
    if dtype.name in _MASKED:
        data = values.to_numpy(dtype=_MASKED[dtype.name], na_value=np.dtype(_MASKED[dtype.name]).type(0))
        return kept("masked", _array(data, mask=values.isna()), dtype=dtype.name)
    if not isinstance(dtype, np.dtype):
        raise refused(name, f"is of the type {dtype}")
    if dtype.kind == "O":
        kind, array, missing = _objects(values, name)
        return kept(kind, array, missing=missing)
    if dtype.kind in "mM":
        return kept("numpy", _array(values.view("i8")), dtype=dtype.str)
    if dtype.kind in "biuf" and dtype.isnative and dtype.itemsize <= 8:
        return kept("numpy", _array(values), dtype=dtype.str)
    if dtype.kind == "c" and dtype.isnative and dtype.itemsize <= 16:
        return both("complex", values.real, values.imag, dtype=dtype.str)
    raise refused(name, f"is of the type {dtype}")


def decode(note: Note, arrays: Arrays) -> Any:
    """The pandas or NumPy array that was encoded; it may share memory that must not be written to."""
    import numpy as np
    import pandas as pd

    kind = note["kind"]
    if kind == "interval":
        left, right = (pd.Index(decode(it, arrays), copy=False) for it in note["of"])
        return pd.arrays.IntervalArray.from_arrays(left, right, closed=note["closed"])
    if kind == "complex":
        real, imaginary = (decode(it, arrays) for it in note["of"])
        both = np.empty(len(real), note["dtype"])
        both.real, both.imag = real, imaginary
        return both
    column = arrays.get(note["at"])
    if kind == "arrow":
        return pd.arrays.ArrowExtensionArray(column)
    if kind == "numpy":
        return _numpy(column, note["dtype"])
    if kind == "text":
        return _texts(column, plain.loads(note["missing"]))
    if kind == "plain":
        return _filled([plain.loads(text) for text in column.to_pylist()])
    if kind == "string":
        text: Any = pd.StringDtype(note["storage"], na_value=pd.NA if note["missing"] == "NA" else np.nan)
        return text.__from_arrow__(column)
    if kind == "category":
        dtype = pd.CategoricalDtype(decode_labels(note["categories"], arrays), note["ordered"])
        return pd.Categorical.from_codes(_numpy(column), dtype=dtype)
    if kind == "zoned":
        moments = pd.DatetimeIndex(_numpy(column, f"M8[{note['unit']}]"))
        return moments.tz_localize("UTC").tz_convert(_tzinfo(note["zone"])).array
    if kind == "period":
        span: Any = pd.PeriodDtype.construct_from_string(note["dtype"])
        return pd.arrays.PeriodArray(_numpy(column, "i8"), dtype=span)
    if kind == "masked":
        return _masked(column, note["dtype"])
    raise ValueError(f"{kind!r} is no kind of column")


# --- labels ---------------------------------------------------------------------------------------------------------


def encode_labels(index: Any, arrays: Arrays, name: str, *, of_rows: bool) -> Note:
    """The note for the index of rows or columns, for a level of one, or for categories; arguments as :func:`encode`.

    Raises:
        DataError: it would not come back as it is.
    """
    import pandas as pd

    if type(index) is pd.RangeIndex:
        bounds = [index.start, index.stop, index.step]
        return {"kind": "range", "bounds": bounds, "name": _name(index.name, name)}
    if type(index) is pd.MultiIndex:
        codes = [arrays.add(_array(it), of_rows=of_rows) for it in index.codes]
        levels = [encode_labels(it, arrays, name, of_rows=False) for it in index.levels]
        return {"kind": "levels", "codes": codes, "levels": levels, "name": _name(tuple(index.names), name)}
    if type(index) not in (
        *(pd.Index, pd.CategoricalIndex, pd.DatetimeIndex, pd.TimedeltaIndex, pd.PeriodIndex, pd.IntervalIndex),
    ):
        raise refused(name, f"is a {type(index).__name__}")
    # The frequency of a PeriodIndex is part of its type.
    freq = index.freq if isinstance(index, pd.DatetimeIndex | pd.TimedeltaIndex) else None
    return {
        "kind": "index",
        "values": encode(array_of(index), arrays, name, of_rows=of_rows),
        "freq": None if freq is None else _frequency(freq, name),
        "name": _name(index.name, name),
    }


def decode_labels(note: Note, arrays: Arrays) -> Any:
    """The index that was encoded."""
    import pandas as pd

    name = plain.loads(note["name"])
    if note["kind"] == "range":
        start, stop, step = note["bounds"]
        return pd.RangeIndex(start, stop, step, name=name)
    if note["kind"] == "levels":
        levels = [decode_labels(it, arrays) for it in note["levels"]]
        codes = [_numpy(arrays.get(number)) for number in note["codes"]]
        return pd.MultiIndex(levels, codes, names=name)
    values = decode(note["values"], arrays)
    if not isinstance(values, pd.arrays.ArrowExtensionArray):
        values = values.copy()  # it may become a column that somebody writes to
    dtype = object if values.dtype == object else None
    index: Any = pd.Index(values, dtype=dtype, name=name, copy=False, tupleize_cols=False)
    if note["freq"] is not None:
        index.freq = note["freq"]
    return index


def _name(value: Any, what: str) -> str:
    try:
        return plain.dumps(value)
    except plain.NotPlain as error:
        raise refused(what, f"has a name of the type {error.args[0].__name__}") from None


def _frequency(freq: Any, name: str) -> str:
    import pandas as pd

    text: str = freq.freqstr
    try:
        if pd.tseries.frequencies.to_offset(text) == freq:
            return text
    except ValueError:
        pass
    raise refused(name, f"has the frequency {text}, which has no name")


# --- values ---------------------------------------------------------------------------------------------------------

_MASKED = {"boolean": "bool"} | {
    f"{kind}{size}": f"{kind}{size}".lower()
    for kind, sizes in (("Int", (8, 16, 32, 64)), ("UInt", (8, 16, 32, 64)), ("Float", (32, 64)))
    for size in sizes
}
"""pandas' types with a mask for missing values, and the types of their data."""


def _array(values: Any, mask: Any = None) -> pa.Array:
    import pyarrow as pa

    return pa.array(values, mask=mask, from_pandas=False)


def _numpy(column: pa.ChunkedArray, dtype: str | None = None) -> Any:
    import numpy as np

    parts = [chunk.to_numpy(zero_copy_only=False) for chunk in column.chunks]
    if len(parts) == 1:
        whole = parts[0]
    else:
        whole = np.concatenate([np.empty(0, column.type.to_pandas_dtype()), *parts])
    return whole if dtype is None else whole.view(dtype)


def _masked(column: pa.ChunkedArray, name: str) -> Any:
    import pandas as pd
    import pyarrow.compute as pc

    mask = _numpy(pc.is_null(column))
    data = _numpy(pc.fill_null(column, False if name == "boolean" else 0) if column.null_count else column)
    if name == "boolean":
        return pd.arrays.BooleanArray(data, mask)
    return (pd.arrays.FloatingArray if name.startswith("Float") else pd.arrays.IntegerArray)(data, mask)


def _strings(values: Any, name: str) -> Any:
    import pyarrow as pa

    try:
        array = values.__arrow_array__()
        return array if pa.types.is_large_string(array.type) else array.cast(pa.large_string())
    except UnicodeEncodeError as error:
        raise refused(name, "holds a text with half a character (a lone surrogate)") from error


def _objects(values: Any, name: str) -> tuple[str, pa.Array, str]:
    """Kind, array, and the JSON of what stands for a missing value."""
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    kinds = set(map(type, values))
    none: list[Any] = [None] if type(None) in kinds else []
    others = kinds - {str, type(None)}
    if others == {float} and all(it != it for it in values if type(it) is float):
        none.append(float("nan"))
    elif others and others <= {type(pd.NA), type(pd.NaT)}:
        none.extend([it for it in (pd.NA, pd.NaT) if type(it) in others])
    elif others:
        none.extend([None, None])
    if len(none) < 2:
        mask = np.fromiter((type(it) is not str for it in values), bool, len(values)) if none else None
        try:
            array = pa.array(values, pa.large_string(), mask=mask, from_pandas=False)
            return "text", array, plain.dumps(none[0] if none else None)
        except UnicodeEncodeError:
            pass
    try:
        return "plain", pa.array([plain.dumps(it) for it in values], pa.large_string()), "null"
    except plain.NotPlain as error:
        raise refused(name, f"holds values of the type {error.args[0].__name__} as objects") from None


def _texts(column: pa.ChunkedArray, missing: Any) -> Any:
    import numpy as np
    import pyarrow.compute as pc

    parts = (chunk.to_numpy(zero_copy_only=False) for chunk in column.chunks)
    whole = np.concatenate([np.empty(0, object), *parts])
    if missing is not None and column.null_count:
        whole[_numpy(pc.is_null(column))] = missing
    return whole


def _filled(values: list[Any]) -> Any:
    import numpy as np

    # NumPy would make lists into rows of an array of two dimensions.
    array = np.empty(len(values), object)
    array[:] = values
    return array


def _zone(tz: Any, name: str) -> list[Any]:
    if isinstance(tz, zoneinfo.ZoneInfo) and tz.key:
        return ["zone", tz.key]
    if isinstance(tz, datetime.timezone):
        offset = tz.utcoffset(None)
        if repr(tz) == repr(datetime.timezone(offset)):
            return ["offset", offset.days, offset.seconds, offset.microseconds]
    raise refused(name, f"has a time zone of the type {type(tz).__module__}.{type(tz).__name__}")


def _tzinfo(zone: list[Any]) -> datetime.tzinfo:
    if zone[0] == "zone":
        return zoneinfo.ZoneInfo(zone[1])
    offset = datetime.timedelta(*zone[1:])
    return datetime.timezone(offset) if offset else datetime.UTC


def refused(name: str, why: str) -> DataError:
    """The error for what would not come back as it is."""
    return DataError(
        f"the frame cannot be kept as it is: {name} {why}",
        remedy="Convert it in a step, for example with astype, or set cache: false for the node.",
    )
