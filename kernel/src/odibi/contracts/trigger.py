"""Trigger: what starts runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from threading import Event


@attrs.frozen
class Batch:
    """Some data that arrived.

    Attributes:
        id: the same for the same data, also after a restart.
        offset: where the stream stands once this batch is consumed; JSON values only.
        payload: what the pipeline is run with.
    """

    id: str
    offset: Any
    payload: Any


@runtime_checkable
class Schedule(Protocol):
    """A trigger that knows its moments in advance."""

    def next_after(self, moment: datetime) -> datetime | None:
        """The first fire strictly after ``moment``, or ``None`` if there is none.

        Pure: the same moment gives the same answer, whatever the zone it is told in. Both are aware of their time
        zone.

        Raises:
            ValueError: ``moment`` is not.
        """
        ...


@runtime_checkable
class TriggerSource(Protocol):
    """A trigger that waits for data."""

    def poll(self, offset: Any | None, stop: Event) -> Iterator[Batch]:
        """Batches after ``offset``, each at least once, in order, until ``stop`` is set.

        Args:
            offset: of the last batch whose run was committed; ``None`` at the very beginning.
            stop: set when the service wants the iterator to end; it does so within a second.
        """
        ...

    def close(self) -> None:
        """Let go of watches and connections; may be called twice."""
        ...
