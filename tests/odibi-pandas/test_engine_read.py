from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, ClassVar

import attrs
import pyarrow as pa
import pytest

from odibi.errors import DataError, InvalidPath, NotFound
from odibi_pandas.formats.csv import CsvFormat
from odibi_pandas.formats.json import JsonFormat
from odibi_pandas.formats.parquet import ParquetFormat
from odibi_pandas.frames import from_table

CSV = CsvFormat()


def put(lake: Any, **objects: str) -> None:
    for path, text in objects.items():
        lake.storage.write(path, text.encode())


def fill(lake: Any, objects: dict[str, str]) -> None:
    for path, text in objects.items():
        lake.storage.write(path, text.encode())


def refused(lake: Any, path: str | None, format_: Any = CSV, kind: type[Exception] = DataError, **more: Any) -> str:
    with pytest.raises(kind) as caught:
        lake.read(path, format_, **more)
    with pytest.raises(kind) as in_chunks:
        lake.read_chunks(path, format_, 2, **more)
    assert str(in_chunks.value) == str(caught.value)
    return str(caught.value)


# --- which objects --------------------------------------------------------------------------------------------------

TREE = {
    "a.csv": "v\n1\n",
    "b.csv": "v\n2\n",
    "b.txt": "v\n3\n",
    "dir/c.csv": "v\n4\n",
    "dir/deep/d.csv": "v\n5\n",
    "dir/deep/_SUCCESS": "",
    "dir/deep/.d.csv.crc": "crc",
    "dir/_temporary/e.csv": "v\n6\n",
    "x[1].csv": "v\n7\n",
    "data.csv/part-0.csv": "v\n8\n",
    "data.csv/part-1.csv": "v\n9\n",
}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a.csv", [1]),
        ("./a.csv", [1]),
        ("dir", [4, 5]),
        ("dir/", [4, 5]),
        ("dir/deep", [5]),
        ("?.csv", [1, 2]),
        ("[ab].csv", [1, 2]),
        ("[!a].csv", [2]),
        ("[a-b].*", [1, 2, 3]),
        ("*/c.csv", [4]),
        ("dir/*.csv", [4]),
        ("dir/*", [4, 5]),
        ("d*r/deep/*.csv", [5]),
        ("**/*.csv", [1, 2, 8, 9, 4, 5, 7]),
        ("dir/**", [4, 5]),
        ("**/deep/*", [5]),
        ("dir/**/d.csv", [5]),
        ("x[1].csv", [7]),
        ("data.csv", [8, 9]),
        ("data*", [8, 9]),
        ("dir/_*/e.csv", [6]),
        ("dir/_temporary", [6]),
    ],
)
def test_paths_patterns_and_folders(lake: Any, path: str, expected: list[int]) -> None:
    fill(lake, TREE)
    assert lake.read(path, CSV)["v"].tolist() == expected
    assert [v for chunk in lake.read_chunks(path, CSV, 1) for v in chunk["v"].tolist()] == expected


def test_nothing_there_names_what_is_near(lake: Any) -> None:
    fill(lake, {"bronze/orders.csv": "v\n1\n", "bronze/customers.csv": "v\n1\n"})
    message = refused(lake, "bronze/order.csv", kind=NotFound)
    assert message.startswith("lake:bronze/order.csv: there is no such object or folder. Near it: bronze/orders.csv")
    assert "no object matches the pattern. Near it: " in refused(lake, "bronze/*.parquet", kind=NotFound)
    assert "The connection holds nothing there." in refused(type(lake)(lake.engine), "x/*.csv", kind=NotFound)
    fill(lake, {"only/_SUCCESS": ""})
    assert "there is no such object or folder" in refused(lake, "only", kind=NotFound)


def test_paths_that_leave_are_refused(lake: Any) -> None:
    for path in ("../x.csv", "/etc/passwd", "../*.csv"):
        refused(lake, path, kind=InvalidPath)


def test_a_source_without_a_path(lake: Any) -> None:
    assert "reads files, but the node names a table" in refused(lake, None, table="t")


