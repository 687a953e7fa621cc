"""Spark on loopback, for tests: a server of Spark Connect, and a standalone cluster, each of processes of its own.

Nothing of them listens on another address, and all that they write goes to a folder that ends with them. Ports are
chosen by the system and read from what the programs say, so no two of them can ask for the same one.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import attrs

FAST = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-UsePerfData"
"""For a JVM that lives for minutes: less compiling, fewer threads, and nothing of it outside of its folder."""

_STARTED = 120.0
_STOPPED = 15.0


@attrs.frozen
class ConnectServer:
    """A server of Spark Connect that runs.

    Attributes:
        url: its address, with the token if it asks for one.
        pid: of its JVM.
        folder: where it writes; also its warehouse and log are there.
    """

    url: str = attrs.field(repr=False)
    pid: int
    folder: Path

    def session(self) -> Any:
        """A new client session.

        Made without ``SparkSession.builder``, which would have the whole process use Connect from then on.
        """
        from pyspark.sql.connect.session import SparkSession

        return SparkSession.builder.remote(self.url).create()

    def kill(self) -> None:
        """End it without a chance to say goodbye."""
        os.killpg(self.pid, signal.SIGKILL)


@attrs.define
class Worker:
    """A worker of a standalone cluster."""

    name: str
    pid: int

    def executors(self) -> list[int]:
        """The processes that do its tasks, also after the worker is gone."""
        return [pid for pid in _session(self.pid) if "CoarseGrainedExecutorBackend" in _command(pid)]

    def kill(self) -> None:
        """End it at once, as a machine that goes: its executors see that and end themselves."""
        os.kill(self.pid, signal.SIGKILL)


@attrs.define
class Standalone:
    """A master and its workers.

    Attributes:
        url: of the master.
        pid: of the master.
        conf: what an application has to set to get in.
        workers: those that were started, the killed ones among them.
        start: starts one more worker.
    """

    url: str
    pid: int
    conf: dict[str, str] = attrs.field(repr=False)
    folder: Path
    workers: list[Worker]
    start: Callable[[], Worker] = attrs.field(repr=False)

    def executors(self) -> list[int]:
        return [pid for worker in self.workers for pid in worker.executors()]


@contextmanager
def connect_server(
    master: str = "local[2]",
    jars: Sequence[str | Path] = (),
    conf: Mapping[str, str] | None = None,
    *,
    token: str = "",
    memory: str = "1g",
) -> Iterator[ConnectServer]:
    """A server of Spark Connect.

    Args:
        master: where its jobs run.
        jars: put on the class path of its driver and executors.
        conf: settings of Spark, over those for speed.
        token: what clients have to show; they then have to ask for ``localhost``, as pyspark sends no token to another
            host without TLS.
        memory: of its JVM.
    """
    settings = {
        "spark.master": master,
        "spark.driver.memory": memory,
        "spark.driver.extraJavaOptions": FAST,
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.executor.extraJavaOptions": FAST,
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.shuffle.partitions": "2",
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": "0",
    }
    if jars:
        settings["spark.jars"] = ",".join(map(str, jars))
    # Spark's launcher counts this server among its daemons, and gives it their memory whatever its settings say.
    environment = {"SPARK_DAEMON_MEMORY": memory}
    if token:
        environment["SPARK_CONNECT_AUTHENTICATE_TOKEN"] = token
    with _folder() as folder, ExitStack() as running:
        settings["spark.sql.warehouse.dir"] = str(folder / "warehouse")
        settings["spark.driver.extraJavaOptions"] += f" -Djava.io.tmpdir={folder} -Dderby.system.home={folder}"
        properties = _properties(folder / "server.conf", {**settings, **(conf or {})})
        main = "org.apache.spark.sql.connect.service.SparkConnectServer"
        command = ("org.apache.spark.deploy.SparkSubmit", "--properties-file", properties, "--class", main)
        found = r"Spark Connect server started at: \S*?:(\d+)"
        process, port = _start(running, folder, "server", [*command, "spark-internal"], found, environment)
        address = f"sc://localhost:{port}/;token={token}" if token else f"sc://127.0.0.1:{port}"
        server = ConnectServer(address, process.pid, folder)
        yield server


@contextmanager
def standalone(workers: int = 2, *, cores: int = 1, memory: str = "1g", secret: str = "") -> Iterator[Standalone]:
    """A standalone cluster.

    Args:
        workers: how many to begin with.
        cores: of each worker.
        memory: that each worker may give to its executors.
        secret: what everybody has to know who talks to the cluster, applications too.
    """
    conf = {"spark.authenticate": "true", "spark.authenticate.secret": secret} if secret else {}
    with _folder() as folder, ExitStack() as running:
        properties = _properties(folder / "cluster.conf", {**conf, "spark.master.rest.enabled": "false"})
        options = ("--host", "127.0.0.1", "--port", "0", "--webui-port", "0", "--properties-file", properties)
        found = r"Starting Spark master at (spark://\S+)"
        master, url = _start(running, folder, "master", ["org.apache.spark.deploy.master.Master", *options], found)
        started: list[Worker] = []

        def start() -> Worker:
            name = f"worker-{len(started)}"
            command = ["org.apache.spark.deploy.worker.Worker", *options]
            command += ["--cores", str(cores), "--memory", memory, "--work-dir", str(folder / name), url]
            process, _ = _start(running, folder, name, command, "(Successfully registered) with master")
            worker = Worker(name, process.pid)
            started.append(worker)
            return worker

        for _ in range(workers):
            start()
        yield Standalone(url, master.pid, conf, folder, started, start)


def gone(*pids: int) -> bool:
    """Whether none of these processes is left."""
    return not any(_alive(pid) for pid in pids)


def until(done: Callable[[], Any], what: str, limit: float = _STARTED) -> Any:
    """Wait until a condition holds, and return what it gave."""
    deadline = time.monotonic() + limit
    while not (result := done()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {limit:.0f} s for {what}")
        time.sleep(0.05)
    return result


# --- processes ------------------------------------------------------------------------------------------------------


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="odibi-spark-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _properties(path: Path, conf: Mapping[str, str]) -> str:
    """Settings as a file: a command line is there for everybody to read, and some are secrets."""
    path.touch(0o600)
    path.write_text("".join(f"{name} {value}\n" for name, value in conf.items()), encoding="utf-8")
    return str(path)


def _start(
    running: ExitStack,
    folder: Path,
    name: str,
    command: Sequence[str],
    found: str,
    more: Mapping[str, str] | None = None,
) -> tuple[subprocess.Popen[bytes], str]:
    """Start a program of Spark in a session of its own, and wait until it says what shows that it works."""
    spec = find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise RuntimeError("pyspark is not installed")
    home = Path(spec.origin).parent
    log = folder / f"{name}.log"
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("SPARK_", "PYSPARK_"))}
    environment |= {
        "SPARK_HOME": str(home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_LOCAL_DIRS": str(folder / "local"),
        "SPARK_DAEMON_MEMORY": "256m",
        "SPARK_DAEMON_JAVA_OPTS": f"{FAST} -Djava.io.tmpdir={folder}",
        "SPARK_LAUNCHER_OPTS": FAST,
        "PYSPARK_PYTHON": sys.executable,
        **(more or {}),
    }
    with open(log, "wb") as out:
        process = subprocess.Popen(
            [str(home / "bin" / "spark-class"), *command],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    running.callback(_stop, process)

    def said() -> str | None:
        ended = process.poll() is not None
        match = re.search(found, log.read_text(encoding="utf-8", errors="replace"))
        if match is None and ended:
            raise RuntimeError(f"{name} ended with {process.returncode}: {_tail(log)}")
        return match and match[1]

    try:
        return process, until(said, name)
    except TimeoutError:
        raise RuntimeError(f"{name} is not ready after {_STARTED:.0f} s: {_tail(log)}") from None


def _tail(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-3000:]


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a program and all that it started: what made a group of its own is still of its session."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        for pid in _session(process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, sign)
        deadline = time.monotonic() + _STOPPED
        while (process.poll() is None or _session(process.pid)) and time.monotonic() < deadline:
            time.sleep(0.02)
        if process.returncode is not None and not _session(process.pid):
            return


def _session(leader: int) -> list[int]:
    """The processes of a session that still run."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            stat = _stat(int(entry.name))
            if stat and int(stat[3]) == leader and stat[0] != "Z":
                found.append(int(entry.name))
    return found


def _stat(pid: int) -> list[str]:
    """What the system says of a process, from its state on; empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def _alive(pid: int) -> bool:
    stat = _stat(pid)
    return bool(stat) and stat[0] != "Z"


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace").replace("\0", " ")
    except OSError:
        return ""
