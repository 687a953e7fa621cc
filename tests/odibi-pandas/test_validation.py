"""Validation of frames of the pandas engine, with a real session."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from odibi.errors import TransformError, ValidationFailed
from odibi.model import Freshness, OnFail, Range, Rule, SchemaRule, Validation
from odibi.run.sql import dialect_of, identifier, literal
from odibi.run.validation import MASK, ValidationReport, validate

NOW = dt.datetime(2024, 6, 1, 12, tzinfo=dt.UTC)
NAN = float("nan")


class CountingSession:
    """A session that counts its queries."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.queries: list[str] = []

    def sql(self, query: str, frames: Any) -> Any:
        self.queries.append(query)
        return self._session.sql(query, frames)

    def interrupt(self) -> None:
        self._session.interrupt()

    def close(self) -> None:
        self._session.close()


class Checker:
    """Validates columns; the last session can be asked how many queries it took."""

    def __init__(self, engine: Any, as_frame: Any, as_table: Any) -> None:
        self.engine = engine
        self.as_frame = as_frame
        self.as_table = as_table
        self.session = CountingSession(engine.session("node"))

    def __call__(self, columns: Any, /, sensitive: Any = False, types: Any = None, **rules: Any) -> ValidationReport:
        frame = self.as_frame(columns, **(types or {}))
        self.session = CountingSession(self.engine.session("node"))
        return validate(
            frame,
            Validation(**rules),
            session=self.session,
            engine=self.engine,
            sensitive=sensitive,
            run_id="run-1",
            node="clean",
            now=NOW,
        )

    def rows(self, frame: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.as_table(frame).to_pylist()
        return found


@pytest.fixture
def check(pandas_engine: Any, as_frame: Any, as_table: Any) -> Checker:
    return Checker(pandas_engine, as_frame, as_table)


@pytest.fixture
def breaks(check: Checker) -> Callable[..., str]:
    """Validate what breaks a rule; the message."""

    def breaks(*arguments: Any, **rules: Any) -> str:
        with pytest.raises(ValidationFailed) as caught:
            check(*arguments, **rules)
        return str(caught.value)

    return breaks


ORDERS = {
    "id": [1, 2, 3],
    "region": ["EU", "US", None],
    "amount": [10.5, NAN, 2.0],
    "day": [dt.date(2024, 6, 1), dt.date(2024, 5, 31), None],
}
EVERYTHING: dict[str, Any] = {
    "not_empty": True,
    "no_nulls": ("id",),
    "unique": (("id",), ("id", "region")),
    "schema": SchemaRule(required_columns=("id", "region"), types={"id": "int", "amount": "float"}),
    "ranges": {"amount": Range(0, 100), "day": Range("2024-01-01", dt.date(2024, 12, 31)), "region": Range("A", None)},
    "allowed_values": {"region": ("EU", "US"), "id": (1, 2, 3, None)},
    "regex": {"region": "^[A-Z]+$"},
    "row_count": Range(1, 5),
    "freshness": Freshness("day", "36h"),
    "rules": (
        Rule("positive", expression="id > 0 -- of course"),
        Rule("spread", expression="id <= 3 * avg(id) OVER ()"),
        Rule("no_mars", sql="SELECT * FROM df WHERE region = 'Mars';"),
    ),
}


class TestPassing:
    def test_all_rules_cost_one_query(self, check: Checker) -> None:
        report = check(ORDERS, **EVERYTHING)
        assert [str(result) for result in report.results if not result.passed] == []
        assert len(report.results) == 16
        assert len(check.session.queries) == 1
        assert report.warnings == ()
        assert report.bad is None
        assert report.quarantined == 0

    def test_the_frame_goes_on_as_it_is(self, check: Checker, as_frame: Any) -> None:
        frame = as_frame(ORDERS)
        engine = check.engine
        rules = Validation(no_nulls=("id",), on_fail=OnFail.QUARANTINE)
        assert validate(frame, rules, session=engine.session("n"), engine=engine).good is frame

    def test_what_is_known_without_looking_costs_none(self, check: Checker) -> None:
        check(ORDERS, not_empty=True, row_count=Range(3, 3), schema=SchemaRule(types={"id": "int"}))
        assert check.session.queries == []

    def test_no_rules(self, check: Checker) -> None:
        assert check(ORDERS).results == ()
        assert check.session.queries == []

    def test_an_empty_frame_keeps_every_rule_about_rows(self, check: Checker) -> None:
        rules = {key: rule for key, rule in EVERYTHING.items() if key not in ("not_empty", "row_count", "freshness")}
        types = {"id": pa.int64(), "region": pa.string(), "amount": pa.float64(), "day": pa.date32()}
        report = check({name: [] for name in types}, types=types, **rules)
        assert all(result.passed for result in report.results)


BROKEN: list[tuple[dict[str, Any], dict[str, Any], str, int | None]] = [
    ({"a": []}, {"not_empty": True}, "not_empty: there are no rows", None),
    ({"a": [1, None]}, {"no_nulls": ("a",)}, "no_nulls(a): 1 row is null", 1),
    ({"a": [1.5, NAN, None]}, {"no_nulls": ("a",)}, "no_nulls(a): 2 rows are null", 2),
    ({"a": [1, 2, 1, 1]}, {"unique": (("a",),)}, "unique(a): 3 rows share their key with another", 3),
    ({"a": [1, 1], "b": [1, 1]}, {"unique": (("a", "b"),)}, "unique(a, b): 2 rows share", 2),
    ({"a": [-1, 5, 11]}, {"ranges": {"a": Range(0, 10)}}, "ranges(a): 2 rows are not at least 0 and at most 10", 2),
    ({"a": [-1]}, {"ranges": {"a": Range(min=0)}}, "ranges(a): 1 row is not at least 0", 1),
    ({"a": ["b", "x"]}, {"ranges": {"a": Range("a", "m")}}, "ranges(a): 1 row is not at least a and at most m", 1),
    (
        {"a": [dt.date(2023, 12, 31), dt.date(2024, 1, 1)]},
        {"ranges": {"a": Range(min="2024-01-01")}},
        "ranges(a): 1 row is not at least 2024-01-01",
        1,
    ),
    (
        {"a": [dt.datetime(2024, 1, 1, 9), dt.datetime(2024, 1, 1, 11)]},
        {"ranges": {"a": Range(max=dt.datetime(2024, 1, 1, 11, tzinfo=dt.timezone(dt.timedelta(hours=2))))}},
        "ranges(a): 1 row is not at most",
        1,
    ),
    (
        {"a": [dt.datetime(2024, 1, 1, 9, tzinfo=dt.UTC), dt.datetime(2024, 1, 1, 11, tzinfo=dt.UTC)]},
        {"ranges": {"a": Range(max="2024-01-01T10:00:00")}},
        "ranges(a): 1 row is not at most 2024-01-01T10:00:00",
        1,
    ),
    ({"a": [Decimal("0.1"), Decimal("0.3")]}, {"ranges": {"a": Range(max=Decimal("0.2"))}}, "1 row is", 1),
    ({"a": ["EU", "Mars", None]}, {"allowed_values": {"a": ("EU", "US")}}, "1 row is none of 'EU', 'US'", 1),
    ({"a": ["x", None]}, {"allowed_values": {"a": ()}}, "allowed_values(a): 1 row is none of no values", 1),
    ({"a": ["it's", "its"]}, {"allowed_values": {"a": ("it's",)}}, "1 row is none of", 1),
    ({"a": ["A1", "b", None]}, {"regex": {"a": "[0-9]"}}, "regex(a): 1 row is without '[0-9]'", 1),
    ({"a": [1]}, {"row_count": Range(2)}, "row_count: there are 1 rows, and should be at least 2", None),
    ({"a": [1, 2]}, {"row_count": Range(max=1)}, "row_count: there are 2 rows, and should be at most 1", None),
    ({"a": [1, None, -1]}, {"rules": (Rule("pos", "a > 0"),)}, "pos: not true for 2 rows: a > 0", 2),
    ({"a": [1, 2]}, {"rules": (Rule("q", sql="SELECT a FROM df WHERE a > 1"),)}, "q: the query finds 1 row", 1),
    ({"a": [1]}, {"schema": SchemaRule(types={"a": "str"})}, "schema: 'a' holds int64, not str", None),
    (
        {"a": [1], "c": [1]},
        {"schema": SchemaRule(required_columns=("a", "b"), strict=True)},
        "schema: there is no column 'b'; the columns are 'a', 'c'; columns that should not be there: 'c'",
        None,
    ),
]


@pytest.mark.parametrize(("columns", "rules", "message", "failing"), BROKEN)
def test_a_broken_rule_is_named_with_its_rows(
    columns: Any, rules: Any, message: str, failing: int | None, breaks: Any, check: Checker
) -> None:
    text = breaks(columns, **rules)
    assert text.startswith("node 'clean': the result breaks 1 rule:\n  ")
    assert message in text
    (result,) = check(columns, **rules, on_fail=OnFail.WARN).results
    assert not result.passed
    assert result.failing == failing
    assert len(result.sample) == (failing or 0)


class TestMessages:
    def test_all_broken_rules_are_told_with_rows_in_order(self, breaks: Any) -> None:
        columns = {"id": [5, None, 7, None], "note": ["a", "b", "c" * 100, "d"]}
        message = breaks(columns, no_nulls=("id",), ranges={"id": Range(max=6)}, max_rows=1)
        assert message == (
            "node 'clean': the result breaks 2 rules:\n"
            "  no_nulls(id): 2 rows are null\n"
            "    id=None, note='b'\n"
            "  ranges(id): 1 row is not at most 6\n"
            f"    id=7, note='{'c' * 56}..."
        )

    def test_rows_shown_are_the_first_even_for_a_window(self, check: Checker) -> None:
        columns = {"a": [2, 1, 2, 3, 1], "n": [0, 1, 2, 3, 4]}
        (result,) = check(columns, unique=(("a",),), on_fail=OnFail.WARN, max_rows=3).results
        assert [row["n"] for row in result.sample] == [0, 1, 2]

    def test_no_rows_are_shown_if_none_are_wanted(self, check: Checker) -> None:
        (result,) = check({"a": [None]}, no_nulls=("a",), on_fail=OnFail.WARN, max_rows=0).results
        assert result.sample == ()
        assert len(check.session.queries) == 1

    @pytest.mark.parametrize("sensitive", [("name",), True])
    def test_sensitive_values_are_masked(self, sensitive: Any, breaks: Any) -> None:
        columns = {"name": ["Ada Lovelace", "Bo"], "n": [1, 2]}
        rules = (
            Rule("short", expression="length(name) < 5"),
            Rule("query", sql="SELECT name AS n FROM df WHERE length(name) >= 5"),
            Rule("cast", expression="n > 1"),
        )
        message = breaks(columns, sensitive=sensitive, rules=rules)
        assert "Ada" not in message
        assert f"n={MASK if sensitive is True else '1'}" in message

    def test_the_words_of_the_engine_may_hold_a_value(self, check: Checker) -> None:
        rules = (Rule("number", expression="CAST(name AS INTEGER) > 0"),)
        with pytest.raises(TransformError) as told:
            check({"name": ["Ada"]}, rules=rules)
        assert "the rule 'number' cannot be evaluated" in str(told.value)
        assert "Ada" in str(told.value)
        with pytest.raises(TransformError) as hidden:
            check({"name": ["Ada"]}, rules=rules, sensitive=("name",))
        error: BaseException | None = hidden.value
        assert "Ada" not in str(error)
        assert error is not None
        assert error.__cause__ is None


class TestNulls:
    def test_a_null_key_equals_no_other(self, check: Checker) -> None:
        assert check({"a": [None, None, 1], "b": [1, 1, 1]}, unique=(("a",), ("a", "b"))).results[0].passed

    def test_nan_is_null_to_every_rule(self, check: Checker) -> None:
        columns = {"a": [NAN, NAN, 1.0]}
        report = check(columns, unique=(("a",),), ranges={"a": Range(0, 2)}, allowed_values={"a": (1.0,)})
        assert all(result.passed for result in report.results)


class TestColumns:
    RULES: tuple[dict[str, Any], ...] = (
        {"no_nulls": ("amuont",)},
        {"unique": (("id", "amuont"),)},
        {"ranges": {"amuont": Range(0)}},
        {"allowed_values": {"amuont": (1,)}},
        {"regex": {"amuont": "x"}},
        {"freshness": Freshness("amuont", "1d")},
        {"schema": SchemaRule(types={"amuont": "int"})},
    )

    @pytest.mark.parametrize("rules", RULES, ids=lambda it: next(iter(it)))
    @pytest.mark.parametrize("on_fail", [OnFail.ERROR, OnFail.QUARANTINE])
    def test_a_missing_column_breaks_the_rule(self, rules: Any, on_fail: OnFail, breaks: Any) -> None:
        message = breaks(ORDERS, **rules, on_fail=on_fail)
        assert "there is no column 'amuont'; did you mean 'amount'? the columns are 'id', 'region'" in message

    def test_an_expression_that_cannot_be_evaluated_names_its_rule(self, check: Checker) -> None:
        rules = (Rule("fine", expression="id > 0"), Rule("typo", expression="amuont > 0"))
        with pytest.raises(TransformError, match=r"node 'clean': the rule 'typo' cannot be evaluated: .*amuont"):
            check(ORDERS, rules=rules)
        with pytest.raises(TransformError, match="the rule 'broken' cannot be evaluated"):
            check(ORDERS, rules=(Rule("broken", sql="SELEC 1"),), no_nulls=("id",))

    def test_a_pattern_that_cannot_be_parsed_names_its_rule(self, check: Checker) -> None:
        with pytest.raises(TransformError, match=r"the rule 'regex\(region\)' cannot be evaluated"):
            check(ORDERS, regex={"region": "(["})

    @pytest.mark.parametrize(
        "rules",
        [
            {"ranges": {"region": Range(0)}},
            {"ranges": {"id": Range("a")}},
            {"ranges": {"day": Range("yesterday")}},
            {"ranges": {"day": Range(2024)}},
            {"allowed_values": {"id": ("1",)}},
            {"allowed_values": {"region": (False,)}},
            {"regex": {"id": "1"}},
        ],
    )
    def test_a_column_that_cannot_be_compared_is_told(self, rules: Any, breaks: Any) -> None:
        assert "cannot be compared with" in breaks(ORDERS, **rules)

    def test_names_and_values_are_quoted(self, check: Checker, breaks: Any) -> None:
        names = ['a"b', "select", "{}", "{0}", "{*}", "_odibi_order", "_odibi_bad", "_odibi_why", "_odibi_n", "n", "c0"]
        columns = {name: ["'; DROP TABLE df; --", "{0}"] for name in names}
        rules: dict[str, Any] = {
            "no_nulls": tuple(names),
            "unique": tuple((name,) for name in names),
            "allowed_values": dict.fromkeys(names, ("'; DROP TABLE df; --", "{0}")),
            "ranges": {name: Range("'", "{z") for name in names},
            "regex": dict.fromkeys(names, r"DROP|\{0\}"),
        }
        assert all(result.passed for result in check(columns, **rules).results)
        found = check(columns, allowed_values=dict.fromkeys(names, ("{0}",)), on_fail=OnFail.QUARANTINE)
        assert found.quarantined == 1
        assert list(check.rows(found.good)[0]) == names


class TestSchema:
    @pytest.mark.parametrize(
        ("type_", "fits", "does_not"),
        [
            (pa.int8(), ["int", "int8", "integer"], ["int64", "float", "integr"]),
            (pa.float32(), ["float", "float32"], ["double", "int", "float64"]),
            (pa.float64(), ["float", "double", "float64"], ["float32"]),
            (pa.string(), ["str", "string"], ["int", "binary"]),
            (pa.large_string(), ["str", "string", "large_string"], []),
            (pa.bool_(), ["bool", "boolean"], ["int"]),
            (pa.date32(), ["date", "date32", "date32[day]"], ["datetime", "date64"]),
            (
                pa.timestamp("us", "UTC"),
                ["datetime", "timestamp[us, tz=UTC]", "timestamp[us,tz=UTC]"],
                ["timestamp[us]"],
            ),
            (pa.decimal128(10, 2), ["decimal(10, 2)", "decimal128(10,2)"], ["float", "decimal(10, 3)"]),
            (pa.list_(pa.int64()), ["list<item: int64>"], ["int"]),
        ],
    )
    def test_types(self, type_: Any, fits: list[str], does_not: list[str], check: Checker, breaks: Any) -> None:
        for wanted in fits:
            check({"a": [None]}, types={"a": type_}, schema=SchemaRule(types={"a": wanted}))
        for wanted in does_not:
            message = breaks({"a": [None]}, types={"a": type_}, schema=SchemaRule(types={"a": wanted}))
            assert f"'a' holds {type_}, not {wanted}" in message


class TestFreshness:
    @pytest.mark.parametrize(
        ("values", "type_", "max_age", "fresh"),
        [
            ([dt.datetime(2024, 6, 1, 11), dt.datetime(2020, 1, 1)], None, "1h", True),
            ([dt.datetime(2024, 6, 1, 10, 59)], None, "1h", False),
            ([dt.datetime(2024, 6, 1, 11, tzinfo=dt.UTC)], pa.timestamp("us", "Asia/Tokyo"), "60m", True),
            ([dt.date(2024, 6, 1), None], None, "12h", True),
            ([dt.date(2024, 6, 1)], None, "11h", False),
            ([dt.date(2024, 5, 25)], None, "1w 12h", True),
            ([dt.datetime(2030, 1, 1)], None, "1s", True),
            ([None], pa.date32(), "7d", False),
        ],
    )
    def test_age(self, values: Any, type_: Any, max_age: str, fresh: bool, check: Checker) -> None:
        rule = Freshness("a", max_age)
        (result,) = check({"a": values}, types={"a": type_}, freshness=rule, on_fail=OnFail.WARN).results
        assert result.passed is fresh
        assert len(check.session.queries) == 1

    def test_the_newest_value_is_told(self, breaks: Any) -> None:
        message = breaks({"a": [dt.datetime(2024, 5, 1, 8)]}, freshness=Freshness("a", "7d"))
        assert "freshness(a): the newest value, 2024-05-01 08:00:00+00:00, is more than 7d old" in message

    def test_what_is_no_time_is_told(self, breaks: Any) -> None:
        assert "'a' holds string, not dates" in breaks({"a": ["2024-01-01"]}, freshness=Freshness("a", "7d"))
        assert "'soon' is no duration" in breaks({"a": [NOW]}, freshness=Freshness("a", "soon"))


class TestOnFail:
    COLUMNS: dict[str, Any] = {"id": [3, 1, 3, None, 2], "v": [1, -1, 2, 3, 4]}  # noqa: RUF012

    def test_warn_goes_on_with_the_frame_as_it_is(self, check: Checker) -> None:
        report = check(self.COLUMNS, no_nulls=("id",), not_empty=True, on_fail=OnFail.WARN)
        assert check.rows(report.good) == check.rows(check.as_frame(self.COLUMNS))
        assert report.warnings == ("no_nulls(id): 1 row is null\n    id=None, v=3",)

    def test_a_rule_may_decide_for_itself(self, check: Checker, breaks: Any) -> None:
        only_warn = (Rule("positive", expression="v > 0", on_fail=OnFail.WARN),)
        assert len(check(self.COLUMNS, rules=only_warn).warnings) == 1
        strict = (Rule("positive", expression="v > 0", on_fail=OnFail.ERROR),)
        assert "positive" in breaks(self.COLUMNS, rules=strict, on_fail=OnFail.WARN)
        aside = (Rule("positive", expression="v > 0", on_fail=OnFail.QUARANTINE),)
        assert check(self.COLUMNS, rules=aside, no_nulls=("v",)).quarantined == 1

    def test_quarantine_parts_the_rows_and_says_why(self, check: Checker) -> None:
        report = check(
            self.COLUMNS,
            no_nulls=("id",),
            unique=(("id",),),
            rules=(
                Rule("positive; really", expression="v > 0"),
                Rule("small", expression="v < 4", on_fail=OnFail.WARN),
            ),
            ranges={"v": Range(max=2)},
            on_fail=OnFail.QUARANTINE,
        )
        assert report.bad is not None
        assert check.rows(report.good) == []
        assert check.rows(report.bad) == [
            {"id": 3, "v": 1, "_odibi_rules": "unique(id)", "_odibi_run": "run-1"},
            {"id": 1, "v": -1, "_odibi_rules": "positive; really", "_odibi_run": "run-1"},
            {"id": 3, "v": 2, "_odibi_rules": "unique(id)", "_odibi_run": "run-1"},
            {"id": None, "v": 3, "_odibi_rules": "no_nulls(id); ranges(v)", "_odibi_run": "run-1"},
            {"id": 2, "v": 4, "_odibi_rules": "ranges(v)", "_odibi_run": "run-1"},
        ]
        assert report.quarantined == 5
        assert check.as_table(report.good).schema.names == ["id", "v"]
        assert any("unique(id): 2 rows" in warning for warning in report.warnings)
        assert any(warning.startswith("small") for warning in report.warnings)

    def test_many_rows_keep_their_order_on_both_sides(self, check: Checker) -> None:
        ids = [at * 7919 % 5003 for at in range(5000)] + [7919 % 5003, 0]
        report = check({"id": ids}, unique=(("id",),), on_fail=OnFail.QUARANTINE)
        assert [row["id"] for row in check.rows(report.good)] == ids[2:-2]
        assert [row["id"] for row in check.rows(report.bad)] == [*ids[:2], *ids[-2:]]

    @pytest.mark.parametrize(
        "rules",
        [
            {"not_empty": True},
            {"row_count": Range(min=1)},
            {"schema": SchemaRule(types={"a": "str"})},
            {"freshness": Freshness("d", "1d")},
            {"rules": (Rule("query", sql="SELECT 1 AS x"),)},
        ],
    )
    def test_what_is_not_about_rows_still_stops(self, rules: Any, breaks: Any) -> None:
        types = {"a": pa.int64(), "d": pa.date32()}
        assert "breaks 1 rule" in breaks({"a": [], "d": []}, types=types, **rules, on_fail=OnFail.QUARANTINE)


# --- laws -----------------------------------------------------------------------------------------------------------

laws = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
values = st.none() | st.integers(-3, 3)
texts = st.none() | st.sampled_from(["a", "b", "it's", ""])


@laws
@given(st.lists(st.tuples(values, texts), max_size=12))
def test_rows_are_parted_as_plain_python_would(check: Checker, rows: list[tuple[Any, Any]]) -> None:
    columns = {"v": [v for v, _ in rows], "t": [t for _, t in rows]}
    count = Counter(rows)
    reasons = [
        "; ".join(
            name
            for name, broken in (
                ("no_nulls(v)", v is None),
                ("unique(v, t)", None not in (v, t) and count[v, t] > 1),
                ("ranges(v)", v is not None and not -1 <= v <= 2),
                ("allowed_values(t)", t is not None and t not in ("a", "it's")),
                ("regex(t)", t is not None and "a" not in t),
                ("even", v is None or v % 2 != 0),
            )
            if broken
        )
        for v, t in rows
    ]
    report = check(
        columns,
        types={"v": pa.int64(), "t": pa.string()},
        no_nulls=("v",),
        unique=(("v", "t"),),
        ranges={"v": Range(-1, 2)},
        allowed_values={"t": ("a", "it's")},
        regex={"t": "a"},
        rules=(Rule("even", expression="v % 2 = 0"),),
        on_fail=OnFail.QUARANTINE,
    )
    bad = [] if report.bad is None else check.rows(report.bad)
    assert [(row["v"], row["t"]) for row in check.rows(report.good)] == [
        row for row, why in zip(rows, reasons, strict=True) if not why
    ]
    assert [(row["v"], row["t"], row["_odibi_rules"]) for row in bad] == [
        (*row, why) for row, why in zip(rows, reasons, strict=True) if why
    ]
    assert report.quarantined == len(bad)
    for result in report.results:
        assert result.failing == sum(result.name in why.split("; ") for why in reasons)


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
    | st.dates(dt.date(1, 1, 1))
    | st.datetimes(dt.datetime(1, 1, 1))
    | st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2100, 1, 1), timezones=st.just(dt.UTC))
    | st.decimals(-(10**20), 10**20, places=5)
)


@laws
@given(st.lists(scalars, min_size=1, max_size=8))
def test_a_literal_means_its_value(pandas_engine: Any, as_table: Any, given: list[Any]) -> None:
    duckdb = dialect_of("duckdb")
    query = "SELECT " + ", ".join(f"{literal(value, duckdb)} AS c{at}" for at, value in enumerate(given))
    (row,) = as_table(pandas_engine.sql(query, {})).to_pylist()
    assert list(row.values()) == given


@laws
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20))
def test_an_identifier_means_its_name(pandas_engine: Any, name: str) -> None:
    (row,) = pandas_engine.sample(pandas_engine.sql(f"SELECT 1 AS {identifier(name, dialect_of('duckdb'))}", {}), 1)
    assert row == {name: 1}
