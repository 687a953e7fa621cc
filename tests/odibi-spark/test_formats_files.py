"""The formats of files on Spark: what is written is read, what is read has its types, whatever places are called."""

from __future__ import annotations

import datetime as dt
import decimal
import gzip
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings

from odibi.contracts.format import Source, Target
from odibi.contracts.storage import ABSENT, ALWAYS, Stat, When, check_path
from odibi.errors import Conflict, DataError, NotFound
from odibi_spark.formats.csv import CsvFormat
from odibi_spark.formats.inference import java_pattern
from odibi_spark.formats.json import JsonFormat
from odibi_spark.formats.json_read import parsed_schema
from odibi_spark.formats.orc import OrcFormat
from odibi_spark.formats.parquet import ParquetFormat

FEW = settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)


class FolderOfFiles:
    """A folder of this machine as a storage that keeps the contract, so that the engine is tested by itself."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _place(self, path: str) -> Path:
        return self._folder / check_path(path)

    def read(self, path: str) -> bytes:
        with self.open(path) as file:
            return file.read()

    def open(self, path: str) -> BinaryIO:
        self.stat(path)
        return self._place(path).open("rb")

    def write(self, path: str, data: bytes | BinaryIO, *, when: When = ALWAYS) -> Stat:
        place = self._place(path)
        if when is ABSENT and place.exists():
            raise Conflict("the object is there already", where=path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data if isinstance(data, bytes) else data.read())
        return self.stat(path)

    def stat(self, path: str) -> Stat:
        place = self._place(path)
        if not place.is_file():
            raise NotFound("there is no such object", where=path)
        found = place.stat()
        return Stat(check_path(path), found.st_size, found.st_mtime, f"{found.st_mtime_ns}-{found.st_size}")

    def list(self, prefix: str = "") -> Iterator[Stat]:
        place = self._place(prefix)
        for each in [place] if place.is_file() else sorted(it for it in place.rglob("*") if it.is_file()):
            yield self.stat(str(each.relative_to(self._folder)))

    def delete(self, path: str) -> None:
        self._place(path).unlink(missing_ok=True)

    def uri(self, path: str) -> str:
        return f"file://{quote(str(self._place(path)))}"

    def native_options(self, for_: str) -> Mapping[str, Any]:
        return {}

    def close(self) -> None:
        pass


class Lake:
    """A folder with an engine on it, as a node has them."""

    def __init__(self, engine: Any, folder: Path) -> None:
        self.engine = engine
        self.folder = folder
        self.storage = FolderOfFiles(folder)

    def put(self, path: str, data: bytes | str) -> None:
        place = self.folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data.encode() if isinstance(data, str) else data)

    def read(self, path: str, format_: Any, columns: tuple[str, ...] | None = None) -> pa.Table:
        name = format_.title.lower()
        source = Source(
            storage=self.storage, connection="lake", path=path, format=format_, format_name=name, columns=columns
        )
        return pa.table(self.engine.to_arrow(self.engine.read(source)))

    def write(self, table: pa.Table, path: str, format_: Any, **more: Any) -> Any:
        target = Target(
            storage=self.storage,
            connection="lake",
            path=path,
            format=format_,
            format_name=format_.title.lower(),
            part="p1",
            **more,
        )
        return self.engine.write(self.engine.from_arrow(table), target)


@pytest.fixture
def lake(spark_engine: Any, tmp_path: Path) -> Lake:
    return Lake(spark_engine, tmp_path)


def rows(table: pa.Table) -> list[Any]:
    """The rows, in an order that does not depend on Spark's."""
    return sorted(table.to_pylist(), key=repr)


