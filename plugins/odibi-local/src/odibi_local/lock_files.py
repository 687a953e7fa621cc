"""Lock files: whoever holds the operating system's lock on one has the right that it stands for.

The lock is ``flock``'s: it excludes threads and processes alike, and the system takes it back when its holder dies,
however that happens. It belongs to the open file, not to the process, so a child that inherits the file would keep it:
the file is closed when another program is started, and in each child that Python forks. A child made by other means
keeps the lock until it ends.

The file holds a note of who has the lock, for those who do not get it.
"""

from __future__ import annotations

import errno
import fcntl
import json
import math
import os
import random
import time
from contextlib import suppress
from secrets import token_hex
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from odibi.errors import StorageError
from odibi_local.failures import display

if TYPE_CHECKING:
    from collections.abc import Mapping

_FLAGS = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
_FIRST_PAUSE = 0.001
_LONGEST_PAUSE = 0.1
_TRIES = 200
"""How often to come back to a file that is only being looked at, about a millisecond each."""

_NOTE = 4096


class LockFile:
    """A lock file whose lock is ours; see :func:`acquire`.

    Args:
        path: of the file.
        handle: of the file, which is locked.
        note: what it holds.
    """

    def __init__(self, path: str, handle: int, note: bytes) -> None:
        self._path = path
        self._handles = [handle]  # empty once it is given back; a list, as `pop` is one step for all threads
        self._note = note
        status = os.fstat(handle)
        self._identity = (status.st_dev, status.st_ino)
        self._looked = -math.inf
        _OURS.add(self)

    def __del__(self) -> None:
        # Nobody could give it back any more.
        self.release()

    def held(self) -> bool:
        """Whether the lock is ours, the file is the one that others lock, and none of them has signed it since."""
        try:
            return self.is_in_place() and os.pread(self._handles[0], _NOTE, 0) == self._note
        except (IndexError, OSError):
            return False

    def is_in_place(self, within: float = 0.0) -> bool:
        """Whether the lock is ours, and its file the one that others lock.

        Args:
            within: if the file was found in its place so many seconds ago or less, it is not looked at again.
        """
        if self._handles and time.monotonic() - self._looked < within:
            return True
        self._looked = -math.inf
        try:
            status = os.stat(self._path, follow_symlinks=False)  # noqa: PTH116
        except OSError:
            return False
        if (status.st_dev, status.st_ino) != self._identity or not self._handles:
            return False
        self._looked = time.monotonic()
        return True

    def release(self) -> None:
        """Give the lock back."""
        with suppress(IndexError):
            handle = self._handles.pop()
            with suppress(OSError):
                os.ftruncate(handle, 0)
            with suppress(OSError):
                fcntl.flock(handle, fcntl.LOCK_UN)
            os.close(handle)

    def _leave_to_parent(self) -> None:
        """In a child: close the file and no more, as to unlock it would take the lock from the parent."""
        with suppress(IndexError, OSError):
            os.close(self._handles.pop())


_OURS: WeakSet[LockFile] = WeakSet()


def _after_fork_in_child() -> None:
    for lock in list(_OURS):
        lock._leave_to_parent()


os.register_at_fork(after_in_child=_after_fork_in_child)


def acquire(path: str, note: Mapping[str, Any], wait: float) -> LockFile | None:
    """The lock of the file at ``path``, which is made if it is missing; ``None`` if somebody else holds it.

    Args:
        path: of the file; its folder is there.
        note: JSON values that :func:`holder` gives to whoever asks.
        wait: seconds to wait for whoever holds it.

    Raises:
        OSError: as the system says.
        StorageError: the file system has no locks.
    """
    deadline = time.monotonic() + wait
    pause = _FIRST_PAUSE
    while True:
        handle = _try(path)
        if handle is not None:
            break
        left = deadline - time.monotonic()
        if not left > 0:
            return None
        time.sleep(min(pause, left))
        pause = min(pause * 2, _LONGEST_PAUSE)
    try:
        # The key makes it unlike every other note, so that it tells whether it is still the newest.
        signed = json.dumps({**note, "key": token_hex(8)}).encode()
        os.ftruncate(handle, 0)
        written = 0
        while written < len(signed):
            written += os.pwrite(handle, signed[written:], written)
    except BaseException:
        os.close(handle)
        raise
    return LockFile(path, handle, signed)


def is_held(path: str) -> bool:
    """Whether somebody holds the lock of the file at ``path``."""
    try:
        handle = os.open(path, os.O_RDONLY | _FLAGS)
    except FileNotFoundError:
        return False
    except OSError:
        return True  # not for us to know
    try:
        return not _flock(handle, fcntl.LOCK_SH, path)
    finally:
        os.close(handle)


def holder(path: str) -> dict[str, Any]:
    """The note of whoever holds the lock; empty if there is none that can be read."""
    with suppress(OSError, ValueError):
        handle = os.open(path, os.O_RDONLY | _FLAGS)
        try:
            note = json.loads(os.pread(handle, _NOTE, 0))
        finally:
            os.close(handle)
        if isinstance(note, dict):
            return note
    return {}


def _try(path: str) -> int | None:
    """The file, locked; ``None`` if somebody else has the lock."""
    for _ in range(_TRIES):
        handle = os.open(path, os.O_RDWR | os.O_CREAT | _FLAGS, 0o600)
        try:
            if _flock(handle, fcntl.LOCK_EX, path):
                # The file may have been removed meanwhile; then others lock a new one.
                with suppress(FileNotFoundError):
                    if os.path.samestat(os.fstat(handle), os.stat(path, follow_symlinks=False)):  # noqa: PTH116
                        ours, handle = handle, -1
                        return ours
            elif not _flock(handle, fcntl.LOCK_SH, path):
                return None
            else:
                # Nobody has the lock: somebody asks for it as we do, or looks whether it is held.
                fcntl.flock(handle, fcntl.LOCK_UN)
                time.sleep(random.uniform(0, 2 * _FIRST_PAUSE))  # noqa: S311 - two that ask must not keep in step
        finally:
            if handle >= 0:
                os.close(handle)
    return None


def _flock(handle: int, kind: int, path: str) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        raise StorageError(
            f"the file system has no locks ({error.strerror}), without which two runs could write at the same time",
            where=display(path),
            remedy="Keep the runs' database on a file system with locks.",
        ) from error
    return True
