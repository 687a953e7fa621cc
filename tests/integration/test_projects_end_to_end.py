"""Whole projects on local files: chunks, appends, modes, secrets, and mistakes that must not lose data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import odibi
from odibi.api import LoadedProject
from odibi.contracts.executor import State
from odibi.errors import ConfigError, RunFailed

HEAD = """
project: Shop
connections:
  lake: {type: local, base_path: lake}
pipelines:
  - pipeline: daily
    nodes:
"""


def project(folder: Path, nodes: str, transforms: str = "") -> LoadedProject:
    lines = "\n".join(f"      {line}" for line in nodes.strip("\n").splitlines())
    (folder / "odibi.yaml").write_text(HEAD + lines + "\n")
    if transforms:
        (folder / "transforms.py").write_text(transforms)
    return odibi.load(folder)


@pytest.fixture(name="lake")
def _lake(tmp_path: Path) -> Path:
    lake = tmp_path / "lake"
    lake.mkdir()
    rows = "".join(f"{at},{at * 2},g{at % 3}\n" for at in range(10_000))
    (lake / "rows.csv").write_text("id,amount,name\n" + rows)
    return lake


CHUNKED = """
- name: big
  read: {connection: lake, path: rows.csv, chunk_rows: 700}
  transform:
    steps:
      - {operation: filter, params: {where: id % 2 = 0}}
      - {operation: derive, params: {columns: {half: amount / 2}}}
      - {function: tagged}
  write: {connection: lake, path: big.parquet}
"""

ROWWISE = """
import odibi

sizes = []

@odibi.transform(rowwise=True)
def tagged(frame):
    sizes.append(len(frame))
    frame["tag"] = "t-" + frame["name"]
    return frame
"""


def test_a_node_in_chunks_gives_what_it_gives_whole(tmp_path: Path, lake: Path) -> None:
    chunked = project(tmp_path, CHUNKED, ROWWISE)
    assert chunked.run().ok
    in_chunks = pd.read_parquet(lake / "big.parquet")
    whole = project(tmp_path, CHUNKED.replace(", chunk_rows: 700", ""), ROWWISE)
    assert whole.run().ok
    pd.testing.assert_frame_equal(in_chunks, pd.read_parquet(lake / "big.parquet"))
    assert len(in_chunks) == 5000
    sizes = chunked.project.functions["tagged"].__globals__["sizes"]
    assert len(sizes) > 10
    assert max(sizes) <= 700


def test_a_node_that_cannot_be_run_in_chunks_is_refused_with_every_reason(tmp_path: Path, lake: Path) -> None:
    nodes = """
- name: big
  read: {connection: lake, path: rows.csv, chunk_rows: 700}
  transform:
    steps:
      - SELECT * FROM df ORDER BY amount
      - {operation: sort, params: {by: [id]}}
  validation: {not_empty: true}
- name: after
  depends_on: [big]
  write: {connection: lake, path: out.csv}
"""
    with pytest.raises(ConfigError) as caught:
        project(tmp_path, nodes)
    text = str(caught.value)
    for reason in (
        "it writes nothing",
        "other nodes read its result",
        "its validation looks at all rows at once",
        "step 1 is SQL",
        "step 2 is an operation",
    ):
        assert reason in text
    assert "odibi.yaml:9:62:" in text


def test_an_append_adds_what_is_new_and_nothing_twice(tmp_path: Path, lake: Path) -> None:
    nodes = """
- name: log
  read: {connection: lake, path: rows.csv}
  write: {connection: lake, path: log, format: parquet, mode: append}
"""
    loaded = project(tmp_path, nodes)
    for parts in (1, 2):
        for _ in range(2):
            assert loaded.run().ok
            assert len(pd.read_parquet(lake / "log")) == parts * 10_000
            assert len([path for path in (lake / "log").iterdir() if path.suffix == ".parquet"]) == parts
        (lake / "rows.csv").write_text((lake / "rows.csv").read_text().replace("g1", "h1"))


def test_an_append_of_what_nobody_can_know_adds_one_part_a_run(tmp_path: Path, lake: Path) -> None:
    nodes = """
- name: log
  read: {connection: lake, path: rows.csv}
  cache: false
  write: {connection: lake, path: log, format: parquet, mode: append}
"""
    loaded = project(tmp_path, nodes)
    for runs in (1, 2):
        assert loaded.run().ok
        assert len(pd.read_parquet(lake / "log")) == runs * 10_000


@pytest.mark.parametrize(("mode", "state"), [("error", "failed"), ("ignore", "succeeded"), ("overwrite", "succeeded")])
def test_what_is_there_is_treated_as_the_mode_says(tmp_path: Path, lake: Path, mode: str, state: str) -> None:
    (lake / "out.csv").write_text("x\n1\n")
    nodes = f"""
- name: save
  read: {{connection: lake, path: rows.csv}}
  write: {{connection: lake, path: out.csv, mode: {mode}}}
