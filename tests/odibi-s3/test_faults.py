"""Connections that are cut, answers that are late or lost, servers that are busy: what passes is tried again."""

from __future__ import annotations

import io
import threading

import pytest
from s3_servers import CUT, LOST, SECRET, Fault

from odibi.contracts.storage import ABSENT, Match
from odibi.errors import AccessDenied, Conflict, NotFound, StorageError, Transient
from odibi.testing.component import no_secret_in
from odibi_s3.storage import S3Storage

SLOW_DOWN = Fault(503, "SlowDown")
PART = 5 << 20
CONDITIONS = ["if-none-match", "if-match"]


@pytest.fixture
def storage(spoiled):
    made = S3Storage(**spoiled)
    yield made
    made.close()


@pytest.fixture
def straight(options):
    """Past the proxy."""
    made = S3Storage(**options)
    yield made
    made.close()


@pytest.mark.parametrize("fault", [SLOW_DOWN, Fault(500, "InternalError"), CUT], ids=["503", "500", "cut"])
def test_a_read_that_failed_in_passing_is_done_again(storage, straight, proxy, fault):
    straight.write("o", b"whole")
    proxy.spoil("GET", fault, fault)
    assert storage.read("o") == b"whole"
    proxy.spoil("GET", fault)
    with storage.open("o") as file:
        assert file.read() == b"whole"
    proxy.spoil("GET", fault)
    assert [found.path for found in storage.list()] == ["o"]


def test_a_body_that_is_cut_is_read_on_from_there(storage, straight, proxy):
    data = bytes(range(256)) * 8192
    straight.write("o", data)
    proxy.spoil("GET", Fault(cut_after=300_000), Fault(cut_after=7))
    assert storage.read("o") == data
    ranges = [asked.headers.get("range") for asked in proxy.asked if asked.method == "GET"]
    assert len(ranges) == 3
    assert ranges[0] is None
    assert ranges[1] != ranges[0]


def test_a_body_that_is_cut_and_whose_object_is_replaced_is_not_pieced_together(storage, straight, proxy):
    old, new = b"o" * 1_000_000, b"n" * 1_000_000
    straight.write("o", old)

    def decide(asked):
        if asked.method != "GET":
            return None
        if not straight_written.is_set():
            straight_written.set()
            return Fault(cut_after=500_000)
        straight.write("o", new)
        return None

    straight_written = threading.Event()
    proxy.decide = decide
    with pytest.raises(Transient):
        storage.read("o")
    assert storage.read("o") == new


@pytest.mark.parametrize("fault", [SLOW_DOWN, CUT, LOST], ids=["503", "cut", "lost"])
def test_what_does_not_pass_is_transient(storage, straight, proxy, fault):
    straight.write("o", b"1")
    proxy.decide = lambda asked: fault
    acts = [
        lambda: storage.read("o"),
        lambda: storage.open("o"),
        lambda: storage.stat("o"),
        lambda: list(storage.list()),
        lambda: storage.write("o", b"2"),
        lambda: storage.write("o", b"2", when=ABSENT),
        lambda: storage.delete("o"),
    ]
    for act in acts:
        with pytest.raises(Transient) as caught, no_secret_in(SECRET) as look:
            act()
        look(caught.value)
        assert caught.value.retryable


def test_a_server_that_does_not_answer_is_transient(spoiled, straight, proxy):
    straight.write("o", b"1")
    storage = S3Storage(**{**spoiled, "timeout": 0.2, "retries": 1})
    late = threading.Event()
    proxy.decide = lambda asked: Fault(wait=late)
    try:
        with pytest.raises(Transient, match="in time"):
            storage.read("o")
    finally:
        late.set()
    proxy.decide = lambda asked: None
    assert storage.read("o") == b"1"


def test_a_server_that_is_not_there_is_transient(options):
    storage = S3Storage(**{**options, "endpoint": "http://127.0.0.1:9", "retries": 0})
    with pytest.raises(Transient, match="cannot be reached"):
        storage.read("o")


