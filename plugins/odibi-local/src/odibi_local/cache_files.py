"""The files of a disk cache: one an entry, each written under another name and put in its place when it is whole.

The base folder holds a folder of the layout's version, and that 256 folders of content, one of drafts, one of datasets
(see :mod:`odibi_local.cache_datasets`), and the index.
Every folder of ours is opened below the one before, and neither it nor a file is ever a symbolic link: one that is
found in its place is refused. A writer holds a lock of the operating system on its file until the index knows the file,
so a file that the index does not know, and that nobody has locked, was left by a writer that died.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import re
import stat
import sys
import time
import zlib
from contextlib import contextmanager, suppress
from io import FileIO
from typing import TYPE_CHECKING

import xxhash

from odibi.errors import InvalidPath, StorageError, Transient
from odibi_local.cache_datasets import has_dataset
from odibi_local.cache_drafts import ALGORITHM, Draft
from odibi_local.failures import display, mapped
from odibi_local.places import make_folders

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from odibi_local.cache_index import Row

_LAYOUT = "v1"
_DRAFTS = "drafts"
_SHARD = re.compile(r"[0-9a-f]{2}")
_NAME = re.compile(r"([a-z0-9_-]{1,128})\.([0-9a-f]{16}(?:\.d)?)")
_MARKS = {
    "CACHEDIR.TAG": "Signature: 8a477f597d28d172789f06886806bc55\n# See the Cache Directory Tagging Specification.\n",
    ".gitignore": "*\n",
}
"""Files that keep a cache out of backups and repositories."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a named pipe would keep us waiting
_TRIES = 100
_BATCH = 500
_MAPPED = 1 << 20
"""Bytes from which content is mapped. What is smaller is read as fast; before Python 3.13 each mapping keeps a file
descriptor, of which a process has few."""
_SEGMENT = 1 << 24
_POPULATE_READ = 22
"""``MADV_POPULATE_READ`` of Linux: brings pages in, and says what is wrong with them where touching them would kill the
process."""
_UNREADABLE = {errno.EIO, errno.EFAULT, errno.EBADMSG, errno.ELOOP, errno.EISDIR, errno.ENXIO}
_UNREADABLE |= {getattr(errno, name) for name in ("EUCLEAN", "EHWPOISON") if hasattr(errno, name)}
_OLD = 86400.0
"""Seconds after which a draft is taken for abandoned where the file system has no locks to tell."""


