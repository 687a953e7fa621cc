"""Which nodes need not run, because what they would give is there already."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

from odibi.fingerprint import changes, recorded
from odibi.graph import critical_turns
from odibi.plan import Action, Plan

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from odibi.fingerprint import Fingerprint
    from odibi.model import Node

    Result = Mapping[str, Any]
    """A node's newest good outcome, as the journal has it."""

UNCHANGED = "unchanged"
UNNEEDED = "unchanged, and nothing that runs needs it"


class Earlier(Protocol):
    """What earlier runs left behind."""

    results: Mapping[str, Result]
    """Node to its newest good outcome."""

    chain: Collection[str]
    """The interrupted run that is being resumed, and those that it resumed."""

    def held(self, values: Collection[str]) -> Collection[str]:
        """Those of these results that the cache holds."""
        ...

    def intact(self, node: Node, result: Result) -> str:
        """Why what the node wrote does not count any more; empty if it is still there, untouched."""
        ...

    def readable(self, node: Node, result: Result) -> bool:
        """Whether what the node wrote, once it is known to be intact, gives back its result as it was."""
        ...


def decide(plan: Plan, prints: Sequence[Fingerprint], earlier: Earlier, *, force: Collection[int] = ()) -> Plan:
    """The plan with an action and a reason for each node.

    A node runs if it has something of its own to do that is not done (it writes, or validates, and its fingerprint is
    new or what it wrote is gone), or if a node that runs needs its result and that is kept nowhere.

    Args:
        plan: what a run is about.
        prints: the fingerprint of each node.
        earlier: what there is.
        force: nodes that are to run whatever there is.
    """
    graph, results = plan.graph, earlier.results
    count = len(graph)
    # For each node why it has to run if anybody cares for it; nothing if what there is of it is its result.
    stale = [_look(node, made, results, earlier) for node, made in zip(graph.nodes, prints, strict=True)]
    must = {at: made.timed for at, made in enumerate(prints) if made.timed}
    must.update(dict.fromkeys(force, "forced"))
    asked = {prints[at].value for at in plan.keep}
    held = earlier.held(asked) if asked else ()
    if len(held) < len(asked) or must or any(stale):
        held = earlier.held({each.value for each in prints})  # something runs, and may need any of them

    actions = [Action.REUSE] * count
    reasons = [UNCHANGED] * count
    loads: dict[int, str] = {}
    later: dict[int, str] = {}
    needed_by: list[int] = [-1] * count
    for at in reversed(graph.order):
        node, old = graph.nodes[at], stale[at]
        where = ""
        run = must.get(at, "") or (old if old and has_effect(node) else "")
        wanted = needed_by[at] >= 0 or at in plan.keep
        if not run and (wanted or old):
            where = _where(node, prints[at], results, earlier, held, fresh=not old)
            if not where and (wanted or not graph.successors[at]):
                run = old or _lost(graph, needed_by[at])
        if run:
            actions[at], reasons[at] = Action.RUN, run
            for slot in graph.inputs[at]:
                if slot < count:
                    needed_by[slot] = at
            continue
        if earlier.chain and not old and results[node.name].get("run_id") in earlier.chain:
            actions[at], reasons[at] = Action.RESTORE, "the interrupted run had finished it"
        elif old:
            reasons[at] = "the cache holds its result" if where else UNNEEDED
        if where:
            (loads if needed_by[at] >= 0 else later)[at] = where
    seconds, turns = [0.0] * count, plan.priority
    if Action.RUN in actions:
        seconds = [float(results.get(node.name, {}).get("seconds", 0.0)) for node in graph.nodes]
        if any(seconds):
            weights = [own + 1e-6 if it is Action.RUN else 0.0 for own, it in zip(seconds, actions, strict=True)]
            turns = critical_turns(graph, weights)
    return Plan(plan.pipeline, graph, actions, reasons, plan.keep, turns, prints, loads, later, seconds, plan.prepared)


def has_effect(node: Node) -> bool:
    """Whether running the node does more than compute its result."""
    return node.write is not None or node.validation is not None


def _look(node: Node, fingerprint: Fingerprint, results: Mapping[str, Result], earlier: Earlier) -> str:
    """Why what there is of a node does not count as its result; empty if it does."""
    result = results.get(node.name)
    if result is None:
        return fingerprint.volatile or "it has no earlier result"
    if result["fingerprint"] != fingerprint.whole:
        return fingerprint.volatile or _changed(node, result, fingerprint)
    return earlier.intact(node, result) if node.write is not None else ""


def _changed(node: Node, result: Result, fingerprint: Fingerprint) -> str:
    """What is not as it was, in words."""
    said = next(changes(result, recorded(fingerprint, node.depends_on)), "")
    if said == "what it reads changed" and node.read is not None:
        if fingerprint.source is not None and fingerprint.source.batch is not None:
            return f"it reads another batch of '{node.read.stream}'"
        if fingerprint.source is not None and fingerprint.source.increment:
            return fingerprint.source.increment
        return f"{node.read.connection}:{node.read.path} changed"
    if said:
        return said
    if fingerprint.nonce:
        return f"its result is older than its ttl, {_age(time.time() - float(result.get('finished', 0.0)))}"
    return "something it depends on changed"


def _age(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit} old"
    return f"{seconds:.0f} s old"


def _where(
    node: Node,
    fingerprint: Fingerprint,
    results: Mapping[str, Result],
    earlier: Earlier,
    held: Collection[str],
    *,
    fresh: bool,
) -> str:
    """Where the node's result can be had without running it: ``cache``, ``output``, or nowhere."""
    if fingerprint.value in held:
        return "cache"
    if fresh and node.write is not None and earlier.readable(node, results[node.name]):
        return "output"
    return ""


def _lost(graph: Any, needed_by: int) -> str:
    if needed_by < 0:
        return "its result is asked for, and kept nowhere"
    return f"'{graph.nodes[needed_by].name}' needs its result, which is kept nowhere"
