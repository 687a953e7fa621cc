"""The SQLite database of the runs: opened with care, written to in groups, never replaced or thrown away.

Changes are gathered: each thread leaves its change in a queue and then waits for its turn; the first to get it makes
all that are waiting, in one transaction with one sync, so that most threads find theirs done when it is their turn.

A sync costs least if the file that is synced does not grow. So the write-ahead log is kept short (SQLite begins it
anew after each checkpoint) and is lengthened ahead of what is written to it, in steps, as a process writes more.

SQLite survives no ``fork`` with an open connection (https://www.sqlite.org/howtocorrupt.html, section 2.6): it is
closed before one, and opened when it is next needed, in parent and child alike.
"""

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from weakref import WeakSet

import attrs

from odibi.errors import OdibiError, StorageError
from odibi_local.database_errors import BUSY, database_error, primary_code
from odibi_local.failures import display, mapped
from odibi_local.places import make_folders

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")

LAYOUT = 1
"""Version of the tables below; kept in the header of the file as its ``user_version``."""

_OURS = int.from_bytes(b"Odbr")
"""The ``application_id`` in the header of the file."""

# The place of a journal's row is its run's number and its position in the journal in one: so the journal is one tree
# in which each run lies together, and an append touches its last page alone.
_TABLES = """
CREATE TABLE pipelines (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    token INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE tokens (newest INTEGER NOT NULL);
INSERT INTO tokens VALUES (0);
CREATE TABLE runs (
    number INTEGER PRIMARY KEY,
    run_id TEXT NOT NULL UNIQUE,
    pipeline INTEGER NOT NULL,
    state TEXT NOT NULL,
    started REAL NOT NULL,
    finished REAL,
    token INTEGER,
    process TEXT,
    detail TEXT NOT NULL
);
CREATE INDEX runs_of_pipeline ON runs (pipeline, run_id);
CREATE INDEX runs_in_state ON runs (pipeline, state, run_id);
CREATE TABLE journal (place INTEGER PRIMARY KEY, records TEXT NOT NULL);
CREATE TABLE results (pipeline INTEGER NOT NULL, node TEXT NOT NULL, record TEXT NOT NULL, UNIQUE (pipeline, node));
CREATE TABLE offsets (stream TEXT PRIMARY KEY, value TEXT NOT NULL);
"""

_CHECKPOINT = 250
"""Pages in the log after which SQLite moves them to the database: 1 MiB, some hundred appends. A longer log saves
little more, and is more to read after a crash."""

_LOG = (_CHECKPOINT + 20) * (4096 + 24)
"""Bytes to which the log is lengthened: what it holds at a checkpoint, and the transaction that comes over it."""

_STEPS = (_LOG // 16, _LOG // 4, _LOG)
_LONGEST_LOG = 1 << 22
"""Bytes to which the log is cut back after a transaction that made it longer."""

_POLLING = 0.02
"""Seconds for which SQLite waits by itself, polling ever more seldom; then it is asked anew. Left to itself it would
come down to ten times a second, and hardly ever find a database free that others write to one after the other."""

_FORK_WAIT = 30.0
_LOOK = 0.05
"""Seconds for which the file is taken to be where it was: what is lost with it was lost before."""

_FATAL = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, None}
"""What a connection may not be trusted after."""


@attrs.define(eq=False)
class _Change(Generic[T]):
    """A change that somebody waits for."""

    work: Callable[[sqlite3.Cursor], T]
    sync: bool
    look: bool
    done: bool = False
    result: Any = None
    error: BaseException | None = None

    def fail(self, error: BaseException) -> None:
        self.error, self.done = error, True


