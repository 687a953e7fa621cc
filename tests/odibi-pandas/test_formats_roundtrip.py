"""What is written is read: for each format the types that it keeps, and what becomes of the others."""

from __future__ import annotations

import datetime as dt
import decimal
import io
from typing import Any

import hypothesis.strategies as st
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, given, settings

from odibi_pandas.formats.arrow import ArrowFormat
from odibi_pandas.formats.avro import AvroFormat
from odibi_pandas.formats.base import FileFormat
from odibi_pandas.formats.csv import CsvFormat
from odibi_pandas.formats.excel import ExcelFormat
from odibi_pandas.formats.feather import FeatherFormat
from odibi_pandas.formats.json import JsonFormat
from odibi_pandas.formats.orc import OrcFormat
from odibi_pandas.formats.parquet import ParquetFormat
from odibi_pandas.frames import from_table, to_table

FEW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
DATES = st.dates(dt.date(1, 1, 2), dt.date(9999, 12, 30))
MOMENTS = st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2200, 1, 1))

VALUES: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "bool": (pa.bool_(), st.booleans()),
    "int8": (pa.int8(), st.integers(-128, 127)),
    "int32": (pa.int32(), st.integers(-(2**31), 2**31 - 1)),
    "int64": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "uint64": (pa.uint64(), st.integers(0, 2**64 - 1)),
    "float": (pa.float32(), st.floats(width=32, allow_nan=False)),
    "double": (pa.float64(), st.floats(allow_nan=False)),
    "string": (pa.string(), TEXT),
    "large_string": (pa.large_string(), TEXT),
    "binary": (pa.binary(), st.binary(max_size=8)),
    "date": (pa.date32(), DATES),
    "moment": (pa.timestamp("us"), MOMENTS),
    "moment_ns": (pa.timestamp("ns"), MOMENTS),
    "moment_utc": (pa.timestamp("us", "UTC"), MOMENTS.map(lambda it: it.replace(tzinfo=dt.UTC))),
    "time": (pa.time64("us"), st.times()),
    "duration": (pa.duration("us"), st.timedeltas(dt.timedelta(-(10**5)), dt.timedelta(10**5))),
    "decimal": (pa.decimal128(12, 3), st.decimals(-(10**8), 10**8, places=3)),
    "list": (pa.list_(pa.int64()), st.lists(st.none() | st.integers(-100, 100), max_size=3)),
    "struct": (
        pa.struct([("x", pa.int64()), ("y", pa.string())]),
        st.fixed_dictionaries({"x": st.none() | st.integers(-9, 9), "y": st.none() | TEXT}),
    ),
}


def tables(*kinds: str, min_rows: int = 0) -> st.SearchStrategy[pa.Table]:
    """Tables of a column ``row`` and some columns of these kinds, with nulls."""

    def columns(count: int) -> st.SearchStrategy[pa.Table]:
        def column(kind: str) -> st.SearchStrategy[pa.Array]:
            type_, values = VALUES[kind]
            lists = st.lists(st.none() | values, min_size=count, max_size=count)
            return lists.map(lambda it: pa.array(it, type_))

        chosen = st.lists(st.sampled_from(kinds), min_size=1, max_size=4)
        arrays = chosen.flatmap(lambda it: st.tuples(st.just(it), st.tuples(*map(column, it))))
        return arrays.map(
            lambda it: pa.table(
                [pa.array(range(count), pa.int64()), *it[1]],
                names=["row", *(f"{kind}_{at}" for at, kind in enumerate(it[0]))],
            )
        )

    return st.integers(min_rows, 12).flatmap(columns)


def written(format_: FileFormat, table: pa.Table, chunk: int = 0) -> bytes:
    file = io.BytesIO()
    if chunk:
        parts = [table.slice(at, chunk) for at in range(0, max(table.num_rows, 1), chunk)]
        rows = format_.write_object_chunks(iter([from_table(it) for it in parts]), file)
        assert rows == table.num_rows
    else:
        format_.write_object(from_table(table), file)
    return file.getvalue()


def read(format_: FileFormat, data: bytes) -> pa.Table:
    return to_table(format_.read_object(io.BytesIO(data), name="x"))


def read_in_chunks(format_: FileFormat, data: bytes, rows: int) -> pa.Table:
    chunks = [to_table(it) for it in format_.read_object_chunks(io.BytesIO(data), rows, name="x")]
    assert all(it.num_rows == rows for it in chunks[:-1])
    assert chunks
    return pa.concat_tables(chunks)


def check(format_: FileFormat, table: pa.Table, rows: int, *, types: bool = True) -> None:
    data = written(format_, table)
    back = read(format_, data)
    assert back.column_names == table.column_names
    assert back.to_pylist() == table.to_pylist()
    if types:
        assert back.schema.equals(table.schema)
    assert read_in_chunks(format_, data, rows).equals(back)
    again = written(format_, table, chunk=rows)
    assert read(format_, again).equals(back)
    assert written(format_, table) == data, "the same table gives the same bytes"


ALL = tuple(VALUES)


