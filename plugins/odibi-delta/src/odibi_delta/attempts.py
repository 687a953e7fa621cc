"""What a write decides before and between its attempts, whichever engine carries them out."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from odibi.contracts.format import WriteMode, WriteReport
from odibi.errors import Conflict, DataError
from odibi_delta.log import foreign

if TYPE_CHECKING:
    from collections.abc import Callable

    from odibi_delta.location import Location

TRIES = 50
"""How often a write decides anew. Each time that it loses, another writer has won: all come to an end."""

_LONGEST = 0.5
"""Seconds before it does, at most."""

KEYED = (WriteMode.APPEND_ONCE, WriteMode.UPSERT)
FIRST_ONLY = (WriteMode.ERROR, WriteMode.IGNORE)


class Lost(Exception):
    """Another writer was faster."""


def until_won(attempt: Callable[[], WriteReport], where: str) -> WriteReport:
    """What an attempt reports, made as often as others are faster.

    Raises:
        Conflict: they always were.
    """
    for number in range(TRIES):
        try:
            return attempt()
        except Lost:
            # Not in step with the others who lost.
            time.sleep(random.uniform(0, min(_LONGEST, 0.01 * 2**number)))  # noqa: S311 - no secret
    raise Conflict(
        f"others committed to the table each time that this was to; given up after {TRIES} times",
        where=where,
        remedy="Let fewer nodes write to it at the same time.",
    )


def beside_others(place: Location, mode: WriteMode) -> WriteReport | None:
    """The report of a write that has nothing to do, where there is no table, but perhaps something else.

    Raises:
        DataError: something is there, and must not be.
    """
    other = foreign(place.storage, place.path)
    if other is None:
        return None
    if mode in FIRST_ONLY:
        return refused(place, mode, f"there is something already: {other}")
    raise DataError(
        f"there are objects that belong to no Delta table, such as {other}",
        where=place.where,
        remedy="Write to another path, or remove them first.",
    )


def refused(place: Location, mode: WriteMode, what: str) -> WriteReport:
    """What becomes of a write that wants nothing to be there.

    Raises:
        DataError: the mode is no ``ignore``.
    """
    if mode is WriteMode.IGNORE:
        return nothing(place)
    raise DataError(what, where=place.where, remedy="Choose another path, or mode overwrite or append.")


def nothing(place: Location) -> WriteReport:
    """The report of a write that did nothing."""
    return WriteReport(rows=0, bytes=0, skipped=True, version=place.log.data_version() or "")
