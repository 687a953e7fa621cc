"""Files that fetch what is read, and listings of what other programs leave in a bucket."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from s3_servers import Fault

from odibi.contracts.storage import ABSENT
from odibi.errors import InvalidPath, NotFound
from odibi_s3.reading import FIRST, ObjectReader
from odibi_s3.storage import S3Storage

DATA = bytes(range(251)) * 12_000  # 3 MB, without a period that a buffer has


@pytest.fixture
def storage(options):
    made = S3Storage(**options)
    yield made
    made.close()


def reader(data, beginning=b""):
    fetched = []

    def fetch(start, stop):
        assert 0 <= start < stop <= len(data)
        fetched.append((start, stop))
        return data[start:stop]

    return ObjectReader(len(data), fetch, beginning), fetched


@settings(deadline=None, max_examples=60)
@given(
    beginning=st.sampled_from([0, 1, FIRST]),
    acts=st.lists(
        st.tuples(st.sampled_from(["read", "seek", "end", "all"]), st.integers(0, 3_100_000)), min_size=1, max_size=12
    ),
)
def test_it_reads_what_a_file_in_memory_reads(beginning, acts):
    raw, _ = reader(DATA, DATA[:beginning])
    file, model = io.BufferedReader(raw, 1 << 16), io.BytesIO(DATA)
    for what, number in acts:
        if what == "read":
            assert file.read(number) == model.read(number)
        elif what == "all":
            assert file.read() == model.read()
        elif what == "end":
            assert file.seek(-min(number, len(DATA)), 2) == model.seek(-min(number, len(DATA)), 2)
        else:
            assert file.seek(number) == model.seek(number)
        assert file.tell() == model.tell()


def test_who_reads_on_fetches_more_at_a_time():
    raw, fetched = reader(DATA * 10)
    while raw.read(10_000):
        pass
    sizes = [stop - start for start, stop in fetched]
    assert sizes[0] == 1 << 17
    assert max(sizes) == 8 << 20
    assert sum(sizes) == len(DATA) * 10, "nothing is fetched twice"
    assert len(sizes) < 15


def test_who_reads_here_and_there_fetches_little():
    raw, fetched = reader(DATA * 10)
    for at in (20_000_000, 5_000_000, 10_000_000):
        raw.seek(at)
        raw.read(100)
    assert all(stop - start == 1 << 17 for start, stop in fetched)


def test_a_footer_costs_one_more_request_than_the_opening(spoiled, proxy):
    storage = S3Storage(**spoiled)
    storage.write("o", DATA)
    proxy.asked.clear()
    with storage.open("o") as file:
        file.seek(-8, 2)
        assert file.read() == DATA[-8:]
    assert [asked.headers.get("range") for asked in proxy.asked] == [f"bytes=0-{FIRST - 1}", "bytes=3011992-3011999"]
    assert proxy.asked[1].headers["if-match"]


def test_a_small_object_costs_one_request(spoiled, proxy):
    storage = S3Storage(**spoiled)
    storage.write("o", b"small")
    proxy.asked.clear()
    with storage.open("o") as file:
        assert file.read() == b"small"
    assert len(proxy.asked) == 1


def test_a_closed_file_is_closed(storage):
    storage.write("o", DATA)
    file = storage.open("o")
    file.close()
    file.close()
    for act in (file.read, file.tell, lambda: file.seek(0)):
        with pytest.raises(ValueError, match="closed"):
            act()


# --- listings -------------------------------------------------------------------------------------------------------


def test_markers_of_folders_are_no_objects(storage, boto, bucket):
    """The console of S3, and Hadoop, make an empty object ``etl/`` for a folder."""
    for key in ("etl/", "etl/a/", "etl/a/b", "etl/c", "empty"):
        boto.put_object(Bucket=bucket, Key=key, Body=b"1" if key in ("etl/a/b", "etl/c") else b"")
    assert [found.path for found in storage.list()] == ["empty", "etl/a/b", "etl/c"]
    assert [found.path for found in storage.list("etl")] == ["etl/a/b", "etl/c"]
    assert [found.path for found in storage.list("etl/a")] == ["etl/a/b"]
    with pytest.raises(NotFound):
        storage.stat("etl/a")


def test_an_empty_object_beside_a_folder_of_its_name_is_listed_once(storage, boto, bucket):
    for key in ("etl", "etl-2", "etl/", "etl/c"):
        boto.put_object(Bucket=bucket, Key=key, Body=b"")
    assert [found.path for found in storage.list()] == ["etl", "etl-2", "etl/c"]


def test_a_key_that_no_path_can_name_is_told_of(storage, boto, bucket):
    boto.put_object(Bucket=bucket, Key="a//b", Body=b"1")
    boto.put_object(Bucket=bucket, Key="c/d", Body=b"1")
    with pytest.raises(InvalidPath, match="//"):
        list(storage.list())
    assert [found.path for found in storage.list("c")] == ["c/d"]


def test_a_listing_asks_for_pages_as_they_are_needed(spoiled, proxy):
    storage = S3Storage(**spoiled, prefix="many")
    for number in range(25):
        storage.write(f"{number:05}", b"1")
    proxy.decide = lambda asked: Fault(more="&max-keys=10")
    listing = storage.list()
    assert proxy.count("GET") == 0
    assert next(listing).path == "00000"
    assert proxy.count("GET") <= 3
    assert sum(1 for _ in listing) == 24
    assert proxy.count("GET") == 3


def test_a_prefix_keeps_to_itself(options):
    one, other, outer = (S3Storage(**options, prefix=prefix) for prefix in ("a", "a-b", ""))
    one.write("o", b"1")
    other.write("o", b"2", when=ABSENT)
    assert [found.path for found in one.list()] == ["o"]
    assert [found.path for found in outer.list()] == ["a-b/o", "a/o"]
    assert outer.read("a/o") == b"1"


def test_many_parts_make_one_object(storage, boto, bucket):
    data = DATA * 4
    etag = storage.write("o", data).etag
    assert etag.endswith("-3")
    assert storage.stat("o").etag == etag
    assert storage.read("o") == data
    with storage.create("o2") as file:
        file.write(data)
    assert storage.stat("o2").etag == etag
