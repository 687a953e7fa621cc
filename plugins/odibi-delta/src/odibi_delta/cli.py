"""``odibi delta``: look at Delta tables and look after them."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from odibi.errors import ConfigError, Problem
from odibi_delta.log import iso
from odibi_delta.maintenance import Table, as_data

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


@click.group()
def command() -> None:
    """Look at Delta tables of a project, and look after them.

    TABLE is a connection of the project and a path in it, such as lake:silver/orders.
    """


def _on_table(function: Callable[..., Any]) -> Callable[..., Any]:
    """The argument and the options that all commands have."""
    function = click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)
    function = click.option("--env", metavar="NAME", help="One of the project's environments.")(function)
    project = click.option(
        "--project", default=".", type=click.Path(), metavar="PATH", help="The project file, or its folder."
    )
    return click.argument("table", metavar="CONNECTION:PATH")(project(function))


@contextmanager
def _opened(name: str, project: str, env: str | None) -> Iterator[Table]:
    """The table of that name; no secret of the project comes out of the block in an error."""
    import odibi

    connection, colon, path = name.partition(":")
    if not colon or not connection or not path.strip("/"):
        what = f"'{name}' names no table."
        raise ConfigError([Problem(what, None, "Give a connection and a path, such as lake:silver/orders.")])
    loaded = odibi.load(project, env=env)
    resources = loaded.resources()
    try:
        known = loaded.project.connections
        if connection not in known:
            remedy = f"The connections are: {', '.join(known) or 'none'}."
            raise ConfigError([Problem(f"the project has no connection '{connection}'.", None, remedy)])
        yield Table(resources.storage(connection), path.strip("/"), name)
    except Exception as error:
        loaded.redactor.scrub_exception(error)
        raise
    finally:
        resources.close()
        loaded.close()


@command.command()
@_on_table
@click.option("-n", "--limit", type=click.IntRange(1), metavar="N", help="Only the newest N versions.")
def history(table: str, project: str, env: str | None, as_json: bool, limit: int | None) -> None:
    """List the versions of a table, the newest first."""
    with _opened(table, project, env) as found:
        entries = found.history(limit)
    if as_json:
        click.echo(json.dumps({"table": table, "versions": as_data(entries)}, indent=2))
        return
    rows = [
        (str(it.version), iso(it.committed), it.operation or "?", str(it.files), str(it.bytes), _did(it.metrics))
        for it in entries
    ]
    _print_table(("VERSION", "COMMITTED", "OPERATION", "FILES", "BYTES", "DID"), rows)


@command.command()
@_on_table
def detail(table: str, project: str, env: str | None, as_json: bool) -> None:
    """Show what a table is: its columns, size, properties."""
    with _opened(table, project, env) as found:
        told = as_data(found.detail())
    if as_json:
        click.echo(json.dumps({"table": table, **told}, indent=2))
        return
    columns = told.pop("columns")
    for name, value in told.items():
        if value not in (None, [], {}, ""):
            click.echo(f"{name + ':':14}{_shown(value)}")
    click.echo("columns:")
    width = max(map(len, columns))
    for name, kind in columns.items():
        click.echo(f"  {name:{width}}  {kind}")


@command.command()
@_on_table
@click.option("--hours", type=click.IntRange(0), default=168, show_default=True, help="How long files were not used.")
@click.option("--remove", is_flag=True, help="Remove them; without it, they are only listed.")
@click.option("--force", is_flag=True, help="Allow fewer than 168 hours; nobody else may be using the table.")
def vacuum(table: str, project: str, env: str | None, as_json: bool, hours: int, remove: bool, force: bool) -> None:
    """List the files that are not part of a table any more, or remove them."""
    with _opened(table, project, env) as found:
        told = found.vacuum(hours, dry_run=not remove, force=force)
    if as_json:
        click.echo(json.dumps({"table": table, **as_data(told)}, indent=2))
        return
    for path in told.paths:
        click.echo(path)
    many = f"{len(told.paths):,} file{'s' * (len(told.paths) != 1)}"
    click.echo(f"{many} removed" if remove else f"{many} to remove; add --remove to do it")


@command.command()
@_on_table
@click.option("--version", type=click.IntRange(0), help="The version to go back to.")
@click.option("--timestamp", metavar="TIME", help="Or the moment, such as 2026-01-31T12:00:00Z.")
def restore(
    table: str, project: str, env: str | None, as_json: bool, version: int | None, timestamp: str | None
) -> None:
    """Make a table what it was, as a new version."""
    if (version is None) == (timestamp is None):
        raise click.UsageError("give either --version or --timestamp")
    with _opened(table, project, env) as found:
        new = found.restore(version=version, timestamp=timestamp)
    back = f"version {version}" if version is not None else str(timestamp)
    if as_json:
        click.echo(json.dumps({"table": table, "version": new}, indent=2))
    else:
        click.echo(f"{table} is again what it was at {back}; that is version {new}")


@command.command()
@_on_table
@click.option("--zorder", metavar="COLUMNS", help="Sort the rows by these columns, separated by commas.")
@click.option("--target-size", type=click.IntRange(1), metavar="BYTES", help="Of a file, about.")
def optimize(
    table: str, project: str, env: str | None, as_json: bool, zorder: str | None, target_size: int | None
) -> None:
    """Put small files of a table together."""
    columns = [name.strip() for name in (zorder or "").split(",") if name.strip()]
    with _opened(table, project, env) as found:
        told = found.optimize(columns, target_size=target_size)
    if as_json:
        click.echo(json.dumps({"table": table, **as_data(told)}, indent=2))
    else:
        click.echo(f"{told.removed:,} files became {told.added:,}; version {told.version}")


_METRICS = {
    "num_added_rows": "{} rows",
    "numOutputRows": "{} rows",
    "num_target_rows_inserted": "{} inserted",
    "numTargetRowsInserted": "{} inserted",
    "num_target_rows_updated": "{} updated",
    "numTargetRowsUpdated": "{} updated",
    "numFilesRemoved": "{} files put together",
}
"""What delta-rs and Spark count, in words."""


def _did(metrics: Any) -> str:
    said = [words.format(metrics[name]) for name, words in _METRICS.items() if str(metrics.get(name, "0")) != "0"]
    return ", ".join(said)


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}={each}" for name, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = [head, *rows]
    widths = [max(len(row[at]) for row in table) for at in range(len(head))]
    for row in table:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
