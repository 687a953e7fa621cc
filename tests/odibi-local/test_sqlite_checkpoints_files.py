"""What the SQLite checkpoint store does to files, and what it does when they are not as they should be."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from odibi.errors import AccessDenied, Conflict, InvalidPath, OptionError, StorageError, Transient
from odibi.host import Host
from odibi_local.checkpoint_database import LAYOUT
from odibi_local.checkpoints import SqliteCheckpoints
from odibi_local.database_errors import database_error


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "runs.db"


def record(n: int, size: int = 300) -> dict[str, Any]:
    return {"node": f"n{n % 7}", "fingerprint": str(n), "n": n, "fill": "x" * size}


def filled(path: Path, runs: int = 1, records: int = 3) -> None:
    store = SqliteCheckpoints(path=path, durable=False)
    for run in range(runs):
        store.begin(f"r{run}", "etl", {})
        store.append(f"r{run}", [record(n) for n in range(records)])
        store.finish(f"r{run}", "succeeded", {"orders": run})
    store.close()


def numbers(store: SqliteCheckpoints, run_id: str = "r0") -> list[int]:
    outcomes = store.load(run_id).outcomes
    assert all(outcome["fill"] == "x" * len(outcome["fill"]) for outcome in outcomes)
    return [outcome["n"] for outcome in outcomes]


class TestFiles:
    def test_the_host_builds_it(self, tmp_path: Path) -> None:
        store = Host().build("checkpoint", "sqlite", {"path": "deep/er/runs.db"}, base_dir=tmp_path)
        store.begin("r0", "etl", {})
        assert (tmp_path / "deep/er/runs.db").is_file()
        store.close()

    @pytest.mark.parametrize("options", [{"timeout": -1}, {"paht": "x"}, {"durable": "perhaps"}, {"path": "a\0b"}])
    def test_options_that_do_not_fit(self, tmp_path: Path, options: dict[str, Any]) -> None:
        with pytest.raises(OptionError):
            Host().build("checkpoint", "sqlite", options, base_dir=tmp_path)

    def test_nobody_else_can_read_them(self, path: Path) -> None:
        previous = os.umask(0)
        try:
            store = SqliteCheckpoints(path=path)
            lock = store.lock("etl")
            store.begin("r0", "etl", {}, lock=lock)
        finally:
            os.umask(previous)
        files = [file for file in path.parent.rglob("*") if file.is_file()]
        assert {file.name for file in files} > {"runs.db", "runs.db-wal", "runs.db-shm"}
        for file in files:
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
        for folder in (path.parent, path.parent / "runs.db-locks"):
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder
        store.close()

    def test_looking_makes_no_file(self, path: Path) -> None:
        store = SqliteCheckpoints(path=path)
        assert store.results("etl") == {}
        assert list(store.runs()) == []
        assert store.latest("etl") is None
        assert store.prune(3) == 0
        store.close()
        assert not path.parent.exists()

    def test_closing_leaves_one_file(self, path: Path) -> None:
        filled(path)
        assert [file.name for file in path.parent.iterdir()] == ["runs.db"]

    def test_a_file_made_by_others_beforehand(self, path: Path) -> None:
        path.parent.mkdir()
        path.touch()
        filled(path)
        store = SqliteCheckpoints(path=path)
        assert numbers(store) == [0, 1, 2]
        store.close()

    def test_links_lead_to_the_same_locks(self, path: Path, tmp_path: Path) -> None:
        filled(path)
        (tmp_path / "linked").symlink_to(path.parent)
        (tmp_path / "other.db").symlink_to(path)
        stores = [SqliteCheckpoints(path=each) for each in (path, tmp_path / "linked/runs.db", tmp_path / "other.db")]
        lock = stores[0].lock("etl")
        for store in stores[1:]:
            with pytest.raises(StorageError):
                store.lock("etl")
            assert numbers(store) == [0, 1, 2]
        lock.release()
        for store in stores:
            store.close()

    def test_use_after_close(self, path: Path) -> None:
        store = SqliteCheckpoints(path=path)
        lock = store.lock("etl")
        store.begin("r0", "etl", {}, lock=lock)
        store.close()
        assert not lock.held()
        for call in (lambda: store.load("r0"), lambda: store.append("r0", []), lambda: store.lock("etl")):
            with pytest.raises(ValueError, match="closed"):
                call()
        SqliteCheckpoints(path=path).lock("etl").release()


class TestTheWrongFile:
    """It is never changed, replaced or deleted."""

    def refused(self, path: Path, kind: type[StorageError] = StorageError) -> str:
        before = path.read_bytes() if path.is_file() else None
        messages = set()
        store = SqliteCheckpoints(path=path, timeout=0.05)
        for call in (
            lambda: store.begin("r0", "etl", {}),
            lambda: store.lock("etl"),
            lambda: store.load("r0"),
            lambda: list(store.runs()),
            lambda: store.results("etl"),
        ):
            with pytest.raises(kind) as caught:
                call()
            assert caught.value.remedy
            assert path.name in str(caught.value)
            messages.add(str(caught.value))
        store.close()
        if before is not None:
            assert path.read_bytes() == before
        (message,) = messages
        return message

    def test_no_database(self, tmp_path: Path) -> None:
        path = tmp_path / "notes.txt"
        path.write_text("This is not a database. " * 100, "utf-8")
        assert "not an SQLite database" in self.refused(path)

    def test_a_database_of_something_else(self, tmp_path: Path) -> None:
        path = tmp_path / "shop.db"
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE runs (run_id TEXT)")
        connection.close()
        assert "something else" in self.refused(path)

    def test_a_database_that_says_it_is_something_elses(self, tmp_path: Path) -> None:
        path = tmp_path / "shop.db"
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA application_id = 42")
        connection.close()
        assert "something else" in self.refused(path)

    def test_a_database_of_a_newer_version(self, path: Path) -> None:
        filled(path)
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute(f"PRAGMA user_version = {LAYOUT + 1}")
        connection.close()
        message = self.refused(path)
        assert "newer" in message
        assert "Update odibi-local" in message

    def test_a_folder(self, tmp_path: Path) -> None:
        (tmp_path / "runs.db").mkdir()
        assert "folder" in self.refused(tmp_path / "runs.db", InvalidPath)

    def test_a_file_where_its_folder_should_be(self, tmp_path: Path) -> None:
        (tmp_path / "state").write_text("x", "utf-8")
        store = SqliteCheckpoints(path=tmp_path / "state" / "runs.db")
        with pytest.raises(StorageError):
            store.begin("r0", "etl", {})
        with pytest.raises(StorageError):
            store.lock("etl")
        store.close()

    def test_a_damaged_database(self, path: Path) -> None:
        filled(path, runs=20, records=50)
        content = bytearray(path.read_bytes())
        for at in range(4096, len(content), 4096):
            content[at : at + 100] = b"\xaa" * 100
        path.write_bytes(content)
        store = SqliteCheckpoints(path=path)
        for call in (lambda: store.load("r1"), lambda: list(store.runs()), lambda: store.append("r1", [])):
            with pytest.raises(StorageError) as caught:
                call()
            assert "damaged" in str(caught.value)
        store.close()
        assert path.read_bytes() == bytes(content)

    def test_text_that_no_store_has_written(self, path: Path) -> None:
        filled(path)
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("UPDATE journal SET records = '{\"half'")
        connection.close()
        store = SqliteCheckpoints(path=path)
        with pytest.raises(StorageError) as caught:
            store.load("r0")
        assert "no store has written" in str(caught.value)
        store.close()


class TestRemovedWhileOpen:
    @pytest.mark.parametrize("replaced", [False, True])
    @pytest.mark.parametrize("at_the_end", [False, True])
    def test_is_told_and_not_passed_over(self, path: Path, tmp_path: Path, replaced: bool, at_the_end: bool) -> None:
        filled(tmp_path / "other" / "runs.db")
        store = SqliteCheckpoints(path=path)
        store.begin("r1", "etl", {})
        shutil.rmtree(path.parent)
        if replaced:
            shutil.copytree(tmp_path / "other", path.parent)

        def append() -> None:
            for n in itertools.count():  # for a moment that is not looked at
                store.append("r1", [record(n)])

        def finish() -> None:
            store.finish("r1", "succeeded", records=[record(1)])

        with pytest.raises(StorageError) as caught:
            (finish if at_the_end else append)()
        assert "removed or replaced" in str(caught.value)
        assert [run.run_id for run in store.runs()] == (["r0"] if replaced else [])
        store.begin("r2", "etl", {})
        assert [run.run_id for run in store.runs()] == (["r2", "r0"] if replaced else ["r2"])
        store.close()
        again = SqliteCheckpoints(path=path)
        assert len(list(again.runs())) == 1 + replaced
        again.close()


class TestBusy:
    def test_another_process_writes_for_too_long(self, path: Path) -> None:
        filled(path)
        store = SqliteCheckpoints(path=path, timeout=0.05)
        store.begin("r1", "etl", {})
        with sqlite3.connect(path, isolation_level=None) as blocker:
            blocker.execute("BEGIN IMMEDIATE")
            with pytest.raises(Transient) as caught:
                store.append("r1", [record(0)])
            assert caught.value.retryable
            with pytest.raises(Transient):
                store.lock("etl")
            assert numbers(store) == [0, 1, 2]  # who reads need not wait
            blocker.execute("ROLLBACK")
        blocker.close()
        store.append("r1", [record(0)])
        assert numbers(store, "r1") == [0]
        store.lock("etl").release()
        store.close()


FULL = """
import json, resource, sys
from odibi.errors import StorageError
from odibi_local.checkpoints import SqliteCheckpoints
store = SqliteCheckpoints(path=sys.argv[1])
lock = store.lock("etl")
store.begin("r0", "etl", {}, lock=lock)
done, refused = [], ""
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
for n in range(2000):
    try:
        store.append("r0", [{"node": f"n{n}", "fingerprint": "f", "n": n, "fill": "x" * 300}] * 2)
        done.append(n)
    except StorageError as error:
        refused = str(error)
        break
