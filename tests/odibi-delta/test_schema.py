"""Frames whose columns or types are not the table's, and what becomes of the table."""

from __future__ import annotations

import re
from decimal import Decimal

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from odibi.errors import DataError

KEYED = ("upsert", "append_once")


def schema(lake):
    return lake.read().schema


def keys(mode):
    return ("id",) if mode in KEYED else ()


@pytest.mark.parametrize("mode", ["append", "overwrite", *KEYED])
def test_a_frame_with_other_columns_is_refused_by_name_and_type(lake, mode):
    lake.write({"id": [1], "name": ["a"]})
    with pytest.raises(DataError) as caught:
        lake.write({"id": [2], "age": [3]}, mode, part="x", keys=keys(mode))
    assert "the frame lacks 'name' and has 'age' (int64) besides, unlike the table" in str(caught.value)
    assert "schema_mode" in str(caught.value)
    assert lake.rows() == [{"id": 1, "name": "a"}]


@pytest.mark.parametrize("mode", ["append", "overwrite", *KEYED])
@pytest.mark.parametrize("schema_mode", ["none", "merge"])
def test_a_frame_with_other_types_is_refused_by_name_and_type(lake, mode, schema_mode):
    lake.write({"id": [1], "name": ["a"], "day": ["x"]})
    with pytest.raises(DataError) as caught:
        lake.write({"id": [2], "name": [3], "day": [1.5]}, mode, part="x", keys=keys(mode), schema_mode=schema_mode)
    assert "'name' (int64, in the table string), 'day' (double, in the table string)" in str(caught.value)
    assert len(lake.rows()) == 1


@pytest.mark.parametrize("mode", ["append", "overwrite", *KEYED])
def test_columns_may_come_in_any_order(lake, mode):
    lake.write({"id": [1], "name": ["a"]})
    lake.write({"name": ["b"], "id": [2]}, mode, part="x", keys=keys(mode))
    assert schema(lake).names == ["id", "name"]
    assert {"id": 2, "name": "b"} in lake.rows()


@pytest.mark.parametrize("mode", ["append", *KEYED])
def test_merge_adds_the_columns_that_are_new(lake, mode):
    lake.write({"id": [1], "name": ["a"]})
    frame = {"id": [2], "age": pa.array([3], pa.int32())}
    lake.write(frame, mode, part="x", keys=keys(mode), schema_mode="merge")
    assert lake.rows() == [{"id": 1, "name": "a", "age": None}, {"id": 2, "name": None, "age": 3}]
    assert schema(lake).names == ["id", "name", "age"]
    assert schema(lake).field("age").type == pa.int32()


def test_merge_of_an_overwrite_keeps_the_columns_that_were_there(lake):
    lake.write({"id": [1], "name": ["a"]})
    lake.write({"id": [2], "age": [3]}, "overwrite", schema_mode="merge")
    assert lake.rows() == [{"id": 2, "name": None, "age": 3}]


def test_an_upsert_of_fewer_columns_leaves_the_others_as_they_are(lake):
    lake.write({"id": [1, 2], "name": ["a", "b"]})
    lake.write({"id": [2, 3], "age": [5, 6]}, "upsert", keys=("id",), schema_mode="merge")
    assert lake.rows() == [
        {"id": 1, "name": "a", "age": None},
        {"id": 2, "name": "b", "age": 5},
        {"id": 3, "name": None, "age": 6},
    ]


def test_overwrite_replaces_the_columns_if_told_so(lake):
    lake.write({"id": [1], "name": ["a"]})
    lake.write({"id": ["x"], "new": [True]}, "overwrite", schema_mode="overwrite")
    assert lake.rows() == [{"id": "x", "new": True}]
    assert lake.read(version=0).to_pylist() == [{"id": 1, "name": "a"}]


@pytest.mark.parametrize("mode", ["append", "error", "ignore", *KEYED])
def test_no_other_mode_replaces_the_columns(lake, mode):
    with pytest.raises(DataError, match="schema_mode overwrite replaces the table's columns"):
        lake.write({"id": [1]}, mode, keys=keys(mode), schema_mode="overwrite")
    assert not lake.folder.exists()


