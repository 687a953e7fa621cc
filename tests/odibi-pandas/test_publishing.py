"""Several objects as one: what is published in one step where the storage can, and what is left where it cannot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from odibi.contracts.storage import FolderStorage
from odibi.errors import AccessDenied, DataError, NotFound, StorageError, Transient
from odibi_pandas import snapshot
from odibi_pandas.formats.parquet import ParquetFormat

PARQUET = ParquetFormat()


def frame(*ids: int, version: int = 0) -> pd.DataFrame:
    return pd.DataFrame({"id": list(ids), "version": [version] * len(ids)})


def rows(lake: Any, path: str = "a") -> list[tuple[int, int]]:
    back = lake.read(path, PARQUET)
    return sorted(zip(back["id"].tolist(), back["version"].tolist(), strict=True))


def everything(lake: Any) -> dict[str, str]:
    return {path: etag for path, (_, etag) in lake.storage._objects.items()}


@pytest.fixture(params=["one step", "one by one", "cannot here"])
def any_lake(request: pytest.FixtureRequest, lake: Any, folder_lake: Any) -> Any:
    """A storage of each kind: with the step, without it, and one that finds out that it cannot."""
    if request.param == "one by one":
        assert not isinstance(lake.storage, FolderStorage)
        return lake
    assert isinstance(folder_lake.storage, FolderStorage)
    folder_lake.storage.can = request.param == "one step"
    return folder_lake


def test_overwriting_says_what_is_there_afterwards(any_lake: Any) -> None:
    lake = any_lake
    for version in range(3):
        report = lake.write(frame(1, 2, 3, version=version), "a", PARQUET, partition_by=("id",))
        stats = {stat.path: stat for stat in lake.storage.list("a")}
        assert dict(report.etags) == {path: stat.etag for path, stat in stats.items()}
        assert sorted(report.paths) == sorted(stats)
        assert (report.rows, report.bytes) == (3, sum(stat.size for stat in stats.values()))
        assert rows(lake) == [(1, version), (2, version), (3, version)]
        assert set(everything(lake)) == set(stats)


@pytest.mark.parametrize("fails", ["in a part", "between parts", "at the first"])
def test_a_write_that_fails_leaves_all_as_it_was(any_lake: Any, fails: str) -> None:
    lake = any_lake
    lake.write(frame(1, 2, 3), "a", PARQUET, partition_by=("id",))
    before = everything(lake)
    published: list[str] = []

    def fail(path: str) -> None:
        published.append(path)
        if len(published) == (1 if fails == "at the first" else 3):
            raise StorageError("the disk is full")

    def frames() -> Any:
        yield frame(4, 5, version=1)
        if fails == "between parts":
            raise ZeroDivisionError
        yield frame(6, version=1)

    lake.storage.before_publish = fail
    with pytest.raises((ZeroDivisionError, StorageError)):
        lake.engine.write_chunks(frames(), lake.target("a", PARQUET, partition_by=("id",)))
    assert published
    assert everything(lake) == before


def test_an_interrupt_leaves_all_as_it_was(any_lake: Any) -> None:
    lake = any_lake
    lake.write(frame(1, 2), "a", PARQUET, partition_by=("id",))
    before = everything(lake)

    def frames() -> Any:
        yield frame(3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lake.engine.write_chunks(frames(), lake.target("a", PARQUET, partition_by=("id",)))
    assert everything(lake) == before


def test_an_object_becomes_a_folder_in_one_step(any_lake: Any) -> None:
    lake = any_lake
    lake.write(frame(1), "x/a", PARQUET)
    before = everything(lake)
    if isinstance(lake.storage, FolderStorage) and lake.storage.can:
        lake.write(frame(2, 3, version=1), "x/a", PARQUET, partition_by=("id",))
        assert rows(lake, "x/a") == [(2, 1), (3, 1)]
        assert not set(everything(lake)) & set(before)
    else:
        with pytest.raises(DataError, match="there is one object, but parts"):
            lake.write(frame(2, 3, version=1), "x/a", PARQUET, partition_by=("id",))
        assert everything(lake) == before


def test_what_nobody_else_sees_is_staged_beside(folder_lake: Any) -> None:
    lake = folder_lake
    lake.write(frame(1, 2), "x/a", PARQUET, partition_by=("id",))
    seen: list[list[str]] = []

    def look(path: str) -> None:
        seen.append([stat.path for stat in lake.storage.list()])
        assert path.startswith("x/.odibi-stage-")

    lake.storage.before_publish = look
    lake.write(frame(3, 4, 5), "x/a", PARQUET, partition_by=("id",))
    assert len(seen) == 3
    assert all(paths == seen[0] for paths in seen)
    lake.write(frame(6), "x/a", PARQUET)
    assert rows(lake, "x/a") == [(6, 0)]


def test_who_may_not_write_beside_writes_one_by_one(folder_lake: Any) -> None:
    lake = folder_lake
    lake.write(frame(1, 2), "a", PARQUET, partition_by=("id",))

    class Denied(type(lake.storage)):  # type: ignore[misc]
        def create(self, path: str, **more: Any) -> Any:
            if path.startswith(".odibi-stage-"):
                raise AccessDenied("the system refuses access", where=path)
            return super().create(path, **more)

    lake.storage.__class__ = Denied
    lake.write(frame(3, 4), "a", PARQUET, partition_by=("id",))
    assert rows(lake) == [(3, 0), (4, 0)]
    assert len(everything(lake)) == 2


def test_a_source_that_is_denied_is_no_reason_to_write_one_by_one(folder_lake: Any) -> None:
    lake = folder_lake
    lake.write(frame(1), "a", PARQUET, "append")
    before = everything(lake)

    def frames() -> Any:
        yield frame(2)
        raise AccessDenied("the source is not ours")

    for by in ((), ("id",)):
        with pytest.raises(AccessDenied, match="the source"):
            lake.engine.write_chunks(frames(), lake.target("a", PARQUET, partition_by=by))
        assert everything(lake) == before


@pytest.mark.parametrize("mode", ["error", "ignore"])
def test_to_be_the_first_with_many_parts(any_lake: Any, mode: str) -> None:
    lake = any_lake
    report = lake.write(frame(1, 2), "a", PARQUET, mode, partition_by=("id",))
    assert sorted(report.paths) == ["a/id=1/part-p1.parquet", "a/id=2/part-p1.parquet"]
    assert dict(report.etags) == everything(lake)


@pytest.mark.parametrize("mode", ["error", "ignore"])
def test_who_was_faster_with_other_parts_wins_whole(folder_lake: Any, mode: str) -> None:
    lake = folder_lake

    def faster(path: str) -> None:
        lake.storage.before_replace = lambda path: None
        lake.write(frame(7, 8, version=1), "a", PARQUET, mode, part="theirs", partition_by=("id",))

    lake.storage.before_replace = faster
    if mode == "error":
        with pytest.raises(DataError, match="lake:a: there is data already"):
            lake.write(frame(1, 2), "a", PARQUET, mode, part="ours", partition_by=("id",))
    else:
        assert lake.write(frame(1, 2), "a", PARQUET, mode, part="ours", partition_by=("id",)).skipped
    assert rows(lake) == [(7, 1), (8, 1)]
    assert len(everything(lake)) == 2


def test_who_was_faster_with_parts_of_the_same_names_keeps_them(lake: Any) -> None:
    def faster(path: str) -> None:
        lake.storage.before_publish = lambda path: None
        lake.storage.write("a/id=2/part-p1.parquet", b"theirs")

    lake.storage.before_publish = faster
    with pytest.raises(DataError, match="there is data already"):
        lake.write(frame(1, 2), "a", PARQUET, "error", partition_by=("id",))
    assert list(everything(lake)) == ["a/id=2/part-p1.parquet"]


# --- reading --------------------------------------------------------------------------------------------------------


def while_opening(lake: Any, act: Callable[[int], None]) -> list[str]:
    """Call ``act`` with 1, 2, 3, ... before each opening of an object."""
    opened: list[str] = []
    plain = lake.storage.open

    def opening(path: str) -> Any:
        opened.append(path)
        act(len(opened))
        return plain(path)

    lake.storage.open = opening
    return opened


READERS: dict[str, Callable[[Any], pd.DataFrame]] = {
    "whole": lambda lake: lake.read("a", PARQUET),
    "chunks": lambda lake: pd.concat(lake.read_chunks("a", PARQUET, 2)),
    "glob": lambda lake: lake.read("*/id=*", PARQUET),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("when", [1, 2, 3])
def test_a_reader_starts_over_when_the_parts_are_replaced(
    any_lake: Any, reader: str, when: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = any_lake
    lake.write(frame(1, 2, 3), "a", PARQUET, partition_by=("id",))

    def replace(count: int) -> None:
        if count == when:
            lake.write(frame(2, 3, 4, version=1), "a", PARQUET, partition_by=("id",))

    while_opening(lake, replace)
    result = READERS[reader](lake)
    assert set(result["version"]) == {1}
    assert sorted(result["id"]) == [2, 3, 4]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("when", [1, 2, 3, 5, 6])
def test_a_reader_of_more_parts_than_it_opens_at_once_starts_over(
    any_lake: Any, reader: str, when: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "_OPEN", 1)
    lake = any_lake
    lake.write(frame(1, 2, 3), "a", PARQUET, partition_by=("id",))

    def replace(count: int) -> None:
        if count == when:
            lake.write(frame(2, 3, 4, version=1), "a", PARQUET, partition_by=("id",))

    opened = while_opening(lake, replace)
    try:
        result = READERS[reader](lake)
    except Transient:
        assert reader == "chunks"
        assert when > 3  # after the first rows were handed out
        return
    whole = len(opened) < when
    assert set(result["version"]) == ({0} if whole else {1})
    assert len(result) == 3


@pytest.mark.parametrize("reader", ["whole", "chunks"])
@pytest.mark.parametrize("at_once", [1, 32])
@pytest.mark.parametrize("when", [1, 2])
def test_parts_of_the_same_names_are_told_apart(
    lake: Any, reader: str, at_once: int, when: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever else writes there may give the parts of each version the same names."""
    monkeypatch.setattr(snapshot, "_OPEN", at_once)

    def replace(count: int) -> None:
        if count in (0, when):
            for part in (1, 2):
                lake.write(frame(part, version=count), f"a/{part}", PARQUET)

    replace(0)
    while_opening(lake, replace)
    assert set(READERS[reader](lake)["version"]) == {when}


