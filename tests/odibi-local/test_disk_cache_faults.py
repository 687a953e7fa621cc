"""The disk cache when processes are killed or forked, and when the disk is full, read-only or locked."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from odibi.contracts.cache import Lease
from odibi.errors import AccessDenied, Conflict, StorageError, Transient
from odibi.testing.cache_store import Warnings, content, keys_of, writing
from odibi_local.cache import DiskCache
from odibi_local.cache_index import CacheIndex

from .test_disk_cache_suite import swift_folder


@pytest.fixture
def swift() -> Iterator[Path]:
    folder = swift_folder()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[DiskCache]:
    cache = DiskCache(path=tmp_path / "cache")
    yield cache
    cache.close()


def run_python(code: str, *args: object, **options: object) -> str:
    """What ``code`` prints; fails with what it says if it does not end well."""
    done = subprocess.run(  # type: ignore[call-overload]
        [sys.executable, "-W", "error", "-c", code, *map(str, args)],
        capture_output=True,
        text=True,
        timeout=120,
        **options,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return str(done.stdout)


KILL_EVERYWHERE = """
import logging, os, shutil, signal, sys
from odibi_local.cache import DiskCache

folder, act = sys.argv[1:]
warned = []

class Warned(logging.Handler):
    def emit(self, record):
        warned.append(record.getMessage())

logging.getLogger("odibi.cache").addHandler(Warned())

def put(key, text, cache, **more):
    return cache.put(key, lambda file: file.write(text.encode()), label=text[:3], **more)

def begin():
    cache = DiskCache(path=folder)
    put("key", "old" * 20, cache)
    put("beside", "bes" * 20, cache)
    put("expired", "exp" * 20, cache, ttl=0)
    cache.close()

def replace(cache):
    put("key", "new" * 30, cache)

def leased(cache):
    lease = cache.lease("key", 0)  # over when the next one comes
    cache.renew(lease, 0)
    put("key", "new" * 30, cache, lease=lease)
    cache.release(lease)

def read(cache):
    cache.get("key")
    cache.close()

ACTS = {
    "first": (lambda: shutil.rmtree(folder, ignore_errors=True), lambda cache: put("key", "new" * 30, cache)),
    "replace": (begin, replace),
    "bounded": (begin, lambda cache: put("new", "new" * 30, cache)),
    "leased": (begin, leased),
    "delete": (begin, lambda cache: cache.delete("key")),
    "evict": (begin, lambda cache: cache.evict(0)),
    "purge": (begin, lambda cache: cache.purge_expired()),
    "read": (begin, read),
}
prepare, work = ACTS[act]

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
    cache = DiskCache(path=folder, max_size=150 if act == "bounded" else None)
    if act not in ("first", "read"):
        cache.put("warm", lambda file: None, ttl=0)
        cache.delete("warm")
    sys.settrace(trace)
    work(cache)
    sys.settrace(None)
    os._exit(0)

MAY_BE = {"key": {None, "old" * 20, "new" * 30}, "new": {None, "new" * 30}, "beside": {None, "bes" * 20}}
at = 0
while True:
    at += 1
    prepare()
    pid = os.fork()
    if pid == 0:
        child(at)
    _, status = os.waitpid(pid, 0)
    cache = DiskCache(path=folder)
    seen = {}
    for key, values in MAY_BE.items():
        found = cache.get(key)
        seen[key] = found and bytes(found.data).decode()
        assert seen[key] in values, (at, key, seen)
        assert found is None or found.label == seen[key][:3], (at, key)
    if act in ("replace", "leased"):
        assert seen["key"] is not None, at
    if act not in ("evict", "bounded", "first"):
        assert seen["beside"] is not None, at
    assert cache.find(MAY_BE) == {key for key, value in seen.items() if value}, at
    listed = {entry.key: entry.size for entry in cache.entries()}
    assert {key: len(value) for key, value in seen.items() if value} == {
        key: size for key, size in listed.items() if key != "expired"
    }, at
    stats = cache.stats()
    assert (stats.entries, stats.bytes) == (len(listed), sum(listed.values())), at
    assert list(cache.verify()) == [], at
    cache.purge_expired()
    rows = {f"{raw[0]}.{raw[1]}" for raw in cache._index.rows()}
    assert {name for _, _, names in os.walk(folder) for name in names if "." in name[1:]
            and name not in ("CACHEDIR.TAG", ".gitignore")} == rows | {
        name for name in os.listdir(folder + "/v1") if name.startswith("index")}  - {"index"}, at
    assert os.path.isdir(folder + "/v1/drafts") is False or os.listdir(folder + "/v1/drafts") == [], at
    put("key", "last", cache)
    assert bytes(cache.get("key").data) == b"last", at
    cache.close()
    assert warned == [], (at, warned)
    if os.WIFEXITED(status):
        break
    assert os.WTERMSIG(status) == signal.SIGKILL
