"""A frame that is kept as an Arrow file comes back as it was."""

from __future__ import annotations

import datetime as dt
import decimal
import io
import json
import mmap
import zoneinfo
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings

from odibi.errors import DataError
from odibi_pandas.engine import PandasEngine

ENGINE = PandasEngine()
SLOW = list(HealthCheck)


def kept(frame: pd.DataFrame) -> bytes:
    file = io.BytesIO()
    ENGINE.write_arrow(frame, file)
    return file.getvalue()


def again(frame: pd.DataFrame) -> pd.DataFrame:
    return ENGINE.read_arrow(memoryview(kept(frame)))  # type: ignore[no-any-return]


def the_same(one: Any, other: Any) -> bool:
    """Equal, of the same types all the way down, and missing in the same way."""
    if type(one) is not type(other):
        return False
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(the_same, one, other))
    if isinstance(one, dict):
        return the_same(list(one), list(other)) and all(the_same(one[key], other[key]) for key in one)
    if one is pd.NA or one is pd.NaT:
        return one is other
    return repr(one) == repr(other)


def assert_alike(one: pd.Index[Any], other: pd.Index[Any]) -> None:
    assert type(one) is type(other)
    assert one.dtype == other.dtype
    assert one.identical(other)
    assert the_same(list(one.names), list(other.names))
    assert getattr(one, "freq", None) == getattr(other, "freq", None)
    assert the_same(list(one), list(other))
    if isinstance(one, pd.MultiIndex):
        for level, same in zip(one.levels, other.levels, strict=True):
            assert_alike(level, same)
        assert [list(it) for it in one.codes] == [list(it) for it in other.codes]


def assert_kept(frame: pd.DataFrame) -> None:
    back = again(frame)
    assert back.shape == frame.shape
    # A NaN in a list in a cell is no NaN to pandas; the_same looks at objects.
    comparable = [at for at in range(frame.shape[1]) if not pd.api.types.is_object_dtype(frame.dtypes.iloc[at])]
    pd.testing.assert_frame_equal(
        *(back.iloc[:, comparable], frame.iloc[:, comparable]),
        check_exact=True,
        check_freq=True,
        check_flags=True,
        check_names=True,
        check_index_type="exact",
        check_column_type="exact",
    )
    assert_alike(back.columns, frame.columns)
    assert_alike(back.index, frame.index)
    assert the_same(back.attrs, frame.attrs)
    for at in range(frame.shape[1]):
        was, now = frame.iloc[:, at], back.iloc[:, at]
        assert was.dtype == now.dtype
        assert type(was.array) is type(now.array)
        if isinstance(was.dtype, pd.ArrowDtype):
            old, new = was.array.__arrow_array__(), now.array.__arrow_array__()
            assert new.type.equals(old.type, check_metadata=True)
            assert the_same(new.to_pylist(), old.to_pylist())
        elif was.dtype == object:
            assert the_same(list(was), list(now))
        elif isinstance(was.dtype, np.dtype) and was.dtype.kind != "O":
            assert was.to_numpy().tobytes() == now.to_numpy().tobytes()
        elif isinstance(was.dtype, pd.CategoricalDtype):
            assert_alike(was.dtype.categories, now.dtype.categories)
            assert was.dtype.ordered == now.dtype.ordered


# --- any frame ------------------------------------------------------------------------------------------------------

TEXT = st.text(max_size=5)
INT64 = st.integers(-(2**63), 2**63 - 1)
MOMENT = st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2200, 1, 1)).map(lambda it: it.replace(fold=0))
TIME = st.times().map(lambda it: it.replace(fold=0))
PLAIN = st.recursive(
    st.one_of(
        *(
            st.none(),
            st.booleans(),
            st.integers(-(2**80), 2**80),
            st.floats(),
            TEXT,
            st.text(st.characters(), max_size=3),
        ),
        *(
            st.binary(max_size=3),
            st.dates(),
            MOMENT,
            TIME,
            st.timedeltas(),
            st.decimals(allow_nan=False),
            st.just(pd.NaT),
        ),
        st.just(pd.NA),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=2) | st.tuples(inner, inner),
    max_leaves=4,
)

