"""What validation says in SQL, dialect by dialect, and what it understands of types and times."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from odibi.contracts.engine import Column
from odibi.errors import TransformError
from odibi.model import Range, Validation
from odibi.run.rules import Rules, duration
from odibi.run.sql import dialect_of, identifier, literal

DUCKDB, SPARK, OTHER = dialect_of("duckdb"), dialect_of("spark"), dialect_of("anything else")


class TestLiterals:
    @pytest.mark.parametrize(
        ("value", "duckdb", "spark"),
        [
            (None, "NULL", "NULL"),
            (True, "TRUE", "TRUE"),
            (-7, "-7", "-7"),
            (0.1, "CAST('0.1' AS DOUBLE)", "CAST('0.1' AS DOUBLE)"),
            (float("-inf"), "CAST('-inf' AS DOUBLE)", "CAST('-inf' AS DOUBLE)"),
            (Decimal("12.50"), "CAST('12.50' AS DECIMAL(4, 2))", "CAST('12.50' AS DECIMAL(4, 2))"),
            (Decimal("1E+3"), "CAST('1000' AS DECIMAL(4, 0))", "CAST('1000' AS DECIMAL(4, 0))"),
            (Decimal("NaN"), "CAST('NaN' AS DOUBLE)", "CAST('NaN' AS DOUBLE)"),
            (dt.date(2024, 2, 29), "DATE '2024-02-29'", "DATE '2024-02-29'"),
            (
                dt.datetime(2024, 2, 29, 1, 2),
                "CAST('2024-02-29 01:02:00' AS TIMESTAMP)",
                "CAST('2024-02-29 01:02:00' AS TIMESTAMP_NTZ)",
            ),
            (
                dt.datetime(2024, 2, 29, tzinfo=dt.UTC),
                "CAST('2024-02-29 00:00:00+00:00' AS TIMESTAMP WITH TIME ZONE)",
                "CAST('2024-02-29 00:00:00+00:00' AS TIMESTAMP)",
            ),
            ("it's", "'it''s'", r"'it\'s'"),
            ("back\\slash'", "'back\\slash'''", r"'back\\slash\''"),
        ],
    )
    def test_each_kind(self, value: Any, duckdb: str, spark: str) -> None:
        assert literal(value, DUCKDB) == duckdb
        assert literal(value, SPARK) == spark

    @pytest.mark.parametrize("value", ["nul\0", ["a"], object(), b"x"])
    def test_what_has_no_form_is_refused(self, value: Any) -> None:
        with pytest.raises(TransformError, match="has no form in SQL"):
            literal(value, DUCKDB)

    def test_identifiers(self) -> None:
        assert identifier('a"b', DUCKDB) == '"a""b"'
        assert identifier("a`b", SPARK) == "`a``b`"


class TestDialects:
    @pytest.mark.parametrize(
        ("dialect", "expected"),
        [
            (DUCKDB, "NOT regexp_matches(\"it\", '^a''\\d')"),
            (SPARK, "NOT (`it` RLIKE '^a\\'\\\\d')"),
            (OTHER, "NOT regexp_like(\"it\", '^a''\\d')"),
        ],
    )
    def test_patterns(self, dialect: Any, expected: str) -> None:
        validation = Validation(regex={"it": r"^a'\d"})
        (check,) = Rules(validation, {"it": Column("it", "string")}, None, dialect, dt.datetime.now(dt.UTC)).checks()
        assert check.bad == expected

    def test_rows_are_counted_where_the_engine_does_not_know_them(self) -> None:
        validation = Validation(not_empty=True, row_count=Range(2))
        checks = list(Rules(validation, {}, None, SPARK, dt.datetime.now(dt.UTC)).checks())
        assert [check.count for check in checks] == ["count(*)", "count(*)"]
        assert [check.verdict(0) for check in checks] == [
            "there are no rows",
            "there are 0 rows, and should be at least 2",
        ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90m", dt.timedelta(minutes=90)),
        ("1.5h", dt.timedelta(minutes=90)),
        ("1d 12h", dt.timedelta(hours=36)),
        (" 2 w ", dt.timedelta(days=14)),
        ("30s", dt.timedelta(seconds=30)),
        ("", None),
        ("7", None),
        ("7 dogs", None),
        ("-1d", None),
        ("d", None),
    ],
)
def test_durations(text: str, expected: dt.timedelta | None) -> None:
    assert duration(text) == expected
