"""``odibi validate``, ``odibi graph`` and ``odibi schema``: a project looked at, not run."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from odibi.errors import ConfigError, OdibiError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from odibi.api import LoadedProject, Pipeline

_NAMES = ("odibi.yaml", "odibi.yml", "odibi.toml", "odibi.json")

project_argument = click.argument("project", default=".", type=click.Path())
env_option = click.option("--env", metavar="NAME", help="One of the project's environments.")
pipeline_option = click.option("-p", "--pipeline", "pipelines", multiple=True, metavar="NAME", help="Only this one.")
select_option = click.option(
    "--select", multiple=True, metavar="EXPR", help="Nodes by name, glob, tag:NAME or layer:NAME; + before, after."
)
log_level_option = click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
    help="What to log on stderr.",
)


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


def load(given: str, env: str | None) -> LoadedProject:
    """:func:`odibi.load`, with a word on stderr about plugins that are broken and not needed."""
    import odibi

    loaded = odibi.load(find_project(given) or given, env=env)
    for problem in loaded.host.problems():
        click.echo(loaded.redactor.redact(f"warning: {problem}"), err=True)
    return loaded


def choose(
    loaded: LoadedProject, names: Sequence[str], select: Sequence[str], targets: Sequence[str] | None
) -> list[tuple[Pipeline, list[str], list[str] | None]]:
    """The pipelines in question, each with the selections and targets that it holds.

    Raises:
        ConfigError: a pipeline is not known, or a selection or target is in none of them.
    """
    wanted = [loaded[name] for name in dict.fromkeys(names)] if names else list(loaded.pipelines)
    expressions = [part.strip() for text in select for part in text.split(",") if part.strip()]
    if not expressions and targets is None:
        return [(pipeline, [], None) for pipeline in wanted]
    chosen = []
    missing = dict.fromkeys([*expressions, *(targets or ())])
    for pipeline in wanted:
        graph = pipeline.graph()
        held = [expression for expression in expressions if _matches(graph.select, expression)]
        aimed = [name for name in targets or () if name in graph.index]
        for found in (*held, *aimed):
            missing.pop(found, None)
        if (held or not expressions) and (aimed or targets is None):
            chosen.append((pipeline, held, aimed if targets is not None else None))
    if missing:
        raise ConfigError(_unmatched(wanted, list(missing), targets or ()))
    if not chosen:
        raise ConfigError([Problem("no pipeline holds both a selected node and a target.")])
    return chosen


def _matches(select: Callable[[list[str]], object], expression: str) -> bool:
    try:
        select([expression])
    except ConfigError:
        return False
    return True


def _unmatched(pipelines: Sequence[Pipeline], missing: Sequence[str], targets: Sequence[str]) -> Iterator[Problem]:
    from odibi.structure import did_you_mean

    nodes = [node for pipeline in pipelines for node in pipeline.model.nodes]
    names = [node.name for node in nodes]
    groups = [f"tag:{tag}" for node in nodes for tag in node.tags] + [f"layer:{it.layer}" for it in nodes if it.layer]
    for each in missing:
        kind = "target" if each in targets else "selection"
        known = names if kind == "target" else [*names, *dict.fromkeys(groups)]
        yield Problem(f"the {kind} '{each}' matches no node.", None, did_you_mean(each.strip("+"), known))


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

    chosen = choose(load(project, env), pipelines, select, None)
    drawings = [
        Drawing(pipeline.name, pipeline.plan(select=held).graph, pipeline.model.layer) for pipeline, held, _ in chosen
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
