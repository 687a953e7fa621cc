"""Faults that repeat, and what a client makes of them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from odibi.contracts.storage import ABSENT, Match
from odibi.errors import AccessDenied, Conflict, NotFound, StorageError, Transient
from odibi_s3_sim.bucket import forget_memory_bucket
from odibi_s3_sim.clock import VirtualClock
from odibi_s3_sim.conformance import FAULTS
from odibi_s3_sim.faults import KINDS, Fault, FaultPlan, load
from odibi_s3_sim.outages import outage
from odibi_s3_sim.rates import RateLimits
from odibi_s3_sim.requests import PART_BYTES
from odibi_s3_sim.storage import SimulatedS3Storage

LARGE = bytes(range(256)) * (PART_BYTES // 128)
"""Two parts and nothing more."""


@pytest.fixture
def name() -> Iterator[str]:
    """Of a bucket that no other test knows."""
    name = f"faults-{uuid4().hex}"
    yield name
    forget_memory_bucket(name)


def storage_with(name: str, recorded: list[Fault], **options: Any) -> SimulatedS3Storage:
    """A storage with just these faults."""
    storage = SimulatedS3Storage(bucket=name, part_size=PART_BYTES, **options)
    plan = FaultPlan(recorded=recorded)
    object.__setattr__(storage.connection.endpoint, "plan", plan)
    return storage


def fault(operation: str, kind: str, *nths: int, key: str = "o", at: float = 0.5) -> list[Fault]:
    return [Fault(operation, key, nth, kind, at) for nth in nths or (0,)]


class TestPlans:
    def test_the_same_seed_gives_the_same_faults(self) -> None:
        asked = [("PutObject", f"k{number % 7}") for number in range(500)]
        one, two, other = FaultPlan(1, FAULTS), FaultPlan(1, FAULTS), FaultPlan(2, FAULTS)
        for plan in (one, two, other):
            for operation, key in asked:
                plan.next(operation, key)
        assert one.injected == two.injected
        assert one.injected != other.injected
        assert one.injected

    @given(st.permutations([(key, number) for key in "abc" for number in range(4)]))
    @settings(deadline=None, max_examples=30)
    def test_the_order_of_keys_does_not_matter(self, order: list[tuple[str, int]]) -> None:
        rates = {"slow_down": 0.5}
        plain = FaultPlan(3, rates)
        expected = {(key, plain.next("GetObject", key)) for key in "abc" for _ in range(4)}
        mixed = FaultPlan(3, rates)
        assert {(key, mixed.next("GetObject", key)) for key, _ in order} == expected

    def test_threads_do_not_matter(self) -> None:
        plan, alone = FaultPlan(4, FAULTS), FaultPlan(4, FAULTS)
        keys = [f"k{number}" for number in range(8)]

        def work(plan: FaultPlan, key: str) -> None:
            for _ in range(200):
                plan.next("PutObject", key)

        threads = [threading.Thread(target=work, args=(plan, key)) for key in keys]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for key in keys:
            work(alone, key)
        assert set(plan.injected) == set(alone.injected)

    def test_rates_are_what_comes_out(self) -> None:
        plan = FaultPlan(5, {"slow_down": 0.1, "timeout": 0.2})
        for number in range(10_000):
            plan.next("GetObject", f"k{number}")
        counts = Counter(each.kind for each in plan.injected)
        assert 900 < counts["slow_down"] < 1100
        assert 1850 < counts["timeout"] < 2150

    def test_faults_hit_what_they_can_hit(self) -> None:
        plan = FaultPlan(6, dict.fromkeys(KINDS, 0.05))
        for number in range(3000):
            plan.next("GetObject", f"k{number}")
            plan.next("PutObject", f"k{number}")
        for each in plan.injected:
            operations, _ = KINDS[each.kind]
            assert operations is None or each.operation in operations
            assert each.kind != "conflict", "there was no condition"

    def test_a_record_can_be_repeated(self, tmp_path: Path) -> None:
        drawn = FaultPlan(7, FAULTS)
        asked = [("PutObject", f"k{number}") for number in range(300)]
        for operation, key in asked:
            drawn.next(operation, key)
        drawn.save(tmp_path / "faults.json")
        repeated = FaultPlan(recorded=load(tmp_path / "faults.json"))
        for operation, key in asked:
            repeated.next(operation, key)
        assert repeated.injected == drawn.injected

    @pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"operation": "PutObject"}]', "[[]]"])
    def test_a_file_that_is_no_record(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "faults.json").write_text(text)
        with pytest.raises(ValueError, match="is no record of faults"):
            load(tmp_path / "faults.json")

    @pytest.mark.parametrize("rates", [{"bad": 0.1}, {"timeout": 1.5}, {"timeout": 0.6, "slow_down": 0.6}])
    def test_rates_are_checked(self, rates: dict[str, float]) -> None:
        with pytest.raises(ValueError, match="fault|between 0 and 1"):
            FaultPlan(0, rates)


class TestRetries:
    @pytest.mark.parametrize("kind", ["slow_down", "internal_error", "clock_skew", "timeout"])
    @pytest.mark.parametrize("operation", ["PutObject", "GetObject", "HeadObject", "DeleteObject", "ListObjectsV2"])
    def test_a_request_is_tried_again(self, name: str, operation: str, kind: str) -> None:
        storage = storage_with(name, fault(operation, kind, 0, 1, key="" if operation == "ListObjectsV2" else "o"))
        storage.write("o", b"data")
        assert storage.read("o") == b"data"
        assert storage.stat("o").size == 4
        assert [each.path for each in storage.list()] == ["o"]
        storage.delete("o")
        assert len(storage.connection.endpoint.plan.injected) == 2
        assert list(storage.list()) == []

    @pytest.mark.parametrize("operation", ["PutObject", "GetObject", "HeadObject", "DeleteObject", "ListObjectsV2"])
    def test_retries_end(self, name: str, operation: str) -> None:
        key = "" if operation == "ListObjectsV2" else "o"
        storage = storage_with(name, fault(operation, "slow_down", *range(3), key=key), retries=2)
        storage.raw_put("o", b"data")
        asks = {
            "PutObject": lambda: storage.write("o", b"new"),
            "GetObject": lambda: storage.read("o"),
            "HeadObject": lambda: storage.stat("o"),
            "DeleteObject": lambda: storage.delete("o"),
            "ListObjectsV2": lambda: list(storage.list()),
        }
        with pytest.raises(Transient, match="SlowDown, 503"):
            asks[operation]()
        assert storage.raw_get("o") == b"data"
        asks[operation]()

    def test_waits_grow_on_the_clock(self, name: str) -> None:
        storage = storage_with(name, fault("PutObject", "slow_down", *range(6)), latency="none")
        storage.write("o", b"")
        (backoff,) = [each for each in storage.connection.ledger.entries() if each.operation == "backoff"]
        clock = storage.connection.clock
        assert isinstance(clock, VirtualClock)
        assert backoff.requests == 6
        assert 0 < backoff.waited == clock.waited < 1 + 2 + 4 + 8 + 16 + 20

    def test_a_body_that_is_cut_goes_on_where_it_ended(self, name: str) -> None:
        storage = storage_with(name, fault("GetObject", "cut_read", 0, 1, 2))
        data = bytes(range(256)) * 40
        storage.raw_put("o", data)
        assert storage.read("o") == data
        read = [each for each in storage.connection.ledger.entries() if each.operation == "GetObject"]
        assert sum(each.bytes_out for each in read) == len(data)
        assert sum(each.requests for each in read) == 4

    def test_a_body_that_is_cut_and_replaced_is_the_new_one(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        storage = storage_with(name, fault("GetObject", "cut_read"))
        storage.raw_put("o", b"old" * 100)
        clock = storage.connection.clock
        sleep = clock.sleep

        def replaced(seconds: float) -> None:
            storage.raw_put("o", b"new" * 100)
            sleep(seconds)

        monkeypatch.setattr(clock, "sleep", replaced)
        assert storage.read("o") == b"new" * 100

    def test_an_open_object_that_is_replaced_says_so(self, name: str) -> None:
        storage = storage_with(name, [])
        storage.raw_put("o", LARGE)
        with storage.open("o") as file:
            file.read(10)
            storage.raw_put("o", LARGE[::-1])
            with pytest.raises(Transient, match="replaced while it was read"):
                file.read()

    def test_with_versions_an_open_object_is_read_on(self, name: str) -> None:
        storage = storage_with(name, [], versioning=True)
        storage.raw_put("o", LARGE)
        with storage.open("o") as file:
            begun = file.read(10)
            storage.raw_put("o", LARGE[::-1])
            assert begun + file.read() == LARGE

    def test_errors_that_stay(self, name: str) -> None:
        storage = storage_with(name, [], deny=["secret"])
        for ask in (lambda: storage.read("secret/o"), lambda: storage.write("secret/o", b"")):
            with pytest.raises(AccessDenied):
                ask()
        storage.raw_put("secrets", b"1")
        assert storage.read("secrets") == b"1"
        with pytest.raises(NotFound):
            storage.read("nothing")
        assert sum(each.requests for each in storage.connection.ledger.entries()) == 4

    def test_an_outage_is_transient(self, name: str) -> None:
        storage = storage_with(name, [], retries=2)
        with outage(storage.connection.ledger.label), pytest.raises(Transient, match="does not answer"):
            storage.read("o")
        storage.write("o", b"1")


class TestLostAnswers:
    """A write took effect, and nobody heard of it."""

    @pytest.mark.parametrize("data", [b"small", LARGE], ids=["put", "multipart"])
    @pytest.mark.parametrize("kind", ["lost_response", "timeout"])
    def test_absent(self, name: str, data: bytes, kind: str) -> None:
        operation = "PutObject" if data == b"small" else "CompleteMultipartUpload"
        storage = storage_with(name, fault(operation, kind))
        written = storage.write("o", data, when=ABSENT)
        assert storage.stat("o") == written
        with pytest.raises(Conflict):
            storage.write("o", b"other", when=ABSENT)

    @pytest.mark.parametrize("data", [b"small", LARGE], ids=["put", "multipart"])
    def test_match(self, name: str, data: bytes) -> None:
        operation = "PutObject" if data == b"small" else "CompleteMultipartUpload"
        storage = storage_with(name, fault(operation, "lost_response", 0))
        storage.raw_put("o", b"before")
        written = storage.write("o", data, when=Match(storage.stat("o").etag))
        assert storage.stat("o") == written
        with pytest.raises(Conflict):
            storage.write("o", b"other", when=Match('"before"'))

    def test_unconditional_multipart(self, name: str) -> None:
        storage = storage_with(name, fault("CompleteMultipartUpload", "lost_response"))
        storage.write("o", LARGE)
        assert storage.raw_get("o") == LARGE

    def test_the_same_bytes_of_somebody_else_are_not_ours(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        storage = storage_with(name, fault("PutObject", "timeout"))
        clock = storage.connection.clock
        sleep = clock.sleep

        def taken(seconds: float) -> None:
            storage.raw_put("o", b"same")
            sleep(seconds)

        monkeypatch.setattr(clock, "sleep", taken)
        with pytest.raises(Conflict):
            storage.write("o", b"same", when=ABSENT)

    def test_with_versions_ours_is_found_below_another(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        storage = storage_with(name, fault("PutObject", "lost_response"), versioning=True)
        clock = storage.connection.clock
        sleep = clock.sleep

        def covered(seconds: float) -> None:
            monkeypatch.setattr(clock, "sleep", sleep)
            storage.raw_put("o", b"theirs")

        monkeypatch.setattr(clock, "sleep", covered)
        written = storage.write("o", b"ours", when=ABSENT)
        assert written.etag != storage.stat("o").etag
        assert storage.raw_get("o") == b"theirs"

    def test_the_last_answer_too(self, name: str) -> None:
        storage = storage_with(name, fault("PutObject", "lost_response"), retries=0)
        assert storage.write("o", b"1", when=ABSENT).size == 1
        storage = storage_with(name, fault("PutObject", "timeout", key="p"), retries=0)
        with pytest.raises(Transient):
            storage.write("p", b"1", when=ABSENT)

    def test_a_delete(self, name: str) -> None:
        storage = storage_with(name, fault("DeleteObject", "lost_response"))
        storage.raw_put("o", b"")
        storage.delete("o")
        assert list(storage.list()) == []

    @pytest.mark.parametrize("way", ["write", "create"])
    def test_a_conflict_that_is_none_is_tried_again(self, name: str, way: str) -> None:
        storage = storage_with(name, fault("PutObject", "conflict"))
        if way == "write":
            storage.write("o", b"1", when=ABSENT)
        else:
            with storage.create("o", when=ABSENT) as file:
                file.write(b"1")
        assert storage.raw_get("o") == b"1"


class TestMultipart:
    @pytest.mark.parametrize("kind", ["partial_multipart", "cut_write", "lost_response", "request_timeout"])
    def test_a_part_is_sent_again(self, name: str, kind: str) -> None:
        storage = storage_with(name, fault("UploadPart", kind, 0, 2))
        storage.write("o", LARGE)
        assert storage.raw_get("o") == LARGE
        assert storage.connection.bucket.uploads() == []

    def test_an_error_in_a_success_is_an_error(self, name: str) -> None:
        storage = storage_with(name, fault("CompleteMultipartUpload", "error_in_success", 0, 1))
        storage.write("o", LARGE)
        assert storage.raw_get("o") == LARGE

    def test_a_part_that_fails_for_good_leaves_nothing(self, name: str) -> None:
        storage = storage_with(name, fault("UploadPart", "slow_down", *range(1, 9)), retries=1)
        with pytest.raises(Transient), storage.create("o") as file:
            file.writelines([LARGE] * 4)
        assert storage.connection.bucket.uploads() == []
        with pytest.raises(NotFound):
            storage.stat("o")

    def test_a_writer_that_swallows_the_failure_makes_no_object(self, name: str) -> None:
        storage = storage_with(name, fault("UploadPart", "slow_down", *range(9)), retries=1)
        with pytest.raises(StorageError), storage.create("o") as file, suppress(Transient):
            file.write(LARGE + b"more")
        assert list(storage.list()) == []

    def test_a_block_that_raises_leaves_nothing(self, name: str) -> None:
        storage = storage_with(name, [])
        with pytest.raises(TypeError), storage.create("o") as file:
            file.writelines([LARGE, b"more", None])  # type: ignore[list-item]
        assert storage.connection.bucket.uploads() == []
        assert storage.connection.bucket.size() == (0, 0)


class TestRateLimits:
    def test_a_prefix_takes_so_many_a_second(self) -> None:
        clock = VirtualClock(0.0)
        limits = RateLimits(clock, writes=10, reads=20)
        assert sum(limits.admits("PutObject", f"a/{n}") for n in range(50)) == 10
        assert sum(limits.admits("GetObject", f"a/{n}") for n in range(50)) == 20
        assert sum(limits.admits("PutObject", f"b/{n}") for n in range(50)) == 10
        clock.sleep(0.5)
        assert sum(limits.admits("PutObject", f"a/{n}") for n in range(50)) == 5
        clock.sleep(100)
        assert sum(limits.admits("PutObject", f"a/{n}") for n in range(50)) == 10

    def test_a_storage_meets_them_and_gets_through(self, name: str) -> None:
        storage = storage_with(name, [], latency="none")
        connection = storage.connection
        limits = RateLimits(VirtualClock(0.0), writes=5)
        object.__setattr__(connection.endpoint, "limits", limits)
        object.__setattr__(connection.endpoint, "clock", limits._clock)
        for number in range(20):
            storage.write(f"o{number}", b"")
        assert len(list(storage.list())) == 20
        answers = {(each.operation, each.answer): each.requests for each in connection.ledger.entries()}
        assert answers["PutObject", "200"] == 20
        assert answers["PutObject", "503"] > 0


class TestWorkloads:
    def work(self, storage: SimulatedS3Storage) -> dict[str, bytes]:
        """Something like a pipeline: writes, conditional ones, copies by hand, lists, deletes."""
        for number in range(60):
            storage.write(f"in/{number:03}", b"%d" % number * number)
        for stat in list(storage.list("in")):
            with storage.open(stat.path) as source, storage.create(f"out/{stat.path}") as target:
                target.write(source.read().upper() + b"!")
        for number in range(0, 60, 3):
            storage.delete(f"in/{number:03}")
        total = storage.write("total", b"0", when=ABSENT)
        for stat in list(storage.list("out")):
            seen = storage.read("total")
            total = storage.write("total", b"%d" % (int(seen) + stat.size), when=Match(total.etag))
        return {stat.path: storage.read(stat.path) for stat in storage.list()}

    @pytest.mark.parametrize("seed", range(3))
    def test_a_fifth_of_failures_changes_no_byte(self, tmp_path: Path, seed: int) -> None:
        plain = SimulatedS3Storage(path=str(tmp_path / "plain"), fsync=False)
        faulty = SimulatedS3Storage(path=str(tmp_path / "faulty"), fsync=False, seed=seed, retries=10, faults=FAULTS)
        assert self.work(plain) == self.work(faulty)
        asked = [each for each in faulty.connection.ledger.entries() if each.operation != "backoff"]
        failed = sum(each.requests for each in asked if not each.answer.startswith(("2", "404")))
        assert failed / sum(each.requests for each in asked) > 0.1

    def test_the_same_seed_repeats_a_run(self, tmp_path: Path) -> None:
        reports, faults = [], []
        for place in ("one", "two"):
            options: dict[str, Any] = {"path": str(tmp_path / place), "fsync": False, "seed": 5, "retries": 10}
            storage = SimulatedS3Storage(**options, faults=FAULTS, faults_to=str(tmp_path / f"{place}.json"))
            self.work(storage)
            storage.close()
            reports.append({**storage.report(), "bucket": ""})
            faults.append(load(tmp_path / f"{place}.json"))
        assert reports[0] == reports[1]
        assert faults[0] == faults[1] != []
        repeated = SimulatedS3Storage(
            path=str(tmp_path / "three"), fsync=False, seed=5, retries=10, faults_from=str(tmp_path / "one.json")
        )
        self.work(repeated)
        assert {**repeated.report(), "bucket": ""} == reports[0]
