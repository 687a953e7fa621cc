"""Results that an engine keeps past this process: an engine of recipes, which writes JSON, with the kit's cache."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import attrs
import pytest

import odibi
from odibi.contracts import Storage
from odibi.contracts.cache import DatasetCache
from odibi.contracts.engine import DatasetEngine, FrameInfo
from odibi.errors import Cancelled, DataError, StorageError, TransformError
from odibi.events import NodeWarned
from odibi.testing.component import together
from odibi.testing.pipelines import Ran, host_with, run
from odibi.testing.reference.cache import MemoryCache
from odibi.testing.reference.cache import erase as erase_cache
from odibi.testing.reference.checkpoint import MemoryCheckpoints
from odibi.testing.reference.checkpoint import erase as erase_checkpoints
from odibi.testing.reference.engine import RowsEngine, RowsFrame

TYPES = {"id": "int64"}


@attrs.define(eq=False)
class Recipe:
    """A frame that is not computed before somebody needs rows, and is computed anew for each who does."""

    name: str
    make: Callable[[], list[int]]

    def rows(self) -> list[int]:
        # Told by a logger, as what a node's function can reach is part of its fingerprint.
        logging.getLogger("kitchen").info(self.name)
        return self.make()


class Told(logging.Handler):
    """Notes which recipes are followed."""

    def emit(self, record: logging.LogRecord) -> None:
        Kitchen.computed.append(record.getMessage())


class Kitchen:
    """What was done in a test, and what is to go wrong."""

    computed: ClassVar[list[str]] = []
    fault: ClassVar[str] = ""
    arrows: ClassVar[int] = 0


class RecipesEngine(RowsEngine):
    """Its frames are recipes; it writes them as one object a row, and one that ends it."""

    capabilities: ClassVar = {"datasets": "full", "lazy": "full"}
    frame_type: ClassVar[str] = f"{__name__}:Recipe"

    def share(self, frame: Any) -> Any:
        return frame

    def retain(self, frame: Any, *, uses: int, inputs: Any) -> Any:
        return frame

    def expect(self, formats: Any, storages: Any) -> None:
        """It is all the same to it."""

    def inspect(self, frame: Any) -> FrameInfo:
        return FrameInfo(None, ())

    def write_dataset(self, frame: Recipe, storage: Storage, path: str) -> Mapping[str, Any]:
        if Kitchen.fault == "before":
            raise DataError("it would not come back")
        rows = frame.rows()
        for at, row in enumerate(rows):
            storage.write(f"{path}/{at}.json", json.dumps(row).encode())
            if Kitchen.fault == "midway":
                raise StorageError("no more room")
            if Kitchen.fault == "computing":
                raise TransformError("a row cannot be computed")
            if Kitchen.fault == "cancelled":
                raise Cancelled("interrupted")
            if Kitchen.fault == "bug":
                raise ZeroDivisionError
        storage.write(f"{path}/_SUCCESS", b"")
        return {"rows": object() if Kitchen.fault == "words" else len(rows), "name": frame.name}

    def read_dataset(self, storage: Storage, path: str, known: Mapping[str, Any]) -> Recipe:
        if Kitchen.fault == "reading":
            raise DataError("it cannot be read back")
        paths = [f"{path}/{at}.json" for at in range(known["rows"])]
        return Recipe(f"{known['name']} from its dataset", lambda: [json.loads(storage.read(each)) for each in paths])

    def write_arrow(self, frame: Any, file: Any) -> None:
        Kitchen.arrows += 1
        super().write_arrow(RowsFrame(TYPES, [[row] for row in frame.rows()]), file)

    def read_arrow(self, data: memoryview) -> Any:
        rows = [row[0] for row in super().read_arrow(data).rows]
        return Recipe("from arrow", lambda: rows)


@attrs.define(eq=False)
class NoRoom:
    """The kit's cache without room for datasets."""

    name: str = odibi.option("", help="As of the other.")
    _cache: Any = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._cache = MemoryCache(name=self.name)

    def __getattr__(self, name: str) -> Any:
        if name in ("dataset", "put_dataset"):
            raise AttributeError(name)
        return getattr(self._cache, name)


@odibi.node(cache=True)
def numbers() -> Any:
    return Recipe("numbers", lambda: [1, 2, 3])


