"""A story, a list of stories and a comparison as text for a terminal."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from odibi_story.amounts import brief, command, count, counts, duration, moment, plural, said, size, took
from odibi_story.comparing import ADDED, REMOVED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from odibi_story.comparing import Change, Comparison, NodeComparison
    from odibi_story.record import Commit, NodeStory, RunStory

MOST_NODES = 40
"""Nodes that are listed one by one; of more, those that matter most."""

_SETTLED = ("reused", "restored")


def story_text(story: RunStory, *, where: str = "") -> str:
    """What ran and why, how long it took, what the data looked like, and what to run again.

    Args:
        story: of the run.
        where: its page; empty if there is none.
    """
    return "\n".join(_safe(line) for line in _story(story, where)) + "\n"


def _story(story: RunStory, where: str) -> Iterator[str]:
    after = f" after {duration(story.duration)}" if story.duration is not None else ""
    yield f"{story.project}, pipeline {story.pipeline}: {story.state.upper()}{after}"
    yield f"run {story.run_id}, begun {moment(story.started)}, {plural(story.workers, 'worker')}; {counts(story)}"
    if story.resumes:
        yield f"it goes on with run {story.resumes}"
    if story.commit is not None:
        yield f"commit {_commit(story.commit)}"
    node = story.first_failure
    if node is not None and node.failure is not None:
        yield ""
        yield f"what failed first: {node.name}"
        yield from (f"  {line}" for line in said(node.failure).splitlines())
    yield ""
    shown = _chosen(story.nodes)
    rows = [
        (
            node.name,
            node.state,
            duration(took(node)),
            f"{count(node.rows_in)} -> {count(node.rows)}" if node.rows is not None else "",
            "*" if node.critical else "",
            node.why or node.reason,
        )
        for node in shown
    ]
    yield from _table(("NODE", "OUTCOME", "TOOK", "ROWS", "", "WHY"), rows, right=(2, 3))
    if len(shown) < len(story.nodes):
        yield f"and {plural(len(story.nodes) - len(shown), 'more node')}"
    if any(node.critical for node in shown):
        yield "* decided when the run ended"
    yield from _data(shown)
    for words in (*story.problems, *story.left_out):
        yield f"note: {words}"
    again = command(story)
    if again:
        yield ""
        yield "to run it again:"
        yield f"  {again}"
    if where:
        yield ""
        yield f"the whole story: {where}"


def _commit(commit: Commit) -> str:
    on = f" on {commit.branch}" if commit.branch else ""
    return f"{commit.id[:12]}{on}{', with changes that are not committed' if commit.dirty else ''}"


def _chosen(nodes: Sequence[NodeStory]) -> list[NodeStory]:
    if len(nodes) <= MOST_NODES:
        return list(nodes)
    first = sorted(nodes, key=lambda it: (it.failure is None, not it.warnings, not it.critical, -(took(it) or 0.0)))
    names = {node.name for node in first[:MOST_NODES]}
    return [node for node in nodes if node.name in names]


def _data(nodes: Sequence[NodeStory]) -> Iterator[str]:
    lines = [line for node in nodes for line in _of_node(node)]
    if lines:
        yield ""
        yield "what the data looked like:"
        yield from (f"  {line}" for line in lines)


def _of_node(node: NodeStory) -> Iterator[str]:
    if node.state in _SETTLED:
        return
    broken = [rule for rule in node.rules if not rule.passed]
    for rule in broken:
        yield f"{node.name}: {rule.rule}: {rule.message}{_then(rule.on_fail)}"
    ruled = tuple(f"{rule.rule}: " for rule in broken)
    yield from (f"{node.name}: {words.splitlines()[0]}" for words in node.warnings if not words.startswith(ruled))
    if node.quarantined:
        yield f"{node.name}: {plural(node.quarantined, 'row')} set aside"
    if node.written is not None and not node.written.skipped:
        amount = ", ".join(filter(None, (_rows(node.written.rows), size(node.written.bytes))))
        yield f"{node.name}: wrote {node.writes}{f' ({amount})' if amount else ''}"
    for attempt in node.attempts[:-1]:
        yield f"{node.name}: attempt {attempt.number} failed: {brief(attempt.error, 100)}"


def _then(on_fail: str) -> str:
    return "" if on_fail == "error" else f" ({on_fail})"


def _rows(number: int | None) -> str:
    return plural(number, "row") if number is not None else ""


# --- lists ----------------------------------------------------------------------------------------------------------


def list_text(stories: Sequence[RunStory]) -> str:
    """A line a story."""
    rows = [(it.run_id, it.pipeline, it.state, moment(it.started), duration(it.duration), counts(it)) for it in stories]
    names = ("RUN", "PIPELINE", "STATE", "BEGUN", "TOOK", "NODES")
    return "\n".join(_safe(line) for line in _table(names, rows, right=(4,))) + "\n"


def _table(names: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> Iterator[str]:
    cells = [[" ".join(cell.split()) for cell in row] for row in (names, *rows)]
    widths = [max(_width(row[at]) for row in cells) for at in range(len(names))]
    for row in cells:
        padded = [_padded(cell, width, at in right) for at, (cell, width) in enumerate(zip(row, widths, strict=True))]
        yield "  ".join(padded).rstrip()


def _padded(cell: str, width: int, right: bool) -> str:
    blank = " " * (width - _width(cell))
    return blank + cell if right else cell + blank


def _width(text: str) -> int:
    """Columns of a terminal that a text takes."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    return len(text) + wide - sum(bool(unicodedata.combining(char)) for char in text)


