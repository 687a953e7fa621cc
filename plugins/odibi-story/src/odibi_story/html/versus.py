"""What changed between two runs as it is shown: values in words, texts line by line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from typing import Any

import attrs

from odibi_story.comparing import ADDED, CHANGED, REMOVED, SAME, Change, Comparison, NodeComparison
from odibi_story.html import words
from odibi_story.html.columns import Changed, Columns
from odibi_story.html.looks import Look
from odibi_story.html.outline import outline
from odibi_story.record import Column

LINES = 400
"""Of a text that are compared; finding the least difference takes the square of them."""

LOOKS = {
    ADDED: Look("new", "plus", "good"),
    REMOVED: Look("gone", "minus", "bad"),
    CHANGED: Look("changed", "wave", "care"),
    SAME: Look("the same", "ring", "quiet"),
}
"""How each change of a node is shown, those that want attention first."""

_WORDS = {"duration": words.took, "bytes": words.size, "newest": words.moment, "cpu": words.took, "memory": words.size}


@attrs.frozen
class Line:
    """A line of a text; ``mark`` is ``+``, ``−`` or a space."""

    mark: str
    text: str


@attrs.frozen
class Differs:
    """One thing that is another; either ``lines``, or what it was and is in words."""

    what: str
    before: str
    after: str
    lines: list[Line] = attrs.field(factory=list)


@attrs.define
class NodeDiffers:
    """A node of a comparison, ready to be shown.

    ``line`` says in a few words what changed; ``worse`` is whether it fails now, and did not before.
    """

    index: int
    name: str
    change: str
    look: Look
    line: str
    worse: bool
    tables: list[tuple[str, list[Differs]]]
    columns: Columns


def differ(change: Change) -> Differs:
    """One change in words."""
    before, after = change.before, change.after
    texts = [each for each in (before, after) if isinstance(each, str) and "\n" in each]
    if texts and isinstance(before, str | None) and isinstance(after, str | None):
        return Differs(change.what, "", "", _lines(before or "", after or ""))
    return Differs(change.what, _said(change.what, before), _said(change.what, after))


def nodes(comparison: Comparison) -> list[NodeDiffers]:
    """All nodes, as they are told in the comparison."""
    return [_node(index, each) for index, each in enumerate(comparison.nodes)]


def _node(index: int, node: NodeComparison) -> NodeDiffers:
    outcome = [each for each in (node.state, node.action, node.error) if each is not None]
    figures = [each for each in (node.rows, node.duration) if each is not None]
    tables = [
        ("Outcome", outcome + figures),
        ("Validation", node.rules),
        ("Definition", node.definition),
        ("Source", node.source),
    ]
    columns = Columns(
        tuple(Column(each.what, str(each.after)) for each in node.columns if each.before is None),
        tuple(Column(each.what, str(each.before)) for each in node.columns if each.after is None),
        tuple(
            Changed(each.what, str(each.before), str(each.after))
            for each in node.columns
            if None not in (each.before, each.after)
        ),
        0,
    )
    return NodeDiffers(
        index,
        node.name,
        node.change,
        LOOKS[node.change],
        _line(node),
        node.state is not None and node.state.after == "failed",
        [(title, [differ(each) for each in changes]) for title, changes in tables if changes],
        columns,
    )


def _line(node: NodeComparison) -> str:
    said = []
    if node.state is not None:
        said.append(f"{node.state.before or 'nothing'} → {node.state.after or 'nothing'}")
    if node.parts:
        said.append(
            f"{' and '.join(node.parts)} changed" if len(node.parts) < 3 else f"{', '.join(node.parts)} changed"
        )
    if node.rows is not None:
        said.append(f"{words.count(node.rows.before)} → {words.count(node.rows.after, 'row')}")
    if node.columns:
        said.append(f"{words.count(len(node.columns), 'column')} differ{'s' * (len(node.columns) == 1)}")
    if node.duration is not None:
        said.append(f"{words.took(node.duration.before)} → {words.took(node.duration.after)}")
    if node.rules:
        said.append(f"{words.count(len(node.rules), 'rule')} fare{'s' * (len(node.rules) == 1)} otherwise")
    return "; ".join(said)


def _said(what: str, value: Any) -> str:
    if value is None:
        return ""
    in_words = _WORDS.get(what)
    if in_words is not None and isinstance(value, int | float) and not isinstance(value, bool):
        return in_words(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return words.count(value)
    return value if isinstance(value, str) else outline(value)


def _lines(before: str, after: str) -> list[Line]:
    old, new = before.split("\n"), after.split("\n")
    cut = max(len(old), len(new)) > LINES
    old, new = old[:LINES], new[:LINES]
    found: list[Line] = []
    for kind, first, last, start, stop in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            found += _marked(" ", old[first:last])
        else:
            found += [*_marked("−", old[first:last]), *_marked("+", new[start:stop])]
    return [*found, Line(" ", f"… (only the first {LINES} lines were compared)")] if cut else found


def _marked(mark: str, lines: Iterable[str]) -> Sequence[Line]:
    return [Line(mark, line) for line in lines]
