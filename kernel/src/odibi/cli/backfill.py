"""``odibi backfill``: runs for moments of the past."""

from __future__ import annotations

from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click

from odibi.cli.project import load, plural, using, with_project

if TYPE_CHECKING:
    from odibi.contracts.trigger import Batch, Schedule

_MOST = 10_000


def _moment(_context: click.Context, _parameter: click.Parameter, value: str) -> datetime:
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is no moment; write one as 2026-01-31 or 2026-01-31T06:00+01:00") from None
    return found if found.utcoffset() is not None else found.replace(tzinfo=ZoneInfo("UTC"))


@click.command()
@click.argument("stream")
@click.option("--from", "begin", required=True, callback=_moment, metavar="MOMENT", help="The first; UTC by default.")
@click.option("--to", "end", required=True, callback=_moment, metavar="MOMENT", help="Up to this one, left out.")
@click.option("--again", is_flag=True, help="Also moments that an earlier backfill has done.")
@click.option("--dry-run", is_flag=True, help="Print the moments, and run nothing.")
@with_project
def backfill(
    project: str,
    env: str | None,
    stream: str,
    begin: datetime,
    end: datetime,
    again: bool,
    dry_run: bool,
    log_level: str | None,  # noqa: ARG001
) -> int:
    """Run the pipeline of STREAM (PIPELINE/TRIGGER) for each moment of its schedule between two others.

    A node that takes the trigger by name is given the moment. What was done stays done when the command is interrupted;
    give it again to go on. It ends at the first moment that fails.
    """
    from odibi.cli.display import Output
    from odibi.cli.history import opened_store
    from odibi.cli.streams import stream_called
    from odibi.contracts.trigger import TriggerSource
    from odibi.errors import OdibiError
    from odibi.service.replay import backfill as made_up

    loaded = load(project, env)
    with using(loaded), opened_store(loaded) as store:
        output = Output(loaded.redactor)
        found = stream_called(loaded, store, stream)
        resources = loaded.resources()
        try:
            schedule = resources.trigger(found.trigger) if found.trigger in loaded.project.triggers else None
            if schedule is None or isinstance(schedule, TriggerSource):
                raise OdibiError("only schedules have moments", where=stream, remedy="Name the stream of a schedule.")
            batches = _listed(schedule, begin, end)
        finally:
            resources.close()
        for batch in batches:
            if dry_run:
                output.line(batch.id)
                continue
            error = made_up(loaded[found.pipeline], found, batch, again=again)
            word = "done before" if error is None else error or "succeeded"
            output.line(f"{batch.id}: {output.redactor.redact(word)}")
            if error:
                return 1
        if not batches:
            output.line("the schedule has no moment there")
    return 0


def _listed(schedule: Schedule, begin: datetime, end: datetime) -> list[Batch]:
    from odibi.errors import OdibiError
    from odibi.service.replay import backfills

    found = list(islice(backfills(schedule, begin, end), _MOST + 1))
    if len(found) > _MOST:
        what = f"there are more than {plural(_MOST, 'moment')}"
        raise OdibiError(what, where="odibi backfill", remedy="Choose a shorter time.")
    return found
