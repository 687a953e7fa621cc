"""What a second run does not do again, and what makes it do it again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pytest

import odibi
from odibi.errors import Conflict, NotFound, OdibiError

PROJECT = """
project: shop
connections:
  lake: {type: local, base_path: lake}
cache: {type: disk, path: state/cache}
checkpoints: {type: sqlite, path: state/runs.db}
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
"""
FUNCTIONS = """
LEAST = 0

def drop_small(frame, least):
    return frame[frame["amount"] >= least + LEAST]
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "odibi.yaml").write_text(PROJECT)
    (tmp_path / "transforms.py").write_text(FUNCTIONS)
    orders(tmp_path, "a,1\na,5\nb,3\n")
    return tmp_path


def orders(shop: Path, rows: str) -> None:
    folder = shop / "lake" / "in"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "orders.csv").write_text(f"customer,amount\n{rows}")


def run(shop: Path, **choices: object) -> dict[str, str]:
    result = odibi.load(shop / "odibi.yaml").run(**choices)["sales"]  # type: ignore[arg-type]
    return {name: outcome.state.value for name, outcome in result.outcomes.items()}


def reasons(shop: Path, **choices: object) -> Mapping[str, str]:
    plan = odibi.load(shop / "odibi.yaml")["sales"].plan(**choices)  # type: ignore[arg-type]
    return {node.name: reason for node, reason in zip(plan.graph.nodes, plan.reasons, strict=True)}


def totals(shop: Path) -> dict[str, int]:
    frame = pd.read_parquet(shop / "lake/out/totals.parquet")
    return dict(zip(frame["customer"], map(int, frame["total"]), strict=True))


def logged(shop: Path) -> list[tuple[str, int]]:
    parts = [pd.read_parquet(path) for path in sorted((shop / "lake/out/log").glob("*.parquet"))]
    return sorted((c, int(a)) for part in parts for c, a in zip(part["customer"], part["amount"], strict=True))


ALL = {"orders", "clean", "totals", "log"}


class TestNothingChanged:
    def test_nothing_runs_again(self, shop: Path) -> None:
        assert set(run(shop).values()) == {"succeeded"}
        before = (shop / "lake/out/totals.parquet").stat().st_mtime_ns
        assert run(shop) == dict.fromkeys(ALL, "reused")
        assert (shop / "lake/out/totals.parquet").stat().st_mtime_ns == before
        assert totals(shop) == {"a": 5, "b": 3}
        assert logged(shop) == [("a", 5), ("b", 3)]

    def test_comments_do_not_count(self, shop: Path) -> None:
        run(shop)
        (shop / "transforms.py").write_text("# the shop's own\n\n" + FUNCTIONS.replace("):", "):  # rows"))
        assert set(run(shop).values()) == {"reused"}

    def test_retries_and_descriptions_do_not_count(self, shop: Path) -> None:
        run(shop)
        text = PROJECT.replace(
            "- name: clean", "- name: clean\n        timeout: 60\n        description: no small ones"
        )
        (shop / "odibi.yaml").write_text("retry: {max_attempts: 2}\n" + text)
        assert set(run(shop).values()) == {"reused"}

    def test_plan_imports_no_dataframe_library(self, shop: Path) -> None:
        run(shop)
        program = """
            import sys, odibi
            plan = odibi.load("odibi.yaml")["sales"].plan()
            print(sorted({action.value for action in plan.actions}))
            odibi.load("odibi.yaml").run()
            print([name for name in ("pandas", "pyarrow", "numpy", "duckdb") if name in sys.modules])
        """
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program)], cwd=shop, capture_output=True, text=True, check=True
        )
        assert done.stdout.split("\n")[:2] == ["['reuse']", "[]"]


