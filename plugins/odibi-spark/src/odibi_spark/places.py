"""Where data lies, in the words of Spark: addresses, and what it takes to get there."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from odibi.errors import DataError

if TYPE_CHECKING:
    from odibi.contracts.storage import Storage

_RAW = {
    # Without files of sums beside each file; formats have sums of their own.
    "fs.file.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
    "fs.file.impl.disable.cache": "true",
}


def address(storage: Storage, path: str) -> str:
    """What Spark calls a place in a storage.

    Raises:
        DataError: Spark cannot go there.
    """
    uri = storage.uri(path)
    scheme = uri.partition(":")[0]
    if scheme == "file":
        return unquote(uri)  # Hadoop takes a percent sign for one
    if scheme == "s3":
        return "s3a" + uri[2:]
    if scheme not in ("s3a", "abfs", "abfss", "wasb", "wasbs", "hdfs", "viewfs", "webhdfs", "gs", "dbfs", "oss"):
        raise DataError(
            f"Spark cannot go to {scheme}: it reads and writes by address, and not through a connection",
            where=uri,
            remedy="Run the node on another engine, or use a connection to a place that Spark can reach.",
        )
    return uri


def remove_empty(storage: Storage, path: str) -> None:
    """Remove folders without anything in them: they are no objects, but Spark leaves them in a file system."""
    uri = storage.uri(path)
    if not uri.startswith("file:"):
        return
    top = unquote(uri.removeprefix("file://"))
    for folder, _, _ in os.walk(top, topdown=False):
        with suppress(OSError):  # there is something in it
            Path(folder).rmdir()


def settings(storage: Storage) -> dict[str, str]:
    """What Hadoop needs to get there; given with each reading and writing, so that it counts for that alone."""
    found = {name: str(value) for name, value in storage.native_options("spark").items() if name != "packages"}
    if storage.uri("").startswith("file:"):
        found.update(_RAW)
    elif storage.uri("").startswith("s3"):
        # A file system that was opened before, for the same bucket with other keys, is another one.
        found.setdefault("fs.s3a.impl.disable.cache", "true")
    return found
