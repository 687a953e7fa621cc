"""Datasets of the disk cache: what lies where, and what is left when a process is killed."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from odibi.contracts.cache import Cached, Dataset
from odibi.errors import StorageError
from odibi.testing.cache_store import Clock, Warnings, content, keys_of, writing
from odibi_local.cache import DiskCache
from odibi_local.storage import LocalStorage

from .test_disk_cache_faults import run_python
from .test_disk_cache_suite import swift_folder

DAY = 86400.0


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(tmp_path: Path, clock: Clock) -> Iterator[DiskCache]:
    cache = DiskCache.with_clock(clock, path=tmp_path / "cache")
    yield cache
    cache.close()


@pytest.fixture
def swift() -> Iterator[Path]:
    folder = swift_folder()
    yield folder
    shutil.rmtree(folder)


def put(cache: DiskCache, key: str, said: bytes = b"known", ttl: float | None = None) -> Path:
    """Put a dataset as an engine does that knows of addresses alone; its folder."""
    dataset = cache.dataset(key)
    folder = Path(dataset.storage.uri(dataset.path).removeprefix("file://"))
    (folder / "_temporary/0").mkdir(parents=True)
    (folder / "part-0.parquet").write_bytes(said * 2)
    (folder / ".part-0.parquet.crc").write_bytes(b"crc")
    (folder / "_SUCCESS").touch()
    cache.put_dataset(key, dataset, said, ttl)
    return folder


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


KILL_EVERYWHERE = """
import logging, os, shutil, signal, sys
from odibi_local.cache import DiskCache

folder, act = sys.argv[1:]
warned = []
DAY = 86400.0
now = [0.0]

class Warned(logging.Handler):
    def emit(self, record):
        warned.append(record.getMessage())

logging.getLogger("odibi.cache").addHandler(Warned())

def opened():
    return DiskCache.with_clock(lambda: now[0], path=folder, max_size=150 if act == "bounded" else None)

def put(key, text, cache, **more):
    dataset = cache.dataset(key)
    for number in range(2):
        dataset.storage.write(f"{dataset.path}/part-{number}", text.encode() * (number + 1))
    cache.put_dataset(key, dataset, text.encode(), label=text, **more)

def begin():
    shutil.rmtree(folder, ignore_errors=True)
    now[0] = 1_700_000_000.0
    cache = opened()
    put("key", "old", cache)
    put("beside", "bes", cache)
    put("expired", "exp", cache, ttl=0)
    left = cache.dataset("key")
    left.storage.write(f"{left.path}/left", b"left")
    cache.close()
    if act not in ("replace", "plain", "delete"):
        now[0] += 3 * DAY

def leased(cache):
    lease = cache.lease("key", 0)
    put("key", "new", cache, lease=lease)
    cache.release(lease)

ACTS = {
    "replace": lambda cache: put("key", "new", cache),
    "plain": lambda cache: cache.put("key", lambda file: file.write(b"plain"), label="plain"),
    "bounded": lambda cache: put("new", "new", cache),
    "leased": leased,
    "delete": lambda cache: cache.delete("key"),
    "evict": lambda cache: cache.evict(0),
    "purge": lambda cache: cache.purge_expired(),
    "read": lambda cache: cache.get("key"),
}

def child(at):
    met = set()
    def trace(frame, event, arg):
        if os.sep + "odibi_local" + os.sep not in frame.f_code.co_filename:
            return None
        if event == "line":
            place = frame.f_code.co_filename, frame.f_lineno
            if place not in met:
                met.add(place)
                if len(met) == at:
                    os.kill(os.getpid(), signal.SIGKILL)
        return trace
    cache = opened()
    cache.find(["warm"])
    sys.settrace(trace)
    ACTS[act](cache)
    sys.settrace(None)
    os._exit(0)

