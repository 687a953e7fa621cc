"""``odibi metrics``: the dashboard and the alerts that come with the package."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import click

from odibi.errors import StorageError

_WRITE = click.option(
    "--write",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write it to this file, in place of printing it.",
)


@click.group("metrics")
def metrics() -> None:
    """A dashboard for Grafana and alerts for Prometheus, on what runs measure."""


@metrics.command()
@_WRITE
def dashboard(write: Path | None) -> None:
    """Give the dashboard for Grafana, as JSON to be imported there."""
    _give("dashboard.json", write)


@metrics.command()
@_WRITE
def rules(write: Path | None) -> None:
    """Give the alerts for Prometheus, as a rule file."""
    _give("rules.yml", write)


def _give(name: str, write: Path | None) -> None:
    text = (files("odibi_metrics") / name).read_text("utf-8")
    if write is None:
        click.echo(text, nl=False)
        return
    try:
        write.write_text(text, "utf-8")
    except OSError as error:
        raise StorageError(
            f"cannot be written: {error.strerror or error}", where=str(write), remedy="Name another file."
        ) from error
    click.echo(f"{write} is written.", err=True)
