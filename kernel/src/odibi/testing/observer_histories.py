"""Runs as observers are told of them: sound streams of events, from what became of each node."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import Enum
from typing import Any

import attrs
import hypothesis.strategies as st

from odibi.contracts.engine import Column, FrameInfo
from odibi.contracts.executor import Outcome, State, Usage
from odibi.contracts.format import WriteReport
from odibi.contracts.observer import PlannedNode
from odibi.errors import NodeError, NodeTimeout, TransformError, Transient, ValidationFailed
from odibi.events import (
    Event,
    NodeFinished,
    NodeProgressed,
    NodeRetried,
    NodeStarted,
    NodeWarned,
    PluginFailed,
    RowsSampled,
    RunFinished,
    RunStarted,
    StepFinished,
)
from odibi.redact import Redactor


class Fate(str, Enum):
    """What becomes of a node in a run."""

    SUCCEEDED = "succeeded"
    WROTE = "wrote"
    WARNED = "warned"
    RETRIED = "retried"
    """It fails twice, and succeeds then."""
    REUSED = "reused"
    RESTORED = "restored"
    FAILED = "failed"
    FAILED_FOREIGN = "failed foreign"
    """With an error that is not one of ours, and without a traceback or a message."""
    GAVE_UP = "gave up"
    """It is retried, and fails all the same."""
    TIMED_OUT = "timed out"
    INVALID = "invalid"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    STOPPED = "stopped"
    """Cancelled after it had started."""
    AT_ONCE = "at once"
    """It takes no time at all, by the clock."""


NEVER_STARTED = (Fate.SKIPPED, Fate.CANCELLED, Fate.REUSED, Fate.RESTORED)

_STATES = {
    Fate.REUSED: State.REUSED,
    Fate.RESTORED: State.RESTORED,
    Fate.SKIPPED: State.SKIPPED,
    Fate.CANCELLED: State.CANCELLED,
    Fate.STOPPED: State.CANCELLED,
    Fate.FAILED: State.FAILED,
    Fate.FAILED_FOREIGN: State.FAILED,
    Fate.GAVE_UP: State.FAILED,
    Fate.TIMED_OUT: State.FAILED,
    Fate.INVALID: State.FAILED,
}

_ids = itertools.count(1)


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    """The error as it is when it was raised and caught: with a traceback, and a cause if it has one."""
    try:
        try:
            if cause is not None:
                raise cause
        except BaseException as first:
            raise error from first
        raise error
    except BaseException as caught:
        return caught


class Facts:
    """What a made-up run is about; see :class:`odibi.contracts.observer.RunFacts`.

    Args:
        nodes: their names.
        secrets: to be masked in whatever is scrubbed.
    """

    root = None
    files = ()
    command = ("odibi", "run", "odibi.yaml", "--pipeline", "daily")

    def __init__(self, nodes: Sequence[str], secrets: Sequence[str] = ()) -> None:
        self._nodes = nodes
        self._redactor = Redactor()
        for secret in secrets:
            self._redactor.register(secret)

    def scrub(self, value: Any) -> Any:
        """The value with every secret masked."""
        return self._redactor.scrub(value)

    def nodes(self) -> Sequence[PlannedNode]:
        """The plan: a chain."""
        above = [(), *((name,) for name in self._nodes)]
        source = {"digest": "cd34", "objects": 1, "bytes": 120, "newest": 1_767_225_600.0, "increment": ""}
        return [
            PlannedNode(
                name,
                depends_on,
                "run",
                "its code changed",
                {"read": {"path": "orders.csv"}},
                engine="pandas",
                reads="raw:orders.csv",
                writes="lake:orders.parquet",
                fingerprint="ab12",
                source=source,
            )
            for name, depends_on in zip(self._nodes, above, strict=False)
        ]

    def places(self, node: str) -> tuple[str, str]:  # noqa: ARG002 - all nodes read and write the same
        """Of what a node reads and writes."""
        return "file:///shop/raw/orders.csv", "s3://lake/orders.parquet"

    def config(self) -> Mapping[str, Any]:
        """The project."""
        return {"name": "shop", "connections": {"raw": {"type": "local", "options": {"base_path": "./raw"}}}}


@attrs.define
class Run:
    """A run that can be told.

    Attributes:
        nodes: each node's name, and what becomes of it.
        run_id: another one for each run.
        told_to: how many of its events come before it is aborted; all if ``None``.
        seed: which nodes' events come between which.
        extra: further events, which come before the last.
        secrets: what its facts mask.
    """

    nodes: Sequence[tuple[str, Fate]]
    run_id: str = attrs.field(factory=lambda: f"20260101T000000-{next(_ids):06d}")
    told_to: int | None = None
    seed: int = 0
    extra: Sequence[Event] = ()
    secrets: Sequence[str] = ()

    def events(self) -> list[Event]:
        """All events, in an order in which they can come."""
        clock = _Clock(self.run_id)
        stories = [self._of_node(clock, name, fate) for name, fate in self.nodes]
        states = Counter(_STATES.get(fate, State.SUCCEEDED).value for _, fate in self.nodes)
        state = "failed" if states["failed"] else "cancelled" if states["cancelled"] else "succeeded"
        plugins = (("odibi-pandas", "0.1.0"), ("odibi-local", "0.1.0"))
        facts = Facts([name for name, _ in self.nodes], self.secrets)
        started = RunStarted(*clock.now(), "daily", "shop", len(self.nodes), 4, plugins, facts=facts)
        told = [started, *self._mixed(stories), *self.extra]
        if any(fate is Fate.WARNED for _, fate in self.nodes):
            cut = raised(ValueError("a sink is full"))
            told.append(PluginFailed(*clock.now(), "odibi-story 0.1.0", "handle", cut, cut_off=True))
        last = clock.now()
        told.append(RunFinished(*last, "daily", state, dict(states), (last[1] - started.monotonic) / 1e9))
        return told if self.told_to is None else told[: max(1, min(self.told_to, len(told) - 1))]

    def _mixed(self, stories: Sequence[Sequence[Event]]) -> list[Event]:
        """The stories of the nodes, each in its order, one between another."""
        pick, left = random.Random(self.seed), [list(story) for story in stories if story]  # noqa: S311 - not for secrecy
        told = []
        while left:
            story = pick.choice(left)
            told.append(story.pop(0))
            left = [each for each in left if each]
        return told

    def _of_node(self, clock: _Clock, node: str, fate: Fate) -> list[Event]:
        if fate in NEVER_STARTED:
            reason = "its result is there" if fate in (Fate.REUSED, Fate.RESTORED) else "an input failed"
            outcome = Outcome(node, _STATES[fate], attempts=0, reason=reason, info=_info(fate), kept="k")
            return [NodeFinished(*clock.now(), node, outcome)]
        told: list[Event] = []
        begin = clock.now()
        attempts = 3 if fate in (Fate.RETRIED, Fate.GAVE_UP) else 1
        for attempt in range(1, attempts + 1):
            told.append(NodeStarted(*(begin if attempt == 1 else clock.now()), node, attempt, "thread-1"))
            if attempt < attempts:
                error = raised(Transient("the server is busy", where="lake"), ConnectionResetError(104, "reset"))
                told.append(NodeRetried(*clock.now(), node, attempt, 0.5, error))
        told.append(NodeProgressed(*clock.now(), node, 3, 8, "tasks", "stage 1"))
        state = _STATES.get(fate, State.SUCCEEDED)
        if state is State.SUCCEEDED:
            told += self._steps(clock, node)
        warnings = ("3 rows without a price",) if fate is Fate.WARNED else ()
        told += [NodeWarned(*clock.now(), node, warning) for warning in warnings]
        end = begin if fate is Fate.AT_ONCE else clock.now()
        outcome = Outcome(
            node,
            state,
            error=_error(fate, node),
            attempts=attempts,
            started=begin[1],
            finished=end[1],
            worker="thread-1",
            info=_info(fate) if state is State.SUCCEEDED else None,
            write=WriteReport(rows=3, bytes=120, paths=(f"{node}.csv",)) if fate is Fate.WROTE else None,
            warnings=warnings,
            quarantined=2 if fate is Fate.WARNED else 0,
            usage=Usage(0.5, 1 << 20) if state is State.SUCCEEDED else None,
        )
        told.append(NodeFinished(*clock.now(), node, outcome))
        return told

    def _steps(self, clock: _Clock, node: str) -> list[Event]:
        sql: dict[str, Any] = {"sql": "SELECT * FROM df", "inputs": ["orders"], "rules": {"not_null": ["id"]}}
        steps = [
            ("read", 0, None, {"path": f"{node}.csv", "bytes": 120}),
            ("sql", 0, 3, sql),
            ("function", 1, None, {}),
        ]
        schema = (Column("id", "int64"), Column("price", "decimal128(10, 2)"))
        told: list[Event] = [
            StepFinished(*clock.now(), node, step, position, 0.25, rows, dict(detail), schema)
            for step, position, rows, detail in steps
        ]
        sample: list[dict[str, Any]] = [{"id": 1, "price": Decimal("9.99")}, {"id": None, "price": None}]
        return [*told, RowsSampled(*clock.now(), node, "result", sample, schema, 3)]


class _Clock:
    """Turns a millisecond at each look."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._looks = itertools.count(1)

    def now(self) -> tuple[str, int, float]:
        look = next(self._looks)
        return self._run_id, 1_000_000_000 + look * 1_000_000, 1_767_225_600.0 + look / 1000


