"""The ``odibi`` group for click: finds commands by name and imports them when they are called."""

from __future__ import annotations

import os
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import click

from odibi import __version__
from odibi.cli.commands import COMMANDS, help_text, plugin_commands


class Root(click.Group):
    """The group; a command's module is imported when the command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """All names, for shell completion."""
        return [*COMMANDS, *plugin_commands()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of that name.

        Raises:
            PluginBroken: a plugin offers it, and it cannot be imported.
        """
        if cmd_name in COMMANDS:
            return _load(COMMANDS[cmd_name][0])
        target = plugin_commands().get(cmd_name)
        return None if target is None else _load_of_plugin(cmd_name, target)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but with the nearest name for one that is not known."""
        command = self.get_command(ctx, args[0])
        if command is None and not args[0].startswith("-"):
            names = self.list_commands(ctx)
            close = get_close_matches(args[0], names, 1)
            hint = f"Did you mean '{close[0]}'?" if close else f"The commands are: {', '.join(names)}."
            raise click.UsageError(f"there is no command '{args[0]}'. {hint}", ctx)
        return super().resolve_command(ctx, args)

    def get_help(self, ctx: click.Context) -> str:  # noqa: ARG002
        """The same as without click."""
        return help_text().rstrip()


def _load(target: str) -> click.Command:
    module, _, name = target.partition(":")
    found: Any = import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    if not isinstance(found, click.Command):
        raise TypeError(f"{target!r} is no click command")
    return found


def _load_of_plugin(name: str, target: str) -> click.Command:
    try:
        return _load(target)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        from odibi.errors import PluginBroken
        from odibi.host.firewall import words

        what = f"a plugin offers it, but {target!r} cannot be loaded: {words(error, place=True)}."
        remedy = "Update the plugin, or tell its authors; odibi plugins names it."
        raise PluginBroken(what, where=f"command {name!r}", remedy=remedy) from error


def _print_version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked:
        click.echo(f"odibi {__version__}")
        ctx.exit()


root = Root(
    "odibi",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    params=[click.Option(["--version"], is_flag=True, is_eager=True, expose_value=False, callback=_print_version)],
)


def invoke(arguments: list[str]) -> int:
    """Run the command that the arguments name; returns the exit code.

    What a command raises comes out of here, mistakes on the command line excepted.
    """
    if "_ODIBI_COMPLETE" in os.environ:  # a shell asks for completions
        root.main(arguments, prog_name="odibi")
    try:
        # Not root.main(): that has its own ideas of what an interruption and a closed pipe mean.
        with root.make_context("odibi", arguments) as context:
            result = root.invoke(context)
    except click.exceptions.Exit as error:
        return int(error.exit_code)
    except click.ClickException as error:
        error.show()
        return 2
    except click.Abort:
        raise KeyboardInterrupt from None
    return result if isinstance(result, int) else 0
