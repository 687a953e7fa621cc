"""What the parts of the engine's suite share: what an author says, and a bench to read and write on."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar

import attrs
import pytest

from odibi.contracts.capability import capabilities_of
from odibi.contracts.format import Source, Target, WriteMode
from odibi.contracts.trigger import FileVersion
from odibi.errors import Transient
from odibi.testing.component import ComponentSuite, close
from odibi.testing.frames import Table, assert_same, frame_of, table_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import Literal

    from odibi.contracts.engine import Engine, Frame
    from odibi.contracts.format import WriteReport
    from odibi.contracts.storage import Storage

PEOPLE = Table.of(
    id=("int64", [1, 2, 3, 4, 5]),
    name=("string", ["ada", "bo", None, "bo", "é 日本"]),
    height=("double", [1.5, None, 0.1, -2.0, 1e300]),
)
"""What most tests work on."""


def people(*ids: int, name: str = "x") -> Table:
    """Rows with these ids."""
    return Table.of(id=("int64", ids), name=("string", [f"{name}{i}" for i in ids]))


@attrs.define
class Faulty:
    """A storage that raises :class:`~odibi.errors.Transient` from the methods it is told to, and counts all calls.

    ``create`` raises when the block ends, and nothing was published then.
    """

    storage: Storage
    failing: frozenset[str] = frozenset()
    calls: int = 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.storage, name)
        return self._counting(name, found) if callable(found) else found

    def _counting(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            self.calls += 1
            if name in self.failing and name == "create":
                return self._discarded(method, *args, **options)
            if name in self.failing:
                raise Transient("the storage does not answer", where=name)
            return method(*args, **options)

        return call

    @contextmanager
    def _discarded(self, method: Callable[..., Any], *args: Any, **options: Any) -> Iterator[BinaryIO]:
        with method(*args, **options) as file:
            yield file
            raise Transient("the storage does not answer", where="create")


@attrs.frozen
class Bench:
    """An engine with a storage and a format.

    Attributes:
        suite: says how frames are made.
        engine: under test.
        storage: to read from and to write to.
        format: of all that is written.
    """

    suite: EngineBase
    engine: Engine
    storage: Any
    format: Any

    def source(
        self, path: str, columns: Sequence[str] | None = None, only: Sequence[FileVersion] | None = None
    ) -> Source:
        """What lies at ``path``, or some of it."""
        return Source(
            storage=self.storage,
            connection="lake",
            path=path,
            format=self.format,
            format_name=self.suite.format_name,
            columns=None if columns is None else tuple(columns),
            only=None if only is None else tuple(only),
        )

    def target(
        self,
        path: str,
        mode: str = "overwrite",
        *,
        part: str = "p1",
        keys: Sequence[str] = (),
        partition_by: Sequence[str] = (),
    ) -> Target:
        """What to write at ``path``."""
        return Target(
            storage=self.storage,
            connection="lake",
            path=path,
            format=self.format,
            format_name=self.suite.format_name,
            part=part,
            mode=WriteMode(mode),
            keys=tuple(keys),
            partition_by=tuple(partition_by),
        )

    def frame(self, table: Table) -> Frame:
        """A frame of the engine."""
        return self.suite.frame(self.engine, table)

    def table(self, frame: Frame) -> Table:
        """What is in one."""
        return self.suite.table(self.engine, frame)

    def write(self, table: Table, path: str, mode: str = "overwrite", **more: Any) -> WriteReport:
        """Write a table."""
        return self.engine.write(self.frame(table), self.target(path, mode, **more))

    def read(self, path: str, columns: Sequence[str] | None = None) -> Table:
        """What an engine reads there."""
        return self.table(self.engine.read(self.source(path, columns)))

    def holds(self, path: str, expected: Table, *, ordered: bool = False) -> None:
        """Fail unless that is what is there."""
        assert_same(self.read(path), expected, ordered=ordered and self.suite.ordered)

    def versions(self, *paths: str) -> list[FileVersion]:
        """The objects that are there now: at each of these paths, or below."""
        return [FileVersion(it.path, it.etag, it.size) for path in paths for it in self.storage.list(path)]

    def objects(self) -> dict[str, str]:
        """Path to etag of all that is there."""
        return {stat.path: stat.etag for stat in self.storage.list()}

    def on(self, storage: Any) -> Bench:
        """The same on another storage."""
        return attrs.evolve(self, storage=storage)


class EngineBase(ComponentSuite):
    """What an author says of an engine; all but ``component``, ``format`` and ``format_name`` have defaults."""

    family = "engine"

    # --- what a subclass says ---------------------------------------------------------------------------------------

    format: ClassVar[type]
    """The class of a format of this engine, which keeps truth values, integers, numbers and texts."""

    format_name: ClassVar[str]
    """What a project file calls it (``csv``)."""

    format_options: ClassVar[Mapping[str, Any]] = {}
    """Its options."""

    ordered: ClassVar[bool] = True
    """Whether what was read, and an ``ORDER BY``, has an order."""

    through_storage: ClassVar[bool] = True
    """Whether it reads and writes through :class:`~odibi.contracts.Storage`; not if it takes addresses alone, as
    engines that run elsewhere do. Then :meth:`storage` gives one that it can reach."""

    slow: ClassVar[bool] = False
    """Whether the simplest thing takes a good part of a second: then some tests try fewer examples."""

    slow_query: ClassVar[str] = (
        "SELECT count(*) AS n FROM numbers a, numbers b, numbers c, numbers d WHERE a.id + b.id + c.id + d.id < 0"
    )
    """A query on a thousand ``numbers`` that takes longer than anybody waits."""

    def storage(self, place: Path) -> Storage:  # noqa: ARG002 - for those that lie somewhere
        """An empty storage that the engine can read from and write to."""
        from odibi.testing.reference.storage import MemoryStorage

        return MemoryStorage()

    def frame(self, engine: Engine, table: Table) -> Frame:
        """A frame of the engine with these columns and rows."""
        return frame_of(engine, table)

    def table(self, engine: Engine, frame: Frame) -> Table:
        """The columns and rows of a frame."""
        return table_of(engine, frame)

    def changes(self) -> Sequence[Callable[[Frame], object]]:
        """The ways in which a function may change a frame with the columns ``id``, ``name``, ``height`` in place.

        None for frames that cannot be changed.
        """
        return ()

    def kept_frames(self, engine: Engine) -> Sequence[Frame]:  # noqa: ARG002 - for those that make them with it
        """More frames that ``write_arrow`` must give back or refuse: with whatever a function may have made."""
        return ()

    def assert_identical(self, engine: Engine, found: Frame, expected: Frame) -> None:
        """Fail if a step could tell two frames apart."""
        types: Literal["exact"] = "exact"
        assert engine.inspect(found).schema == engine.inspect(expected).schema
        assert_same(self.table(engine, found), self.table(engine, expected), types=types, ordered=self.ordered)

    # --- what the tests use -----------------------------------------------------------------------------------------

    @property
    def lazy(self) -> bool:
        """Whether the frames are recipes: what is wrong with the data shows when their rows are asked for."""
        return capabilities_of("engine", self.component)["lazy"].is_there

    @property
    def merges(self) -> bool:
        """Whether the format can be written to by key."""
        return capabilities_of("format", self.format)["merge"].is_there

    def only_if_it_merges(self, mode: str) -> None:
        """Leave a test out where the mode writes by key, and the format declares that it does not."""
        if mode in ("append_once", "upsert") and not self.merges:
            pytest.skip(f"declared: format {self.format.__name__} has 'merge': none")

    @pytest.fixture
    def engine(self, subject: Engine) -> Engine:
        """The engine."""
        return subject

    @pytest.fixture
    def bench(self, subject: Engine, place: Path) -> Iterator[Bench]:
        """The engine with an empty storage."""
        storage = self.storage(place)
        try:
            yield self.bench_on(subject, storage)
        finally:
            close(storage)

    def bench_on(self, engine: Engine, storage: Any) -> Bench:
        """An engine with a storage and a new format."""
        return Bench(self, engine, storage, self.format(**self.format_options))

    def unchanged(self, engine: Engine, frame: Frame, table: Table) -> None:
        """Fail if a frame is not as it was made."""
        assert_same(self.table(engine, frame), table)