class TestWhatChanged:
    @pytest.mark.parametrize(
        ("change", "redone", "why"),
        [
            ("code", {"clean", "totals", "log"}, "code of"),
            ("constant", {"clean", "totals", "log"}, "LEAST"),
            ("params", {"clean", "totals", "log"}, "its transform changed"),
            ("sql", {"totals"}, "its transform changed"),
            ("source", ALL, "lake:in/orders.csv changed"),
            ("write", {"totals"}, "its write changed"),
            ("version", {"clean", "totals", "log"}, "its version changed"),
        ],
    )
    def test_only_what_depends_on_it_runs(self, shop: Path, change: str, redone: set[str], why: str) -> None:
        run(shop)
        project, functions = PROJECT, FUNCTIONS
        if change == "code":
            functions = FUNCTIONS.replace(">=", ">")
        elif change == "constant":
            functions = FUNCTIONS.replace("LEAST = 0", "LEAST = 1")
        elif change == "params":
            project = PROJECT.replace("least: 2", "least: 4")
        elif change == "sql":
            project = PROJECT.replace("ORDER BY customer", "ORDER BY total")
        elif change == "source":
            orders(shop, "a,7\nb,3\n")
        elif change == "write":
            project = PROJECT.replace("out/totals.parquet", "out/sums.parquet")
        else:
            project = PROJECT.replace("- name: clean", "- name: clean\n        version: 2")
        (shop / "odibi.yaml").write_text(project)
        (shop / "transforms.py").write_text(functions)
        said = reasons(shop)
        states = run(shop)
        assert {name for name, state in states.items() if state == "succeeded"} == redone
        assert any(why in said[name] for name in redone), said
        assert set(run(shop).values()) == {"reused"}

    def test_a_lost_output_is_written_again(self, shop: Path) -> None:
        run(shop)
        (shop / "lake/out/totals.parquet").unlink()
        assert reasons(shop)["totals"] == "lake:out/totals.parquet is not there any more"
        states = run(shop)
        assert states["totals"] == "succeeded"
        assert states["clean"] == "reused"  # from the cache
        assert totals(shop) == {"a": 5, "b": 3}

    def test_an_output_that_somebody_changed_is_written_again(self, shop: Path) -> None:
        run(shop)
        (shop / "lake/out/totals.parquet").write_bytes(b"garbage")
        assert "changed by somebody else" in reasons(shop)["totals"]
        assert run(shop)["totals"] == "succeeded"
        assert totals(shop) == {"a": 5, "b": 3}

    def test_an_edit_within_the_same_tick_is_seen(self, shop: Path) -> None:
        """The file keeps its inode, size and time: only its content tells."""
        source = shop / "lake/in/orders.csv"
        run(shop)
        before = source.stat()
        with source.open("r+b") as file:
            file.write(b"customer,amount\na,1\na,5\nb,4\n")
        os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert source.stat().st_size == before.st_size
        run(shop)
        assert totals(shop) == {"a": 5, "b": 4}

    def test_force(self, shop: Path) -> None:
        run(shop)
        assert set(run(shop, force=True).values()) == {"succeeded"}
        assert logged(shop) == [("a", 5), ("b", 3)]

    def test_force_leaves_what_a_selected_node_needs_alone(self, shop: Path) -> None:
        run(shop)
        assert run(shop, force=True, select=["totals"]) == {
            "orders": "reused",
            "clean": "reused",
            "totals": "succeeded",
        }

    def test_no_cache(self, shop: Path) -> None:
        run(shop, cache=False)
        (shop / "lake/out/totals.parquet").unlink()
        states = run(shop, cache=False)
        assert states["clean"] == states["orders"] == states["totals"] == "succeeded"
        assert states["log"] == "reused"


