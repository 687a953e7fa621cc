"""What runs measure, over the wire: scraped by Prometheus from a service, pushed, in a file, and sent as OTLP."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from prometheus_servers import STARTED, get, program, prometheus, pushgateway, until

from odibi.contracts import measured as names
from odibi.contracts.measured import BY_NAME
from odibi.testing.metric import key
from odibi_metrics.conformance import parsed
from odibi_metrics.receiver import Collector, spans, values

SECRET = "hunter2hunter2"
RULES = Path(__file__).with_name("rules_test.yml")

PROJECT = """
project: shop
engine: pandas
connections:
  lake: {type: local, base_path: ./lake}
cache: {type: disk, path: cache}
checkpoints: sqlite
pipelines:
  - pipeline: orders
    nodes:
      - name: orders
        read: {connection: lake, path: orders.csv}
        cache: true
      - name: kept
        depends_on: [orders]
        transform:
          steps: [{sql: "SELECT * FROM orders WHERE id > 1"}]
        write: {connection: lake, path: kept.parquet}
  - pipeline: bad
    nodes:
      - name: refuses
        read: {connection: lake, path: orders.csv}
        transform:
          steps: [{function: refuse, params: {password: "${PASSWORD}"}}]
triggers:
  often: {type: interval, every: 300ms, pipelines: [orders]}
  rarely: {type: interval, every: 2s, pipelines: [bad]}
"""

FUNCTIONS = """
def refuse(df, password):
    raise ValueError(f"401 for {password}")
