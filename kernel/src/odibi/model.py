"""The model: what a project is, whichever way it was written.

Everything here is plain attrs data without behaviour. ``config`` makes it from text, :class:`odibi.Pipeline` makes it
from Python, ``graph`` and ``run`` read it. Nothing here is checked beyond types: :mod:`odibi.config.check` does that,
where file positions are known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Any

import attrs

from odibi.contracts.format import WriteMode

EMPTY: Mapping[str, Any] = {}
"""Shared by every node without options, so that a hundred thousand nodes do not own one each. Never changed."""


class Backoff(str, Enum):
    """How the delay grows from attempt to attempt."""

    CONSTANT = "constant"
    LINEAR = "linear"
    EXPONENTIAL = "exponential"


class OnError(str, Enum):
    """What a failed node does to its run."""

    FAIL_FAST = "fail_fast"
    """Start no more nodes; let running ones finish."""
    FAIL_LATER = "fail_later"
    """Go on with everything that does not need the node; the run fails at its end."""
    IGNORE = "ignore"
    """As ``fail_later``, but the run does not fail because of it."""


class OnFail(str, Enum):
    """What broken validation rules do to their node."""

    ERROR = "error"
    WARN = "warn"
    QUARANTINE = "quarantine"


@attrs.frozen
class Retry:
    """When and how a failed node is tried again.

    Attributes:
        max_attempts: attempts in all; 1 means no retry.
        backoff: how the delay grows.
        delay: seconds before the second attempt.
        max_delay: seconds; no delay is longer, jitter included.
        jitter: 0 to 1; each delay is drawn from ``delay * [1 - jitter, 1]``.
        retry_on: names of exception classes that can pass, besides those that say so themselves
            (:attr:`odibi.errors.OdibiError.retryable`, ``ConnectionError``, ``TimeoutError``); ``"*"`` for all.
        enabled: ``False`` is the same as one attempt.
    """

    max_attempts: int = 3
    backoff: Backoff = Backoff.EXPONENTIAL
    delay: float = 1.0
    max_delay: float = 60.0
    jitter: float = 0.1
    retry_on: tuple[str, ...] = ()
    enabled: bool = True


@attrs.frozen
class Connection:
    """A configured storage or database.

    Attributes:
        name: unique in the project.
        type: the storage component.
        options: the component's options.
    """

    name: str
    type: str
    options: Mapping[str, Any] = EMPTY


@attrs.frozen
class ComponentConfig:
    """A component by its ``type``, with its options: a cache, an executor, a trigger, an observer."""

    type: str
    options: Mapping[str, Any] = EMPTY


@attrs.frozen
class Checkpoints:
    """The store of journals by its ``type``, with its options, and what the kernel does with it.

    Attributes:
        type: the checkpoint store's component.
        resume: go on with the last run of the pipeline when that was interrupted.
        keep_last: how many finished runs of a pipeline are kept; ``None`` for all.
        wait: seconds to wait for another run of the same pipeline to end.
        options: the component's.
    """

    type: str
    resume: bool = False
    keep_last: int | None = 100
    wait: float = 0.0
    options: Mapping[str, Any] = EMPTY


class Mode(str, Enum):
    """How often a pipeline runs when it is told to."""

    BATCH = "batch"
    """Once."""
    STREAM = "stream"
    """Again and again, see :class:`Continuous`."""


@attrs.frozen
class Continuous:
    """How a pipeline runs again and again.

    Attributes:
        max_iterations: after so many runs it ends, whether there was anything to do in them or not; ``None`` for never.
        sleep_seconds: seconds from the end of a run to the start of the next.
        checkpoint_interval: of so many runs that succeed, one stays on record; what a later run has to know of the
            others stays as well.
    """

    max_iterations: int | None = None
    sleep_seconds: float = 5.0
    checkpoint_interval: int = 1


class Overlap(str, Enum):
    """What becomes of a moment, or of data, that comes while the pipeline still runs."""

    QUEUE = "queue"
    """It is run afterwards; of several moments of one schedule that wait, the newest."""
    SKIP = "skip"
    """The moment is passed over. Data cannot be: it waits."""
    CANCEL_PREVIOUS = "cancel_previous"
    """The run that goes on is cancelled first."""


class Misfire(str, Enum):
    """What becomes of moments that passed while nothing could be started, as the service did not run."""

    LATEST = "latest"
    """The newest of them is made up for."""
    ALL = "all"
    """All are made up for, one after another."""
    SKIP = "skip"
    """None is."""


@attrs.frozen
class Trigger:
    """What starts runs by itself: a schedule or a source by its ``type``, with its options, and what the service does
    with it.

    Attributes:
        type: the trigger's component.
        pipelines: whose runs it starts; all of the project if none is named.
        overlap: what becomes of what comes while the pipeline still runs.
        misfire: what becomes of moments that passed while the service did not run.
        grace: seconds; moments that passed longer ago than that are not made up for. ``None`` for any.
        max_attempts: how often a batch is tried before it is put among the dead letters, or a moment before it is
            passed over; by default three times and once.
        retry_delay: seconds before a batch is tried again; twice as many after each further failure, an hour at most.
        enabled: ``False`` is a trigger that starts nothing.
        options: the component's.
    """

    type: str
    pipelines: tuple[str, ...] = ()
    overlap: Overlap = Overlap.QUEUE
    misfire: Misfire = Misfire.LATEST
    grace: float | None = None
    max_attempts: int | None = None
    retry_delay: float = 10.0
    enabled: bool = True
    options: Mapping[str, Any] = EMPTY


@attrs.frozen
class CachePolicy:
    """Whether, and how long, a node's result may stand for what its node would give.

    Attributes:
        enabled: ``False`` for a node whose result cannot be known from its inputs: it always runs, and so does what
            needs it.
        ttl: seconds for which a result is taken for good; then the node runs whatever its inputs are.
    """

    enabled: bool = True
    ttl: float | None = None


@attrs.frozen
class Incremental:
    """Read what is new since the last run that succeeded, and nothing else.

    New is a row whose value in the column is strictly above the greatest that was read before. So the column should
    grow: a row that comes later with a value as great as that, or smaller, is never read. With ``lateness`` it is, as
    long as it is not that late: then each run looks so far back once more, and leaves out the rows whose key was read.

    Attributes:
        column: numbers, texts, dates or moments; rows without a value are never read.
        lateness: how far below the greatest value a row may be that comes later: a duration such as ``2h`` where the
            column has dates or moments, a number where it has numbers.
        key: the columns by which a row is known to have been read; given with ``lateness``.
    """

    column: str
    lateness: float | timedelta | None = None
    key: tuple[str, ...] = ()


@attrs.frozen
class Read:
    """What a node reads: a path, a table or a query of a connection.

    Attributes:
        connection: its name.
        path: an object, a folder, or a glob; one of path, table and query is given.
        format: the format's name; by default what the path's ending says.
        columns: only these, in this order.
        chunk_rows: read, transform and write this many rows at a time.
        stream: the trigger whose batches it reads: in a run that consumes one, only the files of that.
        incremental: read only what is new since the last run that succeeded.
        options: the format's options.
    """

    connection: str
    path: str | None = None
    table: str | None = None
    query: str | None = None
    format: str | None = None
    columns: tuple[str, ...] | None = None
    chunk_rows: int | None = None
    stream: str | None = None
    incremental: Incremental | None = None
    options: Mapping[str, Any] = EMPTY


@attrs.frozen
class Write:
    """What a node writes: a path or a table of a connection.

    Attributes:
        connection, path, table, format, options: as in :class:`Read`.
        mode: what happens to what is there.
        partition_by: columns whose values become folders.
        keys: the key columns of ``append_once`` and ``upsert``.
    """

    connection: str
    path: str | None = None
    table: str | None = None
    format: str | None = None
    mode: WriteMode = WriteMode.OVERWRITE
    partition_by: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    options: Mapping[str, Any] = EMPTY


@attrs.frozen
class Sql:
    """A step: one query over the node's inputs, with the current frame as ``df``."""

    sql: str


