"""What the tests of the Spark engine share: one session, and what an operation is told of its node."""

from __future__ import annotations

import gc
import itertools
import os
import sys
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

SETTINGS = {
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "spark.driver.memory": "1g",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.shuffle.partitions": "2",
    "spark.sql.session.timeZone": "UTC",
}
"""Of a session that starts fast and stays on this machine."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """pyspark leaves it to the garbage collector to close the sockets by which it fetches rows."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"))


@pytest.fixture(scope="session", autouse=True)
def close_what_pyspark_left_open() -> Iterator[None]:
    """Before pytest looks for what was not closed."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One session for all tests, since it takes seconds to start."""
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("PYSPARK_DRIVER_PYTHON", sys.executable)
    place = tmp_path_factory.mktemp("spark")
    builder: Any = SparkSession.builder
    builder = builder.master("local[2]").appName("odibi-tests")
    settings = {
        **SETTINGS,
        "spark.local.dir": str(place / "local"),
        "spark.sql.warehouse.dir": str(place / "warehouse"),
    }
    for name, value in settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    yield session
    session.stop()


@pytest.fixture(scope="session")
def spark_engine(spark: Any) -> Iterator[Any]:
    """An engine on that session."""
    from odibi_spark.engine import SparkEngine

    engine = SparkEngine(spark_session=spark)
    yield engine
    engine.close()


_groups = itertools.count()


@pytest.fixture
def jobs(spark: Any) -> Callable[[], Any]:
    """``with jobs() as started:`` tells which jobs Spark started meanwhile for this thread."""

    @contextmanager
    def watched() -> Iterator[list[int]]:
        group, started = f"watched-{next(_groups)}", list[int]()
        spark.sparkContext.setJobGroup(group, "watched by a test")
        try:
            yield started
        finally:
            started += spark.sparkContext.statusTracker().getJobIdsForGroup(group)
            spark.sparkContext.setLocalProperty("spark.jobGroup.id", None)

    return watched


class StepContext:
    """What an operation is told of its node, with a real engine and a real session."""

    def __init__(self, engine: Any, inputs: Mapping[str, Any], sensitive: bool | Collection[str]) -> None:
        self.node = "node"
        self.engine = engine
        self.params: Mapping[str, Any] = {}
        self.sensitive = sensitive
        self._inputs = dict(inputs)

    def get(self, name: str) -> Any:
        from odibi.errors import TransformError

        if name not in self._inputs:
            raise TransformError(f"{name!r} is not an input")
        return self._inputs[name]

    def has(self, name: str) -> bool:
        return name in self._inputs

    def names(self) -> tuple[str, ...]:
        return tuple(self._inputs)

    def sql(self, query: str, frames: Mapping[str, Any] | None = None) -> Any:
        return self.engine.session("node").sql(query, {**self._inputs, **(frames or {})})

    def cancelled(self) -> bool:
        return False


@pytest.fixture(scope="session")
def as_frame(spark: Any) -> Callable[..., Any]:
    """A frame from columns, with Arrow types by name where they matter; Spark spreads it over two parts."""
    import pyarrow as pa
    from pyspark.sql.pandas.types import from_arrow_schema

    def make(columns: Any, **types: pa.DataType) -> Any:
        table = columns
        if not isinstance(columns, pa.Table):
            table = pa.table({name: pa.array(values, type=types.get(name)) for name, values in columns.items()})
        # A time without a zone stays one.
        return spark.createDataFrame(table, schema=from_arrow_schema(table.schema, prefer_timestamp_ntz=True))

    return make


@pytest.fixture(scope="session")
def as_table() -> Callable[[Any], Any]:
    """The rows of a frame as an Arrow table."""
    return lambda frame: frame.toArrow()


@pytest.fixture(scope="session")
def step_context(spark_engine: Any) -> Callable[..., StepContext]:
    """Makes what an operation gets beside its frame."""

    def make(inputs: Mapping[str, Any] | None = None, sensitive: bool | Collection[str] = False) -> StepContext:
        return StepContext(spark_engine, inputs or {}, sensitive)

    return make
