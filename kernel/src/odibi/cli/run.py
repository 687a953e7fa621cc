"""``odibi run``: its options. What it does is in :mod:`odibi.cli.running`, so that asking for help costs little."""

from __future__ import annotations

from typing import Any

import click

from odibi.cli.project import env_option, log_level_option, pipeline_option, project_argument, select_option


@click.command()
@project_argument
@pipeline_option
@select_option
@click.option("--target", "targets", multiple=True, metavar="NODE", help="Only this node and what it needs.")
@env_option
@click.option("--engine", metavar="NAME", help="For nodes and pipelines that name no engine themselves.")
@click.option("--workers", type=click.IntRange(min=1), metavar="N", help="How many nodes may run at once.")
@click.option("--executor", metavar="NAME", help="What runs the nodes, instead of the project's.")
@click.option(
    "--on-error",
    type=click.Choice(["fail_fast", "fail_later", "ignore"]),
    help="What a failed node does to the run, for nodes that do not say it themselves.",
)
@click.option("--dry-run", is_flag=True, help="Print what would run, and why.")
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON an event; the last one is the summary.")
@log_level_option
def run(project: str, **options: Any) -> int:
    """Run the pipelines of PROJECT (a file or its folder; odibi.yaml by default), one after another.

    Ctrl-C lets what runs finish and starts nothing more; a second one stops that as well.
    """
    from odibi.cli.running import Choices, run_project

    return run_project(project, Choices(**options))
