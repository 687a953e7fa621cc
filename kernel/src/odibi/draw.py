"""Graphs as text: for a terminal, for Mermaid and Graphviz, and as data."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from odibi.graph import Graph
    from odibi.model import Node

MOST_LANES = 24
"""Results alive at once that a drawing for a terminal can show; a wider graph is listed level by level instead."""


class Drawing(NamedTuple):
    """A pipeline to draw.

    Attributes:
        pipeline: its name.
        graph: its nodes.
        layer: of nodes that say none themselves.
    """

    pipeline: str
    graph: Graph
    layer: str | None = None

    def layer_of(self, node: Node) -> str:
        """The layer of a node; empty if it has none."""
        return node.layer or self.layer or ""


def visible(text: str) -> str:
    """The text on one line, with everything that does not print (control characters, changes of direction) escaped."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


# --- a terminal -----------------------------------------------------------------------------------------------------


class _Strokes(NamedTuple):
    """What lanes are drawn with.

    Attributes:
        nodes: by what a node has: inputs and readers, no inputs, no readers, neither. That a node has no readers must
            show, or what stands below it in the same lane would seem to read it.
        tap, end: of a lane that the node reads, and that goes on or ends: the node is right of it, left of it, or the
            line to it passes.
    """

    nodes: tuple[str, str, str, str] = ("●", "○", "◆", "◇")
    lane: str = "│"
    line: str = "─"
    tap: tuple[str, str, str] = ("├", "┤", "┼")
    end: tuple[str, str, str] = ("╰", "╯", "┴")
    arrow: str = "←"


_ASCII = _Strokes(("*", "o", "#", "x"), "|", "-", ("+", "+", "+"), ("`", "'", "^"), "<-")

_LAYER_COLORS = {"raw": 90, "bronze": 33, "silver": 37, "gold": 93}
_OTHER_COLORS = (36, 35, 32, 34, 96, 95, 92, 94)


def to_ascii(drawings: Sequence[Drawing], *, unicode: bool = True, color: bool = False) -> str:
    """A line a node, each below what it needs, with a lane for every result that is still to be read.

    Args:
        drawings: what to draw.
        unicode: draw with box characters; else with those that every terminal has.
        color: color the names by their layers, with ANSI escapes.
    """
    strokes = _Strokes() if unicode else _ASCII
    blocks = []
    for drawing in drawings:
        count = len(drawing.graph)
        levels = max(drawing.graph.levels(), default=-1) + 1
        head = f"{visible(drawing.pipeline)}  ({_count(count, 'node')}, {_count(levels, 'level')})"
        rows = _lanes(drawing.graph, strokes)
        paint = _painter(drawing) if color else _plain
        body = _listed(drawing, strokes, paint) if rows is None else _drawn(drawing, rows, paint)
        blocks.append("\n".join([head, *body]))
    return "\n\n".join(blocks) + "\n"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _plain(_: Node, text: str) -> str:
    return text


def _painter(drawing: Drawing) -> Callable[[Node, str], str]:
    others = [name for name in _layers([drawing]) if name.lower() not in _LAYER_COLORS]

    def paint(node: Node, text: str) -> str:
        layer = drawing.layer_of(node)
        if not layer:
            return text
        known = _LAYER_COLORS.get(layer.lower())
        number = known if known is not None else _OTHER_COLORS[others.index(layer) % len(_OTHER_COLORS)]
        return f"\x1b[{number}m{text}\x1b[0m"

    return paint


def _layers(drawings: Iterable[Drawing]) -> list[str]:
    """The layers in use, each once, in the order of the nodes."""
    return list(
        dict.fromkeys(
            layer for drawing in drawings for node in drawing.graph.nodes if (layer := drawing.layer_of(node))
        )
    )


def _drawn(drawing: Drawing, rows: Iterable[tuple[int, str]], paint: Callable[[Node, str], str]) -> Iterable[str]:
    for at, lanes in rows:
        node = drawing.graph.nodes[at]
        layer = node.layer
        note = f"  [{visible(layer)}]" if layer and layer != drawing.layer else ""
        yield f"{lanes} {paint(node, visible(node.name))}{note}"


