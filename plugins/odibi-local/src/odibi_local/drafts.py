"""Drafts: an object is written beside its place, under a hidden name, and put there in one step when it is whole.

The step is taken under a lock of the operating system that every writer of the object takes, whichever thread,
process or machine it is in, so that "only if nobody changed it" holds. The lock is held for the step alone, not while
data is written. It dies with its holder.
"""

from __future__ import annotations

import errno
import fcntl
import io
import os
import stat
import time
import zlib
from contextlib import ExitStack, contextmanager, suppress
from secrets import token_hex
from typing import TYPE_CHECKING, BinaryIO

from odibi.contracts.storage import ABSENT, ALWAYS, Match, Stat
from odibi.errors import Conflict, InvalidPath, StorageError, Transient
from odibi_local.failures import display, mapped
from odibi_local.names import DRAFT, LOCKS
from odibi_local.places import Place, folder_at, place_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _typeshed import ReadableBuffer, WriteableBuffer

    from odibi.contracts.storage import When

_SHARDS = 64
"""Lock files in all: objects share them, so that a million objects do not need a million."""

_BUFFER = 1 << 18
_TRIES = 100
NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF}
"""What a file system without locks says."""

_NO_HARD_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}
_NOT_EMPTY = {errno.ENOTEMPTY, errno.EEXIST}
_FOLDER_THERE = {errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}


def stat_of(path: str, status: os.stat_result) -> Stat:
    """What the storage says of the file whose status this is.

    The etag is made of inode, size and time of the last change in nanoseconds. Each write makes a new file, hence a
    new inode; as the system may use a freed inode again at once, and its own clock stands still for milliseconds, the
    draft is given its time from the fine clock. So two writes of the same size, one right after the other, never share
    an etag, and reading one costs no look at the content. A program that changes a file in place, without changing
    its size, and within one tick of the system's clock of the last change can go unseen on Linux before 6.13.
    """
    etag = f"{status.st_ino:x}-{status.st_size:x}-{status.st_mtime_ns:x}"
    return Stat(path, status.st_size, status.st_mtime, etag)


class ObjectFile(io.FileIO):
    """An open file that raises nothing but storage errors.

    Args:
        handle: a file descriptor, closed with the file.
        mode: ``"rb"`` or ``"wb"``.
        path: what to call it in an error.
    """

    def __init__(self, handle: int, mode: str, path: str) -> None:
        super().__init__(handle, mode)
        self._path = path

    def write(self, data: ReadableBuffer, /) -> int:
        """As the base, with storage errors."""
        with mapped(self._path):
            return super().write(data)

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """As the base, with storage errors."""
        with mapped(self._path):
            return super().readinto(buffer)

    def readall(self) -> bytes:
        """As the base, with storage errors."""
        with mapped(self._path):
            return super().readall()

    def truncate(self, size: int | None = None, /) -> int:
        """As the base, with storage errors."""
        with mapped(self._path):
            return super().truncate(size)


