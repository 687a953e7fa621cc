"""Datasets of several files on a real disk: readers and writers in processes of their own, some of them killed."""

from __future__ import annotations

import glob
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from odibi.contracts.format import Source, Target, WriteMode
from odibi.errors import DataError, NotFound, OdibiError
from odibi_local.storage import LocalStorage
from odibi_pandas.engine import PandasEngine
from odibi_pandas.formats.parquet import ParquetFormat

OVERWRITES = 200

COMMON = """
import sys
import pandas as pd
from odibi.contracts.format import Target, WriteMode
from odibi_local.storage import LocalStorage
from odibi_pandas.engine import PandasEngine
from odibi_pandas.formats.parquet import ParquetFormat

engine = PandasEngine()
storage = LocalStorage(base_path=sys.argv[1], fsync=False)

def target(mode="overwrite", **more):
    return Target(storage=storage, connection="lake", format=ParquetFormat(), format_name="parquet", path="d",
                  mode=WriteMode(mode), **more)

def version_of(number, parts):
    return pd.DataFrame({"part": list(range(parts)), "version": number, "parts": parts})

def say(text):
    print(text, flush=True)

sys.stdin.readline()
"""

OVERWRITE = (
    COMMON
    + """
by = ("part",) if sys.argv[2] == "partitions" else ()
for number in range(1, int(sys.argv[3]) + 1):
    report = engine.write(version_of(number, 1 + number % 4), target(part="same", partition_by=by))
    assert {path: storage.stat(path).etag for path in report.paths} == dict(report.etags)
    assert sorted(report.paths) == sorted(stat.path for stat in storage.list("d"))
"""
)

HALF = (
    COMMON
    + """
def frames():
    yield version_of(100, 2)
    say("half")
    sys.stdin.readline()
    yield version_of(100, 3)

engine.write_chunks(frames(), target(part="same", partition_by=("part",)))
say("done")
"""
)

MERGE = (
    COMMON
    + """
for number in range(int(sys.argv[4])):
    mine = pd.DataFrame({"id": [int(sys.argv[3]) * 1000 + number, 7], "by": [sys.argv[3], "all"]})
    report = engine.write(mine, target(sys.argv[2], part="p", keys=("id",)))
"""
)


