"""Runs that read only what is new: each row once, whatever is killed, repeated or changed in between."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import odibi
from odibi.errors import ConfigError, DataError, RunFailed
from odibi.run.increments import pin_of, watermark_of

DEFINITION = """
import odibi
from odibi.contracts.format import WriteMode
from odibi.model import Incremental, Node, Read, Sql, Transform, Write

def log(name, **settings):
    settings = {"mode": WriteMode.APPEND, "format": "parquet", **settings}
    return Write("lake", f"out/{name}", **settings)

def pipeline(root, *more, format="csv", column="id", late=(), read=None, sql=None, write=True, **settings):
    steps = Transform((Sql(sql),)) if sql else None
    new = Incremental(column, *late)
    orders = Node("orders", read=Read("lake", "in", format=format, incremental=new, **(read or {})),
                  transform=steps, write=log("orders") if write is True else write)
    settings = {
        "engine": "pandas",
        "cache": {"type": "disk", "path": str(root / "cache")},
        "checkpoints": {"type": "sqlite", "path": str(root / "runs.db")},
        **settings,
    }
    connections = {"lake": {"type": "local", "base_path": str(root / "lake")}}
    return odibi.Pipeline("sales", [orders, *more], connections=connections, **settings)

def late(root):
    return followed(root, late=(10, ("amount",)))

def followed(root, **settings):
    # What the second follower gives cannot be known from its inputs.
    return pipeline(
        root,
        Node("plain", depends_on=("orders",), transform=Transform((Sql("SELECT id FROM orders"),)), write=log("plain")),
        Node("stamped", depends_on=("orders",),
             transform=Transform((Sql("SELECT id, now() AS seen FROM orders"),)), write=log("stamped")),
        write=None,
        **settings,
    )
"""
made: dict[str, Any] = {}
exec(DEFINITION, made)  # the same text is run by processes that are killed
pipeline: Callable[..., odibi.Pipeline] = made["pipeline"]
followed: Callable[..., odibi.Pipeline] = made["followed"]
late: Callable[..., odibi.Pipeline] = made["late"]
Incremental, Node, Read, Sql, Transform, Write, log = (
    made[name] for name in ("Incremental", "Node", "Read", "Sql", "Transform", "Write", "log")
)

KILLED = f"""
import os, signal, sys
from pathlib import Path
{DEFINITION}
point, count = float(sys.argv[3]), [0]

def counted(owner, name):
    call = getattr(owner, name)
    def counting(*args, **named):
        count[0] += 1
        if count[0] == point:
            os.kill(os.getpid(), signal.SIGKILL)
        result = call(*args, **named)
        if count[0] == point - 0.5:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    setattr(owner, name, counting)

from odibi_local.checkpoints import SqliteCheckpoints
for name in ("begin", "append", "move", "finish"):
    counted(SqliteCheckpoints, name)
for name in ("replace", "rename", "link"):
    counted(os, name)