def test_a_reader_that_never_finds_a_moment_says_so(lake: Any) -> None:
    lake.write(frame(1, 2), "a", PARQUET, partition_by=("id",))
    opened = while_opening(
        lake, lambda count: lake.write(frame(1, 2, version=count), "a", PARQUET, partition_by=("id",))
    )
    for read in READERS.values():
        opened.clear()
        with pytest.raises(Transient, match=r"lake:.*: the parts were replaced while they were read") as caught:
            read(lake)
        assert caught.value.remedy
        assert len(opened) < 300


def test_one_object_is_whole_by_itself(lake: Any) -> None:
    lake.write(frame(1), "a", PARQUET)
    opened = while_opening(lake, lambda count: lake.write(frame(1, version=count), "a", PARQUET))
    assert rows(lake) == [(1, 1)]
    assert opened == ["a"]


def test_an_object_that_becomes_a_folder_is_read_as_one_or_the_other(folder_lake: Any) -> None:
    lake = folder_lake
    lake.write(frame(1), "a", PARQUET)

    def replace(count: int) -> None:
        if count == 1:
            lake.write(frame(2, 3), "a", PARQUET, partition_by=("id",))

    while_opening(lake, replace)
    assert rows(lake) == [(2, 0), (3, 0)]


def test_what_is_gone_for_good_is_not_found(lake: Any) -> None:
    lake.write(frame(1, 2), "a", PARQUET, partition_by=("id",))

    def remove(count: int) -> None:
        for path in lake.paths():
            lake.storage.delete(path)

    while_opening(lake, remove)
    with pytest.raises(NotFound, match="there is no such object or folder"):
        lake.read("a", PARQUET)


