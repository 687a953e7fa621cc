"""Operations on the rows of :class:`odibi.testing.reference.engine.RowsEngine`: rename, filter, look up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import attrs

from odibi.contracts.options import option
from odibi.errors import Cancelled, TransformError
from odibi.testing.reference.engine import RowsFrame

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from odibi.contracts.transform import TransformContext

ASKED_EVERY = 1_000
"""Rows after which a loop asks whether it should go on."""


@attrs.define(eq=False)
class RenameColumns:
    """Give columns other names."""

    rowwise: ClassVar[bool] = True

    columns: dict[str, str] = option(help="Old name to new name.")  # noqa: RUF009 - a field

    def apply(self, frame: RowsFrame, context: TransformContext) -> RowsFrame:
        """The frame with the new names.

        Raises:
            TransformError: a column is missing, or two would have one name.
        """
        require(frame, self.columns, context)
        names = [self.columns.get(name, name) for name in frame.types]
        if len(set(names)) < len(names):
            raise TransformError(f"two columns would have one name: {', '.join(map(repr, names))}", where=context.node)
        return RowsFrame(dict(zip(names, frame.types.values(), strict=True)), frame.rows)


@attrs.define(eq=False)
class KeepRows:
    """Keep the rows in which a column has one of some values; null is none of them."""

    rowwise: ClassVar[bool] = True

    column: str = option(help="The column that is looked at.")
    values: tuple[Any, ...] = option(help="The values with which a row stays.")

    def apply(self, frame: RowsFrame, context: TransformContext) -> RowsFrame:
        """The rows that stay, in their order.

        Raises:
            TransformError: the column is missing.
        """
        require(frame, [self.column], context)
        at = list(frame.types).index(self.column)
        return RowsFrame(frame.types, [row for row in frame.rows if row[at] is not None and row[at] in self.values])


@attrs.define(eq=False)
class LookUp:
    """Put beside each row what an input says of its key; a null key has nothing said of it.

    Of several rows of the input with one key, the first counts.
    """

    rowwise: ClassVar[bool] = True

    column: str = option(help="The column of the frame that holds the keys.")
    into: str = option(help="The new column.")
    table: str = option("codes", help="The input: one of the node's depends_on.")
    key: str = option("key", help="The input's column of keys.")
    value: str = option("value", help="The input's column of what is put beside.")
    missing: Literal["error", "null"] = option("error", help="What to do about a key that the input does not have.")

    def apply(self, frame: RowsFrame, context: TransformContext) -> RowsFrame:
        """The frame with the new column, at its end.

        Raises:
            TransformError: a column or the input is missing, the new column is there already, or a key is not known.
            Cancelled: the run wants the node to stop.
        """
        require(frame, [self.column], context)
        if self.into in frame.types:
            raise TransformError(f"the frame has a column {self.into!r} already", where=context.node)
        known, word = self._known(context)
        at = list(frame.types).index(self.column)
        rows = [[*row, self._found(row[at], known, context)] for row in steadily(frame.rows, context)]
        return RowsFrame({**frame.types, self.into: word}, rows)

    def _known(self, context: TransformContext) -> tuple[Mapping[Any, Any], str]:
        """Key to value, and the type of the values."""
        table: RowsFrame = context.get(self.table)
        require(table, [self.key, self.value], context)
        names = list(table.types)
        key, value = names.index(self.key), names.index(self.value)
        known = {row[key]: row[value] for row in reversed(table.rows)}
        return known, table.types[self.value]

    def _found(self, key: Any, known: Mapping[Any, Any], context: TransformContext) -> Any:
        if key is None or key in known:
            return known.get(key) if key is not None else None
        if self.missing == "null":
            return None
        raise TransformError(
            f"the input {self.table!r} has no row for {shown(key, self.column, context)} of {self.column!r}",
            where=context.node,
            remedy="Add it there, or set 'missing: null'.",
        )


def require(frame: RowsFrame, columns: Iterable[str], context: TransformContext) -> None:
    """Refuse a frame that lacks columns.

    Raises:
        TransformError: names them, and those there are.
    """
    missing = [repr(name) for name in columns if name not in frame.types]
    if missing:
        there = ", ".join(map(repr, frame.types)) or "none"
        raise TransformError(
            f"there is no column {', '.join(missing)}", where=context.node, remedy=f"The columns are: {there}."
        )


def shown(value: object, column: str, context: TransformContext) -> str:
    """A value as an error may show it: ``***`` if its column is sensitive."""
    sensitive = context.sensitive
    hidden = sensitive is True or (sensitive is not False and column in sensitive)
    return "***" if hidden else repr(value)


def steadily(rows: Iterable[list[Any]], context: TransformContext) -> Iterable[list[Any]]:
    """The rows, for as long as the run does not want the node to stop.

    Raises:
        Cancelled: it does.
    """
    for number, row in enumerate(rows):
        if number % ASKED_EVERY == 0 and context.cancelled():
            raise Cancelled("the operation was stopped", where=context.node)
        yield row
