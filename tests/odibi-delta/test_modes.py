"""What each mode does with what is there, and what a report says."""

from __future__ import annotations

import logging

import pyarrow as pa
import pytest

from odibi.contracts.format import TableFormat, WriteReport
from odibi.errors import DataError, InvalidPath, NotFound
from odibi_delta.pandas_format import PandasDeltaFormat

ONE = {"id": [1, 2], "name": ["a", "b"]}
TWO = {"id": [2, 3], "name": ["B", "C"]}


def test_it_is_a_table_format():
    assert isinstance(PandasDeltaFormat(), TableFormat)
    assert not hasattr(PandasDeltaFormat(), "read_object")


def test_overwrite_replaces_all_rows(lake):
    lake.write(ONE)
    report = lake.write(TWO)
    assert lake.rows() == [{"id": 2, "name": "B"}, {"id": 3, "name": "C"}]
    assert report.rows == 2
    assert report.version.split("-")[0] == "1"


def test_a_report_names_the_files_of_its_commit(lake):
    lake.write(ONE)
    report = lake.write(TWO, "append")
    (path,) = report.paths
    assert path.startswith("t/part-")
    assert (lake.folder / path).stat().st_size == report.bytes
    assert not report.skipped
    assert report.etags == {}


def test_append_adds_rows_after_those_there(lake):
    for number in range(12):
        lake.write({"id": [number]}, "append", part=f"p{number}")
    assert lake.read()["id"].to_pylist() == list(range(12))


def test_the_same_part_appended_again_changes_nothing(lake):
    first = lake.write(ONE, "append", part="one")
    lake.write(TWO, "append", part="two")
    before = lake.version()
    again = lake.write(ONE, "append", part="one")
    assert again == WriteReport(rows=0, bytes=0, skipped=True, version=before)
    assert len(lake.rows()) == 4
    assert lake.version() == before != first.version


def test_an_append_of_no_rows_is_remembered_and_changes_no_data(lake):
    lake.write(ONE)
    before = lake.version()
    report = lake.write(pa.table(ONE).slice(0, 0), "append", part="empty")
    assert (report.rows, report.skipped, report.version) == (0, False, before)
    assert lake.write(ONE, "append", part="empty").skipped


def test_upsert_replaces_rows_by_key_and_adds_the_others(lake):
    lake.write(ONE)
    report = lake.write(TWO, "upsert", keys=("id",))
    assert lake.rows() == [{"id": 1, "name": "a"}, {"id": 2, "name": "B"}, {"id": 3, "name": "C"}]
    assert (report.rows, report.skipped) == (2, False)


def test_append_once_adds_only_new_keys_and_counts_them(lake):
    lake.write(ONE)
    report = lake.write(TWO, "append_once", keys=("id",))
    assert lake.rows() == [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}, {"id": 3, "name": "C"}]
    assert (report.rows, report.skipped) == (1, False)


def test_append_once_of_known_keys_commits_nothing(lake):
    lake.write(ONE)
    before = lake.version()
    report = lake.write(ONE, "append_once", keys=("id",))
    assert report == WriteReport(rows=0, bytes=0, skipped=True, version=before)
    assert not lake.log_file(1).exists()


@pytest.mark.parametrize("mode", ["upsert", "append_once"])
def test_rows_are_merged_by_several_keys(lake, mode):
    lake.write({"a b": [1, 1, 2], "it's": ["x", "y", "x"], "v": [1, 2, 3]})
    lake.write({"a b": [1, 2], "it's": ["y", "y"], "v": [20, 40]}, mode, keys=("a b", "it's"))
    assert sorted(lake.read()["v"].to_pylist()) == ([1, 3, 20, 40] if mode == "upsert" else [1, 2, 3, 40])


@pytest.mark.parametrize("mode", ["upsert", "append_once"])
def test_a_merge_into_a_partitioned_table_keeps_its_partitions(lake, mode):
    lake.write({"id": [1, 2], "day": ["mon", "tue"], "v": [1, 2]}, by=("day",))
    lake.write({"id": [2, 3], "day": ["tue", "wed"], "v": [20, 30]}, mode, keys=("id", "day"))
    assert sorted(lake.read()["v"].to_pylist()) == ([1, 20, 30] if mode == "upsert" else [1, 2, 30])
    assert {file.parent.name for file in lake.data_files()} == {"day=mon", "day=tue", "day=wed"}


