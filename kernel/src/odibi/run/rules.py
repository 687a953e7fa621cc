"""From the validation rules of a node to SQL over its result, which is called ``df``."""

# ruff: noqa: S608 - names and values are quoted; expressions are what users write

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import attrs

from odibi.contracts.amounts import seconds
from odibi.run.sql import Dialect, identifier, literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from odibi.contracts.engine import Column
    from odibi.model import Freshness, OnFail, Range, Rule, SchemaRule, Validation


@attrs.frozen
class Check:
    """A rule, ready to be asked.

    Attributes:
        name: such as ``no_nulls(id)``.
        on_fail: what its breaking does.
        verdict: from what ``count`` gave to what is wrong, in words; empty if nothing is.
        count: an aggregate over ``df``; ``None`` if nothing has to be asked.
        bad: true for each row that breaks the rule, as SQL over ``df``; ``None`` if it is not about single rows.
        bad_rows: a query for rows to show, for a rule whose ``bad`` is not known.
    """

    name: str
    on_fail: OnFail
    verdict: Callable[[Any], str]
    count: str | None = None
    bad: str | None = None
    bad_rows: str | None = None

    @property
    def counts_rows(self) -> bool:
        """Whether ``count`` gives the number of rows that break the rule."""
        return self.bad is not None or self.bad_rows is not None


