from __future__ import annotations

import bz2
import gzip
import io
import logging
from typing import Any

import attrs
import pandas as pd
import pyarrow as pa
import pytest

from odibi.contracts.format import Format
from odibi.errors import DataError
from odibi_pandas.formats.csv import CsvFormat
from odibi_pandas.frames import from_table, to_table


def read(data: bytes | str, columns: tuple[str, ...] | None = None, **options: Any) -> pa.Table:
    """The table, read whole; and checked to be the same read in chunks of two rows."""
    raw = data.encode() if isinstance(data, str) else data
    format_ = CsvFormat(**options)
    whole = to_table(format_.read_object(io.BytesIO(raw), name="x.csv", columns=columns))
    chunks = [to_table(it) for it in format_.read_object_chunks(io.BytesIO(raw), 2, name="x.csv", columns=columns)]
    assert [it.schema for it in chunks] == [whole.schema] * len(chunks)
    assert pa.concat_tables(chunks).equals(whole)
    assert all(it.num_rows == 2 for it in chunks[:-1]) or options.get("on_bad_lines") == "collect"
    return whole


def refused(data: bytes | str, columns: tuple[str, ...] | None = None, **options: Any) -> str:
    raw = data.encode() if isinstance(data, str) else data
    with pytest.raises(DataError) as caught:
        CsvFormat(**options).read_object(io.BytesIO(raw), name="x.csv", columns=columns)
    with pytest.raises(DataError) as in_chunks:
        list(CsvFormat(**options).read_object_chunks(io.BytesIO(raw), 2, name="x.csv", columns=columns))
    assert str(in_chunks.value) == str(caught.value)
    assert caught.value.remedy
    return str(caught.value)


def written(frame: Any, path: str = "x.csv", **options: Any) -> bytes:
    file = io.BytesIO()
    CsvFormat(**options).for_path(path).write_object(frame, file)
    return file.getvalue()


def types(table: pa.Table) -> list[str]:
    return [str(it) for it in table.schema.types]


def test_it_is_a_format() -> None:
    assert isinstance(CsvFormat(), Format)


# --- types ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "type_", "expected"),
    [
        (["1", "-2", "0"], "int64", [1, -2, 0]),
        (["1", "", "3"], "int64", [1, None, 3]),
        (["9223372036854775807", "-9223372036854775808"], "int64", [2**63 - 1, -(2**63)]),
        (["9223372036854775808", "1"], "string", None),
        (["007", "8"], "string", None),
        (["+5", "6"], "string", None),
        (["-0", "1"], "double", [-0.0, 1.0]),
        (["0x1F", "1"], "string", None),
        (["1_000"], "string", None),
        (["1.5", "2"], "double", [1.5, 2.0]),
        (["1.", ".5", "-1e3", "1E-2"], "double", [1.0, 0.5, -1000.0, 0.01]),
        (["00.5", "1"], "string", None),
        (["0.5", "-0.5"], "double", [0.5, -0.5]),
        (["1.5", "1234567890123456"], "string", None),
        (["inf", "-Infinity"], "double", [float("inf"), float("-inf")]),
        (["1e999"], "string", None),
        (["NA", "1", "n/a", "null", "NaN", "#N/A"], "int64", [None, 1, None, None, None, None]),
        (["nan", "1.5"], "double", [None, 1.5]),
        (["NA", "x"], "string", None),
        (["NA", "NA"], "string", None),
        ([" 1", "2 "], "int64", [1, 2]),
        (["true", "FALSE", ""], "bool", [True, False, None]),
        (["true", "1"], "string", None),
        (["yes", "no"], "string", None),
        (["2013-01-02", ""], "date32[day]", None),
        (["2013-01-02", "2013-01-02 03:04"], "timestamp[us]", None),
        (["2013-01-02T03:04:05.123456"], "timestamp[us]", None),
        (["2013-01-02T03:04:05.123456789"], "timestamp[ns]", None),
        (["2013-01-02T03:04:05Z", "2013-01-02T03:04:05+02:00"], "timestamp[us, tz=UTC]", None),
        (["2013-01-02T03:04:05Z", "2013-01-02T03:04:05"], "string", None),
        (["2013-02-30"], "string", None),
        (["1500-01-01 00:00:00.123456789"], "string", None),
        (["01.02.2013"], "string", None),
        (["10:00:00"], "string", None),
        (["", ""], "string", [None, None]),
    ],
)
def test_a_column_has_the_strictest_type_that_keeps_every_value(
    values: list[str], type_: str, expected: list[Any] | None
) -> None:
    table = read("k,v\n" + "".join(f"{at},{value}\n" for at, value in enumerate(values)))
    assert str(table.schema.field("v").type) == type_
    if type_ == "string":
        expected = [value or None for value in values]
    if expected is not None:
        assert table["v"].to_pylist() == expected


