"""What the tests of Spark run on does what it says: jars, a server of Spark Connect, a cluster that loses a worker.

All is asked through clients of Connect: they live beside whatever Spark session this process has otherwise.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

pytest.importorskip("pyspark")
pytest.importorskip("grpc")
pytest.importorskip("moto")

sys.path.insert(0, str(Path(__file__).parent))

import spark_jars
from s3_servers import Proxy, moto_server
from spark_clusters import FAST, ConnectServer, Standalone, Worker, connect_server, gone, standalone, until
from spark_jars import NoJarsError, jars

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")

DELTA = {
    "spark.databricks.delta.snapshotPartitions": "2",  # 50 unless said
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}


def had(name: str) -> list[Path]:
    try:
        return jars(name)
    except NoJarsError as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="module")
def s3() -> Iterator[Proxy]:
    with moto_server() as server:
        proxy = Proxy(server)
        try:
            yield proxy
        finally:
            proxy.close()


@pytest.fixture(scope="module")
def server(s3: Proxy) -> Iterator[ConnectServer]:
    conf = {
        **DELTA,
        "spark.hadoop.fs.s3a.endpoint": s3.server.endpoint,
        "spark.hadoop.fs.s3a.endpoint.region": "us-east-1",
        "spark.hadoop.fs.s3a.path.style.access": "true",
        "spark.hadoop.fs.s3a.connection.ssl.enabled": "false",
    }
    for bucket in ("first", "second"):
        s3.server.make_bucket(bucket)
        conf[f"spark.hadoop.fs.s3a.bucket.{bucket}.access.key"] = f"key-of-{bucket}"
        conf[f"spark.hadoop.fs.s3a.bucket.{bucket}.secret.key"] = f"secret-of-{bucket}"
    with connect_server(jars=[*had("delta"), *had("avro"), *had("s3a")], conf=conf) as running:
        yield running


@pytest.fixture
def session(server: ConnectServer) -> Iterator[Any]:
    spark = server.session()
    yield spark
    spark.stop()


def ids(frame: Any) -> list[int]:
    return sorted(frame.toArrow()["id"].to_pylist())


def listening(pids: set[int]) -> set[str]:
    """The addresses on which processes listen."""
    lines = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout.splitlines()
    ours = [line for line in lines if pids & {int(pid) for pid in re.findall(r"pid=(\d+)", line)}]
    assert ours
    return {line.split()[3].rpartition(":")[0].strip("[]").removeprefix("::ffff:") for line in ours}


# --- jars -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["delta", "avro", "s3a"])
def test_a_set_holds_nothing_that_spark_has(name: str) -> None:
    import pyspark

    def artifact(jar: Path) -> str:
        return re.sub(r"-\d.*", "", jar.name)

    of_spark = {artifact(jar) for jar in Path(pyspark.__path__[0], "jars").glob("*.jar")}
    found = had(name)
    assert found
    assert not of_spark & {artifact(jar) for jar in found}
    assert sum(jar.stat().st_size for jar in found) < 50_000_000


def _fetched(folder: str) -> list[Path]:
    os.environ["ODIBI_TEST_JARS"] = folder
    return jars("avro")


def test_processes_that_ask_at_once_share_one_fetch(tmp_path: Path) -> None:
    had("avro")
    with ProcessPoolExecutor(3) as pool:
        first, *others = pool.map(_fetched, [str(tmp_path / "cache")] * 3)
    assert first
    assert all(each == first and each[0].is_file() for each in others)
    assert sum(each.is_dir() for each in (tmp_path / "cache").iterdir()) == 1


def test_without_maven_the_reason_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ODIBI_TEST_JARS", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoJarsError, match="no mvn on PATH"):
        jars("avro")


def test_what_maven_says_is_shown_and_nothing_half_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "mvn"
    program.write_text("#!/bin/sh\necho one >> $0.asked\necho the disk is full\nexit 1\n")
    program.chmod(0o755)
    cache = tmp_path / "cache"
    monkeypatch.setenv("ODIBI_TEST_JARS", str(cache))
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(NoJarsError, match=r"spark-avro.*the disk is full"):
        jars("avro")
    assert (tmp_path / "mvn.asked").read_text() == "one\none\n", "it is tried twice"
    assert not [each for each in cache.iterdir() if each.is_dir()]


def test_an_option_has_each_jar_once() -> None:
    one, two = Path("/a.jar"), Path("/b.jar")
    assert spark_jars.as_option([one, two], [two]) == "/a.jar,/b.jar"


# --- started and ended: before the shared ones, so that not all run at once -----------------------------------------


def test_a_server_leaves_nothing_behind() -> None:
    with connect_server() as server:
        spark = server.session()
        assert spark.range(4).mapInArrow(lambda batches: batches, "id long").count() == 4
        spark.stop()
    assert gone(server.pid)
    assert not server.folder.exists()


def test_a_server_that_cannot_start_shows_its_log() -> None:
    with (
        pytest.raises(RuntimeError, match=r"(?s)server ended with 1.*Master must"),
        connect_server("elsewhere"),
    ):
        pass


def test_a_token_is_asked_for() -> None:
    from pyspark.sql.connect.session import SparkSession

    with connect_server(token=f"token-{uuid4()}") as server:
        spark = server.session()
        assert spark.range(3).count() == 3
        spark.stop()
        plain = server.url.partition("/;")[0]
        for url in (plain, f"{plain}/;token=another"):
            with pytest.raises(Exception, match="(?i)authentication|unauthenticated"):
                SparkSession.builder.remote(url).create().range(1).count()


def test_a_cluster_leaves_nothing_behind() -> None:
    with standalone(1) as small:
        (worker,) = small.workers
    assert gone(worker.pid)
    assert not small.folder.exists()


def test_a_classic_session_runs_on_a_cluster(tmp_path: Path) -> None:
    program = """