"""


class Place:
    """A project in a folder."""

    def __init__(self, folder: Path, metrics: Any = None, observers: Any = None) -> None:
        self.folder = folder
        (folder / "lake").mkdir()
        (folder / "lake" / "orders.csv").write_text("id\n1\n2\n3\n")
        (folder / "transforms.py").write_text(FUNCTIONS)
        sections = {"metrics": metrics or [], "observers": observers or []}
        (folder / "odibi.yaml").write_text(
            PROJECT + "".join(f"{it}: {json.dumps(of)}\n" for it, of in sections.items())
        )

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "PASSWORD": SECRET, "NO_COLOR": "1"}

    def run(self, pipeline: str, code: int = 0, **environment: str) -> str:
        """Run a pipeline in a process of its own; what it said."""
        done = subprocess.run(
            [sys.executable, "-m", "odibi", "run", "--pipeline", pipeline],
            cwd=self.folder, capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL,
            env={**self.environment, **environment},
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    @contextmanager
    def serving(self) -> Iterator[str]:
        """A service; where it listens."""
        with (self.folder / "serve.log").open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "odibi", "serve", "--http", "127.0.0.1:0", "--log-level", "INFO"],
                cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env=self.environment,
            )  # fmt: skip
            try:
                found = until(
                    lambda: re.search(r"http://(127\.0\.0\.1:\d+)", (self.folder / "serve.log").read_text()),
                    "it serves",
                )
                yield found[1]
                process.send_signal(signal.SIGTERM)
                assert process.wait(STARTED) == 0
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()


def promtool(*arguments: str, given: str | None = None, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program("promtool"), *arguments], input=given, capture_output=True, text=True, timeout=60, check=False, cwd=cwd
    )


def test_prometheus_scrapes_a_service(tmp_path: Path) -> None:
    place = Place(tmp_path, [{"type": "prometheus", "usage": True}])
    rules = tmp_path / "rules.yml"
    subprocess.run([sys.executable, "-m", "odibi", "metrics", "rules", "--write", str(rules)], check=True, timeout=60)
    with place.serving() as address, prometheus(tmp_path, address, rules) as server:
        done = 'odibi_runs_total{project="shop",pipeline="orders",state="succeeded"}'
        until(lambda: any(float(each["value"][1]) >= 3 for each in server.query(done)), "runs are counted")
        until(lambda: server.query('odibi_cache_lookups_total{pipeline="orders",result="hit"} > 0'), "hits are counted")
        until(
            lambda: server.query('odibi_node_rows_out_total{pipeline="orders",node="orders"} == 3'), "rows are counted"
        )
        half = 'histogram_quantile(0.5, sum by (le) (odibi_node_duration_seconds_bucket{pipeline="orders"}))'
        median = until(lambda: server.query(half), "durations are counted")
        assert 0 < float(median[0]["value"][1]) < 60
        assert server.query("odibi_service_streams")  # the service's own figures are beside them
        until(lambda: "OdibiRunFailed" in server.firing(), "an alert fires for the pipeline that fails")
        (target,) = server.targets()
        assert (target["health"], target["lastError"]) == ("up", "")
        text = get(f"http://{address}/metrics")
        checked = promtool("check", "metrics", given=text)
        assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
        known = {name.rpartition("_")[0] if name.endswith(("_bucket", "_sum", "_count")) else name
                 for name, _ in parsed(text)}  # fmt: skip
        assert {name for name in known if not name.startswith(("odibi_service_", "odibi_stream_"))} <= set(BY_NAME)
        assert SECRET not in text
    assert SECRET not in (tmp_path / "serve.log").read_text()


def test_the_alerts_are_as_their_tests_say(tmp_path: Path) -> None:
    program("promtool")
    done = subprocess.run(
        [sys.executable, "-m", "odibi", "metrics", "rules"], check=True, capture_output=True, text=True, timeout=60
    )
    (tmp_path / "rules.yml").write_text(done.stdout)
    shutil.copy(RULES, tmp_path)
    tested = promtool("test", "rules", RULES.name, cwd=tmp_path)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_runs_are_pushed(tmp_path: Path) -> None:
    with pushgateway(tmp_path) as gateway:
        place = Place(tmp_path, [{"type": "prometheus", "pushgateway": gateway, "grouping": {"instance": "night"}}])
        place.run("orders")
        place.run("bad", code=1)
        found = parsed(get(f"{gateway}/metrics"))
    group = {"job": "odibi", "instance": "night", "project": "shop"}
    assert found[key("odibi_run_last_succeeded", {**group, "pipeline": "bad"})] == 0
    assert key("odibi_nodes_total", {**group, "pipeline": "bad", "outcome": "failed"}) in found


def test_a_pushgateway_that_is_not_there_fails_no_run(tmp_path: Path) -> None:
    place = Place(tmp_path, [{"type": "prometheus", "pushgateway": "http://127.0.0.1:9", "timeout": 1}])
    said = place.run("orders")
    assert "the Pushgateway cannot be reached" in said
    assert "Traceback" not in said


def test_files_hold_what_was_measured(tmp_path: Path) -> None:
    place = Place(
        tmp_path, [{"type": "memory", "file": "metrics.json"}, {"type": "prometheus", "textfile": "odibi.prom"}]
    )
    place.run("orders")
    rows = json.loads((tmp_path / "metrics.json").read_text("utf-8"))
    durations = next(row for row in rows if row["name"] == names.NODE_DURATION.name)
    assert durations["count"] == 2
    assert durations["min"] <= durations["p50"] <= durations["p99"] <= durations["max"] <= durations["sum"]
    text = (tmp_path / "odibi.prom").read_text("utf-8")
    succeeded = {"project": "shop", "pipeline": "orders", "outcome": "succeeded"}
    assert parsed(text)[key("odibi_nodes_total", succeeded)] == 2
    checked = promtool("check", "metrics", given=text)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_rows_that_are_set_aside_and_warnings_are_counted(tmp_path: Path) -> None:
    place = Place(tmp_path)
    (tmp_path / "odibi.yaml").write_text("""
project: shop
connections: {lake: {type: local, base_path: ./lake}}
metrics: [{type: memory, file: metrics.json}]
pipelines:
  - pipeline: checks
    nodes:
      - name: aside
        read: {connection: lake, path: orders.csv}
        validation:
          on_fail: quarantine
          quarantine: {connection: lake, path: bad.csv}
          ranges: {id: {min: 2}}
      - name: warned
        read: {connection: lake, path: orders.csv}
        validation: {on_fail: warn, ranges: {id: {min: 3}}}
