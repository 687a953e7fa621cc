"""Errors of ours out of Spark: of a plan that cannot be, and of rows that turn out bad while they are computed.

Spark knows one way to fail at a row: ``raise_error`` with a text. :func:`failure` puts what an error of ours says into
that text, and :func:`recognised` reads it back from whatever exception Spark made of it.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from odibi.contracts.columns import did_you_mean
from odibi.errors import TransformError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from pyspark.sql import Column

    from odibi.contracts.transform import TransformContext

_TOLD = re.compile(r"\[odibi:(\w+)\] (.*?) \[remedy\] (.*?) \[odibi:end\]", re.DOTALL)
_SHOWN = 80


def failure(functions: Any, operation: str, what: Column, remedy: str) -> Column:
    """A column that fails where it is computed, and says so in words of ours.

    Args:
        functions: those for the frame.
        operation: whose error it is.
        what: what happened, as a column of texts.
        remedy: what to do about it.
    """
    lit = functions.lit
    told = functions.concat(lit(f"[odibi:{operation}] "), what, lit(f" [remedy] {remedy} [odibi:end]"))
    failed: Column = functions.raise_error(told)
    return failed


def recognised(error: BaseException) -> TransformError | None:
    """The error that :func:`failure` meant, if that is what ``error`` is about; it has no cause.

    What it says of values is what the operation was allowed to say.
    """
    found = _TOLD.search(str(error))
    return TransformError(found[2], where=found[1], remedy=found[3]) if found else None


def shown(functions: Any, value: Column, column: str, context: TransformContext, *, is_text: bool = False) -> Column:
    """Texts of values as an error may show them: ``***`` if the column is sensitive, cut short if they are long."""
    sensitive = getattr(context, "sensitive", True)
    if sensitive is True or (sensitive and column in sensitive):
        hidden: Column = functions.lit("***")
        return hidden
    text = functions.coalesce(value.cast("string"), functions.lit("None"))
    if is_text:
        text = functions.concat(functions.lit("'"), text, functions.lit("'"))
    cut = functions.concat(functions.substring(text, 1, _SHOWN - 3), functions.lit("..."))
    short: Column = functions.when(functions.length(text) <= _SHOWN, text).otherwise(cut)
    return short


@contextmanager
def explained(operation: str, columns: Collection[str] = (), *, about: str = "") -> Iterator[None]:
    """Turn what Spark says of a plan that cannot be into an error of ours.

    Args:
        operation: who asks, for the error.
        columns: those that an expression may name, for the error.
        about: what a person would call the question, for the error.

    Raises:
        TransformError: in place of Spark's error.
    """
    from pyspark.errors import PySparkException

    try:
        yield
    except PySparkException as error:
        head = f"{about}: " if about else ""
        what, remedy = _in_words(error, columns)
        # Spark's own words hold the whole plan, which may hold the rows of a small frame; so it is no cause.
        raise TransformError(f"{head}{what}", where=operation, remedy=remedy) from None


def _in_words(error: Any, columns: Collection[str]) -> tuple[str, str]:
    condition = str(error.getCondition() or "")
    details = error.getMessageParameters() or {}
    there = f"The columns are: {', '.join(columns) or 'none'}."
    if condition.startswith("UNRESOLVED_COLUMN"):
        name = _last_part(str(details.get("objectName", "")))
        return f"there is no column {name!r}", did_you_mean(name, columns) + there
    if condition == "AMBIGUOUS_REFERENCE":
        name = _last_part(str(details.get("name", "")))
        alike = [column for column in columns if column.casefold() == name.casefold()] or [name]
        said = " and ".join(map(repr, alike[:2]))
        return (
            f"the columns {said} have the same name in SQL, which does not tell cases apart",
            "Rename one of them before.",
        )
    return _sentence(str(error)), "Check the expression; it is in Spark's SQL. " + there if columns else ""


def _last_part(quoted: str) -> str:
    """``id`` of `` `df`.`id` ``."""
    parts = re.findall(r"`((?:[^`]|``)*)`", quoted)
    return parts[-1].replace("``", "`") if parts else quoted


def _sentence(text: str) -> str:
    """The first line of Spark's message, without its class and its code."""
    first = text.strip().split("\n", 1)[0]
    return re.sub(r"\s*SQLSTATE: \w+.*$", "", re.sub(r"^\[[\w.]+\]\s*", "", first)).rstrip(".!;")