@FEW
@given(table=tables(*ALL), rows=st.integers(1, 5), codec=st.sampled_from(["snappy", "zstd", "gzip", "none"]))
def test_parquet_keeps_all(table: pa.Table, rows: int, codec: Any) -> None:
    check(ParquetFormat(compression=codec), table, rows)


@FEW
@given(table=tables(*ALL), rows=st.integers(1, 5), stream=st.booleans(), codec=st.sampled_from(["none", "lz4", "zstd"]))
def test_arrow_keeps_all(table: pa.Table, rows: int, stream: bool, codec: Any) -> None:
    check(ArrowFormat(stream=stream, compression=codec), table, rows)


@FEW
@given(table=tables(*ALL), rows=st.integers(1, 5))
def test_feather_keeps_all(table: pa.Table, rows: int) -> None:
    check(FeatherFormat(), table, rows)


ORC = (
    "bool",
    "int8",
    "int32",
    "int64",
    "float",
    "double",
    "string",
    "binary",
    "moment_ns",
    "decimal",
    "list",
    "struct",
)


@FEW
@given(table=tables(*ORC), rows=st.integers(1, 5))
def test_orc_keeps_these(table: pa.Table, rows: int) -> None:
    check(OrcFormat(), table, rows, types="list" not in str(table.schema))


AVRO = (
    *("bool", "int32", "int64", "float", "double", "string", "binary", "date", "moment", "moment_utc", "time"),
    *("decimal", "list", "struct"),
)


@FEW
@given(table=tables(*AVRO), rows=st.integers(1, 5), codec=st.sampled_from(["none", "deflate", "bzip2", "xz"]))
def test_avro_keeps_these(table: pa.Table, rows: int, codec: Any) -> None:
    check(AvroFormat(compression=codec), table, rows)


def settled(table: pa.Table, text_of: dict[str, Any]) -> pa.Table:
    """``table`` as a format of texts gives it back: columns without a value are text, and so on."""
    columns = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        kind = name.rpartition("_")[0]
        if kind in text_of:
            column = text_of[kind](column)
        if column.null_count == len(column):
            column = pa.chunked_array([pa.nulls(len(column), pa.string())])
        columns.append(column)
    return pa.table(columns, names=table.column_names)


def wide(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.int64())


JSON_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8).map(lambda it: f"t{it}")
VALUES["json_text"] = (pa.string(), JSON_TEXT)
VALUES["finite"] = (pa.float64(), st.floats(allow_nan=False, allow_infinity=False, max_value=1e15, min_value=-1e15))


@FEW
@given(
    table=tables("bool", "int32", "int64", "finite", "json_text", "date", "list", min_rows=1),
    rows=st.integers(1, 5),
    lines=st.booleans(),
)
def test_json_keeps_these(table: pa.Table, rows: int, lines: bool) -> None:
    format_ = JsonFormat(lines=lines)
    expected = settled(table, {"int32": wide})
    for name in expected.column_names:
        # A list without any number has no type of its own.
        if name.startswith("list") and not any(
            it for it in table[name].to_pylist() if it and any(x is not None for x in it)
        ):
            return
    data = written(format_, table)
    back = read(format_, data)
    assert back.to_pylist() == expected.to_pylist()
    assert back.schema.equals(expected.schema)
    assert read_in_chunks(format_, data, rows).equals(back)
    assert read(format_, written(format_, table, chunk=rows)).equals(back)


PLAIN_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8).map(
    lambda it: f"t{it}"
)
VALUES["csv_text"] = (pa.string(), PLAIN_TEXT | st.just(""))
VALUES["csv_int"] = (pa.int64(), st.integers(-(2**63), 2**63 - 1))
VALUES["csv_float"] = (
    pa.float64(),
    st.floats(allow_nan=False).filter(lambda it: abs(it) < 1e15 or it in (float("inf"), float("-inf"))),
)
VALUES["csv_date"] = (pa.date32(), DATES)
VALUES["csv_moment"] = (pa.timestamp("us"), MOMENTS)


@FEW
@given(
    table=tables(
        "bool", "int32", "csv_int", "csv_float", "csv_text", "csv_date", "csv_moment", "moment_utc", min_rows=1
    ),
    rows=st.integers(1, 5),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
)
def test_csv_keeps_these(table: pa.Table, rows: int, delimiter: str) -> None:
    format_ = CsvFormat(delimiter=delimiter)
    expected = settled(table, {"int32": wide, "csv_float": whole_numbers, "csv_text": empty_as_text})
    data = written(format_, table)
    back = read(format_, data)
    assert back.to_pylist() == expected.to_pylist()
    assert back.schema.equals(expected.schema)
    assert read_in_chunks(format_, data, rows).equals(back)
    assert read(format_, written(format_, table, chunk=rows)).equals(back)