def test_a_write_is_sent_again(storage, straight, proxy):
    proxy.spoil("PUT", SLOW_DOWN, CUT, LOST)
    assert storage.write("o", b"1").etag == straight.stat("o").etag
    assert straight.read("o") == b"1"


def test_parts_are_sent_again_and_the_answer_to_the_last_request_may_be_lost(storage, straight, proxy):
    data = b"p" * (2 * PART + 1)
    proxy.spoil("PUT", SLOW_DOWN, LOST, CUT)
    storage.write("o", data)
    proxy.spoil("POST", None, LOST)  # the one that begins the upload, and the one that completes it
    with storage.create("o2") as file:
        file.write(data)
    assert straight.read("o") == straight.read("o2") == data


def test_an_upload_that_fails_leaves_no_parts(storage, straight, proxy, boto, bucket):
    proxy.decide = lambda asked: SLOW_DOWN if asked.method == "PUT" else None
    with pytest.raises(Transient):
        storage.write("o", b"p" * (2 * PART))
    with pytest.raises(Transient), storage.create("o") as file:
        file.write(b"p" * (64 << 20))
    with pytest.raises(NotFound):
        straight.stat("o")
    assert "Uploads" not in boto.list_multipart_uploads(Bucket=bucket)


def test_a_block_that_raises_leaves_no_parts(straight, boto, bucket):
    with pytest.raises(KeyError), straight.create("o") as file:
        raise KeyError(file.write(b"p" * (3 * PART)))
    assert "Uploads" not in boto.list_multipart_uploads(Bucket=bucket)
    assert list(straight.list()) == []


# --- writes under a condition whose answer is lost ------------------------------------------------------------------


@pytest.fixture
def probed(storage):
    """A storage that knows that the server heeds conditions."""
    storage.write("probed", b"1", when=ABSENT)
    return storage


@pytest.mark.parametrize("way", ["bytes", "file", "create"])
@pytest.mark.parametrize("fault", [LOST, CUT, SLOW_DOWN], ids=["lost", "cut", "503"])
def test_a_writer_knows_its_own_object_again(probed, straight, proxy, fault, way):
    def write(data, when):
        if way == "create":
            with probed.create("o", when=when) as file:
                file.write(data)
        else:
            probed.write("o", io.BytesIO(data) if way == "file" else data, when=when)

    proxy.spoil("PUT", fault, fault, carrying="if-none-match")
    write(b"first", ABSENT)
    etag = straight.stat("o").etag
    assert straight.read("o") == b"first"
    proxy.spoil("PUT", fault, fault, carrying="if-match")
    write(b"second", Match(etag))
    assert straight.read("o") == b"second"


def test_it_tells_the_etag_of_its_own_object(probed, straight, proxy):
    proxy.spoil("PUT", LOST, carrying="if-none-match")
    assert probed.write("o", b"first", when=ABSENT).etag == straight.stat("o").etag


def test_a_writer_that_cannot_know_whether_it_won_does_not_say_that_it_lost(probed, straight, proxy):
    def decide(asked):
        if asked.method != "PUT" or "if-none-match" not in asked.headers:
            return None
        proxy.decide = meanwhile
        return LOST

    def meanwhile(asked):
        if asked.method == "HEAD":
            straight.write("o", b"another's")
            proxy.decide = lambda asked: None

    proxy.decide = decide
    with pytest.raises(Transient, match="lost"):
        probed.write("o", b"mine", when=ABSENT)
    assert straight.read("o") == b"another's"


def test_a_writer_that_lost_to_one_that_replaced_the_same_says_so(probed, straight, proxy):
    """As on Ceph, which answers 500 to who loses a race."""
    for when in (ABSENT, "Match"):
        when = when if when is ABSENT else Match(straight.stat("o").etag)
        header = "if-none-match" if when is ABSENT else "if-match"

        def decide(asked, when=when, header=header):
            if asked.method == "PUT" and header in asked.headers:
                proxy.decide = lambda asked: None
                straight.write("o", f"another's {header}".encode(), when=when)
                return Fault(500, "UnknownError")
            return None

        proxy.decide = decide
        with pytest.raises(Conflict):
            probed.write("o", b"mine", when=when)
        assert straight.read("o") == f"another's {header}".encode()


