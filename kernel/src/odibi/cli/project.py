"""``odibi validate``, ``odibi graph`` and ``odibi schema``: a project looked at, not run."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from odibi.errors import ConfigError, OdibiError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from odibi.api import LoadedProject

_NAMES = ("odibi.yaml", "odibi.yml", "odibi.toml", "odibi.json")

project_argument = click.argument("project", default=".", type=click.Path())
env_option = click.option("--env", metavar="NAME", help="One of the project's environments.")
pipeline_option = click.option("-p", "--pipeline", "pipelines", multiple=True, metavar="NAME", help="Only this one.")
select_option = click.option(
    "--select", multiple=True, metavar="EXPR", help="Nodes by name, glob, tag:NAME or layer:NAME; + before, after."
)
target_option = click.option(
    "--target", "targets", multiple=True, metavar="NODE", help="Only this node and what it needs."
)
engine_option = click.option("--engine", metavar="NAME", help="For nodes and pipelines that name no engine themselves.")
log_level_option = click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
    help="What to log on stderr.",
)


def with_project(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--project``, ``--env`` and ``--log-level``, for commands whose arguments are not the project."""
    project = click.option(
        "--project", default=".", type=click.Path(), metavar="PATH", help="The project file, or its folder."
    )
    return project(env_option(log_level_option(command)))


def find_project(given: str, *, must_exist: bool = True) -> str | None:
    """The project file that a path names: itself, or the ``odibi.yaml`` (yml, toml, json) of the folder.

    Raises:
        ConfigError: there is none, and there must be one.
    """
    path = Path(given)
    if not path.is_dir():
        return given
    found = next((path / name for name in _NAMES if (path / name).is_file()), None)
    if found is None and must_exist:
        where = "this folder" if given == "." else f"the folder '{given}'"
        others = sorted(each.name for each in path.glob("*.y*ml"))[:5]
        remedy = f"Name the file; there are: {', '.join(others)}." if others else "Begin one with: odibi init"
        raise ConfigError([Problem(f"there is no odibi.yaml in {where}.", None, remedy)])
    return str(found) if found is not None else None


def load(given: str, env: str | None, engine: str | None = None) -> LoadedProject:
    """:func:`odibi.load`, with a word on stderr about plugins that are broken and not needed, or that are missed."""
    import odibi

    loaded = odibi.load(find_project(given) or given, env=env, engine=engine)
    for problem in loaded.host.problems():
        click.echo(loaded.redactor.redact(f"warning: {problem}"), err=True)
    if missed := _missed(loaded):
        click.echo(f"warning: {missed}", err=True)
    return loaded


def _missed(loaded: LoadedProject) -> str:
    """What the project asks for that it also runs without; empty if all of it is there."""
    from odibi.host.packages import package_of
    from odibi.run.observers import STORY

    story = loaded.project.story
    if story is None or not story.auto_generate or STORY in loaded.host.names("observer"):
        return ""
    package = package_of("observer", STORY)
    return f"the project has a section 'story', but no plugin that writes stories is here: pip install {package}"


@contextmanager
def using(loaded: LoadedProject) -> Iterator[None]:
    """Take the project's secrets out of whatever is raised inside, and close what it holds at the end."""
    try:
        yield
    except Exception as error:
        loaded.redactor.scrub_exception(error)
        raise
    finally:
        loaded.close()


@contextmanager
def errors_as_json(wanted: bool) -> Iterator[None]:
    """Print what is raised inside as a line of JSON too, where that is ``wanted``."""
    try:
        yield
    except OdibiError as error:
        if wanted:
            from odibi.cli.main import redactor_of_environment

            problems = redactor_of_environment().scrub(problems_as_data(error))
            click.echo(json.dumps({"event": "error", "problems": problems}))
        raise


@click.command()
@project_argument
@env_option
@log_level_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def validate(project: str, env: str | None, log_level: str | None, as_json: bool) -> int:  # noqa: ARG001
    """Find every mistake in PROJECT (a file or its folder; odibi.yaml by default). Runs nothing."""
    try:
        loaded = load(project, env)
        for pipeline in loaded.pipelines:
            pipeline.graph()
    except OdibiError as error:
        if not as_json:
            raise
        click.echo(json.dumps({"ok": False, "problems": problems_as_data(error)}))
        return error.exit_code
    count, nodes = len(loaded.pipelines), sum(len(pipeline.model.nodes) for pipeline in loaded.pipelines)
    if as_json:
        click.echo(json.dumps({"ok": True, "problems": [], "pipelines": count, "nodes": nodes}))
    else:
        click.echo(f"ok: {plural(count, 'pipeline')}, {plural(nodes, 'node')}")
    return 0


def problems_as_data(error: OdibiError) -> list[dict[str, Any]]:
    """What is wrong, as JSON values."""
    problems = error.problems if isinstance(error, ConfigError) else (Problem(str(error.what), None, error.remedy),)
    return [
        {
            "what": problem.what,
            "file": problem.where.file if problem.where else None,
            "line": problem.where.line if problem.where else None,
            "column": problem.where.column if problem.where else None,
            "remedy": problem.remedy,
        }
        for problem in problems
    ]


def plural(number: int, what: str) -> str:
    """``1 node``, ``2 nodes``."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


@click.command()
@project_argument
@env_option
@pipeline_option
@select_option
@log_level_option
@click.option("--format", "kind", type=click.Choice(["ascii", "mermaid", "dot", "json"]), default="ascii")
def graph(
    project: str,
    env: str | None,
    pipelines: Sequence[str],
    select: Sequence[str],
    log_level: str | None,  # noqa: ARG001
    kind: str,
) -> None:
    """Draw the nodes of PROJECT (a file or its folder; odibi.yaml by default) and what they need."""
    import os

    from odibi.draw import FORMATS, Drawing, to_ascii
    from odibi.plan import make_plan

    chosen = load(project, env).choose(pipelines, select)
    drawings = [
        Drawing(
            pipeline.name,
            make_plan(pipeline.model, select=held, given=pipeline.graph().given).graph,
            pipeline.model.layer,
        )
        for pipeline, held, _ in chosen
    ]
    if kind == "ascii":
        color = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        text = to_ascii(drawings, unicode="utf" in (sys.stdout.encoding or "").lower(), color=color)
    else:
        text = FORMATS[kind](drawings)
    sys.stdout.write(text)


@click.command()
@click.option("--out", type=click.Path(dir_okay=False), metavar="FILE", help="Write it there instead of printing it.")
@log_level_option
def schema(out: str | None, log_level: str | None) -> None:  # noqa: ARG001
    """Print the JSON Schema of a project file, with the options of everything that is installed."""
    from odibi.config.schema import project_schema
    from odibi.host import Host

    text = json.dumps(project_schema(Host()), indent=2) + "\n"
    if out is None:
        sys.stdout.write(text)
        return
    try:
        Path(out).write_text(text, "utf-8")
    except OSError as error:
        raise ConfigError(f"{out} cannot be written: {error.strerror}.") from error
    click.echo(f"wrote {out}")
