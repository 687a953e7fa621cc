"""Which format a path means."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from odibi.host import Host


def format_of(host: Host, path: str, engine: str) -> str | None:
    """The format whose ending ``path`` has, the longest ending first; ``None`` if none has.

    Args:
        host: knows the formats.
        path: of an object, or a glob.
        engine: whose formats are asked, besides those that work for any.
    """
    name = PurePosixPath(path).name.lower()
    best: tuple[str, str | None] = ("", None)
    for full in host.names("format"):
        owner, _, short = full.rpartition(".")
        if owner not in ("", engine):
            continue
        for ending in host.constant("format", full, "extensions", ()):
            if name.endswith(ending) and len(ending) > len(best[0]):
                best = (ending, short)
    return best[1]
