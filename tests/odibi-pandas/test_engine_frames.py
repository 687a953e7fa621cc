from __future__ import annotations

import datetime as dt
import decimal
import json
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from odibi.contracts.engine import Column, Engine
from odibi.errors import DataError
from odibi_pandas.engine import PandasEngine


def test_it_is_an_engine(pandas_engine: PandasEngine) -> None:
    assert isinstance(pandas_engine, Engine)
    assert pandas_engine.frame_type == "pandas:DataFrame"


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match="1 or more"):
        PandasEngine(threads=0)


def test_close_may_be_called_twice() -> None:
    engine = PandasEngine()
    engine.sql("SELECT 1", {})
    engine.close()
    engine.close()


# --- sharing --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arrow", [True, False])
def test_what_one_reader_changes_no_other_sees(pandas_engine: PandasEngine, arrow: bool) -> None:
    frame = pandas_engine.from_arrow(pa.table({"a": [1, 2, 3], "s": ["x", "y", None]}))
    if not arrow:
        frame = pd.DataFrame({"a": np.array([1, 2, 3]), "s": np.array(["x", "y", "z"], dtype=object)})
    before = frame.copy(deep=True)
    one, other = pandas_engine.share(frame), pandas_engine.share(frame)
    one.loc[0, "a"] = 100
    one["new"] = 1
    one["s"] = one["s"].fillna("filled")
    del one["s"]
    one.columns = ["b", "c"]
    one.update(pd.DataFrame({"b": [7]}))
    column = other["a"]
    column.iloc[1] = 200
    with suppress(ValueError):  # pandas hands out what cannot be written to
        other["a"].to_numpy()[0] = 400
    if arrow:
        other["a"].array[0] = 400  # of NumPy's columns this is the very memory, which pandas does not look after
    other.iloc[2, 0] = 300
    other.index = ["p", "q", "r"]
    pd.testing.assert_frame_equal(frame, before)
    assert list(other["a"])[1:] == [2, 300]


def test_sharing_copies_nothing(pandas_engine: PandasEngine) -> None:
    frame = pandas_engine.from_arrow(pa.table({"a": pa.array(range(1000))}))
    shared = pandas_engine.share(frame)
    addresses = [pandas_engine.to_arrow(it)["a"].chunk(0).buffers()[1].address for it in (frame, shared)]
    assert addresses[0] == addresses[1]


# --- Arrow ----------------------------------------------------------------------------------------------------------


def test_going_through_arrow_copies_nothing(pandas_engine: PandasEngine) -> None:
    table = pa.table({"a": pa.array(range(1000)), "s": pa.array(["text"] * 1000)})
    back = pandas_engine.to_arrow(pandas_engine.from_arrow(table))
    assert back.equals(table)
    for name in ("a", "s"):
        old, new = table[name].chunk(0).buffers(), back[name].chunk(0).buffers()
        assert [it and it.address for it in old] == [it and it.address for it in new]


def test_from_anything_with_an_arrow_stream(pandas_engine: PandasEngine) -> None:
    class Stream:
        def __arrow_c_stream__(self, requested_schema: object = None) -> Any:
            return pa.table({"a": [1, 2]}).__arrow_c_stream__(requested_schema)

    frame = pandas_engine.from_arrow(Stream())
    assert str(frame["a"].dtype) == "int64[pyarrow]"
    assert pa.table(pandas_engine.to_arrow(frame)).to_pydict() == {"a": [1, 2]}


def test_types_that_pandas_cannot_compute_with_are_made_plain(pandas_engine: PandasEngine) -> None:
    table = pa.table(
        {
            "dictionary": pa.array(["a", "b", "a"]).dictionary_encode(),
            "view": pa.array(["a", "b", None]).cast(pa.string_view()),
            "runs": pa.RunEndEncodedArray.from_arrays([2, 3], [1, 2]),
        }
    )
    frame = pandas_engine.from_arrow(table)
    assert [str(it) for it in frame.dtypes] == ["string[pyarrow]", "large_string[pyarrow]", "int64[pyarrow]"]
    assert pandas_engine.to_arrow(frame).to_pydict() == table.to_pydict()


def test_columns_of_one_name_are_told_apart(pandas_engine: PandasEngine) -> None:
    table = pa.table([[1], [2], [3]], names=["a", "a", "a_1"])
    assert list(pandas_engine.from_arrow(table).columns) == ["a", "a_1", "a_1_1"]


def test_a_table_without_columns_keeps_its_rows(pandas_engine: PandasEngine) -> None:
    assert len(pandas_engine.from_arrow(pa.table({"a": [1, 2]}).select([]))) == 2


def test_frames_of_functions_may_have_any_columns(pandas_engine: PandasEngine) -> None:
    frame = pd.DataFrame(
        {
            "int": np.array([1, 2], dtype="int32"),
            "float": [1.5, np.nan],
            "text": ["a", None],
            "object": np.array(["a", None], dtype=object),
            "time": pd.to_datetime(["2013-01-01", None]),
            "zone": pd.to_datetime(["2013-01-01", None], utc=True),
            "category": pd.Categorical(["a", None]),
            "Int": pd.array([1, None], dtype="Int64"),
            "bool": pd.array([True, None], dtype="boolean"),
            2013: [1, 2],
        }
    )
    table = pandas_engine.to_arrow(frame)
    assert table.column_names[-1] == "2013"
    assert all(table[name].null_count == 1 for name in table.column_names[1:-1])


