"""CheckpointStore: the journals of runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


@attrs.frozen
class RunRecord:
    """What is known of one run.

    Attributes:
        run_id: sorts by time.
        pipeline: the pipeline's name.
        state: ``running``, ``succeeded``, ``failed``, ``cancelled``, or ``interrupted`` when its holder died.
        started, finished: seconds since the epoch, UTC.
        detail: what the run wrote at its begin: plan, plugin set, command.
        outcomes: the journal's records, in order.
    """

    run_id: str
    pipeline: str
    state: str
    started: float
    finished: float | None = None
    detail: Mapping[str, Any] = attrs.field(factory=dict)
    outcomes: Sequence[Mapping[str, Any]] = ()


class RunLock(Protocol):
    """The right to run one pipeline. It dies with its holder."""

    token: int
    """Grows with each holder; a holder whose token is no longer the newest cannot write."""

    def held(self) -> bool:
        """Whether it is still ours."""
        ...

    def release(self) -> None:
        """Give it back; may be called twice."""
        ...


@runtime_checkable
class CheckpointStore(Protocol):
    """Append-only journals, one a run, and the offsets of streams.

    Promises:
        * A record is durable when :meth:`append` returns; several appends may share one sync.
        * A record torn by a crash is dropped, never misread; those before it are whole.
        * A stream's offset commits in the same transaction as the end of the run that consumed it.
        * Two runs of one pipeline cannot both hold its lock; a lock dies with its holder; a holder that lost it
          cannot append (:class:`~odibi.errors.Conflict`).
        * Names are compared whole: ``etl`` never shows runs of ``etl_daily``.
    """

    def lock(self, pipeline: str, *, wait: float = 0.0) -> RunLock:
        """The pipeline's lock.

        Raises:
            Conflict: somebody else holds it, and still did after ``wait`` seconds; says who.
        """
        ...

    def begin(self, run_id: str, pipeline: str, detail: Mapping[str, Any], *, lock: RunLock | None = None) -> None:
        """Open a run's journal."""
        ...

    def append(self, run_id: str, record: Mapping[str, Any]) -> None:
        """Add one record (JSON values only) to the journal."""
        ...

    def finish(self, run_id: str, state: str, offsets: Mapping[str, Any] | None = None) -> None:
        """End a run, and move the offsets of the streams it consumed, in one transaction."""
        ...

    def load(self, run_id: str) -> RunRecord:
        """A run with its outcomes.

        Raises:
            NotFound: there is no such run.
        """
        ...

    def latest(self, pipeline: str, *, states: Sequence[str] = ()) -> RunRecord | None:
        """The newest run of the pipeline, with its outcomes; of those in ``states`` if any are given."""
        ...

    def runs(self, pipeline: str | None = None, *, limit: int | None = None) -> Iterator[RunRecord]:
        """Runs without their outcomes, newest first."""
        ...

    def prune(self, keep_last: int, pipeline: str | None = None) -> int:
        """Remove all but the newest ``keep_last`` finished runs of each pipeline; returns how many."""
        ...

    def offset(self, stream: str) -> Any | None:
        """How far a stream was consumed by finished runs; ``None`` if it never was."""
        ...

    def close(self) -> None:
        """Let go of what the store holds; may be called twice."""
        ...
