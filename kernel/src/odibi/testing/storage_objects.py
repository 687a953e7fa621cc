"""Tests of a storage that is used by one: what is written is what is read, and what is listed is what is there."""

from __future__ import annotations

import io
import os
import time
import tracemalloc
from array import array
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING, BinaryIO, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from odibi.contracts.storage import ABSENT, Match, Stat
from odibi.errors import Conflict, InvalidPath, NotFound, StorageError
from odibi.testing.component import needs
from odibi.testing.storage_base import StorageBase, paths_of, there
from odibi.testing.storage_files import NAMES, STRANGE_NAMES, ShortReads, content, watched

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from odibi.contracts.storage import Storage

_LARGE = 32 << 20
"""Bytes of which a storage that works with parts must not hold the half at once."""

_CHUNK = 1 << 18


class ObjectTests(StorageBase):
    """Reading, writing, listing and deleting, without anybody else."""

    # --- writing ----------------------------------------------------------------------------------------------------

    def test_what_is_written_is_read_at_every_size(self, storage: Storage, place: Path) -> None:
        """Byte for byte, through the storage and past it, about every size where a buffer or a part may end."""
        for size in self.all_sizes():
            data = content(size)
            seen = storage.write("d/o.bin", data)
            assert (seen.path, seen.size) == ("d/o.bin", size)
            assert storage.read("d/o.bin") == data
            assert self.raw_get(place, "d/o.bin") == data
            assert storage.stat("d/o.bin").size == size

    def test_what_another_program_wrote_is_read(self, storage: Storage, place: Path) -> None:
        """The objects are those of the backend, not of the storage."""
        for size in (0, 1, 70_000):
            data = content(size)
            self.raw_put(place, f"d/{size}", data)
            assert storage.read(f"d/{size}") == data
            assert storage.stat(f"d/{size}").size == size
        assert paths_of(storage) == ["d/0", "d/1", "d/70000"]

    def test_another_handle_sees_it_at_once(self, storage: Storage, other: Storage) -> None:
        """What was written, what was written over it, and that it is gone."""
        for data in (b"first", b"second, which is longer", b""):
            storage.write("o", data)
            assert other.read("o") == data
            assert other.stat("o") == storage.stat("o")
            assert list(other.list()) == list(storage.list())
        other.delete("o")
        assert there(storage, "o") is None
        assert paths_of(storage) == []

    def test_places_are_apart(self, storage: Storage, tmp_path: Path) -> None:
        """Two connections do not see each other's objects."""
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        another = self.make(elsewhere)
        try:
            storage.write("o", b"mine")
            assert there(another, "o") is None
            assert paths_of(another) == []
        finally:
            another.close()

    def test_a_write_replaces_all_that_was_there(self, storage: Storage, place: Path) -> None:
        """A shorter object leaves nothing of the longer one, and a second write does not append."""
        for size in (100_000, 10, 10, 0, 5):
            storage.write("o", content(size, seed=size))
            assert self.raw_get(place, "o") == content(size, seed=size)

    @pytest.mark.parametrize("kind", ["bytes", "view", "part of a view", "view of numbers", "empty view"])
    def test_data_may_be_any_view_of_bytes(self, storage: Storage, place: Path, kind: str) -> None:
        """It is the bytes that count, not the elements; and what becomes of the buffer later is of no account."""
        base = bytearray(content(80_000))
        views: dict[str, bytes | memoryview] = {
            "bytes": bytes(base),
            "view": memoryview(base),
            "part of a view": memoryview(base)[17:70_001],
            "view of numbers": memoryview(array("Q", bytes(base))),
            "empty view": memoryview(b""),
        }
        data = views[kind]
        expected = bytes(data)
        assert storage.write("o", data).size == len(expected)
        base[:] = bytes(len(base))
        assert storage.read("o") == expected
        assert self.raw_get(place, "o") == expected

    @pytest.mark.parametrize("kind", ["in memory", "on disk", "buffered", "unbuffered", "short reads", "watched"])
    @pytest.mark.parametrize("size", [0, 70_000, 3_000_001])
    def test_data_may_be_any_file(self, storage: Storage, place: Path, tmp_path: Path, kind: str, size: int) -> None:
        """Also one that gives less than it is asked for, or that cannot seek; it stays its owner's, and open."""
        data = content(size)
        file = tmp_path / "data"
        file.write_bytes(data)
        raw = ShortReads(data, 7_001)
        sources: dict[str, Callable[[], object]] = {
            "in memory": lambda: io.BytesIO(data),
            "on disk": lambda: file.open("rb"),
            "buffered": lambda: io.BufferedReader(raw),
            "unbuffered": lambda: file.open("rb", buffering=0),
            "short reads": lambda: raw,
            "watched": lambda: watched(data),
        }
        with cast("BinaryIO", sources[kind]()) as source:
            assert storage.write("o", source).size == size
            assert not source.closed, "the storage closed a file that is not its own"
        assert self.raw_get(place, "o") == data

    def test_data_begins_where_the_file_stands(self, storage: Storage) -> None:
        """Whoever has read a header writes the rest; at the end, that is nothing."""
        for at in (0, 1, 9_000, 10_000):
            source = io.BytesIO(content(10_000))
            source.seek(at)
            storage.write("o", source)
            assert storage.read("o") == content(10_000)[at:]

    def test_a_created_object_has_all_that_was_written(self, storage: Storage, place: Path) -> None:
        """In pieces of any size, in whatever way a file can be written."""
        for size in self.all_sizes():
            data = content(size)
            with storage.create("d/o") as file:
                assert file.writable()
                assert file.write(b"") == 0
                for at in range(0, size, 300_007):
                    part = data[at : at + 300_007]
                    assert file.write(part) == len(part)
            assert self.raw_get(place, "d/o") == data
        numbers = memoryview(array("Q", range(1000)))
        with storage.create("d/o") as file:
            assert file.write(memoryview(b"ab")) == 2
            assert file.write(bytearray(b"cd")) == 2
            assert file.tell() == 4
            assert file.write(numbers) == 8000
            file.flush()
            file.writelines([b"x", b"\r\n", b"y\n"])
        assert storage.read("d/o") == b"abcd" + bytes(numbers) + b"x\r\ny\n"
        with storage.create("d/o"):
            pass
        assert storage.read("d/o") == b""

    def test_a_created_file_may_be_closed_in_the_block(self, storage: Storage) -> None:
        """Libraries close what they wrote to; all of it is the object all the same."""
        with storage.create("o") as file:
            file.write(b"all of it")
            file.close()
        assert storage.read("o") == b"all of it"
        with storage.create("o") as file, io.TextIOWrapper(file, encoding="utf-8", newline="") as text:
            text.write("caf\u00e9\r\n")
        assert storage.read("o") == b"caf\xc3\xa9\r\n"

    def test_create_alone_does_nothing(self, storage: Storage) -> None:
        """The object appears with the end of the block, and not before the block begins."""
        storage.create("o")
        assert there(storage, "o") is None

    @needs("streaming_write")
    def test_a_created_object_need_not_fit_in_memory(self, storage: Storage) -> None:
        """What is held of it at any time is a part."""
        if self.in_this_process:
            pytest.skip("the backend keeps its objects in the memory of this process")
        part = content(_CHUNK)
        most = 4 * max(self.sizes, default=0)
        size = max(_LARGE, 2 * most)
        with storage.create("warm") as file:
            file.write(part)
        tracemalloc.start()
        try:
            with storage.create("large") as file:
                for _ in range(0, size, _CHUNK):
                    file.write(part)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert storage.stat("large").size == size
        assert peak < size // 2, f"{peak} bytes were held to write {size}"

    # --- names ------------------------------------------------------------------------------------------------------

    def test_names_are_kept_as_they_are(self, storage: Storage, other: Storage, place: Path) -> None:
        """Nothing is quoted, unquoted, folded, normalised or cut off, and no name stands for another."""
        expected = {}
        for number, name in enumerate(NAMES):
            expected[name] = f"{number}".encode()
            assert storage.write(name, expected[name]).path == name
        assert {name: other.read(name) for name in NAMES} == expected
        assert {name: self.raw_get(place, name) for name in NAMES} == expected
        assert paths_of(other) == sorted(expected)
        for name in NAMES:
            assert other.stat(name).path == name
            assert paths_of(other, name) == [name]
            with other.open(name) as file:
                assert file.read() == expected[name]
        for name in NAMES[::2]:
            other.delete(name)
        assert paths_of(storage) == sorted(NAMES[1::2])

    def test_names_that_another_program_gave_are_shown(self, storage: Storage, place: Path) -> None:
        """As they are in the backend, so that the objects can be read."""
        for name in NAMES:
            self.raw_put(place, name, name.encode())
        assert paths_of(storage) == sorted(NAMES)
        assert [storage.read(name) for name in NAMES] == [name.encode() for name in NAMES]

    @pytest.mark.parametrize("name", STRANGE_NAMES, ids=lambda name: ascii(name)[1:20])
    def test_a_strange_name_is_kept_or_refused(self, storage: Storage, name: str) -> None:
        """Not every backend can hold every name; none may be changed in silence."""
        storage.write("neighbour", b"n")
        try:
            storage.write(name, b"x")
        except StorageError:
            assert paths_of(storage) == ["neighbour"]
            return
        assert storage.read(name) == b"x"
        assert paths_of(storage) == sorted([name, "neighbour"])
        storage.delete(name)
        assert paths_of(storage) == ["neighbour"]

    def test_case_matters(self, storage: Storage) -> None:
        """``Orders`` and ``orders`` are two objects."""
        storage.write("Orders", b"upper")
        assert there(storage, "orders") is None
        storage.write("orders", b"lower")
        assert (storage.read("Orders"), storage.read("orders")) == (b"upper", b"lower")
        storage.delete("orders")
        assert paths_of(storage) == ["Orders"]

    def test_a_path_has_one_spelling(self, storage: Storage, place: Path) -> None:
        """Empty parts and ``.`` mean nothing, whoever gives them."""
        assert storage.write("./a//b/./c", b"x").path == "a/b/c"
        assert self.raw_get(place, "a/b/c") == b"x"
        for spelling in ("a/b/c", "a//b/c", "./a/b/c", "a/./b/c", "a/b/c/"):
            assert storage.read(spelling) == b"x"
            assert storage.stat(spelling).path == "a/b/c"
        for prefix in ("a", "a/", "./a", "a/b/", "a//b", "", ".", "./"):
            assert paths_of(storage, prefix) == ["a/b/c"]
        storage.delete("a//b//c")
        assert paths_of(storage) == []

    # --- what is known of objects -----------------------------------------------------------------------------------

    def test_stat_says_what_is_there(self, storage: Storage, other: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its path, its size in bytes, when it was changed in seconds since the epoch wherever we are, and an etag."""
        monkeypatch.setenv("TZ", "Asia/Kathmandu")
        if hasattr(time, "tzset"):
            time.tzset()
        try:
            before = time.time()
            written = storage.write("d/o", b"12345")
            after = time.time()
            stats = [written, storage.stat("d/o"), other.stat("d/o"), *storage.list("d"), *other.list()]
        finally:
            monkeypatch.undo()
            if hasattr(time, "tzset"):
                time.tzset()
        assert len(stats) == 5
        for found in stats:
            assert isinstance(found, Stat)
            assert (found.path, found.size, found.etag) == ("d/o", 5, written.etag)
            assert type(found.size) is int
            assert isinstance(found.etag, str)
            assert found.etag
            assert isinstance(found.modified, float)
            assert before - self.clock_skew <= found.modified <= after + self.clock_skew
            assert abs(found.modified - stats[1].modified) <= 2.0

    def test_an_etag_stays_while_nothing_changes(self, storage: Storage, other: Storage) -> None:
        """Reading is no change, nor is what happens to other objects, nor a write that is refused."""
        etag = storage.write("d/o", b"1").etag
        storage.read("d/o")
        with storage.open("d/o") as file:
            file.read()
        storage.write("d/p", b"2")
        storage.write("d/p", b"3")
        storage.delete("d/p")
        with pytest.raises(Conflict):
            storage.write("d/o", b"4", when=ABSENT)
        assert storage.stat("d/o").etag == other.stat("d/o").etag == etag
        assert [found.etag for found in other.list()] == [etag]

    @needs("compare_and_set")
    def test_an_etag_changes_with_the_content(self, storage: Storage, other: Storage) -> None:
        """Also if the size does not, one write comes right after another, and the other handle looks."""
        seen = []
        for number in range(40):
            written = storage.write("o", f"{number:04}".encode())
            assert storage.stat("o").etag == other.stat("o").etag == written.etag
            seen.append(written.etag)
        for number in range(10):
            with storage.create("o") as file:
                file.write(f"c{number:03}".encode())
            seen.append(other.stat("o").etag)
        assert len(set(seen)) == 50

    @needs("compare_and_set")
    def test_an_object_that_is_gone_leaves_no_etag(self, storage: Storage) -> None:
        """Another one at the same path has another, if its content is another."""
        first = storage.write("o", b"1").etag
        storage.delete("o")
        with pytest.raises(Conflict):
            storage.write("o", b"2", when=Match(first))
        assert there(storage, "o") is None
        assert storage.write("o", b"3").etag != first

    def test_an_etag_changes_when_another_program_writes(self, storage: Storage, place: Path) -> None:
        """The size alone does not tell."""
        if getattr(self.component, "etag_resolution", None) is not None:
            pytest.skip("the storage says that changes close to one another may share an etag")
        seen = []
        for number in range(10):
            self.raw_put(place, "o", b"%d" % number)
            seen.append(storage.stat("o").etag)
        assert len(set(seen)) == 10

    def test_its_resolution_of_etags_is_a_time(self) -> None:
        """In seconds, if it has one."""
        resolution = getattr(self.component, "etag_resolution", None)
        assert resolution is None or 0 < resolution < 3600

    # --- what is not there ------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("path", ["nothing", "d/nothing", "nothing/at/all", "o/below", "d/", "d", "d/e", "D/o"])
    def test_what_is_missing_is_not_found(self, storage: Storage, path: str) -> None:
        """Whatever is asked for; a folder, and what would lie below an object, is nothing either."""
        storage.write("o", b"1")
        storage.write("d/o", b"2")
        storage.write("d/e/o", b"3")
        for ask in (storage.read, storage.open, storage.stat):
            with pytest.raises(NotFound) as caught:
                ask(path)
            assert path.rstrip("/") in str(caught.value), "the error does not name the path"

    def test_the_root_is_no_object(self, storage: Storage) -> None:
        """And deleting it deletes nothing."""
        for _ in range(2):
            for ask in (storage.read, storage.open, storage.stat):
                with pytest.raises((NotFound, InvalidPath)):
                    ask("")
            with pytest.raises(StorageError):
                storage.write("", b"x")
            storage.write("d/o", b"1")
        with suppress(StorageError):
            storage.delete("")
        assert paths_of(storage) == ["d/o"]

    def test_an_empty_storage_lists_nothing(self, storage: Storage) -> None:
        """Neither of the whole nor of any folder."""
        assert [paths_of(storage, prefix) for prefix in ("", "d", "d/e")] == [[], [], []]

    def test_deleting_nothing_succeeds(self, storage: Storage, place: Path) -> None:
        """In a folder that is not there, below an object, twice, or of a folder, which keeps its objects."""
        storage.delete("nothing")
        storage.delete("no/such/folder")
        storage.write("o", b"1")
        storage.write("d/o", b"2")
        for path in ("o/below", "d", "d/", "D/o", "d/o2", "d/nothing"):
            storage.delete(path)
        assert paths_of(storage) == ["d/o", "o"]
        storage.delete("d/o")
        storage.delete("d/o")
        assert self.raw_get(place, "d/o") is None
        assert paths_of(storage) == ["o"]

    def test_what_is_deleted_is_gone(self, storage: Storage, other: Storage, place: Path) -> None:
        """From the listing too, with its folders; and its name, or that of its folder, is free."""
        storage.write("a/b/c", b"1")
        storage.write("a/x", b"2")
        storage.delete("a/b/c")
        assert self.raw_get(place, "a/b/c") is None
        with pytest.raises(NotFound):
            storage.stat("a/b/c")
        assert [paths_of(other, prefix) for prefix in ("", "a", "a/b")] == [["a/x"], ["a/x"], []]
        storage.write("a/b", b"3", when=ABSENT)
        assert other.read("a/b") == b"3"
        storage.delete("a/b")
        storage.write("a/b/c", b"4", when=ABSENT)
        assert paths_of(other) == ["a/b/c", "a/x"]

    def test_an_object_beside_a_folder_of_its_name(self, storage: Storage) -> None:
        """A storage may refuse that, and then nothing has changed; or both are there."""
        storage.write("d/o", b"1")
        storage.write("o", b"2")
        expected = ["d/o", "o"]
        for path in ("d", "o/below"):
            try:
                storage.write(path, b"x")
            except StorageError:
                pass
            else:
                expected.append(path)
                assert storage.read(path) == b"x"
        assert (storage.read("d/o"), storage.read("o")) == (b"1", b"2")
        assert paths_of(storage) == sorted(expected)
        assert paths_of(storage, "d") == [path for path in sorted(expected) if path in ("d", "d/o")]

    # --- listing ----------------------------------------------------------------------------------------------------

    def test_a_listing_is_in_the_order_of_code_points(self, storage: Storage, place: Path) -> None:
        """Of the whole path: not folder by folder, nor as people sort words, nor as UTF-16 does."""
        paths = [
            "a-b",
            "a.b",
            "a/b",
            "a/b.c",
            "a/b/c",
            "a/b0",
            "a0",
            "A",
            "Z/a",
            "_",
            "b",
            "a!/x",
            "a/!",
            "\u00e9",
            "z",
        ]
        paths += ["10", "9", "1", "\ufb00", "\U0001f680", "a\u0301", "a/\ufb00", "a/\U0001f680", "a /x", "a,/y"]
        clash = {"a/b"}  # where an object cannot lie beside a folder of its name
        for path in _shuffled(set(paths) - clash):
            self.raw_put(place, path, path.encode())
        assert paths_of(storage) == sorted(set(paths) - clash)
        below = [path for path in sorted(set(paths) - clash) if path.startswith("a/")]
        assert paths_of(storage, "a") == below
        assert [found.size for found in storage.list("a")] == [len(path.encode()) for path in below]

    def test_a_prefix_is_a_folder_and_not_a_string(self, storage: Storage, place: Path) -> None:
        """What only begins alike does not show; a single object shows itself."""
        for path in ("etl/x", "etl/y/z", "etl_daily/x", "etl.txt", "etl2", "et", "other/etl/x", "etl /x"):
            self.raw_put(place, path, b"1")
        assert paths_of(storage, "etl") == paths_of(storage, "etl/") == ["etl/x", "etl/y/z"]
        assert paths_of(storage, "etl/y") == ["etl/y/z"]
        assert paths_of(storage, "etl/x") == ["etl/x"]
        assert paths_of(storage, "etl2") == ["etl2"]
        for nothing in ("e", "etl/", "etl/xx", "etl/x/y", "etl_", "etl_dail", "x", "ETL"):
            expected = ["etl/x", "etl/y/z"] if nothing == "etl/" else []
            assert paths_of(storage, nothing) == expected

    def test_a_listing_is_an_iterator_with_what_stat_says(self, storage: Storage) -> None:
        """It has no length, can be left early, and two at once do not get in each other's way."""
        for number in range(5):
            storage.write(f"d/{number}", b"x" * number)
        first, second = storage.list(), storage.list("d")
        assert iter(first) is first
        assert [next(first).path, next(second).path, next(first).path] == ["d/0", "d/0", "d/1"]
        assert [found.path for found in second] == ["d/1", "d/2", "d/3", "d/4"]
        assert [found.path for found in first] == ["d/2", "d/3", "d/4"]
        assert next(first, None) is None
        for found in storage.list():
            seen = storage.stat(found.path)
            assert (found.path, found.size, found.etag) == (seen.path, seen.size, seen.etag)
            assert abs(found.modified - seen.modified) <= 2.0

    def test_many_objects_are_listed_once_each_and_lazily(self, storage: Storage, other: Storage, place: Path) -> None:
        """Over all pages that a backend may make of them; and what is gone before its turn is not shown."""
        count = self.listed_at_once + 50
        paths = [f"many/{number:05}" for number in range(count)]
        for path in _shuffled(paths):
            self.raw_put(place, path, path[-3:].encode())
        self.raw_put(place, "z/last", b"last")
        assert paths_of(storage) == [*paths, "z/last"]
        assert paths_of(storage, "many") == paths
        listing = storage.list()
        assert next(listing).path == paths[0]
        other.delete("z/last")
        assert [found.path for found in listing] == paths[1:], "the listing held everything before it showed the first"

    def test_objects_may_come_and_go_during_a_listing(self, storage: Storage, other: Storage) -> None:
        """Those that stay are shown, once each, in order; of the others nothing follows but whether they show."""
        stay = [f"d{number}/stays" for number in range(10)]
        for path in stay:
            storage.write(path, b"x")
            storage.write(path.replace("stays", "goes"), b"x")
        shown = []
        for found in storage.list():
            shown.append(found.path)
            for number in range(10):
                other.delete(f"d{number}/goes")
            other.write(f"d5/new{len(shown)}", b"x")
            if len(shown) > 100:
                break
        assert [path for path in shown if path in stay] == stay
        assert shown == sorted(set(shown))

    # --- opening ----------------------------------------------------------------------------------------------------

    def test_an_open_object_is_a_file(self, storage: Storage) -> None:
        """It reads, seeks from wherever, tells, and ends where the object does."""
        data = content(200_000)
        storage.write("o", data)
        with storage.open("o") as file:
            assert (file.readable(), file.seekable(), file.tell()) == (True, True, 0)
            assert file.read(10) == data[:10]
            assert (file.seek(5), file.tell(), file.read(3)) == (5, 5, data[5:8])
            assert (file.seek(10, os.SEEK_CUR), file.read(2)) == (18, data[18:20])
            assert (file.seek(-4, os.SEEK_CUR), file.read(2)) == (16, data[16:18])
            assert (file.seek(-7, os.SEEK_END), file.read()) == (199_993, data[-7:])
            assert (file.seek(0, os.SEEK_END), file.tell(), file.read(), file.read(5)) == (200_000, 200_000, b"", b"")
            assert (file.seek(300_000), file.tell(), file.read(5)) == (300_000, 300_000, b"")
            assert (file.seek(199_990), file.read(100)) == (199_990, data[-10:])
            assert (file.seek(100_000), file.read(0), file.tell()) == (100_000, b"", 100_000)
            with pytest.raises((OSError, ValueError)):
                file.seek(-1)
            file.seek(0)
            assert file.read(-1) == data
            file.seek(0)
            assert b"".join(file) == data
            file.seek(0)
            assert file.readline() == data[: data.index(b"\n") + 1]
        assert file.closed
        with pytest.raises(ValueError, match="closed"):
            file.read()

    def test_an_open_object_reads_into_a_buffer(self, storage: Storage) -> None:
        """No more than there is, and no more than there is room."""
        data = content(100_000)
        storage.write("o", data)
        with storage.open("o") as file:
            assert hasattr(file, "readinto")
            buffer, read = bytearray(b"?" * 70_000), 0
            while read < 70_000:
                with memoryview(buffer) as view:
                    count = file.readinto(view[read:])
                assert count
                read += count
            assert buffer == data[:70_000]
            file.seek(-5, os.SEEK_END)
            buffer[:] = b"?" * 70_000
            assert file.readinto(buffer) == 5
            assert buffer[:6] == data[-5:] + b"?"
            assert file.readinto(buffer) == 0

    @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        moves=st.lists(
            st.tuples(st.sampled_from([0, 0, 1, 2]), st.integers(-2_000, 202_000), st.integers(-1, 70_000)), max_size=12
        )
    )
    def test_an_open_object_reads_like_any_file(self, storage: Storage, moves: list[tuple[int, int, int]]) -> None:
        """Whatever is read in whatever order, it is what a file in memory gives."""
        data = content(200_000, seed=1)
        if there(storage, "o") is None:
            storage.write("o", data)
        model = io.BytesIO(data)
        with storage.open("o") as file:
            for whence, offset, size in moves:
                base = (0, model.tell(), len(data))[whence]
                to = max(base + (offset if whence == 0 else offset // 4), 0)
                assert file.seek(to - base, whence) == model.seek(to)
                assert _read(file, size) == model.read(size)
                assert file.tell() == model.tell()

    def test_an_empty_object_is_one(self, storage: Storage, place: Path) -> None:
        """It is there, of size 0, listed, and read to its end at once."""
        storage.write("d/empty", b"")
        assert self.raw_get(place, "d/empty") == b""
        assert storage.read("d/empty") == b""
        assert storage.stat("d/empty").size == 0
        assert [(found.path, found.size) for found in storage.list()] == [("d/empty", 0)]
        with storage.open("d/empty") as file:
            assert (file.read(), file.seek(0, os.SEEK_END), file.seek(3), file.read(1)) == (b"", 0, 3, b"")
        with pytest.raises(Conflict):
            storage.write("d/empty", b"x", when=ABSENT)

    @needs("ranged_read")
    def test_reading_a_range_does_not_fetch_the_whole(self, storage: Storage) -> None:
        """A footer of a large object is read without the rest in memory."""
        storage.write("large", bytes(_LARGE))
        with storage.open("large") as file:
            file.read(1)
        tracemalloc.start()
        try:
            with storage.open("large") as file:
                file.seek(-8, os.SEEK_END)
                assert file.read() == bytes(8)
                file.seek(100)
                assert len(_read(file, 1000)) == 1000
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < _LARGE // 2, f"{peak} bytes were held to read 1008"

    def test_an_open_object_survives_what_happens_to_it_or_says_so(self, storage: Storage, other: Storage) -> None:
        """Who reads on gets the rest of what was opened, or an error; never something of both."""
        data = content(3_000_000)
        for happen in (
            lambda: other.write("o", content(3_000_000, seed=7)),
            lambda: other.write("o", b"short"),
            lambda: other.delete("o"),
        ):
            storage.write("o", data)
            with storage.open("o") as file:
                seen = _read(file, 1000)
                happen()
                try:
                    seen += file.read()
                    file.seek(1_500_000)
                    again = _read(file, 1000)
                except StorageError:
                    continue
                assert seen == data
                assert again == data[1_500_000:1_501_000]

    # --- addresses --------------------------------------------------------------------------------------------------

    def test_a_uri_is_an_absolute_address_for_each_path(self, storage: Storage, other: Storage) -> None:
        """With a scheme; the same from every handle, another one for every path; the object need not be there."""
        uris = {name: storage.uri(name) for name in (*NAMES, "d/e/file.parquet", "d")}
        for name, uri in uris.items():
            scheme, mark, rest = uri.partition("://")
            assert scheme.replace("+", "").replace("-", "").isalnum()
            assert mark
            assert rest
            assert other.uri(name) == uri
        assert len(set(uris.values())) == len(uris)
        assert uris["d/e/file.parquet"].endswith("d/e/file.parquet")
        assert uris["d/e/file.parquet"].startswith(uris["d"].rstrip("/") + "/")
        assert storage.uri("./d//e/file.parquet") == uris["d/e/file.parquet"]
        assert isinstance(storage.uri(""), str)

    @pytest.mark.parametrize("reader", ["fsspec", "pyarrow", "duckdb", "delta", "spark"])
    def test_native_options_are_a_mapping(self, storage: Storage, reader: str) -> None:
        """Of names to values, for each reader that the contract names."""
        options = storage.native_options(reader)
        assert all(isinstance(name, str) for name in options)
        assert dict(options) == dict(storage.native_options(reader))

    def test_a_reader_that_goes_direct_reads_the_same(self, storage: Storage) -> None:
        """fsspec, if it is installed and knows the scheme, needs the address and the options and nothing else."""
        fsspec = pytest.importorskip("fsspec")
        data = content(10_000)
        for path in ("d/o.bin", "with space/100%.bin"):
            storage.write(path, data)
            uri = storage.uri(path)
            try:
                filesystem, at = fsspec.url_to_fs(uri, **storage.native_options("fsspec"))
            except (ValueError, ImportError) as error:
                pytest.skip(f"fsspec has nothing for it: {error}")
            if path == "d/o.bin":  # fsspec's own file systems differ in whether they unquote
                assert filesystem.cat_file(at) == data

    # --- the end ----------------------------------------------------------------------------------------------------

    def test_closing_one_handle_leaves_the_other(self, storage: Storage, other: Storage, place: Path) -> None:
        """Nor does it undo or hold back anything."""
        other.write("o", b"1")
        other.close()
        other.close()
        assert storage.read("o") == b"1"
        storage.write("o", b"2")
        assert self.raw_get(place, "o") == b"2"
        another = self.make(place)
        try:
            assert another.read("o") == b"2"
        finally:
            another.close()


def _shuffled(paths: Collection[str]) -> list[str]:
    return Random(1).sample(sorted(paths), len(paths))  # noqa: S311 - no secrets


def _read(file: BinaryIO, size: int) -> bytes:
    """As many bytes as are there, up to ``size``; a file may give fewer at a time."""
    if size < 0:
        return file.read()
    parts = []
    while size > 0 and (part := file.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