import sys
from pyspark.sql import SparkSession
builder = SparkSession.builder.master(sys.argv[1])
for line in sys.stdin.read().splitlines():
    builder = builder.config(*line.split(" ", 1))
spark = builder.getOrCreate()
print("rows", spark.range(7).mapInArrow(lambda batches: batches, "id long").count())
spark.stop()
"""
    with standalone(1, secret="another") as small:
        conf = {
            **small.conf,
            "spark.driver.memory": "512m",
            "spark.driver.extraJavaOptions": f"{FAST} -Djava.io.tmpdir={tmp_path}",
            "spark.local.dir": str(tmp_path),
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.executor.memory": "512m",
            "spark.ui.enabled": "false",
        }
        done = subprocess.run(
            [sys.executable, "-c", program, small.url],
            input="".join(f"{name} {value}\n" for name, value in conf.items()),
            env={**os.environ, "SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=180,
        )
    assert "rows 7" in done.stdout, done.stderr[-2000:]


# --- Spark Connect --------------------------------------------------------------------------------------------------


def test_views_of_one_session_are_not_seen_by_another(server: ConnectServer) -> None:
    one, other = server.session(), server.session()
    one.range(3).createOrReplaceTempView("numbers")
    other.range(5).createOrReplaceTempView("others")
    assert one.sql("select count(*) n from numbers").toArrow()["n"].to_pylist() == [3]
    assert not other.catalog.tableExists("numbers")
    assert not one.catalog.tableExists("others")
    one.stop()
    assert other.sql("select count(*) n from others").toArrow()["n"].to_pylist() == [5]
    other.stop()


def test_the_process_is_not_turned_to_connect(session: Any) -> None:
    assert session.range(2).count() == 2
    assert "SPARK_CONNECT_MODE_ENABLED" not in os.environ


def test_a_server_listens_on_loopback_alone(server: ConnectServer) -> None:
    assert listening({server.pid}) == {"127.0.0.1"}


# --- what the jars are for ------------------------------------------------------------------------------------------


def test_delta_tables_are_written_and_read(session: Any, tmp_path: Path) -> None:
    table = str(tmp_path / "table")
    session.range(3).write.format("delta").save(table)
    session.range(3, 5).write.format("delta").mode("append").save(table)
    assert ids(session.read.format("delta").load(table)) == [0, 1, 2, 3, 4]
    assert ids(session.read.format("delta").option("versionAsOf", 0).load(table)) == [0, 1, 2]
    session.sql(f"delete from delta.`{table}` where id < 2")
    assert ids(session.read.format("delta").load(table)) == [2, 3, 4]


def test_avro_files_are_written_and_read(session: Any, tmp_path: Path) -> None:
    session.range(3).write.format("avro").save(str(tmp_path / "files"))
    assert list((tmp_path / "files").glob("*.avro"))
    assert ids(session.read.format("avro").load(str(tmp_path / "files"))) == [0, 1, 2]


def test_parquet_on_s3_with_a_key_for_each_bucket(session: Any, s3: Proxy) -> None:
    s3.asked.clear()
    for bucket in ("first", "second"):
        session.range(10).repartition(2).write.parquet(f"s3a://{bucket}/a/table")
        session.range(2).write.mode("overwrite").parquet(f"s3a://{bucket}/a/table")
        assert ids(session.read.parquet(f"s3a://{bucket}/a/table")) == [0, 1]
        keys = {each.headers["authorization"] for each in s3.asked if each.target.startswith(f"/{bucket}")}
        assert keys
        assert {re.search("Credential=([^/]+)/", key)[1] for key in keys} == {f"key-of-{bucket}"}  # type: ignore[index]
    session.range(4).write.format("delta").save("s3a://first/delta")
    assert ids(session.read.format("delta").load("s3a://first/delta")) == [0, 1, 2, 3]


# --- a standalone cluster -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster() -> Iterator[Standalone]:
    with standalone(secret=str(uuid4())) as running:
        yield running


@pytest.fixture(scope="module")
def driver(cluster: Standalone) -> Iterator[ConnectServer]:
    conf = {**cluster.conf, "spark.executor.memory": "512m", "spark.executor.cores": "1"}
    with connect_server(cluster.url, conf=conf) as running:
        yield running


def waiting(folder: Path) -> Callable[[Iterator[Any]], Iterator[Any]]:
    """Work that notes where it is done, and then waits until the test says go."""

    def work(batches: Iterator[Any]) -> Iterator[Any]:
        import os
        import time
        from pathlib import Path

        import pyarrow
        from pyspark import TaskContext

        def parent(pid: int) -> int:
            return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])

        context = TaskContext.get()
        assert context is not None
        executor = parent(os.getpid())
        while "CoarseGrainedExecutorBackend" not in Path(f"/proc/{executor}/cmdline").read_text():
            executor = parent(executor)
        Path(folder, f"{context.partitionId()}-{executor}").touch()
        while not Path(folder, "go").exists():
            time.sleep(0.02)
        for batch in batches:
            yield pyarrow.record_batch({"id": batch["id"], "executor": [executor] * len(batch)})

    return work


def begun(folder: Path, tasks: int) -> list[str]:
    found = [each.name for each in folder.iterdir()]
    return found if len(found) >= tasks else []


def both_ready(cluster: Standalone) -> list[int]:
    executors = cluster.executors()
    return executors if len(executors) == 2 else []


def test_a_job_runs_on_both_workers(cluster: Standalone, driver: ConnectServer, tmp_path: Path) -> None:
    spark = driver.session()
    frame = spark.range(0, 10, 1, 2).mapInArrow(waiting(tmp_path), "id long, executor long")
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(frame.toArrow)
        until(lambda: begun(tmp_path, 2) or result.done(), "tasks on both workers")
        (tmp_path / "go").touch()
        table = result.result(120)
    assert sorted(table["id"].to_pylist()) == list(range(10))
    assert sorted(set(table["executor"].to_pylist())) == sorted(cluster.executors())
    assert all(len(worker.executors()) == 1 for worker in cluster.workers)
    spark.stop()


def test_a_cluster_listens_on_loopback_alone(cluster: Standalone, driver: ConnectServer) -> None:
    until(lambda: both_ready(cluster), "two executors")
    workers = {worker.pid for worker in cluster.workers}
    assert listening({cluster.pid, driver.pid, *workers, *cluster.executors()}) == {"127.0.0.1"}


def test_a_job_outlives_the_worker_that_is_killed_in_it(
    cluster: Standalone, driver: ConnectServer, tmp_path: Path
) -> None:
    spark = driver.session()
    until(lambda: both_ready(cluster), "two executors")
    victim = cluster.workers[0]
    (lost,) = victim.executors()
    frame = spark.range(0, 10, 1, 2).mapInArrow(waiting(tmp_path), "id long, executor long")
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(frame.toArrow)
        try:
            until(lambda: begun(tmp_path, 2) or result.done(), "tasks on both workers")
            victim.kill()
            until(lambda: gone(victim.pid, lost), "the end of the worker and its executor")
        finally:
            (tmp_path / "go").touch()
        table = result.result(120)
    assert sorted(table["id"].to_pylist()) == list(range(10))
    assert lost not in table["executor"].to_pylist()
    tries = Counter(each.name.partition("-")[0] for each in tmp_path.iterdir() if each.name != "go")
    assert sorted(tries.values()) == [1, 2], "the task of the lost executor was done again, and no other"

    replacement: Worker = cluster.start()
    until(replacement.executors, "an executor on the worker that takes its place")
    spark.stop()
