"""Data files with something wrong in them, made anew for each test run, and what is to be said about each.

A case has the objects, how they are read, and the beginning of the message; ``...`` in it stands for anything.
"""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import attrs


@attrs.frozen
class Case:
    """One or more broken objects.

    Attributes:
        name: of the case.
        format: the format they are read as.
        objects: path to content.
        says: what the message must hold, in order.
        path: what is read; by default the only object.
        options: of the format.
        columns: that are wanted.
    """

    name: str
    format: str
    objects: Mapping[str, bytes]
    says: tuple[str, ...]
    path: str = ""
    options: Mapping[str, Any] = attrs.field(factory=dict)
    columns: tuple[str, ...] | None = None


def _csv(name: str, data: bytes, *says: str, path: str = "data.csv", **more: Any) -> Case:
    return Case(f"csv: {name}", "csv", {path: data}, says, **more)


def _json(name: str, data: bytes, *says: str, path: str = "data.json", **more: Any) -> Case:
    return Case(f"json: {name}", "json", {path: data}, says, **more)


def parquet() -> bytes:
    import pyarrow as pa
    from pyarrow import parquet as writer

    file = io.BytesIO()
    table = pa.table({"id": list(range(1000)), "name": [f"name {i * 7919}" for i in range(1000)]})
    writer.write_table(table, file, write_page_checksum=True, compression="none")
    return file.getvalue()


def arrow(stream: bool = False) -> bytes:
    import pyarrow as pa

    file = io.BytesIO()
    table = pa.table({"id": list(range(1000))})
    with (pa.ipc.new_stream if stream else pa.ipc.new_file)(file, table.schema) as writer:
        writer.write_table(table)
    return file.getvalue()


def orc() -> bytes:
    import pyarrow as pa
    from pyarrow import orc as writer

    file = io.BytesIO()
    writer.write_table(pa.table({"id": list(range(1000))}), file)
    return file.getvalue()


def avro(schema: Any = None, rows: Any = None) -> bytes:
    import fastavro

    file = io.BytesIO()
    schema = schema or {"type": "record", "name": "row", "fields": [{"name": "id", "type": "long"}]}
    fastavro.writer(file, schema, rows or [{"id": i} for i in range(5000)], sync_marker=b"0123456789abcdef")
    return file.getvalue()


