"""Results on their way into the cache and back."""

from __future__ import annotations

import json
import logging
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, cast

from odibi.errors import Cancelled, Conflict, OdibiError, StorageError, TransformError
from odibi.run.context import NodeContext
from odibi.run.lazy import open_session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from odibi.contracts.cache import Cache, Dataset, DatasetCache, Lease
    from odibi.contracts.engine import DatasetEngine
    from odibi.run.frames import Frames
    from odibi.run.resources import Resources
    from odibi.run.task import NodeTask

JSON = "json"
"""The label of a value that is no table."""

_log = logging.getLogger("odibi.cache")


class Values:
    """Puts results into a cache and gets them out; tables by their engines, plain values as JSON. Nothing is pickled.

    A table goes through this process as one Arrow file, unless its engine can write it past this process, and the cache
    has room for that.

    Args:
        cache: where they are kept.
        frames: knows which engine a value belongs to.
        resources: builds the engines.
    """

    def __init__(self, cache: Cache, frames: Frames, resources: Resources) -> None:
        self.cache = cache
        self._frames = frames
        self._resources = resources
        self._writes_datasets: dict[str, bool] = {}

    def put(self, key: str, value: Any, ttl: float | None, lease: Lease | None = None) -> tuple[str, Any]:
        """Keep ``value``.

        A result that is not kept is computed again when it is needed, so that what goes wrong with keeping it fails no
        node.

        Returns:
            Its label, or nothing if it is of a kind, or at a moment, that cannot be kept; and the value to go on with:
            the one that was kept, where ``value`` is a recipe that would be followed a second time.

        Raises:
            Cancelled: the engine was interrupted.
            TransformError: the value is a recipe, and following it failed.
        """
        name = self._frames.engine_of(value)
        try:
            if name is not None:
                if self._is_dataset(name):
                    return name, self._put_dataset(key, value, name, ttl, lease)
                engine = self._resources.engine(name)
                self.cache.put(key, lambda file: engine.write_arrow(value, file), ttl, label=name, lease=lease)
                return name, value
            if is_plain(value):
                text = json.dumps(value).encode()
                self.cache.put(key, lambda file: _write(file, text), ttl, label=JSON, lease=lease)
                return JSON, value
            _log.debug("a %s.%s is not kept in the cache", type(value).__module__, type(value).__qualname__)
        except (Cancelled, TransformError):
            raise
        except OdibiError as error:
            _log.info("a result is not kept in the cache: %s", error)
        except Exception as error:  # a plugin's mistake
            _log.warning("a result is not kept in the cache: %s: %s", type(error).__name__, error)
        return "", value

    def get(self, key: str) -> tuple[bool, Any]:
        """Whether the cache holds the result, and the result."""
        try:
            found = self.cache.get(key)
            if found is None:
                return False, None
            if found.label == JSON:
                return True, json.loads(bytes(found.data))
            if found.dataset is not None:
                return True, self._read_dataset(found.label, found.dataset, bytes(found.data))
            return True, self._resources.engine(found.label).read_arrow(found.data)
        except (OdibiError, ValueError) as error:
            _log.warning("a cached result cannot be used: %s", error)
            return False, None

    @contextmanager
    def session(self, task: NodeTask, value: Any) -> Iterator[None]:
        """A ``with`` block in which what an engine computes to keep ``value`` belongs to the node."""
        name = self._frames.engine_of(value)
        if name is None or not self._is_dataset(name):
            yield
            return
        context = NodeContext(task, self._resources.engine(name), self._frames, {})
        try:
            open_session(task, context)
            yield
        finally:
            context.close()

    # --- datasets ---------------------------------------------------------------------------------------------------

    def _is_dataset(self, engine: str) -> bool:
        """Whether the frames of an engine are kept as datasets."""
        known = self._writes_datasets.get(engine)
        if known is None:
            able = self._resources.host.capability("engine", engine, "datasets").is_there
            known = self._writes_datasets[engine] = able and hasattr(self.cache, "put_dataset")
        return known

    def _put_dataset(self, key: str, frame: Any, name: str, ttl: float | None, lease: Lease | None) -> Any:
        """Keep a frame as a dataset; returns the frame that is read from there, or from where another put it first."""
        engine = cast("DatasetEngine", self._resources.engine(name))
        cache = cast("DatasetCache", self.cache)
        dataset = cache.dataset(key)
        try:
            known = json.dumps(dict(engine.write_dataset(frame, dataset.storage, dataset.path))).encode()
        except BaseException:
            with suppress(StorageError):
                _remove(dataset)
            raise
        try:
            cache.put_dataset(key, dataset, known, ttl, label=name, lease=lease)
        except Conflict:
            there, value = self.get(key)
            if there:
                return value
            raise
        try:
            return self._read_dataset(name, dataset, known)
        except BaseException:
            with suppress(StorageError):
                cache.delete(key)  # nobody else can read it either
            raise

    def _read_dataset(self, name: str, dataset: Dataset, known: bytes) -> Any:
        engine = cast("DatasetEngine", self._resources.engine(name))
        return engine.read_dataset(dataset.storage, dataset.path, json.loads(known))


def _remove(dataset: Dataset) -> None:
    for stat in list(dataset.storage.list(dataset.path)):
        dataset.storage.delete(stat.path)


def _write(file: BinaryIO, content: bytes) -> None:
    file.write(content)


def is_plain(value: Any) -> bool:
    """Whether JSON gives ``value`` back as it was."""
    todo = [value]
    seen = 0
    while todo:
        each = todo.pop()
        kind = type(each)
        seen += 1
        if seen > 100_000:  # what is that large belongs into a table
            return False
        if kind is dict:
            if any(type(key) is not str for key in each):
                return False
            todo += each.values()
        elif kind is list:
            todo += each
        elif each is not None and kind not in (str, int, float, bool):
            return False
    return True
