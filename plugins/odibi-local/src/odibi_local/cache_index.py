"""The index of a disk cache: what is in it, in which file, since when and until when.

A row is written after its file is whole and in its place, and removed before its file is. So there may be files
without a row, which nobody sees and which are cleared away, and a row whose file is missing or is not what it was is
damage. Each row carries a seal over what it says: a bit that flips in the index must not give one entry's content
under another's key, or label it wrongly.
"""

from __future__ import annotations

import json
import math
from collections import deque
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import xxhash

from odibi.contracts.cache import CacheEntry, CacheStats
from odibi.errors import StorageError, Transient
from odibi_local.cache_database import WAIT, Database, Layout

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection, Iterable, Iterator

    from odibi_local.cache_files import CacheFiles

T = TypeVar("T")
Raw = tuple[Any, ...]
"""A row as the index has it, seal included."""

_BATCH = 500
_ASKED = 10_000
"""Keys in one question."""
_PENDING = 1_000
"""Hits and misses that are counted in memory before they are written; a process that is killed loses as many."""
_LATEST = 1 << 62
"""Of the times of use, in nanoseconds: the year 2116. File systems and SQLite end somewhat later."""

LAYOUT = Layout(
    application_id=0x0D1B1CAC,
    schema=(
        """CREATE TABLE entries (
            key TEXT PRIMARY KEY,
            file TEXT NOT NULL,
            size INTEGER NOT NULL,
            created REAL NOT NULL,
            used INTEGER NOT NULL,
            expires REAL,
            checksum TEXT NOT NULL,
            label TEXT NOT NULL,
            seal TEXT NOT NULL
        ) WITHOUT ROWID""",
        "CREATE INDEX by_use ON entries (used)",
        "CREATE INDEX by_expiry ON entries (expires) WHERE expires IS NOT NULL",
        """CREATE TABLE leases (
            key TEXT PRIMARY KEY,
            token INTEGER NOT NULL,
            granted REAL NOT NULL,
            expires REAL,
            holder TEXT NOT NULL
        ) WITHOUT ROWID""",
        """CREATE TABLE tally (
            entries INTEGER NOT NULL,
            bytes INTEGER NOT NULL,
            hits INTEGER NOT NULL,
            misses INTEGER NOT NULL,
            puts INTEGER NOT NULL,
            evictions INTEGER NOT NULL,
            corrupt INTEGER NOT NULL,
            token INTEGER NOT NULL
        )""",
        """CREATE TRIGGER entry_added AFTER INSERT ON entries BEGIN
            UPDATE tally SET entries = entries + 1, bytes = bytes + NEW.size;
        END""",
        """CREATE TRIGGER entry_gone AFTER DELETE ON entries BEGIN
            UPDATE tally SET entries = entries - 1, bytes = bytes - OLD.size;
        END""",
    ),
    # The last column is the largest token, which begins with the microseconds since the epoch; see cache_leases.
    rows=(
        "INSERT INTO tally SELECT 0, 0, 0, 0, 0, 0, 0, CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)",
    ),
)


@attrs.frozen
class Row:
    """What the index says of one entry.

    Attributes:
        key: of the entry.
        file: what the name of its file ends in; another one for each put.
        size: in bytes, those of its dataset included.
        created, expires: seconds since the epoch.
        used: nanoseconds since the epoch. It may have been used since: its file's time of change tells.
        checksum: of the content.
        label: of the content.
    """

    key: str
    file: str
    size: int
    created: float
    used: int
    expires: float | None
    checksum: str
    label: str

    def alive(self, now: float) -> bool:
        """Whether its time is not up.

        Where the clock went back behind the moment the entry was made, it lives for no longer than its time either:
        nobody can say how old it is.
        """
        return self.expires is None or (self.expires > now and 2 * self.created - self.expires < now)

    def entry(self, used: int | None = None) -> CacheEntry:
        """The entry as the contract has it; ``used`` is when, if that was later than the index says."""
        used = max(self.used, used or 0)
        return CacheEntry(self.key, self.size, self.created, used / 1e9, self.checksum, self.label, self.expires)

    def sealed(self) -> Raw:
        """The row as the index has it."""
        return (*attrs.astuple(self), self._seal())

    def _seal(self) -> str:
        said = (self.key, self.file, self.size, self.created, self.expires, self.checksum, self.label)
        return xxhash.xxh3_64_hexdigest(repr(said).encode())


def unsealed(raw: Raw) -> Row | None:
    """The row, or ``None`` if it is not what was written."""
    row = Row(*raw[:-1])
    return row if row._seal() == raw[-1] else None


def described(raw: Raw) -> CacheEntry:
    """The entry as the contract has it; of a row that is not what was written, what can be told."""
    row = unsealed(raw)
    return CacheEntry(str(raw[0]), 0, 0.0, 0.0, "") if row is None else row.entry()


def same(one: Raw | None, other: Raw) -> bool:
    """Whether two rows stand for the same put; the time of use does not count."""
    return one is not None and one[:4] == other[:4] and one[5:] == other[5:]