class Draft:
    """An object being written; see :func:`draft_at`.

    Attributes:
        file: where its bytes go.
    """

    def __init__(self, root: str, path: str, place: Place, *, durable: bool) -> None:
        self._root = root
        self._path = path
        self._place = place
        self._durable = durable
        self._name = f"{DRAFT}{token_hex(8)}"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._handle = os.open(self._name, flags, 0o666, dir_fd=place.folder)
        with suppress(OSError):  # only tells those who clean up that the writer lives
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # A duplicate, so that a library that closes what it wrote to does not take the draft away.
        self.file: BinaryIO = io.BufferedWriter(ObjectFile(os.dup(self._handle), "wb", path), _BUFFER)

    def publish(self, when: When) -> Stat:
        """Make the draft the object, durably, if ``when`` holds.

        Raises:
            Conflict: it does not.
            StorageError: the system refuses; the old object, if any, is still there.
        """
        if not self.file.closed:
            self.file.flush()
        with mapped(self._path):
            now = time.time_ns()
            os.utime(self._handle, ns=(now, now))
            if self._durable:
                os.fsync(self._handle)
            status = os.fstat(self._handle)
            with publishing(self._root, self._place.key, needed=isinstance(when, Match)):
                self._check_folder()
                self._put(when)
            if self._durable:
                os.fsync(self._place.folder)
        return stat_of(self._path, status)

    def discard(self) -> None:
        """Remove what is left of the draft; after :meth:`publish` that is nothing."""
        with suppress(OSError):
            os.unlink(self._name, dir_fd=self._place.folder)
        with suppress(StorageError, OSError):
            self.file.close()
        os.close(self._handle)

    def _put(self, when: When) -> None:
        if isinstance(when, Match):
            self._check(when)
        elif when is ABSENT and self._link():
            return
        elif when is not ALWAYS and when is not ABSENT:
            raise TypeError(f"when must be ALWAYS, ABSENT or Match, not {when!r}")
        self._rename()

    def _check_folder(self) -> None:
        """Refuse to publish into a folder that was replaced meanwhile, where nobody would find the object."""
        above = self._place.key.rpartition("/")[0]
        with suppress(FileNotFoundError, NotADirectoryError, InvalidPath), folder_at(self._root, above) as folder:
            if os.path.sameopenfile(folder, self._place.folder):
                return
        raise Transient(
            "the folder was replaced while the object was being written", where=display(self._path), remedy="Try again."
        )

    def _check(self, when: Match) -> None:
        try:
            status = os.stat(self._place.name, dir_fd=self._place.folder, follow_symlinks=False)
        except FileNotFoundError:
            raise _lost(self._path, "the object is gone") from None
        if not stat.S_ISREG(status.st_mode) or stat_of(self._path, status).etag != when.etag:
            raise _lost(self._path, "the object has changed")

    def _link(self) -> bool:
        """Publish where nothing is; false where the file system cannot do that in one step."""
        place = self._place
        try:
            os.link(self._name, place.name, src_dir_fd=place.folder, dst_dir_fd=place.folder)
        except FileExistsError:
            pass
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise
        else:
            return True
        with suppress(FileNotFoundError):
            if not stat.S_ISDIR(os.stat(place.name, dir_fd=place.folder, follow_symlinks=False).st_mode):
                raise _lost(self._path, "there is an object already")
        return False

    def _rename(self) -> None:
        folder, name = self._place.folder, self._place.name
        try:
            os.rename(self._name, name, src_dir_fd=folder, dst_dir_fd=folder)
        except OSError as error:
            if error.errno not in _FOLDER_THERE:
                raise
            # Empty folders are no objects and must not be in the way of one.
            try:
                _remove_empty(name, folder)
            except OSError:
                raise InvalidPath(
                    "there is a folder at the path",
                    where=display(self._path),
                    remedy="Write below it, or under another name.",
                ) from error
            os.rename(self._name, name, src_dir_fd=folder, dst_dir_fd=folder)


def _remove_empty(name: str, folder: int) -> None:
    """Remove a folder with the folders in it, as long as none of them holds a file.

    Raises:
        OSError: one does; the empty folders that were found before are gone.
    """
    handle = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        for below in os.listdir(handle):  # noqa: PTH208 - a handle has no path
            _remove_empty(below, handle)
    finally:
        os.close(handle)
    os.rmdir(name, dir_fd=folder)


@contextmanager
def draft_at(root: str, path: str, *, durable: bool) -> Iterator[Draft]:
    """A draft for the object at ``path``; discarded at the end of the ``with`` block unless it was published."""
    with ExitStack() as opened:
        draft = _begin(root, path, opened, durable=durable)
        try:
            yield draft
        finally:
            draft.discard()


def _begin(root: str, path: str, opened: ExitStack, *, durable: bool) -> Draft:
    for _ in range(_TRIES):
        # Another thread may remove the folder, which is empty, while it is being opened: then once more.
        with _writing(path), suppress(FileNotFoundError), ExitStack() as trying:
            place = trying.enter_context(place_of(root, path, make=True, durable=durable))
            draft = Draft(root, path, place, durable=durable)
            opened.push(trying.pop_all())
            return draft
    raise Transient("the folder keeps disappearing", where=display(path), remedy="Try again.")


