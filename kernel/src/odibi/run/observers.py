"""The observers that a project asks for: built anew for each run, since each run is told of apart."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import attrs

from odibi.model import ComponentConfig
from odibi.run.dispatch import Listener

if TYPE_CHECKING:
    from collections.abc import Iterator

    from odibi.contracts.observer import Observer
    from odibi.host import Host
    from odibi.model import Project
    from odibi.run.resources import Resources

_log = logging.getLogger("odibi.events")

STORY = "story"
"""The name of the observer that the ``story`` section of a project is for."""


def configured(project: Project, host: Host) -> Iterator[ComponentConfig]:
    """What the sections ``observers``, ``alerts`` and ``story`` of a project ask for.

    An alert is an observer of its ``type``, and ``story`` one of the type ``story``; without a plugin that has it there
    are no stories.
    """
    yield from project.observers
    yield from (alert.observer for alert in project.alerts)
    story = project.story
    if story is not None and story.auto_generate and STORY in host.names("observer"):
        yield ComponentConfig(STORY, attrs.asdict(story, filter=_is_option, recurse=False))


def _is_option(attribute: attrs.Attribute[object], value: object) -> bool:
    # A retention of null is one without end; no connection is none.
    return attribute.name != "auto_generate" and (attribute.name != "connection" or value is not None)


class ProjectObservers:
    """Makes the listeners of a project's runs.

    Args:
        resources: builds observers and what they write to; lives as long as the project, as an observer may be busy
            with a run that is over.
    """

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._configs: tuple[ComponentConfig, ...] | None = None
        self._running: dict[int, Listener] = {}
        self._told: set[int] = set()

    def of_run(self) -> list[tuple[Observer, Listener]]:
        """Observers for one more run, each with what listens for it.

        One that cannot be built, or that still hangs with an earlier run, is left out and logged once: it must not cost
        a run.
        """
        if self._configs is None:
            self._configs = tuple(configured(self._resources.project, self._resources.host))
        found: list[tuple[Observer, Listener]] = []
        for at, config in enumerate(self._configs):
            before = self._running.get(at)
            if before is not None and before.hangs:
                self._say(at, "%s hangs; it is told of no further run until it comes back", config.type)
                continue
            try:
                observer = self._resources.observer(config)
            except Exception as error:
                words = self._resources.redactor.redact(f"{type(error).__name__}: {error}")
                self._say(at, "the observer %s cannot be had, and the runs go on without it: %s", config.type, words)
                continue
            self._told.discard(at)
            listener = Listener(config.type, observer.handle, getattr(observer, "close", None), awaited=False)
            self._running[at] = listener
            found.append((observer, listener))
        return found

    def _say(self, at: int, words: str, *args: object) -> None:
        if at not in self._told:
            self._told.add(at)
            _log.warning(words, *args)
