"""``explode``: lists to rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from odibi import option
from odibi.contracts.columns import listed, names_of, require
from odibi.errors import TransformError
from odibi_pandas.operations.tables import frame_of, table_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    from odibi.contracts.transform import TransformContext


@attrs.frozen
class Explode:
    """Make a row of each element of a list; the other columns are repeated. Rows and elements keep their order."""

    rowwise: ClassVar[bool] = True

    columns: str | tuple[str, ...] = option(
        help="The columns that hold lists; several are exploded side by side, and must be equally long in each row.",
        aliases=("column",),
    )
    keep_empty: bool = option(True, help="Whether a row whose list is null or empty stays, with null in its place.")

    def apply(self, frame: pd.DataFrame, context: TransformContext) -> pd.DataFrame:
        """The frame with elements in place of lists.

        Raises:
            TransformError: a column is missing or holds no lists, or the lists of a row differ in length.
        """
        import numpy as np
        import pyarrow as pa

        table = table_of(frame, context)
        columns = names_of(self.columns)
        require(columns, table.column_names, "explode")
        if not columns:
            raise TransformError("there is nothing to explode", where="explode", remedy="Name a column in 'columns'.")
        lists = {name: _lists(table, name) for name in columns}
        lengths = _lengths(lists)
        counts = np.maximum(lengths, 1) if self.keep_empty else lengths
        parent = np.repeat(np.arange(table.num_rows), counts)
        within = np.arange(len(parent)) - np.repeat(np.cumsum(counts) - counts, counts)
        element = np.repeat(np.cumsum(lengths) - lengths, counts) + within
        # An empty list is followed by the elements of the next row, so its own place is found by its length.
        nothing = np.repeat(lengths == 0, counts)
        result = table.take(pa.array(parent))
        for name, values in lists.items():
            taken = values.flatten().take(pa.array(element, mask=nothing))
            result = result.set_column(table.column_names.index(name), name, taken)
        return frame_of(result, context)


def _lists(table: pa.Table, name: str) -> pa.Array:
    """The column as one array of lists."""
    import pyarrow as pa

    held, types = table.schema.field(name).type, pa.types
    if not (types.is_list(held) or types.is_large_list(held) or types.is_fixed_size_list(held)):
        raise TransformError(
            f"the column {name!r} holds {held}, not lists",
            where="explode",
            remedy="Make lists of it first, for example with derive and string_split.",
        )
    whole = table.column(name).combine_chunks()
    return whole.cast(pa.large_list(held.value_type))


def _lengths(lists: dict[str, pa.Array]) -> np.ndarray[Any, Any]:
    """The number of elements in each row, 0 for null; the same for all columns."""
    import numpy as np
    import pyarrow.compute as pc

    names: Sequence[str] = list(lists)
    found = [
        np.asarray(pc.fill_null(pc.list_value_length(values), 0).to_numpy(zero_copy_only=False), dtype=np.int64)
        for values in lists.values()
    ]
    for other in found[1:]:
        different = np.flatnonzero(found[0] != other)
        if len(different):
            row = int(different[0])
            raise TransformError(
                f"the lists of {listed(names)} differ in length in {len(different)} rows, first in row {row + 1}",
                where="explode",
                remedy="Explode them one after another, or make them equally long.",
            )
    return found[0]
