"""The suites of the storage contract, and of the plugin as a whole."""

from __future__ import annotations

from odibi.testing.plugin import PluginSuite
from odibi_s3_sim.conformance import (
    FaultySimulatedS3Suite,
    MemorySimulatedS3Suite,
    SimulatedS3Suite,
    VersionedSimulatedS3Suite,
)


class TestPlugin(PluginSuite):
    plugin = "s3-sim"


class TestFolder(SimulatedS3Suite):
    pass


class TestMemory(MemorySimulatedS3Suite):
    pass


class TestVersions(VersionedSimulatedS3Suite):
    pass


class TestFaults(FaultySimulatedS3Suite):
    pass
