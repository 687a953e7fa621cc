"""Which nodes run, and which need not: the laws that any decision keeps."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from odibi.fingerprint import Fingerprint
from odibi.model import Node, Pipeline, Write
from odibi.plan import Action, Plan, make_plan
from odibi.reuse import decide, has_effect


@attrs.define
class Past:
    """What earlier runs left, made up."""

    results: Mapping[str, Mapping[str, Any]]
    cached: Collection[str] = ()
    gone: Collection[str] = ()
    exact: Collection[str] = ()
    chain: Collection[str] = ()

    def held(self, values: Collection[str]) -> Collection[str]:
        return set(values) & set(self.cached)

    def intact(self, node: Node, _: Mapping[str, Any]) -> str:
        return "it is gone" if node.name in self.gone else ""

    def readable(self, node: Node, _: Mapping[str, Any]) -> bool:
        return node.name in self.exact


def print_of(name: str, **more: Any) -> Fingerprint:
    return Fingerprint(f"b-{name}", f"v-{name}", f"w-{name}", (), {}, {}, **more)


def fresh(name: str, **more: Any) -> dict[str, Any]:
    return {"node": name, "fingerprint": f"w-{name}", "run_id": "r1", **more}


def planned(nodes: list[Node], past: Past, *, targets: list[str] | None = None, force: Collection[int] = ()) -> Plan:
    plan = make_plan(Pipeline("p", tuple(nodes)), targets=targets)
    return decide(plan, [print_of(node.name) for node in plan.graph.nodes], past, force=force)


def node(name: str, *inputs: str, writes: bool = False) -> Node:
    return Node(name, depends_on=inputs, function=print, write=Write("lake", name) if writes else None)


def actions(plan: Plan) -> dict[str, str]:
    return {node.name: action.value for node, action in zip(plan.graph.nodes, plan.actions, strict=True)}


CHAIN = [node("a"), node("b", "a"), node("c", "b", writes=True)]


def test_without_any_past_all_run() -> None:
    assert set(actions(planned(CHAIN, Past({}))).values()) == {"run"}


def test_what_nobody_needs_is_not_loaded() -> None:
    plan = planned(CHAIN, Past({name: fresh(name) for name in "abc"}))
    assert set(actions(plan).values()) == {"reuse"}
    assert not plan.loads
    assert not plan.later


def test_an_input_is_loaded_from_the_cache_for_a_node_that_runs() -> None:
    plan = planned(CHAIN, Past({name: fresh(name) for name in "abc"}, cached={"v-b"}, gone={"c"}))
    assert actions(plan) == {"a": "reuse", "b": "reuse", "c": "run"}
    assert plan.loads == {1: "cache"}
    assert plan.reasons[2] == "it is gone"


def test_an_input_that_is_kept_nowhere_is_computed() -> None:
    plan = planned(CHAIN, Past({name: fresh(name) for name in "abc"}, gone={"c"}))
    assert set(actions(plan).values()) == {"run"}
    assert plan.reasons[1] == "'c' needs its result, which is kept nowhere"


def test_what_an_input_wrote_can_stand_for_it() -> None:
    nodes = [node("a", writes=True), node("b", "a", writes=True)]
    plan = planned(nodes, Past({name: fresh(name) for name in "ab"}, gone={"b"}, exact={"a"}))
    assert actions(plan) == {"a": "reuse", "b": "run"}
    assert plan.loads == {0: "output"}


def test_what_an_interrupted_run_had_done_is_restored() -> None:
    plan = planned(CHAIN, Past({"a": fresh("a"), "b": fresh("b")}, cached={"v-a", "v-b"}, chain={"r1"}))
    assert actions(plan) == {"a": "restore", "b": "restore", "c": "run"}


def test_a_cached_value_is_enough_for_a_node_that_only_computes() -> None:
    plan = planned([node("a"), node("b", "a")], Past({}, cached={"v-b"}))
    assert actions(plan) == {"a": "reuse", "b": "reuse"}
    assert plan.later == {1: "cache"}


def test_targets_that_are_kept_are_loaded_later() -> None:
    plan = planned(CHAIN, Past({name: fresh(name) for name in "abc"}, cached={"v-b"}), targets=["b"])
    assert plan.later == {1: "cache"}


names = [f"n{at}" for at in range(9)]


@st.composite
def situations(draw: st.DrawFn) -> tuple[list[Node], Past, set[int]]:
    count = draw(st.integers(1, 9))
    nodes = []
    for at in range(count):
        inputs = draw(st.lists(st.sampled_from(names[:at]), max_size=3, unique=True)) if at else []
        nodes.append(node(names[at], *inputs, writes=draw(st.booleans())))
    some = st.sets(st.sampled_from(names[:count]))
    known = draw(some)
    past = Past(
        {name: fresh(name) for name in known},
        {f"v-{name}" for name in draw(some)},
        draw(some),
        draw(some),
        draw(st.sampled_from([(), ("r1",)])),
    )
    return nodes, past, draw(st.sets(st.integers(0, count - 1)))


@given(situations())
@settings(max_examples=400, deadline=None)
def test_laws(situation: tuple[list[Node], Past, set[int]]) -> None:
    nodes, past, force = situation
    plan = planned(nodes, past, force=force)
    graph = plan.graph
    for at, each in enumerate(graph.nodes):
        runs = plan.actions[at] is Action.RUN
        done = each.name in past.results and not (each.write and each.name in past.gone)
        if at in force or (has_effect(each) and not done):
            assert runs  # what has something to do that is not done does it
        if runs:
            assert at not in plan.loads
            for slot in graph.inputs[at]:
                assert plan.actions[slot] is Action.RUN or slot in plan.loads  # and has what it needs
            wanted = at in plan.keep or any(plan.actions[it] is Action.RUN for it in graph.successors[at])
            kept = f"v-{each.name}" in past.cached or (done and bool(each.write) and each.name in past.exact)
            assert at in force or not done or (wanted and not kept)  # nothing is done twice that need not be
        elif at in plan.keep:
            assert at in plan.later or at in plan.loads
        for where, from_ in ((plan.loads.get(at), plan.loads), (plan.later.get(at), plan.later)):
            if where == "cache":
                assert f"v-{each.name}" in past.cached
            elif where == "output":
                assert each.name in past.exact
                assert done
            else:
                assert at not in from_
        if plan.actions[at] is Action.RESTORE:
            assert done
            assert past.chain
        assert plan.reasons[at]
