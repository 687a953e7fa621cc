"""The plugin as a whole under its conformance suite."""

from __future__ import annotations

from odibi.testing.plugin import PluginSuite


class TestPlugin(PluginSuite):
    plugin = "metrics"
