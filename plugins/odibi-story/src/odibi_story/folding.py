"""Events of a run become its story, one event at a time.

Everything that later events need is in the record (save what the run's facts say), so that a story can be stored and
shown at any moment of the run.
"""

from __future__ import annotations

import traceback
from collections import Counter
from typing import TYPE_CHECKING, Any

from odibi.errors import OdibiError, ValidationFailed
from odibi.events import (
    NodeEvent,
    NodeFinished,
    NodeRetried,
    NodeStarted,
    NodeWarned,
    PluginFailed,
    RowsSampled,
    RunFinished,
    RunStarted,
    StepFinished,
)
from odibi_story.critical import critical_path
from odibi_story.record import Attempt, Column, Failure, NodeStory, Rule, RunStory, Sample, Step, Written
from odibi_story.sensitive import Sensitive
from odibi_story.storing import counted
from odibi_story.trimming import FAILED, GENEROUS, SAMPLE_ROWS, share, shorten_plan, trim
from odibi_story.values import CELL, LONG, Clean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from odibi.contracts import engine
    from odibi.contracts.executor import Outcome
    from odibi.contracts.format import WriteReport
    from odibi.contracts.observer import PlannedNode
    from odibi.events import Event

COLUMNS = 500
"""Of a frame that are told."""

SHORT_CELL = 8
"""Characters that a cell of a sample takes at least, as a rule."""

PROBLEMS = 50
"""Failures of observers and plugins that are told."""


