"""The parts of pyspark for the kind of session at hand, and sessions beside it."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def is_remote(thing: Any) -> bool:
    """Whether a session or a frame is one of Spark Connect."""
    return type(thing).__module__.startswith("pyspark.sql.connect")


def functions_for(thing: Any) -> Any:
    """The module of functions that make columns for a session or a frame."""
    return import_module("pyspark.sql.connect.functions" if is_remote(thing) else "pyspark.sql.functions")


@contextmanager
def beside(spark: Any, conf: Mapping[str, str]) -> Iterator[Any]:
    """A session with settings of its own, on the same Spark.

    Args:
        spark: the session that is there.
        conf: what to set.
    """
    remote = is_remote(spark)
    if remote and not hasattr(type(spark), "cloneSession"):
        # Before Spark 4.1: a server that has been told how to get to the table needs no more.
        yield spark
        return
    session = spark.cloneSession() if remote else spark.newSession()
    try:
        for name, value in conf.items():
            session.conf.set(name, value)
        yield session
    finally:
        if remote:
            with suppress(Exception):  # it ends by itself in time
                session.client.release_session()
            with suppress(Exception):
                session.client.close()