class CacheFiles:
    """The files in one folder.

    Args:
        base: the folder, absolute; it is made when it is first needed.
        durable: have files on disk before they count as written.

    Attributes:
        home: the folder in it that is ours.
    """

    def __init__(self, base: str, *, durable: bool) -> None:
        self.home = f"{base.rstrip('/')}/{_LAYOUT}"
        self._base = base
        self._durable = durable
        self._swept = False

    def prepare(self) -> None:
        """Make the folder, for its owner alone, if it is not there.

        Raises:
            StorageError: it cannot be made.
        """
        if _is_folder(self.home):
            return
        with mapped(self._base):
            try:
                make_folders(os.path.dirname(self._base), durable=False)  # noqa: PTH120
                with suppress(FileExistsError):
                    os.mkdir(self._base, 0o700)  # noqa: PTH102
                    self._mark()
                os.mkdir(self.home, 0o700)  # noqa: PTH102
            except FileExistsError:
                if not _is_folder(self.home):  # or else somebody made it meanwhile
                    raise _in_the_way(self.home) from None
            except NotADirectoryError:
                raise _in_the_way(self._base) from None

    def make_folder(self, name: str) -> None:
        """Make a folder in ours, if it is not there.

        Raises:
            StorageError: it cannot be made.
        """
        self.prepare()
        with mapped(self._base):
            os.close(self._folder(name, make=True))

    @contextmanager
    def draft(self, name: str = "") -> Iterator[Draft]:
        """A file to write an entry's content to, locked; ``name`` is what its name will end in, if it matters.

        If the ``with`` block ends with a storage error, the file is removed, wherever it is by then. With any other
        error it stays if it was published, because nobody knows whether the index knows it.
        """
        self.prepare()
        if not self._swept:
            self._swept = True
            self.sweep_drafts()
        with mapped(self._base):
            draft = self._begin(name)
        try:
            yield draft
        except StorageError:
            draft.discard()
            raise
        finally:
            draft.close()

    def read(self, row: Row, turn: int | None = None) -> memoryview | None:
        """The content that ``row`` stands for; ``None`` if it is damaged.

        Args:
            row: of the entry.
            turn: when it is used, in nanoseconds; not noted if it is ``None``, or cannot be.

        Raises:
            FileNotFoundError: there is no such file.
            StorageError: it cannot be read.
        """
        with mapped(row.key):
            try:
                handle = self._open(row.key, row.file)
            except OSError as error:
                if error.errno in _UNREADABLE:
                    return None
                if error.errno != errno.ENOENT:
                    raise
                handle = -1
            if handle >= 0:
                try:
                    return _checked(handle, row, turn)
                finally:
                    os.close(handle)
        raise FileNotFoundError(row.key)

    def used(self, key: str, file: str) -> int | None:
        """When the file was used last, in nanoseconds; ``None`` if that cannot be said."""
        if not _NAME.fullmatch(f"{key}.{file}"):
            return None
        try:
            folder = self._folder(shard_of(key))
        except (OSError, StorageError):
            return None
        try:
            return os.stat(f"{key}.{file}", dir_fd=folder, follow_symlinks=False).st_mtime_ns
        except OSError:
            return None
        finally:
            os.close(folder)

    def remove(self, gone: Iterable[tuple[str, str]]) -> None:
        """Remove files that the index does not know any more; whoever has one mapped keeps its content.

        What cannot be removed stays, to be swept away one day.
        """
        for key, file in gone:
            if not _NAME.fullmatch(f"{key}.{file}"):
                continue
            with suppress(OSError, StorageError):
                folder = self._folder(shard_of(key))
                try:
                    os.unlink(f"{key}.{file}", dir_fd=folder)
                finally:
                    os.close(folder)

    def sweep_drafts(self) -> None:
        """Remove drafts whose writers died."""
        with mapped(self._base), suppress(FileNotFoundError):
            folder = self._folder(_DRAFTS)
            try:
                for name in os.listdir(folder):  # noqa: PTH208
                    _discard_abandoned(folder, name, lambda: True)
            finally:
                os.close(folder)

    def sweep(
        self, known: Callable[[Iterable[str]], set[tuple[str, str]]], is_needed: Callable[[str, str], bool]
    ) -> None:
        """Remove drafts and files that nobody knows and whose writers died.

        Args:
            known: for keys, the keys and files that the index knows.
            is_needed: whether the file of an entry that had a dataset is needed for as long as its objects are there.

        Raises:
            StorageError: the folders cannot be read.
        """
        self.sweep_drafts()
        with mapped(self._base):
            for shard in sorted(filter(_SHARD.fullmatch, os.listdir(self.home))):  # noqa: PTH208
                with suppress(FileNotFoundError):
                    folder = self._folder(shard)
                    try:
                        _sweep(folder, known, is_needed)
                    finally:
                        os.close(folder)

    def _mark(self) -> None:
        for name, text in _MARKS.items():
            with suppress(OSError), open(f"{self._base}/{name}", "x", encoding="ascii") as file:  # noqa: PTH123
                file.write(text)

    def _folder(self, name: str, *, make: bool = False) -> int:
        """A folder of ours as a file descriptor, which the caller closes."""
        home = os.open(self.home, _FOLDER)
        try:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(name, 0o700, dir_fd=home)
            return os.open(name, _FOLDER, dir_fd=home)
        except NotADirectoryError:
            raise _in_the_way(f"{self.home}/{name}") from None
        finally:
            os.close(home)

    def _open(self, key: str, file: str) -> int:
        folder = self._folder(shard_of(key))
        try:
            return os.open(f"{key}.{file}", _FILE, dir_fd=folder)
        finally:
            os.close(folder)

    def _begin(self, name: str) -> Draft:
        for _ in range(_TRIES):
            draft = Draft(self._folder(_DRAFTS, make=True), self._place, durable=self._durable, name=name)
            if draft.is_ours():
                return draft
            draft.close()  # swept away before it was locked
        raise Transient("the drafts keep disappearing", where=display(self._base), remedy="Try again.")

    def _place(self, key: str) -> int:
        """The folder for the content of ``key``."""
        return self._folder(shard_of(key), make=True)


