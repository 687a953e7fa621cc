"""Nodes to graph."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odibi.errors import GraphError
from odibi.graph import Graph, build_graph, find_problems
from odibi.model import Node


def graph_of(edges: dict[str, str]) -> Graph:
    """``{"c": "a b"}``: c depends on a and b."""
    return build_graph(Node(name, depends_on=tuple(needs.split())) for name, needs in edges.items())


def names(graph: Graph, nodes: object) -> list[str]:
    return sorted(graph.nodes[node].name for node in nodes)  # type: ignore[attr-defined]


@st.composite
def acyclic(draw: st.DrawFn) -> list[Node]:
    """Nodes in a shuffled order, each depending on some with a smaller number."""
    count = draw(st.integers(1, 25))
    nodes = []
    for at in range(count):
        needs = draw(st.sets(st.integers(0, at - 1), max_size=4)) if at else set()
        nodes.append(Node(f"n{at}", depends_on=tuple(f"n{need}" for need in sorted(needs))))
    return draw(st.permutations(nodes))


@given(acyclic())
def test_the_order_puts_every_node_after_its_inputs(nodes: list[Node]) -> None:
    graph = build_graph(nodes)
    place = {node: at for at, node in enumerate(graph.order)}
    assert sorted(graph.order) == list(range(len(nodes)))
    assert all(place[slot] < place[node] for node in graph.order for slot in graph.inputs[node])


@given(acyclic())
def test_successors_are_the_inputs_turned_round(nodes: list[Node]) -> None:
    graph = build_graph(nodes)
    forward = {(slot, node) for node, slots in enumerate(graph.inputs) for slot in slots}
    assert forward == {(node, successor) for node in range(len(graph)) for successor in graph.successors[node]}


@given(acyclic())
def test_the_critical_path_is_a_path_of_the_longest_remaining_length(nodes: list[Node]) -> None:
    graph = build_graph(nodes)
    path = graph.critical_path()
    assert len(path) == max(graph.remaining())
    assert all(before in graph.inputs[after] for before, after in itertools.pairwise(path))
    assert max(graph.levels()) + 1 == len(path)


@given(acyclic(), st.data())
def test_ancestors_and_descendants_agree(nodes: list[Node], data: st.DataObject) -> None:
    graph = build_graph(nodes)
    node = data.draw(st.integers(0, len(nodes) - 1))
    for ancestor in graph.ancestors([node]):
        assert node in graph.descendants([ancestor])
    for descendant in graph.descendants([node]):
        assert node in graph.ancestors([descendant])


@given(acyclic(), st.data())
def test_closing_an_edge_backwards_is_found_and_named_in_order(nodes: list[Node], data: st.DataObject) -> None:
    graph = build_graph(nodes)
    start = data.draw(st.sampled_from(range(len(nodes))))
    below = sorted(graph.descendants([start]))
    if not below:
        return
    end = data.draw(st.sampled_from(below))
    closed = [
        Node(node.name, depends_on=(*node.depends_on, nodes[end].name)) if at == start else node
        for at, node in enumerate(nodes)
    ]
    (problem,) = find_problems(closed)
    cycle = problem.what.removeprefix("it is part of a cycle: ").removesuffix(".").split(" -> ")
    assert cycle[0] == cycle[-1]
    needs = {node.name: node.depends_on for node in closed}
    assert all(before in needs[after] for before, after in itertools.pairwise(cycle))


def test_a_chain_of_a_hundred_thousand_nodes_needs_no_recursion() -> None:
    count = 100_000
    nodes = [Node(f"n{at}", depends_on=(f"n{at - 1}",) if at else ()) for at in range(count)]
    graph = build_graph(reversed(nodes))
    assert len(graph.critical_path()) == count
    assert len(graph.ancestors([graph.index[f"n{count - 1}"]])) == count - 1
    assert max(graph.levels()) == count - 1


def test_every_problem_is_reported_in_one_go() -> None:
    nodes = [
        Node("a", depends_on=("missing",)),
        Node("b", depends_on=("b",)),
        Node("a"),
        Node("", depends_on=()),
        Node("c", depends_on=("a", "a")),
    ]
    with pytest.raises(GraphError) as caught:
        build_graph(nodes)
    text = str(caught.value)
    assert "node 'a': it depends on 'missing', which is no node of this pipeline." in text
    assert "node 'b': it depends on itself. Remove the entry." in text
    assert "node 'a': the name is taken by node 1 of this pipeline." in text
    assert "node '': its name is empty." in text
    assert "node 'c': it depends on 'a' twice." in text
    assert caught.value.exit_code == 2


def test_a_near_miss_is_guessed() -> None:
    with pytest.raises(GraphError, match="Did you mean 'orders'?"):
        graph_of({"orders": "", "totals": "order"})


def test_two_cycles_are_two_problems_and_what_hangs_on_them_is_none() -> None:
    nodes = [
        Node("a", depends_on=("b",)),
        Node("b", depends_on=("a",)),
        Node("x", depends_on=("z",)),
        Node("y", depends_on=("x",)),
        Node("z", depends_on=("y",)),
        Node("below", depends_on=("a", "x")),
    ]
    assert [problem.what for problem in find_problems(nodes)] == [
        "it is part of a cycle: a -> b -> a.",
        "it is part of a cycle: x -> y -> z -> x.",
    ]


def test_a_long_tail_behind_a_cycle_costs_no_more_than_its_length() -> None:
    nodes = [Node("a", depends_on=("b",)), Node("b", depends_on=("a",))]
    nodes += [Node(f"n{at}", depends_on=(f"n{at - 1}" if at else "b",)) for at in range(50_000)]
    assert len(find_problems(nodes)) == 1


DIAMOND = {"raw": "", "left": "raw", "right": "raw", "top": "left right", "alone": ""}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("left", ["left"]),
        ("+left", ["left", "raw"]),
        ("left+", ["left", "top"]),
        ("+left+", ["left", "raw", "top"]),
        ("+top", ["left", "raw", "right", "top"]),
        ("*t", ["left", "right"]),
        ("left, alone", ["alone", "left"]),
        ("raw+", ["left", "raw", "right", "top"]),
    ],
)
def test_selection(expression: str, expected: list[str]) -> None:
    graph = graph_of(DIAMOND)
    assert names(graph, graph.select([expression])) == expected


def test_selection_by_tag_and_layer() -> None:
    graph = build_graph(
        [Node("a", tags=("daily",), layer="bronze"), Node("b", depends_on=("a",), layer="silver"), Node("c")]
    )
    assert names(graph, graph.select(["tag:daily"])) == ["a"]
    assert names(graph, graph.select(["tag:daily+"])) == ["a", "b"]
    assert names(graph, graph.select(["layer:silver", "c"])) == ["b", "c"]


def test_a_selection_that_matches_nothing_is_an_error_with_a_guess() -> None:
    with pytest.raises(GraphError) as caught:
        graph_of(DIAMOND).select(["lft", "tag:x"])
    assert "nothing matches the selection 'lft'. Did you mean 'left'?" in str(caught.value)
    assert "nothing matches the selection 'tag:x'. There are no tags." in str(caught.value)


def test_given_names_are_inputs_that_no_node_makes() -> None:
    graph = build_graph([Node("totals", depends_on=("orders", "rates"))], given=["orders", "rates"])
    assert [graph.name(slot) for slot in graph.inputs[0]] == ["orders", "rates"]
    assert list(graph.order) == [0]
