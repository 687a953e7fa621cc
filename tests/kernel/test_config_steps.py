"""ODIBI CORE step tables: every row becomes a step, or a loud error."""

from __future__ import annotations

import csv
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from odibi.config.load import load_project, load_steps
from odibi.errors import ConfigError
from odibi.model import Function, Node, Sql

ROWS: list[dict[str, Any]] = [
    {"layer": "connect", "name": "warehouse", "value": "Server=${DB_HOST}", "params": {"type": "azure_sql"}},
    {"layer": "ingest", "name": "read_sales", "type": "config_op", "engine": "pandas", "value": "data/sales.csv",
     "params": {"header": True}, "outputs": {"data": "raw_sales"}},
    {"layer": "ingest", "name": "read_rates", "value": "SELECT * FROM rates",
     "params": {"connection": "warehouse", "format": "sql"}, "outputs": {"data": "rates"}},
    {"layer": "transform", "name": "clean", "type": "sql",
     "value": "SELECT id, amount FROM bronze WHERE amount IS NOT NULL", "inputs": {"bronze": "raw_sales"},
     "outputs": {"data": "clean_sales"},
     "metadata": {"description": "no nulls"}},
    {"layer": "transform", "name": "convert", "type": "function", "value": "convert", "params": {"to": "EUR"},
     "inputs": {"sales": "clean_sales", "rates": "rates"}, "outputs": {"data": "converted"}},
    {"layer": "transform", "name": "tidy", "type": "function", "value": "tidy", "inputs": {"data": "converted"},
     "outputs": {"data": "tidied"}, "engine": "spark"},
    {"layer": "store", "name": "save", "type": "config_op", "value": "data/out/silver.parquet",
     "params": {"mode": "append", "compression": "zstd"}, "inputs": {"data": "tidied"}},
]  # fmt: skip