def _safe(line: str) -> str:
    """A line that does nothing but stand there: no control character, and none that turns the reading direction."""
    if line.isascii() and line.isprintable():
        return line
    return "".join(
        char if char.isprintable() or char == " " else char.encode("unicode_escape").decode() for char in line
    )


# --- comparisons ----------------------------------------------------------------------------------------------------


def comparison_text(comparison: Comparison) -> str:
    """What changed from one run to another."""
    return "\n".join(_safe(line) for line in _comparison(comparison)) + "\n"


def _comparison(it: Comparison) -> Iterator[str]:
    for mark, story in (("-", it.before), ("+", it.after)):
        after = f" after {duration(story.duration)}" if story.duration is not None else ""
        yield f"{mark} run {story.run_id} of {story.pipeline}, begun {moment(story.started)}: {story.state}{after}"
    for title, changes in (
        ("run", it.run),
        ("config", it.config),
        ("plugins", it.plugins),
        ("environment", it.environment),
    ):
        if changes:
            yield ""
            yield f"{title}:"
            yield from (f"  {line}" for change in changes for line in _lines(change))
    changed = it.changed
    if changed:
        yield ""
        yield "nodes:"
        for node in changed:
            yield from (f"  {line}" for line in _node(node))
    same = len(it.nodes) - len(changed)
    yield ""
    yield f"{plural(len(changed), 'node')} changed, {same:,} the same"


def _node(node: NodeComparison) -> Iterator[str]:
    if node.change in (ADDED, REMOVED):
        yield f"{node.name}: {node.change}"
        return
    yield f"{node.name}:"
    if node.parts:
        yield f"  changed: {', '.join(node.parts)}"
    for single in (node.state, node.action, node.rows, node.duration, node.error):
        if single is not None:
            yield from (f"  {line}" for line in _lines(single))
    for change in node.columns:
        if change.before is None:
            yield f"  column {change.what}: new, {change.after}"
        elif change.after is None:
            yield f"  column {change.what}: gone"
        else:
            yield f"  column {change.what}: {change.before} -> {change.after}"
    for title, changes in (("definition", node.definition), ("source", node.source), ("rule", node.rules)):
        for change in changes:
            first, *more = _lines(change)
            yield f"  {title} {first}"
            yield from (f"  {line}" for line in more)


def _lines(change: Change) -> Iterator[str]:
    if change.what == "duration":
        yield f"duration: {duration(change.before) or '–'} -> {duration(change.after) or '–'}"
    elif change.what == "rows":
        by = change.after - change.before
        yield f"rows: {change.before:,} -> {change.after:,} ({by:+,})"
    elif isinstance(change.before, str) and isinstance(change.after, str) and "\n" in change.before + change.after:
        yield f"{change.what}:"
        yield from _text_lines(change.before, change.after)
    else:
        yield f"{change.what}: {brief(change.before)} -> {brief(change.after)}"


def _text_lines(before: str, after: str) -> Iterator[str]:
    import difflib

    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=1))[2:]
    yield from (f"  {line}" for line in lines[:40])
    if len(lines) > 40:
        yield f"  … ({len(lines) - 40:,} more lines)"
