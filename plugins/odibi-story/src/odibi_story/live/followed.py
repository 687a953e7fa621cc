"""Pages that are followed: made anew when there is something to tell, for all who follow them at once."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import attrs

from odibi.errors import NotFound
from odibi_story.live import rendering
from odibi_story.live.parts import Changes
from odibi_story.live.runs import Pace
from odibi_story.record import RUNNING

if TYPE_CHECKING:
    from collections.abc import Callable

    from odibi_story.live.runs import Runs
    from odibi_story.record import RunStory

TICK = 1.0
"""Seconds after which the page of a run that goes on is made anew though nothing was told of it: clocks go on."""

KEPT = 8
"""Pages of runs that are kept; of others, who follows them again is sent everything."""


@attrs.frozen
class _Seen:
    """What a page of a run tells of: its file as it was, whether the run goes on, and until when that counts."""

    file: object
    going: bool
    tick: int


@attrs.frozen
class Look:
    """A page at a moment.

    Attributes:
        page: the HTML.
        version: see :class:`odibi_story.live.parts.Changes`.
        over: whether it stays as it is.
    """

    page: str
    version: str
    over: bool


class Followed:
    """A page. Safe for threads: however many follow it, it is made once.

    Args:
        pause: seconds between two looks at least.
        make: makes the page; given what tells whether there is something new (``None`` at first), returns that and
            the page (``None`` if it is as it was), and whether it stays so.
    """

    def __init__(self, pause: float, make: Callable[[object], tuple[object, str | None, bool]]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._pace = Pace(pause)
        self._changes = Changes()
        self._stamp: object = None
        self._page = ""
        self._over = False

    def look(self) -> Look:
        """The page as it is now, or was a moment ago.

        Raises:
            NotFound: it is gone.
            OdibiError: what it tells of cannot be read.
        """
        with self._lock:
            self._again()
            return Look(self._page, self._changes.version, self._over)

    def after(self, version: str) -> tuple[dict[str, Any] | None, str, bool]:
        """What changed since a version (``None`` if nothing), the version now, and whether it stays so.

        Raises:
            NotFound: it is gone.
            OdibiError: what it tells of cannot be read.
        """
        with self._lock:
            self._again()
            return self._changes.after(version), self._changes.version, self._over

    def _again(self) -> None:
        if self._over or not self._pace.due:
            return
        self._pace.begin()
        self._stamp, page, self._over = self._make(self._stamp)
        if page is not None:
            self._changes.take(page)
            self._page = page
        self._pace.end()  # after a failure the next look is at once, as it must not find what was before


class Pages:
    """The pages of a project that can be followed.

    Args:
        runs: of the project.
    """

    def __init__(self, runs: Runs) -> None:
        self.runs = runs
        self.overview = Followed(runs.pace, self._overview)
        self._lock = threading.Lock()
        self._of: dict[str, Followed] = {}

    def of(self, pipeline: str, run: str) -> Followed:
        """The page of a run.

        Raises:
            NotFound: there is no story of it.
        """
        found = self.runs.find(pipeline, run)
        if found is None:
            raise NotFound("there is no story of this run", remedy="It may have been removed, as one of the oldest.")
        with self._lock:
            # The one asked for last stands last.
            page = self._of.pop(found.stem, None) or Followed(self.runs.pace, self._maker(found.pipeline, found.run))
            self._of[found.stem] = page
            while len(self._of) > KEPT:
                del self._of[next(iter(self._of))]
            return page

    def story(self, pipeline: str, run: str) -> RunStory:
        """The story of a run, as far as it is told.

        Raises:
            NotFound: there is none.
            OdibiError: it cannot be read.
        """
        for _ in range(2):
            found = self.runs.find(pipeline, run)
            if found is None:
                break
            try:
                return self.runs.shelf.get(found)
            except NotFound:  # it ended between the two, and has another name now
                continue
        raise NotFound("there is no story of this run", remedy="It may have been removed, as one of the oldest.")

    def _overview(self, stamp: object) -> tuple[object, str | None, bool]:
        heads, older = self.runs.heads()
        going = [head for head in heads if head.going]
        again = (tuple(heads), older, int(time.time() / TICK) if going else 0)
        if again == stamp:
            return stamp, None, False
        return again, rendering.overview(heads, older, self.runs.shelf.place.where("")), False

    def _maker(self, pipeline: str, run: str) -> Callable[[object], tuple[object, str | None, bool]]:
        def make(stamp: object) -> tuple[object, str | None, bool]:
            found = self.runs.find(pipeline, run)
            if found is None:
                raise NotFound("there is no story of this run any more", remedy="It was removed, as one of the oldest.")
            file, now = self.runs.stamp(found), time.time()
            tick = int(now / TICK)
            if isinstance(stamp, _Seen) and file == stamp.file and (not stamp.going or tick == stamp.tick):
                return stamp, None, False
            story = self.story(pipeline, run)
            going = story.state == RUNNING
            if going:
                story.duration = max(0.0, now - story.started)
            page = rendering.run(story, found, self.runs.before(found), over=not found.growing)
            return _Seen(file, going, tick), page, not found.growing

        return make