MAY_BE = {"key": {None, "old", "new", "plain"}, "new": {None, "new"}, "beside": {None, "bes"}}
at = 0
while True:
    at += 1
    begin()
    pid = os.fork()
    if pid == 0:
        child(at)
    _, status = os.waitpid(pid, 0)
    cache = opened()
    seen = {}
    for key, values in MAY_BE.items():
        found = cache.get(key)
        seen[key] = said = found and bytes(found.data).decode()
        assert said in values and (found is None or found.label == said), (at, key, seen)
        if said not in (None, "plain"):
            stored = [stat.path for stat in found.dataset.storage.list(found.dataset.path)]
            read = [found.dataset.storage.read(path) for path in stored]
            assert read == [said.encode(), said.encode() * 2], (at, key, read)
    if act in ("replace", "plain", "leased", "read"):
        assert seen["key"] is not None, at
    if act not in ("evict", "bounded"):
        assert seen["beside"] is not None, at
    assert cache.find(MAY_BE) == {key for key, value in seen.items() if value}, at
    listed = {entry.key: entry.size for entry in cache.entries()}
    assert set(listed) - {"expired"} == {key for key, value in seen.items() if value}, at
    stats = cache.stats()
    assert (stats.entries, stats.bytes) == (len(listed), sum(listed.values())), at
    assert list(cache.verify()) == [], at
    for _ in range(2):
        now[0] += 7 * DAY
        cache.purge_expired()
    rows = [raw for raw in cache._index.rows()]
    files = {name for at_, _, names in os.walk(folder + "/v1") for name in names
             if "datasets" not in at_ and not name.startswith("index")}
    assert files == {f"{raw[0]}.{raw[1]}" for raw in rows}, (at, files, rows)
    shards = [f"{folder}/v1/datasets/{name}" for name in os.listdir(folder + "/v1/datasets") if len(name) == 2]
    places = {name for shard in shards for name in os.listdir(shard)}
    assert places == {f"{raw[0]}-{raw[1][:16]}" for raw in rows if raw[1].endswith(".d")}, (at, places, rows)
    put("key", "last", cache)
    assert bytes(cache.get("key").data) == b"last", at
    cache.close()
    assert warned == [], (at, warned)
    if os.WIFEXITED(status):
        break
    assert os.WTERMSIG(status) == signal.SIGKILL