seen = [outcome["n"] for outcome in store.load("r0").outcomes]
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
store.append("r0", [{"n": -1, "fill": ""}])
store.finish("r0", "failed")
print(json.dumps([done, refused, seen]))
store.close()
"""


class TestNoMoreRoom:
    @pytest.mark.parametrize("kilobytes", [100, 300, 1200])
    def test_what_does_not_fit_is_refused_and_the_rest_stays(self, path: Path, kilobytes: int) -> None:
        """The system refuses to let files grow, as it does on a full disk."""
        import json

        arguments = [sys.executable, "-c", FULL, str(path), str(kilobytes * 1024)]
        done = subprocess.run(arguments, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        appended, refused, seen = json.loads(done.stdout)
        assert refused, "it never came to the limit"
        assert "runs.db" in refused
        twice = [n for n in appended for _ in range(2)]
        assert seen == twice
        store = SqliteCheckpoints(path=path)
        assert numbers(store) == [*twice, -1]
        assert set(store.results("etl")) == {f"n{n}" for n in appended}
        assert store.load("r0").state == "failed"
        store.close()

    def test_sqlites_own_word_for_it(self, path: Path) -> None:
        filled(path)
        store = SqliteCheckpoints(path=path)
        store.begin("r1", "etl", {})
        connection = store._store._connection
        assert connection is not None
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(StorageError) as caught:
            store.append("r1", [record(n, 5000) for n in range(20)])
        assert "the disk is full" in str(caught.value)
        assert numbers(store, "r1") == []
        assert store.results("etl")["n0"]["run_id"] == "r0"
        store.append("r1", [record(1)])
        assert numbers(store, "r1") == [1]
        store.close()

    def test_a_database_that_may_not_be_written_to(self, path: Path) -> None:
        filled(path)
        connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
        with pytest.raises(sqlite3.Error) as caught:
            connection.execute("DELETE FROM runs")
        connection.close()
        assert isinstance(database_error(caught.value, str(path)), AccessDenied)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes, list[list[int]]]:
    """Database, log, and the batches that were appended, while the log is in use for the third time."""
    path = tmp_path_factory.mktemp("torn") / "runs.db"
    store = SqliteCheckpoints(path=path, durable=False)
    store.begin("r0", "etl", {})
    log = Path(f"{path}-wal")
    batches: list[list[int]] = []
    salts: list[bytes] = []
    n = since = 0
    while since < 12:
        batch = list(range(n, n + len(batches) % 4 + 1))
        n += len(batch)
        store.append("r0", [record(each) for each in batch])
        batches.append(batch)
        with log.open("rb") as file:
            salt = file.read(32)[16:24]
        if salt not in salts:
            salts.append(salt)
        since = since + 1 if len(salts) > 2 else 0
    content = path.read_bytes(), log.read_bytes(), batches
    store.close()
    return content


class TestTornLog:
    """The machine stops while the log is being written: its end is missing, or is nothing that was ever written."""

    def reopened(self, folder: Path, database: bytes, log: bytes) -> tuple[list[int], dict[str, Any]]:
        folder.mkdir()
        (folder / "runs.db").write_bytes(database)
        (folder / "runs.db-wal").write_bytes(log)
        store = SqliteCheckpoints(path=folder / "runs.db")
        try:
            seen, results = numbers(store), dict(store.results("etl"))
            store.append("r0", [record(-1)])
            assert numbers(store) == [*seen, -1]
            return seen, results
        finally:
            store.close()
            shutil.rmtree(folder)

    def check(self, seen: list[int], results: dict[str, Any], batches: list[list[int]]) -> int:
        """How many batches are there, whole and in order."""
        kept = 0
        flat: list[int] = []
        while len(flat) < len(seen):
            flat += batches[kept]
            kept += 1
        assert seen == flat
        newest = {f"n{n % 7}": n for n in seen}
        assert {node: each["n"] for node, each in results.items()} == newest
        return kept

    def test_nothing_is_missing_if_the_log_is_whole(self, tmp_path: Path, stopped: Any) -> None:
        database, log, batches = stopped
        assert self.check(*self.reopened(tmp_path / "x", database, log), batches) == len(batches)
        assert len(log) > 60 * 4096

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(data=st.data())
    def test_cut_off_or_garbled(self, tmp_path: Path, stopped: Any, data: st.DataObject) -> None:
        database, log, batches = stopped
        used = 32 + 40 * (4096 + 24)  # about as much as belongs to the newest use of the log
        at = data.draw(st.integers(0, used))
        end = data.draw(st.sampled_from(["cut", "zeros", "noise", "flipped"]))
        if end == "cut":
            log = log[:at]
        elif end == "zeros":
            log = log[:at] + bytes(len(log) - at)
        elif end == "noise":
            log = log[:at] + os.urandom(len(log) - at)
        else:
            log = log[:at] + bytes([log[at] ^ data.draw(st.integers(1, 255))]) + log[at + 1 :]
        kept = self.check(*self.reopened(tmp_path / "x", database, log), batches)
        assert len(batches) - 14 <= kept <= len(batches)

    def test_no_log_at_all(self, tmp_path: Path, stopped: Any) -> None:
        database, _, batches = stopped
        assert self.check(*self.reopened(tmp_path / "x", database, b""), batches) < len(batches)


GO_ON = """
import sys
from odibi_local.checkpoints import SqliteCheckpoints
store = SqliteCheckpoints(path=sys.argv[1])
run, n = sys.argv[2], int(sys.argv[3])
lock = store.lock("etl", wait=30)
store.begin(run, "etl", {}, lock=lock)
while True:
    store.append(run, [{"node": f"n{n % 7}", "fingerprint": str(n), "n": n, "fill": "x" * 300}])
    print(n, flush=True)
    n += 1
