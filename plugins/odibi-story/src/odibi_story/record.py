"""What a story tells: one run, as attrs classes that are JSON when they are stored.

Whatever is here may be shown: text is scrubbed of secrets, and values of sensitive columns are masked, before it comes
here. Times are seconds since the epoch, UTC, or seconds since the run began where that is said.
"""

from __future__ import annotations

from typing import Any

import attrs

LAYOUT = 1
"""Of the stored JSON; raised when an older one cannot be read any more."""

RUNNING, INTERRUPTED = "running", "interrupted"
"""States of a run that has no end on record: it goes on, or was killed."""


@attrs.define
class Column:
    """A column of a frame; ``type`` in Arrow's words."""

    name: str
    type: str
    nullable: bool = True


@attrs.define
class Sample:
    """Some rows of a frame.

    Attributes:
        step: ``read`` or ``result``.
        columns: names in order.
        rows: JSON values by position.
        total: rows of the frame; ``None`` where not known.
    """

    step: str
    columns: list[str]
    rows: list[list[Any]]
    total: int | None = None


@attrs.define
class Step:
    """One part of a node.

    Attributes:
        kind: ``read``, ``sql``, ``function``, ``operation``, ``validate`` or ``write``.
        position: which of the transform's steps, from 0.
        duration: seconds.
        rows: afterwards; ``None`` where not known.
        detail: JSON values: the SQL, the operation with its params, the target.
        schema: afterwards.
    """

    kind: str
    position: int
    duration: float
    rows: int | None = None
    detail: dict[str, Any] = attrs.field(factory=dict)
    schema: list[Column] = attrs.field(factory=list)


@attrs.define
class Rule:
    """How a validation rule fared; ``rows`` are some of those that broke it, by column."""

    rule: str
    passed: bool
    failing: int | None = None
    message: str = ""
    on_fail: str = "error"
    rows: list[dict[str, Any]] = attrs.field(factory=list)


@attrs.define
class Attempt:
    """One attempt at a node; ``started`` and ``finished`` in seconds since the run began, the latter once it is known.

    ``error`` is why it failed; empty if it did not.
    """

    number: int
    started: float
    worker: str
    finished: float | None = None
    error: str = ""


@attrs.define
class Written:
    """What a node wrote."""

    rows: int | None = None
    bytes: int | None = None
    paths: list[str] = attrs.field(factory=list)
    etags: dict[str, str] = attrs.field(factory=dict)
    version: str = ""
    skipped: bool = False


@attrs.define
class Failure:
    """Why a node failed.

    Attributes:
        type: the error's class.
        message: what it says: what, where, what to do.
        trace: the traceback, innermost call last; empty for mistakes that need none.
    """

    type: str
    message: str
    trace: str = ""


@attrs.define
class NodeStory:
    """One node.

    Attributes:
        action, reason: what the plan meant to do (``run``, ``reuse``, ``restore``), and why.
        state: its outcome; ``waiting`` before, and ``running``, while the run goes on.
        started, finished: of its attempts together, in seconds since the run began; ``None`` if it never started.
        waited: seconds from when its last input was done to its start; ``None`` if it never started.
        critical: whether it is on the critical path: the chain of nodes of which each waited for the one before and
            that decided when the run ended.
        rows_in: rows that it read and those of its inputs, together; ``None`` where not all are known.
        rows, schema, bytes: of its result.
        source: of what it reads: ``digest``, ``objects``, ``bytes``, ``newest``, ``increment``; empty if not known.
        cpu: seconds of processor time; memory: most bytes of the process meanwhile; ``None`` where not known.
        kept: its key in the cache; empty if it is not there.
        definition: the node as a project file would say it.
        fingerprint, parts: see :class:`odibi.contracts.observer.PlannedNode`.
    """

    name: str
    depends_on: list[str] = attrs.field(factory=list)
    action: str = "run"
    reason: str = ""
    engine: str | None = None
    state: str = "waiting"
    why: str = ""
    """Why it never started, in words."""
    started: float | None = None
    finished: float | None = None
    waited: float | None = None
    critical: bool = False
    attempts: list[Attempt] = attrs.field(factory=list)
    failure: Failure | None = None
    rows_in: int | None = None
    rows: int | None = None
    bytes: int | None = None
    schema: list[Column] = attrs.field(factory=list)
    steps: list[Step] = attrs.field(factory=list)
    samples: list[Sample] = attrs.field(factory=list)
    rules: list[Rule] = attrs.field(factory=list)
    quarantined: int = 0
    warnings: list[str] = attrs.field(factory=list)
    reads: str = ""
    source: dict[str, Any] = attrs.field(factory=dict)
    writes: str = ""
    written: Written | None = None
    cpu: float | None = None
    memory: int | None = None
    kept: str = ""
    estimate: float = 0.0
    sensitive: bool = False
    definition: dict[str, Any] = attrs.field(factory=dict)
    fingerprint: str = ""
    parts: dict[str, str] = attrs.field(factory=dict)
    left_out: list[str] = attrs.field(factory=list)
    """What is not told of it to keep the story small, such as ``sample rows``."""


@attrs.define
class Commit:
    """The state of the project's folder in git; ``dirty`` if there were changes that are not committed."""

    id: str
    branch: str = ""
    dirty: bool = False


@attrs.define
class RunStory:
    """One run.

    Attributes:
        state: ``succeeded``, ``failed``, ``cancelled``, :data:`RUNNING` or :data:`INTERRUPTED`.
        started: seconds since the epoch, UTC.
        duration: seconds; ``None`` while it goes on.
        resumes: the run that it goes on with; empty if none.
        command: the words that run the same again, in ``folder``; empty if none do.
        plugins: distribution and version of each.
        environment: ``python``, ``system``, ``machine``, ``host`` and their like.
        config: the project as it counted, secrets masked.
        problems: what observers and plugins failed with, in words.
        left_out: what is not told to keep the story small, a sentence each.
    """

    run_id: str
    pipeline: str
    project: str
    state: str = RUNNING
    started: float = 0.0
    duration: float | None = None
    workers: int = 1
    counts: dict[str, int] = attrs.field(factory=dict)
    resumes: str = ""
    command: list[str] = attrs.field(factory=list)
    folder: str = ""
    plugins: list[tuple[str, str]] = attrs.field(factory=list)
    environment: dict[str, str] = attrs.field(factory=dict)
    commit: Commit | None = None
    config: dict[str, Any] = attrs.field(factory=dict)
    nodes: list[NodeStory] = attrs.field(factory=list)
    problems: list[str] = attrs.field(factory=list)
    left_out: list[str] = attrs.field(factory=list)
    layout: int = LAYOUT

    @property
    def first_failure(self) -> NodeStory | None:
        """The node that failed first; ``None`` if none did."""
        failed = [node for node in self.nodes if node.failure is not None]
        return min(failed, key=lambda node: (node.finished is None, node.finished or 0.0), default=None)

    def node(self, name: str) -> NodeStory:
        """The node called ``name``.

        Raises:
            KeyError: there is none.
        """
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)
