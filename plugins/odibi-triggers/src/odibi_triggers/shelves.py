"""Where the segments of a ledger are kept: small files that are written once, durably, and never changed."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Protocol

from odibi.contracts.storage import ABSENT
from odibi.errors import AccessDenied, Conflict, NotFound, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from odibi.contracts.storage import Storage


class Shelf(Protocol):
    """Named contents; what was added is durable, and the first to add under a name wins."""

    def read(self, name: str) -> bytes | None:
        """The content; ``None`` if there is none."""
        ...

    def add(self, name: str, content: bytes) -> None:
        """Keep the content, unless something has the name."""
        ...

    def ages(self) -> Iterator[tuple[str, float]]:
        """All names, each with its age in seconds."""
        ...

    def remove(self, name: str) -> None:
        """Remove what has the name, if anything has."""
        ...


class FolderShelf:
    """In a folder of this machine.

    Args:
        folder: made when the first content is added.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, name: str) -> bytes | None:
        """The content of the file."""
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _refused(error, self._folder / name) from error

    def add(self, name: str, content: bytes) -> None:
        """A file that appears whole, and is on disk, with its name, when this returns."""
        target = self._folder / name
        draft = self._folder / f".{name}-{token_hex(8)}"
        try:
            _make(self._folder)
            if target.exists():
                return
            with draft.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):
                os.link(draft, target)  # unlike a rename, it never replaces
            draft.unlink()
            _sync(self._folder)
        except OSError as error:
            with suppress(OSError):
                draft.unlink()
            raise _refused(error, target) from error

    def ages(self) -> Iterator[tuple[str, float]]:
        """The files, and drafts that a killed writer has left."""
        now = time.time()
        with suppress(OSError):
            for file in self._folder.iterdir():
                with suppress(OSError):
                    yield file.name, now - file.stat().st_mtime

    def remove(self, name: str) -> None:
        """Remove the file."""
        with suppress(OSError):  # the next time, then
            (self._folder / name).unlink()


class StorageShelf:
    """In a folder of a connection, so that another machine can go on.

    Args:
        storage: the connection.
        folder: in it.
    """

    def __init__(self, storage: Storage, folder: str) -> None:
        self._storage = storage
        self._folder = folder

    def read(self, name: str) -> bytes | None:
        """The object."""
        try:
            return self._storage.read(f"{self._folder}/{name}")
        except NotFound:
            return None

    def add(self, name: str, content: bytes) -> None:
        """An object, if there is none."""
        with suppress(Conflict):
            self._storage.write(f"{self._folder}/{name}", content, when=ABSENT)

    def ages(self) -> Iterator[tuple[str, float]]:
        """By the clock of this machine."""
        now = time.time()
        for stat in self._storage.list(self._folder):
            yield stat.path[len(self._folder) + 1 :], now - stat.modified

    def remove(self, name: str) -> None:
        """Remove the object."""
        self._storage.delete(f"{self._folder}/{name}")


def _make(folder: Path) -> None:
    if folder.is_dir():
        return
    _make(folder.parent)
    with suppress(FileExistsError):
        folder.mkdir()
    _sync(folder.parent)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _refused(error: OSError, file: Path) -> StorageError:
    kind = AccessDenied if isinstance(error, PermissionError) else StorageError
    return kind(
        f"the ledger of consumed files cannot be kept there ({error.strerror or error})",
        where=file,
        remedy="Make room or give the right to write, or name another folder as the trigger's 'ledger'.",
    )
