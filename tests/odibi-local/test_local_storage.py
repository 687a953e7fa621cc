from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from odibi.contracts.storage import ABSENT, Match, Storage
from odibi.errors import AccessDenied, Conflict, InvalidPath, NotFound, StorageError, Transient
from odibi_local import drafts, listing
from odibi_local.failures import storage_error
from odibi_local.storage import LocalStorage


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(base_path=tmp_path / "base", fsync=False)


def paths(storage: LocalStorage, prefix: str = "") -> list[str]:
    return [stat.path for stat in storage.list(prefix)]


def leftovers(base: Path) -> list[str]:
    return [name for _, _, names in os.walk(base) for name in names if name.startswith(".odibi-tmp-")]


def test_it_is_a_storage(storage: LocalStorage) -> None:
    assert isinstance(storage, Storage)


@pytest.mark.parametrize("fsync", [True, False])
def test_what_is_written_is_read(tmp_path: Path, fsync: bool) -> None:
    storage = LocalStorage(base_path=tmp_path / "new" / "base", fsync=fsync)
    stat = storage.write("a/b/c.bin", b"12345")
    assert storage.read("a/b/c.bin") == b"12345"
    assert storage.stat("a/b/c.bin") == stat
    assert (stat.path, stat.size) == ("a/b/c.bin", 5)
    assert abs(stat.modified - time.time()) < 60
    assert storage.stat("a//b/./c.bin") == stat


def test_data_may_be_a_view_or_a_file(storage: LocalStorage, tmp_path: Path) -> None:
    storage.write("view", memoryview(b"xyz")[1:])
    (tmp_path / "source").write_bytes(b"s" * 3_000_000)
    with (tmp_path / "source").open("rb") as file:
        assert storage.write("file", file).size == 3_000_000
    assert storage.read("view") == b"yz"
    assert storage.read("file") == b"s" * 3_000_000


def test_an_open_object_seeks_and_keeps_its_content(storage: LocalStorage) -> None:
    storage.write("x", b"0123456789")
    with storage.open("x") as file:
        assert file.seekable()
        storage.write("x", b"new")
        file.seek(-3, os.SEEK_END)
        assert file.read() == b"789"
        file.seek(2)
        assert file.read(2) == b"23"


def test_create_streams_and_publishes_at_the_end(storage: LocalStorage) -> None:
    with storage.create("out/x") as file:
        file.write(b"one")
        file.seek(0)
        file.write(b"two")
        assert paths(storage) == []
    assert storage.read("out/x") == b"two"


def test_create_survives_a_library_that_closes_the_file(storage: LocalStorage) -> None:
    with storage.create("x") as file:
        file.write(b"closed")
        file.close()
    assert storage.read("x") == b"closed"


def test_create_that_raises_leaves_nothing(storage: LocalStorage, tmp_path: Path) -> None:
    def fail(path: str, error: Exception) -> None:
        with storage.create(path) as file:
            file.write(b"new")
            raise error

    storage.write("x", b"old")
    with pytest.raises(ZeroDivisionError):
        fail("x", ZeroDivisionError())
    with pytest.raises(FileNotFoundError, match="mine"):  # what the caller raises is the caller's
        fail("y", FileNotFoundError("mine"))
    assert storage.read("x") == b"old"
    assert paths(storage) == ["x"]
    assert leftovers(tmp_path) == []


def test_create_checks_its_condition_at_the_end(storage: LocalStorage, tmp_path: Path) -> None:
    def lose() -> None:
        with storage.create("x", when=ABSENT) as file:
            file.write(b"late")
            storage.write("x", b"first")

    with pytest.raises(Conflict, match="already"):
        lose()
    assert storage.read("x") == b"first"
    assert leftovers(tmp_path) == []


def test_a_source_that_fails_leaves_the_old_object(storage: LocalStorage, tmp_path: Path) -> None:
    class Failing:
        def __init__(self) -> None:
            self.calls = 0

        def read(self, size: int = -1) -> bytes:
            self.calls += 1
            if self.calls > 1:
                raise RuntimeError("cut off")
            return b"half"

    storage.write("x", b"old")
    with pytest.raises(RuntimeError, match="cut off"):
        storage.write("x", Failing())  # type: ignore[arg-type]
    assert storage.read("x") == b"old"
    assert leftovers(tmp_path) == []