print(at)
"""


class TestKilled:
    @pytest.mark.parametrize(
        ("act", "lines"),
        [
            ("first", 150),
            ("replace", 80),
            ("bounded", 80),
            ("leased", 100),
            ("delete", 30),
            ("evict", 40),
            ("purge", 60),
            ("read", 80),
        ],
    )
    def test_at_every_line(self, swift: Path, act: str, lines: int) -> None:
        """Each value is the old one or the new one, whole; nothing is damage; what is left behind is swept away."""
        assert int(run_python(KILL_EVERYWHERE, swift / "cache", act)) > lines

    def test_in_the_writer(self, cache: DiskCache, tmp_path: Path) -> None:
        cache.put("key", writing(b"old"))
        code = """
import os, signal, sys
from odibi_local.cache import DiskCache
cache = DiskCache(path=sys.argv[1])
def writer(file):
    file.write(b"new" * 1_000_000)
    os.kill(os.getpid(), signal.SIGKILL)
cache.put("key", writer)
"""
        done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "cache")])
        assert done.returncode == -9
        (draft,) = (tmp_path / "cache/v1/drafts").iterdir()
        assert draft.stat().st_size >= 2_000_000
        assert content(cache, "key") == b"old"
        cache.purge_expired()
        assert list((tmp_path / "cache/v1/drafts").iterdir()) == []
        assert content(cache, "key") == b"old"

    def test_its_lease_ends_with_it(self, cache: DiskCache, tmp_path: Path) -> None:
        """Not a moment before; one that is renewed or given back by nobody is then anybody's."""
        code = """
import sys
from odibi_local.cache import DiskCache
cache = DiskCache(path=sys.argv[1])
print(cache.lease("key", 3600).token, flush=True)
input()
"""
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "cache")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        with process:
            assert process.stdout is not None
            token = int(process.stdout.readline())
            assert cache.lease("key", 10) is None
            process.kill()
        lease = cache.lease("key", 10)
        assert lease is not None
        assert lease.token > token
        with pytest.raises(Conflict):
            cache.put("key", writing(b"x"), lease=Lease("key", token, lease.expires))


FORK = """
import os, sys, threading, traceback
from odibi_local.cache import DiskCache

folder = sys.argv[1]
cache = DiskCache(path=folder)
cache.put("key", lambda file: file.write(b"from the parent"))
cache.get("key")
held = cache.get("key")
lease = cache.lease("mine", 60)
stop = threading.Event()

def busy():
    number = 0
    while not stop.is_set():
        number += 1
        data = b"%d" % number * 100
        cache.put("busy", lambda file: file.write(data))
        cache.get("busy")

thread = threading.Thread(target=busy)
if sys.argv[2] == "threads":
    thread.start()
children = []
for number in range(12):
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            assert bytes(held.data) == b"from the parent"
            assert bytes(cache.get("key").data) == b"from the parent"
            assert cache.lease("mine", 60) is None
            cache.put(f"child{number}", lambda file: file.write(b"%d" % number))
            own = DiskCache(path=folder)
            assert bytes(own.get(f"child{number}").data) == b"%d" % number
            grandchild = os.fork()
            if grandchild == 0:
                cache.put(f"grandchild{number}", lambda file: file.write(b"%d" % number))
                cache.close()
                os._exit(0)
            assert os.waitpid(grandchild, 0)[1] == 0
            own.close()
            cache.close()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    children.append(pid)
for pid in children:
    assert os.waitpid(pid, 0)[1] == 0
stop.set()
if thread.ident:
    thread.join()
cache.put("mine", lambda file: file.write(b"x"), lease=lease)
assert cache.find([f"{kind}{number}" for kind in ("child", "grandchild") for number in range(12)]).__len__() == 24
assert list(cache.verify()) == []
if sys.argv[2] == "alone":
    stats = cache.stats()
    assert stats.hits == 2 + 12 * 2, stats
    assert stats.puts == 2 + 24, stats
cache.close()
"""


