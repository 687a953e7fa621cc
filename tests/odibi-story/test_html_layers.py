"""Where a graph's nodes are drawn: laws of the layout, and that it finds the drawings that are there."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odibi_story.html.layers import crossings, lay_out, longest_paths


@st.composite
def graphs(draw: st.DrawFn) -> tuple[int, list[tuple[int, int]]]:
    """Any graph without a cycle, its nodes in any order."""
    number = draw(st.integers(0, 14))
    names = draw(st.permutations(range(number)))
    pairs = [(names[one], names[other]) for one in range(number) for other in range(one + 1, number)]
    return number, draw(st.lists(st.sampled_from(pairs), max_size=30)) if pairs else []


@given(graphs())
def test_every_edge_leads_to_a_later_layer(graph: tuple[int, list[tuple[int, int]]]) -> None:
    number, edges = graph
    layer = longest_paths(number, edges)
    assert len(layer) == number
    for one, other in edges:
        assert layer[one] < layer[other]
    for node in range(number):
        if layer[node]:
            assert any(other == node and layer[one] == layer[node] - 1 for one, other in edges)


@given(graphs())
def test_nothing_lies_upon_anything_else(graph: tuple[int, list[tuple[int, int]]]) -> None:
    number, edges = graph
    laid = lay_out(number, edges, height=1.0, passing=0.4)
    for layer in range(laid.layers):
        boxes = sorted(laid.place[node] for node in range(number) if laid.layer[node] == layer)
        assert all(after - before >= 1 - 1e-6 for before, after in pairwise(boxes))
        passing = [place for route in laid.routes.values() for at, place in route if at == layer]
        assert all(abs(box - line) >= 0.7 - 1e-6 for box in boxes for line in passing)
        assert all(after - before >= 0.4 - 1e-6 for before, after in pairwise(sorted(passing)))
    places = [*laid.place, *(place for route in laid.routes.values() for _, place in route)]
    if places:
        assert min(places) == pytest.approx(0, abs=1e-9)
        assert max(places) == pytest.approx(laid.extent)


@given(graphs())
def test_an_edge_passes_every_layer_between_its_ends(graph: tuple[int, list[tuple[int, int]]]) -> None:
    number, edges = graph
    laid = lay_out(number, edges)
    assert set(laid.routes) == set(edges)
    for (one, other), route in laid.routes.items():
        assert [layer for layer, _ in route] == list(range(laid.layer[one] + 1, laid.layer[other]))


@given(graphs(), st.randoms(use_true_random=False))
def test_the_order_in_which_edges_are_told_does_not_matter(graph: tuple[int, list[tuple[int, int]]], chance) -> None:
    number, edges = graph
    other = [*edges, *edges[:3]]
    chance.shuffle(other)
    assert lay_out(number, edges) == lay_out(number, other)


def test_crossings_that_can_be_avoided_are_avoided() -> None:
    # 0 and 1 feed 3 and 2, in this order: told in the order of their names, the edges would cross.
    laid = lay_out(4, [(0, 3), (1, 2)])
    assert (laid.place[0] < laid.place[1]) == (laid.place[3] < laid.place[2])


def test_a_chain_is_a_straight_line() -> None:
    laid = lay_out(5, [(0, 1), (1, 2), (2, 3), (3, 4)])
    assert len(set(laid.place)) == 1
    assert laid.layer == [0, 1, 2, 3, 4]


def test_a_node_lies_in_the_middle_of_those_it_needs() -> None:
    laid = lay_out(4, [(0, 3), (1, 3), (2, 3)])
    assert laid.place[3] == pytest.approx(sum(laid.place[:3]) / 3, abs=0.01)


@given(st.lists(st.lists(st.integers(0, 5), max_size=4), min_size=1, max_size=6))
def test_crossings_are_counted(ends: list[list[int]]) -> None:
    lower = list(range(100, 106))
    after = [[lower[at] for at in sorted(set(each))] for each in ends]
    edges = [(one, other) for one, targets in enumerate(after) for other in targets]
    slowly = sum(one < two and a > b for one, a in edges for two, b in edges)
    assert crossings([list(range(len(ends))), lower], after) == slowly


def test_a_cycle_is_refused() -> None:
    with pytest.raises(ValueError, match="cycle"):
        longest_paths(2, [(0, 1), (1, 0)])
