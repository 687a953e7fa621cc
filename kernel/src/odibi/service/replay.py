"""Batches that were given up, and moments of the past: run once more, beside the stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from odibi.contracts.trigger import Batch
from odibi.errors import OdibiError
from odibi.service.attempt import failure_of, without_superseded
from odibi.service.jobs import batch_of
from odibi.service.misfires import moments

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from odibi.api import Pipeline
    from odibi.contracts.trigger import Schedule
    from odibi.service.streams import DeadLetter, Stream


def replayed(pipeline: Pipeline, stream: Stream, letter: DeadLetter) -> str:
    """Run a batch that was given up; it is forgotten in one transaction with the end of the run.

    Returns:
        Why it failed; empty if it succeeded.
    """
    key = stream.dead_key(letter.batch.id)
    left = without_superseded(pipeline, stream.trigger, attrs.evolve(letter.batch, offset=None))
    if left is None:
        stream.store.move({key: None})
        return ""
    result = pipeline.run(batches={stream.trigger: left}, offsets={key: None}, check=False)
    return failure_of(result)


def done_key(stream: Stream, batch: Batch) -> str:
    """Under which it is kept that a moment of the past was made up for."""
    return f"{stream.name}!backfill/{batch.id}"


def backfills(schedule: Schedule, begin: datetime, end: datetime) -> Iterator[Batch]:
    """The moments of a schedule from ``begin`` up to, and without, ``end``, as batches that move no stream."""
    from datetime import timedelta

    before = None
    for moment in moments(schedule, begin - timedelta(microseconds=1), end - timedelta(microseconds=1)):
        yield attrs.evolve(batch_of(moment, before), offset=None)
        before = moment


def backfill(pipeline: Pipeline, stream: Stream, batch: Batch, *, again: bool = False) -> str | None:
    """Run a pipeline for a moment of the past, unless that was done.

    Returns:
        Why it failed; empty if it succeeded; ``None`` if it was done before.
    """
    key = done_key(stream, batch)
    if not again and stream.store.offset(key):
        return None
    try:
        result = pipeline.run(batches={stream.trigger: batch}, offsets={key: True}, check=False)
    except OdibiError as error:
        return str(error)
    return failure_of(result)
