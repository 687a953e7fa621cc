"""The formats that say so give a frame of this engine back as it was, types and all."""

from __future__ import annotations

import datetime as dt
from typing import Any

import hypothesis.strategies as st
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings

from odibi.contracts.format import Format
from odibi.errors import DataError
from odibi_pandas.formats.arrow import ArrowFormat
from odibi_pandas.formats.avro import AvroFormat
from odibi_pandas.formats.csv import CsvFormat
from odibi_pandas.formats.excel import ExcelFormat
from odibi_pandas.formats.feather import FeatherFormat
from odibi_pandas.formats.json import JsonFormat
from odibi_pandas.formats.orc import OrcFormat
from odibi_pandas.formats.parquet import ParquetFormat
from odibi_pandas.frames import from_table, to_table

EXACT: tuple[Any, ...] = (
    *(ParquetFormat(), ParquetFormat(compression="zstd", row_group_size=3), FeatherFormat()),
    *(ArrowFormat(), ArrowFormat(compression="lz4"), ArrowFormat(stream=True)),
)
OTHERS: tuple[Any, ...] = (AvroFormat(), CsvFormat(), ExcelFormat(), JsonFormat(), OrcFormat())


def test_which_formats_say_that_they_are_exact() -> None:
    assert all(isinstance(it, Format) and it.exact for it in EXACT)
    assert not any(it.exact for it in OTHERS)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
LEAVES: tuple[tuple[pa.DataType, st.SearchStrategy[Any]], ...] = (
    (pa.bool_(), st.booleans()),
    *((kind, st.integers(0, 127)) for kind in (pa.int8(), pa.int16(), pa.uint8(), pa.uint16(), pa.uint32())),
    *((kind, st.integers(-(2**31), 2**31 - 1)) for kind in (pa.int32(), pa.int64())),
    (pa.uint64(), st.integers(0, 2**64 - 1)),
    (pa.float16(), st.floats(width=16)),
    (pa.float32(), st.floats(width=32)),
    (pa.float64(), st.floats()),
    *((kind, TEXT) for kind in (pa.string(), pa.large_string())),
    *((kind, st.binary(max_size=4)) for kind in (pa.binary(), pa.large_binary())),
    (pa.binary(2), st.binary(min_size=2, max_size=2)),
    (pa.date32(), st.dates()),
    (pa.date64(), st.dates(dt.date(1700, 1, 1))),
    *((pa.time32(unit), st.integers(0, 86_399)) for unit in ("s", "ms")),
    *((pa.time64(unit), st.integers(0, 86_399_999_999)) for unit in ("us", "ns")),
    *((pa.timestamp(unit), st.integers(-(2**50), 2**50)) for unit in ("s", "ms", "us", "ns")),
    *((pa.timestamp(unit, "Asia/Tokyo"), st.integers(-(2**50), 2**50)) for unit in ("s", "ms", "us", "ns")),
    (pa.timestamp("s", "+05:30"), st.integers(0, 2**40)),
    *((pa.duration(unit), st.integers(-(2**50), 2**50)) for unit in ("s", "ms", "us", "ns")),
    (pa.decimal128(12, 3), st.decimals(-(10**8), 10**8, places=3)),
    (pa.decimal256(50, 2), st.decimals(-(10**40), 10**40, places=2)),
    (pa.null(), st.none()),
)
Kind = tuple[pa.DataType, st.SearchStrategy[Any]]


def nested(inner: st.SearchStrategy[Kind]) -> st.SearchStrategy[Kind]:
    def listed(kind: Kind, name: str, nullable: bool, shape: str) -> Kind:
        type_, values = kind
        gaps = st.none() | values if nullable or pa.types.is_null(type_) else values
        field = pa.field(name, type_, nullable=nullable or pa.types.is_null(type_))
        if shape == "fixed":
            return pa.list_(field, 2), st.lists(gaps, min_size=2, max_size=2)
        return (pa.large_list if shape == "large" else pa.list_)(field), st.lists(gaps, max_size=2)

    def mapped(kind: Kind) -> Kind:
        type_, values = kind
        return pa.map_(pa.string(), type_), st.lists(st.tuples(TEXT, st.none() | values), max_size=2)

    def gathered(kinds: list[Kind]) -> Kind:
        fields = [pa.field(f"f{at}", type_) for at, (type_, _) in enumerate(kinds)]
        return pa.struct(fields), st.fixed_dictionaries(
            {f"f{at}": st.none() | values for at, (_, values) in enumerate(kinds)}
        )

    return st.one_of(
        st.builds(
            *(listed, inner, st.sampled_from(["item", "element", "x"]), st.booleans()),
            st.sampled_from(["plain", "large", "fixed"]),
        ),
        inner.map(mapped),
        st.lists(inner, min_size=1, max_size=2).map(gathered),
    )


