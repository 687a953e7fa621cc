"""The storage in memory, which the suite for storages is tried on and which people test their pipelines with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from odibi.errors import NotFound, Transient
from odibi.testing.reference.storage import FolderMemoryStorage, MemoryStorage, cut_off, forget, shelf
from odibi.testing.storage import StorageSuite
from odibi.testing.zoo.storage import SoundStorageSuite


class TestMemoryStorage(SoundStorageSuite):
    component = MemoryStorage


def test_storages_without_a_name_share_nothing() -> None:
    first, second = MemoryStorage(), MemoryStorage()
    first.write("o", b"1")
    assert [*second.list()] == []


def test_storages_of_one_name_share_their_objects_until_they_are_forgotten() -> None:
    first, second = MemoryStorage(name="lake"), FolderMemoryStorage(name="lake")
    try:
        first.write("o", b"1")
        first.close()
        assert second.read("o") == b"1"
        forget("lake")
        with pytest.raises(NotFound):
            MemoryStorage(name="lake").read("o")
        forget("lake")
        forget("never there")
    finally:
        forget("lake")


def test_it_can_be_cut_off_for_a_while() -> None:
    lake = MemoryStorage(name="lake")
    try:
        lake.write("o", b"1")
        listing = lake.list()
        with cut_off("lake"), pytest.raises(Transient):
            lake.write("o", b"2")
        with cut_off("lake"), pytest.raises(Transient):
            next(listing)
        assert lake.read("o") == shelf("lake").objects["o"].data == b"1"
    finally:
        forget("lake")


def test_a_suite_has_to_say_how_to_reach_the_backend(tmp_path: Path) -> None:
    class Incomplete(StorageSuite):
        component = MemoryStorage

        def options(self, place: Path) -> dict[str, Any]:
            return {"name": str(place)}

    with pytest.raises(NotImplementedError):
        Incomplete().raw_get(tmp_path, "o")
    with pytest.raises(NotImplementedError):
        Incomplete().raw_put(tmp_path, "o", b"")
    with pytest.raises(pytest.skip.Exception):
        Incomplete().disconnected(tmp_path)