print(at)
"""


@pytest.mark.parametrize(
    ("act", "lines"),
    [
        ("replace", 150),
        ("plain", 60),
        ("bounded", 150),
        ("leased", 150),
        ("delete", 30),
        ("evict", 40),
        ("purge", 80),
        ("read", 60),
    ],
)
def test_killed_at_every_line(swift: Path, act: str, lines: int) -> None:
    """Each entry is the old one or the new one, with all its objects; and whatever else is left goes one day."""
    assert int(run_python(KILL_EVERYWHERE, swift / "cache", act)) > lines


def at_line(number: int, work: Callable[[], object], between: Callable[[], object]) -> bool:
    """Do some work, and something else before the ``number``-th line of the package that it meets; false if no more."""
    met: set[tuple[str, int]] = set()

    def trace(frame: Any, event: str, arg: object) -> Any:
        if f"{os.sep}odibi_local{os.sep}" not in frame.f_code.co_filename:
            return None
        place = (frame.f_code.co_filename, frame.f_lineno)
        if event == "line" and len(met) < number and place not in met:
            met.add(place)
            if len(met) == number:
                sys.settrace(None)
                between()
                sys.settrace(trace)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return len(met) == number


REMOVING: dict[str, Callable[[DiskCache], object]] = {
    "evict": lambda cache: cache.evict(0),
    "replace": lambda cache: put(cache, "key", b"second"),
    "replace by another": lambda cache: cache.put("key", writing(b"second")),
    "delete": lambda cache: cache.delete("key"),
}


@pytest.mark.parametrize("act", REMOVING)
@pytest.mark.parametrize("first", ["removing", "reading"])
def test_who_reads_while_it_is_removed_has_it_or_sees_that_it_is_gone(swift: Path, act: str, first: str) -> None:
    """At whichever line of the other; deleting alone takes it from who has it, and is no damage either."""
    clock, number = Clock(), 0
    reader, remover = (DiskCache.with_clock(clock, path=swift / "cache") for _ in range(2))
    got: list[Cached | None] = []
    works = (lambda: REMOVING[act](remover), lambda: got.append(reader.get("key")))
    with Warnings() as warnings:
        while True:
            number += 1
            put(remover, "key", b"first")
            clock.advance(DAY)
            got.clear()
            reached = at_line(number, *(works if first == "removing" else works[::-1]))
            if not reached:
                break
            (found,) = got
            if found is not None and found.dataset is not None and act != "delete":
                there = {stat.path.rpartition("/")[2] for stat in found.dataset.storage.list(found.dataset.path)}
                assert there == {"part-0.parquet", ".part-0.parquet.crc", "_SUCCESS"}, number
            reader.delete("key")
    assert warnings.messages == []
    assert reader.stats().corrupt == 0
    assert number > 30
    reader.close()
    remover.close()


class TestFolder:
    def test_what_an_engine_writes_by_itself_is_all_of_it(self, cache: DiskCache, clock: Clock, tmp_path: Path) -> None:
        """Hidden files and empty folders are no exception when it goes."""
        folder = put(cache, "key")
        assert folder.parent.parent == tmp_path / "cache/v1/datasets"
        found = cache.get("key")
        assert found is not None
        assert found.dataset is not None
        assert isinstance(found.dataset.storage, LocalStorage)
        assert found.dataset.storage.native_options("spark") == {}
        (entry,) = cache.entries()
        assert entry.size > len(b"known" * 2 + b"crc")
        cache.delete("key")
        assert not folder.exists()
        other = put(cache, "key")
        clock.advance(DAY)
        assert cache.evict(0) == 1
        assert not other.exists()
        assert not list(tmp_path.glob("cache/v1/??/*"))

    def test_what_is_not_ours_stays(self, cache: DiskCache, clock: Clock, tmp_path: Path) -> None:
        put(cache, "key")
        mine = tmp_path / "cache/v1/datasets/mine/notes.txt"
        mine.parent.mkdir()
        mine.write_text("mine")
        (tmp_path / "outside").mkdir()
        (tmp_path / "outside/file").touch()
        shard = tmp_path / "cache/v1/datasets/00"
        shard.mkdir(exist_ok=True)
        (shard / "key-0000000000000000").symlink_to(tmp_path / "outside")
        clock.advance(7 * DAY)
        cache.purge_expired()
        assert mine.read_text() == "mine"
        assert (tmp_path / "outside/file").exists()

    def test_a_place_is_put_once(self, cache: DiskCache) -> None:
        dataset = cache.dataset("key")
        dataset.storage.write(f"{dataset.path}/part", b"x")
        cache.put_dataset("key", dataset, b"one")
        with pytest.raises(StorageError, match="put before"):
            cache.put_dataset("key", dataset, b"two")
        assert content(cache, "key") == b"one"

    def test_a_place_is_of_this_cache_and_key(self, cache: DiskCache, tmp_path: Path) -> None:
        dataset = cache.dataset("key")
        dataset.storage.write(f"{dataset.path}/part", b"x")
        with pytest.raises(ValueError, match="is for 'key'"):
            cache.put_dataset("other", dataset, b"")
        assert list(dataset.storage.list(dataset.path)) == []
        for path in ("", "..", "../../v1", "00/key", f"{dataset.path}/part"):
            with pytest.raises(ValueError, match="not a dataset of this cache"):
                cache.put_dataset("key", attrs.evolve(dataset, path=path), b"")
        elsewhere = Dataset(LocalStorage(base_path=tmp_path), dataset.path)
        with pytest.raises(ValueError, match="not a dataset of this cache"):
            cache.put_dataset("key", elsewhere, b"")
        assert keys_of(cache) == []

    def test_another_process_puts_what_it_was_told_of(self, cache: DiskCache, clock: Clock, tmp_path: Path) -> None:
        """A place is its storage and its path, and no more."""
        dataset = cache.dataset("key")
        dataset.storage.write(f"{dataset.path}/part", b"x")
        other = DiskCache.with_clock(clock, path=tmp_path / "cache")
        told = Dataset(LocalStorage(base_path=dataset.storage.base_path, fsync=False), dataset.path)  # type: ignore[attr-defined]
        other.put_dataset("key", told, b"known")
        assert content(cache, "key") == b"known"
        other.close()

    def test_on_disk_before_it_counts(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its objects as well, where that is asked for."""
        synced: list[int] = []
        fsync = os.fsync

        def noted(handle: int) -> None:
            synced.append(os.fstat(handle).st_ino)
            fsync(handle)

        monkeypatch.setattr(os, "fsync", noted)
        for durable in (False, True):
            cache = DiskCache(path=tmp_path / str(durable), fsync=durable)
            synced.clear()
            folder = put(cache, "key")
            for path in (folder, folder / "part-0.parquet", folder / ".part-0.parquet.crc"):
                assert (path.stat().st_ino in synced) is durable
            cache.close()


