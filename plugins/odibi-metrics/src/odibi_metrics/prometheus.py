"""The sink for ``type: prometheus``: scraped from the service, from a port of its own, from a file, or pushed."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from odibi.contracts.metric import Kind
from odibi.contracts.options import option
from odibi.contracts.secret import Secret
from odibi_metrics.addresses import plain_url, port, seconds
from odibi_metrics.buckets import BOUNDS, Buckets, checked
from odibi_metrics.files import replaced
from odibi_metrics.series import Store, meaning, rows, sendable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric

    from odibi.contracts.metric import Measurement
    from odibi_metrics.series import Series


@attrs.define(eq=False)
class PrometheusSink:
    """Shows what is measured to Prometheus.

    ``odibi serve`` has it on its page ``/metrics`` without further options. Elsewhere, where runs are short, a file for
    node_exporter or a Pushgateway holds it after the process has ended.
    """

    port: int | None = option(
        None,
        help="Listen on this port of the machine for whoever scrapes; 0 is any that is free. By default none.",
        validator=port,
    )
    host: str = option("127.0.0.1", help="The address to listen on; by default only this machine reaches it.")
    textfile: Path | None = option(  # noqa: RUF009
        None,
        help="A file, ending in .prom, for the textfile collector of node_exporter; written at the end of each run.",
        is_path=True,
        converter=attrs.converters.optional(Path),
    )
    pushgateway: str = option(
        "", help="The address of a Pushgateway, to which is pushed at the end of each run.", validator=plain_url
    )
    job: str = option("odibi", help="The job under which is pushed.")
    grouping: dict[str, str] = option(  # noqa: RUF009
        factory=dict, help="Further labels of the group that is pushed to, such as the instance."
    )
    user: str = option("", help="For the Pushgateway.")
    password: Secret | None = option(None, help="For the Pushgateway.", secret=True)  # noqa: RUF009
    timeout: float = option(5.0, help="Seconds that a push may take.", validator=seconds)
    buckets: tuple[float, ...] = option(
        BOUNDS, help="Upper bounds of the buckets that durations are counted in, in seconds.", converter=checked
    )
    usage: bool = option(False, help="Also measure the processor time and memory of nodes.")
    _store: Store[Buckets] = attrs.field(init=False, repr=False)
    _registry: Any = attrs.field(default=None, init=False, repr=False)
    _server: Any = attrs.field(default=None, init=False, repr=False)
    _sending: threading.Lock = attrs.field(factory=threading.Lock, init=False, repr=False)
    _closed: bool = attrs.field(default=False, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._store = Store(partial(Buckets, self.buckets))
        if self.port is not None:
            from odibi_metrics.scraped import listen

            self._server = listen(self.registry, self.host, self.port)

    @property
    def registry(self) -> CollectorRegistry:
        """What prometheus_client reads it from; of this sink alone."""
        if self._registry is None:
            from prometheus_client import CollectorRegistry

            registry = CollectorRegistry(auto_describe=False)
            registry.register(_Collected(self._store))
            self._registry = registry
        found: CollectorRegistry = self._registry
        return found

    @property
    def url(self) -> str:
        """Where it listens; empty if it does not."""
        return self._server.url if self._server is not None else ""

    def record(self, measurements: Sequence[Measurement]) -> None:
        """Take measurements.

        Raises:
            ValueError: it cannot take one of them, for what that means; it has taken the others.
        """
        if not self._closed:
            self._store.record(measurements)

    def flush(self) -> None:
        """Write the file and push, where that was asked for.

        Raises:
            StorageError: the file cannot be written.
            Transient: the Pushgateway cannot be reached, or refuses.
        """
        if self._closed:
            return
        with self._sending:
            if self.textfile is not None:
                replaced(self.textfile, self.scrape())
            if self.pushgateway:
                from odibi_metrics.scraped import push

                auth = (self.user, self.password) if self.password is not None else None
                push(self.registry, self.pushgateway, self.job, self.grouping, self.timeout, auth)

    def scrape(self) -> str:
        """What it holds, in Prometheus' text format 0.0.4."""
        from prometheus_client import generate_latest

        return generate_latest(self.registry).decode("utf-8")

    def export(self) -> list[dict[str, Any]]:
        """A mapping a series: ``name``, ``kind``, ``labels``, and ``value`` or ``count`` and ``sum``."""
        return list(rows(self._store.read()))

    def close(self) -> None:
        """Flush, and listen no more; what is recorded afterwards is ignored."""
        try:
            self.flush()
        finally:
            self._closed = True
            server, self._server = self._server, None
            if server is not None:
                server.close()


class _Collected:
    """What a registry collects: the series of a store, by their names."""

    def __init__(self, store: Store[Buckets]) -> None:
        self._store = store

    def collect(self) -> Iterable[Metric]:
        """One metric a name."""
        from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
        from prometheus_client.utils import floatToGoString

        families: dict[str, list[Series[Buckets]]] = {}
        for each in self._store.read():
            families.setdefault(each.name, []).append(each)
        for name, members in families.items():
            kind = members[0].kind
            text = meaning(name)
            family: Metric
            if kind is Kind.COUNTER:
                family = CounterMetricFamily(name, text)
                total = f"{name.removesuffix('_total')}_total"
                for each in members:
                    family.add_sample(total, sendable(each), each.value)
            elif kind is Kind.GAUGE:
                family = GaugeMetricFamily(name, text)
                for each in members:
                    family.add_sample(name, sendable(each), each.value)
            else:
                family = HistogramMetricFamily(name, text)
                for each in members:
                    assert each.observed is not None
                    _histogram(family, name, sendable(each), each.observed, floatToGoString)
            yield family


def _histogram(family: Metric, name: str, said: dict[str, str], found: Buckets, words: Any) -> None:
    upto = 0
    for bound, count in zip((*found.bounds, float("inf")), found.counts, strict=True):
        upto += count
        family.add_sample(f"{name}_bucket", {**said, "le": words(bound)}, upto)
    family.add_sample(f"{name}_count", said, found.count)
    family.add_sample(f"{name}_sum", said, found.total)
