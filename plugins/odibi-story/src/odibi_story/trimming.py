"""How much a story tells of each node, so that the story of a large run still opens at once.

Every node has a share of what the whole may hold. What exceeds it is left out, the most voluminous and least missed
first, and the node says what. Each node is trimmed by itself when it is done, so that memory is bounded while the run
goes on, and what is told of a node does not depend on what became of others after it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from odibi_story.storing import as_data
from odibi_story.values import cut

if TYPE_CHECKING:
    from collections.abc import Callable

    from odibi_story.record import NodeStory

WHOLE = 2_000_000
"""Characters of all nodes together, roughly; the page that holds them is to stay below 5 MB."""

LARGEST, SMALLEST = 400_000, 1_200
"""Characters of a node, however few or many there are."""

FAILED = 40_000
"""Characters of a node that failed, if that is more than its share: it is what the story is read for."""

GENEROUS = 20
"""How many failed nodes are given :data:`FAILED`."""


SAMPLE_ROWS = "sample rows"
"""What may be left out, in words."""


def share(nodes: int) -> int:
    """Characters that may be told of one of so many nodes."""
    return max(SMALLEST, min(LARGEST, WHOLE // max(nodes, 1)))


def trim(node: NodeStory, most: int) -> None:
    """Leave out of a node what exceeds ``most`` characters, and note it in ``left_out``."""
    for what, leave_out in _STAGES:
        if _size(node) <= most:
            return
        if leave_out(node) and what not in node.left_out:
            node.left_out.append(what)


def shorten_plan(node: NodeStory, most: int) -> None:
    """Leave out of what was planned for a node what exceeds ``most`` characters."""
    if _size(node) > most and node.definition:
        node.definition = {name: _short(value, 120) for name, value in node.definition.items()}
        if _size(node) > most:
            node.definition = {}
        node.left_out.append("definition")


def _size(node: NodeStory) -> int:
    return len(json.dumps(as_data(node), ensure_ascii=False, separators=(",", ":")))


def _samples_as_read(node: NodeStory) -> bool:
    before = len(node.samples)
    node.samples = [sample for sample in node.samples if sample.step != "read"]
    return len(node.samples) < before


def _most_samples(node: NodeStory) -> bool:
    # Each is cut, also after the first.
    cuts = [_first(sample.rows, 3) for sample in node.samples]
    return any(cuts)


def _all_samples(node: NodeStory) -> bool:
    had = bool(node.samples)
    node.samples = []
    return had


def _schemas_between(node: NodeStory) -> bool:
    found = False
    for step in node.steps:
        found, step.schema = found or bool(step.schema), []
    return found


def _details(node: NodeStory) -> bool:
    found = False
    for step in node.steps:
        short = {name: _short(value, 200) for name, value in step.detail.items()}
        found, step.detail = found or short != step.detail, short
    return found


def _definition(node: NodeStory) -> bool:
    had = bool(node.definition)
    node.definition = {}
    return had


def _rows_of_rules(node: NodeStory) -> bool:
    found = False
    for rule in node.rules:
        found = _first(rule.rows, 1) or found
    return found


def _objects(node: NodeStory) -> bool:
    if node.written is None or len(node.written.paths) + len(node.written.etags) <= 4:
        return False
    node.written.paths, node.written.etags = node.written.paths[:2], dict(list(node.written.etags.items())[:2])
    return True


def _wide_schema(node: NodeStory) -> bool:
    return _first(node.schema, 40)


def _long_words(node: NodeStory) -> bool:
    found = False
    if node.failure is not None:
        short = cut(node.failure.message, 1_000), cut(node.failure.trace, 1_500, end=True)
        found, (node.failure.message, node.failure.trace) = short != (node.failure.message, node.failure.trace), short
    for attempt in node.attempts:
        found, attempt.error = found or len(attempt.error) > 200, cut(attempt.error, 200)
    found = any([_first(node.attempts, 5), _first(node.warnings, 3), _first(node.rules, 20), found])
    node.warnings = [cut(words, 200) for words in node.warnings]
    for rule in node.rules:
        rule.message = cut(rule.message, 200)
    return found


def _steps(node: NodeStory) -> bool:
    return _first(node.steps, 5)


def _rest(node: NodeStory) -> bool:
    found = False
    for step in node.steps:
        found, step.detail = found or bool(step.detail), {}
    for rule in node.rules:
        rule.rows = []
    return any([found, _first(node.schema, 10), _first(node.rules, 5)])


def _first(items: list[Any], most: int) -> bool:
    """Keep the first of some items; whether there were more."""
    if len(items) <= most:
        return False
    del items[most:]
    return True


def _short(value: Any, longest: int) -> Any:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return value if len(text) <= longest else cut(text, longest)


_STAGES: list[tuple[str, Callable[[NodeStory], bool]]] = [
    (SAMPLE_ROWS, _samples_as_read),
    (SAMPLE_ROWS, _most_samples),
    ("columns after each step", _schemas_between),
    (SAMPLE_ROWS, _all_samples),
    ("details of steps", _details),
    ("rows that break rules", _rows_of_rules),
    ("objects written", _objects),
    ("definition", _definition),
    ("columns", _wide_schema),
    ("long messages", _long_words),
    ("steps", _steps),
    ("details of steps", _rest),
]
