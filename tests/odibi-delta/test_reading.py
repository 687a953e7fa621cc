"""Time travel, columns, the change data feed, versions."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from odibi.errors import DataError, NotFound, OptionError
from odibi.testing.pipelines import host_with
from odibi_delta.pandas_format import PandasDeltaFormat

HOST = host_with({"format.pandas.delta": PandasDeltaFormat})
FEED = {"delta.enableChangeDataFeed": True}
START = datetime(2026, 1, 1, 12, tzinfo=UTC)


def date_commits(lake, *offsets):
    """Let the versions have been committed so many hours after the start."""
    for version, hours in enumerate(offsets):
        moment = (START + timedelta(hours=hours)).timestamp()
        os.utime(lake.log_file(version), (moment, moment))


@pytest.fixture
def three(lake):
    """Three versions, committed at 12:00, 14:00 and 16:00."""
    lake.write({"id": [1]})
    lake.write({"id": [2]}, "append")
    lake.write({"id": [3]})
    date_commits(lake, 0, 2, 4)
    return lake


# --- which version --------------------------------------------------------------------------------------------------


def test_a_table_is_read_as_it_was_at_a_version(three):
    assert [three.read(version=version)["id"].to_pylist() for version in (0, 1, 2)] == [[1], [1, 2], [3]]
    assert three.read()["id"].to_pylist() == [3]


@pytest.mark.parametrize(
    ("timestamp", "ids"),
    [
        ("2026-01-01T12:00:00Z", [1]),
        ("2026-01-01T13:59:59.999", [1]),
        ("2026-01-01T14:00:00", [1, 2]),
        ("2026-01-01 15:30:00+01:00", [1, 2]),
        ("2026-01-01T16:00:00+00:00", [3]),
        ("2027-01-01", [3]),
    ],
)
def test_a_table_is_read_as_it_was_at_a_moment(three, timestamp, ids):
    assert three.read(timestamp=timestamp)["id"].to_pylist() == ids


def test_a_moment_before_the_table_is_refused(three):
    with pytest.raises(DataError, match="begins with version 0 at 2026-01-01T12:00:00.000Z, after 2026-01-01T11:59"):
        three.read(timestamp="2026-01-01T11:59:00Z")


def test_a_commit_that_seems_older_than_the_one_before_counts_as_of_its_time(three):
    date_commits(three, 0, 5, 3)
    assert three.read(timestamp="2026-01-01T16:00:00Z")["id"].to_pylist() == [1]
    assert three.read(timestamp="2026-01-01T17:00:00Z")["id"].to_pylist() == [3]


def test_commit_times_that_the_table_keeps_go_before_those_of_its_files(lake):
    lake.write({"id": [1]})  # as a writer would that keeps them, which delta-rs does not
    actions = [json.loads(line) for line in lake.log_file(0).read_text().splitlines()]
    actions[0]["commitInfo"]["inCommitTimestamp"] = int(START.timestamp() * 1000)
    lake.log_file(0).write_text("".join(json.dumps(action) + "\n" for action in actions))
    assert lake.read(timestamp="2026-01-01T12:00:00Z")["id"].to_pylist() == [1]
    with pytest.raises(DataError, match=r"begins with version 0 at 2026-01-01T12:00:00\.000Z"):
        lake.read(timestamp="2026-01-01T11:00:00Z")


def test_a_version_that_is_not_there_is_named(three):
    with pytest.raises(DataError, match="the table has no version 3: the newest is 2"):
        three.read(version=3)


def test_a_version_whose_log_was_cleaned_up_is_refused(three):
    DeltaTable(str(three.folder / "t")).create_checkpoint()
    three.log_file(0).unlink()
    three.log_file(1).unlink()
    assert three.read()["id"].to_pylist() == [3]
    with pytest.raises(DataError, match="does not tell any more what it was at version 1"):
        three.read(version=1)


def test_where_there_is_nothing_a_hint_says_what_there_is(lake):
    with pytest.raises(NotFound, match="there is no Delta table, nor anything else"):
        lake.read()
    lake.storage.write("t/2026/a.csv", b"x")
    with pytest.raises(NotFound, match=r"there are files, such as 2026/a\.csv, but no Delta table"):
        lake.read()
    for options in ({"version": 1}, {"timestamp": "2026-01-01"}, {"change_data_feed": True, "starting_version": 0}):
        with pytest.raises(NotFound):
            lake.read(**options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"version": -1}, "0 or more"),
        ({"version": 1, "timestamp": "2026-01-01"}, "not both"),
        ({"timestamp": "yesterday"}, "is no moment"),
        ({"starting_version": 1}, "add change_data_feed: true"),
        ({"change_data_feed": True}, "needs a beginning"),
        ({"change_data_feed": True, "starting_version": 0, "starting_timestamp": "2026-01-01"}, "either"),
        ({"change_data_feed": True, "starting_version": 0, "version": 1}, "reads several versions"),
        (
            {"change_data_feed": True, "starting_version": 0, "ending_version": 1, "ending_timestamp": "2026-01-01"},
            "not both",
        ),
        ({"versoin": 1}, "version"),
        ({"schema_mode": "merge"}, "is for writing"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options, words):
    with pytest.raises(OptionError) as caught:
        HOST.build("format", "pandas.delta", options, purpose="read")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"vacuum_hours": 24}, "168 or more"),
        ({"target_file_size": 0}, "1 or more"),
        ({"schema_mode": "append"}, "merge"),
        ({"version": 1}, "read"),
    ],
)
def test_options_of_writing_are_checked(options, words):
    with pytest.raises(OptionError) as caught:
        HOST.build("format", "pandas.delta", options, purpose="write")
    assert words in str(caught.value)


# --- which columns --------------------------------------------------------------------------------------------------


def test_only_the_wanted_columns_are_read_in_their_order(lake):
    lake.write({"a": [1], "b.c": [2], "d e": [3]})
    assert lake.read(columns=("d e", "b.c")).to_pydict() == {"d e": [3], "b.c": [2]}


def test_a_column_that_is_missing_is_named_with_the_nearest(lake):
    lake.write({"amount": [1], "b": [2]})
    with pytest.raises(DataError, match="there is no column 'amuont'. Did you mean 'amount'?"):
        lake.read(columns=("b", "amuont"))


def test_a_table_without_rows_has_its_columns(lake):
    lake.write(pa.table({"a": pa.array([], pa.int32()), "b": pa.array([], pa.string())}))
    read = lake.read()
    assert read.schema.equals(pa.schema([("a", pa.int32()), ("b", pa.string())]))
    assert lake.read(columns=("b",)).column_names == ["b"]


def test_columns_that_came_later_are_null_in_older_rows(lake):
    lake.write({"a": [1]})
    lake.write({"a": [2], "b": ["x"]}, "append", schema_mode="merge")
    assert lake.rows() == [{"a": 1, "b": None}, {"a": 2, "b": "x"}]


def test_a_table_that_pyarrow_cannot_read_is_read_by_delta_rs_alone(lake, monkeypatch):
    frame = pa.table(
        {
            "at": pa.array([0, 1, None], pa.timestamp("us")),  # a feature of the protocol
            "b.c": ["x", None, "é"],
            "d": [[{"e": "f", "g": b"h"}], [], None],
            "m": pa.array([[("k", "v")], None, []], pa.map_(pa.string(), pa.string())),
        }
    )
    lake.write(frame)
    plain = lake.read()
    monkeypatch.setattr("odibi_delta.reading._PLAIN_FEATURES", frozenset())
    scanned = lake.read()
    assert [str(kind) for kind in scanned.schema.types] == [str(kind) for kind in plain.schema.types]
    assert scanned.to_pydict() == plain.to_pydict() == frame.to_pydict()
    assert lake.read(columns=("b.c",)).to_pydict() == {"b.c": ["x", None, "é"]}


# --- what changed ---------------------------------------------------------------------------------------------------


@pytest.fixture
def fed(lake):
    """A table of three versions with its changes."""
    lake.write({"id": [1, 2], "v": ["a", "b"]}, configuration=FEED)
    lake.write({"id": [2, 3], "v": ["B", "C"]}, "upsert", keys=("id",))
    lake.write({"id": [4], "v": ["d"]}, "append")
    date_commits(lake, 0, 2, 4)
    return lake


def changes(lake, **options):
    read = lake.read(change_data_feed=True, **options)
    found = [(row["_commit_version"], row["_change_type"], row["id"], row["v"]) for row in read.to_pylist()]
    assert [each[0] for each in found] == sorted(each[0] for each in found)
    return sorted(found)


UPSERTED = [(1, "insert", 3, "C"), (1, "update_postimage", 2, "B"), (1, "update_preimage", 2, "b")]


def test_changes_are_read_from_a_version_on(fed):
    assert changes(fed, starting_version=1) == [*UPSERTED, (2, "insert", 4, "d")]
    assert changes(fed, starting_version=0)[:2] == [(0, "insert", 1, "a"), (0, "insert", 2, "b")]


def test_changes_are_read_up_to_a_version(fed):
    assert changes(fed, starting_version=1, ending_version=1) == UPSERTED
    assert changes(fed, starting_version=1, ending_version=99)[-1] == (2, "insert", 4, "d")


def test_changes_are_read_between_moments(fed):
    assert changes(fed, starting_timestamp="2026-01-01T12:30:00Z", ending_timestamp="2026-01-01T15:00:00") == UPSERTED
    assert changes(fed, starting_timestamp="2026-01-01T14:00:00Z")[-1] == (2, "insert", 4, "d")


def test_changes_have_their_columns_in_plain_types(fed):
    read = fed.read(change_data_feed=True, starting_version=0)
    assert read.schema.field("_change_type").type == pa.string()
    assert read.schema.field("_commit_version").type == pa.int64()
    assert read.schema.field("_commit_timestamp").type == pa.timestamp("us", "UTC")
    picked = fed.read(columns=("_change_type", "id"), change_data_feed=True, starting_version=2)
    assert picked.to_pydict() == {"_change_type": ["insert"], "id": [4]}


def test_changes_that_were_not_kept_are_refused(lake):
    lake.write({"id": [1]})
    lake.write({"id": [2]}, "append", configuration=FEED)
    with pytest.raises(DataError, match="kept no change data at version 0"):
        lake.read(change_data_feed=True, starting_version=0)
    newest = int(lake.version().split("-")[0])
    assert lake.read(change_data_feed=True, starting_version=newest)["id"].to_pylist() == [2]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"starting_version": 7}, "no version 7"),
        ({"starting_version": 2, "ending_version": 1}, "before they begin"),
        ({"starting_timestamp": "2030-01-01"}, "nothing was committed at"),
        ({"starting_version": 0, "ending_timestamp": "2020-01-01"}, "begins with version 0"),
    ],
)
def test_a_span_that_holds_nothing_is_refused(fed, options, words):
    with pytest.raises(DataError, match=words):
        changes(fed, **options)


# --- which version of the data --------------------------------------------------------------------------------------


def test_a_version_changes_with_the_data_and_with_nothing_else(lake):
    assert lake.version() is None
    reports = [lake.write({"id": [number]}, "append", part=str(number)) for number in range(4)]
    assert len({report.version for report in reports}) == 4
    before = lake.version()
    assert reports[-1].version == before
    table = DeltaTable(str(lake.folder / "t"))
    table.optimize.compact()
    table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    table.alter.set_table_properties({"delta.logRetentionDuration": "interval 60 days"})
    assert table.version() > 3
    assert lake.version() == before
    assert lake.write({"id": [0]}, "append", part="0").version == before
    lake.write({"id": [9]}, "append", part="9")
    assert lake.version() != before


def test_a_new_column_is_a_change(lake):
    lake.write({"id": [1]})
    before = lake.version()
    lake.write({"id": [2], "b": [1]}, "upsert", keys=("id",), schema_mode="merge")
    assert lake.version() != before


def test_a_pinned_version_stays_the_same(lake):
    lake.write({"id": [1]})
    first = lake.version()
    lake.write({"id": [2]})
    assert lake.version(version=0) == first
    date_commits(lake, 0, 2)
    assert lake.version(timestamp="2026-01-01T13:00:00Z") == first
    assert lake.version(version=1) == lake.version() != first
    assert lake.version(version=2) is None
    assert lake.version(timestamp="2020-01-01") is None


def test_a_table_made_anew_has_another_version(lake, tmp_path):
    lake.write({"id": [1]})
    before = lake.version()
    (lake.folder / "t").rename(tmp_path / "gone")
    lake.write({"id": [1]})
    assert lake.version() != before


def test_a_version_of_changes_follows_what_they_are(fed):
    options = {"change_data_feed": True, "starting_version": 1}
    before, closed = fed.version(**options), fed.version(**options, ending_version=2)
    fed.write({"id": [5], "v": ["e"]}, "append", part="more")
    assert fed.version(**options) != before
    assert fed.version(**options, ending_version=2) == closed
    assert fed.version(change_data_feed=True, starting_version=9) is None


def test_a_version_is_known_where_only_a_checkpoint_is_left(lake):
    lake.write({"id": [1]})
    DeltaTable(str(lake.folder / "t")).create_checkpoint()
    lake.log_file(0).unlink()
    before = lake.version()
    assert before
    assert lake.version() == before
    assert lake.read()["id"].to_pylist() == [1]


def test_a_version_costs_no_look_at_the_data(lake):
    lake.write({"id": [1]})
    for file in lake.data_files():
        file.unlink()
    assert lake.version()