""")
    place.run("checks")
    rows = json.loads((tmp_path / "metrics.json").read_text("utf-8"))
    found = {(row["name"], row["labels"].get("node")): row.get("value") for row in rows}
    assert found[names.QUARANTINED.name, "aside"] == 1
    assert found[names.ROWS_IN.name, "aside"] == 3
    assert found[names.ROWS_OUT.name, "aside"] == 2
    assert found[names.WARNINGS.name, "warned"] == 1


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


def test_measurements_and_traces_are_sent_over_http(tmp_path: Path, collector: Collector) -> None:
    sent = {"type": "otel", "endpoint": collector.url, "headers": {"X-Key": "${PASSWORD}"}, "resource": {"host": "a"}}
    place = Place(tmp_path, [sent], [sent])
    trace = "0af7651916cd43dd8448eb211c80319c"
    place.run("orders", TRACEPARENT=f"00-{trace}-b7ad6b7169203331-01")
    said = place.run("bad", code=1)
    told = collector.values()
    outcome = {"project": "shop", "pipeline": "orders", "outcome": "succeeded"}
    assert told[key("odibi_nodes_total", outcome)] == 2
    assert told[key("odibi_run_duration_seconds", {"project": "shop", "pipeline": "orders"})][0] == 1  # type: ignore[index]
    (metric,) = [
        metric
        for each in collector.metrics[:1]
        for scope in each.resource_metrics[0].scope_metrics
        for metric in scope.metrics
        if metric.name == "odibi_nodes_total"
    ]
    assert (metric.unit, metric.sum.is_monotonic, metric.sum.aggregation_temporality) == ("{nodes}", True, 2)
    check_traces(collector.spans(), trace)
    assert {each["x-key"] for each in collector.headers} == {SECRET}
    bodies = str(collector.metrics) + str(collector.traces)
    assert SECRET not in bodies + said


def check_traces(found: list[Any], trace: str) -> None:
    """Of a run of ``orders`` that joins a trace, and then one of ``bad``."""
    by_name = {span.name: span for span in found}
    assert set(by_name) == {"run orders", "node orders", "node kept", "run bad", "node refuses"}
    root = by_name["run orders"]
    assert (root.trace_id.hex(), root.parent_span_id.hex()) == (trace, "b7ad6b7169203331")
    for name in ("node orders", "node kept"):
        span = by_name[name]
        assert (span.trace_id, span.parent_span_id) == (root.trace_id, root.span_id)
        assert root.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
        assert span.end_time_unix_nano <= root.end_time_unix_nano
    assert by_name["node orders"].end_time_unix_nano <= by_name["node kept"].start_time_unix_nano
    assert [event.name for event in by_name["node kept"].events] == ["attempt", "step", "step"]
    bad = by_name["node refuses"]
    assert bad.trace_id != root.trace_id
    assert bad.status.code == 2
    (error,) = [event for event in bad.events if event.name == "exception"]
    said = {each.key: each.value.string_value for each in error.attributes}
    assert "401 for ***" in said["exception.message"]


def test_measurements_and_traces_are_sent_over_grpc(tmp_path: Path) -> None:
    grpc = pytest.importorskip("grpc")
    from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

    metrics: list[Any] = []
    traces: list[Any] = []

    class Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
        def Export(self, request: Any, context: Any) -> Any:
            metrics.append(request)
            return metrics_service_pb2.ExportMetricsServiceResponse()

    class Traces(trace_service_pb2_grpc.TraceServiceServicer):
        def Export(self, request: Any, context: Any) -> Any:
            traces.append(request)
            return trace_service_pb2.ExportTraceServiceResponse()

    server = grpc.server(ThreadPoolExecutor(2))
    metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(Metrics(), server)
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Traces(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        sent: Mapping[str, Any] = {"type": "otel", "endpoint": f"http://127.0.0.1:{port}", "protocol": "grpc"}
        place = Place(tmp_path, [sent], [sent])
        trace = "0af7651916cd43dd8448eb211c80319c"
        place.run("orders", TRACEPARENT=f"00-{trace}-b7ad6b7169203331-01")
        place.run("bad", code=1)
    finally:
        server.stop(None).wait()
    outcome = {"project": "shop", "pipeline": "orders", "outcome": "succeeded"}
    assert values(metrics)[key("odibi_nodes_total", outcome)] == 2
    check_traces(spans(traces), trace)


def test_a_collector_that_hangs_holds_up_no_run(tmp_path: Path, collector: Collector) -> None:
    collector.free.clear()
    sent = {"type": "otel", "endpoint": collector.url, "timeout": 1}
    said = Place(tmp_path, [sent], [sent]).run("orders")
    assert "Traceback" not in said
    assert (tmp_path / "lake" / "kept.parquet").exists()
