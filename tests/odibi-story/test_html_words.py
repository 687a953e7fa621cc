"""Figures in words, values as YAML, and how columns differ."""

from __future__ import annotations

import math
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from odibi_story.html import words
from odibi_story.html.cells import MASK, by_column, cell
from odibi_story.html.columns import compare
from odibi_story.html.outline import outline
from odibi_story.record import Column


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, ""),
        (0.0, "0.0 ms"),
        (0.0004, "0.4 ms"),
        (0.012, "12 ms"),
        (0.0994, "99 ms"),
        (0.0996, "0.10 s"),
        (1.234, "1.23 s"),
        (9.996, "10.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (184, "3 min 04 s"),
        (3599.9, "1 h 00 min"),
        (7500, "2 h 05 min"),
        (360_000, "100 h 00 min"),
    ],
)
def test_durations(seconds: float | None, said: str) -> None:
    assert words.took(seconds) == said


@pytest.mark.parametrize(
    ("number", "said"),
    [(None, ""), (0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (999_600, "1.0 MB"), (5e15, "5,000.0 TB")],
)
def test_sizes(number: float | None, said: str) -> None:
    assert words.size(number) == said


def test_numbers() -> None:
    assert words.count(1234567) == "1,234,567"
    assert words.count(1, "row") == "1 row"
    assert words.count(0, "row") == "0 rows"
    assert words.count(2, "entry", "entries") == "2 entries"
    assert words.count(None, "row") == ""
    assert [words.change(each) for each in (5000, -3, 0)] == ["+5,000", "−3", "±0"]
    assert [words.share(part, 1000) for part in (0, 0.1, 45, 450)] == ["0.0 %", "<0.1 %", "4.5 %", "45 %"]
    assert words.share(1, 0) == ""


def test_moments() -> None:
    assert words.moment(1_359_609_420) == "2013-01-31 05:17:00 UTC"
    assert words.moment(0) == ""
    assert words.moment(1e300) == ""
    assert words.moment(math.nan) == ""


@given(st.text(st.characters(exclude_categories=[]), max_size=60), st.integers(3, 40))
def test_shortened_text_fits_and_keeps_its_ends(text: str, columns: int) -> None:
    short = words.shorten(text, columns)
    assert words.width(short) <= columns
    if short != text:
        head, tail = short.split("…", 1) if text.count("…") == 0 else (short[:1], "")
        assert text.startswith(head)
        assert text.endswith(tail)


@given(st.text(st.characters(exclude_categories=[])))
def test_what_is_visible_can_be_written(text: str) -> None:
    shown = words.visible(text)
    assert len(shown) == len(text)
    assert not {chr(code) for code in range(32) if chr(code) not in "\t\n"} & set(shown)
    shown.encode("utf-8")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
@example({"a": "yes", "b": "1e3", "c": "1_000", "d": "0x10", "e": "1:30", "f": "~", "g": "=", "h": "<<"})
@example(["- a", "a: b", "a #b", "#", "", " ", "null", "2013-01-31", "!x", "&x", "*x", "%x", "@x", "`x", "|", ">"])
@example({"sql": "SELECT *\n  FROM df\n\nWHERE a\n", "x": "a\nb\n\n", "y": " a\nb"})
@example({"z": "\na", "w": "a\n\tb ", "v": "\n"})
@example([[["a\nb"]], {"a": [{"b": "c\nd", "e": []}, {}]}])
@example("a\x85b\u2028c\ufeff")
@example("\ud800 \U00018d09")
def test_the_outline_is_yaml_of_the_same_value(value: Any) -> None:
    text = outline(value)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # half a character, which YAML cannot say and the page marks
        return
    assert yaml.safe_load(text) == value


def test_the_outline_reads_like_a_project_file() -> None:
    value = {"read": {"path": "orders.csv"}, "transform": {"steps": [{"sql": "SELECT *\nFROM df"}, {"by": ["a", "b"]}]}}
    assert outline(value) == (
        "read: {path: orders.csv}\n"
        "transform:\n"
        "  steps:\n"
        "    - sql: |-\n"
        "        SELECT *\n"
        "        FROM df\n"
        "    - by: [a, b]"
    )


def test_columns_are_compared_by_name() -> None:
    before = [Column("a", "int64"), Column("b", "string"), Column("c", "double"), Column("d", "int64")]
    after = [Column("d", "int64", nullable=False), Column("b", "string"), Column("a", "double"), Column("e", "date32")]
    found = compare(before, after)
    assert [each.name for each in found.added] == ["e"]
    assert [each.name for each in found.removed] == ["c"]
    assert [(each.name, each.before, each.after) for each in found.changed] == [
        ("d", "int64", "int64 not null"),
        ("a", "int64", "double"),
    ]
    assert found
    assert not compare(after, after)


def test_cells_say_what_they_are() -> None:
    values = (None, MASK, "null", 1, 2.5, True, {"a": [1]}, "")
    assert [(it.text, it.kind) for it in map(cell, values)] == [
        ("null", "null"),
        ("masked", "masked"),
        ("null", "text"),
        ("1", "number"),
        ("2.5", "number"),
        ("true", "text"),
        ('{"a": [1]}', "text"),
        ("", "text"),
    ]


def test_rows_that_lack_a_column_stay_empty_there() -> None:
    grid = by_column([{"a": 1}, {"b": None, "a": 2}])
    assert [head.name for head in grid.heads] == ["a", "b"]
    assert [[it.text for it in row] for row in grid.rows] == [["1", ""], ["2", "null"]]