class TestSwept:
    def test_the_first_place_makes_room_for_itself(self, cache: DiskCache, clock: Clock, tmp_path: Path) -> None:
        """What nobody reads any more goes without a purge."""
        old = put(cache, "key")
        new = put(cache, "key")
        clock.advance(DAY)
        assert old.exists()
        other = DiskCache.with_clock(clock, path=tmp_path / "cache")
        other.dataset("other")
        assert not old.exists()
        assert new.exists()
        other.close()

    def test_an_index_that_was_lost(self, cache: DiskCache, clock: Clock, tmp_path: Path) -> None:
        """Its datasets are nobody's, and go when nobody can be writing them."""
        folders = [put(cache, key) for key in "ab"]
        cache.close()
        for path in (tmp_path / "cache/v1").glob("index*"):
            path.unlink()
        assert keys_of(cache) == []
        cache.purge_expired()
        assert all(folder.exists() for folder in folders)
        clock.advance(7 * DAY)
        cache.purge_expired()
        assert not any(folder.exists() for folder in folders)
        assert not list(tmp_path.glob("cache/v1/??/*"))

    def test_a_row_that_names_another_folder_removes_nothing(self, cache: DiskCache, tmp_path: Path) -> None:
        """Each row is sealed; what a damaged one says is not acted upon."""
        put(cache, "a")
        beside = put(cache, "b")
        (tmp_path / "cache/v1/precious").mkdir()
        home = tmp_path / "cache/v1"
        cache.close()
        for file in ("../../precious.d", "0123456789abcdef.d", b"\xff"):
            with sqlite3.connect(home / (home / "index").read_text().strip()) as db:
                db.execute("UPDATE entries SET file = ? WHERE key = 'a'", (file,))
            db.close()
            with Warnings() as warnings:
                assert cache.get("a") is None
            assert len(warnings.messages) == 1
            assert (home / "precious").exists()
            assert beside.exists()
            assert content(cache, "b") == b"known"
            put(cache, "a")
            cache.close()


def test_a_cache_of_before_keeps_its_entries(cache: DiskCache, tmp_path: Path) -> None:
    """Datasets need nothing of the index that it did not have before there were any."""
    for number in range(3):
        cache.put(f"k{number}", writing(b"x" * number))
    home = tmp_path / "cache/v1"
    with sqlite3.connect(home / (home / "index").read_text().strip()) as db:
        columns = [row[1] for row in db.execute("PRAGMA table_info(entries)")]
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    db.close()
    assert columns == ["key", "file", "size", "created", "used", "expires", "checksum", "label", "seal"]
    assert tables == {"entries", "leases", "tally"}
    assert not (home / "datasets").exists()
    put(cache, "k1")
    assert keys_of(cache) == ["k0", "k1", "k2"]
    assert content(cache, "k2") == b"xx"


def test_in_a_process_that_is_killed_between_its_objects(cache: DiskCache, clock: Clock, tmp_path: Path) -> None:
    code = """
import os, signal, sys
from odibi.testing.clock import START
from odibi_local.cache import DiskCache
cache = DiskCache.with_clock(lambda: START, path=sys.argv[1])
dataset = cache.dataset("key")
dataset.storage.write(f"{dataset.path}/part-0", b"x")
os.kill(os.getpid(), signal.SIGKILL)
"""
    before = put(cache, "key")
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "cache")])
    assert done.returncode == -9
    assert len(list(tmp_path.glob("cache/v1/datasets/??/*"))) == 2
    assert content(cache, "key") == b"known"
    clock.advance(DAY)
    cache.purge_expired()
    assert len(list(tmp_path.glob("cache/v1/datasets/??/*"))) == 2
    clock.advance(DAY)
    cache.purge_expired()
    assert list(tmp_path.glob("cache/v1/datasets/??/*")) == [before]
    assert names(before) == {"part-0.parquet", ".part-0.parquet.crc", "_SUCCESS"}
