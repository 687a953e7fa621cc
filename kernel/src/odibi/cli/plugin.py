"""``odibi plugin``: for people who write plugins."""

from __future__ import annotations

import click


@click.group()
def plugin() -> None:
    """Work on a plugin that is installed."""


@plugin.command("manifest")
@click.argument("name")
@click.option("--write", is_flag=True, help="Write it into the plugin's package.")
@click.option("--check", is_flag=True, help="Print nothing but how the one in the package differs; exit with 1 then.")
def manifest_(name: str, write: bool, check: bool) -> int:
    """Print the manifest of the plugin NAME, made from its code."""
    from odibi.manifest import difference, found_plugin, manifest_file, manifest_text, write_manifest

    if write and check:
        raise click.UsageError("--write and --check exclude each other.")
    found = found_plugin(name)
    if write:
        changed = write_manifest(found)
        click.echo(f"{manifest_file(found)} {'is written' if changed else 'is as the code says already'}.")
        return 0
    if check:
        wrong = difference(found)
        click.echo(wrong or f"{manifest_file(found)} is as the code says.")
        return 1 if wrong else 0
    click.echo(manifest_text(found), nl=False)
    return 0