class CheckpointDatabase:
    """The database at one path, for all threads of a process, over one connection.

    Args:
        path: of the file, absolute, with no symbolic link in it.
        durable: have what says so on disk before it counts as done.
        timeout: seconds to wait while other processes write.
    """

    def __init__(self, path: str, *, durable: bool, timeout: float) -> None:
        self.path = path
        self.transactions = 0
        """That were committed by this object."""
        self._durable = durable
        self._timeout = timeout
        self._turn = threading.Lock()
        self._queue = threading.Lock()
        self._waiting: list[_Change[Any]] = []
        self._connection: sqlite3.Connection | None = None
        self._cursor: sqlite3.Cursor | None = None
        self._connections = 0
        self._identity: tuple[int, int] | None = None
        self._looked = 0.0
        self._syncs: bool | None = None
        self._log = 0
        self._closed = False
        _OPEN.add(self)

    def change(self, work: Callable[[sqlite3.Cursor], T], *, sync: bool = True, look: bool = False) -> T:
        """Do ``work`` in a transaction, perhaps one with others' work, and return what it returns.

        Args:
            work: may be called again after a transaction that came to nothing.
            sync: on disk when this returns; otherwise when the next change that syncs returns.
            look: whether the file is still in its place; otherwise that is looked at now and then.

        Raises:
            StorageError: nothing has changed.
            Exception: what ``work`` raised; nothing has changed.
        """
        change = _Change(work, sync and self._durable, look)
        try:
            with self._queue:
                self._waiting.append(change)
            with self._turn:
                if not change.done:
                    self._make_all()
        except BaseException:
            change.done = True  # nobody waits for it any more
            raise
        if change.error is not None:
            raise change.error
        result: T = change.result
        return result

    def read(self, work: Callable[[sqlite3.Cursor], T], default: T) -> T:
        """What ``work`` returns, which sees one state of the database; ``default`` if there is no database yet.

        Raises:
            StorageError: it cannot be read.
        """
        with self._turn:
            if self._has_moved():
                self._disconnect()
            if self._connection is None and not os.path.exists(self.path):  # noqa: PTH110
                self._check_open()
                return default
            try:
                return self._patiently(lambda: self._look(work))
            except sqlite3.Error as error:
                self._recover(error)
                raise database_error(error, self.path) from error

    def close(self) -> None:
        """Close the connection for good."""
        with self._turn:
            self._closed = True
            self._disconnect()

    def _look(self, work: Callable[[sqlite3.Cursor], T]) -> T:
        cursor = self._connect()
        self._roll_back(cursor.connection)
        cursor.execute("BEGIN")
        try:
            return work(cursor)
        finally:
            self._roll_back(cursor.connection)

    def _patiently(self, call: Callable[[], T]) -> T:
        """What ``call`` returns, made again while others keep the database to themselves."""
        deadline = time.monotonic() + self._timeout
        while True:
            try:
                return call()
            except sqlite3.Error as error:
                if primary_code(error) not in BUSY or time.monotonic() >= deadline:
                    raise
            time.sleep(random.uniform(0, _POLLING / 10))  # noqa: S311 - so that no two keep in step

    @property
    def connections(self) -> int:
        """How many there have been, with the one that is open now."""
        return self._connections

    # --- transactions -----------------------------------------------------------------------------------------------

    def _make_all(self) -> None:
        """Make every change that waits; each is told what became of it.

        They stay in the queue meanwhile, so that an interrupt leaves those that are not done to the next in turn.
        """
        with self._queue:
            changes = [change for change in self._waiting if not change.done]
        self._make_in_groups(changes)
        with self._queue:
            self._waiting = [change for change in self._waiting if not change.done]

    def _make_in_groups(self, changes: Sequence[_Change[Any]]) -> None:
        sync = True in [change.sync for change in changes]
        look = True in [change.look for change in changes]
        try:
            cursor = self._patiently(lambda: self._begin(sync, look))
        except (sqlite3.Error, OdibiError, ValueError) as error:
            if isinstance(error, sqlite3.Error):
                self._recover(error)
            for change in changes:
                # An error of its own for each, as each thread adds to the traceback of the one that it raises.
                change.fail(_told(error, self.path))
            return
        if self._make(cursor, changes):
            return
        # One of them failed, and took the others with it: now each for itself.
        for change in changes:
            try:
                cursor = self._patiently(lambda change=change: self._begin(change.sync, change.look))  # type: ignore[misc]
            except (sqlite3.Error, OdibiError, ValueError) as error:
                change.fail(_told(error, self.path))
            else:
                self._make(cursor, [change])

    def _begin(self, sync: bool, look: bool) -> sqlite3.Cursor:
        if (look or time.monotonic() - self._looked > _LOOK) and self._has_moved():
            self._disconnect()
            raise StorageError(
                "the database was removed or replaced while it was in use",
                where=display(self.path),
                remedy="What was written to it is lost unless the file is put back. Leave it alone while something "
                "runs; to begin anew, end all runs first.",
            )
        cursor = self._connect()
        self._roll_back(cursor.connection)  # should an interrupt have come into the midst of that
        if sync is not self._syncs and self._connection is not None:
            # Not by `execute`, which keeps the prepared statement: this takes effect while it is prepared.
            self._connection.executescript(f"PRAGMA synchronous = {'FULL' if sync else 'NORMAL'}")
            self._syncs = sync
        cursor.execute("BEGIN IMMEDIATE")
        return cursor

    def _make(self, cursor: sqlite3.Cursor, changes: Sequence[_Change[Any]]) -> bool:
        """Make the changes in the transaction that has begun, and end it; false if they are to be made one by one."""
        connection = cursor.connection
        ending = False
        try:
            for change in changes:
                change.result = change.work(cursor)
            if self._log < _LOG:
                self._lengthen_log()
            ending = True
            cursor.execute("COMMIT")
            self._tell(changes)
        except Exception as error:
            self._roll_back(connection)
            if isinstance(error, sqlite3.Error):
                self._recover(error)
            if len(changes) > 1:
                return False
            changes[0].fail(_told(error, self.path))
            return True
        except BaseException:
            # An interrupt, which comes between two calls, never within one: so a transaction that was being ended
            # and is no more has been committed.
            if ending and not connection.in_transaction:
                self._tell(changes)
            self._roll_back(connection)
            raise
        return True

    def _tell(self, changes: Sequence[_Change[Any]]) -> None:
        self.transactions += 1
        for change in changes:
            change.done = True

    def _roll_back(self, connection: sqlite3.Connection) -> None:
        if connection.in_transaction:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")

    def _lengthen_log(self) -> None:
        """Make the log longer by a step, filled with zeros, if it has grown since.

        SQLite reads a log up to the first frame that is none of its own, and zeros are none. Nobody else changes the
        log's length meanwhile, as this is done by whoever has the right to write.
        """
        with suppress(OSError):
            log = f"{self.path}-wal"
            size = os.stat(log).st_size  # noqa: PTH116
            if not size or size == self._log:
                return
            self._log = size
            if size >= _LOG:
                return
            longer = next(step for step in _STEPS if step > size)
            handle = os.open(log, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                os.pwrite(handle, bytes(longer - size), size)
                self._log = os.fstat(handle).st_size
            finally:
                os.close(handle)

    # --- the connection ---------------------------------------------------------------------------------------------

    def _check_open(self) -> None:
        if self._closed:
            raise ValueError("the checkpoint store is closed")

    def _has_moved(self) -> bool:
        """Whether the path leads to another file than the one that is open, or to none."""
        if self._connection is None:
            return False
        try:
            status = os.stat(self.path)  # noqa: PTH116
        except OSError:
            return True
        self._looked = time.monotonic()
        return (status.st_dev, status.st_ino) != self._identity

    def _connect(self) -> sqlite3.Cursor:
        if self._cursor is not None:
            return self._cursor
        self._check_open()
        with mapped(self.path):
            self._make_file()
        connection = sqlite3.connect(
            self.path,
            timeout=min(self._timeout, _POLLING),
            isolation_level=None,
            check_same_thread=False,
            cached_statements=64,
        )
        try:
            self._set_up(connection)
            with mapped(self.path):
                status = os.stat(self.path)  # noqa: PTH116
        except BaseException:
            connection.close()
            raise
        self._identity = (status.st_dev, status.st_ino)
        self._looked = time.monotonic()
        self._connections += 1
        self._syncs, self._log = None, 0
        self._connection, self._cursor = connection, connection.cursor()
        return self._cursor

    def _make_file(self) -> None:
        """Make the file, which nobody but its owner may read, unless it is there.

        It must never be opened here if it is: closing it again would take away the locks of connections that this
        process has (section 2.2 of the page named above).
        """
        folder, _ = os.path.split(self.path)
        if os.path.lexists(self.path):
            return
        make_private_folder(folder, durable=self._durable)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with suppress(FileExistsError):
            os.close(os.open(self.path, flags, 0o600))
        if self._durable:
            _sync_folder(folder)

    def _set_up(self, connection: sqlite3.Connection) -> None:
        """Set the connection's switches, and make the tables in a new database.

        Raises:
            sqlite3.Error: as SQLite says.
            StorageError: the database is not one that can be used here; it was not touched.
        """
        execute = connection.execute
        execute("PRAGMA trusted_schema = OFF")
        execute("BEGIN")  # one look, as another process may be making the tables
        try:
            new = _is_new(connection, self.path)
        finally:
            self._roll_back(connection)
        if new:
            self._make_tables(connection)
        execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT}")
        execute(f"PRAGMA journal_size_limit = {_LONGEST_LOG}")
        if self._durable:
            # What syncs mean on Apple's systems, and nothing on others.
            execute("PRAGMA fullfsync = ON")
            execute("PRAGMA checkpoint_fullfsync = ON")

    def _make_tables(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("BEGIN IMMEDIATE")
        try:
            if _is_new(connection, self.path):  # still: another process may have been faster
                for statement in _TABLES.split(";"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {_OURS}")
                connection.execute(f"PRAGMA user_version = {LAYOUT}")
            connection.execute("COMMIT")
        except BaseException:
            self._roll_back(connection)
            raise

    def _recover(self, error: sqlite3.Error) -> None:
        if primary_code(error) in _FATAL:
            self._disconnect()

    def _disconnect(self) -> None:
        connection, self._connection, self._cursor = self._connection, None, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    # --- fork -------------------------------------------------------------------------------------------------------

    def _before_fork(self) -> bool:
        """Close the connection, and keep others from opening it; false if that cannot be done."""
        # Not for ever, as a signal's handler may fork in the midst of what its own thread does here.
        if not self._turn.acquire(timeout=_FORK_WAIT):
            return False
        self._disconnect()
        return True

    def _after_fork_in_child(self) -> None:
        # Other threads' changes are theirs to make, in the parent.
        self._turn, self._queue, self._waiting = threading.Lock(), threading.Lock(), []
        if self._connection is not None:
            _LEFT_TO_PARENT.append(self._connection)
            self._connection = self._cursor = None


def make_private_folder(path: str, *, durable: bool) -> None:
    """Make the folder at the absolute ``path``, for its owner alone, unless it is there; and those above it."""
    if os.path.isdir(path):  # noqa: PTH112
        return
    above = os.path.dirname(path)  # noqa: PTH120
    make_folders(above, durable=durable)
    with suppress(FileExistsError):
        os.mkdir(path, 0o700)  # noqa: PTH102
    if durable:
        _sync_folder(above)


def _sync_folder(path: str) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


_OPEN: WeakSet[CheckpointDatabase] = WeakSet()
_FORKING = threading.Lock()
_PAUSED: list[CheckpointDatabase] = []
_LEFT_TO_PARENT: list[sqlite3.Connection] = []


def _before_fork() -> None:
    _FORKING.acquire()
    _PAUSED.extend([database for database in list(_OPEN) if database._before_fork()])


def _after_fork_in_parent() -> None:
    while _PAUSED:
        _PAUSED.pop()._turn.release()
    _FORKING.release()


def _after_fork_in_child() -> None:
    global _FORKING
    _FORKING = threading.Lock()
    _PAUSED.clear()
    for database in list(_OPEN):
        database._after_fork_in_child()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)


def _is_new(connection: sqlite3.Connection, path: str) -> bool:
    """Whether there is nothing in the database yet.

    Raises:
        StorageError: what is in it is not ours, or is newer than this module.
    """
    (owner,) = connection.execute("PRAGMA application_id").fetchone()
    (layout,) = connection.execute("PRAGMA user_version").fetchone()
    if owner == _OURS and 0 < layout <= LAYOUT:
        return False
    if owner == _OURS:
        raise StorageError(
            f"the database was made by a newer odibi-local (layout {layout}; this one knows {LAYOUT})",
            where=display(path),
            remedy="Update odibi-local, or give another path.",
        )
    if not owner and not layout and not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        return True
    raise StorageError(
        "the file is an SQLite database of something else",
        where=display(path),
        remedy="It was left as it is. Give another path.",
    )


def _told(error: Exception, path: str) -> Exception:
    """The error for one of those that it concerns."""
    if isinstance(error, sqlite3.Error):
        told = database_error(error, path)
        told.__cause__ = error
        return told
    return error
