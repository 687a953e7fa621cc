"""Folders that are replaced in one step."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from odibi.contracts.storage import ABSENT, FolderStorage, Match
from odibi.errors import Conflict, InvalidPath, NotFound, StorageError, Transient
from odibi_local import listing, staging
from odibi_local.drafts import publishing
from odibi_local.storage import LocalStorage

STAGE = ".odibi-stage-1"


@pytest.fixture(params=[True, False], ids=["fsync", "no fsync"])
def storage(tmp_path: Path, request: pytest.FixtureRequest) -> LocalStorage:
    return LocalStorage(base_path=tmp_path / "base", fsync=request.param)


@pytest.fixture(autouse=True)
def nothing_stays_held() -> Any:
    before = dict(staging._held)
    yield
    assert staging._held == before


def fill(storage: LocalStorage, folder: str, **objects: str) -> None:
    for name, content in objects.items():
        storage.write(f"{folder}/{name.replace('__', '/')}", content.encode())


def content(storage: LocalStorage, prefix: str = "") -> dict[str, str]:
    return {stat.path: storage.read(stat.path).decode() for stat in storage.list(prefix)}


def on_disk(storage: LocalStorage) -> list[str]:
    return sorted(name for name in os.listdir(storage.base_path) if name != ".odibi-lock")


def test_it_is_a_folder_storage(storage: LocalStorage) -> None:
    assert isinstance(storage, FolderStorage)
    assert LocalStorage.etag_resolution == 2.0


@pytest.mark.parametrize("folder", ["d", "a/b/d"])
def test_a_folder_takes_the_place_of_another(storage: LocalStorage, folder: str) -> None:
    above = folder.rpartition("d")[0]
    fill(storage, folder, p1="old", sub__p2="old", _SUCCESS="")
    fill(storage, above + STAGE, p1="new", other__p3="new")
    staged = {stat.path: stat.etag for stat in storage.list(above + STAGE)}
    assert storage.replace_folder(above + STAGE, folder) is True
    assert content(storage) == {f"{folder}/other/p3": "new", f"{folder}/p1": "new"}
    assert {stat.path.replace(folder, above + STAGE, 1): stat.etag for stat in storage.list()} == staged
    assert not os.path.lexists(os.path.join(storage.base_path, above, STAGE))


@pytest.mark.parametrize("there", ["nothing", "object", "empty folder", "empty folders"])
def test_what_a_folder_may_replace(storage: LocalStorage, there: str) -> None:
    if there == "object":
        storage.write("d", b"old")
    elif there != "nothing":
        os.makedirs(os.path.join(storage.base_path, "d", *(["x", "y"] if there == "empty folders" else [])))
    fill(storage, STAGE, p="new")
    assert storage.replace_folder(STAGE, "d")
    assert content(storage) == {"d/p": "new"}
    assert on_disk(storage) == ["d"]


@pytest.mark.parametrize("there", ["nothing", "object", "folder", "deep folder", "empty folders"])
def test_only_if_nothing_is_there(storage: LocalStorage, there: str) -> None:
    before: dict[str, str] = {}
    if there == "empty folders":
        os.makedirs(os.path.join(storage.base_path, "d", "x", "y"))
    elif there != "nothing":
        path = {"object": "d", "folder": "d/x", "deep folder": "d/x/y/z"}[there]
        storage.write(path, b"old")
        before = {path: "old"}
    fill(storage, STAGE, p="new")
    if before:
        with pytest.raises(Conflict, match="data already"):
            storage.replace_folder(STAGE, "d", when=ABSENT)
        assert content(storage) == before
        assert content(storage, STAGE) == {f"{STAGE}/p": "new"}
        storage.delete(f"{STAGE}/p")
    else:
        assert storage.replace_folder(STAGE, "d", when=ABSENT)
        assert content(storage) == {"d/p": "new"}
    assert STAGE not in on_disk(storage)


def test_what_is_staged_is_hidden_but_from_who_names_it(storage: LocalStorage) -> None:
    fill(storage, "d", p="old")
    fill(storage, f"d/{STAGE}", p="staged", sub__q="staged")
    assert list(content(storage)) == ["d/p"]
    assert list(content(storage, "d")) == ["d/p"]
    assert content(storage, f"d/{STAGE}") == {f"d/{STAGE}/p": "staged", f"d/{STAGE}/sub/q": "staged"}
    assert list(content(storage, f"d/{STAGE}/sub")) == [f"d/{STAGE}/sub/q"]
    with pytest.raises(InvalidPath, match="the storage uses itself"):
        storage.write(STAGE, b"an object of that name")
    for path in (f"d/{STAGE}/p", f"d/{STAGE}/sub/q"):
        storage.delete(path)
    assert not os.path.lexists(os.path.join(storage.base_path, "d", STAGE))


@pytest.mark.parametrize(
    ("staged", "path", "error"),
    [
        (STAGE, "x/d", InvalidPath),
        (f"x/{STAGE}", "d", InvalidPath),
        ("other", "d", InvalidPath),
        ("", "d", InvalidPath),
        (STAGE, "", InvalidPath),
        (STAGE, STAGE, InvalidPath),
        (STAGE, ".odibi-lock", InvalidPath),
        (f"../{STAGE}", "../d", InvalidPath),
        (f"/{STAGE}", "/d", InvalidPath),
        (STAGE, "d", NotFound),
    ],
)
def test_what_is_refused(storage: LocalStorage, staged: str, path: str, error: type[Exception]) -> None:
    fill(storage, "other", p="other")
    fill(storage, "d", p="old")
    with pytest.raises(error):
        storage.replace_folder(staged, path)
    fill(storage, STAGE, p="new")
    with pytest.raises(TypeError):
        storage.replace_folder(STAGE, "d", when=Match("x"))
    assert content(storage) == {"d/p": "old", "other/p": "other"}
    storage.delete(f"{STAGE}/p")


def test_a_staged_folder_without_objects_is_nothing(storage: LocalStorage) -> None:
    fill(storage, "d", p="old")
    os.makedirs(os.path.join(storage.base_path, STAGE, "x"))
    with pytest.raises(NotFound, match="nothing is staged"):
        storage.replace_folder(STAGE, "d")
    assert content(storage) == {"d/p": "old"}


def test_a_write_to_the_stage_that_fails_leaves_nothing(storage: LocalStorage) -> None:
    fill(storage, "d", p="old")

    def fail(path: str) -> None:
        with storage.create(path):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail(f"{STAGE}/x/y")
    assert on_disk(storage) == ["d"]
    fill(storage, STAGE, p="new")
    with pytest.raises(ZeroDivisionError):
        fail(f"{STAGE}/x/y")
    assert storage.replace_folder(STAGE, "d")
    assert content(storage) == {"d/p": "new"}


def test_an_open_object_is_read_to_its_end(storage: LocalStorage) -> None:
    fill(storage, "d", p="o" * 3_000_000)
    with storage.open("d/p") as file:
        assert file.read(1) == b"o"
        fill(storage, STAGE, p="new")
        assert storage.replace_folder(STAGE, "d")
        assert file.read() == b"o" * 2_999_999
    assert storage.read("d/p") == b"new"


def test_a_listing_under_way_never_mixes(storage: LocalStorage) -> None:
    fill(storage, "d", a__p="old", b__p="old", c__p="old")
    old = {stat.etag for stat in storage.list("d")}
    listing = storage.list("d")
    seen = {next(listing).etag}
    fill(storage, STAGE, a__p="new", b__p="new", c__p="new")
    assert storage.replace_folder(STAGE, "d")
    seen.update(stat.etag for stat in listing)
    assert seen <= old


@pytest.mark.parametrize("prefix", ["x/d", "x", ""])
def test_a_listing_under_way_never_finds_nothing(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    """The folder is replaced, and the old one emptied, between the moment it is opened and the one it is looked at."""
    fill(storage, "x/d", p="old", sub__q="old")
    look = listing._names

    def late(folder: int) -> Iterator[str]:
        if os.path.samestat(os.fstat(folder), os.stat(os.path.join(storage.base_path, "x/d"))) and not replaced:
            replaced.append(1)
            fill(storage, f"x/{STAGE}", p="new", sub__q="new")
            assert storage.replace_folder(f"x/{STAGE}", "x/d")
        yield from look(folder)

    replaced: list[int] = []
    monkeypatch.setattr(listing, "_names", late)
    assert content(storage, prefix) == {"x/d/p": "new", "x/d/sub/q": "new"}
    assert replaced


def test_a_write_to_the_folder_that_was_replaced_is_not_lost_in_silence(storage: LocalStorage) -> None:
    fill(storage, "d", p="old")

    def append() -> None:
        with storage.create("d/sub/late") as file:
            file.write(b"late")
            fill(storage, STAGE, p="new")
            assert storage.replace_folder(STAGE, "d")

    with pytest.raises(Transient, match="replaced"):
        append()
    assert content(storage) == {"d/p": "new"}
    storage.write("d/sub/late", b"late")
    assert content(storage) == {"d/p": "new", "d/sub/late": "late"}


# --- links ----------------------------------------------------------------------------------------------------------


def test_a_link_to_a_folder_stays_one(storage: LocalStorage) -> None:
    fill(storage, "real/d", p="old")
    base = Path(storage.base_path)
    (base / "link").symlink_to("real/d")
    fill(storage, STAGE, p="new")
    assert storage.replace_folder(STAGE, "link")
    assert (base / "link").is_symlink()
    assert content(storage, "real") == {"real/d/p": "new"}
    assert not os.path.lexists(base / STAGE)


def test_links_lead_nothing_out(storage: LocalStorage, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "p").write_bytes(b"theirs")
    base = Path(storage.base_path)
    fill(storage, "d", p="old")
    (base / "out").symlink_to(outside)
    fill(storage, STAGE, p="new")
    with pytest.raises(InvalidPath, match="leads out"):
        storage.replace_folder(STAGE, "out")
    (base / ".odibi-stage-link").symlink_to(outside)
    with pytest.raises((InvalidPath, NotFound)):
        storage.replace_folder(".odibi-stage-link", "d")
    (base / "d" / "link").symlink_to(outside)  # goes with the folder, and what it leads to stays
    assert storage.replace_folder(STAGE, "d")
    fill(storage, ".odibi-stage-2", p="newer")  # clears what is left over: a link among it
    assert storage.replace_folder(".odibi-stage-2", "d")
    assert content(storage, "d") == {"d/p": "newer"}
    assert on_disk(storage) == ["d", "out"]
    assert (outside / "p").read_bytes() == b"theirs"


# --- where the system cannot ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EXDEV, errno.EBUSY])
def test_a_system_that_cannot_says_so(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch, number: int, tmp_path: Path
) -> None:
    def refuse(*names: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(staging, "exchange", refuse)
    fill(storage, "d", p="old")
    fill(storage, STAGE, p="new")
    assert storage.replace_folder(STAGE, "d") is False
    assert content(storage) == {"d/p": "old"}
    assert content(storage, STAGE) == {f"{STAGE}/p": "new"}
    assert storage.replace_folder(STAGE, "fresh") is True  # which needs no exchange
    assert content(storage) == {"d/p": "old", "fresh/p": "new"}


def test_the_system_exchanges_and_says_why_not(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").write_bytes(b"file")
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        staging.exchange(folder, "a", folder, "b")
        assert (tmp_path / "b").is_dir()
        assert (tmp_path / "a").read_bytes() == b"file"
        with pytest.raises(FileNotFoundError):
            staging.exchange(folder, "a", folder, "nothing")
    finally:
        os.close(folder)


# --- what killed writers leave --------------------------------------------------------------------------------------

STAGE_AND_WAIT = """
import sys
from odibi_local.storage import LocalStorage
storage = LocalStorage(base_path=sys.argv[1])
storage.write(".odibi-stage-theirs/sub/p1", b"theirs")
storage.write(".odibi-stage-theirs/p2", b"theirs")
print("staged", flush=True)
sys.stdin.readline()
with storage.create(".odibi-stage-theirs/p3") as file:
    file.write(b"theirs")