def test_conditions(storage: LocalStorage) -> None:
    first = storage.write("x", b"1", when=ABSENT)
    with pytest.raises(Conflict, match="already"):
        storage.write("x", b"2", when=ABSENT)
    second = storage.write("x", b"2", when=Match(first.etag))
    with pytest.raises(Conflict, match="changed"):
        storage.write("x", b"3", when=Match(first.etag))
    storage.delete("x")
    with pytest.raises(Conflict, match="gone"):
        storage.write("x", b"3", when=Match(second.etag))
    assert paths(storage) == []


def test_the_etag_changes_with_each_rewrite_of_one_size(storage: LocalStorage) -> None:
    # Inodes are used again at once: without a fine clock a third of these would repeat.
    etags = [storage.write("x", b"%03d" % i).etag for i in range(300)]
    assert len(set(etags)) == len(etags)


def test_the_etag_does_not_hang_on_the_clock_of_the_system(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    # That clock stands still for milliseconds on many systems; the draft is given its time from a finer one.
    monkeypatch.setattr(drafts.time, "time_ns", lambda: 1_357_000_000_123_456_789)
    assert storage.write("x", b"").etag.endswith(f"{1_357_000_000_123_456_789:x}")


def test_the_etag_changes_when_another_program_writes(storage: LocalStorage, tmp_path: Path) -> None:
    before = storage.write("x", b"one").etag
    (tmp_path / "base" / "x").write_bytes(b"longer")
    assert storage.stat("x").etag != before


def test_missing_objects(storage: LocalStorage) -> None:
    for _ in range(2):  # without and with a base folder
        for path in ("nothing", "no/thing", "there/x", "folder"):
            for call in (storage.read, storage.open, storage.stat):
                with pytest.raises(NotFound):
                    call(path)
            storage.delete(path)
        assert paths(storage, "nothing") == []
        storage.write("there", b"")
        storage.write("folder/x", b"")


def test_without_create_base_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    storage = LocalStorage(base_path=tmp_path / "no", create_base=False)
    with pytest.raises(NotFound, match="create_base"):
        storage.write("x", b"")
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x", "a\0b", "a\\b", "C:/x", "c:x"])
def test_paths_that_could_leave_are_refused_before_any_io(tmp_path: Path, path: str) -> None:
    storage = LocalStorage(base_path=tmp_path / "never made")
    calls = [storage.read, storage.open, storage.stat, storage.delete, storage.list, storage.uri]
    for call in calls:
        with pytest.raises(InvalidPath):
            call(path)
    with pytest.raises(InvalidPath):
        storage.write(path, b"")
    with pytest.raises(InvalidPath), storage.create(path):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["", ".", "x" * 300, "x" * 300 + "/a", ".odibi-lock/00", "a/.odibi-tmp-1", "\ud800"])
def test_names_that_cannot_be(storage: LocalStorage, path: str) -> None:
    storage.write("x", b"")
    for call in (storage.read, storage.open, storage.stat, storage.delete, lambda p: storage.write(p, b"")):
        with pytest.raises(InvalidPath):
            call(path)
    assert paths(storage) == ["x"]


@pytest.mark.parametrize(
    "path", ["ä/ö.csv", "日本/データ", "a b/c'd\"e", "😀", "line\nbreak", "-rf", "~", "e\u0301", "x" * 255]
)
def test_unusual_names(storage: LocalStorage, path: str) -> None:
    storage.write(path, b"x")
    assert paths(storage) == [path]
    assert storage.read(path) == b"x"
    storage.delete(path)
    assert paths(storage) == []


def test_an_object_is_no_folder_and_a_folder_no_object(storage: LocalStorage) -> None:
    storage.write("a", b"")
    storage.write("d/x", b"")
    with pytest.raises(InvalidPath, match="an object, not a folder"):
        storage.write("a/b", b"")
    with pytest.raises(InvalidPath, match="a folder at the path"):
        storage.write("d", b"")
    with pytest.raises(InvalidPath, match="a folder at the path"):
        storage.write("d", b"", when=ABSENT)
    storage.delete("d")
    assert paths(storage) == ["a", "d/x"]


