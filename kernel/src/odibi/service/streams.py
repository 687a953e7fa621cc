"""Streams: how far a pipeline has consumed what a trigger says, which batch is in flight, and which were given up.

All of it are offsets in the checkpoint store, so that it moves in one transaction, with the end of the run that it is
about where there is one:

``PIPELINE/TRIGGER``
    How far. Moved by the run that consumed the batch.
``PIPELINE/TRIGGER!batch``
    The batch in flight, written before its first run begins and forgotten by the run that consumes it. So after a crash
    the very same batch is run again, and not what its files would be gathered to by then.
``PIPELINE/TRIGGER!dead/ID``
    A batch that was given up, with the error.
``!paused/PIPELINE/TRIGGER``
    That nothing is to be started.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from odibi.contracts.trigger import Batch
from odibi.errors import NotFound
from odibi.run.batches import stream_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from odibi.contracts.checkpoint import CheckpointStore, RunLock

PAUSED = "!paused/"
"""What the names begin with under which it is kept that streams are paused."""

DEATHS = 3
"""So many times a batch may take the process with it before it is given up, besides the attempts that failed."""


@attrs.frozen
class InFlight:
    """A batch that was begun.

    Attributes:
        batch: the batch.
        attempts: how often a run of it was begun.
        failures: how many of these runs failed.
        error: why the last one did.
    """

    batch: Batch
    attempts: int = 0
    failures: int = 0
    error: str = ""

    @property
    def deaths(self) -> int:
        """How many attempts ended without a word: the process died."""
        return self.attempts - self.failures

    def data(self) -> dict[str, Any]:
        """As JSON values."""
        return {**attrs.asdict(self.batch), "attempts": self.attempts, "failures": self.failures, "error": self.error}


@attrs.frozen
class DeadLetter:
    """A batch that was given up.

    Attributes:
        batch: the batch.
        error: why.
        attempts: how often it was tried.
        time: when it was given up; seconds since the epoch, UTC.
        run_id: its last run; empty if none is known.
    """

    batch: Batch
    error: str
    attempts: int
    time: float
    run_id: str = ""


@attrs.frozen
class Stream:
    """One pipeline's use of one trigger.

    Args:
        store: where all of it is kept.
        pipeline, trigger: their names.
    """

    store: CheckpointStore
    pipeline: str
    trigger: str

    @property
    def name(self) -> str:
        """The stream's, under which its offset is kept."""
        return stream_of(self.pipeline, self.trigger)

    @property
    def batch_key(self) -> str:
        """Under which the batch in flight is kept."""
        return f"{self.name}!batch"

    def offset(self) -> Any | None:
        """How far it is consumed; ``None`` if nothing was."""
        return self.store.offset(self.name)

    def in_flight(self) -> InFlight | None:
        """The batch that was begun and not consumed."""
        return _in_flight(self.store.offset(self.batch_key))

    def begin(self, batch: InFlight, lock: RunLock | None = None) -> InFlight:
        """Note one more attempt at a batch, before it begins."""
        begun = attrs.evolve(batch, attempts=batch.attempts + 1)
        self.store.move({self.batch_key: begun.data()}, lock=lock)
        return begun

    def note(self, batch: InFlight, lock: RunLock | None = None) -> None:
        """Note what became of an attempt."""
        self.store.move({self.batch_key: batch.data()}, lock=lock)

    def pass_over(self, batch: Batch, lock: RunLock | None = None) -> None:
        """Take a batch for consumed without a run."""
        self.store.move({self.name: batch.offset, self.batch_key: None}, lock=lock)

    def bury(self, dead: DeadLetter, lock: RunLock | None = None) -> None:
        """Give a batch up: it is kept for people to look at, and the stream goes on behind it."""
        letter = {"error": dead.error, "attempts": dead.attempts, "time": dead.time, "run_id": dead.run_id}
        moved = {
            self.name: dead.batch.offset,
            self.batch_key: None,
            self.dead_key(dead.batch.id): {**attrs.asdict(dead.batch), **letter},
        }
        self.store.move(moved, lock=lock)

    def dead_key(self, batch_id: str) -> str:
        """Under which a batch that was given up is kept."""
        return f"{self.name}!dead/{batch_id}"

    def dead(self) -> Iterator[DeadLetter]:
        """The batches that were given up, the oldest first."""
        letters = [_letter(value) for value in self.store.offsets(f"{self.name}!dead/").values()]
        yield from sorted(letters, key=lambda letter: (letter.time, letter.batch.id))

    def letter(self, batch_id: str) -> DeadLetter:
        """One of them.

        Raises:
            NotFound: there is none of that id.
        """
        found = self.store.offset(self.dead_key(batch_id))
        if found is None:
            raise NotFound(f"no batch {batch_id!r} was given up", where=f"stream '{self.name}'",
                           remedy=f"odibi streams show {self.name} lists them.")  # fmt: skip
        return _letter(found)

    @property
    def paused(self) -> bool:
        """Whether nothing is to be started."""
        return bool(self.store.offset(f"{PAUSED}{self.name}"))

    def pause(self, *, paused: bool = True) -> None:
        """Let nothing be started any more; or again."""
        self.store.move({f"{PAUSED}{self.name}": True if paused else None})

    def reset(self, offset: Any | None = None, lock: RunLock | None = None) -> None:
        """Forget how far it is consumed, and the batch in flight; or let it go on behind an offset."""
        self.store.move({self.name: offset, self.batch_key: None}, lock=lock)


def _in_flight(found: Mapping[str, Any] | None) -> InFlight | None:
    if found is None:
        return None
    return InFlight(_batch(found), int(found["attempts"]), int(found["failures"]), str(found.get("error", "")))


def _letter(found: Mapping[str, Any]) -> DeadLetter:
    return DeadLetter(
        _batch(found), str(found["error"]), int(found["attempts"]), float(found["time"]), str(found.get("run_id", ""))
    )


def _batch(found: Mapping[str, Any]) -> Batch:
    return Batch(str(found["id"]), found["offset"], found["payload"])
