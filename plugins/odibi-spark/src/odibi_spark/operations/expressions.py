"""What can be said of a user's SQL expression without parsing it all, and the column that Spark makes of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from odibi.errors import TransformError

if TYPE_CHECKING:
    from pyspark.sql import Column

    from odibi.contracts.transform import TransformContext

_COMMENTS = r"|`(?:[^`]|``)*`|--[^\n]*|/\*.*?\*/"
_READINGS = (
    re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""" + _COMMENTS, re.DOTALL),
    re.compile(r"""'[^']*'|"[^"]*\"""" + _COMMENTS, re.DOTALL),
)
"""What is quoted, with a backslash that escapes and with one that does not: Spark has settings and raw texts."""

_TABLES = re.compile(r"\bselect\b|\(\s*(?:from|with|table|values|pivot|unpivot)\b", re.IGNORECASE)
_OTHERS = re.compile(r"\bover\b", re.IGNORECASE)


def sees_one_row(expression: str) -> bool:
    """Whether the expression surely looks at one row alone: it has no window and no subquery.

    Errs towards ``False``; a column called ``over`` needs quotes to be taken for one.
    """
    bare = [reading.sub(" ", expression) for reading in _READINGS]
    return not any(_TABLES.search(text) or _OTHERS.search(text) for text in bare)


def asks_tables(expression: str) -> bool:
    """Whether the expression may have a subquery; errs towards ``True``, for those need a namespace."""
    return _TABLES.search(expression) is not None


def enclosed(expression: str, operation: str) -> str:
    """The expression in brackets, for a place in a query that it cannot leave.

    Args:
        expression: in SQL; may end with a comment.
        operation: who asks, for the error.

    Raises:
        TransformError: it closes a bracket that it did not open.
    """
    for reading in _READINGS:
        depth = 0
        for sign in re.findall(r"[()]", reading.sub(" ", expression)):
            depth += 1 if sign == "(" else -1
            if depth < 0:
                break
        if not depth:
            return f"(\n{expression}\n)"
    raise TransformError(f"the brackets in {expression!r} do not match", where=operation)


def column_of(functions: Any, text: str, context: TransformContext, operation: str) -> Column:
    """The column of an expression without subqueries.

    It stands inside another expression, where Spark takes neither several columns nor what makes several rows of one.

    Raises:
        TransformError: the brackets do not match, or the expression cannot be translated.
    """
    from odibi_spark.query import expression

    enclosed(text, operation)
    try:
        translated = expression(text, context.engine)
    except TransformError as error:
        raise TransformError(error.what, where=operation, remedy=error.remedy) from error
    found: Column = functions.when(functions.lit(True), functions.expr(enclosed(translated, operation)))
    return found


def quoted_for(name: str, context: TransformContext) -> str:
    """An identifier in the SQL that the engine's users write."""
    from sqlglot import exp

    dialect = getattr(context.engine, "sql_dialect", None) or "spark"
    return exp.to_identifier(name, quoted=True).sql(dialect=dialect)