class TestVolatile:
    def test_cache_false_runs_each_time_with_all_that_needs_it(self, shop: Path) -> None:
        (shop / "odibi.yaml").write_text(PROJECT.replace("- name: clean", "- name: clean\n        cache: false"))
        run(shop)
        assert reasons(shop)["clean"] == "its cache is false"
        assert run(shop) == {"orders": "reused", "clean": "succeeded", "totals": "succeeded", "log": "succeeded"}
        assert len(logged(shop)) == 4  # each run appends what it saw

    def test_a_query_for_the_moment_runs_each_time(self, shop: Path) -> None:
        text = PROJECT.replace("sum(amount) AS total", "sum(amount) AS total, now() AS at")
        (shop / "odibi.yaml").write_text(text)
        run(shop)
        assert reasons(shop)["totals"] == "its SQL asks for now"
        assert run(shop)["totals"] == "succeeded"

    def test_a_ttl_lets_a_volatile_result_hold(self, shop: Path) -> None:
        text = PROJECT.replace("sum(amount) AS total", "sum(amount) AS total, now() AS at")
        (shop / "odibi.yaml").write_text(text.replace("- name: totals", "- name: totals\n        cache: 1h"))
        run(shop)
        assert run(shop)["totals"] == "reused"

    def test_what_cannot_be_known_is_said(self, shop: Path) -> None:
        functions = FUNCTIONS.replace("LEAST = 0", "import socket\n\nLEAST = 0\nLINE = socket.socket()")
        functions = functions.replace("least + LEAST", "least + LEAST + 0 * LINE.fileno()")
        (shop / "transforms.py").write_text(functions + "\nLINE.close()\n")
        assert "LINE" in reasons(shop)["clean"]


class TestSensitive:
    def test_is_not_cached_unless_asked(self, shop: Path) -> None:
        text = PROJECT.replace("- name: clean", "- name: clean\n        sensitive: [customer]")
        (shop / "odibi.yaml").write_text(text)
        run(shop)
        (shop / "lake/out/totals.parquet").unlink()
        states = run(shop)
        assert (states["clean"], states["orders"]) == ("succeeded", "reused")
        (shop / "odibi.yaml").write_text(text.replace("sensitive:", "cache: true\n        sensitive:"))
        (shop / "lake/out/totals.parquet").unlink()
        run(shop)
        (shop / "lake/out/totals.parquet").unlink()
        assert run(shop)["clean"] == "reused"


