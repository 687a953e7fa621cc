"""Where a table is, in the words of those who go there directly."""

from __future__ import annotations

import re
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit
from uuid import uuid4
from weakref import WeakSet

import attrs

from odibi.contracts.storage import ABSENT, check_path
from odibi.errors import DataError, InvalidPath
from odibi_delta.log import FOLDER, Log

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from odibi.contracts.format import Source, Target
    from odibi.contracts.storage import Storage

DELTA_RS = frozenset({"file", "s3", "s3a", "az", "azure", "abfs", "abfss", "adl", "gs"})
"""Whose addresses delta-rs understands as Odibi's storages do."""

_S3 = ("s3", "s3a")
_CONDITIONAL = ("aws_conditional_put", "conditional_put")
_UNSAFE = ("aws_s3_allow_unsafe_rename", "allow_unsafe_rename")

_NO_ADDRESS = re.compile(r"[\[\]|^\x00-\x1f\x7f]|%[0-9A-Fa-f]{2}")
"""What delta-rs cannot have in an address, or takes for something else."""

_probed: WeakSet[Any] = WeakSet()
_lock = threading.Lock()


@attrs.frozen
class Location:
    """A table's place.

    Attributes:
        storage: the connection.
        path: of the table in it.
        where: what errors call it.
        uri: its address.
        options: what delta-rs needs beside that.
    """

    storage: Storage = attrs.field(repr=False)
    path: str
    where: str
    uri: str
    options: Mapping[str, str] = attrs.field(repr=False)

    @property
    def log(self) -> Log:
        """The table's log."""
        return Log(self.storage, self.path, self.where)

    @property
    def scheme(self) -> str:
        """Of the address."""
        return urlsplit(self.uri).scheme

    def check_writable(self) -> None:
        """Refuse a place where of two writers both could believe to have won.

        Raises:
            DataError: the connection's options would not have the server decide who was first.
            StorageError: the server does not decide, though it was asked to.
        """
        if self.scheme not in _S3:
            return
        given = {name.lower(): value.lower() for name, value in self.options.items()}
        put = next((given[name] for name in _CONDITIONAL if name in given), "etag")
        locked = given.get("aws_s3_locking_provider") == "dynamodb"
        if any(given.get(name) == "true" for name in _UNSAFE) or (put != "etag" and not locked):
            raise DataError(
                "the connection would write without conditions, so that one writer could undo another's commit",
                where=self.where,
                remedy="Let its options for delta have aws_conditional_put: etag, and no unsafe rename.",
            )
        if any(name in given for name in ("aws_endpoint_url", "aws_endpoint")):
            self._probe()

    def _probe(self) -> None:
        """Let the storage try a conditional write: it refuses where it found that the server does not heed them."""
        with _lock:
            if self.storage in _probed:
                return
        path = f"{self.path}/{FOLDER}/.probe-{uuid4().hex}.tmp"
        self.storage.write(path, b"", when=ABSENT)
        self.storage.delete(path)
        with _lock, suppress(TypeError):  # what cannot be remembered is tried again
            _probed.add(self.storage)


def location_of(what: Source | Target, schemes: Collection[str] = DELTA_RS, reader: str = "delta") -> Location:
    """Where a node reads or writes; see :func:`location`.

    Raises:
        DataError: it names no path, or nobody can go there directly.
        InvalidPath: the path could leave the storage.
    """
    if what.path is None:
        raise DataError(
            f"the format {what.format_name!r} has a table at a path, but the node names none",
            where=str(what),
            remedy="Give 'path'.",
        )
    return location(what.storage, what.path, str(what), schemes, reader)


def location(
    storage: Storage, path: str, where: str, schemes: Collection[str] = DELTA_RS, reader: str = "delta"
) -> Location:
    """The table at a path of a storage.

    Args:
        storage: the connection.
        path: in it.
        where: what errors call the table.
        schemes: the addresses to which the reader can go.
        reader: who goes there, as storages call it.

    Raises:
        DataError: nobody can go there directly.
        InvalidPath: the path could leave the storage.
    """
    path = check_path(path)
    if not path:
        raise InvalidPath("a table needs a folder of its own", where=where, remedy="Give the path of a folder.")
    uri = storage.uri(path)
    scheme = urlsplit(uri).scheme
    if scheme not in schemes:
        raise DataError(
            f"Delta tables cannot be in a storage whose addresses begin with {scheme}://",
            where=where,
            remedy="Use a connection to local files, S3, Azure or Google Cloud Storage.",
        )
    parts = urlsplit(uri)
    # The address of a file has the folder of the connection in it, which may be called anything.
    if found := _NO_ADDRESS.search(unquote(parts.path) if scheme == "file" else path):
        raise InvalidPath(
            f"a Delta table cannot be in a folder with {found[0]!r} in its name",
            where=where,
            remedy="Use letters, digits, '_', '-', '.' and '='.",
        )
    if scheme in _S3:
        # These addresses have their keys as they are; read as URLs, they would end at a '#' or a '?'.
        bucket, _, key = uri.partition("://")[2].partition("/")
        uri = f"{scheme}://{bucket}/{quote(key, safe='/=')}"
    options = {
        str(name): str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in storage.native_options(reader).items()
    }
    return Location(storage, path, where, uri, options)
