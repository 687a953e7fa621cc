"""Plans, runs and caches on the command line, with the stores that come with Odibi."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from odibi.cli.main import main

STORES = {
    "local": "cache: {type: disk, path: state/cache}\ncheckpoints: {type: sqlite, path: state/runs.db}\n",
    "storage": "cache: {type: storage, connection: state}\ncheckpoints: {type: storage, connection: state}\n",
}
PROJECT = """\
project: shop
connections:
  lake: {type: local, base_path: lake}
  state: {type: local, base_path: state}
pipelines:
  - pipeline: sales
    nodes:
      - name: orders
        read: {connection: lake, path: in/orders.csv}
      - name: clean
        depends_on: [orders]
        transform:
          steps:
            - function: drop_small
              params: {least: 2}
      - name: totals
        depends_on: [clean]
        transform:
          steps:
            - sql: SELECT customer, sum(amount) AS total FROM clean GROUP BY customer ORDER BY customer
        write: {connection: lake, path: out/totals.parquet}
      - name: log
        depends_on: [clean]
        write: {connection: lake, path: out/log, format: parquet, mode: append}
  - pipeline: reports
    nodes:
      - name: best
        read: {connection: lake, path: out/totals.parquet}
        transform:
          steps:
            - sql: SELECT * FROM df ORDER BY total DESC LIMIT 1
        write: {connection: lake, path: out/best.csv}
"""
FUNCTIONS = """\
def drop_small(frame, least):
    return frame[frame["amount"] >= least]
"""
WAITING = """\
project: waiting
engine: null
connections:
  state: {type: local, base_path: state}
pipelines:
  - pipeline: p
    nodes:
      - {name: before, function: before}
      - {name: gate, function: gate, depends_on: [before]}
      - {name: after, function: after, depends_on: [gate]}
"""
GATE = """\
import os
import time

def before():
    with open("ran", "a") as file:
        file.write("before\\n")
    return 1

def gate(before):
    open("waiting", "w").close()
    while os.path.exists("closed"):
        time.sleep(0.01)
    return before + 1

def after(gate):
    return gate + 1
"""


def make(folder: Path, project: str, functions: str, stores: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "odibi.yaml").write_text(project + STORES[stores])
    (folder / "transforms.py").write_text(functions)
    return folder


@pytest.fixture(params=list(STORES))
def shop(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that reads and writes files, and the working folder; with each kind of store."""
    folder = make(tmp_path / "shop", PROJECT, FUNCTIONS, request.param)
    (folder / "lake/in").mkdir(parents=True)
    (folder / "lake/in/orders.csv").write_text("customer,amount\na,1\na,5\nb,3\n")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(params=list(STORES))
