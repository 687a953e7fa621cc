"""A cache and a checkpoint store in the project's own connection, shared by processes that know nothing of another."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

import odibi
from odibi.contracts.storage import Storage
from odibi.errors import Conflict
from odibi_local.storage import LocalStorage
from odibi_objects.cache import StorageCache
from odibi_objects.checkpoint import StorageCheckpoints

PROJECT = """
project: shop
connections:
  lake: {type: local, base_path: ../lake}
  shared: {type: local, base_path: ../shared}
cache: {type: storage, connection: shared, prefix: results, max_size: 1GB}
checkpoints: {type: storage, connection: shared, prefix: journals, lease: 10s}
pipelines:
  - pipeline: sales
    nodes:
      - name: orders
        read: {connection: lake, path: in/orders.csv}
      - name: clean
        depends_on: [orders]
        transform:
          steps:
            - function: slowly
      - name: totals
        depends_on: [clean]
        transform:
          steps:
            - sql: SELECT customer, sum(amount) AS total FROM clean GROUP BY customer ORDER BY customer
        write: {connection: lake, path: out/totals.parquet}
"""
FUNCTIONS = """
import os, pathlib, time

def slowly(frame):
    if "GATE" in os.environ:
        gate = pathlib.Path(os.environ["GATE"])
        gate.with_name("reached").touch()
        while not gate.exists():
            time.sleep(0.01)
    return frame[frame["amount"] > 1]
"""
RUN = "import odibi; odibi.load('odibi.yaml').run()"


@pytest.fixture
def machines(tmp_path: Path) -> list[Path]:
    """Two folders with the same project, that share a lake and what they know of earlier runs."""
    (tmp_path / "lake" / "in").mkdir(parents=True)
    (tmp_path / "lake/in/orders.csv").write_text("customer,amount\na,1\na,5\nb,3\n")
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "odibi.yaml").write_text(PROJECT)
        (tmp_path / name / "transforms.py").write_text(FUNCTIONS)
    return [tmp_path / "one", tmp_path / "other"]


def states(machine: Path, **choices: object) -> dict[str, str]:
    with odibi.load(machine / "odibi.yaml") as project:
        result = project.run(**choices)["sales"]  # type: ignore[arg-type]
        return {name: outcome.state.value for name, outcome in result.outcomes.items()}


def store(machine: Path) -> StorageCheckpoints:
    connection: Storage = LocalStorage(base_path=machine.parent / "shared")
    return StorageCheckpoints(connection=connection, prefix="journals")


def test_what_one_machine_computed_another_uses(machines: list[Path]) -> None:
    one, other = machines
    assert set(states(one).values()) == {"succeeded"}
    assert set(states(other).values()) == {"reused"}
    shutil.rmtree(one.parent / "lake" / "out")
    assert states(other)["clean"] != "succeeded"
    totals = pd.read_parquet(one.parent / "lake/out/totals.parquet")
    assert dict(zip(totals["customer"], totals["total"], strict=True)) == {"a": 5, "b": 3}
    seen = store(one)
    assert [run.state for run in seen.runs("sales")] == ["succeeded"] * 3
    assert {record["run_id"] for record in seen.results("sales").values()} <= {run.run_id for run in seen.runs()}
    cache = StorageCache(connection=LocalStorage(base_path=one.parent / "shared"), prefix="results")
    assert cache.stats().puts > 0
    assert list(cache.verify()) == []


def wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60.0
    while not path.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_killed_run_is_gone_on_with_by_another_process(machines: list[Path]) -> None:
    one, other = machines
    gate = one / "gates" / "open"
    gate.parent.mkdir()
    process = subprocess.Popen([sys.executable, "-c", RUN], cwd=one, env={**os.environ, "GATE": str(gate)})
    try:
        wait_for(gate.with_name("reached"), process)
        with pytest.raises(Conflict, match=str(process.pid)):
            states(other)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert [run.state for run in store(one).runs("sales")] == ["interrupted"]
    found = states(other, resume=True)
    assert found["clean"] == found["totals"] == "succeeded"
    assert [run.state for run in store(one).runs("sales")] == ["succeeded", "interrupted"]


def test_every_option_of_both_can_be_given(tmp_path: Path) -> None:
    (tmp_path / "odibi.yaml").write_text(
        PROJECT.replace("max_size: 1GB", "max_size: 1GB, ttl: 7d, count_every: 0, clock_skew: 5s, parallel: 4").replace(
            "lease: 10s", "lease: 10s, clock_skew: 5s, parallel: 4, keep_last: 3, resume: true"
        )
    )
    (tmp_path / "transforms.py").write_text(FUNCTIONS)
    (tmp_path.parent / "lake").mkdir(exist_ok=True)
    with odibi.load(tmp_path / "odibi.yaml") as project:
        assert [node.name for node in project["sales"].plan().graph.nodes] == ["orders", "clean", "totals"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("connection: shraed", "shraed"),
        ("connection: shared, prefix: ../out", "climbs out"),
        ("connection: shared, max_size: huge", "'huge' is no size"),
        ("connection: shared, ttl: -1", "-1.0 is no duration"),
        ("connection: shared, parallel: 0", "give 1 or more"),
        ("prefix: results", "connection"),
    ],
)
def test_what_is_wrong_is_told_before_anything_runs(tmp_path: Path, wrong: str, words: str) -> None:
    text = PROJECT.replace("connection: shared, prefix: results, max_size: 1GB", wrong)
    (tmp_path / "odibi.yaml").write_text(text)
    (tmp_path / "transforms.py").write_text(FUNCTIONS)
    with pytest.raises(odibi.ConfigError, match=words) as caught:
        odibi.load(tmp_path / "odibi.yaml")
    assert "odibi.yaml:6:" in str(caught.value)