# --- round trips ------------------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6).map(lambda it: f"t{it}")
MOMENTS = st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2200, 1, 1))
VALUES: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "bool": (pa.bool_(), st.booleans()),
    "int8": (pa.int8(), st.integers(-128, 127)),
    "int32": (pa.int32(), st.integers(-(2**31), 2**31 - 1)),
    "int64": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "float": (pa.float32(), st.floats(width=32, allow_nan=False)),
    "double": (pa.float64(), st.floats(allow_nan=False)),
    "part": (pa.float64(), st.integers(-999, 999).map(lambda it: it + 0.5)),
    "string": (pa.string(), TEXT),
    "quoted": (pa.string(), st.sampled_from(["", " ", '"', "a\nb", "a\r\nb", "x,y", "\\", "é", "'", 'a""b', "NAx"])),
    "binary": (pa.binary(), st.binary(max_size=6)),
    "date": (pa.date32(), st.dates(dt.date(1600, 1, 1), dt.date(9999, 12, 30))),
    "moment": (pa.timestamp("us"), MOMENTS),
    "utc": (pa.timestamp("us", "UTC"), MOMENTS.map(lambda it: it.replace(tzinfo=dt.UTC))),
    "decimal": (pa.decimal128(12, 3), st.decimals(-(10**8), 10**8, places=3)),
    "list": (pa.list_(pa.int64()), st.lists(st.none() | st.integers(-9, 9), max_size=3)),
    "struct": (
        pa.struct([("x", pa.int64()), ("y", pa.string())]),
        st.fixed_dictionaries({"x": st.none() | st.integers(-9, 9), "y": st.none() | TEXT}),
    ),
}


def tables(*kinds: str, first: bool = False) -> st.SearchStrategy[pa.Table]:
    """Tables of a column ``row`` and one of each kind, with nulls; but in the first row, if that is asked for."""

    def filled(count: int) -> st.SearchStrategy[pa.Table]:
        def column(kind: str) -> st.SearchStrategy[pa.Array]:
            type_, values = VALUES[kind]
            some = st.lists(st.none() | values, min_size=count - first, max_size=count - first)
            whole = st.tuples(values, some).map(lambda it: [it[0], *it[1]]) if first else some
            return whole.map(lambda it: pa.array(it, type_))

        return st.tuples(*map(column, kinds)).map(
            lambda it: pa.table([pa.array(range(count), pa.int64()), *it], names=["row", *kinds])
        )

    return st.integers(1, 8).flatmap(filled)


def check(lake: Lake, format_: Any, table: pa.Table) -> None:
    report = lake.write(table, "t", format_)
    assert report.rows == table.num_rows
    back = lake.read("t", format_)
    assert {it.name: typed(it.type) for it in back.schema} == {it.name: typed(it.type) for it in table.schema}
    assert back.sort_by("row").to_pylist() == table.to_pylist()


def typed(kind: pa.DataType) -> str:
    """A type without the names of the items of lists, which are the engine's own."""
    return str(kind).replace("item: ", "element: ")


@FEW
@given(table=tables(*(set(VALUES) - {"quoted", "part"})), codec=st.sampled_from(["snappy", "zstd", "gzip", "lz4"]))
def test_parquet_keeps_all(lake: Lake, table: pa.Table, codec: Any) -> None:
    check(lake, ParquetFormat(compression=codec), table)


@FEW
@given(table=tables(*(set(VALUES) - {"quoted", "part"})), codec=st.sampled_from(["none", "snappy", "zlib", "zstd"]))
def test_orc_keeps_all(lake: Lake, table: pa.Table, codec: Any) -> None:
    check(lake, OrcFormat(compression=codec), table)


@FEW
@given(
    table=tables("bool", "int64", "part", "string", "quoted", "date", "moment", "utc", first=True),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
)
def test_csv_keeps_these(lake: Lake, table: pa.Table, delimiter: str) -> None:
    # A column without any text but dates or numbers would be of these.
    if any(value in ("", " ") for value in table["quoted"].to_pylist()[:1]):
        return
    midnights = all(it is None or it.time() == dt.time() for it in table["moment"].to_pylist())
    assert not midnights or table["moment"].to_pylist()
    check(lake, CsvFormat(delimiter=delimiter), table)


@FEW
@given(table=tables("bool", "int64", "part", "string", "date", "moment", "utc", "list", "struct", first=True))
def test_json_keeps_these(lake: Lake, table: pa.Table) -> None:
    full = {"x": 1, "y": "t"}
    nested = [full, *table["struct"].to_pylist()[1:]]
    lists = [[1], *table["list"].to_pylist()[1:]]
    table = table.set_column(table.column_names.index("struct"), "struct", pa.array(nested, VALUES["struct"][0]))
    table = table.set_column(table.column_names.index("list"), "list", pa.array(lists, VALUES["list"][0]))
    check(lake, JsonFormat(), table)


