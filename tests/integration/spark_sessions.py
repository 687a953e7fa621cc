"""A Spark of this process's own, for tests: in a JVM that has the jars which were asked for.

A JVM's class path stays as it was at its start, and pyspark starts one a process. So the JVM that other tests left here
is ended first.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_SMALL = {
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "spark.driver.memory": "1g",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.shuffle.partitions": "2",
    "spark.sql.session.timeZone": "UTC",
}
_ENDED = 30.0


@contextmanager
def local_session(folder: Path, settings: Mapping[str, str]) -> Iterator[Any]:
    """A session on two threads of a new JVM.

    Args:
        folder: for what Spark keeps while it runs.
        settings: of Spark, beside those that make it small.
    """
    from pyspark.sql import SparkSession

    end_java()
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("PYSPARK_DRIVER_PYTHON", sys.executable)
    builder: Any = SparkSession.builder
    builder = builder.master("local[2]").appName("odibi-tests")
    for name, value in {**_SMALL, "spark.local.dir": str(folder), **settings}.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    try:
        yield session
    finally:
        end_java()


def end_java() -> None:
    """End the Spark of this process, and its JVM, if there are any."""
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

    session = SparkSession._instantiatedSession
    if session is not None:
        session.stop()
    context = SparkContext._active_spark_context
    if context is not None:
        context.stop()
    gateway: Any = SparkContext._gateway
    if gateway is None:
        return
    SparkContext._gateway = SparkContext._jvm = None
    gateway.shutdown()
    gateway.proc.stdin.close()
    gateway.proc.wait(_ENDED)
