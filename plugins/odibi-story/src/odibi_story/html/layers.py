"""Where the nodes of a graph are drawn: in layers from left to right, with few crossings and short edges.

After Sugiyama, Tagawa and Toda (1981), "Methods for visual understanding of hierarchical system structures": longest
paths give the layers, points in between stand for edges that pass a layer, barycenters give the order within a layer.
Places within a layer are then the least-squares fit to those of the neighbours that keeps order and distance, found by
pooling adjacent violators (Barlow et al. 1972).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import attrs

SWEEPS = 8
"""Times that the order is gone over, there and back; more hardly ever find fewer crossings."""
SETTLING = 6
"""Times that places are fitted, there and back."""

Edge = tuple[int, int]


@attrs.frozen
class Layout:
    """Where things are.

    Attributes:
        layer: of each node, from 0.
        place: of each node in its layer; the smallest of all is 0.
        routes: for each edge, the ``(layer, place)`` it passes in between its ends.
        layers: how many there are.
        extent: the largest place.
    """

    layer: list[int]
    place: list[float]
    routes: dict[Edge, list[tuple[int, float]]]
    layers: int
    extent: float


def lay_out(
    number: int,
    edges: Sequence[Edge],
    *,
    columns: Sequence[int] | None = None,
    height: float = 1.0,
    passing: float = 0.4,
) -> Layout:
    """Lay out a graph.

    Args:
        number: of nodes, called ``0`` to ``number - 1``.
        edges: from one node to another that needs it; no cycle. Those that are given twice count once.
        columns: the layer of each node, where that is settled: every edge leads from a lower to a higher one.
        height: the distance of two nodes in a layer.
        passing: the distance of two edges that pass a layer.
    """
    edges = sorted(set(edges))
    layer = list(columns) if columns is not None else longest_paths(number, edges)
    rows: list[list[int]] = [[] for _ in range(max(layer, default=-1) + 1)]
    for node in range(number):
        rows[layer[node]].append(node)
    before: list[list[int]] = [[] for _ in range(number)]
    after: list[list[int]] = [[] for _ in range(number)]
    via: dict[Edge, list[int]] = {}
    for source, target in edges:
        via[source, target] = []
        last = source
        for between in range(layer[source] + 1, layer[target]):
            point = len(before)
            before.append([last])
            after.append([])
            after[last].append(point)
            rows[between].append(point)
            via[source, target].append(point)
            last = point
        after[last].append(target)
        before[target].append(last)
    _order(rows, before, after)
    gaps = [height if each < number else passing for each in range(len(before))]
    places = _settle(rows, before, after, gaps)
    least = min(places, default=0.0)
    places = [place - least for place in places]
    routes = {
        edge: [(layer[edge[0]] + step, places[point]) for step, point in enumerate(points, 1)]
        for edge, points in via.items()
    }
    return Layout(layer, places[:number], routes, len(rows), max(places, default=0.0))


def longest_paths(number: int, edges: Sequence[Edge]) -> list[int]:
    """How many edges the longest path to each node has.

    Raises:
        ValueError: there is a cycle.
    """
    after: list[list[int]] = [[] for _ in range(number)]
    missing = [0] * number
    for source, target in edges:
        after[source].append(target)
        missing[target] += 1
    layer = [0] * number
    ready = [node for node in range(number) if not missing[node]]
    for node in ready:  # grows while it is gone through
        for target in after[node]:
            layer[target] = max(layer[target], layer[node] + 1)
            missing[target] -= 1
            if not missing[target]:
                ready.append(target)
    if len(ready) < number:
        raise ValueError("the graph has a cycle")
    return layer


def crossings(rows: Sequence[Sequence[int]], after: Sequence[Sequence[int]]) -> int:
    """How many pairs of edges between neighbouring layers cross."""
    found = 0
    for upper, lower in pairwise(rows):
        place = {node: index for index, node in enumerate(lower)}
        ends = [sorted(place[target] for target in after[node]) for node in upper]
        # A Fenwick tree of the ends so far: those beyond an end cross its edge.
        tree, seen = [0] * (len(lower) + 1), 0
        for targets in ends:
            for target in targets:
                index, below = target + 1, 0
                while index:
                    below += tree[index]
                    index -= index & -index
                found += seen - below
            for target in targets:
                index = target + 1
                while index <= len(lower):
                    tree[index] += 1
                    index += index & -index
                seen += 1
    return found


def _order(rows: list[list[int]], before: list[list[int]], after: list[list[int]]) -> None:
    best, fewest = [list(row) for row in rows], crossings(rows, after)
    for sweep in range(SWEEPS):
        if not fewest:
            break
        forth = sweep % 2 == 0
        sides = before if forth else after
        for index in range(1, len(rows)) if forth else range(len(rows) - 2, -1, -1):
            near = {node: place for place, node in enumerate(rows[index - 1 if forth else index + 1])}
            own = {node: place for place, node in enumerate(rows[index])}
            center = {
                node: sum(near[each] for each in sides[node]) / len(sides[node]) if sides[node] else own[node]
                for node in rows[index]
            }
            rows[index].sort(key=center.__getitem__)  # stable: equals keep their order
        found = crossings(rows, after)
        if found < fewest:
            best, fewest = [list(row) for row in rows], found
    rows[:] = best


def _settle(
    rows: list[list[int]], before: list[list[int]], after: list[list[int]], gaps: Sequence[float]
) -> list[float]:
    places = [0.0] * len(before)
    for row in rows:
        at = 0.0
        for last, node in zip([None, *row], row, strict=False):
            at += _distance(last, node, gaps) if last is not None else 0.0
            places[node] = at
        for node in row:
            places[node] -= at / 2
    for sweep in range(SETTLING * 2):
        order = rows if sweep % 2 == 0 else rows[::-1]
        for row in order:
            wanted, weights = [], []
            for node in row:
                near = before[node] + after[node]
                wanted.append(sum(places[each] for each in near) / len(near) if near else places[node])
                weights.append(max(1, len(near)))
            offsets = [0.0]
            for last, node in pairwise(row):
                offsets.append(offsets[-1] + _distance(last, node, gaps))
            targets = [want - offset for want, offset in zip(wanted, offsets, strict=True)]
            for node, place, offset in zip(row, _rising(targets, weights), offsets, strict=True):
                places[node] = place + offset
    return places


def _distance(one: int, other: int, gaps: Sequence[float]) -> float:
    return (gaps[one] + gaps[other]) / 2


def _rising(wanted: Sequence[float], weights: Sequence[int]) -> list[float]:
    """The sequence that never falls and is nearest to the one wanted, by weighted squares."""
    pools: list[tuple[float, int, int]] = []  # mean, weight, how many
    for value, weight in zip(wanted, weights, strict=True):
        mean, heavy, many = value, weight, 1
        while pools and pools[-1][0] > mean:
            other, weighs, more = pools.pop()
            mean = (mean * heavy + other * weighs) / (heavy + weighs)
            heavy, many = heavy + weighs, many + more
        pools.append((mean, heavy, many))
    return [mean for mean, _, many in pools for _ in range(many)]
