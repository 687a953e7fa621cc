"""Both components, and the plugin as a whole, under the conformance suites."""

from __future__ import annotations

from odibi.testing.plugin import PluginSuite
from odibi_objects.conformance import StorageCacheSuite, StorageCheckpointsSuite


class TestStorageCache(StorageCacheSuite):
    pass


class TestStorageCheckpoints(StorageCheckpointsSuite):
    pass


class TestPlugin(PluginSuite):
    plugin = "objects"
