"""Delta tables to frames, by delta-rs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from odibi.errors import DataError, NotFound
from odibi_delta.bounds import may_be_meant
from odibi_delta.checks import check_columns
from odibi_delta.failures import mapped
from odibi_delta.location import Location, location_of
from odibi_delta.log import iso, missing
from odibi_delta.opening import opened, schema_of
from odibi_delta.options import DeltaOptions, moment
from odibi_delta.types import as_read

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from odibi.contracts import Bound
    from odibi.contracts.engine import Engine
    from odibi.contracts.format import Source

FEED_COLUMNS = ("_change_type", "_commit_version", "_commit_timestamp")

_PLAIN_FEATURES = frozenset({"timestampNtz", "vacuumProtocolCheck", "v2Checkpoint", "checkpointProtection"})
"""Features that mean nothing for the reading of data files."""


def read(source: Source, options: DeltaOptions, engine: Engine) -> Any:
    """The table at ``source``, or its changes, as a frame of the engine.

    Of the rows that ``source.after`` does not mean, some may be left out; the engine leaves out the others.
    """
    place = location_of(source)
    if options.change_data_feed:
        table = _changes(place, options)
    else:
        table = _rows(place, options, source.columns, source.after)
    if source.columns is not None:
        check_columns(source.columns, table.column_names, place.where)
        table = table.select(list(source.columns))
    return engine.from_arrow(table)


def pinned(place: Location, options: DeltaOptions) -> int | None:
    """The version that the options ask for; ``None`` for the newest.

    Raises:
        NotFound: there is no table.
        DataError: it has no such version.
    """
    if options.asked_version is not None:
        return place.log.check_version(options.asked_version)
    if options.timestamp is not None:
        return place.log.at(moment(options.timestamp))
    return None


def data_version(place: Location, options: DeltaOptions) -> str | None:
    """A text that changes whenever what would be read does; ``None`` if there is no table."""
    try:
        if not options.change_data_feed:
            return place.log.data_version(pinned(place, options))
        first, last = span(place, options)
        return f"{first}:{place.log.data_version(last)}"
    except (NotFound, DataError):  # reading it tells why
        return None


def _rows(place: Location, options: DeltaOptions, columns: Sequence[str] | None, after: Bound | None) -> pa.Table:
    table = opened(place, pinned(place, options))
    if columns is not None:
        check_columns(columns, schema_of(table, place).names, place.where)
    with mapped(place.where, place.options):
        return _load(table, columns, after)


def _load(table: Any, columns: Sequence[str] | None, after: Bound | None) -> pa.Table:
    """The rows in the order in which their files were written, where pyarrow can read these."""
    import pyarrow as pa
    from pyarrow.dataset import FileSystemDataset

    protocol = table.protocol()
    plain = protocol.min_reader_version == 1 or (
        protocol.min_reader_version == 3 and set(protocol.reader_features or ()) <= _PLAIN_FEATURES
    )
    wanted = list(dict.fromkeys(columns)) if columns is not None else None
    if not plain:
        return as_read(pa.table(table.scan(columns=wanted)))
    whole = table.to_pyarrow_dataset()
    added = pa.table(table.get_add_actions())
    written = dict(zip(added["path"].to_pylist(), added["modification_time"].to_pylist(), strict=True))
    files = sorted(whole.get_fragments(), key=lambda file: (written.get(file.path, 0), file.path))
    if not files:
        return _plain(whole.schema.empty_table(), wanted)
    ordered = FileSystemDataset(files, whole.schema, whole.format, whole.filesystem)
    meant = None if after is None else may_be_meant(whole.schema, after)
    return _plain(ordered.to_table(columns=wanted, filter=meant), wanted)


def _plain(table: pa.Table, columns: Sequence[str] | None) -> pa.Table:
    table = table.select(list(columns)) if columns is not None else table
    return as_read(table.replace_schema_metadata(None))


# --- the changes ----------------------------------------------------------------------------------------------------


def _changes(place: Location, options: DeltaOptions) -> pa.Table:
    import pyarrow as pa

    first, last = span(place, options)
    table = opened(place)
    with mapped(place.where, place.options):
        changes = as_read(pa.table(table.load_cdf(starting_version=first, ending_version=last)))
    number, time = (changes.schema.get_field_index(name) for name in FEED_COLUMNS[1:])
    changes = changes.set_column(number, FEED_COLUMNS[1], changes.column(number).cast(pa.int64()))
    moments = changes.column(time).cast(pa.timestamp("us"))
    changes = changes.set_column(time, FEED_COLUMNS[2], moments.cast(pa.timestamp("us", "UTC")))
    return changes.sort_by(FEED_COLUMNS[1])


def span(place: Location, options: DeltaOptions) -> tuple[int, int | None]:
    """The first version whose changes are read, and the last, if one is named."""
    log = place.log
    first, last = options.starting_version, options.ending_version
    if first is not None:
        log.check_version(first)
    if options.starting_timestamp is not None or options.ending_timestamp is not None:
        times = log.times()
        if not times:
            raise missing(place.storage, place.path, place.where)
        if options.starting_timestamp is not None:
            begin = moment(options.starting_timestamp)
            first = min((version for version, time in times.items() if time >= begin), default=None)
            if first is None:
                raise DataError(
                    f"nothing was committed at {iso(begin)} or later",
                    where=place.where,
                    remedy="Give an earlier starting_timestamp.",
                )
        if options.ending_timestamp is not None:
            last = log.at(moment(options.ending_timestamp))
    assert first is not None  # the options have a beginning
    if last is not None and last < first:
        raise DataError(
            f"the changes would end with version {last}, before they begin with version {first}",
            where=place.where,
            remedy="Give a later end.",
        )
    return first, min(last, log.latest()) if last is not None else None