ARROW: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "bool": (pa.bool_(), st.booleans()),
    "int8": (pa.int8(), st.integers(-128, 127)),
    "uint64": (pa.uint64(), st.integers(0, 2**64 - 1)),
    "int64": (pa.int64(), INT64),
    "half": (pa.float16(), st.floats(width=16).map(np.float16)),
    "double": (pa.float64(), st.floats()),
    "string": (pa.string(), st.text(st.characters(exclude_categories=["Cs"]), max_size=5)),
    "large_string": (pa.large_string(), st.text(st.characters(exclude_categories=["Cs"]), max_size=5)),
    "binary": (pa.binary(), st.binary(max_size=5)),
    "fixed": (pa.binary(3), st.binary(min_size=3, max_size=3)),
    "date": (pa.date32(), st.dates()),
    "date64": (pa.date64(), st.dates(dt.date(1900, 1, 1))),
    "second": (pa.timestamp("s"), MOMENT.map(lambda it: it.replace(microsecond=0))),
    "moment": (pa.timestamp("ns", "Europe/Berlin"), MOMENT.map(lambda it: it.replace(tzinfo=dt.UTC))),
    "time": (pa.time32("ms"), TIME.map(lambda it: it.replace(microsecond=0))),
    "duration": (pa.duration("us"), st.timedeltas(dt.timedelta(-(10**5)), dt.timedelta(10**5))),
    "decimal": (pa.decimal128(12, 3), st.decimals(-(10**8), 10**8, places=3)),
    "list": (pa.list_(pa.field("x", pa.int8(), nullable=False)), st.lists(st.integers(-9, 9), max_size=3)),
    "large_list": (pa.large_list(pa.string()), st.lists(st.none() | st.just("x"), max_size=3)),
    "map": (pa.map_(pa.string(), pa.int8()), st.lists(st.tuples(st.just("k"), st.integers(0, 9)), max_size=2)),
    "struct": (
        pa.struct([("x", pa.int64()), pa.field("y", pa.string(), metadata={b"k": b"v"})]),
        st.fixed_dictionaries({"x": st.none() | INT64, "y": st.none() | st.just("y")}),
    ),
    "dictionary": (pa.dictionary(pa.int8(), pa.string()), st.sampled_from(["a", "b"])),
    "null": (pa.null(), st.none()),
}
NUMPY: dict[str, st.SearchStrategy[Any]] = {
    "bool": st.booleans(),
    "int8": st.integers(-128, 127),
    "uint16": st.integers(0, 2**16 - 1),
    "int64": INT64,
    "uint64": st.integers(0, 2**64 - 1),
    "float16": st.floats(width=16),
    "float32": st.floats(width=32),
    "float64": st.floats(),
    "complex64": st.complex_numbers(width=64),
    "complex128": st.complex_numbers(),
    "M8[s]": st.integers(-(2**35), 2**35) | st.just(-(2**63)),
    "M8[ns]": INT64,
    "m8[us]": INT64,
}
PANDAS: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "Int8": ("Int8", st.integers(-128, 127)),
    "UInt64": ("UInt64", st.integers(0, 2**64 - 1)),
    "Float32": ("Float32", st.floats(width=32)),
    "Float64": ("Float64", st.floats()),
    "boolean": ("boolean", st.booleans()),
    "category": (pd.CategoricalDtype(["b", "a", "unused"], ordered=True), st.sampled_from(["a", "b"])),
    "numbers": (pd.CategoricalDtype([3, 1, 2]), st.sampled_from([1, 2, 3])),
    "range": (pd.CategoricalDtype(pd.RangeIndex(2, 8, 2)), st.sampled_from([2, 4, 6])),
    "days": (
        pd.CategoricalDtype(pd.date_range("2013", periods=3, tz="UTC", name="day")),
        st.sampled_from(list(pd.date_range("2013", periods=3, tz="UTC"))),
    ),
    "zone": (
        pd.DatetimeTZDtype("us", "America/New_York"),
        MOMENT.map(lambda it: pd.Timestamp(it.replace(tzinfo=dt.UTC)).tz_convert("America/New_York")),
    ),
    "utc": (pd.DatetimeTZDtype("ns", "UTC"), MOMENT.map(lambda it: pd.Timestamp(it, tz="UTC"))),
    "offset": (
        pd.DatetimeTZDtype("s", dt.timezone(dt.timedelta(hours=-3, minutes=-30))),
        MOMENT.map(lambda it: pd.Timestamp(it.replace(microsecond=0, tzinfo=dt.UTC))),
    ),
    "month": (pd.PeriodDtype("M"), st.integers(-500, 500).map(lambda it: pd.Period(ordinal=it, freq="M"))),
    "week": (pd.PeriodDtype("2W-THU"), st.integers(-50, 50).map(lambda it: pd.Period(ordinal=it, freq="2W-THU"))),
    "interval": (
        pd.IntervalDtype("float64", "left"),
        st.integers(0, 9).map(lambda it: pd.Interval(it, it + 0.5, "left")),
    ),
    "span": (
        pd.IntervalDtype("datetime64[us, UTC]", "both"),
        MOMENT.map(lambda it: pd.Interval(pd.Timestamp(it, tz="UTC"), pd.Timestamp(it, tz="UTC"), "both")),
    ),
    **{
        f"{storage}_{missing}": (pd.StringDtype(storage, na_value=missing), TEXT.filter(str.isprintable))
        for storage in ("python", "pyarrow")
        for missing in (pd.NA, np.nan)
    },
}


