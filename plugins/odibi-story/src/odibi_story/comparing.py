"""What changed between two runs, as data: in code, config, sources, schemas, row counts, durations and outcomes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from odibi_story.amounts import said

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from odibi_story.record import NodeStory, RunStory

ADDED, REMOVED, CHANGED, SAME = "added", "removed", "changed", "same"

SLOWER = 0.5
"""Share of its duration by which a node has to be slower or faster before that is called a change."""

_OF_EACH_RUN = {"process"}
"""Of the environment, what is another in each run."""

LEAST = 0.1
"""Seconds of difference that are not worth a word."""


@attrs.define
class Change:
    """Something that is another in the later run.

    Attributes:
        what: its name; parts of it that lie deeper after dots, as in ``read.options.delimiter``.
        before, after: JSON values; ``None`` where it was not, or is not any more.
    """

    what: str
    before: Any = None
    after: Any = None


@attrs.define
class NodeComparison:
    """One node in both runs.

    Attributes:
        change: ``added``, ``removed``, ``changed`` or ``same``.
        parts: what of its fingerprint differs: ``code``, ``definition``, ``inputs``, ``source``, ...
        definition: settings of the node that differ.
        source: what it reads, where that differs.
        columns: of its result; a column that is new has no ``before``, one that is gone no ``after``, and the values
            are types.
        rows, duration, state, action: the change; ``None`` if there is none worth telling.
        rules: validation rules that fare otherwise, with the number of rows that break them or ``passed``.
        error: the failure's message in both, where it differs.
    """

    name: str
    change: str = SAME
    parts: list[str] = attrs.field(factory=list)
    definition: list[Change] = attrs.field(factory=list)
    source: list[Change] = attrs.field(factory=list)
    columns: list[Change] = attrs.field(factory=list)
    rules: list[Change] = attrs.field(factory=list)
    rows: Change | None = None
    duration: Change | None = None
    state: Change | None = None
    action: Change | None = None
    error: Change | None = None


@attrs.define
class Comparison:
    """Two runs.

    Attributes:
        before, after: the runs.
        run: of the run as a whole: state, duration, workers, commit, command.
        config: settings of the project.
        plugins: versions by distribution.
        environment: by name.
        nodes: those of the later run in its order, and then those that only the earlier one had.
    """

    before: RunStory
    after: RunStory
    run: list[Change] = attrs.field(factory=list)
    config: list[Change] = attrs.field(factory=list)
    plugins: list[Change] = attrs.field(factory=list)
    environment: list[Change] = attrs.field(factory=list)
    nodes: list[NodeComparison] = attrs.field(factory=list)

    @property
    def changed(self) -> list[NodeComparison]:
        """The nodes of which there is something to tell."""
        return [node for node in self.nodes if node.change != SAME]


def compare(before: RunStory, after: RunStory) -> Comparison:
    """What changed from one run to a later one.

    Args:
        before, after: the runs; of the same pipeline, as a rule.
    """
    earlier = {node.name: node for node in before.nodes}
    later = {node.name for node in after.nodes}
    nodes = [
        _node(earlier[node.name], node) if node.name in earlier else NodeComparison(node.name, ADDED)
        for node in after.nodes
    ]
    nodes += [NodeComparison(name, REMOVED) for name in earlier if name not in later]
    return Comparison(
        before,
        after,
        list(_of_run(before, after)),
        list(differences(before.config, after.config)),
        list(differences(dict(before.plugins), dict(after.plugins))),
        [it for it in differences(before.environment, after.environment) if it.what not in _OF_EACH_RUN],
        nodes,
    )


def differences(before: Any, after: Any, at: str = "") -> Iterator[Change]:
    """Where two JSON values differ; mappings, and lists of one length, are looked into.

    Args:
        before, after: the values.
        at: the name of both.
    """
    if isinstance(before, dict) and isinstance(after, dict):
        for key in [*before, *(key for key in after if key not in before)]:
            name = f"{at}.{key}" if at else key
            if key not in after:
                yield Change(name, before[key], None)
            elif key not in before:
                yield Change(name, None, after[key])
            else:
                yield from differences(before[key], after[key], name)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from differences(one, other, f"{at}.{index}")
    elif before != after or isinstance(before, bool) != isinstance(after, bool):
        yield Change(at, before, after)


def _of_run(before: RunStory, after: RunStory) -> Iterator[Change]:
    for name in ("state", "workers", "command"):
        yield from differences(getattr(before, name), getattr(after, name), name)
    if _longer(before.duration, after.duration):
        yield Change("duration", before.duration, after.duration)
    yield from differences(_commit(before), _commit(after), "commit")


def _commit(story: RunStory) -> str | None:
    if story.commit is None:
        return None
    return f"{story.commit.id}{', with changes' if story.commit.dirty else ''}"


def _node(before: NodeStory, after: NodeStory) -> NodeComparison:
    known = bool(before.parts) and bool(after.parts)
    names = dict.fromkeys([*before.parts, *after.parts]) if known else {}
    found = NodeComparison(
        after.name,
        parts=[name for name in names if before.parts.get(name) != after.parts.get(name)],
        definition=list(differences(_definition(before), _definition(after))),
        source=list(differences(before.source, after.source)),
        columns=_columns(before, after),
        rules=list(differences(_rules(before), _rules(after))) if before.rules and after.rules else [],
        rows=_change("rows", before.rows, after.rows) if None not in (before.rows, after.rows) else None,
        duration=_duration(before, after),
        state=_change("state", before.state, after.state),
        action=_change("action", before.action, after.action),
        error=_change("error", before.failure and said(before.failure), after.failure and said(after.failure)),
    )
    told = attrs.asdict(found, recurse=False)
    if any(value for name, value in told.items() if name not in ("name", "change")):
        found.change = CHANGED
    return found


def _definition(node: NodeStory) -> Mapping[str, Any]:
    return {"depends_on": list(node.depends_on), "engine": node.engine, **node.definition}


def _columns(before: NodeStory, after: NodeStory) -> list[Change]:
    if not before.schema or not after.schema:  # not known, as of a node that failed
        return []
    one, other = ({column.name: column.type for column in node.schema} for node in (before, after))
    return list(differences(one, other))


def _rules(node: NodeStory) -> Mapping[str, Any]:
    return {rule.rule: "passed" if rule.passed else rule.failing or "broken" for rule in node.rules}


def _duration(before: NodeStory, after: NodeStory) -> Change | None:
    one, other = _took(before), _took(after)
    return Change("duration", one, other) if _longer(one, other) else None


def _took(node: NodeStory) -> float | None:
    return None if node.started is None or node.finished is None else round(node.finished - node.started, 6)


def _longer(before: float | None, after: float | None) -> bool:
    if before is None or after is None:
        return False
    return abs(after - before) > max(LEAST, SLOWER * min(before, after))


def _change(what: str, before: Any, after: Any) -> Change | None:
    return Change(what, before, after) if before != after else None
