"""What of a table is looked at if only some of its rows are meant. The engine leaves out what comes beside them."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import attrs
import pyarrow as pa
import pytest

from odibi.contracts import Bound
from odibi.errors import OdibiError

BEGIN = datetime(2024, 1, 1, 12, tzinfo=UTC)


def bounded(lake, bound, columns=None):
    source = attrs.evolve(lake.source(columns=columns), after=bound)
    return source.format.read(source, lake.engine)


@pytest.fixture
def three(lake):
    """Three files of two rows each, in the order of all columns; the first is gone, and its rows cannot be read."""
    for at in range(3):
        ids = [2 * at, 2 * at + 1]
        lake.write(
            {
                "id": ids,
                "day": [date(2024, 1, 1 + each) for each in ids],
                "at": [BEGIN + timedelta(seconds=each) for each in ids],
                "plain": [(BEGIN + timedelta(seconds=each)).replace(tzinfo=None) for each in ids],
                "name": [f"n{each}" for each in ids],
                "price": pa.array([Decimal(each) for each in ids], pa.decimal128(10, 2)),
                "height": [float(each) for each in ids],
            },
            "append",
            part=f"p{at}",
        )
    first = next(json.loads(line) for line in lake.log_file(0).read_text().splitlines() if '"add"' in line)
    (lake.folder / "t" / first["add"]["path"]).unlink()
    return lake


@pytest.mark.parametrize(
    ("column", "above", "upto"),
    [
        ("id", 1, 4),
        ("day", date(2024, 1, 2), date(2024, 1, 5)),
        ("at", BEGIN + timedelta(seconds=1.5), BEGIN + timedelta(seconds=4)),
        ("plain", datetime(2024, 1, 1, 12, 0, 1, 500_000), datetime(2024, 1, 1, 12, 0, 4)),
    ],
)
def test_files_that_hold_nothing_that_is_meant_are_not_opened(three, column, above, upto):
    found = bounded(three, Bound(column, above, upto), tuple({column: 1, "id": 1}))
    assert found["id"].to_pylist() == [2, 3, 4]
    assert bounded(three, Bound(column, above))["id"].to_pylist() == [2, 3, 4, 5]


@pytest.mark.parametrize(
    "bound",
    [
        Bound("name", "n1", "n4"),
        Bound("price", Decimal("1.5")),
        Bound("height", 1.5),
        Bound("id"),
        Bound("id", "1"),
        Bound("id", 2**70),
        Bound("at", datetime(2024, 1, 2)),
        Bound("when", 1),
    ],
)
def test_where_the_log_does_not_tell_for_sure_all_is_read(three, bound):
    """It may have the beginning of a text; of a column that is not there, or of another type, the engine tells."""
    with pytest.raises(OdibiError, match="a file of the table is gone"):
        bounded(three, bound)


@pytest.mark.parametrize("zone", ["UTC", None])
def test_the_log_has_moments_in_whole_milliseconds(lake, zone):
    """Rounded down, so that the greatest may seem to be below a bound that it is above."""
    moment = BEGIN.replace(microsecond=123_900, tzinfo=UTC if zone else None)
    lake.write({"at": pa.array([moment], pa.timestamp("us", zone))})
    log = lake.log_file(0)
    log.write_text(log.read_text().replace("12:00:00.123900", "12:00:00.123"))
    assert "12:00:00.123" in log.read_text()
    assert bounded(lake, Bound("at", moment - timedelta(microseconds=400)))["at"].to_pylist() == [moment]
    assert not len(bounded(lake, Bound("at", moment + timedelta(milliseconds=2))))


def test_rows_of_files_without_statistics_are_read(lake):
    lake.write({"id": [1, 2]})
    lake.write({"id": [3]}, "append", part="q")
    for version in (0, 1):
        actions = [json.loads(line) for line in lake.log_file(version).read_text().splitlines()]
        for action in actions:
            action.get("add", {}).pop("stats", None)
        lake.log_file(version).write_text("".join(json.dumps(action) + "\n" for action in actions))
    assert bounded(lake, Bound("id", 1))["id"].to_pylist() == [2, 3]


def test_a_partition_column(lake):
    lake.write({"id": [1, 2, 3], "day": [date(2024, 1, each) for each in (1, 2, 3)]}, by=("day",))
    assert sorted(bounded(lake, Bound("day", date(2024, 1, 1)))["id"].to_pylist()) == [2, 3]