@pytest.mark.parametrize("format_", [ParquetFormat(), OrcFormat(), CsvFormat()])
def test_no_rows_keep_the_names(lake: Lake, format_: Any) -> None:
    empty = pa.table({"a": pa.array([], pa.int64()), "b": pa.array([], pa.string())})
    lake.write(empty, "t", format_)
    assert lake.read("t", format_).column_names == ["a", "b"]


@pytest.mark.parametrize("codec", ["gzip", "bz2"])
@pytest.mark.parametrize("format_", [CsvFormat, JsonFormat])
def test_compressed(lake: Lake, format_: Any, codec: str) -> None:
    table = pa.table({"a": [1, 2], "b": ["x", None]})
    lake.write(table, "t", format_(compression=codec))
    assert all(".gz" in it.name or ".bz2" in it.name for it in (lake.folder / "t").glob("all-*"))
    assert rows(lake.read("t", format_())) == rows(table)


@pytest.mark.parametrize("format_", [ParquetFormat(), OrcFormat(), CsvFormat(), JsonFormat()])
def test_partitions_come_back(lake: Lake, format_: Any) -> None:
    table = pa.table(
        {"v": [1, 2, 3], "y": [2013, None, 2014], "c": ["01", "a b%/=é", None], "d": [dt.date(2013, 1, 1), None, None]}
    )
    lake.write(table, "p", format_, partition_by=("y", "c", "d"))
    back = lake.read("p", format_)
    assert [str(it) for it in back.schema.types] == ["int64", "int64", "string", "date32[day]"]
    assert rows(back) == rows(table)


def test_row_groups(lake: Lake) -> None:
    from pyarrow import parquet

    lake.write(pa.table({"a": list(range(250))}), "t", ParquetFormat(row_group_size=100))
    groups = [parquet.ParquetFile(it).metadata for it in (lake.folder / "t").glob("all-*")]
    assert max(it.row_group(at).num_rows for it in groups for at in range(it.num_row_groups)) <= 100
    with pytest.raises(ValueError, match="1 or more"):
        ParquetFormat(row_group_size=0)


# --- places -----------------------------------------------------------------------------------------------------------

STRANGE = ("a b/x", "100%/%20", "ü/日本", "{x}/{a,b}", "a=b c/x,y", "'\"", "#1", "a;b", "$x")


@pytest.mark.parametrize("path", STRANGE)
@pytest.mark.parametrize("format_", [CsvFormat(), JsonFormat(), ParquetFormat()])
def test_strange_paths(lake: Lake, path: str, format_: Any) -> None:
    table = pa.table({"a": [1, 2]})
    lake.write(table, path, format_)
    assert rows(lake.read(path, format_).select(["a"])) == rows(table)
    name = next(it.name for it in (lake.folder / path).glob("all-*"))
    assert lake.read(f"{path}/{name}", format_).column_names == ["a"]


@pytest.mark.parametrize("path", ["q/[1]/x.csv", "what?/x.csv", "a*b.csv"])
def test_names_that_look_like_patterns(lake: Lake, path: str) -> None:
    lake.put(path, "a\n1\n")
    lake.put("what!/x.csv", "b\n2\n")
    assert lake.read(path, CsvFormat(union_by_name=True))["a"].to_pylist()[-1] == 1


def test_hidden_files_and_folders_are_no_data(lake: Lake) -> None:
    lake.put("p/1.csv", "a\n1\n")
    lake.put("p/sub/2.csv", "a\n2\n")
    for hidden in ("p/_SUCCESS", "p/.1.csv.crc", "p/_tmp/3.csv", "p/.h/4.csv"):
        lake.put(hidden, "z\n9\n")
    assert rows(lake.read("p", CsvFormat())) == [{"a": 1}, {"a": 2}]
    assert rows(lake.read("p/*.csv", CsvFormat())) == [{"a": 1}]
    assert rows(lake.read("p/**", CsvFormat())) == [{"a": 1}, {"a": 2}]


