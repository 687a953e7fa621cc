"""Where SQL means something else on Spark than on pandas, whose SQL is DuckDB's: a test for each row of the table.

Each row shows what both engines answer to the same text, or to the texts that each of them needs for the same thing.
What a user writes in a ``sql`` step, or as an expression in ``filter``, ``derive`` and ``aggregate``, is in the
engine's own dialect; so these are differences that a project meets when its engine changes.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from odibi.errors import OdibiError
from odibi_pandas.engine import PandasEngine
from odibi_spark.conformance import SMALL
from odibi_spark.engine import SparkEngine

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

FRAME = pa.table(
    {
        "v": pa.array([2, None, 1], pa.int32()),
        "m": pa.array([Decimal("1.100"), None, Decimal("2.200")], pa.decimal128(12, 3)),
        "t": ["a", "b", None],
        "l": [["x", "y"], [], None],
    }
)

ERROR = "error"
"""The answer is an error, when the query is made or when it is computed."""

UTC = dt.UTC


@pytest.fixture(scope="module")
def engines() -> Iterator[tuple[Any, Any]]:
    pandas, spark = PandasEngine(), SparkEngine(master="local[2]", conf=SMALL)
    yield pandas, spark
    pandas.close()
    spark.close()


@pytest.fixture(scope="module")
def ask(engines: tuple[Any, Any]) -> Callable[[str], tuple[Any, Any]]:
    """What pandas and Spark answer: the values of the one column and its type, or ``ERROR``."""

    def answer(engine: Any, query: str) -> Any:
        try:
            found = pa.table(engine.to_arrow(engine.sql(query, {"df": engine.from_arrow(FRAME)})))
        except OdibiError:
            return ERROR
        (column,) = found.columns
        return column.to_pylist(), str(column.type)

    return lambda query: (answer(engines[0], query), answer(engines[1], query))


VALUES = [
    # numbers
    ("7 / 2", (3.5, "double"), (3.5, "double")),
    ("7 // 2", (3, "int32"), ERROR),
    ("7 div 2", ERROR, (3, "int64")),
    ("1 / 0", (math.inf, "double"), ERROR),
    ("1 % 0", ERROR, ERROR),
    ("10.00 / 4.00", (2.5, "double"), (Decimal("2.500000"), "decimal128(10, 6)")),
    ("1.10 * 1.10", (Decimal("1.2100"), "decimal128(6, 4)"), (Decimal("1.2100"), "decimal128(7, 4)")),
    ("0.1 + 0.2", (Decimal("0.3"), "decimal128(3, 1)"), (Decimal("0.3"), "decimal128(2, 1)")),
    ("2147483647 + 1", ERROR, ERROR),
    ("2 ^ 3", (8.0, "double"), (1, "int32")),
    ("log(100)", (2.0, "double"), (math.log(100), "double")),
    ("ln(0)", (-math.inf, "double"), (None, "double")),
    ("round(2.5)", (Decimal(3), "decimal128(2, 0)"), (Decimal(3), "decimal128(2, 0)")),
    # casts
    ("CAST(1.5 AS INT)", (2, "int32"), (1, "int32")),
    ("CAST('1.5' AS INT)", (2, "int32"), ERROR),
    ("CAST(' 7 ' AS INT)", (7, "int32"), (7, "int32")),
    ("CAST(300 AS TINYINT)", ERROR, ERROR),
    ("TRY_CAST('x' AS INT)", (None, "int32"), (None, "int32")),
    ("CAST(CAST(1e10 AS DOUBLE) AS STRING)", ("10000000000.0", "string"), ("1.0E10", "string")),
    ("CAST(X'C3A9' AS STRING)", (r"\xC3\xA9", "string"), ("é", "string")),
    ("true = 1", (True, "bool"), ERROR),
    # NaN
    ("CAST('NaN' AS DOUBLE) = CAST('NaN' AS DOUBLE)", (True, "bool"), (True, "bool")),
    ("CAST('NaN' AS DOUBLE) > CAST('inf' AS DOUBLE)", (True, "bool"), (True, "bool")),
    # texts
    ("concat('a', NULL)", ("a", "string"), (None, "string")),
    ("length('é')", (1, "int64"), (1, "int32")),
    ("substr('hello', 0, 2)", ("h", "string"), ("he", "string")),
    (r"length('a\nb')", (4, "int64"), (3, "int32")),
    (r"'a%b' LIKE 'a\%b'", (False, "bool"), (True, "bool")),
    ("regexp_replace('aXbX', 'X', '-')", ("a-bX", "string"), ("a-b-", "string")),
    ("upper('ß')", ("ẞ", "string"), ("SS", "string")),
    ("'a' < 'B'", (False, "bool"), (False, "bool")),
    # times
    (
        "TIMESTAMP '2024-01-02 03:00:00'",
        (dt.datetime(2024, 1, 2, 3), "timestamp[us]"),
        (dt.datetime(2024, 1, 2, 3, tzinfo=UTC), "timestamp[us, tz=UTC]"),
    ),
    (
        "CAST('2024-01-02T03:00:00+02:00' AS TIMESTAMP)",
        (dt.datetime(2024, 1, 2, 3), "timestamp[us]"),
        (dt.datetime(2024, 1, 2, 1, tzinfo=UTC), "timestamp[us, tz=UTC]"),
    ),
    (
        "date_trunc('week', DATE '2024-01-03')",
        (dt.datetime(2024, 1, 1), "timestamp[us]"),
        (dt.datetime(2024, 1, 1, tzinfo=UTC), "timestamp[us, tz=UTC]"),
    ),
    ("DATE '2024-03-01' - DATE '2024-02-28'", (2, "int64"), (dt.timedelta(days=2), "duration[us]")),
    ("DATE '2024-03-01' + 1", (dt.date(2024, 3, 2), "date32[day]"), (dt.date(2024, 3, 2), "date32[day]")),
    (
        "DATE '2024-01-31' + INTERVAL 1 MONTH",
        (dt.datetime(2024, 2, 29), "timestamp[us]"),
        (dt.date(2024, 2, 29), "date32[day]"),
    ),
    ("extract(dow FROM DATE '2024-01-07')", (0, "int64"), (1, "int32")),
    ("CAST(TIMESTAMP '2024-01-02 03:00:00' AS BIGINT)", ERROR, (1704164400, "int64")),
    ("strftime(DATE '2024-01-02', '%Y')", ("2024", "string"), ERROR),
    ("date_format(DATE '2024-01-02', 'yyyy')", ERROR, ("2024", "string")),
    # lists
    ("[1, 2][1]", (1, "int32"), ERROR),
    ("array(1, 2)[1]", ERROR, (2, "int32")),
]
"""An expression, and what pandas and Spark make of it."""


@pytest.mark.parametrize(("expression", "pandas", "spark"), VALUES, ids=[row[0] for row in VALUES])
def test_a_value(expression: str, pandas: Any, spark: Any, ask: Any) -> None:
    wanted = [each if each == ERROR else ([each[0]], each[1]) for each in (pandas, spark)]
    assert list(ask(f"SELECT {expression} AS r")) == wanted


QUERIES = [
    # nulls
    ("SELECT v FROM df ORDER BY v", ([1, 2, None], "int32"), ([None, 1, 2], "int32")),
    ("SELECT v FROM df ORDER BY v DESC", ([2, 1, None], "int32"), ([2, 1, None], "int32")),
    ("SELECT v FROM df ORDER BY v NULLS LAST", ([1, 2, None], "int32"), ([1, 2, None], "int32")),
    ("SELECT last_value(v) OVER (ORDER BY v) AS n FROM df", ([1, 2, None], "int32"), ([None, 1, 2], "int32")),
    ("SELECT v FROM df WHERE v NOT IN (1, NULL)", ([], "int32"), ([], "int32")),
    # names
    ("SELECT \"v\" FROM df WHERE t = 'a'", ([2], "int32"), (["v"], "string")),
    ("SELECT `v` FROM df WHERE t = 'a'", ([2], "int32"), ([2], "int32")),
    ("SELECT V FROM df WHERE T = 'a'", ([2], "int32"), ([2], "int32")),
    ("SELECT v AS w FROM df WHERE w > 1", ([2], "int32"), ERROR),
    # measures
    ("SELECT sum(v) AS r FROM df", ([3], "int64"), ([3], "int64")),
    (
        "SELECT sum(m) AS r FROM df",
        ([Decimal("3.300")], "decimal128(38, 3)"),
        ([Decimal("3.300")], "decimal128(22, 3)"),
    ),
    ("SELECT avg(m) AS r FROM df", ([1.65], "double"), ([Decimal("1.6500000")], "decimal128(16, 7)")),
    ("SELECT median(v) AS r FROM df", ([1.5], "double"), ([1.5], "double")),
    ("SELECT count(v) AS r FROM df", ([2], "int64"), ([2], "int64")),
    ("SELECT array_agg(v) AS r FROM df WHERE v IS NULL", ([[None]], "list<l: int32>"), ([[]], "list<element: int32>")),
    # forms
    ("SELECT unnest(l) AS r FROM df ORDER BY r", (["x", "y"], "string"), ERROR),
    ("SELECT explode(l) AS r FROM df ORDER BY r", ERROR, (["x", "y"], "string")),
    ("SELECT * EXCLUDE (m, t, l) FROM df WHERE t = 'a'", ([2], "int32"), ERROR),
    ("SELECT * EXCEPT (m, t, l) FROM df WHERE t = 'a'", ([2], "int32"), ([2], "int32")),
    ("SELECT v FROM df QUALIFY row_number() OVER (ORDER BY v) = 2", ([2], "int32"), ERROR),
    ("SELECT DISTINCT ON (t) v FROM df WHERE t = 'a'", ([2], "int32"), ERROR),
    ("SELECT 1 AS a UNION SELECT 'x' AS a ORDER BY a", (["1", "x"], "string"), ERROR),
    ("SELECT count(*) AS n FROM df GROUP BY ALL", ([3], "int64"), ([3], "int64")),
]
"""A query, and what pandas and Spark make of it."""


@pytest.mark.parametrize(("query", "pandas", "spark"), QUERIES, ids=[row[0] for row in QUERIES])
def test_a_query(query: str, pandas: Any, spark: Any, ask: Any) -> None:
    one, other = ask(query)
    other = other if other == ERROR else (other[0], other[1].replace(" not null", ""))
    assert (one, other) == (pandas, spark)


# --- operations -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def apply(engines: tuple[Any, Any]) -> Callable[..., tuple[Any, Any]]:
    """What pandas and Spark make of a table by an operation: columns, or ``ERROR``."""
    from odibi.structure import structure_options
    from odibi.testing.transform import StepContext
    from odibi_pandas.operations import OPERATIONS as ON_PANDAS
    from odibi_spark.operations import OPERATIONS as ON_SPARK

    def one(engine: Any, home: str, options: Any, table: pa.Table) -> Any:
        module, _, name = home.partition(":")
        operation = structure_options(getattr(__import__(module, fromlist=[name]), name), options, component="it")
        try:
            frame = operation.apply(engine.from_arrow(table), StepContext(engine, {}, options))
            return pa.table(engine.to_arrow(frame)).to_pydict()
        except OdibiError as error:
            return f"{ERROR}: {error}"

    def both(name: str, options: Any, table: pa.Table) -> tuple[Any, Any]:
        sides = zip(engines, (ON_PANDAS[f"pandas.{name}"], ON_SPARK[f"spark.{name}"]), strict=True)
        pandas, spark = (one(engine, home, options, table) for engine, home in sides)
        return pandas, spark

    return both


def test_the_first_row_is_not_known_on_spark(apply: Any) -> None:
    table = pa.table({"k": [1, 1], "v": [2, 1]})
    pandas, spark = apply("drop_duplicates", {"keys": "k"}, table)
    assert pandas == {"k": [1], "v": [2]}
    assert spark.startswith("error: drop_duplicates: nothing says which row is the first")
    assert apply("drop_duplicates", {"keys": "k", "order_by": "v"}, table) == ({"k": [1], "v": [1]},) * 2
    pandas, spark = apply("aggregate", {"by": "k", "measures": {"v": "first"}}, table)
    assert pandas == {"k": [1], "v": [2]}
    assert "no order of rows" in spark


def test_a_fraction_is_rounded_on_pandas_and_about_right_on_spark(apply: Any) -> None:
    pandas, spark = apply("sample", {"fraction": 0.5}, pa.table({"a": range(1000)}))
    assert len(pandas["a"]) == 500
    assert 400 < len(spark["a"]) < 600


def test_a_float_is_rounded_by_its_digits_on_spark(apply: Any) -> None:
    table = pa.table({"a": [1.005, 0.125, 2.675]})
    pandas, spark = apply("cast", {"types": {"a": "decimal(4, 2)"}}, table)
    assert pandas == {"a": [Decimal("1.00"), Decimal("0.12"), Decimal("2.67")]}
    assert spark == {"a": [Decimal("1.01"), Decimal("0.13"), Decimal("2.68")]}


def test_small_decimals_are_written_out_on_spark(apply: Any) -> None:
    table = pa.table({"a": pa.array([Decimal("0.0000001000")], pa.decimal128(20, 10))})
    pandas, spark = apply("cast", {"types": {"a": "str"}}, table)
    assert pandas == {"a": ["1.000E-7"]}
    assert spark == {"a": ["0.0000001000"]}


def test_a_moment_forgets_its_zone_on_spark(apply: Any) -> None:
    table = pa.table({"a": pa.array([dt.datetime(2024, 7, 1, 23, tzinfo=UTC)], pa.timestamp("us", "Europe/Paris"))})
    pandas, spark = apply("cast", {"types": {"a": "date"}}, table)
    assert pandas == {"a": [dt.date(2024, 7, 2)]}
    assert spark == {"a": [dt.date(2024, 7, 1)]}


def test_types_that_spark_does_not_have_are_refused(apply: Any) -> None:
    for word in ("uint8", "timestamp[ns]"):
        table = pa.table({"a": pa.array(["2024-01-01" if "time" in word else "1"])})
        pandas, spark = apply("cast", {"types": {"a": word}}, table)
        assert not isinstance(pandas, str)
        assert f"Spark has no type for {word!r}" in spark


def test_a_bad_value_is_named_alone_on_spark(apply: Any) -> None:
    pandas, spark = apply("cast", {"types": {"a": "int"}}, pa.table({"a": ["1", "x", "y", "y"]}))
    assert "3 rows of the column 'a' (string) cannot become 'int': 'x', 'y'" in pandas
    assert "a value of the column 'a' (string) cannot become 'int': '" in spark


def test_names_that_differ_in_case_alone(apply: Any) -> None:
    """Spark minds only where an expression names one of them; pandas hands none of them to SQL."""
    table = pa.table({"a": [1], "A": [2], "b": [3]})
    pandas, spark = apply("filter", {"where": "b = 3"}, table)
    assert "the columns 'a' and 'A' have the same name in SQL" in pandas
    assert spark == {"a": [1], "A": [2], "b": [3]}
    pandas, spark = apply("filter", {"where": "a = 1"}, table)
    assert "the same name in SQL" in pandas
    assert "the columns 'a' and 'A' have the same name in SQL" in spark


def test_too_many_values_are_not_counted_on_spark(apply: Any) -> None:
    options = {"group_by": "g", "pivot_column": "p", "value_column": "g", "max_columns": 2}
    pandas, spark = apply("pivot", options, pa.table({"g": [1, 1, 1], "p": [1, 2, 3]}))
    assert "'p' has 3 values, and 'max_columns' is 2" in pandas
    assert "'p' has more than 2 values" in spark


def test_infinities_have_a_deviation_on_neither(apply: Any) -> None:
    pandas, spark = apply("aggregate", {"measures": {"a": "std"}}, pa.table({"a": [math.inf, 1.0]}))
    assert repr(pandas) == repr(spark) == "{'a': [nan]}"
