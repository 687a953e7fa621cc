"""What must run, and why."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

import attrs

from odibi.errors import GraphError, Problem
from odibi.graph import build_graph, critical_turns, subgraph

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from odibi.fingerprint import Fingerprint
    from odibi.graph import Graph
    from odibi.model import Pipeline


INPUT = "an input of a selected node"
"""Why a node is in a plan that nobody selected."""


class Action(str, Enum):
    """What a plan wants of a node."""

    RUN = "run"
    REUSE = "reuse"
    RESTORE = "restore"


@attrs.frozen
class Plan:
    """A graph cut down to what a run is about, with a decision for each node.

    Attributes:
        pipeline: its name.
        graph: the nodes in question.
        actions, reasons: for each node of the graph.
        keep: nodes whose values the caller wants when the run is over.
        priority: for each node its turn among ready nodes; 0 goes first.
        prints: the fingerprint of each node; empty where nothing of earlier runs is known.
        loads: nodes that do not run, but whose results others need that do, with where these are: ``cache`` or
            ``output``.
        later: nodes that do not run, whose results the caller may ask for when the run is over, and where these are.
        estimates: for each node the seconds it took last time; 0 where that is not known.
        prepared: what a run worked out from the plan alone, for the next run of the same plan.
    """

    pipeline: str
    graph: Graph
    actions: Sequence[Action]
    reasons: Sequence[str]
    keep: frozenset[int]
    priority: Sequence[int]
    prints: Sequence[Fingerprint] = ()
    loads: Mapping[int, str] = attrs.field(factory=dict)
    later: Mapping[int, str] = attrs.field(factory=dict)
    estimates: Sequence[float] = ()
    prepared: dict[Any, Any] = attrs.field(factory=dict, repr=False, eq=False)

    def __len__(self) -> int:
        return len(self.graph)


def make_plan(
    pipeline: Pipeline,
    *,
    select: Iterable[str] = (),
    targets: Collection[str] | None = None,
    given: Collection[str] = (),
) -> Plan:
    """Decide what has to run.

    Args:
        pipeline: what there is.
        select: expressions as :meth:`odibi.graph.Graph.select` takes them; nothing for all nodes.
        targets: nodes whose values the caller wants; they and what they need are run. By default all selected nodes
            run, and the values of those that nothing reads and that write nothing are kept.
        given: names whose values are handed to the run; nodes of that name are not run.

    Raises:
        GraphError: the nodes make no graph, a name is not known, or an input is missing.
    """
    # A name that a node makes can still be given: the node then does not run, and neither does what only it needs.
    made = {node.name for node in pipeline.nodes} if given else ()
    full = build_graph(pipeline.nodes, [name for name in given if name not in made])
    handed = {full.index[name] for name in given if full.index[name] < len(full)}
    chosen, reasons = _chosen(full, select, targets, handed)
    needed = _needed(full, chosen - handed, handed)
    for node in needed - chosen:
        reasons[node] = INPUT
    graph = subgraph(full, needed, [*full.given, *(full.nodes[node].name for node in sorted(handed))])
    kept = _kept(graph, targets)
    return Plan(
        pipeline.name,
        graph,
        [Action.RUN] * len(graph),
        [reasons.get(node, "nothing is kept from earlier runs") for node in sorted(needed)]
        if reasons
        else ["nothing is kept from earlier runs"] * len(graph),
        kept,
        critical_turns(graph),
    )


def _chosen(
    graph: Graph, select: Iterable[str], targets: Collection[str] | None, handed: set[int]
) -> tuple[set[int], dict[int, str]]:
    expressions = list(select)
    chosen = graph.select(expressions) if expressions else _all(graph, handed)
    if targets is None:
        return chosen, dict.fromkeys(chosen, "selected") if expressions else {}
    unknown = [name for name in targets if graph.index.get(name, len(graph)) >= len(graph)]
    if unknown:
        names = ", ".join(node.name for node in graph.nodes[:10])
        raise GraphError(
            Problem(f"the target '{name}' is no node of this pipeline.", None, f"Its nodes are: {names}.")
            for name in unknown
        )
    wanted = {graph.index[name] for name in targets}
    return (chosen & wanted if expressions else wanted), dict.fromkeys(wanted, "a target")


def _all(graph: Graph, handed: set[int]) -> set[int]:
    """Every node; when some are handed in, those with a purpose of their own: they write, or nothing reads them."""
    if not handed:
        return set(range(len(graph)))
    return {at for at, node in enumerate(graph.nodes) if not graph.successors[at] or node.write is not None}


def _needed(graph: Graph, chosen: set[int], handed: set[int]) -> set[int]:
    """The chosen nodes with all that they need, not looking behind values that are handed in."""
    if len(chosen) == len(graph):
        return chosen
    needed = set(chosen)
    todo = list(chosen)
    while todo:
        for slot in graph.inputs[todo.pop()]:
            if slot < len(graph) and slot not in needed and slot not in handed:
                needed.add(slot)
                todo.append(slot)
    return needed


def _kept(graph: Graph, targets: Collection[str] | None) -> frozenset[int]:
    if targets is not None:
        return frozenset(graph.index[name] for name in targets if graph.index.get(name, len(graph)) < len(graph))
    return frozenset(node for node, item in enumerate(graph.nodes) if not graph.successors[node] and item.write is None)
