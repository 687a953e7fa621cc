"""The part of the engine's suite that is about SQL."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from odibi.errors import Cancelled, OdibiError, TransformError
from odibi.testing.component import TOGETHER, needs, together
from odibi.testing.engine_base import PEOPLE, EngineBase, people
from odibi.testing.frames import Table, assert_same

if TYPE_CHECKING:
    from pathlib import Path

    from odibi.contracts.engine import Engine

_SESSIONS = 8

NO_QUERIES = (
    "",
    "   ",
    "-- nothing but a comment",
    "SELEC id FROM t",
    "SELECT id FROM",
    "SELECT id FROM t WHERE",
    "SELECT 'open FROM t",
    "DROP TABLE t",
    "DROP VIEW t",
    "DELETE FROM t",
    "UPDATE t SET id = 0",
    "INSERT INTO t VALUES (9, 'x', 1.0)",
    "CREATE TABLE u AS SELECT id FROM t",
    "CREATE VIEW u AS SELECT id FROM t",
    "ALTER TABLE t ADD COLUMN c INTEGER",
    "ATTACH ':memory:' AS other",
    "SET threads = 2",
    "PRAGMA user_version = 3",
    "COPY t TO 'copied.csv'",
    "BEGIN",
    "SELECT id FROM t; SELECT id FROM t",
    "SELECT id FROM t; DROP TABLE t",
)
"""What is not one query that can be understood."""


class SqlPromises(EngineBase):
    """What holds for :meth:`Engine.sql` and for sessions."""

    def answer(self, engine: Engine, query: str, **frames: Table) -> Table:
        """What a query gives."""
        made = {name: self.frame(engine, table) for name, table in frames.items()}
        return self.table(engine, engine.sql(query, made))

    @needs("sql")
    def test_sql_sees_frames_under_their_names(self, engine: Engine) -> None:
        """All of them, with their columns, rows and nulls."""
        query = "SELECT t.id AS id, t.name AS name, u.name AS other FROM t JOIN u ON u.id = t.id ORDER BY t.id"
        expected = Table.of(id=("int64", [2, 3]), name=("string", ["bo", None]), other=("string", ["x2", "x3"]))
        assert_same(self.answer(engine, query, t=PEOPLE, u=people(2, 3, 9)), expected, ordered=self.ordered)

    @needs("sql")
    def test_sql_gives_whole_columns_as_they_are(self, engine: Engine) -> None:
        """Their types included."""
        assert_same(self.answer(engine, "SELECT * FROM t", t=PEOPLE), PEOPLE, ordered=False)

    @needs("sql")
    @pytest.mark.parametrize("query", ["WITH u AS (SELECT id FROM t) SELECT id FROM u", "SELECT t.id FROM t -- all"])
    def test_sql_takes_a_query_however_it_begins_and_ends(self, engine: Engine, query: str) -> None:
        """With a common table expression, and with a comment after it."""
        assert_same(self.answer(engine, query, t=PEOPLE), PEOPLE.select("id"), ordered=False)

    @needs("sql")
    def test_sql_computes(self, engine: Engine) -> None:
        """Groups, conditions, and an order."""
        query = "SELECT name, count(*) AS n FROM t WHERE name IS NOT NULL GROUP BY name ORDER BY n DESC, name"
        found = self.answer(engine, query, t=PEOPLE)
        expected = Table.of(name=("string", ["bo", "ada", "é 日本"]), n=("int64", [2, 1, 1]))
        assert_same(found, expected, ordered=self.ordered, types="any")

    @needs("sql")
    def test_sql_on_frames_without_rows(self, engine: Engine) -> None:
        """Gives no rows, and the columns all the same."""
        found = self.answer(engine, "SELECT id, name FROM t", t=PEOPLE.cut(0, 0))
        assert (found.names, len(found)) == (("id", "name"), 0)

    @needs("sql")
    @pytest.mark.parametrize("query", NO_QUERIES)
    def test_what_is_no_single_query_is_refused(self, engine: Engine, query: str) -> None:
        """With a TransformError, and nothing happens to the frame, or to what comes after."""
        frame = self.frame(engine, PEOPLE)
        session = engine.session("node")
        try:
            with pytest.raises(TransformError):
                session.sql(query, {"t": frame})
            self.unchanged(engine, frame, PEOPLE)
            again = self.table(engine, session.sql("SELECT * FROM t", {"t": frame}))
            assert_same(again, PEOPLE, ordered=False)
            with pytest.raises(TransformError):
                session.sql("SELECT id FROM u", {"t": frame})
        finally:
            session.close()

    @needs("sql")
    @pytest.mark.parametrize(
        ("query", "name"),
        [
            ("SELECT id FROM nowhere_at_all", "nowhere_at_all"),
            ("SELECT not_a_column FROM t", "not_a_column"),
            ("SELECT no_function_like_it(id) AS x FROM t", "no_function_like_it"),
            ("SELECT id FROM t WHERE id IN (SELECT id FROM nowhere_at_all)", "nowhere_at_all"),
        ],
    )
    def test_what_a_query_names_and_is_not_there(self, engine: Engine, query: str, name: str) -> None:
        """Is named in the TransformError."""
        with pytest.raises(TransformError, match=name):
            engine.sql(query, {"t": self.frame(engine, PEOPLE)})

    @needs("sql")
    def test_a_query_sees_nothing_but_its_frames(self, engine: Engine, place: Path) -> None:
        """No variable of Python, no file, and no frame of a query before."""
        hidden_frame = self.frame(engine, people(7))
        file = place / "people.csv"
        file.write_text("id\n7\n")
        session = engine.session("node")
        try:
            session.sql("SELECT id FROM before", {"before": hidden_frame})
            for table in ("hidden_frame", "before", f"'{file}'", f'"{file}"'):
                with pytest.raises(TransformError):
                    session.sql(f"SELECT id FROM {table}", {"t": self.frame(engine, PEOPLE)})  # noqa: S608
        finally:
            session.close()
        with pytest.raises(TransformError):
            engine.sql("SELECT id FROM before", {})

    @needs("sql")
    def test_a_name_means_the_frame_that_is_given_with_the_query(self, engine: Engine) -> None:
        """And not the one that had it before in the session."""
        session = engine.session("node")
        try:
            for ids in ((1, 2), (3,), ()):
                found = session.sql("SELECT id, name FROM t", {"t": self.frame(engine, people(*ids))})
                assert_same(self.table(engine, found), people(*ids), ordered=False)
        finally:
            session.close()

    @needs("sql")
    def test_sessions_side_by_side_do_not_see_each_other(self, engine: Engine) -> None:
        """Two of one node that are open at once, as an attempt that was given up and the next one are."""
        one, other = engine.session("node"), engine.session("node")
        try:
            one.sql("SELECT id FROM t", {"t": self.frame(engine, people(1))})
            with pytest.raises(TransformError):
                other.sql("SELECT id FROM t", {})
            found = other.sql("SELECT id, name FROM t", {"t": self.frame(engine, people(2))})
            assert_same(self.table(engine, found), people(2))
            one.close()
            found = other.sql("SELECT id, name FROM t", {"t": self.frame(engine, people(3))})
            assert_same(self.table(engine, found), people(3))
        finally:
            one.close()
            other.close()

    @needs("sql")
    def test_many_nodes_with_the_same_names_at_once(self, engine: Engine) -> None:
        """Each gets the answer that it would get alone."""

        def node(at: int) -> bool:
            session = engine.session(f"node{at % 3}")
            try:
                for turn in range(10):
                    frame = self.frame(engine, people(at, at * 1000 + turn + _SESSIONS))
                    found = session.sql("SELECT id, name FROM t ORDER BY id", {"t": frame, f"only_{at}": frame})
                    assert_same(
                        self.table(engine, found), people(at, at * 1000 + turn + _SESSIONS), ordered=self.ordered
                    )
                    with suppress(TransformError):
                        session.sql(f"SELECT id FROM only_{(at + 1) % _SESSIONS}", {"t": frame})  # noqa: S608
                        raise AssertionError("it sees the frames of another node")
            finally:
                session.close()
            return True

        assert together(*(lambda at=at: node(at) for at in range(_SESSIONS))) == [True] * _SESSIONS

    @needs("sql")
    def test_the_queries_of_an_engine_at_once(self, engine: Engine) -> None:
        """Engine.sql has a session of its own for each."""

        def work(at: int) -> Any:
            found = engine.sql("SELECT id, name FROM t", {"t": self.frame(engine, people(at))})
            assert_same(self.table(engine, found), people(at))
            return None

        assert together(*(lambda at=at: work(at) for at in range(_SESSIONS))) == [None] * _SESSIONS

    @needs("sql")
    def test_a_query_changes_no_frame(self, engine: Engine) -> None:
        """Nor does its result change with the frame afterwards."""
        frame = self.frame(engine, PEOPLE)
        engine.sql("SELECT * FROM t", {"t": frame})
        self.unchanged(engine, frame, PEOPLE)
        for change in self.changes():
            frame = self.frame(engine, PEOPLE)
            result = engine.sql("SELECT * FROM t", {"t": frame})
            change(frame)
            assert_same(self.table(engine, result), PEOPLE, ordered=False)

    @needs("sql")
    def test_changing_a_result_changes_no_frame_that_was_asked(self, engine: Engine) -> None:
        """The two share nothing that can be seen."""
        frame = self.frame(engine, PEOPLE)
        for change in self.changes():
            change(engine.sql("SELECT * FROM t", {"t": frame}))
            self.unchanged(engine, frame, PEOPLE)

    @needs("sql")
    def test_a_session_is_closed_twice(self, engine: Engine) -> None:
        """And one that was never used, too."""
        used, unused = engine.session("node"), engine.session("node")
        used.sql("SELECT id FROM t", {"t": self.frame(engine, PEOPLE)})
        for session in (used, used, unused, unused):
            session.close()

    @needs("sql")
    def test_a_query_that_failed_leaves_the_session_of_use(self, engine: Engine) -> None:
        """So that a step can try another one."""
        session = engine.session("node")
        try:
            for _ in range(3):
                with pytest.raises(TransformError):
                    session.sql("SELECT nothing FROM t", {"t": self.frame(engine, PEOPLE)})
                found = session.sql("SELECT * FROM t", {"t": self.frame(engine, PEOPLE)})
                assert_same(self.table(engine, found), PEOPLE, ordered=False)
        finally:
            session.close()

    @needs("sql")
    def test_a_query_is_interrupted(self, engine: Engine) -> None:
        """From another thread; it ends with an error, and the sessions of others go on."""
        numbers = self.frame(engine, people(*range(1000)))
        session, other = engine.session("slow"), engine.session("other")
        ended: list[Any] = []

        def work() -> None:
            try:
                found = session.sql(self.slow_query, {"numbers": numbers})
                ended.append(self.table(engine, found) if self.lazy else found)
            except BaseException as error:  # what it raises is looked at below
                ended.append(error)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        try:
            deadline = time.monotonic() + TOGETHER
            while thread.is_alive() and time.monotonic() < deadline:
                # It may not have begun yet, when an engine may forget that it was asked to stop.
                session.interrupt()
                thread.join(0.05)
            assert not thread.is_alive(), "the query goes on"
            assert isinstance(ended[0], TransformError | Cancelled), ended[0]
            found = other.sql("SELECT id, name FROM t", {"t": self.frame(engine, people(1))})
            assert_same(self.table(engine, found), people(1))
        finally:
            session.close()
            other.close()

    @needs("sql")
    def test_a_session_without_a_query_is_interrupted(self, engine: Engine) -> None:
        """Which does nothing, at least to others."""
        session = engine.session("node")
        session.interrupt()
        with suppress(OdibiError):
            session.sql("SELECT id FROM t", {"t": self.frame(engine, PEOPLE)})
        session.close()
        assert_same(self.answer(engine, "SELECT id, name FROM t", t=people(1)), people(1))
