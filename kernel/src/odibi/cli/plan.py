"""``odibi plan``: what a run would do with each node, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import click

from odibi.cli.amounts import SHORTEST, bytes_text, length_text
from odibi.cli.project import (
    engine_option,
    env_option,
    errors_as_json,
    load,
    log_level_option,
    pipeline_option,
    plural,
    project_argument,
    select_option,
    target_option,
    using,
)
from odibi.cli.resuming import Resuming, reuse_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from odibi.cli.display import Output
    from odibi.cli.resuming import Choice
    from odibi.plan import Plan

MOST_NODES = 20
"""Nodes of a pipeline that are listed one by one; of more, those that do not run, for the same reason, are counted."""


@click.command(cls=Resuming)
@project_argument
@pipeline_option
@select_option
@target_option
@env_option
@engine_option
@reuse_options
@click.option("--check", is_flag=True, help="Exit with 1 if anything would run.")
@click.option("-v", "--verbose", is_flag=True, help="List every node of a long plan.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: every field, fingerprints too.")
@log_level_option
def plan(
    project: str,
    env: str | None,
    engine: str | None,
    check: bool,
    verbose: bool,
    as_json: bool,
    log_level: str | None,  # noqa: ARG001
    **given: Any,
) -> int:
    """Show what odibi run would do with each node of PROJECT (a file or its folder; odibi.yaml by default), and why.

    Nothing is run or changed, and no data is read: storages are asked for the versions of what is there.
    """
    from odibi.cli.display import Output
    from odibi.cli.resuming import choices

    with errors_as_json(as_json):
        loaded = load(project, env, engine)
        with using(loaded):
            runs = print_plans(choices(loaded, **given), Output(loaded.redactor), as_json=as_json, verbose=verbose)
    return 1 if check and runs else 0


class _Planned(NamedTuple):
    """A plan, and what is worked out from it.

    Attributes:
        plan: of one pipeline.
        running: the nodes that would run.
        remarks: what the plan cannot know yet.
    """

    plan: Plan
    running: set[int]
    remarks: list[str]


def print_plans(chosen: Sequence[Choice], output: Output, *, as_json: bool = False, verbose: bool = False) -> int:
    """Print what a run would do; returns how many nodes would run.

    Args:
        chosen: the pipelines, in the order in which they would run.
        output: where to.
        as_json: one object instead of tables.
        verbose: leave no node out.
    """
    planned = _planned([each.pipeline.plan(select=each.select, targets=each.targets, **each.how) for each in chosen])
    totals = _totals(planned)
    if as_json:
        output.data({"event": "plan", "pipelines": [_data(each) for each in planned], "summary": totals})
    else:
        for each in planned:
            _print(each, output, verbose)
        output.line(_summary(totals))
    return sum(len(each.running) for each in planned)


def _planned(plans: Sequence[Plan]) -> list[_Planned]:
    from odibi.plan import Action

    found: list[_Planned] = []
    written: list[tuple[str, str, str]] = []
    for plan in plans:
        running = {at for at, action in enumerate(plan.actions) if action is Action.RUN}
        found.append(_Planned(plan, running, _remarks(plan, running, written)))
        for at in sorted(running):
            node = plan.graph.nodes[at]
            if node.write is not None and node.write.path is not None:
                written.append((node.write.connection, node.write.path.strip("/"), f"{plan.pipeline}.{node.name}"))
    return found


def _remarks(plan: Plan, running: set[int], written: Sequence[tuple[str, str, str]]) -> list[str]:
    """Which nodes may run after all: a pipeline is decided on anew when those before it have run.

    Args:
        plan: of a pipeline.
        running: its nodes that run in any case.
        written: connection and path of what is written by pipelines before it, and who does it.
    """
    from odibi.draw import place_of
    from odibi.sources import matches

    remarks = []
    for at, node in enumerate(plan.graph.nodes) if written else ():
        read = node.read
        if at in running or read is None or read.path is None:
            continue
        place = read.path.strip("/")
        for connection, path, maker in written:
            if connection == read.connection and (matches(path, place) or place.startswith(f"{path}/")):
                remarks.append(f"{node.name} may run too: it reads {place_of(read)}, which {maker} writes before")
                break
    return remarks


# --- for people -----------------------------------------------------------------------------------------------------


def _print(planned: _Planned, output: Output, verbose: bool) -> None:
    from odibi.cli.table import table, wants_color
    from odibi.draw import place_of, visible

    def shown(text: str) -> str:
        # In wrapped text a secret would not be found any more.
        return visible(output.redactor.redact(text))

    plan = planned.plan
    rows: list[list[str]] = []
    folded = {} if verbose or len(plan) <= MOST_NODES else _folded(planned)
    for at in plan.graph.order:
        node, action, reason = plan.graph.nodes[at], plan.actions[at].value, plan.reasons[at]
        if (action, reason) in folded:
            if count := folded[action, reason]:
                rows.append([action, plural(count, "node"), "", shown(reason)])
                folded[action, reason] = 0
            continue
        said = shown(reason)
        if node.read is not None and at in planned.running:
            source = plan.prints[at].source if plan.prints else None
            size = f": {_amount(source.objects, source.bytes)}" if source is not None else ""
            if source is not None and not source.objects:
                size = ": nothing is there yet"
            said += f"\nreads {shown(str(place_of(node.read)))}{size}"
        seconds = _estimate(planned, at)
        rows.append([action, shown(node.name), "" if seconds is None else length_text(seconds), said])
    output.line(f"{shown(plan.pipeline)}  {plural(len(plan), 'node')}")
    for line in table(rows, right={2}, indent=2, color=wants_color()):
        output.line(line)
    for remark in planned.remarks:
        output.line(f"  note: {shown(remark)}")


def _folded(planned: _Planned) -> dict[tuple[str, str], int]:
    """How many nodes do not run for the same reason, where that is more than one."""
    plan = planned.plan
    counts: dict[tuple[str, str], int] = {}
    for at, (action, reason) in enumerate(zip(plan.actions, plan.reasons, strict=True)):
        if at not in planned.running:
            counts[action.value, reason] = counts.get((action.value, reason), 0) + 1
    return {kind: count for kind, count in counts.items() if count > 1}


def _amount(objects: int, size: int) -> str:
    return f"{plural(objects, 'object')}, {bytes_text(size)}"


def _summary(totals: dict[str, Any]) -> str:
    counts = ", ".join(f"{totals[action]:,} {action}" for action in ("run", "reuse", "restore"))
    said = [counts]
    if totals["run"]:
        said.append(_work(totals))
    reads = totals["reads"]
    what = [_amount(reads["objects"], reads["bytes"])] if reads["objects"] else []
    if reads["unknown"]:
        what.append(f"{plural(reads['unknown'], 'source')} of unknown size")
    if what:
        said.append(f"reads {' and '.join(what)}")
    return "; ".join(said)


def _work(totals: dict[str, Any]) -> str:
    if totals["unknown"] == totals["run"]:
        return "no earlier run to estimate the time from"
    text = f"{_about(totals['seconds'])} of work, {_about(totals['path_seconds'])} along the longest path"
    return text + (f", not counting {plural(totals['unknown'], 'node')} that never ran" if totals["unknown"] else "")


def _about(seconds: float) -> str:
    return f"{'about ' if seconds >= SHORTEST else ''}{length_text(seconds)}"


# --- for tools ------------------------------------------------------------------------------------------------------


def _estimate(planned: _Planned, at: int) -> float | None:
    """Seconds that a node will take, going by its last run; ``None`` if it does not run, or never did."""
    return (planned.plan.estimates[at] or None) if planned.plan.estimates and at in planned.running else None


def _totals(planned: Sequence[_Planned]) -> dict[str, Any]:
    """Counts, estimated seconds (of all work, and of the longest path), and what would be read."""
    totals: dict[str, Any] = {"run": 0, "reuse": 0, "restore": 0, "seconds": 0.0, "path_seconds": 0.0, "unknown": 0}
    reads = {"objects": 0, "bytes": 0, "unknown": 0}
    for each in planned:
        plan = each.plan
        for action in plan.actions:
            totals[action.value] += 1
        seconds = [_estimate(each, at) for at in range(len(plan))]
        weights = [own or 0.0 for own in seconds]
        totals["seconds"] += sum(weights)
        totals["path_seconds"] += max(plan.graph.remaining(weights), default=0.0)
        totals["unknown"] += sum(seconds[at] is None for at in each.running)
        for at in each.running:
            if plan.graph.nodes[at].read is None:
                continue
            source = plan.prints[at].source if plan.prints else None
            if source is None:
                reads["unknown"] += 1
            else:
                reads["objects"] += source.objects
                reads["bytes"] += source.bytes
    return {**totals, "reads": reads}


def _data(planned: _Planned) -> dict[str, Any]:
    plan = planned.plan
    nodes = [_node_data(planned, at) for at in plan.graph.order]
    return {"pipeline": plan.pipeline, "nodes": nodes, "summary": _totals([planned]), "remarks": planned.remarks}


def _node_data(planned: _Planned, at: int) -> dict[str, Any]:
    from odibi.draw import place_of

    plan, node = planned.plan, planned.plan.graph.nodes[at]
    data: dict[str, Any] = {
        "node": node.name,
        "action": plan.actions[at].value,
        "reason": plan.reasons[at],
        "depends_on": node.depends_on,
        "reads": place_of(node.read),
        "writes": place_of(node.write),
        "turn": plan.priority[at],
        "estimate": _estimate(planned, at),
        "loaded_from": plan.loads.get(at) or plan.later.get(at),
        "wanted": at in plan.keep,
        "fingerprint": None,
    }
    if plan.prints:
        made = plan.prints[at]
        data["fingerprint"] = {
            "whole": made.whole,
            "value": made.value,
            "base": made.base,
            "nonce": made.nonce,
            "parts": made.parts,
            "code": made.code,
            "inputs": dict(zip(node.depends_on, made.inputs, strict=True)),
            "source": made.source,
            "without": made.without,
            "volatile": made.volatile,
            "timed": made.timed,
        }
    return data
