"""Results on their way into the cache and back."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from odibi.errors import DataError, OdibiError, StorageError

if TYPE_CHECKING:
    from typing import BinaryIO

    from odibi.contracts.cache import Cache, Lease
    from odibi.run.frames import Frames
    from odibi.run.resources import Resources

JSON = "json"
"""The label of a value that is no table."""

_log = logging.getLogger("odibi.cache")


class Values:
    """Puts results into a cache and gets them out; tables by their engines, plain values as JSON. Nothing is pickled.

    Args:
        cache: where they are kept.
        frames: knows which engine a value belongs to.
        resources: builds the engines.
    """

    def __init__(self, cache: Cache, frames: Frames, resources: Resources) -> None:
        self.cache = cache
        self._frames = frames
        self._resources = resources

    def put(self, key: str, value: Any, ttl: float | None, lease: Lease | None = None) -> str:
        """Keep ``value``; returns its label, or nothing if it is of a kind, or at a moment, that cannot be kept.

        A result that is not kept is computed again when it is needed, so nothing that goes wrong here fails a node.
        """
        name = self._frames.engine_of(value)
        try:
            if name is not None:
                engine = self._resources.engine(name)
                self.cache.put(key, lambda file: engine.write_arrow(value, file), ttl, label=name, lease=lease)
                return name
            if is_plain(value):
                text = json.dumps(value).encode()
                self.cache.put(key, lambda file: _write(file, text), ttl, label=JSON, lease=lease)
                return JSON
            _log.debug("a %s.%s is not kept in the cache", type(value).__module__, type(value).__qualname__)
        except (DataError, StorageError) as error:
            _log.info("a result is not kept in the cache: %s", error)
        except Exception as error:  # a plugin's mistake
            _log.warning("a result is not kept in the cache: %s: %s", type(error).__name__, error)
        return ""

    def get(self, key: str) -> tuple[bool, Any]:
        """Whether the cache holds the result, and the result."""
        try:
            found = self.cache.get(key)
            if found is None:
                return False, None
            if found.label == JSON:
                return True, json.loads(bytes(found.data))
            return True, self._resources.engine(found.label).read_arrow(found.data)
        except (OdibiError, ValueError) as error:
            _log.warning("a cached result cannot be used: %s", error)
            return False, None


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