@pytest.mark.parametrize("last", ["007", "x", "1.5", "", "12345678901234567890", "true", "2013-01-01"])
def test_the_last_of_many_rows_counts_as_much_as_the_first(last: str) -> None:
    count = 5000
    format_ = CsvFormat()
    data = ("k,v\n" + "".join(f"{at},{at}\n" for at in range(count)) + f"{count},{last}\n").encode()
    whole = to_table(format_.read_object(io.BytesIO(data), name="x"))
    chunks = [to_table(it) for it in format_.read_object_chunks(io.BytesIO(data), 700, name="x")]
    assert pa.concat_tables(chunks).equals(whole)
    value = whole["v"][count].as_py()
    assert str("" if value is None else value) == last
    assert whole["v"][5].as_py() == {"": 5, "1.5": 5.0}.get(last, "5")


def test_nulls_and_empty_texts_are_kept_apart() -> None:
    assert read('a,b\n1,\n2,""\n3,x\n')["b"].to_pylist() == [None, "", "x"]


def test_null_values_hold_in_every_column() -> None:
    table = read('a,b,c\n1,NA,-\n-,x,3\n,"NA",NULL\n', null_values=("NA", "-"))
    assert table["a"].to_pylist() == [1, None, None]
    assert table["b"].to_pylist() == [None, "x", "NA"]
    assert table["c"].to_pylist() == [None, "3", "NULL"]


def test_types_that_were_asked_for() -> None:
    data = "i,f,s,b,d,t,z,c\n01,1,007,1,2013-01-01,2013-01-01,2013-01-01T01:00:00+01:00,1.50\n,,,,,,,\n"
    asked = {
        "i": "int32",
        "f": "float",
        "s": "str",
        "b": "bool",
        "d": "date",
        "t": "datetime",
        "z": "timestamp[us, tz=UTC]",
    }
    table = read(data, dtypes=asked | {"c": "decimal(10, 2)"})
    assert types(table) == [
        *(
            "int32",
            "double",
            "string",
            "bool",
            "date32[day]",
            "timestamp[us]",
            "timestamp[us, tz=UTC]",
            "decimal128(10, 2)",
        ),
    ]
    first, second = table.to_pylist()
    assert (first["i"], first["s"], first["b"], str(first["c"])) == (1, "007", True, "1.50")
    assert first["z"].isoformat() == "2013-01-01T00:00:00+00:00"
    assert set(second.values()) == {None}


def test_one_type_for_all_columns() -> None:
    assert types(read("a,b\n1,2013-01-01\n", dtypes="str")) == ["string", "string"]
    assert types(read("a,b\n1,2013-01-01\n", infer_types=False)) == ["string", "string"]


@pytest.mark.parametrize("word", ["Int64", "object", "datetime64[ns]", "category", "float64", "string"])
def test_the_words_of_pandas_for_types(word: str) -> None:
    read("a\n", dtypes={"a": word})


def test_a_value_that_does_not_fit_its_type() -> None:
    message = refused('a,b\n1,"x\ny"\n\n2,x\nthree,x\nfour,x\n', dtypes={"a": "int"})
    assert message.startswith("x.csv:6: a value of column 'a' is not of the type int64.")
    assert "x.csv: the option dtypes names the column 'bb'" in refused("a,b\n1,2\n", dtypes={"bb": "int"})
    assert "the type 'integr' is not known" in refused("a,b\n1,2\n", dtypes={"a": "integr"})


