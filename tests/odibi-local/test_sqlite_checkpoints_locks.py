"""The locks of the SQLite checkpoint store, and what becomes of them when files go, processes die and others fork."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs
import pytest

from odibi.errors import Conflict, InvalidPath, StorageError
from odibi_local.checkpoints import SqliteCheckpoints
from odibi_local.lock_files import acquire, is_held
from odibi_local.processes import Process, is_alive, this_process

PATIENCE = 30.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteCheckpoints]:
    store = SqliteCheckpoints(path=path)
    yield store
    store.close()


def lock_file(path: Path) -> Path:
    (file,) = Path(f"{path}-locks").iterdir()
    return file


@contextmanager
def script(path: Path, code: str) -> Iterator[subprocess.Popen[str]]:
    """Another process with a ``store``, a ``lock`` on ``etl`` and the run ``r0``."""
    head = """
import os, sys, threading
from odibi.errors import Conflict
from odibi_local.checkpoints import SqliteCheckpoints
store = SqliteCheckpoints(path=sys.argv[1])
lock = store.lock("etl")
store.begin("r0", "etl", {}, lock=lock)
"""
    arguments = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", f"{head}\n{code}", str(path)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(arguments, text=True, **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


def finished(path: Path, code: str) -> list[str]:
    with script(path, code) as process:
        out, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, err
        return out.splitlines()


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.005)


class TestConflict:
    def test_says_who_and_since_when_and_what_to_do(self, store: SqliteCheckpoints) -> None:
        lock = store.lock("etl")
        with pytest.raises(Conflict) as caught:
            store.lock("etl")
        message = str(caught.value)
        assert f"process {os.getpid()} on {this_process().host} since 20" in message
        assert "UTC" in message
        assert message.startswith("pipeline etl: ")
        assert caught.value.remedy
        lock.release()

    @pytest.mark.parametrize(
        "note", [b"", b"{", b"[]", b"{}", b'{"pid": 1, "host": "h", "since": "x"}', b"\xff" * 5000]
    )
    def test_whatever_the_note_says(self, store: SqliteCheckpoints, path: Path, note: bytes) -> None:
        lock = store.lock("etl")
        lock_file(path).write_bytes(note)
        with pytest.raises(Conflict):
            store.lock("etl")
        assert not lock.held(), "somebody has written to the file whose lock was ours alone"
        lock.release()

    @pytest.mark.parametrize("name", ["a\0b", "\0"])
    def test_any_text_can_be_a_name(self, store: SqliteCheckpoints, name: str) -> None:
        lock = store.lock(name)
        store.begin("r0", name, {}, lock=lock)
        assert [run.pipeline for run in store.runs(name)] == [name]
        assert store.latest(name[:1]) is None or name[:1] == name
        lock.release()

    def test_half_a_pair_of_surrogates_is_no_text(self, store: SqliteCheckpoints) -> None:
        for call in (
            lambda: store.lock("\ud800"),
            lambda: store.begin("\ud800", "etl", {}),
            lambda: store.begin("r0", "\ud800", {}),
        ):
            with pytest.raises(ValueError, match="surrogates"):
                call()
        store.begin("r0", "etl", {})
        with pytest.raises(ValueError, match="surrogates"):
            store.append("r0", [{"node": "\ud800", "fingerprint": "f"}])
        store.append("r0", [{"error": "no such file: \udcff"}])
        assert list(store.load("r0").outcomes) == [{"error": "no such file: \udcff"}]


class TestFileIsTampered:
    def shut_out(self, store: SqliteCheckpoints) -> None:
        for call in (lambda: store.append("r0", [{"n": 1}]), lambda: store.finish("r0", "succeeded")):
            with pytest.raises(Conflict):
                call()

    def test_removed(self, store: SqliteCheckpoints, path: Path) -> None:
        lock = store.lock("etl")
        store.begin("r0", "etl", {}, lock=lock)
        lock_file(path).unlink()
        assert not lock.held()
        self.shut_out(store)
        assert store.load("r0").state == "interrupted"
        newer = store.lock("etl")
        assert newer.token > lock.token
        assert newer.held()
        self.shut_out(store)
        lock.release()
        assert newer.held()
        newer.release()

    def test_replaced(self, store: SqliteCheckpoints, path: Path) -> None:
        lock = store.lock("etl")
        store.begin("r0", "etl", {}, lock=lock)
        file = lock_file(path)
        copy = file.with_suffix(".copy")
        copy.write_bytes(file.read_bytes())
        copy.replace(file)
        assert not lock.held()
        self.shut_out(store)
        lock.release()

    def test_a_link_is_not_followed(self, store: SqliteCheckpoints, path: Path, tmp_path: Path) -> None:
        store.lock("etl").release()
        file, precious = lock_file(path), tmp_path / "precious"
        precious.write_text("kept", "utf-8")
        file.unlink()
        file.symlink_to(precious)
        with pytest.raises(InvalidPath):
            store.lock("etl")
        assert precious.read_text("utf-8") == "kept"

    def test_a_folder_in_its_place(self, store: SqliteCheckpoints, path: Path) -> None:
        store.lock("etl").release()
        file = lock_file(path)
        file.unlink()
        file.mkdir()
        with pytest.raises(StorageError):
            store.lock("etl")

    def test_a_pipe_in_its_place_keeps_nobody_waiting(self, store: SqliteCheckpoints, path: Path) -> None:
        store.lock("etl").release()
        file = lock_file(path)
        file.unlink()
        os.mkfifo(file)
        with pytest.raises(StorageError):
            store.lock("etl")


class TestHolder:
    def test_a_lock_that_nobody_knows_of_any_more_is_free(self, store: SqliteCheckpoints) -> None:
        store.lock("etl")
        store.lock("etl").release()

    def test_the_store_knows_of_the_lock_of_a_run(self, store: SqliteCheckpoints) -> None:
        store.begin("r0", "etl", {}, lock=store.lock("etl"))
        with pytest.raises(Conflict):
            store.lock("etl")
        store.append("r0", [{"n": 1}])
        store.finish("r0", "succeeded")
        store.lock("etl").release()

    def test_another_handle_cannot_write_to_a_locked_run(self, store: SqliteCheckpoints, path: Path) -> None:
        lock = store.lock("etl")
        store.begin("r0", "etl", {}, lock=lock)
        other = SqliteCheckpoints(path=path)
        with pytest.raises(Conflict):
            other.append("r0", [{"n": 1}])
        with pytest.raises(Conflict):
            other.finish("r0", "succeeded")
        assert other.load("r0").state == "running"
        other.close()
        lock.release()

    def test_who_looks_is_not_in_the_way_of_who_locks(self, path: Path) -> None:
        """Whether a lock is held is found out by trying it, which must not make anybody else miss it."""
        file = str(path)
        looking, done = threading.Barrier(3), threading.Event()
        seen: set[bool] = set()

        def look() -> None:
            looking.wait(PATIENCE)
            while not done.is_set():
                seen.add(is_held(file))

        threads = [threading.Thread(target=look) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            looking.wait(PATIENCE)
            for _ in range(600):
                lock = acquire(file, {}, 0.0)
                assert lock is not None
                assert lock.held()
                lock.release()
        finally:
            done.set()
            for thread in threads:
                thread.join()
        assert True in seen

    def test_a_long_look_only_delays_who_locks(self, path: Path) -> None:
        path.touch()
        with path.open("rb") as look, ThreadPoolExecutor(1) as pool:
            fcntl.flock(look, fcntl.LOCK_SH)
            locking = pool.submit(acquire, str(path), {}, 0.0)
            with suppress(TimeoutError):
                locking.result(0.03)
            fcntl.flock(look, fcntl.LOCK_UN)
            lock = locking.result(PATIENCE)
        assert lock is not None
        assert lock.held()

    def test_giving_it_back_takes_it_from_copies_as_well(self, store: SqliteCheckpoints) -> None:
        """As a child has one that was forked without Python's knowledge."""
        lock = store.lock("etl")
        copy = os.dup(lock._file._handles[0])
        lock.release()
        store.lock("etl").release()
        os.close(copy)

    def test_nobody_says_of_himself_that_he_was_interrupted(self, store: SqliteCheckpoints) -> None:
        store.begin("r0", "etl", {})
        with pytest.raises(ValueError, match="succeeded, failed, cancelled"):
            store.finish("r0", "interrupted")

    def test_a_run_is_interrupted_for_good(self, store: SqliteCheckpoints, path: Path) -> None:
        """Once it was found to be, it stays so, whoever has the lock later."""
        lock = store.lock("etl")
        store.begin("r0", "etl", {}, lock=lock)
        lock.release()
        assert store.load("r0").state == "interrupted"
        newer = store.lock("etl")
        store.begin("r1", "etl", {}, lock=newer)
        assert store.load("r0").state == "interrupted"
        assert [run.state for run in store.runs()] == ["running", "interrupted"]
        newer.release()