class CacheIndex:
    """The index in one folder, for all threads of a process.

    Args:
        home: the folder, absolute.
        prepare: makes the folder.
        durable: a change that returned survives a crash of the machine.
        wait: seconds to wait for another process that writes.
    """

    def __init__(self, home: str, *, prepare: Callable[[], None], durable: bool, wait: float = WAIT) -> None:
        # Whether each look-up was a hit; appended to and taken from by any thread without a lock, for a lock that
        # another thread held would stay locked in a forked child.
        self._pending: deque[bool] = deque()
        self._turn = 0
        self._database = Database(home, LAYOUT, prepare=prepare, forked=self._pending.clear, durable=durable, wait=wait)

    # --- looking ----------------------------------------------------------------------------------------------------

    def look_up(self, key: str) -> Raw | None:
        """The row of ``key``."""
        ask = "SELECT * FROM entries WHERE key = ?"
        found: Raw | None = self._database.read(lambda db: db.execute(ask, (key,)).fetchone())
        return found

    def find(self, keys: Collection[str], now: float) -> set[str]:
        """Those of ``keys`` that have an entry whose time is not up."""
        # CROSS makes SQLite look up one asked key after the other, as they come. What it gives of each is its place in
        # the list, so that no text has to be made.
        ask = """
            SELECT asked.key FROM json_each(:keys) asked CROSS JOIN entries ON entries.key = asked.value
            WHERE expires IS NULL OR (expires > :now AND 2 * created - expires < :now)
        """
        listed = list(keys)
        found: set[str] = set()
        for start in range(0, len(listed), _ASKED):
            some = listed[start : start + _ASKED]
            given = {"keys": json.dumps(some), "now": now}
            rows = self._database.read(lambda db, given=given: db.execute(ask, given).fetchall())  # type: ignore[misc]
            found.update(some[at] for (at,) in rows)
        return found

    def rows(self) -> Iterator[Raw]:
        """All rows by key, a batch at a time; changes made meanwhile may show or not."""
        ask = "SELECT * FROM entries WHERE key > ? ORDER BY key LIMIT ?"
        before, after = None, ""
        while after != before:
            given = (after, _BATCH)
            batch = self._database.read(lambda db, given=given: db.execute(ask, given).fetchall())  # type: ignore[misc]
            yield from batch
            # The largest, for where the index is damaged the last need not be, and this must come to an end.
            before, after = after, max((str(raw[0]) for raw in batch), default=after)

    def files_of(self, keys: Iterable[str]) -> set[tuple[str, str]]:
        """Key and file of those of ``keys`` that have an entry."""
        ask = "SELECT e.key, e.file FROM json_each(?) asked CROSS JOIN entries e ON e.key = asked.value"
        given = (json.dumps(list(keys)),)
        return set(self._database.read(lambda db: db.execute(ask, given).fetchall()))

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What ``work`` returns, which only looks."""
        return self._database.read(work)

    def stats(self) -> CacheStats:
        """Counts and sizes, those that wait in memory included."""
        ask = "SELECT entries, bytes, hits, misses, puts, evictions, corrupt FROM tally"
        self.flush()
        counts: Raw = self._database.read(lambda db: db.execute(ask).fetchone()) or (0,) * 7
        return CacheStats(*(count if isinstance(count, int) else 0 for count in counts))  # a bit may have flipped

    # --- counting ---------------------------------------------------------------------------------------------------

    def turn(self, now: float) -> int:
        """``now`` in nanoseconds, for the order in which entries are used.

        It grows even where the clock goes back: entries used before would look used last for as long as the clock
        needs to catch up, and everything new would be evicted first.
        """
        latest = self._turn
        if not latest:
            (used,) = self._database.read(lambda db: db.execute("SELECT max(used) FROM entries").fetchone())
            latest = used if isinstance(used, int) else 0
        turn = int(now * 1e9) if math.isfinite(now) else 0
        self._turn = min(max(turn, latest + 1), _LATEST)
        return self._turn

    def count(self, *, hit: bool) -> None:
        """Count a hit or a miss, in memory for now."""
        self._pending.append(hit)
        if len(self._pending) >= _PENDING:
            self.flush()

    def flush(self) -> None:
        """Write what was counted in memory, if it can be written."""
        if self._pending:
            try:
                self.change(lambda _: None)
            except Transient:
                return
            except StorageError:
                self._pending.clear()  # a folder that cannot be written to: they would pile up

    # --- changing ---------------------------------------------------------------------------------------------------

    def change(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What ``work`` returns, done in one transaction that takes the pending counts along."""
        taken = []
        try:
            while True:
                taken.append(self._pending.popleft())
        except IndexError:
            pass

        def both(db: sqlite3.Connection) -> T:
            result = work(db)
            if taken:
                hits = sum(taken)
                db.execute("UPDATE tally SET hits = hits + ?, misses = misses + ?", (hits, len(taken) - hits))
            return result

        try:
            return self._database.change(both)
        except BaseException:
            self._pending.extend(taken)
            raise

    def enter(
        self,
        row: Row,
        files: CacheFiles,
        *,
        limit: int | None,
        recent: int = 0,
        allowed: Callable[[sqlite3.Connection], None],
    ) -> list[tuple[str, str]]:
        """Make ``row`` the entry of its key, and room for it; returns key and file of what had to go.

        Args:
            row: of the new entry, whose file is in its place.
            files: tell when they were used.
            limit: bytes of all entries.
            recent: entries with datasets that were used since are not removed to make room; in nanoseconds.
            allowed: asked first, in the same transaction; raises what keeps the row out.
        """

        def work(db: sqlite3.Connection) -> list[tuple[str, str]]:
            allowed(db)
            gone = _remove(db, row.key)
            db.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row.sealed())
            db.execute("UPDATE tally SET puts = puts + 1")
            if limit is not None:
                gone += _evict(db, files, limit, recent, spare=row.key)
            return gone

        return self.change(work)

    def remove(self, key: str) -> list[tuple[str, str]]:
        """Remove the row of ``key``; returns key and file of what is gone."""
        return self.change(lambda db: _remove(db, key))

    def remove_damaged(self, raw: Raw) -> list[tuple[str, str]]:
        """Remove the row if it is still the one that was found to be damaged, and count it."""
        ask = "SELECT * FROM entries WHERE key = ?"

        def work(db: sqlite3.Connection) -> list[tuple[str, str]]:
            if not same(db.execute(ask, (raw[0],)).fetchone(), raw):
                return []
            db.execute("UPDATE tally SET corrupt = corrupt + 1")
            return _remove(db, raw[0])

        return self.change(work)

    def remove_expired(self, now: float) -> list[tuple[str, str]]:
        """Remove some of the rows whose time is up; returns key and file of what is gone, nothing when all are."""
        ask = "SELECT key FROM entries WHERE expires <= :now OR 2 * created - expires >= :now LIMIT :most"

        def work(db: sqlite3.Connection) -> list[tuple[str, str]]:
            gone: list[tuple[str, str]] = []
            for (key,) in db.execute(ask, {"now": now, "most": _BATCH}).fetchall():
                gone += _remove(db, key)
            return gone

        return self.change(work)

    def evict(self, files: CacheFiles, max_bytes: int, recent: int) -> list[tuple[str, str]]:
        """Remove some of the rows used least recently; returns key and file of what is gone, nothing when it is done.

        Those with datasets that were used since ``recent``, in nanoseconds, stay. Others get their turn between one
        batch and the next.
        """
        return self.change(lambda db: _evict(db, files, max_bytes, recent, most=_BATCH))

    def recount(self) -> None:
        """Count entries and bytes anew, in case the counts were damaged."""
        self.change(
            lambda db: db.execute(
                "UPDATE tally SET (entries, bytes) = (SELECT count(*), coalesce(sum(size), 0) FROM entries)"
            )
        )

    def close(self) -> None:
        """Write what was counted, and close the database."""
        self.flush()
        self._database.close()


