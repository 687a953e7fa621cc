"""Servers that do not heed conditions, or heed them in their own way, are found out."""

from __future__ import annotations

import pytest
from s3_servers import Fault

from odibi.contracts.storage import ABSENT, Match
from odibi.errors import Conflict, StorageError, Transient
from odibi_s3 import uploads
from odibi_s3.storage import S3Storage


@pytest.fixture
def storage(spoiled):
    made = S3Storage(**spoiled)
    yield made
    made.close()


def forget(*names):
    """A server that ignores these headers."""

    def decide(asked):
        for name in names:
            asked.headers.pop(name, None)

    return decide


def names(boto, bucket):
    return [each["Key"] for each in boto.list_objects_v2(Bucket=bucket).get("Contents", ())]


def test_a_server_that_ignores_conditions_is_refused(storage, proxy, boto, bucket):
    proxy.decide = forget("if-match", "if-none-match")
    etag = storage.write("o", b"1").etag
    for when in (ABSENT, Match(etag)):
        with pytest.raises(StorageError, match="ignores") as caught:
            storage.write("o", b"2", when=when)
        assert not isinstance(caught.value, Transient | Conflict)
        with pytest.raises(StorageError, match="ignores"), storage.create("o2", when=when) as file:
            file.write(b"2")
    assert storage.read("o") == b"1"
    assert names(boto, bucket) == ["o"]


@pytest.mark.parametrize(("header", "good"), [("if-match", "ABSENT"), ("if-none-match", "Match")])
def test_what_it_heeds_can_be_used(storage, proxy, header, good):
    proxy.decide = forget(header)
    etag = storage.write("o", b"1").etag
    for name, when, path in (("ABSENT", ABSENT, "o2"), ("Match", Match(etag), "o")):
        if name == good:
            assert storage.write(path, b"2", when=when).size == 1
        else:
            with pytest.raises(StorageError, match="ignores"):
                storage.write(path, b"2", when=when)


def test_a_server_that_wants_etags_without_quotes_is_given_them(storage, proxy):
    """As Ceph's gateway does: it compares the header, quotes included, with an etag that has none."""

    def decide(asked):
        given = asked.headers.get("if-match")
        if given is None or asked.method != "PUT":
            return None
        if given.startswith('"'):
            return Fault(412, "PreconditionFailed")
        asked.headers["if-match"] = f'"{given}"'
        return None

    proxy.decide = decide
    etag = storage.write("o", b"1").etag
    storage.write("o", b"2", when=Match(etag))
    with pytest.raises(Conflict):
        storage.write("o", b"3", when=Match(etag))
    assert storage.read("o") == b"2"


def test_it_is_found_out_once_and_nothing_is_left(storage, proxy, boto, bucket, spoiled):
    storage.write("o", b"1", when=ABSENT)
    probes = [asked for asked in proxy.asked if ".odibi-probe-" in asked.target]
    assert probes
    storage.write("o2", b"1", when=ABSENT)
    with storage.create("o3", when=ABSENT) as file:
        file.write(b"1")
    assert [asked for asked in proxy.asked if ".odibi-probe-" in asked.target] == probes
    assert names(boto, bucket) == ["o", "o2", "o3"]


def test_nothing_is_found_out_where_nobody_asks(spoiled, proxy):
    with_condition = S3Storage(**spoiled, probe=False)
    with_condition.write("o", b"1", when=ABSENT)
    without = S3Storage(**spoiled)
    without.write("o", b"1")
    assert not [asked for asked in proxy.asked if ".odibi-probe-" in asked.target]


def test_probes_are_below_the_prefix_and_never_listed(spoiled, boto, bucket, proxy):
    storage = S3Storage(**spoiled, prefix="team/lake")
    boto.put_object(Bucket=bucket, Key="team/lake/.odibi-probe-left", Body=b"1")
    storage.write("o", b"1", when=ABSENT)
    probes = {asked.target for asked in proxy.asked if ".odibi-probe-" in asked.target}
    assert all(target.startswith(f"/{bucket}/team/lake/.odibi-probe-") for target in probes)
    assert [found.path for found in storage.list()] == ["o"]


def test_a_probe_that_fails_in_passing_is_made_again(storage, proxy):
    proxy.decide = lambda asked: Fault(503, "SlowDown") if "if-none-match" in asked.headers else None
    with pytest.raises(Transient):
        storage.write("o", b"1", when=ABSENT)
    proxy.decide = lambda asked: None
    assert storage.write("o", b"1", when=ABSENT).size == 1


@pytest.mark.parametrize("etag", ["*", "", '"', "a, b", "ä", "x\r\ny", " "])
def test_what_is_no_etag_matches_nothing(storage, etag):
    storage.write("o", b"1")
    with pytest.raises(Conflict):
        storage.write("o", b"2", when=Match(etag))
    assert storage.read("o") == b"1"


def test_what_does_not_fit_in_memory_waits_in_a_file(storage, monkeypatch):
    monkeypatch.setattr(uploads, "_IN_MEMORY", 1000)
    data = bytes(range(256)) * 1000
    with storage.create("o", when=ABSENT) as file:
        for begin in range(0, len(data), 777):
            file.write(data[begin : begin + 777])
    assert storage.read("o") == data


def test_what_is_too_large_for_one_request_is_refused_early():
    sink = uploads.KeptAside(10, lambda data: "etag", "o")
    sink.take(memoryview(b"0123456789"))
    with pytest.raises(StorageError, match="10 bytes"):
        sink.take(memoryview(b"x"))
    sink.discard()


def test_a_version_kept_is_a_version_read(options, server, boto, proxy):
    """Where the bucket keeps versions, a reader goes on with the one that it opened."""
    bucket = server.make_bucket(f"{options['bucket']}-kept", versions=True)
    storage = S3Storage(**{**options, "bucket": bucket})
    data = b"o" * (3 << 20)
    storage.write("o", data)
    with storage.open("o") as file:
        first = file.read(10)
        storage.write("o", b"n" * len(data))
        assert first + file.read() == data
        storage.delete("o")
        file.seek(-10, 2)
        assert file.read() == data[-10:]


def test_a_reader_never_mixes_versions(options):
    storage = S3Storage(**options)
    storage.write("o", b"o" * (3 << 20))
    with storage.open("o") as file:
        assert file.read(10) == b"o" * 10
        storage.write("o", b"n" * (3 << 20))
        with pytest.raises(Transient, match="replaced"):
            file.read()


def test_a_server_that_ignores_conditions_on_reads_is_seen_through(storage, proxy):
    storage.write("o", b"o" * (3 << 20))
    with storage.open("o") as file:
        storage.write("o", b"n" * (3 << 20))
        proxy.decide = forget("if-match")
        with pytest.raises(Transient, match="replaced"):
            file.read()