def test_dates() -> None:
    data = "d,e\n2013-01-02,2013-01-02\n"
    assert types(read(data)) == ["date32[day]", "date32[day]"]
    assert types(read(data, dates=False)) == ["string", "string"]
    assert types(read(data, dates=("d",))) == ["timestamp[us]", "string"]
    table = read("d,e\n2.1.2013 10:00,x\n", dates=("d",), date_format="%d.%m.%Y %H:%M")
    assert table["d"][0].as_py().isoformat() == "2013-01-02T10:00:00"
    assert "x.csv:3: a value of column 'd'" in refused(
        "d\n2.1.2013\n2013-01-02\n", dates=("d",), date_format="%d.%m.%Y"
    )


def test_numbers_of_other_countries() -> None:
    table = read("a;b;c\n1.234,5;1.000;x\n-2,25;12;y\n", delimiter=";", decimal=",", thousands=".")
    assert table["a"].to_pylist() == [1234.5, -2.25]
    assert table["b"].to_pylist() == [1000, 12]
    assert types(read("a;b\n1,5;1.5\n", delimiter=";", decimal=",")) == ["double", "string"]


def test_true_and_false_in_other_words() -> None:
    assert read("a\nyes\nno\n", true_values=("yes",), false_values=("no",))["a"].to_pylist() == [True, False]


# --- shapes ---------------------------------------------------------------------------------------------------------


def test_header() -> None:
    assert read("a,b\n1,2\n", header=False).to_pydict() == {"column_0": ["a", "1"], "column_1": ["b", "2"]}
    assert read("1,2\n3,4\n", header=None, column_names=("a", "b")).to_pydict() == {"a": [1, 3], "b": [2, 4]}
    assert read("x,y\n1,2\n", column_names=("a", "b")).to_pydict() == {"a": [1], "b": [2]}
    assert read("x,y\n1,2\n", header="infer").to_pydict() == {"x": [1], "y": [2]}
    assert read("title\n\nx,y\n1,2\n", header=1).to_pydict() == {"x": [1], "y": [2]}
    assert read("title\n\nx,y\n1,2\n", skip_rows=1).to_pydict() == {"x": [1], "y": [2]}
    assert read(",x\n0,1\n").to_pydict() == {"column_0": [0], "x": [1]}
    assert read(" x , y \n 1 , b \n", trim=True).to_pydict() == {"x": [1], "y": ["b"]}
    assert read('"multi\nline",y\n1,2\n').to_pydict() == {"multi\nline": [1], "y": [2]}
    assert "there are 2 columns, but column_names has 1" in refused("x,y\n1,2\n", column_names=("a",))
    with pytest.raises(ValueError, match="counted from 0"):
        CsvFormat(header="first")


def test_columns() -> None:
    data = "a,b,c\n1,2,3\n"
    assert read(data, columns=("c", "a")).to_pydict() == {"c": [3], "a": [1]}
    assert CsvFormat(columns=("b",)).read_object(io.BytesIO(data.encode()), name="x").to_dict("list") == {"b": [2]}
    assert "there is no column 'aa'. Did you mean 'a'? The columns are: a, b, c." in refused(data, columns=("aa",))


def test_max_rows() -> None:
    assert read("a\n1\n2\n3\n4\n5\n", max_rows=3)["a"].to_pylist() == [1, 2, 3]
    assert read("a\n1\n2\n", max_rows=0)["a"].to_pylist() == []


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends(end: str) -> None:
    assert read(f"a,b{end}1,2{end}{end}3,4{end}5,6").to_pydict() == {"a": [1, 3, 5], "b": [2, 4, 6]}


def test_mixed_line_ends() -> None:
    assert read("a,b\r\n1,2\n3,4\r5,6\r\n").to_pydict() == {"a": [1, 3, 5], "b": [2, 4, 6]}


