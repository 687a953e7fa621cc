"""Shows a run: as lines in a pipe, as JSON for tools. (:mod:`odibi.cli.live` is for terminals.)"""

from __future__ import annotations

import json
import os
import re
import sys
from typing import TYPE_CHECKING, Any

from odibi.cli.project import plural
from odibi.cli.report import cause_of, plain, row_count
from odibi.contracts.executor import State
from odibi.draw import place_of, visible
from odibi.events import NodeFinished, NodeRetried, NodeWarned, PluginFailed, RunFinished, RunStarted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from odibi.api import Pipeline
    from odibi.cli.progress import Progress
    from odibi.cli.report import NodeRow
    from odibi.events import Event
    from odibi.redact import Redactor
    from odibi.run.result import RunResult

MOST_NAMES = 10
SLOWEST = 3
KEPT = (State.REUSED.value, State.RESTORED.value)
"""Outcomes of nodes that did not run; there may be thousands, so they are counted and not listed."""


class Output:
    """Writes lines without secrets. Once whoever reads is gone it writes nothing: a run does not end for that."""

    def __init__(self, redactor: Redactor) -> None:
        self.redactor = redactor
        self._gone: set[str] = set()

    def line(self, text: str = "") -> None:
        """A line on stdout."""
        self._write("stdout", self.redactor.redact(text) + "\n")

    def data(self, value: Mapping[str, Any]) -> None:
        """A line of JSON on stdout."""
        self._write("stdout", json.dumps(self.redactor.scrub(plain(value))) + "\n")

    def error(self, text: str) -> None:
        """A line on stderr."""
        self._write("stderr", self.redactor.redact(text) + "\n")

    def _write(self, name: str, text: str) -> None:
        if name in self._gone:
            return
        stream = getattr(sys, name)
        try:
            stream.write(text)
            stream.flush()
        except BrokenPipeError:
            self._gone.add(name)
            # Or the interpreter would complain about what is still buffered when it flushes at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class Kept:
    """Counts the nodes of a run that need not run, until the first thing happens to one that does.

    Args:
        resumed: says which run a run goes on with, by its id.
    """

    def __init__(self, resumed: Callable[[str], str] | None = None) -> None:
        self._resumed = resumed
        self._counts: dict[str, int] = {}
        self._over = False

    def said(self, event: Event) -> str:
        """What is to be said before this event; mostly nothing."""
        if self._over or isinstance(event, RunStarted):
            return ""
        if isinstance(event, NodeFinished) and event.outcome.state.value in KEPT:
            state = event.outcome.state.value
            self._counts[state] = self._counts.get(state, 0) + 1
            return ""
        self._over = True
        if not self._counts or isinstance(event, RunFinished):  # then what comes next says it
            return ""
        resumed = (
            self._resumed(event.run_id) if self._resumed is not None and State.RESTORED.value in self._counts else ""
        )
        return f"{counts_text(self._counts)} so far" + (f", from run {resumed}" if resumed else "")


class Lines:
    """A line an event, for pipes and files: no control characters, nothing that moves."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._pipeline = ""
        self._written: dict[str, str] = {}
        self._kept = Kept()

    def begin(
        self,
        pipeline: Pipeline,
        progress: Progress,  # noqa: ARG002
        resumed: Callable[[str], str] | None = None,
    ) -> None:
        """The next events are about this pipeline."""
        self._pipeline = visible(pipeline.name)
        self._kept = Kept(resumed)
        self._written = {node.name: str(place_of(node.write)) for node in pipeline.model.nodes if node.write}

    def handle(self, event: Event) -> None:
        """Print one event, if it is worth a line."""
        if before := self._kept.said(event):
            self._output.line(f"{self._pipeline}  {before}")
        if isinstance(event, RunStarted):
            workers = plural(event.workers, "worker")
            self._output.line(f"{self._pipeline}  started  {plural(event.nodes, 'node')}  {workers}")
        elif isinstance(event, NodeFinished):
            outcome = event.outcome
            if outcome.attempts and outcome.state.value not in KEPT:  # the others are summed up
                cells = [outcome.state.value, rows_text(row_count(outcome)), seconds(outcome.duration)]
                if outcome.state.good and outcome.write is not None:
                    skipped = "kept what was there: " if outcome.write.skipped else "-> "
                    cells.append(skipped + visible(self._written.get(event.node, "")))
                if outcome.quarantined:
                    cells.append(f"{rows_text(outcome.quarantined)} quarantined")
                if outcome.error is not None:
                    cells.append(first_line(cause_of(outcome.error)))
                self._say(event.node, *cells)
        else:
            said = remark(event)
            if said is not None:
                node, *cells = said
                self._say(node, *cells)

    def close(self) -> None:
        """The run is over; the lines were flushed one by one."""

    def note(self, text: str) -> None:
        """Something that concerns the whole run."""
        self._output.error(text)

    def finish(
        self,
        results: Sequence[RunResult],
        rows: Sequence[NodeRow],
        last: str,
        resumed: Mapping[str, str] | None = None,
    ) -> None:
        """What came of everything."""
        for result in results:
            self._output.line("  ".join([visible(result.pipeline), *ending(result, resumed or {})]))
        if slowest(rows):
            self._output.line(f"slowest: {slowest(rows)}")
        for line in leftovers(rows):
            self._output.line(line)
        for line in failures(rows):
            self._output.error(line)
        self._output.line(last)

    def _say(self, node: str, *cells: str) -> None:
        name = f"{self._pipeline}.{visible(node)}" if node else self._pipeline
        self._output.line("  ".join([name, *(cell for cell in cells if cell)]))


class JsonLines:
    """A line of JSON an event; the last one is the summary."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._pipeline = ""

    def begin(
        self,
        pipeline: Pipeline,
        progress: Progress,  # noqa: ARG002
        resumed: Callable[[str], str] | None = None,  # noqa: ARG002
    ) -> None:
        """The next events are about this pipeline."""
        self._pipeline = pipeline.name

    def handle(self, event: Event) -> None:
        """Print one event."""
        kind = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(event).__name__).lower()
        data = {"event": kind, "pipeline": self._pipeline, **plain(event)}
        if isinstance(event, NodeFinished):
            data["outcome"] = {**data["outcome"], "duration": event.outcome.duration}
        self._output.data(data)

    def close(self) -> None:
        """The run is over; the lines were flushed one by one."""

    def note(self, text: str) -> None:
        """Something that concerns the whole run."""
        self._output.error(text)

    def finish(
        self,
        results: Sequence[RunResult],
        rows: Sequence[NodeRow],
        last: str,
        resumed: Mapping[str, str] | None = None,
    ) -> None:
        """The summary, as the last line."""
        runs = [
            {
                "run_id": result.run_id,
                "pipeline": result.pipeline,
                "state": result.state,
                "resumes": (resumed or {}).get(result.run_id),
                "duration": result.duration,
                "counts": result.counts(),
                "nodes": [_node_data(row) for row in rows if row.pipeline == result.pipeline],
            }
            for result in results
        ]
        states = [result.state for result in results]
        state = next((each for each in ("failed", "cancelled") if each in states), "succeeded")
        ok = all(result.ok for result in results)
        self._output.data({"event": "summary", "ok": ok, "state": state, "message": last, "runs": runs})


