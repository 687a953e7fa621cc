"""The disk cache under the conformance suite for caches."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from odibi.testing.cache import CacheSuite, Clock
from odibi_local.cache import DiskCache


def swift_folder() -> Path:
    """A new folder in memory, where there is such: what is done hundreds of times need not wait for a disk."""
    return Path(tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))


class DiskCacheSuite(CacheSuite):
    component = DiskCache

    def options(self, place: Path) -> Mapping[str, Any]:
        return {"path": str(place)}

    def set_clock(self, cache: DiskCache, clock: Clock) -> None:
        object.__setattr__(cache, "_clock", clock)

    def corrupt(self, place: Path, key: str, damage: Callable[[bytes], bytes]) -> None:
        (file,) = place.glob(f"v1/??/{key}.*")
        used = file.stat().st_mtime_ns
        file.write_bytes(damage(file.read_bytes()))
        os.utime(file, ns=(used, used))  # decay leaves no trace


class TestDiskCache(DiskCacheSuite):
    pass