def with_gaps(values: st.SearchStrategy[Any], count: int, missing: Any = None) -> st.SearchStrategy[list[Any]]:
    return st.lists(values | st.just(missing), min_size=count, max_size=count)


@st.composite
def columns(draw: st.DrawFn, count: int) -> Any:
    """A column of any type, as pandas holds it."""
    kind = draw(st.sampled_from(["arrow", "numpy", "pandas", "text", "plain"]))
    if kind == "arrow":
        name = draw(st.sampled_from(sorted(ARROW)))
        type_, values = ARROW[name]
        array = pa.array(draw(with_gaps(values, count)), type_)
        cut = draw(st.integers(0, count))
        return pd.arrays.ArrowExtensionArray(pa.chunked_array([array[:cut], array[cut:]], type_))
    if kind == "numpy":
        name = draw(st.sampled_from(sorted(NUMPY)))
        numbers = draw(st.lists(NUMPY[name], min_size=count, max_size=count))
        return np.array(numbers, "i8").view(name) if name[0] in "Mm" else np.array(numbers, name)
    if kind == "pandas":
        dtype, values = PANDAS[draw(st.sampled_from(sorted(PANDAS)))]
        return pd.array(draw(with_gaps(values, count)), dtype=dtype)
    missing = draw(st.sampled_from([None, float("nan"), pd.NA, pd.NaT]))
    values = st.text(st.characters(), max_size=4) if kind == "text" else PLAIN
    array = np.empty(count, object)
    array[:] = draw(with_gaps(values, count, missing))
    return array


NAMES = st.none() | TEXT | st.integers(-9, 9) | st.booleans() | st.tuples(TEXT, st.integers(0, 9)) | st.dates()


@st.composite
def indexes(draw: st.DrawFn, count: int) -> pd.Index[Any]:
    """The index of the rows."""
    kind = draw(st.sampled_from(["range", "column", "days", "steps", "levels"]))
    name = draw(NAMES)
    if kind == "range":
        start, step = draw(st.integers(-5, 5)), draw(st.sampled_from([1, 2, -3]))
        return pd.RangeIndex(start, start + step * count, step, name=name)
    if kind == "days":
        freq = draw(st.sampled_from(["D", "2h", "ME", "W-TUE", "BQE-FEB", None]))
        made = pd.date_range(
            "2013-01-01", periods=count, freq=freq or "D", tz=draw(st.sampled_from([None, "Asia/Tokyo"]))
        )
        return pd.DatetimeIndex(made if freq else made._with_freq(None), name=name)
    if kind == "steps":
        return pd.timedelta_range("1h", periods=count, freq="90min", name=name)
    if kind == "levels":
        whole = pd.MultiIndex.from_arrays(
            [
                draw(st.lists(st.sampled_from(["x", "y", None]), min_size=count + 2, max_size=count + 2)),
                pd.date_range("2013", periods=count + 2),
                pd.Categorical(draw(st.lists(st.sampled_from(["p", "q"]), min_size=count + 2, max_size=count + 2))),
            ],
            names=[name, draw(NAMES), None],
        )
        return whole[:count]  # levels that are not used any more
    array = draw(columns(count))
    dtype = object if array.dtype == object else None
    try:
        return pd.Index(array, dtype=dtype, name=name, tupleize_cols=False)
    except (NotImplementedError, TypeError):  # there is no index of every type
        return pd.RangeIndex(count)


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    count, width = draw(st.integers(0, 5)), draw(st.integers(0, 4))
    index = draw(indexes(count))
    held = {}
    for at in range(width):
        array = draw(columns(count))
        held[at] = pd.Series(array, index, dtype=object) if array.dtype == object else pd.Series(array, index)
    frame = pd.DataFrame(held, index=index, copy=draw(st.booleans()))
    labels = draw(st.sampled_from(["range", "texts", "any", "levels", "years"]))
    if labels == "texts":
        frame.columns = pd.Index(draw(st.lists(TEXT, min_size=width, max_size=width)), dtype="str", name=draw(NAMES))
    elif labels == "any":
        made = np.empty(width, object)
        made[:] = draw(st.lists(NAMES, min_size=width, max_size=width))
        frame.columns = pd.Index(made, dtype=object, tupleize_cols=False, name=draw(NAMES))
    elif labels == "levels":
        pairs = draw(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 3)), min_size=width, max_size=width))
        frame.columns = pd.MultiIndex.from_arrays([[a for a, _ in pairs], [b for _, b in pairs]], names=["l", None])
    elif labels == "years":
        frame.columns = pd.period_range("2013", periods=width, freq="Y", name="year")
    frame.attrs = draw(st.dictionaries(TEXT, PLAIN, max_size=2))
    return frame


