"""``odibi init``."""

from __future__ import annotations

import os
import shlex
import tempfile
from importlib.resources import files as resources
from pathlib import Path
from typing import TYPE_CHECKING

import click

from odibi.cli.project import log_level_option, plural
from odibi.draw import visible
from odibi.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from importlib.resources.abc import Traversable

TEMPLATES = ("empty", "starter")


@click.command()
@click.argument("folder", default=".", metavar="[DIR]", type=click.Path(file_okay=False))
@click.option("--from", "source", metavar="FOLDER", type=click.Path(), help="Make it from the data files in there.")
@click.option("--template", type=click.Choice(TEMPLATES), help="What to begin with: starter by default.")
@click.option("--name", help="Of the project; by default the folder's.")
@click.option("--force", is_flag=True, help="Overwrite what is there.")
@log_level_option
def init(
    folder: str,
    source: str | None,
    template: str | None,
    name: str | None,
    force: bool,
    log_level: str | None,  # noqa: ARG001
) -> None:
    """Begin a project in DIR (this folder by default).

    It comes from a template, or from a folder of CSV, JSON, Parquet or Excel files: with a connection, a node that
    reads each file, and one that checks what the data promise.
    """
    if source is not None and template is not None:
        raise click.UsageError("give --from or --template, not both")
    target = Path(folder)
    called = name or target.resolve().name or "project"
    if source is None:
        files = template_files(template or "starter", called)
    else:
        from odibi.host import Host
        from odibi.scaffold import infer

        inferred = infer(Path(source), called, target, Host())
        files = inferred.files
        click.echo(f"found {plural(inferred.tables, 'table')} in {visible(source)}")
        for each in inferred.left_out:
            click.echo(f"left out {visible(each)}")
    for path in write_files(target, files, force=force):
        click.echo(f"wrote {visible(str(target / path))}")
    click.echo("\nNext:")
    if target.resolve() != Path.cwd():
        click.echo(f"  cd {shlex.quote(visible(folder))}")
    click.echo("  odibi validate\n  odibi graph\n  odibi run")


def template_files(template: str, project: str) -> dict[str, str]:
    """Path to content of the files of a template, for a project of that name."""
    from odibi.scaffold import scalar

    home = resources("odibi.cli") / "templates" / template
    # Files of Python code end in .txt there, so that nothing takes them for code of the kernel.
    return {
        name.removesuffix(".txt"): file.read_text("utf-8").replace("@PROJECT@", scalar(project))
        for name, file in _walk(home)
    }


def _walk(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, Traversable]]:
    for item in sorted(folder.iterdir(), key=lambda item: item.name):
        if item.is_dir():
            yield from _walk(item, f"{prefix}{item.name}/")
        else:
            yield prefix + item.name, item


def write_files(folder: Path, files: Mapping[str, str], *, force: bool = False) -> list[str]:
    """Write files into a folder, all or none of them if one is there already.

    Args:
        folder: is made if it is not there. Nothing outside it is written, whatever links it holds.
        files: path in the folder to content.
        force: overwrite what is there.

    Returns:
        The paths written.

    Raises:
        ConfigError: a file is there already, or cannot be written.
    """
    root = folder.resolve()
    problems = []
    for name in files:
        place = root / name
        if not place.parent.resolve().is_relative_to(root):
            problems.append(Problem(f"{place.parent} leads out of {root}.", None, "Remove the link."))
        elif os.path.lexists(place) and not force:
            problems.append(Problem(f"{place} is there already.", None, "Use --force to overwrite it."))
    if problems:
        raise ConfigError(problems)
    try:
        for name, content in files.items():
            place = root / name
            place.parent.mkdir(parents=True, exist_ok=True)
            # A link in the place is replaced, not followed.
            with tempfile.NamedTemporaryFile("w", dir=place.parent, delete=False, encoding="utf-8") as draft:
                draft.write(content)
            Path(draft.name).chmod(0o644)
            Path(draft.name).replace(place)
    except OSError as error:
        raise ConfigError(f"{error.filename or root} cannot be written: {error.strerror or error}.") from error
    return list(files)
