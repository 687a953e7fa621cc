"""SQL over frames, with one DuckDB in memory for an engine and a namespace of its own for each query."""

from __future__ import annotations

import difflib
import os
import re
import tempfile
import threading
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from odibi.errors import Cancelled, DataError, TransformError
from odibi_pandas.frames import distinct, from_table, to_table
from odibi_pandas.sql_types import settled

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

_QUERIES = {"SELECT", "WITH", "FROM", "PIVOT", "PIVOT_WIDER", "UNPIVOT", "PIVOT_LONGER", "VALUES", "TABLE", "("}
"""How a statement may begin that DuckDB makes several of (a pivot, or the creation of a table from one)."""

_INTERRUPTS = 20
_PAUSE = 0.005


class Database:
    """A DuckDB in memory that keeps nothing: the frames of a query are views of the connection that runs it.

    Args:
        threads: for one query.
        memory_limit: as DuckDB takes it (``"4GB"``).
        temp_directory: where a query puts what does not fit into memory.
        external_access: let queries read files and load extensions.
    """

    def __init__(
        self, *, threads: int, memory_limit: str | None, temp_directory: str | None, external_access: bool
    ) -> None:
        self._temp_directory = temp_directory or os.path.join(tempfile.gettempdir(), f"odibi-sql-{token_hex(4)}")  # noqa: PTH118
        self._settings: dict[str, Any] = {
            "threads": threads,
            "TimeZone": "UTC",
            "preserve_insertion_order": True,
            "python_enable_replacements": False,
        }
        if not external_access:
            self._settings |= {
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "enable_external_access": False,
            }
        if memory_limit:
            self._settings["memory_limit"] = memory_limit
        self._settings["lock_configuration"] = True
        self._lock = threading.Lock()
        self._root: Any = None

    def cursor(self) -> Any:
        """A new connection with a namespace of its own."""
        with self._lock:
            if self._root is None:
                self._root = self._open()
            return self._root.cursor()

    def close(self) -> None:
        """Let go of the database; a later query opens a new one."""
        with self._lock:
            root, self._root = self._root, None
        if root is not None:
            root.close()

    def _open(self) -> Any:
        import duckdb

        try:
            root = duckdb.connect(":memory:", config={"temp_directory": self._temp_directory})
            for name, value in self._settings.items():
                root.execute(f"SET GLOBAL {name} = {_literal(value)}")
        except duckdb.Error as error:
            raise TransformError(
                f"the engine cannot start DuckDB: {_sentence(error)}",
                remedy="Check the engine's options threads, memory_limit and temp_directory.",
            ) from error
        return root


def _literal(value: Any) -> str:
    text = str(value).replace("'", "''")
    return f"'{text}'"


