"""What is counted, what it costs, and who is told."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import odibi_s3_sim
from odibi.events import RunFinished, RunStarted
from odibi_s3_sim import prices
from odibi_s3_sim.bucket import Bucket
from odibi_s3_sim.latency import PRESETS, Latency, latency_of
from odibi_s3_sim.ledger import Entry, Ledger, kept_in, report, since
from odibi_s3_sim.runs import dollars, seconds, size
from odibi_s3_sim.storage import SimulatedS3Storage

STANDARD = prices.load()
GB = 1024**3


class TestPrices:
    def test_the_table_says_where_it_comes_from(self) -> None:
        assert (STANDARD.currency, len(STANDARD.as_of.split("-"))) == ("USD", 3)
        assert STANDARD.source.startswith("https://")

    @pytest.mark.parametrize(
        ("operation", "answer", "count", "price"),
        [
            ("PutObject", "200", 1000, 0.005),
            ("ListObjectsV2", "200", 1000, 0.005),
            ("CompleteMultipartUpload", "200", 1_000_000, 5.0),
            ("GetObject", "206", 1000, 0.0004),
            ("HeadObject", "404", 10_000, 0.004),
            ("DeleteObject", "204", 10**9, 0.0),
            ("PutObject", "503", 10**9, 0.0),
            ("GetObject", "500", 10**9, 0.0),
        ],
    )
    def test_requests(self, operation: str, answer: str, count: int, price: float) -> None:
        bill = STANDARD.bill([Entry(operation, answer, count)], "same_region")
        assert bill.total == pytest.approx(price)

    @pytest.mark.parametrize(
        ("gigabytes", "reader", "price"),
        [
            (1000, "same_region", 0.0),
            (100, "other_region", 2.0),
            (1, "internet", 0.09),
            (10 * 1024, "internet", 921.6),
            (11 * 1024, "internet", 921.6 + 1024 * 0.085),
            (151 * 1024, "internet", 921.6 + 40 * 1024 * 0.085 + 100 * 1024 * 0.07 + 1024 * 0.05),
        ],
    )
    def test_transfer(self, gigabytes: int, reader: prices.Reader, price: float) -> None:
        assert STANDARD.of_transfer(gigabytes * GB, reader) == pytest.approx(price)

    def test_storage(self) -> None:
        assert STANDARD.of_storage(100 * GB) == pytest.approx(2.3)
        assert STANDARD.of_storage(51 * 1024 * GB) == pytest.approx(50 * 1024 * 0.023 + 1024 * 0.022)

    @given(st.integers(0, 10**15), st.integers(0, 10**15))
    @settings(deadline=None)
    def test_transfer_adds_up(self, first: int, second: int) -> None:
        whole = STANDARD.of_transfer(first + second, "internet")
        parts = STANDARD.of_transfer(first, "internet") + STANDARD.of_transfer(second, "internet", first)
        assert whole == pytest.approx(parts, abs=1e-6)

    def test_every_operation_of_a_client_has_a_price(self) -> None:
        storage = SimulatedS3Storage(bucket=f"bills-{uuid4().hex}", versioning=True)
        endpoint = storage.connection.endpoint
        storage.write("a", b"1")
        storage.read("a")
        list(storage.list())
        storage.delete("a")
        storage.write("large", bytes(17 * 1024**2))
        storage.stat("large")
        endpoint.versions()
        endpoint.copy("large", "b")
        endpoint.delete_many(["b"])
        endpoint.abort_upload("c", endpoint.create_upload("c").upload_id)
        asked = {each["operation"] for each in storage.report()["operations"]}
        assert asked <= set(STANDARD.operations)
        assert len(asked) == 12

    def test_a_table_of_ones_own(self, tmp_path: Path) -> None:
        table = json.loads(Path(prices.__file__).with_name("price_tables").joinpath("us-east-1.json").read_text())
        table["requests_per_1000"]["write"] = 1000.0
        (tmp_path / "mine.json").write_text(json.dumps(table))
        storage = SimulatedS3Storage(bucket=f"bills-{uuid4().hex}", prices=str(tmp_path / "mine.json"))
        storage.write("a", b"")
        storage.write("b", b"")
        assert storage.report()["dollars"] == pytest.approx(2.0)

    def test_a_file_that_is_no_table(self, tmp_path: Path) -> None:
        (tmp_path / "bad.json").write_text("{}")
        for given_name in (str(tmp_path / "bad.json"), "mars-1", str(tmp_path / "none.json")):
            with pytest.raises(ValueError, match="is no price table"):
                prices.load(given_name)


class TestLedger:
    @given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["200", "503"]), st.integers(0, 99))))
    @settings(deadline=None)
    def test_sums(self, asked: list[tuple[str, str, int]]) -> None:
        ledger = Ledger("test")
        half = len(asked) // 2
        for operation, answer, count in asked[:half]:
            ledger.add(operation, answer, bytes_in=count, waited=0.5)
        before = ledger.entries()
        for operation, answer, count in asked[half:]:
            ledger.add(operation, answer, bytes_in=count, waited=0.5)
        entries = ledger.entries()
        assert sum(each.requests for each in entries) == len(asked)
        assert sum(each.bytes_in for each in entries) == sum(count for *_, count in asked)
        assert sum(each.waited for each in entries) == pytest.approx(len(asked) / 2)
        assert sum(each.requests for each in since(entries, before)) == len(asked) - half

    def test_a_storage_counts_what_it_asks(self) -> None:
        storage = SimulatedS3Storage(bucket=f"bills-{uuid4().hex}", latency={"median": 0.1, "down": 1, "up": 2})
        storage.write("a", bytes(1_000_000))
        storage.read("a")
        told = storage.report()
        assert (told["requests"], told["failed"], told["bytes_in"], told["bytes_out"]) == (2, 0, 1_000_000, 1_000_000)
        assert told["seconds"] == pytest.approx(2 * 0.1 + 0.5 + 1.0)
        assert told["dollars"] == pytest.approx(0.000005 + 0.0000004)

    def test_accounts_of_a_folder_are_kept(self, tmp_path: Path) -> None:
        for _ in range(3):
            storage = SimulatedS3Storage(bucket="kept", path=str(tmp_path), fsync=False)
            storage.write("a", b"12")
            storage.close()
            storage.close()
        bucket = Bucket("kept", str(tmp_path / "kept"))
        assert [(each.operation, each.requests, each.bytes_in) for each in kept_in(bucket.index)] == [
            ("PutObject", 3, 6)
        ]
        bucket.close()

    def test_accounts_of_processes_add_up(self, tmp_path: Path) -> None:
        code = (
            "import sys\nfrom odibi_s3_sim.storage import SimulatedS3Storage\n"
            "storage = SimulatedS3Storage(bucket='kept', path=sys.argv[1], fsync=False)\n"
            "for number in range(10): storage.write(f'{sys.argv[2]}/{number}', b'1')\n"
        )  # not closed: the interpreter's end is enough
        processes = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(number)]) for number in range(4)]
        assert [process.wait(60) for process in processes] == [0] * 4
        bucket = Bucket("kept", str(tmp_path / "kept"))
        assert [(each.operation, each.requests) for each in kept_in(bucket.index)] == [("PutObject", 40)]
        bucket.close()

    def test_a_report_has_its_prices_and_sums(self) -> None:
        entries = [
            Entry("GetObject", "206", 10, 0, 5 * GB, 1.0),
            Entry("GetObject", "503", 5, 0, 0, 0.5),
            Entry("backoff", "", 5, 0, 0, 2.0),
        ]
        told = report("b", entries, STANDARD, "internet")
        assert told["dollars"] == pytest.approx(10 * 0.0000004 + 5 * 0.09)
        assert (told["seconds"], told["seconds_of_backoff"]) == (3.5, 2.0)
        assert (told["requests"], told["failed"]) == (15, 5)
        assert told["prices"]["as_of"] == STANDARD.as_of
        assert json.loads(json.dumps(told)) == told


class TestLatency:
    def test_half_is_below_the_median_and_one_in_a_hundred_above_p99(self) -> None:
        model = PRESETS["same_region"]
        drawn = sorted(model.first_byte(1, "GetObject", f"k{number}", 0) for number in range(4000))
        assert drawn[2000] == pytest.approx(0.1, rel=0.05)
        assert drawn[3960] == pytest.approx(0.2, rel=0.1)

    @pytest.mark.parametrize("given_model", ["mars", {"medium": 1}, {"median": -1}, {"median": 2, "p99": 1}])
    def test_what_is_no_model(self, given_model: str | dict[str, float]) -> None:
        with pytest.raises(ValueError, match="latency"):
            latency_of(given_model)

    def test_a_preset_and_numbers(self) -> None:
        assert latency_of("none") == Latency()
        assert latency_of({"median": 0.2}) == Latency(median=0.2, p99=0.2)


class TestTelling:
    def finished(self) -> RunFinished:
        return RunFinished("run", 0, 0.0, "p", "succeeded", {}, 1.0)

    def test_the_end_of_a_run_is_told_for_each_bucket(self, caplog: pytest.LogCaptureFixture) -> None:
        names = [f"told-{uuid4().hex}" for _ in range(2)]
        odibi_s3_sim.odibi_event(self.finished())  # what other tests did
        caplog.clear()
        for name in names:
            SimulatedS3Storage(bucket=name).write("a", bytes(2_000_000))
        with caplog.at_level(logging.INFO, "odibi.s3_sim"):
            odibi_s3_sim.odibi_event(self.finished())
            told = [record.getMessage() for record in caplog.records]
            assert sorted(message.split()[1].rstrip(":") for message in told) == sorted(names)
            assert all("this run would cost $0.0000050 and spend 0." in message for message in told)
            caplog.clear()
            odibi_s3_sim.odibi_event(self.finished())
            assert caplog.records == []

    def test_buckets_that_a_run_did_not_use_are_not_on_its_bill(self, caplog: pytest.LogCaptureFixture) -> None:
        mine, other = (f"told-{uuid4().hex}" for _ in range(2))
        SimulatedS3Storage(bucket=other).write("a", b"")
        storage = SimulatedS3Storage(bucket=mine)
        storage.write("planned", b"")
        with caplog.at_level(logging.INFO, "odibi.s3_sim"):
            odibi_s3_sim.odibi_event(RunStarted("run", 0, 0.0, "p", "project", 1, 1))
            storage.write("a", b"")
            odibi_s3_sim.odibi_event(self.finished())
        (message,) = [record.getMessage() for record in caplog.records]
        assert mine in message
        assert "(2 requests" in message, "what was asked while the run was planned belongs to it"

    def test_other_events_say_nothing(self, caplog: pytest.LogCaptureFixture) -> None:
        SimulatedS3Storage(bucket=f"told-{uuid4().hex}").write("a", b"")
        with caplog.at_level(logging.INFO, "odibi.s3_sim"):
            odibi_s3_sim.odibi_event(object())  # type: ignore[arg-type]
        assert caplog.records == []

    @pytest.mark.parametrize(
        ("amount", "text"),
        [
            (0, "0.00"),
            (1.239, "1.24"),
            (1234.5, "1,234.50"),
            (0.01, "0.01"),
            (0.0000042, "0.0000042"),
            (0.005, "0.0050"),
        ],
    )
    def test_dollars(self, amount: float, text: str) -> None:
        assert dollars(amount) == text

    def test_times_and_sizes(self) -> None:
        assert [seconds(each) for each in (0.421, 12.3, 200, 7500)] == ["0.42 s", "12.3 s", "3 min 20 s", "2 h 5 min"]
        assert [size(each) for each in (0, 999, 1500, 2e6, 3e9, 4e12)] == [
            "0 B",
            "999 B",
            "1.5 kB",
            "2.0 MB",
            "3.0 GB",
            "4.0 TB",
        ]


class TestCommand:
    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "odibi", "s3-sim", *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    @pytest.fixture
    def used(self, tmp_path: Path) -> Path:
        for name in ("one", "two"):
            storage = SimulatedS3Storage(bucket=name, path=str(tmp_path / "s3"), fsync=False)
            storage.write("a", b"12345")
            storage.read("a")
            storage.close()
        return tmp_path / "s3"

    def test_report(self, used: Path) -> None:
        done = self.run("report", str(used))
        assert done.returncode == 0, done.stderr
        assert "Bucket one: $0.0000054 and 0." in done.stdout
        assert "Bucket two" in done.stdout
        assert STANDARD.as_of in done.stdout

    def test_json(self, used: Path) -> None:
        done = self.run("report", str(used / "one"), "--json", "--reader", "internet")
        (told,) = json.loads(done.stdout)["buckets"]
        assert (told["bucket"], told["requests"], told["bytes_held"], told["reader"]) == ("one", 2, 5, "internet")
        assert told["dollars"] == pytest.approx(0.0000054 + 5 / GB * 0.09)

    def test_a_folder_without_buckets(self, tmp_path: Path) -> None:
        done = self.run("report", str(tmp_path))
        assert (done.returncode, done.stdout) == (1, "")
        assert "there is no simulated bucket" in done.stderr

    def test_looking_changes_nothing(self, used: Path) -> None:
        first = self.run("report", str(used), "--json").stdout
        assert self.run("report", str(used), "--json").stdout == first
