"""Shows a run on a terminal: a line a running node while it goes on, a table when it is over."""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from odibi.cli.display import (
    KEPT,
    Kept,
    counts_text,
    ending,
    failures,
    first_line,
    leftovers,
    remark,
    rows_text,
    seconds,
    slowest,
)
from odibi.cli.project import plural
from odibi.cli.report import cause_of
from odibi.draw import visible
from odibi.events import NodeFinished

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from odibi.api import Pipeline
    from odibi.cli.progress import Progress
    from odibi.cli.report import NodeRow
    from odibi.events import Event
    from odibi.redact import Redactor
    from odibi.run.result import RunResult

MOST_ROWS = 60
"""Nodes that the table at the end shows; of more, those that succeeded without a remark are folded."""

_STYLES = {
    "succeeded": "green", "reused": "cyan", "restored": "cyan",
    "failed": "bold red", "skipped": "yellow", "cancelled": "yellow",
}  # fmt: skip


class LiveView:
    """Draws on a terminal through rich.

    Args:
        console: the terminal.
        redactor: masks the project's secrets.
    """

    def __init__(self, console: Console, redactor: Redactor) -> None:
        self._console = console
        self._redactor = redactor
        self._pipeline = ""
        self._progress: Progress | None = None
        self._live: Live | None = None
        self._kept = Kept()

    def begin(self, pipeline: Pipeline, progress: Progress, resumed: Callable[[str], str] | None = None) -> None:
        """Show this pipeline's run from now on."""
        self._pipeline = visible(pipeline.name)
        self._kept = Kept(resumed)
        self._progress = progress
        self._live = Live(
            get_renderable=self._render, console=self._console, refresh_per_second=8, transient=True, screen=False
        )
        self._live.start()

    def handle(self, event: Event) -> None:
        """Print failures and remarks above the lines that move; all else shows in those."""
        if before := self._kept.said(event):
            self._print(f"{self._pipeline}  {before}", "cyan")
        said = remark(event)
        if isinstance(event, NodeFinished) and event.outcome.error is not None and event.outcome.attempts:
            said = (event.node, event.outcome.state.value, first_line(cause_of(event.outcome.error)))
        if said is not None:
            node, *words = said
            self._print("  ".join([f"{self._pipeline}.{visible(node)}" if node else self._pipeline, *words]), "yellow")

    def close(self) -> None:
        """The run is over: take the moving lines away."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def note(self, text: str) -> None:
        """Something that concerns the whole run."""
        self._print(text, "bold yellow")

    def finish(
        self,
        results: Sequence[RunResult],
        rows: Sequence[NodeRow],
        last: str,
        resumed: Mapping[str, str] | None = None,
    ) -> None:
        """The table, what was slowest, what failed, and where everything is."""
        listed = [row for row in rows if row.state not in KEPT or _is_remarkable(row)]
        if listed:
            self._console.print(self._table(listed, len(results) > 1))
        for result in results:
            if result.run_id in (resumed or {}) or any(state in KEPT for state in result.counts()):
                self._print("  ".join([visible(result.pipeline), *ending(result, resumed or {})]), "cyan")
        if slowest(rows):
            self._print(f"slowest: {slowest(rows)}", "dim")
        for line in leftovers(rows):
            self._print(line, "yellow")
        for line in failures(rows):
            self._print(line, "red")
        good = all(result.ok for result in results)
        self._print(last, "bold green" if good else "bold red")

    def _print(self, text: str, style: str) -> None:
        self._console.print(self._text(text, style), soft_wrap=True)

    def _text(self, text: str, style: str = "") -> Text:
        return Text(self._redactor.redact(text), style=style)

    def _render(self) -> RenderableType:
        progress = self._progress
        if progress is None:
            return Text()
        running = progress.running()
        room = max(1, self._console.height - 4)
        lines = Table.grid(padding=(0, 2))
        now = monotonic_ns()
        for each in running[:room]:
            again = f" (attempt {each.attempt})" if each.attempt > 1 else ""
            lines.add_row(
                self._text(f"  {visible(each.node)}{again}", "bold"),
                self._text(seconds((now - each.since) / 1e9), "cyan"),
                self._text(visible("; ".join(filter(None, (each.step, each.far)))), "dim"),
            )
        folded = [Text(f"  and {len(running) - room} more", "dim")] if len(running) > room else []
        counts = dict(progress.counts)
        counts.pop("succeeded", None)
        also = f", {counts_text(counts)}" if counts else ""
        done = f"{progress.done:,} of {plural(progress.total, 'node')} done"
        head = f"{self._pipeline}  {done}, {len(running)} running{also}"
        return Group(self._text(head, "bold"), lines, *folded)

    def _table(self, rows: Sequence[NodeRow], many: bool) -> Table:
        shown = rows if len(rows) <= MOST_ROWS else [row for row in rows if _is_remarkable(row)][:MOST_ROWS]
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        table.add_column("node", overflow="fold")
        table.add_column("outcome", no_wrap=True)
        table.add_column("rows", justify="right", no_wrap=True)
        table.add_column("time", justify="right", no_wrap=True)
        table.add_column("written", overflow="fold")
        pipeline = ""
        for row in shown:
            if many and row.pipeline != pipeline:
                pipeline = row.pipeline
                table.add_row(self._text(visible(pipeline), "bold"))
            outcome = "failed (ignored)" if row.failure is not None and row.failure.ignored else row.state
            written = [visible(row.target)] if row.target else []
            if row.quarantined:
                written.append(f"{rows_text(row.quarantined)} quarantined")
            table.add_row(
                self._text(f"{'  ' if many else ''}{visible(row.node)}"),
                Text(outcome, _STYLES.get(row.state, "")),
                "" if row.rows is None else f"{row.rows:,}",
                seconds(row.duration) if row.attempts else "",
                self._text(", ".join(written)),
            )
        if len(shown) < len(rows):
            table.add_row(Text(f"and {len(rows) - len(shown):,} more", "dim"))
        return table


def _is_remarkable(row: NodeRow) -> bool:
    return bool(row.failure or row.warnings or row.quarantined or row.written)
