"""Tables as text."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odibi.cli.table import LONGEST, NARROWEST, table


@pytest.fixture(autouse=True)
def _screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")


def test_columns_are_aligned() -> None:
    rows = [["run", "a", "1.5 s", "it is new"], ["reuse", "longer", "10.0 s", ""]]
    assert list(table(rows, right={2}, indent=2)) == [
        "  run    a        1.5 s  it is new",
        "  reuse  longer  10.0 s",
    ]


def test_headers_and_empty_columns() -> None:
    assert list(table([["a", "", "b"]], header=("ONE", "TWO", "THREE"))) == ["ONE  THREE", "a    b"]
    assert list(table([["", ""]], header=("ONE", "TWO"))) == []
    assert list(table([], header=("ONE",))) == []


def test_the_last_column_is_wrapped_below_itself() -> None:
    assert list(table([["name", "word " * 20 + "\nanother line"]])) == [
        "name  word word word word word word word word word word word",
        "      word word word word word word word word word",
        "      another line",
    ]


def test_a_long_path_is_left_whole() -> None:
    path = "lake:a/very/long-path/" * 5
    assert list(table([["n", f"reads {path}"]])) == ["n  reads", f"   {path}"]


def test_a_very_long_cell_ends_its_line() -> None:
    name = "n" * 52
    assert list(table([["run", name, "why"], ["run", "short", "why"]])) == [
        f"run  {name}",
        "            why",
        "run  short  why",
    ]


def test_colours_do_not_count() -> None:
    rows = [["reuse", "run"], ["run", "x"]]
    assert list(table(rows, header=("run", "run"), color=True)) == [
        "run    run",
        "\x1b[36mreuse\x1b[0m  run",
        "\x1b[33mrun\x1b[0m    x",
    ]


words = st.text(st.characters(codec="ascii", categories=("L", "N")), max_size=12)
cells = st.lists(words, max_size=12).map(" ".join)


@given(st.lists(st.tuples(words, cells, cells), max_size=6), st.booleans())
def test_nothing_is_lost_and_nothing_sticks_out(rows: list[tuple[str, str, str]], right: bool) -> None:
    lines = list(table(rows, right={1} if right else ()))
    assert " ".join(lines).split() == " ".join(cell for row in rows for cell in row).split()
    widest = max(60, 12 + 2 + LONGEST + 2 + NARROWEST)
    long = [row[1].strip() for row in rows if len(row[1]) > LONGEST]
    assert all(len(line) <= widest or any(cell in line for cell in long) for line in lines)
    assert not any(re.search(r"\s$", line) for line in lines)