def _info(fate: Fate) -> FrameInfo | None:
    rows = None if fate is Fate.WROTE else 3
    columns = (Column("id", "int64", nullable=False), Column("price", "decimal128(10, 2)"))
    return None if fate in (Fate.SKIPPED, Fate.CANCELLED) else FrameInfo(rows, columns)


def _error(fate: Fate, node: str) -> BaseException | None:
    match fate:
        case Fate.FAILED:
            return raised(NodeError("it failed", where=node), TransformError("no column 'price'", where="step 1"))
        case Fate.FAILED_FOREIGN:
            return RuntimeError()
        case Fate.GAVE_UP:
            return raised(Transient("the server is busy", where=node), TimeoutError())
        case Fate.TIMED_OUT:
            return raised(NodeTimeout("it ran longer than 5 s", where=node))
        case Fate.INVALID:
            return raised(ValidationFailed("2 rows break a rule", where=node, remedy="Look at them."))
    return None


EVERYTHING = Run([(f"node_{fate.value.replace(' ', '_')}", fate) for fate in Fate], run_id="20260101T000000-everything")
"""A run in which everything happens that can happen."""


def runs() -> st.SearchStrategy[Run]:
    """Runs of a few nodes, of which some are aborted."""
    names = st.lists(st.from_regex(r"[a-z_]{1,8}", fullmatch=True) | st.text(min_size=1, max_size=6), unique=True)
    nodes = names.flatmap(lambda given: st.tuples(*(st.tuples(st.just(name), st.sampled_from(Fate)) for name in given)))
    told_to = st.none() | st.integers(1, 20)
    return st.builds(Run, nodes=nodes, told_to=told_to, seed=st.integers(0, 99))


def snapshot(thing: Any, seen: dict[int, int] | None = None) -> Any:
    """All of an event that can be changed, in a form that can be compared: what is in it, which objects they are."""
    seen = {} if seen is None else seen
    if isinstance(thing, BaseException | Mapping):
        # Once each: errors hang together in more than one way, and may do so in a circle.
        if id(thing) in seen:
            return ("again", seen[id(thing)])
        seen[id(thing)] = len(seen)
    if isinstance(thing, BaseException):
        parts = [thing.args, vars(thing), thing.__cause__, thing.__context__, thing.__suppress_context__]
        return (type(thing), id(thing), id(thing.__traceback__), [snapshot(part, seen) for part in parts])
    if attrs.has(type(thing)):
        return (type(thing), [(name, snapshot(getattr(thing, name), seen)) for name in attrs.fields_dict(type(thing))])
    if isinstance(thing, Mapping):
        return (type(thing), id(thing), [(repr(key), snapshot(value, seen)) for key, value in thing.items()])
    if isinstance(thing, list | tuple | set | frozenset):
        return (type(thing), [snapshot(value, seen) for value in thing])
    return (type(thing), repr(thing))
