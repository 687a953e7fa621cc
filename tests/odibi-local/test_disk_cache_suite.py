"""The disk cache under the conformance suite for caches."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from odibi.testing.cache import CacheStore, CacheSuite, Clock
from odibi_local.cache import DiskCache


def swift_folder() -> Path:
    """A new folder in memory, where there is such: what is done hundreds of times need not wait for a disk."""
    return Path(tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))


class DiskStore(CacheStore):
    def __init__(self) -> None:
        self.clock = Clock()
        self.folder = swift_folder()

    def open(self) -> DiskCache:
        return DiskCache.with_clock(self.clock, path=str(self.folder))

    def open_bounded(self, max_bytes: int) -> DiskCache:
        return DiskCache.with_clock(self.clock, path=str(self.folder), max_size=max_bytes)

    def process_code(self) -> str:
        return f"from odibi_local.cache import DiskCache; cache = DiskCache(path={str(self.folder)!r})"

    def corrupt(self, key: str, damage: Callable[[bytes], bytes]) -> None:
        (file,) = self.folder.glob(f"v1/??/{key}.*")
        used = file.stat().st_mtime_ns
        file.write_bytes(damage(file.read_bytes()))
        os.utime(file, ns=(used, used))  # decay leaves no trace

    def close(self) -> None:
        shutil.rmtree(self.folder)


class TestDiskCache(CacheSuite):
    def new_store(self) -> CacheStore:
        return DiskStore()