class Folding:
    """Makes the story of one run.

    Args:
        started: its first event.
    """

    def __init__(self, started: RunStarted) -> None:
        facts = started.facts
        self.clean = Clean(facts.scrub if facts is not None else None)
        self.run_id = started.run_id
        self._begin = started.monotonic
        self._most = share(started.nodes)
        planned: Sequence[PlannedNode] = ()
        problems, config = [], {}
        if facts is not None:
            try:
                planned, config = facts.nodes(), self.clean.value(facts.config())
            except Exception as error:  # a definition that cannot be shown must not cost the rest
                problems.append(self._words("the plan cannot be told", error))
        text = self.clean.text
        self.story = RunStory(
            text(started.run_id, CELL),
            text(started.pipeline, CELL),
            text(started.project, CELL),
            started=round(started.wall, 6),
            workers=int(started.workers),
            resumes=text(started.resumes, CELL),
            command=[text(word, CELL) for word in facts.command] if facts is not None else [],
            plugins=[(text(name, CELL), text(version, CELL)) for name, version in started.plugins],
            config=config,
            nodes=[self._planned(node) for node in planned],
            problems=problems,
        )
        self.story.counts = counted(self.story)
        self._at = {node.name: at for at, node in enumerate(planned)}
        self._sensitive = Sensitive(planned)

    def fold(self, event: Event) -> NodeStory | None:
        """Take one event.

        Returns:
            The node of which the story tells something else now; ``None`` if it is of none.
        """
        if isinstance(event, NodeEvent):
            node = self._node(event.node)
            was = node.state
            self._of_node(node, event)
            if node.state != was:
                counts = self.story.counts
                counts[node.state] = counts.get(node.state, 0) + 1
                counts[was] -= 1
                if not counts[was]:
                    del counts[was]
            return node
        if isinstance(event, PluginFailed):
            more = "; it is told nothing more" if event.cut_off else ""
            self._problem(self._words(f"{event.plugin} failed in {event.hook}", event.error) + more)
        elif isinstance(event, RunFinished):
            self._finish(event)
        return None

    def _problem(self, words: str) -> None:
        problems = self.story.problems
        if len(problems) < PROBLEMS:
            problems.append(words)
        elif len(problems) == PROBLEMS:
            problems.append("… and more")

    def _finish(self, event: RunFinished) -> None:
        story = self.story
        story.state = self.clean.text(event.state, CELL)
        story.duration = round(float(event.duration), 6)
        story.counts = {self.clean.text(name, CELL): int(count) for name, count in event.counts.items() if count}
        for node in critical_path(story):
            node.critical = True
        left = Counter(what for node in story.nodes for what in node.left_out)
        story.left_out = [
            f"To keep the story small, it does not tell all of this: {what} of {count:,} node{'s' * (count != 1)}."
            for what, count in left.items()
        ]

    # --- nodes ------------------------------------------------------------------------------------------------------

    def _planned(self, planned: PlannedNode) -> NodeStory:
        text, value = self.clean.text, self.clean.value
        node = NodeStory(
            text(planned.name),
            [text(name) for name in planned.depends_on],
            text(planned.action, CELL),
            text(planned.reason),
            text(planned.engine, CELL) if planned.engine is not None else None,
            reads=text(planned.reads),
            writes=text(planned.writes),
            estimate=round(float(planned.estimate), 6),
            sensitive=bool(planned.sensitive),
            definition=value(planned.definition),
            source={name: it for name, it in value(planned.source).items() if it is not None and it != ""},
            fingerprint=text(planned.fingerprint, CELL),
            parts={text(name, CELL): text(digest, CELL) for name, digest in planned.parts.items()},
        )
        shorten_plan(node, self._most // 2)
        return node

    def _node(self, name: str) -> NodeStory:
        """The node of that name; one that the facts do not tell of is added."""
        if name not in self._at:
            self._at[name] = len(self.story.nodes)
            self.story.nodes.append(NodeStory(self.clean.text(name)))
            self.story.counts["waiting"] = self.story.counts.get("waiting", 0) + 1
        return self.story.nodes[self._at[name]]

    def _of_node(self, node: NodeStory, event: NodeEvent) -> None:
        if isinstance(event, NodeStarted):
            self._start(node, event)
        elif isinstance(event, NodeRetried):
            attempt = _attempt(node, event.attempt, self._since(event.monotonic))
            attempt.finished = self._since(event.monotonic)
            attempt.error = self._hidden(event.node, self._words("", event.error))
        elif isinstance(event, NodeWarned):
            self._warn(node, event.node, event.message)
        elif isinstance(event, StepFinished):
            self._step(node, event)
        elif isinstance(event, RowsSampled):
            self._sample(node, event)
        elif isinstance(event, NodeFinished):
            self._outcome(node, event)

    def _start(self, node: NodeStory, event: NodeStarted) -> None:
        at = self._since(event.monotonic)
        node.state = "running"
        if node.started is None:
            node.started = at
            ended = [self.story.nodes[self._at[name]].finished for name in node.depends_on if name in self._at]
            node.waited = round(max(0.0, at - max((end for end in ended if end is not None), default=0.0)), 6)
        # What an attempt before this one did was for nothing.
        node.steps, node.samples, node.rules, node.warnings = [], [], [], []
        node.left_out = [what for what in node.left_out if what != SAMPLE_ROWS]
        attempt = _attempt(node, event.attempt, at)
        attempt.started, attempt.worker = at, self.clean.text(event.worker, CELL)

    def _warn(self, node: NodeStory, name: str, message: str) -> None:
        words = self._hidden(name, self.clean.text(message))
        if words not in node.warnings:
            node.warnings.append(words)

    def _step(self, node: NodeStory, event: StepFinished) -> None:
        kind = self.clean.text(event.step, CELL)
        detail = dict(event.detail)
        if kind == "validate" and "results" in detail:
            node.rules = self._rules(event.node, detail.pop("results"))
            detail.pop("rules", None)  # the same in words
        shown = self.clean.value(detail, LONG)
        node.steps.append(
            Step(kind, event.position, round(event.duration, 6), event.rows, shown, self._columns(event.schema))
        )

    def _rules(self, name: str, results: Any) -> list[Rule]:
        text, found = self.clean.text, []
        for result in results or ():
            rows = [self._sensitive.masked(name, row) for row in result.get("rows") or ()]
            found.append(
                Rule(
                    text(result.get("rule", "?")),
                    bool(result.get("passed")),
                    result.get("failing"),
                    self._hidden(name, text(result.get("message") or "")),
                    text(result.get("on_fail") or "error", CELL),
                    [self.clean.value(row, CELL) for row in rows],
                )
            )
        return found

    def _sample(self, node: NodeStory, event: RowsSampled) -> None:
        names = [column.name for column in event.schema][:COLUMNS]
        # Not even looked at, where so much would be left out in the end.
        most = max(3, self._most // (SHORT_CELL * max(len(names), 1)))
        if len(event.rows) > most and SAMPLE_ROWS not in node.left_out:
            node.left_out.append(SAMPLE_ROWS)
        rows = [[self.clean.value(row.get(name), CELL) for name in names] for row in event.rows[:most]]
        step = self.clean.text(event.step, CELL)
        node.samples = [sample for sample in node.samples if sample.step != step]
        node.samples.append(Sample(step, [self.clean.text(name, CELL) for name in names], rows, event.total))

    def _outcome(self, node: NodeStory, event: NodeFinished) -> None:
        outcome = event.outcome
        node.state = outcome.state.value
        node.why = self.clean.text(outcome.reason)
        if outcome.attempts:
            node.finished = self._since(outcome.finished or event.monotonic)
            if node.started is None:
                node.started = self._since(outcome.started or event.monotonic)
            node.started = min(node.started, node.finished)
            if node.attempts:
                node.attempts[-1].finished = node.finished
        if outcome.info is not None:
            node.rows, node.bytes = outcome.info.rows, outcome.info.bytes
            node.schema = self._columns(outcome.info.schema)
        node.rows_in = self._rows_in(node)
        if outcome.write is not None:
            node.written = self._written(outcome.write)
        for message in outcome.warnings:
            self._warn(node, event.node, message)
        # The rows that a rule's warning quotes stand with the rule.
        names = tuple(f"{rule.rule}: " for rule in node.rules if rule.rows)
        node.warnings = [words.split("\n")[0] if words.startswith(names) else words for words in node.warnings]
        node.quarantined = outcome.quarantined
        node.kept = self.clean.text(outcome.kept)
        if outcome.usage is not None:
            node.cpu, node.memory = round(outcome.usage.cpu, 6), outcome.usage.memory
        if outcome.error is not None:
            self._fail(node, event.node, outcome)
        most = self._most
        if node.failure is not None and self.story.counts.get("failed", 0) < GENEROUS:
            most = max(most, FAILED)
        trim(node, most)

    def _fail(self, node: NodeStory, name: str, outcome: Outcome) -> None:
        error = outcome.error
        if error is None:
            return
        if isinstance(error, ValidationFailed) and not node.rules:
            node.rules = self._rules(name, getattr(error, "results", ()))
        message = self._hidden(name, self.clean.text(error) or type(error).__name__)
        trace = self._hidden(name, self.clean.text(_trace(error), LONG, end=True))
        node.failure = Failure(self.clean.text(type(error).__name__, CELL), message, trace)
        if node.attempts:
            node.attempts[-1].error = message

    def _rows_in(self, node: NodeStory) -> int | None:
        counts = [step.rows for step in node.steps if step.kind == "read"]
        counts += [self.story.nodes[self._at[name]].rows for name in node.depends_on if name in self._at]
        known = [count for count in counts if count is not None]
        return sum(known) if counts and len(known) == len(counts) else None

    def _written(self, report: WriteReport) -> Written:
        text = self.clean.text
        return Written(
            report.rows,
            report.bytes,
            [text(path) for path in report.paths],
            {text(path): text(etag, CELL) for path, etag in (report.etags or {}).items()},
            text(report.version) if report.version is not None else "",
            bool(report.skipped),
        )

    def _columns(self, schema: Sequence[engine.Column]) -> list[Column]:
        text = self.clean.text
        return [Column(text(it.name, CELL), text(it.type, CELL), bool(it.nullable)) for it in schema[:COLUMNS]]

    def _since(self, moment: int) -> float:
        """Seconds since the run began; of a moment on another clock, the beginning."""
        return round(max(0, moment - self._begin) / 1e9, 6)

    def _words(self, what: str, error: BaseException) -> str:
        said = self.clean.text(f"{type(error).__name__}: {self.clean.text(error)}".removesuffix(": "))
        return f"{self.clean.text(what)}: {said}" if what else said

    def _hidden(self, name: str, words: str) -> str:
        return self._sensitive.words(name, words)


def _attempt(node: NodeStory, number: int, at: float) -> Attempt:
    """The attempt of that number, begun ``at`` if nothing was told of it before."""
    for attempt in node.attempts:
        if attempt.number == number:
            return attempt
    attempt = Attempt(number, at, "")
    node.attempts.append(attempt)
    return attempt


def _trace(error: BaseException) -> str:
    """The traceback; none for an error that says itself what is wrong, and that no foreign one caused."""
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        seen.add(id(at))
        if not isinstance(at, OdibiError):
            # Without the values of variables, as secrets may be among them.
            return "".join(traceback.format_exception(error, limit=-30))
        at = at.__cause__
    return ""
