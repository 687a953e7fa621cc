"""Watermarks of incremental reads, as ``odibi streams`` shows and resets them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from odibi.contracts.checkpoint import CheckpointStore
    from odibi.model import Project


def incremental_reads(project: Project) -> Iterator[tuple[str, str]]:
    """The pipelines and nodes that read only what is new."""
    for pipeline in project.pipelines:
        for node in pipeline.nodes:
            if node.read is not None and node.read.incremental is not None:
                yield pipeline.name, node.name


def watermark_rows(project: Project, store: CheckpointStore) -> list[dict[str, Any]]:
    """For each incremental read what ``streams`` says of a stream."""
    from odibi.run.increments import pin_of, watermark_of

    return [
        {
            "stream": f"{pipeline}/{node}",
            "type": "incremental",
            "state": "in flight" if store.offset(pin_of(pipeline, node)) is not None else "waiting",
            "offset": (store.offset(watermark_of(pipeline, node)) or {}).get("upto"),
            "batch": None,
            "dead": 0,
        }
        for pipeline, node in incremental_reads(project)
    ]


def reset_watermark(project: Project, store: CheckpointStore, stream: str) -> bool:
    """Forget how far an incremental read has come: its next run reads all rows. Whether there is such a read.

    Raises:
        Conflict: a run of its pipeline goes on.
    """
    from odibi.run.increments import pin_of, watermark_of

    found = next((each for each in incremental_reads(project) if "/".join(each) == stream), None)
    if found is None:
        return False
    lock = store.lock(found[0])
    try:
        store.move({watermark_of(*found): None, pin_of(*found): None}, lock=lock)
    finally:
        lock.release()
    return True
