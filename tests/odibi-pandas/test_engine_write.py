from __future__ import annotations

import logging
import re
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from odibi.errors import Conflict, DataError, InvalidPath
from odibi_pandas import writing
from odibi_pandas.formats.csv import CsvFormat
from odibi_pandas.formats.parquet import ParquetFormat

CSV = CsvFormat()
PARQUET = ParquetFormat()


def frame(*ids: int, text: str = "x") -> pd.DataFrame:
    return pd.DataFrame({"id": list(ids), "s": [f"{text}{i}" for i in ids]})


def ids(lake: Any, path: str, format_: Any = PARQUET) -> list[int]:
    return lake.read(path, format_)["id"].tolist()  # type: ignore[no-any-return]


def unversioned(paths: Any) -> set[str]:
    return {re.sub(r"(part-[^-]+)-[0-9a-f]{8}(?=[-.])", r"\1", path) for path in paths}


def refused(
    lake: Any, data: Any, path: str | None, format_: Any = PARQUET, mode: str = "overwrite", **more: Any
) -> str:
    before = {it.path: it.etag for it in lake.storage.list()}
    with pytest.raises(DataError) as caught:
        lake.write(data, path, format_, mode, **more)
    assert {it.path: it.etag for it in lake.storage.list()} == before
    assert caught.value.remedy
    return str(caught.value)


# --- overwrite ------------------------------------------------------------------------------------------------------


def test_overwrite_replaces_an_object(lake: Any) -> None:
    lake.write(frame(1, 2), "a.parquet", PARQUET)
    report = lake.write(frame(3), "a.parquet", PARQUET)
    stat = lake.storage.stat("a.parquet")
    assert (report.rows, report.bytes, report.paths, report.skipped) == (1, stat.size, ("a.parquet",), False)
    assert report.etags == {"a.parquet": stat.etag}
    assert ids(lake, "a.parquet") == [3]


def test_overwrite_replaces_a_folder_of_parts(lake: Any) -> None:
    lake.write(frame(1), "a", PARQUET, "append", part="one")
    lake.write(frame(2), "a", PARQUET, "append", part="two")
    lake.storage.write("a/_SUCCESS", b"")
    report = lake.write(frame(3), "a", PARQUET, part="three")
    assert re.fullmatch(r"a/part-three-[0-9a-f]{8}\.parquet", *report.paths)
    assert lake.paths() == [*report.paths]  # what said that the old parts were whole is gone with them
    again = lake.write(frame(4), "a", PARQUET, part="three")
    assert again.paths != report.paths, "who has listed the old parts must not read a new one among them"
    assert ids(lake, "a") == [4]


@pytest.mark.parametrize("old", ["object", "folder", "partitions"])
def test_a_write_that_fails_leaves_the_old_data(lake: Any, old: str) -> None:
    by = ("id",) if old == "partitions" else ()
    mode = "append" if old == "folder" else "overwrite"
    lake.write(frame(1, 2, 3), "a", PARQUET, mode, part="old", partition_by=by)
    before = lake.read("a", PARQUET)
    if old == "partitions":
        appearing: list[str] = []

        def fail(path: str) -> None:
            appearing.append(path)
            if len(appearing) == 2:
                raise ZeroDivisionError

        lake.storage.before_publish = fail
        paths = lake.paths()
        with pytest.raises(ZeroDivisionError):
            lake.write(frame(4, 5, 6), "a", PARQUET, part="old", partition_by=by)
        assert len(appearing) == 2
        assert lake.paths() == paths
        pd.testing.assert_frame_equal(lake.read("a", PARQUET), before)
        lake.storage.before_publish = lambda path: None
        lake.write(frame(4, 5, 6), "a", PARQUET, part="new", partition_by=by)
        assert ids(lake, "a") == [4, 5, 6]
        return

    def frames() -> Any:
        yield frame(7)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        lake.engine.write_chunks(frames(), lake.target("a", PARQUET, part="new"))
    pd.testing.assert_frame_equal(lake.read("a", PARQUET), before)