def test_a_named_index_becomes_columns_and_another_does_not(pandas_engine: PandasEngine) -> None:
    frame = pd.DataFrame({"k": ["x", "y", "x"], "l": [1, 1, 2], "v": [1, 2, 3]})
    grouped = frame.groupby(["k", "l"]).sum()
    assert pandas_engine.to_arrow(grouped).to_pydict() == {"k": ["x", "x", "y"], "l": [1, 2, 1], "v": [1, 3, 2]}
    assert pandas_engine.to_arrow(frame[frame["v"] > 1]).column_names == ["k", "l", "v"]
    assert pandas_engine.to_arrow(frame.set_index("k")).column_names == ["k", "l", "v"]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "more than one column called 'a'"),
        (pd.DataFrame({"1": [1], 1: [2]}), "more than one column called '1'"),
        (pd.DataFrame({"a": [1]}, index=pd.Index([1], name="a")), "more than one column called 'a'"),
        (
            pd.DataFrame({"ok": [1, 2], "mixed": [1, "a"]}, dtype=object),
            "column 'mixed' holds values of the types int, str",
        ),
        (pd.DataFrame({"object": [object()]}), "column 'object' holds values of the type object"),
        (pd.DataFrame({("a", "b"): [1]}), "more than one level"),
        (pd.DataFrame({"big": [2**70]}, dtype=object), "column 'big' holds values of the type int"),
    ],
)
def test_what_arrow_cannot_hold_is_named(pandas_engine: PandasEngine, frame: pd.DataFrame, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        pandas_engine.to_arrow(frame)
    assert caught.value.remedy


# --- looking --------------------------------------------------------------------------------------------------------


def test_inspect(pandas_engine: PandasEngine) -> None:
    frame = pandas_engine.from_arrow(pa.table({"a": [1, 2], "t": pa.array([0, 1], pa.timestamp("us", "UTC"))}))
    info = pandas_engine.inspect(frame)
    assert info.rows == 2
    assert info.schema == (Column("a", "int64"), Column("t", "timestamp[us, tz=UTC]"))
    assert info.bytes == 32


def test_inspect_of_other_columns(pandas_engine: PandasEngine) -> None:
    frame = pd.DataFrame({"i": [1], "f": [1.0], "s": ["x"], "d": pd.to_datetime(["2013"])})
    frame["o"] = pd.Series(["x"], dtype=object)
    info = pandas_engine.inspect(frame)
    assert [it.type for it in info.schema][:4] == ["int64", "double", "large_string", "timestamp[us]"]
    assert "string" in info.schema[4].type
    mixed = pandas_engine.inspect(pd.DataFrame({"m": [1, "a"]}, dtype=object))
    assert mixed.schema[0].type == "object"


def test_inspect_and_sample_do_not_fail_where_arrow_does(pandas_engine: PandasEngine) -> None:
    frame = pd.DataFrame([[1, object()]], columns=["a", "a"])
    assert pandas_engine.inspect(frame).rows == 1
    assert len(pandas_engine.sample(frame, 1)) == 1
    levels = pd.DataFrame({("a", "b"): [1]})
    assert pandas_engine.inspect(levels).rows == 1
    assert pandas_engine.sample(levels, 1) == [{"('a', 'b')": 1}]


def test_sample_is_plain(pandas_engine: PandasEngine) -> None:
    utc = dt.UTC
    table = pa.table(
        {
            "i": [1, None],
            "f": [float("nan"), float("inf")],
            "d": [dt.date(2013, 1, 2), None],
            "t": pa.array([dt.datetime(2013, 1, 2, 3, 4, 5, tzinfo=utc), None], pa.timestamp("us", "UTC")),
            "dec": [decimal.Decimal("1.50"), None],
            "bin": [b"\x00\xff", None],
            "l": [[1, None], None],
            "s": [{"x": dt.date(2013, 1, 2)}, None],
            "dur": pa.array([1_500_000, None], pa.duration("us")),
            "m": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int64())),
        }
    )
    sample = pandas_engine.sample(pandas_engine.from_arrow(table), 5)
    assert json.loads(json.dumps(sample, allow_nan=False)) == [
        {
            "i": 1,
            "f": None,
            "d": "2013-01-02",
            "t": "2013-01-02T03:04:05+00:00",
            "dec": "1.50",
            "bin": "00ff",
            "l": [1, None],
            "s": {"x": "2013-01-02"},
            "dur": "0 days 00:00:01.500000",
            "m": [["k", 1]],
        },
        dict.fromkeys(table.column_names) | {"f": "inf"},
    ]


def test_sample_of_other_columns(pandas_engine: PandasEngine) -> None:
    frame = pd.DataFrame(
        {"n": np.array([1.5, np.nan]), "t": pd.to_datetime(["2013-01-01", None]), "o": [object(), {1}]}
    )
    first, second = pandas_engine.sample(frame, 2)
    assert (first["n"], first["t"], second["n"], second["t"], second["o"]) == (
        1.5,
        "2013-01-01T00:00:00",
        None,
        None,
        [1],
    )
    assert pandas_engine.sample(frame, 0) == []


def test_sample_of_dates_that_python_does_not_know(pandas_engine: PandasEngine) -> None:
    far = pa.table(
        {"t": pa.array([10**18, -(10**18)], pa.timestamp("s")), "d": pa.array([10**9, -(10**9)], pa.date32())}
    )
    sample = pandas_engine.sample(pandas_engine.from_arrow(far), 2)
    assert json.dumps(sample)
