"""A story as Markdown, for places that show it: merge requests, wikis, chats. Its graph is one of Mermaid."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from odibi_story.amounts import command, count, counts, duration, moment, plural, said, size, took
from odibi_story.values import cut

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from odibi_story.record import NodeStory, Rule, RunStory, Sample

MOST_DRAWN, MOST_EDGES = 150, 400
"""Nodes and edges of a graph that is drawn; Mermaid itself refuses more than 500 edges."""

MOST_NODES = 300
"""Nodes that are told in a table; of more, those that failed, warned or were slowest."""

_MARKS = {
    "succeeded": "✓",
    "reused": "↺",
    "restored": "↺",
    "failed": "✗",
    "skipped": "⊘",
    "cancelled": "⊘",
    "running": "…",
    "waiting": "·",
}
_COLOURS = {
    "succeeded": "fill:#d9f2e3,stroke:#1b7f4b,color:#0b3d24",
    "reused": "fill:#dbe9fb,stroke:#2a62b0,color:#12305a",
    "restored": "fill:#dbe9fb,stroke:#2a62b0,color:#12305a",
    "failed": "fill:#fbdcdc,stroke:#b3261e,color:#5c120e",
    "skipped": "fill:#ececec,stroke:#777777,color:#333333",
    "cancelled": "fill:#ececec,stroke:#777777,color:#333333",
    "running": "fill:#fff3cf,stroke:#9a6b00,color:#4d3600",
    "waiting": "fill:#ffffff,stroke:#999999,color:#333333",
}
# What Markdown reads as its own inside a line: what would begin a tag, an entity, a link. An underscore inside a word
# stands for itself, and words with many are what most names here are.
_SPECIAL = re.compile(r"([\\`*\[\]<>|~$&]|(?<!\w)_|_(?!\w)|:(?=//)|(?<=\bwww)\.)", re.ASCII)
_BEGINNING = re.compile(r"^([-+#=]|\d+(?=[.)]))")
_SAFE_MERMAID = re.compile(r"[^\w .,:/+\-–=]")


def document(story: RunStory) -> str:
    """The story of a run, as Markdown (CommonMark with tables).

    Args:
        story: of the run; nothing in it is taken for markup.
    """
    parts = [
        _head(story),
        _failure(story),
        _again(story),
        _graph(story),
        _nodes(story),
        *(_node(node) for node in story.nodes if _has_more(node)),
        _about(story),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(story: RunStory) -> str:
    took_words = f" after {duration(story.duration)}" if story.duration is not None else ""
    lines = [
        f"# {plain(story.pipeline)}: {plain(story.state)}{took_words}",
        "",
        f"Run {code(story.run_id)} of project {plain(story.project)}, begun {moment(story.started)}; {counts(story)}.",
    ]
    if story.resumes:
        lines.append(f"It goes on with run {code(story.resumes)}.")
    return "\n".join([*lines, *(f"\n> {plain(words)}" for words in (*story.problems, *story.left_out))])


def _failure(story: RunStory) -> str:
    node = story.first_failure
    if node is None or node.failure is None:
        return ""
    return f"## What failed first: {plain(node.name)}\n\n{block(cut(said(node.failure), 2_000))}"


def _again(story: RunStory) -> str:
    words = command(story)
    return f"## To run it again\n\n{block(words, 'sh')}" if words else ""


def _graph(story: RunStory) -> str:
    if not story.nodes:
        return ""
    at = {node.name: f"n{index}" for index, node in enumerate(story.nodes)}
    edges = [(at[name], at[node.name]) for node in story.nodes for name in node.depends_on if name in at]
    if len(at) > MOST_DRAWN or len(edges) > MOST_EDGES:
        return f"## Graph\n\nIt is not drawn here, as it has {plural(len(at), 'node')}; the page of this run draws it."
    lines = ["## Graph", "", "```mermaid", "flowchart LR"]
    for node in story.nodes:
        label = " ".join(filter(None, (_MARKS.get(node.state, ""), _mermaid(node.name), duration(took(node)))))
        lines.append(f'    {at[node.name]}["{label}"]:::{node.state if node.state in _COLOURS else "waiting"}')
    lines += [f"    {one} --> {other}" for one, other in edges]
    used = {node.state for node in story.nodes}
    lines += [f"    classDef {state} {style}" for state, style in _COLOURS.items() if state in used]
    critical = [at[node.name] for node in story.nodes if node.critical]
    if critical:
        lines += ["    classDef critical stroke-width:3px", f"    class {','.join(critical)} critical"]
    return "\n".join([*lines, "```", "", "Thick borders: the nodes that decided when the run ended."])


def _nodes(story: RunStory) -> str:
    shown, more = list(story.nodes), ""
    if len(shown) > MOST_NODES:
        first = sorted(shown, key=lambda it: (it.failure is None, not it.warnings, not it.critical, -(took(it) or 0)))
        chosen = {node.name for node in first[:MOST_NODES]}
        shown = [node for node in shown if node.name in chosen]
        more = f"\n\nThese are {MOST_NODES} of {len(story.nodes):,} nodes: those that failed, warned or took longest."
    rows = [
        (
            f"{_MARKS.get(node.state, '')} {plain(node.state)}",
            plain(node.name),
            plain(node.why or node.reason),
            duration(took(node)),
            count(node.rows_in),
            count(node.rows),
            str(len(node.attempts) or ""),
        )
        for node in shown
    ]
    names = ("outcome", "node", "why", "took", "rows in", "rows out", "attempts")
    return f"## Nodes\n\n{table(names, rows, right=(3, 4, 5, 6))}{more}" if rows else ""


def _has_more(node: NodeStory) -> bool:
    """Whether a node has something to tell that its line in the table does not."""
    broken = any(not rule.passed for rule in node.rules)
    return bool(node.failure or node.warnings or node.quarantined or len(node.attempts) > 1 or node.written or broken)


def _node(node: NodeStory) -> str:
    parts = [f"### {plain(node.name)}"]
    if node.failure is not None:
        parts.append(block(said(node.failure)))
    parts += [f"> {plain(words)}" for words in node.warnings]
    facts = list(_facts(node))
    if facts:
        parts.append("\n".join(f"- {fact}" for fact in facts))
    if node.rules:
        parts.append(_rules(node.rules))
    if node.samples:
        parts.append(_sample(node.samples[-1]))
    return "\n\n".join(parts)


def _facts(node: NodeStory) -> Iterator[str]:
    if node.reads:
        yield f"reads {code(node.reads)}"
    if node.written is not None:
        what = ", ".join(filter(None, (f"{count(node.written.rows)} rows" if node.written.rows is not None else "",)))
        yield " ".join(filter(None, (f"wrote {code(node.writes)}", what, size(node.written.bytes))))
    if node.quarantined:
        yield f"{plural(node.quarantined, 'row')} set aside"
    for attempt in node.attempts[:-1]:
        yield f"attempt {attempt.number} failed: {plain(cut(attempt.error, 300))}"
    if node.left_out:
        yield f"not told in full: {', '.join(node.left_out)}"


def _rules(rules: Sequence[Rule]) -> str:
    broken = [rule for rule in rules if not rule.passed]
    words = f"{plural(len(rules) - len(broken), 'rule')} kept, {len(broken):,} broken."
    rows = [(plain(rule.rule), plain(rule.message), count(rule.failing), plain(rule.on_fail)) for rule in broken]
    names = ("broken rule", "how", "rows that break it", "then")
    return f"{words}\n\n{table(names, rows, right=(2,))}" if rows else words


def _sample(sample: Sample) -> str:
    columns = sample.columns[:12]
    rows = [[plain(_cell(value)) for value in row[: len(columns)]] for row in sample.rows[:3]]
    if not columns or not rows:
        return ""
    more = f", {len(columns)} of {len(sample.columns)} columns" if len(columns) < len(sample.columns) else ""
    total = f" of {sample.total:,}" if sample.total is not None else ""
    title = f"{plural(len(rows), 'row')}{total}{more}:"
    return f"{title}\n\n{table([plain(name) for name in columns], rows)}"


def _cell(value: Any) -> str:
    return "null" if value is None else cut(value if isinstance(value, str) else str(value), 60)


def _about(story: RunStory) -> str:
    rows = [(plain(name), plain(value)) for name, value in story.environment.items()]
    rows += [(plain(name), plain(version)) for name, version in story.plugins]
    if story.commit is not None:
        said = f"{story.commit.id[:12]} {story.commit.branch}{', with changes' if story.commit.dirty else ''}"
        rows.insert(0, ("commit", plain(said)))
    return f"## Where it ran\n\n{table(('', ''), rows)}" if rows else ""


def plain(text: str) -> str:
    """A text that Markdown shows as it is, on one line."""
    escaped = _SPECIAL.sub(r"\\\1", " ".join(text.split()))
    return _BEGINNING.sub(lambda found: _not_a_list(found.group()), escaped)


def _not_a_list(begin: str) -> str:
    """The first characters of a line, so that they begin no list, heading or rule."""
    return f"&#{ord(begin[0])};{begin[1:]}"


def code(text: str) -> str:
    """A text as code, on one line; it may hold backquotes."""
    text = " ".join(text.split()) or " "
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    edge = " " if text[0] == "`" or text[-1] == "`" else ""
    return f"{fence}{edge}{text}{edge}{fence}"


def block(text: str, language: str = "text") -> str:
    """A text of several lines as code; it may hold fences itself."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}{language}\n{text.strip(chr(10))}\n{fence}"


def table(names: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """A table whose cells are Markdown of one line.

    Args:
        names: of the columns.
        rows: the cells.
        right: columns of numbers, by position.
    """
    rules = ["---:" if at in right else "---" for at in range(len(names))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (names, rules, *rows))


def _mermaid(text: str) -> str:
    """A text in a label of Mermaid, where nothing but plain characters stands for itself."""
    return _SAFE_MERMAID.sub(lambda found: f"#{ord(found.group())};", cut(" ".join(text.split()), 60))
