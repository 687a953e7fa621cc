"""Names of columns in SQL."""

from __future__ import annotations


def quoted(name: str) -> str:
    """An identifier for SQL that means exactly ``name``, whatever stands in it."""
    return '"' + name.replace('"', '""') + '"'
