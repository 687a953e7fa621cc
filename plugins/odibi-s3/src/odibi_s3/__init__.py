"""Amazon S3 and compatible servers for Odibi."""

from __future__ import annotations

from odibi import hookimpl

__version__ = "0.1.0"
ODIBI_API = ">=1.0,<2"


@hookimpl
def odibi_storages() -> dict[str, str]:
    """The storage for ``type: s3``."""
    return {"s3": "odibi_s3.storage:S3Storage"}


@hookimpl
def odibi_suites() -> dict[str, str]:
    """What the storage is held to, on the server that the environment names."""
    return {"storage.s3": "odibi_s3.conformance:S3Suite"}
