"""The checkpoint store of one machine: the journals of runs in one SQLite database, with lock files beside it."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, cast
from weakref import WeakSet

import attrs

from odibi import option
from odibi.contracts.checkpoint import RunLock, RunRecord
from odibi.errors import Conflict, NotFound, StorageError
from odibi_local.checkpoint_database import CheckpointDatabase, make_private_folder
from odibi_local.failures import display, mapped
from odibi_local.json_text import from_json, to_json
from odibi_local.lock_files import LockFile, acquire, holder, is_held
from odibi_local.processes import Process, is_alive, this_process

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator

ENDS = ("succeeded", "failed", "cancelled")
"""The states in which a run can end."""

_RUNNING, _INTERRUPTED = "running", "interrupted"

_ROW = 500
"""Records of one call that share a row of the journal."""

_PAGE = 100
"""Runs that are read at a time."""

_NOTED = 20
"""Runs that are looked at in passing, whether they have been interrupted."""

_REMOVED = 20
"""Runs that are removed in one transaction, for which everybody else has to wait."""

_NUMBER = 32
"""Bits of a place in the journal that count within one run."""

_LOOK = 0.05
"""Seconds after which it is looked again whether a lock's file is in its place. If it is not, and somebody else has the
pipeline, the database says so at once."""

_NOTHING: list[Any] = []
_AFTER_ALL = b""
"""In SQLite any blob is greater than every text."""

_RUNS = """
    SELECT r.number, r.run_id, p.name, r.state, r.started, r.finished, r.detail, r.token, p.token, r.process
    FROM runs r CROSS JOIN pipelines p ON p.id = r.pipeline