@odibi.node(cache=False)
def total(numbers: Any) -> int:
    return sum(numbers.rows())


@odibi.node(cache=False)
def largest(numbers: Any) -> int:
    return int(max(numbers.rows()))


HOST = host_with(
    {
        "engine.recipes": RecipesEngine,
        "cache.memory": MemoryCache,
        "cache.plain": NoRoom,
        "checkpoint.memory": MemoryCheckpoints,
    }
)


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    Kitchen.computed.clear()
    Kitchen.fault, Kitchen.arrows = "", 0
    logger, told = logging.getLogger("kitchen"), Told()
    logger.setLevel(logging.INFO)
    logger.addHandler(told)
    yield
    logger.removeHandler(told)
    erase_cache("datasets")
    erase_checkpoints("datasets")


def pipeline(*nodes: Any, cache: str = "memory") -> odibi.Pipeline:
    return odibi.Pipeline(
        "p",
        nodes or (numbers, total, largest),
        engine="recipes",
        host=HOST,
        cache={"type": cache, "name": "datasets"},
        checkpoints={"type": "memory", "name": "datasets"},
    )


def kept() -> MemoryCache:
    return MemoryCache(name="datasets")


def objects() -> list[str]:
    """The objects of all datasets, entry or not."""
    return [stat.path.rpartition("/")[2] for stat in kept().shelf.storage.list("datasets")]


def run_all(cache: str = "memory") -> Ran:
    """A run of which the values of all nodes are asked for."""
    return run(pipeline(cache=cache), targets=["numbers", "total", "largest"])


def test_the_engine_and_the_cache_keep_their_contracts() -> None:
    assert isinstance(RecipesEngine(), DatasetEngine)
    assert isinstance(MemoryCache(), DatasetCache)


class TestKept:
    def test_it_is_computed_once(self) -> None:
        """The nodes after it read the dataset, and do not follow the recipe a second time."""
        ran = run_all()
        assert (ran.value("total"), ran.value("largest")) == (6, 3)
        assert Kitchen.computed.count("numbers") == 1
        assert Kitchen.computed.count("numbers from its dataset") == 2
        assert ran.value("numbers").name == "numbers from its dataset"
        assert ran.outcome("numbers").kept == "recipes"
        assert objects() == ["0.json", "1.json", "2.json", "_SUCCESS"]
        (entry,) = kept().entries()
        assert entry.label == "recipes"
        assert entry.size > 3
        assert Kitchen.arrows == 0

    def test_the_next_run_reads_it(self) -> None:
        run(pipeline(numbers, total))
        Kitchen.computed.clear()
        ran = run(pipeline())
        assert ran.states == {"numbers": "reused", "total": "succeeded", "largest": "succeeded"}
        assert (ran.value("total"), ran.value("largest")) == (6, 3)
        assert Kitchen.computed == ["numbers from its dataset"] * 2

    def test_it_can_be_asked_for(self) -> None:
        run(pipeline(numbers))
        ran = run(pipeline(numbers))
        assert ran.states == {"numbers": "reused"}
        assert ran.value("numbers").rows() == [1, 2, 3]

    @pytest.mark.parametrize("name", ["1.json", "_SUCCESS"])
    def test_damage_has_it_computed_again(self, name: str) -> None:
        run(pipeline(numbers, total))
        storage = kept().shelf.storage
        (path,) = [stat.path for stat in storage.list("datasets") if stat.path.endswith(name)]
        storage.delete(path)
        Kitchen.computed.clear()
        ran = run(pipeline())
        assert ran.value("largest") == 3
        assert Kitchen.computed[0] == "numbers"
        assert [event.node for event in ran.of(NodeWarned)] == ["numbers"]
        assert kept().stats().corrupt == 1

    def test_what_cannot_be_read_is_computed_again(self) -> None:
        run(pipeline(numbers, total))
        Kitchen.computed.clear()
        Kitchen.fault = "reading"
        ran = run(pipeline())
        assert ran.value("largest") == 3
        assert set(Kitchen.computed) == {"numbers"}


