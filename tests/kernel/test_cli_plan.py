"""``odibi plan``, and what ``odibi run`` makes of it, with a toy plugin over plain files."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from odibi.cli.main import main

PROJECT = """\
project: demo
engine: toy
cache: toy
checkpoints: toy
connections:
  raw: {type: toy, base: raw}
  lake: {type: toy, base: lake}
pipelines:
  - pipeline: first
    nodes:
      - {name: orders, read: {connection: raw, path: orders.lines}}
      - {name: shout, function: shout, depends_on: [orders]}
      - name: save
        depends_on: [shout]
        transform: {steps: [{function: same}]}
        write: {connection: lake, path: shout.lines}
      - {name: one, function: one}
  - pipeline: second
    nodes:
      - {name: back, read: {connection: lake, path: shout.lines}}
"""
TRANSFORMS = """\
def shout(orders): return [each.upper() for each in orders]
def same(df): return df
def one(): return 1
def number(n): return n
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zoo) -> Path:
    """A folder with a project that keeps results and records its runs, and the working folder."""
    folder = tmp_path / "project"
    (folder / "raw").mkdir(parents=True)
    (folder / "raw/orders.lines").write_text("a\nb\n")
    (folder / "odibi.yaml").write_text(PROJECT)
    (folder / "transforms.py").write_text(TRANSFORMS)
    zoo.add("odibi-toy", toy_state=Path(__file__).with_name("toy_state.py").read_text())
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "80")
    return folder


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command that is to end with a code; gives what it prints on stdout, or on stderr if the code is not 0."""

    def run(code: int, *arguments: str) -> str:
        capsys.readouterr()
        assert main(arguments) == code, capsys.readouterr()
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return out if code == 0 else out + err

    return run


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def took(folder: Path, default: float = 0.0, **seconds: float) -> None:
    """Let the journal say that nodes took so many seconds, whatever they did on this machine."""
    journal = folder / "runs/journal"
    lines = []
    for entry in map(json.loads, journal.read_text().splitlines()):
        for record in entry.get("records", ()):
            if "seconds" in record:
                record["seconds"] = seconds.get(record["node"], default)
        lines.append(json.dumps(entry) + "\n")
    journal.write_text("".join(lines))


class TestForPeople:
    def test_what_never_ran(self, project: Path, said: Callable[..., str]) -> None:
        assert said(0, "plan") == (
            "first  4 nodes\n"
            "  run  orders  it has no earlier result\n"
            "               reads raw:orders.lines: 1 object, 4 B\n"
            "  run  one     it has no earlier result\n"
            "  run  shout   it has no earlier result\n"
            "  run  save    it has no earlier result\n"
            "second  1 node\n"
            "  run  back  it has no earlier result\n"
            "             reads lake:shout.lines: nothing is there yet\n"
            "5 run, 0 reuse, 0 restore; no earlier run to estimate the time from; reads 1 object, 4 B\n"
        )

    def test_what_is_unchanged(self, project: Path, said: Callable[..., str]) -> None:
        said(0, "run")
        assert said(0, "plan", "-p", "first") == (
            "first  4 nodes\n"
            "  reuse  orders  unchanged\n"
            "  reuse  one     unchanged\n"
            "  reuse  shout   unchanged\n"
            "  reuse  save    unchanged\n"
            "0 run, 4 reuse, 0 restore\n"
        )

    def test_what_changed_with_estimates(self, project: Path, said: Callable[..., str]) -> None:
        said(0, "run")
        took(project, orders=1.25, shout=90.0, save=0.01, one=5.0)
        (project / "raw/orders.lines").write_text("a\nb\nc\n" * 1000)
        change(project / "transforms.py", "return 1", "return 2")
        assert said(0, "plan") == (
            "first  4 nodes\n"
            "  run  orders   1.2 s  raw:orders.lines changed\n"
            "                       reads raw:orders.lines: 1 object, 6.0 kB\n"
            "  run  one      5.0 s  code of `transforms.one` changed\n"
            "  run  shout    2 min  its input 'orders' changed\n"
            "  run  save    <0.1 s  its input 'shout' changed\n"
            "second  1 node\n"
            "  reuse  back  unchanged\n"
            "  note: back may run too: it reads lake:shout.lines, which first.save writes before\n"
            "4 run, 1 reuse, 0 restore; about 2 min of work, about 2 min along the longest path; "
            "reads 1 object, 6.0 kB\n"
        )
        (project / "odibi.yaml").write_text(PROJECT + "      - {name: new, function: one}\n")
        assert "no earlier run to estimate the time from" in said(0, "plan", "-p", "second")
        took(project, orders=1.25, shout=2.0, one=5.0)
        out = said(0, "plan", "--force")
        assert "about 8.2 s of work, about 5.0 s along the longest path, not counting 3 nodes that never ran" in out

    def test_without_anything_kept_all_runs(self, project: Path, said: Callable[..., str]) -> None:
        (project / "odibi.yaml").write_text(PROJECT.replace("cache: toy\n", "").replace("checkpoints: toy\n", ""))
        out = said(0, "plan")
        assert "  run  orders  nothing is kept from earlier runs\n               reads raw:orders.lines\n" in out
        assert out.endswith(
            "5 run, 0 reuse, 0 restore; no earlier run to estimate the time from; reads 2 sources of unknown size\n"
        )

    def test_choices(self, project: Path, said: Callable[..., str]) -> None:
        said(0, "run")
        took(project, default=0.01)
        assert re.findall(r"reuse +(\w+)", said(0, "plan", "--select", "shout")) == ["orders", "shout"]
        assert re.findall(r"reuse +(\w+)", said(0, "plan", "--target", "shout")) == ["orders", "shout"]
        forced = said(0, "plan", "--select", "shout", "--force")
        assert "  run    shout   <0.1 s  forced\n" in forced
        assert "  reuse  orders          unchanged\n" in forced, "the cache holds what a forced node needs"
        assert "'shout' needs its result, which is kept nowhere" in said(
            0, "plan", "--force", "--select", "shout", "--no-cache"
        )

    def test_long_plans_are_folded(self, project: Path, said: Callable[..., str]) -> None:
        more = "".join(f"      - {{name: n{at}, function: number, params: {{n: {at}}}}}\n" for at in range(30))
        (project / "odibi.yaml").write_text(PROJECT + more)
        said(0, "run")
        took(project, default=0.01)
        (project / "raw/orders.lines").write_text("c\n")
        change(project / "odibi.yaml", "params: {n: 7}", "params: {n: 77}")
        out = said(0, "plan")
        assert "  reuse  30 nodes          unchanged\n" in out
        assert re.search(r"^  run +n7 +<0.1 s +its params changed$", out, re.MULTILINE)
        assert "n8" not in out
        assert "  reuse  one" in out, "the first pipeline is short"
        everything = said(0, "plan", "-v")
        assert all(f" n{at} " in everything for at in range(30))
        assert out.splitlines()[-1] == everything.splitlines()[-1]

    def test_it_stays_within_the_screen(
        self, project: Path, said: Callable[..., str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        name = "a_node_whose_name_is_so_long_that_it_has_a_line_of_its_own"
        change(project / "odibi.yaml", "{name: one,", "{name: " + name + ",")
        change(project / "odibi.yaml", "path: orders.lines", "path: locked.lines")
        for columns in (80, 60):
            monkeypatch.setenv("COLUMNS", str(columns))
            lines = said(0, "plan", "-p", "first").splitlines()[:-1]
            assert max(map(len, lines)) <= max(columns, len(f"  run  {name}"))
            assert f"  run  {name}" in [line[:65] for line in lines]
            words = " ".join(line.strip() for line in lines)
            assert "nobody gets in with today, whoever they are and wherever they are from" in words.replace("  ", " ")

    def test_colours_are_for_terminals(self, project: Path, said: Callable[..., str]) -> None:
        code, text = on_a_terminal(project, ["plan"])
        assert code == 0
        assert "\x1b[33mrun\x1b[0m  orders" in text
        _, plain = on_a_terminal(project, ["plan"], NO_COLOR="1")
        assert "\x1b" not in plain
        assert plain.replace("\r", "") == said(0, "plan")

    @pytest.mark.parametrize("columns", ["80", "40"])
    def test_no_secret_even_where_it_would_be_wrapped(
        self,
        project: Path,
        said: Callable[..., str],
        monkeypatch: pytest.MonkeyPatch,
        columns: str,
    ) -> None:
        secret = "zebra quilt fjord"
        monkeypatch.setenv("TOY_PASSWORD", secret)
        monkeypatch.setenv("COLUMNS", columns)
        change(project / "odibi.yaml", "base: raw}", 'base: raw, password: "${TOY_PASSWORD}"}')
        change(project / "odibi.yaml", "path: orders.lines", "path: locked.lines")
        for arguments in ([], ["--json"]):
            out = said(0, "plan", *arguments)
            assert "***" in out
            assert not set(secret.split()) & set(out.split())


def on_a_terminal(folder: Path, arguments: list[str], **environment: str) -> tuple[int, str]:
    """Exit code and output of a command whose stdout is a terminal."""
    ours, theirs = pty.openpty()
    path = os.pathsep.join([str(folder.parent / "site"), os.environ.get("PYTHONPATH", "")])
    setting = {**os.environ, "PYTHONPATH": path, "TERM": "xterm-256color", "COLUMNS": "80", **environment}
    if "NO_COLOR" not in environment:
        setting.pop("NO_COLOR", None)
    command = [sys.executable, "-m", "odibi", *arguments]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, cwd=folder, env=setting) as process:
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


class TestForTools:
    def test_check(self, project: Path, said: Callable[..., str]) -> None:
        assert "5 run" in said(1, "plan", "--check")
        assert said(1, "plan", "--check", "--json").startswith("{")
        said(0, "run")
        said(0, "plan", "--check")
        change(project / "transforms.py", "return 1", "return 2")
        said(1, "plan", "--check")
        said(0, "plan", "--check", "-p", "second")

    def test_json_has_everything(self, project: Path, said: Callable[..., str]) -> None:
        said(0, "run")
        took(project, orders=1.5)
        (project / "raw/orders.lines").write_text("abc\n")
        plan = json.loads(said(0, "plan", "--json"))
        assert plan["event"] == "plan"
        assert plan["summary"] == {
            "run": 3,
            "reuse": 2,
            "restore": 0,
            "seconds": 1.5,
            "path_seconds": 1.5,
            "unknown": 2,
            "reads": {"objects": 1, "bytes": 4, "unknown": 0},
        }
        first, second = plan["pipelines"]
        assert second["remarks"] == ["back may run too: it reads lake:shout.lines, which first.save writes before"]
        assert (first["summary"]["run"], second["summary"]["run"]) == (3, 0)
        orders, one, shout, save = first["nodes"]
        assert (orders["node"], orders["action"], orders["reason"]) == ("orders", "run", "raw:orders.lines changed")
        assert (orders["reads"], orders["writes"], orders["estimate"]) == ("raw:orders.lines", None, 1.5)
        assert (one["loaded_from"], one["wanted"], one["estimate"]) == ("cache", True, None)
        assert (save["writes"], save["depends_on"]) == ("lake:shout.lines", ["shout"])
        made = orders["fingerprint"]
        assert (made["source"]["objects"], made["source"]["bytes"]) == (1, 4)
        assert {"source", "plugins", "read"} <= set(made["parts"])
        assert shout["fingerprint"]["inputs"] == {"orders": made["value"]}
        assert shout["fingerprint"]["code"]["transforms.shout"].startswith("function ")

    def test_mistakes(self, project: Path, said: Callable[..., str]) -> None:
        assert "there is no pipeline 'third'" in said(2, "plan", "-p", "third")
        out = said(2, "plan", "--json", "--select", "twoo")
        assert json.loads(out.splitlines()[0])["problems"][0]["what"] == "the selection 'twoo' matches no node."

    def test_it_changes_nothing_and_needs_no_lock(self, project: Path, said: Callable[..., str]) -> None:
        said(0, "run")
        change(project / "transforms.py", "return 1", "return 2")

        def files() -> dict[Path, bytes]:
            return {path: path.read_bytes() for path in project.rglob("*") if path.is_file() and path.suffix != ".pyc"}

        before = files()
        from toy_state import Store  # type: ignore[import-not-found]

        lock = Store().lock("first")
        before = files()
        said(0, "plan", "--resume")
        lock.release()
        assert files() == before


def prepared(project: Path, said: Callable[..., str], what: str) -> list[str]:
    """Let something be different since the last run; returns the options to go with it."""
    match what:
        case "source":
            (project / "raw/orders.lines").write_text("x\ny\nz\n")
        case "code":
            change(project / "transforms.py", "each.upper()", "each.lower()")
        case "definition":
            change(
                project / "odibi.yaml",
                "path: shout.lines}\n      - {name: one",
                "path: again.lines}\n      - {name: one",
            )
        case "output":
            (project / "lake/shout.lines").write_text("somebody else's")
        case "gone":
            (project / "lake/shout.lines").unlink()
        case "cache":
            said(0, "cache", "evict", "--all")
        case "force" | "no-cache":
            return [f"--{what}"]
        case "selection":
            return ["--select", "shout", "--force"]
        case "volatile":
            change(project / "odibi.yaml", "function: shout,", "function: shout, cache: false,")
        case "interrupted":
            change(project / "transforms.py", "def same(df): return df", "def same(df): raise SystemError('stop')")
            change(project / "transforms.py", "each.upper()", "each.title()")
            said(1, "run")
            change(project / "transforms.py", "raise SystemError('stop')", "return df")
            return ["--resume"]
    return []


@pytest.mark.parametrize(
    "what",
    ["nothing", "source", "code", "definition", "output", "gone", "cache", "force", "no-cache", "selection", "volatile",
     "interrupted"],
)  # fmt: skip
def test_a_run_does_what_the_plan_says(project: Path, said: Callable[..., str], what: str) -> None:
    """Each node's outcome and fingerprint are those of the plan; a dry run prints the plan."""
    said(0, "run")
    options = [*prepared(project, said, what), "-p", "first"]
    assert said(0, "run", "--dry-run", *options) == said(0, "plan", *options)
    text = said(0, "plan", *options, "--json")
    if what != "volatile":  # such a result has an id of its own, in each run and in each plan
        assert said(0, "run", "--dry-run", "--json", *options) == text
    (plan,) = json.loads(text)["pipelines"]
    summary = json.loads(said(0, "run", "--json", *options).splitlines()[-1])
    (run,) = summary["runs"]
    states = {"run": "succeeded", "reuse": "reused", "restore": "restored"}
    assert {node["node"]: node["state"] for node in run["nodes"]} == {
        node["node"]: states[node["action"]] for node in plan["nodes"]
    }
    shown = json.loads(said(0, "runs", "show", run["run_id"], "--json"))
    ran = {node["node"]: node for node in shown["nodes"] if node["state"] == "succeeded"}
    planned: dict[str, Any] = {node["node"]: node for node in plan["nodes"] if node["action"] == "run"}
    assert {name: node["reason"] for name, node in ran.items()} == {
        name: node["reason"] for name, node in planned.items()
    }
    volatile = {name for name, node in planned.items() if node["fingerprint"]["nonce"]}
    for name, node in ran.items():
        if name not in volatile and not set(node["record"]["inputs"]) & volatile:
            assert node["record"]["fingerprint"] == planned[name]["fingerprint"]["whole"]
    assert bool(ran) == (what != "nothing")
