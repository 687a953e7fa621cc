"""Delta tables to frames of Spark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from odibi_delta.checks import check_columns
from odibi_delta.reading import pinned, span
from odibi_delta.snapshot import snapshot
from odibi_delta.spark_failures import no_feed, told
from odibi_delta.spark_places import address, place_of, quoted, settings

if TYPE_CHECKING:
    from odibi.contracts.engine import Engine
    from odibi.contracts.format import Source
    from odibi_delta.location import Location
    from odibi_delta.options import DeltaOptions


def read(source: Source, options: DeltaOptions, engine: Engine) -> Any:
    """The table at ``source``, or its changes, as a frame that Spark has yet to compute.

    It is of one version, also if it is computed several times and others commit meanwhile.
    """
    place = place_of(source)
    if options.change_data_feed:
        first, last = span(place, options)
        _check_feed(place, first)
        which = {"readChangeFeed": "true", "startingVersion": str(first)}
        which["endingVersion"] = str(place.log.latest() if last is None else last)
    else:
        version = pinned(place, options)
        which = {"versionAsOf": str(place.log.latest() if version is None else version)}
    spark: Any = getattr(engine, "native")  # noqa: B009 - what engines that work elsewhere offer beside the contract
    with told(place.where, place.options):
        frame = spark.read.format("delta").options(**settings(place), **which).load(address(place))
        columns = frame.columns
        if source.columns is None:
            return frame
        check_columns(source.columns, columns, place.where)
        return frame.select(*(frame[quoted(name)] for name in source.columns))


def _check_feed(place: Location, first: int) -> None:
    """Refuse to read changes that the table does not keep: Spark would only say so when it computes the frame.

    Raises:
        DataError: it does not.
    """
    there = snapshot(place.log)
    if there is not None and there.properties.get("delta.enableChangeDataFeed", "").lower() != "true":
        raise no_feed(place.where, first)
