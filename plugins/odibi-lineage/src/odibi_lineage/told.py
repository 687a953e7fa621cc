"""What a run has to tell of lineage, in plain values: nothing of it hangs on the run any more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import attrs

from odibi.contracts.executor import State
from odibi.errors import OdibiError
from odibi.events import NodeFinished, NodeStarted, RunFinished, RunStarted, StepFinished

if TYPE_CHECKING:
    from odibi.contracts.engine import Column
    from odibi.contracts.observer import PlannedNode, RunFacts
    from odibi.events import Event

LONGEST = 2000
"""Characters of an error's words."""

WITHHELD = "its words are withheld, as they may quote values that are sensitive"

DEEPEST = 50
"""Causes of an error that are looked at."""

_STATES = {State.SUCCEEDED: "COMPLETE", State.FAILED: "FAIL", State.CANCELLED: "ABORT"}
_RUN_STATES = {"succeeded": "COMPLETE", "failed": "FAIL", "cancelled": "ABORT"}


@attrs.frozen
class Place:
    """Data that is read or written.

    Attributes:
        uri: where it is.
        columns: pairs of a name and a type, as far as they are known.
        rows, size: of what was written; ``None`` where that is not known.
    """

    uri: str
    columns: Sequence[tuple[str, str]] = ()
    rows: int | None = None
    size: int | None = None


@attrs.frozen
class About:
    """The run that something is told of.

    Attributes:
        run: its id.
        project, pipeline: whose.
        began: in seconds since the epoch.
        engine: the version of the kernel; empty if not known.
    """

    run: str
    project: str
    pipeline: str
    began: float
    engine: str = ""


@attrs.frozen
class Told:
    """One thing to tell.

    Attributes:
        about: which run.
        kind: ``START``, ``COMPLETE``, ``FAIL`` or ``ABORT``.
        at: when, in seconds since the epoch.
        node: which node of the run; ``None`` for the run itself.
        began: when the node began, likewise.
        reads, writes: what is read and written.
        copies: whether each column that is written is the column of that name that is read, as nothing is done with it.
        sql: the queries of the node, in order.
        error: the words of what failed; ``None`` if nothing did.
    """

    about: About
    kind: str
    at: float
    node: str | None = None
    began: float = 0.0
    reads: Sequence[Place] = ()
    writes: Sequence[Place] = ()
    copies: bool = False
    sql: Sequence[str] = ()
    error: str | None = None


@attrs.define
class _Node:
    """What is known of a node that has begun."""

    began: float
    reads: str
    writes: str
    copies: bool
    sql: Sequence[str]
    read_columns: Sequence[tuple[str, str]] = ()
    columns: Sequence[tuple[str, str]] = ()


