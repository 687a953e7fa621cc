"""One node as it is shown: what its story says, put into words and differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from itertools import zip_longest
from typing import Any

import attrs

from odibi_story.html import words
from odibi_story.html.cells import Grid, by_column, sampled
from odibi_story.html.columns import Columns, compare
from odibi_story.html.looks import Look, look
from odibi_story.html.outline import outline
from odibi_story.html.picture import node_took
from odibi_story.record import Column, NodeStory, Rule, Sample, Step

_TITLES = {"read": "Read", "sql": "SQL", "function": "Function", "operation": "Operation", "validate": "Validate"}
_OFTEN = {"rules", "results"}  # of a step's detail: said as validation
_SOURCE = {"objects", "bytes", "newest", "digest"}
SLOWER = 2.0
"""Times as long as the last time that are worth a word, if it is a second more."""

WHY = 160
"""Characters of a reason that stand in the list."""
VERSION = 24
"""Characters of a source's version that are shown; what differs between two runs is found by comparing them."""
NEIGHBOURS = 40
"""Nodes that are named of those that need one."""


class Telling(IntEnum):
    """How much of a node is told."""

    NOTHING = 0
    SHORT = 1
    FULL = 2


@attrs.frozen
class Other:
    """Another node, or a value that was handed in, which has no ``index``."""

    name: str
    index: int | None = None
    look: Look | None = None
    rows: str = ""
    columns: int = 0


@attrs.frozen
class StepView:
    """A step with how it changed the frame; ``columns`` is ``None`` where that is not known."""

    title: str
    name: str
    text: str
    rows: str
    change: str
    loses: bool
    columns: Columns | None
    took: str
    share: float


@attrs.frozen
class RuleView:
    """A validation rule with its look, and rows that broke it."""

    rule: Rule
    look: Look
    failing: str
    grid: Grid | None


@attrs.define
class NodeView:
    """A node, ready to be shown.

    Attributes:
        line: in a few words, what became of its rows.
        share: of the longest node's time, in per cent.
        schema_base: what the schema is compared with, in words; empty if with nothing.
        warnings: those that are not about a rule, as the rules say theirs.
        facts: what it took, as terms and values.
        reads, writes: what is known of its source, and of what it wrote, in words.
    """

    index: int
    node: NodeStory
    look: Look
    why: str
    line: str
    took: str
    share: float
    inputs: list[Other] = attrs.field(factory=list)
    feeds: list[Other] = attrs.field(factory=list)
    more_feeds: int = 0
    steps: list[StepView] = attrs.field(factory=list)
    schema_base: str = ""
    schema: Columns | None = None
    samples: list[tuple[str, Grid]] = attrs.field(factory=list)
    rules: list[RuleView] = attrs.field(factory=list)
    warnings: list[str] = attrs.field(factory=list)
    facts: list[tuple[str, str]] = attrs.field(factory=list)
    reads: list[str] = attrs.field(factory=list)
    writes: list[str] = attrs.field(factory=list)
    definition: str = ""

    @property
    def broken(self) -> list[RuleView]:
        """The rules that were not kept."""
        return [each for each in self.rules if not each.rule.passed]


