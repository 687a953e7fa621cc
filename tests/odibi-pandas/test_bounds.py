"""Sources of which the rows between two values of a column are meant."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from odibi.contracts import Bound
from odibi.errors import DataError
from odibi_pandas.formats.csv import CsvFormat
from odibi_pandas.formats.json import JsonFormat
from odibi_pandas.formats.parquet import ParquetFormat
from odibi_pandas.frames import from_table

PARQUET = ParquetFormat()
DAY = date(2024, 1, 3)
MOMENT = datetime(2024, 1, 3, 12)
AWARE = MOMENT.replace(tzinfo=UTC)


def put(lake: Any, table: pa.Table, path: str = "in/a.parquet", rows: int = 10, **more: Any) -> None:
    file = io.BytesIO()
    parquet.write_table(table, file, row_group_size=rows, **more)
    lake.storage.write(path, file.getvalue())


def both(lake: Any, bound: Bound, format_: Any = PARQUET, **more: Any) -> pa.Table:
    """What is read, whole and in chunks."""
    whole = lake.engine.to_arrow(lake.read("in", format_, after=bound, **more))
    chunks = [lake.engine.to_arrow(each) for each in lake.read_chunks("in", format_, 3, after=bound, **more)]
    assert pa.concat_tables(chunks).equals(whole)
    return whole


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (pa.int8(), [-5, 9, 10, 100]),
        (pa.int64(), [9, 10, 100, 20240103]),
        (pa.uint64(), [0, 9, 2**63, 2**64 - 1]),
        (pa.float32(), [-1.5, 0.0, 2.5, 2.0**100]),
        (pa.float64(), [-1.5, 0.1, 2.5, 1e300]),
        (pa.decimal128(10, 2), [Decimal("-1.50"), Decimal("9.00"), Decimal("10.00"), Decimal("100.25")]),
        (pa.string(), ["B", "a", "ab", "é"]),
        (pa.large_string(), ["B", "a", "ab", "é"]),
        (pa.dictionary(pa.int32(), pa.string()), ["B", "a", "ab", "é"]),
        (pa.date32(), [DAY + timedelta(days=at) for at in (-400, 0, 1, 9000)]),
        (pa.timestamp("us"), [MOMENT + timedelta(microseconds=at) for at in (-(10**12), 0, 1, 10**12)]),
        (pa.timestamp("s"), [MOMENT + timedelta(seconds=at) for at in (-400, 0, 1, 9000)]),
        (pa.timestamp("ns"), [MOMENT + timedelta(microseconds=at) for at in (-400, 0, 1, 9000)]),
        (pa.timestamp("us", "Asia/Tokyo"), [AWARE + timedelta(microseconds=at) for at in (-400, 0, 1, 9000)]),
        (pa.timestamp("ns", "UTC"), [AWARE + timedelta(microseconds=at) for at in (-400, 0, 1, 9000)]),
    ],
    ids=str,
)
def test_values_of_each_type_are_cut_where_they_are(lake: Any, kind: pa.DataType, values: list[Any]) -> None:
    put(lake, pa.table({"v": pa.array([values[2], None, values[0], values[3], values[1]], kind)}), rows=2)
    for above in range(4):
        for upto in range(4):
            found = both(lake, Bound("v", values[above], values[upto]))
            assert sorted(found["v"].to_pylist()) == values[above + 1 : upto + 1]
    newest = lake.engine.newest(lake.read("in", PARQUET), "v")
    assert newest == values[3]
    assert not both(lake, Bound("v", newest)).num_rows
    assert both(lake, Bound("v", None, newest)).num_rows == 4


def test_a_bound_that_the_type_cannot_hold(lake: Any) -> None:
    """The column may have been narrowed since."""
    put(lake, pa.table({"v": pa.array([1, 2], pa.int8()), "w": pa.array([Decimal("1.5"), None], pa.decimal128(3, 1))}))
    assert both(lake, Bound("v", -1000, 1000))["v"].to_pylist() == [1, 2]
    assert both(lake, Bound("w", Decimal("1.4999999999999999"), Decimal("1e20")))["w"].to_pylist() == [Decimal("1.5")]
    put(lake, pa.table({"v": pa.array([1, 2], pa.uint8())}))
    assert both(lake, Bound("v", -1))["v"].to_pylist() == [1, 2]
    assert not both(lake, Bound("v", None, -1)).num_rows
    assert both(lake, Bound("v", None, 2**70))["v"].to_pylist() == [1, 2]
    assert not both(lake, Bound("v", 2**70)).num_rows


def test_no_value_is_never_meant(lake: Any) -> None:
    nan = float("nan")
    put(lake, pa.table({"v": [nan, 1.0, None, 2.0]}))
    for bound in (Bound("v"), Bound("v", 0.0), Bound("v", None, 5.0)):
        assert both(lake, bound)["v"].to_pylist() == [1.0, 2.0]
    assert lake.engine.newest(lake.read("in", PARQUET), "v") == 2.0
    assert lake.engine.newest(from_table(pa.table({"v": [nan]})), "v") is None


@pytest.mark.parametrize("kind", [pa.bool_(), pa.binary(), pa.list_(pa.int64()), pa.time32("s")])
def test_what_has_no_order_to_go_by(lake: Any, kind: pa.DataType) -> None:
    frame = from_table(pa.table({"v": pa.array([None], kind)}))
    with pytest.raises(DataError, match="nothing can be bound by"):
        lake.engine.newest(frame, "v")


def test_moments_that_a_watermark_does_not_keep(lake: Any) -> None:
    frame = from_table(pa.table({"v": pa.array([1_000_000_001], pa.timestamp("ns"))}))
    with pytest.raises(DataError, match="finer than a microsecond"):
        lake.engine.newest(frame, "v")


@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_row_groups_are_passed_over_and_no_row_is(lake: Any, data: st.DataObject) -> None:
    """With statistics or without: what is read is what a filter over all rows gives, in their order."""
    values = data.draw(st.lists(st.one_of(st.none(), st.integers(-20, 20)), min_size=1, max_size=40))
    rows = data.draw(st.integers(1, 7))
    put(lake, pa.table({"v": pa.array(values, pa.int64()), "at": range(len(values))}), rows=rows,
        write_statistics=data.draw(st.booleans()))  # fmt: skip
    bound = Bound("v", data.draw(st.one_of(st.none(), st.integers(-25, 25))), data.draw(st.integers(-25, 25)))
    meant = [at for at, value in enumerate(values) if bound.holds(value)]
    assert both(lake, bound)["at"].to_pylist() == meant
    assert both(lake, bound, columns=("v",))["v"].to_pylist() == [values[at] for at in meant]


def test_a_row_group_of_older_rows_is_not_read(lake: Any) -> None:
    """It may even be damaged: nobody looks at it."""
    put(lake, pa.table({"v": list(range(1000)), "w": ["x" * 50] * 1000}), rows=500, compression="none",
        write_page_checksum=True)  # fmt: skip
    data = bytearray(lake.storage.read("in/a.parquet"))
    data[200:210] = b"0123456789"
    lake.storage.write("in/a.parquet", bytes(data))
    with pytest.raises(DataError):
        lake.read("in", PARQUET)
    assert both(lake, Bound("v", 499))["v"].to_pylist() == list(range(500, 1000))


@pytest.mark.parametrize("format_", [CsvFormat(), JsonFormat()])
def test_formats_without_statistics(lake: Any, format_: Any) -> None:
    frame = from_table(pa.table({"id": [1, 2, 100, 9], "day": [DAY, DAY + timedelta(days=1), DAY, None]}))
    lake.write(frame, f"in/year=2024/a{format_.extensions[0]}", format_)
    assert both(lake, Bound("id", 2), format_)["id"].to_pylist() == [100, 9]
    assert both(lake, Bound("day", DAY), format_)["id"].to_pylist() == [2]
    assert both(lake, Bound("year", 2023, 2024), format_, columns=("year",))["year"].to_pylist() == [2024] * 4
    assert not both(lake, Bound("year", 2024), format_).num_rows
    with pytest.raises(DataError, match="'id' was str when it was last read, and is int now"):
        both(lake, Bound("id", "2"), format_)


def test_a_table_that_looks_after_its_own_objects(lake: Any) -> None:
    class Own:
        def read(self, source: Any, engine: Any) -> Any:
            return from_table(pa.table({"v": [3, 1, None, 2]}))

    assert both(lake, Bound("v", 1), Own())["v"].to_pylist() == [3, 2]


def test_an_append_of_nothing_adds_no_part(lake: Any) -> None:
    frame = from_table(pa.table({"v": [1]}))
    lake.write(frame, "out", PARQUET, "append", part="p1")
    report = lake.write(frame.iloc[:0], "out", PARQUET, "append", part="p2")
    assert (report.rows, report.paths, report.skipped) == (0, (), True)
    assert len(lake.paths()) == 1
    lake.write(frame.iloc[:0], "new", PARQUET, "append", part="p1")
    assert len(lake.read("new", PARQUET)) == 0