def test_deleting_the_last_object_removes_its_folders(storage: LocalStorage, tmp_path: Path) -> None:
    storage.write("a/b/c", b"")
    storage.write("a/d", b"")
    storage.delete("a/b/c")
    assert not (tmp_path / "base/a/b").exists()
    storage.write("a/b", b"now an object")
    storage.delete("a/d")
    storage.delete("a/b")
    storage.write("a", b"")
    assert paths(storage) == ["a"]


def test_an_empty_folder_is_not_in_the_way(storage: LocalStorage, tmp_path: Path) -> None:
    (tmp_path / "base" / "x").mkdir(parents=True)
    storage.write("x", b"1", when=ABSENT)
    assert storage.read("x") == b"1"


# --- listing --------------------------------------------------------------------------------------------------------


def test_list_is_in_key_order_and_by_folder(storage: LocalStorage) -> None:
    keys = ["a", "b.c", "b/c", "b/c-d/e", "b/c/d"[:3] + "z", "b0", "bb/x", "é/x", "b/\u00e9", "z.txt", "z/1", "z0"]
    for key in set(keys) - {"b/c"}:
        storage.write(key, b"")
    expected = sorted(set(keys) - {"b/c"})
    assert paths(storage) == expected
    assert paths(storage, "b") == [key for key in expected if key.startswith("b/")]
    assert paths(storage, "b/") == paths(storage, "b")
    assert paths(storage, "z.txt") == ["z.txt"]
    assert paths(storage, "nope") == []


