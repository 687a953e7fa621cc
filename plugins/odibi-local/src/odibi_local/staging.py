"""Folders that are filled beside their place, under a hidden name, and put there in one step.

The step is the one with which the file system lets two names change places. A staged folder is held by its writers with
a lock of the operating system, from the first object in it until it is in place or gone. The lock dies with its holder;
whoever stages the next folder beside removes those that nobody holds.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import sys
import time
from contextlib import suppress
from secrets import token_hex
from typing import TYPE_CHECKING

from odibi.contracts.storage import ABSENT, ALWAYS
from odibi.errors import Conflict, InvalidPath, NotFound, Transient
from odibi_local.drafts import NO_LOCKS, publishing_all
from odibi_local.failures import display
from odibi_local.listing import objects_under
from odibi_local.names import STAGE, is_stage
from odibi_local.places import place_of

if TYPE_CHECKING:
    from odibi.contracts.storage import When
    from odibi_local.places import Place

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_TRIES = 100
_STALE = 24 * 3600
"""Seconds after which a staged folder is taken for left over where the file system has no locks to tell."""

_THERE = {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}
_CANNOT = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EXDEV, errno.EBUSY, errno.EPERM}
"""What says that the system cannot do it here: an old one, another file system, a mount point, a forbidden call."""

_EXCHANGE = 2
"""``RENAME_EXCHANGE`` of Linux, and ``RENAME_SWAP`` of macOS."""

_SYSTEM_CALL = {"x86_64": 316, "aarch64": 276, "riscv64": 276, "ppc64le": 357, "s390x": 347}
"""The number of ``renameat2`` on Linux, for C libraries that do not have it by name."""

_held: dict[tuple[str, str], int] = {}
"""Base and path of the staged folders that this process fills, to a handle that holds the lock."""


def hold(root: str, stage: str) -> None:
    """Make the staged folder ``stage`` if it is not there, and keep it from being taken for left over.

    Raises:
        Transient: it was filled already, and is gone.
        OSError: as the system says.
    """
    known = _held.get((root, stage))
    if known is not None:
        if _is_at(known, root, stage):
            return
        let_go(root, stage)
        raise Transient("the staged folder is gone", where=display(stage), remedy="Write it again.")
    for _ in range(_TRIES):
        # Another writer may remove the folder above, or take this one for left over, before we hold it: then once more.
        with suppress(FileNotFoundError), place_of(root, stage, make=True, durable=False, follow=False) as place:
            made = False
            with suppress(FileExistsError):
                os.mkdir(place.name, dir_fd=place.folder)
                made = True
            handle = _held_at(place)
            if handle < 0:
                continue
            if _held.setdefault((root, stage), handle) != handle:
                os.close(handle)  # another thread was faster
            if made:
                _clear(place.folder)
            return
    raise Transient("the staged folder keeps disappearing", where=display(stage), remedy="Try again.")


def _held_at(place: Place) -> int:
    """A handle that holds the folder at the place; -1 if it is no longer there."""
    handle = os.open(place.name, _FOLDER, dir_fd=place.folder)
    try:
        _share(handle)
        if _is(handle, place):
            return handle
    except BaseException:
        os.close(handle)
        raise
    os.close(handle)
    return -1


def let_go(root: str, stage: str) -> None:
    """Hold the staged folder no longer."""
    handle = _held.pop((root, stage), None)
    if handle is not None:
        os.close(handle)


def let_go_if_gone(root: str, stage: str) -> None:
    """Hold the staged folder no longer if it was removed."""
    handle = _held.get((root, stage))
    if handle is not None and not _is_at(handle, root, stage):
        let_go(root, stage)


def replace(root: str, stage: str, path: str, when: When, *, durable: bool) -> bool:
    """Put the staged folder in the place of what is at ``path``; see :class:`odibi.contracts.FolderStorage`.

    The files of the folder are on disk since they were written, and so are their names.

    Raises:
        NotFound: nothing lies below the staged folder.
        Conflict: ``when`` is ``ABSENT``, and something lies at or below ``path``.
        OSError: as the system says.
    """
    if when is not ALWAYS and when is not ABSENT:
        raise TypeError(f"when must be ALWAYS or ABSENT, not {when!r}")
    if next(objects_under(root, stage), None) is None:
        raise NotFound("nothing is staged", where=display(stage), remedy="Write the objects below it first.")
    with place_of(root, stage, follow=False) as source, place_of(root, path) as target:
        if not stat.S_ISDIR(os.stat(source.name, dir_fd=source.folder, follow_symlinks=False).st_mode):
            raise InvalidPath("a link is no staged folder", where=display(stage), remedy="Remove it.")
        held = _held.get((root, stage))
        if held is not None and not _is(held, source):
            let_go(root, stage)
            raise Transient("the staged folder is gone", where=display(stage), remedy="Write it again.")
        # Whoever was about to publish into the folder sees afterwards that it is another one.
        with publishing_all(root):
            if not _switch(root, source, target, path, when):
                return False
        let_go(root, stage)
        if durable:
            os.fsync(target.folder)
            if not os.path.sameopenfile(source.folder, target.folder):
                os.fsync(source.folder)
        _remove(source.name, source.folder)
    return True


def _switch(root: str, source: Place, target: Place, path: str, when: When) -> bool:
    for _ in range(_TRIES):
        try:
            # Succeeds where nothing is, or an empty folder.
            os.rename(source.name, target.name, src_dir_fd=source.folder, dst_dir_fd=target.folder)
        except OSError as error:
            if error.errno in _CANNOT:
                return False
            if error.errno not in _THERE:
                raise
        else:
            return True
        if when is ABSENT and _anything(root, path, target):
            raise Conflict("there is data already", where=display(path), remedy="Read it again and decide anew.")
        try:
            exchange(source.folder, source.name, target.folder, target.name)
        except FileNotFoundError:
            continue  # what was there has gone
        except OSError as error:
            if error.errno in _CANNOT:
                return False
            raise
        return True
    raise Transient("the place keeps coming and going", where=display(path), remedy="Try again.")


def _anything(root: str, path: str, target: Place) -> bool:
    with suppress(FileNotFoundError):
        if stat.S_ISDIR(os.stat(target.name, dir_fd=target.folder, follow_symlinks=False).st_mode):
            return next(objects_under(root, path), None) is not None
        return True
    return False


def exchange(one_folder: int, one: str, other_folder: int, other: str) -> None:
    """Let two names, each in an open folder, change places in one step; what they name may be of different kinds.

    Raises:
        OSError: as the system says; ``ENOSYS`` if it has no such call.
    """
    import ctypes
    import platform

    libc = ctypes.CDLL(None, use_errno=True)
    arguments = (
        ctypes.c_int(one_folder),
        ctypes.c_char_p(os.fsencode(one)),
        ctypes.c_int(other_folder),
        ctypes.c_char_p(os.fsencode(other)),
        ctypes.c_uint(_EXCHANGE),
    )
    name = "renameatx_np" if sys.platform == "darwin" else "renameat2"
    if hasattr(libc, name):
        failed = getattr(libc, name)(*arguments)
    elif sys.platform == "linux" and platform.machine() in _SYSTEM_CALL:
        failed = libc.syscall(ctypes.c_long(_SYSTEM_CALL[platform.machine()]), *arguments)
    else:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if failed:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _clear(folder: int) -> None:
    """Remove what killed writers have left in ``folder``."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if is_stage(entry.name)]
    for name in names:
        with suppress(OSError):
            _clear_one(name, folder)


