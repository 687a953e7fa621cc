"""What a bucket knows of its objects: an SQLite database, in memory or in the bucket's folder.

Keys are kept as UTF-8 in BLOBs, which SQLite compares byte by byte: the order in which S3 lists. A change is one
transaction, so a crash leaves a bucket as it was before or after a request. The contents are elsewhere, written before
the transaction that makes them part of an object.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from weakref import finalize

from odibi_s3_sim.answers import Version

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WAIT = 60.0
"""Seconds to wait for another process that writes."""

_FORMAT = "1"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS versions (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, key BLOB NOT NULL, version_id TEXT NOT NULL, etag TEXT NOT NULL,
    size INTEGER NOT NULL, modified REAL NOT NULL, metadata TEXT NOT NULL, marker INTEGER NOT NULL, pieces TEXT NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS version_of ON versions (key, version_id);
CREATE INDEX IF NOT EXISTS newest_of ON versions (key, seq DESC);
CREATE TABLE IF NOT EXISTS current (key BLOB PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS uploads (
    upload_id TEXT PRIMARY KEY, key BLOB NOT NULL, initiated REAL NOT NULL, metadata TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS parts (
    upload_id TEXT NOT NULL, number INTEGER NOT NULL, size INTEGER NOT NULL, md5 TEXT NOT NULL, modified REAL NOT NULL,
    content TEXT NOT NULL, PRIMARY KEY (upload_id, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS accounts (
    operation TEXT NOT NULL, answer TEXT NOT NULL, requests INTEGER NOT NULL, bytes_in INTEGER NOT NULL,
    bytes_out INTEGER NOT NULL, waited REAL NOT NULL, PRIMARY KEY (operation, answer)
) WITHOUT ROWID;
"""
_COLUMNS = "v.key, v.version_id, v.seq, v.etag, v.size, v.modified, v.metadata, v.marker, v.pieces"


