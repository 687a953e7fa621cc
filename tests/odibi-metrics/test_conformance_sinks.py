"""The sinks that keep what they are told, under the conformance suite."""

from __future__ import annotations

from odibi_metrics.conformance import MemorySuite, PrometheusSuite


class TestMemory(MemorySuite):
    pass


class TestPrometheus(PrometheusSuite):
    pass


del MemorySuite, PrometheusSuite
