"""Storages with one defect each."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from odibi.testing.reference.storage import FolderMemoryStorage, cut_off, shelf
from odibi.testing.storage import StorageSuite
from odibi.testing.zoo import Zoo

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class SoundStorageSuite(StorageSuite):
    """The suite on the storage in memory."""

    component: ClassVar[type] = FolderMemoryStorage
    in_this_process: ClassVar[bool] = True

    def options(self, place: Path) -> dict[str, Any]:
        """A name a place."""
        return {"name": str(place)}

    def raw_get(self, place: Path, path: str) -> bytes | None:
        """From the shelf itself."""
        kept = shelf(str(place)).objects.get(path)
        return kept.data if kept else None

    def raw_put(self, place: Path, path: str, data: bytes) -> None:
        """On the shelf itself."""
        with shelf(str(place)).lock:
            shelf(str(place)).keep(path, data)

    @contextmanager
    def disconnected(self, place: Path) -> Iterator[None]:
        """The shelf does not answer."""
        with cut_off(str(place)):
            yield


zoo = Zoo(SoundStorageSuite)
