"""Damaged tables, and storages that fail: an error in words, never a stack trace, never a wrong row."""

from __future__ import annotations

import pytest
from deltalake import DeltaTable

from odibi.errors import AccessDenied, Conflict, DataError, NotFound, OdibiError, StorageError, Transient
from odibi_delta.failures import failure, mapped


@pytest.fixture
def three(lake):
    for number in range(3):
        lake.write({"id": [number]}, "append", part=str(number))
    return lake


def spoil_json(lake):
    lake.log_file(1).write_text('{"add": nonsense\n')


def cut_json(lake):
    text = lake.log_file(1).read_text()
    lake.log_file(1).write_text(text[: len(text) // 2])


def make_a_gap(lake):
    lake.log_file(1).unlink()


def lose_the_beginning(lake):
    lake.log_file(0).unlink()


def spoil_checkpoint(lake):
    DeltaTable(str(lake.folder / "t")).create_checkpoint()
    (path,) = (lake.folder / "t" / "_delta_log").glob("*.checkpoint.parquet")
    path.write_bytes(b"PAR1 nothing PAR1")


def lose_a_file(lake):
    lake.data_files()[0].unlink()


def spoil_a_file(lake):
    lake.data_files()[0].write_bytes(b"PAR1 nothing PAR1")


def cut_a_file(lake):
    file = lake.data_files()[0]
    file.write_bytes(file.read_bytes()[:-20])


def need_what_is_not_known(lake):
    lake.log_file(3).write_text(
        '{"protocol":{"minReaderVersion":3,"minWriterVersion":7,'
        '"readerFeatures":["timeTravelToTheFuture"],"writerFeatures":["timeTravelToTheFuture"]}}\n'
    )


def need_a_newer_reader(lake):
    lake.log_file(3).write_text('{"protocol":{"minReaderVersion":9,"minWriterVersion":9}}\n')


DAMAGES = [
    (spoil_json, "damaged"),
    (cut_json, "damaged"),
    (make_a_gap, "damaged"),
    (lose_the_beginning, "damaged"),
    (spoil_checkpoint, "damaged"),
    (lose_a_file, "a file of the table is gone"),
    (spoil_a_file, "damaged"),
    (cut_a_file, "damaged"),
    (need_what_is_not_known, "timeTravelToTheFuture"),
    (need_a_newer_reader, "does not know"),
]


@pytest.mark.parametrize(("damage", "words"), DAMAGES, ids=lambda value: getattr(value, "__name__", ""))
def test_reading_what_is_damaged_is_refused_in_words(three, damage, words):
    damage(three)
    with pytest.raises(DataError) as caught:
        three.read()
    said = str(caught.value)
    assert said.startswith("lake:t: ")
    assert words in said
    assert caught.value.remedy
    assert "\n" not in said
    assert "0x" not in said
    assert "<unknown>" not in said


@pytest.mark.parametrize(
    "damage", [spoil_json, cut_json, make_a_gap, lose_the_beginning, spoil_checkpoint, need_a_newer_reader]
)
@pytest.mark.parametrize("mode", ["append", "overwrite", "upsert"])
def test_writing_to_what_is_damaged_is_refused_in_words(three, damage, mode):
    damage(three)
    there = sorted(three.folder.rglob("*"))
    with pytest.raises(DataError, match=r"damaged|does not know"):
        three.write({"id": [9]}, mode, part="x", keys=("id",) if mode == "upsert" else ())
    assert sorted(three.folder.rglob("*")) == there


@pytest.mark.parametrize(("damage", "words"), DAMAGES, ids=lambda value: getattr(value, "__name__", ""))
def test_a_version_of_what_is_damaged_is_a_text_or_none(three, damage, words):
    before = three.version()
    damage(three)
    assert three.version() in (before, None)


def test_a_table_that_lost_rows_can_be_overwritten(three):
    lose_a_file(three)
    three.write({"id": [7]}, "overwrite")
    assert three.rows() == [{"id": 7}]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("The operation lacked the necessary privileges to complete for path x: 403 Forbidden", AccessDenied),
        ("Server returned non-2xx status code: 401 Unauthorized", AccessDenied),
        ("Generic LocalFileSystem error: Permission denied (os error 13)", AccessDenied),
        ("Error performing GET http://h/b in 2ms, after 10 retries - HTTP error: error sending request", Transient),
        ("Server returned non-2xx status code: 503 Service Unavailable: <Code>SlowDown</Code>", Transient),
        ("operation timed out", Transient),
        ("404 Not Found: <Code>NoSuchBucket</Code>", NotFound),
        ("Generic LocalFileSystem error: No space left on device (os error 28)", StorageError),
        ("Failed to commit transaction: 0", Conflict),
        ("Failed to commit transaction: Metadata changed since last commit.", Conflict),
        ("Tried committing existing table version: 3", Conflict),
        ("Invalid data found: 503 rows failed validation check.\n| 403 Forbidden |", DataError),
        ("Something that nobody has seen before", DataError),
    ],
)
def test_failures_are_told_apart(text, kind):
    error = failure(Exception(text), "lake:t")
    assert type(error) is kind
    assert str(error).startswith("lake:t: ")


def test_no_address_and_no_secret_is_in_an_error():
    text = "odd: https://user:pw@host/b?X-Amz-Credential=AKIA and the-secret-key\n0: <unknown>"
    said = str(failure(Exception(text), "lake:t", {"AWS_SECRET_ACCESS_KEY": "the-secret-key"}))
    assert said == "lake:t: delta-rs failed: odd: ... and ***"


def test_what_comes_out_of_a_block_is_an_error_of_odibi_without_its_cause():
    with pytest.raises(OdibiError) as caught, mapped("lake:t"):
        raise ValueError("https://secret")
    assert caught.value.__suppress_context__
    with pytest.raises(KeyboardInterrupt), mapped("lake:t"):
        raise KeyboardInterrupt


def test_a_panic_of_rust_is_an_error_like_others():
    panic = type("PanicException", (BaseException,), {})
    with pytest.raises(DataError, match="delta-rs failed: index out of bounds"), mapped("lake:t"):
        raise panic("index out of bounds")