def test_quotes() -> None:
    assert read('a,b\n"x,y","say ""hi"""\n"two\nlines",\'q\'\n').to_pydict() == {
        "a": ["x,y", "two\nlines"],
        "b": ['say "hi"', "'q'"],
    }
    assert read("a,b\n'x,y',2\n", quotechar="'").to_pydict() == {"a": ["x,y"], "b": [2]}
    assert read('a,b\n5" pipe,2\n', quotechar=None).to_pydict() == {"a": ['5" pipe'], "b": [2]}
    assert read('a,b\n5" pipe,2\n').to_pydict() == {"a": ['5" pipe'], "b": [2]}
    assert read('a,b\n"x\\"y",2\n', escapechar="\\").to_pydict() == {"a": ['x"y'], "b": [2]}


def test_a_file_of_one_column() -> None:
    assert read("a\n1\n\n3\n")["a"].to_pylist() == [1, None, 3]
    assert read('a\nx\n""\n\n')["a"].to_pylist() == ["x", "", None]


def test_comments() -> None:
    assert read("# made by hand\na,b\n# one\n1,2\n3,#4\n#", comment="#").to_pydict() == {"a": [1, 3], "b": ["2", "#4"]}
    assert "x.csv:4: the row has 1 field" in refused("# by hand\na,b\n# one\n1\n", comment="#")


def test_delimiters() -> None:
    assert read("a;b\n1;2\n", delimiter=";").to_pydict() == {"a": [1], "b": [2]}
    for character in ",;\t|":
        lines = [["a", "b", "c"], ["1", "x y", "2,5" if character != "," else "2"], ["3", "z", "4"]]
        data = "\n".join(character.join(line) for line in lines)
        assert read(data, delimiter="auto").column_names == ["a", "b", "c"]
    assert read("only\n1\n2\n", delimiter="auto").to_pydict() == {"only": [1, 2]}
    assert "by the delimiter ',' but 2 by ';'. Set delimiter: ';'" in refused("a;b\n1;2\n")
    assert read("a;b\n1;2\n", delimiter=",").column_names == ["a;b"]
    assert read("a\tb\n1\t2\n", delimiter="\t").column_names == ["a", "b"]
    tabs = CsvFormat().read_object(io.BytesIO(b"a\tb\n1\t2\n"), name="lake:x.tsv.gz")
    assert list(tabs.columns) == ["a", "b"]
    with pytest.raises(ValueError, match="one ASCII character"):
        CsvFormat(delimiter="::")


def test_empty_files() -> None:
    assert "x.csv: the file is empty." in refused("")
    assert "no line with the names of the columns" in refused("\n\n")
    assert "x.csv: the file is empty." in refused("\ufeff")
    header_alone = read("a,b\n")
    assert header_alone.num_rows == 0
    assert types(header_alone) == ["string", "string"]
    assert read("", header=False, column_names=("a",)).to_pydict() == {"a": []}


def test_a_field_longer_than_a_block() -> None:
    long = "x" * 3_000_000
    assert read(f'a,b\n1,"{long}"\n2,y\n')["b"].to_pylist() == [long, "y"]


def test_many_columns() -> None:
    names = [f"c{at}" for at in range(1000)]
    assert read(",".join(names) + "\n" + ",".join("1" for _ in names) + "\n").num_columns == 1000


# --- encodings and compression --------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_byte_order_marks(encoding: str) -> None:
    assert read("é,b\n1,ü\n".encode(encoding)).to_pydict() == {"é": [1], "b": ["ü"]}


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "utf-16-le", "shift_jis"])
def test_encodings(encoding: str) -> None:
    text = "日,b\n1,本\n" if encoding == "shift_jis" else "é,b\n1,ü\n"
    names = text.split("\n")[0].split(",")
    assert read(text.encode(encoding), encoding=encoding).column_names == names


