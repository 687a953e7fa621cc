"""The Spark session of an engine: which one it is, how it is started, and who stops it."""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from odibi.contracts.observer import NOTICE
from odibi.errors import OdibiError, PluginBroken
from odibi_spark.failures import reason_of
from odibi_spark.gateway import launched
from odibi_spark.kinds import is_remote
from odibi_spark.liveness import Pulse, be_brief, be_patient
from odibi_spark.progress import Watcher
from odibi_spark.shelf import Shelf
from odibi_spark.versions import filled

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from odibi.contracts.storage import Storage

_log = logging.getLogger("odibi_spark")

_DEFAULTS = {
    "spark.scheduler.mode": "FAIR",
    "spark.sql.session.timeZone": "UTC",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    # As every other reader has them; what Spark writes otherwise has no zone to those who do not know better.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    # Files carry sums of their pages; a flipped bit is an error and not a value.
    "spark.hadoop.parquet.page.verify-checksum.enabled": "true",
}
_ON_THIS_MACHINE = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.sql.shuffle.partitions": str(max(os.cpu_count() or 2, 2)),
}

_started: dict[int, _Started] = {}
"""Sessions that were started here and go on, by the identity of the session."""
_starting = threading.RLock()


class _Started:
    """A session that was started here: what for, and how many engines use it."""

    def __init__(self, spark: Any, wanted: tuple[Any, ...]) -> None:
        self.spark = spark
        self.wanted = wanted
        self.users = 0


