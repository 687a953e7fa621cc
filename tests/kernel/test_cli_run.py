"""``odibi run``, with functions as nodes and with a toy engine, without any real plugin."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import types
from pathlib import Path
from typing import Any

import pytest

from odibi.cli import display
from odibi.cli.main import main

PROJECT = """\
project: demo
engine: null
pipelines:
  - pipeline: first
    nodes:
      - {name: one, function: one}
      - {name: two, function: two, depends_on: [one]}
  - pipeline: second
    nodes:
      - {name: a, function: one}
      - {name: b, function: boom, depends_on: [a]}
      - {name: c, function: last, depends_on: [b]}
      - {name: d, function: last, depends_on: [b]}
  - pipeline: third
    nodes:
      - {name: e, function: one}
"""
TRANSFORMS = """
def one(): return 1
def two(one): return one + 1
def last(b): return b
def boom(a): raise KeyError("missing thing")
"""
GOOD = PROJECT.replace("function: boom", "function: passes")
RUN_ID = re.compile(r"\d{8}T\d{6}\.\d{6}-\w+")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zoo) -> Path:
    """A folder with a project, and the working folder."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "odibi.yaml").write_text(PROJECT)
    (folder / "transforms.py").write_text(TRANSFORMS + "def passes(a): return a\n")
    monkeypatch.chdir(folder)
    return folder


def said(capsys: pytest.CaptureFixture[str], code: int, *arguments: str) -> tuple[str, str]:
    """stdout and stderr of ``odibi run``, which ends with ``code``; durations are written as ``_``."""
    assert main(["run", *arguments]) == code, capsys.readouterr()
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    return re.sub(r"\d+\.\d\d s", "_ s", out), err


def json_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


