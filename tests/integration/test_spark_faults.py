"""Runs on Spark that lose a worker, the server, or themselves, in the middle of a node's work."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

pytest.importorskip("pyspark")
pytest.importorskip("grpc")
pytest.importorskip("odibi_local")

sys.path.insert(0, str(Path(__file__).parent))

import pyarrow.parquet as pq
from spark_clusters import ConnectServer, connect_server, gone, standalone, until

LOCAL = {
    "master": "local[2]",
    "conf": {
        "spark.driver.memory": "1g",
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        "spark.sql.shuffle.partitions": "2",
    },
}
PROJECT = """
project: faults
engine: spark
executor: {type: threads, workers: 1}
connections:
  lake: {type: local, base_path: lake}
cache: {type: disk, path: state/cache}
checkpoints: {type: sqlite, path: state/runs.db}
pipelines:
  - pipeline: p
    nodes:
      - name: first
        function: first
        cache: true
      - name: log
        depends_on: [first]
        write: {connection: lake, path: out/log, format: parquet, mode: append}
      - name: whole
        depends_on: [first, log]
        arguments: {frame: first}
        transform:
          steps: [function: gated]
        write: {connection: lake, path: out/whole, format: parquet}
      - name: more
        depends_on: [first, whole]
        transform:
          steps: [function: gated]
        write: {connection: lake, path: out/more, format: parquet, mode: append}
"""
FUNCTIONS = """
import time
from pathlib import Path

HERE = Path(__file__).parent
(HERE / "loaded").touch()


def first(context):
    with open(HERE / "ran", "a") as file:
        file.write("first\\n")
    return context.engine.native.range(0, 10, 1, 2)


def gated(frame, context):
    folder = HERE / f"begun-{context.node}"
    folder.mkdir(exist_ok=True)
    go = HERE / "go"

    def work(batches):
        from pyspark import TaskContext

        part = TaskContext.get()
        (folder / f"{part.partitionId()}-{part.taskAttemptId()}").touch()
        while not go.exists():
            time.sleep(0.02)
        yield from batches

    return frame.mapInArrow(work, frame.schema)
"""


def project(folder: Path, options: dict[str, Any], functions: str = "") -> Path:
    (folder / "odibi.yaml").write_text(PROJECT + "engines: " + json.dumps({"spark": options}))
    (folder / "transforms.py").write_text(FUNCTIONS + functions)
    return folder


@contextmanager
def running(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A run in a process, and a group, of its own."""
    environment = {**os.environ, "PYSPARK_PYTHON": sys.executable}
    with (folder / "said").open("w") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "odibi", "run", *arguments],
            cwd=folder,
            env=environment,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        kill(process)