class TestNotKept:
    @pytest.mark.parametrize("fault", ["before", "midway", "bug", "words", "reading"])
    def test_the_node_succeeds_all_the_same(self, fault: str) -> None:
        """With the value that it made; and nothing stays of what was written."""
        Kitchen.fault = fault
        ran = run_all()
        assert (ran.value("total"), ran.value("largest")) == (6, 3)
        assert ran.outcome("numbers").kept == ""
        assert ran.value("numbers").name == "numbers"
        assert objects() == []
        assert list(kept().entries()) == []

    def test_a_recipe_that_cannot_be_followed_fails_its_node(self) -> None:
        """And not the ones that read its result."""
        Kitchen.fault = "computing"
        ran = run(pipeline())
        assert ran.states["numbers"] == "failed"
        assert "a row cannot be computed" in str(ran.outcome("numbers").error)
        assert objects() == []
        assert list(kept().entries()) == []

    def test_an_interrupt_is_one(self) -> None:
        Kitchen.fault = "cancelled"
        ran = run(pipeline())
        assert ran.states["numbers"] == "cancelled"
        assert objects() == []
        assert list(kept().entries()) == []

    def test_a_cache_that_refuses(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def store(self: MemoryCache, *given: Any) -> Any:
            raise StorageError("the disk is full")

        monkeypatch.setattr(MemoryCache, "store", store)
        ran = run_all()
        assert ran.value("total") == 6
        assert ran.value("numbers").name == "numbers"
        assert objects() == []

    def test_a_cache_without_room_for_it(self) -> None:
        """It gets one Arrow file, as of any other engine."""
        pytest.importorskip("pyarrow")
        ran = run(pipeline(cache="plain"))
        assert (ran.value("total"), ran.value("largest")) == (6, 3)
        assert ran.outcome("numbers").kept == "recipes"
        assert Kitchen.arrows == 1
        assert objects() == []
        ran = run(pipeline(numbers, cache="plain"))
        assert ran.states == {"numbers": "reused"}
        assert ran.value("numbers").rows() == [1, 2, 3]


class TestTogether:
    def test_of_many_runs_one_computes_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The others wait while it is written, and read the dataset."""
        lease, write = MemoryCache.lease, RecipesEngine.write_dataset
        refused: set[int] = set()
        both_wait = threading.Event()

        def leased(self: MemoryCache, key: str, ttl: float) -> Any:
            found = lease(self, key, ttl)
            if found is None:
                refused.add(threading.get_ident())
                if len(refused) == 2:
                    both_wait.set()
            return found

        def written(self: RecipesEngine, *given: Any) -> Any:
            assert both_wait.wait(60)
            return write(self, *given)

        monkeypatch.setattr(MemoryCache, "lease", leased)
        monkeypatch.setattr(RecipesEngine, "write_dataset", written)

        def one(name: str) -> odibi.Pipeline:
            return odibi.Pipeline(
                name, [numbers, total], engine="recipes", host=HOST, cache={"type": "memory", "name": "datasets"}
            )

        found = together(*[lambda name=name: run(one(name)) for name in ("p", "q", "r")])
        for ran in found:
            assert isinstance(ran, Ran), ran
            assert ran.value("total") == 6
        assert Kitchen.computed.count("numbers") == 1
        assert Kitchen.computed.count("numbers from its dataset") == 3
        assert kept().stats().puts == 1
        assert objects() == ["0.json", "1.json", "2.json", "_SUCCESS"]

    def test_whose_lease_was_lost_goes_on_with_what_the_other_put(self, monkeypatch: pytest.MonkeyPatch) -> None:
        lost: list[str] = []
        fence = MemoryCache.fence

        def fenced(self: MemoryCache, lease: Any) -> None:
            if not lost:
                lost.append(lease.key)
                theirs = self.dataset(lease.key)
                known = RecipesEngine().write_dataset(Recipe("theirs", lambda: [1, 2, 3]), theirs.storage, theirs.path)
                self.put_dataset(lease.key, theirs, json.dumps(known).encode(), label="recipes")
                self.shelf.leases[lease.key] = attrs.evolve(lease, token=lease.token + 1)
            fence(self, lease)

        monkeypatch.setattr(MemoryCache, "fence", fenced)
        ran = run_all()
        assert (ran.value("total"), ran.value("largest")) == (6, 3)
        assert ran.value("numbers").name == "theirs from its dataset"
        assert Kitchen.computed.count("numbers") == 1
        assert objects() == ["0.json", "1.json", "2.json", "_SUCCESS"]
