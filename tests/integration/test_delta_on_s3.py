"""Delta tables on a server of S3: writers side by side, lost answers, refusals."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest

pytest.importorskip("moto")
pytest.importorskip("odibi_s3")
pytest.importorskip("odibi_delta")

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "odibi-delta"))

from arrow_tables import Lake
from s3_servers import CUT, LOST, SECRET, Fault, Proxy, moto_server

from odibi.contracts.format import WriteReport
from odibi.errors import AccessDenied, DataError, NotFound, OdibiError, StorageError, Transient
from odibi_delta.maintenance import Table
from odibi_s3.storage import S3Storage

DENIED = Fault(status=403, code="AccessDenied", forward=False)


@pytest.fixture(scope="module")
def server():
    with moto_server() as running:
        yield running


@pytest.fixture
def proxy(server, monkeypatch):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    proxy = Proxy(server)
    yield proxy
    proxy.close()


@pytest.fixture
def options(server, proxy):
    return {
        "bucket": server.make_bucket(f"odibi-{uuid4().hex[:16]}"),
        "prefix": "some where/é#1",
        "endpoint": proxy.server.endpoint,
        "region": "us-east-1",
        "access_key_id": server.key,
        "secret_access_key": server.secret,
    }


@pytest.fixture
def lake(tmp_path, options):
    lake = Lake(tmp_path)
    lake.storage = S3Storage(**options)
    yield lake
    lake.storage.close()


def race(act, many=4):
    together = threading.Barrier(many)

    def run(number):
        together.wait(60)
        try:
            return act(number)
        except OdibiError as error:
            return error

    with ThreadPoolExecutor(many) as pool:
        return list(pool.map(run, range(many)))


def test_all_modes_do_on_s3_what_they_do_elsewhere(lake, options, server):
    # Past the proxy: delta-rs restores without letting this process's other threads run.
    lake.storage = S3Storage(**{**options, "endpoint": server.endpoint})
    lake.write({"id": [1], "day": ["x/y"]}, by=("day",))
    lake.write({"id": [2], "day": ["ä b"]}, "append")
    lake.write({"id": [2, 3], "day": ["new", "z"]}, "upsert", keys=("id",))
    lake.write({"id": [3, 4], "day": ["no", "w"]}, "append_once", keys=("id",))
    days = {1: "x/y", 2: "new", 3: "z", 4: "w"}
    assert {row["id"]: row["day"] for row in lake.rows()} == days
    assert lake.read(version=0).num_rows == 1
    assert lake.write({"id": [9], "day": ["q"]}, "ignore").skipped
    report = lake.write({"id": [5], "day": ["v"]})
    assert all(lake.storage.stat(path).size for path in report.paths)
    assert report.version == lake.version()
    table = Table(lake.storage, "t")
    assert [entry.version for entry in table.history()] == [4, 3, 2, 1, 0]
    table.restore(version=3)
    assert {row["id"]: row["day"] for row in lake.rows()} == days
    assert table.optimize().version == 5 or table.detail().rows == 4
    assert all(not stat.path.endswith(".tmp") for stat in lake.storage.list())


@pytest.mark.parametrize("mode", ["error", "ignore"])
def test_one_of_many_is_the_first(lake, mode):
    outcomes = race(lambda number: lake.write({"id": [number]}, mode))
    won = [each for each in outcomes if isinstance(each, WriteReport) and not each.skipped]
    assert len(won) == 1, outcomes
    assert lake.read().num_rows == 1
    others = [each for each in outcomes if each not in won]
    assert all(each.skipped if mode == "ignore" else isinstance(each, DataError) for each in others)


def test_appends_and_upserts_side_by_side_are_all_there(lake):
    def act(number):
        lake.write({"id": [number], "by": [number]}, "append", part=str(number))
        return lake.write({"id": [100, 200 + number], "by": [number] * 2}, "upsert", keys=("id",))

    outcomes = race(act, 3)
    assert all(isinstance(each, WriteReport) for each in outcomes), outcomes
    assert sorted(row["id"] for row in lake.rows()) == [0, 1, 2, 100, 200, 201, 202]


@pytest.mark.parametrize("mode", ["append", "overwrite", "upsert", "append_once", "error", "ignore"])
def test_a_commit_whose_answer_is_lost_counts_once(lake, proxy, mode):
    keys = ("id",) if mode in ("upsert", "append_once") else ()
    if mode not in ("error", "ignore"):
        lake.write({"id": [0]})
    lost = []
    fault = {"PUT": LOST}

    def decide(asked):
        if asked.method == "PUT" and asked.target.split("?")[0].endswith(".json") and "PUT" in fault:
            lost.append(asked.target)
            return fault.pop("PUT")
        return None

    proxy.decide = decide
    report = lake.write({"id": [1]}, mode, keys=keys)
    assert lost
    assert (report.rows, report.skipped) == (1, False)
    ids = [row["id"] for row in lake.rows()]
    assert ids == ([1] if mode in ("overwrite", "error", "ignore") else [0, 1])
    assert len(Table(lake.storage, "t").history()) == (1 if mode in ("error", "ignore") else 2)


def test_a_server_that_stumbles_is_asked_again(lake, proxy):
    lake.write({"id": [0]})  # by now the storage knows the server
    proxy.spoil("PUT", CUT, Fault(status=503, code="SlowDown", forward=False))
    lake.write({"id": [1]}, "append", part="1")
    proxy.spoil("GET", Fault(status=500, code="InternalError", forward=False), CUT)
    assert lake.rows() == [{"id": 0}, {"id": 1}]


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_refused_access_is_told_without_any_secret(lake, proxy, method):
    lake.write({"id": [1]})
    proxy.decide = lambda asked: DENIED if asked.method == method else None
    with pytest.raises(AccessDenied) as caught:
        lake.read() if method == "GET" else lake.write({"id": [2]})
    said = f"{caught.value} {caught.value.__cause__}"
    assert SECRET not in said
    assert "127.0.0.1" not in said
    proxy.decide = lambda asked: None
    assert lake.rows() == [{"id": 1}]


def test_a_bucket_that_is_not_there_is_named_as_such(lake, options):
    lake.storage = S3Storage(**{**options, "bucket": "odibi-nobodys"})
    for act in (lake.read, lambda: lake.write({"id": [1]})):
        with pytest.raises(NotFound):
            act()


def test_a_server_that_is_down_is_transient(lake, options, monkeypatch):
    lake.storage = S3Storage(**{**options, "endpoint": "http://127.0.0.1:1", "retries": 0, "connect_timeout": 1.0})
    given = lake.storage.native_options("delta")
    fewer = {**given, "max_retries": "0", "retry_timeout": "1s", "connect_timeout": "1s"}
    monkeypatch.setattr(S3Storage, "native_options", lambda self, for_: fewer)
    with pytest.raises(Transient):
        lake.read()


def test_a_server_that_heeds_no_conditions_is_refused_before_anything_is_written(lake, proxy):
    def careless(asked):
        asked.headers.pop("if-none-match", None)
        asked.headers.pop("if-match", None)

    proxy.decide = careless
    with pytest.raises(StorageError, match="ignores If-None-Match"):
        lake.write({"id": [1]})
    assert list(lake.storage.list()) == []


_WRITES = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from arrow_tables import Lake
from odibi_s3.storage import S3Storage
lake = Lake(Path("/nowhere"))
lake.storage = S3Storage(**{options!r})
number = int(sys.argv[1])
sys.stdin.readline()
for at in range(3):
    lake.write({{"id": [10 * number + at]}}, "append", part=f"{{number}}-{{at}}")
    lake.write({{"id": [1000]}}, "append_once", keys=("id",))
"""


def test_processes_write_side_by_side(lake, options):
    tests = str(Path(__file__).parents[1] / "odibi-delta")
    program = textwrap.dedent(_WRITES.format(tests=tests, options=options))
    started = [
        subprocess.Popen([sys.executable, "-c", program, str(number)], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        for number in range(2)
    ]
    said = [each.communicate(b"go\n", timeout=200)[1] for each in started]
    assert [each.returncode for each in started] == [0, 0], said
    assert sorted(row["id"] for row in lake.rows()) == [0, 1, 2, 10, 11, 12, 1000]
