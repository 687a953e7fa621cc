"""Nodes that run at once on one Spark, under the same names: each sees its own data, and nothing of any is left.

Each place where Spark can run has a process of its own, which is this module run as a program: it runs pipelines, and
says what it found.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

if __name__ != "__main__":
    import pytest

    pytest.importorskip("pyspark")
    pytest.importorskip("grpc")
    sys.path.insert(0, str(Path(__file__).parent))

import odibi
from odibi import model
from odibi.api import LoadedProject

COUNT = 16
TWICE = 3
"""So many of the sources are read by two nodes."""
ROWS = 50
PLACES = ["local", "connect", "standalone"]
CONF = {
    "spark.driver.memory": "1g",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.sql.shuffle.partitions": "2",
    "spark.ui.enabled": "false",
}


# --- what the processes do --------------------------------------------------------------------------------------------


def made(at: int) -> Callable[..., Any]:
    def source(context: Any) -> Any:
        return context.engine.native.range(at * 1000, at * 1000 + ROWS, 1, 2).withColumnRenamed("id", "number")

    return source


def mine(frame: Any, context: Any) -> Any:
    """A name that all nodes give to something else."""
    return context.sql("SELECT m.*, 'x' AS x FROM mine m JOIN orders o USING (number)", {"mine": frame})


def waits(folder: str) -> Callable[..., Any]:
    """A step whose tasks say that they have begun, and go on until they are stopped."""

    def step(frame: Any) -> Any:
        def work(batches: Iterator[Any]) -> Iterator[Any]:
            for batch in batches:
                (Path(folder) / f"begun-{time.time_ns()}").touch()
                while True:
                    time.sleep(0.05)
                yield batch

        return frame.mapInArrow(work, frame.schema)

    return step


def many() -> Iterator[odibi.Node]:
    for at in range(COUNT):
        yield odibi.Node(f"s{at}", function=made(at))
        steps = (
            odibi.Sql("SELECT number, number * 2 AS twice FROM orders"),
            odibi.Function(mine),
            odibi.Sql("SELECT count(*) AS n, min(d.number) AS lo, max(o.number) AS hi, sum(d.twice) AS s "
                      "FROM df d JOIN orders o ON o.number = d.number"),
        )  # fmt: skip
        for name in "ab" if at < TWICE else "a":
            yield odibi.Node(
                f"{name}{at}",
                depends_on=(f"s{at}",),
                arguments={"orders": f"s{at}"},
                transform=odibi.Transform(steps),
                write=odibi.Write("lake", path=f"{name}{at}", format="parquet"),
            )


def expected(at: int) -> dict[str, int]:
    numbers = range(at * 1000, at * 1000 + ROWS)
    return {"n": ROWS, "lo": numbers[0], "hi": numbers[-1], "s": 2 * sum(numbers)}


def found_in(folder: Path) -> dict[str, Any]:
    import pyarrow.parquet as pq

    return {each.name: pq.read_table(each).to_pylist() for each in folder.iterdir() if not each.name.startswith(".")}


class Child:
    """The program: one Spark, and runs on it."""

    def __init__(self, options: dict[str, Any], folder: Path) -> None:
        from odibi_spark.engine import SparkEngine

        self.options = options
        self.folder = folder
        self.spark = SparkEngine(**options).native
        self.classic = "connect" not in type(self.spark).__module__

    def pipeline(self, *nodes: odibi.Node) -> odibi.api.Pipeline:  # type: ignore[name-defined]
        project = model.Project(
            "isolation",
            root=self.folder,
            engine="spark",
            engines={"spark": self.options},
            connections={"lake": odibi.Connection("lake", "local", {"base_path": str(self.folder / "lake")})},
            pipelines=(model.Pipeline("p", nodes),),
        )
        return LoadedProject(project)["p"]

    def left(self) -> dict[str, Any]:
        """What is still there after a run; what is dropped by another thread gets a while for it."""
        gc.collect()
        deadline = time.monotonic() + 30
        while (kept := self.kept()) and time.monotonic() < deadline:
            time.sleep(0.05)
        views = [row.viewName for row in self.spark.sql("SHOW VIEWS").collect()]
        tables = [table.name for table in self.spark.catalog.listTables()]
        active: list[int] = []
        if self.classic:
            active = list(self.spark.sparkContext.statusTracker().getActiveJobsIds())
        threads = [each.name for each in threading.enumerate() if each.name == "odibi-spark-stop"]
        return {"kept": kept, "views": views, "tables": tables, "active": active, "threads": threads}

    def kept(self) -> int:
        """How many sources are persisted; of those that another process has, by asking for the same frame again."""
        if self.classic:
            return int(self.spark.sparkContext._jsc.getPersistentRDDs().size())
        levels = [made(at)(self).storageLevel for at in range(COUNT)]
        return sum(level.useMemory or level.useDisk for level in levels)

    @property
    def engine(self) -> Any:
        return self

    @property
    def native(self) -> Any:
        return self.spark

    def many(self) -> dict[str, Any]:
        """The same pipeline again and again."""
        kept: list[int] = []

        def counted(frame: Any) -> Any:
            kept.append(self.kept())
            return frame

        nodes = list(many())
        spy = odibi.Node("spy", depends_on=("a0", "b0", "s0"),
                         transform=odibi.Transform((odibi.Function(counted),)))  # fmt: skip
        runs = []
        for _ in range(2):
            result = self.pipeline(*nodes, spy).run(workers=12)
            state = result.state
            del result
            runs.append({"state": state, "out": found_in(self.folder / "lake"), "left": self.left()})
            for each in sorted((self.folder / "lake").rglob("*"), reverse=True):
                each.rmdir() if each.is_dir() else each.unlink()
        return {"runs": runs, "kept": kept}

    def waiting(self, name: str, timeout: float | None) -> tuple[odibi.Node, ...]:
        folder = self.folder / name
        folder.mkdir()
        return (
            odibi.Node("s0", function=made(0)),
            odibi.Node("other", depends_on=("s0",), transform=odibi.Transform((odibi.Sql("SELECT * FROM s0"),))),
            odibi.Node(
                "slow",
                depends_on=("s0",),
                transform=odibi.Transform((odibi.Function(waits(str(folder))),)),
                write=odibi.Write("lake", path="slow", format="parquet"),
                timeout=timeout,
            ),
        )

    def after(self) -> Any:
        """A job that needs all slots: it ends if nothing else has them."""
        return self.spark.range(0, 10, 1, 2).repartition(2).count()

    def times_out(self) -> dict[str, Any]:
        nodes = self.waiting("times-out", 8.0)
        result = self.pipeline(*nodes).run(check=False)
        outcome = result.outcomes["slow"]
        facts = {
            "state": result.state,
            "error": type(outcome.error).__name__,
            "begun": len(list((self.folder / "times-out").iterdir())),
            "after": self.after(),
        }
        del result, outcome
        return {**facts, "left": self.left(), "out": sorted(each.name for each in (self.folder / "lake").iterdir())}

    def is_cancelled(self) -> dict[str, Any]:
        nodes = self.waiting("cancelled", None)
        handle = self.pipeline(*nodes).start()
        deadline = time.monotonic() + 120
        while not list((self.folder / "cancelled").iterdir()) and time.monotonic() < deadline:
            time.sleep(0.05)
        handle.cancel(running=True)
        result = handle.result(120)
        facts = {"state": result.state, "slow": result.outcomes["slow"].state.value, "after": self.after()}
        del result, handle
        return {**facts, "left": self.left(), "out": sorted(each.name for each in (self.folder / "lake").iterdir())}

    def fails(self) -> dict[str, Any]:
        def raising(frame: Any) -> Any:
            raise ValueError("a step of mine")

        steps = {
            "when-computed": odibi.Sql("SELECT CASE WHEN number = 7 THEN raise_error('no seven') END AS x FROM orders"),
            "when-analyzed": odibi.Sql("SELECT nothing FROM orders"),
            "when-called": odibi.Function(raising),
        }
        nodes = [odibi.Node("s0", function=made(0))]
        for name, step in steps.items():
            write = odibi.Write("lake", path=name, format="parquet")
            transform = odibi.Transform((odibi.Sql("SELECT * FROM orders"), step))
            nodes.append(
                odibi.Node(
                    name,
                    depends_on=("s0",),
                    arguments={"orders": "s0"},
                    transform=transform,
                    write=write,
                    on_error=model.OnError.FAIL_LATER,
                )
            )
        result = self.pipeline(*nodes).run(check=False)
        said = {name: str(outcome.error) for name, outcome in result.outcomes.items() if outcome.error is not None}
        state = result.state
        del result
        out = sorted(each.name for each in (self.folder / "lake").iterdir())
        return {"state": state, "said": said, "left": self.left(), "out": out}


def main() -> None:
    folder = Path(sys.argv[2])
    child = Child(json.loads(sys.argv[1]), folder)
    facts = {}
    for scenario in ("many", "fails", "times_out", "is_cancelled"):
        facts[scenario] = getattr(child, scenario)()
        (folder / "facts.json").write_text(json.dumps(facts))


# --- the tests --------------------------------------------------------------------------------------------------------


def run(options: dict[str, Any], folder: Path) -> dict[str, Any]:
    environment = {**os.environ, "PYSPARK_PYTHON": sys.executable, "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, __file__, json.dumps(options), str(folder)]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as process:
        try:
            said, _ = process.communicate(timeout=400)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, 9)
    assert process.returncode == 0, said[-5000:]
    facts: dict[str, Any] = json.loads((folder / "facts.json").read_text())
    return facts


if __name__ != "__main__":
    from spark_clusters import connect_server, standalone

    @pytest.fixture(scope="module", params=PLACES)
    def facts(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
        """What a process found on one kind of Spark."""
        folder = tmp_path_factory.mktemp("isolation")
        with ExitStack() as running:
            if request.param == "local":
                options: dict[str, Any] = {"master": "local[2]", "conf": CONF}
            elif request.param == "connect":
                options = {"remote": running.enter_context(connect_server()).url}
            else:
                cluster = running.enter_context(standalone(secret=str(uuid4())))
                alone = {"spark.executor.memory": "512m", "spark.executor.cores": "1"}
                options = {"master": cluster.url, "conf": {**CONF, **cluster.conf, **alone}}
            yield run(options, folder)

    NOTHING = {"kept": 0, "views": [], "tables": [], "active": [], "threads": []}

    def test_nodes_with_the_same_names_see_their_own_data(facts: dict[str, Any]) -> None:
        wanted = {f"{name}{at}": [expected(at)] for at in range(COUNT) for name in ("ab" if at < TWICE else "a")}
        for each in facts["many"]["runs"]:
            assert each["state"] == "succeeded"
            assert each["out"] == wanted

    def test_frames_are_kept_while_they_are_used_and_nothing_is_left(facts: dict[str, Any]) -> None:
        assert len(facts["many"]["kept"]) == 2
        assert min(facts["many"]["kept"]) >= 1, "the frame of the spy's input is still wanted"
        assert [each["left"] for each in facts["many"]["runs"]] == [NOTHING] * 2

    def test_nodes_that_fail_leave_nothing(facts: dict[str, Any]) -> None:
        found = facts["fails"]
        assert found["state"] == "failed"
        assert set(found["said"]) == {"when-computed", "when-analyzed", "when-called"}
        assert "no seven" in found["said"]["when-computed"]
        assert "'nothing'" in found["said"]["when-analyzed"]
        assert "a step of mine" in found["said"]["when-called"]
        assert not any("\n\tat " in text or "Traceback" in text for text in found["said"].values())
        assert found["left"] == NOTHING
        assert [name for name in found["out"] if name != ".odibi-lock"] == []

    def test_a_node_that_times_out_stops_its_job(facts: dict[str, Any]) -> None:
        found = facts["times_out"]
        assert (found["state"], found["error"]) == ("failed", "NodeTimeout")
        assert found["begun"] >= 1
        assert found["after"] == 10
        assert found["left"] == NOTHING
        assert [name for name in found["out"] if name != ".odibi-lock"] == []

    def test_a_run_that_is_cancelled_stops_its_jobs(facts: dict[str, Any]) -> None:
        found = facts["is_cancelled"]
        assert (found["state"], found["slow"]) == ("cancelled", "cancelled")
        assert found["after"] == 10
        assert found["left"] == NOTHING
        assert [name for name in found["out"] if name != ".odibi-lock"] == []


if __name__ == "__main__":
    main()
