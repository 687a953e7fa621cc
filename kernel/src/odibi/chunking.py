"""Which nodes can work on some rows at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from odibi.model import Function, Sql

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from odibi.model import Node, Operation


def chunk_faults(node: Node, is_read: bool, is_rowwise: Callable[[Function | Operation], bool]) -> Iterator[str]:
    """Why a node with ``read.chunk_rows`` cannot be run in chunks; nothing if it can.

    Args:
        node: the node.
        is_read: whether other nodes need its result.
        is_rowwise: whether a step's result for some rows is the same whatever other rows there are.
    """
    if node.write is None:
        yield "it writes nothing, so its result would have to be held whole"
    if is_read:
        yield "other nodes read its result, which is never there as a whole"
    if node.validation is not None:
        yield "its validation looks at all rows at once"
    for position, step in enumerate(node.transform.steps if node.transform is not None else ()):
        if isinstance(step, Sql):
            yield f"step {position + 1} is SQL, which may look at all rows at once"
        elif not is_rowwise(step):
            kind = "a function" if isinstance(step, Function) else "an operation"
            yield f"step {position + 1} is {kind} that may look at all rows at once"
