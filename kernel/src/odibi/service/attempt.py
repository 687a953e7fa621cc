"""One attempt at a batch: a run of its pipeline, and what that means for the batch."""

from __future__ import annotations

import logging
from enum import Enum
from typing import TYPE_CHECKING

import attrs

from odibi.contracts.trigger import files_of, payload_of
from odibi.errors import Conflict, NotFound, OdibiError
from odibi.run.retry import causes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from odibi.api import Pipeline
    from odibi.contracts.checkpoint import RunLock
    from odibi.contracts.observer import Observer
    from odibi.contracts.trigger import Batch
    from odibi.run.handle import RunHandle
    from odibi.run.result import RunResult
    from odibi.service.streams import InFlight, Stream

_log = logging.getLogger("odibi.service")


_NO_THREAD = (RuntimeError, "can't start new thread")
"""What Python says where the system has no more of them; there is no class of error for it."""


class Verdict(str, Enum):
    """What an attempt means for its batch."""

    CONSUMED = "consumed"
    """It is done, and the stream stands behind it."""
    FAILED = "failed"
    """Its run failed, or could not be begun, of something that would come again each time."""
    PUT_OFF = "put_off"
    """It could not be run, of something that passes by itself; the batch is not to blame."""
    CANCELLED = "cancelled"
    """Its run was stopped."""


@attrs.frozen
class Attempt:
    """What came of an attempt.

    Attributes:
        verdict: what it means.
        error: why it was not consumed.
        run_id: the run; empty if none was begun.
    """

    verdict: Verdict
    error: str = ""
    run_id: str = ""


def attempt(
    stream: Stream,
    batch: InFlight,
    pipeline: Pipeline,
    observers: Sequence[Observer],
    started: Callable[[RunHandle], None],
    lock: RunLock | None = None,
) -> Attempt:
    """Run the pipeline for a batch.

    Args:
        stream: whose batch it is.
        batch: noted as begun.
        pipeline: consumes it.
        observers: told every event of the run.
        started: called with the run once it goes on.
        lock: the right to move the stream without a run.
    """
    try:
        left = without_superseded(pipeline, stream.trigger, batch.batch)
        if left is None:
            _log.warning("%s: nothing is left of batch %s", stream.name, batch.batch.id)
            stream.pass_over(batch.batch, lock)
            return Attempt(Verdict.CONSUMED)
        offsets = {stream.batch_key: None}
        if stream.trigger in pipeline.loaded.project.triggers:
            handle = pipeline.start(batches={stream.trigger: left}, offsets=offsets, observers=observers)
        else:  # other pipelines, which bring nothing but that they are done
            handle = pipeline.start(offsets={**offsets, stream.name: left.offset}, observers=observers)
    except OdibiError as error:
        return _not_begun(error, str(error))
    except Exception as error:
        _log.exception("%s: the run could not be begun", stream.name)
        return _not_begun(error, f"{type(error).__name__}: {error}")
    started(handle)
    try:
        result = handle.result()
    except OdibiError as error:  # what ends a run without a result is the journal's or the executor's, not a node's
        return Attempt(Verdict.PUT_OFF, str(error), handle.run_id)
    return _of(result)


def _not_begun(error: Exception, said: str) -> Attempt:
    """What an error means that kept a run from beginning: one that lasts counts, or it would be tried for ever."""
    passing = _passes(error) or any(map(_wants_room, causes(error)))
    return Attempt(Verdict.PUT_OFF if passing else Verdict.FAILED, said)


def _wants_room(error: BaseException) -> bool:
    """Whether the machine has no more memory, or threads, at present."""
    return isinstance(error, MemoryError) or (type(error), str(error)) == _NO_THREAD


def _of(result: RunResult) -> Attempt:
    if result.ok:
        return Attempt(Verdict.CONSUMED, run_id=result.run_id)
    if result.state == "cancelled":
        return Attempt(Verdict.CANCELLED, "cancelled", result.run_id)
    errors = _errors(result)
    passing = bool(errors) and all(map(_passes, errors.values()))
    return Attempt(Verdict.PUT_OFF if passing else Verdict.FAILED, failure_of(result), result.run_id)


def failure_of(result: RunResult) -> str:
    """Why a run did not succeed, in words; empty if it did."""
    if result.ok:
        return ""
    said = "; ".join(_told(name, str(error)) for name, error in _errors(result).items())
    return said or f"run {result.run_id} {'was cancelled' if result.state == 'cancelled' else 'failed'}"


def _told(node: str, error: str) -> str:
    return error if error.startswith(f"node '{node}'") else f"node '{node}': {error}"


def _errors(result: RunResult) -> dict[str, BaseException]:
    """What failed nodes raised, those aside whose failure the run ignores."""
    outcomes = result.outcomes.items()
    return {name: it.error for name, it in outcomes if it.error is not None and name not in result.ignored}


def _passes(error: BaseException) -> bool:
    """Whether an error says of itself that it is none of the data's: a storage that is not there, a file replaced.

    A component or a step that fails of such a thing wraps it; the cause decides.
    """
    return any(
        bool(getattr(each, "retryable", False)) or isinstance(each, Conflict | ConnectionError | TimeoutError)
        for each in causes(error)
    )


def without_superseded(pipeline: Pipeline, trigger: str, batch: Batch) -> Batch | None:
    """The batch without files that are gone or have been rewritten since; ``None`` if none is left.

    A newer version of a file comes in a batch of its own; the older one is nowhere any more.

    Raises:
        StorageError: the storage cannot be asked.
    """
    files = files_of(batch.payload)
    read = next((node.read for node in pipeline.model.nodes if node.read and node.read.stream == trigger), None)
    if not files or read is None:
        return batch
    resources = pipeline.loaded.resources()
    try:
        storage = resources.storage(read.connection)
        left = []
        for file in files:
            try:
                if storage.stat(file.path).etag == file.etag:
                    left.append(file)
                    continue
            except NotFound:
                pass
            _log.info("%s of a batch of %s is gone or has been rewritten", file.path, trigger)
    finally:
        resources.close()
    if not left:
        return None
    return batch if len(left) == len(files) else attrs.evolve(batch, payload={**batch.payload, **payload_of(left)})