# --- by key ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["upsert", "append_once"])
def test_a_merge_never_takes_another_version_for_the_one_it_saw(lake: Any, mode: str) -> None:
    """The object is replaced between the look at it and its opening, by one that makes the merge do nothing."""
    lake.write(frame(1), "a", PARQUET)

    def replace(count: int) -> None:
        if count == 1:
            lake.write(frame(1, 2, version=5), "a", PARQUET)

    while_opening(lake, replace)
    new = frame(2, version=9)
    report = lake.write(new, "a", PARQUET, mode, keys=("id",))
    assert dict(report.etags) == everything(lake)
    assert rows(lake) == [(1, 5), (2, 9 if mode == "upsert" else 5)]


def test_a_merge_tells_its_own_etag(lake: Any) -> None:
    lake.write(frame(1), "a", PARQUET)
    plain = lake.storage.write
    ours: list[str] = []

    def followed(path: str, data: Any, **more: Any) -> Any:
        stat = plain(path, data, **more)
        ours.append(stat.etag)
        plain(path, lake.storage.read(path))
        return stat

    lake.storage.write = followed
    report = lake.write(frame(2), "a", PARQUET, "upsert", keys=("id",))
    assert dict(report.etags) == {"a": ours[-1]}


def test_a_merge_into_an_object_that_vanishes_makes_a_new_one(lake: Any) -> None:
    lake.write(frame(1), "a", PARQUET)

    def remove(count: int) -> None:
        if count == 1:
            lake.storage.delete("a")

    while_opening(lake, remove)
    assert lake.write(frame(2), "a", PARQUET, "upsert", keys=("id",)).rows == 1
    assert rows(lake) == [(2, 0)]


