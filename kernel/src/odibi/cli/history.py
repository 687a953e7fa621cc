"""Runs of the past, as a project's checkpoint store tells of them."""

from __future__ import annotations

import re
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from odibi.contracts.executor import State
from odibi.errors import NotFound, OdibiError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from odibi.api import LoadedProject
    from odibi.contracts.checkpoint import CheckpointStore, RunRecord

_LAST = re.compile(r"last(?:~(\d{1,9}))?")

UNFINISHED = "unfinished"
"""The state of a node that was to run, and of which nothing was recorded."""

_MOST_NAMES = 5
_FARTHEST = 100
"""Runs that are looked into for the result that a later one reused."""


@contextmanager
def opened_store(loaded: LoadedProject) -> Iterator[CheckpointStore]:
    """The project's checkpoint store, for a ``with`` block.

    Raises:
        OdibiError: the project has none.
    """
    resources = loaded.resources()
    try:
        store = resources.checkpoints()
        if store is None:
            raise OdibiError(
                "the project has no checkpoint store, so no run is recorded",
                where=f"project '{loaded.project.name}'",
                remedy="Add 'checkpoints: sqlite' to the project file.",
            )
        yield store
    finally:
        resources.close()


def find_run(store: CheckpointStore, given: str, pipeline: str | None = None) -> RunRecord:
    """A run, without its outcomes.

    Args:
        store: where it is recorded.
        given: its id, or so much of its beginning that no other fits; ``last`` for the newest, ``last~1`` for the one
            before it, and so on.
        pipeline: look among the runs of this one.

    Raises:
        NotFound: no run fits.
        OdibiError: several do.
    """
    of = f" of pipeline '{pipeline}'" if pipeline is not None else ""
    more = f" --pipeline {pipeline}" if pipeline is not None else ""
    if relative := _LAST.fullmatch(given):
        back = int(relative[1] or 0)
        newest = list(islice(store.runs(pipeline, limit=back + 1), back + 1))
        if not newest:
            raise NotFound(f"no run{of} is recorded yet", remedy="Run it: odibi run")
        if len(newest) <= back:
            remedy = f"See them with: odibi runs ls{more}"
            raise NotFound(f"there is no run '{given}'{of}: {len(newest)} are recorded", remedy=remedy)
        return newest[back]
    fitting = []
    for record in store.runs(pipeline):
        if record.run_id == given:
            return record
        if given and record.run_id.startswith(given):
            fitting.append(record)
    if not fitting:
        raise NotFound(f"there is no run '{given}'{of}", remedy=f"See the runs with: odibi runs ls{more}")
    if len(fitting) > 1:
        names = ", ".join(record.run_id for record in fitting[:_MOST_NAMES])
        rest = f" and {len(fitting) - _MOST_NAMES} more" if len(fitting) > _MOST_NAMES else ""
        raise OdibiError(f"'{given}' may be any of {len(fitting)} runs: {names}{rest}", remedy="Give more of the id.")
    return fitting[0]


def resumed_by(record: RunRecord) -> str:
    """The id of the run that this one went on with; empty if none."""
    chain = record.detail.get("resumes") or ()
    return str(chain[-1]) if chain else ""


class NodeRecord(NamedTuple):
    """What a journal says of one node.

    Attributes:
        node: its name.
        state: of :class:`odibi.contracts.executor.State`, or ``unfinished``.
        seconds: how long it took; ``None`` if it did not run.
        rows: of its result; ``None`` where that is not known.
        reason: why it ran, or why it did not.
        error: why it failed.
        record: all that the journal has; of a node that was not run, of the run whose result was taken.
    """

    node: str
    state: str
    seconds: float | None
    rows: int | None
    reason: str
    error: str
    record: Mapping[str, Any]


def nodes_of(run: RunRecord) -> dict[str, NodeRecord]:
    """What became of each node that a run was about, by name.

    Args:
        run: with its outcomes.
    """
    ran: Mapping[str, str] = run.detail.get("run") or {}
    found = {node: NodeRecord(node, UNFINISHED, None, None, reason, "", {}) for node, reason in ran.items()}
    kept: dict[str, str] = {}
    for record in run.outcomes:
        for state, names in (record.get("kept") or {}).items():
            kept.update(dict.fromkeys(names, state))
        name = record.get("node")
        if name is None:
            continue
        written = record.get("write") or {}
        rows = record["rows"] if record.get("rows") is not None else written.get("rows")
        reason = str(record.get("reason") or ran.get(name, ""))
        found[name] = NodeRecord(
            name,
            str(record.get("state", UNFINISHED)),
            record.get("seconds"),
            rows,
            reason,
            str(record.get("error", "")),
            record,
        )
    for name, state in kept.items():
        # A node that did not run may have a record all the same: its earlier result, put down anew.
        again = found.get(name)
        rows = again.rows if again is not None else None
        found[name] = NodeRecord(name, state, None, rows, "", "", again.record if again is not None else {})
    return found


def with_reused(store: CheckpointStore, run: RunRecord) -> dict[str, NodeRecord]:
    """As :func:`nodes_of`, with the records of the results that the run took from earlier ones."""
    found = nodes_of(run)
    missing = {name for name, node in found.items() if _is_kept(node.state) and not node.record.get("fingerprint")}
    if not missing:
        return found
    for name, result in store.results(run.pipeline).items():
        # The newest result is the one that was taken, unless it is newer than the run.
        if name in missing and str(result.get("run_id", "")) <= run.run_id:
            found[name] = found[name]._replace(record=result, rows=result.get("rows"))
            missing.discard(name)
    older = (each.run_id for each in store.runs(run.pipeline) if each.run_id < run.run_id) if missing else ()
    for run_id in list(islice(older, _FARTHEST)):
        for record in store.load(run_id).outcomes if missing else ():
            each = str(record.get("node"))
            if each in missing and "fingerprint" in record:
                found[each] = found[each]._replace(record=record, rows=record.get("rows"))
                missing.discard(each)
    return found


def _is_kept(state: str) -> bool:
    return state in (State.REUSED.value, State.RESTORED.value)