class TestForked:
    @pytest.mark.parametrize("others", ["alone", "threads"])
    def test_children_and_parents_go_on(self, tmp_path: Path, others: str) -> None:
        """Each with connections of its own, and nothing is counted twice."""
        code = "import warnings; warnings.simplefilter('ignore', DeprecationWarning)\n" + FORK
        run_python(code, tmp_path / "cache", others)
        with Warnings() as warnings:
            cache = DiskCache(path=tmp_path / "cache")
            assert list(cache.verify()) == []
            cache.purge_expired()
            assert len(list(tmp_path.glob("cache/v1/??/*"))) == len(keys_of(cache))
            cache.close()
        assert warnings.messages == []

    def test_a_fork_that_python_does_not_see(self, tmp_path: Path) -> None:
        """As by a C library: the child notices, and leaves the parent's connections alone."""
        code = """
import ctypes, os, sys
from odibi_local.cache import DiskCache
cache = DiskCache(path=sys.argv[1])
cache.put("key", lambda file: file.write(b"x"))
cache.get("key")
pid = ctypes.PyDLL(None).fork()
if pid == 0:
    assert bytes(cache.get("key").data) == b"x"
    cache.put("child", lambda file: file.write(b"y"))
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
assert bytes(cache.get("child").data) == b"y"
stats = cache.stats()
assert stats.hits == 3, stats
cache.close()
"""
        run_python(code, tmp_path / "cache")


FULL = """
import os, sys
from odibi.errors import StorageError
from odibi_local.cache import DiskCache

def refused(call, word):
    try:
        call()
    except StorageError as error:
        assert word in str(error), error
        assert error.remedy
        return
    raise AssertionError("it was not refused")

def put(key, data, cache):
    cache.put(key, lambda file: file.write(data))

def check(folder, fill, free, word):
    cache = DiskCache(path=folder)
    put("key", b"old", cache)
    lease = cache.lease("key", 60)
    before = cache.stats()
    fill()
    for _ in range(3):
        refused(lambda: put("key", b"n" * 3_000_000, cache), word)
        refused(lambda: put("new", b"n" * 3_000_000, cache), word)
        assert bytes(cache.get("key").data) == b"old"
        assert cache.get("new") is None
    assert [entry.key for entry in cache.entries()] == ["key"]
    assert os.listdir(folder + "/v1/drafts") == []
    cache.close()
    cache = DiskCache(path=folder)
    assert bytes(cache.get("key").data) == b"old"
    free()
    assert cache.stats().puts == before.puts
    put("key", b"n" * 3_000_000, cache)
    assert cache.get("key").data == b"n" * 3_000_000
    assert list(cache.verify()) == []
    cache.close()
"""

QUOTA = """
import resource
limit = resource.RLIMIT_FSIZE
check(sys.argv[1], lambda: resource.setrlimit(limit, (1_000_000, resource.RLIM_INFINITY)),
      lambda: resource.setrlimit(limit, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)), "larger than the system")
"""

TMPFS = """
import errno
ballast = sys.argv[1] + "/../ballast"
def fill():
    with open(ballast, "wb", buffering=0) as file:
        for size in (100_000, 1_000):
            try:
                while True:
                    file.write(bytes(size))
            except OSError as error:
                assert error.errno == errno.ENOSPC
check(sys.argv[1], fill, lambda: os.unlink(ballast), "disk is full")

# So full that the index cannot grow either: whatever is refused leaves all as it was.
cache = DiskCache(path=sys.argv[1])
refusals = 0
fill()
for number in range(300):
    try:
        put(f"k{number}", b"", cache)
    except StorageError as error:
        assert error.remedy, error
        refusals += 1
assert refusals, "it never came to the limit"
assert cache.get("key").data == b"n" * 3_000_000
there = cache.find([f"k{number}" for number in range(300)])
assert len(there) == 300 - refusals, (len(there), refusals)
assert all(bytes(cache.get(key).data) == b"" for key in there)
os.unlink(ballast)
put("after", b"x", cache)
assert cache.lease("after", 60)
assert list(cache.verify()) == []
cache.purge_expired()
cache.close()
"""


