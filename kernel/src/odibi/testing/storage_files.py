"""What the storage suite hands to a storage: contents, files that misbehave as real ones do, and names."""

from __future__ import annotations

import io
import sys
from contextlib import contextmanager
from functools import lru_cache
from random import Random
from typing import TYPE_CHECKING, BinaryIO, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from _typeshed import WriteableBuffer

PLAIN_SIZES = (0, 1, 4095, 4096, 8193, 65_535, 65_536, 65_537, (1 << 20) + 1, (5 << 20) + 3)
"""Sizes, in bytes, about which buffers end that many libraries use."""

NAMES = (
    "with space",
    " space before",
    "100%",
    "%41",
    "a%2Fb",
    "a#b",
    "a#c",
    "a+b",
    "a?b=c",
    "a?d",
    "a&b",
    "day=2024-01-01/part-0.parquet",
    "[a-z]*",
    "{x}",
    "~",
    "$HOME",
    "'quoted' \"twice\"",
    "a;b,c",
    "a..b",
    "...",
    ".hidden",
    "_underscore",
    "-dash",
    "caf\u00e9",
    "cafe\u0301",
    "stra\u00dfe",
    "STRASSE",
    "\u65e5\u672c\u8a9e/\U0001f680",
    "null",
    "x" * 200,
    "/".join(["a-folder-in-a-folder"] * 20),
)
"""Names that every storage keeps, each another object."""

STRANGE_NAMES = (
    "two\nlines",
    "a\tb",
    "\x01",
    "\x7f",
    "dot.",
    "space ",
    "a:b",
    "x" * 300,
    f"{'a-folder-with-a-name-of-some-length/' * 35}x",
    "\ud800",
)
"""Names that a backend may be unable to hold; then the storage says so."""

BAD_PATHS = (
    "/etc/passwd",
    "//server/share",
    "..",
    "../outside",
    "a/..",
    "a/../b",
    "a/../../outside",
    "a/b/../../../outside",
    "nul\0l",
    "a\\b",
    "..\\outside",
    "C:/windows",
    "c:x",
)
"""Paths that :func:`odibi.contracts.storage.check_path` refuses."""


class Broken(Exception):
    """What a file that breaks raises; no storage knows it."""


class Stopped(BaseException):
    """What a file raises at which somebody presses Ctrl-C."""


@lru_cache(maxsize=16)
def content(size: int, seed: int = 0) -> bytes:
    """Bytes of which no part is like another, with all line ends of all systems among them.

    Args:
        size: how many.
        seed: another one, other bytes.
    """
    head = b"\r\n\n\r\x00\x1a\xff\xfe"[: size // 2]
    return head + Random(seed * 1_000_003 + size).randbytes(size - len(head))  # noqa: S311 - no secrets


class ShortReads(io.RawIOBase):
    """A file that gives fewer bytes than it is asked for, as pipes and sockets do, and cannot seek.

    Args:
        data: what it gives in all.
        most: how many bytes at a time, at most.
    """

    def __init__(self, data: bytes, most: int = 1000) -> None:
        super().__init__()
        self._file = io.BytesIO(data)
        self._most = most

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Some of what is asked for."""
        with memoryview(buffer) as view, view.cast("B") as flat:
            part = self._file.read(min(len(flat), self._most))
            flat[: len(part)] = part
            return len(part)

    def read(self, size: int | None = -1, /) -> bytes:
        """Some of what is asked for; all that is left if nothing is said."""
        if size is None or size < 0:
            return self._file.read()
        return self._file.read(min(size, self._most))


class _Watched(ShortReads):
    def __init__(self, data: bytes, look: Callable[[int], object]) -> None:
        super().__init__(data, 1 << 20)
        self._look = look

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        self._look(self._file.tell())
        return super().readinto(buffer)

    def read(self, size: int | None = -1, /) -> bytes:
        self._look(self._file.tell())
        return super().read(size)


def watched(data: bytes, look: Callable[[int], object] = lambda _: None) -> BinaryIO:
    """A file that calls a function at each read, while the storage is in the middle of its work.

    Args:
        data: what it gives in all.
        look: called at each read with the number of bytes that were given before.
    """
    return cast("BinaryIO", _Watched(data, look))


class Breaking(ShortReads):
    """A file that raises when so many bytes were given.

    Args:
        data: what it gives before it raises.
        error: what it raises.
    """

    def __init__(self, data: bytes, error: BaseException) -> None:
        super().__init__(data, most=65_536)
        self._error = error

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Some of it, and in the end the error."""
        count = super().readinto(buffer)
        if not count:
            raise self._error
        return count

    def read(self, size: int | None = -1, /) -> bytes:
        """Some of it, and in the end the error."""
        part = super().read(65_536 if size is None or size < 0 else size)
        if not part and size != 0:
            raise self._error
        return part


class Untouchable(io.RawIOBase):
    """A file that must not be read."""

    def readable(self) -> bool:
        """It says so."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """It is not."""
        raise AssertionError(f"{len(memoryview(buffer))} bytes of the data were asked for")

    def read(self, size: int | None = -1, /) -> bytes:
        """It is not."""
        raise AssertionError(f"{size} bytes of the data were asked for")


@contextmanager
def often_switching() -> Iterator[None]:
    """Have threads take turns often, so that what can come between two steps does."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
