"""What a run tells about itself. Progress, stories, metrics, logs and alerts see these and nothing else.

Events are attrs classes. They are built on the nodes' own threads, where a frozen class would cost three times as
much as the rest of the event, so they are not frozen; nobody changes one all the same.

``monotonic`` is nanoseconds on the monotonic clock, for differences; ``wall`` is seconds since the epoch, UTC, for
people. Both are taken when the thing happened, not when it was told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from odibi.contracts.engine import Column
    from odibi.contracts.executor import Outcome
    from odibi.contracts.observer import RunFacts


@attrs.define
class Event:
    """Something that happened in a run."""

    run_id: str
    monotonic: int
    wall: float


@attrs.define
class RunStarted(Event):
    """A run begins.

    Attributes:
        pipeline: its name.
        project: the project's name.
        nodes: how many nodes the plan holds.
        workers: how many tasks may run at once.
        plugins: ``(distribution, version)`` of the plugins in use.
        resumes: the id of the run that this one goes on with; empty if none.
        facts: what the run is about.
    """

    pipeline: str
    project: str
    nodes: int
    workers: int
    plugins: Sequence[tuple[str, str]] = ()
    resumes: str = ""
    facts: RunFacts | None = attrs.field(default=None, repr=False)


@attrs.define
class RunFinished(Event):
    """A run is over.

    Attributes:
        state: ``succeeded``, ``failed`` or ``cancelled``.
        counts: how many nodes had each outcome.
        duration: seconds.
    """

    pipeline: str
    state: str
    counts: Mapping[str, int]
    duration: float


@attrs.define
class NodeEvent(Event):
    """Something that happened to one node."""

    node: str


@attrs.define
class NodeStarted(NodeEvent):
    """An attempt at a node begins.

    Attributes:
        attempt: 1 for the first.
        worker: who runs it.
    """

    attempt: int
    worker: str


@attrs.define
class NodeRetried(NodeEvent):
    """An attempt failed, and another one follows.

    Attributes:
        attempt: the one that failed.
        delay: seconds until the next.
        error: what went wrong.
    """

    attempt: int
    delay: float
    error: BaseException


@attrs.define
class NodeWarned(NodeEvent):
    """Something about a node that a person should know, and that does not fail it."""

    message: str


@attrs.define
class NodeFinished(NodeEvent):
    """A node has its outcome; also said of nodes that were skipped or cancelled and never started."""

    outcome: Outcome


@attrs.define
class StepFinished(NodeEvent):
    """One part of a node is done.

    Attributes:
        step: ``read``, ``sql``, ``function``, ``operation``, ``validate`` or ``write``.
        position: which of the transform's steps, from 0.
        duration: seconds.
        rows: in the current frame afterwards; ``None`` where the engine does not know.
        detail: what a reader may want to know: the rendered SQL, the target, the rules checked.
        schema: the columns of the current frame afterwards; empty if there is none.
        failed: whether the node failed in it; told of rules that are broken, so that it shows how all of them fared.
    """

    step: str
    position: int
    duration: float
    rows: int | None = None
    detail: Mapping[str, Any] = attrs.field(factory=dict)
    schema: Sequence[Column] = ()
    failed: bool = False


@attrs.define
class RowsSampled(NodeEvent):
    """Some rows of a frame of a node, for people to look at; told only if an observer asks for samples.

    Attributes:
        step: after which part of the node: ``read`` or ``result``.
        rows: plain Python values by column. Those of columns that the node, or one that it has its data from, calls
            sensitive are masked.
        schema: the columns in order.
        total: how many rows the frame has; ``None`` where the engine does not know.
    """

    step: str
    rows: Sequence[Mapping[str, Any]]
    schema: Sequence[Column]
    total: int | None = None


@attrs.define
class NodeProgressed(NodeEvent):
    """An engine got on with a node's work.

    Attributes:
        done, total: of the parts that are known so far; ``total`` may grow.
        unit: what the parts are (``"tasks"``).
        detail: what is done just now, in a few words.
    """

    done: int
    total: int
    unit: str
    detail: str = ""


@attrs.define
class PluginFailed(Event):
    """An observer, sink or hook of a plugin raised; the run goes on.

    Attributes:
        plugin: its distribution and version, or its name.
        hook: what was called.
        error: what it raised.
        cut_off: whether it will be called again in this run.
    """

    plugin: str
    hook: str
    error: BaseException
    cut_off: bool