def test_a_column_in_the_file_and_in_its_folder(lake: Lake) -> None:
    lake.put("p/a=1/x.csv", "a,b\n5,6\n")
    with pytest.raises(DataError, match="is in the file and in the name of its folder"):
        lake.read("p", CsvFormat())
    assert lake.read("p", CsvFormat(partition_columns=False)).to_pylist() == [{"a": 5, "b": 6}]
    lake.write(pa.table({"a": [5], "b": [6]}), "q/a=1", ParquetFormat())
    with pytest.raises(DataError, match="is in the file and in the name of its folder"):
        lake.read("q", ParquetFormat())


@pytest.mark.parametrize("format_", [CsvFormat, ParquetFormat, OrcFormat, JsonFormat])
def test_many_parts_with_differing_columns(lake: Lake, format_: Any) -> None:
    for at in range(40):
        if format_ in (CsvFormat, JsonFormat) or at < 4:
            name = f"c{at % 3}"
            if format_ is CsvFormat:
                lake.put(f"p/{at:02}.csv", f"k,{name}\n{at},x{at}\n")
            elif format_ is JsonFormat:
                lake.put(f"p/{at:02}.json", f'{{"k": {at}, "{name}": "x{at}"}}\n')
            else:
                lake.write(pa.table({"k": [at], name: [f"x{at}"]}), f"p/{at:02}", format_())
    table = lake.read("p", format_(union_by_name=True))
    assert set(table.column_names) == {"k", "c0", "c1", "c2"}
    assert all(row[f"c{row['k'] % 3}"] == f"x{row['k']}" for row in table.to_pylist())
    if format_ in (CsvFormat, JsonFormat):
        with pytest.raises(DataError, match=r"p/01\.\w+: the part lacks 'c0' and has 'c1' besides, unlike lake:p/00"):
            lake.read("p", format_())


# --- CSV --------------------------------------------------------------------------------------------------------------


def test_a_file_costs_no_more_jobs_than_by_hand(lake: Lake, spark: Any, jobs: Callable[[], Any]) -> None:
    lake.put("x.csv", "a,b\n" + "".join(f"{at},x{at}\n" for at in range(100)))
    source = Source(
        storage=lake.storage, connection="lake", path="x.csv", format=CsvFormat(), format_name="csv", columns=None
    )
    with jobs() as by_hand:
        spark.read.csv(str(lake.folder / "x.csv"), header=True, inferSchema=True)
    with jobs() as ours:
        lake.engine.read(source)
    assert 0 < len(ours) <= len(by_hand)


def test_a_schema_spares_the_look(lake: Lake, jobs: Callable[[], Any]) -> None:
    lake.put("x.csv", 'id,n\n1,"a\nb"\n2,\n')
    lake.put("x.json", '{"id": 1, "n": "a"}\n{"n": null, "id": 2}\n')
    for path, format_ in (
        ("x.csv", CsvFormat(schema="id int, n string")),
        ("x.json", JsonFormat(schema="id int, n string")),
    ):
        source = Source(storage=lake.storage, connection="lake", path=path, format=format_, format_name="x")
        with jobs() as started:
            frame = lake.engine.read(source)
        assert not started
        assert [row.id for row in frame.collect()] == [1, 2]
    with pytest.raises(DataError, match="do not go together"):
        lake.read("x.csv", CsvFormat(schema="id int, n string", dtypes="str"))
    lake.put("bad.csv", "id,n\n1,a\n2\n")
    with pytest.raises(DataError, match=r"bad\.csv"):
        lake.read("bad.csv", CsvFormat(schema="id int, n string"))


def test_a_ragged_row_is_found_whichever_column_is_wanted(lake: Lake) -> None:
    lake.put("x.csv", "a,b\n1,2\n3\n")
    with pytest.raises(DataError, match="lake:x.csv:3: the row has 1 field"):
        lake.read("x.csv", CsvFormat(), columns=("a",))
    lake.put("y.csv", 'a,b\n1,"x\ny"\n3\n')
    with pytest.raises(DataError, match="lake:y.csv:4: the row has 1 field"):
        lake.read("y.csv", CsvFormat(), columns=("a",))