class Index:
    """The database; see the module.

    Args:
        path: of its file; empty for one in memory.
        durable: have a change on disk before it counts as done.
    """

    def __init__(self, path: str = "", *, durable: bool = True) -> None:
        self._path = path
        self._durable = durable
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._process = 0
        self._finalizer: Any = None

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Look something up."""
        with self._lock:
            yield self._connected()

    @contextmanager
    def change(self) -> Iterator[sqlite3.Connection]:
        """Change something, whole or, when the block raises, not at all. Nobody else changes anything meanwhile."""
        with self._lock:
            db = self._connected()
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")

    def close(self) -> None:
        """Close a file; a database in memory lives as long as the object does."""
        with self._lock:
            if self._path and self._finalizer is not None:
                self._finalizer()
                self._connection = self._finalizer = None

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None or (self._path and self._process != os.getpid()):
            if self._finalizer is not None:
                self._finalizer.detach()  # a connection does not survive a fork, nor may the child close it
            self._connection = self._connect()
            self._process = os.getpid()
            self._finalizer = finalize(self, self._connection.close)
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(
            self._path or ":memory:", timeout=WAIT, isolation_level=None, check_same_thread=False, cached_statements=64
        )
        try:
            if self._path:
                self._use_log(db)
                db.execute(f"PRAGMA synchronous = {'FULL' if self._durable else 'OFF'}")
            if not db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'accounts'").fetchone()[0]:
                db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
            db.execute("INSERT OR IGNORE INTO facts VALUES ('format', ?)", (_FORMAT,))
        except BaseException:
            db.close()
            raise
        return db

    @staticmethod
    def _use_log(db: sqlite3.Connection) -> None:
        """Switch to a write-ahead log; SQLite does not wait for others that do the same at that moment."""
        deadline = time.monotonic() + WAIT
        while True:
            try:
                db.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.005)
            else:
                return


# --- rows -----------------------------------------------------------------------------------------------------------


def version_of(row: Sequence[Any]) -> Version:
    """The version that a row stands for."""
    key, version_id, seq, etag, size, modified, metadata, marker, pieces = row
    return Version(
        key.decode(), version_id, seq, etag, size, modified, json.loads(metadata), bool(marker), json.loads(pieces)
    )


def current(db: sqlite3.Connection, key: bytes) -> Version | None:
    """The object at a key; ``None`` if there is none, or a delete marker."""
    query = f"SELECT {_COLUMNS} FROM current c JOIN versions v ON v.seq = c.seq WHERE c.key = ?"  # noqa: S608
    row = db.execute(query, (key,)).fetchone()
    return None if row is None else version_of(row)


def newest(db: sqlite3.Connection, key: bytes) -> Version | None:
    """The newest version at a key, which may be a delete marker."""
    query = f"SELECT {_COLUMNS} FROM versions v WHERE v.key = ? ORDER BY v.seq DESC LIMIT 1"  # noqa: S608
    row = db.execute(query, (key,)).fetchone()
    return None if row is None else version_of(row)


def version(db: sqlite3.Connection, key: bytes, version_id: str) -> Version | None:
    """One version at a key."""
    query = f"SELECT {_COLUMNS} FROM versions v WHERE v.key = ? AND v.version_id = ?"  # noqa: S608
    row = db.execute(query, (key, version_id)).fetchone()
    return None if row is None else version_of(row)


def objects_from(
    db: sqlite3.Connection, least: bytes, beyond: bytes, limit: int, *, exclusive: bool
) -> list[tuple[bytes, Version]]:
    """Objects in the order of their keys.

    Args:
        db: the database.
        least: the first key.
        beyond: the first key that is too large; empty for none.
        limit: how many at most.
        exclusive: leave out ``least`` itself.
    """
    above = ">" if exclusive else ">="
    below, arguments = ("AND c.key < ?", (least, beyond, limit)) if beyond else ("", (least, limit))
    query = (
        f"SELECT {_COLUMNS} FROM current c JOIN versions v ON v.seq = c.seq "  # noqa: S608
        f"WHERE c.key {above} ? {below} ORDER BY c.key LIMIT ?"
    )
    return [(row[0], version_of(row)) for row in db.execute(query, arguments)]


def versions_from(
    db: sqlite3.Connection, prefix: bytes, beyond: bytes, key: bytes, before: int | None, limit: int
) -> list[Version]:
    """Versions by key, the newest of a key first.

    Args:
        db: the database.
        prefix: what keys begin with.
        beyond: the first key that is too large; empty for none.
        key: where to go on.
        before: go on with the versions of ``key`` that are older than this one; ``None`` for the next key.
        limit: how many at most.
    """
    where = ["v.key >= ?"]
    arguments: list[Any] = [prefix]
    if beyond:
        where.append("v.key < ?")
        arguments.append(beyond)
    if before is not None:
        where.append("(v.key > ? OR (v.key = ? AND v.seq < ?))")
        arguments += [key, key, before]
    elif key:
        where.append("v.key > ?")
        arguments.append(key)
    query = f"SELECT {_COLUMNS} FROM versions v WHERE {' AND '.join(where)} ORDER BY v.key, v.seq DESC LIMIT ?"  # noqa: S608
    return [version_of(row) for row in db.execute(query, (*arguments, limit))]


def add_version(
    db: sqlite3.Connection,
    key: bytes,
    version_id: str,
    etag: str,
    size: int,
    modified: float,
    metadata: dict[str, str],
    marker: bool,
    pieces: Sequence[tuple[str, int]],
) -> list[str]:
    """Make a version the newest of its key; it replaces the one of the same id.

    Returns:
        The contents that nothing needs any more.
    """
    gone = remove_version(db, key, version_id)
    seq = db.execute(
        "INSERT INTO versions (key, version_id, etag, size, modified, metadata, marker, pieces) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (key, version_id, etag, size, modified, json.dumps(metadata), marker, json.dumps(list(pieces))),
    ).lastrowid
    if marker:
        db.execute("DELETE FROM current WHERE key = ?", (key,))
    else:
        db.execute("INSERT OR REPLACE INTO current VALUES (?, ?)", (key, seq))
    return gone


def remove_version(db: sqlite3.Connection, key: bytes, version_id: str) -> list[str]:
    """Remove a version; the one before it is the newest then.

    Returns:
        The contents that nothing needs any more.
    """
    row = db.execute(
        "DELETE FROM versions WHERE key = ? AND version_id = ? RETURNING pieces", (key, version_id)
    ).fetchone()
    if row is None:
        return []
    latest = db.execute("SELECT seq, marker FROM versions WHERE key = ? ORDER BY seq DESC LIMIT 1", (key,)).fetchone()
    if latest is None or latest[1]:
        db.execute("DELETE FROM current WHERE key = ?", (key,))
    else:
        db.execute("INSERT OR REPLACE INTO current VALUES (?, ?)", (key, latest[0]))
    return [name for name, _ in json.loads(row[0])]


def fact(db: sqlite3.Connection, name: str) -> str:
    """A fact about the bucket; empty if it is not known."""
    row = db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
    return "" if row is None else str(row[0])


def set_fact(db: sqlite3.Connection, name: str, value: str) -> None:
    """Note a fact."""
    db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))


def contents_in_use(db: sqlite3.Connection) -> set[str]:
    """The names of all contents that objects and uploads are made of."""
    names = {name for (pieces,) in db.execute("SELECT pieces FROM versions") for name, _ in json.loads(pieces)}
    return names | {name for (name,) in db.execute("SELECT content FROM parts")}


def remove_files(folder: str, name: str) -> None:
    """Remove a database that nobody has open."""
    for suffix in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(folder, name + suffix))  # noqa: PTH108, PTH118
