"""The harness itself: that it sees everything, and that it finds what it is there to find."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import attrs
import pytest
from fault_harness.powerloss import Disk, tree_of
from fault_harness.processes import Fresh, Zygote
from fault_harness.scenario import Output, Scenario
from fault_harness.scenarios import ALL, CARELESS, PARTITIONED, TWO_NODES, config, orders
from fault_harness.shim import Call, Fault
from fault_harness.survival import STATES, Survivor, points_of


def test_a_fork_does_to_the_disk_what_a_fresh_process_does(zygote: Zygote, fresh: Fresh, tmp_path: Path) -> None:
    # Not how many bytes: the id of the run is among what is written, and compressed.
    seen: list[list[tuple[str, str]]] = []
    for name, launcher in (("fork", zygote), ("fresh", fresh)):
        folder = tmp_path / name
        TWO_NODES.lay(folder, zygote)
        ended = launcher.run(TWO_NODES.arguments, folder)
        assert ended.code == 0, ended
        seen.append([(call.op, call.place(folder)) for call in ended.calls])
    assert seen[0] == seen[1]
    assert len(seen[0]) > 10


def test_the_zygote_has_no_threads_that_a_fork_would_lose(zygote: Zygote) -> None:
    # jemalloc, which pyarrow carries, stops and starts its own around a fork.
    assert set(zygote.threads) <= {"python", "python3", "jemalloc_bg_thd"} or len(zygote.threads) == 1


@pytest.mark.parametrize("scenario", ALL, ids=str)
def test_a_trace_tells_everything_that_happened_to_the_disk(scenario: Scenario, zygote: Zygote, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    scenario.lay(folder, zygote)
    disk = Disk(folder)
    ended = zygote.run(scenario.arguments, folder, payload=True)
    assert ended.code == 0, ended
    wanted, found = disk.follow(ended.calls).now().tree(), tree_of(folder)
    # The index of a database's log is mapped memory; SQLite makes it anew from the log.
    assert {path for path in wanted.keys() | found.keys() if wanted.get(path, "") != found.get(path, "")} <= {
        path for path in found if path.endswith("-shm")
    }


WAYS = """
import ctypes, os, shutil, sqlite3, tempfile
from pathlib import Path

