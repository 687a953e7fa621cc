"""``odibi streams``: how far pipelines have consumed what triggers bring."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from odibi.cli.amounts import ago
from odibi.cli.project import errors_as_json, load, plural, using, with_project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from odibi.api import LoadedProject
    from odibi.cli.display import Output
    from odibi.contracts.checkpoint import CheckpointStore
    from odibi.service.streams import DeadLetter, Stream

_LONGEST = 60
"""Characters of an offset that are shown in a list."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
read_option = click.option(
    "--read/--trigger", "of_read", default=None, help="What STREAM is of, where a node and a trigger have one name."
)


@click.group()
def streams() -> None:
    """See how far each pipeline has consumed what its triggers bring, and how far incremental reads have come.

    A STREAM is PIPELINE/TRIGGER, or for an incremental read PIPELINE/NODE; ls lists them. Those of incremental reads
    can be shown and reset, and nothing else.
    """


@contextmanager
def _opened(
    project: str, env: str | None, *, as_json: bool = False
) -> Iterator[tuple[LoadedProject, CheckpointStore, Output]]:
    from odibi.cli.display import Output
    from odibi.cli.history import opened_store

    with errors_as_json(as_json):
        loaded = load(project, env)
        with using(loaded), opened_store(loaded) as store:
            yield loaded, store, Output(loaded.redactor)


def _streams(loaded: LoadedProject, store: CheckpointStore) -> list[Stream]:
    """The streams of a project, in the order of its triggers."""
    from odibi.service.jobs import AFTER
    from odibi.service.streams import Stream

    project = loaded.project
    names = [pipeline.name for pipeline in project.pipelines]
    found = [
        Stream(store, pipeline, name) for name, it in project.triggers.items() for pipeline in it.pipelines or names
    ]
    return [*found, *(Stream(store, each.name, AFTER) for each in project.pipelines if each.after)]


def stream_called(loaded: LoadedProject, store: CheckpointStore, name: str) -> Stream:
    """One of the streams of a project.

    Raises:
        NotFound: there is none of that name.
    """
    from odibi.cli.watermarks import incremental_names
    from odibi.errors import NotFound
    from odibi.structure import did_you_mean

    found = {stream.name: stream for stream in _streams(loaded, store)}
    if name in found:
        return found[name]
    reads = incremental_names(loaded.project)
    if name in reads:
        what = "it is an incremental read, which runs of its pipeline consume by themselves"
        raise NotFound(what, where=name, remedy="It can be shown and reset: odibi streams show, odibi streams reset.")
    raise NotFound("the project has no such stream", where=name, remedy=did_you_mean(name, [*found, *reads]))


def _is_read(loaded: LoadedProject, store: CheckpointStore, name: str, of_read: bool | None) -> bool:
    """Whether the stream is that of an incremental read, and not that of a trigger.

    Raises:
        UsageError: there are both, and nobody said which is meant; or there is none of the kind that is meant.
    """
    from odibi.cli.watermarks import incremental_names

    is_read = name in incremental_names(loaded.project)
    is_of_trigger = any(stream.name == name for stream in _streams(loaded, store))
    if of_read is None and is_read and is_of_trigger:
        raise click.UsageError(f"{name} is the stream of a trigger, and an incremental read; say --trigger or --read")
    if of_read and not is_read:
        raise click.UsageError(f"{name} is no incremental read")
    return is_read if of_read is None else of_read


@streams.command()
@json_option
@with_project
def ls(project: str, env: str | None, as_json: bool, log_level: str | None) -> None:  # noqa: ARG001
    """List the streams: how far they are, what is in flight, and what was given up."""
    from odibi.cli.table import table, wants_color
    from odibi.cli.watermarks import watermark_rows
    from odibi.draw import visible

    with _opened(project, env, as_json=as_json) as (loaded, store, output):
        rows = [_data(loaded, stream) for stream in _streams(loaded, store)]
        rows += watermark_rows(loaded.project, store)
        if as_json:
            output.data({"streams": rows})
            return
        if not rows:
            output.line("the project has no triggers")
            return
        header = ("STREAM", "TYPE", "STATE", "GIVEN UP", "OFFSET")
        cells = [
            [
                visible(row["stream"]), visible(row["type"]), row["state"], str(row["dead"] or ""),
                visible(output.redactor.redact(_short(row["offset"]))),
            ]
            for row in rows
        ]  # fmt: skip
        for line in table(cells, header=header, right={3}, color=wants_color()):
            output.line(line)


@streams.command()
@click.argument("stream")
@read_option
@json_option
@with_project
def show(
    project: str, env: str | None, stream: str, of_read: bool | None, as_json: bool, log_level: str | None  # noqa: ARG001
) -> None:  # fmt: skip
    """Show STREAM: its offset, the batch in flight, and the batches that were given up, with the errors.

    Of an incremental read: the greatest value that was read, what a run that has not succeeded yet has begun to read,
    and how many keys are known for rows that come late.
    """
    from odibi.cli.watermarks import watermark_shown
    from odibi.draw import visible

    with _opened(project, env, as_json=as_json) as (loaded, store, output):
        if _is_read(loaded, store, stream, of_read):
            shown = watermark_shown(loaded.project, store, stream)
            if as_json:
                output.data(shown)
                return
            for name, value in shown.items():
                if value not in (None, [], 0):
                    text = value if isinstance(value, str | int) else json.dumps(value)
                    output.line(f"{name.replace('_', ' '):10} {visible(output.redactor.redact(str(text)))}")
            return
        found = stream_called(loaded, store, stream)
        data = _data(loaded, found)
        letters = list(found.dead())
        if as_json:
            output.data({**data, "given_up": [_letter(each) for each in letters]})
            return

        def say(name: str, value: Any) -> None:
            if value not in (None, ""):
                output.line(f"{name:10} {visible(output.redactor.redact(str(value)))}")

        say("stream", data["stream"])
        say("type", data["type"])
        say("state", data["state"])
        say("offset", None if data["offset"] is None else json.dumps(data["offset"]))
        if (batch := data["batch"]) is not None:
            say("in flight", f"{batch['id']}, begun {plural(batch['attempts'], 'time')}")
            say("error", batch["error"])
        for each in letters:
            output.line("")
            say("given up", f"{each.batch.id} {ago(each.time)}, after {plural(each.attempts, 'attempt')}")
            say("run", each.run_id)
            say("error", each.error)
            say("payload", _short(each.batch.payload, 200))


