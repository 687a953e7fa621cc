from __future__ import annotations

import datetime as dt
import io
from typing import Any

import fastavro
import openpyxl
import pyarrow as pa
import pytest

from odibi.contracts.format import Format
from odibi.errors import DataError
from odibi_pandas.formats.arrow import ArrowFormat
from odibi_pandas.formats.avro import AvroFormat
from odibi_pandas.formats.excel import ExcelFormat
from odibi_pandas.formats.feather import FeatherFormat
from odibi_pandas.formats.json import JsonFormat
from odibi_pandas.formats.orc import OrcFormat
from odibi_pandas.formats.parquet import ParquetFormat
from odibi_pandas.frames import from_table, to_table

ALL = [ArrowFormat(), AvroFormat(), ExcelFormat(), FeatherFormat(), JsonFormat(), OrcFormat(), ParquetFormat()]


def read(format_: Any, data: bytes | str, columns: tuple[str, ...] | None = None) -> pa.Table:
    raw = data.encode() if isinstance(data, str) else data
    whole = to_table(format_.read_object(io.BytesIO(raw), name="x", columns=columns))
    chunks = [to_table(it) for it in format_.read_object_chunks(io.BytesIO(raw), 2, name="x", columns=columns)]
    assert pa.concat_tables(chunks).equals(whole)
    return whole


def refused(format_: Any, data: bytes | str, columns: tuple[str, ...] | None = None) -> str:
    with pytest.raises(DataError) as caught:
        read(format_, data, columns)
    return str(caught.value)


def written(format_: Any, table: pa.Table) -> bytes:
    file = io.BytesIO()
    format_.write_object(from_table(table), file)
    return file.getvalue()


@pytest.mark.parametrize("format_", ALL, ids=lambda it: it.title)
def test_all_are_formats_and_choose_columns(format_: Any) -> None:
    assert isinstance(format_, Format)
    data = written(format_, pa.table({"a": [1, 2, 3], "b": ["x", "y", "z"], "c": [1.5, 2.5, 3.5]}))
    assert read(format_, data, columns=("c", "a")).to_pydict() == {"c": [1.5, 2.5, 3.5], "a": [1, 2, 3]}
    assert "x: there is no column 'bb'. Did you mean 'b'?" in refused(format_, data, columns=("bb",))
    by_option = type(format_)(columns=("b",)).read_object(io.BytesIO(data), name="x")
    assert list(by_option.columns) == ["b"]
    with pytest.raises(ValueError, match="an index is not written"):
        type(format_)(index=True)


# --- JSON -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "b": "x"}\n{"a": 2, "b": null}\n',
        '{"a": 1, "b": "x"}\n\n{"b": null, "a": 2}',
        '\ufeff{"a": 1, "b": "x"}\r\n{"a": 2}\r\n',
        '[{"a": 1, "b": "x"}, {"a": 2}]',
        ' [\n  {"a": 1,\n "b": "x"}\n,{"a": 2}\n]\n',
        '{"a": 1, "b": "x"} {"a": 2}',
        '{\n"a": 1, "b": "x"\n}\n{\n"a": 2}',
    ],
)
def test_layouts_of_json(text: str) -> None:
    assert read(JsonFormat(), text).to_pydict() == {"a": [1, 2], "b": ["x", None]}


def test_values_of_json() -> None:
    table = read(
        JsonFormat(),
        '{"i": 1, "f": 1, "b": true, "n": null, "d": "2013-01-02", "t": "2013-01-02 03:04:05.123456", "s": "007"}\n'
        '{"f": 1.5, "z": "2013-01-02T03:04:05+02:00", "l": [null, 1], "o": {"x": {"y": [1.5]}}, "e": ""}\n',
    )
    assert {it.name: str(it.type) for it in table.schema} == {
        "i": "int64",
        "f": "double",
        "b": "bool",
        "n": "string",
        "d": "date32[day]",
        "t": "timestamp[us]",
        "s": "string",
        "z": "timestamp[us, tz=UTC]",
        "l": "list<item: int64>",
        "o": "struct<x: struct<y: list<item: double>>>",
        "e": "string",
    }
    assert table["l"].to_pylist() == [None, [None, 1]]
    assert table["t"][0].as_py() == dt.datetime(2013, 1, 2, 3, 4, 5, 123456)
    assert str(read(JsonFormat(dates=False), '{"d": "2013-01-02"}').schema.types[0]) == "string"


def test_moments_inside_objects_stay_texts() -> None:
    table = read(JsonFormat(), '{"o": {"t": "2013-01-02 03:04:05.123"}, "l": ["2013-01-02"]}\n')
    assert table.to_pylist() == [{"o": {"t": "2013-01-02 03:04:05.123"}, "l": ["2013-01-02"]}]