def waiting(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a node that waits for somebody to open a gate, and the working folder."""
    folder = make(tmp_path / "waiting", WAITING, GATE, request.param)
    (folder / "closed").touch()
    monkeypatch.chdir(folder)
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


@contextmanager
def at_the_gate(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A run in a process of its own, whose second node has begun and waits."""
    command = [sys.executable, "-m", "odibi", "run"]
    process = subprocess.Popen(command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 60
        while not (folder / "waiting").exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield process
    finally:
        process.kill()
        process.communicate()


def runs(said: Callable[..., str], *arguments: str) -> list[dict[str, Any]]:
    return json.loads(said(0, "runs", "ls", "--json", *arguments))["runs"]


def test_a_plan_that_loads_nothing_imports_no_dataframe_library(shop: Path) -> None:
    code = (
        "import json, sys; from odibi.cli.main import main\n"
        "for arguments in json.loads(sys.argv[1]): assert main(arguments) == 0\n"
        "heavy = {'pandas', 'numpy', 'pyarrow', 'duckdb', 'openpyxl', 'fastavro', 'rich', 'structlog'}\n"
        "print('heavy:', sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )

    def heavy(*commands: str) -> str:
        given = json.dumps([command.split() for command in commands])
        done = subprocess.run([sys.executable, "-c", code, given], cwd=shop, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stderr.splitlines()[-1]

    assert heavy("plan") == "heavy: []"
    assert "pandas" in heavy("run"), "or the test says nothing"
    same = ("plan", "plan --json --resume", "run", "runs ls", "runs show last", "cache ls", "cache stats")
    assert heavy(*same) == "heavy: []"
    (shop / "lake/in/orders.csv").write_text("customer,amount\nc,9\n")
    assert heavy("run --dry-run") == "heavy: []"


def test_a_plan_says_why_and_the_run_does_it(shop: Path, said: Callable[..., str]) -> None:
    assert "5 run, 0 reuse, 0 restore" in said(1, "plan", "--check")
    said(0, "run")
    assert said(0, "plan", "--check", "-p", "sales").endswith("0 run, 4 reuse, 0 restore\n")
    (shop / "lake/in/orders.csv").write_text("customer,amount\na,1\na,5\nb,3\nc,4\n")
    plan = said(1, "plan", "--check")
    assert re.search(r"run +orders .*lake:in/orders.csv changed\n +reads lake:in/orders.csv: 1 object, ", plan)
    assert "note: best may run too: it reads lake:out/totals.parquet, which sales.totals writes before" in plan
    out = said(0, "run")
    assert re.search(r"^sales  succeeded  4 succeeded  ", out, re.MULTILINE)
    assert re.search(r"^reports  succeeded  1 succeeded  ", out, re.MULTILINE)
    out = said(0, "run")
    assert re.search(r"^sales  succeeded  4 reused  ", out, re.MULTILINE)
    assert out.splitlines()[-1].startswith("succeeded: 5 of 5 nodes in ")
    (shop / "lake/out/totals.parquet").unlink()
    assert re.search(r"run +totals .*lake:out/totals.parquet is not there any more", said(0, "plan", "-p", "sales"))
    (shop / "transforms.py").write_text(FUNCTIONS.replace(">=", ">"))
    assert "code of `transforms.drop_small` changed" in said(0, "plan", "-p", "sales")
    planned = json.loads(said(0, "plan", "-p", "sales", "--json"))["pipelines"][0]["nodes"]
    ran = json.loads(said(0, "run", "-p", "sales", "--json").splitlines()[-1])["runs"][0]["nodes"]
    words = {"run": "succeeded", "reuse": "reused", "restore": "restored"}
    assert {node["node"]: node["state"] for node in ran} == {it["node"]: words[it["action"]] for it in planned}


def test_runs_can_be_looked_at_compared_and_removed(shop: Path, said: Callable[..., str]) -> None:
    said(0, "run", "-p", "sales")
    (shop / "lake/in/orders.csv").write_text("customer,amount\na,1\na,5\nb,3\nc,4\n")
    said(0, "run", "-p", "sales")
    new, old = (run["run_id"] for run in runs(said))
    out = said(0, "runs", "show", new)
    assert "nodes     4 succeeded\n" in out
    assert re.search(r"^totals +succeeded +3 +\S+ .*its input 'clean' changed$", out, re.MULTILINE)
    out = said(0, "runs", "diff", old, new)
    assert re.search(r"^orders +what it reads changed\n +rows: 3 -> 4$", out, re.MULTILINE)
    assert re.search(r"^totals +its input 'clean' changed\n +rows: 2 -> 3$", out, re.MULTILINE)
    said(0, "run", "-p", "sales")
    # Every node was reused in the third run: its results are those of the second.
    assert "what it reads changed" in said(0, "runs", "diff", old, "last")
    assert said(0, "runs", "rm", old) == f"removed {old}\n"
    assert said(0, "runs", "rm", "--keep", "1") == "removed 1 run\n"
    assert len(runs(said)) == 1
    assert "0 run, 4 reuse" in said(0, "plan", "-p", "sales")


def test_a_thousand_reused_nodes_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: Callable[..., str]
) -> None:
    nodes = "".join(f"      - {{name: n{at}, function: f, params: {{at: {at}}}}}\n" for at in range(1000))
    project = f"project: wide\nengine: null\npipelines:\n  - pipeline: p\n    nodes:\n{nodes}"
    folder = make(tmp_path / "wide", project, "def f(at): return at\n", "local")
    monkeypatch.chdir(folder)
    said(0, "run")
    out = said(0, "run", "--workers", "2")
    assert re.sub(r"\d+\.\d\d s", "_ s", out) == (
        "p  started  1,000 nodes  2 workers\np  succeeded  1,000 reused  _ s\nsucceeded: 1,000 of 1,000 nodes in _ s\n"
    )
    assert said(0, "plan") == "p  1,000 nodes\n  reuse  1,000 nodes  unchanged\n0 run, 1,000 reuse, 0 restore\n"
    events = [json.loads(line) for line in said(0, "run", "--json").splitlines()]
    assert sum(event["event"] == "node_finished" for event in events) == 1000
    (folder / "odibi.yaml").write_text(
        (folder / "odibi.yaml").read_text().replace("params: {at: 7}", "params: {at: -7}")
    )
    lines = said(0, "run").splitlines()
    assert lines[1] == "p  999 reused so far"
    assert lines[2].startswith("p.n7  succeeded  ")
    assert lines[3].startswith("p  succeeded  1 succeeded, 999 reused  ")


class TestInterrupted:
    # On storage, others wait out the lease of a result that a killed run was computing; a test has no time for that.
    @pytest.mark.parametrize(
        ("waiting", "cached"), [("local", True), ("local", False), ("storage", False)], indirect=["waiting"]
    )
    def test_killed(self, waiting: Path, said: Callable[..., str], cached: bool) -> None:
        if not cached:
            config = waiting / "odibi.yaml"
            config.write_text(config.read_text().replace("function: gate,", "function: gate, cache: false,"))
        with at_the_gate(waiting) as process:
            process.send_signal(signal.SIGKILL)
            process.wait()
        (waiting / "closed").unlink()
        (run,) = runs(said)
        assert run["state"] == "interrupted"
        out = said(0, "runs", "show", "last")
        assert "nodes     1 succeeded, 2 unfinished\n" in out
        assert re.search(r"restore  before .* the interrupted run had finished it", said(0, "plan", "--resume"))
        out = said(0, "run", "--resume")
        assert re.search(rf"^p  succeeded  2 succeeded, 1 restored  \S+ s  resumed {run['run_id']}$", out, re.MULTILINE)
        assert (waiting / "ran").read_text() == "before\n", "it ran once"
        assert runs(said)[0]["resumes"] == run["run_id"]

    def test_stopped(self, waiting: Path, said: Callable[..., str]) -> None:
        with at_the_gate(waiting) as process:
            process.send_signal(signal.SIGINT)
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("finishing what runs"):
                    break
            (waiting / "closed").unlink()
            process.communicate(timeout=60)
            assert process.returncode == 130
        (run,) = runs(said)
        assert run["state"] == "cancelled"
        summary = json.loads(said(0, "run", "--resume", run["run_id"][:22], "--json").splitlines()[-1])["runs"][0]
        assert summary["resumes"] == run["run_id"]
        states = {node["node"]: node["state"] for node in summary["nodes"]}
        assert states == {"before": "restored", "gate": "restored", "after": "succeeded"}

    def test_a_run_that_goes_on(self, waiting: Path, said: Callable[..., str]) -> None:
        with at_the_gate(waiting) as process:
            (run,) = runs(said)
            assert run["state"] == "running"
            assert str(process.pid) in said(1, "run"), "the error says who runs"
            assert "2 run, 1 reuse" in said(0, "plan"), "a plan can be made all the same"
            assert run["run_id"] in said(1, "runs", "rm", "last")
            (waiting / "closed").unlink()
            out, _ = process.communicate(timeout=60)
            assert process.returncode == 0, out
        assert [each["state"] for each in runs(said)] == ["succeeded"]


class TestCache:
    def test_what_is_in_it(self, waiting: Path, said: Callable[..., str]) -> None:
        (waiting / "closed").unlink()
        said(0, "run")
        entries = json.loads(said(0, "cache", "ls", "--json"))["entries"]
        assert {entry["node"] for entry in entries} == {"p.before", "p.gate", "p.after"}
        assert said(0, "cache", "ls").splitlines()[-1] == "3 entries, 3 B"
        stats = json.loads(said(0, "cache", "stats", "--json"))
        assert (stats["entries"], stats["bytes"], stats["puts"], stats["corrupt"]) == (3, 3, 3, 0)
        assert said(0, "cache", "purge") == "removed 0 entries\n"
        assert said(0, "cache", "verify") == "3 entries, all sound\n"
        assert said(0, "cache", "evict", "--max-size", "2B") == "removed 1 entry\n"
        assert said(0, "cache", "evict", "--all") == "removed 2 entries\n"

    def test_damage_is_found_and_mended(self, waiting: Path, said: Callable[..., str]) -> None:
        (waiting / "closed").unlink()
        said(0, "run")
        entries = {entry["node"]: entry for entry in json.loads(said(0, "cache", "ls", "--json"))["entries"]}
        key = entries["p.gate"]["key"]
        places = [path for path in (waiting / "state").rglob("*") if path.is_file() and "lease" not in path.as_posix()]
        (entry,) = (path for path in places if key[3:] in path.as_posix())
        content = entry.read_bytes()
        entry.chmod(0o644)
        entry.write_bytes(bytes([content[0] ^ 1]) + content[1:])
        out = said(1, "cache", "verify")
        assert f"damaged and removed: {key} (1 B, the result of p.gate)\n" in out
        assert said(0, "cache", "verify") == "2 entries, all sound\n"
        (waiting / "transforms.py").write_text(GATE.replace("gate + 1", "gate + 10"))
        assert "'after' needs its result, which is kept nowhere" in said(0, "plan")
        said(0, "run")
        assert said(0, "cache", "verify") == "4 entries, all sound\n"
