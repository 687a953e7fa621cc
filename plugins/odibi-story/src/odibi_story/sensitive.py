"""Which columns a story must not show the values of: those that a node, or one that it has its data from, hides.

Samples come masked. Of a rule's rows, and of messages that quote rows, only the node's own columns are masked; a node
after one that hides a column has that column too, under the same name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from odibi_story.values import MASK

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from odibi.contracts.observer import PlannedNode

_INDENT = "    "
"""Before a row that a message quotes, as in ``    id=7, name='x'``."""


class Sensitive:
    """Masks what nodes hide.

    Args:
        nodes: the plan; inputs come before those that need them.
    """

    def __init__(self, nodes: Sequence[PlannedNode]) -> None:
        self._hidden: dict[str, frozenset[str] | None] = {}  # None for all columns
        for node in nodes:
            own = None if node.sensitive is True else frozenset(node.sensitive or ())
            for name in node.depends_on:
                above = self._hidden.get(name, frozenset())
                own = None if own is None or above is None else own | above
            if own is None or own:
                self._hidden[node.name] = own

    def masked(self, node: str, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """A row of a frame of this node, with the values of sensitive columns masked."""
        hidden = self._hidden.get(node, frozenset())
        return {name: MASK if hidden is None or name in hidden else value for name, value in row.items()}

    def words(self, node: str, words: str) -> str:
        """A message about this node without the lines that quote rows with a sensitive column."""
        hidden = self._hidden.get(node, frozenset())
        if hidden is not None and not hidden:
            return words
        lines = [MASK if self._quotes(line, hidden) else line for line in words.split("\n")]
        return "\n".join(lines)

    def _quotes(self, line: str, hidden: frozenset[str] | None) -> bool:
        if not line.startswith(_INDENT) or "=" not in line:
            return False
        return hidden is None or any(f"{name}=" in line and f"{name}={MASK}" not in line for name in hidden)
