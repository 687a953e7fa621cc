"""The JVM that a Spark of this process runs in: started without a word on the terminal, and told secrets in private."""

from __future__ import annotations

import logging
import os
import re
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_log = logging.getLogger("odibi_spark.jvm")

_ON_THE_LINE = re.compile(
    r"spark\.(app|archives|driver|executor|files|jars|kubernetes|local|master|pyspark|submit|ui|yarn)\b"
)
"""Names of settings that whatever starts a driver goes by."""
_SECRET = re.compile(r"secret|password|token|access[.]?key|account[.]?key|credential", re.IGNORECASE)


def launched(settings: Mapping[str, str]) -> None:
    """Start the JVM, unless this process has one.

    Args:
        settings: of the session that is to be started. The JVM gets those that it starts with on its command line,
            where everybody on this machine can read them; the session has to be given all of them.
    """
    from pyspark import SparkConf, SparkContext
    from pyspark.java_gateway import launch_gateway

    if SparkContext._gateway is not None or "PYSPARK_GATEWAY_PORT" in os.environ:
        return
    conf = SparkConf(loadDefaults=False)
    for name, value in settings.items():
        if _ON_THE_LINE.match(name) and not _SECRET.search(name):
            conf.set(name, value)
    readable, writable = os.pipe()
    listener = _Listener(readable)
    try:
        gateway = launch_gateway(conf, {"stderr": writable})  # type: ignore[no-untyped-call]
    finally:
        os.close(writable)  # the JVM has its own; what it says ends with it
    SparkContext._ensure_initialized(gateway=gateway)
    listener.starting = False


class _Listener:
    """Hands on what the JVM says: all of it is for logs, as errors come with the nodes that they fail."""

    def __init__(self, readable: int) -> None:
        self.starting = True
        self._readable = readable
        threading.Thread(target=self._listen, name="odibi-spark-jvm", daemon=True).start()

    def _listen(self) -> None:
        with os.fdopen(self._readable, encoding="utf-8", errors="replace") as said:
            for line in said:
                _log.log(self._level(line), "%s", line.rstrip())

    def _level(self, line: str) -> int:
        if line.startswith(("spark FATAL", "java.lang.OutOfMemoryError")):
            return logging.WARNING
        # What functions of the user print in Spark's workers comes this way, too.
        return logging.DEBUG if self.starting else logging.INFO
