"""Which values must not show, and what is said of errors whose words may quote them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from odibi.errors import OdibiError, TransformError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from odibi.graph import Graph


def withheld(node: str, part: str, error: Exception) -> OdibiError:
    """The error that takes the place of one that may quote values.

    Args:
        node: its name.
        part: what of the node failed.
        error: what it raised.
    """
    what = f"it failed with {type(error).__name__}{place_of(error)}; its words are withheld"
    remedy = "The node is sensitive: look at the data where it lies."
    failed = TransformError(what, where=f"node '{node}', {part}", remedy=remedy)
    failed.retryable = isinstance(error, ConnectionError | TimeoutError) or getattr(error, "retryable", False)
    return failed


def place_of(error: BaseException) -> str:
    """Where in the user's own code an error was raised, as `` at file:line``."""
    here = ""
    trace = error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if "site-packages" not in file and trace.tb_frame.f_globals.get("__name__", "").partition(".")[0] != "odibi":
            here = f" at {Path(file).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return here


def declared(graph: Graph) -> list[frozenset[str] | None]:
    """For each node the sensitive columns that are known by name, its own and those of all it has its data from.

    ``None`` where all of them are sensitive, or of one that it has its data from, and so no names are known before
    that one has run.
    """
    found: list[frozenset[str] | None] = [frozenset()] * len(graph)
    for index in graph.order:
        own = graph.nodes[index].sensitive
        above = [found[slot] for slot in graph.inputs[index] if slot < len(graph)]
        found[index] = None if own is True else joined(own or (), above)
    return found


def joined(own: Iterable[str], above: Iterable[frozenset[str] | None]) -> frozenset[str] | None:
    """A node's own sensitive columns with those of its inputs; ``None`` for all, as soon as one says so."""
    names = frozenset(own)
    for each in above:
        if each is None:
            return None
        names |= each
    return names
