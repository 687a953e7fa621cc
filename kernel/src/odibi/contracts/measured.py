"""All that is measured of runs: the names, what each means, and by what it is told apart.

Names follow Prometheus' conventions (https://prometheus.io/docs/practices/naming/): they begin with ``odibi_`` and end
with the unit, which is a base unit; a counter's ends with ``_total``.
"""

from __future__ import annotations

import attrs

from odibi.contracts.metric import Kind

OF_A_PROJECT = ("project",)
OF_A_PIPELINE = ("project", "pipeline")
OF_A_NODE = ("project", "pipeline", "node")

MOST_NODES = 100
"""So many nodes of a project, those that are met first, are told apart; all others are one, called :data:`OTHERS`."""

MOST_NAMES = 100
"""So many pipelines and so many plugins of a project are told apart at most."""

OTHERS = "(others)"
"""What those are called that are not told apart."""


@attrs.frozen(eq=False)  # each is one thing, and keys of dicts are made of them
class Metric:
    """Something that is measured.

    Attributes:
        name: with its unit.
        kind: what its measurements mean.
        unit: ``seconds``, ``bytes``, ``rows``, or what is counted.
        labels: by what it is told apart, in order.
        meaning: in a sentence.
    """

    name: str
    kind: Kind
    unit: str
    labels: tuple[str, ...]
    meaning: str


def _counter(name: str, unit: str, labels: tuple[str, ...], meaning: str) -> Metric:
    return Metric(f"odibi_{name}_total", Kind.COUNTER, unit, labels, meaning)


def _gauge(name: str, unit: str, labels: tuple[str, ...], meaning: str) -> Metric:
    return Metric(f"odibi_{name}", Kind.GAUGE, unit, labels, meaning)


def _timer(name: str, labels: tuple[str, ...], meaning: str) -> Metric:
    return Metric(f"odibi_{name}_seconds", Kind.TIMER, "seconds", labels, meaning)


RUNS = _counter(
    "runs", "runs", (*OF_A_PIPELINE, "state"), "Runs that have ended: `succeeded`, `failed` or `cancelled`."
)
RUN_DURATION = _timer("run_duration", OF_A_PIPELINE, "How long runs took.")
RUNS_RUNNING = _gauge("runs_running", "runs", OF_A_PIPELINE, "Runs that go on.")
LAST_START = _gauge(
    "run_last_start_timestamp_seconds",
    "seconds",
    OF_A_PIPELINE,
    "When the last run began, in seconds since the epoch.",
)
LAST_SUCCESS = _gauge(
    "run_last_success_timestamp_seconds",
    "seconds",
    OF_A_PIPELINE,
    "When the last run that succeeded ended, in seconds since the epoch.",
)
LAST_SUCCEEDED = _gauge(
    "run_last_succeeded",
    "1 or 0",
    OF_A_PIPELINE,
    "Whether the last run succeeded. Of use where each run is a process of its own, whose counters begin at nothing.",
)
LAST_DURATION = _gauge("run_last_duration_seconds", "seconds", OF_A_PIPELINE, "How long the last run took.")

NODES = _counter(
    "nodes",
    "nodes",
    (*OF_A_PIPELINE, "outcome"),
    "Nodes that have their outcome: `succeeded`, `reused`, `restored`, `failed`, `skipped` or `cancelled`.",
)
NODE_DURATION = _timer("node_duration", OF_A_PIPELINE, "How long nodes took that ran, waits between attempts included.")
NODE_WAIT = _timer(
    "node_wait", OF_A_PIPELINE, "How long nodes waited for a worker, from the end of their last input to their start."
)
ATTEMPTS = _counter("node_attempts", "attempts", OF_A_PIPELINE, "Attempts at nodes.")
STEP_DURATION = _timer(
    "step_duration",
    (*OF_A_PIPELINE, "step"),
    "How long parts of nodes took: `read`, `sql`, `function`, `operation`, `validate` and `write`.",
)

NODE_LAST_DURATION = _gauge(
    "node_last_duration_seconds",
    "seconds",
    OF_A_NODE,
    "How long a node took when it last ran. Not of nodes that are not told apart.",
)
FAILURES = _counter("node_failures", "nodes", OF_A_NODE, "Runs in which a node failed, after all of its attempts.")
RETRIES = _counter(
    "node_retries", "attempts", OF_A_NODE, "Attempts at a node that failed and were followed by another."
)
ROWS_IN = _counter("node_rows_in", "rows", OF_A_NODE, "Rows that a node read, and those of its inputs, where known.")
ROWS_OUT = _counter("node_rows_out", "rows", OF_A_NODE, "Rows of a node's results, where known.")
BYTES_WRITTEN = _counter("node_written_bytes", "bytes", OF_A_NODE, "Bytes of the objects that a node wrote.")
QUARANTINED = _counter("node_rows_quarantined", "rows", OF_A_NODE, "Rows that a node's validation set aside.")
WARNINGS = _counter("node_warnings", "warnings", OF_A_NODE, "Warnings about a node.")
CPU = _counter(
    "node_cpu_seconds",
    "seconds",
    OF_A_NODE,
    "Processor time of the threads that ran a node. What an engine does on threads of its own is not in it.",
)
MEMORY = _gauge(
    "node_memory_peak_bytes",
    "bytes",
    OF_A_NODE,
    "The most bytes that the whole process held in memory while a node last ran. Not of nodes that are not told apart.",
)

CACHE_LOOKUPS = _counter(
    "cache_lookups",
    "nodes",
    (*OF_A_PIPELINE, "result"),
    "Nodes of projects with a cache: `hit` (reused), `restored` (of an interrupted run), `miss` (ran).",
)
CACHE_BYTES = _gauge("cache_bytes", "bytes", OF_A_PROJECT, "What the cache holds, at the end of the last run.")
CACHE_ENTRIES = _gauge("cache_entries", "entries", OF_A_PROJECT, "How many results the cache holds, likewise.")
CACHE_EVICTIONS = _counter(
    "cache_evictions",
    "entries",
    OF_A_PROJECT,
    "Results that were put out of the cache for want of room, by all of its users since it was made.",
)

CHECKPOINT_APPENDS = _counter(
    "checkpoint_appends",
    "appends",
    (*OF_A_PROJECT, "result"),
    "Times that outcomes of nodes, those of several in one, were recorded in the checkpoint store: `done` or `failed`.",
)
CHECKPOINT_DURATION = _timer("checkpoint_append_duration", OF_A_PROJECT, "How long it took until these were durable.")

PLUGIN_FAILURES = _counter(
    "plugin_failures",
    "errors",
    (*OF_A_PROJECT, "plugin", "hook"),
    "Errors of observers, sinks and hooks, which runs go on after.",
)
DROPPED = _counter(
    "metrics_dropped",
    "measurements",
    (*OF_A_PROJECT, "sink"),
    "Measurements that a sink never got, as it hangs or keeps failing.",
)

METRICS: tuple[Metric, ...] = tuple(each for each in list(vars().values()) if isinstance(each, Metric))
"""All of them, in the order in which they are written here."""

BY_NAME = {each.name: each for each in METRICS}
"""The same by their names, for sinks that say what a metric means."""