def writes(frame):
    lake = Path("lake")
    lake.mkdir(exist_ok=True)
    (lake / "text").write_text("before")
    (lake / "text").write_text("one")
    with open(lake / "text", "a") as file:
        file.write("two")
    os.truncate(lake / "text", 5)
    shutil.copyfile("raw/orders.csv", lake / "copy")
    os.replace(lake / "copy", lake / "moved")
    os.link(lake / "moved", lake / "linked")
    os.symlink("moved", lake / "symbolic")
    handle = os.open(lake / "pieces", os.O_RDWR | os.O_CREAT)
    os.pwrite(handle, b"later", 100)
    os.writev(handle, [b"in ", b"two ", b"parts"])
    os.posix_fallocate(handle, 0, 300)
    os.ftruncate(handle, 200)
    os.fsync(handle)
    os.close(handle)
    for name in "ab":
        (lake / name / "c").mkdir(parents=True)
        (lake / name / "c" / "d").write_text(name)
    libc = ctypes.CDLL(None, use_errno=True)
    here = -100
    assert libc.renameat2(here, b"lake/a", here, b"lake/b", 2) == 0
    renameat2 = {"x86_64": 316, "aarch64": 276}[os.uname().machine]
    assert libc.syscall(ctypes.c_long(renameat2), here, b"lake/b/c/d", here, b"lake/b/c/e", 0) == 0
    assert libc.renameat2(here, b"lake/b/c/e", here, b"lake/moved", 1) == -1
    (lake / "a" / "c" / "d").unlink()
    (lake / "a" / "c").rmdir()
    with tempfile.NamedTemporaryFile(dir=lake) as file:
        file.write(b"gone in a moment")
    database = sqlite3.connect(lake / "store.db", isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("CREATE TABLE t (x)")
    database.executemany("INSERT INTO t VALUES (?)", [(text,) for text in map(str, range(50))])
    import duckdb, pyarrow as pa, pyarrow.parquet as pq
    duckdb.sql(f"COPY (SELECT range AS x FROM range(1000)) TO '{lake}/duck.parquet'")
    with pa.OSFile(str(lake / "arrow"), "wb") as sink, pa.ipc.new_file(sink, pa.schema([("x", "int64")])) as writer:
        writer.write_table(pa.table({"x": range(1000)}))
    pq.write_table(pa.table({"x": range(1000)}), lake / "cpp.parquet")
    frame.to_csv(lake / "pandas.csv.gz")
    shutil.copytree(lake / "b", lake / "tree")
    shutil.rmtree(lake / "b")
    os._exit(0)
"""


def test_the_library_sees_every_way_to_write(zygote: Zygote, tmp_path: Path) -> None:
    scenario = Scenario("ways to write", config(CARELESS), orders(0, 3000), [], transforms=WAYS)
    scenario.lay(tmp_path, zygote)
    disk = Disk(tmp_path)
    ended = zygote.run(scenario.arguments, tmp_path, payload=True)
    assert ended.code == 0, ended
    wanted, found = disk.follow(ended.calls).now().tree(), tree_of(tmp_path)
    assert {path for path in found if path.endswith(".db-wal")}, "the database has a log"
    differ = {path for path in wanted.keys() | found.keys() if wanted.get(path, "") != found.get(path, "")}
    assert differ == {"lake/store.db-shm"}
    ops = {call.op for call in ended.calls}
    files, names = "create empty write writev pwrite allocate truncate fsync", "rename link symlink unlink rmdir mkdir"
    assert ops >= {*files.split(), *names.split()}
    assert [call for call in ended.calls if call.path.endswith(".db-wal") and call.op == "fdatasync"]


@pytest.mark.parametrize("mode", ["before", "half", "after"])
def test_a_killed_run_did_what_it_did_before_the_call_and_nothing_else(
    mode: str, zygote: Zygote, tmp_path: Path
) -> None:
    calls = Survivor(TWO_NODES, zygote, tmp_path / "counted").undisturbed().calls
    for call in calls[:: max(1, len(calls) // 8)]:
        folder = tmp_path / str(call.n)
        TWO_NODES.lay(folder, zygote)
        disk = Disk(folder)
        ended = zygote.run(TWO_NODES.arguments, folder, Fault(mode, call.n), payload=True)
        assert ended.killed, ended
        *done, stop = ended.calls
        assert stop.op == (mode if mode != "half" or stop.length > 1 else "after")
        assert stop.n == call.n
        assert len(done) == call.n - 1
        found = tree_of(folder)
        before = disk.follow(done).now().tree()
        if mode == "before" or not call.effective:
            assert found == before
        elif call.op in ("write", "create", "rename"):
            assert found != before


def test_kill_points_are_every_call_or_the_first_and_last_of_each_kind(zygote: Zygote, tmp_path: Path) -> None:
    calls = Survivor(PARTITIONED, zygote, tmp_path).undisturbed().calls
    everything = points_of(calls, full=True)
    effective = {call.n for call in calls if call.effective}
    assert {(point.call.n, point.mode) for point in everything} >= {
        (n, mode) for n in effective for mode in ("before", "after")
    }
    some = points_of(calls, full=False)
    assert len(some) < len(everything) / 2
    for op in {call.op for call in calls if call.effective}:
        of_kind = [call.n for call in calls if call.effective and call.op == op]
        assert {of_kind[0], of_kind[-1]} <= {point.call.n for point in some}
    assert [point for point in some if point.mode == "half"]
    assert max(effective) in {point.call.n for point in some if point.mode == "after"}


# --- careless programs, which have to be found ----------------------------------------------------------------------

IN_PLACE = """
def writes(frame):
    with open("lake/out.csv", "w") as file:
        frame.to_csv(file, index=False)
    return frame
"""

NO_SYNC = """
import os

def writes(frame):
    with open("lake/.out.csv", "w") as file:
        frame.to_csv(file, index=False)
    os.replace("lake/.out.csv", "lake/out.csv")
    return frame
"""

NO_FOLDER_SYNC = """
import os

def writes(frame):
    with open("lake/.out.csv", "w") as file:
        frame.to_csv(file, index=False)
        file.flush()
        os.fsync(file.fileno())
    os.replace("lake/.out.csv", "lake/out.csv")
    return frame
"""

CAREFUL = """
import os

def writes(frame):
    with open("lake/.out.csv", "w") as file:
        frame.to_csv(file, index=False)
        file.flush()
        os.fsync(file.fileno())
    os.replace("lake/.out.csv", "lake/out.csv")
    folder = os.open("lake", os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)
    return frame
"""

DOUBLES = """
import os

def writes(frame):
    text = open("lake/out.csv").read()
    if os.path.exists("done") and open("done").read() == str(len(frame)):
        return frame
    with open("lake/.out.csv", "w") as file:
        file.write(text + frame.to_csv(index=False, header=False))
    os.replace("lake/.out.csv", "lake/out.csv")
    open("done", "w").write(str(len(frame)))
    return frame
"""

LEFTOVER = """
import os

def writes(frame):
    with open("lake/x.odibi-tmp", "w") as file:
        frame.to_csv(file, index=False)
    os.replace("lake/x.odibi-tmp", "lake/out.csv")
    return frame
"""


def careless(transforms: str, **changes: Any) -> Scenario:
    def inputs(folder: Path) -> None:
        orders(0, 400)(folder)
        (folder / "lake").mkdir()
        (folder / "lake" / "out.csv").write_text("id,amount,region,customer\n1,2,r1,c\n")

    return attrs.evolve(
        Scenario("careless", config(CARELESS), inputs, [Output("out.csv")], transforms=transforms), **changes
    )


@pytest.mark.parametrize(
    ("transforms", "said"),
    [
        (IN_PLACE, "torn|neither old nor new"),
        (DOUBLES, "after the next run out.csv holds 801 rows"),
        (LEFTOVER, "a listing shows x.odibi-tmp"),
        (CAREFUL, None),
    ],
)
def test_a_careless_program_is_found_by_killing_it(
    transforms: str, said: str | None, zygote: Zygote, tmp_path: Path
) -> None:
    survivor = Survivor(careless(transforms), zygote, tmp_path)
    points = points_of(survivor.undisturbed().calls, full=True)
    wrong = "\n".join(each for point in points for each in survivor.killed(point))
    assert bool(re.search(said, wrong)) if said else not wrong, wrong


@pytest.mark.parametrize(
    ("transforms", "said"),
    [
        (NO_SYNC, "torn|neither old nor new|is torn"),
        (NO_FOLDER_SYNC, "after a run that succeeded out.csv holds 1 rows"),
        (CAREFUL, None),
    ],
)
def test_a_program_that_forgets_to_sync_is_found_by_cutting_the_power(
    transforms: str, said: str | None, zygote: Zygote, tmp_path: Path
) -> None:
    survivor = Survivor(careless(transforms), zygote, tmp_path)
    instants = [None, *(call.n for call in survivor.undisturbed().calls if call.effective)]
    wrong = "\n".join(
        each for at in instants for state in list(STATES)[::2] for each in survivor.power_cut(at, state, 1)
    )
    assert bool(re.search(said, wrong)) if said else not wrong, wrong


def test_writes_that_are_not_safe_may_be_there_lost_or_torn(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    disk = Disk(tmp_path)
    inode = (tmp_path / "file").stat().st_ino

    def call(op: str, path: str, **fields: Any) -> Call:
        told: dict[str, Any] = {
            "inode": inode,
            "offset": 0,
            "length": 0,
            "data": None,
            "flags": 0,
            "result": 0,
            "other": "",
        }
        told |= fields
        told["other"] = str(tmp_path / fields["other"]) if "other" in fields else ""
        return Call(n=1, thread=1, op=op, path=str(tmp_path / path), **told)

    disk.follow(
        [
            call("write", "file", data=b"new and longer", result=14),
            call("mkdir", "folder", inode=0),
            call("create", "folder/draft", inode=-1),
            call("write", "folder/draft", inode=-1, data=b"whole", result=5),
            call("fsync", "folder/draft", inode=-1),
            call("rename", "folder/draft", inode=0, other="folder/object"),
        ]
    )
    assert disk.now().tree() == {"file": b"new and longer", "folder": None, "folder/object": b"whole"}
    assert disk.nothing_unsafe().tree() == {"file": b"old"}
    assert disk.names_without_contents(zeros=True).tree()["file"] == b"old" + bytes(11)
    found = {str(disk.any_state(random.Random(seed)).tree()) for seed in range(400)}
    for possible in (
        {"file": b"old"},
        {"file": b"new and longer", "folder": None},
        {"file": b"old", "folder": None, "folder/draft": b"whole"},
        {"file": b"old", "folder": None, "folder/object": b"whole"},
        {"file": b"new", "folder": None, "folder/object": b"whole"},
    ):
        assert str(possible) in found
    disk.follow([call("fsync", "folder", inode=0)])
    assert disk.nothing_unsafe().tree() == {"file": b"old"}, "the folder is in no safe folder"
    disk.follow([call("fsync", "", inode=0)])
    assert disk.nothing_unsafe().tree() == {"file": b"old", "folder": None, "folder/object": b"whole"}
    disk.follow([call("fdatasync", "file")])
    assert disk.nothing_unsafe().tree() == disk.now().tree()
