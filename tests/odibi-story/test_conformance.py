"""The plugin and its observer under their conformance suites."""

from __future__ import annotations

from odibi.testing.plugin import PluginSuite
from odibi_story.conformance import StorySuite


class TestPlugin(PluginSuite):
    plugin = "story"


class TestStory(StorySuite):
    pass