@contextmanager
def process(code: str, storage: LocalStorage, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A writer that begins with :func:`go`."""
    command = [sys.executable, "-c", code, storage.base_path, *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as started:
        try:
            yield started
        finally:
            started.kill()


def go(started: subprocess.Popen[str]) -> None:
    assert started.stdin
    started.stdin.write("\n")
    started.stdin.flush()


def ended(started: subprocess.Popen[str]) -> str:
    out, _ = started.communicate(timeout=120)
    assert started.returncode == 0
    return out


@pytest.fixture(scope="module")
def engine() -> Iterator[PandasEngine]:
    engine = PandasEngine()
    yield engine
    engine.close()


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(base_path=tmp_path / "lake", fsync=False)


def source(storage: LocalStorage, path: str = "d") -> Source:
    return Source(storage=storage, connection="lake", format=ParquetFormat(), format_name="parquet", path=path)


def target(storage: LocalStorage, **more: Any) -> Target:
    more.setdefault("part", "same")
    return Target(storage=storage, connection="lake", format=ParquetFormat(), format_name="parquet", path="d", **more)


def version(number: int, parts: int) -> pd.DataFrame:
    return pd.DataFrame({"part": list(range(parts)), "version": number, "parts": parts})


def start(storage: LocalStorage, engine: PandasEngine, layout: str, frame: pd.DataFrame | None = None) -> None:
    """The first version, as one part or as many."""
    frame = version(0, 1) if frame is None else frame
    if layout == "folder":
        engine.write(frame, target(storage, mode=WriteMode.APPEND))
    else:
        engine.write(frame, target(storage, partition_by=("part",)))


def seen(frame: pd.DataFrame) -> int:
    """The one version that a frame holds, whole."""
    (number,) = set(frame["version"])
    (parts,) = set(frame["parts"])
    assert sorted(frame["part"]) == list(range(parts))
    return int(number)


def on_disk(storage: LocalStorage) -> list[str]:
    return sorted(set(os.listdir(storage.base_path)) - {".odibi-lock"})


# --- readers see one version ----------------------------------------------------------------------------------------


def foreign(storage: LocalStorage) -> set[int]:
    """The versions that somebody sees who lists the files and then reads them by their names."""
    names = glob.glob(os.path.join(storage.base_path, "**", "*.parquet"), recursive=True)
    try:
        return {number for name in names for number in pq.ParquetFile(name).read()["version"].to_pylist()}
    except FileNotFoundError:
        return set()  # one that is gone


@pytest.mark.parametrize(("layout", "overwrites"), [("partitions", OVERWRITES), ("folder", 50)])
def test_readers_see_one_version(storage: LocalStorage, engine: PandasEngine, layout: str, overwrites: int) -> None:
    start(storage, engine, layout)

    def foreign_version() -> int | None:
        found = foreign(storage)
        assert len(found) <= 1
        return next(iter(found), None)

    readers: dict[str, Callable[[], int | None]] = {
        "whole": lambda: seen(engine.read(source(storage))),
        "chunks": lambda: seen(pd.concat(list(engine.read_chunks(source(storage), 1)))),
        "glob": lambda: seen(engine.read(source(storage, "*/*"))),
        "foreign": foreign_version,
    }
    versions: dict[str, set[int | None]] = {name: set() for name in readers}

    def read(name: str, writer: subprocess.Popen[str]) -> None:
        try:
            while writer.poll() is None:
                versions[name].add(readers[name]())
        finally:
            writer.kill()

    with process(OVERWRITE, storage, layout, overwrites) as writer, ThreadPoolExecutor(len(readers)) as pool:
        go(writer)
        done = [pool.submit(read, name, writer) for name in readers]
        for each in done:
            each.result()
        ended(writer)
    assert all(found - {None} for found in versions.values())
    assert len(versions["whole"]) > 3
    assert seen(engine.read(source(storage))) == overwrites
    assert on_disk(storage) == ["d"]


def test_a_reader_sees_an_object_or_the_folder_that_replaces_it(storage: LocalStorage, engine: PandasEngine) -> None:
    with process(OVERWRITE, storage, "partitions", 1) as writer:
        engine.write(version(0, 1), target(storage))
        assert on_disk(storage) == ["d"]
        go(writer)
        while writer.poll() is None:
            assert seen(engine.read(source(storage))) in (0, 1)
        ended(writer)
    assert seen(engine.read(source(storage))) == 1


# --- killed writers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["folder", "partitions"])
def test_a_killed_writer_leaves_the_old_version(storage: LocalStorage, engine: PandasEngine, layout: str) -> None:
    start(storage, engine, layout, version(1, 3))
    before = {stat.path: stat.etag for stat in storage.list()}
    with process(HALF, storage) as writer:
        go(writer)
        assert writer.stdout
        assert writer.stdout.readline() == "half\n"
        assert seen(engine.read(source(storage))) == 1
        writer.send_signal(signal.SIGKILL)
    assert {stat.path: stat.etag for stat in storage.list()} == before
    assert seen(engine.read(source(storage))) == 1
    assert seen(engine.read(source(storage, "*"))) == 1
    assert len(on_disk(storage)) == 2
    engine.write(version(2, 2), target(storage))
    assert on_disk(storage) == ["d"]
    assert seen(engine.read(source(storage))) == 2


def test_a_writer_that_is_killed_anywhere_leaves_a_whole_version(storage: LocalStorage, engine: PandasEngine) -> None:
    engine.write(version(0, 1), target(storage, partition_by=("part",)))
    for wanted in (1, 8):
        with process(OVERWRITE, storage, "partitions", 100_000) as writer:
            go(writer)
            deadline = time.monotonic() + 60
            while seen(engine.read(source(storage))) < wanted:
                assert time.monotonic() < deadline
            writer.send_signal(signal.SIGKILL)
        assert seen(engine.read(source(storage))) >= wanted
        assert len(foreign(storage)) == 1
        engine.write(version(0, 1), target(storage, partition_by=("part",)))
        assert on_disk(storage) == ["d"]


# --- racing writers -------------------------------------------------------------------------------------------------


def together(*work: Callable[[], object]) -> list[object]:
    """What each gives, or the error that it raises, all begun at once."""
    start = threading.Barrier(len(work))

    def one(call: Callable[[], object]) -> object:
        start.wait()
        try:
            return call()
        except OdibiError as error:
            return error

    with ThreadPoolExecutor(len(work)) as pool:
        return list(pool.map(one, work))


def test_two_that_overwrite_never_mix(storage: LocalStorage, engine: PandasEngine) -> None:
    start(storage, engine, "partitions")
    left = [1, 1]

    def overwrite(**how: Any) -> None:
        for number in range(1, 31):
            engine.write(version(number, 1 + number % 4), target(storage, **how))
        left.pop()

    def read() -> None:
        while left:
            seen(engine.read(source(storage)))

    together(lambda: overwrite(partition_by=("part",)), overwrite, read)
    assert seen(engine.read(source(storage))) == 30
    assert on_disk(storage) == ["d"]


def test_of_many_that_want_to_be_the_first_one_is(storage: LocalStorage, engine: PandasEngine) -> None:
    def write(number: int) -> Callable[[], object]:
        aim = target(storage, mode=WriteMode.ERROR, part=f"part{number}", partition_by=("part",))
        return lambda: engine.write(version(number, 3), aim)

    for _ in range(10):
        results = together(*map(write, range(4)))
        (winner,) = (at for at, it in enumerate(results) if not isinstance(it, DataError))
        assert all("there is data already" in str(it) for at, it in enumerate(results) if at != winner)
        assert seen(engine.read(source(storage))) == winner
        for stat in list(storage.list()):
            storage.delete(stat.path)
        assert on_disk(storage) == []


def test_processes_that_merge_lose_no_row(storage: LocalStorage, engine: PandasEngine) -> None:
    with process(MERGE, storage, "upsert", 1, 10) as one, process(MERGE, storage, "upsert", 2, 10) as two:
        for each in (one, two):
            go(each)
        for each in (one, two):
            ended(each)
    rows = engine.read(source(storage))["id"].tolist()
    assert sorted(rows) == sorted([7, *(name * 1000 + at for name in (1, 2) for at in range(10))])


@pytest.mark.parametrize("mode", [WriteMode.UPSERT, WriteMode.APPEND_ONCE])
def test_merges_lose_no_row(storage: LocalStorage, engine: PandasEngine, mode: WriteMode) -> None:
    def merge(name: int) -> Callable[[], object]:
        def work() -> None:
            for at in range(8):
                mine = pd.DataFrame({"id": [name * 1000 + at, 7], "by": [name, name]})
                report = engine.write(mine, target(storage, mode=mode, keys=("id",)))
                etags.append(report.etags["d"])

        return work

    etags: list[str] = []
    assert together(*map(merge, range(1, 5))) == [None] * 4
    rows = engine.read(source(storage))["id"].tolist()
    assert sorted(rows) == sorted([7, *(name * 1000 + at for name in range(1, 5) for at in range(8))])
    assert len(set(etags)) == 32, "each tells the etag of what it wrote itself"


def test_an_append_to_partitions_that_was_killed_is_finished_by_the_next(
    storage: LocalStorage, engine: PandasEngine
) -> None:
    code = HALF.replace('target(part="same"', 'target("append", part="same"')
    with process(code, storage) as writer:
        go(writer)
        assert writer.stdout
        assert writer.stdout.readline() == "half\n"
        writer.send_signal(signal.SIGKILL)
    first = sorted(stat.path for stat in storage.list())
    assert len(first) == 2
    frames = [version(100, 2), version(100, 3)]
    for _ in range(2):
        report = engine.write_chunks(
            iter(frames), target(storage, mode=WriteMode.APPEND, part="same", partition_by=("part",))
        )
        assert dict(report.etags) == {stat.path: stat.etag for stat in storage.list()}
        assert len(engine.read(source(storage))) == 5
    with pytest.raises(NotFound):
        engine.read(source(storage, "e"))
