"""Several writers at once, in threads and processes; killed ones; lost answers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from arrow_tables import FolderStorage, Lake
from deltalake import DeltaTable

from odibi.contracts.format import WriteReport
from odibi.errors import Conflict, DataError, OdibiError

RACERS = 6


def race(*acts: Callable[[], WriteReport]) -> list[WriteReport | OdibiError]:
    """What came of acts that began at the same time, each in a thread."""
    together = threading.Barrier(len(acts))

    def run(act: Callable[[], WriteReport]) -> WriteReport | OdibiError:
        together.wait(60)
        try:
            return act()
        except OdibiError as error:
            return error

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


def writers(lake, mode, frame=lambda number: {"id": [number], "by": [number]}, **more):
    return race(
        *[lambda number=number: lake.write(frame(number), mode, part=str(number), **more) for number in range(RACERS)]
    )


@pytest.mark.parametrize("there", [True, False])
def test_of_many_appends_each_is_there_once(lake, there):
    if there:
        lake.write({"id": [-1], "by": [-1]})
    reports = writers(lake, "append")
    assert all(isinstance(report, WriteReport) and report.rows == 1 for report in reports), reports
    assert sorted(lake.read()["id"].to_pylist()) == [*([-1] * there), *range(RACERS)]
    assert len({report.version for report in reports}) == RACERS


@pytest.mark.parametrize("there", [True, False])
def test_of_many_appends_of_one_part_one_is_there(lake, there):
    if there:
        lake.write({"id": [-1]})
    reports = race(*[lambda: lake.write({"id": [1]}, "append", part="same")] * RACERS)
    assert sorted(report.skipped for report in reports) == [False, *[True] * (RACERS - 1)]
    assert lake.read()["id"].to_pylist().count(1) == 1


@pytest.mark.parametrize("attempt", range(5))
def test_one_of_many_that_want_to_be_the_first_wins(lake, attempt):
    outcomes = writers(lake, "error")
    won = [each for each in outcomes if isinstance(each, WriteReport)]
    lost = [each for each in outcomes if isinstance(each, DataError)]
    assert (len(won), len(lost)) == (1, RACERS - 1), outcomes
    assert lake.read().num_rows == 1


@pytest.mark.parametrize("attempt", range(5))
def test_one_of_many_that_ignore_what_is_there_wins(lake, attempt):
    reports = writers(lake, "ignore")
    assert sorted(report.skipped for report in reports) == [False, *[True] * (RACERS - 1)], reports
    assert lake.read().num_rows == 1


@pytest.mark.parametrize("there", [True, False])
def test_upserts_of_the_same_keys_leave_one_row_a_key(lake, there):
    if there:
        lake.write({"id": [0, 1], "by": [-1, -1]})
    reports = writers(lake, "upsert", lambda number: {"id": [1, 2, 10 + number], "by": [number] * 3}, keys=("id",))
    assert all(isinstance(report, WriteReport) and report.rows == 3 for report in reports), reports
    read = {row["id"]: row["by"] for row in lake.rows()}
    assert len(read) == lake.read().num_rows == (1 * there) + 2 + RACERS
    assert read[1] == read[2] >= 0  # both of one writer, the last
    assert [read[10 + number] for number in range(RACERS)] == list(range(RACERS))


@pytest.mark.parametrize("there", [True, False])
def test_each_key_is_appended_once_whoever_does_it(lake, there):
    if there:
        lake.write({"id": [-1], "by": [-1]})
    reports = writers(lake, "append_once", lambda number: {"id": [1, 2], "by": [number] * 2}, keys=("id",))
    assert sorted((report.rows, report.skipped) for report in reports) == [*[(0, True)] * (RACERS - 1), (2, False)]
    assert sorted(lake.read()["id"].to_pylist()) == [*([-1] * there), 1, 2]


@pytest.mark.parametrize("there", [True, False])
def test_of_many_overwrites_one_is_left_whole(lake, there):
    if there:
        lake.write({"id": [-1, -1, -1], "by": [-1, -1, -1]})
    reports = writers(lake, "overwrite", lambda number: {"id": [1, 2], "by": [number] * 2})
    assert all(isinstance(report, WriteReport) for report in reports), reports
    assert lake.read().num_rows == 2
    assert len(set(lake.read()["by"].to_pylist())) == 1


def test_an_append_beside_an_overwrite_comes_before_or_after_it(lake):
    lake.write({"id": [0]})
    race(
        lambda: lake.write({"id": [1]}, "overwrite"),
        lambda: lake.write({"id": [2]}, "append", part="x"),
        lambda: lake.write({"id": [3]}, "upsert", keys=("id",)),
    )
    ids = lake.read()["id"].to_pylist()
    assert 1 in ids
    assert 0 not in ids
    assert len(ids) == len(set(ids))


def test_appends_beside_a_change_of_columns_are_all_there(lake):
    lake.write({"id": [-1]})
    outcomes = race(
        *[lambda number=number: lake.write({"id": [number]}, "append", part=str(number)) for number in range(3)],
        lambda: lake.write({"id": [3], "new": [3]}, "append", part="3", schema_mode="merge"),
    )
    refused = [each for each in outcomes if isinstance(each, DataError)]  # came after the new column
    assert all("lacks 'new'" in str(each) for each in refused)
    assert lake.read().num_rows == 5 - len(refused)
    assert lake.read().column_names == ["id", "new"]


def test_a_reader_sees_old_rows_or_new_ones(lake):
    lake.write({"id": [0, 0]})
    stop = threading.Event()
    seen = []

    def look():
        while not stop.is_set():
            seen.append(tuple(lake.read()["id"].to_pylist()))

    reader = threading.Thread(target=look)
    reader.start()
    for number in range(1, 15):
        lake.write({"id": [number, number]})
    stop.set()
    reader.join()
    assert seen
    assert all(len(ids) == 2 and len(set(ids)) == 1 for ids in seen)
    assert list(seen) == sorted(seen)


# --- processes ------------------------------------------------------------------------------------------------------

_PROGRAM = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from arrow_tables import Lake
from odibi.errors import DataError
lake = Lake(Path({folder!r}))
number = int(sys.argv[1])
sys.stdin.readline()
{code}
"""