@attrs.frozen
class Rules:
    """The rules of a node and the frame they are for.

    Attributes:
        validation: the rules.
        columns: of the frame, by name.
        rows: how many it has, where that is known.
        dialect: of its engine.
        now: what ``freshness`` counts from.
    """

    validation: Validation
    columns: Mapping[str, Column]
    rows: int | None
    dialect: Dialect
    now: datetime

    def checks(self) -> Iterator[Check]:
        """One or more checks a rule, in the order of the model's fields."""
        rules = self.validation
        if rules.not_empty:
            yield self._of_count("not_empty", lambda rows: "" if rows else "there are no rows")
        for column in rules.no_nulls:
            yield self._of_values(f"no_nulls({column})", column, "null", "{} IS NULL")
        for key in rules.unique:
            yield self._unique(key)
        if rules.schema is not None:
            yield self._settled("schema", self._schema_problems(rules.schema))
        for column, bounds in rules.ranges.items():
            yield self._range(column, bounds)
        for column, values in rules.allowed_values.items():
            yield self._allowed(column, [value for value in values if value is not None])
        for column, pattern in rules.regex.items():
            matches = self.dialect.matches.format("{}", "{0}")
            yield self._of_values(f"regex({column})", column, f"without {pattern!r}", f"NOT {matches}", [pattern])
        if rules.row_count is not None:
            yield self._row_count(rules.row_count)
        if rules.freshness is not None:
            yield self._freshness(rules.freshness)
        for rule in rules.rules:
            yield self._custom(rule)

    def _settled(self, name: str, problem: str) -> Check:
        """A check whose answer is known without asking."""
        return Check(name, self.validation.on_fail, lambda _: problem)

    def _of_count(self, name: str, verdict: Callable[[int], str]) -> Check:
        """A check of the number of rows, which many engines know."""
        if self.rows is not None:
            return self._settled(name, verdict(self.rows))
        return Check(name, self.validation.on_fail, verdict, "count(*)")

    def _of_values(self, name: str, column: str, what: str, bad: str, values: Sequence[Any] = ()) -> Check:
        """A check of each value of a column.

        Args:
            name: of the rule.
            column: whose values.
            what: a bad one is.
            bad: SQL with ``{}`` for the value, ``{0}``, ``{1}`` for one of ``values`` and ``{*}`` for them all.
            values: it is compared with.
        """
        if problem := self._missing([column]) or self._misfit(self.columns[column], values):
            return self._settled(name, problem)
        held = self.columns[column]
        given = [self._literal(value, held) for value in values]
        parts = {"": self._value(held), "*": ", ".join(given)} | {str(at): text for at, text in enumerate(given)}
        # In one go, as names and texts of users may look like places to fill.
        predicate = re.sub(r"\{(\d*|\*)\}", lambda place: parts[place[1]], bad)
        verdict = _of_rows(lambda rows: f"{rows} {'is' if rows == '1 row' else 'are'} {what}")
        return Check(name, self.validation.on_fail, verdict, f"count(CASE WHEN {predicate} THEN 1 END)", predicate)

    def _unique(self, key: tuple[str, ...]) -> Check:
        name = f"unique({', '.join(key)})"
        if problem := self._missing(key):
            return self._settled(name, problem)
        values = [self._value(self.columns[column]) for column in key]
        group, known = ", ".join(values), " AND ".join(f"{value} IS NOT NULL" for value in values)
        doubled = f"SELECT count(*) AS _odibi_n FROM df WHERE {known} GROUP BY {group} HAVING count(*) > 1"
        return Check(
            name,
            self.validation.on_fail,
            _of_rows(lambda rows: f"{rows} share their key with another"),
            f"(SELECT coalesce(sum(_odibi_n), 0) FROM ({doubled}) AS doubled)",
            f"({known} AND count(*) OVER (PARTITION BY {group}) > 1)",
        )

    def _schema_problems(self, rule: SchemaRule) -> str:
        wanted = dict.fromkeys([*rule.required_columns, *rule.types])
        problems = [problem for name in wanted if (problem := self._missing([name]))]
        for name, type_ in rule.types.items():
            if name in self.columns and not is_type(self.columns[name].type, type_):
                problems.append(f"{name!r} holds {self.columns[name].type}, not {type_}")
        extra = [repr(name) for name in self.columns if rule.strict and name not in wanted]
        return "; ".join([*problems, *([f"columns that should not be there: {', '.join(extra)}"] if extra else [])])

    def _range(self, column: str, bounds: Range) -> Check:
        both = (("<", "at least", bounds.min), (">", "at most", bounds.max))
        given = [(sign, words, limit) for sign, words, limit in both if limit is not None]
        bad = " OR ".join(f"{{}} {sign} {{{at}}}" for at, (sign, _, _) in enumerate(given)) or "FALSE"
        said = " and ".join(f"{words} {limit}" for _, words, limit in given)
        return self._of_values(f"ranges({column})", column, f"not {said}", f"({bad})", [limit for *_, limit in given])

    def _allowed(self, column: str, values: list[Any]) -> Check:
        said = ", ".join(map(repr, values[:10])) + (", ..." if len(values) > 10 else "")
        bad = "{} NOT IN ({*})" if values else "{} IS NOT NULL"
        return self._of_values(f"allowed_values({column})", column, f"none of {said or 'no values'}", bad, values)

    def _row_count(self, bounds: Range) -> Check:
        def verdict(rows: int) -> str:
            if bounds.min is not None and rows < bounds.min:
                return f"there are {rows} rows, and should be at least {bounds.min}"
            if bounds.max is not None and rows > bounds.max:
                return f"there are {rows} rows, and should be at most {bounds.max}"
            return ""

        return self._of_count("row_count", verdict)

    def _freshness(self, rule: Freshness) -> Check:
        name = f"freshness({rule.column})"
        if problem := self._missing([rule.column]):
            return self._settled(name, problem)
        column, age = self.columns[rule.column], duration(rule.max_age)
        if kind_of(column.type) != "time":
            return self._settled(name, f"{rule.column!r} holds {column.type}, not dates; cast it first")
        if age is None:
            return self._settled(name, f"{rule.max_age!r} is no duration; write one such as '90m', '36h' or '7d'")

        def verdict(newest: Any) -> str:
            if newest is None:
                return "there is no value"
            moment = _moment(newest, UTC)
            fresh = self.now - moment <= age
            return "" if fresh else f"the newest value, {moment.isoformat(sep=' ')}, is more than {rule.max_age} old"

        return Check(name, self.validation.on_fail, verdict, f"max({self._value(column)})")

    def _custom(self, rule: Rule) -> Check:
        on_fail = rule.on_fail or self.validation.on_fail
        if rule.expression is not None:
            # The line end closes a comment that the expression may end with.
            bad = f"(CASE WHEN (\n{rule.expression}\n) THEN FALSE ELSE TRUE END)"
            # A window function may stand in the expression, but not inside count().
            judged = f"(SELECT {bad} AS _odibi_bad FROM df) AS judged"
            count = f"(SELECT count(CASE WHEN _odibi_bad THEN 1 END) FROM {judged})"
            said = " ".join(rule.expression.split())
            return Check(rule.name, on_fail, _of_rows(lambda rows: f"not true for {rows}: {said}"), count, bad)
        found = f"FROM (\n{(rule.sql or '').strip().rstrip(';')}\n) AS found"
        verdict = _of_rows(lambda rows: f"the query finds {rows}")
        return Check(rule.name, on_fail, verdict, f"(SELECT count(*) {found})", bad_rows=f"SELECT * {found}")

    # --- columns and values -----------------------------------------------------------------------------------------

    def _value(self, column: Column) -> str:
        """The column in SQL, with NULL in place of NaN."""
        name = identifier(column.name, self.dialect)
        return f"(CASE WHEN isnan({name}) THEN NULL ELSE {name} END)" if is_type(column.type, "float") else name

    def _literal(self, value: Any, column: Column) -> str:
        """A value in SQL, as the column would hold it: a text that stands for a date becomes one."""
        if kind_of(column.type) == "time":
            value = _moment(value, UTC if "tz=" in column.type else None)
        return literal(value, self.dialect)

    def _missing(self, names: Sequence[str]) -> str:
        """What to say of the first of ``names`` that is no column; empty if all are."""
        for name in names:
            if name not in self.columns:
                near = get_close_matches(name, self.columns, n=1)
                hint = f"did you mean {near[0]!r}? " if near else ""
                return f"there is no column {name!r}; {hint}the columns are {', '.join(map(repr, self.columns))}"
        return ""

    def _misfit(self, column: Column, values: Sequence[Any]) -> str:
        """What to say if the column cannot be compared with ``values``; empty if it can."""
        kind = kind_of(column.type)
        for value in values:
            if _kind_of_value(value) != kind and not (kind == "time" and _is_moment(value)):
                return f"{column.name!r} holds {column.type}, and cannot be compared with {value!r}; cast it first"
        return ""


