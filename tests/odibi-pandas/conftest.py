"""What the tests of the pandas engine share."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO

import pytest

from odibi.contracts.format import Source, Target, WriteMode
from odibi.contracts.storage import ABSENT, ALWAYS, Match, Stat, When, check_path
from odibi.errors import Conflict, NotFound


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


class MemoryStorage:
    """A storage in memory that keeps the contract, so that the engine is tested beside the kernel alone."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._objects: dict[str, tuple[bytes, str]] = {}
        self._count = 0
        self.before_publish: Callable[[str], None] = lambda path: None
        """Called with the path of each object that is about to appear; may raise, or write something else first."""

    def read(self, path: str) -> bytes:
        return self._get(path)[0]

    def open(self, path: str) -> BinaryIO:
        return io.BytesIO(self.read(path))

    def write(self, path: str, data: bytes | BinaryIO, *, when: When = ALWAYS) -> Stat:
        path = check_path(path)
        if not isinstance(data, bytes):
            data = data.read()
            self.before_publish(path)
        with self._lock:
            there = self._objects.get(path)
            if (when is ABSENT and there is not None) or (
                isinstance(when, Match) and (there is None or there[1] != when.etag)
            ):
                raise Conflict("the object has changed, or is there already", where=path)
            self._count += 1
            self._objects[path] = (data, f"e{self._count}")
        return self.stat(path)

    @contextmanager
    def create(self, path: str, *, when: When = ALWAYS) -> Iterator[BinaryIO]:
        file = io.BytesIO()
        yield file
        self.before_publish(path)
        self.write(path, file.getvalue(), when=when)

    def stat(self, path: str) -> Stat:
        data, etag = self._get(path)
        return Stat(check_path(path), len(data), 0.0, etag)

    def list(self, prefix: str = "") -> Iterator[Stat]:
        prefix = check_path(prefix)
        for path in sorted(self._objects):
            if not prefix or path == prefix or path.startswith(prefix + "/"):
                yield self.stat(path)

    def delete(self, path: str) -> None:
        self._objects.pop(check_path(path), None)

    def uri(self, path: str) -> str:
        return f"memory:///{check_path(path)}"

    def native_options(self, for_: str) -> Mapping[str, Any]:
        return {}

    def close(self) -> None:
        pass

    def _get(self, path: str) -> tuple[bytes, str]:
        try:
            return self._objects[check_path(path)]
        except KeyError:
            raise NotFound("there is no such object", where=path) from None


class FolderMemoryStorage(MemoryStorage):
    """One that can replace a folder in one step, unless it is told not to."""

    def __init__(self) -> None:
        super().__init__()
        self.can = True
        self.before_replace: Callable[[str], None] = lambda path: None
        """Called with the path of each folder that is about to be replaced."""

    def list(self, prefix: str = "") -> Iterator[Stat]:
        for stat in super().list(prefix):
            if ".odibi-stage-" not in stat.path[len(check_path(prefix)) :]:
                yield stat

    def replace_folder(self, staged: str, path: str, *, when: When = ALWAYS) -> bool:
        assert staged.rpartition("/")[0] == path.rpartition("/")[0]
        assert staged.rpartition("/")[2].startswith(".odibi-stage-")
        self.before_replace(path)
        with self._lock:
            inside = {at: it for at, it in self._objects.items() if at.startswith(staged + "/")}
            there = [at for at in self._objects if at == path or at.startswith(path + "/")]
            if not inside:
                raise NotFound("nothing is staged", where=staged)
            if when is ABSENT and there:
                raise Conflict("there is data already", where=path)
            if not self.can:
                return False
            for at in (*there, *inside):
                del self._objects[at]
            self._objects.update({path + at[len(staged) :]: it for at, it in inside.items()})
        return True


class Lake:
    """A storage with an engine on it, as a node has them."""

    def __init__(self, engine: Any, storage: MemoryStorage | None = None) -> None:
        self.engine = engine
        self.storage = storage or MemoryStorage()

    def source(self, path: str | None, format_: Any, **more: Any) -> Source:
        name = getattr(format_, "title", "own").lower()
        return Source(storage=self.storage, connection="lake", path=path, format=format_, format_name=name, **more)

    def target(self, path: str | None, format_: Any, mode: str = "overwrite", **more: Any) -> Target:
        name = getattr(format_, "title", "own").lower()
        more.setdefault("part", "p1")
        return Target(
            storage=self.storage,
            connection="lake",
            path=path,
            format=format_,
            format_name=name,
            mode=WriteMode(mode),
            **more,
        )

    def read(self, path: str | None, format_: Any, **more: Any) -> Any:
        return self.engine.read(self.source(path, format_, **more))

    def read_chunks(self, path: str, format_: Any, rows: int, **more: Any) -> list[Any]:
        return list(self.engine.read_chunks(self.source(path, format_, **more), rows))

    def write(self, frame: Any, path: str | None, format_: Any, mode: str = "overwrite", **more: Any) -> Any:
        return self.engine.write(frame, self.target(path, format_, mode, **more))

    def paths(self) -> list[str]:
        return [stat.path for stat in self.storage.list()]


@pytest.fixture
def lake(pandas_engine: Any) -> Lake:
    """A storage in memory to read from and write to."""
    return Lake(pandas_engine)


@pytest.fixture
def folder_lake(pandas_engine: Any) -> Lake:
    """One on a storage that can replace a folder in one step."""
    return Lake(pandas_engine, FolderMemoryStorage())