def process(lake: Lake, number: int, code: str) -> subprocess.Popen[str]:
    tests = str(Path(__file__).parent)
    program = _PROGRAM.format(tests=tests, folder=str(lake.folder), code=textwrap.dedent(code))
    return subprocess.Popen(
        [sys.executable, "-c", program, str(number)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def in_processes(lake: Lake, code: str, many: int = 3) -> list[str]:
    """What processes print that begin at the same time."""
    started = [process(lake, number, code) for number in range(many)]
    said = [each.communicate("go\n", timeout=120) for each in started]
    assert [each.returncode for each in started] == [0] * many, said
    return sorted(out.strip() for out, _ in said)


def test_processes_append_and_upsert_side_by_side(lake):
    in_processes(
        lake,
        """
        for at in range(4):
            lake.write({"id": [100 * number + at], "v": [number]}, "append", part=f"{number}-{at}")
            lake.write({"id": [1000], "v": [number]}, "upsert", keys=("id",))
            lake.write({"id": [2000, 3000 + number], "v": [0, 0]}, "append_once", keys=("id",))
        """,
    )
    ids = sorted(lake.read()["id"].to_pylist())
    appended = [100 * number + at for number in range(3) for at in range(4)]
    assert ids == sorted([*appended, 1000, 2000, 3000, 3001, 3002])


def test_one_of_many_processes_is_the_first(lake):
    said = in_processes(
        lake,
        """
        try:
            lake.write({"id": [number]}, "error")
            print("won")
        except DataError:
            print("lost")
        """,
    )
    assert said == ["lost", "lost", "won"]
    assert lake.read().num_rows == 1


# --- killed ---------------------------------------------------------------------------------------------------------

_DIES = """
import os, signal, odibi_delta.writing as writing
from odibi_delta.log import Log

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def dies(frames):
    yield from frames[:1]
    die()

at = {at!r}
if at == "data":  # in the midst of the data files
    import pyarrow as pa
    class Dying:
        def __init__(self, table):
            self.table, self.schema = table, table.schema
        def __arrow_c_stream__(self, wanted=None):
            frames = self.table.to_batches(max_chunksize=500)
            return pa.RecordBatchReader.from_batches(self.schema, dies(frames)).__arrow_c_stream__(wanted)
    import deltalake
    whole = deltalake.write_deltalake
    deltalake.write_deltalake = lambda where, table, **more: whole(where, Dying(table), **more)
if at == "committed":  # committed, and nobody was told
    Log.find = die
lake.write({frame}, {mode!r}, part="mine", keys={keys!r}, target_file_size=1000)
"""


@pytest.mark.parametrize("at", ["data", "committed"])
@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("mode", ["append", "overwrite", "upsert", "append_once"])
def test_a_killed_writer_leaves_the_table_whole_and_a_repeat_gives_each_row_once(lake, at, there, mode):
    if mode in ("upsert", "append_once") and there and at == "data":
        at = "committed"  # merging reads the frame before it writes anything
    keys = ("id",) if mode in ("upsert", "append_once") else ()
    if there:
        lake.write({"id": list(range(-10, 0))})
    before = [row["id"] for row in lake.rows()] if there else None
    frame = '{"id": list(range(5000))}'
    dying = process(lake, 0, _DIES.format(at=at, frame=frame, mode=mode, keys=keys))
    _, said = dying.communicate("go\n", timeout=120)
    assert dying.returncode == -signal.SIGKILL, said
    old = [] if mode == "overwrite" else sorted(before or [])
    if at == "data" and there:
        assert sorted(lake.read()["id"].to_pylist()) == sorted(before)
    if at == "committed":
        assert sorted(lake.read()["id"].to_pylist()) == [*old, *range(5000)]
    report = lake.write({"id": list(range(5000))}, mode, part="mine", keys=keys)
    assert sorted(lake.read()["id"].to_pylist()) == [*old, *range(5000)]
    assert report.skipped == (at == "committed" and mode in ("append", "append_once"))
    assert report.version == lake.version()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="asks for POSIX")
def test_a_killed_maker_of_a_table_leaves_room_for_another(lake):
    dying = process(lake, 0, _DIES.format(at="data", frame='{"id": list(range(5000))}', mode="error", keys=()))
    dying.communicate("go\n", timeout=120)
    assert dying.returncode == -signal.SIGKILL
    assert lake.version() is None
    assert lake.write({"id": [1]}, "error").rows == 1
    assert lake.rows() == [{"id": 1}]


# --- places where writers could undo each other ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"aws_conditional_put": "disabled"},
        {"AWS_CONDITIONAL_PUT": "dynamo"},
        {"AWS_S3_ALLOW_UNSAFE_RENAME": True},
    ],
)
def test_options_by_which_commits_could_be_undone_are_refused(lake, options):
    from odibi_delta.location import location

    storage = FolderStorage(lake.folder, scheme="s3", options=options)
    with pytest.raises(DataError, match="would write without conditions"):
        location(storage, "t", "lake:t").check_writable()


