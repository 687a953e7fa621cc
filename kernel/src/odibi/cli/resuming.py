"""What ``odibi run`` and ``odibi plan`` share: the options about earlier runs, and which pipelines go on with which."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from odibi.api import LoadedProject, Pipeline

_LAST = "last"
_LIKE_A_RUN = re.compile(r"last(?:~\d+)?|\d[\dT.]*(?:-[0-9a-f]*)?")
_RESUME = "--resume"


class Resuming(click.Command):
    """A command with ``--resume [RUN]``: what follows it is a run only if it looks like one."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does, once it is settled what ``--resume`` takes."""
        # With click's own optional values, the project would be taken for a run in ``odibi run --resume odibi.yaml``.
        end = args.index("--") if "--" in args else len(args)
        for at in range(end - 1, -1, -1):
            if args[at] != _RESUME:
                continue
            if at + 1 < end and _LIKE_A_RUN.fullmatch(args[at + 1]):
                args[at : at + 2] = [f"{_RESUME}={args[at + 1]}"]
            else:
                args[at] = f"{_RESUME}={_LAST}"
        return super().parse_args(ctx, args)


def reuse_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--force``, ``--no-cache`` and ``--resume``."""
    for option in (
        click.option(
            _RESUME,
            metavar="[RUN]",
            help="Go on with the last run of each pipeline if it did not succeed, or with RUN (an id, or its beginning)"
            " and then with the pipelines after its own. What was finished is not done again.",
        ),
        click.option("--no-cache", is_flag=True, help="Take nothing from the project's cache, and put nothing there."),
        click.option("--force", is_flag=True, help="Run all that is selected, whatever earlier runs left."),
    ):
        command = option(command)
    return command


class Choice(NamedTuple):
    """One pipeline that is to be planned or run.

    Attributes:
        pipeline: which.
        select, targets: what of it.
        how: the choices about earlier runs, as :meth:`odibi.api.Pipeline.run` takes them.
    """

    pipeline: Pipeline
    select: list[str]
    targets: list[str] | None
    how: dict[str, Any]


def choices(
    loaded: LoadedProject,
    pipelines: Sequence[str],
    select: Sequence[str],
    targets: Sequence[str],
    *,
    force: bool,
    no_cache: bool,
    resume: str | None,
) -> list[Choice]:
    """The pipelines in question, in order, with what the command line says of each.

    Args:
        loaded: the project.
        pipelines, select, targets: as given.
        force, no_cache: as given.
        resume: a run, or its beginning, or ``last``; ``None`` for none. With a run, pipelines before its own are left
            out: they were done when it began.

    Raises:
        ConfigError: something is named that is not there.
        OdibiError: the run cannot be found, or is one of a pipeline that is not in question.
    """
    how = {"force": force, "cache": not no_cache, "resume": resume is not None}
    found = [Choice(*each, how) for each in loaded.choose(pipelines, select, targets or None)]
    if resume is None or resume == _LAST:
        return found
    from odibi.cli.history import find_run, opened_store
    from odibi.errors import NotFound

    with opened_store(loaded) as store:
        run = find_run(store, resume)
    at = next((at for at, each in enumerate(found) if each.pipeline.name == run.pipeline), None)
    if at is None:
        names = ", ".join(each.pipeline.name for each in found)
        raise NotFound(
            f"it is a run of pipeline '{run.pipeline}', and only {names} would run",
            where=run.run_id,
            remedy="Choose that pipeline, or another run: odibi runs ls shows them.",
        )
    after = [each._replace(how={**how, "resume": False}) for each in found[at + 1 :]]
    return [found[at]._replace(how={**how, "resume": run.run_id}), *after]
