"""What ``pytest --odibi-conformance`` runs: every installed plugin, and every component that has a suite."""

from __future__ import annotations

import re

from odibi.contracts import FAMILIES
from odibi.host import Host
from odibi.testing.plugin import PluginSuite


def _identifier(text: str) -> str:
    return re.sub(r"\W+", "_", text)


def _tests() -> dict[str, type]:
    host = Host()
    found: dict[str, type] = {}
    for info in host.plugins():
        if info.module == "odibi.builtin" or info.status == "blocked":
            continue
        name = f"TestPlugin_{_identifier(info.name)}"
        found[name] = type(name, (PluginSuite,), {"plugin": info.name, "__module__": __name__})
        for full in info.families.get("suite", ()):
            name = f"Test_{_identifier(full)}"
            found[name] = type(name, (host.component("suite", full),), {"__module__": __name__})
    return found


def without_suite(host: Host) -> list[str]:
    """The components for which no plugin brings a suite, as ``"family.name"``."""
    covered = set(host.names("suite"))
    return [full for family in FAMILIES for name in host.names(family) if (full := f"{family}.{name}") not in covered]


globals().update(_tests())