class Teller:
    """Makes what there is to tell of one run from its events.

    Args:
        started: how the run began.
    """

    def __init__(self, started: RunStarted) -> None:
        self.run_id = started.run_id
        self._facts: RunFacts | None = started.facts
        self._planned: dict[str, PlannedNode] | None = None
        self._nodes: dict[str, _Node] = {}
        self._sensitive: frozenset[str] | None = None
        self._error: str | None = None
        engine = dict(started.plugins).get("odibi-kernel", "")
        run, project, pipeline = map(self._scrub, (started.run_id, started.project, started.pipeline))
        self._about = About(run, project, pipeline, started.wall, engine)

    def begin(self) -> Told:
        """That the run began."""
        reads, writes = self._all_places()
        return Told(self._about, "START", self._about.began, reads=reads, writes=writes)

    def take(self, event: Event) -> Told | None:
        """What there is to tell after an event of the run."""
        match event:
            case NodeStarted():
                return self._node_started(event)
            case StepFinished():
                self._step(event)
            case NodeFinished():
                return self._node_finished(event)
            case RunFinished():
                kind = _RUN_STATES.get(event.state, "ABORT")
                reads, writes = self._all_places()
                return Told(self._about, kind, event.wall, reads=reads, writes=writes, error=self._error)
        return None

    # --- nodes ------------------------------------------------------------------------------------------------------

    def _node_started(self, event: NodeStarted) -> Told | None:
        if event.node in self._nodes:  # another attempt
            return None
        reads, writes = self._places(event.node)
        planned = self._plan().get(event.node)
        definition = planned.definition if planned is not None else {}
        steps = (definition.get("transform") or {}).get("steps") or []
        sql = [str(step["sql"]) for step in steps if isinstance(step, dict) and "sql" in step]
        does_nothing = not {"transform", "function"} & definition.keys() and not (planned and planned.depends_on)
        node = _Node(event.wall, reads, writes, bool(planned and does_nothing and reads and writes), sql)
        self._nodes[event.node] = node
        return self._told("START", event.wall, event.node, node)

    def _step(self, event: StepFinished) -> None:
        node = self._nodes.get(event.node)
        if node is None or not event.schema:
            return
        node.columns = self._columns(event.schema)
        if event.step == "read":
            node.read_columns = node.columns

    def _node_finished(self, event: NodeFinished) -> Told | None:
        outcome = event.outcome
        node = self._nodes.get(event.node)
        error = None
        if outcome.state is State.FAILED:
            error = self._words(event.node, outcome.error)
            self._error = self._error or f"{event.node}: {error}"
        kind = _STATES.get(outcome.state)
        if node is None or kind is None:  # what was not done has no run
            return None
        if outcome.info is not None and outcome.info.schema and not node.columns:
            node.columns = self._columns(outcome.info.schema)
        rows = outcome.write.rows if outcome.write is not None else None
        size = outcome.write.bytes if outcome.write is not None else None
        told = self._told(kind, event.wall, event.node, node, rows, size)
        return attrs.evolve(told, error=error)

    def _told(
        self, kind: str, at: float, name: str, node: _Node, rows: int | None = None, size: int | None = None
    ) -> Told:
        return Told(
            self._about,
            kind,
            at,
            self._scrub(name),
            node.began,
            [Place(node.reads, node.read_columns)] if node.reads else [],
            [Place(node.writes, node.columns, rows, size)] if node.writes else [],
            node.copies and kind == "COMPLETE",
            node.sql,
        )

    # --- the run ----------------------------------------------------------------------------------------------------

    def _all_places(self) -> tuple[list[Place], list[Place]]:
        """What the run reads from outside, and all that it writes."""
        places = [self._places(name) for name in self._plan()]
        writes = dict.fromkeys(written for _, written in places if written)
        reads = dict.fromkeys(read for read, _ in places if read and read not in writes)
        return [Place(uri) for uri in reads], [Place(uri) for uri in writes]

    def _places(self, node: str) -> tuple[str, str]:
        places = getattr(self._facts, "places", None)  # which not every maker of facts knows
        found: tuple[str, str] = places(node) if places is not None else ("", "")
        return found

    def _plan(self) -> dict[str, PlannedNode]:
        if self._planned is None:
            nodes = self._facts.nodes() if self._facts is not None else ()
            self._planned = {node.name: node for node in nodes}
        return self._planned

    def _sensitive_nodes(self) -> frozenset[str]:
        """Those that are sensitive, and those that have their data from one."""
        if self._sensitive is None:
            found: set[str] = set()
            for node in self._plan().values():  # in the order of the graph
                if node.sensitive or found.intersection(node.depends_on):
                    found.add(node.name)
            self._sensitive = frozenset(found)
        return self._sensitive

    def _words(self, node: str, error: BaseException | None) -> str:
        kind = type(error).__name__ if error is not None else "it failed"
        # The kernel withholds such words of the sensitive node itself. Lineage leaves the house, so what others have
        # from it counts too.
        if node in self._sensitive_nodes() and _may_quote(error):
            return f"{kind}; {WITHHELD}"
        try:
            words = self._scrub(str(error)) if error is not None else ""
        except Exception:  # an error of anybody's, which cannot even say what it is
            words = ""
        if words and not isinstance(error, OdibiError):  # which say little without the name of their class
            words = f"{kind}: {words}"
        return words[:LONGEST] or kind

    def _columns(self, schema: Sequence[Column]) -> list[tuple[str, str]]:
        return [(self._scrub(column.name), self._scrub(column.type)) for column in schema]

    def _scrub(self, text: str) -> str:
        found: Any = self._facts.scrub(text) if self._facts is not None else text
        return str(found).encode("utf-8", "replace").decode("utf-8")


def _may_quote(error: BaseException | None) -> bool:
    """Whether an error's words may hold values of frames: any but Odibi's own may, also where they are passed on."""
    for _ in range(DEEPEST):
        if error is None:
            return False
        if not isinstance(error, OdibiError) or getattr(error, "quotes_data", False):
            return True
        error = error.__cause__
    return True