def test_a_fallback_is_taken_and_said(caplog: pytest.LogCaptureFixture) -> None:
    data = ("a,b\n" + "1,x\n" * 50_000 + "2,é\n").encode("cp1252")
    assert "x.csv:50002: the text is not utf-8: the byte 0xe9 has no meaning there." in refused(data)
    with caplog.at_level(logging.WARNING, "odibi_pandas"):
        format_ = CsvFormat(encoding_fallback="cp1252")
        chunks = list(format_.read_object_chunks(io.BytesIO(data), 10_000, name="x.csv"))
    assert chunks[-1]["b"].iloc[-1] == "é"
    assert "x.csv:50002" in caplog.text
    assert "Read as cp1252" in caplog.text


def test_bad_bytes_in_names_and_in_other_encodings() -> None:
    assert "x.csv:1: the text is not utf-8" in refused(b"\xe9,b\n1,2\n")
    assert "x.csv:2: the text is not cp1252: the byte 0x81" in refused(b"a,b\n1,\x81\n", encoding="cp1252")
    assert "x.csv:3: the text is not ascii" in refused(b"a,b\r\n1,2\r\n\xe9,3\r\n", encoding="ascii")
    with pytest.raises(ValueError, match="there is no encoding 'klingon'"):
        CsvFormat(encoding="klingon")


@pytest.mark.parametrize("codec", ["gzip", "bz2", "zstd"])
def test_compression_is_found_by_itself(codec: str) -> None:
    plain = b"a,b\n1,2\n3,4\n5,6\n"
    data = {"gzip": gzip.compress, "bz2": bz2.compress}.get(codec, lambda it: pa.compress(it, "zstd", asbytes=True))(
        plain
    )
    assert read(data)["b"].to_pylist() == [2, 4, 6]
    frame = pd.DataFrame({"a": [1], "b": ["x"]})
    ending = {"gzip": ".gz", "bz2": ".bz2", "zstd": ".zst"}[codec]
    assert read(written(frame, f"x.csv{ending}")).to_pydict() == {"a": [1], "b": ["x"]}
    assert written(frame, f"x.csv{ending}")[:2] != b"a,"
    assert written(frame, "x.csv", compression=codec) == written(frame, f"x.csv{ending}")
    assert CsvFormat(compression=codec).extension() == f".csv{ending}"  # type: ignore[arg-type]


def test_several_gzip_members_are_one_file() -> None:
    assert read(gzip.compress(b"a\n1\n") + gzip.compress(b"2\n"))["a"].to_pylist() == [1, 2]


# --- broken rows ----------------------------------------------------------------------------------------------------

RAGGED = 'a,b\n1,2\n\n3\n"x\ny",5\n6,7,8\n9,10\n'


def test_a_ragged_row_stops_the_reading() -> None:
    assert refused(RAGGED).startswith("x.csv:4: the row has 1 field, but there are 2 columns.")
    assert "x.csv:2: the row has 3 fields" in refused("a,b\n1,2,\n")
    many = "a,b\n" + "1,2\n" * 60_000 + "3\n"
    assert refused(many).startswith("x.csv:60002: the row has 1 field")


@pytest.mark.parametrize("mode", ["skip", "warn", "collect"])
def test_ragged_rows_are_never_dropped_silently(mode: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "odibi_pandas"):
        table = read(RAGGED, on_bad_lines=mode)
    assert "x.csv: 2 rows with too many or too few fields were left out" in caplog.text
    assert ("line 4: the row has 1 field" in caplog.text) == (mode != "skip")
    assert ("line 7: the row has 3 fields" in caplog.text) == (mode != "skip")
    if mode == "collect":
        assert table["_bad_line"].to_pylist() == [None, None, None, "3", "6,7,8"]
        assert table["a"].to_pylist() == ["1", "x\ny", "9", None, None]
    else:
        assert table.to_pydict() == {"a": ["1", "x\ny", "9"], "b": [2, 5, 10]}


def test_collecting_where_nothing_is_bad_keeps_the_column() -> None:
    assert read("a,b\n1,2\n", on_bad_lines="collect").to_pydict() == {"a": [1], "b": [2], "_bad_line": [None]}


