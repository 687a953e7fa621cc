"""What changed between two runs."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odibi_story.comparing import Change, compare, differences
from odibi_story.record import Column, Commit, Failure, NodeStory, Rule, RunStory
from odibi_story.terminal import comparison_text

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
)


def story() -> RunStory:
    nodes = [
        NodeStory(
            "orders",
            state="succeeded",
            started=0.0,
            finished=1.0,
            rows=10,
            schema=[Column("id", "int64"), Column("price", "double")],
            rules=[Rule("not_null(id)", passed=True)],
            definition={"transform": {"steps": [{"sql": "SELECT 1"}]}},
            source={"digest": "d1", "bytes": 5},
            parts={"code": "c1", "definition": "f1"},
        ),
        NodeStory("totals", ["orders"], state="succeeded", started=1.0, finished=2.0, parts={"code": "c2"}),
    ]
    return RunStory(
        "20260101T000000", "daily", "shop", "succeeded", 1.0, 2.0, nodes=nodes,
        plugins=[("odibi-pandas", "0.1.0")], config={"engine": "pandas"}, environment={"process": "1", "python": "3"},
        commit=Commit("abc"),
    )  # fmt: skip


def test_a_run_is_as_itself() -> None:
    other = story()
    other.environment["process"] = "2"
    compared = compare(story(), other)
    assert not compared.changed
    assert [*compared.run, *compared.config, *compared.plugins, *compared.environment] == []
    assert "0 nodes changed, 2 the same" in comparison_text(compared)


def changed(change: Callable[[RunStory], Any]) -> Any:
    other = story()
    change(other)
    return compare(story(), other)


def put(**values: Any) -> Callable[[RunStory], None]:
    def change(it: RunStory) -> None:
        for name, value in values.items():
            setattr(it.nodes[0], name, value)

    return change


@pytest.mark.parametrize(
    ("change", "field", "told"),
    [
        (put(rows=12), "rows", Change("rows", 10, 12)),
        (put(finished=3.0), "duration", Change("duration", 1.0, 3.0)),
        (put(state="failed"), "state", Change("state", "succeeded", "failed")),
        (put(action="reuse"), "action", Change("action", "run", "reuse")),
        (put(parts={"code": "c9", "definition": "f1"}), "parts", ["code"]),
        (put(source={"digest": "d1", "bytes": 6}), "source", [Change("bytes", 5, 6)]),
        (
            put(schema=[Column("id", "string"), Column("amount", "double")]),
            "columns",
            [Change("id", "int64", "string"), Change("price", "double", None), Change("amount", None, "double")],
        ),
        (
            put(rules=[Rule("not_null(id)", passed=False, failing=3)]),
            "rules",
            [Change("not_null(id)", "passed", 3)],
        ),
        (put(failure=Failure("E", "it failed")), "error", Change("error", None, "it failed")),
        (
            put(definition={"transform": {"steps": [{"sql": "SELECT 2"}]}}),
            "definition",
            [Change("transform.steps.0.sql", "SELECT 1", "SELECT 2")],
        ),
    ],
)
def test_what_changes_in_a_node(change: Callable[[RunStory], None], field: str, told: Any) -> None:
    compared = changed(change)
    (node,) = compared.changed
    assert (node.name, node.change) == ("orders", "changed")
    assert getattr(node, field) == told
    text = comparison_text(compared)
    assert "orders:" in text
    assert "1 node changed, 1 the same" in text


@pytest.mark.parametrize(
    "change", [put(finished=1.05), put(finished=1.3), put(rows=None), put(schema=[]), put(rules=[])]
)
def test_what_is_not_worth_a_word(change: Callable[[RunStory], None]) -> None:
    assert not changed(change).changed


def test_nodes_that_come_and_go() -> None:
    other = story()
    other.nodes[1] = NodeStory("averages", ["orders"])
    compared = compare(story(), other)
    assert [(node.name, node.change) for node in compared.changed] == [("averages", "added"), ("totals", "removed")]


def test_what_changes_in_the_run() -> None:
    other = story()
    other.state, other.commit, other.plugins = "failed", Commit("abc", dirty=True), [("odibi-pandas", "0.2.0")]
    other.config, other.environment = {"engine": "spark"}, {"process": "1", "python": "4"}
    compared = compare(story(), other)
    assert compared.run == [Change("state", "succeeded", "failed"), Change("commit", "abc", "abc, with changes")]
    assert compared.plugins == [Change("odibi-pandas", "0.1.0", "0.2.0")]
    assert compared.config == [Change("engine", "pandas", "spark")]
    assert compared.environment == [Change("python", "3", "4")]


@given(VALUES)
def test_a_value_does_not_differ_from_itself(value: Any) -> None:
    assert not list(differences(value, copy.deepcopy(value)))


@given(VALUES, VALUES)
def test_values_that_differ_are_told_both_ways(one: Any, other: Any) -> None:
    there = [(it.what, it.before, it.after) for it in differences(one, other)]
    back = [(it.what, it.after, it.before) for it in differences(other, one)]
    assert sorted(there, key=repr) == sorted(back, key=repr)
    if type(one) is not type(other):
        assert there or (one, other) == (0, False) or one == other