def _remove(db: sqlite3.Connection, key: str) -> list[tuple[str, str]]:
    gone: list[tuple[str, str]] = db.execute("SELECT key, file FROM entries WHERE key = ?", (key,)).fetchall()
    if gone:
        db.execute("DELETE FROM entries WHERE key = ?", (key,))
    return gone


def _evict(
    db: sqlite3.Connection, files: CacheFiles, max_bytes: int, recent: int, *, spare: str = "", most: int | None = None
) -> list[tuple[str, str]]:
    """Remove the least recently used entries until ``max_bytes`` are left, or ``most`` are gone.

    Those with datasets that were used since ``recent`` are left out, as somebody may read them.

    A get writes nothing here but sets the time of the entry's file. What the index says of the last use is thus never
    too late, and the entry that comes first by it is the one used least recently unless its file says otherwise; then
    it is put in its order and the next one looked at.
    """
    gone: list[tuple[str, str]] = []
    # A number, whatever a flipped bit made of it.
    room = "SELECT coalesce(max(CAST(bytes AS INTEGER)), 0) FROM tally"
    oldest = (
        "SELECT key, file, CAST(used AS INTEGER) FROM entries"
        " WHERE key <> ? AND NOT (file LIKE '%.d' AND used > ?) ORDER BY used LIMIT 1"
    )
    (left,) = db.execute(room).fetchone()
    while left > max_bytes and (most is None or len(gone) < most):
        found = db.execute(oldest, (spare, recent)).fetchone()
        if found is None:
            break
        key, file, used = found
        since = files.used(key, file)
        if since is not None and since > used:
            db.execute("UPDATE entries SET used = ? WHERE key = ?", (since, key))
            continue
        gone += _remove(db, key)
        (left,) = db.execute(room).fetchone()
    if gone:
        db.execute("UPDATE tally SET evictions = evictions + ?", (len(gone),))
    return gone
