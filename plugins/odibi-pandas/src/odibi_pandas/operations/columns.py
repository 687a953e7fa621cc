"""Which columns, in what order, under what names: ``select``, ``rename``, ``drop``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, ClassVar, Literal

import attrs

from odibi import option
from odibi.contracts.columns import names_of, refuse_repeats, require
from odibi.errors import TransformError
from odibi_pandas.operations.tables import frame_of, table_of

if TYPE_CHECKING:
    import pandas as pd

    from odibi.contracts.transform import TransformContext


@attrs.frozen
class Select:
    """Keep some columns, in the order in which they are given."""

    rowwise: ClassVar[bool] = True

    columns: str | tuple[str, ...] = option(
        help="The columns to keep, in order; * ? [ ] match several, in the order of the frame."
    )

    def apply(self, frame: pd.DataFrame, context: TransformContext) -> pd.DataFrame:
        """The frame with those columns alone.

        Raises:
            TransformError: a column is missing, a pattern matches none, or none would be left.
        """
        table = table_of(frame, context)
        chosen = _matching(names_of(self.columns), table.column_names, "select")
        if not chosen:
            raise TransformError("no column would be left", where="select", remedy="Name at least one in 'columns'.")
        return frame_of(table.select(chosen), context)


@attrs.frozen
class Drop:
    """Remove columns."""

    rowwise: ClassVar[bool] = True

    columns: str | tuple[str, ...] = option(help="The columns to remove; * ? [ ] match several.")
    missing: Literal["error", "ignore"] = option("error", help="What to do about a column that is not there.")

    def apply(self, frame: pd.DataFrame, context: TransformContext) -> pd.DataFrame:
        """The frame without those columns.

        Raises:
            TransformError: a column is missing and ``missing`` is ``error``, or no column would be left.
        """
        table = table_of(frame, context)
        columns = table.column_names
        unwanted = set(_matching(names_of(self.columns), columns, "drop", ignore_missing=self.missing == "ignore"))
        kept = [column for column in columns if column not in unwanted]
        if not kept:
            raise TransformError(
                "no column would be left",
                where="drop",
                remedy="Keep at least one; a frame without columns has no rows.",
            )
        return frame_of(table.select(kept), context)


@attrs.frozen
class Rename:
    """Give columns other names; all at once, so that two columns can swap theirs."""

    rowwise: ClassVar[bool] = True

    columns: Mapping[str, str] = option(help="Old name to new name.")

    def apply(self, frame: pd.DataFrame, context: TransformContext) -> pd.DataFrame:
        """The frame with the new names, its columns where they were.

        Raises:
            TransformError: a column is missing, or two columns would have one name.
        """
        table = table_of(frame, context)
        require(self.columns, table.column_names, "rename")
        renamed = [self.columns.get(column, column) for column in table.column_names]
        refuse_repeats(renamed, "rename", "the result would have the column")
        return frame_of(table.rename_columns(renamed), context)


def _matching(
    patterns: Sequence[str], columns: Sequence[str], operation: str, *, ignore_missing: bool = False
) -> list[str]:
    """The columns that ``patterns`` mean, each once, in the order of the patterns."""
    chosen: dict[str, None] = {}
    for pattern in patterns:
        # A column that is really called "a*" is meant before any that "a*" matches.
        if pattern in columns:
            chosen[pattern] = None
            continue
        found = [column for column in columns if fnmatchcase(column, pattern)] if _is_pattern(pattern) else []
        if not found and not ignore_missing:
            require([pattern], columns, operation)
        chosen.update(dict.fromkeys(found))
    return list(chosen)


def _is_pattern(text: str) -> bool:
    return any(sign in text for sign in "*?[")
