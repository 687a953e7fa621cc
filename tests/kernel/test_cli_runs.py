"""``odibi runs`` and ``odibi run --resume``, with a toy plugin over plain files."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from odibi.cli.history import nodes_of
from odibi.cli.main import main
from odibi.contracts import RunRecord

PROJECT = """\
project: demo
engine: toy
cache: toy
checkpoints: toy
connections:
  lake: {type: toy, base: lake}
pipelines:
  - pipeline: first
    nodes:
      - {name: one, function: one}
      - {name: two, function: two, depends_on: [one]}
  - pipeline: second
    nodes:
      - {name: a, function: zero}
      - {name: b, function: fragile, depends_on: [a]}
      - {name: c, function: last, depends_on: [b]}
  - pipeline: third
    nodes:
      - {name: e, read: {connection: lake, path: rows.lines}}
"""
TRANSFORMS = """\
import os
def zero(): return 0
def one(): return 1
def two(one): return one + 1
def fragile(a):
    if os.path.exists("die"): os._exit(9)
    if os.path.exists("fail"): raise ValueError("it is here\\n  and so is this")
    return a + 1
def last(b): return b
"""
RUN_ID = r"\d{8}T\d{6}\.\d{6}-[0-9a-f]{8}"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zoo) -> Path:
    """A folder with a project that keeps results and records its runs, and the working folder."""
    folder = tmp_path / "project"
    (folder / "lake").mkdir(parents=True)
    (folder / "lake/rows.lines").write_text("r\n" * 3)
    (folder / "odibi.yaml").write_text(PROJECT)
    (folder / "transforms.py").write_text(TRANSFORMS)
    zoo.add("odibi-toy", toy_state=Path(__file__).with_name("toy_state.py").read_text())
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "100")
    return folder


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command that is to end with a code; gives what it prints on stdout, or on both if the code is not 0."""

    def run(code: int, *arguments: str) -> str:
        capsys.readouterr()
        assert main(arguments) == code, capsys.readouterr()
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return out if code == 0 else out + err

    return run


