"""The storage: its options, and what they do."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from odibi.errors import InvalidPath, NotFound, OdibiError, OptionError, StorageError, Transient
from odibi.host import Host
from odibi_s3_sim.reading import FIRST
from odibi_s3_sim.storage import SimulatedS3Storage


def build(base: Path | None = None, **options: Any) -> SimulatedS3Storage:
    made = Host().build("storage", "s3_sim", options, base_dir=base)
    assert isinstance(made, SimulatedS3Storage)
    return made


@pytest.fixture
def name() -> str:
    """Of a bucket that no other test knows."""
    return f"options-{uuid4().hex}"


def asked(storage: SimulatedS3Storage) -> dict[str, int]:
    found: dict[str, int] = {}
    for each in storage.connection.ledger.entries():
        found[each.operation] = found.get(each.operation, 0) + each.requests
    return found


class TestOptions:
    def test_all_of_them_from_a_project(self, tmp_path: Path) -> None:
        storage = build(
            tmp_path,
            bucket="lake",
            prefix="bronze/",
            path="s3",
            versioning="yes",
            seed="7",
            faults={"slow_down": "0.1"},
            faults_to="faults.json",
            latency={"median": 0.05, "p99": 0.1},
            clock="virtual",
            retries=8,
            part_size="16MiB",
            reader="internet",
            deny=["secret"],
            fsync=False,
        )
        storage.write("a", b"1")
        storage.close()
        assert (tmp_path / "s3" / "lake" / "bucket.db").is_file()
        assert (tmp_path / "faults.json").is_file()
        assert storage.part_size == 16 * 1024**2
        assert storage.uri("a/b") == "s3-sim://lake/bronze/a/b"

    @pytest.mark.parametrize(
        "options",
        [
            {"bucket": "No Such"},
            {"prefix": "../up"},
            {"faults": {"nonsense": 0.1}},
            {"faults": {"timeout": 2}},
            {"latency": "mars"},
            {"latency": {"speed": 1}},
            {"part_size": "1MiB"},
            {"part_size": "large"},
            {"retries": -1},
            {"clock": "broken"},
            {"reader": "moon"},
            {"unknown": 1},
        ],
        ids=str,
    )
    def test_wrong_ones_are_refused_before_anything_is_done(self, tmp_path: Path, options: dict[str, Any]) -> None:
        with pytest.raises(OptionError):
            build(tmp_path, path="s3", **options)
        assert list(tmp_path.iterdir()) == []

    def test_a_bucket_that_is_not_to_be_made(self, tmp_path: Path) -> None:
        storage = build(tmp_path, path="s3", create_bucket=False)
        for ask in (lambda: storage.read("a"), lambda: storage.write("a", b""), lambda: list(storage.list())):
            with pytest.raises(NotFound, match="NoSuchBucket"):
                ask()
        assert list(tmp_path.iterdir()) == []

    def test_a_bucket_that_is_dropped(self, name: str) -> None:
        storage = build(bucket=name)
        storage.connection.bucket.drop()
        with pytest.raises(NotFound, match="no such bucket"):
            storage.write("a", b"")

    def test_files_that_cannot_be_read(self, tmp_path: Path) -> None:
        (tmp_path / "bad.json").write_text("{}")
        for options in ({"faults_from": "bad.json"}, {"prices": "bad.json"}, {"prices": "none.json"}):
            with pytest.raises(OdibiError, match="json"):
                build(tmp_path, **options).read("a")
        with pytest.raises(StorageError):
            build(tmp_path, faults_from="none.json").read("a")

    def test_a_path_that_is_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "s3").write_text("")
        with pytest.raises(StorageError, match="folder cannot be used"):
            build(tmp_path, path="s3").read("a")


class TestSharing:
    def test_buckets_in_memory_are_shared_by_name(self, name: str) -> None:
        one, two, other = build(bucket=name), build(bucket=name), build(bucket=f"x{name}")
        one.write("a", b"1")
        one.close()
        assert two.read("a") == one.read("a") == b"1"
        with pytest.raises(NotFound):
            other.read("a")

    def test_prefixes_are_apart(self, name: str) -> None:
        one, two, whole = build(bucket=name, prefix="one"), build(bucket=name, prefix="one_two"), build(bucket=name)
        one.write("a", b"1")
        two.write("a", b"2")
        assert [each.path for each in one.list()] == ["a"]
        assert [each.path for each in whole.list()] == ["one/a", "one_two/a"]
        assert one.raw_get("a") == whole.raw_get("one/a") == b"1"

    def test_a_storage_travels_without_what_it_has_open(self, tmp_path: Path) -> None:
        storage = build(tmp_path, path="s3")
        storage.write("a", b"1")
        other = pickle.loads(pickle.dumps(storage))
        assert other.read("a") == b"1"
        assert other.connection is not storage.connection

    def test_versions_can_be_suspended(self, name: str) -> None:
        bucket = build(bucket=name, versioning=True).connection.bucket
        assert bucket.versioning() == "Enabled"
        assert build(bucket=name).connection.bucket.versioning() == "Enabled"
        assert build(bucket=name, versioning=False).connection.bucket.versioning() == "Suspended"

    def test_keys_that_no_path_leads_to_are_not_shown(self, name: str) -> None:
        storage = build(bucket=name, prefix="p")
        for key in ("p/", "p/folder/", "p//a", "p/a\\b", "p/../b", "p/ok", "pp"):
            storage.connection.bucket.put(key, b"")
        assert [each.path for each in storage.list()] == ["ok"]

    def test_a_path_that_is_too_long(self, name: str) -> None:
        storage = build(bucket=name)
        for path in ("a" * 1025, "ü" * 600):
            with pytest.raises(InvalidPath):
                storage.write(path, b"")
            with pytest.raises(InvalidPath):
                storage.read(path)
        assert asked(storage) == {}

    def test_raw_access_is_not_counted(self, name: str) -> None:
        storage = build(bucket=name, faults={"slow_down": 1.0}, retries=0)
        storage.raw_put("a", b"1")
        assert storage.raw_get("a") == b"1"
        with pytest.raises(KeyError):
            storage.raw_get("b")
        assert asked(storage) == {}
        with pytest.raises(Transient):
            storage.read("a")


class TestRequests:
    """What each call costs."""

    def test_small_objects(self, name: str) -> None:
        storage = build(bucket=name)
        storage.write("a", b"1")
        with storage.create("b") as file:
            file.write(b"2")
        storage.read("a")
        with storage.open("b") as file:
            assert file.read() == b"2"
        storage.stat("a")
        storage.delete("a")
        assert asked(storage) == {"PutObject": 2, "GetObject": 2, "HeadObject": 1, "DeleteObject": 1}

    def test_large_objects(self, name: str) -> None:
        storage = build(bucket=name, part_size="5MiB")
        data = bytes(range(256)) * 4096 * 12  # 12 MiB
        storage.write("a", data)
        wanted = {"CreateMultipartUpload": 1, "UploadPart": 3, "CompleteMultipartUpload": 1}
        assert asked(storage) == wanted
        assert storage.stat("a").etag.endswith('-3"')
        with storage.open("a") as file:
            file.seek(-100, 2)
            assert file.read() == data[-100:]
            file.seek(6 * 1024**2 + 5)
            assert file.read(10) == data[5:15]
        assert asked(storage) == {**wanted, "HeadObject": 1, "GetObject": 3}
        fetched = sum(each.bytes_out for each in storage.connection.ledger.entries())
        assert fetched <= 2 * FIRST + 100

    def test_a_file_that_is_read_in_order_is_fetched_in_growing_pieces(self, name: str) -> None:
        storage = build(bucket=name)
        data = bytes(range(256)) * 4096 * 20  # 20 MiB
        storage.raw_put("a", data)
        with storage.open("a") as file:
            assert b"".join(iter(lambda: file.read(100_000), b"")) == data
        assert asked(storage)["GetObject"] <= 6

    def test_a_listing_takes_a_request_for_each_thousand(self, name: str) -> None:
        storage = build(bucket=name)
        for number in range(2500):
            storage.raw_put(f"d/{number:05}", b"")
        listing = storage.list()
        next(listing)
        assert asked(storage) == {"ListObjectsV2": 1}
        assert sum(1 for _ in listing) == 2499
        assert asked(storage) == {"ListObjectsV2": 3}

    def test_an_empty_object(self, name: str) -> None:
        storage = build(bucket=name)
        storage.write("a", b"")
        with storage.open("a") as file:
            assert file.read() == b""
        assert storage.read("a") == b""

    def test_a_real_clock_waits(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        waited: list[float] = []
        monkeypatch.setattr("odibi_s3_sim.clock.time.sleep", waited.append)
        storage = build(bucket=name, clock="real", latency={"median": 0.25})
        storage.write("a", b"")
        assert waited == [0.25]
