"""What must run."""

from __future__ import annotations

import pytest

from odibi.errors import GraphError
from odibi.model import Node, Pipeline, Write
from odibi.plan import Action, Plan, make_plan

NODES = (
    Node("raw"),
    Node("clean", depends_on=("raw",)),
    Node("audit", depends_on=("raw",), write=Write("out", path="audit.csv")),
    Node("totals", depends_on=("clean",)),
)


def planned(plan: Plan) -> list[str]:
    return [node.name for node in plan.graph.nodes]


def reasons(plan: Plan) -> dict[str, str]:
    return dict(zip(planned(plan), plan.reasons, strict=True))


def test_everything_runs_by_default_and_what_nobody_reads_is_kept() -> None:
    plan = make_plan(Pipeline("p", NODES))
    assert planned(plan) == ["raw", "clean", "audit", "totals"]
    assert set(plan.actions) == {Action.RUN}
    assert {plan.graph.nodes[node].name for node in plan.keep} == {"totals"}


def test_a_selection_brings_what_it_needs() -> None:
    plan = make_plan(Pipeline("p", NODES), select=["clean"])
    assert reasons(plan) == {"raw": "an input of a selected node", "clean": "selected"}


def test_targets_run_with_what_they_need_and_their_values_are_kept() -> None:
    plan = make_plan(Pipeline("p", NODES), targets=["clean"])
    assert planned(plan) == ["raw", "clean"]
    assert {plan.graph.nodes[node].name for node in plan.keep} == {"clean"}


def test_an_unknown_target_is_an_error() -> None:
    with pytest.raises(GraphError, match="the target 'claen' is no node of this pipeline"):
        make_plan(Pipeline("p", NODES), targets=["claen"])


def test_a_node_whose_value_is_given_does_not_run_and_neither_does_what_only_it_needs() -> None:
    plan = make_plan(Pipeline("p", NODES), given=["clean"])
    assert planned(plan) == ["raw", "audit", "totals"]
    plan = make_plan(Pipeline("p", NODES), given=["clean"], targets=["totals"])
    assert planned(plan) == ["totals"]


def test_the_longest_remaining_path_goes_first() -> None:
    leaves = [Node(f"leaf{at}") for at in range(3)]
    chain = [Node("c0"), Node("c1", depends_on=("c0",)), Node("c2", depends_on=("c1",))]
    plan = make_plan(Pipeline("p", (*leaves, *chain)))
    turn = dict(zip(planned(plan), plan.priority, strict=True))
    assert turn["c0"] < turn["c1"] < min(turn["leaf0"], turn["c2"])
    assert sorted(plan.priority) == list(range(6))
