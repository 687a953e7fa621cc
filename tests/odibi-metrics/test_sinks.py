"""What sinks do beside what all of them promise: ports, files, passwords, datagrams, batches."""

from __future__ import annotations

import json
import math
import os
import socket
import threading
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from odibi.contracts import Kind, Measurement, Secret
from odibi.errors import OdibiError, StorageError, Transient
from odibi_metrics.buckets import Buckets
from odibi_metrics.conformance import parsed
from odibi_metrics.memory import MemorySink
from odibi_metrics.otel import OtelSink
from odibi_metrics.prometheus import PrometheusSink
from odibi_metrics.receiver import Collector, StatsdServer
from odibi_metrics.statsd import MOST, StatsdSink

SECRET = "hunter2hunter2"


def counter(name: str, value: float = 1, **labels: str) -> Measurement:
    return Measurement(name, Kind.COUNTER, value, labels)


def timer(name: str, *values: float, **labels: str) -> Measurement:
    return Measurement(name, Kind.TIMER, values[0], labels, values[1:])


# --- memory -----------------------------------------------------------------------------------------------------------


def test_a_timer_is_exported_with_its_statistics() -> None:
    sink = MemorySink()
    sink.record([timer("a_seconds", *(n / 100 for n in range(1, 101)))])
    (row,) = sink.export()
    assert (row["count"], row["min"], row["max"]) == (100, 0.01, 1.0)
    assert row["avg"] == pytest.approx(0.505)
    assert [row["p50"], row["p95"], row["p99"]] == pytest.approx([0.5, 0.95, 0.99], rel=0.01)


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    sink = MemorySink(file=tmp_path / "nowhere" / "metrics.json")
    sink.record([counter("a_total")])
    with pytest.raises(StorageError, match="cannot be written"):
        sink.flush()


def test_readers_see_files_whole(tmp_path: Path) -> None:
    sink = MemorySink(file=tmp_path / "metrics.json")
    sink.record([counter("a_total", n=str(n)) for n in range(200)])
    sink.flush()
    over, wrong = threading.Event(), list[str]()

    def read() -> None:
        while not over.is_set():
            if len(json.loads((tmp_path / "metrics.json").read_text("utf-8"))) != 200:
                wrong.append("not whole")

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(50):
        sink.flush()
    over.set()
    reader.join()
    assert not wrong
    assert os.listdir(tmp_path) == ["metrics.json"]


# --- prometheus -------------------------------------------------------------------------------------------------------


@pytest.fixture
def sink() -> Iterator[PrometheusSink]:
    made = PrometheusSink(port=0)
    yield made
    made.close()


def test_it_can_be_scraped_on_a_port(sink: PrometheusSink) -> None:
    sink.record([counter("odibi_runs_total", 2, pipeline="etl"), timer("odibi_node_duration_seconds", 0.02, 7, 1e9)])
    assert sink.url.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(sink.url, timeout=10) as answer:
        text = answer.read().decode()
    assert parsed(text) == parsed(sink.scrape())
    assert 'odibi_runs_total{pipeline="etl"} 2.0' in text
    assert "# HELP odibi_runs_total Runs that have ended: succeeded, failed or cancelled." in text
    assert 'odibi_node_duration_seconds_bucket{le="0.05"} 1.0' in text
    assert 'odibi_node_duration_seconds_bucket{le="10.0"} 2.0' in text
    assert 'odibi_node_duration_seconds_bucket{le="+Inf"} 3.0' in text


def test_nobody_listens_once_it_is_closed() -> None:
    made = PrometheusSink(port=0)
    port = int(made.url.rpartition(":")[2].partition("/")[0])
    made.close()
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), timeout=5):
        pass


def test_a_port_that_is_taken_is_told(sink: PrometheusSink) -> None:
    port = int(sink.url.rpartition(":")[2].partition("/")[0])
    with pytest.raises(OdibiError, match="cannot listen there") as raised:
        PrometheusSink(port=port)
    assert "/metrics" in raised.value.remedy


