"""What S3 answers: a table of facts that hold on every system that claims to be one.

Each fact is a function that is given a bucket, as an adapter has it: requests are methods, and each answers with a
status, whatever it is. The facts are those of the Amazon S3 user guide and API reference for general purpose buckets.
What a system is known to do otherwise stands in ``DEVIATIONS``; such a deviation that ends fails, too.
"""

from __future__ import annotations

import base64
import hashlib
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import attrs
import pytest

sys.path.insert(0, str(Path(__file__).parent))

PART = 5 << 20


@attrs.frozen
class Answer:
    """What came of a request; what does not apply is empty."""

    status: int
    code: str = ""
    etag: str = ""
    body: bytes = b""
    content_range: str = ""
    version: str | None = None
    marker: bool = False
    metadata: dict[str, str] = attrs.field(factory=dict)
    keys: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    token: str = ""
    upload: str = ""


class System(Protocol):
    """A bucket."""

    def put(self, key: str, body: bytes = b"", **conditions: Any) -> Answer: ...
    def get(self, key: str, **options: Any) -> Answer: ...
    def head(self, key: str, **options: Any) -> Answer: ...
    def delete(self, key: str, version: str | None = None) -> Answer: ...
    def copy(self, source: str, key: str) -> Answer: ...
    def list(self, prefix: str = "", **options: Any) -> Answer: ...
    def keep_versions(self) -> None: ...
    def create_upload(self, key: str) -> Answer: ...
    def upload_part(self, key: str, upload: str, number: int, body: bytes) -> Answer: ...
    def complete(self, key: str, upload: str, parts: list[tuple[int, str]], **conditions: Any) -> Answer: ...
    def abort(self, key: str, upload: str) -> Answer: ...
    def uploads(self) -> tuple[str, ...]: ...


# --- the systems ----------------------------------------------------------------------------------------------------