def _node_data(row: NodeRow) -> dict[str, Any]:
    data = row._asdict()
    del data["pipeline"]
    data["failure"] = row.failure._asdict() if row.failure is not None else None
    return data


# --- wording --------------------------------------------------------------------------------------------------------


def seconds(duration: float) -> str:
    """A duration for people."""
    if duration < 60:
        return f"{duration:.2f} s"
    return f"{int(duration // 60)} min {duration % 60:04.1f} s"


def rows_text(rows: int | None) -> str:
    """``1 row``, ``2 rows``; empty if the number is not known."""
    return "" if rows is None else f"{rows} row{'' if rows == 1 else 's'}"


def remark(event: Event) -> tuple[str, ...] | None:
    """Node (or empty) and words for an event that people should know at once; ``None`` for others."""
    if isinstance(event, NodeRetried):
        error = first_line(cause_of(event.error))
        return event.node, f"attempt {event.attempt} failed, again in {seconds(event.delay)}", error
    if isinstance(event, NodeWarned):
        return event.node, "warning", visible_lines(event.message)
    if isinstance(event, PluginFailed):
        more = "; it is told nothing more" if event.cut_off else ""
        return "", "warning", visible(f"plugin {event.plugin} failed in {event.hook}: {cause_of(event.error)}{more}")
    return None


def first_line(text: str) -> str:
    """The first line of the text, with what does not print escaped."""
    return visible(text.partition("\n")[0])


def visible_lines(text: str) -> str:
    """The text with its line breaks, and every other control character escaped."""
    return "\n".join(map(visible, text.splitlines()))


def counts_text(counts: Mapping[str, int]) -> str:
    """``3 succeeded, 1,000 reused``: outcomes with how often they came, the good ones first."""
    return ", ".join(f"{counts[state.value]:,} {state.value}" for state in State if counts.get(state.value))


def ending(result: RunResult, resumed: Mapping[str, str]) -> list[str]:
    """How a run ended: its state, its nodes, how long it took, and which run it went on with."""
    said = [result.state, counts_text(result.counts()), seconds(result.duration)]
    if before := resumed.get(result.run_id):
        said.append(f"resumed {before}")
    return said


def slowest(rows: Sequence[NodeRow]) -> str:
    """The nodes that took longest; empty if there are too few for that to be of interest."""
    ran = [row for row in rows if row.attempts and row.state not in KEPT]
    if len(rows) <= SLOWEST or not ran:
        return ""
    most = sorted(ran, key=lambda row: -row.duration)[:SLOWEST]
    return ", ".join(f"{visible(row.name)} {seconds(row.duration)}" for row in most)


def leftovers(rows: Sequence[NodeRow]) -> list[str]:
    """Rows that were set aside, and nodes that never ran, folded."""
    lines = [
        f"quarantined: {visible(row.name)}  {rows_text(row.quarantined)} -> {visible(row.quarantine)}"
        for row in rows
        if row.quarantined
    ]
    for state in ("skipped", "cancelled"):
        names = [visible(row.name) for row in rows if row.state == state]
        if names:
            more = f", and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
            lines.append(f"{state} ({len(names)}): {', '.join(names[:MOST_NAMES])}{more}")
    return lines


def failures(rows: Sequence[NodeRow]) -> list[str]:
    """For each failed node a few lines: what it was doing, what went wrong, what to do."""
    lines = []
    for row in rows:
        failure = row.failure
        if failure is None:
            continue
        tried = f" after {row.attempts} attempts" if row.attempts > 1 else ""
        lines.append(f"\n{visible(row.name)} failed{tried}{' (ignored)' if failure.ignored else ''}")
        said = [("step", failure.step), ("cause", failure.cause), ("remedy", failure.remedy)]
        said += [("note", note) for note in failure.notes]
        lines += [f"  {what + ':':8}{visible_lines(text)}" for what, text in said if text]
    return lines
