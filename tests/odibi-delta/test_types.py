"""What a table keeps as it is, what becomes another type without a loss, and what is refused."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pytest
from arrow_tables import Lake
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from odibi.errors import DataError

NOON = datetime(2026, 1, 31, 12, 0, 0, 123456)


@pytest.mark.parametrize(
    "values",
    [
        pa.array([-128, 127, None], pa.int8()),
        pa.array([-(2**15), None], pa.int16()),
        pa.array([-(2**31), None], pa.int32()),
        pa.array([-(2**63), 2**63 - 1, None], pa.int64()),
        pa.array([1.5, math.inf, None], pa.float32()),
        pa.array([0.1, -math.inf, None], pa.float64()),
        pa.array([True, False, None]),
        pa.array(["", "é\0\U0001f600", None]),
        pa.array([b"", b"\x00\xff", None]),
        pa.array([date(1, 1, 1), date(9999, 12, 31), None]),
        pa.array([NOON, datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999), None], pa.timestamp("us")),
        pa.array([NOON.replace(tzinfo=UTC), None], pa.timestamp("us", "UTC")),
        pa.array([Decimal("12345678901234567890123456789.123456789"), None], pa.decimal128(38, 9)),
        pa.array([[1, None], [], None], pa.list_(pa.int64())),
        pa.array([{"a": 1, "b": [{"c": NOON}]}, {"a": None, "b": None}, None]),
        pa.array([[("k", 1.5), ("l", None)], [], None], pa.map_(pa.string(), pa.float64())),
    ],
    ids=lambda values: str(values.type),
)
def test_what_delta_has_comes_back_as_it_was(lake, values):
    lake.write({"v": values, "at": list(range(len(values)))})
    read = lake.read().sort_by("at") if not pa.types.is_nested(values.type) else lake.read()
    assert read["v"].to_pylist() == values.to_pylist()
    # A list's item has another name in Parquet.
    assert str(read.schema.field("v").type).replace("element", "item") == str(values.type)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (pa.array([255, None], pa.uint8()), pa.int16()),
        (pa.array([65535], pa.uint16()), pa.int32()),
        (pa.array([2**32 - 1], pa.uint32()), pa.int64()),
        (pa.array([2**64 - 1, None], pa.uint64()), pa.decimal128(20, 0)),
        (pa.array([1.5, None], pa.float16()), pa.float32()),
        (pa.array([date(2026, 1, 1)], pa.date64()), pa.date32()),
        (pa.array([NOON.replace(microsecond=0)], pa.timestamp("s")), pa.timestamp("us")),
        (pa.array([NOON.replace(microsecond=123000)], pa.timestamp("ms")), pa.timestamp("us")),
        (pa.array([NOON], pa.timestamp("ns")), pa.timestamp("us")),
        (pa.array([NOON.replace(tzinfo=UTC)], pa.timestamp("ns", "Europe/Berlin")), pa.timestamp("us", "UTC")),
        (pa.array(["a", None, "a"]).dictionary_encode(), pa.string()),
        (pa.array([1, None, 1]).dictionary_encode(), pa.int64()),
        (pa.array([b"ab", None], pa.binary(2)), pa.binary()),
        (pa.array(["a", None], pa.large_string()), pa.string()),
        (pa.array(["a", None], pa.string_view()), pa.string()),
        (pa.array([b"a", None], pa.large_binary()), pa.binary()),
        (pa.array([b"a", None], pa.binary_view()), pa.binary()),
        (pa.array([Decimal("1.50")], pa.decimal256(30, 2)), pa.decimal128(30, 2)),
        (pa.array([Decimal("1.50")], pa.decimal32(5, 2)), pa.decimal128(5, 2)),
        (pa.array([[1, 2]], pa.list_(pa.int32(), 2)), pa.list_(pa.int32())),
        (pa.array([[1, 2], None], pa.large_list(pa.int32())), pa.list_(pa.int32())),
        (pa.array([[255]], pa.list_(pa.uint8())), pa.list_(pa.int16())),
        (pa.array([{"a": 255}], pa.struct([("a", pa.uint8())])), pa.struct([("a", pa.int16())])),
    ],
    ids=lambda value: str(getattr(value, "type", value)),
)
def test_what_delta_has_not_becomes_what_holds_all_of_it(lake, values, kind):
    lake.write({"v": values})
    read = lake.read()
    assert str(read.schema.field("v").type).replace("element", "item") == str(kind)
    found = read["v"].to_pylist()
    assert found == [each if each is None else _plain(each) for each in values.to_pylist()]


def _plain(value):
    if isinstance(value, int) and value > 2**63:
        return Decimal(value)
    return value.astimezone(UTC) if isinstance(value, datetime) and value.tzinfo else value


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (pa.array([time(1, 2)], pa.time64("us")), "time64[us]"),
        (pa.array([time(1, 2)], pa.time32("s")), "time32[s]"),
        (pa.array([timedelta(1)], pa.duration("us")), "duration[us]"),
        (pa.array([pa.MonthDayNano([1, 2, 3])]), "month_day_nano_interval"),
        (pa.array([None], pa.null()), "holds nothing but nulls"),
        (pa.array([Decimal(1)], pa.decimal256(60, 2)), "decimal256(60, 2)"),
        (pa.array([[time(1)]], pa.list_(pa.time64("us"))), "list<item: time64[us]>"),
        (pa.array([1], pa.timestamp("ns")), "it keeps microseconds"),
        (pa.array([2**62], pa.timestamp("s")), "it keeps microseconds"),
        (pa.array([1], pa.date64()), "do not go into Delta's date32"),
    ],
    ids=lambda value: str(getattr(value, "type", "")),
)
def test_what_would_be_lost_is_refused_by_name(lake, values, words):
    with pytest.raises(DataError) as caught:
        lake.write({"ok": [1] * len(values), "when": values})
    assert "'when'" in str(caught.value)
    assert words in str(caught.value)
    assert caught.value.remedy
    assert not lake.folder.exists()


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["a", "A"], "'a' and 'A' have one name"),
        (["a", "a"], "'a' and 'a' have one name"),
        ([""], "called ''"),
        (["x`y"], "called 'x`y'"),
        ([], "has no columns"),
    ],
)
def test_names_that_a_table_cannot_have_are_refused(lake, names, words):
    frame = pa.Table.from_arrays([pa.array([1]) for _ in names], names=names)
    with pytest.raises(DataError) as caught:
        lake.write(frame)
    assert words in str(caught.value)


def test_notes_of_other_libraries_in_a_schema_are_left_out(lake):
    noted = pa.schema([pa.field("a", pa.int64(), nullable=False, metadata={"x": "y"})], metadata={"pandas": "{}"})
    lake.write(pa.table({"a": [1]}, schema=noted))
    lake.write(pa.table({"a": pa.array([None], pa.int64())}), "append")
    assert lake.read().schema.metadata is None
    assert lake.rows() == [{"a": 1}, {"a": None}]


_TYPES = {
    pa.int8(): st.integers(-(2**7), 2**7 - 1),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.uint64(): st.integers(0, 2**64 - 1).map(Decimal),
    pa.float64(): st.floats(allow_nan=False),
    pa.bool_(): st.booleans(),
    pa.string(): st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    pa.binary(): st.binary(max_size=8),
    pa.date32(): st.dates(),
    pa.timestamp("us"): st.datetimes(),
    pa.timestamp("us", "UTC"): st.datetimes(timezones=st.just(UTC)),
    pa.decimal128(12, 3): st.decimals(-(10**8), 10**8, places=3),
    pa.list_(pa.int32()): st.lists(st.none() | st.integers(-5, 5), max_size=3),
}
_NAMES = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="`"), min_size=1, max_size=6)


@st.composite
def frames(draw):
    names = draw(st.lists(_NAMES, min_size=1, max_size=4, unique_by=str.lower))
    rows = draw(st.integers(0, 6))
    columns = {}
    for name in names:
        kind = draw(st.sampled_from(list(_TYPES)))
        values = draw(st.lists(st.none() | _TYPES[kind], min_size=rows, max_size=rows))
        whole = [int(each) if each is not None and kind == pa.uint64() else each for each in values]
        columns[name] = pa.array(whole, kind)
    return pa.table(columns)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(frames(), frames(), st.integers(0, 6))
def test_any_frame_comes_back_row_by_row(first, other, cut):
    with TemporaryDirectory() as folder:
        lake = Lake(Path(folder) / "lake")
        lake.write(first.slice(0, cut), "append", part="1")
        lake.write(first.slice(cut), "append", part="2")
        assert lake.read().to_pydict() == _as_decimals(first)
        lake.write(other, schema_mode="overwrite")
        assert lake.read().to_pydict() == _as_decimals(other)
        assert lake.read(version=1).to_pydict() == _as_decimals(first)


def _as_decimals(frame):
    return {
        name: [
            Decimal(each) if each is not None and column.type == pa.uint64() else each for each in column.to_pylist()
        ]
        for name, column in zip(frame.column_names, frame.columns, strict=True)
    }


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["overwrite", "append", "upsert", "append_once"]),
            st.dictionaries(st.integers(0, 5), st.integers(0, 100), max_size=4),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_a_table_is_what_its_writes_say(steps):
    with TemporaryDirectory() as folder:
        lake = Lake(Path(folder) / "lake")
        model: list[tuple[int, int]] = []
        states = []
        for number, (mode, rows) in enumerate(steps):
            frame = pa.table({"k": pa.array(list(rows), pa.int64()), "v": pa.array(list(rows.values()), pa.int64())})
            lake.write(frame, mode, part=str(number), keys=("k",) if mode in ("upsert", "append_once") else ())
            if mode == "overwrite":
                model = list(rows.items())
            elif mode == "append":
                model += rows.items()
            elif mode == "upsert":
                known = {key for key, _ in model}
                model = [(key, rows.get(key, value)) for key, value in model]
                model += [(key, value) for key, value in rows.items() if key not in known]
            else:
                known = {key for key, _ in model}
                model += [(key, value) for key, value in rows.items() if key not in known]
            read = lake.read()
            assert sorted(zip(read["k"].to_pylist(), read["v"].to_pylist(), strict=True)) == sorted(model)
            states.append((lake.version(), sorted(model)))
        for before, after in pairwise(states):
            assert before[1] == after[1] or before[0] != after[0]