assert storage.replace_folder(".odibi-stage-theirs", "d")
print("done", flush=True)
"""


def other_writer(storage: LocalStorage) -> subprocess.Popen[bytes]:
    writer = subprocess.Popen(
        [sys.executable, "-c", STAGE_AND_WAIT, storage.base_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert writer.stdout
    assert writer.stdout.readline() == b"staged\n"
    return writer


def test_the_next_writer_removes_what_a_killed_one_left(storage: LocalStorage) -> None:
    fill(storage, "d", p="old")
    with other_writer(storage) as writer:
        writer.send_signal(signal.SIGKILL)
    assert content(storage) == {"d/p": "old"}
    assert on_disk(storage) == [".odibi-stage-theirs", "d"]
    Path(storage.base_path, ".odibi-stage-file").write_bytes(b"an object that a folder has replaced")
    fill(storage, STAGE, p="new")
    assert on_disk(storage) == [STAGE, "d"]
    assert storage.replace_folder(STAGE, "d")
    assert content(storage) == {"d/p": "new"}


def test_a_living_writer_keeps_its_stage(storage: LocalStorage) -> None:
    fill(storage, "d", p="old")
    with other_writer(storage) as writer:
        fill(storage, STAGE, p="ours")
        assert storage.replace_folder(STAGE, "d")
        assert on_disk(storage) == [".odibi-stage-theirs", "d"]
        assert content(storage) == {"d/p": "ours"}
        out, _ = writer.communicate(b"\n", timeout=60)
        assert out == b"done\n"
    assert content(storage) == {"d/p2": "theirs", "d/p3": "theirs", "d/sub/p1": "theirs"}
    assert on_disk(storage) == ["d"]


def test_of_two_threads_neither_loses_its_stage(storage: LocalStorage) -> None:
    fill(storage, ".odibi-stage-a", p="a")
    fill(storage, ".odibi-stage-b", p="b")
    fill(storage, ".odibi-stage-a", q="a")
    assert storage.replace_folder(".odibi-stage-a", "d")
    assert storage.replace_folder(".odibi-stage-b", "d")
    assert content(storage) == {"d/p": "b"}


def test_a_writer_whose_stage_was_taken_away_never_publishes_half_of_it(storage: LocalStorage) -> None:
    # As if by a machine that does not see our locks.
    fill(storage, "d", p="old")
    for act in (lambda: storage.write(f"{STAGE}/q", b"new"), lambda: storage.replace_folder(STAGE, "d")):
        fill(storage, STAGE, p="new")
        os.rename(os.path.join(storage.base_path, STAGE), os.path.join(storage.base_path, "away"))
        os.makedirs(os.path.join(storage.base_path, STAGE))
        Path(storage.base_path, STAGE, "other").write_bytes(b"")
        with pytest.raises(Transient, match="the staged folder is gone"):
            act()
        shutil.rmtree(os.path.join(storage.base_path, STAGE))
        shutil.rmtree(os.path.join(storage.base_path, "away"))
    assert content(storage) == {"d/p": "old"}


# --- races ----------------------------------------------------------------------------------------------------------

OVERWRITE = """
import sys
from odibi_local.storage import LocalStorage
storage = LocalStorage(base_path=sys.argv[1], fsync=False)
print("ready", flush=True)
sys.stdin.readline()
for version in range(int(sys.argv[2])):
    stage = f".odibi-stage-{sys.argv[3]}-{version}"
    for part in range(1 + version % 5):
        storage.write(f"{stage}/{part}", f"{sys.argv[3]}-{version}".encode())
    assert storage.replace_folder(stage, "d")
