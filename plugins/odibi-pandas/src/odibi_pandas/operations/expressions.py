"""What can be said of a user's SQL expression without parsing it all."""

from __future__ import annotations

import re

from odibi.errors import TransformError

_QUOTED = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|\$(\w*)\$.*?\$\1\$|--[^\n]*|/\*.*?\*/""", re.DOTALL)
_FAR_SIGHTED = re.compile(
    r"\bover\b|\bselect\b|\(\s*(?:from|with|table|values|pivot|unpivot|summarize)\b", re.IGNORECASE
)


def sees_one_row(expression: str) -> bool:
    """Whether the expression surely looks at one row alone: it has no window and no subquery.

    Errs towards ``False``; a column called ``over`` needs quotes to be taken for one.
    """
    return not _FAR_SIGHTED.search(_QUOTED.sub(" ", expression))


def enclosed(expression: str, operation: str) -> str:
    """The expression in brackets, for a place in a query that it cannot leave.

    Args:
        expression: in SQL; may end with a comment.
        operation: who asks, for the error.

    Raises:
        TransformError: it closes a bracket that it did not open.
    """
    depth = 0
    for sign in re.findall(r"[()]", _QUOTED.sub(" ", expression)):
        depth += 1 if sign == "(" else -1
        if depth < 0:
            break
    if depth:
        raise TransformError(f"the brackets in {expression!r} do not match", where=operation)
    return f"(\n{expression}\n)"
