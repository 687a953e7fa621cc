"""Jars beside Spark's own, for tests: fetched once by Maven, and kept in a cache of the user's.

A set of jars is named, not listed: Maven finds what its coordinates need. What Spark brings itself stays out, as two
versions of one class on Spark's class path are worse than none.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from xml.sax.saxutils import escape

_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
_DELTA = "4.4.0"
_AWS = "2.29.52"
"""What Hadoop 3.4.2 was built with; a later one of 2.x serves as well."""

_AWS_MODULES = ("apache-client", "netty-nio-client", "s3", "s3-transfer-manager", "sts")
"""What S3A calls. The bundle, which it asks for, has all of Amazon's services: 600 MB."""

_OF_SPARK = (
    "org.apache.spark:*",
    "org.scala-lang:*",
    "org.scala-lang.modules:*",
    "org.apache.hadoop:*",
    "org.apache.parquet:*",
    "org.slf4j:*",
    "org.antlr:*",
    "com.fasterxml.jackson.core:*",
    "com.fasterxml.jackson.datatype:*",
    "com.fasterxml.jackson.module:*",
    "com.github.luben:*",
    "com.google.code.findbugs:*",
    "io.airlift:*",
    "io.netty:*",
    "org.apache.httpcomponents:*",
    "org.apache.logging.log4j:*",
    "org.locationtech.jts:*",
    "org.roaringbitmap:*",
    "org.tukaani:*",
    "org.xerial.snappy:*",
    "commons-codec:*",
    "commons-logging:*",
    "commons-pool:*",
)
_LIMIT = 900.0
_VERSION = re.compile(r"(\d+)\.(\d+)\.\d+")


class NoJarsError(Exception):
    """A set of jars cannot be had here; says why."""


def jars(name: str) -> list[Path]:
    """The jars of a set, fetched if they are not here yet.

    Args:
        name: ``delta``, ``avro`` or ``s3a``.

    Raises:
        NoJarsError: there is no Maven, or it does not get them.
    """
    wanted = _wanted(name)
    digest = hashlib.sha256("\n".join((_COPY, *wanted, *_OF_SPARK)).encode()).hexdigest()[:12]
    cache = _cache()
    folder = cache / f"{name}-{digest}"
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with _alone(cache / f"{folder.name}.lock"):
            if not folder.is_dir():  # nobody else fetched it meanwhile
                _fetch(name, wanted, folder)
    return sorted(folder.glob("*.jar"))


def as_option(*sets: list[Path]) -> str:
    """Sets of jars as the value of ``spark.jars``, each jar once."""
    return ",".join(dict.fromkeys(str(jar) for each in sets for jar in each))


def _wanted(name: str) -> list[str]:
    """Coordinates, which depend on the Spark that is installed."""
    spark, minor, hadoop = _versions()
    if name == "delta":
        return [f"io.delta:delta-spark_{minor}_2.13:{_DELTA}"]
    if name == "avro":
        return [f"org.apache.spark:spark-avro_2.13:{spark}"]
    if name == "s3a":
        modules = [f"software.amazon.awssdk:{module}:{_AWS}" for module in _AWS_MODULES]
        return [f"org.apache.hadoop:hadoop-aws:{hadoop}", *modules]
    raise ValueError(f"no set of jars is called {name!r}")


def _versions() -> tuple[str, str, str]:
    """The version of pyspark, its first two numbers, and the version of the Hadoop in it; pyspark is not imported."""
    found = find_spec("pyspark")
    if found is None or found.origin is None:
        raise NoJarsError("pyspark is not installed")
    folder = Path(found.origin).parent
    spark = _VERSION.search((folder / "version.py").read_text(encoding="utf-8"))
    hadoop = next((_VERSION.search(jar.name) for jar in folder.glob("jars/hadoop-client-api-*.jar")), None)
    if spark is None or hadoop is None:
        raise NoJarsError("pyspark is installed without Spark's own jars")
    return spark[0], f"{spark[1]}.{spark[2]}", hadoop[0]


def _cache() -> Path:
    chosen = os.environ.get("ODIBI_TEST_JARS")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "odibi-tests" / "jars"


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold a lock that other processes see; it ends with its holder, whatever becomes of that."""
    with open(path, "wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _fetch(name: str, wanted: list[str], folder: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise NoJarsError(f"the jars of {name!r} are fetched by Maven, and there is no mvn on PATH")
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder.parent) as work:
        pom, out = Path(work, "pom.xml"), Path(work, "jars")
        pom.write_text(_pom(wanted), encoding="utf-8")
        command = [maven, "-B", "-q", "-f", str(pom), _COPY, "-DincludeScope=runtime", f"-DoutputDirectory={out}"]
        said = ""
        for _ in range(2):  # a mirror may hiccup
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT, stdin=subprocess.DEVNULL)
            except subprocess.TimeoutExpired:
                said = f"no end after {_LIMIT:.0f} s"
                continue
            if done.returncode == 0 and any(out.glob("*.jar")):
                out.rename(folder)
                return
            said = (done.stdout + done.stderr).strip()[-600:] or f"mvn ended with {done.returncode} and no jars"
        raise NoJarsError(f"Maven did not get {', '.join(wanted)}: {said}")


def _pom(wanted: list[str]) -> str:
    """A project whose only point is what it depends on."""
    left_out = "".join(_element("exclusion", each) for each in (*_OF_SPARK, "software.amazon.awssdk:bundle"))
    dependencies = "".join(_element("dependency", each, f"<exclusions>{left_out}</exclusions>") for each in wanted)
    return (
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        "<groupId>odibi.tests</groupId><artifactId>jars</artifactId><version>0</version><packaging>pom</packaging>"
        f"<dependencies>{dependencies}</dependencies></project>"
    )


def _element(name: str, coordinates: str, more: str = "") -> str:
    parts = zip(("groupId", "artifactId", "version"), coordinates.split(":"), strict=False)
    return f"<{name}>{''.join(f'<{tag}>{escape(text)}</{tag}>' for tag, text in parts)}{more}</{name}>"
