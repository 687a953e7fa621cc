"""The ledger of consumed versions: exact, small, and never silently wrong."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from odibi.errors import StorageError
from odibi.testing.reference.files import FileStorage
from odibi_triggers import ledger as module
from odibi_triggers.ledger import FORGET, GRACE, TAIL, WASTE, Ledger, LedgerDamaged, key_of
from odibi_triggers.shelves import FolderShelf, Shelf, StorageShelf

HOUR = 500_000


def keys(begin: int, end: int) -> list[bytes]:
    return [key_of(f"in/{at}.csv", "e") for at in range(begin, end)]


@pytest.fixture(params=["folder", "storage"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Shelf:
    if request.param == "folder":
        return FolderShelf(tmp_path / "streams/x")
    return StorageShelf(FileStorage(str(tmp_path)), "streams/x")


def opened(shelf: Shelf, offset: object = None) -> Ledger:
    return Ledger(lambda name: shelf, "x", json.loads(json.dumps(offset)))


@settings(max_examples=50, deadline=None)
@given(sizes=st.lists(st.integers(1, 9), max_size=25), at=st.integers(0, 25))
def test_an_offset_stands_for_just_what_was_consumed(
    sizes: list[int], at: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "TAIL", 3)
        patch.setattr(module, "FAN", 2)
        shelf = FolderShelf(tmp_path_factory.mktemp("ledger"))
        there, offsets, done = opened(shelf), [], 0
        offsets.append((there.offset(), 0))
        for size in sizes:
            there.add(keys(done, done + size))
            done += size
            offsets.append((there.offset(), done))
        offset, count = offsets[min(at, len(sizes))]
        again = opened(shelf, offset)
        assert len(again) == count
        assert all(key in again for key in keys(0, count))
        assert not any(key in again for key in keys(count, done + 3))


def test_an_offset_stays_small(shelf: Shelf) -> None:
    there, written = opened(shelf), 0
    for begin in range(0, 20_000, 50):
        there.add(keys(begin, begin + 50))
        written = max(written, len(json.dumps(there.offset())))
    assert written < 16.1 * TAIL + 64 * 20
    assert len(there.offset()["segments"]) < 20
    assert len(opened(shelf, there.offset())) == 20_000


def test_few_files_need_no_shelf(tmp_path: Path) -> None:
    there = opened(FolderShelf(tmp_path / "never"))
    there.add(keys(0, TAIL))
    assert len(opened(FolderShelf(tmp_path / "never"), there.offset())) == TAIL
    assert not (tmp_path / "never").exists()


def test_versions_that_are_gone_for_long_are_forgotten(shelf: Shelf) -> None:
    there, count = opened(shelf), 4 * WASTE
    there.add(keys(0, count))
    kept = keys(0, 10)
    assert there.forget(set(kept), hour=HOUR)
    assert len(there) == count, "remembered for a while, as a listing may have missed them"
    assert not there.forget(set(kept), hour=HOUR + FORGET - 1)
    back = keys(20, 30)
    there = opened(shelf, there.offset())
    assert there.forget({*kept, *back}, hour=HOUR + FORGET)
    assert len(there) == 20
    again = opened(shelf, there.offset())
    assert all(key in again for key in kept + back)
    assert keys(10, 11)[0] not in again


def test_little_waste_is_left_alone(shelf: Shelf) -> None:
    there = opened(shelf)
    there.add(keys(0, WASTE))
    before = there.offset()
    assert not there.forget(set(), hour=HOUR)
    assert there.offset() == before


def test_what_nobody_needs_is_swept_up_after_a_while(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    there = opened(FolderShelf(folder))
    for begin in range(0, 8 * TAIL, TAIL // 2):
        there.add(keys(begin, begin + TAIL // 2))
    needed = {name for name, _ in there.offset()["segments"]}
    waste = {file.name for file in folder.iterdir()} - needed
    assert waste
    opened(FolderShelf(folder), there.offset()).sweep()
    assert {file.name for file in folder.iterdir()} == needed | waste, "not while an older offset may name it"
    (folder / ".draft-of-a-killed-writer").touch()
    for file in folder.iterdir():
        os.utime(file, (0, time.time() - GRACE - 60))
    opened(FolderShelf(folder), there.offset()).sweep()
    assert {file.name for file in folder.iterdir()} == needed
    assert len(opened(FolderShelf(folder), there.offset())) == len(there)


def test_the_beginning_is_kept(shelf: Shelf) -> None:
    assert Ledger.beginning(lambda name: shelf, "x") is None
    opened(shelf).begin_at(keys(0, TAIL + 5))
    opened(shelf).begin_at(keys(0, 3))  # too late
    found = Ledger.beginning(lambda name: shelf, "x")
    assert found is not None
    assert len(found) == TAIL + 5
    found.sweep()
    assert len(opened(shelf, found.offset())) == TAIL + 5


@pytest.mark.parametrize(
    "offset",
    [
        "2020",
        7,
        {},
        [],
        {"version": 2, "ledger": "x", "segments": [], "recent": ""},
        {"version": 1, "ledger": "x", "segments": [], "recent": "AAAA"},
        {"version": 1, "ledger": "x", "segments": [], "recent": "?"},
        {"version": 1, "ledger": "../x", "segments": [], "recent": ""},
        {"version": 1, "ledger": "x", "segments": [["../../etc/passwd", 1]], "recent": ""},
        {"version": 1, "ledger": "x", "segments": [["00ff", 1]], "recent": ""},
    ],
    ids=str,
)
def test_what_is_no_offset_is_refused(offset: object, tmp_path: Path) -> None:
    with pytest.raises(LedgerDamaged):
        opened(FolderShelf(tmp_path), offset)


@pytest.mark.parametrize("damage", ["gone", "flipped", "cut"])
def test_damage_is_an_error_and_never_a_guess(damage: str, tmp_path: Path) -> None:
    there = opened(FolderShelf(tmp_path))
    there.add(keys(0, TAIL + 1))
    (file,) = tmp_path.iterdir()
    content = file.read_bytes()
    if damage == "gone":
        file.unlink()
    elif damage == "cut":
        file.write_bytes(content[:-16])
    else:
        file.write_bytes(content[:-3] + bytes([content[-3] ^ 1]) + content[-2:])
    with pytest.raises(LedgerDamaged, match="Bring the folder"):
        opened(FolderShelf(tmp_path), there.offset())


def test_a_shelf_that_cannot_be_written_is_an_error_of_storage(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="name another folder"):
        opened(FolderShelf(tmp_path / "file/x")).add(keys(0, TAIL + 1))
