"""``odibi story``: look at the stories of a project's runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from odibi.errors import DataError, NotFound, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from odibi_story.comparing import Comparison
    from odibi_story.record import RunStory

_KINDS = ("html", "md", "json", "text")


@click.group()
def command() -> None:
    """Look at the stories of a project's runs.

    RUN is the id of a run, or as much of its beginning or end as is needed to tell it from others.
    """


def _of_project(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that all commands have which look at a project."""
    function = click.option("-p", "--pipeline", metavar="NAME", help="Only runs of this one.")(function)
    function = click.option("--env", metavar="NAME", help="One of the project's environments.")(function)
    return click.option(
        "--project", default=".", type=click.Path(), metavar="PATH", help="The project file, or its folder."
    )(function)


@command.command("ls")
@_of_project
@click.option("-n", "--limit", type=click.IntRange(1), default=20, show_default=True, help="How many, at most.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(project: str, env: str | None, pipeline: str | None, limit: int, as_json: bool) -> None:
    """List the stories, the newest first."""
    from itertools import islice

    from odibi_story.library import stories_of
    from odibi_story.terminal import list_text

    with stories_of(project, env) as shelf:
        shown = list(islice(shelf.each(pipeline), limit))
        if as_json:
            _print_json([{**_head(story), "file": shelf.place.where(found.name)} for found, story in shown])
        elif shown:
            _print(list_text([story for _, story in shown]))
        else:
            click.echo(f"no stories in {shelf.place.where('')}")


@command.command()
@_of_project
@click.option("--json", "as_json", is_flag=True, help="Print all of it as JSON.")
def last(project: str, env: str | None, pipeline: str | None, as_json: bool) -> None:
    """Tell the story of the last run."""
    _tell(project, env, pipeline, None, as_json)


@command.command()
@click.argument("run", required=False)
@_of_project
@click.option("--print", "only_print", is_flag=True, help="Print where the page is instead of opening it.")
def open(project: str, env: str | None, pipeline: str | None, run: str | None, only_print: bool) -> None:  # noqa: A001
    """Open the page of a RUN (the last one by default) in a browser."""
    from odibi_story.library import one, stories_of
    from odibi_story.shelf import PAGE

    with stories_of(project, env) as shelf:
        found, _ = one(shelf, run, pipeline)
        name = found.stem + PAGE
        path = shelf.place.local(name)
        where = shelf.place.where(name)
        if found.growing or (path is not None and not path.is_file()):
            raise NotFound("there is no page of this run", where=where, remedy="odibi story last tells what is known.")
    if only_print or path is None:
        click.echo(where)
    elif click.launch(path.as_uri()):
        raise StorageError("no browser could be started", where=where, remedy="Open the file by hand.")


@command.command()
@click.argument("runs", nargs=-1, metavar="[RUN [RUN]]")
@_of_project
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--html", type=click.Path(dir_okay=False), metavar="FILE", help="Write a page that shows it.")
def diff(
    project: str, env: str | None, pipeline: str | None, runs: tuple[str, ...], as_json: bool, html: str | None
) -> None:
    """Say what changed between two runs: by default, between the last one and the one of its pipeline before it.

    With one RUN, between that and the one of its pipeline before it.
    """
    from odibi_story.comparing import compare
    from odibi_story.library import stories_of, two
    from odibi_story.terminal import comparison_text

    if len(runs) > 2:
        raise click.UsageError("Give two runs at most.")
    with stories_of(project, env) as shelf:
        compared = compare(*two(shelf, runs, pipeline))
    if html is not None:
        from odibi_story.html import comparison

        _write(Path(html), comparison(compared))
        click.echo(f"wrote {html}", err=as_json)
    if as_json:
        _print_json(_as_data(compared))
    elif html is None:
        _print(comparison_text(compared))


@command.command()
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--to", "kind", type=click.Choice(_KINDS), default="html", show_default=True, help="What to make of it.")
@click.option("--out", type=click.Path(dir_okay=False), metavar="FILE", help="Where; by default beside FILE.")
def render(file: str, kind: str, out: str | None) -> None:
    """Make the page of a stored story anew, from its .json, or from the .jsonl of a run that goes on or was killed."""
    from odibi_story.markdown import document
    from odibi_story.places import is_held
    from odibi_story.record import INTERRUPTED, RUNNING
    from odibi_story.shelf import GROWING
    from odibi_story.storing import from_json, from_lines, to_json
    from odibi_story.terminal import story_text

    path = Path(file)
    data = _read(path)
    if path.suffix == GROWING:
        story = from_lines(data, file)
        if story.state == RUNNING and not is_held(path):
            story.state = INTERRUPTED
    else:
        story = from_json(data, file)
    if kind == "html":
        from odibi_story.html import page

        text = page(story)
    else:
        text = {"md": document, "json": to_json, "text": story_text}[kind](story)
    if kind == "text" and out is None:
        _print(text)
        return
    target = Path(out) if out is not None else path.with_suffix({"text": ".txt"}.get(kind, f".{kind}"))
    if target == path:
        raise DataError("the file would be written over itself", where=file, remedy="Give --out.")
    _write(target, text)
    click.echo(f"wrote {target}")


def _tell(project: str, env: str | None, pipeline: str | None, run: str | None, as_json: bool) -> None:
    from odibi_story.library import one, stories_of
    from odibi_story.shelf import PAGE
    from odibi_story.storing import as_data
    from odibi_story.terminal import story_text

    with stories_of(project, env) as shelf:
        found, story = one(shelf, run, pipeline)
        page = shelf.place.local(found.stem + PAGE)
        there = not found.growing and (page is None or page.is_file())
        where = shelf.place.where(found.stem + PAGE) if there else ""
    if as_json:
        _print_json(as_data(story))
    else:
        _print(story_text(story, where=where))


def _head(story: RunStory) -> dict[str, Any]:
    names = ("run_id", "pipeline", "project", "state", "started", "duration", "counts", "resumes")
    return {name: getattr(story, name) for name in names}


def _as_data(compared: Comparison) -> dict[str, Any]:
    import attrs

    data = attrs.asdict(compared, filter=lambda field, _: field.name not in ("before", "after", "nodes"))
    nodes = [attrs.asdict(node, filter=lambda _, value: value not in (None, [])) for node in compared.nodes]
    return {"before": _head(compared.before), "after": _head(compared.after), **data, "nodes": nodes}


def _print(text: str) -> None:
    """To standard output, whatever characters that can show."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    click.echo(text.encode(encoding, "replace").decode(encoding), nl=False)


def _print_json(data: Any) -> None:
    click.echo(json.dumps(data, indent=2))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise NotFound(f"the story cannot be read: {error.strerror}", where=path) from error


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8", errors="backslashreplace")
    except OSError as error:
        raise StorageError(f"the file cannot be written: {error.strerror}", where=path) from error
