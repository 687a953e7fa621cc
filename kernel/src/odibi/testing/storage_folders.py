"""Tests of a storage whose folders can be replaced in one step."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from odibi.contracts.storage import ABSENT, ALWAYS, FolderStorage
from odibi.errors import Conflict, InvalidPath, NotFound, StorageError
from odibi.testing.component import together
from odibi.testing.storage_base import StorageBase, paths_of, there
from odibi.testing.storage_files import BAD_PATHS, content, often_switching

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from odibi.contracts.storage import Storage, When

STAGE = "lake/.odibi-stage-1"


class FolderTests(StorageBase):
    """Replacing folders; for storages that can."""

    @pytest.fixture
    def folders(self, storage: Storage) -> FolderStorage:
        """The storage, if its folders can be replaced."""
        declared = self.capability("replace_folder")
        if isinstance(storage, FolderStorage):
            return storage
        assert not declared.is_there, "it declares 'replace_folder', and has no such method"
        pytest.skip(f"declared: storage {self.component.__qualname__} has 'replace_folder': {declared}")

    def replace(self, folders: FolderStorage, staged: str, path: str, when: When = ALWAYS) -> None:
        """Replace a folder, or leave the test out where this file system cannot do it in one step."""
        before = {found.path: found.etag for prefix in (staged, "") for found in folders.list(prefix)}
        done = folders.replace_folder(staged, path, when=when)
        assert isinstance(done, bool)
        if not done:
            after = {found.path: found.etag for prefix in (staged, "") for found in folders.list(prefix)}
            assert after == before, "it was not done, and something has changed"
            pytest.skip("the file system cannot do it in one step")
        assert paths_of(folders, staged) == []

    @pytest.mark.parametrize(
        "old",
        [{}, {"a": b"old"}, {"a": b"old", "z/y": b"old", "new/a": b"old"}, {"": b"an object"}],
        ids=["nothing", "one", "several", "an object"],
    )
    def test_a_folder_takes_the_place_of_another(
        self, folders: FolderStorage, other: Storage, old: Mapping[str, bytes]
    ) -> None:
        """All that was there is gone, the new objects are there with their etags, and what lies beside is as it was."""
        beside = ["lake/t.csv", "lake/t2/a", "lake/t-old/a", "t/a"]
        for path in beside:
            folders.write(path, b"beside")
        for name, data in old.items():
            folders.write(f"lake/t/{name}".rstrip("/"), data)
        new = {"a": b"new", "b": content(100_000), "new/c/d": b""}
        etags = {name: folders.write(f"{STAGE}/{name}", data).etag for name, data in new.items()}
        self.replace(folders, STAGE, "lake/t")
        for handle in (folders, other):
            assert {name: handle.read(f"lake/t/{name}") for name in new} == new
            assert [(found.path, found.etag) for found in handle.list("lake/t")] == [
                (f"lake/t/{name}", etags[name]) for name in sorted(new)
            ]
            assert paths_of(handle) == sorted([*beside, *(f"lake/t/{name}" for name in new)])
            assert paths_of(handle, STAGE) == []
        again = folders.write(f"{STAGE}/a", b"newer").etag
        self.replace(folders, STAGE, "lake/t")
        assert [(found.path, found.etag) for found in other.list("lake/t")] == [("lake/t/a", again)]

    def test_only_if_nothing_is_there(self, folders: FolderStorage) -> None:
        """An object at the path or below it is in the way; what only begins like it is not."""
        folders.write("lake/t2/a", b"beside")
        folders.write(f"{STAGE}/a", b"new")
        for there_already in ("lake/t", "lake/t/a", "lake/t/x/y"):
            folders.write(there_already, b"old")
            with pytest.raises(Conflict):
                folders.replace_folder(STAGE, "lake/t", when=ABSENT)
            assert paths_of(folders, "lake/t") == [there_already]
            assert (folders.read(there_already), folders.read(f"{STAGE}/a")) == (b"old", b"new")
            folders.delete(there_already)
        self.replace(folders, STAGE, "lake/t", ABSENT)
        assert folders.read("lake/t/a") == b"new"

    def test_what_is_staged_shows_to_who_names_it_alone(self, folders: FolderStorage, other: Storage) -> None:
        """A listing of a folder above shows nothing of it."""
        folders.write(f"{STAGE}/d/a", b"1")
        with folders.create(f"{STAGE}/b") as file:
            file.write(b"2")
        assert [paths_of(other, prefix) for prefix in ("", "lake")] == [[], []]
        assert paths_of(other, STAGE) == [f"{STAGE}/b", f"{STAGE}/d/a"]
        assert paths_of(other, f"{STAGE}/d") == [f"{STAGE}/d/a"]
        assert (other.read(f"{STAGE}/d/a"), other.stat(f"{STAGE}/b").size) == (b"1", 1)
        folders.delete(f"{STAGE}/b")
        folders.delete(f"{STAGE}/d/a")
        assert paths_of(other, STAGE) == []

    def test_an_empty_stage_is_not_found(self, folders: FolderStorage) -> None:
        """And what is there stays, whether something was staged once or never."""
        folders.write("lake/t/a", b"old")
        folders.write(f"{STAGE}/a", b"1")
        folders.delete(f"{STAGE}/a")
        for staged in (STAGE, "lake/.odibi-stage-never"):
            for when in (ALWAYS, ABSENT):
                with pytest.raises((NotFound, Conflict) if when is ABSENT else NotFound):
                    folders.replace_folder(staged, "lake/t", when=when)
        assert paths_of(folders) == ["lake/t/a"]

    @pytest.mark.parametrize("path", BAD_PATHS, ids=ascii)
    def test_a_folder_that_leads_out_is_refused(self, folders: FolderStorage, path: str) -> None:
        """On either side."""
        folders.write(f"{STAGE}/a", b"1")
        with pytest.raises(InvalidPath):
            folders.replace_folder(STAGE, path)
        with pytest.raises(InvalidPath):
            folders.replace_folder(path, "lake/t")
        assert (paths_of(folders), paths_of(folders, STAGE)) == ([], [f"{STAGE}/a"])

    def test_a_stage_is_beside_and_has_a_name_that_tells(self, folders: FolderStorage) -> None:
        """Anything else is refused, and stays."""
        for staged in ("elsewhere/.odibi-stage-1", "lake/d/.odibi-stage-1", "lake/staged"):
            folders.write(f"{staged}/a", b"1")
            with pytest.raises(StorageError):
                folders.replace_folder(staged, "lake/t")
            assert folders.read(f"{staged}/a") == b"1"
            assert there(folders, "lake/t/a") is None

    def test_an_open_object_is_read_to_its_end(self, folders: FolderStorage) -> None:
        """Though its folder is replaced."""
        data = content(2_000_000)
        folders.write("lake/t/a", data)
        folders.write(f"{STAGE}/a", b"new")
        with folders.open("lake/t/a") as file:
            seen = file.read(1000)
            self.replace(folders, STAGE, "lake/t")
            assert seen + file.read() == data
        assert folders.read("lake/t/a") == b"new"

    def test_of_many_that_want_to_be_the_first_one_is(self, folders: FolderStorage, other: Storage) -> None:
        """The others get Conflict, and keep what they have staged."""
        for number in range(6):
            folders.write(f"lake/.odibi-stage-{number}/{number}", b"x")

        def go(number: int) -> Callable[[], bool]:
            return lambda: folders.replace_folder(f"lake/.odibi-stage-{number}", "lake/t", when=ABSENT)

        with often_switching():
            results = together(*map(go, range(6)))
        if all(result is False for result in results):
            pytest.skip("the file system cannot do it in one step")
        winners = [number for number, result in enumerate(results) if result is True]
        assert len(winners) == 1, results
        assert sum(isinstance(result, Conflict) for result in results) == 5, results
        assert paths_of(other) == [f"lake/t/{winners[0]}"]
        for number in set(range(6)) - set(winners):
            assert paths_of(other, f"lake/.odibi-stage-{number}") == [f"lake/.odibi-stage-{number}/{number}"]

    def test_readers_see_one_version_whole(self, folders: FolderStorage, other: Storage) -> None:
        """The folder is never empty, and a listing shows nothing new beside something old."""
        done = threading.Event()

        def version(number: int) -> None:
            stage = f"lake/.odibi-stage-{number}"
            for part in range(3):
                folders.write(f"{stage}/{number}-{part}", f"{number}".encode())
            folders.write(f"{stage}/same", f"{number}".encode() * 10_000)
            self.replace(folders, stage, "lake/t")

        version(0)

        def write() -> None:
            try:
                for number in range(1, 20):
                    version(number)
            finally:
                done.set()

        def read() -> None:
            while not done.is_set():
                assert len(set(other.read("lake/t/same").decode())) <= 2
                names = [path.rpartition("/")[2] for path in paths_of(other, "lake/t")]
                assert names, "the folder was empty"
                assert len({name.partition("-")[0] for name in names if name != "same"}) <= 1, names

        with often_switching():
            results = together(write, read, read)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        assert paths_of(other, "lake/t") == ["lake/t/19-0", "lake/t/19-1", "lake/t/19-2", "lake/t/same"]
