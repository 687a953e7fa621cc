"""Bounds: the rows of a source that are new since a run before, by the values of one column."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import attrs

from odibi.errors import DataError

Value = int | float | Decimal | str | date | datetime
"""What a column may be bound by. A ``datetime`` has a zone or not, and the two are different kinds."""

KINDS = ("int", "float", "decimal", "str", "date", "datetime", "datetime with a zone")
"""The kinds of values. Values of one kind have an order among themselves, and none with those of another."""


@attrs.frozen
class Bound:
    """Which rows of a source are meant: those with ``above < column <= upto``.

    A row without a value (null, and not-a-number in a column of floats) is never among them. Values are compared as
    what they are: numbers as numbers, and texts as texts, by code points.

    Attributes:
        column: its name.
        above: exclusive; ``None`` is open.
        upto: inclusive; ``None`` is open.
    """

    column: str
    above: Value | None = None
    upto: Value | None = None

    @property
    def kind(self) -> str | None:
        """The kind of its values, of :data:`KINDS`; ``None`` if both ends are open."""
        value = self.above if self.above is not None else self.upto
        return None if value is None else kind_of(value)

    def check(self, kind: str | None, where: str) -> None:
        """Make sure that the values of the column can be compared with the bounds.

        Args:
            kind: what the column holds, of :data:`KINDS`; ``None`` for what has no order to go by.
            where: the source, for the error.

        Raises:
            DataError: they cannot be; a number that became a text has no place in the order of before.
        """
        if kind is None:
            raise DataError(
                f"column {self.column!r} is of a type that nothing can be bound by",
                where=where,
                remedy=f"Give a column of one of these kinds: {', '.join(KINDS)}.",
            )
        if self.kind is not None and kind != self.kind:
            raise DataError(
                f"column {self.column!r} was {self.kind} when it was last read, and is {kind} now",
                where=where,
                remedy="Read it as the type it had, or begin anew with: odibi streams reset PIPELINE/NODE.",
            )

    def holds(self, value: Any) -> bool:
        """Whether a value, of the kind of the bounds, lies between them."""
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return False
        return (self.above is None or value > self.above) and (self.upto is None or value <= self.upto)


def kind_of(value: Any) -> str | None:
    """The kind of a value, of :data:`KINDS`; ``None`` if it has none, as truth values have."""
    if isinstance(value, datetime):  # before date, which it is as well
        return "datetime" if value.tzinfo is None else "datetime with a zone"
    if isinstance(value, bool):
        return None
    kinds: dict[type, str] = {int: "int", float: "float", Decimal: "decimal", str: "str", date: "date"}
    return kinds.get(type(value))


def as_json(value: Value) -> dict[str, str]:
    """A value with its kind, to be kept as JSON; :func:`from_json` gives it back as it was.

    Raises:
        TypeError: it is of no kind that there is.
    """
    kind = kind_of(value)
    if kind is None:
        raise TypeError(f"{type(value).__name__} is none of {', '.join(KINDS)}")
    if isinstance(value, datetime):
        moment = value if value.tzinfo is None else value.astimezone(UTC)
        return {"type": kind, "value": moment.isoformat()}
    if isinstance(value, date):
        return {"type": kind, "value": value.isoformat()}
    return {"type": kind, "value": repr(value) if isinstance(value, float) else str(value)}


def from_json(said: Any) -> Value:
    """The value that :func:`as_json` wrote.

    Raises:
        ValueError: it did not.
    """
    if not isinstance(said, Mapping) or not isinstance(said.get("value"), str):
        raise ValueError("expected a type and a value")
    kind, text = said.get("type"), said["value"]
    if kind == "int":
        return int(text)
    if kind == "float":
        return float(text)
    if kind == "decimal":
        try:
            return Decimal(text)
        except InvalidOperation:
            raise ValueError(f"{text!r} is no decimal") from None
    if kind == "str":
        return str(text)
    if kind == "date":
        return date.fromisoformat(text)
    if kind in ("datetime", "datetime with a zone"):
        return datetime.fromisoformat(text)
    raise ValueError(f"there is no kind {kind!r} of values")
