"""What the operating system refuses, in the words of the storage contract."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING

from odibi.errors import AccessDenied, InvalidPath, NotFound, StorageError, Transient

if TYPE_CHECKING:
    from collections.abc import Iterator

_MISSING = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
_FULL = {
    errno.ENOSPC: ("the disk is full", "Free some space, or use a connection on another disk."),
    errno.EDQUOT: ("the disk quota is used up", "Free some space, or ask for a larger quota."),
    errno.EFBIG: ("the file would be larger than the system allows", "Write it in parts, or raise the limit."),
}
_PASSING = {
    errno.EINTR,
    errno.EAGAIN,
    errno.EBUSY,
    errno.ETIMEDOUT,
    errno.ESTALE,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOBUFS,
    errno.ENOMEM,
    errno.ECONNRESET,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.ENETUNREACH,
    errno.ENOTCONN,
}
_BAD_NAME = {
    errno.ENAMETOOLONG: ("the path, or a part of it, is longer than the file system allows", "Shorten it."),
    errno.EILSEQ: ("the file system does not allow such a name", "Use other characters."),
    errno.EINVAL: ("the file system does not allow such a name", "Use other characters."),
    errno.ELOOP: ("the path leads through too many symbolic links", "Remove the loop of links."),
}


def storage_error(error: OSError, path: str) -> StorageError:
    """The storage error that says what ``error`` means for the object at ``path``."""
    where = display(path)
    number = error.errno or 0
    reason = error.strerror or str(error)
    if number in _MISSING:
        return NotFound("there is no such object", where=where, remedy="Check the path and the connection's base.")
    if number in _DENIED:
        return AccessDenied(
            f"the system refuses access ({reason})",
            where=where,
            remedy="Give the user who runs this the right to the file and to its folder.",
        )
    if number in _FULL:
        what, remedy = _FULL[number]
        return StorageError(what, where=where, remedy=remedy)
    if number in _BAD_NAME:
        what, remedy = _BAD_NAME[number]
        return InvalidPath(what, where=where, remedy=remedy)
    if number in _PASSING:
        return Transient(f"the file system did not answer ({reason})", where=where, remedy="Try again.")
    return StorageError(
        f"the file system failed ({reason})", where=where, remedy="Look into the system's log for the disk."
    )


@contextmanager
def mapped(path: str) -> Iterator[None]:
    """Let nothing but a :class:`~odibi.errors.StorageError` about ``path`` escape from system calls."""
    try:
        yield
    except OSError as error:
        raise storage_error(error, path) from error
    except UnicodeEncodeError as error:
        raise InvalidPath(
            "the path holds characters that no file name can have", where=display(path), remedy="Use other characters."
        ) from error


def display(path: str) -> str:
    """``path`` for a message; quoted where it could not be printed as it is."""
    return path if path.isprintable() and path else repr(path)
