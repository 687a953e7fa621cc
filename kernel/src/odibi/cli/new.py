"""``odibi new``: for people who begin something."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from odibi.cli.project import log_level_option
from odibi.contracts import FAMILIES
from odibi.draw import visible


@click.group()
def new() -> None:
    """Begin a plugin."""


@new.command("plugin")
@click.argument("name")
@click.option("--family", required=True, metavar="FAMILY", help=f"Of its component: {', '.join(FAMILIES)}.")
@click.option("--path", type=click.Path(file_okay=False), help="The folder to make; by default ./NAME.")
@click.option("--component", metavar="NAME", help="What projects call it; by default NAME without 'odibi-'.")
@log_level_option
def plugin(
    name: str,
    family: str,
    path: str | None,
    component: str | None,
    log_level: str | None,  # noqa: ARG001
) -> None:
    """Begin the plugin NAME, a distribution such as odibi-shelf.

    It has a component that works, and tests that hold it to every promise of its contract; they pass at once.
    """
    from odibi.new_plugin import names_of, write_plugin

    names = names_of(name, family, component)
    folder = Path(name if path is None else path)
    for each in write_plugin(folder, names):
        click.echo(f"wrote {visible(str(folder / each))}")
    _warn_of_others(names.family, names.registered)
    click.echo(f"\nNext:\n  cd {shlex.quote(visible(str(folder)))}\n  pip install -e '.[test]'\n  pytest")
    click.echo(f"Then write {visible(f'src/{names.module}/{names.component}.py')}.")


def _warn_of_others(family: str, name: str) -> None:
    """Say so if something that is installed offers a component of that name."""
    from odibi.host import Host

    if name in Host().names(family):
        what = f"note: an installed plugin offers the {family} {name!r} already, and two cannot both."
        click.echo(f"{what} Block that one, or begin anew with another --component.", err=True)