class TestDeath:
    def test_another_program_does_not_inherit_the_lock(self, store: SqliteCheckpoints, path: Path) -> None:
        code = """
import subprocess
child = subprocess.Popen(["sleep", "60"], close_fds=False)
print(child.pid, flush=True)
input()
"""
        with script(path, code) as process:
            assert process.stdout is not None
            child = int(process.stdout.readline())
            try:
                with pytest.raises(Conflict):
                    store.lock("etl")
                process.kill()
                process.wait()
                os.kill(child, 0)
                store.lock("etl", wait=PATIENCE).release()
                assert store.load("r0").state == "interrupted"
            finally:
                os.kill(child, signal.SIGKILL)

    def test_a_child_does_not_inherit_the_lock(self, store: SqliteCheckpoints, path: Path) -> None:
        code = """
child = os.fork()
if not child:
    assert not lock.held()
    lock.release()
    sys.stdin.readline()
    os._exit(0)
print(child, flush=True)
input()
"""
        with script(path, code) as process:
            assert process.stdout is not None
            child = int(process.stdout.readline())
            try:
                with pytest.raises(Conflict):
                    store.lock("etl")
                process.kill()
                process.wait()
                os.kill(child, 0)
                store.lock("etl", wait=PATIENCE).release()
            finally:
                os.kill(child, signal.SIGKILL)