class TestLines:
    def test_a_run_that_succeeds(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        out, err = said(capsys, 0, "-p", "first", "--workers", "1")
        assert err == ""
        assert out == (
            "first  started  2 nodes  1 worker\n"
            "first.one  succeeded  _ s\n"
            "first.two  succeeded  _ s\n"
            "first  succeeded  2 succeeded  _ s\n"
            "succeeded: 2 of 2 nodes in _ s\n"
        )

    def test_a_run_that_fails(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        out, err = said(capsys, 1, "-p", "second", "-p", "third", "--workers", "1")
        assert out == (
            "second  started  4 nodes  1 worker\n"
            "second.a  succeeded  _ s\n"
            f"second.b  failed  _ s  KeyError: 'missing thing' ({project}/transforms.py, line 5)\n"
            "second  failed  1 succeeded, 1 failed, 2 skipped  _ s\n"
            + next(line for line in out.splitlines(keepends=True) if line.startswith("slowest: "))
            + "skipped (2): second.c, second.d\n"
            "failed: 1 of 4 nodes in _ s; not run: third\n"
        )
        assert err == (
            "\nsecond.b failed\n"
            "  step:   function\n"
            f"  cause:  KeyError: 'missing thing' ({project}/transforms.py, line 5)\n"
        )

    def test_the_pipelines_run_one_after_another(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (project / "odibi.yaml").write_text(GOOD)
        out, _ = said(capsys, 0)
        assert re.findall(r"(\w+)  started", out) == ["first", "second", "third"]
        assert out.splitlines()[-1] == "succeeded: 7 of 7 nodes in _ s"

    def test_errors_can_be_put_off_or_ignored(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        out, err = said(capsys, 0, "-p", "second", "--on-error", "ignore")
        assert "second.b failed (ignored)" in err
        assert "second  succeeded" in out
        text = PROJECT.replace("{name: d, function: last, depends_on: [b]}", "{name: z, function: one}")
        (project / "odibi.yaml").write_text(text.replace("name: a", "name: a, on_error: ignore"))
        out, _ = said(capsys, 1, "-p", "second", "--on-error", "fail_later", "--workers", "1")
        assert "second.z  succeeded" in out

    def test_names_of_many_skipped_nodes_are_folded(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        more = "".join(f"      - {{name: m{at}, function: last, depends_on: [b]}}\n" for at in range(20))
        (project / "odibi.yaml").write_text(PROJECT.replace("  - pipeline: third\n", more + "  - pipeline: third\n"))
        out, _ = said(capsys, 1, "-p", "second")
        assert "skipped (22): second.c, second.d, second.m0, " in out
        assert ", second.m7, and 12 more\n" in out

    def test_retries_show(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        code = "tries = []\ndef boom(a):\n    tries.append(1)\n    if len(tries) < 3: "
        code += "raise OSError('busy\\nline')\n    return 1\n"
        (project / "transforms.py").write_text(TRANSFORMS.replace("def boom", "def _boom") + code)
        retry = "retry: {max_attempts: 3, delay: 0, retry_on: [OSError]}\n"
        (project / "odibi.yaml").write_text(retry + PROJECT)
        out, _ = said(capsys, 0, "-p", "second")
        assert "second.b  attempt 1 failed, again in _ s  OSError: busy line" in out
        (project / "odibi.yaml").write_text(PROJECT.replace("engine: null", "engine: null\n" + retry))
        code = code.replace("if len(tries) < 3: ", "")
        (project / "transforms.py").write_text(TRANSFORMS.replace("def boom", "def _boom") + code)
        _, err = said(capsys, 1, "-p", "second")
        assert "second.b failed after 3 attempts" in err


class TestChoices:
    def test_selections_and_targets_reach_across_pipelines(
        self, project: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out, _ = said(capsys, 0, "--select", "two", "--select", "e", "--workers", "1")
        assert re.findall(r"(\S+)  succeeded  _", out) == ["first.one", "first.two", "third.e"]
        out, _ = said(capsys, 0, "--target", "two", "--target", "e", "--workers", "1")
        assert re.findall(r"(\S+)  succeeded  _", out) == ["first.one", "first.two", "third.e"]
        out, _ = said(capsys, 0, "--select", "one,e")
        assert re.findall(r"(\S+)  succeeded  _", out) == ["first.one", "third.e"]

    def test_what_is_nowhere(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        _, err = said(capsys, 2, "--select", "two,twoo", "--target", "enne")
        assert "the selection 'twoo' matches no node. Did you mean 'two'?" in err
        assert "the target 'enne' matches no node." in err
        _, err = said(capsys, 2, "-p", "fourth")
        assert "there is no pipeline 'fourth'" in err
        _, err = said(capsys, 2, "--select", "one", "--target", "e")
        assert "no pipeline holds both" in err

    def test_dry_run(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        out, _ = said(capsys, 0, "--dry-run", "-p", "second", "--target", "c")
        assert [line.split()[:2] for line in out.splitlines()] == [
            ["second", "3"],
            ["run", "a"],
            ["run", "b"],
            ["run", "c"],
            ["3", "run,"],
        ]
        assert out.splitlines()[-2].endswith("  a target")
        out, _ = said(capsys, 0, "--dry-run", "--json")
        (plan,) = json_lines(out)
        assert plan["event"] == "plan"
        assert [each["pipeline"] for each in plan["pipelines"]] == ["first", "second", "third"]
        first = plan["pipelines"][0]
        assert [(node["node"], node["action"]) for node in first["nodes"]] == [("one", "run"), ("two", "run")]
        assert all(node["reason"] for node in first["nodes"])

    def test_executors_and_workers(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        out, _ = said(capsys, 0, "-p", "first", "--workers", "3")
        assert "3 workers" in out
        out, _ = said(capsys, 0, "-p", "first", "--executor", "inline")
        assert "1 worker\n" in out
        _, err = said(capsys, 2, "--workers", "0")
        assert "--workers" in err

    @pytest.mark.parametrize("option", ["--engine", "--executor"])
    def test_what_is_not_installed(self, project: Path, capsys: pytest.CaptureFixture[str], option: str) -> None:
        _, err = said(capsys, 3, "-p", "first", option, "quantum")
        assert "No installed plugin offers the" in err
        assert "'quantum'" in err

    def test_what_is_not_installed_in_json(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        out, err = said(capsys, 3, "-p", "first", "--executor", "quantum", "--json")
        (line,) = json_lines(out)
        assert line["event"] == "error"
        assert "'quantum'" in line["problems"][0]["what"]
        assert "'quantum'" in err

    def test_a_pipeline_named_twice_runs_once(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        out, _ = said(capsys, 0, "-p", "first", "-p", "first")
        assert out.count("started") == 1

    def test_environments(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        _, err = said(capsys, 2, "--env", "prod")
        assert "prod" in err


class TestJson:
    def test_a_line_an_event_and_the_summary_last(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        out, err = said(capsys, 1, "--json", "-p", "first", "-p", "second", "--workers", "1")
        lines = json_lines(out)
        assert [line["event"] for line in lines[:6]] == [
            "run_started", "node_started", "node_finished", "node_started", "node_finished", "run_finished",
        ]  # fmt: skip
        assert lines[0]["pipeline"] == "first"
        assert RUN_ID.fullmatch(lines[0]["run_id"])
        assert lines[2]["outcome"]["state"] == "succeeded"
        assert "value" not in lines[2]["outcome"]
        summary = lines[-1]
        assert (summary["event"], summary["ok"], summary["state"]) == ("summary", False, "failed")
        first, second = summary["runs"]
        assert (first["pipeline"], first["state"], first["counts"]) == ("first", "succeeded", {"succeeded": 2})
        assert [node["state"] for node in second["nodes"]] == ["succeeded", "failed", "skipped", "skipped"]
        failure = second["nodes"][1]["failure"]
        assert failure["kind"] == "KeyError"
        assert failure["step"] == "function"
        assert "missing thing" in failure["cause"]
        assert second["nodes"][2]["reason"] == "'b', which it needs, failed"
        assert err == ""

    def test_a_project_that_does_not_load(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (project / "odibi.yaml").write_text(PROJECT.replace("pipelines:", "pipelins:"))
        out, err = said(capsys, 2, "--json")
        (line,) = json_lines(out)
        assert line["event"] == "error"
        assert line["problems"][0]["line"] == 3
        assert "Did you mean 'pipelines'?" in err


class TestLogs:
    def test_events_are_logged_where_somebody_asked(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        _, err = said(capsys, 0, "-p", "first")
        assert err == ""
        _, err = said(capsys, 0, "-p", "first", "--log-level", "info")
        assert "node finished" in err
        assert "node started" not in err
        _, err = said(capsys, 0, "-p", "first", "--log-level", "debug")
        assert "node started" in err

    def test_a_project_may_ask_for_structured_logs(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        logging = "logging: {structured: true, metadata: {team: data}}\n"
        (project / "odibi.yaml").write_text(PROJECT.replace("engine: null\n", f"engine: null\n{logging}"))
        _, err = said(capsys, 0, "-p", "first")
        lines = json_lines(err)
        assert {line["event"] for line in lines} == {"run started", "node finished", "run finished"}
        assert {line["team"] for line in lines} == {"data"}

    def test_a_node_may_have_a_level_of_its_own(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (project / "odibi.yaml").write_text(PROJECT.replace("name: two,", "name: two, log_level: DEBUG,"))
        _, err = said(capsys, 0, "-p", "first", "--log-level", "error")
        assert re.findall(r"node=(\w+)", err) == ["two", "two"]


class TestInterrupts:
    """A node sends the signal to its own process, and waits at a gate until the command has taken note of it."""

    @pytest.fixture
    def gate(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        gate = types.ModuleType("odibi_test_gate")
        gate.noted = [threading.Event(), threading.Event()]  # type: ignore[attr-defined]
        notes = iter(gate.noted)
        monkeypatch.setitem(sys.modules, "odibi_test_gate", gate)
        note = display.Lines.note

        def noted(view: display.Lines, text: str) -> None:
            note(view, text)
            next(notes).set()

        monkeypatch.setattr(display.Lines, "note", noted)
        return gate

    @pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
    def test_the_first_lets_what_runs_finish(
        self, project: Path, capsys: pytest.CaptureFixture[str], gate: Any, number: str
    ) -> None:
        before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
        (project / "transforms.py").write_text(
            TRANSFORMS.replace("def one(): return 1", "") + "import os, signal, odibi_test_gate\n"
            "def one():\n"
            f"    os.kill(os.getpid(), signal.{number})\n"
            "    assert odibi_test_gate.noted[0].wait(30)\n"
            "    return 1\n"
        )
        out, err = said(capsys, 130)
        assert err == "finishing what runs; press again to stop\n"
        assert "first.one  succeeded" in out
        assert "cancelled (1): first.two" in out
        assert out.splitlines()[-1] == "interrupted: 1 of 2 nodes in _ s; not run: second, third"
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before

    def test_the_second_stops_what_runs(self, project: Path, capsys: pytest.CaptureFixture[str], gate: Any) -> None:
        (project / "transforms.py").write_text(
            TRANSFORMS.replace("def one(): return 1", "") + "import os, signal, odibi_test_gate\n"
            "def one():\n"
            "    for noted in odibi_test_gate.noted:\n"
            "        os.kill(os.getpid(), signal.SIGINT)\n"
            "        assert noted.wait(30)\n"
            "    raise InterruptedError('told to stop')\n"
        )
        out, err = said(capsys, 130, "-p", "first", "--workers", "1")
        assert err == "finishing what runs; press again to stop\nstopping; press again to leave at once\n"
        assert "cancelled (1): first.one" in out
        assert "skipped (1): first.two" in out

    def test_the_third_leaves_at_once(self, project: Path) -> None:
        hang = TRANSFORMS.replace(
            "def two(one): return one + 1", "import threading\ndef two(one): threading.Event().wait()\n"
        )
        (project / "transforms.py").write_text(hang)
        command = [sys.executable, "-m", "odibi", "run"]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=project
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            for line in process.stdout:
                if "first.one  succeeded" in line:
                    break
            for expected in ("finishing what runs", "stopping"):
                process.send_signal(signal.SIGINT)
                assert expected in process.stderr.readline()
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 130


TOY = """
from odibi import hookimpl

@hookimpl
def odibi_engines():
    return {"toy": "toy_parts:Engine"}

@hookimpl
def odibi_storages():
    return {"toy": "toy_parts:Storage"}

@hookimpl
def odibi_formats():
    return {"toy.lines": "toy_parts:Lines"}
"""
TOY_PARTS = """
import attrs
from odibi import option
from odibi.contracts import Column, FrameInfo, WriteReport
from odibi.errors import DataError

@attrs.frozen
class Storage:
    base: str = option(".", help="Where.")
    password: str = option("", help="Secret.", secret=True)
    def uri(self, path): return f"file:///toy/{self.base}/{path}"
    def close(self): pass

@attrs.frozen
class Lines:
    extensions = (".lines",)

@attrs.frozen
class Engine:
    frame_type = "builtins:list"
    dialect = "toy"
    def read(self, source):
        if source.path == "broken.lines":
            try:
                raise ConnectionError(f"login with {source.storage.password} refused")
            except ConnectionError as error:
                failure = DataError(f"{source}: no login with {source.storage.password}", remedy="Ask for another.")
                failure.add_note(f"tried {source.storage.password}")
                raise failure from error
        return [1, 2, 3]
    def write(self, frame, target): return WriteReport(len(frame), 10, (target.path,))
    def inspect(self, frame): return FrameInfo(len(frame), (Column("n", "int64"),))
    def share(self, frame): return frame
    def close(self): pass
"""
TOY_PROJECT = """\
project: toys
engine: toy
connections:
  shelf: {type: toy, base: shelf, password: "${TOY_PASSWORD}"}
  box: {type: toy, base: "the box"}
pipelines:
  - pipeline: p
    nodes:
      - name: fetch
        read: {connection: shelf, path: a.lines}
        write: {connection: box, path: out/b.lines}
      - name: copy
        read: {connection: shelf, path: a.lines}
        write: {connection: shelf, path: c.lines}
"""
SECRET = "correct horse/battery+staple"


@pytest.fixture
def toys(project: Path, zoo, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same folder with a project of a toy engine, and the plugin."""
    zoo.add("odibi-toy", "1.0", toy=TOY, toy_parts=TOY_PARTS, points={"toy": "toy"})
    (project / "odibi.yaml").write_text(TOY_PROJECT)
    monkeypatch.setenv("TOY_PASSWORD", SECRET)
    return project


class TestWhatWasWritten:
    def test_lines(self, toys: Path, capsys: pytest.CaptureFixture[str]) -> None:
        out, err = said(capsys, 0, "--workers", "1")
        assert err == ""
        assert "p.fetch  succeeded  3 rows  _ s  -> box:out/b.lines\n" in out
        assert out.splitlines()[-1] == "succeeded: 2 of 2 nodes in _ s; written to /toy/the box/ (1), /toy/shelf/ (1)"

    def test_json(self, toys: Path, capsys: pytest.CaptureFixture[str]) -> None:
        out, _ = said(capsys, 0, "--json", "--workers", "1")
        lines = json_lines(out)
        steps = [line for line in lines if line["event"] == "step_finished"]
        assert [(step["node"], step["step"], step["rows"]) for step in steps] == [
            ("fetch", "read", 3), ("fetch", "write", 3), ("copy", "read", 3), ("copy", "write", 3),
        ]  # fmt: skip
        fetch = lines[-1]["runs"][0]["nodes"][0]
        assert (fetch["rows"], fetch["target"], fetch["written"]) == (3, "box:out/b.lines", "/toy/the box/out/b.lines")


def forms_of(secret: str) -> list[str]:
    from urllib.parse import quote, quote_plus

    return [secret, quote(secret), quote(secret, safe=""), quote_plus(secret)]


class TestSecrets:
    @pytest.mark.parametrize("more", [[], ["--json"], ["--log-level", "debug"], ["--json", "--log-level", "debug"]])
    def test_none_in_the_output_of_a_failing_run(
        self, toys: Path, capsys: pytest.CaptureFixture[str], more: list[str]
    ) -> None:
        (toys / "odibi.yaml").write_text(
            TOY_PROJECT.replace(
                "path: a.lines}\n        write: {connection: box",
                "path: broken.lines}\n        write: {connection: box",
            )
        )
        out, err = said(capsys, 1, *more)
        for form in forms_of(SECRET):
            assert form not in out + err
        assert "no login with ***" in out + err
        assert "***" in out

    def test_none_in_an_unexpected_error(
        self, toys: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: object) -> None:
            raise RuntimeError(f"cannot say {SECRET}") from ValueError(SECRET)

        monkeypatch.setattr("odibi.cli.running.rows_of", broken)
        assert main(["run", "--log-level", "debug"]) == 1
        out, err = capsys.readouterr()
        assert "Traceback" in err
        assert "cannot say ***" in err
        assert SECRET not in out + err

    def test_none_on_a_terminal(self, toys: Path) -> None:
        (toys / "odibi.yaml").write_text(TOY_PROJECT.replace("a.lines", "broken.lines"))
        code, text = on_a_terminal(toys, ["run"])
        assert code == 1
        assert SECRET not in text
        assert "no login with ***" in text


def on_a_terminal(folder: Path, arguments: list[str], **environment: str) -> tuple[int, str]:
    """Exit code and output of a command whose streams are a terminal."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "odibi", *arguments]
    path = os.pathsep.join([str(folder.parent / "site"), os.environ.get("PYTHONPATH", "")])
    setting = {
        **os.environ,
        "PYTHONPATH": path,
        "TERM": "xterm-256color",
        "COLUMNS": "100",
        "LINES": "40",
        **environment,
    }
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, env=setting) as process:
        os.close(theirs)
        chunks = []
        while True:
            try:
                chunk = os.read(ours, 65536)
            except OSError:  # how Linux says that the other side is gone
                break
            if not chunk:
                break
            chunks.append(chunk)
        process.wait(60)
    os.close(ours)
    return process.returncode, b"".join(chunks).decode()


class TestOnATerminal:
    def test_a_table_and_where_everything_is(self, toys: Path) -> None:
        code, text = on_a_terminal(toys, ["run"], NO_COLOR="1")
        assert code == 0
        assert not re.search(r"\x1b\[[\d;]*3\dm", text), "a color, in spite of NO_COLOR"
        plain = re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", text).replace("\r", "").rstrip()
        assert re.search(r"^node +outcome +rows +time +written", plain, re.MULTILINE)
        assert re.search(r"^fetch +succeeded +3 +\d\.\d\d s +box:out/b.lines", plain, re.MULTILINE)
        assert plain.splitlines()[-1].startswith("succeeded: 2 of 2 nodes in ")
        assert "written to /toy/the box/ (1), /toy/shelf/ (1)" in plain

    def test_a_dumb_one_gets_lines(self, toys: Path) -> None:
        code, text = on_a_terminal(toys, ["run"], TERM="dumb")
        assert code == 0
        assert "\x1b" not in text
        assert "p.fetch  succeeded  3 rows" in text


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_run_goes_on_when_nobody_reads(project: Path, closed: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "odibi", "run", "-p", "second"]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, closed: writer}
    done = subprocess.run(command, text=True, cwd=project, **streams)  # type: ignore[call-overload]
    os.close(writer)
    assert done.returncode == 1
    if closed == "stderr":
        assert done.stdout.splitlines()[-1].startswith("failed: 1 of 4 nodes in ")
    else:
        assert done.stderr.startswith("\nsecond.b failed\n")
        assert "BrokenPipe" not in done.stderr
