"""Whole runs on Spark: what is computed, how often, what goes from engine to engine, and what people get to see.

A process has one Spark of its own for good, so the runs are those of a process, which is this module run as a program.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

if __name__ != "__main__":
    import pytest

    pytest.importorskip("pyspark")
    pytest.importorskip("grpc")
    pytest.importorskip("odibi_pandas")
    sys.path.insert(0, str(Path(__file__).parent))

import odibi
from odibi import model
from odibi.api import LoadedProject
from odibi.events import NodeProgressed

CONF = {
    "spark.driver.memory": "1g",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "spark.sql.shuffle.partitions": "2",
}
LOCAL = {"master": "local[2]", "conf": CONF}

CACHED = """
project: cached
engine: spark
connections:
  lake: {type: local, base_path: lake}
cache: {type: disk, path: state/cache}
checkpoints: {type: sqlite, path: state/runs.db}
pipelines:
  - pipeline: p
    nodes:
      - {name: first, function: first, cache: true}
      - name: last
        depends_on: [first]
        transform:
          steps: ["SELECT id * FACTOR AS id FROM first"]
        write: {connection: lake, path: last, format: parquet}
"""
FIRST = """
from pathlib import Path

def first(context):
    with open(Path(__file__).parent / "ran", "a") as file:
        file.write("first\\n")
    return context.engine.native.range(0, 1000, 1, 2)