@settings(max_examples=120, deadline=None, suppress_health_check=SLOW, report_multiple_bugs=False)
@given(frame=frames())
def test_any_frame_comes_back(frame: pd.DataFrame) -> None:
    assert_kept(frame)


def test_the_same_frame_gives_the_same_bytes() -> None:
    def made() -> pd.DataFrame:
        return pd.DataFrame({"c": pd.Categorical(["x", "y"]), "o": pd.Series([1, "a"], dtype=object)})

    assert kept(made()) == kept(made())


def test_it_is_an_arrow_file_that_others_can_read() -> None:
    frame = ENGINE.from_arrow(pa.table({"a": [1, None], "b": ["x", "y"]}))
    frame[2013] = np.array([1.5, np.nan])
    with pa.ipc.open_file(pa.py_buffer(kept(frame.set_index("b")))) as reader:
        table = reader.read_all()
    assert table.column_names == ["a", "2013", "index"]
    assert table["a"].to_pylist() == [1, None]
    assert table["index"].to_pylist() == ["x", "y"]


# --- memory ---------------------------------------------------------------------------------------------------------


def inside(column: pa.ChunkedArray, data: memoryview) -> bool:
    """Whether all of a column lies in this memory."""
    begin = pa.py_buffer(data).address
    buffers = [it for chunk in column.chunks for it in chunk.buffers() if it is not None and it.size]
    return bool(buffers) and all(begin <= it.address <= begin + len(data) for it in buffers)


def test_arrow_columns_are_not_copied() -> None:
    table = pa.table(
        {"i": [1, 2, None], "s": ["a", None, "c"], "l": [[1], [2, 3], None], "d": [dt.date(2013, 1, 1)] * 3}
    )
    frame = ENGINE.from_arrow(table).set_index("d")
    frame["str"] = pd.Series(["x", "y", None], index=frame.index, dtype="str")
    data = memoryview(kept(frame))
    back = ENGINE.read_arrow(data)
    for column in (back["i"], back["s"], back["l"], back["str"], back.index):
        assert inside(column.array.__arrow_array__(), data)
    pd.testing.assert_frame_equal(back, frame)


def test_the_memory_lives_as_long_as_the_frame(tmp_path: Path) -> None:
    frame = ENGINE.from_arrow(pa.table({"i": range(10_000), "s": [f"text {it}" for it in range(10_000)]}))
    frame["n"] = np.arange(10_000)
    path = tmp_path / "frame"
    path.write_bytes(kept(frame))
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    view = memoryview(mapped)
    back = ENGINE.read_arrow(view)
    path.unlink()
    with pytest.raises(BufferError):
        mapped.close()  # the frame needs it
    del view, mapped
    parts = [back[["i"]], back.head(10)]
    pd.testing.assert_frame_equal(back, frame)
    del back
    assert parts[0]["i"].sum() == sum(range(10_000))


def changeable() -> pd.DataFrame:
    """A frame of the columns that functions may change in place."""
    frame = pd.DataFrame(
        {
            "i": np.arange(3),
            "f": [1.5, np.nan, 2.5],
            "b": [True, False, True],
            "t": pd.date_range("2013", periods=3),
            "z": pd.date_range("2013", periods=3, tz="Asia/Tokyo"),
            "I": pd.array([1, None, 3], dtype="Int64"),
            "B": pd.array([True, None, False], dtype="boolean"),
            "c": pd.Categorical(["x", "y", None]),
            "o": pd.Series(["x", None, "z"], dtype=object),
            "s": pd.Series(["x", None, "z"], dtype="str"),
            "p": pd.Series(["x", None, "z"], dtype=pd.StringDtype("python")),
            "m": pd.period_range("2013", periods=3, freq="M"),
            "v": pd.interval_range(0, 3),
            "x": [1j, 2, 3],
        }
    )
    frame["a"] = pd.array([1, 2, None], dtype=pd.ArrowDtype(pa.int64()))
    frame["w"] = pd.array(["x", "y", None], dtype=pd.ArrowDtype(pa.string()))
    return frame


