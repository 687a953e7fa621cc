"""The checkpoint store under the conformance suite for checkpoint stores."""

from __future__ import annotations

from pathlib import Path

from storages import FileStorage

from odibi.testing.checkpoint import CheckpointSuite
from odibi_objects.checkpoint import StorageCheckpoints


class TestStorageCheckpoints(CheckpointSuite):
    def make_store(self, place: Path) -> StorageCheckpoints:
        return StorageCheckpoints(connection=FileStorage(str(place)), parallel=4)

    def process_code(self, place: Path) -> str:
        return (
            "from odibi_objects.checkpoint import StorageCheckpoints\n"
            "from storages import FileStorage\n"
            f"store = StorageCheckpoints(connection=FileStorage({str(place)!r}))"
        )
