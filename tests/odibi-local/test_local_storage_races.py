from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from odibi.contracts.storage import ABSENT, Match
from odibi.errors import Conflict, NotFound, StorageError
from odibi_local.drafts import publishing
from odibi_local.storage import LocalStorage

COUNT_UP = """
import sys
from odibi_local.storage import LocalStorage
from odibi.contracts.storage import Match
from odibi.errors import Conflict
storage = LocalStorage(base_path=sys.argv[1], fsync=False)
done = 0
print("ready", flush=True)
sys.stdin.readline()
while done < int(sys.argv[2]):
    seen = storage.stat("counter")
    value = int(storage.read("counter"))
    try:
        storage.write("counter", b"%d" % (value + 1), when=Match(seen.etag))
    except Conflict:
        continue
    done += 1
"""


def together(count: int, work: Callable[[int], object]) -> list[object]:
    start = threading.Barrier(count)

    def one(index: int) -> object:
        start.wait()
        return work(index)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def won(call: Callable[[], object]) -> bool:
    try:
        call()
    except Conflict:
        return False
    return True


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(base_path=tmp_path, fsync=False)


def test_of_many_that_create_one_wins(storage: LocalStorage) -> None:
    for round_ in range(20):
        path = f"new/{round_}/x"
        results = together(8, lambda i, path=path: won(lambda: storage.write(path, b"%d" % i, when=ABSENT)))  # type: ignore[misc]
        assert results.count(True) == 1
        assert storage.read(path) == b"%d" % results.index(True)


def test_of_many_that_replace_one_wins(storage: LocalStorage) -> None:
    etag = storage.write("x", b"start").etag
    for _ in range(20):
        results = together(8, lambda i, etag=etag: won(lambda: storage.write("x", b"%d" % i, when=Match(etag))))  # type: ignore[misc]
        assert results.count(True) == 1
        assert storage.read("x") == b"%d" % results.index(True)
        etag = storage.stat("x").etag


def test_a_plain_write_never_slips_into_a_conditional_one(storage: LocalStorage) -> None:
    # Were the plain write to fall between another's check and its rename, it would return and yet leave no trace.
    for round_ in range(60):
        etag = storage.write("x", b"start").etag
        conditional, _ = together(
            2,
            lambda i, etag=etag: won(  # type: ignore[misc]
                lambda: (
                    storage.write("x", b"plain" if i else b"conditional", when=Match(etag))
                    if not i
                    else storage.write("x", b"plain")
                )
            ),
        )
        content = storage.read("x")
        assert content == b"plain" or conditional, round_


@pytest.mark.parametrize("change", ["write", "create", "absent", "delete"])
def test_every_change_waits_for_the_one_that_is_under_way(storage: LocalStorage, change: str) -> None:
    path = "new" if change == "absent" else "x"
    storage.write("x", b"old")

    def stream() -> None:
        with storage.create("x") as file:
            file.write(b"new")

    work: dict[str, Callable[[], object]] = {
        "write": lambda: storage.write("x", b"new"),
        "create": stream,
        "absent": lambda: storage.write("new", b"new", when=ABSENT),
        "delete": lambda: storage.delete("x"),
    }
    changing = threading.Thread(target=work[change])
    with publishing(storage.base_path, path, needed=True):
        changing.start()
        changing.join(0.2)
        assert changing.is_alive()
        assert storage.read("x") == b"old"
        assert ("new" in {stat.path for stat in storage.list()}) is False
    changing.join()
    left = {stat.path: storage.read(stat.path) for stat in storage.list()}
    assert left == {"delete": {}, "absent": {"x": b"old", "new": b"new"}}.get(change, {"x": b"new"})


