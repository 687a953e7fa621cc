"""``odibi runs``: the runs of the past."""

from __future__ import annotations

import json
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from odibi.cli.amounts import ago, utc
from odibi.cli.project import errors_as_json, load, using, with_project

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from odibi.cli.display import Output
    from odibi.cli.history import NodeRecord
    from odibi.contracts.checkpoint import CheckpointStore, RunRecord

MOST_NODES = 20
"""Nodes of a run that are listed one by one; of more, those that did not run are counted."""

MOST_OFFSET = 48
"""Characters of a batch's offset that are shown."""

SLOWER, LONGER = 2.0, 0.1
"""How many times, and by how many seconds, a node must have taken longer for the difference to be told."""

pipeline_option = click.option("-p", "--pipeline", metavar="NAME", help="Only runs of this one.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
verbose_option = click.option("-v", "--verbose", is_flag=True, help="List every node of a large run.")


@click.group()
def runs() -> None:
    """Look at the runs that a project's checkpoint store has on record.

    RUN is a run's id, or as much of its beginning as no other run's id begins with; or last, or last~1 for the one
    before that, and so on.
    """


@contextmanager
def _opened(project: str, env: str | None, *, as_json: bool = False) -> Iterator[tuple[CheckpointStore, Output]]:
    """The store of a project, and where to write."""
    from odibi.cli.display import Output
    from odibi.cli.history import opened_store

    with errors_as_json(as_json):
        loaded = load(project, env)
        with using(loaded), opened_store(loaded) as store:
            yield store, Output(loaded.redactor)


@runs.command()
@pipeline_option
@click.option("--limit", type=click.IntRange(min=1), default=20, metavar="N", help="At most so many; 20 by default.")
@json_option
@with_project
def ls(
    project: str,
    env: str | None,
    pipeline: str | None,
    limit: int,
    as_json: bool,
    log_level: str | None,  # noqa: ARG001
) -> None:
    """List runs, the newest first."""
    from odibi.cli.table import table, wants_color
    from odibi.draw import visible

    with _opened(project, env, as_json=as_json) as (store, output):
        found = list(islice(store.runs(pipeline, limit=limit + 1), limit + 1))
        more = len(found) > limit
        del found[limit:]
        if as_json:
            output.data({"runs": [_run_data(run) for run in found]})
            return
        if not found:
            output.line("no run is recorded yet")
            return
        header = ("RUN", "PIPELINE", "STATE", "TIME", "RAN", "STARTED")
        rows = [
            [
                visible(run.run_id),
                visible(output.redactor.redact(run.pipeline)),
                visible(run.state),
                _duration(run),
                _ran(run),
                ago(run.started),
            ]
            for run in found
        ]
        for line in table(rows, header=header, right={3}, color=wants_color()):
            output.line(line)
        if more:
            output.line(f"and older ones; see more with --limit {limit * 5}")


@runs.command()
@click.argument("run")
@json_option
@verbose_option
@with_project
def show(
    project: str,
    env: str | None,
    run: str,
    as_json: bool,
    verbose: bool,
    log_level: str | None,  # noqa: ARG001
) -> None:
    """Show what became of the nodes of RUN."""
    from odibi.cli.history import find_run, nodes_of

    with _opened(project, env, as_json=as_json) as (store, output):
        record = store.load(find_run(store, run).run_id)
        nodes = list(nodes_of(record).values())
        if as_json:
            output.data({**_run_data(record), "detail": record.detail, "nodes": [_node_data(node) for node in nodes]})
            return
        _print_head(record, nodes, output)
        _print_nodes(nodes, output, verbose)


@runs.command()
@click.argument("before", metavar="RUN")
@click.argument("after", metavar="RUN")
@json_option
@with_project
def diff(
    project: str,
    env: str | None,
    before: str,
    after: str,
    as_json: bool,
    log_level: str | None,  # noqa: ARG001
) -> None:
    """Show what is different in the second RUN.

    These are nodes with another outcome, another fingerprint (and what changed in it), another number of rows, or a
    time that is more than twice as long, or less than half, and differs by more than 0.1 s.
    """
    from odibi.cli.display import visible_lines
    from odibi.cli.history import find_run, with_reused
    from odibi.cli.table import table
    from odibi.draw import visible

    with _opened(project, env, as_json=as_json) as (store, output):
        first, second = (store.load(find_run(store, each).run_id) for each in (before, after))
        differences = list(_differences(with_reused(store, first), with_reused(store, second)))
        if as_json:
            output.data(
                {
                    "before": _run_data(first),
                    "after": _run_data(second),
                    "nodes": [{**each._asdict(), "words": list(_words(each))} for each in differences],
                }
            )
            return
        for name, each in (("before", first), ("after", second)):
            output.line(f"{name:6}  {visible(each.run_id)}  {visible(each.pipeline)}  {visible(each.state)}")
        if first.pipeline != second.pipeline:
            output.line("these are runs of different pipelines; nodes are compared by their names")
        rows = [[visible(it.node), visible_lines(output.redactor.redact("\n".join(_words(it))))] for it in differences]
        for line in table(rows, header=("NODE", "DIFFERENCE")):
            output.line(line)
        if not differences:
            output.line("no node differs")


@runs.command()
@click.argument("names", nargs=-1, metavar="RUN...")
@click.option("--keep", type=click.IntRange(min=0), metavar="N", help="Remove all but the newest N of each pipeline.")
@pipeline_option
@with_project
def rm(
    project: str,
    env: str | None,
    names: Sequence[str],
    keep: int | None,
    pipeline: str | None,
    log_level: str | None,  # noqa: ARG001
) -> None:
    """Remove each RUN from the record, or all but the newest.

    What the runs made stays, and so does what is known of it: later runs reuse it as before. Runs that go on are kept,
    and with --keep so is the newest run if it can be resumed.
    """
    from odibi.cli.history import find_run
    from odibi.cli.project import plural
    from odibi.draw import visible

    if bool(names) == (keep is not None):
        raise click.UsageError("name the runs, or say how many to --keep.")
    if names and pipeline is not None:
        raise click.UsageError("--pipeline goes with --keep.")
    with _opened(project, env) as (store, output):
        if keep is not None:
            output.line(f"removed {plural(store.prune(keep, pipeline), 'run')}")
            return
        # All are found before any is removed: a typing error removes nothing.
        for run_id in dict.fromkeys([find_run(store, name).run_id for name in names]):
            store.remove(run_id)
            output.line(f"removed {visible(run_id)}")


# --- one run --------------------------------------------------------------------------------------------------------


def _duration(run: RunRecord) -> str:
    from odibi.cli.display import seconds

    return seconds(run.finished - run.started) if run.finished is not None else ""


def _ran(run: RunRecord) -> str:
    """How many of a run's nodes were to run."""
    total = run.detail.get("nodes")
    return f"{len(run.detail.get('run') or ()):,} of {total:,}" if isinstance(total, int) else ""


def _run_data(run: RunRecord) -> dict[str, Any]:
    from odibi.cli.history import resumed_by

    return {
        "run_id": run.run_id,
        "pipeline": run.pipeline,
        "state": run.state,
        "started": run.started,
        "finished": run.finished,
        "duration": run.finished - run.started if run.finished is not None else None,
        "host": run.detail.get("host"),
        "pid": run.detail.get("pid"),
        "resumes": resumed_by(run) or None,
        "planned": run.detail.get("nodes"),
        "ran": len(run.detail.get("run") or ()),
    }


def _node_data(node: NodeRecord) -> dict[str, Any]:
    return {**{name: value for name, value in node._asdict().items() if name != "record"}, "record": node.record}


def _print_head(run: RunRecord, nodes: Sequence[NodeRecord], output: Output) -> None:
    from odibi.cli.display import counts_text
    from odibi.cli.history import UNFINISHED, resumed_by
    from odibi.draw import visible

    counts: dict[str, int] = {}
    for node in nodes:
        counts[node.state] = counts.get(node.state, 0) + 1
    unfinished = f"{counts[UNFINISHED]:,} {UNFINISHED}" if UNFINISHED in counts else ""
    host, pid = run.detail.get("host"), run.detail.get("pid")
    said = {
        "run": run.run_id,
        "pipeline": run.pipeline,
        "state": run.state,
        "started": utc(run.started),
        "duration": _duration(run),
        "host": f"{host}, process {pid}" if host and pid else str(host or ""),
        "resumed": resumed_by(run),
        "nodes": ", ".join(filter(None, [counts_text(counts), unfinished])),
    }
    for name, value in said.items():
        if value:
            output.line(f"{name:8}  {visible(value)}")
    for trigger, batch in (run.detail.get("batches") or {}).items():
        output.line(f"{'batch':8}  {visible(output.redactor.redact(_batch_text(trigger, batch)))}")


def _batch_text(trigger: str, batch: Mapping[str, Any]) -> str:
    """Which batch of a trigger a run consumed; what the offset or the files are in full, ``--json`` says."""
    from odibi.cli.project import plural
    from odibi.contracts.trigger import files_of

    offset = json.dumps(batch.get("offset"), ensure_ascii=False)
    if len(offset) > MOST_OFFSET:
        offset = f"{offset[: MOST_OFFSET - 3]}..."
    files = files_of(batch.get("payload"))
    said = [str(batch.get("id", "")), f"offset {offset}", plural(len(files), "file") if files is not None else ""]
    return f"{trigger}: {', '.join(filter(None, said))}"


def _print_nodes(nodes: Sequence[NodeRecord], output: Output, verbose: bool) -> None:
    from odibi.cli.display import KEPT, seconds, visible_lines
    from odibi.cli.table import table, wants_color
    from odibi.draw import visible

    fold = len(nodes) > MOST_NODES and not verbose
    shown = [node for node in nodes if not fold or node.state not in KEPT]
    rows = [
        [
            visible(output.redactor.redact(node.node)),
            visible(node.state),
            f"{node.rows:,}" if node.rows is not None else "",
            seconds(node.seconds) if node.seconds is not None else "",
            visible_lines(output.redactor.redact(node.error or node.reason)),
        ]
        for node in shown
    ]
    if rows:
        output.line()
    for line in table(rows, header=("NODE", "OUTCOME", "ROWS", "TIME", "WHY"), right={2, 3}, color=wants_color()):
        output.line(line)


# --- two runs -------------------------------------------------------------------------------------------------------


class _Difference(NamedTuple):
    """What is different about one node.

    Attributes:
        node: its name.
        states: before and after; empty text where a run was not about the node.
        changed: the parts of its fingerprint that differ; ``None`` if that is not known of both runs.
        rows, seconds: before and after, where they differ; else ``None``.
        reason: why it ran, the second time.
    """

    node: str
    states: tuple[str, str]
    changed: list[str] | None
    rows: tuple[int | None, int | None] | None
    seconds: tuple[float, float] | None
    reason: str


def _differences(before: Mapping[str, NodeRecord], after: Mapping[str, NodeRecord]) -> Iterator[_Difference]:
    from odibi.cli.display import KEPT

    for name in dict.fromkeys([*after, *before]):
        old, new = before.get(name), after.get(name)
        if old is None or new is None:
            present = old or new
            assert present is not None
            states = (old.state if old else "", new.state if new else "")
            yield _Difference(name, states, None, None, None, new.reason if new else "")
            continue
        changed = _changed(old.record, new.record)
        rows = (old.rows, new.rows) if None not in (old.rows, new.rows) and old.rows != new.rows else None
        # What a node that did not run took was the loading of its result.
        ran = old.state not in KEPT and new.state not in KEPT
        seconds = _far_apart(old.seconds, new.seconds) if ran else None
        if old.state != new.state or changed or rows or seconds:
            yield _Difference(name, (old.state, new.state), changed, rows, seconds, new.reason)


def _changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str] | None:
    """What differs between the fingerprints, in words; nothing if they are the same; ``None`` if one is not known."""
    from odibi.fingerprint import changes

    if "fingerprint" not in old or "fingerprint" not in new:
        return None
    if old["fingerprint"] == new["fingerprint"]:
        return []
    return list(changes(old, new)) or ["the moment at which it was computed"]


def _far_apart(old: float | None, new: float | None) -> tuple[float, float] | None:
    if old is None or new is None or abs(old - new) <= LONGER or max(old, new) <= SLOWER * min(old, new):
        return None
    return old, new


def _words(difference: _Difference) -> Iterator[str]:
    from odibi.cli.display import seconds
    from odibi.reuse import UNCHANGED

    before, after = difference.states
    if not before or not after:
        yield f"{after or before}, {'not in the first run' if after else 'not in the second run'}"
        return
    if before != after:
        yield f"{before} -> {after}" + (f": {difference.reason}" if difference.reason not in ("", UNCHANGED) else "")
    if difference.changed:
        yield "; ".join(difference.changed)
    if difference.rows is not None:
        yield "rows: {:,} -> {:,}".format(*difference.rows)
    if difference.seconds is not None:
        yield f"time: {seconds(difference.seconds[0])} -> {seconds(difference.seconds[1])}"
