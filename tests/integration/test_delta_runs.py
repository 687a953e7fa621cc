"""Delta tables in whole projects: pandas frames, local files, runs that are repeated, killed and planned."""

from __future__ import annotations

import contextlib
import io
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("odibi_pandas")
pytest.importorskip("odibi_local")
pytest.importorskip("odibi_delta")

from odibi.cli.main import main
from odibi_delta.maintenance import Table
from odibi_local.storage import LocalStorage

PROJECT = """
project: shop
engine: pandas
connections:
  lake: {type: local, base_path: ./lake}
cache: {type: disk, path: ./.odibi/cache}
checkpoints: {type: sqlite, path: ./.odibi/runs.db}
pipelines:
  - pipeline: shop
    nodes:
      - name: orders
        read: {connection: lake, path: in/orders.csv}
        write: {connection: lake, path: bronze/orders, format: delta, mode: MODE, KEYS options: {OPTIONS}}
      - name: totals
        read: {connection: lake, path: bronze/orders, format: delta}
        depends_on: [orders]
        transform:
          steps:
            - sql: SELECT customer, SUM(amount) AS total FROM df GROUP BY customer
        write: {connection: lake, path: gold/totals, format: delta}
"""
ORDERS = "id,customer,amount\n1,ann,2.5\n2,bob,3.0\n"


def project(folder: Path, mode: str = "append", keys: str = "", options: str = "") -> Path:
    (folder / "lake/in").mkdir(parents=True, exist_ok=True)
    (folder / "lake/in/orders.csv").write_text(ORDERS)
    text = PROJECT.replace("MODE", mode).replace("KEYS ", f"keys: [{keys}], " if keys else "")
    (folder / "odibi.yaml").write_text(text.replace("OPTIONS", options))
    return folder


def odibi(folder: Path, *arguments: str, code: int = 0) -> str:
    """What the command prints, run in that folder."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        ended = main(list(arguments))
    assert ended == code, f"{out.getvalue()}\n{err.getvalue()}"
    assert "Traceback" not in err.getvalue()
    return out.getvalue() + err.getvalue()


def outcomes(folder: Path) -> dict[str, str]:
    last = json.loads(odibi(folder, "run", "--json").splitlines()[-1])
    return {node["node"]: node["state"] for run in last["runs"] for node in run["nodes"]}


def rows(folder: Path, path: str) -> list[dict[str, object]]:
    from deltalake import DeltaTable

    return sorted(DeltaTable(str(folder / "lake" / path)).to_pyarrow_table().to_pylist(), key=repr)


def versions(folder: Path, path: str) -> int:
    return len(Table(LocalStorage(base_path=str(folder / "lake")), path).history())


BRONZE = [{"id": 1, "customer": "ann", "amount": 2.5}, {"id": 2, "customer": "bob", "amount": 3.0}]


@pytest.mark.parametrize(("mode", "keys"), [("append", ""), ("overwrite", ""), ("upsert", "id"), ("append_once", "id")])
def test_a_run_that_is_repeated_gives_each_row_once(tmp_path, mode, keys):
    project(tmp_path, mode, keys)
    odibi(tmp_path, "run")
    assert rows(tmp_path, "bronze/orders") == BRONZE
    assert rows(tmp_path, "gold/totals") == [{"customer": "ann", "total": 2.5}, {"customer": "bob", "total": 3.0}]
    assert outcomes(tmp_path)["orders"] == "reused"
    assert versions(tmp_path, "bronze/orders") == 1
    odibi(tmp_path, "run", "--force")
    assert rows(tmp_path, "bronze/orders") == BRONZE


def test_new_orders_are_one_more_part(tmp_path):
    project(tmp_path)
    odibi(tmp_path, "run")
    (tmp_path / "lake/in/orders.csv").write_text("id,customer,amount\n3,cid,1.0\n")
    assert outcomes(tmp_path) == {"orders": "succeeded", "totals": "succeeded"}
    assert [row["id"] for row in rows(tmp_path, "bronze/orders")] == [1, 2, 3]
    odibi(tmp_path, "run", "--force")
    assert [row["id"] for row in rows(tmp_path, "bronze/orders")] == [1, 2, 3]


def test_a_table_that_changed_is_read_again_and_one_that_was_tidied_up_is_not(tmp_path):
    project(tmp_path)
    odibi(tmp_path, "run")
    text = (tmp_path / "odibi.yaml").read_text()
    begin, end = text.index("      - name: orders"), text.index("      - name: totals")
    alone = text[:begin] + text[end:].replace("        depends_on: [orders]\n", "")
    (tmp_path / "odibi.yaml").write_text(alone.replace("shop", "late"))
    assert outcomes(tmp_path) == {"totals": "succeeded"}
    assert outcomes(tmp_path) == {"totals": "reused"}
    table = Table(LocalStorage(base_path=str(tmp_path / "lake")), "bronze/orders")
    table.optimize(["amount"])
    assert outcomes(tmp_path) == {"totals": "reused"}
    table.restore(version=0)  # the same rows as it happens, but who knows
    assert outcomes(tmp_path) == {"totals": "succeeded"}


def test_an_old_version_is_read_beside_the_new_one(tmp_path):
    project(tmp_path)
    odibi(tmp_path, "run")
    (tmp_path / "lake/in/orders.csv").write_text("id,customer,amount\n3,cid,1.0\n")
    odibi(tmp_path, "run")
    (tmp_path / "look.yaml").write_text(
        """
