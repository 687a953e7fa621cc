"""Runs that consume batches: each file's rows once, whatever is killed, repeated or replaced in between."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import odibi
from odibi.contracts import Batch, FileVersion, payload_of
from odibi.errors import ConfigError, Conflict, DataError, NotFound, RunFailed
from odibi.run.batches import stream_of

DEFINITION = """
import odibi
from odibi.model import CachePolicy, Function, Node, Operation, Read, Sql, Transform, Write
from odibi.contracts import Batch, FileVersion, payload_of
from odibi.contracts.format import WriteMode

def pipeline(root, *more, path="in", read=None, steps=(), log=None, engine="pandas", cache=True, **settings):
    return odibi.Pipeline(
        "sales",
        [
            Node("orders", read=Read("lake", path, stream="arrivals", **{"format": "csv", **(read or {})}),
                 transform=Transform(steps) if steps else None,
                 write=Write("lake", "out/log", format="parquet", mode=WriteMode.APPEND, **(log or {}))),
            *more,
        ],
        engine=engine,
        connections={"lake": {"type": "local", "base_path": str(root / "lake")}},
        cache={"type": "disk", "path": str(root / "cache")} if cache else None,
        checkpoints={"type": "sqlite", "path": str(root / "runs.db")},
        **settings,
    )
"""
made: dict[str, Any] = {}
exec(DEFINITION, made)  # the same text is run by processes that are killed
pipeline: Callable[..., odibi.Pipeline] = made["pipeline"]
Node, Read, Write, Sql, Transform = (made[name] for name in ("Node", "Read", "Write", "Sql", "Transform"))


def arrive(root: Path, **files: str) -> list[FileVersion]:
    """Write CSV files into ``in``; their versions, in this order."""
    found = []
    for name, rows in files.items():
        path = root / "lake/in" / f"{name.replace('__', '/')}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(".new")
        aside.write_text("id,amount\n" + "".join(f"{row}\n" for row in rows.split()))
        aside.replace(path)
        found.append(version(root, str(path.relative_to(root / "lake"))))
    return found


def version(root: Path, path: str) -> FileVersion:
    loaded = pipeline(root)._loaded.resources()
    try:
        stat = loaded.storage("lake").stat(path)
    finally:
        loaded.close()
    return FileVersion(stat.path, stat.etag, stat.size)


def batch(name: str, files: list[FileVersion], offset: Any = None) -> Mapping[str, Batch]:
    return {"arrivals": Batch(name, offset if offset is not None else {"upto": name}, payload_of(files))}


def logged(root: Path) -> list[int]:
    place = root / "lake/out/log"
    there = any(place.rglob("*.parquet")) if place.exists() else False
    return sorted(pd.read_parquet(place)["id"].tolist()) if there else []


def offset(root: Path) -> Any:
    loaded = pipeline(root)._loaded
    with loaded:
        store = loaded.resources().checkpoints()
        assert store is not None
        return store.offset(stream_of("sales", "arrivals"))


def states(result: Any) -> dict[str, str]:
    return {name: outcome.state.value for name, outcome in result.outcomes.items()}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "lake").mkdir()
    return tmp_path


# --- what is read ---------------------------------------------------------------------------------------------------


def test_a_run_reads_the_files_of_its_batch_alone(root: Path) -> None:
    first = arrive(root, a="1,10 2,20", b="3,30")
    second = arrive(root, c="4,40")
    sales = pipeline(root)
    sales.run(batches=batch("one", first))
    assert logged(root) == [1, 2, 3]
    assert offset(root) == {"upto": "one"}
    sales.run(batches=batch("two", second))
    assert logged(root) == [1, 2, 3, 4]
    assert offset(root) == {"upto": "two"}


def test_files_are_read_in_the_order_of_the_batch(root: Path) -> None:
    files = arrive(root, b="3,30", a="1,10", c="2,20")
    sales = pipeline(root)
    nodes = [Node("read", read=Read("lake", "in/*.csv", stream="arrivals"))]
    sales.model = type(sales.model)("sales", tuple(nodes))
    assert sales.run(batches=batch("one", files)).values["read"]["id"].tolist() == [3, 1, 2]
    assert sales.run().values["read"]["id"].tolist() == [1, 3, 2]


def test_without_a_batch_all_that_the_path_means_is_read(root: Path) -> None:
    arrive(root, a="1,10", b="2,20")
    pipeline(root).run()
    assert logged(root) == [1, 2]
    assert offset(root) is None


def test_a_batch_without_files_narrows_nothing(root: Path) -> None:
    arrive(root, a="1,10", b="2,20")
    pipeline(root).run(batches={"arrivals": Batch("tick", "12:00", {"moment": "12:00"})})
    assert logged(root) == [1, 2]
    assert offset(root) == "12:00"


@pytest.mark.parametrize("path", ["in", "in/*/*.csv", "in/**"])
@pytest.mark.parametrize("chunked", [False, True])
def test_folders_of_a_batch_are_columns(root: Path, path: str, chunked: bool) -> None:
    files = arrive(root, **{"year=2013__a": "1,10", "year=2014__b": "2,20", "year=2014__c": "3,30"})
    read = {"chunk_rows": 1} if chunked else {}
    pipeline(root, path=path, read=read).run(batches=batch("one", files[1:]))
    frame = pd.read_parquet(root / "lake/out/log").sort_values("id")
    assert frame[["id", "year"]].to_numpy().tolist() == [[2, 2014], [3, 2014]]


def test_what_the_path_does_not_mean_fails_the_run(root: Path) -> None:
    """Left out it would be lost, since the offset moves on."""
    files = arrive(root, a="1,10", b="2,20")
    with pytest.raises(RunFailed) as caught:
        pipeline(root, path="in/a*").run(batches=batch("one", files))
    assert "lake:in/b.csv: it is in the batch, but 'in/a*' does not mean it" in str(caught.value)
    assert offset(root) is None


def test_several_nodes_read_one_batch(root: Path) -> None:
    files = arrive(root, a="1,10", b="2,20")
    again = Node("sums", read=Read("lake", "in/*.csv", stream="arrivals"), write=Write("lake", "out/sums.parquet"))
    pipeline(root, again).run(batches=batch("one", files[1:]))
    assert logged(root) == [2]
    assert pd.read_parquet(root / "lake/out/sums.parquet")["id"].tolist() == [2]


# --- values ---------------------------------------------------------------------------------------------------------


def test_the_name_of_a_trigger_is_its_payload(root: Path) -> None:
    told: list[Any] = []

    def tell(arrivals: Any) -> int:
        told.append(arrivals)
        return len(told)

    sales = odibi.Pipeline("tell", [odibi.node(tell)])
    moment = {"arrivals": Batch("one", 1, {"moment": "12:00"})}
    assert sales.run(batches=moment)["tell"] == 1
    assert told == [{"moment": "12:00"}]
    assert sales.start(batches=moment).result()["tell"] == 2
    assert sales.run(batches=moment, inputs={"arrivals": "mine"})["tell"] == 3
    assert told[2] == "mine"


def test_a_node_of_the_name_goes_before_the_trigger() -> None:
    def arrivals() -> str:
        return "made"

    def tell(arrivals: Any) -> Any:
        return arrivals

    sales = odibi.Pipeline("tell", [odibi.node(arrivals), odibi.node(tell)])
    assert sales.run(batches={"arrivals": Batch("one", 1, "brought")})["tell"] == "made"


PROJECT = """
project: shop
connections:
  lake: {type: local, base_path: lake}
  same: {type: local, base_path: lake}
  pond: {type: local, base_path: pond}