@pytest.mark.parametrize(
    ("there", "coming"),
    [
        (pa.array([1], pa.int64()), pa.array([2], pa.int8())),
        (pa.array([1], pa.int32()), pa.array([2], pa.int64())),
        (pa.array([1.5], pa.float64()), pa.array([2], pa.int64())),
        (pa.array([1.5], pa.float64()), pa.array([2.5], pa.float32())),
        (pa.array([1.5], pa.float32()), pa.array([2.5, float("nan"), None], pa.float64())),
        (pa.array([1], pa.int64()), pa.array([2.0, None], pa.float64())),
        (pa.array([Decimal("1.50")], pa.decimal128(10, 2)), pa.array([Decimal("2.5")], pa.decimal128(5, 1))),
        (pa.array([Decimal("1.50")], pa.decimal128(10, 2)), pa.array([2], pa.int64())),
        (pa.array([1], pa.int64()), pa.array([None], pa.null())),
        (pa.array([[1]], pa.list_(pa.int64())), pa.array([[2]], pa.list_(pa.int32()))),
        (pa.array(["a"], pa.string()), pa.array(["b"], pa.large_string())),
        (pa.array([{"x": 1}]), pa.array([{"x": 2}, None])),
    ],
    ids=str,
)
def test_values_that_fit_take_the_tables_type(lake, there, coming):
    lake.write({"v": there})
    lake.write({"v": coming}, "append")
    read = lake.read()
    assert read.schema.field("v").type == there.type
    assert str(read["v"].to_pylist()[1:]) == str(_as_stored(coming, there.type))


def _as_stored(coming, kind):
    # By way of a wider type, as Arrow has no cast from whole numbers to few digits.
    wide = coming.cast(pa.decimal128(38, 2)) if pa.types.is_decimal(kind) else coming
    return wide.cast(kind).to_pylist()


@pytest.mark.parametrize(
    ("there", "coming"),
    [
        (pa.array([1], pa.int32()), pa.array([2**40], pa.int64())),
        (pa.array([1.5], pa.float64()), pa.array([2**60 + 1], pa.int64())),
        (pa.array([1.5], pa.float32()), pa.array([0.1], pa.float64())),
        (pa.array([1], pa.int64()), pa.array([2.5], pa.float64())),
        (pa.array([Decimal("1.5")], pa.decimal128(5, 1)), pa.array([Decimal("2.55")], pa.decimal128(10, 2))),
        (pa.array([Decimal("1.5")], pa.decimal128(5, 1)), pa.array([2.5], pa.float64())),
        (pa.array([1.5], pa.float64()), pa.array([Decimal("2.5")], pa.decimal128(5, 1))),
        (pa.array([[1]], pa.list_(pa.int32())), pa.array([[2]], pa.list_(pa.int64()))),
        (pa.array([{"x": 1}]), pa.array([{"x": 2, "y": 3}])),
        (pa.array([0], pa.timestamp("us")), pa.array([0], pa.timestamp("us", "UTC"))),
        (pa.array([0], pa.timestamp("us", "UTC")), pa.array([0], pa.timestamp("us"))),
        (pa.array([0], pa.date32()), pa.array([0], pa.timestamp("us"))),
        (pa.array(["1"]), pa.array([1])),
        (pa.array([True]), pa.array([1])),
    ],
    ids=str,
)
def test_values_that_do_not_fit_are_refused(lake, there, coming):
    lake.write({"v": there})
    with pytest.raises(DataError, match="'v'"):
        lake.write({"v": coming}, "append")
    assert lake.read()["v"].to_pylist() == there.to_pylist()


def test_names_that_differ_in_case_are_the_tables(lake):
    lake.write({"Id": [1], "name": ["a"]})
    lake.write({"ID": [2], "Name": ["b"]}, "append")
    assert lake.rows() == [{"Id": 1, "name": "a"}, {"Id": 2, "name": "b"}]