class Boto3:
    """A bucket on a server, through boto3."""

    _NAMES = {  # noqa: RUF012
        "if_match": "IfMatch",
        "if_none_match": "IfNoneMatch",
        "byte_range": "Range",
        "version": "VersionId",
        "metadata": "Metadata",
        "md5": "ContentMD5",
        "delimiter": "Delimiter",
        "most": "MaxKeys",
        "token": "ContinuationToken",
        "start_after": "StartAfter",
    }

    def __init__(self, client: Any, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def _do(self, what: str, **given: Any) -> Answer:
        from botocore.exceptions import ClientError

        named = {self._NAMES.get(name, name): value for name, value in given.items() if value is not None}
        try:
            said = getattr(self._client, what)(Bucket=self._bucket, **named)
        except ClientError as error:
            return Answer(error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"].get("Code", ""))
        body = said.get("Body")
        return Answer(
            said["ResponseMetadata"]["HTTPStatusCode"],
            etag=said.get("ETag") or said.get("CopyObjectResult", {}).get("ETag", ""),
            body=body.read() if body is not None else b"",
            content_range=said.get("ContentRange", ""),
            version=said.get("VersionId"),
            marker=bool(said.get("DeleteMarker")),
            metadata=said.get("Metadata", {}),
            keys=tuple(each["Key"] for each in said.get("Contents", ())),
            prefixes=tuple(each["Prefix"] for each in said.get("CommonPrefixes", ())),
            token=said.get("NextContinuationToken", ""),
            upload=said.get("UploadId", ""),
        )

    def put(self, key: str, body: bytes = b"", **conditions: Any) -> Answer:
        return self._do("put_object", Key=key, Body=body, **conditions)

    def get(self, key: str, **options: Any) -> Answer:
        return self._do("get_object", Key=key, **options)

    def head(self, key: str, **options: Any) -> Answer:
        return self._do("head_object", Key=key, **options)

    def delete(self, key: str, version: str | None = None) -> Answer:
        return self._do("delete_object", Key=key, version=version)

    def copy(self, source: str, key: str) -> Answer:
        return self._do("copy_object", Key=key, CopySource={"Bucket": self._bucket, "Key": source})

    def list(self, prefix: str = "", **options: Any) -> Answer:
        return self._do("list_objects_v2", Prefix=prefix, **options)

    def keep_versions(self) -> None:
        self._do("put_bucket_versioning", VersioningConfiguration={"Status": "Enabled"})

    def create_upload(self, key: str) -> Answer:
        return self._do("create_multipart_upload", Key=key)

    def upload_part(self, key: str, upload: str, number: int, body: bytes) -> Answer:
        return self._do("upload_part", Key=key, UploadId=upload, PartNumber=number, Body=body)

    def complete(self, key: str, upload: str, parts: list[tuple[int, str]], **conditions: Any) -> Answer:
        told = {"Parts": [{"PartNumber": number, "ETag": etag} for number, etag in parts]}
        return self._do("complete_multipart_upload", Key=key, UploadId=upload, MultipartUpload=told, **conditions)

    def abort(self, key: str, upload: str) -> Answer:
        return self._do("abort_multipart_upload", Key=key, UploadId=upload)

    def uploads(self) -> tuple[str, ...]:
        said = self._client.list_multipart_uploads(Bucket=self._bucket)
        return tuple(each["Key"] for each in said.get("Uploads", ()))


class Simulated:
    """A bucket of odibi-s3-sim."""

    _NAMES = {"version": "version_id", "md5": "content_md5", "most": "max_keys"}  # noqa: RUF012

    def __init__(self, bucket: Any) -> None:
        self._bucket = bucket

    def _do(self, what: str, *args: Any, **given: Any) -> Answer:
        from odibi_s3_sim.errors import S3Error

        named = {self._NAMES.get(name, name): value for name, value in given.items() if value is not None}
        try:
            said = getattr(self._bucket, what)(*args, **named)
        except S3Error as error:
            return Answer(error.status, error.code)
        version = getattr(said, "version", None)
        return Answer(
            204 if said is None else getattr(said, "status", 200),
            etag=getattr(said, "etag", ""),
            body=getattr(said, "body", b""),
            content_range=getattr(said, "content_range", ""),
            version=getattr(said, "version_id", None),
            marker=getattr(said, "marker", False),
            metadata=dict(getattr(version, "metadata", {})),
            keys=tuple(each.key for each in getattr(said, "contents", ())),
            prefixes=tuple(getattr(said, "common_prefixes", ())),
            token=getattr(said, "next_token", ""),
            upload=getattr(said, "upload_id", ""),
        )

    def put(self, key: str, body: bytes = b"", **conditions: Any) -> Answer:
        return self._do("put", key, body, **conditions)

    def get(self, key: str, **options: Any) -> Answer:
        return self._do("get", key, **options)

    def head(self, key: str, **options: Any) -> Answer:
        return self._do("head", key, **options)

    def delete(self, key: str, version: str | None = None) -> Answer:
        return self._do("delete", key, version=version)

    def copy(self, source: str, key: str) -> Answer:
        return self._do("copy", source, key)

    def list(self, prefix: str = "", **options: Any) -> Answer:
        return self._do("list", prefix, **options)

    def keep_versions(self) -> None:
        self._bucket.set_versioning("Enabled")

    def create_upload(self, key: str) -> Answer:
        return self._do("create_upload", key)

    def upload_part(self, key: str, upload: str, number: int, body: bytes) -> Answer:
        return self._do("upload_part", key, upload, number, body)

    def complete(self, key: str, upload: str, parts: list[tuple[int, str]], **conditions: Any) -> Answer:
        return self._do("complete_upload", key, upload, parts, **conditions)

    def abort(self, key: str, upload: str) -> Answer:
        return self._do("abort_upload", key, upload)

    def uploads(self) -> tuple[str, ...]:
        return tuple(each.key for each in self._bucket.uploads())


# --- the facts ------------------------------------------------------------------------------------------------------

Fact = Callable[[System], None]
FACTS: dict[str, Fact] = {}


def fact(check: Fact) -> Fact:
    FACTS[check.__name__] = check
    return check


def md5(data: bytes) -> str:
    return f'"{hashlib.md5(data).hexdigest()}"'


def uploaded(system: System, key: str, *parts: bytes) -> tuple[str, list[tuple[int, str]]]:
    """An upload with these parts."""
    upload = system.create_upload(key).upload
    told = [(number, system.upload_part(key, upload, number, part).etag) for number, part in enumerate(parts, 1)]
    return upload, told


def said(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.code


@fact
def the_etag_of_an_object_is_its_md5_in_quotes(system: System) -> None:
    written = system.put("o", b"some")
    assert (written.status, written.etag) == (200, md5(b"some"))
    for answer in (system.get("o"), system.head("o")):
        assert (answer.status, answer.etag) == (200, md5(b"some"))


@fact
def what_is_missing_is_404(system: System) -> None:
    assert said(system.get("o")) == (404, "NoSuchKey")
    assert system.head("o").status == 404


@fact
def deleting_what_is_missing_is_204(system: System) -> None:
    assert system.delete("o").status == 204
    system.put("o", b"1")
    assert system.delete("o").status == 204
    assert system.get("o").status == 404


@fact
def metadata_is_kept_in_lower_case_and_replaced_by_the_next_write(system: System) -> None:
    system.put("o", b"1", metadata={"mark": "m"})
    assert system.head("o").metadata == {"mark": "m"}
    system.put("o", b"1")
    assert system.head("o").metadata == {}


@fact
def a_digest_that_is_wrong_is_refused(system: System) -> None:
    right = base64.b64encode(hashlib.md5(b"1").digest()).decode()
    wrong = base64.b64encode(hashlib.md5(b"2").digest()).decode()
    assert system.put("o", b"1", md5=right).status == 200
    assert said(system.put("o", b"2 ", md5=wrong)) == (400, "BadDigest")
    assert system.get("o").body == b"1"


@fact
def a_write_where_nothing_is_allowed_to_be_is_412_where_something_is(system: System) -> None:
    assert system.put("o", b"1", if_none_match="*").status == 200
    assert said(system.put("o", b"2", if_none_match="*")) == (412, "PreconditionFailed")
    assert system.get("o").body == b"1"
    system.delete("o")
    assert system.put("o", b"3", if_none_match="*").status == 200


@fact
def a_write_over_an_etag_is_412_over_another_one(system: System) -> None:
    first = system.put("o", b"1").etag
    assert system.put("o", b"2", if_match=first).status == 200
    assert said(system.put("o", b"3", if_match=first)) == (412, "PreconditionFailed")
    assert system.get("o").body == b"2"


@fact
def a_write_over_an_etag_is_404_over_nothing(system: System) -> None:
    assert said(system.put("o", b"1", if_match=md5(b"0"))) == (404, "NoSuchKey")
    assert system.head("o").status == 404


@fact
def of_many_that_write_where_nothing_is_one_wins(system: System) -> None:
    barrier, statuses = threading.Barrier(6), []

    def race(number: int) -> None:
        barrier.wait(30)
        statuses.append(system.put("o", f"{number}".encode(), if_none_match="*").status)

    threads = [threading.Thread(target=race, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert statuses.count(200) == 1
    assert set(statuses) <= {200, 409, 412}


@fact
def a_read_of_an_etag_is_412_if_there_is_another(system: System) -> None:
    etag = system.put("o", b"1").etag
    assert system.get("o", if_match=etag).body == b"1"
    assert said(system.get("o", if_match=md5(b"0"))) == (412, "PreconditionFailed")
    assert system.head("o", if_match=md5(b"0")).status == 412


@fact
def a_read_of_anything_but_an_etag_is_304_if_it_is_there(system: System) -> None:
    etag = system.put("o", b"1").etag
    assert system.get("o", if_none_match=etag).status == 304
    assert system.get("o", if_none_match=md5(b"0")).status == 200


@fact
def a_range_is_206_and_ends_where_the_object_does(system: System) -> None:
    system.put("o", b"0123456789")
    for asked, body, shown in (
        ("bytes=0-0", b"0", "bytes 0-0/10"),
        ("bytes=2-4", b"234", "bytes 2-4/10"),
        ("bytes=7-", b"789", "bytes 7-9/10"),
        ("bytes=-3", b"789", "bytes 7-9/10"),
        ("bytes=8-100", b"89", "bytes 8-9/10"),
        ("bytes=-100", b"0123456789", "bytes 0-9/10"),
    ):
        answer = system.get("o", byte_range=asked)
        assert (answer.status, answer.body, answer.content_range) == (206, body, shown)
        assert answer.etag == md5(b"0123456789")


@fact
def a_range_beyond_the_end_is_416(system: System) -> None:
    system.put("o", b"0123456789")
    assert said(system.get("o", byte_range="bytes=10-")) == (416, "InvalidRange")
    assert said(system.get("o", byte_range="bytes=10-12")) == (416, "InvalidRange")


@fact
def an_empty_object_has_no_range(system: System) -> None:
    system.put("o", b"")
    assert said(system.get("o", byte_range="bytes=0-9")) == (416, "InvalidRange")
    assert system.get("o").body == b""


@fact
def keys_are_listed_in_the_order_of_their_bytes(system: System) -> None:
    keys = ["a", "a-b", "a.b", "a/b", "a0", "A", "z", "ä", "é", "中", "\U0001f600", "\uffee"]
    for key in keys:
        system.put(key, b"1")
    assert list(system.list().keys) == sorted(keys, key=lambda key: key.encode())


@fact
def a_prefix_is_what_keys_begin_with(system: System) -> None:
    for key in ("etl", "etl-daily/x", "etl/x", "other"):
        system.put(key, b"1")
    assert system.list("etl").keys == ("etl", "etl-daily/x", "etl/x")
    assert system.list("etl/").keys == ("etl/x",)
    assert system.list("nothing").keys == ()


@fact
def a_delimiter_rolls_up_what_is_below(system: System) -> None:
    for key in ("a/1", "a/2", "b", "c/d/e"):
        system.put(key, b"1")
    answer = system.list(delimiter="/")
    assert (answer.keys, answer.prefixes) == (("b",), ("a/", "c/"))
    answer = system.list("c/", delimiter="/")
    assert (answer.keys, answer.prefixes) == ((), ("c/d/",))


@fact
def pages_follow_each_other(system: System) -> None:
    for number in range(7):
        system.put(f"o{number}", b"1")
    first = system.list(most=3)
    assert first.keys == ("o0", "o1", "o2")
    second = system.list(most=3, token=first.token)
    assert second.keys == ("o3", "o4", "o5")
    last = system.list(most=3, token=second.token)
    assert (last.keys, last.token) == (("o6",), "")


@fact
def a_page_can_begin_after_a_key(system: System) -> None:
    for key in ("a", "b", "c"):
        system.put(key, b"1")
    assert system.list(start_after="a").keys == ("b", "c")
    assert system.list(start_after="aa").keys == ("b", "c")


@fact
def a_page_of_nothing_has_nothing(system: System) -> None:
    system.put("o", b"1")
    assert system.list(most=0).keys == ()


@fact
def what_is_gone_between_two_pages_is_no_error(system: System) -> None:
    for number in range(4):
        system.put(f"o{number}", b"1")
    first = system.list(most=2)
    system.delete("o1")
    system.delete("o2")
    assert system.list(most=2, token=first.token).keys == ("o3",)


@fact
def the_etag_of_an_upload_is_the_md5_of_its_parts_with_their_number(system: System) -> None:
    parts = [b"p" * PART, b"q"]
    upload, told = uploaded(system, "o", *parts)
    assert [etag for _, etag in told] == [md5(part) for part in parts]
    assert system.head("o").status == 404
    assert system.list().keys == ()
    etag = system.complete("o", upload, told).etag
    digests = b"".join(hashlib.md5(part).digest() for part in parts)
    assert etag == f'"{hashlib.md5(digests).hexdigest()}-2"'
    assert system.head("o").etag == etag
    assert system.get("o").body == b"".join(parts)
    assert system.uploads() == ()


@fact
def an_upload_of_a_single_part_has_such_an_etag_too(system: System) -> None:
    upload, told = uploaded(system, "o", b"1")
    assert system.complete("o", upload, told).etag == f'"{hashlib.md5(hashlib.md5(b"1").digest()).hexdigest()}-1"'


@fact
def a_part_that_is_not_the_last_has_five_megabytes(system: System) -> None:
    upload, told = uploaded(system, "o", b"small", b"last")
    assert said(system.complete("o", upload, told)) == (400, "EntityTooSmall")
    assert system.head("o").status == 404


@fact
def a_part_that_is_sent_again_replaces_the_first(system: System) -> None:
    upload, _ = uploaded(system, "o", b"first")
    again = system.upload_part("o", upload, 1, b"second").etag
    system.complete("o", upload, [(1, again)])
    assert system.get("o").body == b"second"


@fact
def parts_that_are_not_those_that_were_sent_are_refused(system: System) -> None:
    upload, _ = uploaded(system, "o", b"1")
    assert said(system.complete("o", upload, [(1, md5(b"2"))])) == (400, "InvalidPart")
    assert said(system.complete("o", upload, [(2, md5(b"1"))])) == (400, "InvalidPart")


@fact
def parts_go_in_the_order_of_their_numbers(system: System) -> None:
    upload, told = uploaded(system, "o", b"p" * PART, b"q" * PART)
    assert said(system.complete("o", upload, told[::-1])) == (400, "InvalidPartOrder")


@fact
def an_upload_that_is_not_there_is_404(system: System) -> None:
    assert said(system.complete("o", "nobody", [(1, md5(b"1"))])) == (404, "NoSuchUpload")
    assert said(system.upload_part("o", "nobody", 1, b"1")) == (404, "NoSuchUpload")


@fact
def an_upload_that_was_given_up_is_gone(system: System) -> None:
    upload, told = uploaded(system, "o", b"1")
    assert system.uploads() == ("o",)
    assert system.abort("o", upload).status == 204
    assert system.uploads() == ()
    assert said(system.complete("o", upload, told)) == (404, "NoSuchUpload")


@fact
def an_upload_can_have_a_condition_that_counts_when_it_ends(system: System) -> None:
    upload, told = uploaded(system, "o", b"1")
    system.put("o", b"another's")
    assert said(system.complete("o", upload, told, if_none_match="*")) == (412, "PreconditionFailed")
    assert system.get("o").body == b"another's"
    upload, told = uploaded(system, "o2", b"1")
    assert system.complete("o2", upload, told, if_none_match="*").status == 200


@fact
def an_upload_can_be_for_an_etag(system: System) -> None:
    etag = system.put("o", b"0").etag
    upload, told = uploaded(system, "o", b"1")
    assert said(system.complete("o", upload, told, if_match=md5(b"x"))) == (412, "PreconditionFailed")
    assert system.complete("o", upload, told, if_match=etag).status == 200
    assert system.get("o").body == b"1"


@fact
def a_copy_has_content_etag_and_metadata(system: System) -> None:
    etag = system.put("o", b"1", metadata={"mark": "m"}).etag
    assert system.copy("o", "copy").etag == etag
    assert (system.get("copy").body, system.head("copy").metadata) == (b"1", {"mark": "m"})
    assert said(system.copy("nothing", "copy")) == (404, "NoSuchKey")


@fact
def a_bucket_without_versions_tells_of_none(system: System) -> None:
    assert system.put("o", b"1").version is None
    assert system.get("o").version is None


@fact
def versions_are_kept_under_their_ids(system: System) -> None:
    system.keep_versions()
    first, second = system.put("o", b"1").version, system.put("o", b"2").version
    assert first
    assert first != second
    assert system.get("o").version == second
    assert system.get("o", version=first).body == b"1"
    assert system.get("o", version=second).body == b"2"


@fact
def deleting_hides_what_has_versions(system: System) -> None:
    system.keep_versions()
    version = system.put("o", b"1").version
    gone = system.delete("o")
    assert (gone.status, gone.marker) == (204, True)
    assert said(system.get("o")) == (404, "NoSuchKey")
    assert system.list().keys == ()
    assert system.get("o", version=version).body == b"1"
    assert system.delete("o", version=gone.version).status == 204
    assert system.get("o").body == b"1"


@fact
def what_was_there_before_versions_were_kept_is_version_null(system: System) -> None:
    system.put("o", b"1")
    system.keep_versions()
    system.put("o", b"2")
    assert system.get("o", version="null").body == b"1"


@fact
def a_hidden_object_does_not_count_as_there(system: System) -> None:
    system.keep_versions()
    etag = system.put("o", b"1", if_none_match="*").etag
    assert said(system.put("o", b"2", if_none_match="*")) == (412, "PreconditionFailed")
    system.delete("o")
    assert system.put("o", b"3", if_none_match="*").status == 200
    assert said(system.put("o", b"4", if_match=etag)) == (412, "PreconditionFailed")


@fact
def a_key_that_is_too_long_is_refused(system: System) -> None:
    assert system.put("k" * 1024, b"1").status == 200
    assert said(system.put("k" * 1025, b"1")) == (400, "KeyTooLongError")


# --- what holds where -----------------------------------------------------------------------------------------------

DEVIATIONS: dict[tuple[str, str], str] = {
    ("moto", "a_digest_that_is_wrong_is_refused"): "it is not looked at",
    ("moto", "an_upload_that_is_not_there_is_404"): "completing it is 500",
    ("moto", "an_upload_that_was_given_up_is_gone"): "completing it is 500",
    ("moto", "an_upload_can_be_for_an_etag"): "If-Match is ignored when an upload ends",
    ("moto", "a_key_that_is_too_long_is_refused"): "it is taken",
    ("moto", "parts_go_in_the_order_of_their_numbers"): "they are put in order",
}
"""System and fact to what it does instead."""


@pytest.fixture(scope="session")
def moto() -> Iterator[Any]:
    pytest.importorskip("moto")
    from s3_servers import moto_server

    with moto_server() as server:
        client = server.client()
        yield client
        client.close()


@pytest.fixture(params=["moto", "odibi-s3-sim"])
def system(request: pytest.FixtureRequest) -> Iterator[System]:
    name = f"facts-{uuid4().hex[:16]}"
    if request.param == "odibi-s3-sim":
        bucket = pytest.importorskip("odibi_s3_sim.bucket").Bucket(name)
        yield Simulated(bucket)
        bucket.close()
        return
    client = request.getfixturevalue("moto")
    client.create_bucket(Bucket=name)
    yield Boto3(client, name)


@pytest.mark.parametrize("name", FACTS)
def test_a_fact_of_s3(name: str, system: System, request: pytest.FixtureRequest) -> None:
    kind = "moto" if isinstance(system, Boto3) else "odibi-s3-sim"
    if (kind, name) in DEVIATIONS:
        request.applymarker(pytest.mark.xfail(reason=DEVIATIONS[kind, name], strict=True))
    FACTS[name](system)


def test_the_deviations_are_of_facts() -> None:
    assert {name for _, name in DEVIATIONS} <= set(FACTS)