def excel(rows: list[list[Any]] | None = None, title: str = "Orders") -> bytes:
    from openpyxl import Workbook

    book = Workbook()
    sheet = book.active
    sheet.title = title
    for row in rows if rows is not None else [["id", "name"], [1, "a"]]:
        sheet.append(row)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def _without(data: bytes, member: str) -> bytes:
    """A zip archive without one of its members."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(file, "w") as new:
        for name in old.namelist():
            if member not in name:
                new.writestr(name, old.read(name))
    return file.getvalue()


def _flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


LINES = "id,name\n" + "".join(f"{i},n{i}\n" for i in range(1000))


def cases() -> list[Case]:
    """All cases."""
    return [*_csv_cases(), *_json_cases(), *_binary_cases(), *_excel_cases(), *_part_cases()]


def _csv_cases() -> list[Case]:
    ragged = "there are 2 columns. Correct the row, or set on_bad_lines"
    return [
        _csv("a field too few", b"id,name\n1,a\n2\n", "data.csv:3: the row has 1 field, but " + ragged),
        _csv("a field too many", b"id,name\n1,a,x\n", "data.csv:2: the row has 3 fields, but " + ragged),
        _csv("after a text of two lines", b'id,name\n1,"a\nb"\n\n2\n', "data.csv:5: the row has 1 field"),
        _csv("a thousand rows in", (LINES + "x\n").encode(), "data.csv:1002: the row has 1 field"),
        _csv(
            "html instead of data",
            b"<!DOCTYPE html>\n<html>\n<body a,b>\n</html>\n",
            "data.csv:3: the row has 2 fields",
        ),
        _csv(
            "an open quote", b'id,name\n1,"a\n2,b\n', "data.csv:2: a quote that is opened in this line is never closed"
        ),
        _csv("an open quote in the names", b'id,"name\n1,a\n', "data.csv", "never closed"),
        _csv(
            "bytes that are not UTF-8",
            "id,name\n1,Zoë\n".encode("cp1252"),
            "data.csv:2: the text is not utf-8: the byte 0xeb",
            "Set encoding to the file's own",
        ),
        _csv(
            "bytes that are not UTF-8 in the names", "id,näme\n".encode("latin-1"), "data.csv:1: the text is not utf-8"
        ),
        _csv("UTF-16 without a mark", "id,name\n1,a\n".encode("utf-16-le"), "data.csv", "utf-16"),
        _csv("a NUL byte", b"id,name\n1,a\n2,b\0c\n", "data.csv:3: the line holds a NUL byte"),
        _csv("a binary file", bytes(range(256)) * 20, "data.csv:"),
        _csv("nothing at all", b"", "data.csv: the file is empty."),
        _csv("nothing but blank lines", b"\n\n\n", "data.csv: there is no line with the names of the columns"),
        _csv("a name that comes twice", b"id,id\n1,2\n", "data.csv:1: more than one column is called 'id'"),
        _csv(
            "another delimiter",
            b"id;name\n1;a\n",
            "data.csv:1: there is one column by the delimiter ',' but 2 by ';'",
            "Set delimiter: ';'",
        ),
        _csv(
            "cut off gzip",
            gzip.compress(LINES.encode())[:-200],
            "data.csv.gz: this is not valid CSV: Truncated",
            "fetch the file again",
            path="data.csv.gz",
        ),
        _csv("damaged gzip", _flipped(gzip.compress(LINES.encode()), 100), "data.csv.gz", path="data.csv.gz"),
        _csv("gzip by name alone", b"\x1f\x8b", "data.csv.gz", path="data.csv.gz"),
        _csv(
            "a value of another type",
            b"id\n1\nx\n",
            "data.csv:3: a value of column 'id' is not of the type int64",
            options={"dtypes": {"id": "int"}},
        ),
        _csv(
            "a date that is none",
            b"d\n2013-02-30\n",
            "data.csv:2: a value of column 'd' is not of the type timestamp[us]",
            options={"dates": ("d",)},
        ),
        _csv(
            "a wanted column that is not there",
            b"id,name\n1,a\n",
            "data.csv: there is no column 'nme'. Did you mean 'name'?",
            columns=("nme",),
        ),
        _csv(
            "names for more columns than there are",
            b"1,2\n",
            "data.csv:1: there are 2 columns, but column_names has 3",
            options={"header": False, "column_names": ("a", "b", "c")},
        ),
    ]


def _json_cases() -> list[Case]:
    return [
        _json("a trailing comma in an object", b'{"a": 1}\n{"a": 2,}\n', "data.json:2: the line is not an object"),
        _json(
            "a trailing comma in an array", b'[{"a": 1},\n {"a": 2},\n]', "data.json:2: there is a comma after the last"
        ),
        _json("a bad third line", b'{"a": 1}\n{"a": 2}\n{"a": \n{"a": 4}\n', "data.json:3: the line is not an object"),
        _json("a line that is no object", b'{"a": 1}\n[2]\n', "data.json:2: the line is a list, not an object"),
        _json("an element that is no object", b'[{"a": 1},\n2]', "data.json:2: element 2 is a number, not an object"),
        _json(
            "an array that is cut off", b'[{"a": 1},\n {"a": 2', "data.json:2: the file ends in the middle of an object"
        ),
        _json("an array that is not closed", b'[{"a": 1}', "data.json:1: there is no ',' or ']'"),
        _json("something after the array", b'[{"a": 1}]\n{"a": 2}', "data.json:2: there is something after the end"),
        _json("single quotes", b"{'a': 1}\n", "data.json:1: the line is not an object"),
        _json("a null for an object", b'{"a": 1}\nnull\n', "data.json:2: the line is null, not an object"),
        _json("nothing but null", b"null", "data.json:1: the line is null, not an object"),
        _json("a null after an object", b'{"a": 1} null\n', "data.json:1: the line is not an object"),
        _json("a bare text", b'"a"', "data.json:1: the line is a text, not an object"),
        _json("nothing at all", b"", "data.json: the file is empty"),
        _json("bytes that are not UTF-8", b'{"a": "\xe9"}\n', "data.json:1: the text is not utf-8"),
        _json("half a surrogate", b'{"a": "\\ud800"}\n', "data.json: this is not valid JSON"),
        _json(
            "numbers and texts",
            b'{"a": 1}\n{"a": "x"}\n',
            "data.json:2: column 'a' is a text, but a number before",
            "set dtypes: {a: str}",
        ),
        _json(
            "an integer of twenty digits",
            b'{"a": 12345678901234567890}\n',
            "data.json:1: column 'a' holds an integer",
            "Set dtypes: {a: str}",
        ),
        _json(
            "an integer among floats",
            b'{"a": 0.5}\n{"a": 9007199254740993}\n',
            "data.json:2: column 'a' holds an integer",
        ),
        _json(
            "CSV",
            b"a,b\n1,2\n",
            "data.csv:1: the line is not an object",
            "The name means csv, but it is read as json",
            path="data.csv",
        ),
        _json("a wanted column that is not there", b'{"a": 1}\n', "data.json: there is no column 'b'", columns=("b",)),
        _json(
            "cut off gzip", gzip.compress(json.dumps([{"a": 1}] * 9).encode())[:-9], "data.json.gz", path="data.json.gz"
        ),
    ]


def _binary_cases() -> list[Case]:
    def case(format_: str, name: str, data: bytes, *says: str, **more: Any) -> Case:
        path = more.pop("path", f"data.{format_}")
        return Case(f"{format_}: {name}", format_, {path: data}, (path, *says), **more)

    whole = parquet()
    union = {"type": "record", "name": "row", "fields": [{"name": "u", "type": ["null", "long", "string"]}]}
    container = avro()
    return [
        case("parquet", "nothing at all", b"", "this is not valid Parquet"),
        case("parquet", "cut off", whole[:-100], "this is not valid Parquet", "Check that the file is whole"),
        case("parquet", "cut off at the front", whole[100:], "this is not valid Parquet"),
        case("parquet", "a flipped byte", _flipped(whole, 3000), "this is not valid Parquet"),
        case("parquet", "CSV", b"a,b\n1,2\n", "this is not valid Parquet"),
        case("parquet", "a CSV by name", b"a,b\n1,2\n", "The name means csv, but it is read as parquet", path="x.csv"),
        case("parquet", "a missing column", whole, "there is no column 'nam'. Did you mean 'name'?", columns=("nam",)),
        case("arrow", "nothing at all", b"", "this is not valid Arrow"),
        case("arrow", "a file that is cut off", arrow()[:-50], "this is not valid Arrow"),
        case("arrow", "a stream that is cut off", arrow(stream=True)[:-2000], "this is not valid Arrow"),
        case("feather", "noise", b"noise" * 100, "this is not valid Feather"),
        case("orc", "nothing at all", b"", "this is not valid ORC"),
        case("orc", "cut off", orc()[:-20], "this is not valid ORC"),
        case("avro", "nothing at all", b"", "the file is empty"),
        case("avro", "noise", b"noise" * 100, "this is not an Avro file"),
        case("avro", "cut off", container[:-40], "this is not valid Avro"),
        case("avro", "a bad sync marker", container[:-16] + b"fedcba9876543210", "this is not valid Avro"),
        case("avro", "a union of two types", avro(union, [{"u": 1}]), "column 'u' is one of 2 types"),
        case("avro", "single values", avro("long", [1, 2]), "the file holds single values, not records"),
    ]


def _excel_cases() -> list[Case]:
    def case(name: str, data: bytes, *says: str, **more: Any) -> Case:
        return Case(f"excel: {name}", "excel", {"data.xlsx": data}, ("data.xlsx", *says), **more)

    whole = excel()
    return [
        case("nothing at all", b"", "the file is empty"),
        case("CSV", b"id,name\n1,a\n", "this is not an Excel workbook"),
        case("an old workbook", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500), "an old Excel (.xls)"),
        case("a cut off archive", whole[:-200], "this is not valid Excel"),
        case("another archive", _without(whole, "workbook.xml"), "this is not valid Excel"),
        case(
            "a sheet that is not there",
            whole,
            "there is no sheet 'Sheet1'. The sheets are: Orders.",
            options={"sheet": "Sheet1"},
        ),
        case("a sheet number too high", whole, "there is no sheet 3", options={"sheet": 3}),
        case("an empty sheet", excel([]), "the sheet has no row with the names"),
        case("a name that comes twice", excel([["a", "a"], [1, 2]]), "row 1: more than one column is called 'a'"),
        case(
            "a value of another type",
            excel([["a"], [1], ["x"]]),
            "row 3: a value of column 'a' is not of the type int64",
            options={"dtypes": {"a": "int"}},
        ),
    ]


def _part_cases() -> list[Case]:
    return [
        Case(
            "parts: other columns",
            "csv",
            {"p/1.csv": b"a,b\n1,2\n", "p/2.csv": b"a,c\n1,2\n"},
            ("p/2.csv: the part lacks 'b' and has 'c' besides, unlike lake:p/1.csv", "union_by_name"),
            path="p",
        ),
        Case(
            "parts: one is broken",
            "csv",
            {"p/1.csv": b"a,b\n1,2\n", "p/2.csv": b"a,b\n1\n"},
            ("p/2.csv:2: the row has 1 field",),
            path="p/*.csv",
        ),
        Case(
            "parts: one is empty",
            "csv",
            {"p/1.csv": b"a,b\n1,2\n", "p/2.csv": b""},
            ("p/2.csv: the file is empty",),
            path="p",
        ),
        Case(
            "parts: other types",
            "json",
            {"p/1.json": b'{"a": 1}', "p/2.json": b'{"a": "x"}'},
            ("p/2.json: column 'a' is string, but int64 in lake:p/1.json",),
            path="p",
        ),
        Case(
            "parts: another format among them",
            "csv",
            {"p/1.csv": b"a,b\n1,2\n", "p/2.parquet": parquet()},
            ("p/2.parquet:", "The name means parquet, but it is read as csv"),
            path="p",
        ),
        Case(
            "parts: folders that do not agree",
            "csv",
            {"p/y=1/1.csv": b"a\n1\n", "p/m=1/2.csv": b"a\n1\n"},
            ("p/y=1/1.csv: the folders say y, but m",),
            path="p",
        ),
    ]


MAKERS: Mapping[str, Callable[[], bytes]] = {
    "parquet": parquet,
    "arrow": arrow,
    "orc": orc,
    "avro": avro,
    "excel": excel,
}
"""Makes a file of each binary format that is whole, for tests that damage it in all places."""
