"""The kernel's own plugin: what is there with nothing else installed."""

from __future__ import annotations

from odibi import hookimpl


@hookimpl
def odibi_executors() -> dict[str, str]:
    """Running nodes one after another, or on threads."""
    return {
        "inline": "odibi.run.executors:InlineExecutor",
        "threads": "odibi.run.executors:ThreadsExecutor",
    }