"""


def test_killed_again_and_again(path: Path) -> None:
    """Each process begins with the log that the one before left behind when it was killed."""
    expected: dict[str, list[int]] = {}
    start = 0
    for round_, count in enumerate((1, 30, 90, 3, 150)):
        arguments = [sys.executable, "-c", GO_ON, str(path), f"r{round_}", str(start)]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            said = [int(process.stdout.readline()) for _ in range(count)]
            process.send_signal(signal.SIGKILL)
            said += [int(line) for line in process.stdout.read().splitlines()]
        expected[f"r{round_}"] = said
        start = said[-1] + 1
    store = SqliteCheckpoints(path=path)
    for run, said in expected.items():
        seen = numbers(store, run)
        assert seen in (said, [*said, said[-1] + 1])
        assert store.load(run).state == "interrupted"
    check = sqlite3.connect(path)
    assert check.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    check.close()
    store.close()


def test_a_null_that_an_earlier_version_kept_is_no_offset(path: Path) -> None:
    filled(path)
    database = sqlite3.connect(path)
    with database:
        database.execute("INSERT INTO offsets VALUES ('bills', 'null'), ('customers', '0')")
    database.close()
    store = SqliteCheckpoints(path=path)
    assert store.offsets() == {"customers": 0, "orders": 0}
    assert (store.offset("bills"), store.offset("customers")) == (None, 0)
    store.close()


def test_a_lock_of_another_kind_gives_no_right_to_move(path: Path, tmp_path: Path) -> None:
    class Another:
        token = 1

        def held(self) -> bool:
            return True

        def release(self) -> None:
            pass

    store = SqliteCheckpoints(path=path)
    with pytest.raises(ValueError, match="no lock of this store"):
        store.move({"orders": 1}, lock=Another())
    with closing(SqliteCheckpoints(path=tmp_path / "elsewhere.db")) as elsewhere:
        store.lock("etl").release()
        for _ in range(2):
            lock = elsewhere.lock("etl")
            lock.release()
        with pytest.raises(Conflict):
            store.move({"orders": 1}, lock=elsewhere.lock("etl"))
    assert store.offsets() == {}
    store.close()


TEXT = st.text(st.sampled_from("a%_/\0é\ud7ff\ue000\uffff\U0010fffe\U0010ffff"), max_size=4)


@given(names=st.sets(TEXT, max_size=8), prefix=TEXT)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_range_of_names_is_a_prefix(tmp_path_factory: pytest.TempPathFactory, names: set[str], prefix: str) -> None:
    store = SqliteCheckpoints(path=tmp_path_factory.mktemp("range") / "runs.db", durable=False)
    store.move(dict.fromkeys(names, 1))
    assert list(store.offsets(prefix)) == sorted(name for name in names if name.startswith(prefix))
    store.close()


@pytest.mark.parametrize("prefix", ["\ud800", "a\udfff"])
def test_half_of_a_pair_is_no_prefix(path: Path, prefix: str) -> None:
    store = SqliteCheckpoints(path=path)
    with pytest.raises(ValueError, match="surrogates"):
        store.offsets(prefix)
    store.close()


class TestLog:
    def size(self, path: Path) -> int:
        return Path(f"{path}-wal").stat().st_size

    def test_grows_ahead_in_steps_and_then_no_more(self, path: Path) -> None:
        store = SqliteCheckpoints(path=path, durable=False)
        store.begin("r0", "etl", {})
        sizes = []
        for n in range(600):
            store.append("r0", [record(n)])
            sizes.append(self.size(path))
        assert len(set(sizes[2:])) <= 12, "it grows with each append, which makes each sync dearer"
        assert len(set(sizes[200:])) == 1
        assert 1 << 20 <= sizes[-1] <= 5 << 18
        assert numbers(store) == list(range(600))
        store.close()

    def test_is_cut_back_after_a_large_batch(self, path: Path) -> None:
        store = SqliteCheckpoints(path=path, durable=False)
        store.begin("r0", "etl", {})
        store.append("r0", [record(n, 10_000) for n in range(1000)])
        assert self.size(path) > 10_000_000
        store.append("r0", [record(0)])
        assert self.size(path) <= 1 << 22
        assert len(numbers(store)) == 1001
        store.close()
