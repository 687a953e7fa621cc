"""The history of a table, old files, earlier versions, small files."""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime

import pytest
from deltalake import DeltaTable

from odibi.errors import DataError, NotFound
from odibi_delta.maintenance import Table, as_data


@pytest.fixture
def orders(lake):
    """A table of four versions."""
    lake.write({"id": [1, 2], "day": ["a", "b"]}, by=("day",), description="all orders")
    lake.write({"id": [3], "day": ["a"]}, "append")
    lake.write({"id": [3, 4], "day": ["A", "c"]}, "upsert", keys=("id",))
    lake.write({"id": [9], "day": ["z"]})
    return Table(lake.storage, "t", "lake:t")


def test_the_history_is_told_newest_first(orders, lake):
    entries = orders.history()
    assert [(entry.version, entry.operation) for entry in entries] == [
        (3, "WRITE"),
        (2, "MERGE"),
        (1, "WRITE"),
        (0, "WRITE"),
    ]
    assert entries[-1].files == 2
    written = [action["add"]["size"] for action in map(json.loads, _lines(lake, 0)) if "add" in action]
    assert entries[-1].bytes == sum(written)
    assert entries[0].parameters["mode"] == "Overwrite"
    assert entries[1].metrics["num_target_rows_inserted"] == 1
    assert all(entry.changes_data for entry in entries)
    assert [entry.committed for entry in entries] == sorted((entry.committed for entry in entries), reverse=True)
    assert entries[0].committed.tzinfo is UTC
    assert orders.history(2) == entries[:2]


def _lines(lake, version):
    return lake.log_file(version).read_text().splitlines()


def test_what_changes_no_data_is_told_apart(orders):
    orders.optimize()
    DeltaTable(str(orders.storage.folder / "t")).alter.set_table_properties({"delta.appendOnly": "false"})
    assert [entry.changes_data for entry in orders.history(1)] == [False]


def test_a_table_is_described(orders, lake):
    detail = orders.detail()
    assert detail.uri == lake.storage.uri("t")
    assert (detail.version, detail.files, detail.rows) == (3, 1, 1)
    assert detail.bytes == sum(file.stat().st_size for file in lake.data_files() if "day=z" in str(file))
    assert detail.columns == {"id": "long", "day": "string"}
    assert (detail.partition_by, detail.description, detail.properties) == (("day",), "all orders", {})
    assert (detail.reader, detail.writer) == (1, 2)
    assert detail.created <= datetime.now(UTC)
    assert json.loads(json.dumps(as_data(detail)))["columns"] == {"id": "long", "day": "string"}


def test_a_description_of_nested_columns_and_features(lake):
    lake.write({"when": [datetime(2026, 1, 1)], "deep": [{"a": [1]}]})
    detail = Table(lake.storage, "t").detail()
    assert detail.columns == {"when": "timestamp_ntz", "deep": "struct"}
    assert detail.features == ("timestampNtz",)


def test_a_vacuum_tells_first_and_removes_when_told(orders, lake):
    for version in range(4):  # as if it had all been done long ago
        text = lake.log_file(version).read_text()
        lake.log_file(version).write_text(re.sub(r'"deletionTimestamp":\d+', '"deletionTimestamp":1000', text))
    before = lake.data_files()
    told = orders.vacuum()
    assert told.dry_run
    assert len(told.paths) == len(before) - 1
    assert lake.data_files() == before
    done = orders.vacuum(dry_run=False)
    assert sorted(done.paths) == sorted(told.paths)
    assert len(lake.data_files()) == 1
    assert lake.rows() == [{"id": 9, "day": "z"}]
    assert orders.vacuum().paths == ()
    with pytest.raises(DataError, match="a file of the table is gone; perhaps a vacuum removed it"):
        lake.read(version=0)


def test_young_files_are_not_removed_unless_forced(orders, lake):
    for hours in (0, 167):
        with pytest.raises(DataError, match="may still be in use"):
            orders.vacuum(hours, dry_run=False)
    with pytest.raises(DataError):
        orders.vacuum(-1, force=True)
    assert orders.vacuum(168).paths == ()
    assert lake.read(version=0).num_rows == 2
    assert orders.vacuum(0, dry_run=False, force=True).paths
    assert lake.rows() == [{"id": 9, "day": "z"}]


def test_a_table_is_restored_to_a_version(orders, lake):
    old = lake.read(version=1).sort_by("id").to_pylist()
    before = lake.version()
    assert orders.restore(version=1) == 4
    assert lake.read().sort_by("id").to_pylist() == old
    assert lake.version() != before
    assert orders.history(1)[0].operation == "RESTORE"
    assert lake.read(version=3).to_pylist() == [{"id": 9, "day": "z"}]


def test_a_table_is_restored_to_a_moment(orders, lake):
    for version, at in enumerate([0, 3600, 7200, 10800]):
        os.utime(lake.log_file(version), (at, at))
    orders.restore(timestamp="1970-01-01T01:30:00")
    assert lake.read().num_rows == 3


def test_a_table_is_not_restored_to_what_is_not_there(orders, lake):
    with pytest.raises(DataError, match="no version 9"):
        orders.restore(version=9)
    with pytest.raises(DataError, match="log begins with version 0"):
        orders.restore(timestamp="1999-01-01")
    with pytest.raises(DataError, match="is no moment"):
        orders.restore(timestamp="soon")
    for options in ({}, {"version": 1, "timestamp": "2026-01-01"}):
        with pytest.raises(DataError, match="either a version or a timestamp"):
            orders.restore(**options)
    for file in lake.data_files():
        if "day=z" not in str(file):
            file.unlink()
    with pytest.raises(DataError, match="a file of the table is gone"):
        orders.restore(version=0)
    assert lake.rows() == [{"id": 9, "day": "z"}]


def test_small_files_are_put_together(lake):
    for number in range(5):
        lake.write({"id": [number]}, "append", part=str(number))
    table = Table(lake.storage, "t")
    before = lake.version()
    told = table.optimize()
    assert (told.added, told.removed, told.version) == (1, 5, 5)
    assert lake.version() == before
    assert lake.rows() == [{"id": number} for number in range(5)]
    again = table.optimize()
    assert (again.added, again.removed, again.version) == (0, 0, 5)


def test_rows_are_sorted(lake):
    lake.write({"a": [3, 1, 2]})
    Table(lake.storage, "t").optimize(["a"])
    assert lake.read()["a"].to_pylist() == [1, 2, 3]
    with pytest.raises(DataError, match="no column to sort by: 'b'"):
        Table(lake.storage, "t").optimize(["b"])


def test_there_is_nothing_to_do_without_a_table(lake):
    table = Table(lake.storage, "nothing", "lake:nothing")
    acts = (table.history, table.detail, table.vacuum, lambda: table.restore(version=0), table.optimize)
    for act in acts:
        with pytest.raises(NotFound, match="lake:nothing: there is no Delta table"):
            act()
    assert not lake.folder.exists()


def test_what_a_killed_writer_left_is_removed(lake):
    lake.write({"id": [1]})
    left = lake.folder / "t" / "part-00000-0d7c0bb2-5a0b-4d0c-8a6f-5b3f2f1f2c11-c000.snappy.parquet"
    left.write_bytes(b"half a file")
    table = Table(lake.storage, "t")
    assert table.vacuum().paths == ()  # it may be that of a writer under way
    os.utime(left, (0, 0))
    assert table.vacuum(dry_run=False).paths == (left.name,)
    assert not left.exists()
    assert lake.rows() == [{"id": 1}]
