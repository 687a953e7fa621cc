"""Pipelines on a simulated S3 that fails one request in five: the same bytes as on one that never does."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import odibi
from odibi_s3_sim.conformance import FAULTS
from odibi_s3_sim.faults import load
from odibi_s3_sim.storage import SimulatedS3Storage

pytest.importorskip("odibi_pandas")

PROJECT = """
project: shop
connections:
  lake: {{type: s3_sim, path: s3, bucket: shop, prefix: lake, fsync: false, seed: {seed}, retries: 10{more}}}
pipelines:
  - pipeline: sales
    nodes:
      - name: orders
        read: {{connection: lake, path: in/orders.csv, format: csv}}
      - name: clean
        depends_on: [orders]
        transform:
          steps:
            - sql: SELECT * FROM orders WHERE amount > 10
        write: {{connection: lake, path: silver/clean.parquet}}
      - name: totals
        depends_on: [clean]
        transform:
          steps:
            - sql: SELECT customer, sum(amount) AS total FROM clean GROUP BY customer ORDER BY customer
        write: {{connection: lake, path: gold/totals.csv}}
      - name: log
        depends_on: [clean]
        write: {{connection: lake, path: gold/log, format: parquet, mode: append}}
"""


def prepare(folder: Path, *, seed: int = 0, more: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "odibi.yaml").write_text(PROJECT.format(seed=seed, more=more))
    rows = "".join(f"c{number % 17},{number}\n" for number in range(2000))
    bucket = raw(folder)
    bucket.raw_put("in/orders.csv", f"customer,amount\n{rows}".encode())
    bucket.close()
    return folder / "odibi.yaml"


def raw(folder: Path) -> SimulatedS3Storage:
    return SimulatedS3Storage(path=str(folder / "s3"), bucket="shop", prefix="lake", fsync=False)


def objects(folder: Path) -> Mapping[str, bytes]:
    storage = raw(folder)
    return {stat.path: storage.raw_get(stat.path) for stat in storage.list() if not stat.path.startswith("in/")}


def states(project: Path) -> Mapping[str, str]:
    result = odibi.load(project).run()["sales"]
    return {name: outcome.state.value for name, outcome in result.outcomes.items()}


FAULTY = ", faults: {" + ", ".join(f"{kind}: {rate}" for kind, rate in FAULTS.items()) + "}, faults_to: faults.json"


@pytest.mark.parametrize("seed", [1, 2])
def test_a_bad_day_changes_no_byte(tmp_path: Path, seed: int) -> None:
    plain, faulty = prepare(tmp_path / "plain"), prepare(tmp_path / "faulty", seed=seed, more=FAULTY)
    assert set(states(plain).values()) == set(states(faulty).values()) == {"succeeded"}
    good, bad = objects(plain.parent), objects(faulty.parent)
    assert {path for path in good if "log" not in path} == {path for path in bad if "log" not in path}
    assert good["gold/totals.csv"] == bad["gold/totals.csv"]
    assert good["silver/clean.parquet"] == bad["silver/clean.parquet"]
    assert sorted(data for path, data in good.items() if "gold/log" in path) == sorted(
        data for path, data in bad.items() if "gold/log" in path
    )
    assert len(load(faulty.parent / "faults.json")) > 0


def test_appending_twice_under_faults_loses_and_doubles_nothing(tmp_path: Path) -> None:
    import pandas as pd

    project = prepare(tmp_path / "faulty", seed=3, more=FAULTY)
    states(project)
    once = objects(project.parent)
    states(project)
    twice = objects(project.parent)

    def rows(found: Mapping[str, bytes]) -> int:
        import io

        return sum(len(pd.read_parquet(io.BytesIO(data))) for path, data in found.items() if "gold/log" in path)

    assert rows(once) == 1989
    assert rows(twice) in (1989, 2 * 1989), "an append is done once a run, or is known to be done"


def test_retries_that_end_fail_the_node_and_leave_what_was(tmp_path: Path) -> None:
    project = prepare(tmp_path / "shop")
    states(project)
    before = objects(project.parent)
    prepare(tmp_path / "shop", more=", faults: {slow_down: 1.0}")
    failed = odibi.load(project).run(check=False)["sales"]
    assert {outcome.state.value for outcome in failed.outcomes.values()} == {"failed", "skipped"}
    assert objects(project.parent) == before


def test_the_end_of_a_run_says_what_it_cost(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    project = prepare(tmp_path / "shop")
    with caplog.at_level(logging.INFO, "odibi.s3_sim"):
        states(project)
    told = [record.getMessage() for record in caplog.records if record.name == "odibi.s3_sim"]
    assert any("this run would cost $0.0" in message and "shop" in message for message in told)


def test_the_command_line_says_it_and_keeps_it(tmp_path: Path) -> None:
    project = prepare(tmp_path / "shop")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "odibi", *arguments],
            cwd=project.parent,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    done = run("run", "odibi.yaml")
    assert done.returncode == 0, done.stderr
    assert "this run would cost $0.0" in done.stderr
    report = run("s3-sim", "report", "s3")
    assert report.returncode == 0, report.stderr
    assert "Bucket shop: $0.0" in report.stdout
    assert "PutObject" in report.stdout


def test_a_cache_and_checkpoints_on_it_find_their_work_again(tmp_path: Path) -> None:
    pytest.importorskip("odibi_objects")
    project = prepare(tmp_path / "shop", seed=4, more=FAULTY + ", versioning: true")
    shared: Any = "cache: {type: storage, connection: lake}\ncheckpoints: {type: storage, connection: lake}\n"
    project.write_text(project.read_text().replace("pipelines:", f"{shared}pipelines:"))
    assert set(states(project).values()) == {"succeeded"}
    assert set(states(project).values()) == {"reused"}
