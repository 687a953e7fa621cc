"""Local files for Odibi."""

from __future__ import annotations

from odibi import hookimpl

__version__ = "0.1.0"
ODIBI_API = ">=1.0,<2"


@hookimpl
def odibi_storages() -> dict[str, str]:
    """The storage for ``type: local``."""
    return {"local": "odibi_local.storage:LocalStorage"}