@pytest.mark.parametrize("mode", ["upsert", "append_once"])
@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize(
    ("frame", "keys", "words"),
    [
        ({"id": [1, None], "name": ["x", "y"]}, ("id",), "the key 'id' is null in 1 row"),
        ({"id": [5, 5, 6], "name": ["x", "y", "z"]}, ("id",), "1 key is that of several rows"),
        ({"id": [5, 5, 6, 6], "name": ["x"] * 4}, ("id", "name"), "2 keys are those of several rows each"),
        ({"id": [5], "name": ["x"]}, ("idd",), "there is no key column 'idd'. Did you mean 'id'?"),
        ({"id": [5], "name": ["x"]}, (), "names no keys"),
    ],
)
def test_bad_keys_are_refused_before_anything_is_written(lake, mode, there, frame, keys, words):
    if there:
        lake.write(ONE)
    before = sorted(lake.folder.rglob("*"))
    with pytest.raises(DataError) as caught:
        lake.write(frame, mode, keys=keys)
    assert words in str(caught.value)
    assert str(caught.value).startswith("lake:t: ")
    assert sorted(lake.folder.rglob("*")) == before


def test_keys_of_nested_types_are_refused(lake):
    with pytest.raises(DataError, match="the key 'id' is of type list"):
        lake.write({"id": [[1]], "v": [1]}, "upsert", keys=("id",))


@pytest.mark.parametrize("mode", ["upsert", "append_once", "append", "overwrite", "error", "ignore"])
def test_each_mode_makes_a_table_where_there_is_none(lake, mode):
    report = lake.write(ONE, mode, keys=("id",) if mode in ("upsert", "append_once") else ())
    assert lake.rows() == pa.table(ONE).to_pylist()
    assert (report.rows, report.skipped, report.version) == (2, False, lake.version())


def test_error_refuses_a_table_that_is_there(lake):
    lake.write(ONE)
    with pytest.raises(DataError, match="there is a table already"):
        lake.write(TWO, "error")
    assert lake.rows() == pa.table(ONE).to_pylist()


def test_ignore_leaves_a_table_that_is_there(lake):
    lake.write(ONE)
    report = lake.write(TWO, "ignore")
    assert report == WriteReport(rows=0, bytes=0, skipped=True, version=lake.version())
    assert lake.rows() == pa.table(ONE).to_pylist()


def test_what_belongs_to_no_table_is_not_written_beside(lake):
    lake.storage.write("t/people.csv", b"a,b\n")
    for mode in ("overwrite", "append", "error"):
        with pytest.raises(DataError, match=r"t/people\.csv"):
            lake.write(ONE, mode)
    assert lake.write(ONE, "ignore").skipped
    assert not lake.data_files()


def test_a_single_object_in_the_way_is_named(lake):
    lake.storage.write("t", b"x")
    with pytest.raises(DataError, match="belong to no Delta table, such as t"):
        lake.write(ONE)
    with pytest.raises(NotFound, match="there is an object, and no Delta table"):
        lake.read()


def test_data_files_that_a_killed_writer_left_are_in_nobodys_way(lake):
    lake.write(ONE)
    lake.log_file(0).unlink()
    report = lake.write(TWO, "error")
    assert report.rows == 2
    assert lake.rows() == pa.table(TWO).to_pylist()


@pytest.mark.parametrize(("path", "kind"), [(None, DataError), ("", InvalidPath), ("../t", InvalidPath)])
def test_a_table_needs_a_path(lake, path, kind):
    with pytest.raises(kind):
        lake.write(ONE, path=path)
    with pytest.raises(kind):
        lake.read(path)


@pytest.mark.parametrize("path", ["a[b]/t", "a|b", "a^b", "c%20d", "%2e", "a\nb"])
def test_a_path_that_delta_rs_would_take_for_another_is_refused(lake, path):
    for act in (lambda: lake.write(ONE, path=path), lambda: lake.read(path)):
        with pytest.raises(InvalidPath, match="cannot be in a folder with"):
            act()
    assert not lake.folder.exists()


@pytest.mark.parametrize("path", ["a b/c%d", "é/ü#x", "a=b/c&d+e", "it's/y*", "q?x:{y}"])
def test_a_path_may_have_most_characters(lake, path):
    lake.write(ONE, path=path)
    report = lake.write(TWO, "append", path=path, part="x")
    assert len(lake.rows(path)) == 4
    assert all((lake.folder / each).is_file() for each in report.paths)


