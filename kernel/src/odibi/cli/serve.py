"""``odibi serve``: its options. What it does is in :mod:`odibi.cli.serving`, so that asking for help costs little."""

from __future__ import annotations

from typing import Any

import click

from odibi.cli.project import env_option, log_level_option
from odibi.contracts.amounts import seconds


def _seconds(_context: click.Context, _parameter: click.Parameter, value: str | None) -> float | None:
    try:
        return None if value is None else seconds(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command()
@click.argument("projects", nargs=-1, type=click.Path())
@env_option
@click.option(
    "--max-runs", type=click.IntRange(min=1), default=4, metavar="N", help="How many runs may go on at once; 4."
)
@click.option(
    "--drain", default="60s", metavar="TIME", callback=_seconds,
    help="How long runs may still take once it is told to stop; 60s.",
)  # fmt: skip
@click.option(
    "--idle", metavar="TIME", callback=_seconds,
    help="End once nothing has been due, and nothing has run, for so long; by default never.",
)  # fmt: skip
@click.option(
    "--http", metavar="HOST:PORT",
    help="Answer /health, /ready, /metrics and /streams there, and take /events. Beyond this machine only with a "
    "token, in ODIBI_HTTP_TOKEN.",
)  # fmt: skip
@click.option("--no-reload", is_flag=True, help="Do not load a project anew when one of its files changes.")
@log_level_option
def serve(projects: tuple[str, ...], **options: Any) -> int:
    """Run pipelines whenever the triggers of PROJECTS say so (files or folders; odibi.yaml by default).

    Of several services for one project, one works and the others stand by. SIGTERM or Ctrl-C lets what runs finish; a
    second one stops it.
    """
    from odibi.cli.serving import Serving, Wishes

    return Serving(Wishes(projects or (".",), **options)).run()
