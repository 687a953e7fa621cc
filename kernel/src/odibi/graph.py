"""Nodes to graph: a checked, compact form of a pipeline.

Everything works on positions in arrays and never recurses, so that a chain of a hundred thousand nodes costs memory
and time in proportion and no more.
"""

from __future__ import annotations

from collections import deque
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import attrs

from odibi.errors import GraphError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from odibi.model import Node


@attrs.frozen
class NodeProblem:
    """A mistake in how nodes hang together.

    Attributes:
        node: the node's position in the sequence.
        field: what the mistake is in: ``name`` or ``depends_on``.
        item: the place in that field's list; -1 for the field as a whole.
        what, remedy: as in :class:`odibi.errors.Problem`.
    """

    node: int
    field: str
    item: int
    what: str
    remedy: str


@attrs.frozen
class Graph:
    """The nodes of a pipeline with their edges.

    A *slot* is a position in ``nodes``, or, from ``len(nodes)`` on, in ``given``: the names of values that the run is
    handed instead of computing them.

    Attributes:
        nodes: in the order in which they were written.
        given: names that no node makes.
        inputs: for each node the slots it reads, in the order of its ``depends_on``.
        successors: for each node the nodes that read it.
        order: the nodes so that each comes after its inputs; among equals, as written.
        index: name to slot.
    """

    nodes: Sequence[Node]
    given: Sequence[str]
    inputs: Sequence[tuple[int, ...]]
    successors: Sequence[Sequence[int]]
    order: Sequence[int]
    index: dict[str, int]

    def __len__(self) -> int:
        return len(self.nodes)

    def __repr__(self) -> str:
        return f"<Graph of {len(self.nodes)} nodes>"

    def name(self, slot: int) -> str:
        """The name behind a slot."""
        count = len(self.nodes)
        return self.nodes[slot].name if slot < count else self.given[slot - count]

    def levels(self) -> list[int]:
        """For each node the number of edges on the longest way to it; sources are 0."""
        count = len(self.nodes)
        level = [0] * count
        for node in self.order:
            level[node] = max((level[slot] + 1 for slot in self.inputs[node] if slot < count), default=0)
        return level

    def remaining(self, weights: Sequence[float] | None = None) -> list[float]:
        """For each node the length of the longest path that starts with it.

        Args:
            weights: a node's own length; 1 for each by default.
        """
        length = [0.0] * len(self.nodes)
        for node in reversed(self.order):
            after = max((length[successor] for successor in self.successors[node]), default=0.0)
            length[node] = after + (1.0 if weights is None else weights[node])
        return length

    def critical_path(self, weights: Sequence[float] | None = None) -> list[int]:
        """The nodes of a longest path, in order."""
        if not self.nodes:
            return []
        length = self.remaining(weights)
        node = max(self.order, key=length.__getitem__)
        path = [node]
        while self.successors[node]:
            node = max(self.successors[node], key=length.__getitem__)
            path.append(node)
        return path

    def ancestors(self, nodes: Iterable[int]) -> set[int]:
        """All nodes that the given ones need, themselves left out unless another needs them."""
        count = len(self.nodes)
        return _reach(nodes, lambda node: (slot for slot in self.inputs[node] if slot < count))

    def descendants(self, nodes: Iterable[int]) -> set[int]:
        """All nodes that need the given ones, themselves left out unless they need another."""
        return _reach(nodes, self.successors.__getitem__)

    def select(self, expressions: Iterable[str]) -> set[int]:
        """The nodes that any of the expressions names.

        An expression is a name or a glob, ``tag:NAME`` or ``layer:NAME``, with ``+`` before it for all that it needs
        and after it for all that needs it; several may stand in one string, separated by commas.

        Raises:
            GraphError: an expression matches nothing.
        """
        chosen: set[int] = set()
        problems = []
        for expression in (part.strip() for text in expressions for part in text.split(",")):
            if not expression:
                continue
            core = expression.removeprefix("+").removesuffix("+")
            found = {node for node, item in enumerate(self.nodes) if _matches(item, core)}
            if not found:
                problems.append(Problem(f"nothing matches the selection '{expression}'.", None, self._hint(core)))
            chosen |= found
            if expression.startswith("+"):
                chosen |= self.ancestors(found)
            if expression.endswith("+"):
                chosen |= self.descendants(found)
        if problems:
            raise GraphError(problems)
        return chosen

    def _hint(self, name: str) -> str:
        kind, colon, value = name.partition(":")
        if colon and kind == "tag":
            return _nearest(value, {tag for node in self.nodes for tag in node.tags}, "tags")
        if colon and kind == "layer":
            return _nearest(value, {node.layer for node in self.nodes if node.layer}, "layers")
        return _nearest(name, self.index, "nodes")