class _Gateway(BaseHTTPRequestHandler):
    asked: list[tuple[str, str, str | None]]
    status = 200

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.append((self.command, self.path, self.headers.get("Authorization")))
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_PUT = do_POST

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def gateway() -> Iterator[tuple[str, type[_Gateway]]]:
    handler = type("Gateway", (_Gateway,), {"asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", handler
    server.shutdown()
    server.server_close()
    thread.join()


def test_what_is_pushed_is_added_with_a_password(gateway: tuple[str, type[_Gateway]]) -> None:
    """With POST: PUT would take away what other runs have pushed."""
    url, handler = gateway
    sink = PrometheusSink(pushgateway=url, grouping={"instance": "a"}, user="me", password=Secret(SECRET))
    sink.record([counter("odibi_runs_total")])
    sink.flush()
    words = "Basic " + b64encode(f"me:{SECRET}".encode()).decode()
    assert handler.asked == [("POST", "/metrics/job/odibi/instance/a", words)]
    assert SECRET not in repr(sink)


def test_a_pushgateway_that_refuses_is_told_without_the_password(gateway: tuple[str, type[_Gateway]]) -> None:
    url, handler = gateway
    handler.status = 401
    sink = PrometheusSink(pushgateway=url, user="me", password=Secret(SECRET))
    sink.record([counter("odibi_runs_total")])
    with pytest.raises(Transient, match="refused with 401") as raised:
        sink.flush()
    assert raised.value.__cause__ is None
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize("kind", [PrometheusSink, OtelSink])
@pytest.mark.parametrize("url", [f"http://me:{SECRET}@127.0.0.1:1", f"http://127.0.0.1:1?key={SECRET}", "ftp://x"])
def test_an_address_with_a_password_is_refused(kind: type, url: str) -> None:
    with pytest.raises(ValueError, match="address|options of their own") as raised:
        kind(**{"pushgateway" if kind is PrometheusSink else "endpoint": url})
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize("bounds", [[], [1, 1], [2, 1], [1, math.inf], [math.nan]])
def test_buckets_rise(bounds: list[float]) -> None:
    with pytest.raises(ValueError, match="buckets"):
        PrometheusSink(buckets=bounds)


def test_an_observation_on_a_bound_is_in_its_bucket() -> None:
    found = Buckets((1.0, 2.0))
    found.add([0.5, 1.0, 1.5, 2.0, 2.5])
    assert found.counts == [2, 2, 1]


# --- otel -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


def test_a_histogram_is_sent_with_its_buckets(collector: Collector) -> None:
    sink = OtelSink(endpoint=collector.url, buckets=[1, 10], headers={"X-Key": Secret(SECRET)}, resource={"host": "a"})
    sink.record([timer("odibi_node_duration_seconds", 0.5, 1, 5, 50, pipeline="etl")])
    sink.close()
    (request,) = collector.metrics
    about = {each.key: each.value.string_value for each in request.resource_metrics[0].resource.attributes}
    assert (about["service.name"], about["host"]) == ("odibi", "a")
    (metric,) = request.resource_metrics[0].scope_metrics[0].metrics
    (point,) = metric.histogram.data_points
    assert (metric.unit, list(point.explicit_bounds), list(point.bucket_counts)) == ("s", [1, 10], [2, 1, 1])
    assert (point.min, point.max) == (0.5, 50)
    assert point.start_time_unix_nano <= point.time_unix_nano
    assert SECRET not in repr(sink)


def test_a_collector_that_refuses_is_told(collector: Collector) -> None:
    collector.status = 403
    sink = OtelSink(endpoint=collector.url, timeout=1, headers={"X-Key": Secret(SECRET)})
    sink.record([counter("odibi_runs_total")])
    with pytest.raises(Transient, match="the collector") as raised:
        sink.flush()
    assert SECRET not in str(raised.value)
    collector.status = 200
    sink.record([counter("odibi_runs_total")])
    sink.close()
    assert next(iter(collector.values().values())) == 2  # sums are cumulative, so nothing was lost


# --- statsd -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[StatsdServer]:
    made = StatsdServer()
    yield made
    made.close()


def test_without_tags_labels_are_parts_of_names(server: StatsdServer) -> None:
    sink = StatsdSink(port=server.port, prefix="night.")
    sink.record([counter("odibi_runs_total", 2, pipeline="a.b c", state="failed"), timer("odibi_x_seconds", 0.25)])
    sink.record([Measurement("odibi_change", Kind.GAUGE, -2.5)])
    sink.close()
    assert server.lines() == [
        "night.odibi_runs_total.a_b_c.failed:2|c",
        "night.odibi_x_milliseconds:250|ms",
        "night.odibi_change:0|g",
        "night.odibi_change:-2.5|g",
    ]


def test_tags_cannot_be_mistaken_for_others(server: StatsdServer) -> None:
    sink = StatsdSink(port=server.port, tags="dogstatsd")
    sink.record([counter("a_total", node="x,y:z|#\n@", other="")])
    sink.close()
    assert server.lines() == ["a_total:1|c|#node:x_y_z_,other:_"]


def test_only_what_is_new_is_sent(server: StatsdServer) -> None:
    sink = StatsdSink(port=server.port)
    sink.record([counter("a_total", 5)])
    sink.flush()
    sink.flush()
    sink.record([counter("a_total", 2), counter("b_total", 0)])
    sink.close()
    assert server.lines() == ["a_total:5|c", "a_total:2|c", "b_total:0|c"]


def test_datagrams_are_no_larger_than_asked_for(server: StatsdServer) -> None:
    sink = StatsdSink(port=server.port, mtu=200)
    sink.record([counter(f"metric_{n}_total") for n in range(100)])
    sink.record([counter("long_total", node="x" * 500)])
    sink.close()
    assert len(server.lines()) == 100
    assert max(map(len, server.datagrams)) <= 200
    assert len(server.datagrams) < 20


def test_of_very_many_observations_a_part_is_sent_with_its_rate(server: StatsdServer) -> None:
    sink = StatsdSink(port=server.port, tags="dogstatsd")
    count = MOST * 7
    sink.record([timer("a_seconds", *([0.5] * count))])
    sink.close()
    assert len(server.lines()) <= MOST
    ((known, total),) = server.values().values()  # type: ignore[misc]
    assert known == pytest.approx(count, rel=0.02)
    assert total == pytest.approx(count / 2, rel=0.02)
    assert sink.export()[0]["count"] == count


def test_a_host_without_an_address_is_told() -> None:
    sink = StatsdSink(host="nowhere.invalid")
    sink.record([counter("a_total")])
    with pytest.raises(Transient, match="cannot send there"):
        sink.flush()
