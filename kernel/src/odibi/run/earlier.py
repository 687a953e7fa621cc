"""What earlier runs of a pipeline left behind: results in a journal, values in a cache, and what they wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

from odibi.contracts.format import WriteMode
from odibi.errors import StorageError
from odibi.model import Read
from odibi.sources import stats

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from odibi.contracts.cache import Cache
    from odibi.contracts.checkpoint import CheckpointStore, RunRecord
    from odibi.model import Node, Pipeline, Write
    from odibi.reuse import Result
    from odibi.run.resources import Resources

UNFINISHED = ("interrupted", "failed", "cancelled")
"""States of runs that can be resumed."""


class EarlierRuns:
    """What :class:`odibi.reuse.Earlier` promises.

    Args:
        pipeline: whose runs.
        resources: builds the stores and connections.
        use_cache: whether what is kept in the cache counts.
        resumed: the run to go on with.
    """

    def __init__(
        self, pipeline: Pipeline, resources: Resources, *, use_cache: bool = True, resumed: RunRecord | None = None
    ) -> None:
        self._pipeline = pipeline
        self._resources = resources
        self._cache: Cache | None = resources.cache() if use_cache else None
        store: CheckpointStore | None = resources.checkpoints()
        self.results: Mapping[str, Result] = store.results(pipeline.name) if store is not None else {}
        self.resumed = resumed
        self.chain: Collection[str] = ()
        self.root = ""
        if resumed is not None:
            self.chain = (*resumed.detail.get("resumes", ()), resumed.run_id)
            self.root = str(resumed.detail.get("root", resumed.run_id))

    def checked(self) -> dict[str, Mapping[str, list[str]]]:
        """For sources whose etags could not be relied on: what their content was."""
        found: dict[str, Mapping[str, list[str]]] = {}
        for node in self._pipeline.nodes:
            result = self.results.get(node.name)
            if result is not None and "checked" in result and node.read is not None:
                found[f"{node.read.connection}:{node.read.path}"] = result["checked"]
        return found

    def held(self, values: Collection[str]) -> Collection[str]:
        """Those of these results that the cache holds."""
        return self._cache.find(values) if self._cache is not None else ()

    def intact(self, node: Node, result: Result) -> str:
        """Why what the node wrote does not count any more; empty if it is still there, untouched."""
        write, written = node.write, result.get("write") or {}
        if write is None or write.path is None:
            return ""
        etags: Mapping[str, str] = written.get("etags", {})
        place = f"{write.connection}:{write.path}"
        try:
            if written.get("version"):
                return self._same_table(node, write, written["version"], place)
            storage = self._resources.storage(write.connection)
            if len(etags) == 1:
                path, etag = next(iter(etags.items()))
                return "" if storage.stat(path).etag == etag else f"{place} was changed by somebody else"
            there = {stat.path: stat.etag for stat in stats(storage, write.path)}
        except StorageError:
            return f"{place} is not there any more"
        if not there:
            return f"{place} is not there any more"
        if any(there.get(path) != etag for path, etag in etags.items()):
            return f"{place} was changed by somebody else"
        if write.mode is WriteMode.OVERWRITE and etags and len(there) != len(etags):
            return f"{place} holds objects of somebody else"
        return ""

    def _same_table(self, node: Node, write: Write, version: str, place: str) -> str:
        """The same for a table that knows its version: rows that others add beside ours do not matter."""
        read = Read(write.connection, write.path, format=write.format)
        engine = node.engine or self._pipeline.engine or self._resources.project.engine or ""
        found = self._resources.table_version(read, engine)
        if not found:
            return f"{place} is not there any more"
        if write.mode is WriteMode.OVERWRITE and found != version:
            return f"{place} was changed by somebody else"
        return ""

    def readable(self, node: Node, result: Result) -> bool:
        """Whether what the node wrote gives back its result as it was."""
        written = result.get("write") or {}
        return node.write is not None and bool(written.get("exact")) and not node.write.options


def to_resume(store: CheckpointStore, pipeline: str, wanted: str | bool, *, automatic: bool) -> RunRecord | None:
    """The run that is to be resumed, if any.

    Args:
        store: where runs are recorded.
        pipeline: its name.
        wanted: a run's id; ``True`` for the last run, if that did not succeed.
        automatic: whether the last run is resumed unasked if it was interrupted.

    Raises:
        NotFound: there is no run of that id, or none of this pipeline.
    """
    if isinstance(wanted, str):
        from odibi.errors import NotFound

        record = store.load(wanted)
        if record.pipeline != pipeline:
            raise NotFound(
                f"the run is one of pipeline '{record.pipeline}', not of '{pipeline}'",
                where=wanted,
                remedy=f"See odibi runs ls --pipeline {pipeline}.",
            )
        return record
    if not wanted and not automatic:
        return None
    newest = next(iter(store.runs(pipeline, limit=1)), None)
    if newest is None or newest.state not in (UNFINISHED if wanted else ("interrupted",)):
        return None
    return newest
