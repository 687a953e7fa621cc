"""The plugin as a whole under its conformance suite."""

from __future__ import annotations

import subprocess
import sys

from odibi.testing.plugin import PluginSuite


class TestPlugin(PluginSuite):
    plugin = "alerts"


def test_a_run_waits_for_no_import() -> None:
    """What sends is imported by the thread that does; what is built before a run begins is light."""
    heavy = ["ssl", "smtplib", "http.client", "urllib.request", "email.message"]
    alerts = ", ".join(f"odibi_alerts.{name}" for name in ("slack", "teams", "webhook", "mail"))
    code = f"import sys, {alerts}; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
