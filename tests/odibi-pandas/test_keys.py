"""Rows that are told by their keys, in the types that Arrow has for them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from odibi.contracts import Bound
from odibi.contracts.bounds import key_digest
from odibi.errors import DataError
from odibi_pandas import keys
from odibi_pandas.engine import PandasEngine
from odibi_pandas.frames import from_table, to_table

MOMENT = datetime(2024, 1, 3, 12)


@pytest.fixture
def engine() -> Iterator[PandasEngine]:
    made = PandasEngine()
    yield made
    made.close()


@pytest.mark.parametrize(
    ("kinds", "values"),
    [
        ([pa.int8(), pa.int64(), pa.uint64()], [1, 5]),
        ([pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())], ["", "é\n"]),
        ([pa.binary(), pa.large_binary(), pa.binary(2)], [b"ab", b"\0\0"]),
        ([pa.bool_()], [True, False]),
        ([pa.decimal128(5, 2), pa.decimal128(30, 10), pa.decimal256(60, 2)], [Decimal("1.50"), Decimal("-0.25")]),
        ([pa.date32(), pa.date64()], [date(2024, 1, 3), date(1, 1, 1)]),
        ([pa.timestamp("s"), pa.timestamp("ms"), pa.timestamp("us"), pa.timestamp("ns")], [MOMENT]),
        ([pa.timestamp("us", "UTC"), pa.timestamp("ns", "Asia/Tokyo")], [MOMENT.replace(tzinfo=UTC)]),
    ],
)
def test_a_key_has_one_digest_in_whatever_type_it_is(
    engine: PandasEngine, kinds: list[pa.DataType], values: list[Any]
) -> None:
    meant = [(at, key_digest([value]), at) for at, value in enumerate(values)]
    for kind in kinds:
        frame = from_table(pa.table({"k": pa.array(values, kind), "at": range(len(values))}))
        assert list(engine.digests(frame, ["k"], Bound("at"))) == meant
        assert len(engine.newest_of_each(frame, ["k"], "at")) == len(values)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (pa.float64(), [1.0]),
        (pa.null(), [None]),
        (pa.list_(pa.int64()), [[1]]),
        (pa.time64("us"), [1]),
        (pa.timestamp("ns"), [1]),
        (pa.timestamp("ns", "UTC"), [10**18 + 1]),
    ],
)
def test_what_is_no_key(engine: PandasEngine, kind: pa.DataType, values: list[Any]) -> None:
    frame = from_table(pa.table({"k": pa.array(values, kind), "at": [1]}))
    with pytest.raises(DataError, match="column 'k'"):
        list(engine.digests(frame, ["k"], Bound("at")))


def test_a_value_finer_than_a_microsecond(engine: PandasEngine) -> None:
    frame = from_table(pa.table({"k": [1, 2], "at": pa.array([1, 2000], pa.timestamp("ns"))}))
    with pytest.raises(DataError, match="column 'at' has moments finer than a microsecond"):
        list(engine.digests(frame, ["k"], Bound("at")))


def test_the_column_of_the_values_may_be_part_of_the_key(engine: PandasEngine) -> None:
    frame = from_table(pa.table({"at": [1, 2]}))
    assert list(engine.digests(frame, ["at", "at"], Bound("at", 1))) == [(1, key_digest([2, 2]), 2)]
    assert len(engine.newest_of_each(frame, ["at"], "at")) == 2


def test_more_rows_than_are_looked_at_together(engine: PandasEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "_ROWS", 3)
    frame = from_table(pa.concat_tables([pa.table({"k": [str(at)], "at": [at]}) for at in range(10)]))
    assert list(engine.digests(frame, ["k"], Bound("at", 1, 8))) == [
        (at, key_digest([str(at)]), at) for at in range(2, 9)
    ]


ROWS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2), st.integers(0, 3)), max_size=20)


@given(ROWS)
def test_the_newest_of_each_as_plain_python_has_it(rows: list[tuple[str, int, int]]) -> None:
    columns = [
        pa.array([row[at] for row in rows], kind) for at, kind in enumerate((pa.string(), pa.int64(), pa.int64()))
    ]
    table = pa.table([*columns, pa.array(range(len(rows)), pa.int64())], names=["a", "b", "at", "place"])
    for key, width in ((["a"], 1), (["b", "a"], 2)):
        newest: dict[Any, int] = {}
        for place, row in enumerate(rows):
            held = newest.setdefault(row[:width], place)
            if row[2] > rows[held][2]:
                newest[row[:width]] = place
        found = keys.newest_of_each(from_table(table), key, "at")
        assert to_table(found)["place"].to_pylist() == sorted(newest.values())
        left = keys.without(found, [0] if len(found) else [])
        assert list(left.index) == list(range(len(left)))


@given(ROWS, st.integers(-1, 3), st.timedeltas(timedelta(0), timedelta(seconds=3)))
def test_digests_of_moments(rows: list[tuple[str, int, int]], above: int, upto: timedelta) -> None:
    moments = [MOMENT + timedelta(seconds=row[2]) for row in rows]
    table = pa.table(
        {"k": pa.array([row[0] for row in rows], pa.string()), "at": pa.array(moments, pa.timestamp("us"))}
    )
    bound = Bound("at", MOMENT + timedelta(seconds=above), MOMENT + upto)
    meant = [(at, key_digest([rows[at][0]]), moment) for at, moment in enumerate(moments) if bound.holds(moment)]
    assert list(keys.digests(from_table(table), ["k"], bound)) == meant
