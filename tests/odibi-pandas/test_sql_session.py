from __future__ import annotations

import datetime as dt
import decimal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from odibi.errors import Cancelled, TransformError
from odibi_pandas.engine import PandasEngine


@pytest.fixture
def frame(pandas_engine: PandasEngine) -> Any:
    return pandas_engine.from_arrow(pa.table({"id": [1, 2, 3], "name": ["a", "b", None], "amount": [1.5, None, 3.0]}))


def rows(engine: PandasEngine, query: str, frames: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    return pa.table(engine.to_arrow(engine.sql(query, frames or {}))).to_pylist()


def refused(engine: PandasEngine, query: str, frames: dict[str, Any] | None = None) -> str:
    with pytest.raises(TransformError) as caught:
        engine.sql(query, frames or {})
    assert caught.value.remedy
    return str(caught.value)


# --- what queries see -----------------------------------------------------------------------------------------------


def test_a_query_sees_its_frames_under_their_names(pandas_engine: PandasEngine, frame: Any) -> None:
    query = 'SELECT o.id, c.name FROM "my-orders" o JOIN customers c ON o.id = c.id WHERE o.id > 1 ORDER BY o.id'
    found = rows(pandas_engine, query, {"my-orders": frame, "customers": frame, "unused": frame})
    assert found == [{"id": 2, "name": "b"}, {"id": 3, "name": None}]


@pytest.mark.parametrize("name", ["select", "a.b", 'quo"te', "日本", "with space", "tables", "duckdb_settings", "df"])
def test_names_of_all_kinds(pandas_engine: PandasEngine, frame: Any, name: str) -> None:
    quoted = name.replace('"', '""')
    assert rows(pandas_engine, f'SELECT count(*) AS n FROM "{quoted}"', {name: frame}) == [{"n": 3}]


def test_cases_are_not_told_apart(pandas_engine: PandasEngine, frame: Any) -> None:
    assert rows(pandas_engine, "SELECT count(*) AS n FROM ORDERS", {"Orders": frame}) == [{"n": 3}]
    assert "the same name in SQL" in refused(pandas_engine, "FROM a", {"Orders": frame, "orders": frame})
    both = pd.DataFrame({"Id": [1], "id": [2]})
    assert "'Id' and 'id' have the same name" in refused(pandas_engine, "FROM a", {"a": both})


def test_a_session_forgets_the_frames_of_the_query_before(pandas_engine: PandasEngine, frame: Any) -> None:
    session = pandas_engine.session("node")
    session.sql("FROM a", {"a": frame})
    with pytest.raises(TransformError, match="no input called 'a'"):
        session.sql("FROM a", {"b": frame})
    session.close()
    session.close()


def test_nothing_outside_is_seen(pandas_engine: PandasEngine, frame: Any, tmp_path: Path) -> None:
    file = tmp_path / "secret.csv"
    file.write_text("a\n1\n")
    for query in (
        f"SELECT * FROM '{file}'",
        f"SELECT * FROM read_csv('{file}')",
        f"SELECT * FROM read_text('{file}')",
        "SELECT * FROM glob('/*')",
    ):
        assert "read the file with a node's 'read'" in refused(pandas_engine, query)
    assert "no input called 'frame'" in refused(pandas_engine, "SELECT * FROM frame")
    assert "no input called 'pandas_engine'" in refused(pandas_engine, "SELECT * FROM pandas_engine")


def test_external_access_is_an_option(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a\n1\n")
    engine = PandasEngine(sql_external_access=True)
    assert rows(engine, f"SELECT * FROM '{tmp_path / 'x.csv'}'") == [{"a": 1}]
    engine.close()


def test_queries_of_all_shapes(pandas_engine: PandasEngine, frame: Any) -> None:
    for query in (
        "FROM df",
        "  -- comment; here\nSELECT * FROM df;",
        "/* ; */ WITH x AS (SELECT * FROM df) SELECT * FROM x",
        "TABLE df",
        "(SELECT * FROM df) UNION ALL (SELECT * FROM df)",
        "VALUES (1)",
        "DESCRIBE df",
        "SUMMARIZE df",
        "PIVOT df ON name USING sum(amount)",
        "-- wide\nPIVOT df ON name USING sum(amount)",
        "SELECT * FROM (PIVOT df ON name USING sum(amount))",
        "WITH p AS (PIVOT df ON name USING sum(amount)) FROM p",
        "UNPIVOT df ON id INTO NAME n VALUE v",
        "SELECT ';' AS semicolon",
    ):
        assert len(pandas_engine.sql(query, {"df": frame})) > 0, query
    assert rows(pandas_engine, "SHOW TABLES", {"df": frame, "other": frame}) == [{"name": "df"}, {"name": "other"}]
    assert rows(pandas_engine, "SELECT count(*) AS n FROM query_table('d' || 'f')", {"df": frame}) == [{"n": 3}]


@pytest.mark.parametrize(
    "query",
    [
        "CREATE TABLE t AS SELECT 1",
        "CREATE VIEW v AS SELECT 1",
        "CREATE TABLE t AS PIVOT df ON name USING sum(amount)",
        "/* SELECT */ CREATE TABLE t AS PIVOT df ON name USING sum(amount)",
        "INSERT INTO df VALUES (1)",
        "UPDATE df SET id = 1",
        "DELETE FROM df",
        "DROP VIEW df",
        "ATTACH ':memory:' AS x",
        "COPY df TO 'x.csv'",
        "EXPORT DATABASE 'x'",
        "SET threads = 4",
        "RESET threads",
        "PRAGMA version",
        "CALL pragma_version()",
        "INSTALL httpfs",
        "LOAD httpfs",
        "USE memory",
        "BEGIN",
        "PREPARE x AS SELECT 1",
        "EXPLAIN SELECT 1",
        "VACUUM",
        "CHECKPOINT",
    ],
)
def test_only_queries_are_run(pandas_engine: PandasEngine, frame: Any, query: str) -> None:
    message = refused(pandas_engine, query, {"df": frame})
    assert "is not a query" in message
    assert "Write a SELECT" in message
    assert rows(pandas_engine, "SELECT count(*) AS n FROM duckdb_tables()") == [{"n": 0}]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("", "there is no statement"),
        ("-- only a comment", "there is no statement"),
        ("SELECT 1; SELECT 2", "there are 2 statements"),
        ("SELEC 1", 'line 1: syntax error at or near "SELEC"'),
        ("SELECT *\nFROM df\nWHERE", "line 3: syntax error"),
        ("SELECT * FROM orderz", "no input called 'orderz'. Did you mean 'Orders'? The inputs are: df, Orders."),
        (
            "SELECT * FROM nowhere",
            "no input called 'nowhere'. The inputs are: df, Orders. Add it to the node's depends_on.",
        ),
        ("SELECT amout FROM df", "no column 'amout'. Did you mean 'amount'? The columns are: id, name, amount."),
        ("SELECT d.amout FROM df d", "no column 'amout'. Did you mean 'amount'?"),
        ("SELECT x.id FROM df", "nothing in the query's FROM is called 'x'"),
        ("SELECT name::INT FROM df", "Could not convert string 'a' to INT32"),
        ("SELECT nofunction(id) FROM df", "Scalar Function with name nofunction does not exist"),
        ("SELECT id FROM df GROUP BY name", "must appear in the GROUP BY clause"),
        ("SELECT ?", "Values were not provided"),
        ("SELECT error('boom')", "boom"),
        ("WITH x AS (INSERT INTO df VALUES (1) RETURNING *) SELECT * FROM x", ""),
    ],
)
def test_mistakes_are_said_in_words(pandas_engine: PandasEngine, frame: Any, query: str, message: str) -> None:
    assert message in refused(pandas_engine, query, {"df": frame, "Orders": frame})