@pytest.mark.parametrize("mode", ["error", "skip", "warn", "collect"])
def test_what_is_worse_than_ragged_always_stops(mode: str) -> None:
    assert "x.csv:3: a quote that is opened in this line is never closed" in refused(
        'a,b\n1,2\n3,"four\n5,6\n', on_bad_lines=mode
    )
    assert "x.csv:3: the line holds a NUL byte" in refused("a,b\n1,2\n3,\0\n", on_bad_lines=mode)


@pytest.mark.parametrize("tail", ["", "\n", "\n7,8\n", "\n" + "7,8\n" * 300_000])
def test_an_open_quote_never_swallows_rows(tail: str) -> None:
    assert "x.csv:3: a quote that is opened in this line is never closed" in refused(f'a,b\n1,2\n3,"four{tail}')


def test_quotes_that_only_look_open() -> None:
    assert read('a,b\n1,5" pipe\n')["b"].to_pylist() == ['5" pipe']
    assert read('a,b\n1,"line\n"\n')["b"].to_pylist() == ["line\n"]


def test_names_that_come_twice() -> None:
    assert "x.csv:1: more than one column is called 'a'. Give all columns names" in refused("a,b,a\n1,2,3\n")
    assert "x.csv:3: more than one column is called 'a'" in refused("t\n\na,a\n1,2\n", header=1)


# --- writing --------------------------------------------------------------------------------------------------------


def test_what_is_written() -> None:
    frame = pd.DataFrame({"a": [1, None], "b": ['say "hi"', None], "c": ["", "x"]})
    assert written(frame) == b'a,b,c\n1,"say ""hi""",""\n,,"x"\n'
    assert written(frame, delimiter=";", header=False) == b'1;"say ""hi""";""\n;;"x"\n'
    assert written(frame, "x.tsv").startswith(b"a\tb\tc\n")
    assert written(frame, null_text="NULL").endswith(b'"NULL","NULL","x"\n')
    assert written(pd.DataFrame({"é": ["ü"]}), encoding="cp1252") == 'é\n"ü"\n'.encode("cp1252")


def test_a_null_in_a_file_of_one_column_stays_a_row() -> None:
    assert read(written(pd.DataFrame({"a": [1, None, 3]})))["a"].to_pylist() == [1, None, 3]


def test_what_cannot_be_written() -> None:
    def fails(table: pa.Table, **options: Any) -> str:
        with pytest.raises(DataError) as caught:
            written(from_table(table), **options)
        return str(caught.value)

    assert "cannot be written as CSV: Unsupported Type:list" in fails(pa.table({"l": [[1]], "k": [1]}))
    assert "column 'b' holds bytes, which CSV cannot" in fails(pa.table({"b": [b"x"]}))
    assert "column 's' holds a NUL character" in fails(pa.table({"s": ["\0"], "t": ["x"]}))
    assert "cannot be written as CSV" in fails(pa.table({"s": ["日"]}), encoding="cp1252")


def test_the_index_is_never_written() -> None:
    assert CsvFormat(index=False)
    with pytest.raises(ValueError, match="an index is not written"):
        CsvFormat(index=True)


def test_options_have_the_names_that_pandas_users_know() -> None:
    aliases = {
        alias
        for field in attrs.fields(CsvFormat)
        for alias in (field.name, *field.metadata.get("odibi", {}).get("aliases", ()))
    }
    assert {"sep", "header", "names", "usecols", "nrows", "skiprows", "na_values", "dtype", "parse_dates"} <= aliases
    assert {"encoding", "quotechar", "escapechar", "comment", "decimal", "thousands", "na_rep", "index"} <= aliases


def test_batches_without_rows_add_nothing_to_a_file() -> None:
    from odibi_pandas.formats.csv import CsvFormat
    from odibi_pandas.formats.csv_write import dump

    rows = pa.table({"a": pa.array(range(5000)), "b": pa.array(["x"] * 5000)})
    chunked = pa.concat_tables([rows.slice(0, 0), rows, rows.slice(0, 0), rows])
    file = io.BytesIO()
    dump(CsvFormat(), iter([rows.slice(0, 0), chunked]), rows.schema, file)
    lines = "".join(f'{at},"x"\n' for at in range(5000))
    assert file.getvalue().decode() == "a,b\n" + lines * 2
