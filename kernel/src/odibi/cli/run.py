"""``odibi run``: its options. What it does is in :mod:`odibi.cli.running`, so that asking for help costs little."""

from __future__ import annotations

from typing import Any

import click

from odibi.cli.project import (
    engine_option,
    env_option,
    log_level_option,
    pipeline_option,
    project_argument,
    select_option,
    target_option,
)
from odibi.cli.resuming import Resuming, reuse_options


@click.command(cls=Resuming)
@project_argument
@pipeline_option
@select_option
@target_option
@env_option
@engine_option
@reuse_options
@click.option("--workers", type=click.IntRange(min=1), metavar="N", help="How many nodes may run at once.")
@click.option("--executor", metavar="NAME", help="What runs the nodes, instead of the project's.")
@click.option(
    "--on-error",
    type=click.Choice(["fail_fast", "fail_later", "ignore"]),
    help="What a failed node does to the run, for nodes that do not say it themselves.",
)
@click.option(
    "--mode",
    type=click.Choice(["batch", "stream"]),
    help="Once, or again and again; instead of what the pipelines say.",
)
@click.option("--max-iterations", type=click.IntRange(min=1), metavar="N", help="In mode stream: so many runs.")
@click.option(
    "--sleep-seconds",
    type=click.FloatRange(min=0),
    metavar="S",
    help="In mode stream: seconds from one run to the next.",
)
@click.option(
    "--checkpoint-interval", type=click.IntRange(min=1), metavar="N",
    help="In mode stream: of so many runs that succeed, one stays on record.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Print what odibi plan prints, and run nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON an event; the last one is the summary.")
@log_level_option
def run(project: str, **options: Any) -> int:
    """Run the pipelines of PROJECT (a file or its folder; odibi.yaml by default), one after another.

    Ctrl-C lets what runs finish and starts nothing more; a second one stops that as well.
    """
    from odibi.cli.running import Choices, run_project

    return run_project(project, Choices(**options))