def _listed(drawing: Drawing, strokes: _Strokes, paint: Callable[[Node, str], str]) -> Iterable[str]:
    """The nodes level by level, each with the first of its inputs."""
    graph = drawing.graph
    level = graph.levels()
    last = -1
    for at in sorted(graph.order, key=level.__getitem__):
        if level[at] != last:
            last = level[at]
            yield f"level {last}"
        names = [visible(graph.name(slot)) for slot in graph.inputs[at]]
        more = f", ... ({len(names)} in all)" if len(names) > 4 else ""
        inputs = f" {strokes.arrow} {', '.join(names[:4])}{more}" if names else ""
        yield f"  {paint(graph.nodes[at], visible(graph.nodes[at].name))}{inputs}"


def _lanes(graph: Graph, strokes: _Strokes) -> list[tuple[int, str]] | None:
    """For each node, in the order of drawing, the lanes left of its name; ``None`` if there would be too many.

    A lane begins at a node and goes on down to the last node that reads it.
    """
    lanes: list[int | None] = []
    unread = [len(readers) for readers in graph.successors]
    rows = []
    for at in _drawing_order(graph):
        inputs = {slot for slot in graph.inputs[at] if slot < len(graph)}
        for slot in inputs:
            unread[slot] -= 1
        taps = {place: unread[slot] > 0 for place, slot in enumerate(lanes) if slot in inputs}
        ending = [place for place, goes_on in taps.items() if not goes_on]
        free = [place for place, slot in enumerate(lanes) if slot is None]
        first = min(taps, default=0)
        own = ending[0] if ending else next((place for place in free if place > first or not taps), len(lanes))
        if own == len(lanes):
            lanes.append(None)
        if len(lanes) > MOST_LANES:
            return None
        marker = strokes.nodes[(not graph.inputs[at]) + 2 * (not unread[at])]
        rows.append((at, _row(lanes, taps, own, marker, strokes)))
        for place in ending:
            lanes[place] = None
        lanes[own] = at if unread[at] else None
        while lanes and lanes[-1] is None:
            lanes.pop()
    return rows


def _row(lanes: Sequence[int | None], taps: Mapping[int, bool], own: int, marker: str, strokes: _Strokes) -> str:
    """One node's row: ``taps`` are the lanes it reads, with whether they go on."""
    left, right = min([own, *taps]), max([own, *taps])
    cells = []
    for place, slot in enumerate(lanes):
        if place == own:
            cell = marker
        elif place in taps:
            side = 2 if left < place < right else 0 if place < own else 1
            cell = (strokes.tap if taps[place] else strokes.end)[side]
        elif slot is not None:
            cell = strokes.lane
        else:
            cell = strokes.line if left < place < right else " "
        cells.append(cell + (strokes.line if left <= place < right else " "))
    return "".join(cells).rstrip()


def _drawing_order(graph: Graph) -> Iterable[int]:
    """Each node after its inputs, and soon after the last of them, so that lanes are few and short."""
    waiting = [sum(slot < len(graph) for slot in slots) for slots in graph.inputs]
    # A stack: what a node has just made ready comes next, as written; sources come when nothing else is ready.
    stack = [at for at in reversed(range(len(graph))) if not waiting[at]]
    while stack:
        at = stack.pop()
        yield at
        ready = []
        for reader in graph.successors[at]:
            waiting[reader] -= 1
            if not waiting[reader]:
                ready.append(reader)
        # Nodes that nothing reads end a lane, and are out of the way at once.
        ready.reverse()
        stack += sorted(ready, key=lambda reader: not graph.successors[reader])


# --- other programs -------------------------------------------------------------------------------------------------

_FILLS = {"raw": "#dddddd", "bronze": "#e6c2a0", "silver": "#d8dee6", "gold": "#f5dd8f"}
_OTHER_FILLS = ("#bfe3d0", "#c9d7f8", "#f3c6d3", "#d9c9f2", "#c5e8ef", "#e3e6a8", "#f7cfae", "#cfd3c4")