@pytest.fixture
def ids(said: Callable[..., str]) -> Callable[..., list[str]]:
    """The ids of runs, the newest first."""
    return lambda *arguments: [run["run_id"] for run in json.loads(said(0, "runs", "ls", "--json", *arguments))["runs"]]


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def odibi(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """The command in a process of its own."""
    code = "import sys; from odibi.cli.main import main; sys.exit(main(sys.argv[1:]))"
    path = {"PYTHONPATH": str(folder.parent / "site"), "XDG_CACHE_HOME": str(folder.parent / "cache")}
    command = [sys.executable, "-c", code, *arguments]
    environment = {**os.environ, **path}
    return subprocess.Popen(
        command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def killed(folder: Path, *arguments: str) -> None:
    """A run whose process ends at once in the middle of it."""
    (folder / "die").touch()
    process = odibi(folder, "run", *arguments)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 9, out
    (folder / "die").unlink()


def rewrite(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Change every entry of the journal."""
    journal = folder / "runs/journal"
    entries = [json.loads(line) for line in journal.read_text().splitlines()]
    for entry in entries:
        edit(entry)
    journal.write_text("".join(json.dumps(entry) + "\n" for entry in entries))


class TestList:
    def test_nothing_yet(self, project: Path, said: Callable[..., str]) -> None:
        assert said(0, "runs", "ls") == "no run is recorded yet\n"
        assert json.loads(said(0, "runs", "ls", "--json")) == {"runs": []}
        assert "no run is recorded yet. Run it: odibi run" in said(1, "runs", "show", "last")

    def test_newest_first(self, project: Path, said: Callable[..., str], ids: Callable[..., list[str]]) -> None:
        said(0, "run")
        (project / "fail").touch()
        change(project / "transforms.py", "return a + 1", "return a + 2")
        said(1, "run")
        lines = [line.split() for line in said(0, "runs", "ls").splitlines()]
        assert lines[0] == ["RUN", "PIPELINE", "STATE", "TIME", "RAN", "STARTED"]
        assert [line[1:3] for line in lines[1:]] == [
            ["second", "failed"],
            ["first", "succeeded"],
            ["third", "succeeded"],
            ["second", "succeeded"],
            ["first", "succeeded"],
        ]
        assert [" ".join(line[5:8]) for line in lines[1:]] == ["2 of 3", "0 of 2", "1 of 1", "3 of 3", "2 of 2"]
        assert [line[0] for line in lines[1:]] == sorted(ids(), reverse=True)
        assert all(re.fullmatch(RUN_ID, run_id) for run_id in ids())
        assert len(ids("--pipeline", "third")) == 1
        assert ids("-p", "thir") == []
        assert ids("--limit", "2") == ids()[:2]
        assert said(0, "runs", "ls", "--limit", "2").splitlines()[-1] == "and older ones; see more with --limit 10"

    def test_it_fits_80_columns(self, project: Path, said: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
        said(0, "run")
        monkeypatch.setenv("COLUMNS", "80")
        lines = said(0, "runs", "ls").splitlines()
        assert len(lines) == 4
        assert max(map(len, lines)) <= 80

    @pytest.mark.parametrize("command", [["ls"], ["show", "last"], ["diff", "a", "b"], ["rm", "a"]])
    def test_no_checkpoints(self, project: Path, said: Callable[..., str], command: list[str]) -> None:
        change(project / "odibi.yaml", "checkpoints: toy\n", "")
        out = said(1, "runs", *command)
        assert "project 'demo': the project has no checkpoint store, so no run is recorded. Add 'checkpoints: " in out
        if command[0] != "rm":
            out = said(1, "runs", *command, "--json")
            assert json.loads(out.splitlines()[0])["event"] == "error"

    def test_another_folder(self, project: Path, said: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(project.parent)
        assert "there is no odibi.yaml in this folder" in said(2, "runs", "ls")
        said(0, "runs", "ls", "--project", "project")
        said(0, "runs", "ls", "--project", "project/odibi.yaml")


class TestFind:
    def test_ids_beginnings_and_last(
        self, project: Path, said: Callable[..., str], ids: Callable[..., list[str]]
    ) -> None:
        said(0, "run")
        newest, middle, oldest = ids()
        assert json.loads(said(0, "runs", "show", "last", "--json"))["run_id"] == newest
        for given in (oldest, oldest[:-1]):
            assert json.loads(said(0, "runs", "show", given, "--json"))["run_id"] == oldest
        for given, run_id in (("last~0", newest), ("last~1", middle), ("last~2", oldest)):
            assert json.loads(said(0, "runs", "show", given, "--json"))["run_id"] == run_id
        assert "there is no run 'last~3': 3 are recorded." in said(1, "runs", "show", "last~3")
        assert "third  1 node" in said(0, "plan", "--resume", "last~0")
        out = said(1, "runs", "show", oldest[:9])
        assert f"'{oldest[:9]}' may be any of 3 runs: {newest}, {middle}, {oldest}. Give more of the id." in out
        for wrong in ("nosuch", "1999", "", f"{oldest}0", "../x", "\x1b[31m"):
            out = said(1, "runs", "show", wrong)
            assert f"odibi: there is no run '{wrong}'. See the runs with: odibi runs ls" in out

    def test_many_are_not_all_named(
        self, project: Path, said: Callable[..., str], ids: Callable[..., list[str]]
    ) -> None:
        for _ in range(3):
            said(0, "run")
        newest = ids()[0]
        out = said(1, "runs", "show", newest[:4])
        assert "may be any of 9 runs: " in out
        assert "and 4 more. Give more" in out


class TestShow:
    def test_a_run(self, project: Path, said: Callable[..., str], ids: Callable[..., list[str]]) -> None:
        said(0, "run", "-p", "third")
        (project / "lake/rows.lines").write_text("r\n" * 1234)
        said(0, "run", "-p", "third")
        newest, oldest = ids()
        rewrite(project, lambda entry: entry.get("records") and entry["records"][0].update(seconds=61.5))
        lines = said(0, "runs", "show", newest).splitlines()
        assert lines[:3] == [f"run       {newest}", "pipeline  third", "state     succeeded"]
        assert re.fullmatch(r"started   \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", lines[3])
        assert re.fullmatch(r"duration  \d\.\d\d s", lines[4])
        assert re.fullmatch(r"host      \S.*, process \d+", lines[5])
        assert lines[6:8] == ["nodes     1 succeeded", ""]
        assert lines[8:] == [
            "NODE  OUTCOME     ROWS          TIME  WHY",
            "e     succeeded  1,234  1 min 01.5 s  lake:rows.lines changed",
        ]
        data = json.loads(said(0, "runs", "show", oldest, "--json"))
        assert (data["pipeline"], data["state"], data["resumes"], data["planned"]) == ("third", "succeeded", None, 1)
        assert data["started"] <= data["finished"] <= time.time()
        (node,) = data["nodes"]
        assert (node["node"], node["state"], node["rows"]) == ("e", "succeeded", 3)
        assert node["reason"] == "it has no earlier result"
        assert len(node["record"]["fingerprint"]) == 64

    def test_reused_nodes_have_nothing_to_say(self, project: Path, said: Callable[..., str]) -> None:
        said(0, "run", "-p", "first")
        said(0, "run", "-p", "first")
        out = said(0, "runs", "show", "last")
        assert "nodes     2 reused\n" in out
        assert out.endswith("\n\nNODE  OUTCOME\none   reused\ntwo   reused\n")

    def test_failures_and_what_they_kept_from_running(self, project: Path, said: Callable[..., str]) -> None:
        (project / "fail").touch()
        said(1, "run", "-p", "second")
        out = said(0, "runs", "show", "last")
        assert "state     failed\n" in out
        assert "nodes     1 succeeded, 1 failed, 1 skipped\n" in out
        lines = {line.split()[0]: line for line in out.splitlines() if line}
        assert re.search(r"^b +failed +0\.\d\d s +NodeError: .*it is here$|ValueError: it is here$", lines["b"])
        assert "and so is this" in out
        assert lines["c"].endswith("'b', which it needs, failed")

    @pytest.mark.parametrize("columns", ["100", "50"])
    def test_no_secret_even_where_it_would_be_wrapped(
        self, project: Path, said: Callable[..., str], monkeypatch: pytest.MonkeyPatch, columns: str
    ) -> None:
        secret = "zebra quilt fjord"
        monkeypatch.setenv("TOY_PASSWORD", secret)
        monkeypatch.setenv("COLUMNS", columns)
        change(project / "odibi.yaml", "base: lake}", 'base: lake, password: "${TOY_PASSWORD}"}')
        change(project / "odibi.yaml", "path: rows.lines", "path: locked.lines")
        said(1, "run", "-p", "third")
        for command in (["show", "last"], ["show", "last", "--json"], ["ls", "--json"], ["diff", "last", "last"]):
            assert not set(secret.split()) & set(re.findall(r"\w+", said(0, "runs", *command)))
        assert "nobody gets in with ***" in " ".join(said(0, "runs", "show", "last").split())
        assert "zebra" not in (project / "runs/journal").read_text()

    def test_a_killed_run(self, project: Path, said: Callable[..., str]) -> None:
        killed(project, "-p", "second")
        out = said(0, "runs", "show", "last")
        assert "state     interrupted\n" in out
        assert "duration" not in out
        assert "nodes     1 succeeded, 2 unfinished\n" in out
        assert re.search(r"^b +unfinished +it has no earlier result$", out, re.MULTILINE)

    def test_large_runs_are_folded(self, project: Path, said: Callable[..., str]) -> None:
        more = "".join(f"      - {{name: n{at}, function: one, version: '{at}'}}\n" for at in range(30))
        (project / "odibi.yaml").write_text(PROJECT + more)
        said(0, "run", "-p", "third")
        (project / "lake/rows.lines").write_text("s\n")
        said(0, "run", "-p", "third")
        out = said(0, "runs", "show", "last")
        assert "nodes     1 succeeded, 30 reused\n" in out
        assert "n7" not in out
        assert re.search(r"^e +succeeded", out, re.MULTILINE)
        assert "n7 " in said(0, "runs", "show", "last", "-v")

    def test_names_mean_nothing(self, project: Path, said: Callable[..., str]) -> None:
        said(0, "run", "-p", "third")
        rewrite(project, lambda entry: [it.update(node="e\x1b[31m\nx") for it in entry.get("records", ())])
        for command in (["show", "last"], ["diff", "last", "last"]):
            assert "\x1b" not in said(0, "runs", *command)
        assert r"e\x1b[31m\nx" in said(0, "runs", "show", "last")

    def test_a_node_that_was_settled_anew_was_not_run(self) -> None:
        """A journal may hold the earlier result of a node that did not run, put down again."""
        outcomes = [{"kept": {"reused": ["a"], "restored": ["b"]}}, {"node": "a", "state": "succeeded", "rows": 3}]
        found = nodes_of(RunRecord("1", "p", "succeeded", 0.0, 1.0, {"run": {}, "nodes": 2}, outcomes))
        assert (found["a"].state, found["a"].rows, found["a"].seconds) == ("reused", 3, None)
        assert found["b"].state == "restored"


class TestDiff:
    def test_nothing(self, project: Path, said: Callable[..., str]) -> None:
        said(0, "run", "-p", "first")
        out = said(0, "runs", "diff", "last", "last")
        assert out.splitlines()[-1] == "no node differs"
        assert len(out.splitlines()) == 3

    def test_what_changed(self, project: Path, said: Callable[..., str], ids: Callable[..., list[str]]) -> None:
        said(0, "run", "-p", "first")
        change(project / "transforms.py", "one(): return 1", "one(): return 5")
        change(project / "odibi.yaml", "{name: two, function: two", "{name: two, version: '2', function: two")
        said(0, "run", "-p", "first")
        new, old = ids()
        lines = said(0, "runs", "diff", old, new).splitlines()
        assert lines[:2] == [f"before  {old}  first  succeeded", f"after   {new}  first  succeeded"]
        assert [line.rstrip() for line in lines[2:]] == [
            "NODE  DIFFERENCE",
            "one   code of `transforms.one` changed",
            "two   its version changed; its input 'one' changed",
        ]

    def test_outcomes_rows_and_times(
        self, project: Path, said: Callable[..., str], ids: Callable[..., list[str]]
    ) -> None:
        said(0, "run", "-p", "third")
        (project / "lake/rows.lines").write_text("r\n" * 4)
        said(0, "run", "-p", "third")
        said(0, "run", "-p", "third")
        third, second, first = ids()
        took = {first: 0.2, second: 0.5}

        def slow(entry: dict[str, Any]) -> None:
            for record in entry.get("records", ()):
                if "seconds" in record:
                    record["seconds"] = took[entry["run"]]

        rewrite(project, slow)
        assert said(0, "runs", "diff", first, second).splitlines()[3:] == [
            "e     what it reads changed",
            "      rows: 3 -> 4",
            "      time: 0.20 s -> 0.50 s",
        ]
        # What the third run reused is what the second one made.
        assert said(0, "runs", "diff", first, third).splitlines()[3:] == [
            "e     succeeded -> reused",
            "      what it reads changed",
            "      rows: 3 -> 4",
        ]
        assert said(0, "runs", "diff", third, second).splitlines()[3:] == [
            "e     reused -> succeeded: lake:rows.lines changed"
        ]
        for seconds in (0.4, 0.1000001):  # not more than twice as long; not by more than 0.1 s
            took[second] = seconds
            rewrite(project, slow)
            assert "time" not in said(0, "runs", "diff", first, second)
        data = json.loads(said(0, "runs", "diff", first, third, "--json"))
        assert (data["before"]["run_id"], data["after"]["run_id"]) == (first, third)
        (node,) = data["nodes"]
        assert (node["states"], node["changed"], node["rows"]) == (
            ["succeeded", "reused"],
            ["what it reads changed"],
            [3, 4],
        )

    def test_loading_a_result_is_no_slower_node(
        self, project: Path, said: Callable[..., str], ids: Callable[..., list[str]]
    ) -> None:
        said(0, "run", "-p", "first")
        said(0, "run", "-p", "first", "--force", "--select", "two")
        new, old = ids()
        took = {old: 0.2, new: 9.0}
        rewrite(project, lambda it: [record.update(seconds=took[it["run"]]) for record in it.get("records", ())])
        assert said(0, "runs", "diff", old, new).splitlines()[3:] == [
            "two   time: 0.20 s -> 9.00 s",
            "one   succeeded -> reused",
        ]

    def test_a_reused_result_is_looked_for_in_the_runs_before(
        self, project: Path, said: Callable[..., str], ids: Callable[..., list[str]]
    ) -> None:
        said(0, "run", "-p", "third")
        said(0, "run", "-p", "third")
        (project / "lake/rows.lines").write_text("r\n" * 4)
        said(0, "run", "-p", "third")
        said(0, "run", "-p", "third")
        fourth, _, second, _ = ids()
        assert said(0, "runs", "diff", second, fourth).splitlines()[3:] == [
            "e     what it reads changed",
            "      rows: 3 -> 4",
        ]

    def test_nodes_of_one_run_alone(
        self, project: Path, said: Callable[..., str], ids: Callable[..., list[str]]
    ) -> None:
        said(0, "run", "-p", "first", "-p", "third")
        third, first = ids()
        assert said(0, "runs", "diff", first, third).splitlines()[2:] == [
            "these are runs of different pipelines; nodes are compared by their names",
            "NODE  DIFFERENCE",
            "e     succeeded, not in the first run",
            "one   succeeded, not in the second run",
            "two   succeeded, not in the second run",
        ]


class TestRemove:
    def test_by_name(self, project: Path, said: Callable[..., str], ids: Callable[..., list[str]]) -> None:
        said(0, "run")
        newest, middle, oldest = ids()
        assert "there is no run 'nosuch'" in said(1, "runs", "rm", oldest, "nosuch")
        assert ids() == [newest, middle, oldest], "a mistake removes nothing"
        assert said(0, "runs", "rm", oldest, "last", oldest) == f"removed {oldest}\nremoved {newest}\n"
        assert ids() == [middle]
        assert "0 run, 6 reuse" in said(0, "plan"), "what is known of results stays"

    def test_all_but_the_newest(self, project: Path, said: Callable[..., str], ids: Callable[..., list[str]]) -> None:
        for _ in range(3):
            said(0, "run", "-p", "first", "-p", "third")
        assert said(0, "runs", "rm", "--keep", "2", "-p", "first") == "removed 1 run\n"
        assert (len(ids("-p", "first")), len(ids("-p", "third"))) == (2, 3)
        assert said(0, "runs", "rm", "--keep", "1") == "removed 3 runs\n"

    @pytest.mark.parametrize("arguments", [[], ["last", "--keep", "1"], ["last", "-p", "first"], ["--keep", "-1"]])
    def test_mistakes(self, project: Path, said: Callable[..., str], arguments: list[str]) -> None:
        assert "Usage: odibi runs rm" in said(2, "runs", "rm", *arguments)

    def test_one_that_goes_on(self, project: Path, said: Callable[..., str], ids: Callable[..., list[str]]) -> None:
        from toy_state import Store  # type: ignore[import-not-found]

        store = Store()
        lock = store.lock("first")
        store.begin("20990101T000000.000000-00000000", "first", {}, lock=lock)
        assert "the run goes on" in said(1, "runs", "rm", "last")
        assert "another run of 'first' goes on" in said(1, "run", "-p", "first")
        lock.release()


class TestWait:
    def held(self, project: Path) -> Any:
        from toy_state import Store  # type: ignore[import-not-found]

        change(project / "odibi.yaml", "checkpoints: toy", "checkpoints: {type: toy, wait: 1h}")
        return Store().lock("first")

    def until_it_waits(self, project: Path, process: subprocess.Popen[str]) -> None:
        deadline = time.monotonic() + 60
        while not (project / "runs/somebody waits").exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def test_for_another_run(self, project: Path) -> None:
        lock = self.held(project)
        process = odibi(project, "run", "-p", "first")
        self.until_it_waits(project, process)
        lock.release()
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0, out

    def test_it_can_be_interrupted(self, project: Path) -> None:
        lock = self.held(project)
        process = odibi(project, "run", "-p", "first")
        self.until_it_waits(project, process)
        while process.poll() is None:  # the first one is for the run, if it starts at once
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
        out, _ = process.communicate()
        assert process.returncode == 130
        assert out.endswith("odibi: interrupted\n")
        lock.release()


class TestResume:
    def test_the_last_run_of_each(self, project: Path, said: Callable[..., str], ids: Callable[..., list[str]]) -> None:
        killed(project)
        (run_id,) = ids("-p", "second")
        plan = said(0, "plan", "--resume")
        assert "  restore  a  the interrupted run had finished it\n" in plan
        assert plan.splitlines()[-1].startswith("3 run, 2 reuse, 1 restore; ")
        out = said(0, "run", "--resume")
        assert "\nsecond  succeeded  2 succeeded, 1 restored  " in out
        assert f"  resumed {run_id}\n" in out
        assert out.splitlines()[-1].startswith("succeeded: 6 of 6 nodes in ")
        assert json.loads(said(0, "runs", "show", ids("-p", "second")[0], "--json"))["resumes"] == run_id
        assert "resumed" not in said(0, "run", "--resume"), "the last run succeeded"

    def test_one_run_and_the_pipelines_after_its_own(
        self, project: Path, said: Callable[..., str], ids: Callable[..., list[str]]
    ) -> None:
        killed(project)
        (run_id,) = ids("-p", "second")
        assert re.findall(r"^\w+  \d", said(0, "plan", "--resume", run_id), re.MULTILINE) == ["second  3", "third  1"]
        out = said(0, "run", "--resume", run_id, "--json")
        summary = json.loads(out.splitlines()[-1])
        assert [(run["pipeline"], run["resumes"]) for run in summary["runs"]] == [("second", run_id), ("third", None)]
        states = {node["node"]: node["state"] for node in summary["runs"][0]["nodes"]}
        assert states == {"a": "restored", "b": "succeeded", "c": "succeeded"}

    def test_nodes_before_those_that_run_are_summed_up_at_once(
        self, project: Path, said: Callable[..., str], ids: Callable[..., list[str]]
    ) -> None:
        """Of three nodes that are there already, one is loaded for the node that runs, and two need not be."""
        before = "{name: y, function: zero}\n      - {name: z, function: same, depends_on: [y]}\n      - "
        change(
            project / "odibi.yaml", "{name: a, function: zero}", before + "{name: a, function: more, depends_on: [z]}"
        )
        with (project / "transforms.py").open("a") as file:
            file.write("def same(y): return y + 10\ndef more(z): return z + 1\n")
        killed(project, "-p", "second")
        (run_id,) = ids()
        lines = said(0, "run", "--resume", "-p", "second").splitlines()
        assert lines[1] == f"second  2 restored so far, from run {run_id}"
        assert [line.split()[0] for line in lines[2:4]] == ["second.b", "second.c"]
        assert re.fullmatch(rf"second  succeeded  2 succeeded, 3 restored  \d\.\d\d s  resumed {run_id}", lines[4])

    def test_what_does_not_go(self, project: Path, said: Callable[..., str], ids: Callable[..., list[str]]) -> None:
        said(0, "run")
        newest = ids()[0]
        out = said(1, "run", "--resume", newest, "-p", "first")
        assert f"{newest}: it is a run of pipeline 'third', and only first would run. Choose that pipeline" in out
        assert "there is no run '1999'" in said(1, "run", "--resume", "1999", "--json")
        assert "may be any of 3 runs" in said(1, "plan", "--resume", newest[:5])
        change(project / "odibi.yaml", "checkpoints: toy\n", "")
        for resume in (["--resume"], ["--resume", newest]):
            assert "no checkpoint store" in said(1, "run", *resume)
            assert "no checkpoint store" in said(1, "plan", *resume)

    @pytest.mark.parametrize(
        "arguments",
        [
            ["--resume"],
            ["--resume", "odibi.yaml"],
            ["odibi.yaml", "--resume"],
            ["--resume", "-p", "first"],
            ["--resume", "last", "."],
            ["--resume=last"],
            ["--resume", "--", "odibi.yaml"],
        ],
    )
    def test_the_project_is_not_taken_for_a_run(
        self, project: Path, said: Callable[..., str], arguments: list[str]
    ) -> None:
        assert "first  2 nodes" in said(0, "plan", *arguments)

    def test_force_and_no_cache(self, project: Path, said: Callable[..., str]) -> None:
        said(0, "run", "-p", "first")
        out = said(0, "run", "-p", "first", "--select", "two", "--force")
        assert "first  1 reused so far\n" not in out, "what is loaded is counted at the end"
        assert re.search(r"^first  succeeded  1 succeeded, 1 reused  ", out, re.MULTILINE)
        out = said(0, "run", "-p", "first", "--force")
        assert re.search(r"^first  succeeded  2 succeeded  ", out, re.MULTILINE)
        said(0, "cache", "evict", "--all")
        said(0, "run", "-p", "third", "--no-cache")
        assert json.loads(said(0, "cache", "ls", "--json")) == {"entries": []}
