"""The newest result of each node: a map that can be put together from parts in any order, as often as one likes.

Each entry carries the stamp under which it was written, and the newer stamp wins; what is dropped leaves its stamp
behind. So it does not matter whether a run was added already, or is added by two processes at once ("last writer wins
element": Shapiro et al., "Conflict-free replicated data types", 2011).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


@attrs.define
class Results:
    """Newest results, and what was dropped.

    Attributes:
        nodes: node to stamp, run and record; the record is ``None`` where it was dropped.
        floor: the stamp up to which everything was dropped.
    """

    nodes: dict[str, tuple[int, str, Mapping[str, Any] | None]] = attrs.field(factory=dict)
    floor: int = 0

    @property
    def newest(self) -> int:
        """The newest stamp in it."""
        return max((entry[0] for entry in self.nodes.values()), default=self.floor)

    @classmethod
    def from_json(cls, content: Mapping[str, Any] | None) -> Results:
        """As :meth:`to_json` wrote it."""
        if content is None:
            return cls()
        return cls({node: tuple(entry) for node, entry in content["nodes"].items()}, content["floor"])

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return {"nodes": self.nodes, "floor": self.floor}

    def add(self, run_id: str, stamp: int, records: Iterable[Mapping[str, Any]]) -> None:
        """Add records that were written by a run under one stamp, in their order."""
        for record in records:
            node = record.get("node")
            if isinstance(node, str) and record.get("fingerprint") is not None:
                self._set(node, (stamp, run_id, record))

    def merge(self, other: Results) -> None:
        """Add all of another one."""
        for node, entry in other.nodes.items():
            self._set(node, entry)
        self._drop_to(other.floor)

    def forget(self, stamp: int, nodes: Sequence[str] | None) -> None:
        """Drop what was written up to ``stamp``, of these nodes or of all."""
        if nodes is None:
            self._drop_to(stamp)
        else:
            for node in nodes:
                self._set(node, (stamp, "", None))

    def records(self) -> dict[str, dict[str, Any]]:
        """What the contract asks for."""
        return {
            node: {**record, "run_id": run_id} for node, (_, run_id, record) in self.nodes.items() if record is not None
        }

    def _set(self, node: str, entry: tuple[int, str, Mapping[str, Any] | None]) -> None:
        there = self.nodes.get(node)
        if entry[0] > self.floor and (there is None or entry[:2] >= there[:2]):
            self.nodes[node] = entry

    def _drop_to(self, floor: int) -> None:
        if floor > self.floor:
            self.floor = floor
            self.nodes = {node: entry for node, entry in self.nodes.items() if entry[0] > floor}
