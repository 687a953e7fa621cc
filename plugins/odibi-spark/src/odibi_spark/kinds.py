"""The parts of pyspark for the kind of session at hand, as one process may have both."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def is_remote(thing: Any) -> bool:
    """Whether a session or a frame is one of Spark Connect."""
    return type(thing).__module__.startswith("pyspark.sql.connect")


def functions_for(thing: Any) -> Any:
    """The module of functions that make columns for a session or a frame."""
    return import_module("pyspark.sql.connect.functions" if is_remote(thing) else "pyspark.sql.functions")


def observation_for(thing: Any) -> Any:
    """A new observation for a frame."""
    module = import_module("pyspark.sql.connect.observation" if is_remote(thing) else "pyspark.sql.observation")
    return module.Observation()
