"""One poll of a watched place: what is told of changes, listings now and then, and the batches that come of them."""

from __future__ import annotations

import json
import logging
import os
import time
from hashlib import blake2b
from typing import TYPE_CHECKING

import attrs

from odibi.contracts.trigger import Batch, FileVersion, payload_of
from odibi.errors import InvalidPath, NotFound, Transient
from odibi_triggers.ledger import Ledger, key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from threading import Event

    from odibi.contracts.storage import Stat, Storage
    from odibi_triggers.completeness import Order, Waiting
    from odibi_triggers.matching import Matcher
    from odibi_triggers.notices import Notices
    from odibi_triggers.shelves import Shelf

_log = logging.getLogger("odibi.trigger")

WATCHED, UNWATCHED = 60.0, 5.0
"""Seconds between two listings, unless told otherwise: where changes are told, and where they are not."""

SHARE_WATCHED, SHARE = 200.0, 10.0
"""So many times as long as a listing took is the pause after it, at least; so it takes a small part of the time."""

SLICE = 0.02
"""Seconds of a listing between two looks at what was told, so that a large folder delays nothing."""

FRESH = 0.05
"""Seconds after which a local file is looked at once more before it is given."""

BURST = 4000
"""Changes told at once after which a listing follows: the system's queue holds 16,384, and drops the rest."""

SOON = 1.0
"""Seconds after which a folder that appeared is listed again: it is watched a moment after it was told of."""

LONGEST_WAIT = 0.5
"""Seconds after which the poll sees that it is to stop, at the latest."""

BACKOFF = (1.0, 30.0)
"""Seconds until a storage that did not answer is asked again: at first, and at most."""

_AT_ONCE = 500
"""How many files are looked at before the poll sees whether it is to stop."""

_ONE_BY_ONE = 32
"""How many files of a storage that is not local are looked at one by one; for more, one listing is cheaper."""


@attrs.frozen
class Wishes:
    """What a watch was told to do, as :class:`~odibi_triggers.file_watch.FileWatch` has it.

    Attributes:
        interval: seconds between listings; ``None`` for as often as is good.
        max_files, order: of a batch.
        marker: how the names of markers end; ``None`` without markers.
        only_new: whether what is there at the very beginning counts as consumed.
    """

    interval: float | None
    max_files: int
    order: Order
    marker: str | None
    only_new: bool


@attrs.define
class _Ended:
    """Whether the poll is to end: the service says so, or the component is closed."""

    stop: Event
    closed: Event

    def is_set(self) -> bool:
        return self.stop.is_set() or self.closed.is_set()


