"""``odibi fire``: an event for a trigger, by hand."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from odibi.cli.project import load, using, with_project
from odibi.errors import DataError


@click.command()
@click.argument("trigger")
@click.option("--payload", metavar="JSON", help="What its pipelines are run with; null by default.")
@click.option("--file", "path", metavar="PATH", help="Read the payload from a file of JSON; - is standard input.")
@click.option("--key", metavar="KEY", help="Nothing is added if the last 1,000 events have one with this key.")
@with_project
def fire(
    project: str, env: str | None, trigger: str, payload: str | None, path: str | None, key: str | None,
    log_level: str | None,  # noqa: ARG001
) -> None:  # fmt: skip
    """Fire TRIGGER, which takes events. The service runs its pipelines for it, now or when it is next started."""
    from odibi.cli.display import Output

    if payload is not None and path is not None:
        raise click.UsageError("--payload and --file say the same; give one of them")
    loaded = load(project, env)
    with using(loaded):
        value = None if payload is None else _parsed(payload, "--payload")
        if path is not None:
            value = _parsed(_text(path), "standard input" if path == "-" else path)
        number = loaded.fire(trigger, value, key)
        Output(loaded.redactor).line(f"event {number} of {trigger}")


def _text(path: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise DataError(
            f"it cannot be read: {error.strerror or error}", where=path, remedy="Give a file of JSON."
        ) from None


def _parsed(text: str | bytes, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"the payload is no JSON: {error}", where=where, remedy="""A text needs quotes, as in '"text"'."""
        ) from None