class TestFork:
    def test_parent_and_child_both_go_on(self, path: Path) -> None:
        code = """
store.append("r0", [{"n": 0}])
child = os.fork()
if not child:
    assert not lock.held()
    for call in (lambda: store.append("r0", [{"n": "child"}]), lambda: store.finish("r0", "failed"),
                 lambda: store.begin("late", "etl", {}, lock=lock), lambda: store.lock("etl")):
        try:
            call()
        except Conflict:
            continue
        os._exit(1)
    assert store.load("r0").state == "running"
    store.begin("child", "other", {})
    for n in range(50):
        store.append("child", [{"n": n}])
    store.finish("child", "succeeded")
    store.close()
    sys.exit(0)
for n in range(1, 50):
    store.append("r0", [{"n": n}])
assert os.waitpid(child, 0)[1] == 0
assert lock.held()
store.append("r0", [{"n": 50}])
store.finish("r0", "succeeded")
print([each["n"] for each in store.load("r0").outcomes] == list(range(51)))
print([each["n"] for each in store.load("child").outcomes] == list(range(50)))
store.close()
"""
        assert finished(path, code) == ["True", "True"]

    def test_while_threads_append(self, path: Path) -> None:
        code = """
def work(thread):
    for n in range(60):
        store.append("r0", [{"thread": thread, "n": n}])
threads = [threading.Thread(target=work, args=(thread,)) for thread in range(3)]
for thread in threads:
    thread.start()
codes = []
for n in range(6):
    child = os.fork()
    if not child:
        store.begin(f"child {n}", "other", {})
        store.append(f"child {n}", [{"n": n}])
        os._exit(0)
    codes.append(os.waitpid(child, 0)[1])
for thread in threads:
    thread.join()
print(codes)
outcomes = store.load("r0").outcomes
print(all([each["n"] for each in outcomes if each["thread"] == thread] == list(range(60)) for thread in range(3)))
print([list(store.load(f"child {n}").outcomes) for n in range(6)] == [[{"n": n}] for n in range(6)])
store.close()
"""
        assert finished(path, code) == ["[0, 0, 0, 0, 0, 0]", "True", "True"]

    def test_a_child_that_never_looks_back_spoils_nothing(self, path: Path) -> None:
        """It ends as programs do, closing what it knows of, while the parent goes on writing."""
        code = """
for n in range(20):
    store.append("r0", [{"n": n}])
    child = os.fork()
    if not child:
        sys.exit(0)
    store.append("r0", [{"n": n, "again": True}])
    os.waitpid(child, 0)
print(len(store.load("r0").outcomes), lock.held())
store.close()
"""
        assert finished(path, code) == ["40 True"]


