"""``cast``: columns as other types, and every value that will not go named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

import attrs

from odibi import option
from odibi.contracts.columns import require
from odibi.errors import TransformError
from odibi_pandas.operations.kinds import arrow_type
from odibi_pandas.operations.tables import frame_of, shown, table_of

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from odibi.contracts.transform import TransformContext

_EXAMPLES = 5


@attrs.frozen
class Cast:
    """Give columns other types.

    A value goes over whole or not at all: ``1.5`` is no ``int``, ``300`` no ``int8``, ``" 7"`` no number, and of the
    numbers only 0 and 1 are ``bool``. What is rounded: a float becomes the nearest float32 or decimal. A time without
    a zone counts as UTC, a time with one becomes the date or the local text of its zone. Null stays null.
    """

    rowwise: ClassVar[bool] = True

    types: Mapping[str, str] = option(
        help="Column to type: int, float, str, bool, date, datetime, datetime(zone), decimal(p, s), or Arrow's names."
    )
    on_error: Literal["error", "null"] | None = option("error", help="What becomes of a value that will not go.")
    # YAML reads a plain null as no value at all, so that means "null" too.

    def apply(self, frame: pd.DataFrame, context: TransformContext) -> pd.DataFrame:
        """The frame with the columns cast, where they were.

        Raises:
            TransformError: a column is missing, a type is not known or cannot be reached from the column's, or
                ``on_error`` is ``error`` and values will not go; names up to five and counts their rows.
        """
        table = table_of(frame, context)
        require(self.types, table.column_names, "cast")
        wanted = {column: arrow_type(text, "cast") for column, text in self.types.items()}
        for column, type_ in wanted.items():
            index = table.column_names.index(column)
            table = table.set_column(index, column, self._cast(table.column(column), column, type_, context))
        return frame_of(table, context)

    def _cast(
        self, values: pa.ChunkedArray, column: str, type_: pa.DataType, context: TransformContext
    ) -> pa.ChunkedArray:
        import pyarrow as pa
        import pyarrow.compute as pc

        if pa.types.is_dictionary(values.type):
            values = values.cast(values.type.value_type)
        try:
            return _convert(values, type_)
        except pa.ArrowNotImplementedError as error:
            raise TransformError(
                f"the column {column!r} holds {values.type}, which cannot become {self.types[column]!r}",
                where="cast",
                remedy="Cast to 'str' first, or derive the column with an expression.",
            ) from error
        except pa.ArrowInvalid:
            bad = _bad_values(pc.unique(values), type_)
        is_bad = pc.is_in(values, value_set=bad)
        if self.on_error == "error":
            raise self._failure(column, bad, pc.sum(is_bad).as_py(), values.type, context)
        return _convert(pc.if_else(is_bad, pa.scalar(None, values.type), values), type_)

    def _failure(
        self, column: str, bad: pa.Array, rows: int, held: pa.DataType, context: TransformContext
    ) -> TransformError:
        examples = ", ".join(dict.fromkeys(shown(value.as_py(), column, context) for value in bad[:_EXAMPLES]))
        more = f" and {len(bad) - _EXAMPLES} more" if len(bad) > _EXAMPLES else ""
        return TransformError(
            f"{rows} row{'s' if rows != 1 else ''} of the column {column!r} ({held}) cannot become"
            f" {self.types[column]!r}: {examples}{more}",
            where="cast",
            remedy="Clean the values first, or set 'on_error: null'.",
        )


def _convert(values: pa.ChunkedArray | pa.Array, type_: pa.DataType) -> pa.ChunkedArray:
    """All of ``values`` as ``type_``, or ``ArrowInvalid``."""
    import pyarrow as pa
    import pyarrow.compute as pc

    held, types = values.type, pa.types
    if types.is_integer(held) and types.is_decimal(type_):
        # Arrow wants room for any int64 before the point; there is always enough in 256 bits.
        return pc.cast(pc.cast(values, pa.decimal256(76, type_.scale)), type_)
    if types.is_boolean(type_) and (types.is_integer(held) or types.is_floating(held)):
        made = pc.cast(values, type_)
        if not pc.all(pc.equal(pc.cast(made, held), values)).as_py() and pc.count(values).as_py():
            raise pa.ArrowInvalid("only 0 and 1 are bool")
        return made
    if types.is_timestamp(type_) and type_.tz is not None and _is_text(held):
        return _zoned(values, type_)
    return pc.cast(values, type_)


def _zoned(values: pa.ChunkedArray | pa.Array, type_: pa.DataType) -> pa.ChunkedArray:
    """Texts as moments; Arrow takes either those with an offset or those without, not both."""
    import pyarrow as pa
    import pyarrow.compute as pc

    nothing = pa.scalar(None, values.type)
    has_offset = pc.match_substring_regex(values, r"\d\d:\d\d.*(Z|[+-]\d\d(:?\d\d)?)$")
    told = pc.cast(pc.if_else(has_offset, values, nothing), type_)
    untold = pc.cast(pc.if_else(has_offset, nothing, values), pa.timestamp(type_.unit))
    return pc.coalesce(told, pc.cast(untold, type_))


def _is_text(type_: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_))


def _bad_values(values: pa.Array, type_: pa.DataType) -> pa.Array:
    """Those of the distinct ``values`` that will not go, in order.

    Arrow tells only that one is bad. Most are found by what they look like, at once; halving finds the others.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    hopeless = np.zeros(len(values), dtype=bool)
    if (looks_bad := _hopeless(values, type_)) is not None:
        hopeless = np.asarray(pc.fill_null(looks_bad, False).to_numpy(zero_copy_only=False), dtype=bool)
    left = np.flatnonzero(~hopeless)
    parts = [left]
    while parts:
        part = parts.pop()
        try:
            _convert(values.take(pa.array(part)), type_)
        except pa.ArrowInvalid:
            if len(part) == 1:
                hopeless[part] = True
            else:
                parts += [part[: len(part) // 2], part[len(part) // 2 :]]
    return values.filter(pa.array(hopeless))


_LOOKS = {
    "integer": r"^(-?[0-9]+|0[xX][0-9a-fA-F]+)$",
    "floating": r"^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$|^[-+]?(?i:inf|infinity|nan)$",
    "decimal": r"^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$",
    "boolean": r"^(?i:true|false|0|1)$",
    "date": r"^-?[0-9]{4,}-[0-9]{2}-[0-9]{2}$",
    "timestamp": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}",
}
"""What a text must look like to become such a type; it need not be enough."""


def _hopeless(values: pa.Array, type_: pa.DataType) -> pa.Array | None:
    """Which values surely will not go, where that can be seen without trying."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if _is_text(values.type):
        for kind, pattern in _LOOKS.items():
            if getattr(pa.types, f"is_{kind}")(type_):
                return pc.invert(pc.match_substring_regex(values, pattern))
    if pa.types.is_floating(values.type) and pa.types.is_integer(type_):
        return pc.not_equal(pc.trunc(values), values)
    return None
