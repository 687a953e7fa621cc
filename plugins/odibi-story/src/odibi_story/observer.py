"""The observer ``story``: tells each run as a file to look at, and to keep."""

from __future__ import annotations

import logging
import time
from typing import Any, ClassVar

import attrs

from odibi.contracts.observer import Observer
from odibi.contracts.options import option
from odibi.contracts.storage import Storage
from odibi.errors import StorageError
from odibi.events import Event, NodeFinished, NodeRetried, NodeStarted, PluginFailed, RunFinished, RunStarted
from odibi_story.folding import Folding
from odibi_story.origin import commit_of, environment, working_folder
from odibi_story.places import Ledger, place_of
from odibi_story.record import INTERRUPTED
from odibi_story.shelf import GROWING, Shelf
from odibi_story.storing import begun, node_changed, problem_met, run_ended

AT_ONCE = (NodeStarted, NodeRetried, NodeFinished)
"""Events after which the file of a run that goes on says so at once; after others, not more often than each
:data:`PAUSE`."""

PAUSE = 0.5
"""Seconds."""

_log = logging.getLogger("odibi_story")


def _rows(_: object, __: object, value: int) -> None:
    if not 0 <= value <= 100:
        raise ValueError("must be 0 to 100")


def _positive(_: object, attribute: attrs.Attribute[Any], value: int | None) -> None:
    if value is not None and value < 1:
        raise ValueError(f"{attribute.name} must be 1 or more, or left out")


@attrs.define(eq=False)
class StoryObserver(Observer):
    """Writes a story of each run: ``PATH/<pipeline>/<run>.html`` to look at, ``.md`` for places that show Markdown, and
    ``.json`` with all of it.

    While a run goes on, what is known of it so far stands in ``<run>.jsonl``, where that is on this machine; it is
    what is left of a run that is killed.
    """

    effects: ClassVar[tuple[str, ...]] = ("files", "network", "subprocess")
    usage: ClassVar[bool] = True

    connection: Storage | None = option(  # noqa: RUF009
        None,
        connection=True,
        help="The connection where stories are written; by default a folder beside the project file.",
    )
    path: str = option(
        "stories/", help="The folder of stories: in the connection, or else relative to the project file's."
    )
    max_sample_rows: int = option(
        10, help="Rows of each node's frames to show, 0 to 100; 0 shows none, and nothing is sampled.", validator=_rows
    )
    retention_days: int | None = option(
        30, help="Days after which a story is removed, when a run of its pipeline ends.", validator=_positive
    )
    retention_count: int | None = option(
        100, help="How many stories of a pipeline are kept; the oldest go.", validator=_positive
    )
    _folding: Folding | None = attrs.field(default=None, init=False, repr=False)
    _shelf: Shelf | None = attrs.field(default=None, init=False, repr=False)
    _ledger: Ledger | None = attrs.field(default=None, init=False, repr=False)
    _told: float = attrs.field(default=0.0, init=False, repr=False)
    _over: bool = attrs.field(default=False, init=False, repr=False)
    _stored: bool = attrs.field(default=False, init=False, repr=False)

    @property
    def samples(self) -> int:
        """How many rows of each frame it wants to be shown."""
        return self.max_sample_rows

    def handle(self, event: Event) -> None:
        """Take one event.

        Raises:
            StorageError: the story cannot be written.
        """
        if isinstance(event, RunStarted):
            self.close()
            self._begin(event)
            return
        folding = self._folding
        if folding is None or event.run_id != folding.run_id:  # not told from its beginning
            return
        node = folding.fold(event)
        if isinstance(event, RunFinished):
            self._over = True
            self._append(run_ended(folding.story))  # what comes now takes its time, and the process may end first
            self._store()
        elif self._ledger is not None and not self._over:
            if node is not None:
                now = time.monotonic()
                if isinstance(event, AT_ONCE) or now - self._told > PAUSE:
                    self._told = now
                    self._append(node_changed(node))
            elif isinstance(event, PluginFailed) and folding.story.problems:
                self._append(problem_met(folding.story.problems[-1]))
        if self._over and isinstance(event, PluginFailed):  # what another observer failed with in the end
            self._stored = False

    def close(self) -> None:
        """Write what is not written yet; a run of which no end was told counts as interrupted.

        Raises:
            StorageError: the story cannot be written.
        """
        try:
            if self._folding is not None and not self._stored:
                if not self._over:
                    self._folding.story.state = INTERRUPTED
                self._store()
        finally:
            self._folding = self._shelf = None
            self._over = self._stored = False
            self._let_go()

    def _begin(self, event: RunStarted) -> None:
        folding = self._folding = Folding(event)
        root = event.facts.root if event.facts is not None else None
        story = folding.story
        story.folder = folding.clean.text(working_folder())
        story.environment = environment()
        story.commit = commit_of(root) if root is not None else None
        self._shelf = Shelf(place_of(self.path, self.connection, root))
        path = self._shelf.place.local(self._shelf.stem(story) + GROWING)
        if path is None:
            return
        try:
            self._ledger = Ledger(path)
        except StorageError as error:
            _log.warning("the story of run %s is told when the run is over: %s", story.run_id, error)
            return
        self._append(begun(story))

    def _append(self, line: str) -> None:
        if self._ledger is None:
            return
        try:
            self._ledger.append(line)
        except StorageError as error:
            _log.warning("what goes on in the run is told no further before its end: %s", error)
            self._let_go()

    def _store(self) -> None:
        if self._shelf is None or self._folding is None:
            return
        story = self._folding.story
        self._stored = True  # once: where it fails, it fails again
        self._shelf.put(story)
        self._shelf.place.delete(self._shelf.stem(story) + GROWING)
        self._let_go()
        try:
            self._shelf.tidy(story.pipeline, keep=story.run_id, days=self.retention_days, count=self.retention_count)
        except StorageError as error:
            _log.warning("old stories are not removed: %s", error)

    def _let_go(self) -> None:
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None