def test_what_cannot_be_written_leaves_nothing(lake: Any) -> None:
    message = refused(lake, pd.DataFrame({"l": [[1]], "k": [1]}), "a.csv", CSV)
    assert message.startswith("lake:a.csv: the frame cannot be written as CSV")
    assert "lake:a.csv: column 'm' holds values of the types" in refused(
        lake, pd.DataFrame({"m": [1, "a"]}, dtype=object), "a.csv", CSV
    )


def test_a_target_without_a_path(lake: Any) -> None:
    assert "the node names no path" in refused(lake, frame(1), None, table="t")
    assert "the node names no path" in refused(lake, frame(1), ".")
    with pytest.raises(InvalidPath):
        lake.write(frame(1), "../a", PARQUET)


# --- append, error, ignore ------------------------------------------------------------------------------------------


def test_append_adds_a_part_once(lake: Any) -> None:
    first = lake.write(frame(1), "a", PARQUET, "append", part="run-1")
    assert first.paths == ("a/part-run-1.parquet",)
    lake.write(frame(2), "a", PARQUET, "append", part="run-2")
    etags = {it.path: it.etag for it in lake.storage.list()}
    again = lake.write(frame(99), "a", PARQUET, "append", part="run-1")
    assert (again.skipped, again.rows, again.paths) == (True, 0, first.paths)
    assert again.etags == first.etags
    assert {it.path: it.etag for it in lake.storage.list()} == etags
    assert ids(lake, "a") == [1, 2]


def test_the_name_of_a_part_is_made_safe(lake: Any) -> None:
    assert lake.write(frame(1), "a", CSV, "append", part="../b/c d").paths == ("a/part-..%2Fb%2Fc%20d.csv",)


def test_append_to_partitions_finishes_what_was_begun(lake: Any) -> None:
    lake.write(frame(1), "a", PARQUET, "append", part="p", partition_by=("id",))
    report = lake.write(frame(1, 2), "a", PARQUET, "append", part="p", partition_by=("id",))
    assert (report.rows, report.skipped) == (1, False)
    assert report.paths == ("a/id=1/part-p.parquet", "a/id=2/part-p.parquet")
    assert report.etags == {it.path: it.etag for it in lake.storage.list()}
    assert ids(lake, "a") == [1, 2]


def test_append_to_an_object_is_refused(lake: Any) -> None:
    lake.write(frame(1), "a.csv", CSV)
    assert "lake:a.csv: there is one object, but parts" in refused(lake, frame(2), "a.csv", CSV, "append")
    assert "there is one object, but parts" in refused(lake, frame(2), "a.csv", CSV, partition_by=("id",))


@pytest.mark.parametrize("there", ["object", "folder"])
def test_error_and_ignore(lake: Any, there: str) -> None:
    lake.write(frame(1), "a", PARQUET, "overwrite" if there == "object" else "append")
    assert "lake:a: there is data already" in refused(lake, frame(2), "a", mode="error")
    report = lake.write(frame(2), "a", PARQUET, "ignore")
    assert (report.skipped, report.rows) == (True, 0)
    assert ids(lake, "a") == [1]
    assert lake.write(frame(2), "b", PARQUET, "error").rows == 1
    assert lake.write(frame(3), "c", PARQUET, "ignore").rows == 1
    assert lake.write(frame(3, 4), "d", PARQUET, "error", partition_by=("id",)).rows == 2


def test_error_and_ignore_notice_who_was_faster(lake: Any) -> None:
    def faster(path: str) -> None:
        lake.storage.before_publish = lambda path: None
        lake.storage.write(path, b"theirs")

    for mode, name in (("error", "a"), ("ignore", "b")):
        lake.storage.before_publish = faster
        if mode == "error":
            with pytest.raises(DataError, match="there is data already"):
                lake.write(frame(1), name, PARQUET, mode)
        else:
            assert lake.write(frame(1), name, PARQUET, mode).skipped
        assert lake.storage.read(name) == b"theirs"


