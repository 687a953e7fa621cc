"""The pages of ``odibi ui``: the list of runs, and what is put around the page of a run."""

from __future__ import annotations

import hashlib
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import attrs

from odibi_story.comparing import compare
from odibi_story.html import words
from odibi_story.html.document import Around, asset, comparison_page, environment, policy, story_page
from odibi_story.html.looks import Look, look, rank

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jinja2 import Environment

    from odibi_story.live.runs import Head
    from odibi_story.record import RunStory
    from odibi_story.shelf import Found

_HERE = Path(__file__).parent

VERSION = "odibi-version"
"""Stands in a page where its version belongs, which is known once it is made."""

_OVERVIEW = "/"


@attrs.frozen
class Bar:
    """The share of a run's nodes in one state; ``left`` and ``width`` in per cent."""

    tone: str
    left: float
    width: float


@attrs.frozen
class Row:
    """A run in the list; ``first`` and ``second`` if it is chosen to be compared from the start."""

    head: Head
    key: str
    look: Look
    target: str
    value: str
    began: str
    took: str
    counts: list[tuple[Look, int]]
    bars: list[Bar]
    words: str
    first: bool
    second: bool


def overview(heads: Sequence[Head], older: int, where: str) -> str:
    """The list of runs.

    Args:
        heads: the newest first.
        older: how many more there are.
        where: they lie, in words.
    """
    second = next(iter(heads), None)
    first = next((it for it in heads[1:] if second and it.found.pipeline == second.found.pipeline), None)
    first = first or (heads[1] if len(heads) > 1 else None)
    rows = [_row(head, head is first, head is second) for head in heads]
    going = [row for row in rows if row.head.going]
    past = [row for row in rows if not row.head.going]
    project = next((head.project for head in heads if head.project), "")
    failed = sum(row.head.state == "failed" for row in rows)
    said = [f"{len(going)} going on"] if going else []
    said += [f"{words.count(len(past), 'past run')}{f', {failed:,} failed' if failed else ''}"] if past else []
    return _document(
        "overview.html.j2",
        [("All runs", "")],
        "/events",
        title=f"{f'({len(going)}) ' if going else ''}{project or 'Odibi'}: runs",
        project=project,
        said=", ".join(said),
        going=going,
        past=past,
        older=older,
        where=where,
    )


def run(story: RunStory, found: Found, before: Found | None, *, over: bool) -> str:
    """The page of a run, with what leads elsewhere.

    Args:
        story: of the run.
        found: its place.
        before: the run of the pipeline before it.
        over: whether nothing more will be told of it.
    """
    links = [(f"All runs of {story.project}", _OVERVIEW), (story.run_id, "")]
    if before is not None:
        links.append(("Compare with the run before", comparing(before, found)))
    links.append(("JSON", f"{target(found)}.json"))
    return story_page(story, _around(links, "" if over else f"{target(found)}/events"))


def comparison(before: RunStory, after: RunStory, first: Found, second: Found) -> str:
    """What changed between two runs.

    Args:
        before, after: the runs.
        first, second: their places.
    """
    links = [
        ("All runs", _OVERVIEW),
        (f"Before: {before.run_id}", target(first)),
        (f"After: {after.run_id}", target(second)),
    ]
    return comparison_page(compare(before, after), _around(links, ""))


def message(what: str, remedy: str = "", *, asks: bool = False) -> str:
    """A page that says why there is no other.

    Args:
        what: in a sentence.
        remedy: what to do.
        asks: whether for the token.
    """
    links = [] if asks else [("All runs", _OVERVIEW)]
    return _document("message.html.j2", links, "", title=what, what=what, remedy=remedy, asks=asks)


def target(found: Found) -> str:
    """Where the page of a run is."""
    return f"/runs/{quote(found.pipeline, safe='')}/{quote(found.run, safe='')}"


def comparing(first: Found, second: Found) -> str:
    """Where two runs are compared."""
    return f"/compare?a={quote(first.stem, safe='/')}&b={quote(second.stem, safe='/')}"


@cache
def content_policy() -> str:
    """The ``Content-Security-Policy`` of all pages: our own styles and scripts, and nothing from anywhere else."""
    styles, scripts = (asset("style.css"), _own("live.css")), (asset("script.js"), _own("live.js"))
    return policy(styles, scripts, "'self'") + "; connect-src 'self'; frame-ancestors 'none'"


def _row(head: Head, first: bool, second: bool) -> Row:
    counts = sorted(((state, number) for state, number in head.counts.items() if number), key=lambda it: rank(it[0]))
    took = max(0.0, time.time() - head.started) if head.going else head.duration
    its = look(head.state)
    return Row(
        head,
        f"r-{hashlib.sha256(head.found.stem.encode()).hexdigest()[:16]}",
        its,
        target(head.found),
        head.found.stem,
        words.moment(head.started),
        words.took(took),
        [(look(state), number) for state, number in counts],
        list(_bars(counts)),
        f"{head.pipeline} {head.run_id} {its.word}".lower(),
        first,
        second,
    )


def _bars(counts: Sequence[tuple[str, int]]) -> Iterator[Bar]:
    whole = sum(number for _, number in counts)
    left = 0.0
    # What is done stands on the left, what is not yet on the right.
    for state, number in sorted(counts, key=lambda it: (it[0] in ("running", "waiting"), it[0] == "waiting")):
        width = 100 * number / whole
        yield Bar(look(state).tone, left, width)
        left += width


def _around(links: Sequence[tuple[str, str]], events: str) -> Around:
    top = _environment().get_template("top.html.j2").render(links=links, events=events, said="" if events else None)
    from markupsafe import Markup

    return Around(Markup(top), _own("live.css"), _own("live.js"))  # noqa: S704 - a template escaped its values


def _document(template: str, links: Sequence[tuple[str, str]], events: str, **values: Any) -> str:
    ours = {"style": asset("style.css"), "script": asset("script.js"), "policy": "", "skip": False}
    return words.visible(_environment().get_template(template).render(around=_around(links, events), **ours, **values))


@cache
def _own(name: str) -> Any:
    from markupsafe import Markup

    return Markup((_HERE / name).read_text("utf-8"))  # noqa: S704 - ours, not a value


@cache
def _environment() -> Environment:
    import jinja2

    theirs = environment()
    loader = jinja2.ChoiceLoader([jinja2.FileSystemLoader(_HERE), *([theirs.loader] if theirs.loader else [])])
    return theirs.overlay(loader=loader)
