"""The conformance suite on the observer, and the plugin as a whole under its own."""

from __future__ import annotations

from odibi.testing.plugin import PluginSuite
from odibi_lineage.conformance import OpenLineageSuite


class TestOpenLineage(OpenLineageSuite):
    pass


class TestPlugin(PluginSuite):
    plugin = "lineage"


del OpenLineageSuite