class TestProcesses:
    def test_this_one_lives(self) -> None:
        assert this_process().pid == os.getpid()
        assert is_alive(this_process())

    @pytest.mark.parametrize(
        ("change", "alive"),
        [
            ({"started": 1}, False),  # the id was used again
            ({"boot": "another"}, False),  # the machine was started anew
            ({"boot": "another", "host": "another"}, True),  # another machine: who knows
            ({"namespace": 1}, True),  # another container: who knows
            ({"host": "another"}, True),  # the machine was only renamed
        ],
    )
    def test_one_like_this(self, change: dict[str, Any], alive: bool) -> None:
        if not this_process().boot:
            pytest.skip("the system does not say more of a process than its id")
        assert is_alive(attrs.evolve(this_process(), **change)) is alive

    def test_one_that_is_told_by_its_id_alone(self) -> None:
        child = subprocess.Popen(["sleep", "60"])
        told = attrs.evolve(this_process(), pid=child.pid, started=0)
        assert is_alive(told)
        child.kill()
        child.wait()
        assert not is_alive(told)

    def test_one_that_is_dead_but_not_buried(self, store: SqliteCheckpoints, path: Path) -> None:
        code = "store.begin('r1', 'other', {})\nprint('begun', flush=True)\ninput()"
        with script(path, code) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "begun\n"
            assert store.load("r1").state == "running"
            process.send_signal(signal.SIGKILL)
            until(lambda: store.load("r1").state == "interrupted")
            assert store.latest("other", states=["running"]) is None

    def test_is_written_down_with_a_run_that_has_no_lock(self, store: SqliteCheckpoints) -> None:
        store.begin("r0", "etl", {})
        read: Callable[[Any], Any] = lambda cursor: cursor.execute("SELECT process FROM runs").fetchone()  # noqa: E731
        assert Process(**json.loads(store._store.read(read, ("",))[0])) == this_process()

    def test_a_run_on_another_machine_goes_on(self, store: SqliteCheckpoints) -> None:
        store.begin("r0", "etl", {})
        elsewhere = json.dumps(attrs.asdict(attrs.evolve(this_process(), host="another", boot="another")))
        store._store.change(lambda cursor: cursor.execute("UPDATE runs SET process = ?", (elsewhere,)))
        assert store.load("r0").state == "running"
        store._store.change(
            lambda cursor: cursor.execute("UPDATE runs SET process = replace(process, '\"another\"', '\"\"')")
        )
        with pytest.raises(Conflict):
            store.remove("r0")
