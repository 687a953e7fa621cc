"""``file_watch``: files that arrive in a connection, each complete version once."""

from __future__ import annotations

import math
import threading
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import attrs

from odibi import option
from odibi.contracts import amounts
from odibi.contracts.storage import Storage, check_path
from odibi.errors import InvalidPath

if TYPE_CHECKING:
    from collections.abc import Iterator
    from threading import Event

    from odibi.contracts.trigger import Batch
    from odibi_triggers.shelves import Shelf

SETTLE = 1.0
"""Seconds for which a file must be at rest, unless told otherwise, and the storage's etags need longer to change."""


def _path(text: str) -> str:
    try:
        return check_path(text)
    except InvalidPath as error:
        raise ValueError(str(error)) from None


def _seconds(given: float | str | None) -> float | None:
    return None if given is None else amounts.duration(given)


def _positive(_: object, field: attrs.Attribute[int], value: int) -> None:
    if value < 1:
        raise ValueError(f"{field.name}: {value} is too few; give 1 or more")


@attrs.define(eq=False)
class FileWatch:
    """Batches of files that arrive in a folder, or under a pattern, of a connection.

    What counts is a version of a file: its path and its etag. A file that is rewritten is given again, and one that was
    renamed is looked at under its new name as if it had just arrived. Each version that is complete is given once, and
    again only if the offset of its batch was not committed; one that is rewritten or removed before it was given is
    passed over.

    Where the connection is a local folder, the operating system tells of changes, and a file is given within some tens
    of milliseconds. Besides, and everywhere else, the files are listed now and then, so that nothing is missed that
    nobody told of. How it is known what was consumed, :mod:`odibi_triggers.ledger` says.
    """

    effects: ClassVar[tuple[str, ...]] = ("files",)

    connection: Storage = option(help="The connection in which files arrive.", connection=True)  # noqa: RUF009
    path: str = option(
        help="What to watch: an object, a folder, or a pattern such as in/**/*.csv, as for a read.", converter=_path
    )
    complete: Literal["stable", "rename", "marker"] = option(
        "stable",
        help="When a file counts as complete: when it does not change any more, as soon as it has its name, or when a "
        "marker is there.",
        validator=attrs.validators.in_(("stable", "rename", "marker")),
    )
    settle: float | str | None = option(
        None,
        help="For 'stable': for how long a file must not have changed; seconds, or with a unit. A second by default, "
        "or what the connection's etags need to tell two changes apart.",
        converter=_seconds,
    )
    marker: str | None = option(
        None, help="For 'marker': how the marker's name ends, behind the whole name of the file. '.done' by default."
    )
    interval: float | str | None = option(
        None,
        help="Time from one listing to the next. By default a minute where the system tells of changes and five "
        "seconds where it does not, and longer where listings take long.",
        converter=_seconds,
    )
    max_files: int = option(1000, help="How many files a batch has at most.", validator=_positive)
    order: Literal["modified", "path"] = option(
        "modified",
        help="In which order files that wait are given: by their time and then their path, or by path alone.",
        validator=attrs.validators.in_(("modified", "path")),
    )
    start: Literal["all", "new"] = option(
        "all",
        help="Whether files that are there at the very beginning are given, too.",
        validator=attrs.validators.in_(("all", "new")),
    )
    ledger: str = option(
        ".odibi/streams",
        help="The folder for what is known of consumed files.",
        is_path=True,
    )
    ledger_connection: Storage | None = option(  # noqa: RUF009
        None,
        help="A connection for the ledger in place of that folder, for a service that may go on on another machine.",
        connection=True,
    )
    ledger_prefix: str = option(
        "_odibi/streams", help="The folder of 'ledger_connection' for the ledger.", converter=_path
    )

    _open: list[tuple[Any, Any]] = attrs.field(factory=list, init=False, repr=False)
    _poll: Any = attrs.field(default=None, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if self.settle is not None and self.complete != "stable":
            raise ValueError(f"settle: a file counts by {self.complete!r}, so that nothing has to settle; leave it out")
        if self.marker is not None and self.complete != "marker":
            raise ValueError(f"marker: a file counts by {self.complete!r}; leave it out, or set complete: marker")
        if self.marker is not None and (not self.marker or "/" in self.marker):
            raise ValueError("marker: give the end of a name, such as '.done'")

    @property
    def at_rest(self) -> bool:
        """Whether what is there has been looked at, and nothing of it is still to be given."""
        return self._poll is not None and bool(self._poll.at_rest)

    def poll(self, offset: Any | None, stop: Event) -> Iterator[Batch]:
        """Batches of files that are not consumed at ``offset``.

        The payload is :func:`~odibi.contracts.trigger.payload_of` the files, the id a digest of it. It waits for a
        folder that is not there, and for a storage that does not answer.

        Args:
            offset: of the last batch that was committed.
            stop: ends it within a second; a request that the storage is answering is waited for.

        Raises:
            StorageError: the storage, or that of the ledger, refuses, and will go on doing so.
            LedgerDamaged: what was consumed cannot be known any more.
        """
        from odibi_triggers.completeness import Waiting
        from odibi_triggers.matching import Matcher
        from odibi_triggers.notices import Notices, folder_of, is_remote
        from odibi_triggers.watching import Poll, Wishes

        matcher, base = Matcher(self.path), folder_of(self.connection.uri(""))
        notices = None
        if base is not None and not is_remote(base):
            notices = Notices(base, base / matcher.folder)
        closed = threading.Event()
        marker = (self.marker or ".done") if self.complete == "marker" else None
        settle = self._settle() if self.complete == "stable" else 0.0
        wishes = Wishes(
            interval=self.interval,  # type: ignore[arg-type] # its converter has made a number of it
            max_files=self.max_files,
            order=self.order,
            marker=marker,
            only_new=self.start == "new",
        )
        opened = (closed, notices)
        self._open.append(opened)
        try:
            poll = self._poll = Poll(
                self.connection,
                matcher,
                wishes,
                waiting=Waiting(settle=settle, marked=marker is not None),
                shelf_of=self._shelf,
                name=self._ledger_name(),
                notices=notices,
                base=base,
                stop=stop,
                closed=closed,
            )
            yield from poll.batches(offset)
        finally:
            with suppress(ValueError):  # closed meanwhile
                self._open.remove(opened)
            if notices is not None:
                notices.close()

    def close(self) -> None:
        """Let go of what is watched; polls that go on come to their end."""
        polls, self._open = self._open, []
        for closed, notices in polls:
            closed.set()
            if notices is not None:
                notices.close()

    def _settle(self) -> float:
        if self.settle is not None:
            return float(self.settle)
        resolution = getattr(self.connection, "etag_resolution", 0.0)
        return max(SETTLE, resolution) if math.isfinite(resolution) else SETTLE

    def _ledger_name(self) -> str:
        """A name for the ledger of a stream that begins: one for the place and the path."""
        place = f"{self.connection.uri('')}\0{self.path}"
        return blake2b(place.encode("utf-8", "surrogateescape"), digest_size=12).hexdigest()

    def _shelf(self, name: str) -> Shelf:
        from odibi_triggers.shelves import FolderShelf, StorageShelf

        if self.ledger_connection is None:
            return FolderShelf(Path(self.ledger) / name)
        return StorageShelf(self.ledger_connection, f"{self.ledger_prefix}/{name}".lstrip("/"))
