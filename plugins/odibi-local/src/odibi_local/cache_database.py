"""An SQLite database that may be lost: one that is damaged, or not ours, is put aside and begun anew.

The database lies beside a file that names it. To begin anew is to make a database under a new name and then to change
what that file says, in one step. So no file is ever renamed or replaced under a process that has it open, which SQLite
does not survive (see "How To Corrupt An SQLite Database File", section 1.4, in its documentation), and each process
sees at its next call that it works on an old one.

Nor does SQLite survive a ``fork`` (section 2.6 there): all connections are closed before one and opened when they are
next needed, in parent and child alike.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import re
import sqlite3
import stat
import threading
from contextlib import ExitStack, contextmanager, suppress
from secrets import token_hex
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote
from weakref import WeakSet

import attrs

from odibi.errors import StorageError
from odibi_local.database_errors import BUSY, database_error, primary_code
from odibi_local.failures import display, mapped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

T = TypeVar("T")
Identity = tuple[int, int, int]

WAIT = 30.0
"""Seconds to wait for another process that writes."""

_NAMED = "index"
_LOCK = "index.lock"
_NAME = re.compile(r"index-[0-9a-f]{16}\.sqlite")
_FILE = re.compile(rf"({_NAME.pattern})(?:-wal|-shm|-journal)?|\.index-[0-9a-f]{{16}}")
_PAGES = -16_000
"""Of the page cache: negative for KiB. A thousand look-ups among a hundred thousand rows stay in memory."""

_FIXED = "ro&immutable=1"
_FILES = 4
"""Files that SQLite may have to open at once for one connection."""

_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_CONSTRAINT}
_UNWRITABLE = {
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_AUTH,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
}
"""What SQLite says where it cannot make the files it wants to have beside the database, even if only to read."""

_log = logging.getLogger("odibi.cache")


@attrs.frozen
class Layout:
    """What the database must be.

    Attributes:
        application_id: of the SQLite header; tells ours from others.
        schema: the statements that make it, one an object, each as SQLite keeps it.
        rows: the statements that fill a new one.
    """

    application_id: int
    schema: Sequence[str]
    rows: Sequence[str] = ()


class _Side:
    """A connection with the lock that whoever uses it holds."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.connection: sqlite3.Connection | None = None
        self.identity: Identity | None = None

    def close(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()


class Database:
    """The database in one folder, for all threads of a process, with one connection that reads and one that writes.

    Args:
        home: the folder, absolute.
        layout: what it must be.
        prepare: makes the folder.
        forked: called in a child of this process before it first uses the database.
        durable: a change that returned survives a crash of the machine.
        wait: seconds to wait for another process that writes.
    """

    def __init__(
        self,
        home: str,
        layout: Layout,
        *,
        prepare: Callable[[], None],
        forked: Callable[[], None],
        durable: bool,
        wait: float = WAIT,
    ) -> None:
        self._home = home
        self._layout = layout
        self._prepare = prepare
        self._forked = forked
        self._durable = durable
        self._wait = wait
        self._pid = os.getpid()
        self._reader = _Side()
        self._writer = _Side()
        self._abandoned: list[_Side] = []
        _LIVE.add(self)

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What ``work`` returns, which may read; it may be called a second time.

        Raises:
            StorageError: the database cannot be used.
        """
        return self._work(work, writes=False)

    def change(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What ``work`` returns, done in one transaction; it may be called a second time if the first left no trace.

        Raises:
            StorageError: nothing has changed.
        """

        def transaction(connection: sqlite3.Connection) -> T:
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = work(connection)
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise
            return result

        return self._work(transaction, writes=True)

    def close(self) -> None:
        """Close the connections; the next call opens them again."""
        self._notice_fork()
        for side in (self._writer, self._reader):
            with side.lock:
                side.close()

    def _work(self, work: Callable[[sqlite3.Connection], T], *, writes: bool) -> T:
        self._notice_fork()
        side = self._writer if writes else self._reader
        for last in (False, True):
            with side.lock:
                try:
                    with _legible():
                        return work(self._ready(side))
                except sqlite3.Error as error:
                    failure = error
                    if primary_code(error) in BUSY:
                        raise self._error(error) from error
                    side.close()  # whatever state it is in
            try:
                mended = not last and self._mended(side.identity, failure)
            except sqlite3.Error as error:
                raise self._error(error) from failure
            if not mended:
                raise self._error(failure) from failure
        raise AssertionError

    def _ready(self, side: _Side) -> sqlite3.Connection:
        """The connection; a new one if there is none, or if the database was begun anew since it was opened."""
        if side.connection is None or side.identity is None or side.identity != self._identity():
            side.close()
            with mapped(self._home):
                side.connection, side.identity = self._open(writes=side is self._writer)
        return side.connection

    def _mended(self, identity: Identity | None, failure: sqlite3.Error) -> bool:
        """Whether it is worth another try: the database was damaged and has been begun anew, or will be looked at."""
        code = primary_code(failure)
        # A flipped bit in its header can make a database look like one of a format that is only to be read.
        if code in _DAMAGE or (code == sqlite3.SQLITE_READONLY and self._may_write()):
            with mapped(self._home), self._alone():
                if identity is None or identity == self._identity():
                    self._put_aside(str(failure))
            return True
        # "No such table" means that the schema is damaged, which opening it again finds out.
        return code in (None, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_SCHEMA, sqlite3.SQLITE_MISUSE)

    def _error(self, error: sqlite3.Error) -> StorageError:
        """What ``error`` means; where SQLite cannot open its files and does not say why, what the system says."""
        if primary_code(error) == sqlite3.SQLITE_CANTOPEN:
            with mapped(self._home), ExitStack() as opened:
                for _ in range(_FILES):
                    opened.callback(os.close, os.open(self._home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        return database_error(error, self._path(_NAMED))

    # --- files ------------------------------------------------------------------------------------------------------

    def _may_write(self) -> bool:
        with mapped(self._home):
            return all(os.access(path, os.W_OK) for path in (self._home, self._path(self._current())))

    def _path(self, name: str) -> str:
        return f"{self._home}/{name}"

    def _identity(self) -> Identity | None:
        """Of the file that names the database: another one after each new beginning."""
        try:
            status = os.stat(self._path(_NAMED), follow_symlinks=False)  # noqa: PTH116
        except OSError:
            return None  # what is wrong will be said when it is opened again
        return status.st_dev, status.st_ino, status.st_mtime_ns

    def _current(self) -> str:
        """The name of the database; empty if there is none, or if what should name it does not."""
        try:
            handle = os.open(self._path(_NAMED), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ELOOP):
                raise
            return ""
        try:
            name = os.read(handle, 100).decode("ascii", "replace").strip()
        finally:
            os.close(handle)
        return name if _NAME.fullmatch(name) else ""

    def _open(self, *, writes: bool) -> tuple[sqlite3.Connection, Identity | None]:
        self._prepare()
        with self._alone():
            failure = "there is none"
            for _ in range(2):
                name = self._current()
                if name:
                    try:
                        connection, lasting = self._connect(name, writes=writes)
                        if connection is not None:
                            return connection, self._identity() if lasting else None
                        failure = "it is not one of ours"
                    except FileNotFoundError:
                        failure = "it is gone"
                    except sqlite3.Error as error:
                        if primary_code(error) not in _DAMAGE | {None, sqlite3.SQLITE_ERROR}:
                            raise
                        failure = str(error)
                self._put_aside(failure)
        raise StorageError(f"the cache's index cannot be made ({failure})", where=display(self._home))

    def _connect(self, name: str, *, writes: bool) -> tuple[sqlite3.Connection | None, bool]:
        """A connection to the database called ``name``, or ``None`` if that is not one of ours; whether it may be kept.

        Where SQLite cannot make the files it wants to have beside the database (in a folder that is only to be read,
        or on a disk that is full), the database is read as one that never changes, if it is whole. As somebody else may
        change it all the same, such a connection is good for one look.
        """
        path = self._path(name)
        # Not opened to look inside: to close it would drop the locks that SQLite has on it in this process (see "How To
        # Corrupt", section 2.2).
        if not stat.S_ISREG(os.stat(path, follow_symlinks=False).st_mode):  # noqa: PTH116
            return None, False
        modes = ["rw"] if writes else ["rw", "ro"]
        if not writes and not any(_size(f"{path}{more}") for more in ("-wal", "-journal")):
            modes.append(_FIXED)
        while True:
            mode = modes.pop(0)
            uri = f"file://{quote(os.fsencode(path))}?mode={mode}"
            connection = sqlite3.connect(
                uri, uri=True, timeout=self._wait, isolation_level=None, check_same_thread=False
            )
            try:
                with _legible():
                    if self._set_up(connection):
                        return connection, mode != _FIXED
                connection.close()
                return None, False
            except sqlite3.Error as error:
                connection.close()
                if not modes or primary_code(error) not in _UNWRITABLE:
                    raise

    def _set_up(self, connection: sqlite3.Connection) -> bool:
        """Set the connection's switches; whether the database is one of ours."""
        connection.text_factory = _text
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
        connection.execute(f"PRAGMA cache_size = {_PAGES}")
        connection.execute(f"PRAGMA synchronous = {'FULL' if self._durable else 'NORMAL'}")
        (application_id,) = connection.execute("PRAGMA application_id").fetchone()
        schema = [sql for (sql,) in connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")]
        return application_id == self._layout.application_id and sorted(schema) == sorted(self._layout.schema)

    def _put_aside(self, why: str) -> None:
        """Begin a new database; the old one stays for whoever wants to look at it, until the next is put aside."""
        old, there = self._current(), os.path.lexists(self._path(_NAMED))
        name = f"index-{token_hex(8)}.sqlite"
        connection = sqlite3.connect(self._path(name), isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("BEGIN")
            for statement in (*self._layout.schema, *self._layout.rows):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {self._layout.application_id}")
            connection.execute("COMMIT")
        finally:
            connection.close()
        self._name(name)
        if there:
            _log.warning(
                "the cache's index in %s cannot be used (%s); it is put aside and begun anew", display(self._home), why
            )
        self._clear_away(old, name)

    def _name(self, name: str) -> None:
        draft = self._path(f".index-{token_hex(8)}")
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(handle, "wb") as file:  # noqa: PTH123 - which goes on where the system writes less than it is asked to
            file.write(f"{name}\n".encode())
            file.flush()
            if self._durable:
                os.fsync(handle)
        os.replace(draft, self._path(_NAMED))  # noqa: PTH105

    def _clear_away(self, *but: str) -> None:
        for name in os.listdir(self._home):  # noqa: PTH208
            found = _FILE.fullmatch(name)
            if found and found[1] not in but:
                with suppress(OSError):
                    os.unlink(self._path(name))  # noqa: PTH108

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other threads and processes from opening the database, or beginning it anew."""
        handle = -1
        try:
            handle = os.open(self._path(_LOCK), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise  # whoever may not write here opens what is there, and begins nothing
        try:
            if handle >= 0:
                with suppress(OSError):  # a file system without locks
                    fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            if handle >= 0:
                os.close(handle)

    # --- fork -------------------------------------------------------------------------------------------------------

    def _notice_fork(self) -> None:
        """In a child that was not made by :func:`os.fork`: what the parent opened must neither be used nor closed."""
        if self._pid != os.getpid():
            self._after_fork_in_child()

    def _before_fork(self) -> list[_Side]:
        """Close the connections; returns the sides whose locks are held now."""
        held = []
        for side in (self._writer, self._reader):
            # With a limit, because a signal's handler may fork while its own thread holds the lock.
            if side.lock.acquire(timeout=self._wait):
                held.append(side)
                side.close()
        return held

    def _after_fork_in_child(self) -> None:
        self._abandoned += [side for side in (self._writer, self._reader) if side.connection is not None]
        self._reader, self._writer = _Side(), _Side()
        self._pid = os.getpid()
        self._forked()


class _Paused(threading.local):
    """Sides whose locks the thread holds that forks."""

    def __init__(self) -> None:
        self.sides: list[_Side] = []


_LIVE: WeakSet[Database] = WeakSet()
_PAUSED = _Paused()


def _before_fork() -> None:
    # In one order, for two threads may fork at the same time.
    for database in sorted(_LIVE, key=id):
        _PAUSED.sides += database._before_fork()


def _after_fork_in_parent() -> None:
    while _PAUSED.sides:
        _PAUSED.sides.pop().lock.release()


def _after_fork_in_child() -> None:
    _PAUSED.sides.clear()
    for database in list(_LIVE):
        database._after_fork_in_child()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)


def _size(path: str) -> int:
    """Of the file, in bytes; 0 if there is none."""
    try:
        return os.stat(path, follow_symlinks=False).st_size  # noqa: PTH116
    except OSError:
        return 0


@contextmanager
def _legible() -> Iterator[None]:
    """SQLite quotes the damaged schema in its errors, which Python then cannot decode."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise sqlite3.DatabaseError("it holds what is no text") from error


def _text(raw: bytes) -> str:
    # A flipped bit may leave text that is no UTF-8; it must be seen as damage of one row, not of them all.
    return raw.decode("utf-8", "replace")