@attrs.frozen
class Function:
    """A step: a Python function.

    Attributes:
        function: a name in the project's ``transforms.py``, ``"module:name"``, or the function itself.
        params: passed by keyword.
    """

    function: str | Callable[..., Any]
    params: Mapping[str, Any] = EMPTY


@attrs.frozen
class Operation:
    """A step: a named transform of a plugin.

    Attributes:
        operation: its name (``pivot``).
        params: the transform's options.
    """

    operation: str
    params: Mapping[str, Any] = EMPTY


Step = Sql | Function | Operation


@attrs.frozen
class Transform:
    """The steps of a node, in order; each works on the frame that the one before it made."""

    steps: tuple[Step, ...] = ()


@attrs.frozen
class Range:
    """Bounds of a column, both inclusive; ``None`` is open."""

    min: Any = None
    max: Any = None


@attrs.frozen
class SchemaRule:
    """What columns a frame must have.

    Attributes:
        required_columns: must be there.
        types: column to type: ``int``, ``float``, ``str``, ``bool``, ``date``, ``datetime``, or an Arrow type.
        strict: no other columns may be there.
    """

    required_columns: tuple[str, ...] = ()
    types: Mapping[str, str] = EMPTY
    strict: bool = False


@attrs.frozen
class Freshness:
    """How old the newest row may be.

    Attributes:
        column: a date or timestamp; without a zone it is UTC.
        max_age: a duration such as ``90m``, ``36h`` or ``7d``.
    """

    column: str
    max_age: str