def test_chunks_have_at_least_one_row(lake: Any) -> None:
    fill(lake, {"a.csv": "v\n1\n"})
    with pytest.raises(DataError, match="chunk_rows must be 1 or more"):
        lake.read_chunks("a.csv", CSV, 0)


# --- parts ----------------------------------------------------------------------------------------------------------


def test_parts_are_one_table_whatever_their_cut(lake: Any) -> None:
    fill(lake, {"p/1.csv": "k,v\n1,1\n2,2\n", "p/2.csv": "v,k\n1.5,3\n", "p/3.csv": "k,v\n", "p/4.csv": "k,v\n4,\n"})
    frame = lake.read("p", CSV)
    assert frame.to_dict("list")["k"] == [1, 2, 3, 4]
    assert [str(it) for it in frame.dtypes] == ["int64[pyarrow]", "double[pyarrow]"]
    chunks = lake.read_chunks("p", CSV, 3)
    assert [len(it) for it in chunks] == [3, 1]
    assert all((it.dtypes == frame.dtypes).all() for it in chunks)


def test_a_code_in_one_part_makes_text_of_all(lake: Any) -> None:
    fill(lake, {"p/1.csv": "zip\n12345\n", "p/2.csv": "zip\n01234\n"})
    assert lake.read("p", CSV)["zip"].tolist() == ["12345", "01234"]


def test_parts_with_other_columns(lake: Any) -> None:
    fill(lake, {"p/1.csv": "a,b\n1,2\n", "p/2.csv": "a,c\n3,4\n"})
    message = refused(lake, "p")
    assert message.startswith("lake:p/2.csv: the part lacks 'b' and has 'c' besides, unlike lake:p/1.csv.")
    assert "union_by_name" in message
    both = lake.read("p", CsvFormat(union_by_name=True))
    assert lake.engine.to_arrow(both).to_pylist() == [{"a": 1, "b": 2, "c": None}, {"a": 3, "b": None, "c": 4}]
    chosen = lake.read("p", CsvFormat(union_by_name=True), columns=("c", "a"))
    assert lake.engine.to_arrow(chosen).to_pylist() == [{"c": None, "a": 1}, {"c": 4, "a": 3}]


def test_parts_with_other_types(lake: Any) -> None:
    parquet = ParquetFormat()
    lake.write(from_table(pa.table({"v": pa.array([1], pa.int32())})), "p/1.parquet", parquet)
    lake.write(from_table(pa.table({"v": pa.array([2**40], pa.int64())})), "p/2.parquet", parquet)
    assert lake.read("p", parquet)["v"].tolist() == [1, 2**40]
    lake.write(from_table(pa.table({"v": ["x"]})), "p/3.parquet", parquet)
    assert "lake:p/3.parquet: column 'v' is string, but int64 in lake:p/1.parquet." in refused(lake, "p", parquet)


def test_a_name_that_means_another_format_is_said(lake: Any) -> None:
    fill(lake, {"x.json": '{"a": 1}\n', "x.csv": "a\n1\n", "y.csv": "a,b\n1\n"})
    assert "The name means csv, but it is read as parquet." in refused(lake, "x.csv", ParquetFormat())
    assert "The name means csv, but it is read as json." in refused(lake, "x.csv", JsonFormat())
    assert "The name means" not in refused(lake, "y.csv")


def test_columns_in_the_wanted_order(lake: Any) -> None:
    fill(lake, {"p/y=1/a.csv": "a,b\n1,2\n"})
    assert list(lake.read("p", CSV, columns=("y", "b")).columns) == ["y", "b"]
    assert list(lake.read("p", CSV, columns=("y",)).columns) == ["y"]
    assert len(lake.read("p", CSV, columns=("y",))) == 1
    assert list(lake.read_chunks("p", CSV, 1, columns=("b", "y"))[0].columns) == ["b", "y"]
    assert "no column 'c'" in refused(lake, "p", columns=("c",))


# --- partitions -----------------------------------------------------------------------------------------------------


