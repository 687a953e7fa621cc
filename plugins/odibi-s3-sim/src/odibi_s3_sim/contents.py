"""Where the bytes of objects are: in memory, or in files that are written once and never changed."""

from __future__ import annotations

import errno
import os
import threading
import time
from contextlib import suppress
from secrets import token_hex
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

_DRAFT = ".draft-"
_OLD = 24 * 3600.0
"""Seconds after which a file that no object knows of is what a crash left behind, and not what is being written."""


class Contents(Protocol):
    """Bytes under names that nobody else chooses."""

    def store(self, data: bytes | memoryview) -> str:
        """Keep them, durably; returns their name."""
        ...

    def share(self, name: str) -> str:
        """The same bytes under another name.

        Raises:
            FileNotFoundError: they are gone.
        """
        ...

    def read(self, name: str, first: int, size: int) -> bytes:
        """A part of them.

        Raises:
            FileNotFoundError: they are gone.
        """
        ...

    def remove(self, names: Iterable[str]) -> None:
        """Let go of them; those that are gone already count as removed."""
        ...

    def names_older_than(self, seconds: float) -> Iterator[str]:
        """The names of what was stored longer ago."""
        ...


class MemoryContents:
    """Bytes in the memory of this process."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def store(self, data: bytes | memoryview) -> str:
        """Keep a copy of them."""
        name = token_hex(16)
        with self._lock:
            self._kept[name] = bytes(data)
        return name

    def share(self, name: str) -> str:
        """The same bytes under another name."""
        return self.store(self._whole(name))

    def read(self, name: str, first: int, size: int) -> bytes:
        """A part of them."""
        return self._whole(name)[first : first + size]

    def remove(self, names: Iterable[str]) -> None:
        """Let go of them."""
        with self._lock:
            for name in names:
                self._kept.pop(name, None)

    def names_older_than(self, seconds: float) -> Iterator[str]:  # noqa: ARG002 - nothing outlives a crash
        """None: what is in memory has no date."""
        return iter(())

    def _whole(self, name: str) -> bytes:
        with self._lock:
            if name not in self._kept:
                raise FileNotFoundError(name)
            return self._kept[name]


class FileContents:
    """Bytes as files of a folder.

    Args:
        folder: is made.
        durable: have them on disk before they count as kept.
    """

    def __init__(self, folder: str, *, durable: bool) -> None:
        self._folder = folder
        self._durable = durable
        os.makedirs(folder, exist_ok=True)  # noqa: PTH103

    def store(self, data: bytes | memoryview) -> str:
        """Write them to a file."""
        name = token_hex(16)
        path = self._path(name)
        draft = os.path.join(os.path.dirname(path), _DRAFT + name)  # noqa: PTH118, PTH120
        os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120
        try:
            with open(draft, "xb", buffering=0) as file:  # noqa: PTH123
                left = memoryview(data)
                while left:
                    left = left[file.write(left) :]
                if self._durable:
                    os.fsync(file.fileno())
            os.rename(draft, path)  # noqa: PTH104
        except BaseException:
            with suppress(OSError):
                os.unlink(draft)  # noqa: PTH108
            raise
        self._settle(path)
        return name

    def share(self, name: str) -> str:
        """Give the file a second name."""
        other = token_hex(16)
        path = self._path(other)
        os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120
        os.link(self._path(name), path)
        self._settle(path)
        return other

    def read(self, name: str, first: int, size: int) -> bytes:
        """A part of them."""
        with open(self._path(name), "rb", buffering=0) as file:  # noqa: PTH123
            pieces = []
            while size > 0 and (piece := os.pread(file.fileno(), size, first)):
                pieces.append(piece)
                first, size = first + len(piece), size - len(piece)
        if size > 0:
            raise OSError(errno.EIO, "a file is shorter than what was written to it", name)
        return b"".join(pieces)

    def remove(self, names: Iterable[str]) -> None:
        """Remove the files."""
        for name in names:
            with suppress(FileNotFoundError):
                os.unlink(self._path(name))  # noqa: PTH108

    def names_older_than(self, seconds: float) -> Iterator[str]:
        """The names of old files; drafts that are as old are removed on the way."""
        before = time.time() - seconds
        for folder, _, files in os.walk(self._folder):
            for file in files:
                path = os.path.join(folder, file)  # noqa: PTH118
                with suppress(FileNotFoundError):
                    if os.stat(path).st_mtime < before:  # noqa: PTH116
                        if file.startswith(_DRAFT):
                            os.unlink(path)  # noqa: PTH108
                        else:
                            yield file

    def _path(self, name: str) -> str:
        return os.path.join(self._folder, name[:2], name)  # noqa: PTH118

    def _settle(self, path: str) -> None:
        if self._durable:
            # The folder and, as it may be new, the one above.
            settle_folder(os.path.dirname(path))  # noqa: PTH120
            settle_folder(self._folder)


def settle_folder(folder: str) -> None:
    """Have the names in a folder on disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def orphans(contents: Contents, known: Collection[str]) -> list[str]:
    """What a crash left behind: old, and part of no object."""
    return [name for name in contents.names_older_than(_OLD) if name not in known]