# --- what else a table has ------------------------------------------------------------------------------------------


def test_a_table_gets_its_properties_and_description(lake):
    lake.write({"id": [1]}, configuration={"delta.appendOnly": True}, description="orders")
    about = DeltaTable(str(lake.folder / "t")).metadata()
    assert (about.configuration, about.description) == ({"delta.appendOnly": "true"}, "orders")


def test_a_table_that_is_there_gets_them_too_once(lake):
    lake.write({"id": [1]})
    options = {"configuration": {"delta.enableChangeDataFeed": True}, "description": "orders"}
    lake.write({"id": [2]}, "append", part="a", **options)
    lake.write({"id": [3]}, "append", part="b", **options)
    table = DeltaTable(str(lake.folder / "t"))
    assert (table.metadata().configuration, table.metadata().description) == (
        {"delta.enableChangeDataFeed": "true"},
        "orders",
    )
    assert table.version() == 4  # two for what the table is, and three for its rows


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("properties", [{"delta.foo": 1}, {"delta.enableChangeDataFeed": "maybe"}])
def test_properties_that_delta_does_not_know_are_named(lake, there, properties):
    if there:
        lake.write({"id": [1]})
    with pytest.raises(DataError, match=next(iter(properties))):
        lake.write({"id": [2]}, "append", configuration=properties)


def test_an_append_only_table_cannot_be_overwritten(lake):
    lake.write({"id": [1]}, configuration={"delta.appendOnly": True})
    with pytest.raises(DataError) as caught:
        lake.write({"id": [2]})
    assert "the table is append-only" in str(caught.value)
    lake.write({"id": [2]}, "append")
    assert len(lake.rows()) == 2


@pytest.mark.parametrize("mode", ["append", "upsert"])
def test_rows_that_break_a_constraint_are_refused_and_not_shown(lake, mode):
    lake.write({"id": [1]})
    DeltaTable(str(lake.folder / "t")).alter.add_constraint({"small": "id < 100"})
    with pytest.raises(DataError) as caught:
        lake.write({"id": [2, 4711]}, mode, keys=keys(mode))
    assert "constraint" in str(caught.value)
    assert "4711" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert lake.rows() == [{"id": 1}]


def test_files_are_as_large_as_told(lake):
    frame = pa.table({"id": list(range(50_000))})
    assert len(lake.write(frame).paths) == 1
    assert len(lake.write(frame, target_file_size=20_000).paths) > 1
    assert lake.read()["id"].to_pylist() == list(range(50_000))


def test_small_files_are_put_together_after_the_write(lake):
    for number in range(3):
        lake.write({"id": [number]}, "append", part=str(number))
    report = lake.write({"id": [3]}, "append", part="3", optimize=True)
    assert DeltaTable(str(lake.folder / "t")).to_pyarrow_table().num_rows == 4
    assert len(DeltaTable(str(lake.folder / "t")).file_uris()) == 1
    assert report.version == lake.version()


def test_rows_are_sorted_after_the_write(lake):
    lake.write({"id": [3, 1], "v": [1, 2]})
    lake.write({"id": [2, 0], "v": [3, 4]}, "append", optimize=("id",))
    assert lake.read()["id"].to_pylist() == [0, 1, 2, 3]
    with pytest.raises(DataError, match="no column to optimize by: 'idd'"):
        lake.write({"id": [9], "v": [9]}, "append", part="x", optimize=("idd",))
    assert len(lake.rows()) == 4


def test_old_files_are_removed_after_the_write(lake):
    lake.write({"id": [1]})
    (old,) = lake.data_files()
    lake.write({"id": [2]})
    text = lake.log_file(1).read_text()
    lake.log_file(1).write_text(re.sub(r'"deletionTimestamp":\d+', '"deletionTimestamp":1000', text))
    lake.write({"id": [3]}, "append", vacuum_hours=168)
    assert not old.exists()
    assert lake.rows() == [{"id": 2}, {"id": 3}]
