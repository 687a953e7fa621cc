"""Tables as plain data: made, drawn, compared, and turned into frames."""

from __future__ import annotations

import datetime as dt
import decimal
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from odibi.testing.frames import (
    COMMON,
    SIMPLE,
    Table,
    arrow_type,
    assert_same,
    comparable,
    frame_of,
    from_arrow,
    kind_of,
    same,
    schemas,
    strange_values,
    table_of,
    tables,
    to_arrow,
    values,
)
from odibi.testing.reference.engine import RowsEngine

ORDERS = Table.of(id=("int64", [1, 2, 3]), name=("string", ["a", None, "b"]))


def test_a_table_is_made_of_columns_and_cut() -> None:
    assert ORDERS.names == ("id", "name")
    assert ORDERS.rows == ((1, "a"), (2, None), (3, "b"))
    assert ORDERS.column("name") == ("a", None, "b")
    assert ORDERS.select("name").rows == (("a",), (None,), ("b",))
    assert ORDERS.cut(1, 2).rows == ((2, None),)
    assert ORDERS.cut(0, 1).joined(ORDERS.cut(1).select("name", "id")).rows == ORDERS.rows
    assert len(ORDERS.cut(0, 0)) == 0


def test_a_table_has_rows_of_one_width() -> None:
    with pytest.raises(ValueError, match="row 1 has 1 values for 2 columns"):
        Table(ORDERS.types, [(1, "a"), (2,)])
    with pytest.raises(ValueError, match=r"zip\(\)"):
        Table.of(a=("int64", [1]), b=("int64", []))


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (
            Table.of(id=("int64", [1, 2, 4]), name=("string", ["a", None, "b"])),
            "row 2, column 'id': 4, and should be 3",
        ),
        (Table.of(id=("int64", [1, 2, 3]), name=("string", ["a", "", "b"])), "row 1, column 'name': '', and should be"),
        (ORDERS.cut(0, 2), "there are 2 rows, and should be 3"),
        (ORDERS.select("name", "id"), "the columns are"),
        (Table.of(id=("double", [1.0, 2.0, 3.0]), name=("string", ["a", None, "b"])), "'id' is double"),
        (ORDERS.cut(1).joined(ORDERS.cut(0, 1)), "row 0, column 'id': 2, and should be 1"),
    ],
)
def test_what_differs_is_said(other: Table, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        assert_same(other, ORDERS)
    assert not same(other, ORDERS)
    assert same(ORDERS, ORDERS)


def test_types_are_compared_as_closely_as_asked() -> None:
    wide = Table.of(a=("int64", [1]), b=("string", ["x"]), c=("double", [None]))
    narrow = Table.of(a=("int8", [1]), b=("large_string", ["x"]), c=("null", [None]))
    whole = Table.of(a=("double", [1.0]), b=("string", ["x"]), c=("double", [None]))
    assert_same(narrow, wide)
    assert_same(whole, wide, types="any")
    for other, types in ((narrow, "exact"), (whole, "kind")):
        with pytest.raises(AssertionError, match="and should be"):
            assert_same(other, wide, types=types)  # type: ignore[arg-type]


def test_the_order_of_rows_may_be_left_open() -> None:
    turned = ORDERS.cut(2).joined(ORDERS.cut(0, 2))
    assert_same(turned, ORDERS, ordered=False)
    with pytest.raises(AssertionError):
        assert_same(turned.cut(0, 2).joined(turned.cut(0, 1)), ORDERS, ordered=False)


@pytest.mark.parametrize(
    ("one", "other", "is_so"),
    [
        (1, 1.0, True),
        (0.0, -0.0, True),
        (float("nan"), float("nan"), True),
        (float("nan"), None, False),
        (1, True, False),
        ("", None, False),
        (b"a", "a", False),
        (b"a", bytearray(b"a"), True),
        ([1, [None]], (1, (None,)), True),
        (dt.date(2020, 1, 1), dt.datetime(2020, 1, 1), False),
        (
            dt.datetime(2020, 1, 1, 9, tzinfo=dt.timezone(dt.timedelta(hours=9))),
            dt.datetime(2020, 1, 1, tzinfo=dt.UTC),
            True,
        ),
        (decimal.Decimal("1.0"), decimal.Decimal("1.00"), True),
    ],
)
def test_which_values_are_the_same(one: Any, other: Any, is_so: bool) -> None:
    assert (comparable(one) == comparable(other)) == is_so


def test_what_is_no_plain_value() -> None:
    class Number(float):
        """One of a library."""

    plain = {"a": [1, (None, "x", 2.5)], "b": {"c": [b"", dt.date(2020, 1, 1), decimal.Decimal(1)]}}
    assert list(strange_values(plain)) == []
    assert [name.rpartition(".")[2] for name in strange_values([{"a": [Number(1)]}, object()])] == ["Number", "object"]


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("int8", "integer"),
        ("uint64", "integer"),
        ("float64", "number"),
        ("halffloat", "number"),
        ("large_string", "text"),
        ("timestamp[ns]", "moment"),
        ("timestamp[us, tz=Europe/Berlin]", "moment with a zone"),
        ("decimal128(12, 3)", "decimal"),
        ("date32[day]", "date"),
        ("list<item: int64>", "list"),
        ("bool", "bool"),
    ],
)
def test_what_a_type_is_for(word: str, kind: str) -> None:
    pytest.importorskip("pyarrow")
    assert kind_of(word) == kind
    assert str(arrow_type(word)) == word.replace("float64", "double")


@settings(max_examples=30, deadline=None)
@given(table=tables(words=COMMON))
def test_tables_go_to_arrow_and_back(table: Table) -> None:
    pytest.importorskip("pyarrow")
    assert_same(from_arrow(to_arrow(table)), table, types="exact")


@settings(max_examples=20, deadline=None)
@given(table=tables())
def test_tables_become_frames_and_back(table: Table) -> None:
    pytest.importorskip("pyarrow")
    engine = RowsEngine()
    assert_same(table_of(engine, frame_of(engine, table)), table, types="exact")


@settings(max_examples=20, deadline=None)
@given(types=schemas(words=("int64", "bool"), min_columns=2, max_columns=3), data=st.data())
def test_tables_are_drawn_as_asked(types: dict[str, str], data: st.DataObject) -> None:
    assert 2 <= len(types) <= 3
    assert set(types.values()) <= {"int64", "bool"}
    assert len({name.casefold() for name in types}) == len(types)
    table = data.draw(tables(types, min_rows=1, max_rows=2, nulls=False))
    assert table.types == types
    assert 1 <= len(table) <= 2
    assert all(value is not None for row in table.rows for value in row)


def test_no_values_are_known_for_a_type() -> None:
    with pytest.raises(ValueError, match="no values are known for the type 'union'"):
        values("union")
    assert set(SIMPLE) < set(COMMON)