@pytest.mark.parametrize("options", [{}, {"aws_conditional_put": "etag"}, {"AWS_S3_LOCKING_PROVIDER": "dynamodb"}])
def test_options_by_which_they_cannot_are_taken(lake, options):
    from odibi_delta.location import location

    storage = FolderStorage(lake.folder, scheme="s3", options=options)
    location(storage, "t", "lake:t").check_writable()


def test_a_storage_that_heeds_no_conditions_is_found_out_once(lake):
    from odibi_delta.location import location

    class Careless(FolderStorage):
        asked = 0

        def write(self, path, data, *, when):
            self.asked += 1
            raise Conflict("the server does not heed conditions", where=path)

    endpoint = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
    with pytest.raises(Conflict, match="does not heed conditions"):
        location(Careless(lake.folder, scheme="s3", options=endpoint), "t", "lake:t").check_writable()
    careful = FolderStorage(lake.folder, scheme="s3", options=endpoint)
    location(careful, "t", "lake:t").check_writable()
    assert list(careful.list()) == []


def test_a_write_that_others_always_precede_gives_up(lake, monkeypatch):
    from odibi_delta import attempts, writing

    lake.write({"id": [0]})
    monkeypatch.setattr(attempts, "TRIES", 3)
    add = writing._Write._add

    def preceded(self, there, table):
        DeltaTable(str(lake.folder / "t")).alter.set_table_properties({"delta.appendOnly": "false"})
        add(self, there, table)

    monkeypatch.setattr(writing._Write, "_add", preceded)
    with pytest.raises(Conflict, match="given up after 3 times"):
        lake.write({"id": [1]})
    assert lake.rows() == [{"id": 0}]
