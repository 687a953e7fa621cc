"""``odibi plugins`` and ``odibi doctor``: what is installed, and what is wrong with it."""

from __future__ import annotations

import json

import click

from odibi.cli.listing import listing
from odibi.host import Host


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def plugins(as_json: bool) -> None:
    """List what is installed: each plugin with its version, status, time to load, place, and what it offers."""
    click.echo(listing(as_json=as_json), nl=False)


@click.command()
@click.argument("project", required=False, type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(project: str | None, as_json: bool) -> int:
    """Look for whatever keeps Odibi, or PROJECT, from working. Exits with 1 if there is anything."""
    from odibi.cli.main import redactor_of_environment
    from odibi.cli.project import find_project
    from odibi.doctor import diagnose

    report = diagnose(Host(), find_project(project) if project is not None else find_project(".", must_exist=False))
    redactor = redactor_of_environment()
    if as_json:
        click.echo(json.dumps(redactor.scrub(json.loads(report.to_json())), indent=2))
        return 1 if report.problems else 0
    lines = [f"python     {report.python} at {report.executable}", f"platform   {report.platform}"]
    lines += [f"package    {name} {version or 'is not installed'}" for name, version in report.packages.items()]
    lines += [f"plugin     {info.label}: {info.status}" for info in report.plugins]
    lines += [f"folder     {folder.purpose}: {folder.path}" for folder in report.folders]
    if report.project is not None:
        lines.append(f"project    {report.project.path}")
        lines += [f"connection {name}" for name in report.project.connections]
    lines += ["", *(f"problem: {problem}" for problem in report.problems)]
    lines.append(f"{len(report.problems)} found." if report.problems else "All is well.")
    click.echo(redactor.redact("\n".join(lines)))
    return 1 if report.problems else 0
