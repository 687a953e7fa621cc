"""``odibi init``, and what it wrote validated and run at once, with local files and pandas."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from odibi.cli.main import main

pytest.importorskip("odibi_local")
pytest.importorskip("odibi_pandas")

import pandas as pd
import yaml


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def said(capsys: pytest.CaptureFixture[str], code: int, *arguments: str) -> str:
    capsys.readouterr()
    assert main(arguments) == code, capsys.readouterr()
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    return out + err


def runs_twice(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Validate and run what is here, twice; the rows of the summary."""
    assert said(capsys, 0, "validate").startswith("ok: ")
    said(capsys, 0, "run")
    assert main(["run", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert summary["ok"]
    return [node for run in summary["runs"] for node in run["nodes"]]


def silver(name: str) -> dict[str, Any]:
    """The silver node of that name."""
    project = yaml.safe_load(Path("odibi.yaml").read_text("utf-8"))
    (node,) = [node for node in project["pipelines"][1]["nodes"] if node["name"] == f"silver_{name}"]
    assert isinstance(node, dict)
    return node


class TestTemplates:
    def test_starter(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        out = said(capsys, 0, "init")
        assert "Next:\n  odibi validate" in out
        nodes = runs_twice(capsys)
        assert [node["rows"] for node in nodes] == [8, 7, 4]
        answers = pd.read_csv(home / "out" / "silver" / "revenue_by_country.csv")
        assert answers["country"].tolist() == ["FR", "IT", "DE", "ES"]
        assert answers["revenue"].tolist() == [487.0, 338.0, 226.8, 124.5]

    def test_empty(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        said(capsys, 0, "init", "--template", "empty")
        assert [node["rows"] for node in runs_twice(capsys)] == [1]


class TestFromAFolder:
    def test_every_kind_of_file(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        data = home / "data"
        (data / "deep").mkdir(parents=True)
        table = pd.DataFrame(
            {"Order ID": range(1, 31), "Status": ["open", "shipped", "open"] * 10, "note": [None, "x", "y"] * 10}
        )
        table.to_csv(data / "orders.csv", index=False)
        table.to_parquet(data / "deep" / "Orders 2.parquet")
        table.to_json(data / "lines.jsonl", orient="records", lines=True)
        table.to_json(data / "records.json", orient="records")
        table.to_excel(data / "sheet.xlsx", index=False)
        (data / "README.txt").write_text("Not a table.")
        (data / ".hidden.csv").write_text("a\n1\n")
        (data / "broken.csv").write_text('a,b\n1,2\n"never closed,3\n')
        (data / "notes.md").write_text("# no data")
        out = said(capsys, 0, "init", "--from", "data")
        assert "found 5 tables in data" in out
        assert "left out broken.csv: " in out
        assert "left out README.txt: " in out
        nodes = runs_twice(capsys)
        assert [node["rows"] for node in nodes] == [30] * 10
        for name in ("orders", "deep_orders_2", "lines", "records", "sheet"):
            node = silver(name)
            assert node["transform"]["steps"][0]["params"]["columns"] == {"Order ID": "order_id", "Status": "status"}
            assert node["validation"] == {
                "not_empty": True,
                "no_nulls": ["order_id", "status"],
                "unique": ["order_id"],
                "allowed_values": {"status": ["open", "shipped"]},
            }
        written = pd.read_parquet(home / "out" / "silver" / "orders.parquet")
        assert list(written.columns) == ["order_id", "status", "note"]

    def test_the_base_path_stays_relative_where_it_is_near(
        self, home: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (home / "in").mkdir()
        (home / "in" / "a.csv").write_text("x,y\n1,2\n")
        for target, expected in ((".", "./in"), ("shop", "../in"), ("deep/shop", str(home / "in"))):
            said(capsys, 0, "init", target, "--from", "in")
            connections = yaml.safe_load((home / target / "odibi.yaml").read_text())["connections"]
            assert connections["source"]["base_path"] == expected
            said(capsys, 0, "run", target)

    def test_other_separators_and_encodings(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (home / "in").mkdir()
        (home / "in" / "semicolon.csv").write_text("name;town\nA;B\nC;D\n")
        (home / "in" / "west.csv").write_bytes("name,town\nJörg,Köln\nRenée,Orléans\n".encode("cp1252"))
        (home / "in" / "single.csv").write_text("name\nA\nB\n")
        said(capsys, 0, "init", "--from", "in")
        assert [node["rows"] for node in runs_twice(capsys)] == [2] * 6
        assert list(pd.read_parquet("out/silver/semicolon.parquet").columns) == ["name", "town"]
        assert pd.read_parquet("out/silver/west.parquet")["town"].tolist() == ["Köln", "Orléans"]

    def test_hostile_names(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (home / "in").mkdir()
        columns = ["select", 'say "hi"', "a: b", "#c", "Größe", "${HOME}", "- d", "A B", "a_b", "null", "1e5"]
        rows = [list(range(11)), list(range(11, 22))]
        pd.DataFrame(rows, columns=columns).to_parquet(home / "in" / 'we"ird: #1.parquet')
        pd.DataFrame({"id": [1, 2]}).to_csv(home / "in" / "we ird 1.csv", index=False)
        said(capsys, 0, "init", "--from", "in", "--name", "x: [y")
        assert len(runs_twice(capsys)) == 4
        (made,) = [path for path in Path("out/silver").iterdir() if len(pd.read_parquet(path).columns) == 11]
        assert list(pd.read_parquet(made).columns) == [
            "select_", "say_hi", "a_b", "c", "größe", "${HOME}", "d", "a_b_2", "a_b_3", "null_", "_1e5",
        ]  # fmt: skip
        assert pd.read_parquet(made).to_numpy().tolist() == rows

    def test_empty_tables_promise_nothing(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (home / "in").mkdir()
        (home / "in" / "none.csv").write_text("id,b\n")
        said(capsys, 0, "init", "--from", "in")
        assert "validation" not in silver("none")
        assert [node["rows"] for node in runs_twice(capsys)] == [0, 0]

    def test_floats_that_are_no_number_are_nulls(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (home / "in").mkdir()
        pd.DataFrame({"id": [1, 2], "x": [1.5, float("nan")], "y": [0.5, 1.0]}).to_parquet(home / "in" / "f.parquet")
        said(capsys, 0, "init", "--from", "in")
        assert silver("f")["validation"]["no_nulls"] == ["id", "y"]
        runs_twice(capsys)

    def test_a_folder_without_data(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (home / "in").mkdir()
        (home / "in" / "notes.md").write_text("#")
        assert "there are no data files in 'in'" in said(capsys, 2, "init", "--from", "in")
        assert not (home / "odibi.yaml").exists()

    def test_its_own_output_is_no_data(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (home / "a.csv").write_text("x,y\n1,2\n")
        said(capsys, 0, "init", "--from", ".")
        runs_twice(capsys)
        assert "found 1 table in ." in said(capsys, 0, "init", "--from", ".", "--force")


def test_a_failing_rule_shows_what_where_and_what_to_do(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, 0, "init")
    orders = home / "data" / "orders.csv"
    orders.write_text(orders.read_text() + "1001,2025-01-10,de,lamp,0,24.90,open\n")
    text = said(capsys, 1, "run")
    assert "silver.orders failed\n  step:   validate\n" in text
    assert "unique(order_id): 2 rows share their key with another" in text
    assert "skipped (1): silver.revenue_by_country" in text


def test_validating_imports_no_data_library(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, 0, "init")
    code = "import sys; from odibi.cli.main import main; main(['validate']); main(['graph']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=home)
    assert done.stdout.startswith("ok: 2 pipelines, 3 nodes")
    assert not set(done.stdout.splitlines()[-1].split()) & {"pandas", "pyarrow", "duckdb", "numpy", "rich", "structlog"}
