"""The entry point: what costs nothing first, then click; every error becomes a message and an exit code."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from odibi.redact import Redactor

BUG, INTERRUPTED, CLOSED_PIPE = 1, 130, 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: without the program's name; by default the process's.

    Returns:
        The exit code: 0 done, 1 a run failed, 2 a mistake in a project or on the command line, 3 a broken or missing
        plugin, 130 interrupted, 141 whoever read the output is gone.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given == ["--version"]:
        from odibi import __version__

        sys.stdout.write(f"odibi {__version__}\n")
        return 0
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal has no characters for is no reason to fail.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _run(given)
        sys.stdout.flush()
    except BrokenPipeError:
        return _closed_pipe()
    return code


def _run(arguments: list[str]) -> int:
    try:
        if "_ODIBI_COMPLETE" in os.environ:
            from odibi.cli.root import invoke

            return invoke(arguments)
        if not arguments or arguments in (["--help"], ["-h"]):
            from odibi.cli.commands import help_text

            sys.stdout.write(help_text())
            return 0
        if arguments in (["plugins"], ["plugins", "--json"]):
            # As often as not asked by a script or a shell prompt: click alone would cost more than the answer.
            from odibi.cli.listing import listing

            sys.stdout.write(listing(as_json=len(arguments) > 1))
            return 0
        from odibi.cli.root import invoke

        return invoke(arguments)
    except (KeyboardInterrupt, EOFError):
        sys.stderr.write("odibi: interrupted\n")
        return INTERRUPTED
    except BrokenPipeError:
        raise
    except Exception as error:
        return _report(error, _wants_traceback(arguments))


def _report(error: Exception, traceback: bool) -> int:
    """Say what went wrong, without secrets; returns the exit code."""
    from odibi.errors import ConfigError, OdibiError
    from odibi.host.firewall import words

    redactor = redactor_of_environment()
    if isinstance(error, ConfigError):
        # As compilers do, with the position first, so that editors can jump to it.
        lines = [f"{'' if problem.where else 'odibi: '}{problem}" for problem in error.problems]
        text = "\n".join(lines + [f"odibi: {len(lines)} problems"] * (len(lines) > 1))
    elif isinstance(error, OdibiError):
        text = "\n".join([f"odibi: {error}", *notes_of(error)])
    else:
        remedy = "" if traceback else " Run it again with --log-level debug to see where it comes from."
        what = words(error, place=True)
        text = f"odibi: unexpected {what}: this is a bug in odibi or a plugin.{remedy}"
        text = "\n".join([text, *notes_of(error)])
    if traceback:
        from traceback import format_exception

        text = "".join(format_exception(error)) + text
    sys.stderr.write(redactor.redact(text) + "\n")
    return error.exit_code if isinstance(error, OdibiError) else BUG


def notes_of(error: BaseException) -> list[str]:
    """The notes of an exception, which name the plugin or the step it comes from."""
    return [str(note) for note in getattr(error, "__notes__", ())]


def redactor_of_environment() -> Redactor:
    """Masks the environment variables that look like secrets, for errors before a project's own redactor is there."""
    from odibi.redact import Redactor, looks_secret

    redactor = Redactor()
    for name, value in os.environ.items():
        if looks_secret(name):
            redactor.register(value)
    return redactor


def _wants_traceback(arguments: list[str]) -> bool:
    joined = "\0".join(arguments).lower()
    return "--log-level\0debug" in joined or "--log-level=debug" in joined


def _closed_pipe() -> int:
    """Whoever read the output is gone: keep the interpreter from flushing into the void at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return CLOSED_PIPE


def entry() -> None:
    """What ``python -m odibi`` calls."""
    sys.exit(main())