def test_types_of_json_that_were_asked_for() -> None:
    text = (
        '{"id": 1, "x": 1.10, "d": "2013-01-02", "o": {"k": [1]}}\n{"id": "A2", "x": 12345678901234567890, "d": null}\n'
    )
    format_ = JsonFormat(dtypes={"id": "str", "x": "str", "d": "datetime", "o": "str"})
    table = read(format_, text)
    assert table["id"].to_pylist() == ["1", "A2"]
    assert table["x"].to_pylist() == ["1.10", "12345678901234567890"]
    assert table["o"].to_pylist() == ['{"k": ["1"]}', None]
    assert str(table.schema.field("d").type) == "timestamp[us]"
    assert "x:2: a value of column 'id' is not of the type int64" in refused(
        JsonFormat(dtypes={"id": "int"}), '{"id": 1}\n{"id": "A2"}\n'
    )


def test_a_column_that_comes_late_in_json() -> None:
    text = "".join(f'{{"a": {at}}}\n' for at in range(5)) + '{"b": 1.5}\n'
    table = read(JsonFormat(), text)
    assert table["b"].to_pylist() == [None] * 5 + [1.5]
    assert read(JsonFormat(), text, columns=("b",)).num_rows == 6


def test_max_rows_of_json() -> None:
    assert read(JsonFormat(max_rows=3), '{"a": 1}\n' * 9).num_rows == 3
    assert read(JsonFormat(max_rows=3), "[" + ",".join(['{"a": 1}'] * 9) + "]").num_rows == 3


def test_many_lines_of_json_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    from odibi_pandas.formats import json_read

    monkeypatch.setattr(json_read, "_CHUNK", 100)
    text = "".join(f'{{"a": {at}, "t": "2013-01-{at % 28 + 1:02d}"}}\n' for at in range(200))
    chunks = [to_table(it) for it in JsonFormat().read_object_chunks(io.BytesIO(text.encode()), 7, name="x")]
    assert pa.concat_tables(chunks).equals(read(JsonFormat(), text))
    bad = text + '{"a": "x"}\n'
    with pytest.raises(DataError) as caught:
        list(JsonFormat().read_object_chunks(io.BytesIO(bad.encode()), 7, name="x"))
    assert "x: column 'a' is string, but int64 in the rows before" in str(caught.value)
    worse = text + '{"a": }\n'
    with pytest.raises(DataError, match="x:201: the line is not an object"):
        list(JsonFormat().read_object_chunks(io.BytesIO(worse.encode()), 7, name="x"))


def test_what_json_writes() -> None:
    table = pa.table(
        {"a": [1, None], "t": [dt.datetime(2013, 1, 2), None], "f": [float("nan"), 0.5], "s": ["é\n", '"']}
    )
    assert written(JsonFormat().for_path("x.jsonl"), table).decode() == (
        '{"a":1,"t":"2013-01-02T00:00:00","f":null,"s":"é\\n"}\n{"a":null,"t":null,"f":0.5,"s":"\\""}\n'
    )
    assert written(JsonFormat().for_path("x.json"), table).decode().startswith('[\n{"a":1')
    assert JsonFormat(lines=True, compression="gzip").extension() == ".jsonl.gz"
    assert written(JsonFormat().for_path("x.json.gz"), table)[:2] == b"\x1f\x8b"
    for column, message in ((pa.array([float("inf")]), "infinite number"), (pa.array([b"x"]), "holds bytes")):
        with pytest.raises(DataError, match=message):
            written(JsonFormat(), pa.table({"v": column}))
    with pytest.raises(ValueError, match="only 'records'"):
        JsonFormat(orient="split")


# --- Excel ----------------------------------------------------------------------------------------------------------


def workbook(**sheets: list[list[Any]]) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def test_sheets_headers_and_rows_of_excel() -> None:
    data = workbook(
        First=[["Report of", "2013"], [], ["id", None, "id2"], [1, "x", 1.5], [2, None, 2], [None, None, None]],
        Second=[["a"], [True]],
    )
    assert read(ExcelFormat(header=2), data).to_pydict() == {"id": [1, 2], "column_1": ["x", None], "id2": [1.5, 2.0]}
    assert read(ExcelFormat(skip_rows=2), data).column_names == ["id", "column_1", "id2"]
    assert read(ExcelFormat(sheet="Second"), data).to_pydict() == {"a": [True]}
    assert read(ExcelFormat(sheet=1), data).to_pydict() == {"a": [True]}
    assert read(ExcelFormat(sheet=1, header=False), data).to_pydict() == {"column_0": ["a", "true"]}
    assert read(ExcelFormat(skip_rows=2, max_rows=1), data).num_rows == 1


