"""What runs of Odibi measure, kept in memory or sent to Prometheus, OpenTelemetry or StatsD."""

from __future__ import annotations

from odibi import hookimpl

__version__ = "0.1.0"
ODIBI_API = ">=1.0,<2"


@hookimpl
def odibi_metrics() -> dict[str, str]:
    """The metric sinks by their ``type``."""
    return {
        "memory": "odibi_metrics.memory:MemorySink",
        "prometheus": "odibi_metrics.prometheus:PrometheusSink",
        "otel": "odibi_metrics.otel:OtelSink",
        "statsd": "odibi_metrics.statsd:StatsdSink",
    }


@hookimpl
def odibi_observers() -> dict[str, str]:
    """The observers by their ``type``."""
    return {"otel": "odibi_metrics.traces:OtelTraces"}


@hookimpl
def odibi_commands() -> dict[str, str]:
    """``odibi metrics``: what comes with the package for Grafana and Prometheus."""
    return {"metrics": "odibi_metrics.cli:metrics"}


@hookimpl
def odibi_suites() -> dict[str, str]:
    """The conformance suites for them."""
    return {
        "metric.memory": "odibi_metrics.conformance:MemorySuite",
        "metric.prometheus": "odibi_metrics.conformance:PrometheusSuite",
        "metric.otel": "odibi_metrics.conformance_sent:OtelSuite",
        "observer.otel": "odibi_metrics.conformance_traces:OtelTracesSuite",
        "metric.statsd": "odibi_metrics.conformance_sent:StatsdSuite",
    }
