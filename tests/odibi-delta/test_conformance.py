"""The format under its suite, and the plugin as a whole."""

from __future__ import annotations

from odibi.testing.plugin import PluginSuite
from odibi_delta.conformance import PandasDeltaSuite


class TestPandasDelta(PandasDeltaSuite):
    pass


class TestPlugin(PluginSuite):
    plugin = "delta"
