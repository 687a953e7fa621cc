"""What is installed, as a table or as JSON; without click, since listing plugins is to cost next to nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from odibi.host import Host

if TYPE_CHECKING:
    from odibi.host import PluginInfo


def listing(*, as_json: bool) -> str:
    """What ``odibi plugins`` prints."""
    host = Host()
    if as_json:
        infos = [info._asdict() for info in host.plugins()]
        return json.dumps({"plugins": infos, "conflicts": host.conflicts()}) + "\n"
    conflicts = [f"conflict: {_one_line(conflict)}" for conflict in host.conflicts()]
    return "\n".join([_table(host.plugins()), *conflicts]) + "\n"


def _table(infos: list[PluginInfo]) -> str:
    """A row a plugin, with what it offers, or why it does not, below it."""
    rows = [("DISTRIBUTION", "VERSION", "STATUS", "LOAD", "LOCATION")]
    rows += [(info.distribution, info.version, info.status, f"{info.load_ms:.1f} ms", info.location) for info in infos]
    rows = [tuple(map(_one_line, row)) for row in rows]  # type: ignore[misc]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = []
    for number, (name, version, status, load, location) in enumerate(rows):
        cells = [name.ljust(widths[0]), version.ljust(widths[1]), status.ljust(widths[2]), load.rjust(widths[3])]
        lines.append("  ".join([*cells, location]).rstrip())
        if number:
            lines += [f"    {what:<10} {_one_line(said)}" for what, said in _details(infos[number - 1])]
    return "\n".join(lines)


def _details(info: PluginInfo) -> list[tuple[str, str]]:
    details = [(family, ", ".join(names)) for family, names in info.families.items() if names]
    details += [(what, said) for what, said in (("cause", info.cause), ("remedy", info.remedy)) if said]
    details += [("remark", remark) for remark in info.remarks]
    details += [("printed", info.printed)] if info.printed else []
    return details


def _one_line(text: str) -> str:
    """A plugin's own words, kept from writing over the table."""
    return text if text.isprintable() else "".join(char if char.isprintable() else " " for char in text)
