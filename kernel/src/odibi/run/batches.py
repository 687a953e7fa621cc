"""What a run makes of the batches that it consumes: files to read, values, offsets, and what goes on record."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import attrs

from odibi.contracts.trigger import Batch, files_of
from odibi.errors import ConfigError, DataError, Problem
from odibi.structure import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from odibi.contracts.checkpoint import CheckpointStore, RunRecord
    from odibi.contracts.trigger import FileVersion
    from odibi.model import Pipeline

_LOOKED_AT = 20
"""How many runs back an attempt at the same batches is looked for; other triggers' runs may lie between."""


def stream_of(pipeline: str, trigger: str) -> str:
    """The name under which a checkpoint store knows how far a pipeline has consumed what a trigger brings."""
    return f"{pipeline}/{trigger}"


def check_batches(batches: Mapping[str, Batch], triggers: Iterable[str]) -> None:
    """Check what a run is given to consume.

    Args:
        batches: trigger to batch.
        triggers: those of the project. A pipeline written in Python has none, and then any name will do.

    Raises:
        TypeError: something is no :class:`~odibi.contracts.trigger.Batch`.
        ConfigError: there is no such trigger.
    """
    known = tuple(triggers)
    for name, batch in batches.items():
        if not isinstance(batch, Batch):
            raise TypeError(f"the batch of '{name}' is to be an odibi.contracts.Batch, not a {type(batch).__name__}")
        if known and name not in known:
            raise ConfigError([Problem(f"there is no trigger '{name}'.", None, did_you_mean(name, known))])


def files_read(pipeline: Pipeline, batches: Mapping[str, Batch]) -> dict[str, tuple[FileVersion, ...]]:
    """Stream to the files of its batch, for the streams that nodes read; a batch without files narrows nothing.

    Raises:
        DataError: a batch has files, but not as :func:`odibi.contracts.trigger.payload_of` says them. Without knowing
            them, a node would read more than the batch.
    """
    found: dict[str, tuple[FileVersion, ...]] = {}
    for stream in {node.read.stream for node in pipeline.nodes if node.read is not None}.intersection(batches):
        batch = batches[stream]  # type: ignore[index]
        files = files_of(batch.payload)
        if files is not None:
            found[stream] = files  # type: ignore[index]
        elif isinstance(batch.payload, dict) and "files" in batch.payload:
            raise DataError(
                f"the files of batch '{batch.id}' are not said as a path, an etag and a size each",
                where=f"trigger '{stream}'",
                remedy="Make the payload with odibi.contracts.payload_of.",
            )
    return found


def offsets_of(pipeline: str, batches: Mapping[str, Batch]) -> dict[str, Any]:
    """Where the streams stand once the batches are consumed. A batch without an offset moves none."""
    moved = ((trigger, batch.offset) for trigger, batch in batches.items() if batch.offset is not None)
    return {stream_of(pipeline, trigger): offset for trigger, offset in moved}


def recorded_batches(batches: Mapping[str, Batch]) -> dict[str, Any]:
    """What a run's record says of the batches that it consumes."""
    return {name: {"id": it.id, "offset": it.offset, "payload": it.payload} for name, it in batches.items()}


def earlier_attempt(store: CheckpointStore, pipeline: str, batches: Mapping[str, Batch]) -> RunRecord | None:
    """The last run of a pipeline that had the same batches, whatever became of it."""
    if not batches:
        return None
    wanted = {name: batch.id for name, batch in batches.items()}
    for record in islice(store.runs(pipeline, limit=_LOOKED_AT), _LOOKED_AT):
        told = record.detail.get("batches") or {}
        if {name: each.get("id") for name, each in told.items()} == wanted:
            return record
    return None


def as_first_tried(record: RunRecord | None, batches: Mapping[str, Batch]) -> dict[str, Batch]:
    """The batches as an earlier run had them, where one has lost files since.

    Files that were replaced before the next attempt are left out of it. What the first attempt appended is there all
    the same, with their rows, and is not to be appended beside it: so results go by the files of the first attempt.
    """
    told = record.detail.get("batches") or {} if record is not None else {}
    found = dict(batches)
    for name, batch in batches.items():
        before = told.get(name) or {}
        files, then = files_of(batch.payload), files_of(before.get("payload"))
        if before.get("id") == batch.id and files is not None and then is not None and set(files) < set(then):
            found[name] = attrs.evolve(batch, payload=before["payload"])
    return found