def _matches(node: Node, core: str) -> bool:
    kind, colon, value = core.partition(":")
    if colon and kind == "tag":
        return any(fnmatchcase(tag, value) for tag in node.tags)
    if colon and kind == "layer":
        return node.layer is not None and fnmatchcase(node.layer, value)
    return fnmatchcase(node.name, core)


def _nearest(name: str, known: Iterable[str], what: str) -> str:
    from difflib import get_close_matches

    names = sorted(known)
    close = get_close_matches(name, names, 1)
    if close:
        return f"Did you mean '{close[0]}'?"
    if not names:
        return f"There are no {what}."
    return f"The {what} are: {', '.join(names[:10])}{', ...' if len(names) > 10 else ''}."


def _reach(start: Iterable[int], step: object) -> set[int]:
    seen: set[int] = set()
    todo = list(start)
    while todo:
        for node in step(todo.pop()):  # type: ignore[operator]
            if node not in seen:
                seen.add(node)
                todo.append(node)
    return seen


def build_graph(nodes: Iterable[Node], given: Iterable[str] = ()) -> Graph:
    """Check the nodes and tie them together.

    Args:
        nodes: of one pipeline.
        given: names of inputs that the run will be handed.

    Raises:
        GraphError: with every problem that :func:`find_problems` finds.
    """
    items = tuple(nodes)
    names = tuple(given)
    graph = _tie(items, names)
    if graph is None:
        problems = find_problems(items, names)
        raise GraphError(Problem(f"node '{items[it.node].name}': {it.what}", None, it.remedy) for it in problems)
    return graph


def _tie(nodes: Sequence[Node], given: Sequence[str]) -> Graph | None:
    """The graph; ``None`` if something is wrong with it, which :func:`find_problems` then puts into words."""
    index = {name: len(nodes) + at for at, name in enumerate(given)}
    index.update((node.name, at) for at, node in enumerate(nodes))
    if len(index) != len(nodes) + len(given) or "" in index:
        return None
    none: tuple[int, ...] = ()
    try:
        inputs = [tuple([index[name] for name in node.depends_on]) if node.depends_on else none for node in nodes]
    except KeyError:
        return None
    if any(len(slots) > 1 and len(set(slots)) < len(slots) for slots in inputs):
        return None
    successors = _successors(inputs)
    order = _order(inputs, successors)
    if len(order) < len(nodes):  # a cycle, be it of one node
        return None
    return Graph(nodes, given, inputs, successors, order, index)


def _successors(inputs: Sequence[tuple[int, ...]]) -> list[Sequence[int]]:
    count = len(inputs)
    successors: list[list[int] | tuple[int, ...]] = [()] * count
    for node, slots in enumerate(inputs):
        for slot in slots:
            if slot < count:
                readers = successors[slot]
                if isinstance(readers, list):
                    if readers[-1] != node:
                        readers.append(node)
                else:
                    successors[slot] = [node]
    return successors  # type: ignore[return-value]


def _order(inputs: Sequence[tuple[int, ...]], successors: Sequence[Sequence[int]]) -> list[int]:
    """Kahn's order; shorter than ``inputs`` if there is a cycle."""
    count = len(inputs)
    waiting = [sum(slot < count for slot in set(slots)) if slots else 0 for slots in inputs]
    ready = deque(node for node, left in enumerate(waiting) if not left)
    order = []
    while ready:
        node = ready.popleft()
        order.append(node)
        for successor in successors[node]:
            waiting[successor] -= 1
            if not waiting[successor]:
                ready.append(successor)
    return order


