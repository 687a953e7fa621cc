"""An object as a file: ranges of one version of it, read ahead as far as it is read on."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer
    from _typeshed import WriteableBuffer

FIRST = 1 << 19
"""Bytes that are fetched when a file is opened, in the one request that tells its size: all of a small one."""

_LEAST = 1 << 17
_MOST = 8 << 20


class ObjectReader(io.RawIOBase):
    """A seekable file of which only what is asked for is fetched.

    What is read on from where the last fetch ended doubles the next fetch, up to 8 MiB; going elsewhere begins anew
    with 128 KiB.

    Args:
        size: of the object, in bytes.
        fetch: gives the bytes from one place to another.
        beginning: its first bytes.
    """

    def __init__(self, size: int, fetch: Callable[[int, int], Buffer], beginning: Buffer = b"") -> None:
        super().__init__()
        self._size = size
        self._fetch = fetch
        self._at = 0
        self._ahead = _LEAST
        self._start = 0
        self._held = memoryview(beginning).cast("B")

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Where the next byte is read."""
        self._check()
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go elsewhere; beyond the end there is nothing to read."""
        self._check()
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}.get(whence)
        if base is None:
            raise ValueError(f"whence must be 0, 1 or 2, not {whence!r}")
        if base + offset < 0:
            raise ValueError("a file has no place before its beginning")
        self._at = base + offset
        return self._at

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill ``buffer`` as far as there are bytes."""
        self._check()
        view = memoryview(buffer).cast("B")
        count = min(len(view), max(self._size - self._at, 0))
        if count == 0:
            return 0
        held = self._from_held(count) or self._from_server(count)
        view[: len(held)] = held
        self._at += len(held)
        return len(held)

    def readall(self) -> bytes:
        """The rest, in one request."""
        self._check()
        if self._at >= self._size:
            return b""
        held = self._from_held(self._size - self._at)
        begin = self._at + len(held)
        rest = self._fetch(begin, self._size) if begin < self._size else b""
        self._at = self._size
        return b"".join((held, rest)) if held else bytes(rest)

    def close(self) -> None:
        """Let go of what was read ahead."""
        self._held = memoryview(b"")
        super().close()

    def _from_held(self, count: int) -> memoryview:
        begin = self._at - self._start
        return self._held[begin : begin + count] if begin >= 0 else memoryview(b"")

    def _from_server(self, count: int) -> memoryview:
        goes_on = self._at == self._start + len(self._held)
        self._ahead = min(self._ahead * 2, _MOST) if goes_on and self._held else _LEAST
        stop = min(self._at + max(count, self._ahead), self._size)
        self._held = memoryview(self._fetch(self._at, stop)).cast("B")
        self._start = self._at
        return self._held[:count]

    def _check(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")