def test_list_reads_a_large_folder_in_batches(storage: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = sorted([f"d/{i}" for i in range(50)] + [f"d/{i}.x/y" for i in range(0, 50, 7)])
    for key in keys:
        storage.write(key, b"")
    for batch in (1, 3, 58, 59, 1000):
        monkeypatch.setattr(listing, "BATCH", batch)
        assert paths(storage) == keys


def test_list_is_lazy_and_lives_with_changes(storage: LocalStorage) -> None:
    for name in ("a/1", "b/1", "b/2", "c/1"):
        storage.write(name, b"")
    found = storage.list()
    assert next(found).path == "a/1"
    storage.delete("b/1")
    storage.delete("c/1")
    assert [stat.path for stat in found] == ["b/2"]


def test_list_goes_deep(storage: LocalStorage) -> None:
    path = "/".join("d" * 1 for _ in range(300)) + "/x"
    storage.write(path, b"deep")
    assert paths(storage) == [path]
    storage.delete(path)
    assert paths(storage) == []


def test_list_agrees_with_stat(storage: LocalStorage) -> None:
    for name in ("a", "b/c", "b/d"):
        storage.write(name, name.encode())
    assert list(storage.list()) == [storage.stat(name) for name in ("a", "b/c", "b/d")]


def test_drafts_do_not_show_and_stale_ones_go(storage: LocalStorage, tmp_path: Path) -> None:
    storage.write("a", b"")
    base = tmp_path / "base"
    long_ago = time.time() - 1_000_000
    (base / ".odibi-tmp-dead").write_bytes(b"half")
    os.utime(base / ".odibi-tmp-dead", (long_ago, long_ago))
    (base / ".odibi-tmp-young").write_bytes(b"half")
    with storage.create("b") as file:
        file.write(b"slow")
        (living,) = set(leftovers(base)) - {".odibi-tmp-dead", ".odibi-tmp-young"}
        os.utime(base / living, (long_ago, long_ago))
        assert paths(storage) == ["a"]
        assert sorted(leftovers(base)) == sorted([".odibi-tmp-young", living])
    assert paths(storage) == ["a", "b"]


def test_what_is_no_file_is_no_object(storage: LocalStorage, tmp_path: Path) -> None:
    storage.write("a", b"")
    base = tmp_path / "base"
    os.mkfifo(base / "pipe")
    (base / "back\\slash").write_bytes(b"")
    (base / "C:").write_bytes(b"")
    assert paths(storage) == ["a"]
    with pytest.raises(NotFound):
        storage.open("pipe")  # and does not wait for a writer


# --- links ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret").write_bytes(b"secret")
    return folder


def test_links_that_lead_outside_are_refused(storage: LocalStorage, tmp_path: Path, outside: Path) -> None:
    base = tmp_path / "base"
    storage.write("ok", b"")
    (base / "folder").symlink_to(outside)
    (base / "relative").symlink_to("../outside")
    (base / "file").symlink_to(outside / "secret")
    (base / "two").symlink_to("folder")
    (base / "dangling").symlink_to(tmp_path / "not yet")
    (base / "sibling").symlink_to(tmp_path / "base2")
    (tmp_path / "base2").mkdir()
    for path in ("folder/secret", "relative/secret", "file", "two/secret", "sibling/x"):
        for call in (storage.read, storage.open, storage.stat, lambda p: storage.write(p, b"overwritten")):
            with pytest.raises(InvalidPath, match="leads out"):
                call(path)
    for path in ("folder/new", "relative/new", "two/deep/er/new", "dangling", "sibling/new"):
        with pytest.raises(InvalidPath, match="leads out"):
            storage.write(path, b"escaped")
    for path in ("folder/secret", "two/secret"):
        with pytest.raises(InvalidPath):
            storage.delete(path)
    with pytest.raises(InvalidPath):
        list(storage.list("folder"))
    assert paths(storage) == ["ok"]
    assert sorted(os.listdir(outside)) == ["secret"]
    assert (outside / "secret").read_bytes() == b"secret"
    assert not (tmp_path / "not yet").exists()
    storage.delete("file")  # removes the link
    assert not (base / "file").is_symlink()
    assert (outside / "secret").exists()


def test_links_that_stay_inside_are_followed(storage: LocalStorage, tmp_path: Path) -> None:
    base = tmp_path / "base"
    storage.write("real/x", b"1")
    (base / "link").symlink_to("real")
    (base / "file").symlink_to(base / "real" / "x")
    assert storage.read("link/x") == storage.read("file") == b"1"
    assert paths(storage) == ["file", "link/x", "real/x"]
    seen = storage.stat("file").etag
    storage.write("link/x", b"2")
    with pytest.raises(Conflict):
        storage.write("file", b"3", when=Match(seen))
    storage.write("file", b"3")
    assert storage.read("real/x") == b"3"
    storage.delete("link")
    storage.delete("file")
    assert paths(storage) == ["link/x", "real/x"]


def test_loops_of_links(storage: LocalStorage, tmp_path: Path) -> None:
    base = tmp_path / "base"
    storage.write("d/x", b"")
    (base / "a").symlink_to("b")
    (base / "b").symlink_to("a")
    (base / "d" / "up").symlink_to("..")
    (base / "d" / "self").symlink_to(".")
    assert paths(storage) == ["d/x"]
    with pytest.raises(InvalidPath):
        storage.read("a")
    with pytest.raises(InvalidPath):
        storage.write("a/x", b"")


def test_the_base_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "base").symlink_to("real")
    storage = LocalStorage(base_path=tmp_path / "base")
    storage.write("a/x", b"1")
    (tmp_path / "real" / "link").symlink_to("a")
    assert storage.read("link/x") == b"1"


# --- addresses and refusals -----------------------------------------------------------------------------------------


def test_uri(storage: LocalStorage, tmp_path: Path) -> None:
    assert storage.uri("a b/é") == (tmp_path / "base/a b/é").as_uri()
    assert storage.native_options("pyarrow") == {}
    storage.close()
    storage.close()


def test_a_relative_base_is_bound_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    storage = LocalStorage(base_path="here")
    monkeypatch.chdir("/")
    storage.write("x", b"")
    assert (tmp_path / "here" / "x").exists()


def test_a_base_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "base").write_bytes(b"")
    storage = LocalStorage(base_path=tmp_path / "base")
    with pytest.raises(NotFound):
        storage.read("x")
    with pytest.raises(StorageError):
        storage.write("x", b"")
    assert list(storage.list()) == []


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ENOENT", NotFound),
        ("EACCES", AccessDenied),
        ("EROFS", AccessDenied),
        ("ENOSPC", StorageError),
        ("EDQUOT", StorageError),
        ("ENAMETOOLONG", InvalidPath),
        ("ETIMEDOUT", Transient),
        ("ESTALE", Transient),
        ("EMFILE", Transient),
        ("EIO", StorageError),
    ],
)
def test_what_the_system_refuses_has_its_class_and_a_remedy(name: str, kind: type[StorageError]) -> None:
    import errno

    number = getattr(errno, name)
    error = storage_error(OSError(number, os.strerror(number)), "a/b")
    assert type(error) is kind
    assert error.remedy
    assert str(error).startswith("a/b: ")
    assert error.retryable == (kind is Transient)


