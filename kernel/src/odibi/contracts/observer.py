"""Observer: watches runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

if TYPE_CHECKING:
    from odibi.events import Event


NOTICE: Final = 25
"""The level, of those of :mod:`logging`, at which a plugin logs what whoever runs a command should see though nothing
is wrong: between information, which commands do not show unasked, and warnings."""


@runtime_checkable
class Observer(Protocol):
    """Is told of every event of a run.

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
