"""The sink for ``type: otel``: sent to an OpenTelemetry collector."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs

from odibi.contracts.measured import BY_NAME
from odibi.contracts.metric import Kind
from odibi.contracts.options import option
from odibi.contracts.secret import Secret
from odibi.errors import Transient
from odibi_metrics.addresses import plain_url, seconds
from odibi_metrics.buckets import BOUNDS, Buckets, checked
from odibi_metrics.otlp import Collector, Protocol, resource
from odibi_metrics.series import Store, meaning, rows, sendable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.metrics.export import Metric, MetricsData

    from odibi.contracts.metric import Measurement
    from odibi_metrics.series import Series

_UNITS = {"seconds": "s", "bytes": "By"}


@attrs.define(eq=False)
class OtelSink:
    """Sends what is measured over OTLP, at the end of each run and every fifteen seconds of a long one.

    Sums and histograms are cumulative, so one that does not arrive is made up for by the next. It has neither a global
    meter provider nor a thread of its own.
    """

    endpoint: str = option(
        "", help="The collector's address; by default the usual port of this machine.", validator=plain_url
    )
    protocol: Protocol = option(  # noqa: RUF009
        "http", help="'http', or 'grpc', which needs the package's extra of that name."
    )
    headers: dict[str, Secret] = option(  # noqa: RUF009
        factory=dict, help="Sent with each request, such as 'authorization'."
    )
    timeout: float = option(5.0, help="Seconds that sending may take, all tries together.", validator=seconds)
    service: str = option("odibi", help="The service's name.")
    resource: dict[str, str] = option(  # noqa: RUF009
        factory=dict, help="Further attributes of what is measured, by name."
    )
    buckets: tuple[float, ...] = option(
        BOUNDS, help="Upper bounds of the buckets that durations are counted in, in seconds.", converter=checked
    )
    usage: bool = option(False, help="Also measure the processor time and memory of nodes.")
    _store: Store[Buckets] = attrs.field(init=False, repr=False)
    _exporter: Any = attrs.field(init=False, repr=False)
    _resource: Any = attrs.field(init=False, repr=False)
    _begin: int = attrs.field(factory=time.time_ns, init=False, repr=False)
    _sending: threading.Lock = attrs.field(factory=threading.Lock, init=False, repr=False)
    _closed: bool = attrs.field(default=False, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._store = Store(partial(Buckets, self.buckets))
        self._resource = resource(self.service, self.resource)
        self._exporter = Collector(self.endpoint, self.protocol, self.headers, self.timeout).exporter("metric")

    def record(self, measurements: Sequence[Measurement]) -> None:
        """Take measurements.

        Raises:
            ValueError: it cannot take one of them, for what that means; it has taken the others.
        """
        if not self._closed:
            self._store.record(measurements)

    def flush(self) -> None:
        """Send all series as they are.

        Raises:
            Transient: the collector cannot be reached within the timeout, or refuses.
        """
        from opentelemetry.sdk.metrics.export import MetricExportResult

        with self._sending:
            found = self._store.read()
            if self._closed or not found:
                return
            sent = self._exporter.export(self._data(found), timeout_millis=self.timeout * 1000)
        if sent is not MetricExportResult.SUCCESS:
            address = Collector(self.endpoint, self.protocol, {}, self.timeout).address
            raise Transient(
                "the collector cannot be reached, or refuses what is measured",
                where=address,
                remedy="Look whether it runs there, speaks this protocol, and wants a header.",
            )

    def export(self) -> list[dict[str, Any]]:
        """A mapping a series: ``name``, ``kind``, ``labels``, and ``value`` or ``count`` and ``sum``."""
        return list(rows(self._store.read()))

    def close(self) -> None:
        """Flush; what is recorded afterwards is ignored."""
        if self._closed:
            return
        try:
            self.flush()
        finally:
            self._closed = True
            self._exporter.shutdown()

    def _data(self, found: Sequence[Series[Buckets]]) -> MetricsData:
        from opentelemetry.sdk.metrics.export import MetricsData, ResourceMetrics, ScopeMetrics
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope

        from odibi_metrics import __version__

        families: dict[str, list[Series[Buckets]]] = {}
        for each in found:
            families.setdefault(each.name, []).append(each)
        now = time.time_ns()
        metrics = [self._metric(name, members, now) for name, members in families.items()]
        scope = ScopeMetrics(InstrumentationScope("odibi", __version__), metrics, "")
        return MetricsData([ResourceMetrics(self._resource, [scope], "")])

    def _metric(self, name: str, members: Sequence[Series[Buckets]], now: int) -> Metric:
        from opentelemetry.sdk.metrics.export import (
            AggregationTemporality,
            Gauge,
            Histogram,
            HistogramDataPoint,
            Metric,
            NumberDataPoint,
            Sum,
        )

        data: Sum | Gauge | Histogram
        cumulative = AggregationTemporality.CUMULATIVE
        if members[0].observed is not None:
            points = []
            for each in members:
                seen = each.observed
                assert seen is not None
                points.append(
                    HistogramDataPoint(
                        sendable(each), self._begin, now, seen.count, seen.total, seen.counts, seen.bounds,
                        seen.least, seen.most,
                    )
                )  # fmt: skip
            data = Histogram(points, cumulative)
        else:
            numbers = [NumberDataPoint(sendable(each), self._begin, now, each.value) for each in members]
            is_sum = members[0].kind is Kind.COUNTER
            data = Sum(numbers, cumulative, is_monotonic=True) if is_sum else Gauge(numbers)
        return Metric(name, meaning(name), unit(name), data)


def unit(name: str) -> str:
    """A metric's unit, as UCUM writes it."""
    known = BY_NAME.get(name)
    if known is None:
        return ""
    return _UNITS.get(known.unit) or f"{{{known.unit}}}"