def run_python(code: str, *args: str, **kwargs: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True, timeout=60, **kwargs)  # type: ignore[call-overload, no-any-return]


def test_a_disk_that_takes_no_more(tmp_path: Path) -> None:
    storage = LocalStorage(base_path=tmp_path)
    storage.write("x", b"old")
    code = """
import resource, sys
from odibi_local.storage import LocalStorage
from odibi.errors import StorageError
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
storage = LocalStorage(base_path=sys.argv[1])
try:
    storage.write("x", b"n" * 3_000_000)
except StorageError as error:
    print(error)
try:
    with storage.create("x") as file:
        for _ in range(30):
            file.write(b"n" * 100_000)
except StorageError as error:
    print(error)
"""
    done = run_python(code, str(tmp_path))
    assert done.stdout.count("x: the file would be larger than the system allows") == 2, done.stderr
    assert done.stderr == ""
    assert storage.read("x") == b"old"
    assert leftovers(tmp_path) == []


def test_missing_rights(tmp_path: Path) -> None:
    base = tmp_path / "base"
    storage = LocalStorage(base_path=base)
    storage.write("closed/x", b"")
    storage.write("readonly/x", b"")
    os.chmod(base / "closed", 0)
    os.chmod(base / "readonly", 0o555)
    os.chmod(base, 0o755)
    code = """
import os, sys
from odibi_local.storage import LocalStorage
from odibi.errors import AccessDenied
storage = LocalStorage(base_path="base")
if os.getuid() == 0:
    os.setuid(65534)
for call in (lambda: storage.read("closed/x"), lambda: storage.stat("closed/x"), lambda: list(storage.list()),
             lambda: storage.write("readonly/x", b""), lambda: storage.delete("readonly/x")):
    try:
        call()
    except AccessDenied as error:
        assert error.remedy
        print("denied")
"""
    try:
        done = run_python(code, cwd=tmp_path)
    finally:
        os.chmod(base / "closed", 0o755)
        os.chmod(base / "readonly", 0o755)
    assert done.stdout.split() == ["denied"] * 5, done.stderr


def test_open_files_are_all_closed(storage: LocalStorage, outside: Path, tmp_path: Path) -> None:
    storage.write("a/b", b"1")
    (tmp_path / "base" / "out").symlink_to(outside)
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    room = max(map(int, os.listdir("/proc/self/fd"))) + 100  # other tests may have left many open
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(room, limit[0]), limit[1]))
    try:
        for i in range(300):
            storage.write("a/b", b"%d" % i)
            storage.read("a/b")
            next(storage.list())
            storage.delete("a/b")
            with pytest.raises(NotFound):
                storage.read("a/b")
            with pytest.raises(InvalidPath):
                storage.read("out/secret")
            storage.write("a/b", b"", when=ABSENT)
            with pytest.raises(Conflict):
                storage.write("a/b", b"", when=ABSENT)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)


def test_folders_that_deleted_objects_leave_are_not_in_the_way(tmp_path: Path) -> None:
    storage = LocalStorage(base_path=str(tmp_path))
    storage.write("a/b/c/d", b"1")
    storage.delete("a/b/c/d")
    storage.write("a", b"2")
    assert storage.read("a") == b"2"
    storage.write("x/y/z", b"3")
    storage.write("x/w/v", b"4")
    storage.delete("x/w/v")
    with pytest.raises(InvalidPath, match="there is a folder at the path"):
        storage.write("x", b"5")
    assert storage.read("x/y/z") == b"3"


def test_a_view_with_gaps_is_written_as_what_it_shows(tmp_path: Path) -> None:
    storage = LocalStorage(base_path=tmp_path)
    storage.write("a", memoryview(b"a-b-c-")[::2])
    assert storage.read("a") == b"abc"