globals()[sys.argv[1]](Path(sys.argv[2])).run()
"""


def put(root: Path, name: str, *ids: int) -> None:
    """A file of rows, in the place of any of that name."""
    place = root / "lake/in" / f"{name}.csv"
    place.parent.mkdir(parents=True, exist_ok=True)
    aside = root / f"{name}.new"
    aside.write_text("id,amount\n" + "".join(f"{at},{at * 10}\n" for at in ids))
    aside.replace(place)


def logged(root: Path, name: str = "orders") -> list[int]:
    """The ids that were appended, each as often as it was."""
    files = sorted((root / "lake/out" / name).rglob("*.parquet"))
    return sorted(value for file in files for value in pd.read_parquet(file)["id"].tolist())


def states(result: Any) -> dict[str, str]:
    return {name: outcome.state.value for name, outcome in result.outcomes.items()}


def stored(root: Path) -> tuple[Any, Any]:
    """The watermark and the pin of ``orders``."""
    with pipeline(root)._loaded as loaded:
        store = loaded.resources().checkpoints()
        assert store is not None
        return store.offset(watermark_of("sales", "orders")), store.offset(pin_of("sales", "orders"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "lake").mkdir()
    return tmp_path


def test_each_run_reads_what_is_new(root: Path) -> None:
    put(root, "a", 1, 2)
    pipeline(root).run()
    put(root, "b", 3)
    put(root, "a", 1, 2, 4)
    pipeline(root).run()
    assert logged(root) == [1, 2, 3, 4]
    watermark, pin = stored(root)
    assert (watermark["above"], watermark["upto"]) == ({"type": "int", "value": "2"}, {"type": "int", "value": "4"})
    assert pin is None


def test_numbers_are_compared_as_numbers(root: Path) -> None:
    put(root, "a", 9)
    pipeline(root).run()
    put(root, "b", 10, 100)
    pipeline(root).run()
    put(root, "c", 20240103)
    pipeline(root).run()
    put(root, "d", 99)
    pipeline(root).run()
    assert logged(root) == [9, 10, 100, 20240103]


def test_nothing_new_reads_nothing_and_changes_nothing(root: Path) -> None:
    put(root, "a", 1, 2)
    sales = pipeline(root)
    sales.run()
    assert states(sales.run()) == {"orders": "reused"}
    put(root, "empty")
    parts = sorted((root / "lake/out").rglob("*.parquet"))
    assert states(sales.run()) == {"orders": "succeeded"}
    assert logged(root) == [1, 2]
    assert sorted((root / "lake/out").rglob("*.parquet")) == parts
    assert states(sales.run()) == {"orders": "reused"}


def test_no_row_ever_so_far(root: Path) -> None:
    put(root, "a")
    pipeline(root, format="csv", read={"options": {"dtypes": {"id": "int64"}}}).run()
    assert stored(root) == (None, None)
    put(root, "b", 1)
    pipeline(root).run()
    assert logged(root) == [1]


def test_force_does_not_move_the_watermark_back(root: Path) -> None:
    put(root, "a", 1, 2)
    sales = pipeline(root)
    sales.run()
    sales.run(force=True)
    put(root, "b", 3)
    sales.run(force=True)
    assert logged(root) == [1, 2, 3]


def test_a_changed_node_gets_only_what_is_new(root: Path) -> None:
    """The rows before were appended by what it was, and are not appended again."""
    put(root, "a", 1, 2)
    pipeline(root).run()
    pipeline(root, sql="SELECT id, amount + 1 AS amount FROM df").run()
    put(root, "b", 3)
    pipeline(root, sql="SELECT id, amount + 1 AS amount FROM df").run()
    assert logged(root) == [1, 2, 3]


def test_what_follows_gets_the_same_rows(root: Path) -> None:
    put(root, "a", 1, 2)
    followed(root).run()
    put(root, "b", 3)
    followed(root).run()
    assert logged(root, "plain") == logged(root, "stamped") == [1, 2, 3]


def test_a_selection_leaves_the_rows_to_the_others(root: Path) -> None:
    put(root, "a", 1, 2)
    followed(root).run(select=["plain"])
    assert stored(root)[0] is None
    put(root, "b", 3)
    followed(root).run()
    assert logged(root, "plain") == logged(root, "stamped") == [1, 2]
    followed(root).run()
    assert logged(root, "plain") == logged(root, "stamped") == [1, 2, 3]


def test_a_failed_run_does_not_move_the_watermark(root: Path) -> None:
    put(root, "a", 1, 2)

    def fails(orders: Any) -> int:
        if not (root / "mended").exists():
            raise ValueError("broken")
        return len(orders)

    def sales() -> odibi.Pipeline:
        return pipeline(root, Node("fails", depends_on=("orders",), function=fails))

    with pytest.raises(RunFailed):
        sales().run()
    assert stored(root)[0] is None
    put(root, "b", 3)
    with pytest.raises(RunFailed):
        sales().run()
    (root / "mended").touch()
    sales().run()
    assert logged(root) == [1, 2]
    sales().run()
    assert logged(root) == [1, 2, 3]


def test_pipelines_that_share_a_cache_do_not_share_increments(root: Path) -> None:
    put(root, "a", 1)
    for name in ("one.db", "two.db"):
        store = {"type": "sqlite", "path": str(root / name)}
        sales = pipeline(root, Node("n", depends_on=("orders",)), write=None, checkpoints=store)
        assert sales.run().values["n"]["id"].tolist() == [1]
    put(root, "b", 2)
    assert sales.run().values["n"]["id"].tolist() == [2]


def test_the_plan_says_which_rows(root: Path) -> None:
    put(root, "a", 1)
    pipeline(root).run()
    put(root, "b", 2)
    assert pipeline(root).plan().reasons == ["rows after 1 of lake:in"]


def test_a_column_that_became_text(root: Path) -> None:
    put(root, "a", 1)
    pipeline(root).run()
    (root / "lake/in/b.csv").write_text("id,amount\nx,1\n")
    with pytest.raises(RunFailed, match=r"was int when it was last read, and is str now.*odibi streams reset"):
        pipeline(root).run()


def test_another_column_than_before(root: Path) -> None:
    put(root, "a", 1)
    pipeline(root).run()
    with pytest.raises(DataError, match=r"by column 'id' so far.*odibi streams reset sales/orders"):
        pipeline(root, column="amount").run()


def test_a_column_that_is_not_there(root: Path) -> None:
    put(root, "a", 1)
    with pytest.raises(RunFailed, match=r"no column 'when' to tell by what is new"):
        pipeline(root, column="when").run()


def test_a_pipeline_of_python_needs_checkpoints(root: Path) -> None:
    put(root, "a", 1)
    with pytest.raises(ConfigError, match="no checkpoint store"):
        pipeline(root, checkpoints=None).run()
    with pytest.raises(ConfigError, match="no checkpoint store"):
        pipeline(root, checkpoints=None, cache=None, write=Write("lake", "out/o.csv")).run()


def test_a_forced_run_after_a_kill_doubles_nothing(root: Path) -> None:
    put(root, "a", 1, 2)
    done = subprocess.run([sys.executable, "-c", KILLED, "followed", str(root), "8.5"], timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL
    put(root, "b", 3)
    followed(root).run(force=True)
    followed(root).run(force=True)
    assert logged(root, "plain") == logged(root, "stamped") == [1, 2, 3]


def test_several_reads_of_which_one_has_news(root: Path) -> None:
    put(root, "a", 1, 2)
    (root / "lake/rates.csv").write_text("id\n10\n")
    rates = Node("rates", read=Read("lake", "rates.csv", incremental=Incremental("id")))
    both = "SELECT id FROM orders UNION ALL SELECT id FROM rates"
    union = Node(
        "both", depends_on=("orders", "rates"), transform=Transform((Sql(both),)), write=log("both")
    )  # fmt: skip
    alone = Node("alone", depends_on=("rates",), write=log("alone"))
    sales = pipeline(root, rates, union, alone, write=None)
    sales.run()
    put(root, "b", 3)
    sales.run()
    sales.run()
    assert logged(root, "both") == [1, 2, 3, 10]
    assert logged(root, "alone") == [10]


def test_the_watermark_of_a_sensitive_column_does_not_show(root: Path) -> None:
    put(root, "a", 12345)
    (root / "odibi.yaml").write_text(PROJECT.replace("- name: orders", "- name: orders\n        sensitive: [id]"))
    cli(root, "run")
    put(root, "b", 23456)
    assert "new rows of lake:in" in cli(root, "plan", "--verbose")
    assert "12345" not in cli(root, "plan", "--verbose") + cli(root, "streams", "ls") + cli(
        root, "streams", "ls", "--json"
    )


def test_a_delta_table(root: Path) -> None:
    pytest.importorskip("odibi_delta")
    source = odibi.Pipeline(
        "source",
        [Node("all", read=Read("lake", "in", format="csv"), write=Write("lake", "table", format="delta"))],
        connections={"lake": {"type": "local", "base_path": str(root / "lake")}},
    )
    node = Node(
        "orders", read=Read("lake", "table", format="delta", incremental=Incremental("id")), write=log("orders")
    )
    sales = pipeline(root)
    sales.model = type(sales.model)("sales", (node,), engine="pandas")
    for ids in ((1, 2), (1, 2, 3), (1, 2, 3)):
        put(root, "a", *ids)
        source.run()
        sales.run()
    assert logged(root) == [1, 2, 3]


@pytest.mark.parametrize(("name", "logs"), [("pipeline", ["orders"]), ("followed", ["plain", "stamped"])])
@pytest.mark.parametrize("first", [True, False])
def test_a_kill_at_any_instant_loses_no_row_and_doubles_none(
    tmp_path: Path, name: str, logs: list[str], first: bool
) -> None:
    """Also if more rows have come when the run is tried again."""
    killed, point = 0, 0.5
    while True:
        point += 0.5
        root = tmp_path / str(point)
        (root / "lake").mkdir(parents=True)
        if not first:
            put(root, "a", 1, 2)
            made[name](root).run()
        put(root, "b", 3, 4)
        done = subprocess.run(
            [sys.executable, "-c", KILLED, name, str(root), str(point)],
            capture_output=True, text=True, timeout=120, check=False, env=os.environ,
        )  # fmt: skip
        if done.returncode != -signal.SIGKILL:
            assert done.returncode == 0, done.stderr
            break
        killed += 1
        put(root, "c", 5)
        for _ in range(2):
            made[name](root).run()
        for each in logs:
            assert logged(root, each) == ([] if first else [1, 2]) + [3, 4, 5], f"{each}, killed at {point}"
    assert killed >= 10


def test_late_rows_are_read_once(root: Path) -> None:
    put(root, "a", 100, 97)
    late(root).run()
    put(root, "a", 100, 97, 95)
    put(root, "b", 89, 96, 101, 97)
    late(root).run()
    put(root, "c", 102)
    late(root).run()
    assert logged(root, "plain") == logged(root, "stamped") == [95, 96, 97, 100, 101, 102]


def test_late_rows_by_moments_and_a_key_of_several_columns(root: Path) -> None:
    place = root / "lake/in/a.csv"
    place.parent.mkdir(parents=True)
    lines = ["shop,id,at", "a,1,2024-01-01 12:00:00", "b,1,2024-01-01 11:00:00.5", "a,1,2024-01-01 11:30:00"]
    place.write_text("\n".join(lines))
    sales = pipeline(root, column="at", late=(timedelta(minutes=90), ("shop", "id")))
    sales.run()
    place.write_text("\n".join([*lines, "a,2,2024-01-01 10:30:00.000001", "b,2,2024-01-01 10:30:00"]))
    sales.run()
    parts = [pd.read_parquet(each) for each in (root / "lake/out/orders").rglob("*.parquet")]
    assert sorted(zip(*(pd.concat(parts)[name] for name in ("shop", "id")), strict=True)) == [
        ("a", 1), ("a", 2), ("b", 1),
    ]  # fmt: skip


@pytest.mark.parametrize("values", [["1", "", "3"], ["1.5", "2.5", "3.5"]])
def test_a_key_that_is_none(root: Path, values: list[str]) -> None:
    (root / "lake/in").mkdir()
    (root / "lake/in/a.csv").write_text("id,amount\n" + "".join(f"{at},{it}\n" for at, it in enumerate(values)))
    with pytest.raises(RunFailed, match=r"column 'amount' of the key (has no value in 1 of 3 rows|is double)"):
        late(root).run()
    assert logged(root, "plain") == []


def test_a_kill_at_any_instant_loses_no_late_row_and_doubles_none(tmp_path: Path) -> None:
    """Also if more late rows have come when the run is tried again."""
    killed, point = 0, 0.5
    while True:
        point += 0.5
        root = tmp_path / str(point)
        (root / "lake").mkdir(parents=True)
        put(root, "a", 100, 98)
        late(root).run()
        put(root, "b", 97, 101, 95)
        done = subprocess.run(
            [sys.executable, "-c", KILLED, "late", str(root), str(point)],
            capture_output=True, text=True, timeout=120, check=False, env=os.environ,
        )  # fmt: skip
        if done.returncode != -signal.SIGKILL:
            assert done.returncode == 0, done.stderr
            break
        killed += 1
        put(root, "c", 94, 100, 99)
        for _ in range(2):
            late(root).run()
        for each in ("plain", "stamped"):
            assert logged(root, each) == [94, 95, 97, 98, 99, 100, 101], f"{each}, killed at {point}"
    assert killed >= 10


PROJECT = """
project: shop
engine: pandas
connections:
  lake: {type: local, base_path: lake}