def test_values_of_excel() -> None:
    day, moment = dt.datetime(2013, 1, 2), dt.datetime(2013, 1, 2, 3, 4, 5)
    data = workbook(
        S=[
            ["whole", "float", "mixed", "date", "moment", "bool", "error", "time", "empty", "code"],
            [1.0, 1, 1, day, day, True, "#DIV/0!", dt.time(1, 2), None, "007"],
            [2, 2.5, "x", None, moment, None, 5, None, None, "008"],
            [3, 3, 2.5, day, None, False, None, None, None, None],
            [4, 4, day, None, None, None, None, None, None, None],
        ]
    )
    table = read(ExcelFormat(), data)
    assert [str(it) for it in table.schema.types] == [
        *(
            "int64",
            "double",
            "string",
            "date32[day]",
            "timestamp[us]",
            "bool",
            "int64",
            "time64[us]",
            "string",
            "string",
        ),
    ]
    assert table["mixed"].to_pylist() == ["1", "x", "2.5", "2013-01-02T00:00:00"]
    assert table["error"].to_pylist() == [None, 5, None, None]
    typed = read(ExcelFormat(dtypes={"whole": "str", "code": "int"}), data)
    assert typed["whole"].to_pylist() == ["1", "2", "3", "4"]
    assert typed["code"].to_pylist() == [7, 8, None, None]