class TestDamage:
    def test_a_flipped_bit_is_found_and_the_result_computed_again(self, shop: Path) -> None:
        run(shop)
        (shop / "lake/out/totals.parquet").unlink()
        files = [path for path in (shop / "state/cache").rglob("*") if path.is_file() and path.stat().st_size > 200]
        entries = [path for path in files if "index" not in path.name and ".db" not in path.name]
        assert entries
        for path in entries:
            content = bytearray(path.read_bytes())
            content[len(content) // 2] ^= 1
            path.write_bytes(bytes(content))
        result = odibi.load(shop / "odibi.yaml").run()["sales"]
        assert result.ok
        assert totals(shop) == {"a": 5, "b": 3}


class TestResume:
    def test_goes_on_where_a_failed_run_stopped(self, shop: Path) -> None:
        broken = PROJECT.replace("SELECT customer, sum(amount)", "SELECT customer, sum(amont)")
        (shop / "odibi.yaml").write_text(broken.replace("- name: clean", "- name: clean\n        cache: false"))
        failed = odibi.load(shop / "odibi.yaml").run(check=False)["sales"]
        assert failed.state == "failed"
        (shop / "odibi.yaml").write_text(PROJECT.replace("- name: clean", "- name: clean\n        cache: false"))
        result = odibi.load(shop / "odibi.yaml").run(resume=True)["sales"]
        assert result.outcomes["orders"].state.value == "restored"
        assert result.outcomes["totals"].state.value == "succeeded"
        assert logged(shop) == [("a", 5), ("b", 3)]

    def test_an_unknown_run_is_an_error(self, shop: Path) -> None:
        run(shop)
        with pytest.raises(NotFound):
            run(shop, resume="20200101T000000.000000-00000000")

    def test_without_checkpoints_there_is_nothing_to_resume(self, shop: Path) -> None:
        (shop / "odibi.yaml").write_text(PROJECT.replace("checkpoints:", "# checkpoints:"))
        with pytest.raises(OdibiError, match="no checkpoint store"):
            run(shop, resume=True)

    def test_killed_runs_are_resumed_unasked_if_the_project_says_so(self, shop: Path) -> None:
        text = PROJECT.replace("path: state/runs.db", "path: state/runs.db, resume: true")
        (shop / "odibi.yaml").write_text(text)
        (shop / "transforms.py").write_text(
            FUNCTIONS + "\nimport os, signal\n\ndef die(frame):\n    os.kill(os.getpid(), signal.SIGKILL)\n"
        )
        killing = text.replace(
            "        write: {connection: lake, path: out/totals.parquet}",
            "            - function: die\n        write: {connection: lake, path: out/totals.parquet}",
        )
        (shop / "odibi.yaml").write_text(killing)
        done = subprocess.run([sys.executable, "-m", "odibi", "run", "--workers", "1"], cwd=shop, capture_output=True)
        assert done.returncode == -9
        (shop / "odibi.yaml").write_text(text)
        result = odibi.load(shop / "odibi.yaml").run()["sales"]
        assert result.outcomes["orders"].state.value == "restored"
        assert totals(shop) == {"a": 5, "b": 3}
        assert logged(shop) == [("a", 5), ("b", 3)]


class TestLock:
    def test_two_runs_of_one_pipeline_never_go_on_at_once(self, shop: Path) -> None:
        (shop / "transforms.py").write_text(
            FUNCTIONS.replace(
                "    return",
                "    import pathlib, time\n    pathlib.Path('started').touch()\n    until = time.monotonic() + 60\n"
                "    while not pathlib.Path('go').exists() and time.monotonic() < until:\n"
                "        time.sleep(0.01)\n    return",
            )
        )
        first = subprocess.Popen([sys.executable, "-m", "odibi", "run"], cwd=shop, stdout=subprocess.PIPE)
        try:
            deadline = time.monotonic() + 60
            while not (shop / "started").exists() and time.monotonic() < deadline:
                time.sleep(0.02)
            with pytest.raises(Conflict, match=str(first.pid)):
                run(shop)
        finally:
            (shop / "go").touch()
            first.communicate(timeout=60)
        assert first.returncode == 0


class TestValues:
    def test_of_nodes_that_did_not_run_are_there_when_asked_for(self, tmp_path: Path) -> None:
        made = tmp_path / "made"

        @odibi.node
        def numbers() -> pd.DataFrame:
            with made.open("a") as file:
                file.write("1")
            return pd.DataFrame({"a": [1, 2, 3]})

        @odibi.node
        def summary(numbers: pd.DataFrame) -> dict[str, int]:
            with made.open("a") as file:
                file.write("2")
            return {"sum": int(numbers["a"].sum())}

        state = {
            "cache": {"type": "disk", "path": str(tmp_path / "cache")},
            "checkpoints": {"type": "sqlite", "path": str(tmp_path / "runs.db")},
        }
        for _ in range(2):
            pipeline = odibi.Pipeline("p", [numbers, summary], **state)
            assert pipeline.run()["summary"] == {"sum": 6}
        assert made.read_text() == "12"
        frame = odibi.Pipeline("p", [numbers, summary], **state).run(targets=["numbers"])["numbers"]
        pd.testing.assert_frame_equal(frame, pd.DataFrame({"a": [1, 2, 3]}))
        assert made.read_text() == "12"


def test_the_journal_is_readable(shop: Path) -> None:
    run(shop)
    run(shop)
    loaded = odibi.load(shop / "odibi.yaml")
    from odibi.run.resources import Resources

    resources = Resources(loaded.project, loaded.host, loaded.redactor)
    store = resources.checkpoints()
    assert store is not None
    second, first = store.runs("sales")
    assert (first.state, second.state) == ("succeeded", "succeeded")
    assert {record["node"] for record in store.load(first.run_id).outcomes} == ALL
    assert set(store.load(second.run_id).outcomes[0]["kept"]["reused"]) == ALL
    json.dumps([dict(record) for record in store.load(first.run_id).outcomes])
    resources.close()
