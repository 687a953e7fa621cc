"""Pipelines that run again and again."""

from __future__ import annotations

import threading
from pathlib import Path
from uuid import uuid4

import pytest

import odibi
from odibi.api import LoadedProject
from odibi.model import Checkpoints, Continuous, Node, Pipeline, Project
from odibi.testing.pipelines import host_with
from odibi.testing.reference.checkpoint import MemoryCheckpoints

HOST = host_with({"checkpoint.memory": MemoryCheckpoints})


def project(node: Node, how: Continuous | None = None) -> LoadedProject:
    pipeline = Pipeline("p", (node,), continuous=how or Continuous(sleep_seconds=0))
    store = Checkpoints("memory", options={"name": uuid4().hex})
    return LoadedProject(Project("shop", engine=None, checkpoints=store, pipelines=(pipeline,)), host=HOST)


def counting(fail: tuple[int, ...] = ()) -> tuple[Node, list[int]]:
    calls: list[int] = []

    def count() -> int:
        calls.append(len(calls) + 1)
        if calls[-1] in fail:
            raise ValueError("not this time")
        return calls[-1]

    return Node("n", function=count, cache=False), calls


def test_so_many_runs() -> None:
    node, calls = counting()
    made = project(node)
    results = list(made["p"].stream(max_iterations=3))
    assert [result["n"] for result in results] == calls == [1, 2, 3]


def test_a_run_that_fails_does_not_end_it() -> None:
    node, calls = counting(fail=(2,))
    states = [result.state for result in project(node)["p"].stream(max_iterations=3)]
    assert states == ["succeeded", "failed", "succeeded"]
    assert calls == [1, 2, 3]


def test_it_is_stopped_while_it_sleeps() -> None:
    node, calls = counting()
    stop = threading.Event()
    runs = project(node)["p"].stream(stop=stop, sleep_seconds=3600)
    assert next(runs).ok
    stop.set()
    assert list(runs) == []
    assert calls == [1]


@pytest.mark.parametrize(("interval", "kept"), [(1, 6), (2, 3), (4, 1), (10, 0)])
def test_of_some_runs_one_stays_on_record(interval: int, kept: int) -> None:
    node, calls = counting()
    made = project(node, Continuous(max_iterations=6, sleep_seconds=0, checkpoint_interval=interval))
    results = list(made["p"].stream())
    resources = made.resources()
    store = resources.checkpoints()
    assert store is not None
    assert {run.run_id for run in store.runs("p")} == {
        result.run_id for at, result in enumerate(results, 1) if at % interval == 0
    }
    assert len(list(store.runs("p"))) == kept
    assert store.results("p")["n"]["state"] == "succeeded", "what later runs need stays"
    assert len(calls) == 6
    resources.close()


def test_a_run_that_failed_stays_on_record() -> None:
    node, _ = counting(fail=(1,))
    made = project(node)
    list(made["p"].stream(max_iterations=2, checkpoint_interval=5))
    resources = made.resources()
    store = resources.checkpoints()
    assert store is not None
    assert [run.state for run in store.runs("p")] == ["failed"]
    resources.close()


def test_without_a_store() -> None:
    node, calls = counting()
    assert len(list(odibi.Pipeline("p", [node], engine=None, host=HOST).stream(max_iterations=2, sleep_seconds=0))) == 2
    assert calls == [1, 2]


PROJECT = """
project: shop
engine: null
pipelines:
  - pipeline: again
    mode: stream
    continuous: {max_iterations: 3, sleep_seconds: 0}
    nodes:
      - {name: n, function: count, cache: false}
  - pipeline: once
    nodes:
      - {name: m, function: count, cache: false}
"""
FUNCTIONS = """
from pathlib import Path

def count():
    with Path("calls").open("a") as file:
        file.write("x")
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "odibi.yaml").write_text(PROJECT)
    (tmp_path / "transforms.py").write_text(FUNCTIONS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("options", "calls"),
    [
        ([], 4),
        (["--mode", "batch"], 2),
        (["-p", "once"], 1),
        (["--max-iterations", "5"], 6),
        (["-p", "once", "--mode", "stream", "--max-iterations", "2", "--sleep-seconds", "0"], 2),
    ],
)
def test_from_the_command_line(place: Path, options: list[str], calls: int) -> None:
    from odibi.cli.main import main

    assert main(["run", *options]) == 0
    assert len((place / "calls").read_text()) == calls


def test_mistakes_are_told_where_they_stand(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from odibi.cli.main import main

    (place / "odibi.yaml").write_text(PROJECT.replace("max_iterations: 3", "max_iterations: 0"))
    assert main(["run"]) == 2
    assert "odibi.yaml:7:34: max_iterations is 0" in capsys.readouterr().err
