"""An entry's content while it is written: checked on its way into a file that nobody sees yet."""

from __future__ import annotations

import fcntl
import io
import os
from contextlib import suppress
from secrets import token_hex
from typing import TYPE_CHECKING

import xxhash

from odibi.errors import StorageError
from odibi_local.failures import mapped

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from _typeshed import ReadableBuffer

ALGORITHM = "xxh3-128"

_BUFFER = 1 << 18
_CHUNK = 1 << 22
"""Bytes that are digested and then written at once, up to a multiple of them: they fit into a processor's cache, so
memory is read once; and Linux keeps what is written in large, aligned pieces in large pages, which take half the time
to map for the one who reads them."""
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class _Sink(io.RawIOBase):
    """Writes to a file descriptor, digests what it writes, and refuses to grow beyond a limit."""

    def __init__(self, handle: int, where: str, limit: int | None) -> None:
        super().__init__()
        self.digest = xxhash.xxh3_128()
        self.size = 0
        self.failure: StorageError | None = None
        self._handle = handle
        self._where = where
        self._limit = limit

    def writable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Bytes written so far."""
        return self.size

    def write(self, data: ReadableBuffer, /) -> int:
        """Write all of ``data``.

        Raises:
            StorageError: it cannot be written; nor can anything that comes after it.
        """
        if self.failure is not None:
            raise self.failure
        view = memoryview(data).cast("B")
        given = len(view)
        try:
            if self._limit is not None and self.size + len(view) > self._limit:
                raise too_large(self._limit, self._where)
            with mapped(self._where):
                while view:
                    chunk = view[: _CHUNK - self.size % _CHUNK]
                    view = view[len(chunk) :]
                    self.digest.update(chunk)
                    while chunk:
                        done = os.write(self._handle, chunk)
                        self.size += done
                        chunk = chunk[done:]
        except StorageError as error:
            self.failure = error
            raise
        return given


def too_large(limit: int, where: str) -> StorageError:
    """What is raised for an entry that is larger than the cache."""
    return StorageError(
        f"the entry is larger than the whole cache may be ({limit} bytes)",
        where=where,
        remedy="Raise the cache's max_size, or do not cache this.",
    )


class Draft:
    """A new file for an entry's content, locked for as long as it is open.

    Args:
        folder: file descriptor of the folder of drafts; the draft closes it.
        place: opens the folder for the content of a key.
        durable: have the file on disk when it is published.
        name: that nobody else gives a draft; a new one if it is empty.

    Attributes:
        size: of the content, in bytes.
        checksum: of the content, as ``"algorithm:hex"``.

    Raises:
        OSError: as the system says.
    """

    def __init__(self, folder: int, place: Callable[[str], int], *, durable: bool, name: str = "") -> None:
        self.size = 0
        self.checksum = ""
        self._folder = folder
        self._place = place
        self._durable = durable
        self._name = name or token_hex(8)
        self._published = False
        try:
            self._handle = os.open(self._name, _NEW, 0o600, dir_fd=folder)
        except BaseException:
            os.close(folder)
            raise
        with suppress(OSError):  # only tells those who sweep that the writer lives
            fcntl.flock(self._handle, fcntl.LOCK_EX)

    def is_ours(self) -> bool:
        """Whether the file still has its name."""
        return os.fstat(self._handle).st_nlink > 0

    def fill(self, key: str, writer: Callable[[BinaryIO], object], limit: int | None) -> None:
        """Have ``writer`` write the content of ``key``, of at most ``limit`` bytes.

        Raises:
            StorageError: it cannot be written, whether the writer told us so or not.
        """
        sink = _Sink(self._handle, key, limit)
        file = io.BufferedWriter(sink, _BUFFER)
        try:
            writer(file)
            if not file.closed:
                file.close()
        finally:
            # What is not closed would be written one day, to a descriptor that is somebody else's by then.
            with suppress(StorageError, ValueError):
                file.close()
        if sink.failure is not None:
            raise sink.failure
        self.size = sink.size
        self.checksum = f"{ALGORITHM}:{sink.digest.hexdigest()}"

    def publish(self, key: str, turn: int) -> str:
        """Put the file in its place, where only the index makes it seen.

        Args:
            key: of the entry.
            turn: when it is used, in nanoseconds.

        Returns:
            What the file's name ends in.

        Raises:
            StorageError: it cannot be put there.
        """
        with mapped(key):
            os.utime(self._handle, ns=(turn, turn))
            if self._durable:
                os.fsync(self._handle)
            place = self._place(key)
            name = f"{key}.{self._name}"
            try:
                os.rename(self._name, name, src_dir_fd=self._folder, dst_dir_fd=place)
            except BaseException:
                os.close(place)
                raise
            drafts, self._folder, self._published = self._folder, place, True
            os.close(drafts)
            file, self._name = self._name, name
            if self._durable:
                os.fsync(place)
        return file

    def discard(self) -> None:
        """Remove the file, wherever it is."""
        with suppress(OSError):
            os.unlink(self._name, dir_fd=self._folder)

    def close(self) -> None:
        """Give up the file, and remove it unless it was published."""
        if not self._published:
            self.discard()
        os.close(self._handle)
        os.close(self._folder)
