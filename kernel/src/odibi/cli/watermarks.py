"""Watermarks of incremental reads, as ``odibi streams`` shows and resets them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from odibi.contracts.checkpoint import CheckpointStore
    from odibi.model import Node, Project


def incremental_reads(project: Project) -> Iterator[tuple[str, Node]]:
    """The nodes that read only what is new, each after the name of its pipeline."""
    for pipeline in project.pipelines:
        for node in pipeline.nodes:
            if node.read is not None and node.read.incremental is not None:
                yield pipeline.name, node


def _offset(node: Node, told: Any) -> Any:
    from odibi.run.increments import is_masked

    upto = (told or {}).get("upto")
    return {**upto, "value": "***"} if upto is not None and is_masked(node) else upto


def watermark_rows(project: Project, store: CheckpointStore) -> list[dict[str, Any]]:
    """For each incremental read what ``streams`` says of a stream."""
    from odibi.run.increments import pin_of, watermark_of

    return [
        {
            "stream": f"{pipeline}/{node.name}",
            "type": "incremental",
            "state": "in flight" if store.offset(pin_of(pipeline, node.name)) is not None else "waiting",
            "offset": _offset(node, store.offset(watermark_of(pipeline, node.name))),
            "batch": None,
            "dead": 0,
        }
        for pipeline, node in incremental_reads(project)
    ]


def incremental_names(project: Project) -> dict[str, tuple[str, Node]]:
    """The incremental reads by their names, ``PIPELINE/NODE``; each with its pipeline and its node."""
    return {f"{pipeline}/{node.name}": (pipeline, node) for pipeline, node in incremental_reads(project)}


def watermark_shown(project: Project, store: CheckpointStore, stream: str) -> dict[str, Any]:
    """What ``streams show`` says of an incremental read.

    Args:
        project: has the read.
        store: knows how far it has come.
        stream: ``PIPELINE/NODE``.
    """
    from odibi.run.increments import pin_of, watermark_of

    pipeline, node = incremental_names(project)[stream]
    assert node.read is not None
    assert node.read.incremental is not None
    incremental = node.read.incremental
    told, pin = store.offset(watermark_of(pipeline, node.name)), store.offset(pin_of(pipeline, node.name))
    window = (told or {}).get("window") or {}
    return {
        "stream": stream,
        "type": "incremental",
        "state": "waiting" if pin is None else "in flight",
        "column": incremental.column,
        "offset": _offset(node, told),
        "in_flight": _offset(node, pin),
        "run": (pin or told or {}).get("run"),
        "lateness": None if incremental.lateness is None else str(incremental.lateness),
        "key": list(incremental.key),
        "keys": int(window.get("count", 0)),
    }


def reset_watermark(project: Project, store: CheckpointStore, stream: str) -> None:
    """Forget how far an incremental read has come: its next run reads all rows.

    Args:
        project: has the read.
        store: knows how far it has come.
        stream: ``PIPELINE/NODE``.

    Raises:
        Conflict: a run of its pipeline goes on.
    """
    from odibi.run.increments import pin_of, watermark_of

    pipeline, node = incremental_names(project)[stream]
    lock = store.lock(pipeline)
    try:
        store.move({watermark_of(pipeline, node.name): None, pin_of(pipeline, node.name): None}, lock=lock)
    finally:
        lock.release()