def test_a_storage_that_delta_rs_cannot_reach_is_refused(lake):
    lake.storage.scheme = "memory"
    for act in (lambda: lake.write(ONE), lake.read):
        with pytest.raises(DataError, match="addresses begin with memory://"):
            act()


# --- partitions -----------------------------------------------------------------------------------------------------


def test_partitions_become_folders(lake):
    report = lake.write({"year": [2023, 2024, None], "v": [1, 2, 3]}, by=("year",))
    assert {file.parent.name for file in lake.data_files()} == {
        "year=2023",
        "year=2024",
        "year=__HIVE_DEFAULT_PARTITION__",
    }
    assert lake.read(columns=("v", "year")).sort_by("v").to_pydict() == {"v": [1, 2, 3], "year": [2023, 2024, None]}
    assert sorted(report.paths) == sorted(file.relative_to(lake.folder).as_posix() for file in lake.data_files())


@pytest.mark.parametrize("values", [["a/b", "ä =:", None, "x%2Fy", " ", ".", "..", "null", "it's \"", "a\nb"]])
def test_values_of_partitions_come_back(lake, values):
    frame = {"c": values, "v": list(range(len(values)))}
    report = lake.write(frame, by=("c",))
    assert lake.read(columns=("v", "c")).sort_by("v")["c"].to_pylist() == values
    assert sorted(report.paths) == sorted(file.relative_to(lake.folder).as_posix() for file in lake.data_files())


@pytest.mark.parametrize(
    ("frame", "by", "words"),
    [
        ({"a": ["x", ""], "v": [1, 2]}, ("a",), "cannot tell from null"),
        ({"a": ["__HIVE_DEFAULT_PARTITION__"], "v": [1]}, ("a",), "cannot tell from null"),
        ({"a": [b"x"], "v": [1]}, ("a",), "cannot be partitioned by 'a': binary"),
        ({"a": [[1]], "v": [1]}, ("a",), "cannot be partitioned by 'a': list"),
        ({"a": [1], "v": [1]}, ("a", "v"), "nothing is left to write"),
        ({"year": [1], "v": [1]}, ("yaer",), "Did you mean 'year'?"),
        ({"a": list(range(10_001)), "v": [1] * 10_001}, ("a",), "there would be 10,001 partitions"),
    ],
)
def test_partitions_that_cannot_be_are_refused(lake, frame, by, words):
    with pytest.raises(DataError) as caught:
        lake.write(frame, by=by)
    assert words in str(caught.value)
    assert not lake.folder.exists()


def test_many_partitions_are_warned_of(lake, caplog):
    with caplog.at_level(logging.WARNING, "odibi_delta"):
        lake.write({"a": list(range(1_001)), "v": [1] * 1_001}, by=("a",))
    assert [record.message for record in caplog.records] == [
        "lake:t: 1,001 partitions, more than 1,000; small files are slow to read"
    ]
    assert lake.read().num_rows == 1_001


@pytest.mark.parametrize("mode", ["append", "overwrite", "upsert"])
def test_another_partitioning_than_the_tables_is_refused(lake, mode):
    lake.write({"a": [1], "b": [1], "v": [1]}, by=("a",))
    with pytest.raises(DataError, match="the table is partitioned by a, and the node would partition it by b"):
        lake.write({"a": [2], "b": [2], "v": [2]}, mode, by=("b",), keys=("v",), part="x")
    lake.write({"a": [2], "b": [2], "v": [2]}, "append", part="x")  # that of the table
    assert {file.parent.name for file in lake.data_files()} == {"a=1", "a=2"}


def test_partitioning_changes_with_the_columns(lake):
    lake.write({"a": [1], "v": [1]}, by=("a",))
    lake.write({"b": [5], "v": [1]}, by=("b",), schema_mode="overwrite")
    assert lake.rows() == [{"b": 5, "v": 1}]
    lake.write({"c": [5], "b": [6]}, schema_mode="overwrite")
    assert lake.rows() == [{"b": 6, "c": 5}]
    with pytest.raises(DataError, match="no column to partition by: 'b'"):
        lake.write({"c": [5]}, schema_mode="overwrite")