checkpoints: {type: sqlite, path: runs.db}
triggers:
  arrivals: {type: file_watch, connection: lake, path: in}
pipelines:
  - pipeline: sales
    nodes:
      - {name: told, depends_on: [arrivals], function: tell}
      - name: orders
        read: {connection: lake, path: in, format: csv, stream: arrivals}
        write: {connection: lake, path: out/log, format: parquet, mode: append}
"""


@pytest.fixture
def shop(root: Path) -> Path:
    pytest.importorskip("odibi_triggers")
    (root / "odibi.yaml").write_text(PROJECT)
    (root / "transforms.py").write_text("def tell(arrivals):\n    return [arrivals]\n")
    return root


def test_a_project_names_its_triggers(shop: Path) -> None:
    files = arrive(shop, a="1,10", b="2,20")
    with odibi.load(shop / "odibi.yaml") as loaded:
        consumed = batch("one", files[:1])
        assert loaded["sales"].run(batches=consumed)["told"] == [consumed["arrivals"].payload]
        assert logged(shop) == [1]
        assert loaded["sales"].run()["told"] == [None]
        assert [node.name for node in loaded["sales"].graph().nodes] == ["told", "orders"]
        with pytest.raises(ConfigError, match=r"no trigger 'arrival'\. Did you mean 'arrivals'\?"):
            loaded["sales"].run(batches={"arrival": consumed["arrivals"]})
        with pytest.raises(TypeError, match="is to be an odibi.contracts.Batch"):
            loaded["sales"].run(batches={"arrivals": {"id": 1}})


@pytest.mark.parametrize(
    "command", ["validate", "plan", "graph", "graph --format dot", "graph --format mermaid", "run"]
)
def test_commands_take_a_node_that_names_a_trigger(shop: Path, command: str) -> None:
    arrive(shop, a="1,10")
    done = subprocess.run(
        [sys.executable, "-m", "odibi", *command.split()], cwd=shop, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert command == "validate" or "told" in done.stdout


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("stream: arrivals", "stream: arrival", "no trigger 'arrival'. Did you mean 'arrivals'?"),
        ("depends_on: [arrivals]", "depends_on: [arrivls]", "Did you mean 'arrivals'?"),
        (
            "connection: lake, path: in}",
            "connection: pond, path: in}",
            "'pond', and this reads 'lake'. Read from 'pond'",
        ),
        ("path: in, format: csv, stream", "table: t, format: csv, stream", "this reads no path"),
        ("path: in, format: csv, stream", "path: in, format: delta, stream", "delta reads a table as a whole"),
    ],
)
def test_mistakes_about_streams_are_told_before_anything_runs(shop: Path, old: str, new: str, said: str) -> None:
    if "delta" in new:
        pytest.importorskip("odibi_delta")
    (shop / "odibi.yaml").write_text(PROJECT.replace(old, new))
    with pytest.raises(ConfigError) as caught:
        odibi.load(shop / "odibi.yaml")
    assert said in str(caught.value)


def test_one_place_may_have_two_connections(shop: Path) -> None:
    (shop / "odibi.yaml").write_text(PROJECT.replace("connection: lake, path: in}", "connection: same, path: in}"))
    files = arrive(shop, a="1,10", b="2,20")
    with odibi.load(shop / "odibi.yaml") as loaded:
        loaded["sales"].run(batches=batch("one", files[:1]))
    assert logged(shop) == [1]


def test_a_table_is_not_narrowed_by_a_pipeline_of_python(root: Path) -> None:
    pytest.importorskip("odibi_delta")
    files = arrive(root, a="1,10")
    with pytest.raises(RunFailed, match="is read as a whole"):
        pipeline(root, read={"format": "delta"}).run(batches=batch("one", files))


# --- repeated, failed and killed runs -------------------------------------------------------------------------------


def test_the_same_batch_again_changes_nothing(root: Path) -> None:
    files = arrive(root, a="1,10")
    pipeline(root).run(batches=batch("one", files))
    more = arrive(root, b="2,20")
    again = pipeline(root).run(batches=batch("one", files))
    assert states(again) == {"orders": "reused"}
    pipeline(root).run(batches=batch("two", more))
    # What stands for the last result is another batch; the part of this one is known by its name.
    assert states(pipeline(root).run(batches=batch("one", files))) == {"orders": "succeeded"}
    assert logged(root) == [1, 2]


def test_what_reads_no_batch_is_not_run_for_each(root: Path) -> None:
    files = arrive(root, a="1,10", b="2,20")
    (root / "lake/rates.csv").write_text("rate\n2\n")
    rates = Node("rates", read=Read("lake", "rates.csv"))
    sales = pipeline(root, rates)
    assert states(sales.run(batches=batch("one", files[:1]))) == {"orders": "succeeded", "rates": "succeeded"}
    assert states(sales.run(batches=batch("two", files[1:]))) == {"orders": "succeeded", "rates": "reused"}
    plan = sales.plan(batches=batch("three", files))
    assert dict(zip((node.name for node in plan.graph.nodes), plan.reasons, strict=True))["orders"] == (
        "it reads another batch of 'arrivals'"
    )


def test_an_overwrite_is_of_the_newest_batch(root: Path) -> None:
    files = arrive(root, a="1,10", b="2,20")
    newest = Node("newest", read=Read("lake", "in", format="csv", stream="arrivals"), write=Write("lake", "out/n.csv"))
    sales = pipeline(root, newest)
    for at, each in enumerate(files):
        sales.run(batches=batch(str(at), [each]))
        assert pd.read_csv(root / "lake/out/n.csv")["id"].tolist() == [at + 1]


def failing(root: Path) -> Any:
    """A node that fails while there is a file ``broken``."""

    def fails(orders: Any) -> int:
        if (root / "broken").exists():
            raise ValueError("broken")
        return len(orders)

    return odibi.node(version="1")(fails)


def test_a_failed_run_leaves_the_offset_and_is_gone_on_with(root: Path) -> None:
    files = arrive(root, a="1,10")
    (root / "broken").touch()
    moment = [Sql("SELECT *, random() AS at FROM df")]  # another result each time it is asked
    with pytest.raises(RunFailed):
        pipeline(root, failing(root), steps=moment).run(batches=batch("one", files))
    assert logged(root) == [1]
    assert offset(root) is None
    (root / "broken").unlink()
    done = pipeline(root, failing(root), steps=moment).run(batches=batch("one", files))
    assert states(done)["fails"] == "succeeded"
    assert logged(root) == [1]
    assert offset(root) == {"upto": "one"}


KILLED = """
import os, signal, sys
from pathlib import Path
{definition}
root, at = Path(sys.argv[1]), sys.argv[2]
files = [FileVersion(*each) for each in {files!r}]

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