# --- by key ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format_", [CSV, PARQUET])
def test_upsert(lake: Any, format_: Any) -> None:
    assert lake.write(frame(3, 1, 2), "a", format_, "upsert", keys=("id",)).rows == 3
    report = lake.write(frame(4, 1, text="new"), "a", format_, "upsert", keys=("id",))
    assert report.rows == 2
    result = lake.read("a", format_)
    assert result.to_dict("list") == {"id": [3, 1, 2, 4], "s": ["x3", "new1", "x2", "new4"]}
    lake.write(frame(4, 1, text="new"), "a", format_, "upsert", keys=("id",))
    pd.testing.assert_frame_equal(lake.read("a", format_), result)


def test_append_once(lake: Any) -> None:
    lake.write(frame(1, 2), "a", PARQUET, "append_once", keys=("id",))
    assert lake.write(frame(3, 2, text="new"), "a", PARQUET, "append_once", keys=("id",)).rows == 1
    assert lake.read("a", PARQUET)["s"].tolist() == ["x1", "x2", "new3"]
    etag = lake.storage.stat("a").etag
    assert lake.write(frame(1, 3), "a", PARQUET, "append_once", keys=("id",)).skipped
    assert lake.storage.stat("a").etag == etag


def test_keys_of_several_columns_and_types(lake: Any) -> None:
    old = pd.DataFrame({"k": [1, 1, None], "l": ["a", "b", "a"], "v": [1, 2, 3]})
    lake.write(old, "a", PARQUET)
    new = pd.DataFrame({"v": [20, 40], "l": ["b", "a"], "k": [1.0, 2.0]})
    lake.write(new, "a", PARQUET, "upsert", keys=("k", "l"))
    assert lake.read("a", PARQUET)["v"].tolist() == [1, 20, 3, 40]


@pytest.mark.parametrize("mode", ["upsert", "append_once"])
def test_keys_must_tell_rows_apart(lake: Any, mode: str) -> None:
    null = pd.DataFrame({"id": [1, None], "s": ["a", "b"]})
    assert "lake:a: the key 'id' is null in 1 row." in refused(lake, null, "a", PARQUET, mode, keys=("id",))
    assert "1 key (id) comes in more than one row" in refused(lake, frame(1, 1, 2), "a", PARQUET, mode, keys=("id",))
    assert "no key column 'ID'" in refused(lake, frame(1), "a", PARQUET, mode, keys=("ID",))
    assert "no keys are given" in refused(lake, frame(1), "a", PARQUET, mode)
    assert "does not write to folders" in refused(lake, frame(1), "a", PARQUET, mode, keys=("id",), partition_by=("s",))
    lake.write(frame(1), "f", PARQUET, "append")
    assert "there is a folder of parts" in refused(lake, frame(1), "f", PARQUET, mode, keys=("id",))
    lake.write(frame(1), "g", PARQUET)
    other = frame(1).rename(columns={"s": "t"})
    assert "the frame lacks 's' and has 't' besides" in refused(lake, other, "g", PARQUET, mode, keys=("id",))
    texts = pd.DataFrame({"id": ["1"], "s": ["a"]})
    assert "the frame has other types than what is there: id (" in refused(
        lake, texts, "g", PARQUET, mode, keys=("id",)
    )


def test_a_merge_that_loses_a_race_is_made_again(lake: Any) -> None:
    lake.write(frame(1), "a", PARQUET)

    def faster(path: str) -> None:
        lake.storage.before_publish = lambda path: None
        lake.write(frame(1, 2), "a", PARQUET)

    lake.storage.before_publish = faster
    lake.write(frame(3), "a", PARQUET, "upsert", keys=("id",))
    assert ids(lake, "a") == [1, 2, 3]


def test_a_first_merge_that_loses_a_race_is_made_again(lake: Any) -> None:
    def faster(path: str) -> None:
        lake.storage.before_publish = lambda path: None
        lake.write(frame(1), "a", PARQUET)

    lake.storage.before_publish = faster
    lake.write(frame(2), "a", PARQUET, "append_once", keys=("id",))
    assert ids(lake, "a") == [1, 2]


