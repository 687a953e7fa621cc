"""The conformance suites on what this package offers, for ``pytest --odibi-conformance`` and for its own tests."""

from __future__ import annotations

import os
import resource
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from odibi.testing.cache import CacheSuite, Clock
from odibi.testing.checkpoint import CheckpointSuite
from odibi.testing.storage import StorageSuite
from odibi_local.cache import DiskCache
from odibi_local.checkpoints import SqliteCheckpoints
from odibi_local.storage import LocalStorage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class LocalStorageSuite(StorageSuite):
    """The storage for ``type: local``."""

    component: ClassVar[type] = LocalStorage

    def options(self, place: Path) -> dict[str, Any]:
        """The folder itself."""
        return {"base_path": str(place)}

    def raw_get(self, place: Path, path: str) -> bytes | None:
        """The file."""
        file = place / path
        return file.read_bytes() if file.is_file() else None

    def raw_put(self, place: Path, path: str, data: bytes) -> None:
        """A file, as any program would write it."""
        file = place / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)

    @contextmanager
    def disconnected(self, place: Path) -> Iterator[None]:  # noqa: ARG002 - it is so for every folder
        """The process may open no more files, so that no folder can be reached; that passes."""
        most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, most[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, most)


class DiskCacheSuite(CacheSuite):
    """The cache for ``type: disk``."""

    component: ClassVar[type] = DiskCache

    def options(self, place: Path) -> dict[str, Any]:
        """The folder itself."""
        return {"path": str(place)}

    def set_clock(self, cache: DiskCache, clock: Clock) -> None:
        """As :meth:`DiskCache.with_clock` does."""
        object.__setattr__(cache, "_clock", clock)

    def corrupt(self, place: Path, key: str, damage: Callable[[bytes], bytes]) -> None:
        """There is one file with the content; decay leaves no trace in its times.

        An older one may be there of a dataset that was replaced.
        """
        file = max(place.glob(f"v1/??/{key}.*"), key=lambda path: path.stat().st_mtime_ns)
        used = file.stat().st_mtime_ns
        file.write_bytes(damage(file.read_bytes()))
        os.utime(file, ns=(used, used))


class SqliteCheckpointsSuite(CheckpointSuite):
    """The checkpoint store for ``type: sqlite``."""

    component: ClassVar[type] = SqliteCheckpoints

    def options(self, place: Path) -> dict[str, Any]:
        """A database in it."""
        return {"path": str(place / "runs.db")}
