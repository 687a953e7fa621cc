"""What the tests of the pandas engine share."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import pytest


class StepContext:
    """What an operation is told of its node, with a real engine and a real session."""

    def __init__(self, engine: Any, inputs: Mapping[str, Any], sensitive: bool | Collection[str]) -> None:
        self.node = "node"
        self.engine = engine
        self.params: Mapping[str, Any] = {}
        self.sensitive = sensitive
        self.session = engine.session("node")
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
        return self.session.sql(query, {**self._inputs, **(frames or {})})

    def cancelled(self) -> bool:
        return False


@pytest.fixture(scope="session")
def pandas_engine() -> Iterator[Any]:
    """One engine for all tests, as a run has one for all nodes."""
    from odibi_pandas.engine import PandasEngine

    engine = PandasEngine()
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def as_frame(pandas_engine: Any) -> Callable[..., Any]:
    """A frame of the engine from columns, with Arrow types by name where they matter."""
    import pyarrow as pa

    def make(columns: Mapping[str, Any], **types: pa.DataType) -> Any:
        arrays = {name: pa.array(values, type=types.get(name)) for name, values in columns.items()}
        return pandas_engine.from_arrow(pa.table(arrays))

    return make


@pytest.fixture(scope="session")
def as_table(pandas_engine: Any) -> Callable[[Any], Any]:
    """A frame as an Arrow table."""
    import pyarrow as pa

    return lambda frame: pa.table(pandas_engine.to_arrow(frame))


@pytest.fixture(scope="session")
def step_context(pandas_engine: Any) -> Callable[..., StepContext]:
    """Makes what an operation gets beside its frame."""

    def make(inputs: Mapping[str, Any] | None = None, sensitive: bool | Collection[str] = False) -> StepContext:
        return StepContext(pandas_engine, inputs or {}, sensitive)

    return make