def test_what_came_back_can_be_changed_in_place() -> None:
    frame = changeable()
    data = kept(frame)
    back = ENGINE.read_arrow(memoryview(data))
    for each in (frame, back):
        for at in range(each.shape[1]):
            each.iloc[0, at] = each.iloc[2, at]
            each.isetitem(at, each.iloc[:, at].shift(1))
            each.iloc[:, at].array[1] = each.iloc[2, at]
        each.loc[1, "f"] += 1
        each["i"] *= 2
        each.index = pd.Index(each["i"].array, name="n")
        each.iloc[0, 0] = 7
        each.insert(1, "new", 1)
    pd.testing.assert_frame_equal(back, frame)
    pd.testing.assert_frame_equal(ENGINE.read_arrow(memoryview(data)), changeable())


def test_an_index_that_becomes_a_column_can_be_changed_in_place() -> None:
    for index in (pd.Index([1, 2, 3], name="n"), pd.MultiIndex.from_product([[1, 2, 3], [4]], names=["n", "m"])):
        back = again(pd.DataFrame({"v": [1, 2, 3]}, index=index)).reset_index()
        back.iloc[0, 0] = 7
        back.loc[1, "n"] = 8
        assert back["n"].tolist() == [7, 8, 3]


def test_numpy_columns_of_one_type_lie_in_one_block() -> None:
    """Else pandas would warn of a fragmented frame where the computed one is none."""
    frame = pd.DataFrame(np.zeros((3, 200)))
    back = again(frame)
    back["new"] = 1  # warnings are errors here
    assert back.shape == (3, 201)


@pytest.mark.parametrize("offset", [1, 2, 4, 8, 63])
def test_memory_may_begin_anywhere(offset: int) -> None:
    frame = changeable()
    data = kept(frame)
    back = ENGINE.read_arrow(memoryview(bytes(offset) + data)[offset:])
    pd.testing.assert_frame_equal(back, frame)
    assert back["a"].sum() == 3


def test_a_slice_is_kept_without_what_it_was_cut_from() -> None:
    frame = ENGINE.from_arrow(pa.table({"s": ["some text"] * 100_000, "i": range(100_000)}))
    assert len(kept(frame.iloc[50_000:50_010])) < 5_000
    assert_kept(frame.iloc[50_000:50_010])


@pytest.mark.parametrize("pieces", [1, 3, 500])
def test_columns_in_pieces(pieces: int) -> None:
    table = pa.concat_tables([pa.table({"i": [at, None], "s": ["x", str(at)]}) for at in range(pieces)])
    frame = ENGINE.from_arrow(table)
    frame["n"] = np.arange(len(frame))
    frame["d"] = pd.arrays.ArrowExtensionArray(
        pa.chunked_array([pa.array([str(at), "x"]).dictionary_encode() for at in range(pieces)])
    )
    assert_kept(frame)
    assert again(frame)["i"].array.__arrow_array__().num_chunks <= 64


# --- what is refused ------------------------------------------------------------------------------------------------


class Own(pd.DataFrame):
    @property
    def _constructor(self) -> Any:
        return Own


class Zone(dt.tzinfo):
    def utcoffset(self, moment: Any) -> dt.timedelta:
        return dt.timedelta(hours=1)

    def dst(self, moment: Any) -> dt.timedelta:
        return dt.timedelta(0)


def with_attrs(value: Any) -> pd.DataFrame:
    frame = pd.DataFrame({"a": [1]})
    frame.attrs["k"] = value
    return frame


def with_freq() -> pd.DataFrame:
    days = pd.offsets.CustomBusinessDay(weekmask="Sun Mon")
    return pd.DataFrame({"a": range(3)}, index=pd.date_range("2013-01-06", periods=3, freq=days))


