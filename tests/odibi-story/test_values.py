"""Whatever an event brings becomes JSON of bounded size that holds no secret."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odibi_story.values import CELL, DEPTH, ITEMS, MASK, Clean, cut

TEXTS = st.text(max_size=50)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.decimals() | TEXTS | st.binary(max_size=50)
    | st.dates() | st.datetimes() | st.times() | st.timedeltas() | st.uuids() | st.complex_numbers(),
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS | st.integers(), inner) | st.frozensets(st.integers()),
    max_leaves=30,
)  # fmt: skip


class Odd:
    """Cannot say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no")


@given(ANYTHING)
def test_any_value_becomes_json_that_reads_the_same(value: Any) -> None:
    made = Clean().value(value)
    text = json.dumps(made, allow_nan=False, ensure_ascii=False)
    assert json.loads(text.encode("utf-8").decode("utf-8")) == made


@given(ANYTHING)
def test_what_was_made_fit_to_be_shown_stays_as_it_is(value: Any) -> None:
    made = Clean().value(value)
    assert Clean().value(made) == made


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (float("nan"), "NaN"),
        (float("-inf"), "-Infinity"),
        (2**53, 2**53),
        (2**53 + 1, str(2**53 + 1)),
        (Decimal("1.50"), "1.50"),
        (date(2024, 2, 29), "2024-02-29"),
        (datetime(2024, 2, 29, 1, 2, 3, tzinfo=UTC), "2024-02-29T01:02:03+00:00"),
        (time(1, 2), "01:02:00"),
        (b"\xff\x00", "0xff00"),
        ("half a pair \ud800", "half a pair \\ud800"),
        ({1: {2}}, {"1": [2]}),
        (Odd(), "<Odd>"),
    ],
)
def test_values_that_json_does_not_have(value: Any, shown: Any) -> None:
    assert Clean().value(value) == shown


def test_what_is_large_is_cut_with_a_mark() -> None:
    clean = Clean()
    assert clean.value(10**5000) == "<int>"
    assert clean.text("x" * 500, CELL) == "x" * 200 + "… (300 more characters)"
    assert clean.text("x" * 1_000_000, CELL) == "x" * 200 + "… (999,800 more characters)"
    assert clean.text("a" * 500 + "end", CELL, end=True).endswith("end")
    assert clean.value(list(range(1_000)))[-1] == f"… ({1_000 - ITEMS:,} more)"
    assert clean.value({str(at): at for at in range(1_000)})["…"] == f"{1_000 - ITEMS:,} more"
    deep: Any = "bottom"
    for _ in range(100):
        deep = [deep]
    assert "bottom" not in json.dumps(clean.value(deep))
    assert json.dumps(clean.value(deep)).count("[") == DEPTH
    assert len(clean.value(b"\x01" * 100_000, CELL)) < 2 * CELL
    assert cut("abc", 3) == "abc"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgres://ann:pa55@db/x", "postgres://ann:***@db/x"),
        ("https://example.com/a@b", "https://example.com/a@b"),
        ("https://x.net/c?sv=1&sig=abc%3D&se=2", "https://x.net/c?sv=1&sig=***&se=2"),
        ("password='pa55'", "password='***'"),
        ('{"api_key": "pa55"}', '{"api_key": "***"}'),
        ("AccountKey=pa55==;Other=1", "AccountKey=***;Other=1"),
        ("Authorization token: Bearer pa55", "Authorization token: Bearer ***"),
        ("token=${API_TOKEN}", "token=${API_TOKEN}"),
        ("SELECT tokens FROM t WHERE id = 3", "SELECT tokens FROM t WHERE id = 3"),
    ],
)
def test_what_looks_like_a_secret_is_masked_though_nobody_knows_it(text: str, shown: str) -> None:
    assert Clean().text(text) == shown


def test_secrets_that_are_known_are_masked_in_every_kind_of_value() -> None:
    def scrub(value: Any) -> Any:
        return value.replace("pa55word", MASK) if isinstance(value, str) else MASK if value == 4711 else value

    clean = Clean(scrub)
    made = clean.value({"a pa55word": ["pa55word", b"pa55word", Decimal(1), 4711, {"x": "the pa55word"}]})
    assert made == {"a ***": [MASK, MASK, "1", MASK, {"x": "the ***"}]}
    assert clean.text("x" * 10_000 + "pa55word", 100, end=True).endswith(MASK)
    # A cut does not leave a half of it behind.
    for length in range(190, 210):
        assert "pa55" not in clean.text("x" * length + "pa55word" + "y" * 300, CELL)


def test_what_stands_under_the_name_of_a_secret_is_one() -> None:
    made = Clean().value({"db_password": 1234, "apiKey": b"x2", "pwd": ["x3"], "token": "${TOKEN}", "tokens": 5})
    assert made == {"db_password": MASK, "apiKey": MASK, "pwd": MASK, "token": "${TOKEN}", "tokens": 5}