class Cluster:
    """Gets hold of a session when it is first needed.

    Args:
        master, remote, session, app_name, conf, packages, jars: as the engine's options.
        limit: bytes of one frame that may come to this process.
        keep: leave a session that was started here running when this is closed.

    Attributes:
        shelf: the frames that are kept for those who will read them again.
        watcher: tells how far Spark is with a node's work.
        pulse: sees whether a server of Spark Connect still answers.
    """

    def __init__(
        self,
        *,
        master: str | None,
        remote: str | None,
        session: Any,
        app_name: str,
        conf: Mapping[str, str],
        packages: Sequence[str],
        jars: Sequence[str],
        keep: bool,
        limit: int,
    ) -> None:
        self._master = master
        self._remote = remote
        self._given = session
        self._app_name = app_name
        self._conf = dict(conf)
        self._packages = list(packages)
        self._jars = list(jars)
        self._keep = keep
        self._limit = limit
        self._lock = threading.Lock()
        self._spark: Any = None
        self._own: _Started | None = None
        self.shelf = Shelf()
        self.watcher = Watcher(lambda: self.spark, lambda: self.is_remote)
        self.pulse = Pulse(lambda: self.spark)

    def expect(self, formats: Collection[type], storages: Collection[Storage]) -> None:
        """Note which packages and settings formats and storages need; a session that runs already has what it has."""
        for kind in formats:
            self._packages += getattr(kind, "spark_packages", ())
            for name, value in getattr(kind, "spark_conf", {}).items():
                given = self._conf.get(name)
                if not given:
                    self._conf[name] = value
                elif name.endswith("extensions") and value not in given.split(","):
                    # Several stand side by side; of all else, the project's own setting counts.
                    self._conf[name] = f"{given},{value}"
        for storage in storages:
            wanted = storage.native_options("spark")
            self._packages += list(wanted.get("packages", ()))

    @property
    def spark(self) -> Any:
        """The session."""
        spark = self._spark
        if spark is None:
            with self._lock:
                if self._spark is None:
                    _quiet_pyspark()
                    self._spark = self._found()
                spark = self._spark
        return spark

    @property
    def is_remote(self) -> bool:
        """Whether the session is one of Spark Connect, which has no Spark in this process."""
        return is_remote(self.spark)

    def close(self) -> None:
        """Let go of kept frames; and of the session, if it is nobody else's."""
        with self._lock:
            spark, self._spark = self._spark, None
            own, self._own = self._own, None
        if spark is None:
            return
        self.shelf.clear()
        if own is not None:
            with _starting:
                own.users -= 1
                if not own.users:
                    with suppress(Exception):  # it is gone
                        # What Spark keeps again by itself when something below it is let go.
                        own.spark.catalog.clearCache()
                if not own.users and not self._keep:
                    _stop(own)

    def _found(self) -> Any:
        if self._given is not None:
            return self._given
        with _starting:
            wanted = (self._master, self._remote, self._app_name, tuple(sorted(self._conf.items())), *self._asked())
            for started in _started.values():
                if started.wanted == wanted and _is_alive(started.spark):
                    return self._use(started)
            # One that the application, or the notebook that this runs in, has started.
            if self._master is None and self._remote is None and not _started:
                active = _active()
                if active is not None:
                    return active
            own = _Started(self._start(), wanted)
            if not _started:
                atexit.register(_stop_all)
            _started[id(own.spark)] = own
            return self._use(own)

    def _use(self, started: _Started) -> Any:
        started.users += 1
        self._own = started
        return started.spark

    def _asked(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return tuple(sorted(set(self._packages))), tuple(sorted(set(self._jars)))

    def _start(self) -> Any:
        # Workers run the Python that this is, and not the first on the PATH.
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        os.environ.setdefault("PYSPARK_DRIVER_PYTHON", sys.executable)
        where = "a Spark Connect server" if self._remote else self._master or "local[*]"
        _log.log(NOTICE, "starting Spark (%s); this takes some seconds", where)
        begin = time.monotonic()
        try:
            spark = self._connected() if self._remote else self._launched(self._master or "local[*]")
        except OdibiError:
            raise
        except Exception as error:
            raise _cannot_start(error, where) from error
        _log.log(NOTICE, "Spark %s is there after %.1f s", spark.version, time.monotonic() - begin)
        return spark

    def _connected(self) -> Any:
        if _active() is None:
            # Makes the functions that users import work on what is remote, all over this process.
            from pyspark.sql import SparkSession
        else:
            from pyspark.sql.connect.session import SparkSession  # type: ignore[assignment]
        builder: Any = SparkSession.builder
        # Not one that this process may hold to another server.
        spark = builder.remote(self._remote).create()
        be_patient(spark, retries=5)
        spark.version  # noqa: B018 - asks the server, which need not be there
        be_patient(spark)
        for name, value in {"spark.sql.session.timeZone": "UTC", **self._conf}.items():
            with suppress(Exception):  # what is not for a running server to change, it says itself
                spark.conf.set(name, value)
        return spark

    def _launched(self, master: str) -> Any:
        from pyspark.sql import SparkSession

        if not _has_java():
            raise PluginBroken(
                "Spark needs Java 17 or newer, and there is none",
                where="engine spark",
                remedy="Install a Java runtime and set JAVA_HOME, or use a Spark Connect server with 'remote'.",
            )
        settings = {**self._settings(master), "spark.master": master, "spark.app.name": self._app_name}
        launched(settings)
        builder: Any = SparkSession.builder
        for name, value in settings.items():
            builder = builder.config(name, value)
        return builder.getOrCreate()

    def _settings(self, master: str) -> dict[str, str]:
        here = _ON_THIS_MACHINE if master.startswith("local") else {}
        settings = {**_DEFAULTS, "spark.driver.maxResultSize": str(self._limit), **here, **self._conf}
        packages, jars = self._asked()
        needed = [each for each in map(filled, packages) if not any(_holds(jar, each) for jar in jars)]
        for name, values in (("spark.jars.packages", needed), ("spark.jars", jars)):
            given = [settings[name]] if settings.get(name) else []
            if given or values:
                settings[name] = ",".join(dict.fromkeys([*given, *values]))
        quiet = f"-Dlog4j2.configurationFile={Path(__file__).with_name('log4j2.properties').as_uri()}"
        name = "spark.driver.extraJavaOptions"
        if "log4j" not in settings.get(name, ""):
            settings[name] = f"{settings.get(name, '')} {quiet}".strip()
        return settings


def _quiet_pyspark() -> None:
    """Keep pyspark from logging what it also raises, with the whole plan; and its bridge from logging every value."""
    from pyspark.logger import PySparkLogger

    for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger"):
        PySparkLogger.getLogger(name).setLevel(logging.CRITICAL + 1)
    for name in ("py4j", "py4j.client", "py4j.clientserver", "py4j.java_gateway"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _holds(jar: str, package: str) -> bool:
    """Whether a jar looks like the one that a coordinate means."""
    artifact = package.split(":")[1]
    return Path(jar).name.startswith(f"{artifact}-")


def _active() -> Any:
    """The session of this thread or process that somebody else has started."""
    if "pyspark.sql" not in sys.modules:
        return None
    from pyspark.sql import SparkSession

    return SparkSession.getActiveSession()


def _is_alive(spark: Any) -> bool:
    if is_remote(spark):
        return not getattr(spark, "is_stopped", False)
    context = spark.sparkContext
    return context._jsc is not None and not context._jsc.sc().isStopped()


def _stop(own: _Started) -> None:
    _started.pop(id(own.spark), None)
    with suppress(Exception):  # it is gone, or its server is
        if is_remote(own.spark):
            be_brief(own.spark)
        own.spark.stop()


def _stop_all() -> None:
    for own in list(_started.values()):
        _stop(own)


def _has_java() -> bool:
    home = os.environ.get("JAVA_HOME")
    return bool((home and Path(home, "bin", "java").exists()) or shutil.which("java"))


def _cannot_start(error: Exception, where: str) -> OdibiError:
    text = reason_of(error) or next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return PluginBroken(
        f"Spark ({where}) cannot be started: {text.strip().rstrip('.')}",
        where="engine spark",
        remedy="Check the engine's options under 'engines', and that the server or cluster answers.",
    )