@attrs.frozen
class Rule:
    """A rule in SQL; one of ``expression`` and ``sql``.

    Attributes:
        name: shown when it is broken.
        expression: true for each good row.
        sql: a query over ``df`` that gives the bad rows.
        on_fail: what it does when broken; by default what the validation says.
    """

    name: str
    expression: str | None = None
    sql: str | None = None
    on_fail: OnFail | None = None


@attrs.frozen
class Quarantine:
    """Where bad rows go, with two more columns: ``_odibi_rules`` and ``_odibi_run``."""

    connection: str
    path: str
    format: str | None = None
    options: Mapping[str, Any] = EMPTY


@attrs.frozen
class Validation:
    """The rules that a node's result must keep.

    Attributes:
        not_empty: at least one row.
        no_nulls: columns without nulls.
        unique: columns that together identify a row; a list of lists for several such keys.
        schema: columns and types.
        ranges: column to bounds.
        allowed_values: column to its values.
        regex: column to a pattern that each value must contain (anchor it with ``^...$`` for a whole match).
        row_count: bounds on the number of rows.
        freshness: how old the newest row may be.
        rules: more rules, in SQL.
        on_fail: what broken rules do.
        quarantine: where bad rows go when ``on_fail`` is ``quarantine``.
        max_rows: how many offending rows a report shows.
    """

    not_empty: bool = False
    no_nulls: tuple[str, ...] = ()
    unique: tuple[tuple[str, ...], ...] = ()
    schema: SchemaRule | None = None
    ranges: Mapping[str, Range] = EMPTY
    allowed_values: Mapping[str, tuple[Any, ...]] = EMPTY
    regex: Mapping[str, str] = EMPTY
    row_count: Range | None = None
    freshness: Freshness | None = None
    rules: tuple[Rule, ...] = ()
    on_fail: OnFail = OnFail.ERROR
    quarantine: Quarantine | None = None
    max_rows: int = 5


@attrs.frozen
class Node:
    """One vertex: any of read, function, transform, validate and write, in this order.

    Attributes:
        name: unique in its pipeline.
        depends_on: the names of its inputs, in order. The first is the current frame of a transform without ``read``.
        function: computes the result from its inputs, which are its parameters of the same names.
        params: the function's other parameters.
        arguments: parameter to input, where their names differ.
        read, transform, validation, write: see there.
        engine: instead of the pipeline's.
        cache: whether its result may be reused, and for how long. By default it may, and is kept in the project's
            cache unless the node is sensitive, or what it wrote can stand for it; ``True`` keeps it in any case.
        version: of anything its result depends on that does not show: a model file, a remote service.
        sensitive: columns whose values are masked wherever rows are shown; ``True`` for all.
        on_error: what its failure does to the run.
        retry: instead of the project's.
        timeout: seconds an attempt may take.
        log_level: for what it logs.
        tags, layer: for selections.
        description: for people.
    """

    name: str
    depends_on: tuple[str, ...] = ()
    function: str | Callable[..., Any] | None = None
    params: Mapping[str, Any] = EMPTY
    arguments: Mapping[str, str] = EMPTY
    read: Read | None = None
    transform: Transform | None = None
    validation: Validation | None = None
    write: Write | None = None
    engine: str | None = None
    cache: CachePolicy | bool | None = None
    version: str = ""
    sensitive: bool | tuple[str, ...] = False
    on_error: OnError | None = None
    retry: Retry | None = None
    timeout: float | None = None
    log_level: str | None = None
    tags: tuple[str, ...] = ()
    layer: str | None = None
    description: str = ""


