"""What a graph is drawn of: its nodes, or groups of them where they are too many to be looked at one by one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import attrs

from odibi_story.html.layers import longest_paths
from odibi_story.html.looks import rank
from odibi_story.record import NodeStory

MOST = 150
"""Nodes that are drawn one by one."""
ALONE = 24
"""Nodes of a larger graph that are drawn by themselves: those that want a look."""
COLUMNS, ROWS = 12, 8
"""Layers of a larger graph that are drawn, and groups in one of them."""

_HEAD = re.compile(r"\w*?[^\W_\d](?=[\W_\d]|$)|.")


@attrs.frozen
class Group:
    """Nodes that are drawn as one box.

    Attributes:
        members: places of its nodes in the story.
        name: of its only node, or what the names begin with.
        column: where it has to be drawn; ``None`` where that follows from the edges.
    """

    members: tuple[int, ...]
    name: str
    column: int | None = None

    @property
    def alone(self) -> bool:
        """Whether it stands for one node."""
        return len(self.members) == 1


@attrs.frozen
class Grouped:
    """What is drawn: groups, and between which of them there are edges.

    ``inside`` is how many edges are not drawn, as both their ends are in one column.
    """

    groups: list[Group]
    edges: list[tuple[int, int]]
    inside: int = 0


def group(nodes: Sequence[NodeStory], *, most: int = MOST) -> Grouped:
    """Group the nodes of a graph if they are more than ``most``."""
    places = {node.name: index for index, node in enumerate(nodes)}
    edges = [
        (places[name], index)
        for index, node in enumerate(nodes)
        for name in node.depends_on
        if name in places and places[name] != index
    ]
    if len(nodes) <= most:
        return Grouped([Group((index,), node.name) for index, node in enumerate(nodes)], edges)
    layers = longest_paths(len(nodes), edges)
    deepest = max(layers)
    columns = [layer * COLUMNS // (deepest + 1) if deepest >= COLUMNS else layer for layer in layers]
    alone = set(_worth_a_look(nodes))
    groups: list[Group] = [Group((index,), nodes[index].name, columns[index]) for index in sorted(alone)]
    for column in range(max(columns) + 1):
        rest = [index for index, its in enumerate(columns) if its == column and index not in alone]
        groups += [Group(tuple(members), name, column) for name, members in _by_head(nodes, rest)]
    of = {index: at for at, each in enumerate(groups) for index in each.members}
    drawn = {(of[one], of[other]) for one, other in edges if columns[one] < columns[other]}
    return Grouped(groups, sorted(drawn), sum(columns[one] == columns[other] for one, other in edges))


def _worth_a_look(nodes: Sequence[NodeStory]) -> list[int]:
    """Nodes that failed, run or broke a rule; then the longest of the critical path."""
    odd = [index for index, node in enumerate(nodes) if node.state in ("failed", "running")]
    odd += [index for index, node in enumerate(nodes) if node.state not in ("failed", "running") and node.quarantined]
    critical = [index for index, node in enumerate(nodes) if node.critical and index not in set(odd)]
    critical.sort(key=lambda index: (nodes[index].started or 0.0) - (nodes[index].finished or 0.0))
    return [*odd, *critical][:ALONE]


def _by_head(nodes: Sequence[NodeStory], members: Sequence[int]) -> list[tuple[str, list[int]]]:
    """The members by what their names begin with; the smallest groups together where there are too many."""
    heads: dict[str, list[int]] = {}
    for index in members:
        found = _HEAD.match(nodes[index].name)
        heads.setdefault(found[0] if found else "", []).append(index)
    ordered = sorted(heads.items(), key=lambda item: (-len(item[1]), item[0]))
    if len(ordered) > ROWS:
        others = [index for _, each in ordered[ROWS - 1 :] for index in each]
        ordered = [*ordered[: ROWS - 1], ("", sorted(others))]
    return [(nodes[each[0]].name if len(each) == 1 else head, each) for head, each in ordered if each]


def states(nodes: Sequence[NodeStory], members: Sequence[int]) -> list[tuple[str, int]]:
    """How many of the members have each state, those that want attention first."""
    return sorted(Counter(nodes[index].state for index in members).items(), key=lambda item: rank(item[0]))
