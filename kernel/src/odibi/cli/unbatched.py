"""A word about nodes that read a stream, in runs that consume no batch of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from odibi.contracts.format import WriteMode
from odibi.draw import visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from odibi.cli.resuming import Choice
    from odibi.graph import Graph


def warnings_of(chosen: Sequence[Choice]) -> Iterator[str]:
    """What to say before runs that bring no batches: which nodes append all that there is, beside what batches did.

    Args:
        chosen: what is to be run.

    Raises:
        GraphError: the nodes of a pipeline make no graph, or something is selected that is not there.
    """
    for choice in chosen:
        if not any(node.read is not None and node.read.stream is not None for node in choice.pipeline.model.nodes):
            continue
        graph = choice.pipeline.graph()
        run = _run(graph, choice)
        for at in sorted(run):
            read = graph.nodes[at].read
            if read is None or read.stream is None:
                continue
            appending = sorted(each for each in ({at} | graph.descendants([at])) & run if _appends(graph, each))
            if appending:
                names = ", ".join(f"'{visible(graph.nodes[each].name)}'" for each in appending)
                yield (
                    f"node '{visible(graph.nodes[at].name)}' reads all that there is, as this run consumes no batch of "
                    f"'{visible(read.stream)}'; {names} will append that beside what batches appended. To consume what "
                    f"is new, use: odibi serve"
                )


def _run(graph: Graph, choice: Choice) -> set[int]:
    """The nodes that may run."""
    named = graph.select(choice.select) if choice.select else set[int]()
    named |= {graph.index[name] for name in choice.targets or () if graph.index.get(name, len(graph)) < len(graph)}
    return named | graph.ancestors(named) if named else set(range(len(graph)))


def _appends(graph: Graph, at: int) -> bool:
    write = graph.nodes[at].write
    return write is not None and write.mode is WriteMode.APPEND