class Poll:
    """One poll.

    Args:
        storage: what is watched.
        matcher: which of its objects are meant.
        wishes: of the user.
        waiting: empty; decides when a file is complete.
        shelf_of: the shelf of a ledger's name.
        name: of the ledger, should there be none yet.
        notices: of changes; ``None`` where nobody tells.
        base: the storage's folder, if it is local.
        stop: of the service.
        closed: of the component.
    """

    def __init__(
        self,
        storage: Storage,
        matcher: Matcher,
        wishes: Wishes,
        *,
        waiting: Waiting,
        shelf_of: Callable[[str], Shelf],
        name: str,
        notices: Notices | None,
        base: Path | None,
        stop: Event,
        closed: Event,
    ) -> None:
        self._storage, self._matcher, self._wishes, self._waiting = storage, matcher, wishes, waiting
        self._shelf_of, self._name, self._notices, self._base = shelf_of, name, notices, base
        self._below = "" if base is None else f"{str(base).rstrip('/')}/"
        self._stop, self._ended = stop, _Ended(stop, closed)
        self._ledger = Ledger(shelf_of, name)
        self._listing: _Listing | None = None
        self._listed = False  # whether one listing came to its end
        self._at_rest = False  # as of the last look; told, as another thread cannot look at several things at once
        self._next_listing = self._looked_at_place = self._retry = float("-inf")
        self._relooks: list[tuple[float, str]] = []
        self._backoff = 0.0

    def batches(self, offset: object | None) -> Iterator[Batch]:
        """What comes after ``offset``, until the poll is to end.

        Raises:
            StorageError: the storage, or the ledger's, refuses; not if that may pass.
            LedgerDamaged: what was consumed is not known.
        """
        if self._ended.is_set():
            return
        begins = offset is None and self._wishes.only_new
        if offset is not None:
            self._ledger = Ledger(self._shelf_of, self._name, offset)
        elif begins and (known := Ledger.beginning(self._shelf_of, self._name)) is not None:
            self._ledger, begins = known, False
        self._ledger.sweep()
        while not self._ended.is_set():
            self._turn()
            if begins and self._listed:
                self._begin()
                begins = False
            if self._listed:
                yield from self._give()
            waits = self._waiting.any_complete or self._waiting.next_due() is not None
            self._at_rest = self._listed and self._listing is None and not waits and not self._backoff

    @property
    def at_rest(self) -> bool:
        """Whether all was listed, and nothing of it is still to be given; true again only once more was asked for."""
        return self._at_rest

    # --- looking ----------------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        """Look at what has changed, wait for it, and go on with a listing."""
        now = time.monotonic()
        if self._notices is not None and now - self._looked_at_place >= SOON:
            self._renew(now)
        if self._listing is None and now >= max(self._next_listing, self._retry):
            self._listing = _Listing(self._all(), now)
        if self._listing is None:
            self._hear(self._seconds_to_wait(now))
        elif self._listed:
            self._hear(0.0)
        self._look_again(time.monotonic())
        if self._listing is not None:
            self._go_on(self._listing)

    def _renew(self, now: float) -> None:
        self._looked_at_place = now
        if self._notices is not None and self._notices.renew():
            self._list_soon()

    def _list_soon(self) -> None:
        """List anew, also if a listing goes on, which may have passed by what is meant already."""
        self._next_listing = float("-inf")
        if self._listing is not None:
            self._listing.again = True

    def _seconds_to_wait(self, now: float) -> float:
        moments = [max(self._next_listing, self._retry), now + LONGEST_WAIT]
        due = self._waiting.next_due()
        moments += [] if due is None else [max(due, self._retry)]
        moments += [when for when, _ in self._relooks]
        moments += [max(now, self._retry)] if self._waiting.any_complete else []
        return max(0.0, min(moments) - now)

    def _hear(self, seconds: float) -> None:
        """Wait for changes, and look at them."""
        if self._notices is None or not self._notices.work:
            if seconds:
                self._stop.wait(seconds)
            return
        changes = self._notices.wait(seconds, self._ended)
        if not changes:
            return
        if len(changes) > BURST:
            self._list_soon()
        if not self._notices.tell_all:
            self._renew(time.monotonic())
        told: dict[str, bool] = {}
        for change in changes:
            path = change.path.removeprefix(self._below)
            told[path] = told.get(path, False) or change.is_new
        for path, is_new in told.items():
            if self._ended.is_set() or time.monotonic() < self._retry:
                return  # in the second case the listing to come sees it
            self._changed(path, is_new)

    def _changed(self, path: str, is_new: bool) -> None:
        marker = self._wishes.marker
        if marker is not None and path.endswith(marker):
            path = path[: -len(marker)]
        if is_new and self._matcher.may_hold(path) and self._base and os.path.isdir(self._base / path):  # noqa: PTH112
            self._relooks.append((time.monotonic() + SOON, path))
            self._look_into(path)
        elif self._matcher.means(path):
            self._asking(lambda: self._look_at(path))

    def _look_again(self, now: float) -> None:
        """At files that may be at rest now, and at folders that appeared a moment ago."""
        if now < self._retry:
            return
        due = self._waiting.due(now, _AT_ONCE)
        if len(due) > _ONE_BY_ONE and self._base is None:
            self._list_soon()
            due = []
        for path in due:
            if not self._asking(lambda path=path: self._look_at(path)):  # type: ignore[misc]
                return  # and the listing to come looks at the rest
        relooks, self._relooks = self._relooks, []
        for when, path in relooks:
            if when <= now:
                self._look_into(path)
            else:
                self._relooks.append((when, path))

    def _look_at(self, path: str) -> None:
        """At one file, and at its marker."""
        try:
            stat = self._storage.stat(path)
        except (NotFound, InvalidPath):
            self._waiting.drop(path)
            return
        self._saw(stat, self._marker_of(path))

    def _look_into(self, folder: str) -> None:
        def look() -> None:
            for stat in self._storage.list(folder):
                if self._ended.is_set():
                    return
                if self._is_data(stat.path):
                    self._saw(stat, self._marker_of(stat.path))

        self._asking(look)

    def _marker_of(self, path: str) -> float | None:
        if self._wishes.marker is None:
            return None
        try:
            return self._storage.stat(path + self._wishes.marker).modified
        except (NotFound, InvalidPath):
            return None

    def _is_data(self, path: str) -> bool:
        marker = self._wishes.marker
        return self._matcher.means(path) and not (marker is not None and path.endswith(marker))

    def _saw(self, stat: Stat, marker: float | None) -> bytes | None:
        """Note a file that is there; its key, if it was consumed."""
        key = key_of(stat.path, stat.etag)
        if key in self._ledger:
            self._waiting.drop(stat.path)
            return key
        self._waiting.saw(stat, time.monotonic(), marker)
        return None

    # --- listing ----------------------------------------------------------------------------------------------------

    def _all(self) -> Iterator[Stat]:
        """What lies where the watch looks; the storage is asked as late as something is taken."""
        yield from self._storage.list(self._matcher.folder)

    def _go_on(self, listing: _Listing) -> None:
        """A slice of a listing; all of it where nobody is kept waiting by that."""
        until = time.monotonic() + SLICE

        def look() -> None:
            for stat in listing.stats:
                self._listed_one(stat, listing)
                if time.monotonic() >= until or self._ended.is_set():
                    return
            self._end_listing(listing)

        if not self._asking(look):
            self._listing = None

    def _listed_one(self, stat: Stat, listing: _Listing) -> None:
        marker = self._wishes.marker
        if marker is not None and stat.path.endswith(marker):
            self._waiting.saw_marker(stat.path[: -len(marker)], stat.modified)  # a file is listed before its marker
        elif self._matcher.means(stat.path):
            key = self._saw(stat, None)
            if key is not None:
                listing.consumed.add(key)

    def _end_listing(self, listing: _Listing) -> None:
        if self._wishes.marker is not None and self._matcher.path in self._waiting:
            self._look_at(self._matcher.path)  # its marker lies beside what was listed
        now = time.monotonic()
        self._waiting.drop_unseen(listing.begun)
        self._ledger.forget(listing.consumed)
        self._ledger.tidy()
        told = self._notices is not None and self._notices.tell_all
        share = SHARE_WATCHED if told and self._wishes.interval is None else SHARE
        pause = max(self._wishes.interval or (WATCHED if told else UNWATCHED), share * (now - listing.begun))
        self._next_listing = now if listing.again else now + pause
        self._listing, self._listed = None, True
        if self._backoff:
            _log.info("the watched storage answers again")
            self._backoff = 0.0

    def _asking(self, ask: Callable[[], None]) -> bool:
        """Ask the storage; one that does not answer is asked again later, by a listing; whether it answered."""
        try:
            ask()
        except Transient as error:
            if not self._backoff:
                _log.warning("the watched storage does not answer; it is asked again until it does: %s", error)
            self._backoff = min(max(BACKOFF[0], 2 * self._backoff), BACKOFF[1])
            self._retry = time.monotonic() + self._backoff
            self._list_soon()
            return False
        return True

    # --- giving -----------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """What is there at the very beginning counts as consumed; what has no marker yet is still to come."""
        there = self._waiting.complete(len(self._waiting), "path") if self._wishes.marker else list(self._waiting.all())
        self._ledger.begin_at(key_of(seen.stat.path, seen.stat.etag) for seen in there)
        for seen in there:
            self._waiting.drop(seen.stat.path)

    def _give(self) -> Iterator[Batch]:
        heard = time.monotonic()
        while self._waiting.any_complete and not self._ended.is_set():
            now = time.monotonic()
            if now - heard > SOON or (self._base is None and (self._listing or now >= self._next_listing)):
                return  # look at what has changed meanwhile
            files = self._take()
            if not files:
                return
            self._ledger.add(key_of(file.path, file.etag) for file in files)
            self._at_rest = False
            yield Batch(id_of(files), self._ledger.offset(), payload_of(files))

    def _take(self) -> list[FileVersion]:
        """The next batch; without what is gone or rewritten since it was seen, whose new version comes later."""
        taken = self._waiting.complete(self._wishes.max_files, self._wishes.order)
        if self._base is not None:
            now = time.monotonic()
            for seen in [seen for seen in taken if now - seen.last > FRESH]:
                if self._ended.is_set() or not self._asking(lambda path=seen.stat.path: self._look_at(path)):  # type: ignore[misc]
                    return []
            taken = [seen for seen in taken if self._waiting.is_complete(seen)]
        for seen in taken:
            self._waiting.drop(seen.stat.path)
        return [FileVersion(seen.stat.path, seen.stat.etag, seen.stat.size) for seen in taken]


@attrs.define
class _Listing:
    """A listing that goes on.

    Attributes:
        stats: what is left of it.
        begun: when it began, in seconds of the monotonic clock.
        consumed: the keys of versions that it has shown and that were consumed before.
        again: whether another one is to follow at once.
    """

    stats: Iterator[Stat]
    begun: float
    consumed: set[bytes] = attrs.field(factory=set)
    again: bool = False


def id_of(files: Sequence[FileVersion]) -> str:
    """The id of a batch: a digest of the versions in it, in their order."""
    told = json.dumps([[file.path, file.etag, file.size] for file in files])
    return blake2b(told.encode("ascii"), digest_size=16).hexdigest()