def find_problems(nodes: Sequence[Node], given: Iterable[str] = ()) -> list[NodeProblem]:
    """Names used twice, inputs that nothing makes, nodes that need themselves, cycles: all there are.

    A cycle is reported once, with its nodes in order, and only if names and inputs are right.
    """
    problems = list(_name_problems(nodes))
    known = {node.name: at for at, node in enumerate(nodes)}
    known.update((name, len(nodes) + at) for at, name in enumerate(given) if name not in known)
    for at, node in enumerate(nodes):
        for item, name in enumerate(node.depends_on):
            if name == node.name:
                problems.append(NodeProblem(at, "depends_on", item, "it depends on itself.", "Remove the entry."))
            elif name not in known:
                what = f"it depends on '{name}', which is no node of this pipeline."
                problems.append(NodeProblem(at, "depends_on", item, what, _nearest(name, known, "nodes")))
            elif name in node.depends_on[:item]:
                what = f"it depends on '{name}' twice."
                problems.append(NodeProblem(at, "depends_on", item, what, "Remove one of the entries."))
    if not problems:
        problems.extend(_cycles(nodes, known))
    return problems


def _name_problems(nodes: Sequence[Node]) -> Iterator[NodeProblem]:
    first: dict[str, int] = {}
    for at, node in enumerate(nodes):
        if not node.name:
            yield NodeProblem(at, "name", -1, "its name is empty.", "Give it a name.")
        elif node.name in first:
            what = f"the name is taken by node {first[node.name] + 1} of this pipeline."
            yield NodeProblem(at, "name", -1, what, "Names are unique in a pipeline: rename one of them.")
        else:
            first[node.name] = at


MOST_CYCLES = 20
"""Cycles reported at once; a pipeline with more has one mistake made many times."""


def _cycles(nodes: Sequence[Node], known: dict[str, int]) -> Iterator[NodeProblem]:
    inputs = [tuple(known[name] for name in node.depends_on) for node in nodes]
    successors = _successors(inputs)
    left = set(range(len(nodes))).difference(_order(inputs, successors))
    waiting = {node: sum(slot in left for slot in inputs[node]) for node in left}
    for _ in range(MOST_CYCLES):
        if not left:
            return
        cycle = _walk_back(min(left), inputs, left)
        names = " -> ".join(nodes[at].name for at in [*cycle, cycle[0]])
        item = inputs[cycle[0]].index(cycle[-1])
        what = f"it is part of a cycle: {names}."
        yield NodeProblem(cycle[0], "depends_on", item, what, "Remove one of these dependencies.")
        # What hangs on this cycle is its consequence; other cycles are mistakes of their own.
        free = deque(cycle)
        left.difference_update(cycle)
        while free:
            for successor in successors[free.popleft()]:
                if successor in left:
                    waiting[successor] -= 1
                    if not waiting[successor]:
                        left.discard(successor)
                        free.append(successor)


def _walk_back(node: int, inputs: Sequence[tuple[int, ...]], left: set[int]) -> list[int]:
    """A cycle, in the order of its edges, the first-written node first.

    Each node in ``left`` has an input in ``left``, so walking back from any of them must meet itself.
    """
    path: list[int] = []
    place: dict[int, int] = {}
    while node not in place:
        place[node] = len(path)
        path.append(node)
        node = next(slot for slot in inputs[node] if slot in left)
    cycle = path[place[node] :][::-1]
    start = cycle.index(min(cycle))
    return cycle[start:] + cycle[:start]


def subgraph(graph: Graph, keep: set[int], given: Sequence[str]) -> Graph:
    """The part of a graph that lies in ``keep``; inputs outside it must be in ``given``."""
    if len(keep) == len(graph.nodes) and list(given) == list(graph.given):
        return graph
    return build_graph((graph.nodes[node] for node in sorted(keep)), given)


def critical_turns(graph: Graph, weights: Sequence[float] | None = None) -> list[int]:
    """For each node its turn among ready nodes: longest remaining path first; as written among equals.

    List scheduling by critical path stays within a few percent of the lower bound on ragged graphs, where a
    first-in-first-out queue loses three quarters on a comb.

    Args:
        graph: the nodes.
        weights: how long each takes; 1 for each by default.
    """
    remaining = graph.remaining(weights)
    turn = [0] * len(graph)
    for place, node in enumerate(sorted(range(len(graph)), key=remaining.__getitem__, reverse=True)):
        turn[node] = place
    return turn
