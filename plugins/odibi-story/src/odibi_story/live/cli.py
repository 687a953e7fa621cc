"""``odibi ui``."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator


@click.command()
@click.argument("project", default=".", type=click.Path())
@click.option("--env", metavar="NAME", help="One of the project's environments.")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    metavar="HOST",
    help="Where to listen. Beyond this machine only with a token, in ODIBI_UI_TOKEN.",
)
@click.option("--port", default=0, type=click.IntRange(0, 65535), metavar="N", help="By default any that is free.")
@click.option("--open/--no-open", "opens", default=False, help="Open it in a browser.")
def command(project: str, env: str | None, host: str, port: int, opens: bool) -> None:
    """Follow the runs of PROJECT (its file or folder; the current one by default) in a browser, and look at past ones.

    It shows the stories that the project's runs write, whichever process runs them. Ctrl-C ends it.
    """
    from odibi_story.library import stories_of
    from odibi_story.live.addresses import address_of
    from odibi_story.live.answers import Answers
    from odibi_story.live.followed import Pages
    from odibi_story.live.gate import TOKEN, Gate
    from odibi_story.live.runs import Runs
    from odibi_story.live.server import Server

    with stories_of(project, env) as shelf, _until_signalled() as signalled:
        address = address_of(host, port)
        gate = Gate(address, os.environ.get(TOKEN) or None)
        server = Server(Answers(Pages(Runs(shelf))), address, gate)
        try:
            click.echo(f"{server.url} shows the stories in {shelf.place.where('')} (Ctrl-C ends it)")
            if gate.asks:
                click.echo(f"It asks for the token that {TOKEN} holds, or takes it once as {server.url}?token=...")
            if opens and click.launch(server.url):
                click.echo("No browser could be started; open the address by hand.", err=True)
            signalled.wait()
        finally:
            server.close()


@contextmanager
def _until_signalled() -> Iterator[threading.Event]:
    """A ``with`` block in which SIGINT and SIGTERM set an event; a second one of them is dealt with as ever."""
    heard = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def hear(number: int, _: object) -> None:
        heard.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, hear)
    try:
        yield heard
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
