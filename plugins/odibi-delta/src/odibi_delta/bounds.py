"""Which files of a table, and which rows of them, may be among those that are meant."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from odibi.contracts.bounds import kind_of_type

if TYPE_CHECKING:
    import pyarrow as pa

    from odibi.contracts import Bound

_EXACT = ("int", "date", "datetime", "datetime with a zone")
"""Kinds whose least and greatest values the log has as they are, but for parts of a millisecond. Of texts it may have
the beginnings, of decimals what is left of them in a JSON number, and of floats a not-a-number among others."""

_COARSE = timedelta(milliseconds=1)
"""The log has moments in whole milliseconds, rounded down: the greatest may be less than the value that it stands for.
As Delta's protocol says, under "Per-file Statistics"."""


def may_be_meant(schema: pa.Schema, bound: Bound) -> Any:
    """A filter that all rows pass which ``bound`` means, and of the others few.

    Args:
        schema: of the table.
        bound: the rows.

    Returns:
        An expression of ``pyarrow.dataset``; ``None`` where there is nothing to go by. That a column is not there, or
        is of another kind than the bounds, is for the engine to tell.
    """
    import pyarrow as pa
    import pyarrow.dataset as ds

    at = schema.get_field_index(bound.column)
    if at < 0:
        return None
    kind = schema.field(at).type
    if kind_of_type(str(kind)) != bound.kind or bound.kind not in _EXACT:
        return None
    column, meant = ds.field(bound.column), None
    try:
        if bound.above is not None:
            above = bound.above - _COARSE if isinstance(bound.above, datetime) else bound.above
            meant = column > pa.scalar(above, kind)
        if bound.upto is not None:
            below = column <= pa.scalar(bound.upto, kind)
            meant = below if meant is None else meant & below
    except (OverflowError, pa.ArrowInvalid):  # beyond what the column may hold
        return None
    return meant
