"""Values and names as SQL, safely, for the dialects of the engines there are."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple

from odibi.errors import TransformError


class Dialect(NamedTuple):
    """What differs between dialects and matters here.

    Attributes:
        quote: stands around an identifier.
        escapes: whether a backslash in a text means something.
        matches: that a text contains a pattern; ``{0}`` is the text, ``{1}`` the pattern.
        row_number: grows from row to row, in the frame's order.
        naive, aware: the types of times without and with a zone.
    """

    quote: str = '"'
    escapes: bool = False
    matches: str = "regexp_like({0}, {1})"
    row_number: str = "row_number() OVER ()"
    naive: str = "TIMESTAMP"
    aware: str = "TIMESTAMP WITH TIME ZONE"


_DIALECTS = {
    "duckdb": Dialect(matches="regexp_matches({0}, {1})"),
    "spark": Dialect("`", True, "({0} RLIKE {1})", "monotonically_increasing_id()", "TIMESTAMP_NTZ", "TIMESTAMP"),
}


def dialect_of(name: str) -> Dialect:
    """The dialect that sqlglot calls ``name``; standard SQL if it is not known."""
    return _DIALECTS.get(name, Dialect())


def identifier(name: str, dialect: Dialect) -> str:
    """An identifier that means exactly ``name``, whatever stands in it."""
    return dialect.quote + name.replace(dialect.quote, dialect.quote * 2) + dialect.quote


def literal(value: object, dialect: Dialect) -> str:
    """A value as SQL that means exactly that value.

    Args:
        value: ``None``, a text, number, truth value, date, time or decimal.
        dialect: whose SQL.

    Raises:
        TransformError: SQL has no form for it.
    """
    match value:
        case None:
            return "NULL"
        case bool() | int():
            return str(value).upper()
        case float():
            return f"CAST('{value!r}' AS DOUBLE)"
        case Decimal():
            return _decimal(value)
        case datetime():
            return f"CAST('{value.isoformat(sep=' ')}' AS {dialect.aware if value.tzinfo else dialect.naive})"
        case date():
            return f"DATE '{value.isoformat()}'"
        case str() if "\0" not in value:
            text = value.replace("\\", "\\\\").replace("'", "\\'") if dialect.escapes else value.replace("'", "''")
            return f"'{text}'"
    raise TransformError(f"{value!r} has no form in SQL", remedy="Use texts, numbers, dates, times, true and false.")


def _decimal(value: Decimal) -> str:
    _, digits, exponent = value.as_tuple()
    if isinstance(exponent, int):
        scale = max(-exponent, 0)
        precision = max(len(digits) + max(exponent, 0), scale, 1)
        if precision <= 38:
            return f"CAST('{value:f}' AS DECIMAL({precision}, {scale}))"
    return f"CAST('{value}' AS DOUBLE)"
