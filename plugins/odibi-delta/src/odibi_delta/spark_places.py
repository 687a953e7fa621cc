"""Where a table is, in the words of Spark."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from odibi_delta.location import Location, location_of

if TYPE_CHECKING:
    from odibi.contracts.format import Source, Target

_HADOOP = frozenset(
    {"file", "s3", "s3a", "abfs", "abfss", "wasb", "wasbs", "hdfs", "viewfs", "webhdfs", "gs", "dbfs", "oss"}
)
"""Whose addresses Spark understands."""

_RAW = {
    # Without a file of sums beside each file: delta-rs replaces files and knows nothing of their sums.
    "fs.file.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
    "fs.file.impl.disable.cache": "true",
    "fs.AbstractFileSystem.file.impl": "org.apache.hadoop.fs.local.RawLocalFs",
}


def place_of(what: Source | Target) -> Location:
    """Where a node reads or writes.

    Raises:
        DataError: it names no path, or Spark cannot go there.
        InvalidPath: the path could leave the storage.
    """
    return location_of(what, _HADOOP, "spark")


def address(place: Location) -> str:
    """What Spark calls it."""
    uri = place.storage.uri(place.path)
    scheme = urlsplit(uri).scheme
    if scheme == "file":
        return unquote(uri)  # Hadoop takes a percent sign for one
    return f"s3a{uri[2:]}" if scheme == "s3" else uri


def settings(place: Location) -> dict[str, str]:
    """What Hadoop needs to get there; given with each reading and writing, so that it counts for that alone."""
    found = {name: value for name, value in place.options.items() if name != "packages"}
    if place.scheme == "file":
        found.update(_RAW)
    elif place.scheme in ("s3", "s3a"):
        # A file system that was opened before, for the same bucket with other keys, is another one.
        found.setdefault("fs.s3a.impl.disable.cache", "true")
    return found


def quoted(name: str) -> str:
    """A name as it stands in SQL."""
    return "`" + name.replace("`", "``") + "`"
