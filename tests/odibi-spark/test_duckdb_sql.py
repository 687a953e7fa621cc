"""SQL that was written for DuckDB gives on Spark what it gives there."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import pytest

from odibi.errors import TransformError
from odibi_spark.engine import SparkEngine


@pytest.fixture(scope="module")
def engine(spark: Any) -> Any:
    return SparkEngine(spark_session=spark, sql_dialect="duckdb")


def answer(engine: Any, query: str, **frames: Any) -> list[Any]:
    rows = engine.to_arrow(engine.sql(query, frames)).to_pylist()
    return [value for row in rows for value in row.values()]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("7 / 2", 3.5),
        ("1 / 0", math.inf),
        ("-1 / 0", -math.inf),
        ("NULL / 0", None),
        ("CAST(1 AS DECIMAL(5, 2)) / CAST(3 AS DECIMAL(5, 2))", 1 / 3),
        ("7 // 2", 3),
        ("make_timestamp(2024, 2, 29, 12, 30, 0)", dt.datetime(2024, 2, 29, 12, 30)),
        ("CAST('2024-02-29 12:30:00' AS TIMESTAMP) + to_minutes(45)", dt.datetime(2024, 2, 29, 13, 15)),
        ("strftime(DATE '2024-02-29', '%Y-%m')", "2024-02"),
        ("regexp_matches('abc', 'b')", True),
        ("'{x}'", "{x}"),
    ],
)
def test_an_expression_means_the_same(engine: Any, expression: str, expected: Any) -> None:
    assert answer(engine, f"SELECT {expression} AS a") == [expected]


def test_zero_by_zero_is_no_number(engine: Any) -> None:
    assert math.isnan(answer(engine, "SELECT 0 / 0 AS a")[0])


def test_nulls_come_last_and_rows_are_numbered(engine: Any, as_frame: Any) -> None:
    frame = as_frame({"a": [2, None, 1]})
    assert answer(engine, "SELECT t.a FROM t ORDER BY a", t=frame) == [1, 2, None]
    assert sorted(answer(engine, "SELECT row_number() OVER () AS n FROM t", t=frame)) == [1, 2, 3]


def test_what_spark_does_not_have_is_named(engine: Any) -> None:
    with pytest.raises(TransformError, match="(?i)list_no_such_thing"):
        engine.sql("SELECT list_no_such_thing(1) AS a", {})
