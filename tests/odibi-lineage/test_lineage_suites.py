"""The conformance suite on the observer, and the plugin as a whole under its own."""

from __future__ import annotations

import subprocess
import sys

from odibi.testing.plugin import PluginSuite
from odibi_lineage.conformance import OpenLineageSuite


class TestOpenLineage(OpenLineageSuite):
    pass


class TestPlugin(PluginSuite):
    plugin = "lineage"


del OpenLineageSuite


def test_a_run_waits_for_no_import() -> None:
    """What sends is imported by the thread that does; what is built before a run begins is light."""
    heavy = ["openlineage", "requests", "ssl", "http.client"]
    code = f"import sys, odibi_lineage.observer; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
