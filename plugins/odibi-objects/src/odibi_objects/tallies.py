"""What the users of a cache count, and when they last used which entry.

Object stores keep no time of access, and an object a hit would double the cost of one. So each user counts in memory
and writes its tally to an object of its own now and then, and when it closes; whoever needs the sums reads them all.
What a killed process had not written is lost: its counts, and the order in which it used entries in its last minutes.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import attrs

from odibi.errors import StorageError
from odibi_objects import documents

if TYPE_CHECKING:
    from collections.abc import Collection

    from odibi.contracts.storage import Storage
    from odibi_objects.clock import Clock
    from odibi_objects.crew import Crew

_log = logging.getLogger("odibi.cache")

_SHIFT = 6 * 3600.0
"""Seconds after which a user goes on under a new name, so that no object that changes still is ever an old one."""

_OLD = 24 * 3600.0
"""Seconds after which the tally of a user that said no good-bye is taken for its last."""

_MANY = 16
"""Finished tallies that are worth adding up."""

_SUM = "sum"


@attrs.frozen
class Sums:
    """What all users did.

    Attributes:
        counts: by what is counted.
        used: when each key was last used, as far as anybody said.
    """

    counts: Counter[str]
    used: dict[str, float]


class Tallies:
    """The tally of one user, and the sums of all.

    Args:
        storage, folder: where they are.
        clock: tells the time.
        crew: reads many.
        every: seconds between two writes of the tally; 0 for at once.
    """

    def __init__(self, storage: Storage, folder: str, clock: Clock, crew: Crew, every: float) -> None:
        self._storage = storage
        self._folder = folder
        self._clock = clock
        self._crew = crew
        self._every = every
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._written: Counter[str] = Counter()
        self._used: dict[str, float] = {}
        self._name = uuid4().hex
        self._begun: float | None = None
        self._unwritten: float | None = None

    def count(self, what: str, by: int = 1) -> None:
        """Count something."""
        with self._lock:
            self._counts[what] += by
            self._note()

    def use(self, key: str) -> None:
        """Note that an entry was used just now."""
        with self._lock:
            self._used[key] = self._clock.time()
            self._note()

    def last_used(self, key: str) -> float:
        """When this user last used an entry; 0 if it did not."""
        return self._used.get(key, 0.0)

    def tick(self) -> None:
        """Write the tally, if it is time to. One that cannot be written costs nothing but the order of eviction."""
        since = self._unwritten
        if since is not None and self._clock.monotonic() - since >= self._every:
            with suppress(StorageError):
                self.flush()

    def flush(self, *, last: bool = False) -> None:
        """Write the tally.

        Args:
            last: its user closes.

        Raises:
            StorageError: it cannot be written.
        """
        with self._writing:
            with self._lock:
                since = self._unwritten
                if since is None:
                    return
                if self._begun is None or self._clock.monotonic() - self._begun >= _SHIFT:
                    self._begin()
                counts, used = Counter(self._counts), dict(self._used)
                self._unwritten = None
            body = documents.encode("tally", {"counts": counts, "used": used, "last": last})
            try:
                self._storage.write(f"{self._folder}/{self._name}", body)
            except BaseException:
                with self._lock:
                    self._unwritten = since
                raise
            with self._lock:
                self._written = counts
                if last:
                    self._begin()
                    self._begun = None

    def sums(self) -> Sums:
        """What all users did, as far as they wrote it."""
        tallies, total = self._others()
        with self._lock:
            counts, used = Counter(self._counts), dict(self._used)
        return _add(Sums(counts, used), total, tallies)

    def add_up(self, keys: Collection[str]) -> None:
        """Put the tallies of users that are gone into one object.

        Args:
            keys: of the entries that there are; nobody asks for the others any more.
        """
        tallies, _ = self._others()
        over = {name: tally for name, (tally, old) in tallies.items() if tally["last"] or old}
        if len(over) < _MANY:
            return
        now = self._clock.time()

        def added(total: dict[str, Any] | None) -> dict[str, Any]:
            known = {n: t for n, t in (total or {}).get("of", {}).items() if t > now - _OLD}
            left = {name: (tally, True) for name, tally in over.items() if name not in known}
            sums = _add(Sums(Counter(), {}), total, left)
            used = {key: moment for key, moment in sums.used.items() if key in keys}
            return {"counts": sums.counts, "used": used, "of": {**known, **dict.fromkeys(over, now)}}

        documents.change(self._storage, f"{self._folder}/{_SUM}", "sum", added)
        self._crew.do(self._storage.delete, [f"{self._folder}/{name}" for name in over])

    def _note(self) -> None:
        if self._unwritten is None:
            self._unwritten = self._clock.monotonic()

    def _begin(self) -> None:
        """Go on under a new name, with what is not yet written under the old one."""
        self._name = uuid4().hex
        self._begun = self._clock.monotonic()
        self._counts -= self._written
        self._written = Counter()

    def _others(self) -> tuple[dict[str, tuple[dict[str, Any], bool]], dict[str, Any] | None]:
        stats = list(self._storage.list(self._folder))
        found = self._crew.map(lambda stat: self._read(stat.path), stats)
        tallies: dict[str, tuple[dict[str, Any], bool]] = {}
        total: dict[str, Any] | None = None
        for stat, tally in zip(stats, found, strict=True):
            name = stat.path.rpartition("/")[2]
            if tally is None or name == self._name:
                continue
            if tally["kind"] == "sum":
                total = tally
            else:
                tallies[name] = (tally, stat.modified < self._clock.time() - _OLD)
        for name in (total or {}).get("of", {}):
            tallies.pop(name, None)
        return tallies, total

    def _read(self, path: str) -> dict[str, Any] | None:
        try:
            return documents.read(self._storage, path, "tally", "sum")
        except documents.Damaged as error:
            _log.warning("the counts of a user of the cache are left out: %s", error)
            return None


def _add(sums: Sums, total: dict[str, Any] | None, tallies: dict[str, tuple[dict[str, Any], bool]]) -> Sums:
    counts, used = Counter(sums.counts), dict(sums.used)
    for each in [*([total] if total else []), *(tally for tally, _ in tallies.values())]:
        counts.update(each["counts"])
        for key, moment in each["used"].items():
            used[key] = max(moment, used.get(key, 0.0))
    return Sums(counts, used)