if at == "append":
    import odibi.run.journal as journal
    journal.Journal.append = die
elif at == "finish":
    import odibi.run.journal as journal
    journal.Journal.finish = die
steps = [Sql("SELECT *, random() AS at FROM df")] if {random} else ()
pipeline(root, steps=steps).run(batches={{"arrivals": Batch("one", {{"upto": "one"}}, payload_of(files))}})
"""


def killed(root: Path, at: str, files: list[FileVersion], *, random: bool) -> None:
    told = [(it.path, it.etag, it.size) for it in files]
    program = KILLED.format(definition=DEFINITION, files=told, random=random)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(root), at], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.parametrize("random", [False, True])
@pytest.mark.parametrize("at", ["append", "finish"])
def test_a_killed_run_is_run_again_and_each_row_is_there_once(root: Path, at: str, random: bool) -> None:
    """Killed after its rows were written: before their outcome was on record, and before the run was."""
    files = arrive(root, a="1,10 2,20", b="3,30")
    killed(root, at, files, random=random)
    assert logged(root) == [1, 2, 3], "it was killed too early to show anything"
    assert offset(root) is None
    arrive(root, c="4,40")
    steps = [Sql("SELECT *, random() AS at FROM df")] if random else ()
    pipeline(root, steps=steps).run(batches=batch("one", files))
    assert logged(root) == [1, 2, 3]
    assert offset(root) == {"upto": "one"}


def test_a_killed_run_whose_batch_has_lost_a_file_since(root: Path) -> None:
    """What was appended of the file that was replaced stays; what was appended of the others comes no second time."""
    files = arrive(root, a="1,10", b="2,20")
    killed(root, "append", files, random=False)
    new = arrive(root, a="9,90")
    for _ in range(2):
        pipeline(root).run(batches=batch("one", files[1:]))
    assert logged(root) == [1, 2]
    pipeline(root).run(batches=batch("two", new))
    assert logged(root) == [1, 2, 9]


def test_the_batches_of_a_run_are_on_record_before_anything_runs(root: Path) -> None:
    files = arrive(root, a="1,10", b="2,20")
    killed(root, "append", files, random=False)
    loaded = pipeline(root)._loaded
    with loaded:
        store = loaded.resources().checkpoints()
        assert store is not None
        (record,) = store.runs("sales")
    assert record.state == "interrupted"
    assert record.detail["batches"] == {
        "arrivals": {"id": "one", "offset": {"upto": "one"}, "payload": payload_of(files)}
    }


def test_a_run_of_other_batches_goes_on_with_none(root: Path) -> None:
    files = arrive(root, a="1,10", b="2,20")
    (root / "broken").touch()
    with pytest.raises(RunFailed):
        pipeline(root, failing(root)).run(batches=batch("one", files[:1]))
    (root / "broken").unlink()
    sales = pipeline(root, failing(root))
    sales.run(batches=batch("two", files[1:]))
    resumed = sales._loaded.resources().checkpoints().runs("sales")  # type: ignore[union-attr]
    assert [record.detail.get("resumes") for record in resumed] == [None, None]
    sales._loaded.close()
    assert logged(root) == [1, 2]


# --- files that change ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("gone", [False, True])
def test_a_file_that_was_replaced_before_it_is_read(root: Path, chunked: bool, gone: bool) -> None:
    files = arrive(root, a="1,10", b="2,20")
    if gone:
        (root / "lake/in/b.csv").unlink()
    else:
        arrive(root, b="3,30 4,40")
    read = {"chunk_rows": 1} if chunked else {}
    result = pipeline(root, read=read).run(batches=batch("one", files), check=False)
    error = result.outcomes["orders"].error
    assert isinstance(error, Conflict)
    assert "lake:in/b.csv: it " in str(error)
    assert logged(root) == []
    assert offset(root) is None


@pytest.mark.parametrize("chunked", [False, True])
def test_a_file_that_is_replaced_while_it_is_read(root: Path, chunked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written of what was read."""
    from odibi_pandas.formats.csv import CsvFormat

    files = arrive(root, a="1,10", b="2,20")
    name = "load_chunks" if chunked else "load"
    load = getattr(CsvFormat, name)

    def replacing(self: Any, file: Any, *args: Any, **named: Any) -> Iterator[Any]:
        found = load(self, file, *args, **named)
        arrive(root, b="3,30 4,40")
        return found  # type: ignore[no-any-return]

    monkeypatch.setattr(CsvFormat, name, replacing)
    read = {"chunk_rows": 1} if chunked else {}
    result = pipeline(root, read=read).run(batches=batch("one", files), check=False)
    assert isinstance(result.outcomes["orders"].error, Conflict)
    assert logged(root) == []


