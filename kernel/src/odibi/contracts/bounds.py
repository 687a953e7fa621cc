"""Bounds: the rows of a source that are new since a run before, by the values of one column, and by their keys."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import attrs

from odibi.errors import DataError

Value = int | float | Decimal | str | date | datetime
"""What a column may be bound by. A ``datetime`` has a zone or not, and the two are different kinds."""

KINDS = ("int", "float", "decimal", "str", "date", "datetime", "datetime with a zone")
"""The kinds of values. Values of one kind have an order among themselves, and none with those of another."""

KEY_KINDS = ("int", "decimal", "str", "date", "datetime", "datetime with a zone", "bool", "bytes")
"""The kinds of values that a key may have: those that are equal or not, without a doubt."""

DIGEST = 12
"""Bytes of the digest of a key. Of 100,000 keys, another one has the digest of one of them once in 10^24 times."""

_WORDS = {
    "double": "float", "float": "float", "halffloat": "float",
    "string": "str", "large_string": "str", "string_view": "str",
    "date32[day]": "date", "date64[ms]": "date",
    "bool": "bool",
    "binary": "bytes", "large_binary": "bytes", "binary_view": "bytes",
}  # fmt: skip


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
            kind: what the column holds, of :data:`KINDS`; ``None``, or another, for what has no order to go by.
            where: the source, for the error.

        Raises:
            DataError: they cannot be; a number that became a text has no place in the order of before.
        """
        if kind not in KINDS:
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


def kind_of_type(word: str) -> str | None:
    """The kind of the values of a column, of :data:`KINDS` and :data:`KEY_KINDS`; ``None`` if it is of none.

    Args:
        word: its type in Arrow's words, as :class:`~odibi.contracts.engine.Column` has it.
    """
    if word.startswith("timestamp"):
        return "datetime with a zone" if "tz=" in word else "datetime"
    if word.startswith("decimal"):
        return "decimal"
    if word.startswith("fixed_size_binary"):
        return "bytes"
    return "int" if re.fullmatch(r"u?int\d+", word) else _WORDS.get(word)


def key_digest(values: Sequence[Any]) -> bytes:
    """What stands for a key: the same for equal values, :data:`DIGEST` bytes of BLAKE2b.

    Args:
        values: of the columns of the key, in their order; each of one of :data:`KEY_KINDS`.

    Raises:
        TypeError: one is of no such kind.
    """
    hasher = hashlib.blake2b(digest_size=DIGEST)
    for value in values:
        said = _key_bytes(value)
        hasher.update(len(said).to_bytes(8, "big"))
        hasher.update(said)
    return hasher.digest()


def _key_bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return b"s" + value.encode("utf-8", "surrogatepass")
    if isinstance(value, bool):
        return b"o1" if value else b"o0"
    if isinstance(value, int):
        return b"i" + str(value).encode()
    if isinstance(value, datetime):
        moment = value if value.tzinfo is None else value.astimezone(UTC)
        return b"m" + moment.isoformat().encode()
    if isinstance(value, date):
        return b"d" + value.isoformat().encode()
    if isinstance(value, Decimal) and value.is_finite():
        sign, digits, exponent = value.as_tuple()
        text = "".join(map(str, digits)).lstrip("0")
        shown = text.rstrip("0")
        return f"n{sign if text else 0}:{shown}:{int(exponent) + len(text) - len(shown) if text else 0}".encode()
    if isinstance(value, bytes):
        return b"b" + value
    raise TypeError(f"{type(value).__name__} is none of {', '.join(KEY_KINDS)}")
