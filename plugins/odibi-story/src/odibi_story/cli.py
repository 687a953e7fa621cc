"""``odibi story``."""

import click


@click.group()
def command() -> None:
    """Look at the stories of a project's runs."""
