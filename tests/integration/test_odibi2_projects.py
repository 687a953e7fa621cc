"""Projects written for Odibi 2, and step tables written for ODIBI CORE, run unchanged."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pandas as pd
import pytest

import odibi
from odibi.errors import ConfigError

ODIBI_2 = """
project: Sales
engine: pandas
version: "1.0.0"
description: A project as Odibi 2 users write it
connections:
  local:
    type: local
    base_path: ./data
story:
  connection: local
  path: stories/
  max_sample_rows: 10
retry: {enabled: true, max_attempts: 3, backoff: exponential}
logging: {level: INFO, structured: false, metadata: {team: sales}}
alerts: []
pipelines:
  - pipeline: bronze_to_silver
    layer: silver
    description: Cleans
    nodes:
      - name: load_sales
        read: {connection: local, format: csv, path: sales.csv, options: {header: true}}
        cache: true
        log_level: DEBUG
      - name: clean
        description: Only rows with an amount
        depends_on: [load_sales]
        transform:
          steps:
            - "SELECT id, amount, region FROM load_sales WHERE amount IS NOT NULL"
            - {function: add_tax, params: {rate: 0.2}}
            - function: keep_regions
              params: {regions: [EU, US]}
        validation:
          not_empty: true
          no_nulls: [id]
          ranges: {amount: {min: 0, max: 1000000}}
          allowed_values: {region: [EU, US]}
          schema: {required_columns: [id, amount], types: {amount: float}}
        sensitive: [region]
        on_error: fail_later
      - name: by_region
        depends_on: [clean]
        transform:
          steps:
            - operation: pivot
              params: {group_by: id, pivot_column: region, value_column: amount, agg_func: sum}
        write: {connection: local, format: csv, path: out/by_region.csv, mode: overwrite}
      - name: save
        depends_on: [clean]
        write: {connection: local, format: parquet, path: out/sales.parquet, mode: overwrite}
  - pipeline: silver_to_gold
    nodes:
      - name: totals
        read: {connection: local, format: parquet, path: out/sales.parquet}
        transform:
          steps:
            - sql: SELECT region, sum(amount) AS amount, sum(tax) AS tax FROM df GROUP BY region ORDER BY region
        write: {connection: local, format: json, path: out/totals.json}
"""

TRANSFORMS = '''
from odibi.registry import transform


@transform
def add_tax(context, current, rate):
    """Adds a tax column."""
    current["tax"] = current["amount"] * rate
    return current


@transform
def keep_regions(context, current, regions):
    return current[current["region"].isin(regions)]
'''

SALES = "id,amount,region\n1,10.5,EU\n2,,US\n3,7,US\n4,3,ASIA\n"


@pytest.fixture(name="project")
def _project(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "sales.csv").write_text(SALES)
    (tmp_path / "transforms.py").write_text(TRANSFORMS)
    (tmp_path / "odibi.yaml").write_text(ODIBI_2)
    return tmp_path


def test_an_odibi_2_project_runs_unchanged(project: Path) -> None:
    result = odibi.load(project / "odibi.yaml").run()
    assert [run.state for run in result] == ["succeeded", "succeeded"]
    out = project / "data" / "out"
    sales = pd.read_parquet(out / "sales.parquet")
    assert sales.values.tolist() == [[1, 10.5, "EU", 2.1], [3, 7.0, "US", 1.4000000000000001]]
    pivot = pd.read_csv(out / "by_region.csv")
    assert list(pivot.columns) == ["id", "EU", "US"]
    assert pivot.fillna(0).values.tolist() == [[1, 10.5, 0], [3, 0, 7]]
    text = (out / "totals.json").read_text()
    rows = json.loads(text) if text.lstrip().startswith("[") else [json.loads(line) for line in text.splitlines()]
    assert [row["region"] for row in rows] == ["EU", "US"]
    assert [row["amount"] for row in rows] == [10.5, 7.0]


def test_running_it_again_gives_the_same(project: Path) -> None:
    for _ in range(2):
        assert odibi.load(project).run().ok
    found = (path.relative_to(project) for path in (project / "data").rglob("*") if path.is_file())
    shown = [path for path in found if not any(part.startswith(".") for part in path.parts)]
    files = sorted(str(path) for path in shown if "stories" not in path.parts)
    assert files == ["data/out/by_region.csv", "data/out/sales.parquet", "data/out/totals.json", "data/sales.csv"]


def test_sql_that_names_a_node_that_is_no_input_is_found_before_anything_runs(project: Path) -> None:
    text = (project / "odibi.yaml").read_text()
    (project / "odibi.yaml").write_text(text.replace("depends_on: [load_sales]", "depends_on: []"))
    with pytest.raises(ConfigError) as caught:
        odibi.load(project / "odibi.yaml")
    assert "'load_sales' is a node but not an input of 'clean'" in str(caught.value)
    assert not (project / "data" / "out").exists()


STEPS = [
    {
        "layer": "ingest",
        "name": "read_sales",
        "type": "config_op",
        "engine": "pandas",
        "value": "data/sales.csv",
        "params": {"header": True},
        "outputs": {"data": "raw_sales"},
    },
    {
        "layer": "transform",
        "name": "clean",
        "type": "sql",
        "engine": "pandas",
        "value": "SELECT id, amount FROM bronze WHERE amount IS NOT NULL",
        "inputs": {"bronze": "raw_sales"},
        "outputs": {"data": "clean_sales"},
    },
    {
        "layer": "store",
        "name": "save_silver",
        "type": "config_op",
        "engine": "pandas",
        "value": "data/out/silver.parquet",
        "inputs": {"data": "clean_sales"},
    },
]


def check_silver(project: Path) -> None:
    frame = pd.read_parquet(project / "data" / "out" / "silver.parquet")
    assert frame.values.tolist() == [[1.0, 10.5], [3.0, 7.0], [4.0, 3.0]]


def test_a_step_table_in_json_runs(project: Path) -> None:
    (project / "steps.json").write_text(json.dumps(STEPS))
    assert odibi.load(project / "steps.json").run().ok
    check_silver(project)


def test_a_step_table_in_sqlite_runs(project: Path) -> None:
    with sqlite3.connect(project / "steps.db") as database:
        database.execute(
            "CREATE TABLE transformation_config (project, enabled, execution_order, Layer, StepName, StepType,"
            " Engine, Value, Params, Inputs, Outputs)"
        )
        for order, step in enumerate(STEPS):
            database.execute(
                "INSERT INTO transformation_config VALUES ('sales', 1, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    order,
                    str(step["layer"]).title(),
                    step["name"],
                    step["type"],
                    step["engine"],
                    step["value"],
                    json.dumps(step.get("params", {})),
                    json.dumps(step.get("inputs", {})),
                    json.dumps(step.get("outputs", {})),
                ),
            )
    database.close()
    assert odibi.load(project / "steps.db").run().ok
    check_silver(project)


def test_a_step_that_cannot_be_parsed_is_loud(project: Path) -> None:
    steps = [*STEPS, {"layer": "transform", "nmae": "typo", "value": "SELECT 1"}]
    (project / "steps.json").write_text(json.dumps(steps))
    with pytest.raises(ConfigError, match="nmae"):
        odibi.load(project / "steps.json")