"""  # a cross join is SQLite's way to say that the runs come first


@attrs.frozen
class _Run:
    """A row of the runs.

    Attributes:
        newest: the token of the newest holder of the pipeline's lock.
        process: that began the run, as JSON, if it was begun without a lock.
    """

    number: int
    run_id: str
    pipeline: str
    state: str
    started: float
    finished: float | None
    detail: str
    token: int | None
    newest: int
    process: str | None


@attrs.define(eq=False)
class SqliteLock:
    """The right to run one pipeline; see :class:`odibi.contracts.RunLock`.

    Attributes:
        pipeline: its name.
        token: grows with each holder of a lock in this store.
    """

    pipeline: str
    token: int
    _file: LockFile

    def held(self) -> bool:
        """Whether it is still ours. In a child that was forked it never is."""
        return self._file.held()

    def release(self) -> None:
        """Give it back."""
        self._file.release()


@attrs.frozen
class _Begun:
    """A run that was begun here.

    Attributes:
        number, pipeline: of its row, and of that of its pipeline.
        lock: under which it was begun.
    """

    number: int
    pipeline: int
    lock: RunLock | None

    def may_write(self) -> bool:
        """Whether its lock is held; that nobody has a newer one is for the database to say, in the transaction."""
        if isinstance(self.lock, SqliteLock):
            return self.lock._file.is_in_place(_LOOK)
        return self.lock is None or self.lock.held()


@attrs.define(eq=False)
class SqliteCheckpoints:
    """The journals of runs in one SQLite database; see :class:`odibi.contracts.CheckpointStore` for what it promises.

    For the processes of one machine; the file must lie on a disk of that machine, as SQLite's write-ahead log does
    not work over a network. A folder beside it, ``...-locks``, holds one small file for each pipeline. A store that
    was closed gives its locks back.

    A run that was begun under a lock goes on for as long as that lock is held, and only the store that began it can
    write to it. One that was begun without goes on for as long as the process that began it lives.
    """

    effects: ClassVar[tuple[str, ...]] = ("files",)

    path: str = option(
        ".odibi/runs.db", help="The file that holds the journals; its folder is made.", is_path=True,
        converter=os.path.abspath,
    )  # fmt: skip
    durable: bool = option(
        True, help="Have each record on disk before it counts; without, a power cut may undo the last ones."
    )
    timeout: float = option(10.0, help="Seconds to wait while other processes write.", validator=attrs.validators.ge(0))

    _store: CheckpointDatabase = attrs.field(init=False, repr=False)
    _begun: dict[str, _Begun] = attrs.field(init=False, factory=dict, repr=False)
    _results: dict[str, tuple[Any, Mapping[str, Any]]] = attrs.field(init=False, factory=dict, repr=False)
    _changes: int = attrs.field(init=False, default=0, repr=False)
    _locks: WeakSet[SqliteLock] = attrs.field(init=False, factory=WeakSet, repr=False)

    def __attrs_post_init__(self) -> None:
        path = os.path.realpath(self.path)
        self._store = CheckpointDatabase(path, durable=self.durable, timeout=self.timeout)

    # --- locks ------------------------------------------------------------------------------------------------------

    def lock(self, pipeline: str, *, wait: float = 0.0) -> SqliteLock:
        """The pipeline's lock."""
        _check_text(pipeline, "the pipeline's name")
        path = self._lock_path(pipeline)
        with mapped(path):
            folder, _ = os.path.split(self._store.path)
            for private in (folder, os.path.dirname(path)):  # noqa: PTH120
                make_private_folder(private, durable=self.durable)
            process = this_process()
            note = {"pid": process.pid, "host": process.host, "since": time.time(), "pipeline": pipeline[:200]}
            file = acquire(path, note, wait)
        if file is None:
            raise self._taken(pipeline, path)
        try:
            token = self._store.change(lambda cursor: self._new_token(cursor, pipeline), sync=False)
        except BaseException:
            file.release()
            raise
        lock = SqliteLock(pipeline, token, file)
        self._locks.add(lock)
        return lock

    def _new_token(self, cursor: sqlite3.Cursor, pipeline: str) -> int:
        """Make a newer token the pipeline's; what was begun under an older one has been interrupted.

        It need not be synced: whoever remembers an older one is dead after a crash of the machine.
        """
        cursor.execute("UPDATE tokens SET newest = newest + 1")
        (token,) = cursor.execute("SELECT newest FROM tokens").fetchone()
        number = _pipeline(cursor, pipeline)
        if number is None:
            number = _new_pipeline(cursor, pipeline)
        cursor.execute("UPDATE pipelines SET token = ? WHERE id = ?", (token, number))
        self._note_the_dead(cursor, number)
        return int(token)

    def _taken(self, pipeline: str, path: str) -> Conflict:
        note = holder(path)
        who = f"process {note['pid']} on {note['host']}" if {"pid", "host"} <= note.keys() else "another process"
        since = ""
        with suppress(KeyError, TypeError, ValueError, OverflowError, OSError):
            since = f" since {datetime.fromtimestamp(note['since'], UTC):%Y-%m-%d %H:%M:%S} UTC"
        return Conflict(
            f"it is being run by {who}{since}",
            where=f"pipeline {display(pipeline)}",
            remedy="Wait until that run has ended, or end that process.",
        )

    def _lock_path(self, pipeline: str) -> str:
        digest = sha256(pipeline.encode()).hexdigest()[:32]
        return f"{self._store.path}-locks/{digest}"

    # --- writing ----------------------------------------------------------------------------------------------------

    def begin(
        self,
        run_id: str,
        pipeline: str,
        detail: Mapping[str, Any],
        *,
        lock: RunLock | None = None,
        sync: bool = True,
    ) -> None:
        """Open a run's journal.

        Raises:
            Conflict: there is such a run; or the lock was lost, or is another pipeline's.
            TypeError, ValueError: ``detail`` is not JSON.
        """
        _check_text(run_id, "the run's id")
        _check_text(pipeline, "the pipeline's name")
        text = to_json(detail, "the run's detail")
        process = None if lock is not None else to_json(attrs.asdict(this_process()), "the process")

        def work(cursor: sqlite3.Cursor) -> _Begun:
            number = _pipeline(cursor, pipeline)
            if lock is not None:
                newest = cursor.execute("SELECT token FROM pipelines WHERE id = ?", (number,)).fetchone()
                if not lock.held() or newest != (lock.token,):
                    raise _lost(run_id)
            if cursor.execute("SELECT 1 FROM runs WHERE run_id = ?", (run_id,)).fetchone():
                raise Conflict("there is such a run already", where=_where(run_id), remedy="Give the run another id.")
            if number is None:
                number = _new_pipeline(cursor, pipeline)
            if lock is None:
                self._note_the_dead(cursor, number)
            cursor.execute(
                "INSERT INTO runs (run_id, pipeline, state, started, token, process, detail)"
                " VALUES (?, ?, 'running', ?, ?, ?, ?)",
                (run_id, number, time.time(), None if lock is None else lock.token, process, text),
            )
            return _Begun(cast("int", cursor.lastrowid), number, lock)

        self._begun[run_id] = self._store.change(work, sync=sync)

    def append(self, run_id: str, records: Sequence[Mapping[str, Any]]) -> None:
        """Add records to the journal, durably and all or none.

        A record whose ``node`` or ``fingerprint`` is null is no result.

        Raises:
            NotFound: there is no such run.
            Conflict: it has ended, or its lock was lost.
            TypeError, ValueError: a record is not JSON.
        """
        add = self._adding(run_id, records)

        def work(cursor: sqlite3.Cursor) -> None:
            begun = self._begun.get(run_id)
            if begun is not None and records and begun.may_write() and add(cursor, begun.number, begun.pipeline):
                return
            number, pipeline = self._writable(cursor, run_id)
            add(cursor, number, pipeline)
            if not records:  # there must be something to sync
                cursor.execute("UPDATE runs SET state = state WHERE number = ?", (number,))

        self._store.change(work)

    def finish(
        self,
        run_id: str,
        state: str,
        offsets: Mapping[str, Any] | None = None,
        *,
        records: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """End a run, add the last of its journal, and move the offsets of its streams, in one transaction.

        Raises:
            NotFound: there is no such run.
            Conflict: it has ended, or its lock was lost.
            ValueError: a run cannot end in that state.
            TypeError, ValueError: an offset or a record is not JSON.
        """
        add = self._adding(run_id, records)
        if state not in ENDS:
            raise ValueError(f"{state!r} is not a state in which a run can end; those are {', '.join(ENDS)}")
        shift = _shifting(offsets or {})

        def work(cursor: sqlite3.Cursor) -> None:
            number, pipeline = self._writable(cursor, run_id)
            add(cursor, number, pipeline)
            ended = (state, time.time(), number)
            cursor.execute("UPDATE runs SET state = ?, finished = ? WHERE number = ?", ended)
            shift(cursor)

        self._store.change(work, look=True)
        self._begun.pop(run_id, None)

    def move(self, offsets: Mapping[str, Any], *, lock: RunLock | None = None) -> None:
        """Move the offsets of streams outside of a run: in one transaction, perhaps one with others' changes.

        Raises:
            Conflict: the lock was lost.
            TypeError, ValueError: an offset is not JSON, or the lock is none of such a store.
        """
        shift = _shifting(offsets)
        if lock is not None and not isinstance(lock, SqliteLock):
            raise ValueError(f"an object of type {type(lock).__name__} is no lock of this store")

        def work(cursor: sqlite3.Cursor) -> None:
            if lock is not None:
                newest = cursor.execute("SELECT token FROM pipelines WHERE name = ?", (lock.pipeline,)).fetchone()
                if not lock.held() or newest != (lock.token,):
                    raise _not_held(lock.pipeline)
            shift(cursor)

        self._store.change(work, look=True)

    def _adding(self, run_id: str, records: Sequence[Mapping[str, Any]]) -> Callable[[sqlite3.Cursor, int, int], bool]:
        """What adds records to the journal of a run, given the numbers of the run and of its pipeline.

        It returns false, and has added nothing, if there is no such run that goes on under the newest lock.
        """
        own_id = _own_id(run_id)
        texts: list[str] = []
        results: list[tuple[str, str]] = []
        for at, record in enumerate(records):
            if type(record) is not dict and not isinstance(record, Mapping):
                raise TypeError(f"records[{at}] is of type {type(record).__name__}, not a mapping")
            text = to_json(record, f"records[{at}]")
            texts.append(text)
            node = record.get("node")
            if node is not None and record.get("fingerprint") is not None:
                _check_text(node, f"records[{at}]['node']")
                results.append((node, f'{text[:-1]},"run_id":{own_id}}}'))

        def add(cursor: sqlite3.Cursor, number: int, pipeline: int) -> bool:
            first, last = _places(number)
            for at in range(0, len(texts), _ROW):
                cursor.execute(_ADD, (first, last, ",".join(texts[at : at + _ROW]), number, run_id))
                if cursor.rowcount != 1:
                    return False
            for node, text in results:
                cursor.execute(_NEWEST, (pipeline, node, text))
            self._changes += bool(results)
            return True

        return add

    def _writable(self, cursor: sqlite3.Cursor, run_id: str) -> tuple[int, int]:
        """Numbers of the run and of its pipeline.

        Raises:
            NotFound: there is no such run.
            Conflict: it cannot be written to.
        """
        row = cursor.execute(
            "SELECT r.number, r.pipeline, r.state, r.token, p.token"
            " FROM runs r CROSS JOIN pipelines p ON p.id = r.pipeline WHERE r.run_id = ?",
            (run_id,),
        ).fetchone()
        if row is None:
            raise _no_such_run(run_id)
        number, pipeline, state, token, newest = row
        begun = self._begun.get(run_id)
        unfinished = state in (_RUNNING, _INTERRUPTED)
        if unfinished and token is not None and (token != newest or begun is None or not begun.may_write()):
            raise _lost(run_id)
        if state != _RUNNING:
            raise Conflict(f"the run has ended ({state})", where=_where(run_id), remedy="Begin another.")
        return number, pipeline

    def _note_the_dead(self, cursor: sqlite3.Cursor, pipeline: int | None, limit: int = _NOTED) -> None:
        """Write down which of the pipeline's runs were interrupted, so that it need not be found out ever again.

        Args:
            cursor: of the transaction.
            pipeline: its number.
            limit: look at so many of those that began and did not end, the oldest; at all if it is negative.
        """
        query = f"{_RUNS} WHERE r.pipeline = ? AND r.state = 'running' ORDER BY r.run_id LIMIT ?"
        rows = cursor.execute(query, (pipeline, limit)).fetchall()
        dead = [(run.number,) for run in map(_run, rows) if not self._goes_on(run)]
        cursor.executemany("UPDATE runs SET state = 'interrupted' WHERE number = ?", dead)

    # --- reading ----------------------------------------------------------------------------------------------------

    def load(self, run_id: str) -> RunRecord:
        """A run with its outcomes."""

        def work(cursor: sqlite3.Cursor) -> tuple[_Run, list[str]] | None:
            row = cursor.execute(f"{_RUNS} WHERE r.run_id = ?", (run_id,)).fetchone()
            return None if row is None else (_run(row), _journal(cursor, row[0]))

        found = self._store.read(work, None)
        if found is None:
            raise _no_such_run(run_id)
        return self._record(*found)

    def latest(self, pipeline: str, *, states: Sequence[str] = ()) -> RunRecord | None:
        """The newest run of the pipeline, with its outcomes; of those in ``states`` if any are given."""
        if isinstance(states, str):
            raise TypeError(f"states must be a list, such as [{states!r}]")

        def work(cursor: sqlite3.Cursor) -> tuple[_Run, list[str]] | None:
            number = _pipeline(cursor, pipeline)
            if states:
                run = max(self._newest(cursor, number, set(states)), key=lambda run: run.run_id, default=None)
            else:
                rows = cursor.execute(f"{_RUNS} WHERE r.pipeline = ? ORDER BY r.run_id DESC LIMIT 1", (number,))
                run = next(map(_run, rows), None)
            return None if run is None else (run, _journal(cursor, run.number))

        found = self._store.read(work, None)
        return None if found is None else self._record(*found)

    def _newest(self, cursor: sqlite3.Cursor, pipeline: int | None, states: set[str]) -> Iterator[_Run]:
        """The newest run in each of the states."""
        in_state = f"{_RUNS} WHERE r.pipeline = ? AND r.state = ? ORDER BY r.run_id DESC"
        for state in states - {_RUNNING}:
            yield from map(_run, cursor.execute(f"{in_state} LIMIT 1", (pipeline, state)).fetchall())
        # What is written down as running may have been interrupted since.
        wanted = states & {_RUNNING, _INTERRUPTED}
        for run in map(_run, cursor.execute(in_state, (pipeline, _RUNNING))):
            if not wanted:
                return
            state = self._state(run)
            if state in wanted:
                wanted.remove(state)
                yield run

    def runs(self, pipeline: str | None = None, *, limit: int | None = None) -> Iterator[RunRecord]:
        """Runs without their outcomes, newest first; read a page at a time."""
        if limit is not None and limit < 0:
            raise ValueError(f"limit is {limit}; it must be 0 or more")
        return islice(self._pages(pipeline, _PAGE if limit is None else min(limit, _PAGE)), limit)

    def _pages(self, pipeline: str | None, size: int) -> Iterator[RunRecord]:
        before: str | bytes = _AFTER_ALL

        def work(cursor: sqlite3.Cursor) -> list[_Run]:
            which = "" if pipeline is None else "r.pipeline = ? AND"
            given = () if pipeline is None else (_pipeline(cursor, pipeline),)
            query = f"{_RUNS} WHERE {which} r.run_id < ? ORDER BY r.run_id DESC LIMIT ?"
            return [*map(_run, cursor.execute(query, (*given, before, size)))]

        while page := self._store.read(work, _NOTHING):
            yield from map(self._record, page)
            if len(page) < size:
                return
            before = page[-1].run_id

    def results(self, pipeline: str) -> Mapping[str, Mapping[str, Any]]:
        """Node to its newest record that has a ``fingerprint``, of whichever run.

        They are read anew only if there may be others: after new ones came here, and after any change by another store.
        """
        results: Mapping[str, Mapping[str, Any]]
        known, results = self._results.get(pipeline, (None, _NO_RESULTS))

        def work(cursor: sqlite3.Cursor) -> tuple[Any, list[str]]:
            # SQLite counts the changes that others made since the connection was opened.
            (others,) = cursor.execute("PRAGMA data_version").fetchone()
            now = (self._store.connections, others, self._changes)
            if now == known:
                return now, _NOTHING
            query = "SELECT record FROM results WHERE pipeline = (SELECT id FROM pipelines WHERE name = ?)"
            return now, [text for (text,) in cursor.execute(query, (pipeline,))]

        nothing: tuple[Any, list[str]] = (None, _NOTHING)
        now, texts = self._store.read(work, nothing)
        if now is None or now != known:
            # Handed out more than once, so nobody may change them.
            results = MappingProxyType({record["node"]: MappingProxyType(record) for record in self._parsed(texts)})
            self._results[pipeline] = (now, results)
        return results

    def offset(self, stream: str) -> Any | None:
        """How far a stream was consumed by finished runs; ``None`` if it never was."""

        def work(cursor: sqlite3.Cursor) -> list[str]:
            return [text for (text,) in cursor.execute("SELECT value FROM offsets WHERE stream = ?", (stream,))]

        found = self._parsed(self._store.read(work, _NOTHING))
        return found[0] if found else None

    def offsets(self, prefix: str = "") -> Mapping[str, Any]:
        """The offsets of all streams whose name begins with ``prefix``, in the order of their names."""
        _check_text(prefix, "the prefix")

        def work(cursor: sqlite3.Cursor) -> list[tuple[str, str]]:
            return cursor.execute(_BELOW, (prefix, _after(prefix))).fetchall()

        found = self._store.read(work, _NOTHING)
        values = self._parsed([text for _, text in found])
        return {stream: value for (stream, _), value in zip(found, values, strict=True)}

    def _state(self, run: _Run) -> str:
        return run.state if run.state != _RUNNING or self._goes_on(run) else _INTERRUPTED

    def _goes_on(self, run: _Run) -> bool:
        """Whether a run that was begun, and not finished, still has a holder."""
        if run.token is not None:
            return run.token == run.newest and is_held(self._lock_path(run.pipeline))
        (process,) = self._parsed([run.process or "{}"])
        return is_alive(Process(**process))

    def _record(self, run: _Run, journal: Sequence[str] = ()) -> RunRecord:
        (detail,) = self._parsed([run.detail])
        outcomes = self._parsed(journal)
        return RunRecord(run.run_id, run.pipeline, self._state(run), run.started, run.finished, detail, outcomes)

    def _parsed(self, texts: Sequence[str]) -> list[Any]:
        try:
            return from_json(texts)
        except ValueError as error:
            raise StorageError(
                f"the database holds something that no store has written ({error})",
                where=display(self._store.path),
                remedy="It was left as it is. Put a copy back, or move it away to begin a new one.",
            ) from error

    # --- clearing away ----------------------------------------------------------------------------------------------

    def forget(self, pipeline: str, nodes: Sequence[str] | None = None) -> None:
        """Drop :meth:`results` of these nodes, or of all."""
        if isinstance(nodes, str):
            raise TypeError(f"nodes must be a list, such as [{nodes!r}]")

        def work(cursor: sqlite3.Cursor) -> None:
            self._changes += 1
            number = _pipeline(cursor, pipeline)
            if nodes is None:
                cursor.execute("DELETE FROM results WHERE pipeline = ?", (number,))
            else:
                each = [(number, node) for node in nodes]
                cursor.executemany("DELETE FROM results WHERE pipeline = ? AND node = ?", each)

        self._store.change(work)

    def prune(self, keep_last: int, pipeline: str | None = None) -> int:
        """Remove all but the newest ``keep_last`` finished runs of each pipeline; returns how many.

        A run that was interrupted counts as finished, save that the newest run of a pipeline, if it was interrupted,
        is kept beside those. The oldest go first, some at a time: one that is killed meanwhile leaves no gap.
        """
        if keep_last < 0:
            raise ValueError(f"keep_last is {keep_last}; it must be 0 or more")

        def pipelines(cursor: sqlite3.Cursor) -> list[int]:
            if pipeline is not None:
                number = _pipeline(cursor, pipeline)
                return [] if number is None else [number]
            return [number for (number,) in cursor.execute("SELECT id FROM pipelines")]

        removed = 0
        for number in self._store.read(pipelines, _NOTHING):
            self._store.change(lambda cursor, number=number: self._note_the_dead(cursor, number, -1), sync=False)  # type: ignore[misc]
            page = _REMOVED
            while page == _REMOVED:
                page = self._store.change(
                    lambda cursor, number=number: _remove_oldest(cursor, number, keep_last),  # type: ignore[misc]
                    sync=False,
                )
                removed += page
        return removed

    def remove(self, run_id: str) -> None:
        """Remove a run with its journal."""

        def work(cursor: sqlite3.Cursor) -> None:
            row = cursor.execute(f"{_RUNS} WHERE r.run_id = ?", (run_id,)).fetchone()
            if row is None:
                raise _no_such_run(run_id)
            run = _run(row)
            if self._state(run) == _RUNNING:
                raise Conflict("the run goes on", where=_where(run_id), remedy="Wait until it has ended, or cancel it.")
            _remove(cursor, run.number)

        self._store.change(work)
        self._begun.pop(run_id, None)

    def close(self) -> None:
        """Close the database, and give the locks back that were taken here; may be called twice."""
        self._store.close()
        for lock in list(self._locks):
            lock.release()
        self._begun.clear()


def _run(row: tuple[Any, ...]) -> _Run:
    return _Run(*row)


def _places(number: int) -> tuple[int, int]:
    """The first and the last place in the journal that a run can have."""
    return number << _NUMBER, ((number + 1) << _NUMBER) - 1


def _journal(cursor: sqlite3.Cursor, number: int) -> list[str]:
    query = "SELECT records FROM journal WHERE place BETWEEN ? AND ? ORDER BY place"
    return [text for (text,) in cursor.execute(query, _places(number))]


_NO_RESULTS: Mapping[str, Mapping[str, Any]] = MappingProxyType({})

_ADD = """
    INSERT INTO journal (place, records)
    SELECT coalesce((SELECT max(place) FROM journal WHERE place BETWEEN ?1 AND ?2), ?1) + 1, ?3
    FROM runs r CROSS JOIN pipelines p ON p.id = r.pipeline
    WHERE r.number = ?4 AND r.run_id = ?5 AND r.state = 'running' AND (r.token IS NULL OR r.token = p.token)
"""
_NEWEST = """
    INSERT INTO results (pipeline, node, record) VALUES (?, ?, ?)
    ON CONFLICT (pipeline, node) DO UPDATE SET record = excluded.record
"""

_MOVE = """
    INSERT INTO offsets (stream, value) VALUES (?, ?) ON CONFLICT (stream) DO UPDATE SET value = excluded.value
"""
# Names are compared byte by byte. A null was an offset like any other before there was a way to forget a stream.
_BELOW = "SELECT stream, value FROM offsets WHERE stream >= ? AND stream < ? AND value <> 'null' ORDER BY stream"


def _shifting(offsets: Mapping[str, Any]) -> Callable[[sqlite3.Cursor], None]:
    """What moves offsets, and forgets the streams whose offset is ``None``.

    Raises:
        TypeError, ValueError: an offset is not JSON, or a name is not text.
    """
    for stream in offsets:
        _check_text(stream, "the stream's name")
    moved = [(stream, to_json(value, f"the offset of {stream!r}")) for stream, value in offsets.items()]
    kept = [each for each in moved if each[1] != "null"]
    forgotten = [(stream,) for stream, text in moved if text == "null"]

    def shift(cursor: sqlite3.Cursor) -> None:
        cursor.executemany(_MOVE, kept)
        cursor.executemany("DELETE FROM offsets WHERE stream = ?", forgotten)

    return shift


def _after(prefix: str) -> str | bytes:
    """What is greater than all names that begin with ``prefix``, and not greater than any other that is greater."""
    head = prefix.rstrip("\U0010ffff")
    if not head:
        return _AFTER_ALL
    # UTF-8 sorts as code points do; those from D800 to DFFF are halves of pairs, and no text.
    after = ord(head[-1]) + 1
    return head[:-1] + chr(0xE000 if after == 0xD800 else after)


@lru_cache(maxsize=64)
def _own_id(run_id: str) -> str:
    return to_json(run_id, "the run's id")


def _pipeline(cursor: sqlite3.Cursor, name: str) -> int | None:
    """The number of the pipeline, if there is one."""
    row = cursor.execute("SELECT id FROM pipelines WHERE name = ?", (name,)).fetchone()
    return None if row is None else int(row[0])


def _new_pipeline(cursor: sqlite3.Cursor, name: str) -> int:
    cursor.execute("INSERT INTO pipelines (name) VALUES (?)", (name,))
    return cast("int", cursor.lastrowid)


def _remove(cursor: sqlite3.Cursor, number: int) -> None:
    cursor.execute("DELETE FROM journal WHERE place BETWEEN ? AND ?", _places(number))
    cursor.execute("DELETE FROM runs WHERE number = ?", (number,))


def _remove_oldest(cursor: sqlite3.Cursor, pipeline: int, keep_last: int) -> int:
    """Remove the oldest runs that need not be kept, at most a page of them; returns how many."""
    over = "FROM runs WHERE pipeline = ? AND state <> 'running'"
    newest = cursor.execute(
        "SELECT run_id, state FROM runs WHERE pipeline = ? ORDER BY run_id DESC LIMIT 1", (pipeline,)
    ).fetchone()
    beside = 1 if newest is not None and newest[1] == _INTERRUPTED else 0
    last = cursor.execute(
        f"SELECT run_id {over} ORDER BY run_id DESC LIMIT 1 OFFSET ?", (pipeline, keep_last + beside)
    ).fetchone()
    if last is None:
        return 0
    query = f"SELECT number {over} AND run_id <= ? ORDER BY run_id LIMIT ?"
    numbers = [number for (number,) in cursor.execute(query, (pipeline, last[0], _REMOVED))]
    for number in numbers:
        _remove(cursor, number)
    return len(numbers)


def _check_text(value: str, what: str) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{what} is of type {type(value).__name__}, not text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{what} holds half of a pair of surrogates, {value!r}, which is no text") from None


def _where(run_id: str) -> str:
    return f"run {display(run_id)}"


def _no_such_run(run_id: str) -> NotFound:
    return NotFound(
        "there is no such run", where=_where(run_id), remedy="It may have been removed; look at the list of runs."
    )


def _lost(run_id: str) -> Conflict:
    return Conflict(
        "the lock under which it writes was lost, or is not held here",
        where=_where(run_id),
        remedy="Another run of the pipeline may have begun. Run it again; what was journalled is kept.",
    )


def _not_held(pipeline: str) -> Conflict:
    return Conflict(
        "the lock under which its offsets are to be moved was lost",
        where=f"pipeline {display(pipeline)}",
        remedy="Take it again, and look at the offsets before you move them.",
    )
