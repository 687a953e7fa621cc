"""Which commands there are, without importing any of them, nor click."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

COMMANDS = {
    "run": ("odibi.cli.run:run", "Run the pipelines of a project."),
    "plan": ("odibi.cli.plan:plan", "Show what would run, and why; run nothing."),
    "runs": ("odibi.cli.runs:runs", "List, show, compare and remove earlier runs."),
    "cache": ("odibi.cli.cache:cache", "Look into the cache of results, and clear it."),
    "serve": ("odibi.cli.serve:serve", "Run pipelines whenever their triggers say so."),
    "streams": ("odibi.cli.streams:streams", "See how far triggers are consumed; pause, reset, replay."),
    "fire": ("odibi.cli.fire:fire", "Fire a trigger that takes events."),
    "backfill": ("odibi.cli.backfill:backfill", "Run a pipeline for moments of the past."),
    "validate": ("odibi.cli.project:validate", "Find every mistake in a project; run nothing."),
    "graph": ("odibi.cli.project:graph", "Draw the nodes and what they need."),
    "init": ("odibi.cli.init:init", "Begin a project, from a template or from a folder of data."),
    "schema": ("odibi.cli.project:schema", "Print the JSON Schema of a project file, for editors."),
    "plugins": ("odibi.cli.plugins:plugins", "List what is installed."),
    "new": ("odibi.cli.new:new", "Begin a plugin."),
    "plugin": ("odibi.cli.plugin:plugin", "Work on a plugin: make its manifest."),
    "doctor": ("odibi.cli.plugins:doctor", "Look for whatever keeps Odibi from working."),
}
"""Name to where the command is, and what it does in one line."""


def plugin_commands() -> Mapping[str, str]:
    """The commands that installed plugins add: name to ``"module:attribute"``. The kernel's own names stay its own."""
    from odibi.host import Host

    return {name: target for name, target in sorted(Host().commands().items()) if name not in COMMANDS}


def help_text() -> str:
    """What ``odibi --help`` prints."""
    added = {name: f"From {target.partition(':')[0]}." for name, target in plugin_commands().items()}
    width = max(map(len, [*COMMANDS, *added])) + 2
    lines = ["Usage: odibi COMMAND [OPTIONS] [ARGUMENTS]", "", "  Run data pipelines.", "", "Commands:"]
    lines += [f"  {name:{width}}{help_}" for name, (_, help_) in COMMANDS.items()]
    if added:
        lines += ["", "Commands of plugins:", *(f"  {name:{width}}{help_}" for name, help_ in added.items())]
    lines += ["", "Options:", f"  {'--version':{width + 2}}Show the version and exit."]
    lines += [
        f"  {'--help':{width + 2}}Show this message and exit.",
        "",
        "odibi COMMAND --help tells more of a command.",
    ]
    return "\n".join(lines) + "\n"