def test_frames_that_sql_cannot_take(pandas_engine: PandasEngine) -> None:
    assert "input 'df': column 'm' holds values of the types int, str" in refused(
        pandas_engine, "FROM df", {"df": pd.DataFrame({"m": [1, "a"]}, dtype=object)}
    )
    assert "input 'df': the frame has no columns" in refused(pandas_engine, "FROM df", {"df": pd.DataFrame()})
    half = pandas_engine.from_arrow(pa.table({"h": pa.array([1.5], pa.float16())}))
    assert "halffloat" in refused(pandas_engine, "FROM df", {"df": half})


def test_a_bad_setting_is_said_at_the_first_query() -> None:
    assert "cannot start DuckDB" in refused(PandasEngine(memory_limit="lots"), "SELECT 1")


# --- values ---------------------------------------------------------------------------------------------------------


def test_types_come_back_as_they_went(pandas_engine: PandasEngine) -> None:
    table = pa.table(
        {
            "i8": pa.array([1, None], pa.int8()),
            "u64": pa.array([2**64 - 1, None], pa.uint64()),
            "f32": pa.array([1.5, None], pa.float32()),
            "s": ["text", None],
            "b": [True, None],
            "d": [dt.date(2013, 1, 1), None],
            "t": pa.array([dt.datetime(2013, 1, 1, 2), None], pa.timestamp("us")),
            "ns": pa.array([1, None], pa.timestamp("ns")),
            "tz": pa.array([dt.datetime(2013, 1, 1, 2, tzinfo=dt.UTC), None], pa.timestamp("us", "UTC")),
            "tm": pa.array([dt.time(1, 2, 3), None], pa.time64("us")),
            "dec": [decimal.Decimal("1.50"), None],
            "bin": [b"\x00\xff", None],
            "l": [[1, 2], None],
            "st": [{"x": 1, "y": "a"}, None],
            "dur": pa.array([1_500_000, None], pa.duration("us")),
        }
    )
    back = pandas_engine.to_arrow(pandas_engine.sql("FROM df", {"df": pandas_engine.from_arrow(table)}))
    assert back.to_pylist() == table.to_pylist()
    changed = {f.name for f in table.schema if back.schema.field(f.name).type != f.type}
    assert changed <= {"l"}  # the name of a list's items


