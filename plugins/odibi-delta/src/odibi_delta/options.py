"""The options of ``format: delta``, the same on every engine."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal

import attrs

from odibi import option
from odibi.contracts.format import WriteMode
from odibi.errors import DataError

LEAST_RETENTION = 168
"""Hours. Files that were removed from a table more recently may still be read, or be part of a write under way."""


def moment(text: str) -> datetime:
    """The moment that an ISO text names; one without a zone is taken as UTC.

    Raises:
        ValueError: it names none.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no moment: write it as in 2026-01-31T12:00:00Z") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _moment(_: Any, __: Any, value: str | None) -> None:
    if value is not None:
        moment(value)


def _at_least(least: int) -> Any:
    def check(_: Any, attribute: attrs.Attribute[Any], value: int | None) -> None:
        if value is not None and value < least:
            raise ValueError(f"{attribute.name} must be {least} or more")

    return check


def _words(properties: Mapping[str, Any]) -> Mapping[str, str]:
    """Properties as Delta stores them: all of them text."""
    return {
        str(name): str(value).lower() if isinstance(value, bool) else str(value) for name, value in properties.items()
    }


@attrs.frozen
class DeltaOptions:
    """What can be said about reading and writing a Delta table."""

    capabilities: ClassVar[Mapping[str, str]] = {
        "chunks": "partial: a table is read whole and then cut, and written as one",
        "version": "full",
    }
    effects: ClassVar[tuple[str, ...]] = ("files", "network")
    extensions: ClassVar[tuple[str, ...]] = (".delta",)

    _version: int | None = option(  # the format has a method of that name
        None, help="Read the table as it was at this version.", only="read", validator=_at_least(0)
    )
    timestamp: str | None = option(
        None,
        help="Read the table as it was at this moment, such as 2026-01-31T12:00:00Z; UTC if it names no zone.",
        only="read",
        validator=_moment,
    )
    change_data_feed: bool = option(
        False,
        help="Read the rows that changed instead of those there are; adds _change_type, _commit_version and"
        " _commit_timestamp. The table must have delta.enableChangeDataFeed.",
        only="read",
    )
    starting_version: int | None = option(
        None, help="Of change_data_feed: the first version whose changes are read.", only="read", validator=_at_least(0)
    )
    ending_version: int | None = option(
        None, help="Of change_data_feed: the last version, by default the newest.", only="read", validator=_at_least(0)
    )
    starting_timestamp: str | None = option(
        None, help="Of change_data_feed: changes committed at this moment or later.", only="read", validator=_moment
    )
    ending_timestamp: str | None = option(
        None, help="Of change_data_feed: changes committed at this moment or before.", only="read", validator=_moment
    )
    schema_mode: Literal["none", "merge", "overwrite"] = option(
        "none",
        help="What becomes of a table whose columns are not the frame's: it is an error, the new columns are added, or"
        " (in mode overwrite) the frame's columns take the place of the table's.",
        only="write",
    )
    target_file_size: int | None = option(
        None, help="Bytes that a file of the table has at most, about.", only="write", validator=_at_least(1)
    )
    configuration: Mapping[str, Any] = option(
        factory=dict,
        help="Properties that the table gets, such as delta.enableChangeDataFeed: true.",
        only="write",
        converter=_words,
    )
    description: str | None = option(None, help="What the table is, for people; kept in the table.", only="write")
    optimize: tuple[str, ...] | bool = option(
        False,
        help="Put small files together after the write; columns instead of true also sort the rows by them (z-order).",
        only="write",
    )
    vacuum_hours: int | None = option(
        None,
        help="After the write, remove files that have not been part of the table for so many hours; 168 at least.",
        only="write",
        validator=_at_least(LEAST_RETENTION),
    )

    def __attrs_post_init__(self) -> None:
        if self._version is not None and self.timestamp is not None:
            raise ValueError("give version or timestamp, not both")
        starts = (self.starting_version, self.starting_timestamp)
        ends = (self.ending_version, self.ending_timestamp)
        if not self.change_data_feed:
            if any(each is not None for each in starts + ends):
                raise ValueError("starting_... and ending_... say which changes are read: add change_data_feed: true")
            return
        if self._version is not None or self.timestamp is not None:
            raise ValueError("change_data_feed reads several versions: give starting_version or starting_timestamp")
        if (starts[0] is None) == (starts[1] is None):
            raise ValueError("change_data_feed needs a beginning: give either starting_version or starting_timestamp")
        if ends[0] is not None and ends[1] is not None:
            raise ValueError("give ending_version or ending_timestamp, not both")

    @property
    def asked_version(self) -> int | None:
        """The option ``version``."""
        return self._version

    def check_mode(self, mode: WriteMode, where: str) -> None:
        """Refuse what does not go together with the mode.

        Raises:
            DataError: the columns of a table are to be replaced, and its rows are not.
        """
        if self.schema_mode == "overwrite" and mode is not WriteMode.OVERWRITE:
            raise DataError(
                f"schema_mode overwrite replaces the table's columns, but mode {mode.value} keeps its rows",
                where=where,
                remedy="Use schema_mode: merge to add columns, or mode: overwrite.",
            )
