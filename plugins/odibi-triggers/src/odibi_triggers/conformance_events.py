"""The suite for ``event``, on a queue in a file, and for any other source of events on a queue of its own."""

from __future__ import annotations

import itertools
import json
import time
from typing import TYPE_CHECKING, Any, ClassVar

from odibi.contracts.trigger import EventSource
from odibi.testing.trigger import SourceSuite
from odibi_triggers.event import EventTrigger

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from threading import Event

_numbers = itertools.count()

_ELSEWHERE = """
{built}
from pathlib import Path
from odibi_triggers.conformance_events import FileQueue
trigger.attach(FileQueue(Path({path!r})))
"""


class FileQueue:
    """Events in a file, a line each.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def put(self, payload: Any) -> None:
        """Add an event."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(payload) + "\n")

    def after(self, offset: int | None, limit: int) -> list[tuple[int, Any]]:
        """Events behind an offset, in order."""
        if not self._path.exists():
            return []
        lines = self._path.read_text("utf-8").split("\n")[:-1]
        first = offset or 0
        return [(first + at, json.loads(line)) for at, line in enumerate(lines[first : first + limit], 1)]

    def wait(self, seconds: float, stop: Event) -> None:
        """Wait a little: who asks then looks again."""
        until = time.monotonic() + min(seconds, 0.01)
        while not stop.is_set() and (left := until - time.monotonic()) > 0:
            stop.wait(left)


class EventSuite(SourceSuite):
    """The suite for events, each in a batch of its own."""

    component: ClassVar[type] = EventTrigger

    def make(self, place: Path) -> Any:
        """With a queue in the place."""
        made = super().make(place)
        made.attach(FileQueue(place / "events"))
        return made

    def arrive(self, place: Path, n: int) -> Sequence[Any]:
        """Events that are put."""
        texts = [f"event {next(_numbers)}" for _ in range(n)]
        for text in texts:
            FileQueue(place / "events").put(text)
        return texts

    def arrived(self, batch: Any) -> Sequence[Any]:
        """The payload, or those of several."""
        return batch.payload["events"] if isinstance(batch.payload, dict) else [batch.payload]

    def test_it_is_a_source_of_events(self, subject: Any) -> None:
        """So that the service gives it a queue, and takes what is sent to it."""
        assert isinstance(subject, EventSource)
        assert isinstance(subject.max_bytes, int)
        assert isinstance(subject.signed, bool)

    def process_code(self, place: Path) -> str:
        """With the same queue, in another process."""
        return _ELSEWHERE.format(built=super().process_code(place), path=str(place / "events"))
