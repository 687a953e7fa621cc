"""A file that becomes an object: one PUT if it stays small, a multipart upload if it does not."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from odibi_s3_sim.answers import Part, Upload, Written
from odibi_s3_sim.failures import mapped

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

    from odibi.contracts.storage import When
    from odibi_s3_sim.client import Client

_GROWTH = 1000
"""Parts after which they get twice as large: S3 takes 10,000, and an object may have 5 TiB."""


class ObjectWriter(io.RawIOBase):
    """Takes the bytes of one object, and holds one part of them in memory.

    Args:
        client: does the requests.
        key: of the object.
        path: to call it in an error.
        part_size: bytes of a part.
    """

    def __init__(self, client: Client, key: str, path: str, part_size: int) -> None:
        super().__init__()
        self._client = client
        self._key = key
        self._path = path
        self._part_size = part_size
        self._held = bytearray()
        self._size = 0
        self._upload: Upload | None = None
        self._name = ""
        self._parts: list[Part] = []
        self._failure: BaseException | None = None

    def writable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Bytes written so far."""
        return self._size

    def write(self, data: ReadableBuffer, /) -> int:
        """Take all of ``data``.

        Raises:
            StorageError: a part cannot be uploaded; nor does anything become an object then.
        """
        if self.closed:
            raise ValueError("write to closed file")
        if self._failure is not None:
            raise self._failure
        view = memoryview(data).cast("B")
        at = 0
        try:
            while at < len(view):
                limit = self._limit
                if len(self._held) == limit:
                    self._send()
                    continue
                piece = view[at : at + limit - len(self._held)]
                self._held += piece
                at += len(piece)
        except BaseException as error:
            self._failure = error
            raise
        self._size += len(view)
        return len(view)

    def finish(self, when: When) -> Written:
        """Make it the object.

        Raises:
            StorageError: it cannot be; what was uploaded is removed.
        """
        if self._failure is not None:
            raise self._failure
        try:
            if self._upload is None:
                with mapped(self._path, writes=True):
                    return self._client.put(self._key, bytes(self._held), when)
            if self._held:
                self._send()
            with mapped(self._path, writes=True):
                parts = [(part.number, part.etag) for part in self._parts]
                return self._client.complete_upload(self._upload, self._name, parts, when)
        except BaseException as error:
            self._failure = error
            raise

    def discard(self) -> None:
        """Remove what was uploaded."""
        upload, self._upload = self._upload, None
        if upload is not None:
            with mapped(self._path):
                self._client.abort_upload(upload)

    @property
    def _limit(self) -> int:
        return int(self._part_size * 2 ** (len(self._parts) // _GROWTH))

    def _send(self) -> None:
        with mapped(self._path):
            if self._upload is None:
                self._upload, self._name = self._client.create_upload(self._key)
            self._parts.append(self._client.upload_part(self._upload, len(self._parts) + 1, bytes(self._held)))
        self._held.clear()
