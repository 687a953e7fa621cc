"""A cache and a checkpoint store over any storage, for runs on several machines."""

from __future__ import annotations

from odibi import hookimpl

__version__ = "0.1.0"
ODIBI_API = ">=1.0,<2"


@hookimpl
def odibi_caches() -> dict[str, str]:
    """The cache for ``type: storage``."""
    return {"storage": "odibi_objects.cache:StorageCache"}


@hookimpl
def odibi_checkpoints() -> dict[str, str]:
    """The checkpoint store for ``type: storage``."""
    return {"storage": "odibi_objects.checkpoint:StorageCheckpoints"}


@hookimpl
def odibi_suites() -> dict[str, str]:
    """The conformance suites for both."""
    return {
        "cache.storage": "odibi_objects.conformance:StorageCacheSuite",
        "checkpoint.storage": "odibi_objects.conformance:StorageCheckpointsSuite",
    }