def test_a_batch_of_nothing(root: Path) -> None:
    arrive(root, a="1,10")
    with pytest.raises(ValueError, match="at least one"):
        payload_of([])
    result = pipeline(root).run(batches={"arrivals": Batch("one", 1, {"files": []})}, check=False)
    assert isinstance(result.outcomes["orders"].error, NotFound)


def test_files_that_are_not_said_as_files_are_refused(root: Path) -> None:
    """To read all there is instead would be to read it with each batch."""
    arrive(root, a="1,10")
    with pytest.raises(DataError, match="are not said as a path"):
        pipeline(root).run(batches={"arrivals": Batch("one", 1, {"files": [{"path": "in/a.csv"}]})})
    assert logged(root) == []


# --- what is shown --------------------------------------------------------------------------------------------------


def test_runs_show_tells_the_batches(shop: Path) -> None:
    files = arrive(shop, a="1,10", b="2,20")
    with odibi.load(shop / "odibi.yaml") as loaded:
        loaded["sales"].run(batches=batch("b17", files, offset={"seen": "x" * 100}))
    done = subprocess.run(
        [sys.executable, "-m", "odibi", "runs", "show", "last"],
        cwd=shop, capture_output=True, text=True, timeout=60, env={**os.environ, "NO_COLOR": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("batch")]
    assert line.startswith('batch     arrivals: b17, offset {"seen": "xxxx')
    assert line.endswith("x..., 2 files")


# --- on Spark -------------------------------------------------------------------------------------------------------

ON_SPARK = """
import json, sys
import odibi
from odibi.contracts import Batch, FileVersion, payload_of

files = [FileVersion(*each) for each in json.loads(sys.argv[1])]
with odibi.load("odibi.yaml") as loaded:
    for name, some in (("one", files[:2]), ("one", files[:2]), ("two", files[2:])):
        batches = {"arrivals": Batch(name, name, payload_of(some))}
        result = loaded["sales"].run(targets=["orders"], batches=batches, check=False)
        outcome = result.outcomes["orders"]
        print("->", outcome.state.value, type(outcome.error).__name__)
"""


def test_batches_on_spark(shop: Path) -> None:
    pytest.importorskip("pyspark")
    pytest.importorskip("odibi_spark")
    files = arrive(shop, **{"day=1__a": "1,10", "day=1__b": "2,20", "day=2__c": "3,30", "day=2__d": "4,40"})
    arrive(shop, **{"day=2__d": "5,50"})
    conf = "{spark.driver.memory: 1g, spark.sql.shuffle.partitions: '2', spark.ui.enabled: 'false'}"
    (shop / "odibi.yaml").write_text(
        f"engine: spark\nengines: {{spark: {{master: 'local[2]', conf: {conf}}}}}\n{PROJECT}"
    )
    told = json.dumps([(it.path, it.etag, it.size) for it in files])
    done = subprocess.run(
        [sys.executable, "-c", ON_SPARK, told],
        cwd=shop, capture_output=True, text=True, timeout=300, env={**os.environ, "PYSPARK_PYTHON": sys.executable},
    )  # fmt: skip
    said = [line for line in done.stdout.splitlines() if line.startswith("->")]
    # The second time its rows are asked for again, as no cache has them, and its part is there already.
    assert said == ["-> succeeded NoneType", "-> succeeded NoneType", "-> failed Conflict"], done.stderr[-3000:]
    assert logged(shop) == [1, 2]
