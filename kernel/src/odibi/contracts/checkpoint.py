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
        state: ``running``, ``succeeded``, ``failed``, ``cancelled``, or ``interrupted`` when it did not end and its
            lock is nobody's any more (its holder died, or gave it back); without a lock, when its process is gone.
        started, finished: seconds since the epoch, UTC; ``finished`` is ``None`` until it ended.
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
        """Whether it is still ours; asked before each publish."""
        ...

    def release(self) -> None:
        """Give it back; may be called twice."""
        ...


@runtime_checkable
class CheckpointStore(Protocol):
    """Append-only journals, one a run; the newest good result of each node; the offsets of streams.

    Promises:
        * Records are durable when :meth:`append` returns. Calls from several threads may share one sync, and the
          records of one call always do.
        * Records torn by a crash are dropped, never misread; those before them are whole. The records of one call are
          there all or none.
        * A stream's offset commits in the same transaction as the end of the run that consumed it.
        * Two runs of one pipeline cannot both hold its lock; a lock dies with its holder; a holder that lost it can
          neither :meth:`begin`, :meth:`append` nor :meth:`finish` (:class:`~odibi.errors.Conflict`).
        * Names are compared whole: ``etl`` never shows runs of ``etl_daily``.
        * The cost of a call does not grow with the number of earlier runs.
        * What cannot be written (the disk is full, say) is a :class:`~odibi.errors.StorageError`, and what was there
          stays.
    """

    def lock(self, pipeline: str, *, wait: float = 0.0) -> RunLock:
        """The pipeline's lock.

        Args:
            pipeline: any text.
            wait: seconds to wait for whoever holds it.

        Raises:
            Conflict: somebody else holds it, and still did after ``wait`` seconds; says who (process and host) and
                since when.
        """
        ...

    def begin(
        self,
        run_id: str,
        pipeline: str,
        detail: Mapping[str, Any],
        *,
        lock: RunLock | None = None,
        sync: bool = True,
    ) -> None:
        """Open a run's journal.

        Args:
            run_id: sorts by time.
            pipeline: its name.
            detail: JSON values.
            lock: the lock under which the run writes; without one, nobody is kept out.
            sync: durable when this returns; otherwise with the first :meth:`append` or :meth:`finish`.

        Raises:
            Conflict: there is a run of that id, or the lock was lost.
            TypeError, ValueError: ``detail`` is not JSON.
        """
        ...

    def append(self, run_id: str, records: Sequence[Mapping[str, Any]]) -> None:
        """Add records (JSON values only) to the journal, durably and all or none.

        A record that has ``node`` and ``fingerprint``, neither of them null, is that node's newest result, see
        :meth:`results`.

        Raises:
            NotFound: there is no such run.
            Conflict: it has ended, or its lock was lost.
            TypeError, ValueError: a record is not JSON.
        """
        ...

    def finish(
        self,
        run_id: str,
        state: str,
        offsets: Mapping[str, Any] | None = None,
        *,
        records: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """End a run, and move the offsets of the streams it consumed, in one transaction.

        Args:
            run_id: the run.
            state: ``succeeded``, ``failed`` or ``cancelled``. That a run was interrupted is found out, never said.
            offsets: stream to how far it is consumed now; a JSON value, or ``None`` for a stream that is to be
                forgotten.
            records: the last of the journal, as for :meth:`append`; they are there if the end is.

        Raises:
            ValueError: no run can end in ``state``.
            Conflict: the run has ended already, or its lock was lost.
        """
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

    def results(self, pipeline: str) -> Mapping[str, Mapping[str, Any]]:
        """Node to the record with a ``fingerprint`` that was appended last, whichever run is the newer one.

        Each record has one more key, ``run_id``. Not to be changed: the same may be handed out again. :meth:`prune`
        and :meth:`remove` leave these alone.
        """
        ...

    def forget(self, pipeline: str, nodes: Sequence[str] | None = None) -> None:
        """Drop :meth:`results` of these nodes, or of all."""
        ...

    def prune(self, keep_last: int, pipeline: str | None = None) -> int:
        """Remove all but the newest ``keep_last`` finished runs of each pipeline; returns how many.

        A run that was interrupted counts among the finished ones, save that the newest run of a pipeline, if it was
        interrupted, is kept beside those: it can be resumed. Runs that go on are never removed.

        Raises:
            ValueError: ``keep_last`` is below 0.
        """
        ...

    def remove(self, run_id: str) -> None:
        """Remove a run with its journal.

        Raises:
            NotFound: there is no such run.
            Conflict: it goes on.
        """
        ...

    def offset(self, stream: str) -> Any | None:
        """How far a stream was consumed by finished runs; ``None`` if it never was."""
        ...

    def offsets(self, prefix: str = "") -> Mapping[str, Any]:
        """The offsets of all streams whose name begins with ``prefix``, in the order of their names.

        The cost does not grow with other streams.
        """
        ...

    def move(self, offsets: Mapping[str, Any], *, lock: RunLock | None = None) -> None:
        """Move the offsets of streams outside of a run: all or none, and durable when this returns.

        Args:
            offsets: as for :meth:`finish`.
            lock: the right to do so; without one, nobody is kept out.

        Raises:
            Conflict: the lock was lost.
            TypeError, ValueError: an offset is not JSON.
        """
        ...

    def close(self) -> None:
        """Let go of what the store holds; may be called twice."""
        ...
