"""Where stories lie: a folder of this machine, or a storage."""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit
from urllib.request import url2pathname

import attrs

from odibi.errors import NotFound, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from odibi.contracts.storage import Storage

PATIENCE = 1.0
"""Seconds for which a file's lock is tried for."""

LONGEST_NAME = 60
"""Characters of a pipeline's or a run's name in the name of a folder or file."""


@attrs.frozen
class Entry:
    """A file.

    Attributes:
        name: its path below the place, with ``/``.
        modified: seconds since the epoch, UTC.
        size: bytes.
    """

    name: str
    modified: float
    size: int


class Place(Protocol):
    """Files under names with ``/``. Whatever fails is a :class:`~odibi.errors.StorageError`."""

    def write(self, name: str, data: bytes) -> None:
        """Make ``data`` the file, whole or not at all."""
        ...

    def read(self, name: str, most: int | None = None) -> bytes:
        """The file, or its first ``most`` bytes.

        Raises:
            NotFound: it is not there.
        """
        ...

    def list(self, folder: str) -> Iterator[Entry]:
        """The files in a folder and in those below it, in the order of their names; none if it is not there."""
        ...

    def delete(self, name: str) -> None:
        """Remove a file; removing nothing succeeds."""
        ...

    def where(self, name: str) -> str:
        """Its address, for people."""
        ...

    def local(self, name: str) -> Path | None:
        """The file on this machine; ``None`` if it is elsewhere."""
        ...


def place_of(path: str, storage: Storage | None, root: Path | None) -> Place:
    """The place that the options of a story name.

    Args:
        path: relative to the storage, or to ``root`` if there is none.
        storage: of the connection; ``None`` for a folder of this machine.
        root: the project's folder; the process's if it has none.
    """
    if storage is None:
        return FolderPlace(Path(root or Path.cwd(), path))
    parts = urlsplit(storage.uri(path))
    if parts.scheme == "file" and not parts.netloc:
        return FolderPlace(Path(url2pathname(parts.path)))
    return StoragePlace(storage, "/".join(part for part in path.split("/") if part not in ("", ".")))


@attrs.frozen
class FolderPlace:
    """A folder of this machine."""

    root: Path

    def write(self, name: str, data: bytes) -> None:
        """By way of a file beside it, which takes its name once all of it is on the disk."""
        path = self.root / name
        beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with beside.open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                beside.replace(path)
            except BaseException:
                beside.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise _failed("cannot be written", path, error) from error

    def read(self, name: str, most: int | None = None) -> bytes:
        """See :class:`Place`."""
        path = self.root / name
        try:
            with path.open("rb") as file:
                return file.read() if most is None else file.read(most)
        except FileNotFoundError as error:
            raise NotFound("there is no such file", where=path) from error
        except OSError as error:
            raise _failed("cannot be read", path, error) from error

    def list(self, folder: str) -> Iterator[Entry]:
        """See :class:`Place`; a hidden file is none."""
        top = self.root / folder
        try:
            found = sorted(path for path in top.rglob("*") if not path.name.startswith(".") and path.is_file())
        except OSError as error:
            raise _failed("cannot be listed", top, error) from error
        for path in found:
            try:
                known = path.stat()
            except OSError:  # gone meanwhile
                continue
            yield Entry(path.relative_to(self.root).as_posix(), known.st_mtime, known.st_size)

    def delete(self, name: str) -> None:
        """See :class:`Place`."""
        try:
            (self.root / name).unlink(missing_ok=True)
        except OSError as error:
            raise _failed("cannot be removed", self.root / name, error) from error

    def where(self, name: str) -> str:
        """Its path."""
        return str(self.root / name)

    def local(self, name: str) -> Path | None:
        """Its path."""
        return self.root / name


@attrs.frozen
class StoragePlace:
    """A folder of a storage."""

    storage: Storage
    prefix: str

    def _path(self, name: str) -> str:
        return "/".join(part for part in (self.prefix, name) if part)

    def write(self, name: str, data: bytes) -> None:
        """See :class:`Place`."""
        self.storage.write(self._path(name), data)

    def read(self, name: str, most: int | None = None) -> bytes:
        """See :class:`Place`."""
        if most is None:
            return self.storage.read(self._path(name))
        with self.storage.open(self._path(name)) as file:
            return file.read(most)

    def list(self, folder: str) -> Iterator[Entry]:
        """See :class:`Place`."""
        before = len(self._path("")) + 1 if self.prefix else 0
        for stat in self.storage.list(self._path(folder)):
            yield Entry(stat.path[before:], stat.modified, stat.size)

    def delete(self, name: str) -> None:
        """See :class:`Place`."""
        self.storage.delete(self._path(name))

    def where(self, name: str) -> str:
        """Its address."""
        return self.storage.uri(self._path(name))

    def local(self, name: str) -> Path | None:  # noqa: ARG002 - it is never here
        """It is elsewhere."""
        return None


class Ledger:
    """A file that grows by lines while a run goes on, and that its writer holds locked as long as it lives.

    The lock goes with the process, so that whoever finds the file can tell a run that goes on from one that was
    killed (:func:`is_held`). A line that was appended is there for all who read it, also if the process is killed in
    the next instant; a power cut may cost the last ones.

    Args:
        path: of the file; missing folders are made.

    Raises:
        StorageError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise _failed("cannot be written", path, error) from error
        until = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:  # somebody looks whether it is held, and has it for an instant
                if time.monotonic() > until:
                    return
                time.sleep(0.001)
            except OSError:  # a file system without locks: its runs seem to have been interrupted until they end
                return

    def append(self, line: str) -> None:
        """Add a line.

        Raises:
            StorageError: it cannot be written.
        """
        data = memoryview(line.encode() + b"\n")
        try:
            while data:
                data = data[os.write(self._file, data) :]
        except OSError as error:
            raise _failed("cannot be written", self.path, error) from error

    def close(self) -> None:
        """Let go of the file; once."""
        os.close(self._file)


def is_held(path: Path) -> bool:
    """Whether the writer of a :class:`Ledger` still lives."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(file)
    return False


def file_name(name: str) -> str:
    """A name of a file or folder for a name that may be any text; the same for the same, another for another."""
    kept = "".join(char if (char.isalnum() and char.isascii()) or char in "-_." else "_" for char in name)
    kept = kept[:LONGEST_NAME].lstrip(".")
    if kept == name and name:
        return name
    digest = hashlib.sha256(name.encode("utf-8", "backslashreplace")).hexdigest()[:10]
    return f"{kept or 'run'}-{digest}"


def _failed(what: str, path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"the story {what}: {error.strerror or error}",
        where=path,
        remedy="See that the folder can be written, or name another one with 'story: {path: ...}'.",
    )
