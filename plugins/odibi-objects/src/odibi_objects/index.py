"""The runs of each pipeline as a listing shows them: those that are open, and those that are done.

Two folders a pipeline. In ``open`` is an object for each run from before it begins until all of what it leaves behind
is in its place; there are few. In ``done`` is one for each run after that, with all of its record but the outcomes, the
state in its name. Names go backwards (see :mod:`odibi_objects.names`), so that the newest run comes first and the
number of older ones does not matter.
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
    from collections.abc import Iterator, Mapping

    from odibi.contracts.storage import Storage

_log = logging.getLogger("odibi.checkpoint")

_REMOVED = "-"


@attrs.frozen
class Done:
    """A run that is done.

    Attributes:
        run_id: whose.
        state: how it ended; empty if only the mark of its removal is left.
        removed: somebody is removing it, or was when killed.
        paths: of its objects.
    """

    run_id: str
    state: str
    removed: bool
    paths: tuple[str, ...]


class RunIndex:
    """Reads and writes the index below a folder.

    Pipelines are named by their keys; see :func:`odibi_objects.names.key_of`.

    Args:
        storage, prefix: where it is.
    """

    def __init__(self, storage: Storage, prefix: str) -> None:
        self._storage = storage
        self._root = below(prefix, "pipelines")

    def path(self, key: str, name: str) -> str:
        """The path of what belongs to a pipeline."""
        return f"{self._root}/{key}/{name}"

    def keys(self) -> list[str]:
        """All pipelines. Lists everything there is of every one."""
        found = (stat.path[len(self._root) + 1 :].partition("/")[0] for stat in self._storage.list(self._root))
        return [key for key, _ in groupby(found)]

    def open(self, key: str, run_id: str, content: Mapping[str, Any]) -> bool:
        """Make a run open; false if it is, under other content."""
        body = documents.encode("open", {"run": run_id, **content})
        return documents.swap(self._storage, self._open(key, run_id), body, ABSENT) is not None

    def close(self, key: str, run_id: str) -> None:
        """A run is open no more."""
        self._storage.delete(self._open(key, run_id))

    def opened(self, key: str) -> list[str]:
        """The open runs, the newest first. One request."""
        folder = self.path(key, "open")
        found = (forwards(stat.path[len(folder) + 1 :]) for stat in self._storage.list(folder))
        return [run_id for run_id in found if run_id is not None]

    def marker(self, key: str, run_id: str) -> dict[str, Any] | None:
        """What was said when the run was made open; ``None`` if it is open no more, or that is damaged."""
        try:
            return documents.read(self._storage, self._open(key, run_id), "open")
        except documents.Damaged as error:
            _log.warning("the mark of an open run is damaged: %s", error)
            return None

    def add(self, key: str, run_id: str, state: str, content: Mapping[str, Any]) -> None:
        """Make a run done; ``state`` is a word."""
        body = documents.encode("done", {"run": run_id, "state": state, **content})
        self._storage.write(self._done(key, run_id, state), body)

    def done(self, key: str) -> Iterator[Done]:
        """The runs that are done, lazily, the newest first. One request for each thousand."""
        folder = self.path(key, "done")
        named = ((stat.path, *stat.path[len(folder) + 1 :].rpartition(".")[::2]) for stat in self._storage.list(folder))
        for turned, group in groupby(named, key=lambda each: each[1]):
            run_id = forwards(turned)
            names = {name: path for path, _, name in group}
            if run_id is not None:
                removed = names.pop(_REMOVED, None)
                state = next(iter(names), "")
                paths = (*names.values(), *([removed] if removed else []))
                yield Done(run_id, state, removed is not None, paths)

    def record(self, done: Done) -> dict[str, Any] | None:
        """What is known of a run that is done; ``None`` if it was removed meanwhile, or that is damaged."""
        try:
            return documents.read(self._storage, done.paths[0], "done")
        except documents.Damaged as error:
            _log.warning("the record of run %s is damaged, and is left out: %s", done.run_id, error)
            return None

    def bury(self, key: str, run_id: str) -> None:
        """A run is gone for readers; whoever removes it goes on to remove what there is of it."""
        self._storage.write(self.path(key, f"done/{backwards(run_id)}.{_REMOVED}"), documents.encode("removed", {}))

    def forget(self, key: str, run_id: str, state: str) -> None:
        """Nothing is left of a run that was buried."""
        if state:
            self._storage.delete(self._done(key, run_id, state))
        self._storage.delete(self.path(key, f"done/{backwards(run_id)}.{_REMOVED}"))

    def _open(self, key: str, run_id: str) -> str:
        return self.path(key, f"open/{backwards(run_id)}")

    def _done(self, key: str, run_id: str, state: str) -> str:
        return self.path(key, f"done/{backwards(run_id)}.{state}")