def remove(root: str, path: str, *, durable: bool) -> None:
    """Remove the object at ``path`` and the folders that are empty then; a link is removed itself.

    Raises:
        OSError: as the system says; ``ENOENT`` and ``ENOTDIR`` if there is none.
    """
    with place_of(root, path, follow=False) as place:
        with suppress(FileNotFoundError):  # a link may dangle, and can go all the same
            if stat.S_ISDIR(os.stat(place.name, dir_fd=place.folder).st_mode):
                return
        with publishing(root, place.key, needed=False):
            os.unlink(place.name, dir_fd=place.folder)
        if durable:
            os.fsync(place.folder)
    remove_empty_above(root, path)


def remove_empty_above(root: str, path: str) -> None:
    """Remove the folders above ``path``, up to the base, as far as they are there and empty."""
    above = path.rpartition("/")[0]
    while above:
        try:
            with place_of(root, above, follow=False) as place:
                os.rmdir(place.name, dir_fd=place.folder)
        except (OSError, InvalidPath) as error:
            if getattr(error, "errno", None) in _NOT_EMPTY:
                return
            # What could not be made is not there; what is above it may have been.
        above = above.rpartition("/")[0]


@contextmanager
def publishing(root: str, key: str, *, needed: bool) -> Iterator[None]:
    """Keep every other writer from changing the object at ``key`` for the time of the ``with`` block.

    Args:
        root: the base folder.
        key: as :class:`~odibi_local.places.Place` has it.
        needed: refuse to go on where the file system has no locks; what needs none goes on there.

    Raises:
        StorageError: the file system has no locks.
    """
    handle = -1
    try:
        try:
            handle = _lock(root, zlib.crc32(key.encode("utf-8", "surrogateescape")) % _SHARDS)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            if needed:
                raise StorageError(
                    f"the file system has no locks ({error.strerror}), which a conditional write needs",
                    where=display(key),
                    remedy="Use a connection on a file system with locks.",
                ) from error
        yield
    finally:
        if handle >= 0:
            os.close(handle)


@contextmanager
def publishing_all(root: str) -> Iterator[None]:
    """Keep every other writer from changing any object below ``root`` for the time of the ``with`` block.

    Where the file system has no locks, nobody is kept from anything.
    """
    with ExitStack() as opened:
        try:
            with place_of(root, f"{LOCKS}/00", make=True, durable=False) as place:
                # All in one order, and no other writer holds one while it waits for the next: nobody waits for ever.
                for shard in range(_SHARDS):
                    handle = _take(place.folder, shard)
                    opened.callback(os.close, handle if handle >= 0 else _lock(root, shard))
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
        yield


def _lock(root: str, shard: int) -> int:
    while True:
        with place_of(root, f"{LOCKS}/{shard:02x}", make=True, durable=False) as place:
            handle = _take(place.folder, shard)
            if handle >= 0:
                return handle


def _take(folder: int, shard: int) -> int:
    """A handle that holds the lock; -1 if somebody clears the locks away."""
    name = f"{shard:02x}"
    try:
        handle = os.open(name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666, dir_fd=folder)
    except FileNotFoundError:
        return -1
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        # The file may have been removed while we waited; then others lock a new one.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), os.stat(name, dir_fd=folder)):
                return handle
    except BaseException:
        os.close(handle)
        raise
    os.close(handle)
    return -1


@contextmanager
def _writing(path: str) -> Iterator[None]:
    """As :func:`mapped` for the part of a write that makes folders, where "not a folder" has another meaning."""
    with mapped(path):
        try:
            yield
        except NotADirectoryError as error:
            raise InvalidPath(
                "a part of the path is an object, not a folder", where=display(path), remedy="Write under another name."
            ) from error
        except IsADirectoryError as error:
            raise InvalidPath("there is a folder at the path", where=display(path), remedy="Write below it.") from error


def _lost(path: str, what: str) -> Conflict:
    return Conflict(what, where=display(path), remedy="Read it again and decide anew.")
