"""The graph of a run as shapes with places, in pixels; the template makes SVG of them."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from odibi_story.html import words
from odibi_story.html.grouping import Group, group, states
from odibi_story.html.layers import lay_out
from odibi_story.html.looks import Look, look
from odibi_story.record import NodeStory

BOX_WIDTH, BOX_HEIGHT = 190, 46
COLUMN, ROW = BOX_WIDTH + 56, BOX_HEIGHT + 16
MARGIN = 6
NAME, LINE = 21, 26
"""Characters that fit into a box, of its name and of the line below."""
HEAD = "m-6 -3.5l6 3.5l-6 3.5"
"""The head of an arrow: all come from the left, level."""


@attrs.frozen
class Box:
    """A node, or a group of them.

    Attributes:
        name, facts: its two lines; names are shortened.
        said: all of it, for those who hover or listen.
        members: places of its nodes in the story.
        x, y: of its left upper corner.
    """

    name: str
    facts: str
    said: str
    look: Look
    members: tuple[int, ...]
    critical: bool
    x: float
    y: float

    @property
    def alone(self) -> bool:
        """Whether it stands for one node."""
        return len(self.members) == 1


@attrs.frozen
class Curve:
    """An edge: what SVG calls a path, between boxes by their places."""

    path: str
    source: int
    target: int
    critical: bool


@attrs.frozen
class Picture:
    """All of a graph; ``remark`` says what is not drawn."""

    boxes: list[Box]
    curves: list[Curve]
    width: float
    height: float
    remark: str


def picture(nodes: Sequence[NodeStory]) -> Picture:
    """Draw the graph of these nodes."""
    grouped = group(nodes)
    groups = grouped.groups
    edges = [(one, other) for one, other in grouped.edges if one != other]
    laid = lay_out(len(groups), edges, columns=_columns(groups))
    boxes = [
        _box(nodes, each, MARGIN + laid.layer[at] * COLUMN, MARGIN + laid.place[at] * ROW)
        for at, each in enumerate(groups)
    ]
    curves = [
        Curve(
            _path(boxes[one], boxes[other], laid.routes[one, other]),
            one,
            other,
            boxes[one].critical and boxes[other].critical and boxes[one].alone and boxes[other].alone,
        )
        for one, other in sorted(set(edges))
    ]
    remark = ""
    if len(groups) < len(nodes):
        remark = (
            f"{len(nodes):,} nodes are drawn as {len(groups)} boxes: by how deep they are in the graph and what their "
            "names begin with. Those that want a look stand alone."
        )
        if grouped.inside:
            remark += f" {words.count(grouped.inside, 'edge')} between nodes of one column are not drawn."
    width = (laid.layers - 1) * COLUMN + BOX_WIDTH + 2 * MARGIN if groups else 0
    return Picture(boxes, curves, width, laid.extent * ROW + BOX_HEIGHT + 2 * MARGIN, remark)


def _columns(groups: Sequence[Group]) -> list[int] | None:
    columns = [each.column for each in groups if each.column is not None]
    return columns if len(columns) == len(groups) else None


def _box(nodes: Sequence[NodeStory], each: Group, x: float, y: float) -> Box:
    if each.alone:
        node = nodes[each.members[0]]
        its = look(node.state)
        facts = [its.word, words.took(node_took(node)), words.count(node.rows, "row")]
        said = f"{node.name}: {', '.join(fact for fact in facts if fact)}{'; on the critical path' * node.critical}"
        # Its mark says that it succeeded, which leaves room for figures.
        shown = facts[1:] if node.state == "succeeded" and any(facts[1:]) else facts
        line = words.shorten(" · ".join(fact for fact in shown if fact), LINE)
        return Box(words.shorten(node.name, NAME), line, said, its, each.members, node.critical, x, y)
    found = states(nodes, each.members)
    name = f"{each.name}… " if each.name else "other nodes "
    line = ", ".join(f"{number:,} {look(state).word}" for state, number in found)
    critical = any(nodes[index].critical for index in each.members)
    said = f"{name.strip()}: {words.count(len(each.members), 'node')}: {line}"
    title = f"{words.shorten(name.strip(), NAME - 7)} × {len(each.members):,}"
    return Box(title, words.shorten(line, LINE), said, look(found[0][0]), each.members, critical, x, y)


def node_took(node: NodeStory) -> float | None:
    """Seconds from a node's first start to its end; ``None`` if it has not both."""
    return None if node.started is None or node.finished is None else node.finished - node.started


def _path(source: Box, target: Box, route: Sequence[tuple[int, float]]) -> str:
    """Bends only between columns: level where it passes one, so that it runs between that one's boxes."""
    x, y = source.x + BOX_WIDTH, source.y + BOX_HEIGHT / 2
    parts = [f"M{x:g} {y:.1f}"]
    for layer, place in route:
        left, level = MARGIN + layer * COLUMN, MARGIN + place * ROW + BOX_HEIGHT / 2
        parts += [_bend(x, y, left, level), f"H{left + BOX_WIDTH:g}"]
        x, y = left + BOX_WIDTH, level
    parts.append(_bend(x, y, target.x - 3, target.y + BOX_HEIGHT / 2))
    return "".join([*parts, HEAD])


def _bend(x: float, y: float, to_x: float, to_y: float) -> str:
    middle = (x + to_x) / 2
    return f"C{middle:g} {y:.1f} {middle:g} {to_y:.1f} {to_x:g} {to_y:.1f}"
