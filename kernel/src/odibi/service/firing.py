"""Firing a trigger: from Python and the command line, and where its events come in over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from odibi.contracts.trigger import EventSource
from odibi.errors import ConfigError, Conflict, NotFound, Problem
from odibi.structure import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from odibi.api import LoadedProject
    from odibi.run.resources import Resources
    from odibi.service.events import StoreQueue


def fire(loaded: LoadedProject, trigger: str, payload: Any, key: str | None = None) -> int:
    """Put an event for a trigger; see :meth:`odibi.api.LoadedProject.fire`."""
    resources = loaded.resources()
    try:
        source = source_of(loaded, resources, trigger)
        try:
            return loaded.events(trigger).put(payload, key, max_bytes=source.max_bytes)
        finally:
            source.close()
    finally:
        resources.close()


def source_of(loaded: LoadedProject, resources: Resources, trigger: str) -> EventSource:
    """The source of a trigger that can be fired, built anew.

    Raises:
        ConfigError: the project has no trigger of that name.
        Conflict: it is switched off.
        NotFound: it is not one that can be fired.
        OdibiError: it cannot be built.
    """
    triggers = loaded.project.triggers
    if trigger not in triggers:
        raise ConfigError([Problem(f"there is no trigger '{trigger}'.", None, did_you_mean(trigger, triggers))])
    if not triggers[trigger].enabled:
        raise Conflict("it is switched off, and takes no events", where=f"trigger '{trigger}'",
                       remedy="Remove 'enabled: false'.")  # fmt: skip
    found = resources.trigger(trigger)
    if isinstance(found, EventSource):
        return found
    getattr(found, "close", lambda: None)()
    raise NotFound(
        f"it is of type '{triggers[trigger].type}', and takes no events",
        where=f"trigger '{trigger}'",
        remedy="Only triggers such as 'type: event' do; to run a pipeline now, use: odibi run",
    )


@attrs.frozen
class Entrance:
    """Where events for a trigger come in over HTTP.

    Attributes:
        trigger: its name.
        source: checks who sends them, and what.
        queue: takes them.
    """

    trigger: str
    source: EventSource
    queue: StoreQueue

    def take(self, body: bytes, headers: Mapping[str, str], key: str | None) -> int:
        """Check an event and keep it; its number.

        Args:
            body: of the request.
            headers: likewise, their names in lower case.
            key: as for :meth:`~odibi.service.events.StoreQueue.put`.

        Raises:
            AccessDenied, DataError: as :meth:`EventSource.accept`.
            StorageError: as :meth:`~odibi.service.events.StoreQueue.put`.
        """
        return self.queue.put(self.source.accept(body, headers), key)