def test_a_merge_that_always_loses_gives_up(lake: Any) -> None:
    lake.write(frame(1), "a", PARQUET)
    lost: list[str] = []

    def always_faster(path: str) -> None:
        lost.append(lake.storage.write("a", lake.storage.read("a")).etag)

    lake.storage.before_publish = always_faster
    with pytest.raises(Conflict, match="lake:a: others changed the object each time .* given up after 50 times"):
        lake.write(frame(2), "a", PARQUET, "upsert", keys=("id",))
    assert len(lost) == 50
    assert ids(lake, "a") == [1]


def test_a_merge_that_changes_nothing_says_what_is_there(lake: Any) -> None:
    written = lake.write(frame(1, 2), "a", PARQUET, "append_once", keys=("id",))
    again = lake.write(frame(1), "a", PARQUET, "append_once", keys=("id",))
    assert (again.skipped, again.rows) == (True, 0)
    assert (again.paths, again.etags) == (written.paths, written.etags)


@pytest.mark.parametrize("table", ["_delta_log/00000000000000000000.json", ".hoodie/hoodie.properties"])
def test_the_files_of_a_table_are_left_alone(lake: Any, table: str) -> None:
    lake.storage.write("a/0.parquet", b"data")
    lake.storage.write(f"a/{table}", b"{}")
    for mode in ("overwrite", "append"):
        assert "table, whose files must not be written one by one" in refused(lake, frame(1), "a", PARQUET, mode)
    assert "table" in refused(lake, frame(1), "a", PARQUET, partition_by=("id",))


# --- partitions -----------------------------------------------------------------------------------------------------


def test_partitions(lake: Any) -> None:
    data = pd.DataFrame({"y": [2013, None, 2014, 2013], "s": ["a/b", "c", None, "a/b"], "v": [1, 2, 3, 4]})
    data["y"] = data["y"].astype("Int64")
    report = lake.write(data, "a", PARQUET, partition_by=("y", "s"))
    assert report.rows == 4
    assert unversioned(report.paths) == {
        "a/y=2013/s=a%2Fb/part-p1.parquet",
        "a/y=__HIVE_DEFAULT_PARTITION__/s=c/part-p1.parquet",
        "a/y=2014/s=__HIVE_DEFAULT_PARTITION__/part-p1.parquet",
    }
    assert lake.read("a/y=2013", PARQUET)["v"].tolist() == [1, 4]
    back = lake.read("a", PARQUET).sort_values("v")
    assert lake.engine.to_arrow(back).to_pylist() == [
        {"v": 1, "y": 2013, "s": "a/b"},
        {"v": 2, "y": None, "s": "c"},
        {"v": 3, "y": 2014, "s": None},
        {"v": 4, "y": 2013, "s": "a/b"},
    ]


def test_partitions_that_are_gone_are_removed(lake: Any) -> None:
    lake.write(frame(1, 2), "a", PARQUET, part="one", partition_by=("id",))
    lake.write(frame(2, 3), "a", PARQUET, part="two", partition_by=("id",))
    assert unversioned(lake.paths()) == {"a/id=2/part-two.parquet", "a/id=3/part-two.parquet"}


def test_partitions_of_a_frame_without_rows_keep_the_columns(lake: Any) -> None:
    lake.write(frame(1).head(0), "a", PARQUET, partition_by=("id",))
    assert list(lake.read("a", PARQUET).columns) == ["id", "s"]


def test_partitions_that_cannot_be(lake: Any) -> None:
    assert "no column 'idd' to partition by. Did you mean 'id'?" in refused(lake, frame(1), "a", partition_by=("idd",))
    assert "all columns are folders" in refused(lake, frame(1), "a", partition_by=("id", "s"))
    lists = pd.DataFrame({"l": [[1]], "v": [1]})
    assert "lake:a: column 'l' cannot name folders: it is list<" in refused(lake, lists, "a", partition_by=("l",))
    null = pd.DataFrame({"s": ["__HIVE_DEFAULT_PARTITION__"], "v": [1]})
    assert "stands for null in a folder's name" in refused(lake, null, "a", partition_by=("s",))


