"""The sinks that send what they are told, under the conformance suite."""

from __future__ import annotations

from odibi_metrics.conformance_sent import OtelSuite, StatsdSuite


class TestOtel(OtelSuite):
    pass


class TestStatsd(StatsdSuite):
    pass


del OtelSuite, StatsdSuite