def _is_folder(path: str) -> bool:
    """Whether there is a folder, and not a link to one."""
    try:
        return stat.S_ISDIR(os.stat(path, follow_symlinks=False).st_mode)  # noqa: PTH116
    except OSError:
        return False


def shard_of(key: str) -> str:
    """The folder for the content of a key."""
    return f"{zlib.crc32(key.encode()) & 0xFF:02x}"


def _in_the_way(path: str) -> InvalidPath:
    return InvalidPath(
        "a file or a symbolic link is where the cache has a folder",
        where=display(path),
        remedy="Remove it, or give the cache another path.",
    )


def _checked(handle: int, row: Row, turn: int | None) -> memoryview | None:
    status = os.fstat(handle)
    # The size of an entry with a dataset is that of its objects, too.
    size = status.st_size if has_dataset(row.file) else row.size
    if not stat.S_ISREG(status.st_mode) or status.st_size != size:
        return None
    digest = xxhash.xxh3_128()
    try:
        data = _mapped_content(handle, size, digest) if size >= _MAPPED else None
        if data is None:
            data = memoryview(FileIO(handle, closefd=False).readall())
            digest.update(data)
    except OSError as error:
        if error.errno in _UNREADABLE:
            return None
        raise
    if f"{ALGORITHM}:{digest.hexdigest()}" != row.checksum:
        return None
    if turn is not None:
        with suppress(OSError):  # somebody else's file, or a file system that is read only
            os.utime(handle, ns=(turn, turn))
    return data


def _mapped_content(handle: int, size: int, digest: xxhash.xxh3_128) -> memoryview | None:
    """The content of a file, mapped and digested; ``None`` if it cannot be mapped."""
    try:
        if sys.version_info >= (3, 13):
            content = mmap.mmap(handle, size, access=mmap.ACCESS_READ, trackfd=False)
        else:
            content = mmap.mmap(handle, size, access=mmap.ACCESS_READ)
    except (OSError, ValueError):
        return None  # a file system without mappings, or too many of them
    populate = sys.platform == "linux"
    data = memoryview(content)
    for start in range(0, size, _SEGMENT):
        if populate:
            try:
                content.madvise(_POPULATE_READ, start, min(_SEGMENT, size - start))
            except OSError as error:
                if error.errno in _UNREADABLE:
                    raise
                populate = False  # Linux before 5.14
        digest.update(data[start : start + _SEGMENT])
    return data


def _sweep(
    folder: int, known: Callable[[Iterable[str]], set[tuple[str, str]]], is_needed: Callable[[str, str], bool]
) -> None:
    found = [match for match in map(_NAME.fullmatch, os.listdir(folder)) if match]
    for start in range(0, len(found), _BATCH):
        some = found[start : start + _BATCH]
        there = known({match[1] for match in some})
        for match in some:
            entry = (match[1], match[2])
            if entry not in there and not (has_dataset(entry[1]) and is_needed(*entry)):
                # Asked again under the lock: its writer may have come to its end only now.
                _discard_abandoned(folder, match[0], lambda entry=entry: entry not in known((entry[0],)))  # type: ignore[misc]


def _discard_abandoned(folder: int, name: str, unknown: Callable[[], bool]) -> None:
    """Remove a file if no living writer holds it and the index does not know it."""
    try:
        handle = os.open(name, _FILE, dir_fd=folder)
    except OSError:
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pass
    except OSError:
        with suppress(OSError):
            if time.time() - os.fstat(handle).st_mtime >= _OLD and unknown():
                os.unlink(name, dir_fd=folder)
    else:
        if unknown():
            with suppress(OSError):
                os.unlink(name, dir_fd=folder)
    finally:
        os.close(handle)
