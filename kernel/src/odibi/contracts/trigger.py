"""Trigger: what starts runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from threading import Event


@attrs.frozen
class Batch:
    """Some data that arrived.

    Attributes:
        id: the same for the same data, also after a restart.
        offset: where the stream stands once this batch is consumed; JSON values only.
        payload: what the pipeline is run with; JSON values only. Files of a storage are said as :func:`payload_of`
            does, and are then all that a node reads whose ``read`` names the trigger as its ``stream``.
    """

    id: str
    offset: Any
    payload: Any


@attrs.frozen
class FileVersion:
    """One version of an object.

    Attributes:
        path: in the storage.
        etag: as :class:`~odibi.contracts.storage.Stat` has it.
        size: bytes.
    """

    path: str
    etag: str
    size: int


def payload_of(files: Iterable[FileVersion]) -> dict[str, Any]:
    """The payload of a batch that is files, in the order in which they are to be read.

    Raises:
        ValueError: there are none. Nothing has arrived then, and a node that reads nothing could not even tell which
            columns it has.
    """
    told = [attrs.asdict(file) for file in files]
    if not told:
        raise ValueError("a batch of files has at least one")
    return {"files": told}


def files_of(payload: Any) -> tuple[FileVersion, ...] | None:
    """The files that a payload says; ``None`` if it is about something else."""
    if not isinstance(payload, dict) or not isinstance(payload.get("files"), list):
        return None
    try:
        return tuple(FileVersion(str(it["path"]), str(it["etag"]), int(it["size"])) for it in payload["files"])
    except (KeyError, TypeError, ValueError):
        return None


@runtime_checkable
class Schedule(Protocol):
    """A trigger that knows its moments in advance.

    One whose next moment counts from the end of the run before, and not from its moment, has an attribute ``from_end``
    that is true; :meth:`next_after` is then asked about the end of the run. Without it, it is taken as false.
    """

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
    """A trigger that waits for data.

    One that can tell has a property ``at_rest``: whether it has looked, and all that was there then has been given; a
    file that is still being written has not. Without it, it is taken as true from the beginning of a poll on.
    """

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


class EventQueue(Protocol):
    """The events of a trigger that wait to be consumed, as one stream sees them. Kept by the service, durably."""

    def after(self, offset: int | None, limit: int) -> Sequence[tuple[int, Any]]:
        """Events behind an offset, in order: the number and the payload of each.

        Numbers grow, and an event that comes later never has a smaller one, whatever clocks show.

        Args:
            offset: the number of an event; ``None`` for what is there, from its beginning.
            limit: so many at most.
        """
        ...

    def wait(self, seconds: float, stop: Event) -> None:
        """Return when something may have come since :meth:`after` was last asked, or ``stop`` is set.

        Args:
            seconds: after which it returns in any case.
            stop: looked at several times a second.
        """
        ...


@runtime_checkable
class EventSource(TriggerSource, Protocol):
    """A trigger that is fired: by hand, from Python, or over HTTP. What it was fired with waits in a queue."""

    @property
    def signed(self) -> bool:
        """Whether it can tell who sends an event over HTTP; if not, none is taken there."""
        ...

    @property
    def max_bytes(self) -> int:
        """Of a payload as JSON, and of the body of a request, at most."""
        ...

    def attach(self, queue: EventQueue) -> None:
        """Take what :meth:`poll` gives from this queue; called once, before it."""
        ...

    def accept(self, body: bytes, headers: Mapping[str, str]) -> Any:
        """The payload, JSON values only, that a request over HTTP brings; may be called by many threads at once.

        Args:
            body: no longer than :attr:`max_bytes`.
            headers: of the request; their names in lower case.

        Raises:
            AccessDenied: the signature is missing, wrong or too old, or none can be checked.
            DataError: the body is no payload, or too large.
        """
        ...
