"""The page of what changed between two runs."""

from __future__ import annotations

import sys
from pathlib import Path

import attrs
import pytest

from odibi_story.comparing import Change, compare
from odibi_story.html import comparison
from odibi_story.html.versus import LINES, differ
from odibi_story.record import Column, Failure, RunStory

sys.path.insert(0, str(Path(__file__).parent))

import made_records as made
from sound_html import Reader, squeezed


def later() -> RunStory:
    """The run of ``made.quarantined`` once more, of which some things are others."""
    story = made.quarantined()
    raw, orders = story.nodes
    story.run_id, story.state, story.workers = "20261123-021500-0000", "failed", 4
    story.config["retry"]["max_attempts"] = 5
    story.plugins[1] = ("odibi-pandas", "0.2.0")
    sql = made.ORDERS_SQL.replace("amount <> ''", "amount IS NOT NULL")
    orders.definition["transform"]["steps"][0]["sql"] = sql
    orders.parts = {"definition": "02bb"}
    orders.state, orders.failure = "failed", Failure("DataError", "no such column: month")
    orders.rows, orders.finished = 2400, 9.0
    orders.schema = [Column("amount", "decimal"), *orders.schema[:3], Column("region", "string")]
    story.nodes = [raw, orders, attrs.evolve(raw, name="regions")]
    return story


def text_of(before: RunStory, after: RunStory) -> str:
    return squeezed(Reader(comparison(compare(before, after))).all("main")[0].text)


def test_it_says_what_changed() -> None:
    said = text_of(made.quarantined(), later())
    for each in (
        "what changed in 2 nodes",
        "1 new",
        "1 changed",
        "1 the same",
        "succeeded → failed; definition changed; 1,187 → 2,400 rows; 4 columns differ; 1.04 s → 8.53 s",
        "retry.max_attempts 3 5",
        "odibi-pandas 0.1.0 0.2.0",
        "− WHERE amount <> '' AND id < 1000000",
        "+ WHERE amount IS NOT NULL AND id < 1000000",
        "+ region string",
        "− month int32",
        "~ amount double → decimal",
        "no such column: month",
        "fails now",
        "regions Only the later run has it.",
    ):
        assert each in said, each


def test_runs_that_are_the_same_say_so() -> None:
    said = text_of(made.quarantined(), made.quarantined())
    assert "no node changed" in said
    assert "2 nodes that nothing worth telling changed of raw_orders orders" in said


@pytest.mark.parametrize("way", ["there", "back"])
def test_it_is_sound_and_asks_nothing(way: str) -> None:
    runs = [made.failed(), made.hostile()]
    text = comparison(compare(*(runs if way == "there" else runs[::-1])))
    read = Reader(text)
    every = [each.given["id"] for each in read.elements if "id" in each.given]
    assert len(every) == len(set(every))
    assert len(read.all("script")) == 1
    for each in read.elements:
        assert not {"src", "style", "action"} & set(each.given)
        assert not [name for name in each.given if name.startswith("on")]
        if each.tag in ("a", "use"):
            assert each.given["href"][1:] in every
    assert any(each.given.get("content", "").startswith("default-src 'none'; ") for each in read.all("meta"))
    text.encode("utf-8")


def test_two_runs_of_a_thousand_nodes_stay_small() -> None:
    assert len(comparison(compare(made.many(1000, 1), made.many(1000, 2))).encode()) < 5_000_000


def test_long_texts_are_compared_at_their_beginning() -> None:
    found = differ(Change("sql", "a\n" * 1000, "b\n" * 1000))
    assert len(found.lines) == 2 * LINES + 1
    assert "first 400 lines" in found.lines[-1].text


@pytest.mark.parametrize(
    ("change", "before", "after"),
    [
        (Change("duration", 0.5, 61.0), "0.50 s", "1 min 01 s"),
        (Change("rows", None, 1200), "", "1,200"),
        (Change("bytes", 1500, 10), "1.5 kB", "10 B"),
        (Change("read.options", {"a": 1}, None), "a: 1", ""),
        (Change("flag", True, False), "true", "false"),
    ],
)
def test_values_are_told_in_words(change: Change, before: str, after: str) -> None:
    found = differ(change)
    assert (found.before, found.after, found.lines) == (before, after, [])