class SqlSession:
    """The queries of one attempt of one node; see :class:`odibi.contracts.engine.Session`."""

    def __init__(self, database: Database, node: str) -> None:
        self._database = database
        self._node = node
        self._running: set[Any] = set()
        self._idle = threading.Condition()
        self._interrupted = False

    def sql(self, query: str, frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
        """The result of a single query that sees ``frames`` under their names, and nothing else."""
        import duckdb

        cursor = self._database.cursor()
        with self._idle:
            self._running.add(cursor)
        try:
            statement = _single_query(cursor, query)
            for name, frame in _needed(query, frames):
                _register(cursor, name, frame)
            self._refuse_if_interrupted()
            relation = cursor.sql(statement)
            if relation is None:
                raise _not_a_query(_first_word(query))
            table = settled(relation.to_arrow_table(), relation)
            return from_table(table.rename_columns(distinct(table.column_names)))
        except duckdb.Error as error:
            self._refuse_if_interrupted(error)
            raise _explained(error, query, frames) from error
        finally:
            with self._idle:
                self._running.discard(cursor)
                self._idle.notify_all()
            cursor.close()

    def interrupt(self) -> None:
        """Stop the queries that run in other threads, and let no more begin."""
        with self._idle:
            self._interrupted = True
            # A query may be about to begin, when an interrupt is forgotten: so more than once.
            for _ in range(_INTERRUPTS):
                if not self._running:
                    return
                for cursor in self._running:
                    cursor.interrupt()
                self._idle.wait(_PAUSE)

    def close(self) -> None:
        """Nothing outlives a query."""

    def _refuse_if_interrupted(self, cause: BaseException | None = None) -> None:
        if self._interrupted:
            raise Cancelled("the query was stopped", where=self._node) from cause


def _single_query(cursor: Any, query: str) -> Any:
    """The one statement in ``query``, parsed.

    Raises:
        TransformError: there is none, more than one, or it is not a query.
    """
    import duckdb

    statements = cursor.extract_statements(query)
    if not statements:
        raise TransformError("there is no statement", where="SQL", remedy="Write a SELECT.")
    if len(statements) > 1:
        raise TransformError(
            f"there are {len(statements)} statements",
            where="SQL",
            remedy="Make each a step of its own; the result of one is 'df' in the next.",
        )
    (statement,) = statements
    kind = statement.type
    if kind == duckdb.StatementType.SELECT or (kind == duckdb.StatementType.MULTI and _first_word(query) in _QUERIES):
        return statement
    raise _not_a_query(_first_word(query))


def _not_a_query(verb: str) -> TransformError:
    return TransformError(
        f"{verb} is not a query",
        where="SQL",
        remedy="Write a SELECT; what it gives is the step's result. To store it, give the node a 'write'.",
    )


def _first_word(query: str) -> str:
    import duckdb

    starts = [(at, kind) for at, kind in duckdb.tokenize(query) if kind != duckdb.token_type.comment]
    begin = starts[0][0]
    match = re.match(r"\w+|\(", query.encode()[begin:].decode())
    return match.group().upper() if match else ""


def _needed(query: str, frames: Mapping[str, pd.DataFrame]) -> list[tuple[str, pd.DataFrame]]:
    """The frames that the query can name; making the others known would cost more than most queries.

    Raises:
        TransformError: two names differ in case alone, which SQL does not see.
    """
    folded: dict[str, str] = {}
    for name in frames:
        other = folded.setdefault(name.casefold(), name)
        if other != name:
            raise TransformError(
                f"the inputs {other!r} and {name!r} have the same name in SQL, which does not tell cases apart",
                remedy="Rename one of the nodes.",
            )
    text = query.casefold()
    # These find tables without naming them; a name with a quote is written in another way.
    if "query_table" in text or "show" in text:
        return list(frames.items())
    return [(name, frame) for name, frame in frames.items() if name.casefold() in text or '"' in name]


def _register(cursor: Any, name: str, frame: pd.DataFrame) -> None:
    import duckdb

    try:
        table = to_table(frame)
    except DataError as error:
        raise TransformError(error.what, where=f"input {name!r}", remedy=error.remedy) from error
    if not table.num_columns:
        raise TransformError("the frame has no columns", where=f"input {name!r}", remedy="SQL needs at least one.")
    names = table.column_names
    if len({column.casefold() for column in names}) != len(names):
        seen: dict[str, str] = {}
        for column in names:
            if (other := seen.setdefault(column.casefold(), column)) != column:
                raise TransformError(
                    f"the columns {other!r} and {column!r} have the same name in SQL, which does not tell cases apart",
                    where=f"input {name!r}",
                    remedy="Rename one of them before.",
                )
    try:
        cursor.register(name, table)
    except duckdb.Error as error:
        raise TransformError(
            f"SQL cannot take the frame: {_sentence(error)}",
            where=f"input {name!r}",
            remedy=f"Cast or drop the column before; the types are {', '.join(map(str, table.schema.types))}.",
        ) from error


# --- errors in words ------------------------------------------------------------------------------------------------

_TABLE = re.compile(r"Table with name (.+?) does not exist")
_ALIAS = re.compile(r'Referenced table "(.+?)" not found')
_COLUMN = re.compile(r'Referenced column "(.+?)" not found|does not have a column named "(.+?)"')
_LINE = re.compile(r"^LINE (\d+):", re.MULTILINE)


def _explained(error: Exception, query: str, frames: Mapping[str, pd.DataFrame]) -> TransformError:
    import duckdb

    text = str(error)
    line = _LINE.search(text)
    where = f"SQL line {line.group(1)}" if line else "SQL"
    inputs = ", ".join(frames) if frames else "none"
    if (alias := _ALIAS.search(text)) is not None:
        return TransformError(
            f"nothing in the query's FROM is called {alias.group(1)!r}",
            where=where,
            remedy=f"{_did_you_mean(alias.group(1), frames)}Name an input there, or give one this alias.",
        )
    if (table := _TABLE.search(text)) is not None:
        name = table.group(1).strip('"')
        return TransformError(
            f"there is no input called {name!r}",
            where=where,
            remedy=f"{_did_you_mean(name, frames)}The inputs are: {inputs}. Add it to the node's depends_on.",
        )
    if (column := _COLUMN.search(text)) is not None:
        name = column.group(1) or column.group(2)
        columns = [str(c) for _, frame in _needed(query, frames) for c in frame.columns]
        return TransformError(
            f"there is no column {name!r}",
            where=where,
            remedy=f"{_did_you_mean(name, columns)}The columns are: {', '.join(dict.fromkeys(columns)) or 'none'}.",
        )
    if isinstance(error, duckdb.PermissionException):
        return TransformError(
            _sentence(error),
            where=where,
            remedy="A query sees its node's inputs alone: read the file with a node's 'read'.",
        )
    if isinstance(error, duckdb.OutOfMemoryException):
        return TransformError(
            _sentence(error), where=where, remedy="Raise the engine's memory_limit, or give it a temp_directory."
        )
    failed = TransformError(_sentence(error), where=where, remedy=f"Check the query; its inputs are: {inputs}.")
    # What the parser and the binder say comes from the query; what the query said while it ran may come from rows.
    of_the_query = (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException)
    failed.quotes_data = not isinstance(error, of_the_query)
    return failed


def _did_you_mean(name: str, known: Any) -> str:
    folded = {str(other).casefold(): str(other) for other in known}
    close = difflib.get_close_matches(name.casefold(), folded, n=1)
    return f"Did you mean {folded[close[0]]!r}? " if close else ""


def _sentence(error: Exception) -> str:
    """The first line of DuckDB's message, without its class."""
    first = str(error).split("\n", 1)[0]
    return re.sub(r"^[\w ]+ (?:Error|Exception): ", "", first).rstrip(".!")
