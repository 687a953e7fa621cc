"""Local files for Odibi."""

from __future__ import annotations

from odibi import hookimpl

__version__ = "0.1.0"
ODIBI_API = ">=1.0,<2"


@hookimpl
def odibi_storages() -> dict[str, str]:
    """The storage for ``type: local``."""
    return {"local": "odibi_local.storage:LocalStorage"}


@hookimpl
def odibi_caches() -> dict[str, str]:
    """The cache for ``type: disk``."""
    return {"disk": "odibi_local.cache:DiskCache"}


@hookimpl
def odibi_checkpoints() -> dict[str, str]:
    """The checkpoint store for ``type: sqlite``."""
    return {"sqlite": "odibi_local.checkpoints:SqliteCheckpoints"}


@hookimpl
def odibi_suites() -> dict[str, str]:
    """What ``pytest --odibi-conformance`` runs on them."""
    return {
        "storage.local": "odibi_local.conformance:LocalStorageSuite",
        "cache.disk": "odibi_local.conformance:DiskCacheSuite",
        "checkpoint.sqlite": "odibi_local.conformance:SqliteCheckpointsSuite",
    }