checkpoints: {type: sqlite, path: runs.db}
pipelines:
  - pipeline: sales
    nodes:
      - name: orders
        read: {connection: lake, path: in, format: csv, incremental: {column: id}}
        write: {connection: lake, path: out/orders, format: parquet, mode: append}
"""


def test_a_project_file_says_it(root: Path) -> None:
    put(root, "a", 1)
    (root / "odibi.yaml").write_text(PROJECT)
    for at in (2, 3):
        done = subprocess.run(
            [sys.executable, "-m", "odibi", "run"], cwd=root, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        assert logged(root) == list(range(1, at))
        put(root, f"b{at}", at)


def cli(root: Path, *command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "odibi", *command], cwd=root, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(root: Path, *command: str) -> str:
    """What a command that has to fail says."""
    done = subprocess.run(
        [sys.executable, "-m", "odibi", *command], cwd=root, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    return " ".join(done.stderr.split())


def test_streams_shows_and_resets_the_watermark(root: Path) -> None:
    put(root, "a", 1, 7)
    (root / "odibi.yaml").write_text(PROJECT)
    cli(root, "run")
    (row,) = json.loads(cli(root, "streams", "ls", "--json"))["streams"]
    assert (row["stream"], row["type"], row["state"]) == ("sales/orders", "incremental", "waiting")
    assert row["offset"] == {"type": "int", "value": "7"}
    assert "sales/orders" in cli(root, "streams", "ls")
    done = subprocess.run(
        [sys.executable, "-m", "odibi", "streams", "reset", "sales/orders", "--to", "5"],
        cwd=root, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "can only begin anew" in done.stderr
    assert "begins anew" in cli(root, "streams", "reset", "sales/orders")
    cli(root, "run")
    assert logged(root) == [1, 1, 7, 7]


def test_streams_shows_an_incremental_read(root: Path) -> None:
    put(root, "a", 1, 7)
    (root / "odibi.yaml").write_text(PROJECT.replace("{column: id}", "{column: id, lateness: 5, key: amount}"))
    cli(root, "run")
    shown = json.loads(cli(root, "streams", "show", "sales/orders", "--json"))
    assert shown.pop("run")
    assert shown == {
        "stream": "sales/orders",
        "type": "incremental",
        "state": "waiting",
        "column": "id",
        "offset": {"type": "int", "value": "7"},
        "in_flight": None,
        "lateness": "5",
        "key": ["amount"],
        "keys": 1,
    }
    lines = cli(root, "streams", "show", "sales/orders").splitlines()
    assert 'offset     {"type": "int", "value": "7"}' in lines
    assert not [line for line in lines if line.startswith("in flight")]
    (root / "odibi.yaml").write_text(PROJECT.replace("- name: orders", "- name: orders\n        sensitive: [id]"))
    assert '"value": "***"' in cli(root, "streams", "show", "sales/orders")
    said = refused(root, "streams", "pause", "sales/orders")
    assert "it is an incremental read" in said
    assert "did you mean 'sales/orders'" in refused(root, "streams", "show", "sales/order").lower()


def test_a_trigger_of_the_name_of_a_node(root: Path) -> None:
    pytest.importorskip("odibi_triggers")
    put(root, "a", 1, 7)
    (root / "odibi.yaml").write_text(PROJECT + "triggers: {orders: {type: interval, every: 1h}}\n")
    cli(root, "run")
    rows = json.loads(cli(root, "streams", "ls", "--json"))["streams"]
    assert [(row["stream"], row["type"]) for row in rows] == [
        ("sales/orders", "interval"), ("sales/orders", "incremental"),
    ]  # fmt: skip
    for command in ("show", "reset"):
        assert "say --trigger or --read" in refused(root, "streams", command, "sales/orders")
    assert json.loads(cli(root, "streams", "show", "sales/orders", "--trigger", "--json"))["type"] == "interval"
    assert json.loads(cli(root, "streams", "show", "sales/orders", "--read", "--json"))["type"] == "incremental"
    cli(root, "streams", "reset", "sales/orders", "--trigger")
    assert stored(root)[0]["upto"] == {"type": "int", "value": "7"}
    cli(root, "streams", "reset", "sales/orders", "--read")
    assert stored(root) == (None, None)
    assert "is no incremental read" in refused(root, "streams", "reset", "sales/nothing", "--read")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("checkpoints: {type: sqlite, path: runs.db}\n", "", "needs a checkpoint store"),
        ("format: csv, incr", "format: csv, chunk_rows: 5, incr", "cannot be read in chunks"),
        ("format: csv, incr", "format: csv, columns: [amount], incr", "not among the columns that are read"),
        ("{column: id}", "{column: id, lateness: 2h}", "Give 'key': the columns that no two rows share"),
        ("{column: id}", "{column: id, key: id}", "no row is late without 'lateness'"),
        ("{column: id}", "{column: id, key: id, lateness: soon}", "'soon' is no duration"),
        ("{column: id}", "{column: id, key: id, lateness: true}", "is no duration"),
        ("{column: id}", "{column: id, key: id, lateness: 0}", "lateness is 0"),
        ("{column: id}", "{column: id, key: id, lateness: -2}", "lateness is -2"),
        ("format: csv, incr", "format: csv, columns: [id], incr", "'amount' of the key is not among the columns"),
        ("{column: id}", "{}", "missing key 'column'"),
        ("{column: id}", "{column: ''}", "the column has no name"),
    ],
)
def test_mistakes_are_told_before_anything_runs(root: Path, old: str, new: str, said: str) -> None:
    text = PROJECT.replace(old, new)
    if "of the key" in said:
        text = text.replace("{column: id}", "{column: id, lateness: 5, key: [id, amount]}")
    (root / "odibi.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        odibi.load(root / "odibi.yaml")
    assert said in str(caught.value)