def _fills(layers: Sequence[str]) -> dict[str, str]:
    others = [layer for layer in layers if layer.lower() not in _FILLS]
    return {
        layer: _FILLS.get(layer.lower()) or _OTHER_FILLS[others.index(layer) % len(_OTHER_FILLS)] for layer in layers
    }


def to_mermaid(drawings: Sequence[Drawing]) -> str:
    """A Mermaid flowchart, a subgraph a pipeline; names can hold anything."""
    layers = _layers(drawings)
    lines = ["flowchart LR"]
    for number, drawing in enumerate(drawings):
        ids = [f"n{number}_{at}" for at in range(len(drawing.graph))]
        lines.append(f'  subgraph p{number}["{_mermaid(drawing.pipeline)}"]')
        for at, node in enumerate(drawing.graph.nodes):
            layer = drawing.layer_of(node)
            style = f":::layer{layers.index(layer)}" if layer else ""
            lines.append(f'    {ids[at]}["{_mermaid(node.name)}"]{style}')
        lines += [f"    {ids[source]} --> {ids[at]}" for source, at in _edges(drawing.graph)]
        lines.append("  end")
    for number, fill in enumerate(_fills(layers).values()):
        lines.append(f"  classDef layer{number} fill:{fill},stroke:#555555,color:#111111")
    return "\n".join(lines) + "\n"


def _mermaid(text: str) -> str:
    """As Mermaid's character entities, save what can have no meaning there."""
    return re.sub(r"[^\w .,:/+-]|--", lambda match: "".join(f"#{ord(char)};" for char in match[0]), visible(text))


def to_dot(drawings: Sequence[Drawing]) -> str:
    """A Graphviz graph, a cluster a pipeline; names can hold anything."""
    fills = _fills(_layers(drawings))
    lines = ["digraph odibi {", "  rankdir=LR;", '  node [shape=box, style="rounded,filled", fillcolor="#ffffff"];']
    for number, drawing in enumerate(drawings):
        lines += [f"  subgraph cluster_{number} {{", f"    label={_dot(drawing.pipeline)};"]
        for at, node in enumerate(drawing.graph.nodes):
            layer = drawing.layer_of(node)
            style = f', fillcolor="{fills[layer]}", tooltip={_dot(layer)}' if layer else ""
            lines.append(f"    n{number}_{at} [label={_dot(node.name)}{style}];")
        lines += [f"    n{number}_{source} -> n{number}_{at};" for source, at in _edges(drawing.graph)]
        lines.append("  }")
    return "\n".join([*lines, "}"]) + "\n"


def _dot(text: str) -> str:
    return '"' + visible(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _edges(graph: Graph) -> Iterable[tuple[int, int]]:
    return ((slot, at) for at, slots in enumerate(graph.inputs) for slot in slots if slot < len(graph))


def to_json(drawings: Sequence[Drawing]) -> str:
    """Nodes with layer, level, tags, inputs, what they read and write; edges; a longest path."""
    return json.dumps({"pipelines": [_data(drawing) for drawing in drawings]}, indent=2) + "\n"


def _data(drawing: Drawing) -> dict[str, Any]:
    graph = drawing.graph
    levels = graph.levels()
    return {
        "name": drawing.pipeline,
        "nodes": [
            {
                "name": node.name,
                "layer": drawing.layer_of(node) or None,
                "level": levels[at],
                "tags": list(node.tags),
                "depends_on": [graph.name(slot) for slot in graph.inputs[at]],
                "description": node.description,
                "reads": place_of(node.read),
                "writes": place_of(node.write),
            }
            for at, node in enumerate(graph.nodes)
        ],
        "edges": [[graph.name(source), graph.name(at)] for source, at in _edges(graph)],
        "critical_path": [graph.name(at) for at in graph.critical_path()],
    }


def place_of(end: Any) -> str | None:
    """What a :class:`~odibi.model.Read` or :class:`~odibi.model.Write` names, as ``connection:path``."""
    if end is None:
        return None
    return f"{end.connection}:{end.path or end.table or 'a query'}"


FORMATS = {"ascii": to_ascii, "mermaid": to_mermaid, "dot": to_dot, "json": to_json}
"""What ``odibi graph --format`` offers."""
