"""Files that were seen and not given yet, and when one of them counts as complete."""

from __future__ import annotations

import heapq
from collections import deque
from typing import TYPE_CHECKING, Literal

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from odibi.contracts.storage import Stat

Order = Literal["modified", "path"]


@attrs.define
class Seen:
    """A version of a file that was seen.

    Attributes:
        stat: what the storage says of it.
        first: when it was first seen, in seconds of a monotonic clock.
        last: when it was last.
        marker: when its marker was written, in the storage's seconds since the epoch; ``None`` without one.
    """

    stat: Stat
    first: float
    last: float
    marker: float | None = None


class Waiting:
    """Versions that were seen, by path; the last one of each.

    Args:
        settle: seconds for which a version must have been the same, from one look to another; 0 if a look is enough.
        marked: whether a marker must be there, as new as the file at least.
    """

    def __init__(self, *, settle: float = 0.0, marked: bool = False) -> None:
        self._settle, self._marked = settle, marked
        self._complete: dict[str, Seen] = {}
        self._others: dict[str, Seen] = {}
        self._due: deque[tuple[float, str, str]] = deque()

    def __contains__(self, path: object) -> bool:
        return path in self._complete or path in self._others

    def __len__(self) -> int:
        return len(self._complete) + len(self._others)

    @property
    def any_complete(self) -> bool:
        """Whether there is something to give."""
        return bool(self._complete)

    def saw(self, stat: Stat, now: float, marker: float | None = None) -> None:
        """The file was there just now; ``marker`` as in :class:`Seen`."""
        known = self._complete.get(stat.path) or self._others.get(stat.path)
        if known is None or known.stat.etag != stat.etag:
            self.drop(stat.path)
            known = Seen(stat, now, now)
            if self._settle:
                self._due.append((now + self._settle, stat.path, stat.etag))
        known.last, known.marker = now, marker
        self._sort(known)

    def saw_marker(self, path: str, written: float) -> None:
        """The file of this path has a marker, written at that time."""
        known = self._complete.get(path) or self._others.get(path)
        if known is not None:
            known.marker = written
            self._sort(known)

    def drop(self, path: str) -> None:
        """The file is gone, or given."""
        self._complete.pop(path, None)
        self._others.pop(path, None)

    def drop_unseen(self, since: float) -> None:
        """Drop what was not seen since then."""
        for there in (self._complete, self._others):
            for path in [path for path, seen in there.items() if seen.last < since]:
                del there[path]

    def next_due(self) -> float | None:
        """When the next file is to be looked at again, to see whether it is still the same."""
        while self._due:
            when, path, etag = self._due[0]
            known = self._others.get(path)
            if known is not None and known.stat.etag == etag:
                return when
            self._due.popleft()
        return None

    def due(self, now: float, most: int) -> list[str]:
        """Files to look at again now, no more than ``most``; each is told once."""
        found: list[str] = []
        while len(found) < most and (when := self.next_due()) is not None and when <= now:
            found.append(self._due.popleft()[1])
        return found

    def complete(self, most: int, order: Order) -> list[Seen]:
        """Those that count as complete, the first ones by ``order``, no more than ``most``."""
        key = _by_path if order == "path" else _by_time
        return heapq.nsmallest(most, self._complete.values(), key=key)

    def is_complete(self, seen: Seen) -> bool:
        """Whether this version still is the one to give."""
        return self._complete.get(seen.stat.path) is seen

    def all(self) -> Iterator[Seen]:
        """Each that was seen."""
        yield from self._complete.values()
        yield from self._others.values()

    def _sort(self, seen: Seen) -> None:
        path = seen.stat.path
        here, there = (self._complete, self._others) if self._counts(seen) else (self._others, self._complete)
        here[path] = seen
        there.pop(path, None)

    def _counts(self, seen: Seen) -> bool:
        if self._marked:
            return seen.marker is not None and seen.marker >= seen.stat.modified
        return seen.last - seen.first >= self._settle


def _by_time(seen: Seen) -> tuple[float, str]:
    return seen.stat.modified, seen.stat.path


def _by_path(seen: Seen) -> str:
    return seen.stat.path
