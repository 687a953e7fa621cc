"""What SQLite refuses, in the words of the storage contract."""

from __future__ import annotations

import errno
import os
import sqlite3
from secrets import token_hex

from odibi.errors import AccessDenied, InvalidPath, StorageError, Transient
from odibi_local.failures import display, storage_error

BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})
"""Somebody else was at it for longer than was waited."""

_DENIED = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH, sqlite3.SQLITE_CANTOPEN}
_UNSAID = _DENIED | {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}
"""Refusals of the system, of which SQLite does not hand on what the system said."""

_PAGE = 4096
_NOT_OURS = "It was left as it is. Give another path, or move the file away to begin a new one."


def primary_code(error: sqlite3.Error) -> int | None:
    """SQLite's result code without what details it; ``None`` if the error is not SQLite's own."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def database_error(error: sqlite3.Error, path: str) -> StorageError:
    """The storage error that says what ``error`` means for the database at ``path``.

    The result codes: https://www.sqlite.org/rescode.html.
    """
    code, where = primary_code(error), display(path)
    if code in BUSY:
        return Transient(
            f"another process kept the database to itself for too long ({error})", where=where, remedy="Try again."
        )
    if code in _UNSAID and (said := _refusal(path)) is not None:
        return storage_error(said, path)
    if code == sqlite3.SQLITE_FULL:
        return storage_error(OSError(errno.ENOSPC, str(error)), path)
    if os.path.isdir(path):  # noqa: PTH112
        return InvalidPath("there is a folder at the path", where=where, remedy="Name a file in it.")
    if code == sqlite3.SQLITE_CANTOPEN:
        return Transient(
            f"the system would not open a file of the database ({error}), and now it would",
            where=where,
            remedy="Try again. If it happens again, look at the free space, and at the limit on open files.",
        )
    if code in _DENIED:
        return AccessDenied(
            f"the system refuses access to the database ({error})",
            where=where,
            remedy="Give the user who runs this the right to write to the file and to its folder.",
        )
    if code == sqlite3.SQLITE_NOTADB:
        return StorageError("the file is not an SQLite database", where=where, remedy=_NOT_OURS)
    if code == sqlite3.SQLITE_CORRUPT:
        return StorageError(
            f"the database is damaged ({error})",
            where=where,
            remedy="It was left as it is. Put a copy back, or move it away to begin a new one, which knows no runs.",
        )
    if code == sqlite3.SQLITE_IOERR:
        return StorageError(
            f"the system reports an input/output error, or refuses to let the file grow ({error})",
            where=where,
            remedy="Look at the free space, at quotas and limits on the size of files, and into the system's log.",
        )
    return StorageError(
        f"the database failed ({error})", where=where, remedy="Look into the system's log for the disk."
    )


def _refusal(path: str) -> OSError | None:
    """What the system says to who makes a file beside the database, or changes it; ``None`` if it does not mind.

    The database itself is not opened: closing it would give up the locks that SQLite holds on it in this process.
    """
    probe = f"{path}-probe-{token_hex(4)}"
    try:
        if os.path.isfile(path) and not os.access(path, os.R_OK | os.W_OK):  # noqa: PTH113
            return PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        handle = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.write(handle, bytes(_PAGE))
        finally:
            os.close(handle)
            os.unlink(probe)  # noqa: PTH108
    except FileNotFoundError:  # what is wrong is that there is no folder
        return None
    except OSError as error:
        return error
    return None
