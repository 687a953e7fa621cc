"""What came of a run."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from odibi.contracts.executor import Outcome, State
from odibi.errors import RunFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from odibi.graph import Graph


class KeptValues(Mapping[str, Any]):
    """Values of a run: those it computed, and those that earlier runs left, which are loaded when they are asked for.

    Args:
        here: the first.
        graph: the nodes.
        later: the positions of the nodes of the second kind.
        load: gives the value of one.
    """

    def __init__(
        self, here: Mapping[str, Any], graph: Graph, later: Collection[int], load: Callable[[int], Any]
    ) -> None:
        self._here = dict(here)
        self._graph = graph
        self._later = later
        self._load = load
        self._lock = threading.Lock()

    def __getitem__(self, node: str) -> Any:
        with self._lock:
            if node not in self._here:
                at = self._graph.index[node]
                if at not in self._later:
                    raise KeyError(node)
                self._here[node] = self._load(at)
            return self._here[node]

    def __contains__(self, node: object) -> bool:
        return node in self._here or self._graph.index.get(str(node), -1) in self._later

    def __iter__(self) -> Iterator[str]:
        yield from dict.fromkeys([*self._here, *(self._graph.nodes[at].name for at in self._later)])

    def __len__(self) -> int:
        return sum(1 for _ in self)


@attrs.frozen
class RunResult:
    """The end of a run.

    Attributes:
        run_id: sorts by time.
        pipeline: its name.
        state: ``succeeded``, ``failed`` or ``cancelled``.
        outcomes: by node, in the order of the graph.
        values: by node: the targets', or those of nodes that nothing reads and that write nothing.
        duration: seconds, the flush of observers left out.
        ignored: failed nodes whose ``on_error`` is ``ignore``.
    """

    run_id: str
    pipeline: str
    state: str
    outcomes: Mapping[str, Outcome]
    values: Mapping[str, Any] = attrs.field(repr=False)
    duration: float
    ignored: frozenset[str] = frozenset()

    @property
    def ok(self) -> bool:
        """Whether the run succeeded."""
        return self.state == "succeeded"

    @property
    def failures(self) -> Sequence[Outcome]:
        """The outcomes of the nodes that failed, ignored ones too, in the order in which they did."""
        failed = [outcome for outcome in self.outcomes.values() if outcome.state is State.FAILED]
        return sorted(failed, key=lambda outcome: outcome.finished)

    def counts(self) -> dict[str, int]:
        """How many nodes had each outcome; outcomes that none had are left out."""
        return {state.value: count for state, count in Counter(it.state for it in self.outcomes.values()).items()}

    def __getitem__(self, node: str) -> Any:
        """The value of a node.

        Raises:
            KeyError: the node has none: it failed, or its value was not asked for.
        """
        if node in self.values:
            return self.values[node]
        outcome = self.outcomes.get(node)
        if outcome is None:
            raise KeyError(f"'{node}' is no node of this run")
        if outcome.state.good:
            raise KeyError(f"the value of '{node}' was let go after its last reader; ask for it with targets=[...]")
        raise KeyError(f"'{node}' has no value: it was {outcome.state.value}")

    def raise_for_failure(self) -> RunResult:
        """This result, if the run succeeded.

        Raises:
            RunFailed: with the first failure chained.
        """
        if self.ok:
            return self
        failures = [outcome for outcome in self.failures if outcome.node not in self.ignored]
        if not failures:
            raise RunFailed(f"the run of '{self.pipeline}' was {self.state}", self)
        first = failures[0]
        more = f" ({len(failures) - 1} more failed)" if len(failures) > 1 else ""
        raise RunFailed(
            f"node '{first.node}' failed: {first.error}{more}", self, where=f"pipeline '{self.pipeline}'"
        ) from first.error
