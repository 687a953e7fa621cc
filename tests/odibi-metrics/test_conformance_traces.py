"""The observer under the conformance suite."""

from __future__ import annotations

from odibi_metrics.conformance_traces import OtelTracesSuite


class TestTraces(OtelTracesSuite):
    pass


del OtelTracesSuite
