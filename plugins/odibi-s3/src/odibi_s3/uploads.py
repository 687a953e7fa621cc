"""Files that become objects: what is written to them is sent on in parts, or kept aside until it is whole.

A write without a condition is sent while it is written, by a thread that hands the client library one part after
another. A conditional one cannot be: the client library has no conditional completion of an upload in parts. It is
kept in memory, and from 32 MiB on in a temporary file, and sent in one request in the end.
"""

from __future__ import annotations

import io
import mmap
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import IO, TYPE_CHECKING, Protocol

from odibi.errors import StorageError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer
    from _typeshed import ReadableBuffer as Buffer

_IN_MEMORY = 32 << 20
_WAITING = 1
"""Parts that may wait to be sent, beside those being sent."""


class Sink(Protocol):
    """Where a draft's bytes go."""

    def take(self, data: memoryview) -> None:
        """Take some more bytes; they may change afterwards."""

    def finish(self) -> str:
        """Make them the object; its etag."""

    def discard(self) -> None:
        """Forget them. After :meth:`finish` that is nothing."""


class DraftFile(io.BufferedIOBase):
    """A file to write an object to. Closing it publishes nothing: libraries close what they wrote to.

    Args:
        sink: where the bytes go.
    """

    def __init__(self, sink: Sink) -> None:
        super().__init__()
        self._sink = sink
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes that were written."""
        return self._size

    def writable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Bytes that were written."""
        self._check()
        return self._size

    def write(self, data: ReadableBuffer, /) -> int:
        """Take all of ``data``."""
        self._check()
        view = memoryview(data)
        view = view.cast("B") if view.contiguous else memoryview(view.tobytes())
        self._sink.take(view)
        self._size += view.nbytes
        return view.nbytes

    def _check(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")


class Streamed:
    """Sends parts while they are written; an object of a single part in one request, at the end.

    Args:
        part_size: bytes of a part.
        put: sends an object in one request.
        put_parts: sends an object in parts.
    """

    def __init__(
        self, part_size: int, put: Callable[[Buffer], str], put_parts: Callable[[Iterable[Buffer]], str]
    ) -> None:
        self._part_size = part_size
        self._put = put
        self._put_parts = put_parts
        self._part = bytearray()
        self._upload: Upload | None = None

    def take(self, data: memoryview) -> None:
        """Send what makes whole parts, except the last."""
        while len(data):
            if len(self._part) == self._part_size:
                self._send()
            room = self._part_size - len(self._part)
            self._part += data[:room]
            data = data[room:]

    def finish(self) -> str:
        """Send the rest, and have it made the object."""
        if self._upload is None:
            return self._put(bytes(self._part))
        self._send()
        return self._upload.finish()

    def discard(self) -> None:
        """Give the upload up."""
        if self._upload is not None:
            self._upload.give_up()

    def _send(self) -> None:
        if self._upload is None:
            self._upload = Upload(self._put_parts)
        part, self._part = self._part, bytearray()
        self._upload.send(part)  # nobody changes it any more


class Upload:
    """An upload in parts, on a thread of its own.

    Args:
        put_parts: sends an object in parts, and gives up if the iterable raises.
    """

    def __init__(self, put_parts: Callable[[Iterable[Buffer]], str]) -> None:
        self._put_parts = put_parts
        self._parts: deque[Buffer] = deque()
        self._changed = threading.Condition()
        self._whole = False
        self._given_up = False
        self._over = False
        self._etag = ""
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="odibi-s3-upload", daemon=True)
        self._thread.start()

    def send(self, part: Buffer) -> None:
        """Have a part sent; waits while too many wait.

        Raises:
            StorageError: the upload has failed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._over or len(self._parts) < _WAITING)
            if self._over:
                raise self._failure or StorageError("the upload ended early", remedy="Write it again.")
            self._parts.append(part)
            self._changed.notify_all()

    def finish(self) -> str:
        """Wait for the end; the etag of the object."""
        with self._changed:
            self._whole = True
            self._changed.notify_all()
        self._thread.join()
        if self._failure is not None:
            raise self._failure
        return self._etag

    def give_up(self) -> None:
        """Have nothing made of it, and wait until that is done."""
        with self._changed:
            self._given_up = True
            self._changed.notify_all()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._etag = self._put_parts(self._all())
        except BaseException as error:  # told to whoever waits
            self._failure = error
        finally:
            with self._changed:
                self._over = True
                self._parts.clear()
                self._changed.notify_all()

    def _all(self) -> Iterator[Buffer]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._given_up or self._whole or self._parts)
                if self._given_up:
                    raise StorageError("the upload was given up")
                if not self._parts:
                    return
                part = self._parts.popleft()
                self._changed.notify_all()
            yield part


class KeptAside:
    """Keeps everything until the end.

    Args:
        most: bytes that can be sent in one request.
        put: sends an object in one request.
        where: what to call it in an error.
    """

    def __init__(self, most: int, put: Callable[[Buffer], str], where: str) -> None:
        self._most = most
        self._put = put
        self._where = where
        self._memory = bytearray()
        self._file: IO[bytes] | None = None
        self._size = 0

    def take(self, data: memoryview) -> None:
        """Keep some more."""
        self._size += len(data)
        check_size(self._size, self._most, self._where)
        if self._file is None and self._size <= _IN_MEMORY:
            self._memory += data
            return
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="odibi-s3-")  # noqa: SIM115 - closed by discard
                self._file.write(self._memory)
                self._memory = bytearray()
            self._file.write(data)
        except OSError as error:
            raise self._no_room(error) from error

    def finish(self) -> str:
        """Send it."""
        if self._file is None:
            return self._put(bytes(self._memory))
        try:
            self._file.flush()
            mapped = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            raise self._no_room(error) from error
        # Not closed here: the client library may hold on to it for a moment; the last who does closes it.
        return self._put(mapped)

    def discard(self) -> None:
        """Forget it."""
        self._memory = bytearray()
        if self._file is not None:
            self._file.close()

    def _no_room(self, error: OSError) -> StorageError:
        return StorageError(
            f"the temporary file for a conditional write failed ({error.strerror})",
            where=self._where,
            remedy="Free some space in the folder for temporary files, or set TMPDIR.",
        )


def check_size(size: int, most: int, where: str) -> None:
    """Refuse what cannot be sent in one request.

    Raises:
        StorageError: it is larger than ``most``.
    """
    if size > most:
        raise StorageError(
            f"an object written under a condition can have {most} bytes at most",
            where=where,
            remedy="Write it without a condition, under a name of its own, and a small object that names it.",
        )