def test_sums_of_integers_are_integers(pandas_engine: PandasEngine) -> None:
    frame = pandas_engine.from_arrow(pa.table({"i": [2**62, 2**62 - 1]}))
    fits = pandas_engine.sql("SELECT sum(i) AS s, sum(i)::DECIMAL(38, 0) AS d FROM df", {"df": frame})
    assert [str(it) for it in fits.dtypes] == ["int64[pyarrow]", "decimal128(38, 0)[pyarrow]"]
    assert fits["s"][0] == 2**63 - 1
    over = pandas_engine.sql("SELECT sum(i) + 1 AS s FROM df", {"df": frame})
    assert over["s"][0] == decimal.Decimal(2**63)


def test_differences_of_moments_are_durations(pandas_engine: PandasEngine) -> None:
    query = "SELECT t - TIMESTAMP '2013-01-01' AS d FROM (VALUES (TIMESTAMP '2013-01-03 01:00:00'), (NULL)) v(t)"
    result = pandas_engine.sql(query, {})
    assert str(result["d"].dtype) == "duration[us][pyarrow]"
    assert result["d"][0] == pd.Timedelta(days=2, hours=1)
    assert result["d"].isna()[1]
    months = pandas_engine.sql("SELECT INTERVAL 1 MONTH AS m", {})
    assert "interval" in str(months["m"].dtype)


def test_moments_are_utc_wherever_the_machine_is(pandas_engine: PandasEngine) -> None:
    found = rows(pandas_engine, "SELECT TIMESTAMPTZ '2013-01-01 00:00:00' AS t, current_setting('TimeZone') AS z")
    assert found == [{"t": dt.datetime(2013, 1, 1, tzinfo=dt.UTC), "z": "UTC"}]


def test_columns_of_one_name_are_told_apart(pandas_engine: PandasEngine, frame: Any) -> None:
    result = pandas_engine.sql("SELECT a.*, b.* FROM df a JOIN df b USING (id)", {"df": frame})
    assert list(result.columns) == ["id", "name", "amount", "id_1", "name_1", "amount_1"]


def test_an_empty_result_keeps_its_columns(pandas_engine: PandasEngine, frame: Any) -> None:
    result = pandas_engine.sql("SELECT * FROM df WHERE false", {"df": frame})
    assert len(result) == 0
    assert [str(it) for it in result.dtypes] == [str(it) for it in frame.dtypes]


def test_frames_with_an_index(pandas_engine: PandasEngine) -> None:
    frame = pd.DataFrame({"k": ["x", "y"], "v": [1, 2]})
    assert rows(pandas_engine, "SELECT k, v FROM df", {"df": frame.set_index("k")}) == [
        {"k": "x", "v": 1},
        {"k": "y", "v": 2},
    ]
    assert rows(pandas_engine, "FROM df", {"df": frame[frame["v"] == 2]}) == [{"k": "y", "v": 2}]


