"""Columns by name: finding them, and missing them in words that are the same whatever the engine."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import get_close_matches

from odibi.errors import TransformError

_SHOWN = 30
"""Column names that an error lists before it cuts the list short."""


def names_of(names: str | Iterable[str]) -> tuple[str, ...]:
    """One name or several, as several."""
    return (names,) if isinstance(names, str) else tuple(names)


def require(names: Iterable[str], columns: Collection[str], operation: str, *, what: str = "the frame") -> None:
    """Refuse names that are not columns.

    Args:
        names: the columns an operation was asked to use.
        columns: those there are.
        operation: who asks, for the error.
        what: what has the columns, for the error.

    Raises:
        TransformError: names the missing columns, the nearest there are, and all there are.
    """
    missing = list(dict.fromkeys(name for name in names if name not in columns))
    if not missing:
        return
    plural = len(missing) > 1
    raise TransformError(
        f"{what} has no column{'s' if plural else ''} {listed(missing)}",
        where=operation,
        remedy=did_you_mean(missing[0], columns) + f"The columns are: {listed(columns)}.",
    )


def did_you_mean(name: str, known: Collection[str]) -> str:
    """``"Did you mean 'amount'? "``, or nothing if no known name is near."""
    folded = {each.casefold(): each for each in known}
    near = get_close_matches(name.casefold(), folded, n=1)
    return f"Did you mean {folded[near[0]]!r}? " if near else ""


def listed(names: Iterable[str]) -> str:
    """Names as people read them: quoted, with commas, cut short when there are many."""
    quoted = [repr(name) for name in names]
    if len(quoted) > _SHOWN:
        quoted = [*quoted[:_SHOWN], f"and {len(quoted) - _SHOWN} more"]
    return ", ".join(quoted) or "none"


def refuse_repeats(names: Iterable[str], operation: str, what: str) -> None:
    """Refuse a name that stands in ``names`` twice.

    Raises:
        TransformError: says ``what`` the name is and which it is.
    """
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise TransformError(
                f"{what} {name!r} twice", where=operation, remedy="Give each column a name of its own."
            )
        seen.add(name)


def unused(name: str, columns: Iterable[str]) -> str:
    """``name``, or ``name`` with underscores, such that no column is called so (SQL does not mind the case)."""
    taken = {column.casefold() for column in columns}
    while name.casefold() in taken:
        name += "_"
    return name
