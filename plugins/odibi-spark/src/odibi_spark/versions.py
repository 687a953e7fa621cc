"""Versions that have to fit the Spark that is installed."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_DELTA = {"4.0": "delta-spark_2.13:4.0.1"}
_DELTA_SINCE = "4.4.0"
"""From Spark 4.1 on, one release of Delta has an artifact for each Spark, named by it."""


def filled(coordinate: str) -> str:
    """A Maven coordinate with the versions of what is installed in the place of ``{spark}`` and its like.

    Args:
        coordinate: with ``{spark}`` (4.1.1), ``{scala}`` (2.13), ``{hadoop}`` (3.4.2) or ``{delta}``
            (``delta-spark_4.1_2.13:4.4.0``).
    """
    if "{" not in coordinate:
        return coordinate
    spark = _spark()
    minor = ".".join(spark.split(".")[:2])
    delta = _DELTA.get(minor, f"delta-spark_{minor}_2.13:{_DELTA_SINCE}")
    return coordinate.format(spark=spark, scala="2.13", hadoop=_hadoop(), delta=delta)


def _spark() -> str:
    import pyspark

    return str(pyspark.__version__)


@cache
def _hadoop() -> str:
    import pyspark

    jars = Path(pyspark.__file__).parent / "jars"
    found = next(jars.glob("hadoop-client-api-*.jar"), None)
    return found.stem.removeprefix("hadoop-client-api-") if found else "3.4.2"