def test_a_server_that_tells_no_etag_of_an_upload_is_asked_for_it(storage, straight, proxy):
    """As Ceph's gateway does not, in words that the client library understands."""
    proxy.decide = lambda asked: Fault(hide_etag=True) if asked.method == "POST" else None
    assert storage.write("o", b"p" * (PART + 1)).etag == straight.stat("o").etag


def test_a_writer_that_lost_says_so_though_others_answers_were_lost(probed, straight, proxy):
    straight.write("o", b"another's")
    with pytest.raises(Conflict):
        probed.write("o", b"mine", when=ABSENT)
    with pytest.raises(Conflict):
        probed.write("o", b"mine", when=Match("0" * 32))


def test_a_server_busy_with_another_writer_is_asked_again(probed, straight, proxy):
    busy = Fault(409, "ConditionalRequestConflict")
    proxy.spoil("PUT", busy, busy, carrying="if-none-match")
    probed.write("o", b"1", when=ABSENT)
    proxy.spoil("PUT", busy, carrying="if-none-match")
    with pytest.raises(Conflict):  # and not Transient: the busy server has done nothing
        probed.write("o", b"2", when=ABSENT)
    assert straight.read("o") == b"1"


# --- what the server says -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (403, "AccessDenied", AccessDenied),
        (403, "InvalidAccessKeyId", AccessDenied),
        (403, "SignatureDoesNotMatch", AccessDenied),
        (403, "RequestTimeTooSkewed", AccessDenied),
        (400, "ExpiredToken", AccessDenied),
        (401, "", AccessDenied),
        (404, "NoSuchKey", NotFound),
        (404, "NoSuchBucket", NotFound),
        (400, "RequestTimeout", Transient),
        (429, "", Transient),
        (503, "SlowDown", Transient),
        (409, "OperationAborted", Transient),
        (501, "NotImplemented", StorageError),
        (403, "InvalidObjectState", StorageError),
        (400, "NobodyKnows", StorageError),
        (301, "PermanentRedirect", StorageError),
    ],
)
def test_errors_are_those_of_the_contract(storage, proxy, status, code, kind):
    proxy.decide = lambda asked: Fault(status, code)
    with pytest.raises(StorageError) as caught:
        storage.read("folder/o")
    assert kind is StorageError or isinstance(caught.value, kind)
    assert isinstance(caught.value, Transient) == (kind is Transient)
    assert "folder/o" in str(caught.value)
    assert caught.value.remedy


def test_what_the_server_says_of_keys_is_not_passed_on(storage, proxy):
    words = f"<AWSAccessKeyId>test-key</AWSAccessKeyId><CanonicalRequest>x-amz-security-token:{SECRET}"
    proxy.decide = lambda asked: Fault(403, f"SignatureDoesNotMatch</Code>{words}<Code>")
    for act in (lambda: storage.read("o"), lambda: storage.write("o", b""), lambda: list(storage.list())):
        with pytest.raises(AccessDenied) as caught:
            act()
        with no_secret_in(SECRET, "test-key", "127.0.0.1") as look:
            look(caught.value)


def test_a_bucket_that_is_not_there_is_not_an_empty_one(options):
    storage = S3Storage(**{**options, "bucket": "nobody-made-this"})
    for act in (
        lambda: list(storage.list()),
        lambda: storage.read("o"),
        lambda: storage.delete("o"),
        lambda: storage.write("o", b"1"),
        lambda: storage.write("o", b"1" * (6 << 20)),
        lambda: storage.write("o", b"1", when=ABSENT),
    ):
        with pytest.raises(NotFound, match="bucket"):
            act()
