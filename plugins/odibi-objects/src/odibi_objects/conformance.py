"""The suites for this package's components, on a storage in files, and that storage."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from odibi.testing.cache import CacheSuite, Clock
from odibi.testing.cache_store import START
from odibi.testing.checkpoint import CheckpointSuite
from odibi.testing.reference.files import FileStorage
from odibi_objects.cache import StorageCache
from odibi_objects.checkpoint import StorageCheckpoints

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


_BUILT = """
from odibi.testing.reference.files import FileStorage
from {home} import {name}
{variable} = {name}(**{{**{options!r}, "connection": FileStorage({place!r})}})
"""


class StorageCacheSuite(CacheSuite):
    """The suite for caches; counts and uses are written at once, as it looks at them at once."""

    component = StorageCache
    begun = int(time.monotonic())  # whole, so that nothing is rounded

    def options(self, place: Path) -> Mapping[str, Any]:  # noqa: ARG002 - it is the connection's
        """As in a project file, where the connection has a name; :meth:`make` builds it, as the kernel does."""
        return {"connection": "store", "prefix": "c", "count_every": 0, "parallel": 4}

    def make(self, place: Path) -> StorageCache:
        """On a storage in the place."""
        return StorageCache(**{**self.options(place), "connection": FileStorage(str(place))})

    def make_bounded(self, place: Path, max_bytes: int) -> StorageCache:
        """On a storage in the place."""
        return StorageCache(**{**self.options(place), "connection": FileStorage(str(place)), "max_size": max_bytes})

    def set_clock(self, cache: StorageCache, clock: Clock) -> None:
        """The monotonic clock of a machine is one for all of its processes, of which the suite starts some."""
        cache.clock.time, cache.clock.monotonic = clock, lambda: self.begun + clock.now - START

    def corrupt(self, place: Path, key: str, damage: Callable[[bytes], bytes]) -> None:
        """There is one object with the content."""
        storage = FileStorage(str(place))
        (entry,) = (stat.path for stat in storage.list() if f"/{key}!/" in stat.path)
        storage.damage(entry, damage)

    def process_code(self, place: Path) -> str:
        """With a connection of its own."""
        home, options = "odibi_objects.cache", self.options(place)
        return _BUILT.format(home=home, name="StorageCache", variable="cache", options=options, place=str(place))


class StorageCheckpointsSuite(CheckpointSuite):
    """The suite for checkpoint stores."""

    component = StorageCheckpoints

    def options(self, place: Path) -> Mapping[str, Any]:  # noqa: ARG002 - it is the connection's
        """As in a project file, where the connection has a name; :meth:`make` builds it, as the kernel does."""
        return {"connection": "store", "parallel": 4}

    def make(self, place: Path) -> StorageCheckpoints:
        """On a storage in the place."""
        return StorageCheckpoints(**{**self.options(place), "connection": FileStorage(str(place))})

    def process_code(self, place: Path) -> str:
        """With a connection of its own."""
        home, options = "odibi_objects.checkpoint", self.options(place)
        return _BUILT.format(home=home, name="StorageCheckpoints", variable="store", options=options, place=str(place))