def whole_numbers(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Floats that are all written without a point are read as integers."""
    text = pc.drop_null(column.cast(pa.string())).to_pylist()
    if text and all(it.lstrip("-").isdigit() and it != "-0" for it in text):
        return column.cast(pa.int64())
    return column


def empty_as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column


@FEW
@given(
    table=tables("csv_text", "csv_int", min_rows=1),
    codec=st.sampled_from(["gzip", "bz2", "zstd"]),
    encoding=st.sampled_from(["utf-8", "utf-16"]),
)
def test_csv_compressed_and_in_another_encoding(table: pa.Table, codec: Any, encoding: str) -> None:
    format_ = CsvFormat(compression=codec, encoding=encoding)
    assert read(format_, written(format_, table)).to_pylist() == settled(table, {}).to_pylist()


VALUES["cell_text"] = (
    pa.string(),
    st.text(
        st.characters(min_codepoint=32, exclude_categories=["Cs", "Cn", "Co"], exclude_characters="\x7f_"), max_size=8
    ).map(lambda it: f"t{it}")
    | st.sampled_from(["=1+1", "#tag", "007", "TRUE", "a\nb"]),
)
VALUES["cell_int"] = (pa.int64(), st.integers(-(2**53) + 1, 2**53 - 1))
VALUES["cell_float"] = (pa.float64(), st.floats(-1e9, 1e9).filter(lambda it: it != int(it)))
VALUES["cell_date"] = (pa.date32(), st.dates(dt.date(1901, 1, 1), dt.date(2200, 1, 1)))
VALUES["cell_moment"] = (
    pa.timestamp("us"),
    MOMENTS.map(lambda it: it.replace(year=max(it.year, 1901), microsecond=0, second=max(it.second, 1))),
)


@settings(FEW, max_examples=25)
@given(
    table=tables("bool", "cell_int", "cell_float", "cell_text", "cell_date", "cell_moment", min_rows=1),
    rows=st.integers(1, 5),
)
def test_excel_keeps_these(table: pa.Table, rows: int) -> None:
    format_ = ExcelFormat()
    data = written(format_, table)
    back = read(format_, data)
    expected = settled(table, {})
    assert back.to_pylist() == expected.to_pylist()
    assert back.schema.equals(expected.schema)
    assert read_in_chunks(format_, data, rows).equals(back)
    assert read(format_, written(format_, table, chunk=rows)).equals(back)


@pytest.mark.parametrize(
    "format_", [ParquetFormat(), ArrowFormat(), FeatherFormat(), OrcFormat(), AvroFormat(), CsvFormat(), ExcelFormat()]
)
def test_no_rows_keep_the_names(format_: FileFormat) -> None:
    empty = pa.table({"a": pa.array([], pa.int64()), "b": pa.array([], pa.string())})
    data = written(format_, empty)
    assert read(format_, data).column_names == ["a", "b"]
    assert read(format_, data).num_rows == 0
    assert read_in_chunks(format_, data, 3).num_rows == 0


def test_no_rows_of_json_have_no_names() -> None:
    empty = pa.table({"a": pa.array([], pa.int64())})
    assert written(JsonFormat(), empty) == b"[]\n"
    assert read(JsonFormat(), b"[]\n").num_rows == 0


def test_pandas_own_columns_are_written() -> None:
    import pandas as pd

    frame = pd.DataFrame(
        {"i": [1, 2], "s": ["a", None], "t": pd.to_datetime(["2013-01-01", None]), "c": pd.Categorical(["x", "y"])}
    )
    for format_ in (
        ParquetFormat(),
        FeatherFormat(),
        CsvFormat(),
        JsonFormat(),
        AvroFormat(),
        OrcFormat(),
        ExcelFormat(),
    ):
        file = io.BytesIO()
        format_.write_object(frame, file)
        back = read(format_, file.getvalue())
        assert back["i"].to_pylist() == [1, 2]
        assert back["c"].to_pylist() == ["x", "y"]
        assert back["t"].null_count == 1


def test_decimals_in_text_formats() -> None:
    table = pa.table({"d": [decimal.Decimal("1.50"), None], "k": [1, 2]})
    assert (
        read(JsonFormat(dtypes={"d": "decimal(10, 2)"}), written(JsonFormat(), table))["d"].to_pylist()
        == table["d"].to_pylist()
    )
    assert (
        read(CsvFormat(dtypes={"d": "decimal(10, 2)"}), written(CsvFormat(), table))["d"].to_pylist()
        == table["d"].to_pylist()
    )


@settings(FEW, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(table=tables("bool", "int64", "csv_date", "csv_text", "csv_moment", min_rows=1))
def test_partitions_come_back(lake: Any, table: pa.Table) -> None:
    by = tuple(table.column_names[1:])
    lake.write(from_table(table), "p", ParquetFormat(), partition_by=by)
    back = lake.engine.to_arrow(lake.read("p", ParquetFormat())).sort_by("row")
    assert back.column_names == table.column_names
    for name in table.column_names:
        expected = table[name].to_pylist()
        if name.startswith(("bool", "csv_moment")):
            expected = [None if it is None else str(it).lower() if isinstance(it, bool) else str(it) for it in expected]
        assert back[name].to_pylist() == expected
    for folder in {path.rpartition("/")[0] for path in lake.paths()}:
        part = lake.read(folder, ParquetFormat())["row"].tolist()
        assert part == sorted(part)
