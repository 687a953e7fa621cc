"""The log of a run: objects numbered from 0 without a gap, each written only where nothing is yet.

The first says what begins, each further one holds the records of one or several appends, and the last one, if there is
one, ends the run. As each writer has to take the next number, all agree on one order, and nothing can be added behind
an end: a process that takes over a pipeline ends the runs of its predecessor by taking their next number, and a
predecessor that wakes up finds it taken.
"""

from __future__ import annotations

import logging
from itertools import groupby
from typing import TYPE_CHECKING, Any

import attrs

from odibi.contracts.storage import ABSENT
from odibi_objects import documents
from odibi_objects.names import backwards, below, forwards

if TYPE_CHECKING:
    from collections.abc import Iterator

    from odibi.contracts.storage import Stat, Storage
    from odibi_objects.crew import Crew

_log = logging.getLogger("odibi.checkpoint")

_KINDS = ("begin", "records", "end")


@attrs.frozen
class Extent:
    """What a listing tells of a log.

    Attributes:
        run_id: whose it is.
        first, last: numbers; the first is 0 unless the log is being removed.
        touched: when the last one was written, seconds since the epoch by the storage's clock.
    """

    run_id: str
    first: int
    last: int
    touched: float


@attrs.frozen
class Log:
    """The log of a run.

    Attributes:
        extent: what a listing told of it.
        begin: the content of its first object.
        batches: those of all objects with records; if only the ends were read, not all.
        end: that of its last object, if that ends the run.
    """

    extent: Extent
    begin: dict[str, Any]
    batches: tuple[dict[str, Any], ...]
    end: dict[str, Any] | None

    @property
    def run_id(self) -> str:
        """Whose it is."""
        return self.extent.run_id

    @property
    def pipeline(self) -> str:
        """The name of its pipeline."""
        return str(self.begin["pipeline"])

    @property
    def newest_stamp(self) -> int:
        """The newest that is in it."""
        return int((self.batches or (self.begin,))[-1]["stamp"])


class RunLogs:
    """Reads and writes the logs below a folder.

    Args:
        storage, prefix: where they are.
        crew: reads many objects at once.
    """

    def __init__(self, storage: Storage, prefix: str, crew: Crew) -> None:
        self._storage = storage
        self._root = below(prefix, "runs")
        self._crew = crew

    def path(self, run_id: str, number: int) -> str:
        """Of one object."""
        return f"{self._root}/{backwards(run_id)}/{number:08d}"

    def extent(self, run_id: str) -> Extent | None:
        """What there is of a log; ``None`` if nothing is. One request for each thousand objects."""
        return next(self._extents(self._storage.list(f"{self._root}/{backwards(run_id)}")), None)

    def extents(self) -> Iterator[Extent]:
        """Those of all logs, lazily, the newest run first."""
        return self._extents(self._storage.list(self._root))

    def take(self, run_id: str, number: int, data: bytes) -> bool:
        """Write an object where nothing is yet; false if something is."""
        return documents.swap(self._storage, self.path(run_id, number), data, ABSENT) is not None

    def object(self, run_id: str, number: int) -> dict[str, Any] | None:
        """One object; ``None`` if there is none, or a damaged one, of which a warning tells."""
        path = self.path(run_id, number)
        try:
            return documents.read(self._storage, path, *_KINDS)
        except documents.Damaged as error:
            _log.warning("a part of the journal of run %s is damaged, and is left out: %s", run_id, error)
            return {"kind": "damaged", "nonce": ""}

    def ends(self, extent: Extent) -> Log | None:
        """The first and the last object of a log; ``None`` if it is no log (any more). Two requests."""
        numbers = sorted({0, extent.last})
        return self._log(extent, [self.object(extent.run_id, number) for number in numbers])

    def load(self, run_id: str) -> Log | None:
        """A whole log; ``None`` if there is none."""
        extent = self.extent(run_id)
        if extent is None:
            return None
        numbers = range(extent.last + 1)
        return self._log(extent, list(self._crew.map(lambda number: self.object(run_id, number), numbers)))

    def end(self, run_id: str) -> dict[str, Any] | None:
        """What ended the run; ``None`` if nothing did. Two requests."""
        extent = self.extent(run_id)
        last = self.object(run_id, extent.last) if extent else None
        return last if last and last["kind"] == "end" else None

    def remove(self, run_id: str, crew: Crew | None = None) -> None:
        """Remove a log. Its beginning goes first: without one, nothing of it counts any more."""
        paths = [stat.path for stat in self._storage.list(f"{self._root}/{backwards(run_id)}")]
        for path in paths[:1]:
            self._storage.delete(path)
        if crew is not None:
            crew.do(self._storage.delete, paths[1:])
        else:
            for path in paths[1:]:
                self._storage.delete(path)

    def _log(self, extent: Extent, objects: list[dict[str, Any] | None]) -> Log | None:
        begin, end = objects[0], objects[-1]
        if begin is None or begin["kind"] == "end":
            return None
        if begin["kind"] != "begin":
            raise documents.Damaged(
                f"the beginning of run {extent.run_id} is damaged",
                where=self.path(extent.run_id, 0),
                remedy="Restore it from a copy, or remove what lies in its folder.",
            )
        batches = tuple(each for each in objects if each and each["kind"] in ("records", "end"))
        return Log(extent, begin, batches, end if end and end["kind"] == "end" else None)

    def _extents(self, stats: Iterator[Stat]) -> Iterator[Extent]:
        for turned, group in groupby(stats, key=lambda stat: stat.path[len(self._root) + 1 :].rpartition("/")[0]):
            run_id = forwards(turned)
            named = [(stat.path.rpartition("/")[2], stat) for stat in group]
            several = [(int(name), stat) for name, stat in named if len(name) == 8 and name.isdecimal()]
            if run_id is not None and several:
                yield Extent(run_id, several[0][0], several[-1][0], several[-1][1].modified)