def test_too_many_partitions(lake: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(writing, "_MANY", 3)
    monkeypatch.setattr(writing, "_TOO_MANY", 6)
    with caplog.at_level(logging.WARNING, "odibi_pandas"):
        lake.write(frame(*range(3)), "a", PARQUET, partition_by=("id",))
        assert not caplog.records
        lake.write(frame(*range(6)), "a", PARQUET, partition_by=("id",))
    assert "more than 3 folders" in caplog.text
    assert "there would be 7 folders, more than 6" in refused(lake, frame(*range(7)), "a", partition_by=("id",))


# --- in chunks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["overwrite", "append", "error", "ignore"])
def test_chunks_are_one_object(lake: Any, mode: str) -> None:
    report = lake.engine.write_chunks(iter([frame(1, 2), frame(3)]), lake.target("a", PARQUET, mode))
    assert report.rows == 3
    assert len(report.paths) == 1
    assert ids(lake, "a") == [1, 2, 3]
    again = lake.target("a", PARQUET, mode)
    if mode in ("append", "ignore"):
        assert lake.engine.write_chunks(iter([frame(9)]), again).skipped
        assert ids(lake, "a") == [1, 2, 3]


def test_chunks_into_partitions(lake: Any) -> None:
    target = lake.target("a", PARQUET, partition_by=("s",))
    chunks = [pd.DataFrame({"s": ["x", "y"], "id": [1, 2]}), pd.DataFrame({"s": ["x"], "id": [3]})]
    report = lake.engine.write_chunks(iter(chunks), target)
    assert report.rows == 3
    assert unversioned(lake.paths()) == {
        "a/s=x/part-p1-00000.parquet",
        "a/s=x/part-p1-00001.parquet",
        "a/s=y/part-p1-00000.parquet",
    }
    assert ids(lake, "a/s=x") == [1, 3]


def test_chunks_must_be_alike(lake: Any) -> None:
    wider = lake.engine.from_arrow(pa.table({"id": pa.array([1], pa.int32())}))
    lake.engine.write_chunks(iter([pd.DataFrame({"id": [1]}), wider]), lake.target("a", PARQUET))
    assert ids(lake, "a") == [1, 1]
    for bad, message in (
        (pd.DataFrame({"other": [1]}), "the chunks have different columns"),
        (pd.DataFrame({"id": ["x"]}), "the chunks have different types"),
    ):
        with pytest.raises(DataError, match=f"lake:b: {message}"):
            lake.engine.write_chunks(iter([pd.DataFrame({"id": [1]}), bad]), lake.target("b", PARQUET))
        assert "b" not in lake.paths()
    with pytest.raises(DataError, match="there is nothing to write"):
        lake.engine.write_chunks(iter([]), lake.target("b", PARQUET))


@pytest.mark.parametrize("mode", ["upsert", "append_once"])
def test_chunks_by_key_are_refused(lake: Any, mode: str) -> None:
    with pytest.raises(DataError, match="cannot write in chunks"):
        lake.engine.write_chunks(iter([frame(1)]), lake.target("a", PARQUET, mode, keys=("id",)))


def test_chunks_are_taken_one_at_a_time(lake: Any) -> None:
    alive: list[int] = []

    def frames() -> Any:
        for at in range(5):
            alive.append(at)
            yield frame(at)

    class Watching(ParquetFormat):
        pass

    seen: list[int] = []
    original = ParquetFormat.dump

    def dump(self: Any, tables: Any, schema: Any, file: Any) -> None:
        def watched() -> Any:
            for table in tables:
                seen.append(len(alive))
                yield table

        original(self, watched(), schema, file)

    Watching.dump = dump  # type: ignore[method-assign]
    lake.engine.write_chunks(frames(), lake.target("a", Watching()))
    assert seen == [1, 2, 3, 4, 5]
