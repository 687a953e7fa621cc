"""Validation: whether a node's result keeps its rules, asked in SQL of whatever engine made it.

Each rule becomes an expression that counts the rows breaking it, and all of them one query over the frame. As long as
everything passes, that query is all there is; what can be known without touching data (columns, types, a number of
rows the engine knows) costs none. Only broken rules are asked for rows to show.

Nulls pass every rule but ``no_nulls``, ``freshness`` (a column of nulls is not fresh) and expressions, which must be
*true*. In a column of floats NaN counts as null. In ``unique``, as in SQL, a key with a null in it equals no other.
"""

# ruff: noqa: S608 - names and values are quoted; expressions are what users write

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import attrs

from odibi.errors import TransformError, ValidationFailed
from odibi.model import OnFail
from odibi.run.rules import Check, Rules
from odibi.run.sql import dialect_of, identifier, literal

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from odibi.contracts.engine import Engine, Frame, Session
    from odibi.model import Validation

MASK = "***"


@attrs.frozen
class RuleResult:
    """How one rule fared.

    Attributes:
        name: of the rule, such as ``no_nulls(id)``.
        passed: whether it was kept.
        failing: how many rows break it; ``None`` if it is not about single rows.
        sample: some of those rows, sensitive values masked.
        message: what is wrong; empty if nothing is.
        on_fail: what its breaking does.
    """

    name: str
    passed: bool
    failing: int | None = None
    sample: tuple[Mapping[str, Any], ...] = ()
    message: str = ""
    on_fail: OnFail = OnFail.ERROR

    def __str__(self) -> str:
        rows = "".join(f"\n    {_row_text(row)}" for row in self.sample)
        return f"{self.name}: {self.message or 'passed'}{rows}"

    def plain(self) -> dict[str, Any]:
        """The same as a mapping, for events; the rows hold plain Python values."""
        return {
            "rule": self.name,
            "passed": self.passed,
            "failing": self.failing,
            "message": self.message,
            "on_fail": self.on_fail.value,
            "rows": [dict(row) for row in self.sample],
        }


@attrs.frozen
class ValidationReport:
    """What became of a frame.

    Attributes:
        results: in the order of the rules.
        good: the frame that goes on; the one that was given, unless rows were set aside.
        bad: the rows set aside, with the columns ``_odibi_rules`` and ``_odibi_run``; ``None`` if there are none.
        quarantined: how many they are.
        warnings: in words, what was broken without stopping the node.
    """

    results: tuple[RuleResult, ...]
    good: Frame
    bad: Frame | None = None
    quarantined: int = 0
    warnings: tuple[str, ...] = ()


def validate(
    frame: Frame,
    validation: Validation,
    *,
    session: Session,
    engine: Engine,
    sensitive: bool | Collection[str] = False,
    run_id: str = "",
    node: str = "",
    now: datetime | None = None,
) -> ValidationReport:
    """Hold a frame against the rules of its node.

    Args:
        frame: the node's result.
        validation: the rules.
        session: the node's own namespace for SQL.
        engine: the node's.
        sensitive: columns whose values are never shown, or ``True`` for all.
        run_id: goes into ``_odibi_run`` of rows that are set aside.
        node: for errors.
        now: what ``freshness`` counts from; aware of its zone. By default the clock's time.

    Returns:
        The report. With ``on_fail: quarantine`` every row that breaks a rule is in ``bad`` (of rows that share a
        unique key, all), and the others in ``good``, each in the order they had.

    Raises:
        ValidationFailed: a rule is broken whose ``on_fail`` is ``error``; or ``quarantine``, but that is not about
            single rows (or is a query, whose rows are its own), so that none can be set aside.
        TransformError: a rule cannot be evaluated; names it.
    """
    asker = _Asker(frame, session, engine, sensitive, node)
    rules = Rules(validation, asker.columns, asker.rows, asker.dialect, now or datetime.now(UTC))
    checks = list(rules.checks())
    answers = asker.answers(checks)
    results = tuple(
        _result(check, answer, asker, validation.max_rows) for check, answer in zip(checks, answers, strict=True)
    )
    broken = [(check, result) for check, result in zip(checks, results, strict=True) if not result.passed]
    aside = [check for check, _ in broken if check.on_fail is OnFail.QUARANTINE and check.bad is not None]
    stopping = [result for check, result in broken if check.on_fail is not OnFail.WARN and check not in aside]
    if stopping:
        lines = "\n".join(f"  {result}" for result in stopping)
        rule = f"{len(stopping)} rule{'' if len(stopping) == 1 else 's'}"
        failed = ValidationFailed(f"the result breaks {rule}:\n{lines}", where=asker.where)
        failed.results = tuple(result.plain() for result in results)
        raise failed
    warnings = tuple(str(result) for _, result in broken)
    if not aside:
        return ValidationReport(results, frame, warnings=warnings)
    good, bad, rows = asker.split(aside, run_id)
    return ValidationReport(results, good, bad, rows, warnings)


