"""An object as a file: bytes are fetched in ranges, larger ones the longer they are read in order."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

from odibi.errors import Transient
from odibi_s3_sim.errors import S3Error
from odibi_s3_sim.failures import mapped

if TYPE_CHECKING:
    from odibi_s3_sim.answers import Got
    from odibi_s3_sim.client import Client

FIRST = 1 << 20
"""Bytes of the first request; what is smaller than that takes no other. They come in an eighth of the time that S3
takes to answer at all."""

_LARGEST = 1 << 23


class ObjectReader(io.RawIOBase):
    """Reads one version of an object.

    An object that is replaced while it is read can be read on where the bucket has versions; elsewhere reading on is
    an error that can be retried, and never a mixture of two objects.

    Args:
        client: does the requests.
        key: of the object.
        path: to call it in an error.

    Raises:
        NotFound: there is none.
    """

    def __init__(self, client: Client, key: str, path: str) -> None:
        super().__init__()
        self._client = client
        self._key = key
        self._path = path
        self._at = 0
        self._wanted = FIRST
        self._given = False
        with mapped(path):
            self._pin(self._first())

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Where the next byte comes from."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go to another place; that alone asks for nothing."""
        self._check_open()
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}.get(whence)
        if base is None:
            raise ValueError(f"{whence!r} is no place to seek from")
        if base + offset < 0:
            raise ValueError(f"there is no byte {base + offset}")
        self._at = base + offset
        self._given = self._given or whence == os.SEEK_END  # that told the size
        return self._at

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Fill the buffer, or as much of it as there is in one piece."""
        self._check_open()
        target = memoryview(buffer).cast("B")
        if not target or self._at >= self._size:
            return 0
        if not self._begin <= self._at < self._begin + len(self._held):
            self._fetch(len(target))
        start = self._at - self._begin
        piece = self._held[start : start + len(target)]
        target[: len(piece)] = piece
        self._at += len(piece)
        self._given = True
        return len(piece)

    def readall(self) -> bytes:
        """All that follows, with one request for what is not here yet.

        If nothing was read before, an object that is replaced meanwhile is no obstacle: it is the new one then.
        """
        self._check_open()
        while True:
            held = self._held[max(0, self._at - self._begin) :] if self._begin <= self._at else b""
            here = self._at + len(held)
            try:
                rest = self._range(here, self._size - here) if here < self._size else b""
            except Transient:
                if self._given:
                    raise
                with mapped(self._path):
                    self._pin(self._client.get(self._key))
                continue
            self._at = max(self._at, self._size)
            self._given = True
            return held + rest

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")

    def _first(self) -> Got:
        try:
            return self._client.get(self._key, 0, FIRST)
        except S3Error as error:
            if error.code != "InvalidRange":
                raise
            return self._client.get(self._key)  # an empty object has no range

    def _pin(self, got: Got) -> None:
        """Stay with this version from now on."""
        self._version = got.version
        self._version_id = got.version_id or ""
        self._size = got.version.size
        self._begin, self._held = 0, got.body

    def _fetch(self, least: int) -> None:
        in_order = self._at == self._begin + len(self._held)
        self._wanted = min(self._wanted * 2, _LARGEST) if in_order else FIRST
        self._held = self._range(self._at, min(max(self._wanted, least), self._size - self._at))
        self._begin = self._at

    def _range(self, first: int, size: int) -> bytes:
        with mapped(self._path):
            try:
                return self._client.get(self._key, first, size, self._version, self._version_id).body
            except S3Error as error:
                if error.code not in ("PreconditionFailed", "NoSuchVersion", "InvalidRange"):
                    raise
                raise Transient(
                    "the object was replaced while it was read", where=self._path, remedy="Open it again."
                ) from error
