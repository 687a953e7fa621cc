"""A storage of files, which processes and engines that run elsewhere can share."""

from __future__ import annotations

import ctypes
import fcntl
import io
import os
import shutil
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING, Any, BinaryIO

from odibi.contracts.storage import ABSENT, ALWAYS, Match, Stat, When, check_path
from odibi.errors import Conflict, NotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_HERE = -100
_EXCHANGE = 2
"""Of Linux's renameat2: paths count from the working folder; two names change places."""


class FileStorage:
    """Objects as files of a folder that processes share. One lock of the system for all makes compare-and-set.

    Args:
        folder: where they are; it is made if there is none.
    """

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)

    def read(self, path: str) -> bytes:
        """The whole object."""
        try:
            return self._file(path).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise NotFound("nothing is there", where=path) from None

    def open(self, path: str) -> BinaryIO:
        """The object as a file."""
        return io.BytesIO(self.read(path))

    def write(self, path: str, data: bytes | memoryview | BinaryIO, *, when: When = ALWAYS) -> Stat:
        """Store an object."""
        content = bytes(data) if isinstance(data, bytes | bytearray | memoryview) else data.read()
        file = self._file(path)
        draft = self._folder / f".draft-{os.getpid()}-{threading.get_ident()}"
        with self._alone():
            draft.write_bytes(content)
            now = time.time_ns()
            os.utime(draft, ns=(now, now))  # the system's own clock may stand still from one write to the next
            there = self._stat(path)
            if (when is ABSENT and there) or (isinstance(when, Match) and (not there or there.etag != when.etag)):
                raise Conflict("it is another", where=path)
            file.parent.mkdir(parents=True, exist_ok=True)
            draft.replace(file)
            written = self._stat(path)
        assert written is not None
        return written

    @contextmanager
    def create(self, path: str, *, when: When = ALWAYS) -> Iterator[BinaryIO]:
        """A file whose content becomes the object."""
        file = io.BytesIO()
        yield file
        self.write(path, file.getvalue(), when=when)

    def stat(self, path: str) -> Stat:
        """What is known of an object."""
        found = self._stat(path)
        if found is None:
            raise NotFound("nothing is there", where=path)
        return found

    def list(self, prefix: str = "") -> Iterator[Stat]:
        """The objects below a folder, by path."""
        top = self._file(prefix) if prefix else self._folder
        names = [top] if top.is_file() else [Path(at, name) for at, _, files in os.walk(top) for name in files]
        paths = sorted(name.relative_to(self._folder).as_posix() for name in names)
        yield from [found for path in paths if path[0] != "." and (found := self._stat(path))]

    def delete(self, path: str) -> None:
        """Remove an object."""
        with self._alone(), suppress(FileNotFoundError, IsADirectoryError, NotADirectoryError):
            self._file(path).unlink()

    def replace_folder(self, staged: str, path: str, *, when: When = ALWAYS) -> bool:
        """Make one folder the other, in one step of the system; ``False`` where it has none."""
        source, target = self._file(staged), self._file(path)
        with self._alone():
            if not any(source.rglob("*")):
                raise NotFound("nothing is staged", where=staged)
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                source.rename(target)
                return True
            if when is ABSENT and (target.is_file() or any(each.is_file() for each in target.rglob("*"))):
                raise Conflict("something is there", where=path)
            if not _exchange(source, target):
                return False
        if source.is_dir():
            shutil.rmtree(source)
        else:
            source.unlink()
        return True

    def uri(self, path: str) -> str:
        """Of the file."""
        return self._file(path).as_uri()

    def native_options(self, for_: str) -> Mapping[str, Any]:  # noqa: ARG002 - none, whoever asks
        """None."""
        return {}

    def close(self) -> None:
        """Nothing is held."""

    def damage(self, path: str, how: Callable[[bytes], bytes]) -> None:
        """Change an object such that nothing but its content tells."""
        file = self._file(path)
        status = file.stat()
        file.write_bytes(how(file.read_bytes()))
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))

    def _file(self, path: str) -> Path:
        return self._folder / check_path(path)

    def _stat(self, path: str) -> Stat | None:
        try:
            status = self._file(path).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not S_ISREG(status.st_mode):
            return None
        etag = f"{status.st_ino:x}-{status.st_size:x}-{status.st_mtime_ns:x}"
        return Stat(path, status.st_size, status.st_mtime, etag)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with (self._folder / ".lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _exchange(one: Path, other: Path) -> bool:
    """Let two names change places in one step; whether the system can."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    return rename is not None and rename(_HERE, bytes(one), _HERE, bytes(other), _EXCHANGE) == 0