def kill(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def said(folder: Path) -> str:
    return (folder / "said").read_text()


def run(folder: Path, *arguments: str) -> dict[str, str]:
    """The states of a run's nodes."""
    with running(folder, "--json", *arguments) as process:
        assert process.wait(200) == 0, said(folder)
    last = json.loads(said(folder).splitlines()[-1])
    return {node["node"]: node["state"] for each in last["runs"] for node in each["nodes"]}


def begun(folder: Path, node: str, tasks: int = 1) -> list[Path]:
    found = list((folder / f"begun-{node}").glob("*"))
    return found if len(found) >= tasks else []


def rows(folder: Path, name: str) -> list[int]:
    return sorted(pq.read_table(folder / "lake/out" / name)["id"].to_pylist())


def shown(folder: Path) -> set[str]:
    """What a reader of the lake finds."""
    from odibi_local.storage import LocalStorage

    found = LocalStorage(base_path=str(folder / "lake")).list("out")
    return {stat.path.split("/")[1] for stat in found}


def visible(folder: Path, name: str) -> list[str]:
    """Objects of a target that are not hidden."""
    found = (folder / "lake/out" / name).rglob("*")
    return [each.name for each in found if each.is_file() and not each.name.startswith((".", "_"))]


# --- a worker ---------------------------------------------------------------------------------------------------------


def test_a_run_outlives_the_workers_that_are_killed_in_it(tmp_path: Path) -> None:
    with standalone(secret=str(uuid4())) as cluster:
        conf = {**LOCAL["conf"], **cluster.conf, "spark.executor.memory": "512m", "spark.executor.cores": "1"}  # type: ignore[dict-item]
        project(tmp_path, {"master": cluster.url, "conf": {**conf, "spark.driver.host": "127.0.0.1"}})
        with running(tmp_path) as process:

            def lose(node: str) -> None:
                until(lambda: begun(tmp_path, node, 2) or process.poll() is not None, f"two tasks of {node}")
                assert process.poll() is None, said(tmp_path)
                victim = next(worker for worker in cluster.workers if worker.executors())
                lost = victim.executors()
                victim.kill()
                until(lambda: gone(victim.pid, *lost), "the end of the worker and its executor")
                # One task of the two is begun again, on whatever is left.
                cluster.start()
                until(lambda: begun(tmp_path, node, 3) or process.poll() is not None, f"a third task of {node}")

            lose("whole")
            (tmp_path / "go").touch()
            until(lambda: (tmp_path / "begun-more").exists() or process.poll() is not None, "the last node")
            assert process.wait(200) == 0, said(tmp_path)
    for name in ("log", "whole", "more"):
        assert rows(tmp_path, name) == list(range(10))


def test_an_append_outlives_the_worker_that_is_killed_in_it(tmp_path: Path) -> None:
    with standalone(secret=str(uuid4())) as cluster:
        conf = {**LOCAL["conf"], **cluster.conf, "spark.executor.memory": "512m", "spark.executor.cores": "1"}  # type: ignore[dict-item]
        project(tmp_path, {"master": cluster.url, "conf": {**conf, "spark.driver.host": "127.0.0.1"}})
        text = (tmp_path / "odibi.yaml").read_text()
        (tmp_path / "odibi.yaml").write_text(text.replace("parquet}", "parquet, mode: append}"))
        with running(tmp_path) as process:
            until(lambda: begun(tmp_path, "whole", 2) or process.poll() is not None, "two tasks")
            assert process.poll() is None, said(tmp_path)
            victim = cluster.workers[1]
            lost = victim.executors()
            victim.kill()
            until(lambda: gone(victim.pid, *lost), "the end of the worker and its executor")
            (tmp_path / "go").touch()
            assert process.wait(200) == 0, said(tmp_path)
    tries = len(begun(tmp_path, "whole"))
    assert tries >= 3, "a task was lost, and done again"
    assert rows(tmp_path, "whole") == list(range(10))


# --- the driver -------------------------------------------------------------------------------------------------------


def has_java(process: subprocess.Popen[str]) -> bool:
    return any(command.startswith("java\0") or "/java\0" in command for command in commands(process.pid))


def commands(group: int) -> Iterator[str]:
    """The command lines of a process group."""
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.getpgid(int(entry.name)) == group:
                yield (entry / "cmdline").read_text(errors="replace")


POINTS = {
    "Spark starts": lambda folder, process: has_java(process),
    "a job writes a whole folder": lambda folder, _: begun(folder, "whole"),
    "a job has written a whole folder": lambda folder, _: visible(folder, "whole"),
    "a job appends": lambda folder, _: begun(folder, "more"),
    "a job has appended": lambda folder, _: visible(folder, "more"),
}


@pytest.mark.parametrize("point", list(POINTS))
def test_a_run_that_was_killed_is_resumed(tmp_path: Path, point: str) -> None:
    project(tmp_path, LOCAL)
    if point != "a job writes a whole folder" and point != "Spark starts":
        (tmp_path / "go").touch()
    reached = POINTS[point]
    with running(tmp_path) as process:
        until(lambda: reached(tmp_path, process) or process.poll() is not None, point)
        assert process.poll() is None, said(tmp_path)
        kill(process)
    assert shown(tmp_path) <= {"log", "whole", "more"}, "a folder that is not finished shows"
    (tmp_path / "go").touch()
    before = (tmp_path / "ran").read_text().count("first") if (tmp_path / "ran").exists() else 0

    states = run(tmp_path, "--resume")
    assert set(states) == {"first", "log", "whole", "more"}
    for name in ("log", "whole", "more"):
        assert rows(tmp_path, name) == list(range(10)), name
    assert shown(tmp_path) == {"log", "whole", "more"}
    if point != "Spark starts":
        assert before == 1
        # Its rows are wanted by the node that was killed, so it may be asked for them; they are not written again.
        assert states["log"] in ("restored", "reused", "succeeded")
        assert (tmp_path / "ran").read_text().count("first") == 1, "what was finished is not done again"
    assert set(run(tmp_path).values()) == {"reused"}


# --- the server -------------------------------------------------------------------------------------------------------

IN_HASTE = """

import odibi_spark.liveness

odibi_spark.liveness._EVERY = 0.5
odibi_spark.liveness._DEADLINE = 4.0
"""


def freeze(server: ConnectServer) -> None:
    os.killpg(server.pid, signal.SIGSTOP)


@pytest.mark.parametrize("end", [ConnectServer.kill, freeze], ids=["killed", "frozen"])
def test_a_server_that_is_gone_fails_the_node_and_ends_the_run(tmp_path: Path, end: Any) -> None:
    with connect_server() as server:
        project(tmp_path, {"remote": server.url}, IN_HASTE)
        with running(tmp_path) as process:
            until(lambda: begun(tmp_path, "whole") or process.poll() is not None, "a task")
            assert process.poll() is None, said(tmp_path)
            end(server)
            assert process.wait(150) == 1, said(tmp_path)
    text = said(tmp_path)
    assert "p.whole  failed" in text
    assert not any(
        each in text for each in ("Traceback", "JVM stacktrace", "\n\tat ", "grpc_status", "RpcError", "Warning")
    ), text
    assert "server" in text
    assert shown(tmp_path) == {"log"}
