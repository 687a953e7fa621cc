"""What the Spark side of Delta tables has without Spark: the log's summary, turns at local tables, its words."""

from __future__ import annotations

import subprocess
import sys

import attrs
import pytest
from deltalake import DeltaTable

from odibi.errors import Conflict, DataError, PluginBroken, TransformError, Transient
from odibi_delta.location import location
from odibi_delta.log import Log
from odibi_delta.options import DeltaOptions
from odibi_delta.pandas_format import PandasDeltaFormat
from odibi_delta.snapshot import snapshot
from odibi_delta.spark_failures import failure
from odibi_delta.spark_format import SparkDeltaFormat
from odibi_delta.spark_places import address, place_of, settings
from odibi_delta.transactions import application_of
from odibi_delta.turns import turn


def newest(lake, path="t"):
    return snapshot(Log(lake.storage, path, "lake:t"))


# --- options ----------------------------------------------------------------------------------------------------------


def test_both_engines_have_the_same_options():
    fields = [[(field.name, field.type, field.default) for field in attrs.fields(kind)] for kind in KINDS]
    assert fields[0] == fields[1] == fields[2]


KINDS = (DeltaOptions, PandasDeltaFormat, SparkDeltaFormat)


# --- the log's summary ------------------------------------------------------------------------------------------------


def test_there_is_no_table(lake):
    assert newest(lake) is None
    lake.storage.write("t/_delta_log/.odibi-lock", b"")
    assert newest(lake) is None


@pytest.mark.parametrize("checkpointed", [False, True])
def test_a_table_is_told_from_its_log(lake, checkpointed):
    options = {"configuration": {"delta.appendOnly": True}, "description": "who came"}
    lake.write({"id": [1], "year": [2026]}, "append", by=("year",), part="one", **options)
    lake.write({"id": [2], "year": [2026]}, "append", part="two")
    if checkpointed:
        DeltaTable(str(lake.folder / "t")).create_checkpoint()
        lake.log_file(0).unlink()
    lake.write({"id": [3], "year": [2027]}, "append", part="three")
    found = newest(lake)
    assert found.version == 2
    assert found.partition_by == ("year",)
    assert found.properties == {"delta.appendOnly": "true"}
    assert found.description == "who came"
    assert '"name":"id"' in found.schema.replace(" ", "")
    assert found.transactions == {application_of(part): 1 for part in ("one", "two", "three")}


def test_a_checkpoint_that_is_none_is_damage(lake):
    lake.write({"id": [1]})
    DeltaTable(str(lake.folder / "t")).create_checkpoint()
    next((lake.folder / "t/_delta_log").glob("*.checkpoint.parquet")).write_bytes(b"nonsense")
    with pytest.raises(DataError, match="is no checkpoint"):
        newest(lake)


# --- turns ------------------------------------------------------------------------------------------------------------

OTHER = """
import fcntl, os, sys
handle = os.open(sys.argv[1], os.O_RDONLY)
try:
    fcntl.flock(handle, (fcntl.LOCK_EX if sys.argv[2] == "alone" else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    print("in")
except BlockingIOError:
    print("waits")
"""


def other(lake, how: str) -> str:
    lock = str(lake.folder / "t/_delta_log/.odibi-lock")
    return subprocess.run(
        [sys.executable, "-c", OTHER, lock, how], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_who_must_be_alone_keeps_other_processes_out(lake):
    place = location(lake.storage, "t", "lake:t")
    with turn(place, alone=True):
        assert (other(lake, "alone"), other(lake, "together")) == ("waits", "waits")
    with turn(place, alone=False), turn(place, alone=False):
        assert (other(lake, "alone"), other(lake, "together")) == ("waits", "in")
    assert other(lake, "alone") == "in"


def test_where_there_can_be_no_lock_the_writer_says_what_is_wrong(lake):
    lake.storage.write("t", b"an object")
    with turn(location(lake.storage, "t", "lake:t"), alone=True):
        pass
    assert lake.storage.read("t") == b"an object"


def test_a_writer_of_delta_rs_waits_for_one_that_must_be_alone(lake):
    from concurrent.futures import ThreadPoolExecutor

    lake.write({"id": [1]})
    with ThreadPoolExecutor(1) as pool:
        with turn(location(lake.storage, "t", "lake:t"), alone=True):
            writing = pool.submit(lake.write, {"id": [2]}, "append", part="q")
            with pytest.raises(TimeoutError):
                writing.result(0.3)
            assert newest(lake).version == 0
        assert writing.result().rows == 1


# --- places -----------------------------------------------------------------------------------------------------------


def test_addresses_are_those_of_hadoop(lake):
    place = place_of(lake.source("a b/é"))
    assert address(place) == f"file://{lake.folder}/a b/é"
    assert settings(place)["fs.file.impl"] == "org.apache.hadoop.fs.RawLocalFileSystem"
    lake.storage.scheme, lake.storage.options = "s3", {}
    place = place_of(lake.source("t"))
    assert address(place).startswith("s3a:")
    assert settings(place) == {"fs.s3a.impl.disable.cache": "true"}


def test_a_place_that_spark_cannot_reach_is_refused(lake):
    lake.storage.scheme = "memory"
    with pytest.raises(DataError, match="memory://"):
        place_of(lake.source("t"))


# --- words ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        (
            "io.delta.exceptions.ConcurrentAppendException: [DELTA_CONCURRENT_APPEND.X] Files",
            Conflict,
            "another writer",
        ),
        (
            "[DATA_SOURCE_NOT_FOUND] Failed to find the data source: delta. Make sure",
            PluginBroken,
            "cannot read or write",
        ),
        ("java.net.ConnectException: Connection refused", Transient, "Connection refused"),
        ("[DELTA_SOMETHING_NEW] It is so at s3a://key@bucket/x.", DataError, "Delta refuses: It is so at"),
        ("Traceback (most recent call last):\nValueError: no such name", TransformError, "ValueError: no such name"),
        (
            "[DIVIDE_BY_ZERO] Division by zero. SQLSTATE: 22012\n\nJVM stacktrace:\norg",
            TransformError,
            "Division by zero",
        ),
        ("it says geheim here", TransformError, "it says *** here"),
    ],
)
def test_what_spark_says_is_told_in_our_words(text, kind, words):
    found = failure(RuntimeError(text), "lake:t", {"fs.s3a.secret.key": "geheim"})
    assert type(found) is kind
    assert words in str(found)
    assert "JVM" not in str(found)


def test_the_module_of_the_format_imports_nothing_heavy():
    heavy = "('pyspark', 'deltalake', 'pyarrow')"
    code = f"import odibi_delta.spark_format, sys; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