def created_after_the_first_look(lake: Any, *ids: int) -> None:
    """Another writer creates the object between the look for it and the look for a folder in its place."""
    plain = lake.storage.stat

    def stat(path: str) -> Any:
        lake.storage.stat = plain
        try:
            return plain(path)
        finally:
            lake.write(frame(*ids, version=5), "a", PARQUET)

    lake.storage.stat = stat


@pytest.mark.parametrize("mode", ["upsert", "append_once"])
def test_a_merge_takes_an_object_that_has_just_been_created_for_no_folder(lake: Any, mode: str) -> None:
    created_after_the_first_look(lake, 1, 2)
    report = lake.write(frame(2, 3, version=9), "a", PARQUET, mode, keys=("id",))
    assert rows(lake) == [(1, 5), (2, 9 if mode == "upsert" else 5), (3, 9)]
    assert dict(report.etags) == everything(lake)


def test_an_overwrite_takes_an_object_that_has_just_been_created_for_no_folder(lake: Any) -> None:
    created_after_the_first_look(lake, 1, 2)
    lake.write(frame(3, version=9), "a", PARQUET)
    assert list(everything(lake)) == ["a"]
    assert rows(lake) == [(3, 9)]


def test_an_append_beside_an_object_that_has_just_been_created_is_refused(lake: Any) -> None:
    created_after_the_first_look(lake, 1, 2)
    with pytest.raises(DataError, match="one object"):
        lake.write(frame(3, version=9), "a", PARQUET, "append")
    assert rows(lake) == [(1, 5), (2, 5)]
