"""Observer: watches runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

import attrs

if TYPE_CHECKING:
    from pathlib import Path

    from odibi.events import Event


NOTICE: Final = 25
"""The level, of those of :mod:`logging`, at which a plugin logs what whoever runs a command should see though nothing
is wrong: between information, which commands do not show unasked, and warnings."""


@attrs.frozen
class PlannedNode:
    """What a run meant to do with one node; all text in it is scrubbed.

    Attributes:
        name: the node's.
        depends_on: its inputs, in order; also names that no node makes, whose values the run was handed.
        action: ``run``, ``reuse`` or ``restore``.
        reason: why, in words.
        definition: the node as a project file would say it, without what is left at its default; JSON values.
        engine: whose frames it works on; ``None`` if it has none.
        reads, writes: ``connection:path`` or its like; empty if it does neither.
        sensitive: columns whose values must not show; ``True`` for all.
        fingerprint: the digest that stands for its work; empty in a run that knows nothing of earlier ones.
        parts: what went into the fingerprint, by name (``definition``, ``code``, ...), each with a short digest.
        source: what is known of the objects it reads (``digest``, ``objects``, ``bytes``, ``newest`` in seconds since
            the epoch); empty if nothing is.
        estimate: seconds it took last time; 0 where that is not known.
    """

    name: str
    depends_on: tuple[str, ...]
    action: str
    reason: str
    definition: Mapping[str, Any]
    engine: str | None = None
    reads: str = ""
    writes: str = ""
    sensitive: bool | tuple[str, ...] = False
    fingerprint: str = ""
    parts: Mapping[str, str] = attrs.field(factory=dict)
    source: Mapping[str, Any] = attrs.field(factory=dict)
    estimate: float = 0.0


class RunFacts(Protocol):
    """What a run is about, for observers that tell people of it. Nothing of it is worked out before somebody asks."""

    @property
    def root(self) -> Path | None:
        """The project's folder."""
        ...

    @property
    def files(self) -> Sequence[Path]:
        """What the project was read from; the project file first."""
        ...

    @property
    def command(self) -> Sequence[str]:
        """The words of a command that runs the same again; empty where none does, as no project file stands for it."""
        ...

    def scrub(self, value: Any) -> Any:
        """The value with every secret in its text masked: of text, mappings, sequences.

        An observer asks this of whatever it shows that comes from an error, a log or a frame.
        """
        ...

    def nodes(self) -> Sequence[PlannedNode]:
        """The plan, in the order of the graph."""
        ...

    def places(self, node: str) -> tuple[str, str]:
        """The addresses of what a node reads and of what it writes, as its storages say them; without secrets.

        Empty where it does neither, where it is a table or a query, and where the storage cannot say.
        """
        ...

    def config(self) -> Mapping[str, Any]:
        """The project as it counts, without its pipelines' nodes and what is left at its default.

        JSON values. References to secrets stand as they were written; what else is a secret is masked.
        """
        ...


@runtime_checkable
class Observer(Protocol):
    """Is told of every event of a run.

    One may say, as attributes, what it needs that costs something:

        * ``samples``: how many rows of each node's frames it wants to be shown, in events
          :class:`~odibi.events.RowsSampled`. Of an engine that is lazy none are taken, as that would be work.
        * ``usage``: true if it wants to know how much processor time and memory each node took
          (:attr:`Outcome.usage <odibi.contracts.executor.Outcome.usage>`).

    Promises made to it:
        * Events come one at a time, off the nodes' threads, those of one node in order.
        * ``RunStarted`` comes first and ``RunFinished`` last; every node that started has a ``NodeFinished``.

    Promises it makes:
        * It does not change an event.
        * If it raises, the run goes on; it is logged once, counted, and cut off after repeated failures.
    """

    def handle(self, event: Event) -> None:
        """Take one event."""
        ...

    def close(self) -> None:
        """Called after the last event of a run; may be called twice.

        One that an application gives to several runs is closed after each, and may be told of the next.
        """
        ...