def test_the_order_of_rows_is_the_same_each_time(pandas_engine: PandasEngine) -> None:
    count = 300_000
    frame = pandas_engine.from_arrow(
        pa.table({"k": [i * 7919 % 5003 for i in range(count)], "x": [i / 3 for i in range(count)]})
    )
    first = pandas_engine.sql("SELECT k, sum(x) AS s FROM df GROUP BY k", {"df": frame})
    with ThreadPoolExecutor(4) as pool:
        query = "SELECT k, sum(x) AS s FROM df GROUP BY k"
        for again in pool.map(lambda _: pandas_engine.sql(query, {"df": frame}), range(8)):
            pd.testing.assert_frame_equal(again, first)
    kept = pandas_engine.sql("SELECT * FROM df WHERE k < 2500", {"df": frame})
    pd.testing.assert_frame_equal(kept, frame[frame["k"] < 2500].reset_index(drop=True))


# --- side by side ---------------------------------------------------------------------------------------------------


def test_hundreds_of_sessions_share_names_and_never_data(pandas_engine: PandasEngine) -> None:
    aliases = ("df", "orders", "current", "input")

    def node(number: int) -> None:
        session = pandas_engine.session(f"node-{number}")
        size = number % 7 + 1
        frames = {
            alias: pandas_engine.from_arrow(
                pa.table({"who": [number] * size, "alias": [alias] * size, f"only_{number % 5}": list(range(size))})
            )
            for alias in aliases
        }
        for alias in aliases:
            result = session.sql(f"SELECT * FROM {alias}", frames)
            assert result[f"only_{number % 5}"].tolist() == list(range(size))
            assert set(result["who"]) == {number}
            assert set(result["alias"]) == {alias}
        joined = session.sql("SELECT count(*) AS n, min(o.who) AS w FROM df CROSS JOIN orders o", frames)
        assert (joined["n"][0], joined["w"][0]) == (size * size, number)
        pivoted = session.sql("PIVOT df ON who USING count(*) GROUP BY alias", frames)
        assert list(pivoted.columns) == ["alias", str(number)]
        with pytest.raises(TransformError):
            session.sql("SELECT * FROM df", {"orders": frames["orders"]})
        session.close()

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(node, number) for number in range(240)]:
            done.result()
    assert rows(pandas_engine, "SELECT count(*) AS n FROM duckdb_views() WHERE NOT internal") == [{"n": 0}]


def test_one_session_from_many_threads(pandas_engine: PandasEngine) -> None:
    session = pandas_engine.session("node")

    def ask(number: int) -> int:
        return int(session.sql("SELECT x FROM df", {"df": pd.DataFrame({"x": [number]})})["x"][0])

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(200))) == list(range(200))


def test_two_engines_side_by_side(frame: Any) -> None:
    one, other = PandasEngine(), PandasEngine()
    assert rows(one, "SELECT count(*) AS n FROM a", {"a": frame}) == [{"n": 3}]
    assert "no input" in refused(other, "FROM a")
    one.close()
    assert rows(other, "SELECT count(*) AS n FROM a", {"a": frame}) == [{"n": 3}]
    other.close()


def test_a_result_outlives_its_session_and_engine(frame: Any) -> None:
    engine = PandasEngine()
    session = engine.session("node")
    result = session.sql("SELECT repeat(name, 100) AS s FROM df", {"df": frame})
    session.close()
    engine.close()
    assert result["s"][0] == "a" * 100


# --- interrupting ---------------------------------------------------------------------------------------------------

ENDLESS = "SELECT count(*) FROM range(1000000000) a, range(1000000) b"


def test_interrupt_stops_the_query_of_its_session_alone(pandas_engine: PandasEngine, frame: Any) -> None:
    session = pandas_engine.session("slow")
    other = pandas_engine.session("other")
    started = threading.Event()

    def run() -> None:
        started.set()
        session.sql(ENDLESS, {})

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run)
        started.wait()
        session.interrupt()
        with pytest.raises(Cancelled, match="slow: the query was stopped"):
            running.result(timeout=30)
    assert len(other.sql("FROM df", {"df": frame})) == 3
    with pytest.raises(Cancelled):
        session.sql("SELECT 1", {})


def test_interrupt_of_an_idle_session_returns_at_once(pandas_engine: PandasEngine) -> None:
    session = pandas_engine.session("idle")
    begin = time.monotonic()
    session.interrupt()
    assert time.monotonic() - begin < 5
    with pytest.raises(Cancelled):
        session.sql(ENDLESS, {})
