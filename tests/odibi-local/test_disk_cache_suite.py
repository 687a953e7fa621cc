"""The disk cache under the conformance suite for caches."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from odibi_local.conformance import DiskCacheSuite


def swift_folder() -> Path:
    """A new folder in memory, where there is such: what is done hundreds of times need not wait for a disk."""
    return Path(tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))


class TestDiskCache(DiskCacheSuite):
    @pytest.fixture
    def place(self) -> Iterator[Path]:
        place = swift_folder()
        yield place
        shutil.rmtree(place)
