"""What the displays make of events and results that a run without plugins does not bring."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from rich.console import Console

import odibi
from odibi.cli.display import JsonLines, Lines, Output, rows_text, seconds
from odibi.cli.live import MOST_ROWS, LiveView
from odibi.cli.progress import Progress
from odibi.cli.report import Failure, NodeRow, plain
from odibi.contracts.engine import Column, FrameInfo
from odibi.contracts.executor import Outcome, State
from odibi.contracts.format import WriteReport
from odibi.errors import DataError
from odibi.events import (
    NodeFinished,
    NodeRetried,
    NodeStarted,
    NodeWarned,
    PluginFailed,
    RunFinished,
    RunStarted,
    StepFinished,
)
from odibi.model import Function, Node, Operation, Read, Sql, Transform, Validation, Write
from odibi.redact import Redactor
from odibi.run.result import RunResult

HEAD = ("run-1", 1, 2.0)
HOSTILE = "\x1b[31mred\x1b[0m\nnext [bold]not bold[/bold]"

FULL = Node(
    "n",
    read=Read("raw", "a.csv"),
    transform=Transform((Sql("SELECT 1"), Operation("pivot"), Function("tidy"))),
    validation=Validation(not_empty=True),
    write=Write("lake", "b.parquet"),
)


def row(node: str = "n", **changes: Any) -> NodeRow:
    base = NodeRow("p", node, "succeeded", 5, 0.5, 1, "", "", 0, "", (), "", None)
    return base._replace(**changes)


def result(state: str = "succeeded", **outcomes: State) -> RunResult:
    states = outcomes or {"n": State.SUCCEEDED}
    return RunResult("run-1", "p", state, {name: Outcome(name, it) for name, it in states.items()}, {}, 0.5)


def kept(node: str, state: State = State.REUSED, **changes: Any) -> NodeFinished:
    return NodeFinished(*HEAD, node, Outcome(node, state, attempts=0, **changes))


def screen(width: int = 120) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, color_system=None, width=width, height=10, highlight=False)


def text_of(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


class TestProgress:
    def test_a_node_is_where_its_events_say(self) -> None:
        progress = Progress([FULL])
        progress.handle(RunStarted(*HEAD, "p", "project", 1, 4))
        progress.handle(NodeStarted(*HEAD, "n", 1, "w"))
        seen = [progress.running()[0].step]
        for step, position in [
            ("read", 0),
            ("sql", 0),
            ("operation", 1),
            ("function", 2),
            ("validate", 0),
            ("write", 0),
        ]:
            progress.handle(StepFinished(*HEAD, "n", step, position, 0.1))
            seen.append(progress.running()[0].step)
        assert seen == [
            "read raw:a.csv",
            "step 1 of 3: sql",
            "step 2 of 3: pivot",
            "step 3 of 3: function tidy",
            "validate",
            "write lake:b.parquet",
            "",
        ]
        progress.handle(NodeStarted(*HEAD, "n", 2, "w"))
        assert (progress.running()[0].step, progress.running()[0].attempt) == ("read raw:a.csv", 2)
        progress.handle(NodeFinished(*HEAD, "n", Outcome("n", State.FAILED, error=KeyError("k"))))
        assert progress.running() == []
        assert progress.failed_in == {"n": "read raw:a.csv"}
        assert (progress.done, progress.total, progress.workers) == (1, 1, 4)


class TestLines:
    def lines(self, capsys: pytest.CaptureFixture[str], *events: Any) -> str:
        view = Lines(Output(Redactor()))
        view.begin(odibi.Pipeline("p", [FULL]), Progress([FULL]))
        for event in events:
            view.handle(event)
        return capsys.readouterr().out

    def test_what_was_written_and_set_aside(self, capsys: pytest.CaptureFixture[str]) -> None:
        info = FrameInfo(1, (Column("a", "int64"),))
        done = Outcome("n", State.SUCCEEDED, finished=10**9, info=info, write=WriteReport(1), quarantined=3)
        assert self.lines(capsys, NodeFinished(*HEAD, "n", done)) == (
            "p.n  succeeded  1 row  1.00 s  -> lake:b.parquet  3 rows quarantined\n"
        )
        kept = attrs.evolve(done, write=WriteReport(None, skipped=True), quarantined=0)
        assert self.lines(capsys, NodeFinished(*HEAD, "n", kept)) == (
            "p.n  succeeded  1 row  1.00 s  kept what was there: lake:b.parquet\n"
        )

    def test_nodes_that_did_not_run_are_counted(self, capsys: pytest.CaptureFixture[str]) -> None:
        many = [kept(f"n{at}") for at in range(1000)]
        ran = NodeFinished(*HEAD, "n", Outcome("n", State.SUCCEEDED))
        loaded = NodeFinished(*HEAD, "m", Outcome("m", State.REUSED))
        started = NodeStarted(*HEAD, "m", 1, "w")
        assert self.lines(capsys, RunStarted(*HEAD, "p", "project", 1002, 4), *many, started, loaded, ran) == (
            "p  started  1,002 nodes  4 workers\np  1,000 reused so far\np.n  succeeded  0.00 s\n"
        )
        finished = RunFinished(*HEAD, "p", "succeeded", {"reused": 1000}, 0.5)
        assert self.lines(capsys, *many, finished) == "", "the end says it"
        assert self.lines(capsys, ran, *many, finished) == "p.n  succeeded  0.00 s\n"

    def test_the_run_that_was_resumed(self, capsys: pytest.CaptureFixture[str]) -> None:
        view = Lines(Output(Redactor()))
        asked: list[str] = []
        for state in (State.REUSED, State.RESTORED):
            view.begin(odibi.Pipeline("p", []), Progress([]), lambda run_id: asked.append(run_id) or "run-0")
            for event in (kept("a", state), NodeStarted(*HEAD, "b", 1, "w"), NodeStarted(*HEAD, "c", 1, "w")):
                view.handle(event)
        assert asked == ["run-1"], "once, and only where something was restored"
        assert capsys.readouterr().out == "p  1 reused so far\np  1 restored so far, from run run-0\n"

    def test_the_end(self, capsys: pytest.CaptureFixture[str]) -> None:
        view = Lines(Output(Redactor()))
        states = {"c": State.RESTORED, "d": State.REUSED, "a": State.SUCCEEDED, "b": State.SUCCEEDED}
        rows = [row("a"), row("b", duration=0.7), row("c", state="restored", duration=9.0), row("d", state="reused")]
        view.finish([result(**states)], rows, "last", {"run-1": "run-0"})
        assert capsys.readouterr().out == (
            "p  succeeded  2 succeeded, 1 reused, 1 restored  0.50 s  resumed run-0\n"
            "slowest: p.b 0.70 s, p.a 0.50 s\n"
            "last\n"
        )
        view.finish([result(a=State.REUSED)], [row(f"n{at}", state="reused", attempts=0) for at in range(9)], "last")
        assert capsys.readouterr().out == "p  succeeded  1 reused  0.50 s\nlast\n"

    def test_warnings(self, capsys: pytest.CaptureFixture[str]) -> None:
        out = self.lines(
            capsys,
            NodeWarned(*HEAD, "n", "rule x: 3 rows\n  a=1"),
            PluginFailed(*HEAD, "watcher 1.0", "handle", ValueError("v"), cut_off=True),
            NodeRetried(*HEAD, "n", 1, 90.0, DataError("odd", remedy="Look.")),
        )
        assert out == (
            "p.n  warning  rule x: 3 rows\n  a=1\n"
            "p  warning  plugin watcher 1.0 failed in handle: ValueError: v; it is told nothing more\n"
            "p.n  attempt 1 failed, again in 1 min 30.0 s  odd\n"
        )

    def test_nothing_can_write_on_the_terminal(self, capsys: pytest.CaptureFixture[str]) -> None:
        failed = Outcome(HOSTILE, State.FAILED, error=ValueError(HOSTILE))
        out = self.lines(capsys, NodeFinished(*HEAD, HOSTILE, failed), NodeWarned(*HEAD, HOSTILE, HOSTILE))
        view = Lines(Output(Redactor()))
        view.finish(
            [result("failed")], [row(HOSTILE, failure=Failure("E", HOSTILE, HOSTILE, HOSTILE, (HOSTILE,), False))], "x"
        )
        captured = capsys.readouterr()
        assert "\x1b" not in out + captured.out + captured.err
        assert out.startswith(r"p.\x1b[31mred\x1b[0m\nnext [bold]not bold[/bold]  failed")


class TestJsonLines:
    def test_events_hold_json_values_alone(self, capsys: pytest.CaptureFixture[str]) -> None:
        view = JsonLines(Output(Redactor()))
        view.begin(odibi.Pipeline("p", []), Progress([]))
        detail = {"path": io, "set": {1}, "state": State.FAILED, 5: (1.5, None, True)}
        view.handle(StepFinished(*HEAD, "n", "sql", 0, 0.5, 3, detail))
        view.handle(NodeRetried(*HEAD, "n", 1, 0.5, DataError("odd", remedy="Look.")))
        step, retried = map(json.loads, capsys.readouterr().out.splitlines())
        assert step["event"] == "step_finished"
        assert step["detail"]["5"] == [1.5, None, True]
        assert step["detail"]["state"] == "failed"
        assert retried["error"] == {"type": "DataError", "message": "odd", "remedy": "Look."}

    def test_a_value_that_a_node_made_is_left_out(self) -> None:
        assert "value" not in plain(Outcome("n", State.SUCCEEDED, value=object()))

    def test_the_summary(self, capsys: pytest.CaptureFixture[str]) -> None:
        view = JsonLines(Output(Redactor()))
        view.finish(
            [result(), result("cancelled")],
            [row(target="lake:x", written="/x", warnings=("w",))],
            "last",
            {"run-1": "run-0"},
        )
        summary = json.loads(capsys.readouterr().out)
        assert summary["runs"][0]["resumes"] == "run-0"
        assert (summary["state"], summary["ok"], summary["message"]) == ("cancelled", False, "last")
        assert summary["runs"][0]["nodes"][0]["written"] == "/x"


class TestLiveView:
    def view(self, console: Console, redactor: Redactor | None = None) -> LiveView:
        return LiveView(console, redactor or Redactor())

    def test_a_line_a_running_node_while_it_goes_on(self) -> None:
        console = screen()
        nodes = [Node(f"n{at}", read=Read("raw", f"{at}.csv")) for at in range(12)]
        progress = Progress(nodes)
        view = self.view(console)
        view.begin(odibi.Pipeline("p", nodes), progress)
        progress.handle(NodeStarted(*HEAD, "n0", 1, "w"))
        progress.handle(NodeFinished(*HEAD, "n0", Outcome("n0", State.SKIPPED)))
        for at in range(1, 12):
            progress.handle(NodeStarted(*HEAD, f"n{at}", at, "w"))
        console.print(view._render())
        view.close()
        view.close()
        text = text_of(console)
        assert "p  1 of 12 nodes done, 11 running, 1 skipped" in text
        assert "n1 " in text
        assert "n2 (attempt 2)" in text
        assert "read raw:1.csv" in text
        assert "and 5 more" in text
        assert text.endswith("\x1b[?25h") or "\x1b[?25h" in text.rpartition("and 5 more")[2]

    def test_nodes_that_did_not_run_are_counted(self) -> None:
        console = screen()
        nodes = [Node(f"n{at}") for at in range(1001)]
        progress = Progress(nodes)
        view = self.view(console)
        view.begin(odibi.Pipeline("p", nodes), progress, lambda _: "run-0")
        events = [kept(f"n{at}", State.RESTORED if at % 4 else State.REUSED) for at in range(1000)]
        for event in (*events, NodeStarted(*HEAD, "n1000", 1, "w")):
            progress.handle(event)
            view.handle(event)
        console.print(view._render())
        view.close()
        rows = [row(event.node, state=event.outcome.state.value, attempts=0) for event in events]
        counts = {event.node: event.outcome.state for event in events}
        view.finish([result(**counts, n1000=State.SUCCEEDED)], [*rows, row("n1000")], "last", {"run-1": "run-0"})
        text = text_of(console)
        assert "p  1,000 of 1,001 nodes done, 1 running, 250 reused, 750 restored" in text
        assert "p  250 reused, 750 restored so far, from run run-0" in text
        table = text.rpartition("outcome")[2]
        assert "p  succeeded  1 succeeded, 250 reused, 750 restored  0.50 s  resumed run-0" in table
        assert [line.split()[0] for line in table.splitlines()[1:]] == ["n1000", "p", "slowest:", "last"]

    def test_failures_and_remarks_show_at_once(self) -> None:
        console = screen()
        view = self.view(console)
        view.begin(odibi.Pipeline("p", [FULL]), Progress([FULL]))
        view.handle(NodeFinished(*HEAD, "n", Outcome("n", State.FAILED, error=KeyError("gone"))))
        view.handle(NodeFinished(*HEAD, "m", Outcome("m", State.SUCCEEDED)))
        view.handle(NodeWarned(*HEAD, "n", "careful"))
        view.note("finishing")
        view.close()
        text = text_of(console)
        for expected in ("p.n  failed  KeyError: 'gone'", "p.n  warning  careful", "finishing"):
            assert expected in text
        assert "p.m" not in text

    def test_a_table_with_everything(self) -> None:
        console = screen()
        failure = Failure("E", "validate", "it broke", "Mend it.", ("note",), True)
        rows = [
            row(
                "a",
                target="lake:a.parquet",
                written="/lake/a.parquet",
                quarantined=2,
                quarantine="/bad/a.parquet",
                rows=1234567,
            ),
            row("b", state="failed", rows=None, failure=failure),
            row("c", state="skipped", rows=None, attempts=0),
            row("d", duration=61.0),
        ]
        self.view(console).finish([result("failed")], rows, "failed: 2 of 4")
        lines = [line.rstrip() for line in text_of(console).splitlines()]
        assert "a     succeeded         1,234,567        0.50 s  lake:a.parquet, 2 rows quarantined" in lines
        assert "b     failed (ignored)                   0.50 s" in lines
        assert "c     skipped" in lines
        assert "slowest: p.d 1 min 01.0 s, p.a 0.50 s, p.b 0.50 s" in lines
        assert "quarantined: p.a  2 rows -> /bad/a.parquet" in lines
        assert "p.b failed (ignored)" in lines
        assert "  remedy: Mend it." in lines
        assert lines[-1] == "failed: 2 of 4"

    def test_several_pipelines_have_a_heading_each(self) -> None:
        console = screen()
        rows = [row("a"), row("b"), row("c", pipeline="q")]
        self.view(console).finish([result(), result()], rows, "done")
        lines = [line.split("  succeeded")[0].rstrip() for line in text_of(console).splitlines()]
        assert lines[1:6] == ["p", "  a", "  b", "q", "  c"]

    def test_a_thousand_nodes_are_folded(self) -> None:
        console = screen()
        rows = [row(f"n{at}", written="/x" if at == 900 else "") for at in range(1000)]
        self.view(console).finish([result()], rows, "done")
        text = text_of(console)
        assert "n900" in text
        assert "and 999 more" in text
        assert len(text.splitlines()) < MOST_ROWS

    @pytest.mark.parametrize(
        "show", [lambda view: view.note("pass-word"), lambda view: view.handle(warned("pass-word"))]
    )
    def test_secrets_are_masked(self, show: Callable[[LiveView], None]) -> None:
        redactor = Redactor()
        redactor.register("pass-word")
        console = screen()
        show(self.view(console, redactor))
        assert "pass-word" not in text_of(console)
        assert "***" in text_of(console)

    def test_names_mean_nothing(self) -> None:
        console = screen()
        view = self.view(console)
        view.handle(warned(HOSTILE))
        view.finish([result()], [row(HOSTILE, target=HOSTILE)], "done")
        assert "\x1b" not in text_of(console)
        assert "[bold]not bold[/bold]" in text_of(console)


def warned(message: str) -> NodeWarned:
    return NodeWarned(*HEAD, "n", message)


@pytest.mark.parametrize(
    ("duration", "text"), [(0, "0.00 s"), (59.994, "59.99 s"), (60, "1 min 00.0 s"), (3723.4, "62 min 03.4 s")]
)
def test_durations(duration: float, text: str) -> None:
    assert seconds(duration) == text


def test_rows() -> None:
    assert [rows_text(number) for number in (None, 0, 1, 2)] == ["", "0 rows", "1 row", "2 rows"]