def test_folders_are_columns(lake: Any) -> None:
    fill(
        lake,
        {
            "p/year=2013/day=2013-01-02/code=01/a.csv": "v\n1\n",
            "p/year=2014/day=2013-01-03/code=2%2F3/a.csv": "v\n2\n",
            "p/year=__HIVE_DEFAULT_PARTITION__/day=2013-01-03/code=x/a.csv": "v\n3\n",
        },
    )
    table = lake.engine.to_arrow(lake.read("p", CSV))
    assert [str(it) for it in table.schema.types] == ["int64", "int64", "date32[day]", "string"]
    assert table["year"].to_pylist() == [2013, 2014, None]
    assert table["code"].to_pylist() == ["01", "2/3", "x"]
    below = lake.read("p/year=2013", CSV)
    assert list(below.columns) == ["v", "day", "code"]
    matched = lake.read("p/year=201*/*/*/*.csv", CSV)
    assert list(matched.columns) == ["v", "year", "day", "code"]
    assert list(lake.read("p", CsvFormat(partition_columns=False)).columns) == ["v"]


def test_folders_that_do_not_agree(lake: Any) -> None:
    fill(lake, {"p/y=1/a.csv": "v\n1\n", "p/m=1/a.csv": "v\n1\n"})
    assert "lake:p/y=1/a.csv: the folders say y, but m for p/m=1/a.csv." in refused(lake, "p")
    fill(lake, {"q/v=1/a.csv": "v\n1\n"})
    assert "column 'v' is in the file and in the name of its folder" in refused(lake, "q")


# --- formats of others ----------------------------------------------------------------------------------------------


@attrs.frozen
class Shouting:
    """A format by the contract alone, as another package would bring it."""

    extensions: ClassVar[tuple[str, ...]] = (".shout",)

    def read_object(self, file: BinaryIO, *, name: str, columns: Sequence[str] | None = None) -> Any:
        return from_table(pa.table({"word": file.read().decode().split()}))

    def write_object(self, frame: Any, file: BinaryIO) -> None:
        file.write(" ".join(frame["word"].str.upper()).encode())

    def read_object_chunks(
        self, file: BinaryIO, rows: int, *, name: str, columns: Sequence[str] | None = None
    ) -> Iterator[Any]:
        frame = self.read_object(file, name=name)
        for begin in range(0, len(frame), rows):
            yield frame.iloc[begin : begin + rows]

    def write_object_chunks(self, frames: Iterator[Any], file: BinaryIO) -> int:
        count = 0
        for frame in frames:
            self.write_object(frame, file)
            file.write(b" ")
            count += len(frame)
        return count


def test_a_format_of_another_package(lake: Any) -> None:
    frame = from_table(pa.table({"word": ["a", "b", "c"]}))
    report = lake.write(frame, "x.shout", Shouting())
    assert (report.rows, report.paths) == (3, ("x.shout",))
    assert lake.read("x.shout", Shouting())["word"].tolist() == ["A", "B", "C"]
    assert [it["word"].tolist() for it in lake.read_chunks("x.shout", Shouting(), 2)] == [["A", "B"], ["C"]]
    lake.write(frame, "folder", Shouting(), "append")
    assert lake.paths() == ["folder/part-p1.shout", "x.shout"]


class Ledger:
    """A format that looks after its own objects."""

    def __init__(self) -> None:
        self.frames: list[Any] = []

    def read(self, source: Any, engine: Any) -> Any:
        return self.frames[-1]

    def write(self, frame: Any, target: Any, engine: Any) -> Any:
        from odibi.contracts.format import WriteReport

        self.frames.append(frame)
        return WriteReport(rows=len(frame))


def test_a_table_format(lake: Any) -> None:
    ledger = Ledger()
    frame = from_table(pa.table({"v": [1, 2, 3]}))
    assert lake.write(frame, None, ledger, table="t").rows == 3
    assert lake.read(None, ledger, table="t") is frame
    assert [len(it) for it in lake.engine.read_chunks(lake.source(None, ledger, table="t"), 2)] == [2, 1]
    with pytest.raises(DataError, match="does not write in chunks"):
        lake.engine.write_chunks(iter([frame]), lake.target(None, ledger, table="t"))
