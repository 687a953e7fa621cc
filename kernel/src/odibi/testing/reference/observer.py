"""An observer that keeps the events of the last runs, and can write them to a file: for tests of pipelines."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from odibi.contracts.options import option
from odibi.events import Event, NodeFinished, RunStarted

if TYPE_CHECKING:
    from odibi.contracts.executor import Outcome

E = TypeVar("E", bound=Event)

DEEPEST = 10
"""Causes of an error that are written, and levels of nesting of a detail."""


def _at_least_one(_: object, __: object, value: int) -> None:
    if value < 1:
        raise ValueError("must be 1 or more")


@attrs.define(eq=False)
class EventList:
    """Keeps the events of the last runs, in the order in which they came. May be asked from any thread."""

    runs: int = option(1, help="Runs of which the events are kept; those of the oldest go.", validator=_at_least_one)
    file: str | None = option(
        None, help="A file to which a line of JSON an event is added; by default none.", is_path=True
    )
    _kept: OrderedDict[str, list[Event]] = attrs.field(factory=OrderedDict, init=False, repr=False)
    _facts: dict[str, Any] = attrs.field(factory=dict, init=False, repr=False)
    _lock: Any = attrs.field(factory=threading.Lock, init=False, repr=False)

    def handle(self, event: Event) -> None:
        """Keep the event, and write it."""
        with self._lock:
            if event.run_id not in self._kept:
                self._kept[event.run_id] = []
                while len(self._kept) > self.runs:
                    self._facts.pop(self._kept.popitem(last=False)[0], None)
            self._kept[event.run_id].append(event)
            if isinstance(event, RunStarted) and event.facts is not None:
                self._facts[event.run_id] = event.facts
            if self.file is not None:
                # Opened each time, so that nothing is held and what was written stays whatever happens.
                with Path(self.file).open("a", encoding="utf-8") as file:
                    file.write(json.dumps(self.line(event)) + "\n")

    def line(self, event: Event) -> Any:
        """The event as JSON values, without the secrets of its run."""
        facts = self._facts.get(event.run_id)
        return as_data(event) if facts is None else facts.scrub(as_data(event))

    def close(self) -> None:
        """Nothing is held; what was kept stays."""

    def events(self, kind: type[E] = Event) -> list[E]:  # type: ignore[assignment]
        """The events of a kind, of all runs that are kept, in order."""
        with self._lock:
            return [event for events in self._kept.values() for event in events if isinstance(event, kind)]

    def outcomes(self) -> dict[str, Outcome]:
        """Node to its outcome, in the last run that is kept."""
        with self._lock:
            last = next(reversed(self._kept.values()), [])
            return {event.node: event.outcome for event in last if isinstance(event, NodeFinished)}


def as_data(thing: Any, depth: int = 0) -> Any:
    """An event, or a value in one, as JSON has it; errors with their causes, and without their frames."""
    if thing is None or isinstance(thing, bool | int | float | str):
        return thing
    if depth > DEEPEST:
        return "..."
    if isinstance(thing, BaseException):
        cause = thing.__cause__
        said: dict[str, Any] = {"error": type(thing).__name__, "message": str(thing)}
        return said if cause is None else {**said, "cause": as_data(cause, depth + 1)}
    if attrs.has(type(thing)):
        names = [name for name in attrs.fields_dict(type(thing)) if name != "facts"]
        fields = {name: as_data(getattr(thing, name), depth + 1) for name in names}
        return {"kind": type(thing).__name__, **fields}
    if isinstance(thing, Mapping):
        return {str(key): as_data(value, depth + 1) for key, value in thing.items()}
    if isinstance(thing, Sequence | set | frozenset) and not isinstance(thing, bytes):
        return [as_data(value, depth + 1) for value in thing]
    return str(thing)
