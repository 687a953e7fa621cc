"""The runs that there are stories of, looked at again and again for little.

A folder is listed anew only when something in it came, went or was renamed, which its own time of change tells; of a
story only the beginning is read, where the record has what is to be said of the run. A run that goes on is read whole.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import attrs

from odibi.errors import NotFound, OdibiError
from odibi_story.places import file_name, is_held
from odibi_story.record import RUNNING
from odibi_story.shelf import GROWING, RECORD, Found

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from odibi_story.record import RunStory
    from odibi_story.shelf import Shelf

PAUSE = 0.5
"""Seconds between two looks at files of this machine."""

PAUSE_ELSEWHERE = 5.0
"""Seconds between two looks at a storage, where each is a request."""

SHARE = 4
"""Times the processor time of a look that it rests at least, so that no run pays much for being watched."""

MOST = 200
"""Runs that are told of; older ones are counted."""

_HEAD = 16_384
"""Bytes of a story that are read for its head."""

_FRESH = 2.0
"""Seconds in which a folder may change once more without its time of change telling: file systems count in steps."""

_RUN = re.compile(r"\d{8}T\d{6}")
"""How the id of a run begins; another file that is no story is none of ours."""

_FIELDS = ("run_id", "pipeline", "project", "state", "started", "duration", "counts")


@attrs.frozen
class Head:
    """What is told of a run in the list.

    Attributes:
        found: its story.
        run_id, pipeline, project, state, started, duration, counts: see :class:`odibi_story.record.RunStory`.
        broken: why nothing is known; empty if it is.
    """

    found: Found
    run_id: str
    pipeline: str
    project: str = ""
    state: str = ""
    started: float = 0.0
    duration: float | None = None
    counts: dict[str, int] = attrs.field(factory=dict)
    broken: str = ""

    @property
    def going(self) -> bool:
        """Whether the run goes on."""
        return self.state == RUNNING


class Pace:
    """When to look again. For one thread at a time.

    Args:
        pause: seconds between looks at least.
    """

    def __init__(self, pause: float) -> None:
        self._pause = pause
        self._next = 0.0
        self._began = 0.0

    @property
    def due(self) -> bool:
        """Whether it is time to look."""
        return time.monotonic() >= self._next

    def begin(self) -> None:
        """A look begins; on the thread that ends it."""
        self._began = time.thread_time()

    def end(self) -> None:
        """It has ended."""
        self._next = time.monotonic() + max(self._pause, SHARE * (time.thread_time() - self._began))


class Runs:
    """The runs of a project. Safe for threads.

    Args:
        shelf: where their stories are.
    """

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.folder = shelf.place.local("")
        self.pace = PAUSE if self.folder is not None else PAUSE_ELSEWHERE
        self._lock = threading.Lock()
        self._due = Pace(self.pace)
        self._stamps: dict[Path, int] | None = None
        self._found: list[Found] = []
        self._heads: dict[tuple[str, str], tuple[object, Head]] = {}
        self._listed: list[Head] = []

    def heads(self) -> tuple[Sequence[Head], int]:
        """The newest runs, the newest first, and how many older ones there are.

        Raises:
            StorageError: the stories cannot be listed.
        """
        with self._lock:
            if self._due.due:
                self._due.begin()
                self._look()
                self._due.end()  # after a failure the next look is at once, as it must not find what was before
            return self._listed, max(0, len(self._found) - MOST)

    def find(self, pipeline: str, run: str) -> Found | None:
        """The story of a run; ``None`` if there is none.

        Args:
            pipeline, run: their names, or what these are in the names of files. Whatever they are, nothing is looked
                for outside of the stories.
        """
        stem = f"{file_name(pipeline)}/{file_name(run)}"
        if self.folder is None:
            return next((found for found in self._all() if found.stem == stem), None)
        folder, _, name = stem.partition("/")
        for ending in (RECORD, GROWING):
            path = self.shelf.place.local(stem + ending)
            try:
                modified = path.stat().st_mtime if path is not None else 0.0
            except OSError:
                continue
            return Found(folder, name, stem + ending, modified)
        return None

    def before(self, found: Found) -> Found | None:
        """The run of the same pipeline before that one; ``None`` if there is none."""
        return next((it for it in self._all() if it.pipeline == found.pipeline and it.run < found.run), None)

    def _all(self) -> Sequence[Found]:
        self.heads()
        with self._lock:
            return self._found

    def stamp(self, found: Found) -> object:
        """What is another when there is more to tell of a run."""
        path = self.shelf.place.local(found.name)
        if path is None:
            return found
        try:
            stat = path.stat()
        except OSError:
            return None
        return found.name, stat.st_mtime_ns, stat.st_size, found.growing and is_held(path)

    def _look(self) -> None:
        stamps = self._folders()
        if stamps is None or stamps != self._stamps:
            self._found = self.shelf.found()
            self._stamps = stamps
        listed = self._found[:MOST]
        known = {}
        wanted = []
        for found in listed:
            key = (found.pipeline, found.run)
            kept = self._heads.get(key)
            stamp = self.stamp(found) if found.growing or self.folder is None else found
            if kept is not None and stamp == kept[0] and stamp is not None:
                known[key] = kept
            else:
                wanted.append((key, found, stamp))
        if self.folder is None:
            with ThreadPoolExecutor(8, "odibi-ui") as several:
                heads = list(several.map(lambda it: self._head(it[1]), wanted))
        else:
            heads = [self._head(found) for _, found, _ in wanted]
        for (key, _, stamp), head in zip(wanted, heads, strict=True):
            if head is None:  # it went, or has only just begun, or has ended meanwhile
                self._stamps = None
            else:
                known[key] = stamp, head
        self._heads = known
        shown = [known[found.pipeline, found.run][1] for found in listed if (found.pipeline, found.run) in known]
        self._listed = [head for head in shown if not head.broken or _RUN.match(head.found.run)]

    def _folders(self) -> dict[Path, int] | None:
        """The times of change of the folders; ``None`` if these do not tell."""
        if self.folder is None:
            return None
        stamps = {}
        now = time.time()
        try:
            folders = [entry.path for entry in os.scandir(self.folder) if entry.is_dir(follow_symlinks=False)]
            for path in (self.folder, *map(type(self.folder), folders)):
                stat = path.stat()
                stamps[path] = stat.st_mtime_ns
                if now - stat.st_mtime < _FRESH:
                    return None
        except OSError:  # not there yet, or gone meanwhile
            return None
        return stamps

    def _head(self, found: Found) -> Head | None:
        try:
            if found.growing:
                return _of(found, self.shelf.get(found))
            fields = leading(self.shelf.place.read(found.name, _HEAD), _FIELDS)
            if "run_id" in fields and isinstance(fields.get("counts", {}), dict):
                return Head(found, **fields)
            return _of(found, self.shelf.get(found))  # of fields that are longer than expected, or no story
        except NotFound:
            return None
        except (OdibiError, TypeError) as error:
            if found.growing and time.time() - found.modified < _FRESH:
                return None
            return Head(found, found.run, found.pipeline, state="unreadable", broken=self.shelf.scrub(str(error)))


def _of(found: Found, story: RunStory) -> Head:
    return Head(found, **{name: getattr(story, name) for name in _FIELDS})


def leading(data: bytes, names: Sequence[str]) -> dict[str, Any]:
    """Those of an object's first fields that have the names given; where its text is cut off, they end.

    Args:
        data: the beginning of a JSON object.
        names: of fields.
    """
    text = data.decode("utf-8", "replace")
    decode = json.JSONDecoder().raw_decode
    found: dict[str, Any] = {}
    at = 1
    try:
        while len(found) < len(names):
            key, at = decode(text, at)
            if not isinstance(key, str) or text[at] != ":":
                break
            value, at = decode(text, at + 1)
            ends = text[at] != ","  # where the text is cut off, a number may be, too
            if key in names:
                found[key] = value
            if ends:
                break
            at += 1
    except (ValueError, IndexError, RecursionError):
        pass
    return found