def test_what_excel_writes() -> None:
    utc = dt.datetime(2013, 1, 2, tzinfo=dt.UTC)
    table = pa.table({"f": ["=1+1", "#N/A"], "z": [utc, None], "big": [2**60, 1], "old": [dt.date(1850, 1, 1), None]})
    back = read(ExcelFormat(), written(ExcelFormat(sheet="Data"), table))
    assert back["f"].to_pylist() == ["=1+1", None]
    assert back["z"].to_pylist() == ["2013-01-02T00:00:00+00:00", None]
    assert back["big"].to_pylist() == [str(2**60), "1"]
    assert back["old"].to_pylist() == ["1850-01-01", None]
    assert openpyxl.load_workbook(io.BytesIO(written(ExcelFormat(sheet="Data"), table))).sheetnames == ["Data"]


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (["x" * 40_000], "has 40,000 characters; a cell holds 32,767"),
        (["\x01"], "cannot be written as Excel"),
        ([[1]], "holds values of the type list"),
    ],
)
def test_what_excel_cannot_hold(column: list[Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        written(ExcelFormat(), pa.table({"v": column}))


def test_excel_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    from odibi_pandas.formats import excel

    monkeypatch.setattr(excel, "_MOST_ROWS", 3)
    with pytest.raises(DataError, match="a sheet holds 3 rows, and there are more"):
        written(ExcelFormat(), pa.table({"v": [1, 2, 3]}))
    monkeypatch.setattr(excel, "_MOST_COLUMNS", 1)
    with pytest.raises(DataError, match="a sheet holds 1 columns, not 2"):
        written(ExcelFormat(), pa.table({"v": [1], "w": [1]}))


# --- Avro -----------------------------------------------------------------------------------------------------------


def container(fields: list[Any], rows: list[Any]) -> bytes:
    file = io.BytesIO()
    fastavro.writer(file, {"type": "record", "name": "r", "fields": fields}, rows)
    return file.getvalue()


def test_types_of_avro() -> None:
    import uuid

    fields = [
        {"name": "e", "type": {"type": "enum", "name": "e", "symbols": ["A", "B"]}},
        {"name": "u", "type": {"type": "string", "logicalType": "uuid"}},
        {"name": "f", "type": {"type": "fixed", "name": "f", "size": 2}},
        {"name": "m", "type": {"type": "map", "values": "long"}},
        {"name": "ms", "type": ["null", {"type": "long", "logicalType": "timestamp-millis"}]},
        {"name": "n", "type": "null"},
        {"name": "a", "type": {"type": "array", "items": ["null", "string"]}},
    ]
    row = {
        "e": "A",
        "u": uuid.UUID(int=1),
        "f": b"ab",
        "m": {"k": 1},
        "ms": dt.datetime(2013, 1, 2, tzinfo=dt.UTC),
        "n": None,
        "a": ["x", None],
    }
    table = read(AvroFormat(), container(fields, [row]))
    assert [str(it) for it in table.schema.types] == [
        *("string", "string", "binary", "map<string, int64>", "timestamp[ms, tz=UTC]", "string", "list<item: string>"),
    ]
    assert table["u"].to_pylist() == [str(uuid.UUID(int=1))]
    assert table["m"].to_pylist() == [[("k", 1)]]


def test_a_column_of_avro_that_cannot_be_read_can_be_left_out() -> None:
    fields = [{"name": "u", "type": ["long", "string"]}, {"name": "v", "type": "long"}]
    data = container(fields, [{"u": 1, "v": 2}])
    assert "column 'u' is one of 2 types" in refused(AvroFormat(), data)
    assert read(AvroFormat(), data, columns=("v",)).to_pydict() == {"v": [2]}
    node: dict[str, Any] = {"type": "record", "name": "node", "fields": [{"name": "next", "type": ["null", "node"]}]}
    assert "holds itself" in refused(AvroFormat(), container([{"name": "t", "type": node}], [{"t": {"next": None}}]))


def test_what_avro_cannot_hold() -> None:
    for table, message in (
        (pa.table({"a b": [1]}), "Avro does not allow the name 'a b'"),
        (pa.table({"d": pa.array([1], pa.duration("us"))}), "column 'd' is duration"),
        (pa.table({"t": pa.array([1], pa.timestamp("ns"))}), "cannot be written as Avro"),
        (pa.table({"u": pa.array([2**64 - 1], pa.uint64())}), "cannot be written as Avro"),
    ):
        with pytest.raises(DataError, match=message):
            written(AvroFormat(), table)


# --- Parquet, Arrow, ORC --------------------------------------------------------------------------------------------


def test_the_index_that_pandas_wrote_is_left_out() -> None:
    import pandas as pd

    frame = pd.DataFrame({"k": ["x", "y"], "v": [1, 2]})
    file = io.BytesIO()
    frame[frame["v"] > 1].to_parquet(file)
    assert read(ParquetFormat(), file.getvalue()).to_pydict() == {"k": ["y"], "v": [2]}
    file = io.BytesIO()
    frame.set_index("k").to_parquet(file)
    assert sorted(read(ParquetFormat(), file.getvalue()).column_names) == ["k", "v"]


def test_feather_of_the_first_version_is_refused() -> None:
    assert "Feather of the first version" in refused(FeatherFormat(), b"FEA1" + bytes(100) + b"FEA1")


def test_row_groups() -> None:
    from pyarrow import parquet

    data = written(ParquetFormat(row_group_size=10), pa.table({"a": list(range(25))}))
    assert parquet.ParquetFile(io.BytesIO(data)).num_row_groups == 3
    with pytest.raises(ValueError, match="1 or more"):
        ParquetFormat(row_group_size=0)


def test_orc_writes_unsigned_as_signed() -> None:
    data = written(OrcFormat(), pa.table({"a": pa.array([255], pa.uint8()), "n": pa.nulls(1)}))
    assert [str(it) for it in read(OrcFormat(), data).schema.types] == ["int16", "string"]


# --- memory ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["csv", "jsonl", "parquet", "feather"])
def test_chunks_keep_memory_bound(lake: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from odibi_pandas.formats import json_read
    from odibi_pandas.formats.csv import CsvFormat

    monkeypatch.setattr(json_read, "_CHUNK", 1 << 18)
    formats = {
        "csv": CsvFormat(),
        "jsonl": JsonFormat(),
        "parquet": ParquetFormat(row_group_size=5000),
        "feather": FeatherFormat(),
    }
    format_ = formats[name]
    count = 600_000

    def frames() -> Any:
        for begin in range(0, count, 5000):
            rows = range(begin, begin + 5000)
            yield from_table(pa.table({"id": list(rows), "text": [f"a text of some length {it}" for it in rows]}))

    before = pa.total_allocated_bytes()
    seen = 0
    lake.engine.write_chunks(frames(), lake.target(f"x.{name}", format_))
    for chunk in lake.engine.read_chunks(lake.source(f"x.{name}", format_), 5000):
        assert chunk["id"].iloc[0] == seen
        seen += len(chunk)
        # All rows take 27 MB; on a busy machine a reader runs ahead by some blocks.
        assert pa.total_allocated_bytes() - before < 12_000_000
    assert seen == count


# --- the plugin -----------------------------------------------------------------------------------------------------


def test_components_are_known_without_their_libraries() -> None:
    import subprocess
    import sys

    code = """
import sys, typing
from importlib import import_module
import odibi_pandas
for place in {**odibi_pandas.odibi_engines(), **odibi_pandas.odibi_formats()}.values():
    module, _, name = place.partition(":")
    typing.get_type_hints(getattr(import_module(module), name))
heavy = {"pandas", "pyarrow", "duckdb", "numpy", "openpyxl", "fastavro"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
