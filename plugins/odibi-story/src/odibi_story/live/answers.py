"""What is answered to requests; of how they come and go, :mod:`odibi_story.live.server` knows."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote

import attrs

from odibi.errors import NotFound
from odibi_story.live import rendering
from odibi_story.storing import to_json

if TYPE_CHECKING:
    from odibi_story.live.followed import Followed, Pages
    from odibi_story.record import RunStory
    from odibi_story.shelf import Found

HTML = "text/html; charset=utf-8"
JSON = "application/json"


@attrs.frozen
class Answer:
    """What is sent back; ``headers`` are further ones."""

    status: HTTPStatus
    body: bytes
    content_type: str = HTML
    headers: tuple[tuple[str, str], ...] = ()


def headers_of() -> tuple[tuple[str, str], ...]:
    """The headers of every answer: nothing is kept, framed, sniffed, sent on, or loaded from elsewhere."""
    return (
        ("Cache-Control", "no-store"),
        ("Content-Security-Policy", rendering.content_policy()),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
        ("Referrer-Policy", "no-referrer"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "DENY"),
        ("Connection", "close"),
    )


class Answers:
    """The answers for a project.

    Args:
        pages: of the project.
    """

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self.pause = pages.runs.pace
        """Seconds between two looks for those who follow."""
        self.scrub = pages.runs.shelf.scrub
        """Takes secrets out of what errors say."""

    def followed(self, path: str) -> Followed | None:
        """The page whose changes are asked for; ``None`` if something else is.

        Args:
            path: of the request.

        Raises:
            NotFound: there is none.
        """
        match _words(path):
            case ["events"]:
                return self._pages.overview
            case ["runs", pipeline, run, "events"]:
                return self._pages.of(pipeline, run)
        return None

    def page(self, path: str, query: str) -> Answer:
        """The answer to a request.

        Args:
            path: of it.
            query: of it.

        Raises:
            NotFound: there is no such page.
            OdibiError: what it tells of cannot be read.
        """
        match _words(path):
            case [""]:
                return _shown(self._pages.overview)
            case ["compare"]:
                return self._compared(dict(parse_qsl(query)))
            case ["runs", pipeline, run] if run.endswith(".json"):
                story = self._pages.story(pipeline, run.removesuffix(".json"))
                return Answer(HTTPStatus.OK, to_json(story).encode(), JSON)
            case ["runs", pipeline, run]:
                return _shown(self._pages.of(pipeline, run))
        raise NotFound("there is no such page", remedy="The list of runs leads to all there are.")

    def _compared(self, chosen: dict[str, str]) -> Answer:
        if not chosen.get("a") or not chosen.get("b"):
            raise NotFound("two runs are needed to be compared", remedy="Choose an A and a B in the list of runs.")
        one, other = self._named(chosen["a"]), self._named(chosen["b"])
        first, second = sorted((one, other), key=lambda it: it[1].started)
        return Answer(HTTPStatus.OK, rendering.comparison(first[1], second[1], first[0], second[0]).encode())

    def _named(self, name: str) -> tuple[Found, RunStory]:
        pipeline, _, run = name.partition("/")
        found = self._pages.runs.find(pipeline, run)
        if found is None:
            raise NotFound("there is no story of one of these runs", remedy="It may have been removed.")
        return found, self._pages.story(pipeline, run)


def _shown(page: Followed) -> Answer:
    look = page.look()
    # Exactly this is in no text of a story, as its quotes would be escaped.
    marked = look.page.replace(f'data-version="{rendering.VERSION}"', f'data-version="{look.version}"', 1)
    return Answer(HTTPStatus.OK, marked.encode())


def _words(path: str) -> list[str]:
    return [unquote(word) for word in path.removeprefix("/").split("/")]