KINDS = st.recursive(st.sampled_from(LEAVES), nested, max_leaves=3)


@st.composite
def engine_frames(draw: st.DrawFn) -> pd.DataFrame:
    """A frame as this engine makes them."""
    count = draw(st.integers(0, 6))
    names = draw(st.lists(TEXT, min_size=1, max_size=3, unique=True))
    columns = []
    for _ in names:
        type_, values = draw(KINDS)
        array = pa.array(draw(st.lists(st.none() | values, min_size=count, max_size=count)), type_)
        cut = draw(st.integers(0, count))
        columns.append(pa.chunked_array([array[:cut], array[cut:]], type_))
    return from_table(pa.table(columns, names=names))


def text(column: pa.ChunkedArray) -> str:
    """All values, with NaN told from null; Python has no word for many a moment."""
    return str(column.combine_chunks().to_string(window=1000, container_window=1000))


@settings(max_examples=80, deadline=None, report_multiple_bugs=False, suppress_health_check=list(HealthCheck))
@given(frame=engine_frames(), format_=st.sampled_from(EXACT))
def test_a_frame_of_this_engine_comes_back(lake: Any, frame: pd.DataFrame, format_: Any) -> None:
    lake.write(frame, "x", format_)
    back = lake.read("x", format_)
    assert back.index.identical(frame.index)
    assert type(back.index) is pd.RangeIndex
    assert back.columns.identical(frame.columns)
    assert (back.dtypes == frame.dtypes).all()
    was, now = to_table(frame), to_table(back)
    for old, new in zip(was.schema, now.schema, strict=True):
        # But for the names of the items of lists, which no type hangs on.
        assert new.type.equals(old.type, check_metadata=format_.title != "Parquet"), (old.type, new.type)
    for old, new in zip(was.columns, now.columns, strict=True):
        assert new.is_null().equals(old.is_null())
        assert new.equals(old) or ("nan" in text(old) and text(new) == text(old))
    in_chunks = lake.read_chunks("x", format_, 2)
    assert all((it.dtypes == frame.dtypes).all() for it in in_chunks)


@pytest.mark.parametrize("format_", EXACT, ids=lambda it: it.title)
def test_a_column_without_a_type_is_text_where_somebody_else_wrote_it(lake: Any, format_: Any) -> None:
    import io

    from pyarrow import parquet

    table = pa.table({"n": pa.nulls(2), "k": [1, 2]})
    sink = io.BytesIO()
    if format_.title == "Parquet":
        parquet.write_table(table, sink)
    else:
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
    lake.storage.write("p/theirs", sink.getvalue())
    assert [str(it) for it in lake.read("p", format_).dtypes] == ["string[pyarrow]", "int64[pyarrow]"]
    lake.write(from_table(table), "o/ours", format_)
    assert [str(it) for it in lake.read("o", format_).dtypes] == ["null[pyarrow]", "int64[pyarrow]"]
    lake.write(from_table(table), "p/ours", format_)
    assert [str(it) for it in lake.read("p", format_).dtypes] == ["string[pyarrow]", "int64[pyarrow]"]
    lake.write(from_table(pa.table({"n": [1], "k": [3]})), "o/values", format_)
    assert lake.read("o", format_)["n"].dropna().tolist() == [1]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (
            pa.struct([pa.field("x", pa.list_(pa.int8(), 2), nullable=False)]),
            "a list of fixed size that may not be null",
        ),
        (pa.list_(pa.list_view(pa.timestamp("s"))), "a list view of timestamp"),
    ],
)
def test_what_parquet_would_not_give_back_is_refused(lake: Any, kind: pa.DataType, message: str) -> None:
    frame = from_table(pa.table({"x": pa.array([None, None], kind), "k": [1, 2]}))
    with pytest.raises(DataError, match=f"lake:x: column 'x' has {message}") as caught:
        lake.write(frame, "x", ParquetFormat())
    assert caught.value.remedy
    lake.write(frame, "x", ArrowFormat())
    assert lake.read("x", ArrowFormat())["x"].dtype == frame["x"].dtype


@pytest.mark.parametrize("format_", [*EXACT, *OTHERS], ids=lambda it: it.title)
def test_rows_without_columns_are_refused(lake: Any, format_: Any) -> None:
    with pytest.raises(DataError, match="lake:x: the frame has 3 rows but no columns") as caught:
        lake.write(pd.DataFrame(index=range(3)), "x", format_)
    assert caught.value.remedy
    assert lake.paths() == []