REFUSED: dict[str, tuple[Any, str]] = {
    "object": (lambda: pd.DataFrame({"bad": [1, object()]}), "column 'bad' holds values of the type object"),
    "set": (lambda: pd.DataFrame({"bad": [{1}]}), "column 'bad' holds values of the type set"),
    "array": (lambda: pd.DataFrame({"bad": [np.zeros(2)] * 2}), "column 'bad' holds values of the type ndarray"),
    "list": (lambda: pd.DataFrame({"bad": [[1, [Zone()]]]}), "column 'bad' holds values of the type Zone"),
    "subtype": (
        lambda: pd.DataFrame({"bad": [decimal.Decimal(1), np.float64(1)]}),
        "column 'bad' holds values of the type float64",
    ),
    "moment": (
        lambda: pd.DataFrame({"bad": [dt.datetime(2013, 1, 1, tzinfo=dt.UTC), "x"]}),
        "column 'bad' holds values of the type datetime",
    ),
    "sparse": (lambda: pd.DataFrame({"bad": pd.arrays.SparseArray([0, 0, 1])}), "column 'bad' is of the type Sparse"),
    "zone": (
        lambda: pd.DataFrame({"bad": pd.DatetimeIndex(["2013"]).tz_localize(Zone())}),
        "column 'bad' has a time zone of the type .*Zone",
    ),
    "named zone": (
        lambda: pd.DataFrame({"bad": pd.DatetimeIndex(["2013"]).tz_localize(dt.timezone(dt.timedelta(0), "mine"))}),
        "column 'bad' has a time zone of the type datetime.timezone",
    ),
    "subclass": (lambda: Own({"a": [1]}), "it is a .*Own, not a plain DataFrame"),
    "attrs": (lambda: with_attrs(Zone()), "its attrs hold a value of the type Zone"),
    "name": (
        lambda: pd.DataFrame({"a": [1]}, index=pd.Index([1], name=frozenset())),
        "the index has a name of the type frozenset",
    ),
    "label": (lambda: pd.DataFrame({frozenset(): [1]}), "the columns' index holds values of the type frozenset"),
    "frequency": (with_freq, "the index has the frequency C, which"),
    "text": (
        lambda: pd.DataFrame({"bad": pd.array(["\ud800"], dtype=pd.StringDtype("python"))}),
        "column 'bad' holds a text with half a character",
    ),
    "long double": (lambda: pd.DataFrame({"bad": np.zeros(1, np.longdouble)}), "column 'bad' is of the type"),
    "swapped": (lambda: pd.DataFrame({"bad": np.zeros(1, ">i4")}), "column 'bad' is of the type >i4"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_would_not_come_back_is_refused(why: str) -> None:
    make, message = REFUSED[why]
    file = io.BytesIO()
    with pytest.raises(DataError, match=f"the frame cannot be kept as it is: {message}") as caught:
        ENGINE.write_arrow(make(), file)
    assert "cache: false" in caught.value.remedy


def test_flags_come_back() -> None:
    frame = pd.DataFrame({"a": [1]}).set_flags(allows_duplicate_labels=False)
    assert again(frame).flags.allows_duplicate_labels is False
    assert_kept(pd.DataFrame([[1, 2, 3]], columns=["a", "a", "b"]))


@pytest.mark.parametrize(
    "zone", [zoneinfo.ZoneInfo("UTC"), dt.UTC, zoneinfo.ZoneInfo("Europe/London"), dt.timezone(dt.timedelta(hours=5))]
)
def test_a_time_zone_is_the_very_same(zone: dt.tzinfo) -> None:
    frame = pd.DataFrame({"t": pd.DatetimeIndex(["2013-07-01"]).tz_localize(zone)})
    assert repr(again(frame)["t"].dt.tz) == repr(frame["t"].dt.tz)


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=200), cut=st.integers(1, 3000))
def test_what_is_no_frame_is_refused(data: bytes, cut: int) -> None:
    whole = kept(changeable())
    for bad in (data, b"ARROW1\0\0" + data, whole[:-cut], whole[cut:], whole[: len(whole) // 2] + data):
        with pytest.raises(DataError, match="no frame that the pandas engine has kept") as caught:
            ENGINE.read_arrow(memoryview(bad))
        assert caught.value.remedy


def test_an_arrow_file_of_somebody_else_is_refused() -> None:
    table = pa.table({"a": [1]})
    for metadata in (None, {"odibi.frame": "{}"}, {"odibi.frame": json.dumps({"layout": "odibi-pandas-99"})}):
        sink = pa.BufferOutputStream()
        named = table.replace_schema_metadata(metadata)
        with pa.ipc.new_file(sink, named.schema) as writer:
            writer.write_table(named)
        with pytest.raises(DataError, match="no frame that the pandas engine has kept"):
            ENGINE.read_arrow(memoryview(sink.getvalue()))
