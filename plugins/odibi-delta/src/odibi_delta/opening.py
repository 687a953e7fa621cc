"""Tables, opened by delta-rs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from odibi.errors import DataError
from odibi_delta.failures import mapped
from odibi_delta.log import missing

if TYPE_CHECKING:
    import pyarrow as pa

    from odibi_delta.location import Location


def opened(place: Location, version: int | None = None) -> Any:
    """The ``deltalake.DeltaTable`` at a place.

    Args:
        place: where it is.
        version: which one; by default the newest.

    Raises:
        NotFound: there is none; says what is there instead.
        DataError: there is one, and it cannot be opened, or not at this version.
    """
    table = opened_if_there(place, version)
    if table is None and version is not None and place.log.is_there():
        raise DataError(
            f"the log of the table does not tell any more what it was at version {version}",
            where=place.where,
            remedy="Read a newer version; odibi delta history lists those in the log.",
        )
    if table is None:
        raise missing(place.storage, place.path, place.where)
    return table


def opened_if_there(place: Location, version: int | None = None) -> Any | None:
    """The same, or ``None`` if there is no table."""
    from deltalake import DeltaTable
    from deltalake.exceptions import TableNotFoundError

    try:
        with mapped(place.where, place.options):
            try:
                return DeltaTable(place.uri, version=version, storage_options=dict(place.options))
            except TableNotFoundError:
                return None
    except DataError:
        # An object where the table's folder would be is no damage.
        if not place.log.is_there():
            return None
        raise


def schema_of(table: Any, place: Location) -> pa.Schema:
    """A table's columns in Arrow's types."""
    import pyarrow as pa

    with mapped(place.where, place.options):
        return pa.schema(table.schema().to_arrow())