class TestNoMoreRoom:
    def test_a_file_may_not_grow(self, tmp_path: Path) -> None:
        """What does not fit is refused, and what was there stays."""
        run_python(FULL + QUOTA, tmp_path / "cache")

    def test_a_full_disk(self, tmp_path: Path) -> None:
        """A small one of our own, mounted where nobody else sees it."""
        if shutil.which("unshare") is None or shutil.which("mount") is None:
            pytest.skip("no unshare and mount here to make a small disk with")
        alone = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]
        mounting = f"mount -t tmpfs -o size=8m tmpfs {tmp_path} && "
        if subprocess.run([*alone, "sh", "-c", mounting + "true"], capture_output=True).returncode:
            pytest.skip("the system refuses to mount a small disk")
        done = subprocess.run(
            [*alone, "sh", "-c", mounting + 'exec "$0" "$@"', sys.executable, "-c", FULL + TMPFS, f"{tmp_path}/cache"],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert (done.returncode, done.stderr) == (0, ""), done.stderr

    def test_no_more_files_may_be_open(self, cache: DiskCache, tmp_path: Path) -> None:
        cache.put("large", writing(b"x" * 2_000_000))
        cache.put("small", writing(b"x"))
        code = """
import os, resource, sys
from odibi.errors import Transient
from odibi_local.cache import DiskCache
cache = DiskCache(path=sys.argv[1])
cache.get("large")
resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
held, opened = [], []
try:
    while True:
        opened.append(os.open("/dev/null", os.O_RDONLY))
except OSError:
    pass
calls = [lambda: cache.get("large"), lambda: cache.get("small")]
calls.append(lambda: cache.put("new", lambda file: file.write(b"y")))
for free in range(8):
    for call in calls:
        try:
            held.append(call())
        except Transient as error:
            assert error.remedy
    for found in held:
        if found is not None and hasattr(found, "data"):
            assert bytes(found.data) in (b"x", b"x" * 2_000_000)
    held.clear()
    os.close(opened.pop())
for handle in opened:
    os.close(handle)
assert cache.get("large").data == b"x" * 2_000_000
assert list(cache.verify()) == []
cache.close()
"""
        run_python(code, tmp_path / "cache")
        assert cache.stats().corrupt == 0


READ_ONLY = """
import logging, os, sys
from odibi.errors import AccessDenied
from odibi_local.cache import DiskCache

def denied(call):
    try:
        call()
    except AccessDenied as error:
        assert error.remedy
        return
    raise AssertionError("it was not refused")

logging.getLogger("odibi.cache").addHandler(logging.StreamHandler(sys.stdout))
if len(sys.argv) > 2 and os.getuid() == 0:
    os.setuid(65534)
cache = DiskCache(path=sys.argv[1])
for _ in range(2):
    assert bytes(cache.get("small").data) == b"x"
    assert cache.get("large").data == b"x" * 2_000_000
    assert cache.get("nothing") is None
    assert cache.find(["small", "nothing"]) == {"small"}
    assert [entry.key for entry in cache.entries()] == ["damaged", "large", "small"]
    assert cache.stats().entries == 3
    for call in (lambda: cache.put("new", lambda file: file.write(b"x")), lambda: cache.delete("small"),
                 lambda: cache.evict(0), lambda: cache.lease("small", 10), lambda: cache.purge_expired()):
        denied(call)
    assert cache.get("damaged") is None
    cache.close()
"""


class TestReadOnly:
    """What is there can be read; what cannot be changed is said to be so."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        cache = DiskCache(path=tmp_path / "cache")
        for key, data in (("small", b"x"), ("large", b"x" * 2_000_000), ("damaged", b"fine")):
            cache.put(key, writing(data))
        cache.close()
        (file,) = tmp_path.glob("cache/v1/??/damaged.*")
        file.write_bytes(b"Fine")
        return tmp_path / "cache"

    def test_somebody_elses_folder(self, folder: Path) -> None:
        paths = [folder, *folder.rglob("*")]
        for path in paths:
            path.chmod(0o555 if path.is_dir() else 0o444)
        ways = [way for way in folder.parents if way.stat().st_uid == os.getuid() and not way.stat().st_mode & 0o001]
        for way in ways:
            way.chmod(way.stat().st_mode | 0o011)
        try:
            said = run_python(READ_ONLY, folder, "somebody")
        finally:
            for way in ways:
                way.chmod(way.stat().st_mode & ~0o011)
            for path in paths:
                path.chmod(0o755 if path.is_dir() else 0o644)
        assert said.count("the cached damaged is damaged (its content) and cannot be removed") == 2

    def test_a_disk_mounted_for_reading(self, folder: Path, tmp_path: Path) -> None:
        if os.geteuid() != 0 or shutil.which("unshare") is None or shutil.which("mount") is None:
            pytest.skip("to mount a folder for reading takes root, unshare and mount")
        mounting = f"mount --bind {tmp_path} {tmp_path} && mount -o remount,bind,ro {tmp_path} && "
        alone = ["unshare", "--mount", "sh", "-c"]
        if subprocess.run([*alone, mounting + "true"], capture_output=True).returncode:
            pytest.skip("the system refuses to mount a folder for reading")
        done = subprocess.run(
            [*alone, mounting + 'exec "$0" "$@"', sys.executable, "-c", READ_ONLY, str(folder)],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.returncode, done.stderr) == (0, "")

    def test_a_folder_that_cannot_be_made(self, tmp_path: Path) -> None:
        code = """
import os, sys
from odibi.errors import AccessDenied
from odibi_local.cache import DiskCache
if os.getuid() == 0:
    os.setuid(65534)
cache = DiskCache(path="closed/cache")
for call in (lambda: cache.get("key"), lambda: cache.put("key", lambda file: None), lambda: cache.find(["key"]),
             cache.stats, lambda: list(cache.entries()), lambda: cache.lease("key", 1), cache.purge_expired):
    try:
        call()
    except AccessDenied as error:
        assert error.remedy
        print("denied")
cache.close()
"""
        (tmp_path / "closed").mkdir(mode=0o555)
        tmp_path.chmod(0o755)
        assert run_python(code, cwd=tmp_path).split() == ["denied"] * 7


class TestLocked:
    def test_who_waits_too_long_is_told(self, cache: DiskCache, tmp_path: Path) -> None:
        """And reading goes on."""
        cache.put("key", writing(b"x"))
        object.__setattr__(
            cache,
            "_index",
            CacheIndex(cache._files.home, prepare=cache._files.prepare, durable=False, wait=0.05),
        )
        home = tmp_path / "cache/v1"
        blocker = sqlite3.connect(home / (home / "index").read_text().strip(), isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        for call in (lambda: cache.put("key", writing(b"y")), lambda: cache.delete("key"), lambda: cache.lease("k", 1)):
            with pytest.raises(Transient) as caught:
                call()
            assert caught.value.remedy
        assert content(cache, "key") == b"x"
        assert cache.find(["key"]) == {"key"}
        assert cache.stats().puts == 1
        blocker.execute("ROLLBACK")
        blocker.close()
        assert cache.stats().hits == 1
        cache.put("key", writing(b"y"))
        assert content(cache, "key") == b"y"
        assert len(list(tmp_path.glob("cache/v1/??/*"))) == 1

    def test_a_put_does_not_keep_readers_waiting(self, cache: DiskCache) -> None:
        """Nor others that write, while its content is written."""
        writes, done = threading.Event(), threading.Event()

        def writer(file: object) -> None:
            writes.set()
            assert done.wait(60)

        thread = threading.Thread(target=lambda: cache.put("slow", writer))
        thread.start()
        assert writes.wait(60)
        cache.put("key", writing(b"x"))
        assert content(cache, "key") == b"x"
        assert cache.get("slow") is None
        done.set()
        thread.join(60)
        assert content(cache, "slow") == b""


def test_everything_it_raises_is_a_storage_error() -> None:
    """Where the folder lies on what is no disk at all."""
    cache = DiskCache(path="/dev/null/cache")
    for call in (lambda: cache.get("key"), lambda: cache.put("key", writing(b"")), cache.stats, cache.purge_expired):
        with pytest.raises(StorageError):
            call()
    assert not issubclass(AccessDenied, OSError)
