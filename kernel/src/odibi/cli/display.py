"""Shows a run: as lines in a pipe, as JSON for tools. (:mod:`odibi.cli.live` is for terminals.)"""

from __future__ import annotations

import json
import os
import re
import sys
from typing import TYPE_CHECKING, Any

from odibi.cli.project import plural
from odibi.cli.report import cause_of, plain, row_count
from odibi.draw import place_of, visible
from odibi.events import NodeFinished, NodeRetried, NodeWarned, PluginFailed, RunStarted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from odibi.api import Pipeline
    from odibi.cli.progress import Progress
    from odibi.cli.report import NodeRow
    from odibi.events import Event
    from odibi.redact import Redactor
    from odibi.run.result import RunResult

MOST_NAMES = 10
SLOWEST = 3


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


class Lines:
    """A line an event, for pipes and files: no control characters, nothing that moves."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._pipeline = ""
        self._written: dict[str, str] = {}

    def begin(self, pipeline: Pipeline, progress: Progress) -> None:  # noqa: ARG002
        """The next events are about this pipeline."""
        self._pipeline = visible(pipeline.name)
        self._written = {node.name: str(place_of(node.write)) for node in pipeline.model.nodes if node.write}

    def handle(self, event: Event) -> None:
        """Print one event, if it is worth a line."""
        if isinstance(event, RunStarted):
            workers = plural(event.workers, "worker")
            self._output.line(f"{self._pipeline}  started  {plural(event.nodes, 'node')}  {workers}")
        elif isinstance(event, NodeFinished):
            outcome = event.outcome
            if outcome.attempts:  # those that never started are summed up at the end
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

    def finish(self, results: Sequence[RunResult], rows: Sequence[NodeRow], last: str) -> None:
        """What came of everything."""
        for result in results:
            counts = ", ".join(f"{number} {state}" for state, number in result.counts().items())
            self._output.line(f"{visible(result.pipeline)}  {result.state}  {counts}  {seconds(result.duration)}")
        if len(rows) > SLOWEST:
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

    def begin(self, pipeline: Pipeline, progress: Progress) -> None:  # noqa: ARG002
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

    def finish(self, results: Sequence[RunResult], rows: Sequence[NodeRow], last: str) -> None:
        """The summary, as the last line."""
        runs = [
            {
                "run_id": result.run_id,
                "pipeline": result.pipeline,
                "state": result.state,
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


def slowest(rows: Sequence[NodeRow]) -> str:
    """The nodes that took longest."""
    most = sorted(rows, key=lambda row: -row.duration)[:SLOWEST]
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