@attrs.frozen
class Pipeline:
    """A named set of nodes; settings here count for its nodes unless they say otherwise."""

    name: str
    nodes: tuple[Node, ...] = ()
    layer: str | None = None
    engine: str | None = None
    on_error: OnError | None = None
    retry: Retry | None = None
    timeout: float | None = None
    tags: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    """Pipelines each of whose successes lets the service run this one, once all of them had one since it last ran."""
    mode: Mode = Mode.BATCH
    continuous: Continuous = attrs.field(factory=Continuous)
    """How it runs in mode stream."""
    description: str = ""


@attrs.frozen
class Story:
    """Where stories go and what they hold; for the plugin that writes them."""

    connection: str | None = None
    path: str = "stories/"
    max_sample_rows: int = 10
    auto_generate: bool = True
    retention_days: int | None = 30
    retention_count: int | None = 100


@attrs.frozen
class Logging:
    """What is logged.

    Attributes:
        level: ``DEBUG``, ``INFO``, ``WARNING`` or ``ERROR``.
        structured: JSON lines instead of text.
        metadata: bound to every line.
    """

    level: str = "INFO"
    structured: bool = False
    metadata: Mapping[str, Any] = EMPTY


@attrs.frozen
class Alert:
    """Whom to tell of what; for the plugin that does it.

    Attributes:
        url: where to; whoever has it can send there, so it counts as a secret.
    """

    type: str
    url: str | None = None
    on_events: tuple[str, ...] = ("on_failure",)
    metadata: Mapping[str, Any] = EMPTY
    options: Mapping[str, Any] = EMPTY

    @property
    def observer(self) -> ComponentConfig:
        """The observer that it is."""
        own = {"url": self.url, "metadata": self.metadata}
        given = {key: value for key, value in own.items() if value}
        return ComponentConfig(self.type, {"on_events": list(self.on_events), **given, **self.options})


@attrs.frozen
class Plugins:
    """Which plugins a project takes.

    Attributes:
        block: names or distributions that are never imported.
        prefer: ``"family.name"`` to the distribution that wins where several offer it.
    """

    block: tuple[str, ...] = ()
    prefer: Mapping[str, str] = EMPTY


@attrs.frozen
class Project:
    """One project file with its imports.

    Attributes:
        name: the ``project`` key.
        root: the folder of the project file; relative paths count from it.
        engine: for nodes and pipelines that name none.
        engines: an engine's options, by its name.
        connections: by name.
        pipelines: in the order in which they run.
        secrets: secret stores by name, for ``${secret:store/name}``.
        functions: the project's own functions (``transforms.py``), by name.
    """

    name: str
    root: Path | None = None
    engine: str | None = "pandas"
    engines: Mapping[str, Mapping[str, Any]] = EMPTY
    connections: Mapping[str, Connection] = EMPTY
    pipelines: tuple[Pipeline, ...] = ()
    retry: Retry | None = None
    logging: Logging = attrs.field(factory=Logging)
    alerts: tuple[Alert, ...] = ()
    story: Story | None = None
    cache: ComponentConfig | None = None
    checkpoints: Checkpoints | None = None
    executor: ComponentConfig = attrs.field(factory=lambda: ComponentConfig("threads"))
    triggers: Mapping[str, Trigger] = EMPTY
    metrics: tuple[ComponentConfig, ...] = ()
    observers: tuple[ComponentConfig, ...] = ()
    secrets: Mapping[str, ComponentConfig] = EMPTY
    plugins: Plugins = attrs.field(factory=Plugins)
    functions: Mapping[str, Callable[..., Any]] = EMPTY
    version: str = ""
    description: str = ""
    owner: str = ""

    def pipeline(self, name: str) -> Pipeline:
        """The pipeline called ``name``.

        Raises:
            KeyError: there is none.
        """
        for pipeline in self.pipelines:
            if pipeline.name == name:
                return pipeline
        raise KeyError(name)