class Viewer:
    """Makes the views of a run's nodes, which point at one another."""

    def __init__(self, nodes: Sequence[NodeStory]) -> None:
        self._nodes = nodes
        self._places = {node.name: index for index, node in enumerate(nodes)}
        self._feeds: dict[str, list[int]] = {}
        for index, node in enumerate(nodes):
            for name in dict.fromkeys(node.depends_on):
                self._feeds.setdefault(name, []).append(index)
        self._longest = max((node_took(node) or 0.0 for node in nodes), default=0.0)

    def line(self, index: int) -> NodeView:
        """What the list says of a node before it is opened."""
        node = self._nodes[index]
        took = node_took(node)
        share = 100 * took / self._longest if took is not None and self._longest else 0.0
        return NodeView(index, node, look(node.state), _why(node), _rows_line(node), words.took(took), share)

    def whole(self, index: int) -> NodeView:
        """All of a node."""
        view = self.line(index)
        node = view.node
        before, base = self._before(node)
        view.inputs = [self._other(name) for name in node.depends_on]
        feeds = self._feeds.get(node.name, [])
        view.feeds = [self._other(self._nodes[at].name) for at in feeds[:NEIGHBOURS]]
        view.more_feeds = len(feeds) - len(view.feeds)
        view.steps = self._steps(node)
        changes = sum(bool(step.columns) for step in view.steps)
        if node.schema and base and changes != 1:  # if it is 1, that step says the same
            view.schema = compare(before, node.schema)
            view.schema_base = base
        view.samples = _samples(node, before)
        view.rules = [_rule(each) for each in node.rules]
        broken = tuple(f"{each.rule}:" for each in node.rules if not each.passed)
        view.warnings = [each for each in node.warnings if not each.startswith(broken)]
        view.facts = _facts(node)
        view.reads = _reads(node.source)
        view.writes = _writes(node)
        view.definition = outline(node.definition) if node.definition else ""
        return view

    def _other(self, name: str) -> Other:
        index = self._places.get(name)
        if index is None:
            return Other(name)
        node = self._nodes[index]
        return Other(name, index, look(node.state), words.count(node.rows, "row"), len(node.schema))

    def _before(self, node: NodeStory) -> tuple[Sequence[Column], str]:
        """The columns that a node began with, and what had them."""
        first = node.steps[0] if node.steps else None
        if first is not None and first.kind == "read":
            return (first.schema, "what it read") if first.schema else ((), "")
        if not node.depends_on or not node.steps:
            return (), ""
        index = self._places.get(node.depends_on[0])
        schema = self._nodes[index].schema if index is not None else []
        return (schema, f"its input {node.depends_on[0]}") if schema else ((), "")

    def _steps(self, node: NodeStory) -> list[StepView]:
        schema, _ = self._before(node)
        rows: int | None = None
        if len(node.depends_on) == 1 and (index := self._places.get(node.depends_on[0])) is not None:
            rows = self._nodes[index].rows
        longest = max((step.duration for step in node.steps), default=0.0)
        views = []
        for step in node.steps:
            if step.kind == "read":
                rows, schema = None, ()
            views.append(_step(step, rows, schema, longest))
            if step.rows is not None:
                rows = step.rows
            if step.schema:
                schema = step.schema
        return views


def _why(node: NodeStory) -> str:
    """Why it ran or did not, as much of it as a line holds; all of it is told when the node is opened."""
    said = node.why if node.state in ("skipped", "cancelled") and node.why else node.reason or node.why
    return words.shorten(said.partition("\n")[0], WHY)


def _rows_line(node: NodeStory) -> str:
    if node.rows is None:
        return words.count(node.written.rows, "row") + " written" if node.written and node.written.rows else ""
    if node.rows_in is None or node.rows_in == node.rows:
        return words.count(node.rows, "row")
    return f"{node.rows_in:,} → {words.count(node.rows, 'row')}"


def _step(step: Step, rows: int | None, schema: Sequence[Column], longest: float) -> StepView:
    difference = step.rows - rows if step.rows is not None and rows is not None else None
    name, text = _said(step)
    return StepView(
        title=_TITLES.get(step.kind, step.kind.capitalize()),
        name=name,
        text=text,
        rows=words.count(step.rows),
        change=words.change(difference) if difference else "",
        loses=bool(difference and difference < 0),
        columns=compare(schema, step.schema) if schema and step.schema else None,
        took=words.took(step.duration),
        share=100 * step.duration / longest if longest else 0.0,
    )