"""


def step(function: Any) -> odibi.Transform:
    return odibi.Transform((odibi.Function(function),))


def sql(text: str) -> odibi.Transform:
    return odibi.Transform((odibi.Sql(text),))


# --- what the process does --------------------------------------------------------------------------------------------


class Child:
    """The program: runs on one Spark."""

    def __init__(self, options: dict[str, Any], folder: Path) -> None:
        from odibi_spark.engine import SparkEngine

        self.options = options
        self.folder = folder
        self.spark = SparkEngine(**options).native

    def pipeline(self, *nodes: odibi.Node, **options: Any) -> Any:
        project = model.Project(
            "runs",
            root=self.folder,
            engine="spark",
            engines={"spark": {**self.options, **options}},
            connections={"lake": odibi.Connection("lake", "local", {"base_path": str(self.folder / "lake")})},
            pipelines=(model.Pipeline("p", nodes),),
        )
        return LoadedProject(project)["p"]

    def jobs(self) -> int:
        """How many jobs there have been."""
        return int(self.spark.sparkContext._jsc.sc().dagScheduler().numTotalJobs())

    def fan_out(self) -> dict[str, Any]:
        """Five nodes, and the same by hand."""
        from pyspark import StorageLevel

        levels: dict[str, bool] = {}

        def looked(frame: Any, context: Any) -> Any:
            for name in context.names():
                levels[name] = context.get(name).storageLevel.useMemory
            return frame

        self.spark.range(0, 1000, 1, 4).write.parquet(str(self.folder / "lake/in"))
        query = "SELECT id % 7 AS k, count(*) AS n FROM {} GROUP BY id % 7"
        nodes = (
            odibi.Node("read", read=odibi.Read("lake", path="in", format="parquet")),
            odibi.Node("kept", depends_on=("read",), transform=sql("SELECT * FROM read WHERE id >= 100")),
            odibi.Node("counts", depends_on=("kept",), transform=sql(query.format("kept"))),
            odibi.Node(
                "one", depends_on=("counts", "read"), arguments={"frame": "counts"}, transform=step(looked),
                write=odibi.Write("lake", path="one", format="parquet"),
            ),
            odibi.Node(
                "two", depends_on=("kept", "counts"), transform=step(looked),
                write=odibi.Write("lake", path="two", format="parquet"),
            ),
        )  # fmt: skip
        before = self.jobs()
        result = self.pipeline(*nodes).run(workers=1)
        ours = self.jobs() - before
        rows = {name: result.outcomes[name].write.rows for name in ("one", "two")}

        before = self.jobs()
        read = self.spark.read.parquet(str(self.folder / "lake/in"))
        kept = read.where("id >= 100").persist(StorageLevel.MEMORY_AND_DISK_DESER)
        counts = kept.selectExpr("id % 7 AS k").groupBy("k").count().persist(StorageLevel.MEMORY_AND_DISK_DESER)
        counts.write.parquet(str(self.folder / "hand/one"))
        kept.write.parquet(str(self.folder / "hand/two"))
        by_hand = self.jobs() - before
        counts.unpersist()
        kept.unpersist()

        once: dict[str, bool] = {}

        def looked_once(frame: Any) -> Any:
            once["read"] = frame.storageLevel.useMemory
            return frame

        alone = odibi.Node(
            "alone", depends_on=("read",), transform=step(looked_once),
            write=odibi.Write("lake", path="alone", format="parquet"),
        )  # fmt: skip
        self.pipeline(nodes[0], alone).run()
        return {"ours": ours, "by_hand": by_hand, "rows": rows, "levels": levels, "once": once}

    def hand_over(self) -> dict[str, Any]:
        """From pandas to Spark, and back."""
        import pandas as pd
        import pyarrow as pa

        noon = dt.datetime(2024, 2, 29, 12, 30, 15, 123456)  # without a zone on purpose
        table = pa.table(
            {
                "small": pa.array([1, None, -3], pa.int16()),
                "large": pa.array([2**62, 0, None], pa.int64()),
                "exact": pa.array([Decimal("12345678901234567.89"), None, Decimal("-0.01")], pa.decimal128(20, 2)),
                "zoned": pa.array([noon, None, noon], pa.timestamp("us", "UTC")),
                "local": pa.array([noon, None, noon], pa.timestamp("us")),
                "day": pa.array([noon.date(), None, dt.date(1969, 1, 1)], pa.date32()),
                "text": pa.array(["a", "", None], pa.string()),
                "truth": pa.array([True, None, False], pa.bool_()),
                "number": pa.array([1.5, float("nan"), None], pa.float64()),
                "bytes": pa.array([b"\x00", b"", None], pa.binary()),
                "list": pa.array([[1, None], [], None], pa.list_(pa.int32())),
                "struct": pa.array(
                    [{"a": 1, "b": "x"}, None, {"a": None, "b": None}], pa.struct({"a": pa.int32(), "b": pa.string()})
                ),
            }
        )
        got: list[Any] = []

        def begin() -> Any:
            return table.to_pandas(types_mapper=pd.ArrowDtype)

        def end(there: Any) -> Any:
            got.append(there)
            return there

        nodes = (
            odibi.Node("here", function=begin, engine="pandas"),
            odibi.Node("there", depends_on=("here",), transform=sql("SELECT * FROM here")),
            odibi.Node("back", depends_on=("there",), transform=step(end), engine="pandas"),
        )
        self.pipeline(*nodes).run()
        (frame,) = got
        back = pa.Table.from_pandas(frame, preserve_index=False)
        kinds = {field.name: (str(field.type), str(table.schema.field(field.name).type)) for field in back.schema}
        large = pa.table({"a": pa.array(["x" * 1000] * 3000)})
        nodes = (
            odibi.Node("here", function=lambda context: context.engine.from_arrow(large)),
            odibi.Node("back", depends_on=("here",), transform=step(end), engine="pandas"),
        )
        result = self.pipeline(*nodes, driver_limit="1 MB").run(check=False)
        return {
            "kind": type(frame).__module__,
            "kinds": kinds,
            "rows": [repr(sorted(row.items())) for row in back.to_pylist()],
            "wanted": [repr(sorted(row.items())) for row in table.to_pylist()],
            "too_much": str(result.outcomes["back"].error),
        }

    def functions(self) -> dict[str, Any]:
        """Functions on frames of pandas."""

        @odibi.transform(frame="pandas", rowwise=True)
        def doubled(frame: Any) -> Any:
            return frame.assign(id=frame["id"] * 2)

        @odibi.transform(frame="pandas", rowwise=True, schema="id long, t string")
        def told(frame: Any) -> Any:
            return frame.assign(t="x")[["id", "t"]]

        @odibi.transform(frame="pandas")
        def ranked(frame: Any) -> Any:
            return frame.assign(top=frame["id"] == frame["id"].max())

        @odibi.transform(frame="pandas_on_spark")
        def likewise(frame: Any) -> Any:
            return frame[frame["id"] >= 15]

        names = (doubled, told, ranked, likewise)
        nodes = [odibi.Node("source", function=lambda context: context.engine.native.range(0, 20, 1, 4))]
        nodes += [odibi.Node(each.__name__, depends_on=("source",), transform=step(each)) for each in names]
        result = self.pipeline(*nodes).run(targets=[each.__name__ for each in names], check=False)
        found: dict[str, Any] = {}
        for each in names:
            outcome = result.outcomes[each.__name__]
            if outcome.error is not None:
                found[each.__name__] = str(outcome.error)
                found[f"{each.__name__}_remedy"] = getattr(outcome.error, "remedy", "")
            else:
                frame = result[each.__name__]
                found[each.__name__] = sorted(list(row) for row in frame.collect())
        return found

    def own_session(self) -> dict[str, Any]:
        """A session of the application's own."""
        session = self.spark.newSession()
        session.conf.set("spark.sql.session.timeZone", "Asia/Tokyo")
        seen: list[bool] = []

        def looked(context: Any) -> Any:
            seen.append(context.engine.native is session)
            return context.engine.native.range(3)

        project = model.Project(
            "own",
            root=self.folder,
            engine="spark",
            engines={"spark": {"spark_session": session}},
            pipelines=(model.Pipeline("p", (odibi.Node("a", function=looked, engine="spark"),)),),
        )
        with LoadedProject(project) as loaded:
            rows = loaded["p"].run(targets=["a"])["a"].count()
        zone = session.conf.get("spark.sql.session.timeZone")
        return {"seen": seen, "rows": rows, "after": session.range(5).count(), "zone": zone}

    def progress(self) -> dict[str, Any]:
        """A node whose second task ends when somebody was told that the first one has."""
        seen = self.folder / "seen"

        def slow(frame: Any) -> Any:
            def work(batches: Iterator[Any]) -> Iterator[Any]:
                from pyspark import TaskContext

                task = TaskContext.get()
                while task is not None and task.partitionId() == 1 and not seen.exists():
                    time.sleep(0.02)
                yield from batches

            return frame.mapInArrow(work, frame.schema)

        class Listens:
            said: list[tuple[str, int, int, str]]

            def handle(self, event: Any) -> None:
                if isinstance(event, NodeProgressed):
                    self.said.append((event.node, event.done, event.total, event.unit))
                    if event.done:
                        seen.touch()

        listens = Listens()
        listens.said = []
        nodes = (
            odibi.Node("source", function=lambda context: context.engine.native.range(0, 20, 1, 2)),
            odibi.Node("slow", depends_on=("source",), transform=step(slow),
                       write=odibi.Write("lake", path="slow", format="parquet")),
        )  # fmt: skip
        result = self.pipeline(*nodes).run(observers=[listens], check=False)
        return {"state": result.state, "said": listens.said}

    def cache(self) -> dict[str, Any]:
        """A node that is kept in the disk cache."""
        from odibi.cli.main import main

        folder = self.folder / "cached"
        folder.mkdir()
        (folder / "transforms.py").write_text(FIRST)

        def cli(*arguments: str) -> tuple[int, str]:
            out = io.StringIO()
            with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
                code = main(list(arguments))
            return code, out.getvalue()

        def run(factor: int) -> dict[str, Any]:
            text = CACHED.replace("FACTOR", str(factor)) + "engines: " + json.dumps({"spark": self.options})
            (folder / "odibi.yaml").write_text(text)
            code, said = cli("run", "--json")
            states = {}
            with contextlib.suppress(ValueError, KeyError):
                last = json.loads(said.splitlines()[-1])
                states = {node["node"]: node["state"] for each in last["runs"] for node in each["nodes"]}
            total = None
            if (folder / "lake/last").exists():
                import pyarrow.parquet as pq

                total = sum(pq.read_table(folder / "lake/last")["id"].to_pylist())
            ran = (folder / "ran").read_text().count("first")
            return {"code": code, "states": states, "ran": ran, "total": total, "said": said[-3000:]}

        def files() -> list[Path]:
            return sorted((folder / "state/cache").rglob("*.parquet"))

        facts: dict[str, Any] = {"first": run(1), "files": len(files()), "again": run(2)}
        facts["ls"], facts["verify"] = cli("cache", "ls"), cli("cache", "verify")
        for at, each in enumerate(files()):
            content = bytearray(each.read_bytes())
            for place in range(10, len(content) // 2, 7):
                content[place] ^= 0x5A
            stat = each.stat()
            each.write_bytes(content)
            os.utime(each, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # nothing shows from outside
            facts["damaged"] = at + 1
        facts["after_damage"] = run(3)
        facts["healed"] = run(4)
        facts["evict"] = cli("cache", "evict", "--all")
        facts["left"] = len(files())
        facts["after_evict"] = run(5)
        return facts


def run_as_program() -> None:
    options, folder, scenarios = json.loads(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
    child = Child(options, folder)
    facts = {}
    for scenario in scenarios:
        facts[scenario] = getattr(child, scenario)()
        (folder / "facts.json").write_text(json.dumps(facts))


# --- the tests --------------------------------------------------------------------------------------------------------


def facts_of(options: dict[str, Any], folder: Path, *scenarios: str) -> dict[str, Any]:
    environment = {**os.environ, "PYSPARK_PYTHON": sys.executable, "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, __file__, json.dumps(options), str(folder), *scenarios]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as process:
        try:
            said, _ = process.communicate(timeout=300)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, 9)
    assert process.returncode == 0, said[-5000:]
    found: dict[str, Any] = json.loads((folder / "facts.json").read_text())
    return found


PROJECT = """
project: shown
engine: spark
connections:
  lake: {type: local, base_path: lake}
pipelines:
  - pipeline: p
    nodes:
      - name: source
        function: source
        write: {connection: lake, path: out, format: parquet}
      - {name: bad, depends_on: [source], function: bad}
"""
FUNCTIONS = """
import os
from pathlib import Path

def source(context):
    spark = context.engine.native
    of_java = [each for each in Path("/proc").glob("[0-9]*/stat") if f") " in each.read_text()]
    lines = []
    for each in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(each.name)) == os.getpgid(0):
                lines.append((each / "cmdline").read_text(errors="replace"))
        except OSError:
            pass
    Path("commands").write_text("\\n".join(lines))
    Path("has").write_text(str(spark.sparkContext.getConf().get("spark.hadoop.fs.s3a.secret.key")))
    return spark.range(3)

def bad(source):
    raise ValueError("it has the key " + os.environ["LAKE_SECRET"])
"""


def odibi_run(folder: Path, options: dict[str, Any], *arguments: str, **environment: str) -> tuple[int, str, str]:
    folder.mkdir(exist_ok=True)
    (folder / "odibi.yaml").write_text(PROJECT + "engines: " + json.dumps({"spark": options}))
    (folder / "transforms.py").write_text(FUNCTIONS)
    done = subprocess.run(
        [sys.executable, "-m", "odibi", *(arguments or ("run",))],
        cwd=folder,
        env={**os.environ, "PYSPARK_PYTHON": sys.executable, "LAKE_SECRET": "hunter2-hunter2", **environment},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        start_new_session=True,
    )
    return done.returncode, done.stdout, done.stderr


if __name__ != "__main__":
    from spark_clusters import connect_server

    @pytest.fixture(scope="module")
    def facts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
        scenarios = ("fan_out", "hand_over", "functions", "own_session", "progress", "cache")
        return facts_of(LOCAL, tmp_path_factory.mktemp("runs"), *scenarios)

    def test_frames_are_kept_where_they_are_used_more_than_once(facts: dict[str, Any]) -> None:
        found = facts["fan_out"]
        assert found["levels"] == {"read": True, "kept": True, "counts": True, "frame": True}
        assert found["once"] == {"read": False}

    def test_a_run_takes_no_more_jobs_than_the_same_by_hand(facts: dict[str, Any]) -> None:
        assert 0 < facts["fan_out"]["ours"] <= facts["fan_out"]["by_hand"]
        assert facts["fan_out"]["rows"] == {"one": 7, "two": 900}

    def test_types_and_values_last_from_pandas_to_spark_and_back(facts: dict[str, Any]) -> None:
        found = facts["hand_over"]
        assert found["kind"].startswith("pandas")
        assert {name: kind for name, (kind, wanted) in found["kinds"].items() if kind != wanted} in (
            {},
            {"list": "list<element: int32>"},
        )
        assert found["rows"] == found["wanted"]
        assert "more than 1,000,000 bytes" in found["too_much"]
        assert "driver_limit" in found["too_much"]

    def test_functions_on_frames_of_pandas(facts: dict[str, Any]) -> None:
        found = facts["functions"]
        assert found["doubled"] == [[2 * at] for at in range(20)]
        assert found["told"] == [[at, "x"] for at in range(20)]
        assert found["ranked"] == [[at, at == 19] for at in range(20)]
        if "pandas that is installed" in str(found["likewise"]):
            assert "Install pandas 2" in found["likewise_remedy"]
        else:
            assert found["likewise"] == [[at] for at in range(15, 20)]

    def test_a_session_of_the_applications_own_is_used_and_left_running(facts: dict[str, Any]) -> None:
        assert facts["own_session"] == {"seen": [True], "rows": 3, "after": 5, "zone": "Asia/Tokyo"}

    def test_a_slow_node_tells_how_far_it_is(facts: dict[str, Any], tmp_path: Path) -> None:
        with connect_server() as server:
            remote = facts_of({"remote": server.url}, tmp_path, "progress")
        for found in (facts["progress"], remote["progress"]):
            assert found["state"] == "succeeded"
            assert ["slow", 1, 2, "tasks"] in found["said"]
            assert {node for node, *_ in found["said"]} <= {"slow", "source"}

    def test_a_result_in_the_cache_is_read_from_its_path(facts: dict[str, Any]) -> None:
        found = facts["cache"]
        whole = sum(range(1000))
        assert found["first"]["states"] == {"first": "succeeded", "last": "succeeded"}, found["first"]["said"]
        assert found["files"] >= 1
        assert found["again"]["states"]["last"] == "succeeded"
        assert (found["first"]["total"], found["again"]["total"]) == (whole, 2 * whole)
        assert found["again"]["ran"] == 1, "it was computed once"
        assert found["ls"][0] == 0
        assert "p.first" in found["ls"][1]
        assert found["verify"][0] == 0

    def test_damage_in_the_cache_is_never_a_wrong_answer(facts: dict[str, Any]) -> None:
        found, whole = facts["cache"], sum(range(1000))
        assert found["damaged"] >= 1
        after = found["after_damage"]
        if after["code"] == 0:
            assert (after["ran"], after["total"]) == (2, 3 * whole)
        else:
            assert after["total"] == 2 * whole, "what was there before"
            assert "Traceback" not in after["said"]
        assert (found["healed"]["code"], found["healed"]["total"]) == (0, 4 * whole), found["healed"]["said"]
        assert found["evict"][0] == 0, found["evict"]
        assert found["left"] == 0
        assert (found["after_evict"]["code"], found["after_evict"]["total"]) == (0, 5 * whole)

    def test_secrets_are_for_spark_alone(tmp_path: Path) -> None:
        key = "hunter2-hunter2"
        conf = {**CONF, "spark.hadoop.fs.s3a.secret.key": "${LAKE_SECRET}", "spark.plain.name": "${LAKE_SECRET}"}
        code, out, err = odibi_run(tmp_path, {"master": "local[2]", "conf": conf}, "run", "--log-level", "debug")
        assert code == 1
        assert "p.bad" in out + err
        assert (tmp_path / "has").read_text() == key, "Spark has it"
        lines = (tmp_path / "commands").read_text()
        assert "SparkSubmit" in lines
        assert key not in out + err + lines

    def test_a_run_says_nothing_of_its_own_on_the_terminal(tmp_path: Path) -> None:
        code, out, err = odibi_run(tmp_path, LOCAL, "run", "--target", "source")
        # That Spark is started is Odibi's own word, as it takes long.
        started = re.compile(r"\[notice +\] (starting Spark|Spark [\d.]+ is there)")
        assert (code, [line for line in err.splitlines() if not started.search(line)]) == (0, [])
        assert "p.source  succeeded  3 rows" in re.sub(r"  [\d.]+ s", "", out) or "p.source  succeeded" in out

    CANNOT = {
        "no Java": ({"master": "local[2]"}, {"PATH": "/nowhere", "JAVA_HOME": ""}, "Java"),
        "no such master": ({"master": "nowhere:7077"}, {}, "nowhere:7077"),
        "no server": ({"remote": "sc://127.0.0.1:9"}, {}, "Connect"),
    }

    @pytest.mark.parametrize("case", list(CANNOT))
    def test_what_cannot_be_started_is_told_in_a_sentence(tmp_path: Path, case: str) -> None:
        options, environment, word = CANNOT[case]
        code, out, err = odibi_run(tmp_path, options, **environment)
        assert code == 1
        assert word in out + err
        assert "Check" in out + err or "Install" in out + err
        assert not any(each in out + err for each in ("Traceback", "\n\tat ", "py4j", "_InactiveRpcError")), out + err


if __name__ == "__main__":
    run_as_program()