"""


def test_readers_see_one_version_whoever_overwrites(storage: LocalStorage) -> None:
    """Several processes overwrite; a listing that is the same before and after the reading is one version, whole."""
    fill(storage, "d", **{"0": "start-0"})
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", OVERWRITE, storage.base_path, "100", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for name in ("a", "b")
    ]
    for writer in writers:
        assert writer.stdout
        assert writer.stdout.readline() == b"ready\n"
        assert writer.stdin
        writer.stdin.write(b"\n")
        writer.stdin.flush()
    versions = set()
    while any(writer.poll() is None for writer in writers):
        before = list(storage.list("d"))
        try:
            read = {storage.read(stat.path).decode() for stat in before}
        except NotFound:
            continue
        assert before  # there is always something
        if before == list(storage.list("d")):
            (version,) = read
            assert len(before) == 1 + int(version.rpartition("-")[2]) % 5
            versions.add(version)
    for writer in writers:
        writer.communicate(timeout=60)
        assert writer.returncode == 0
    assert len(versions) > 1
    (last,) = set(content(storage, "d").values())
    assert last in ("a-99", "b-99")
    assert on_disk(storage) == ["d"]


def test_of_many_that_want_to_be_the_first_one_is(storage: LocalStorage) -> None:
    for round_ in range(10):
        start = threading.Barrier(4)
        won: list[int] = []

        def race(index: int, round_: int = round_, start: threading.Barrier = start, won: list[int] = won) -> None:
            stage = f"{STAGE}-{index}"
            fill(storage, stage, p=str(index), q=str(index))
            start.wait()
            try:
                assert storage.replace_folder(stage, f"d{round_}", when=ABSENT)
                won.append(index)
            except Conflict:
                for name in ("p", "q"):
                    storage.delete(f"{stage}/{name}")

        threads = [threading.Thread(target=race, args=(index,)) for index in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (index,) = won
        assert content(storage, f"d{round_}") == {f"d{round_}/p": str(index), f"d{round_}/q": str(index)}
    assert not any(name.startswith(STAGE) for name in on_disk(storage))


def test_a_switch_waits_for_the_change_that_is_under_way(storage: LocalStorage) -> None:
    fill(storage, "d", p="old")
    fill(storage, STAGE, p="new")
    switching = threading.Thread(target=storage.replace_folder, args=(STAGE, "d"))
    with publishing(storage.base_path, "d/whatever", needed=True):
        switching.start()
        switching.join(0.2)
        assert switching.is_alive()
        assert content(storage) == {"d/p": "old"}
    switching.join()
    assert content(storage) == {"d/p": "new"}


def test_stages_come_and_go_in_a_folder_that_does_too(storage: LocalStorage) -> None:
    start = threading.Barrier(3)
    failed: list[BaseException] = []

    def work(index: int) -> None:
        start.wait()
        try:
            for round_ in range(12):
                stage = f"x/y/{STAGE}-{index}-{round_}"
                fill(storage, stage, p="1", sub__q="2")
                if round_ % 2:
                    assert storage.replace_folder(stage, f"x/y/{index}")
                    storage.delete(f"x/y/{index}/p")
                    storage.delete(f"x/y/{index}/sub/q")
                else:
                    storage.delete(f"{stage}/sub/q")
                    storage.delete(f"{stage}/p")
        except BaseException as error:
            failed.append(error)
            raise

    threads = [threading.Thread(target=work, args=(index,)) for index in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert on_disk(storage) == []


NAMES = st.lists(st.sampled_from(["a", "b", "c/d", "c/e", "f/g/h"]), min_size=1, max_size=5, unique=True)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(versions=st.lists(NAMES, min_size=1, max_size=5), durable=st.booleans())
def test_any_folder_after_any_other(tmp_path: Path, versions: list[list[str]], durable: bool) -> None:
    storage = LocalStorage(base_path=tmp_path / "law", fsync=durable)
    for at, names in enumerate(versions):
        for name in names:
            storage.write(f"x/{STAGE}/{name}", b"%d" % at)
        assert storage.replace_folder(f"x/{STAGE}", "x/d")
        assert content(storage) == {f"x/d/{name}": str(at) for name in names}
        assert os.listdir(tmp_path / "law" / "x") == ["d"]


def test_a_stage_in_which_no_folder_can_be_made_is_not_left_behind(tmp_path: Path) -> None:
    storage = LocalStorage(base_path=tmp_path)
    with pytest.raises(StorageError):
        storage.write(f"{STAGE}/{'x' * 300}/part", b"")
    assert list(tmp_path.iterdir()) == []