@streams.command()
@click.argument("stream")
@with_project
def pause(project: str, env: str | None, stream: str, log_level: str | None) -> None:  # noqa: ARG001
    """Let STREAM start nothing more, in a service that runs as well. What runs is not touched."""
    with _opened(project, env) as (loaded, store, output):
        stream_called(loaded, store, stream).pause()
        output.line(f"{stream} is paused; go on with: odibi streams resume {stream}")


@streams.command()
@click.argument("stream")
@with_project
def resume(project: str, env: str | None, stream: str, log_level: str | None) -> None:  # noqa: ARG001
    """Let STREAM go on."""
    with _opened(project, env) as (loaded, store, output):
        stream_called(loaded, store, stream).pause(paused=False)
        output.line(f"{stream} goes on")


@streams.command()
@click.argument("stream")
@read_option
@click.option("--to", "offset", metavar="JSON", help="Go on behind this offset, instead of at the very beginning.")
@with_project
def reset(
    project: str, env: str | None, stream: str, of_read: bool | None, offset: str | None, log_level: str | None  # noqa: ARG001
) -> None:  # fmt: skip
    """Forget how far STREAM is consumed: all that its trigger brings comes again.

    No service may serve the project meanwhile. Of an incremental read all rows are read again, and appended again by
    nodes that append; no run of its pipeline may go on meanwhile.
    """
    from odibi.cli.watermarks import reset_watermark
    from odibi.errors import Conflict
    from odibi.service.served import LEADER

    with _opened(project, env) as (loaded, store, output):
        if _is_read(loaded, store, stream, of_read):
            if offset is not None:
                raise click.UsageError("--to is for what a trigger brings; an incremental read can only begin anew")
            reset_watermark(loaded.project, store, stream)
            output.line(f"{stream} begins anew")
            return
        found = stream_called(loaded, store, stream)
        to = None if offset is None else _offset(loaded, found, _json(offset))
        try:
            lock = store.lock(f"{LEADER}{loaded.project.name}")
        except Conflict as error:
            raise Conflict(
                f"a service serves the project: {error.what}",
                where=stream,
                remedy="Stop it, reset, and start it again.",
            ) from error
        try:
            found.reset(to, lock)
        finally:
            lock.release()
        output.line(f"{stream} begins anew" if to is None else f"{stream} goes on behind {_short(to)}")


@streams.command()
@click.argument("stream")
@click.argument("batches", nargs=-1)
@with_project
def replay(
    project: str, env: str | None, stream: str, batches: tuple[str, ...], log_level: str | None  # noqa: ARG001
) -> int:  # fmt: skip
    """Run batches of STREAM again that were given up: those of the ids given, or all.

    What succeeds is forgotten; what fails stays as it was. The stream itself is not moved.
    """
    from odibi.service.replay import replayed

    with _opened(project, env) as (loaded, store, output):
        found = stream_called(loaded, store, stream)
        letters = [found.letter(each) for each in batches] or list(found.dead())
        if not letters:
            output.line(f"no batch of {stream} was given up")
            return 0
        failed = 0
        for letter in letters:
            error = replayed(loaded[found.pipeline], found, letter)
            failed += bool(error)
            output.line(f"{letter.batch.id}: {output.redactor.redact(error) if error else 'succeeded'}")
        return 1 if failed else 0


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise click.UsageError(
            f"--to is not JSON ({error}); a text needs quotes, as in --to '\"2026-01-01\"'"
        ) from None


def _offset(loaded: LoadedProject, stream: Stream, value: Any) -> Any:
    """The offset, if the trigger can go on behind it; of schedules only moments are known for sure."""
    from datetime import datetime

    from odibi.contracts.trigger import TriggerSource

    resources = loaded.resources()
    try:
        known = stream.trigger in loaded.project.triggers
        if not known or isinstance(resources.trigger(stream.trigger), TriggerSource):
            return value
    finally:
        resources.close()
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.utcoffset() is None:
        raise click.UsageError("--to of a schedule is a moment with its zone, as in '\"2026-01-31T06:00:00+01:00\"'")
    return moment.isoformat()


def _data(loaded: LoadedProject, stream: Stream) -> dict[str, Any]:
    trigger = loaded.project.triggers.get(stream.trigger)
    begun = stream.in_flight()
    state = "paused" if stream.paused else "in flight" if begun is not None else "waiting"
    if trigger is not None and not trigger.enabled:
        state = "disabled"
    return {
        "stream": stream.name,
        "type": "after" if trigger is None else trigger.type,
        "state": state,
        "offset": stream.offset(),
        "batch": None if begun is None else begun.data(),
        "dead": sum(1 for _ in stream.dead()),
    }


def _letter(letter: DeadLetter) -> dict[str, Any]:
    import attrs

    return attrs.asdict(letter)


def _short(value: Any, longest: int = _LONGEST) -> str:
    text = "" if value is None else value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= longest else f"{text[: longest - 3]}..."
