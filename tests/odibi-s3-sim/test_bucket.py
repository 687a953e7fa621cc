"""The semantics of a bucket, one by one, as S3's documentation has them."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import md5
from pathlib import Path

import pytest

from odibi_s3_sim.bucket import Bucket
from odibi_s3_sim.clock import VirtualClock
from odibi_s3_sim.errors import S3Error

SMALL = 10
"""The least size of a part, for tests that are not about it."""


@pytest.fixture(params=["memory", "folder"])
def bucket(request: pytest.FixtureRequest, tmp_path: Path) -> Bucket:
    folder = str(tmp_path / "tests") if request.param == "folder" else ""
    (tmp_path / "tests").mkdir()
    return Bucket("tests", folder, clock=VirtualClock(1_700_000_000.75), durable=False, part_bytes=SMALL)


@contextmanager
def refused(code: str, status: int) -> Iterator[pytest.ExceptionInfo[S3Error]]:
    with pytest.raises(S3Error) as caught:
        yield caught
    assert (caught.value.code, caught.value.status) == (code, status)


def etag_of(data: bytes) -> str:
    return f'"{md5(data).hexdigest()}"'


class TestObjects:
    def test_what_is_put_is_got(self, bucket: Bucket) -> None:
        written = bucket.put("a/b", b"data", metadata={"Owner": "me"})
        assert (written.status, written.etag, written.version_id) == (200, etag_of(b"data"), None)
        got = bucket.get("a/b")
        assert (got.status, got.body, got.etag, got.content_range) == (200, b"data", etag_of(b"data"), "")
        head = bucket.head("a/b")
        assert (head.version.size, head.version.metadata, head.body) == (4, {"owner": "me"}, b"")

    def test_dates_are_whole_seconds(self, bucket: Bucket) -> None:
        assert bucket.put("a", b"").modified == bucket.head("a").version.modified == 1_700_000_000.0

    def test_what_is_not_there(self, bucket: Bucket) -> None:
        for ask in (bucket.get, bucket.head):
            with refused("NoSuchKey", 404):
                ask("nothing")
        assert bucket.delete("nothing").status == 204

    def test_a_deleted_object_is_gone(self, bucket: Bucket) -> None:
        bucket.put("a", b"1")
        deleted = bucket.delete("a")
        assert (deleted.status, deleted.marker, deleted.version_id) == (204, False, None)
        with refused("NoSuchKey", 404):
            bucket.get("a")

    @pytest.mark.parametrize(
        ("key", "code"),
        [
            ("k" * 1024, ""),
            ("k" * 1025, "KeyTooLongError"),
            ("ä" * 513, "KeyTooLongError"),
            ("\ud800", "InvalidArgument"),
        ],
    )
    def test_keys_have_1024_bytes_of_utf8(self, bucket: Bucket, key: str, code: str) -> None:
        if not code:
            bucket.put(key, b"1")
            assert bucket.get(key).body == b"1"
        else:
            with refused(code, 400):
                bucket.put(key, b"1")

    def test_a_digest_is_checked(self, bucket: Bucket) -> None:
        right = base64.b64encode(md5(b"data").digest()).decode()
        bucket.put("a", b"data", content_md5=right)
        with refused("BadDigest", 400):
            bucket.put("a", b"other", content_md5=right)
        with refused("InvalidDigest", 400):
            bucket.put("a", b"data", content_md5="nonsense")
        assert bucket.get("a").body == b"data"

    def test_metadata_has_2048_bytes(self, bucket: Bucket) -> None:
        bucket.put("a", b"", metadata={"n": "x" * 2047})
        with refused("MetadataTooLarge", 400):
            bucket.put("a", b"", metadata={"n": "x" * 2048})

    def test_names_of_buckets(self) -> None:
        for name in ("ab", "Upper", "under_score", "a..b", "-a", "a" * 64, "10.0.0.1"):
            with refused("InvalidBucketName", 400):
                Bucket(name)

    def test_a_bucket_that_is_dropped_is_not_there(self, bucket: Bucket) -> None:
        bucket.put("a", b"")
        with refused("BucketNotEmpty", 409):
            bucket.drop()
        bucket.delete("a")
        bucket.drop()
        for ask in (bucket.list, lambda: bucket.get("a"), lambda: bucket.put("a", b"")):
            with refused("NoSuchBucket", 404):
                ask()


class TestConditions:
    def test_if_none_match(self, bucket: Bucket) -> None:
        bucket.put("a", b"1", if_none_match="*")
        with refused("PreconditionFailed", 412):
            bucket.put("a", b"2", if_none_match="*")
        assert bucket.get("a").body == b"1"
        bucket.delete("a")
        bucket.put("a", b"3", if_none_match="*")

    def test_if_none_match_takes_nothing_else(self, bucket: Bucket) -> None:
        with refused("NotImplemented", 501):
            bucket.put("a", b"1", if_none_match=etag_of(b"1"))

    def test_if_match(self, bucket: Bucket) -> None:
        with refused("NoSuchKey", 404):
            bucket.put("a", b"2", if_match=etag_of(b"1"))
        bucket.put("a", b"1")
        bucket.put("a", b"2", if_match=etag_of(b"1"))
        with refused("PreconditionFailed", 412):
            bucket.put("a", b"3", if_match=etag_of(b"1"))
        bucket.put("a", b"3", if_match=etag_of(b"2").strip('"'))
        assert bucket.get("a").body == b"3"

    def test_reads(self, bucket: Bucket) -> None:
        bucket.put("a", b"1")
        assert bucket.get("a", if_match=etag_of(b"1")).body == b"1"
        with refused("PreconditionFailed", 412):
            bucket.get("a", if_match=etag_of(b"2"))
        with refused("NotModified", 304):
            bucket.head("a", if_none_match=etag_of(b"1"))
        assert bucket.get("a", if_none_match=etag_of(b"2")).body == b"1"

    def test_a_delete_between_looking_and_writing_is_a_conflict(
        self, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bucket.put("a", b"1")
        store = bucket._contents.store

        def slowly(data: bytes | memoryview) -> str:
            bucket.delete("a")
            return store(data)

        monkeypatch.setattr(bucket._contents, "store", slowly)
        with refused("ConditionalRequestConflict", 409):
            bucket.put("a", b"2", if_match=etag_of(b"1"))

    def test_a_delete_marker_is_nothing(self, bucket: Bucket) -> None:
        bucket.set_versioning("Enabled")
        bucket.put("a", b"1")
        bucket.delete("a")
        with refused("NoSuchKey", 404):
            bucket.put("a", b"2", if_match=etag_of(b"1"))
        bucket.put("a", b"2", if_none_match="*")


class TestRanges:
    @pytest.mark.parametrize(
        ("asked", "body", "header"),
        [
            ("bytes=0-0", b"0", "bytes 0-0/10"),
            ("bytes=2-4", b"234", "bytes 2-4/10"),
            ("bytes=8-100", b"89", "bytes 8-9/10"),
            ("bytes=7-", b"789", "bytes 7-9/10"),
            ("bytes=-3", b"789", "bytes 7-9/10"),
            ("bytes=-100", b"0123456789", "bytes 0-9/10"),
        ],
    )
    def test_a_range_is_206(self, bucket: Bucket, asked: str, body: bytes, header: str) -> None:
        bucket.put("a", b"0123456789")
        got = bucket.get("a", byte_range=asked)
        assert (got.status, got.body, got.content_range) == (206, body, header)

    @pytest.mark.parametrize("asked", ["bytes=10-", "bytes=10-20", "bytes=-0"])
    def test_beyond_the_end_is_416(self, bucket: Bucket, asked: str) -> None:
        bucket.put("a", b"0123456789")
        with refused("InvalidRange", 416):
            bucket.get("a", byte_range=asked)

    @pytest.mark.parametrize("asked", ["bytes=0-", "bytes=-1", "bytes=0-0"])
    def test_an_empty_object_has_no_range(self, bucket: Bucket, asked: str) -> None:
        bucket.put("a", b"")
        with refused("InvalidRange", 416):
            bucket.get("a", byte_range=asked)

    @pytest.mark.parametrize("asked", ["bytes=5-2", "bytes=0-1,4-5", "lines=1-2", "bytes=-", "nonsense"])
    def test_what_is_no_single_range_gives_all(self, bucket: Bucket, asked: str) -> None:
        bucket.put("a", b"0123456789")
        got = bucket.get("a", byte_range=asked)
        assert (got.status, got.body) == (200, b"0123456789")


class TestVersions:
    def test_every_write_is_kept(self, bucket: Bucket) -> None:
        bucket.put("a", b"0")
        bucket.set_versioning("Enabled")
        first, second = bucket.put("a", b"1"), bucket.put("a", b"2")
        assert first.version_id != second.version_id
        assert bucket.get("a").body == b"2"
        assert bucket.get("a", version_id=first.version_id).body == b"1"
        assert bucket.get("a", version_id="null").body == b"0"
        page = bucket.versions()
        assert [each.version_id for each in page.versions] == [second.version_id, first.version_id, "null"]
        assert page.latest == {("a", second.version_id)}

    def test_a_delete_hides(self, bucket: Bucket) -> None:
        bucket.set_versioning("Enabled")
        first = bucket.put("a", b"1")
        deleted = bucket.delete("a")
        assert (deleted.marker, deleted.status) == (True, 204)
        with refused("NoSuchKey", 404) as caught:
            bucket.get("a")
        assert caught.value.headers["x-amz-delete-marker"] == "true"
        with refused("MethodNotAllowed", 405):
            bucket.get("a", version_id=deleted.version_id)
        assert bucket.get("a", version_id=first.version_id).body == b"1"
        assert bucket.list().contents == ()

    def test_removing_the_marker_brings_it_back(self, bucket: Bucket) -> None:
        bucket.set_versioning("Enabled")
        bucket.put("a", b"1")
        marker = bucket.delete("a").version_id
        assert bucket.delete("a", version_id=marker).marker
        assert bucket.get("a").body == b"1"

    def test_removing_the_newest_version_shows_the_one_before(self, bucket: Bucket) -> None:
        bucket.set_versioning("Enabled")
        bucket.put("a", b"1")
        newest = bucket.put("a", b"2").version_id
        bucket.delete("a", version_id=newest)
        assert bucket.get("a").body == b"1"
        with refused("NoSuchVersion", 404):
            bucket.get("a", version_id=newest)

    def test_suspended_writes_replace_the_null_version(self, bucket: Bucket) -> None:
        bucket.set_versioning("Enabled")
        kept = bucket.put("a", b"1").version_id
        bucket.set_versioning("Suspended")
        assert bucket.put("a", b"2").version_id == "null"
        assert bucket.put("a", b"3").version_id == "null"
        assert [each.version_id for each in bucket.versions().versions] == ["null", kept]
        assert bucket.delete("a").version_id == "null"
        with refused("MethodNotAllowed", 405):
            bucket.get("a", version_id="null")
        assert bucket.get("a", version_id=kept).body == b"1"

    def test_a_delete_of_nothing_makes_a_marker(self, bucket: Bucket) -> None:
        bucket.set_versioning("Enabled")
        assert bucket.delete("nothing").marker
        assert [each.marker for each in bucket.versions().versions] == [True]

    def test_versions_come_in_pages(self, bucket: Bucket) -> None:
        bucket.set_versioning("Enabled")
        for number in range(5):
            for key in ("a", "b"):
                bucket.put(key, b"%d" % number)
        found, key, version_id = [], "", ""
        for _ in range(20):
            page = bucket.versions(max_keys=3, key_marker=key, version_id_marker=version_id)
            found += [(each.key, each.version_id) for each in page.versions]
            key, version_id = page.next_key, page.next_version_id
            if not page.truncated:
                break
        assert found == [(each.key, each.version_id) for each in bucket.versions().versions]
        assert len(found) == 10


class TestListings:
    def test_order_is_that_of_utf8(self, bucket: Bucket) -> None:
        keys = ["a", "B", "é", "\uffee", "\U0001f600", "a/b", "a-b", "a0"]
        for key in keys:
            bucket.put(key, b"")
        assert [each.key for each in bucket.list().contents] == sorted(keys, key=str.encode)

    def test_pages(self, bucket: Bucket) -> None:
        keys = [f"k{number:04}" for number in range(25)]
        for key in keys:
            bucket.put(key, b"")
        found, token = [], None
        pages = 0
        while token != "":
            page = bucket.list(max_keys=10, token=token)
            found += [each.key for each in page.contents]
            pages, token = pages + 1, page.next_token
            assert page.truncated == bool(token)
        assert (found, pages) == (keys, 3)

    def test_a_page_has_at_most_a_thousand(self, bucket: Bucket) -> None:
        for number in range(1001):
            bucket.put(f"k{number:04}", b"")
        page = bucket.list(max_keys=5000)
        assert (page.key_count, page.truncated) == (1000, True)
        assert [each.key for each in bucket.list(token=page.next_token).contents] == ["k1000"]

    def test_an_exact_page_is_the_last(self, bucket: Bucket) -> None:
        for key in "ab":
            bucket.put(key, b"")
        page = bucket.list(max_keys=2)
        assert (page.key_count, page.truncated, page.next_token) == (2, False, "")
        assert bucket.list(max_keys=0).key_count == 0

    def test_delimiters_roll_up(self, bucket: Bucket) -> None:
        for key in ("a", "b/1", "b/2", "b/c/3", "b0", "d/e/f"):
            bucket.put(key, b"")
        page = bucket.list(delimiter="/")
        assert ([each.key for each in page.contents], page.common_prefixes) == (["a", "b0"], ("b/", "d/"))
        page = bucket.list("b/", delimiter="/")
        assert ([each.key for each in page.contents], page.common_prefixes) == (["b/1", "b/2"], ("b/c/",))

    def test_pages_with_delimiters(self, bucket: Bucket) -> None:
        for key in ("a/1", "a/2", "b", "c/1", "c/2", "d"):
            bucket.put(key, b"")
        seen, token = [], None
        while token != "":
            page = bucket.list(delimiter="/", max_keys=1, token=token)
            assert page.key_count == 1
            seen += [*page.common_prefixes, *(each.key for each in page.contents)]
            token = page.next_token
        assert seen == ["a/", "b", "c/", "d"]

    def test_start_after(self, bucket: Bucket) -> None:
        for key in "abc":
            bucket.put(key, b"")
        assert [each.key for each in bucket.list(start_after="a").contents] == ["b", "c"]
        assert [each.key for each in bucket.list(start_after="aa").contents] == ["b", "c"]
        assert [each.key for each in bucket.list("b", start_after="a").contents] == ["b"]

    def test_a_token_is_not_anything(self, bucket: Bucket) -> None:
        for token in ("nonsense!", "YWJj", ""):
            with refused("InvalidArgument", 400):
                bucket.list(token=token)


class TestMultipart:
    def test_parts_become_an_object(self, bucket: Bucket) -> None:
        bodies = [b"x" * 10, b"y" * 12, b"z"]
        upload = bucket.create_upload("a", metadata={"m": "1"})
        parts = [bucket.upload_part("a", upload.upload_id, at, body) for at, body in enumerate(bodies, 1)]
        with refused("NoSuchKey", 404):
            bucket.get("a")
        assert [(each.number, each.size) for each in bucket.parts("a", upload.upload_id)] == [(1, 10), (2, 12), (3, 1)]
        assert [each.upload_id for each in bucket.uploads()] == [upload.upload_id]
        written = bucket.complete_upload("a", upload.upload_id, [(each.number, each.etag) for each in parts])
        digest = md5(b"".join(md5(body).digest() for body in bodies)).hexdigest()
        assert written.etag == f'"{digest}-3"'
        got = bucket.get("a")
        assert (got.body, got.etag, got.version.metadata) == (b"".join(bodies), written.etag, {"m": "1"})
        assert bucket.get("a", byte_range="bytes=8-22").body == b"xx" + b"y" * 12 + b"z"
        assert bucket.uploads() == []

    def test_completing_twice(self, bucket: Bucket) -> None:
        upload = bucket.create_upload("a")
        part = bucket.upload_part("a", upload.upload_id, 1, b"1")
        bucket.complete_upload("a", upload.upload_id, [(1, part.etag)])
        with refused("NoSuchUpload", 404):
            bucket.complete_upload("a", upload.upload_id, [(1, part.etag)])

    def test_small_parts_are_refused(self, bucket: Bucket) -> None:
        upload = bucket.create_upload("a")
        parts = [bucket.upload_part("a", upload.upload_id, at, b"x" * 9) for at in (1, 2)]
        with refused("EntityTooSmall", 400):
            bucket.complete_upload("a", upload.upload_id, [(each.number, each.etag) for each in parts])
        assert bucket.complete_upload("a", upload.upload_id, [(2, parts[1].etag)]).status == 200
        assert bucket.get("a").body == b"x" * 9

    def test_the_least_part_is_5_mib(self) -> None:
        bucket = Bucket("tests")
        upload = bucket.create_upload("a")
        least = 5 * 1024 * 1024
        sizes = {1: least - 1, 2: 1, 3: least}
        etags = {n: bucket.upload_part("a", upload.upload_id, n, bytes(size)).etag for n, size in sizes.items()}
        with refused("EntityTooSmall", 400):
            bucket.complete_upload("a", upload.upload_id, [(1, etags[1]), (2, etags[2])])
        assert bucket.complete_upload("a", upload.upload_id, [(3, etags[3])]).status == 200

    def test_wrong_parts_are_refused(self, bucket: Bucket) -> None:
        upload = bucket.create_upload("a")
        one, two = (bucket.upload_part("a", upload.upload_id, at, b"x" * 10) for at in (1, 2))
        with refused("InvalidPartOrder", 400):
            bucket.complete_upload("a", upload.upload_id, [(2, two.etag), (1, one.etag)])
        for wrong in ([(1, etag_of(b"?"))], [(1, one.etag), (3, two.etag)]):
            with refused("InvalidPart", 400):
                bucket.complete_upload("a", upload.upload_id, wrong)
        with refused("MalformedXML", 400):
            bucket.complete_upload("a", upload.upload_id, [])
        for number in (0, 10_001):
            with refused("InvalidArgument", 400):
                bucket.upload_part("a", upload.upload_id, number, b"")
        for ask in (lambda: bucket.parts("b", upload.upload_id), lambda: bucket.upload_part("a", "?", 1, b"")):
            with refused("NoSuchUpload", 404):
                ask()

    def test_a_part_that_is_uploaded_again_replaces_the_first(self, bucket: Bucket) -> None:
        upload = bucket.create_upload("a")
        old = bucket.upload_part("a", upload.upload_id, 1, b"old")
        new = bucket.upload_part("a", upload.upload_id, 1, b"new")
        with refused("InvalidPart", 400):
            bucket.complete_upload("a", upload.upload_id, [(1, old.etag)])
        bucket.complete_upload("a", upload.upload_id, [(1, new.etag)])
        assert bucket.get("a").body == b"new"

    def test_an_aborted_upload_is_gone(self, bucket: Bucket) -> None:
        upload = bucket.create_upload("a")
        bucket.upload_part("a", upload.upload_id, 1, b"1")
        assert bucket.size() == (0, 1)
        bucket.abort_upload("a", upload.upload_id)
        assert bucket.size() == (0, 0)
        with refused("NoSuchUpload", 404):
            bucket.abort_upload("a", upload.upload_id)

    def test_conditions_are_checked_in_the_end(self, bucket: Bucket) -> None:
        upload = bucket.create_upload("a")
        part = bucket.upload_part("a", upload.upload_id, 1, b"1")
        bucket.put("a", b"first")
        with refused("PreconditionFailed", 412):
            bucket.complete_upload("a", upload.upload_id, [(1, part.etag)], if_none_match="*")
        bucket.complete_upload("a", upload.upload_id, [(1, part.etag)], if_match=etag_of(b"first"))
        assert bucket.get("a").body == b"1"


class TestCopiesAndBatches:
    def test_a_copy(self, bucket: Bucket) -> None:
        bucket.put("a", b"data", metadata={"m": "1"})
        assert bucket.copy("a", "b").etag == etag_of(b"data")
        bucket.delete("a")
        assert (bucket.get("b").body, bucket.head("b").version.metadata) == (b"data", {"m": "1"})
        assert bucket.copy("b", "c", metadata={"m": "2"}).status == 200
        assert bucket.head("c").version.metadata == {"m": "2"}

    def test_a_copy_of_parts_is_one_object(self, bucket: Bucket) -> None:
        upload = bucket.create_upload("a")
        parts = [bucket.upload_part("a", upload.upload_id, at, b"%010d" % at) for at in (1, 2)]
        bucket.complete_upload("a", upload.upload_id, [(each.number, each.etag) for each in parts])
        whole = bucket.get("a").body
        assert bucket.copy("a", "b").etag == etag_of(whole)
        bucket.delete("a")
        assert bucket.get("b").body == whole

    def test_a_copy_to_itself_changes_something(self, bucket: Bucket) -> None:
        bucket.put("a", b"1")
        with refused("InvalidRequest", 400):
            bucket.copy("a", "a")
        bucket.copy("a", "a", metadata={"m": "1"})
        assert bucket.get("a").body == b"1"

    def test_conditions_of_a_copy(self, bucket: Bucket) -> None:
        bucket.put("a", b"1")
        bucket.put("b", b"2")
        with refused("PreconditionFailed", 412):
            bucket.copy("a", "b", if_none_match="*")
        with refused("PreconditionFailed", 412):
            bucket.copy("a", "b", source_if_match=etag_of(b"2"))
        with refused("NoSuchKey", 404):
            bucket.copy("nothing", "b")
        assert bucket.get("b").body == b"2"

    def test_an_earlier_version_can_be_brought_back(self, bucket: Bucket) -> None:
        bucket.set_versioning("Enabled")
        first = bucket.put("a", b"1").version_id
        bucket.put("a", b"2")
        bucket.copy("a", "a", source_version_id=first)
        assert bucket.get("a").body == b"1"

    def test_a_batch(self, bucket: Bucket) -> None:
        bucket.put("a", b"")
        bucket.put("b", b"")
        done = bucket.delete_many(["a", "nothing", "k" * 2000])
        assert (done.status, set(done.deleted), [each.code for each in done.errors]) == (
            200,
            {"a", "nothing"},
            ["KeyTooLongError"],
        )
        assert [each.key for each in bucket.list().contents] == ["b"]
        for keys in ([], ["k"] * 1001):
            with refused("MalformedXML", 400):
                bucket.delete_many(keys)


class TestFolders:
    def test_another_handle_sees_everything(self, tmp_path: Path) -> None:
        one, two = Bucket("tests", str(tmp_path), durable=False), Bucket("tests", str(tmp_path), durable=False)
        one.set_versioning("Enabled")
        one.put("a", b"1")
        assert two.get("a").body == b"1"
        assert two.versioning() == "Enabled"
        two.delete("a")
        assert one.list().contents == ()

    def test_nothing_is_left_of_what_is_replaced(self, tmp_path: Path) -> None:
        bucket = Bucket("tests", str(tmp_path), durable=False, part_bytes=SMALL)
        for number in range(5):
            bucket.put("a", b"%d" % number)
        upload = bucket.create_upload("b")
        bucket.upload_part("b", upload.upload_id, 1, b"1")
        bucket.upload_part("b", upload.upload_id, 1, b"2")
        bucket.abort_upload("b", upload.upload_id)
        with pytest.raises(S3Error):
            bucket.put("a", b"?", if_none_match="*")
        assert len([path for path in (tmp_path / "contents").rglob("*") if path.is_file()]) == 1

    def test_what_a_crash_left_behind_is_removed_after_a_day(self, tmp_path: Path) -> None:
        clock = VirtualClock(1_000_000_000.0)
        bucket = Bucket("tests", str(tmp_path), durable=False, clock=clock)
        bucket.put("a", b"kept")
        left = Path(tmp_path, "contents", "ab", "ab" * 16)
        left.parent.mkdir(exist_ok=True)
        left.write_bytes(b"lost")
        for path in tmp_path.rglob("*"):
            if path.is_file() and "contents" in path.parts:
                os.utime(path, (1.0, 1.0))
        Bucket("tests", str(tmp_path), durable=False, clock=clock)
        assert left.exists()
        clock.sleep(25 * 3600)
        assert Bucket("tests", str(tmp_path), durable=False, clock=clock).get("a").body == b"kept"
        assert not left.exists()

    def test_a_content_that_was_cut_off_is_an_error(self, tmp_path: Path) -> None:
        bucket = Bucket("tests", str(tmp_path), durable=False)
        bucket.put("a", b"0123456789")
        (file,) = (path for path in (tmp_path / "contents").rglob("*") if path.is_file())
        file.write_bytes(b"01234")
        with pytest.raises(OSError, match="shorter"):
            bucket.get("a")