def test_what_spark_cannot_do_is_refused(lake: Lake) -> None:
    lake.put("title.csv", 'title\na,b\n1,"x\ny"\n')
    with pytest.raises(DataError, match="Spark cannot leave out the first lines"):
        lake.read("title.csv", CsvFormat(skip_rows=1))
    lake.put("escape.csv", "a,b\n1,x\\,y\n")
    with pytest.raises(DataError, match="escape.csv:2: .* before another character than a quote"):
        lake.read("escape.csv", CsvFormat(escapechar="\\"))
    lake.put("quote.csv", 'a,b\n1,"x" y\n')
    with pytest.raises(DataError, match="quote.csv:2: there is something between a closing quote"):
        lake.read("quote.csv", CsvFormat())
    lake.put("case.csv", "a,A\n1,2\n")
    with pytest.raises(DataError, match="the same name to Spark"):
        lake.read("case.csv", CsvFormat())
    lake.put("packed.csv", gzip.compress(b"a\n1\n"))
    with pytest.raises(DataError, match=r"packed.csv: the file is compressed, but its name does not end in .gz"):
        lake.read("packed.csv", CsvFormat())
    for options in ({"index": True}, {"delimiter": "::"}, {"date_format": "%U"}, {"encoding": "utf-99"}):
        with pytest.raises(ValueError, match=r"\w"):
            CsvFormat(**options)  # type: ignore[arg-type]


def test_moments_of_nanoseconds_stay_text(lake: Lake) -> None:
    lake.put("x.csv", "t\n2013-01-02T03:04:05.123456789\n")
    assert lake.read("x.csv", CsvFormat()).to_pylist() == [{"t": "2013-01-02T03:04:05.123456789"}]


def test_what_csv_and_json_cannot_hold(lake: Lake) -> None:
    for format_ in (CsvFormat(), JsonFormat()):
        with pytest.raises(DataError, match="holds bytes"):
            lake.write(pa.table({"b": [b"x"]}), "t", format_)
    with pytest.raises(DataError, match="no field of CSV can be"):
        lake.write(pa.table({"l": [[1]]}), "t", CsvFormat())
    with pytest.raises(DataError, match="no arrays"):
        lake.write(pa.table({"a": [1]}), "t", JsonFormat(lines=False))


def test_what_json_writes(lake: Lake) -> None:
    table = pa.table(
        {
            "t": [dt.datetime(2013, 1, 2)],
            "u": pa.array([dt.datetime(2013, 1, 2, tzinfo=dt.UTC)], pa.timestamp("us", "UTC")),
            "f": [float("nan")],
            "d": [decimal.Decimal("1.50")],
            "o": [{"t": dt.datetime(2013, 1, 2, 3, 4, 5, 6)}],
        }
    )
    lake.write(table, "t", JsonFormat())
    text = "".join(it.read_text() for it in (lake.folder / "t").glob("all-*"))
    assert text == (
        '{"t":"2013-01-02T00:00:00","u":"2013-01-02T00:00:00+00:00","f":null,"d":"1.50",'
        '"o":{"t":"2013-01-02T03:04:05.000006"}}\n'
    )


# --- parts of the machinery -------------------------------------------------------------------------------------------


def test_what_variants_say_is_understood() -> None:
    text = "OBJECT<`a b`: BIGINT, c: ARRAY<OBJECT<`x``y`: DECIMAL(2,1)>>, d: OBJECT<>, e: TIMESTAMP_NTZ>"
    assert parsed_schema(text) == {"a b": "BIGINT", "c": [{"x`y": "DECIMAL(2,1)"}], "d": {}, "e": "TIMESTAMP_NTZ"}


def test_formats_of_dates() -> None:
    assert java_pattern("%d.%m.%Y um %H:%M") == "d.M.yyyy 'um' H:m"
    with pytest.raises(ValueError, match="%U"):
        java_pattern("%U")


def test_formats_are_known_without_their_libraries() -> None:
    import subprocess
    import sys

    code = """
import sys, typing
from importlib import import_module
import odibi_spark
for place in odibi_spark.odibi_formats().values():
    module, _, name = place.partition(":")
    typing.get_type_hints(getattr(import_module(module), name))
print(sorted({"pandas", "pyarrow", "pyspark", "numpy"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
