"""The other end of what this package sends, on this machine: for the suites, and for tests of programs that send."""

from __future__ import annotations

import gzip
import socket
import threading
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar

from odibi.testing.metric import Key, Value, key

if TYPE_CHECKING:
    from collections.abc import Sequence


class Collector:
    """Takes OTLP over HTTP, decodes it with OpenTelemetry's own protobufs, and keeps it.

    Attributes:
        metrics, traces: the requests that came, in order.
        headers: of each of them.
        free: cleared, no request is answered until it is set again.
        status: what is answered.
    """

    def __init__(self) -> None:
        self.metrics: list[Any] = []
        self.traces: list[Any] = []
        self.headers: list[dict[str, str]] = []
        self.free = threading.Event()
        self.free.set()
        self.status = 200
        handler = type("Handler", (_Handler,), {"collector": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def take(self, path: str, body: bytes, headers: dict[str, str]) -> None:
        """Keep what came."""
        from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        self.headers.append(headers)
        if path == "/v1/metrics":
            self.metrics.append(ExportMetricsServiceRequest.FromString(body))
        elif path == "/v1/traces":
            self.traces.append(ExportTraceServiceRequest.FromString(body))

    def values(self) -> dict[Key, Value]:
        """The newest value of each series."""
        return values(self.metrics)

    def spans(self) -> list[Any]:
        """All spans that came."""
        return spans(self.traces)

    def close(self) -> None:
        """Take nothing more."""
        self.free.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def values(requests: Sequence[Any]) -> dict[Key, Value]:
    """The newest value of each series of OTLP requests; of a histogram its count and sum."""
    found: dict[Key, Value] = {}
    for request in requests:
        for scope in (scope for each in request.resource_metrics for scope in each.scope_metrics):
            for metric in scope.metrics:
                data = getattr(metric, metric.WhichOneof("data"))
                for point in data.data_points:
                    labels = {each.key: each.value.string_value for each in point.attributes}
                    is_sum = metric.WhichOneof("data") != "histogram"
                    found[key(metric.name, labels)] = point.as_double if is_sum else (point.count, point.sum)
    return found


def spans(requests: Sequence[Any]) -> list[Any]:
    """The spans of OTLP requests, in the order in which they came."""
    return [
        span
        for request in requests
        for each in request.resource_spans
        for scope in each.scope_spans
        for span in scope.spans
    ]


class _Handler(BaseHTTPRequestHandler):
    collector: ClassVar[Collector]

    def do_POST(self) -> None:
        """Take a request."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.collector.free.wait(60)
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        if self.collector.status == 200:
            self.collector.take(self.path, body, dict(self.headers.items()))
        try:
            self.send_response(self.collector.status)
            self.send_header("Content-Length", "0")
            self.end_headers()
        except OSError:
            return  # whoever asked has gone

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


class StatsdServer:
    """Takes datagrams of DogStatsD and keeps their lines."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self.datagrams: list[bytes] = []

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._socket.getsockname()[1])

    def lines(self) -> list[str]:
        """All lines that came so far."""
        while True:
            try:
                self.datagrams.append(self._socket.recv(1 << 16))
            except BlockingIOError:
                return b"\n".join(self.datagrams).decode().splitlines()

    def values(self) -> dict[Key, Value]:
        """What its lines come to: sums of counters, last values of gauges, counts and sums of the rest."""
        numbers: dict[Key, float] = defaultdict(float)
        observed: dict[Key, list[float]] = defaultdict(list)
        for line in self.lines():
            head, kind, *more = line.split("|")
            name, _, text = head.partition(":")
            tags = next((each[1:] for each in more if each.startswith("#")), "")
            rate = next((float(each[1:]) for each in more if each.startswith("@")), 1.0)
            series = key(name, dict(each.split(":", 1) for each in tags.split(",") if each))
            if kind == "c":
                numbers[series] += float(text)
            elif kind == "g":
                numbers[series] = float(text)
            else:
                observed[series] += [float(text)] * round(1 / rate)
        return {**numbers, **{name: (len(each), sum(each)) for name, each in observed.items()}}

    def close(self) -> None:
        """Take nothing more."""
        self._socket.close()