project: look
engine: pandas
connections: {lake: {type: local, base_path: ./lake}}
pipelines:
  - pipeline: look
    nodes:
      - name: first
        read: {connection: lake, path: bronze/orders, format: delta, options: {version: 0}, columns: [id]}
        write: {connection: lake, path: out/first.json}
      - name: new
        read: {connection: lake, path: bronze/orders, format: delta, options: {timestamp: 2999-01-01}}
        write: {connection: lake, path: out/new.json}
"""
    )
    odibi(tmp_path, "run", "look.yaml")
    assert json.loads((tmp_path / "lake/out/first.json").read_text()) == [{"id": 1}, {"id": 2}]
    assert [row["id"] for row in json.loads((tmp_path / "lake/out/new.json").read_text())] == [1, 2, 3]


def test_mistakes_are_told_with_what_to_do(tmp_path):
    project(tmp_path, options="schema_mod: merge")
    assert "did you mean 'schema_mode'" in odibi(tmp_path, "validate", code=2).lower()
    project(tmp_path, options="version: 1")
    assert "'version' is for reading" in odibi(tmp_path, "validate", code=2)
    project(tmp_path, "upsert", "idd")
    said = odibi(tmp_path, "run", code=1)
    assert "there is no key column 'idd'" in said
    assert "Did you mean 'id'?" in said
    assert not (tmp_path / "lake/bronze").exists()


def test_a_frame_of_other_columns_fails_until_it_is_allowed(tmp_path):
    project(tmp_path)
    odibi(tmp_path, "run")
    (tmp_path / "lake/in/orders.csv").write_text("id,customer,amount,note\n3,cid,1.0,x\n")
    assert "has 'note' (string) besides" in odibi(tmp_path, "run", code=1)
    text = (tmp_path / "odibi.yaml").read_text()
    (tmp_path / "odibi.yaml").write_text(text.replace("options: {}", "options: {schema_mode: merge}"))
    odibi(tmp_path, "run")
    assert [row["note"] for row in rows(tmp_path, "bronze/orders")] == [None, None, "x"]


_DIES = """
import os, signal, sys
from odibi_delta.log import Log
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
Log.find = die
from odibi.cli.main import main
main(["run"])
"""


@pytest.mark.parametrize(("mode", "keys"), [("append", ""), ("overwrite", ""), ("upsert", "id"), ("append_once", "id")])
def test_a_run_that_was_killed_after_its_commit_gives_each_row_once(tmp_path, mode, keys):
    project(tmp_path, mode, keys)
    done = subprocess.run([sys.executable, "-c", _DIES], cwd=tmp_path, capture_output=True, timeout=120)
    assert done.returncode == -signal.SIGKILL
    assert rows(tmp_path, "bronze/orders") == BRONZE
    odibi(tmp_path, "run", "--resume")
    assert rows(tmp_path, "bronze/orders") == BRONZE
    assert len(rows(tmp_path, "gold/totals")) == 2


# --- odibi delta ----------------------------------------------------------------------------------------------------


@pytest.fixture
def shop(tmp_path):
    project(tmp_path)
    odibi(tmp_path, "run")
    (tmp_path / "lake/in/orders.csv").write_text("id,customer,amount\n3,cid,1.0\n")
    odibi(tmp_path, "run")
    return tmp_path


def test_the_history_is_printed(shop):
    lines = odibi(shop, "delta", "history", "lake:bronze/orders").splitlines()
    assert lines[0].split() == ["VERSION", "COMMITTED", "OPERATION", "FILES", "BYTES", "DID"]
    assert [line.split()[0] for line in lines[1:]] == ["1", "0"]
    assert lines[1].endswith("1 rows") or lines[1].endswith("1 row")
    told = json.loads(odibi(shop, "delta", "history", "lake:bronze/orders", "--json", "-n", "1"))
    assert [entry["version"] for entry in told["versions"]] == [1]


def test_a_table_is_described(shop):
    said = odibi(shop, "delta", "detail", "lake:bronze/orders")
    assert "version:      1" in said
    assert "  customer  string" in said
    told = json.loads(odibi(shop, "delta", "detail", "lake:bronze/orders", "--json"))
    assert (told["rows"], told["files"], told["columns"]["id"]) == (3, 2, "long")


def test_a_table_is_tidied_up_and_restored(shop):
    assert "2 files became 1; version 2" in odibi(shop, "delta", "optimize", "lake:bronze/orders", "--zorder", "id")
    assert "0 files to remove; add --remove" in odibi(shop, "delta", "vacuum", "lake:bronze/orders")
    told = odibi(shop, "delta", "vacuum", "lake:bronze/orders", "--hours", "0", code=1)
    assert "may still be in use" in told
    told = json.loads(odibi(shop, "delta", "vacuum", "lake:bronze/orders", "--hours", "0", "--force", "--json"))
    assert (len(told["paths"]), told["dry_run"]) == (2, True)
    said = odibi(shop, "delta", "restore", "lake:bronze/orders", "--version", "0")
    assert said.startswith("lake:bronze/orders is again what it was at version 0; that is version 3")
    assert rows(shop, "bronze/orders") == BRONZE
    odibi(shop, "delta", "vacuum", "lake:bronze/orders", "--hours", "0", "--force", "--remove")
    assert rows(shop, "bronze/orders") == BRONZE


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["history", "lake:in"], 1, "there are files, such as orders.csv, but no Delta table"),
        (["history", "lake:nothing"], 1, "there is no Delta table, nor anything else"),
        (["history", "lake"], 2, "'lake' names no table"),
        (["history", "sea:x"], 2, "the project has no connection 'sea'. The connections are: lake."),
        (["history", "lake:../x"], 1, "x"),
        (["restore", "lake:bronze/orders"], 2, "either --version or --timestamp"),
        (["restore", "lake:bronze/orders", "--version", "9"], 1, "no version 9: the newest is 1"),
        (["restore", "lake:bronze/orders", "--timestamp", "soon"], 1, "is no moment"),
        (["optimize", "lake:bronze/orders", "--zorder", "idd"], 1, "Did you mean 'id'?"),
        (["detail", "lake:x", "--project", "nowhere.yaml"], 2, "nowhere.yaml"),
    ],
)
def test_what_cannot_be_done_is_told_in_words(shop, arguments, code, words):
    assert words in odibi(shop, "delta", *arguments, code=code)


def test_the_project_may_be_elsewhere(shop, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    assert "VERSION" in odibi(elsewhere, "delta", "history", "lake:gold/totals", "--project", str(shop))
    project_file = str(shop / "odibi.yaml")
    assert "VERSION" in odibi(elsewhere, "delta", "history", "lake:gold/totals", "--project", project_file)