def columns(row: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A row as the table's columns have it."""
    names = {"layer": "Layer", "name": "StepName", "type": "StepType", "engine": "Engine", "value": "Value"}
    cells = {column: row.get(key, "pandas" if key == "engine" else "config_op") for key, column in names.items()}
    for key in ("params", "inputs", "outputs", "metadata"):
        cells[key.title()] = json.dumps(row[key]) if key in row else ""
    return {"project": "demo", "enabled": 1, **cells, **more}


def as_json(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text(json.dumps(rows, indent=1))
    return path


def as_csv(path: Path, rows: list[dict[str, Any]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def as_sqlite(path: Path, rows: list[dict[str, Any]], table: str = "transformation_config") -> Path:
    with closing(sqlite3.connect(path)) as database:
        names = ", ".join(f'"{name}"' for name in rows[0])
        database.execute(f'CREATE TABLE IF NOT EXISTS "{table}" ({names})')
        marks = ", ".join("?" * len(rows[0]))
        database.executemany(f'INSERT INTO "{table}" VALUES ({marks})', [tuple(row.values()) for row in rows])
        database.commit()
    return path


def numbered(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [columns(row, execution_order=order) for order, row in enumerate(rows)]


def nodes(path: Path, **choices: Any) -> dict[str, Node]:
    project = load_steps(path, environ={"DB_HOST": "db"}, **choices).project
    return {node.name: node for node in project.pipelines[0].nodes}


def test_the_three_shapes_give_one_model(tmp_path: Path) -> None:
    from_json = load_steps(as_json(tmp_path / "demo.json", ROWS), environ={"DB_HOST": "db"}).project
    from_csv = load_steps(as_csv(tmp_path / "steps.csv", numbered(ROWS)), environ={"DB_HOST": "db"}).project
    from_db = load_steps(
        as_sqlite(tmp_path / "steps.db", list(reversed(numbered(ROWS)))), environ={"DB_HOST": "db"}
    ).project
    assert from_json == from_csv == from_db
    assert from_json.name == "demo"


def test_steps_become_nodes(tmp_path: Path) -> None:
    loaded = load_project(as_json(tmp_path / "steps.json", ROWS), environ={"DB_HOST": "db"})
    by_name = {node.name: node for node in loaded.project.pipelines[0].nodes}
    sales, rates, clean, convert, tidy, save = by_name.values()
    assert sales.read is not None
    assert (sales.read.path, sales.read.options, sales.layer) == ("data/sales.csv", {"header": True}, "ingest")
    assert loaded.project.connections["files"].options == {"base_path": str(tmp_path)}
    assert loaded.project.connections["warehouse"].type == "azure_sql"
    assert loaded.project.connections["warehouse"].options == {"connection_string": "Server=db"}
    assert rates.read is not None
    assert (rates.read.connection, rates.read.query, rates.read.path) == ("warehouse", "SELECT * FROM rates", None)
    assert clean.transform is not None
    assert isinstance(clean.transform.steps[0], Sql)
    assert (clean.depends_on, clean.arguments, clean.description) == (
        ("read_sales",),
        {"bronze": "read_sales"},
        "no nulls",
    )
    assert (convert.function, convert.params, convert.depends_on) == ("convert", {"to": "EUR"}, ("clean", "read_rates"))
    assert convert.arguments == {"sales": "clean", "rates": "read_rates"}
    assert tidy.transform is not None
    assert tidy.transform.steps == (Function("tidy", {}),)
    assert tidy.engine == "spark"
    assert save.write is not None
    assert (save.write.path, save.write.mode.value, save.write.options) == (
        "data/out/silver.parquet",
        "append",
        {"compression": "zstd"},
    )
    assert save.depends_on == ("tidy",)


def test_positions_point_at_the_cell(tmp_path: Path) -> None:
    file = as_json(tmp_path / "steps.json", ROWS)
    loaded = load_steps(file, environ={"DB_HOST": "db"})
    at = loaded.positions("pipelines", 0, "nodes", 2, "transform", "steps", 0, "sql")
    line = file.read_text().splitlines()[at.line - 1]
    assert line[at.column - 1 :].startswith('"SELECT id, amount')


def test_a_table_without_optional_columns_keeps_every_row(tmp_path: Path) -> None:
    rows = [{"StepName": "a", "StepType": "config_op", "Layer": "ingest", "Value": "a.csv"},
            {"StepName": "b", "StepType": "config_op", "Layer": "ingest", "Value": "b.csv"}]  # fmt: skip
    assert set(nodes(as_sqlite(tmp_path / "steps.sqlite", rows))) == {"a", "b"}


def test_the_table_of_sources_is_loaded(tmp_path: Path) -> None:
    file = tmp_path / "steps.db"
    sources = [{"source_id": "src", "project": "demo", "enabled": 1, "engine": "pandas", "source_type": "csv",
                "source_path_or_query": "data/raw.dat", "target_id": "raw"}]  # fmt: skip
    as_sqlite(file, sources, "ingestion_source_config")
    as_sqlite(
        file,
        [
            columns(
                {"layer": "transform", "name": "t", "type": "sql", "value": "SELECT 1 FROM x", "inputs": {"x": "raw"}}
            )
        ],
    )
    found = nodes(file)
    assert found["src"].read is not None
    assert (found["src"].read.path, found["src"].read.format) == ("data/raw.dat", "csv")
    assert found["t"].depends_on == ("src",)


def test_rows_are_chosen_by_project_layer_and_enabled(tmp_path: Path) -> None:
    ingest = {"layer": "ingest", "value": "a.csv"}
    rows = [
        columns({**ingest, "name": "a"}),
        columns({**ingest, "name": "b"}, enabled=0),
        columns({**ingest, "name": "c"}, project="other"),
        columns({**ingest, "name": "d", "layer": "bronze"}),
    ]
    file = as_sqlite(tmp_path / "steps.db", rows)
    assert set(nodes(file, project="demo")) == {"a", "d"}
    assert set(nodes(file, project="demo", layer="ingest", enabled_only=False)) == {"a", "b"}
    assert nodes(file, project="other", engine="spark")["c"].engine == "spark"
    with pytest.raises(ConfigError, match="the table holds several projects: demo, other"):
        load_steps(file)
    with pytest.raises(ConfigError, match=r"no steps of project 'dem'\. Did you mean 'demo'\?"):
        load_steps(file, project="dem")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"Params": "{bad"}, r"steps\.db \(transformation_config, row 1\): 'params' is not JSON"),
        ({"Inputs": "[1]"}, "'inputs': expected a JSON mapping, found a list"),
        ({"Metadata": "oops"}, "'metadata' is not JSON"),
        ({"Params": '{"a": 1, "a": 2}'}, "'params' gives a key twice"),
        ({"enabled": None}, "'enabled': expected 1 or 0, found nothing"),
        ({"execution_order": "first"}, "'execution_order': expected a number, found 'first'"),
        ({"StepName": None}, "the row has no step name"),
        ({"StepType": "sqll"}, r"a step of type 'sqll' cannot be run\. Did you mean 'sql'\?"),
        ({"Inptus": "{}"}, r"unknown column 'Inptus'\. Did you mean 'Inputs'\?"),
        ({"Value": ""}, "its value is empty"),
    ],
)
def test_a_row_that_cannot_be_understood_is_told(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    row = {**columns({"layer": "ingest", "name": "a", "value": "a.csv"}, execution_order=1), **change}
    with pytest.raises(ConfigError, match=words):
        load_steps(as_sqlite(tmp_path / "steps.db", [row]))


def test_other_columns_are_the_users_own(tmp_path: Path) -> None:
    row = columns({"layer": "ingest", "name": "a", "value": "a.csv"}, created_at="2024", updated_by="me")
    assert set(nodes(as_sqlite(tmp_path / "steps.db", [row]))) == {"a"}


def test_files_that_are_no_step_tables(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("this is not a database, and long enough to be read as one" * 30)
    with pytest.raises(ConfigError, match="the database cannot be read: file is not a database"):
        load_project(tmp_path / "text.db")
    as_sqlite(tmp_path / "other.db", [{"a": 1}], "something")
    with pytest.raises(ConfigError, match="there is no table 'transformation_config' or .*; it holds something"):
        load_project(tmp_path / "other.db")
    with pytest.raises(ConfigError, match="there is no such file"):
        load_project(tmp_path / "gone.db")
    with pytest.raises(ConfigError, match="there is no such file"):
        load_project(tmp_path / "gone.csv")


def test_reading_leaves_the_database_alone(tmp_path: Path) -> None:
    file = as_sqlite(tmp_path / "steps.db", [columns({"layer": "ingest", "name": "a", "value": "a.csv"})])
    before = file.read_bytes()
    load_steps(file)
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["steps.db"]


def test_multi_line_cells_keep_their_line(tmp_path: Path) -> None:
    rows = [columns({"layer": "transform", "name": "a", "type": "sql", "value": "SELECT\n1\nAS x"}),
            columns({"layer": "transform", "name": "b", "type": "sql", "value": ""})]  # fmt: skip
    with pytest.raises(ConfigError, match=r"steps\.csv:5:1: step 'b': its value is empty"):
        load_steps(as_csv(tmp_path / "steps.csv", rows))