"""
    result = project(tmp_path, nodes).run(check=False)[0]
    assert result.state == state
    kept = (lake / "out.csv").read_text() == "x\n1\n"
    assert kept is (mode != "overwrite")


def test_upsert_replaces_by_key_and_append_once_does_not(tmp_path: Path, lake: Path) -> None:
    (lake / "new.csv").write_text("id,amount\n1,100\n3,300\n")
    for mode, expected in (("upsert", [[1, 100], [2, 20], [3, 300]]), ("append_once", [[1, 10], [2, 20], [3, 300]])):
        (lake / "table.csv").write_text("id,amount\n1,10\n2,20\n")
        nodes = f"""
- name: merge
  read: {{connection: lake, path: new.csv}}
  write: {{connection: lake, path: table.csv, mode: {mode}, keys: [id]}}
"""
        loaded = project(tmp_path, nodes)
        for _ in range(2):
            assert loaded.run().ok
            assert sorted(pd.read_csv(lake / "table.csv").values.tolist()) == expected, mode


def test_a_failing_node_leaves_what_was_there(tmp_path: Path, lake: Path) -> None:
    (lake / "out.csv").write_text("x\n1\n")
    nodes = """
- name: save
  read: {connection: lake, path: rows.csv}
  validation: {ranges: {amount: {max: 10}}}
  write: {connection: lake, path: out.csv}
"""
    with pytest.raises(RunFailed, match="amount"):
        project(tmp_path, nodes).run()
    assert (lake / "out.csv").read_text() == "x\n1\n"


def test_quarantined_rows_and_good_rows_together_are_all_rows(tmp_path: Path, lake: Path) -> None:
    nodes = """
- name: checked
  read: {connection: lake, path: rows.csv}
  validation:
    ranges: {amount: {max: 9999}}
    allowed_values: {name: [g0, g1]}
    on_fail: quarantine
    quarantine: {connection: lake, path: bad.parquet}
  write: {connection: lake, path: good.parquet}
"""
    result = project(tmp_path, nodes).run()[0]
    good, bad = pd.read_parquet(lake / "good.parquet"), pd.read_parquet(lake / "bad.parquet")
    assert result.outcomes["checked"].quarantined == len(bad)
    assert sorted([*good["id"], *bad["id"]]) == list(range(10_000))
    assert good["amount"].max() <= 9999
    assert set(good["name"]) == {"g0", "g1"}
    both = bad[(bad["amount"] > 9999) & (bad["name"] == "g2")]["_odibi_rules"]
    assert len(both) > 0
    assert all("ranges(amount)" in rules and "allowed_values(name)" in rules for rules in both)
    assert set(bad["_odibi_run"]) == {result.run_id}


SECRET = "hunter2-not-to-be-seen"


@pytest.mark.parametrize(
    "step",
    [
        {"sql": "SELECT CAST(name AS INTEGER) AS x FROM df"},
        {"operation": "derive", "params": {"columns": {"x": "CAST(name AS INTEGER)"}}},
        {"operation": "filter", "params": {"where": "CAST(name AS INTEGER) > 1"}},
        {"operation": "aggregate", "params": {"by": ["id"], "measures": {"x": "sum(CAST(name AS INTEGER))"}}},
        {"function": "leaks"},
        {"operation": "cast", "params": {"types": {"name": "int"}}},
    ],
)
def test_a_sensitive_node_keeps_its_data_out_of_its_errors(tmp_path: Path, lake: Path, step: dict[str, Any]) -> None:
    (lake / "rows.csv").write_text(f"id,name\n1,{SECRET}\n")
    nodes = f"""
- name: private
  sensitive: true
  read: {{connection: lake, path: rows.csv}}
  transform: {{steps: [{step!r}]}}
"""
    transforms = "def leaks(frame):\n    raise ValueError(str(frame['name'][0]))\n"
    outcome = project(tmp_path, nodes, transforms).run(check=False)[0].outcomes["private"]
    assert outcome.state is State.FAILED
    error: BaseException | None = outcome.error
    said = []
    while error is not None:
        said.append(str(error))
        error = error.__cause__
    assert SECRET not in " ".join(said)
    assert "private" in said[0]


def test_a_retried_append_is_one_part(tmp_path: Path, lake: Path) -> None:
    nodes = """
- name: log
  read: {connection: lake, path: rows.csv}
  transform: {steps: [{function: flaky}]}
  retry: {max_attempts: 3, delay: 0}
  write: {connection: lake, path: log, format: parquet, mode: append}
"""
    transforms = (
        "calls = []\n\ndef flaky(frame):\n    calls.append(1)\n"
        "    if len(calls) < 3:\n        raise ConnectionError('cut')\n    return frame\n"
    )
    result = project(tmp_path, nodes, transforms).run()[0]
    assert result.outcomes["log"].attempts == 3
    assert len(pd.read_parquet(lake / "log")) == 10_000