def test_processes_count_without_losing_one(storage: LocalStorage, tmp_path: Path) -> None:
    storage.write("counter", b"0")
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", COUNT_UP, str(tmp_path), "60"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in range(3)
    ]
    for worker in workers:
        assert worker.stdout
        assert worker.stdout.readline() == b"ready\n"
    for worker in workers:
        worker.communicate(b"\n", timeout=60)
        assert worker.returncode == 0
    assert storage.read("counter") == b"180"


def test_readers_see_whole_objects(storage: LocalStorage) -> None:
    size = 200_000
    storage.write("x", b"a" * size)
    stop = threading.Event()

    def write(letter: bytes) -> None:
        while not stop.is_set():
            storage.write("x", letter * size)

    def read() -> None:
        try:
            for _ in range(300):
                content = storage.read("x")
                assert len(content) == size
                assert content == content[:1] * size
        finally:
            stop.set()

    together(3, lambda i: read() if i == 0 else write(b"%d" % i))


def test_folders_that_come_and_go(storage: LocalStorage) -> None:
    def work(index: int) -> None:
        for _ in range(60):
            storage.write(f"a/b/{index}", b"x")
            assert storage.read(f"a/b/{index}") == b"x"
            storage.delete(f"a/b/{index}")
            with pytest.raises(NotFound):
                storage.stat(f"a/b/{index}")

    together(4, work)
    assert list(storage.list()) == []


def test_a_link_swapped_in_never_leads_out(storage: LocalStorage, tmp_path: Path) -> None:
    base = tmp_path / "base"
    storage = LocalStorage(base_path=base, fsync=False)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x").write_bytes(b"secret")
    storage.write("d/x", b"inside")
    stop = threading.Event()
    swapped: list[int] = []

    def swap() -> None:
        while not stop.is_set():
            with suppress(OSError):  # the storage makes the folder anew while it is away
                os.rename(base / "d", base / f"kept{len(os.listdir(base))}")
            with suppress(OSError):
                os.symlink(outside, base / "d")
                swapped.append(1)
                os.unlink(base / "d")

    def use() -> None:
        try:
            for _ in range(400):
                for call in (lambda: storage.read("d/x"), lambda: storage.write("d/y", b"mine")):
                    with suppress(StorageError):
                        assert call() != b"secret"
        finally:
            stop.set()

    swapper = threading.Thread(target=swap)
    swapper.start()
    use()
    swapper.join()
    assert swapped
    assert os.listdir(outside) == ["x"]


WRITE_SLOWLY = """
import sys
from odibi_local.storage import LocalStorage
storage = LocalStorage(base_path=sys.argv[1])
with storage.create("x") as file:
    file.write(b"n" * 2_000_000)
    file.flush()
    print("half", flush=True)
    sys.stdin.readline()
"""

WRITE_ALWAYS = """
import sys
from odibi_local.storage import LocalStorage
storage = LocalStorage(base_path=sys.argv[1])
print("ready", flush=True)
i = 0
while True:
    i += 1
    storage.write("x", (b"%08d" % i) * 50_000)
"""


def test_killed_half_way_leaves_the_old_object(storage: LocalStorage, tmp_path: Path) -> None:
    storage.write("x", b"old")
    with subprocess.Popen(
        [sys.executable, "-c", WRITE_SLOWLY, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"half\n"
        process.send_signal(signal.SIGKILL)
    assert storage.read("x") == b"old"
    assert [stat.path for stat in storage.list()] == ["x"]
    storage.write("x", b"next")
    assert storage.read("x") == b"next"


@pytest.mark.parametrize("after", [1, 5, 20])
def test_killed_anywhere_leaves_old_or_new_whole(storage: LocalStorage, tmp_path: Path, after: int) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITE_ALWAYS, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        seen: set[str] = set()
        while len(seen) < after:
            seen.update(stat.etag for stat in storage.list())
        process.send_signal(signal.SIGKILL)
    content = storage.read("x")
    assert len(content) == 400_000
    assert content == content[:8] * 50_000
    storage.write("x", b"free", when=Match(storage.stat("x").etag))  # the dead writer holds no lock