def _clear_one(name: str, folder: int) -> None:
    try:
        handle = os.open(name, _FOLDER, dir_fd=folder)
    except OSError as error:
        # A file that a folder has replaced; a living writer has no file of such a name but to remove it at once.
        if error.errno in (errno.ENOTDIR, errno.ELOOP):
            os.unlink(name, dir_fd=folder)
        return
    try:
        status = os.fstat(handle)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in NO_LOCKS or time.time() - status.st_mtime < _STALE:
                return
        if not os.path.samestat(status, os.stat(name, dir_fd=folder, follow_symlinks=False)):
            return
        # Under another name first: should its writer live after all, on a machine whose locks are not ours, it finds
        # its folder whole or gone, and never puts half of it in place.
        dead = f"{STAGE}{token_hex(8)}"
        os.rename(name, dead, src_dir_fd=folder, dst_dir_fd=folder)
        _remove(dead, folder)
    finally:
        os.close(handle)


def _remove(name: str, folder: int) -> None:
    """Remove what nobody sees any more; what cannot be removed now is left to whoever clears the next time."""
    with suppress(OSError):
        if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            shutil.rmtree(name, ignore_errors=True, dir_fd=folder)
        else:
            os.unlink(name, dir_fd=folder)


def _share(handle: int) -> None:
    """Take a lock that any number of writers may have; none where the file system has no locks."""
    try:
        fcntl.flock(handle, fcntl.LOCK_SH)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise


def _is_at(handle: int, root: str, path: str) -> bool:
    with suppress(OSError, InvalidPath), place_of(root, path, follow=False) as place:
        return _is(handle, place)
    return False


def _is(handle: int, place: Place) -> bool:
    """Whether the open folder is the one that has the name."""
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(handle), os.stat(place.name, dir_fd=place.folder, follow_symlinks=False))
    return False