def _result(check: Check, answer: Any, asker: _Asker, max_rows: int) -> RuleResult:
    message = check.verdict(answer)
    if not message:
        return RuleResult(check.name, passed=True, failing=answer if check.counts_rows else None, on_fail=check.on_fail)
    return RuleResult(
        check.name,
        passed=False,
        failing=answer if check.counts_rows else None,
        sample=asker.sample(check, max_rows) if check.counts_rows and max_rows > 0 else (),
        message=message,
        on_fail=check.on_fail,
    )


def _row_text(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={_value_text(value)}" for name, value in row.items())


def _value_text(value: object) -> str:
    text = value.isoformat() if isinstance(value, date) else MASK if value == MASK else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


class _Asker:
    """Asks one frame, in the node's session."""

    def __init__(
        self, frame: Frame, session: Session, engine: Engine, sensitive: bool | Collection[str], node: str
    ) -> None:
        info = engine.inspect(frame)
        self.columns = {column.name: column for column in info.schema}
        self.rows = info.rows
        self.dialect = dialect_of(engine.dialect)
        self.where = f"node '{node}'" if node else None
        self._frame = frame
        self._session = session
        self._engine = engine
        self._sensitive = sensitive

    def answers(self, checks: Sequence[Check]) -> list[Any]:
        """What each check's ``count`` gives, ``None`` for those without one; a single query for all."""
        asked = [check for check in checks if check.count is not None]
        found = dict(zip(map(id, asked), self._count(asked), strict=True)) if asked else {}
        return [found.get(id(check)) for check in checks]

    def _count(self, checks: Sequence[Check]) -> list[Any]:
        wanted = ", ".join(f"{check.count} AS c{at}" for at, check in enumerate(checks))
        try:
            # The last count makes it an aggregate even if all others are subqueries.
            row = self._rows_of(f"SELECT {wanted}, count(*) AS n FROM df", 1)[0]
        except TransformError as error:
            if len(checks) > 1:
                for check in checks:
                    self._count([check])
            names = ", ".join(repr(check.name) for check in checks)
            # The engine's words, and the error itself, may quote a value.
            words = "the engine's words are withheld, since the node is sensitive" if self._sensitive else error.what
            what = f"the rule{'' if len(checks) == 1 else 's'} {names} cannot be evaluated: {words}"
            raise TransformError(what, where=self.where, remedy=error.remedy) from (None if self._sensitive else error)
        # Engines add up in types of their own.
        return [int(row[f"c{at}"]) if check.counts_rows else row[f"c{at}"] for at, check in enumerate(checks)]

    def sample(self, check: Check, n: int) -> tuple[Mapping[str, Any], ...]:
        """The first ``n`` rows that break a rule, sensitive values masked."""
        if check.bad_rows is not None:
            rows = self._rows_of(f"{check.bad_rows} LIMIT {n}", n)
            # Such a query names its columns as it likes, so their names do not say which are sensitive.
            return tuple(dict.fromkeys(row, MASK) if self._sensitive else row for row in rows)
        bad, order = self._unused("_odibi_bad"), self._unused("_odibi_order")
        judged = f"(SELECT *, {check.bad} AS {bad} FROM {self._numbered(order)}) AS judged"
        rows = self._rows_of(f"SELECT {self._names()} FROM {judged} WHERE {bad} ORDER BY {order} LIMIT {n}", n)
        return tuple({name: MASK if self._hides(name) else value for name, value in row.items()} for row in rows)

    def split(self, checks: Sequence[Check], run_id: str) -> tuple[Frame, Frame, int]:
        """The rows that break none of ``checks``; those that do, with the reasons; and how many these are."""
        why, order, names = self._unused("_odibi_why"), self._unused("_odibi_order"), self._names()
        reasons = ", ".join(f"CASE WHEN {check.bad} THEN {literal(check.name, self.dialect)} END" for check in checks)
        judged = f"(SELECT *, concat_ws('; ', {reasons}) AS {why} FROM {self._numbered(order)}) AS judged"
        marks = f"{why} AS _odibi_rules, {literal(run_id, self.dialect)} AS _odibi_run"
        frames = {"df": self._frame}
        good = self._session.sql(f"SELECT {names} FROM {judged} WHERE {why} = '' ORDER BY {order}", frames)
        bad = self._session.sql(f"SELECT {names}, {marks} FROM {judged} WHERE {why} <> '' ORDER BY {order}", frames)
        rows = self._engine.inspect(bad).rows
        if rows is None:
            counted = self._session.sql("SELECT count(*) AS n FROM bad", {"bad": bad})
            rows = int(self._engine.sample(counted, 1)[0]["n"])
        return good, bad, rows

    def _rows_of(self, query: str, n: int) -> Sequence[Mapping[str, Any]]:
        return self._engine.sample(self._session.sql(query, {"df": self._frame}), n)

    def _numbered(self, order: str) -> str:
        """The frame with a column for the order of its rows, since windows do not keep it."""
        return f"(SELECT *, {self.dialect.row_number} AS {order} FROM df) AS df"

    def _names(self) -> str:
        return ", ".join(identifier(name, self.dialect) for name in self.columns)

    def _unused(self, name: str) -> str:
        taken = {column.casefold() for column in self.columns}
        while name in taken:
            name += "_"
        return name

    def _hides(self, column: str) -> bool:
        return self._sensitive if isinstance(self._sensitive, bool) else column in self._sensitive