def _of_rows(words: Callable[[str], str]) -> Callable[[int], str]:
    return lambda count: words(f"{count} row{'' if count == 1 else 's'}") if count else ""


# --- types and times ------------------------------------------------------------------------------------------------

_TYPES = {
    "int": r"u?int\d+",
    "float": r"halffloat|float|double",
    "str": r"(large_)?string(_view)?|dictionary<values=(large_)?string.*",
    "bool": r"bool",
    "date": r"date(32|64).*",
    "datetime": r"timestamp.*",
}
_SYNONYMS = {"integer": "int", "string": "str", "boolean": "bool", "timestamp": "datetime"}
_ARROW = {"float32": "float", "float64": "double", "date32": "date32[day]", "date64": "date64[ms]"}
"""Arrow's names for types to how it writes them."""


def is_type(held: str, wanted: str) -> bool:
    """Whether a column of the Arrow type ``held`` is of the type ``wanted``, a word of ours or Arrow's."""
    word = _SYNONYMS.get(wanted.strip(), wanted.strip())
    if word in _TYPES:
        return re.fullmatch(_TYPES[word], held) is not None
    return _ARROW.get(word, word).replace(" ", "").replace("decimal(", "decimal128(") == held.replace(" ", "")


def kind_of(type_: str) -> str:
    """``number``, ``time``, ``str``, ``bool`` or the Arrow type itself; values of two kinds never compare."""
    kinds = {"int": "number", "float": "number", "date": "time", "datetime": "time", "str": "str", "bool": "bool"}
    if type_.startswith("decimal"):
        return "number"
    return next((kind for word, kind in kinds.items() if is_type(type_, word)), type_)


def _kind_of_value(value: object) -> str:
    kinds = {bool: "bool", int: "number", float: "number", Decimal: "number", date: "time", datetime: "time"}
    return kinds.get(type(value), "str" if isinstance(value, str) else type(value).__name__)


def _moment(value: Any, zone: timezone | None) -> datetime:
    """A date (its first moment), a time or a text of either as a moment; without a zone it is UTC."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if not isinstance(value, datetime):
        value = datetime.combine(value, time())
    utc = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    moment: datetime = utc.replace(tzinfo=zone)
    return moment


def _is_moment(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(datetime.fromisoformat(value))
    except ValueError:
        return False


def duration(text: str) -> timedelta | None:
    """A time span such as ``90m``, ``36h``, ``1.5d`` or ``1d 12h``; ``None`` if ``text`` is none."""
    try:
        return timedelta(seconds=seconds(text))
    except (ValueError, OverflowError):
        return None
