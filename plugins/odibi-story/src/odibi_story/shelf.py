"""The stories of a place: ``<pipeline>/<run>.json`` with its ``.html`` and ``.md``, or ``.jsonl`` while it is told."""

from __future__ import annotations

import logging
import re
import time
from typing import TYPE_CHECKING

import attrs

from odibi.errors import NotFound, OdibiError
from odibi_story.places import file_name, is_held
from odibi_story.record import INTERRUPTED, RUNNING
from odibi_story.storing import from_json, from_lines, to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from odibi_story.places import Entry, Place
    from odibi_story.record import RunStory

RECORD, GROWING, PAGE, TEXT = ".json", ".jsonl", ".html", ".md"

_HEAD = 512
"""Bytes of a file by which it is known as a story."""

_RUN = re.compile(r"\d{8}T\d{6}")
"""How the id of a run begins."""

_log = logging.getLogger("odibi_story")


@attrs.frozen
class Found:
    """A story that is there.

    Attributes:
        pipeline, run: as they are in the names of its files.
        name: of the file that holds its record.
        modified: seconds since the epoch, UTC.
    """

    pipeline: str
    run: str
    name: str
    modified: float

    @property
    def stem(self) -> str:
        """The name of its files without what comes after the dot."""
        return f"{self.pipeline}/{self.run}"

    @property
    def growing(self) -> bool:
        """Whether its run goes on, or was killed."""
        return self.name.endswith(GROWING)


class Shelf:
    """The stories of a project.

    Args:
        place: where they lie.
        scrub: takes the project's secrets out of what errors of the place say.
    """

    def __init__(self, place: Place, scrub: Callable[[str], str] = str) -> None:
        self.place = place
        self.scrub = scrub

    def stem(self, story: RunStory) -> str:
        """The names of a story's files, without what comes after the dot."""
        return f"{file_name(story.pipeline)}/{file_name(story.run_id)}"

    def put(self, story: RunStory) -> None:
        """Store a story that is told to its end: as JSON, as a page, as Markdown.

        Raises:
            StorageError: it cannot be written.
        """
        stem = self.stem(story)
        self.place.write(stem + RECORD, to_json(story).encode())
        for ending, text in renderings(story):
            self.place.write(stem + ending, text.encode("utf-8", "backslashreplace"))

    def found(self, pipeline: str | None = None) -> list[Found]:
        """The stories, the newest run first; what else lies there is passed over.

        Args:
            pipeline: only of this one.

        Raises:
            StorageError: they cannot be listed.
        """
        stories: dict[tuple[str, str], Found] = {}
        for entry in self.place.list(file_name(pipeline) if pipeline is not None else ""):
            story = _named(entry)
            # Where both files are there, the process ended between making one and removing the other.
            if story is not None and not (story.growing and (story.pipeline, story.run) in stories):
                stories[story.pipeline, story.run] = story
        return sorted(stories.values(), key=lambda it: (it.run, it.pipeline), reverse=True)

    def get(self, found: Found) -> RunStory:
        """The story, as far as it is told.

        Raises:
            DataError: the file is no story.
            StorageError: it cannot be read.
        """
        where = self.place.where(found.name)
        if not found.growing:
            return from_json(self.place.read(found.name), where)
        story = from_lines(self.place.read(found.name), where)
        path = self.place.local(found.name)
        if story.state == RUNNING and not (path is not None and is_held(path)):
            story.state = INTERRUPTED
        return story

    def each(self, pipeline: str | None = None) -> Iterator[tuple[Found, RunStory]]:
        """The stories with their content, the newest first; one that cannot be read is passed over with a warning."""
        for found in self.found(pipeline):
            try:
                yield found, self.get(found)
            except NotFound:  # it ended, or went, meanwhile
                continue
            except OdibiError as error:
                _log.warning("%s", error)

    def tidy(self, pipeline: str, *, keep: str, days: int | None, count: int | None) -> None:
        """Tell runs that were killed to their end, and remove stories that are too old or too many.

        Only what is called like a run, and is known as a story by its content, goes.

        Args:
            pipeline: whose.
            keep: the run that stays, whatever its age.
            days: after which a story goes; ``None`` for never.
            count: how many stay at most; ``None`` for all.

        Raises:
            StorageError: something cannot be read or removed.
        """
        kept = 0
        oldest = time.time() - days * 86_400 if days is not None else None
        for found in self.found(pipeline):
            if _RUN.match(found.run) is None:
                continue
            if found.growing and self._is_ours(found):
                self._end(found)
            kept += 1
            if found.run == file_name(keep):
                continue
            too_old = oldest is not None and found.modified < oldest
            if (too_old or (count is not None and kept > count)) and self._is_ours(found):
                self._remove(found)

    def _end(self, found: Found) -> None:
        """Tell a run to its end whose process is gone."""
        path = self.place.local(found.name)
        if path is None or is_held(path):
            return
        story = self.get(found)
        if story.state != RUNNING:
            self.put(story)
            self.place.delete(found.name)

    def _is_ours(self, found: Found) -> bool:
        try:
            head = self.place.read(found.name, _HEAD)
        except NotFound:
            return False
        start = rb'{"story":{"layout":\d+,"run_id":"' if found.growing else rb'{"layout":\d+,"run_id":"'
        return re.match(start + re.escape(found.run.encode()) + b'"', head) is not None

    def _remove(self, found: Found) -> None:
        path = self.place.local(found.stem + GROWING)
        if path is not None and is_held(path):
            return
        # The record last: by it the others are known as ours.
        for ending in (PAGE, TEXT, GROWING, RECORD):
            self.place.delete(found.stem + ending)


def renderings(story: RunStory) -> Iterator[tuple[str, str]]:
    """The story for people, each with the ending of its file; one that fails does not cost the others."""
    for ending, render in ((PAGE, _page), (TEXT, _text)):
        try:
            yield ending, render(story)
        except Exception as error:
            _log.warning("the story of run %s cannot be made as %s: %r", story.run_id, ending, error)


def _page(story: RunStory) -> str:
    from odibi_story.html import page

    return page(story)


def _text(story: RunStory) -> str:
    from odibi_story.markdown import document

    return document(story)


def _named(entry: Entry) -> Found | None:
    pipeline, slash, file = entry.name.partition("/")
    run, dot, ending = file.rpartition(".")
    if not slash or "/" in file or not run or dot + ending not in (RECORD, GROWING):
        return None
    return Found(pipeline, run, entry.name, entry.modified)