def _said(step: Step) -> tuple[str, str]:
    """A step's name, and what it does in full."""
    detail = {key: value for key, value in step.detail.items() if value not in (None, "", [], {}) and key not in _OFTEN}
    if isinstance(detail.get("sql"), str):
        sql = detail.pop("sql")
        more = f"\n\n-- with\n{outline(detail)}" if detail else ""
        return "", sql.strip("\n") + more
    name = str(detail.pop(step.kind, "")) if step.kind in ("operation", "function") else ""
    params = detail.pop("params", {}) if set(detail) == {"params"} else detail
    if step.kind in ("read", "write") and set(params) <= {"source", "target", "paths"}:
        return str(params.get("source") or params.get("target") or ""), ""
    return name, outline(params) if params else ""


def _samples(node: NodeStory, before: Sequence[Column]) -> list[tuple[str, Grid]]:
    """The samples, each with its title; one that shows just what the next one shows is left out."""
    shown = [
        each
        for each, following in zip_longest(node.samples, node.samples[1:])
        if following is None or (each.columns, each.rows) != (following.columns, following.rows)
    ]
    titled = [_sample(node, each, before) for each in shown]
    if len(shown) == 1 and len(node.samples) > 1:
        return [("As read, and as the result", titled[0][1])]
    return titled


def _sample(node: NodeStory, sample: Sample, before: Sequence[Column]) -> tuple[str, Grid]:
    read = sample.step == "read"
    title = "As read" if read else "Result" if sample.step == "result" else sample.step
    known = f" of {sample.total:,}" if sample.total is not None else ""
    said = f"{len(sample.rows):,}{known} {'row' if (sample.total or len(sample.rows)) == 1 else 'rows'}"
    first = next((step.schema for step in node.steps if step.kind == "read"), [])
    last = next((step.schema for step in reversed(node.steps) if step.schema), [])
    schema = first if read else node.schema or last
    return title, sampled(sample, schema, () if read else before, said)


def _rule(rule: Rule) -> RuleView:
    if rule.passed:
        its = Look("kept", "tick", "good")
    elif rule.on_fail == "warn":
        its = Look("broken, a warning", "warn", "care")
    elif rule.on_fail == "quarantine":
        its = Look("broken, rows set aside", "warn", "care")
    else:
        its = Look("broken", "cross", "bad")
    failing = "" if rule.passed and not rule.failing else words.count(rule.failing, "row")
    return RuleView(rule, its, failing, by_column(rule.rows) if rule.rows else None)


def _facts(node: NodeStory) -> list[tuple[str, str]]:
    took = node_took(node)
    last = ""
    if node.estimate and took is not None:
        last = words.took(node.estimate)
        if took > SLOWER * node.estimate and took > node.estimate + 1:
            last += f" – this time {took / node.estimate:.1f} times as long"
    kinds = [
        ("Took", words.took(took)),
        ("Last time", last),
        ("Began", f"{words.took(node.started)} into the run" if node.started is not None else ""),
        ("Waited for a worker", words.took(node.waited)),
        ("Processor time", words.took(node.cpu)),
        ("Peak memory of the process", words.size(node.memory)),
        ("Size of the result", words.size(node.bytes)),
        ("Engine", node.engine or ""),
        ("Key in the cache", node.kept),
    ]
    return [(term, value) for term, value in kinds if value]


def _reads(source: Mapping[str, Any]) -> list[str]:
    objects, size, newest = (source.get(name) for name in ("objects", "bytes", "newest"))
    known = [
        words.count(objects, "object") if isinstance(objects, int) else "",
        words.size(size) if isinstance(size, int | float) else "",
        f"newest of {words.moment(newest)}" if isinstance(newest, int | float) else "",
        f"version {words.shorten(str(source['digest']), VERSION)}" if source.get("digest") else "",
    ]
    more = [f"{key}: {outline(value)}" for key, value in source.items() if key not in _SOURCE and value]
    return [said for said in known + more if said]


def _writes(node: NodeStory) -> list[str]:
    written = node.written
    if written is None:
        return []
    known = [
        "left as it was: it was there already" if written.skipped else "",
        words.count(written.rows, "row"),
        words.size(written.bytes),
        f"version {written.version}" if written.version else "",
    ]
    return [said for said in known if said]
