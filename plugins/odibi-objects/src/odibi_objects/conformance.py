"""The suites for this package's components, on a storage in files, and that storage."""

from __future__ import annotations

import fcntl
import io
import os
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING, Any, BinaryIO

from odibi.contracts.storage import ABSENT, ALWAYS, Match, Stat, When, check_path
from odibi.errors import Conflict, NotFound
from odibi.testing.cache import CacheSuite, Clock
from odibi.testing.cache_store import START
from odibi.testing.checkpoint import CheckpointSuite
from odibi_objects.cache import StorageCache
from odibi_objects.checkpoint import StorageCheckpoints

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


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
        with self._alone():
            self._file(path).unlink(missing_ok=True)

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


_BUILT = """
from odibi_objects.conformance import FileStorage
from {home} import {name}
{variable} = {name}(**{{**{options!r}, "connection": FileStorage({place!r})}})
"""


class StorageCacheSuite(CacheSuite):
    """The suite for caches; counts and uses are written at once, as it looks at them at once."""

    component = StorageCache
    begun = int(time.monotonic())  # whole, so that nothing is rounded

    def options(self, place: Path) -> Mapping[str, Any]:  # noqa: ARG002 - it is the connection's
        """As in a project file, where the connection has a name; :meth:`make` builds it, as the kernel does."""
        return {"connection": "store", "prefix": "c", "count_every": 0, "parallel": 4}

    def make(self, place: Path) -> StorageCache:
        """On a storage in the place."""
        return StorageCache(**{**self.options(place), "connection": FileStorage(str(place))})

    def make_bounded(self, place: Path, max_bytes: int) -> StorageCache:
        """On a storage in the place."""
        return StorageCache(**{**self.options(place), "connection": FileStorage(str(place)), "max_size": max_bytes})

    def set_clock(self, cache: StorageCache, clock: Clock) -> None:
        """The monotonic clock of a machine is one for all of its processes, of which the suite starts some."""
        cache.clock.time, cache.clock.monotonic = clock, lambda: self.begun + clock.now - START

    def corrupt(self, place: Path, key: str, damage: Callable[[bytes], bytes]) -> None:
        """There is one object with the content."""
        storage = FileStorage(str(place))
        (entry,) = (stat.path for stat in storage.list() if f"/{key}!/" in stat.path)
        storage.damage(entry, damage)

    def process_code(self, place: Path) -> str:
        """With a connection of its own."""
        home, options = "odibi_objects.cache", self.options(place)
        return _BUILT.format(home=home, name="StorageCache", variable="cache", options=options, place=str(place))


class StorageCheckpointsSuite(CheckpointSuite):
    """The suite for checkpoint stores."""

    component = StorageCheckpoints

    def options(self, place: Path) -> Mapping[str, Any]:  # noqa: ARG002 - it is the connection's
        """As in a project file, where the connection has a name; :meth:`make` builds it, as the kernel does."""
        return {"connection": "store", "parallel": 4}

    def make(self, place: Path) -> StorageCheckpoints:
        """On a storage in the place."""
        return StorageCheckpoints(**{**self.options(place), "connection": FileStorage(str(place))})

    def process_code(self, place: Path) -> str:
        """With a connection of its own."""
        home, options = "odibi_objects.checkpoint", self.options(place)
        return _BUILT.format(home=home, name="StorageCheckpoints", variable="store", options=options, place=str(place))
