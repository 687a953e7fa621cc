"""Logs of the command line, configured for as long as a command runs.

What the functions of nodes log, through the standard library or structlog, and what libraries and Python itself warn
of, is brought into the same lines: with the run, the node and the attempt, without secrets, and by the level of the
node. An application that embeds Odibi configures its own logging; nothing here is used then, and nothing is touched.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from odibi.contracts.observer import NOTICE
from odibi.events import (
    NodeEvent,
    NodeFinished,
    NodeProgressed,
    NodeRetried,
    NodeStarted,
    NodeWarned,
    PluginFailed,
    RunFinished,
    RunStarted,
    StepFinished,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from structlog.typing import EventDict, Processor

    from odibi.events import Event
    from odibi.model import Node, Project
    from odibi.redact import Redactor

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
"""What ``--log-level`` takes."""

EVENTS = "odibi.run.events"
"""The logger of a run's events."""


def node_levels(nodes: Iterable[Node]) -> dict[str, int]:
    """The levels of the nodes that have one of their own, by name."""
    levels = {node.name: LEVELS.get((node.log_level or "").lower()) for node in nodes}
    return {name: level for name, level in levels.items() if level is not None}


def lowest_level(projects: Iterable[Project]) -> int | None:
    """The lowest level that a node of these projects has of its own; ``None`` if none has one."""
    nodes = (node for project in projects for pipeline in project.pipelines for node in pipeline.nodes)
    return min(node_levels(nodes).values(), default=None)


class Bound(NamedTuple):
    """Whose lines are logged.

    Attributes:
        run: the id of the run.
        node: its name.
        attempt: 1 for the first.
        level: from which its lines are wanted, as in :mod:`logging`; ``None`` for that of the command.
    """

    run: str
    node: str
    attempt: int
    level: int | None = None


bound: ContextVar[Bound | None] = ContextVar("odibi_bound", default=None)
"""The attempt at a node that the current thread makes; only while a command logs."""

_commands = 0


def is_bound() -> bool:
    """Whether lines are to know whose they are; never where Odibi is embedded."""
    return _commands > 0


class _Wanted(logging.Filter):
    """Lets lines through by whose they are.

    Args:
        level: of the command. Of libraries, outside of nodes, only warnings are of interest.
    """

    def __init__(self, level: int) -> None:
        super().__init__()
        self._level = level

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is wanted."""
        if record.name == EVENTS:  # those were picked already
            return True
        whose = bound.get()
        if whose is not None:
            return record.levelno >= (self._level if whose.level is None else whose.level)
        ours = record.name == "odibi" or record.name.startswith("odibi.")
        return record.levelno >= (self._level if ours else max(self._level, logging.WARNING))


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to whatever ``sys.stderr`` is at the moment: a live display puts itself in its place.

    Args:
        make_formatter: called for the first line. Most commands log none, and structlog takes long to import.
    """

    def __init__(self, make_formatter: Callable[[], logging.Formatter]) -> None:
        logging.Handler.__init__(self)
        self._make_formatter = make_formatter

    def format(self, record: logging.LogRecord) -> str:
        """The line for a record."""
        if self.formatter is None:
            self.formatter = self._make_formatter()
        return self.formatter.format(record)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr


@contextmanager
def logging_to_stderr(
    level: int,
    redactor: Redactor,
    *,
    structured: bool = False,
    metadata: Mapping[str, Any] | None = None,
    lowest: int | None = None,
) -> Iterator[None]:
    """Let everything log to stderr, and put it back as it was.

    Args:
        level: as in :mod:`logging`.
        redactor: masks the secrets in every line.
        structured: JSON lines instead of text.
        metadata: bound to every line.
        lowest: the lowest level of a node; lines below ``level`` are for such nodes alone.
    """
    global _commands
    logging.addLevelName(NOTICE, "NOTICE")
    root, ours = logging.getLogger(), logging.getLogger("odibi")
    fields = dict(metadata or {})
    handler = _StderrHandler(lambda: _formatter(redactor, structured, fields))
    handler.addFilter(_Wanted(level))
    before = ours.level, ours.propagate, root.level
    lowest = level if lowest is None else min(level, lowest)
    for logger in (root, ours):
        logger.addHandler(handler)
        logger.setLevel(lowest)
    ours.propagate = False
    _commands += 1
    try:
        with _warnings_logged(), _structlog_logged(fields):
            yield
    finally:
        _commands -= 1
        for logger in (root, ours):
            logger.removeHandler(handler)
        ours.setLevel(before[0])
        ours.propagate = before[1]
        root.setLevel(before[2])


@contextmanager
def _warnings_logged() -> Iterator[None]:
    """Python's warnings are lines of the logger ``py.warnings``."""
    before = warnings.showwarning
    logging.captureWarnings(True)
    begun = warnings.showwarning is not before  # else somebody else has asked for it, and still wants it
    try:
        yield
    finally:
        if begun:
            logging.captureWarnings(False)


@contextmanager
def _structlog_logged(metadata: dict[str, Any]) -> Iterator[None]:
    """What is logged through structlog comes the same way, where the project uses it and does not configure it."""
    structlog = sys.modules.get("structlog")
    if structlog is None or structlog.is_configured():
        yield
        return
    # structlog's factory makes its own class that of all loggers to come. Those of the project's modules are to be of
    # the same class whoever runs it.
    before = logging.getLoggerClass()
    factory = structlog.stdlib.LoggerFactory()
    logging.setLoggerClass(before)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *_fields(metadata),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=factory,
    )
    try:
        yield
    finally:
        structlog.reset_defaults()


def _fields(metadata: dict[str, Any]) -> list[Processor]:
    """What gives every line its level, its time, whose it is, and the project's metadata."""
    import structlog

    def bind(_logger: Any, _method: str, event: EventDict) -> EventDict:
        whose = bound.get()
        own = {"run": whose.run, "node": whose.node, "attempt": whose.attempt} if whose is not None else {}
        return {**metadata, **own, **event}

    return [structlog.stdlib.add_log_level, structlog.processors.TimeStamper(fmt="iso", utc=True), bind]


def _formatter(redactor: Redactor, structured: bool, metadata: dict[str, Any]) -> logging.Formatter:
    import structlog

    shared: list[Processor] = [structlog.stdlib.ExtraAdder(), *_fields(metadata)]
    renderer: Processor = (
        structlog.processors.JSONRenderer(default=str)
        if structured
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty() and not os.environ.get("NO_COLOR"))
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        # A traceback becomes text before it is scrubbed, and everything is scrubbed before it is rendered.
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            redactor.processor,
            renderer,
        ],
    )


class EventLogger:
    """An observer that logs a run's events, with the run, the node and the attempt bound to each line.

    Args:
        level: of the lines wanted, as in :mod:`logging`.
        node_levels: other levels for the events of some nodes.
    """

    def __init__(self, level: int, node_levels: Mapping[str, int] | None = None) -> None:
        self._level = level
        self._node_levels = dict(node_levels or {})
        self._attempts: dict[str, int] = {}
        logger = logging.getLogger(EVENTS)
        self._before = logger.level
        logger.setLevel(min([level, *self._node_levels.values()]))
        self._target = logger

    def handle(self, event: Event) -> None:
        """Log one event, if it is worth it."""
        level, message, fields = _describe(event)
        wanted = self._level
        if isinstance(event, NodeEvent):
            wanted = self._node_levels.get(event.node, wanted)
            fields["node"] = event.node
            if isinstance(event, NodeStarted):
                self._attempts[event.node] = event.attempt
            attempt = self._attempts.get(event.node)
            if attempt is not None:
                fields.setdefault("attempt", attempt)
            if isinstance(event, NodeFinished):
                self._attempts.pop(event.node, None)
        if level >= wanted:
            self._target.log(level, message, extra={"run": event.run_id, **fields})

    def close(self) -> None:
        """Put the logger's level back; may be called twice."""
        self._target.setLevel(self._before)


def _describe(event: Event) -> tuple[int, str, dict[str, Any]]:
    """Level, words and fields of an event."""
    match event:
        case NodeStarted():
            return logging.DEBUG, "node started", {"attempt": event.attempt, "worker": event.worker}
        case StepFinished():
            fields = {"step": event.step, "rows": event.rows, "seconds": round(event.duration, 3)}
            return logging.DEBUG, "step finished", {**fields, "detail": dict(event.detail)}
        case NodeRetried():
            fields = {"attempt": event.attempt, "delay": round(event.delay, 3), "error": str(event.error)}
            return logging.WARNING, "node failed, and is tried again", fields
        case NodeProgressed():
            return logging.DEBUG, "node got on", {"done": event.done, "total": event.total, "unit": event.unit}
        case NodeWarned():
            return logging.WARNING, event.message, {}
        case NodeFinished():
            outcome = event.outcome
            fields = {"state": outcome.state.value, "seconds": round(outcome.duration, 3)}
            if outcome.error is not None:
                fields["error"] = str(outcome.error)
            return logging.ERROR if outcome.state.value == "failed" else logging.INFO, "node finished", fields
        case RunStarted():
            return logging.INFO, "run started", {"pipeline": event.pipeline, "nodes": event.nodes}
        case RunFinished():
            fields = {"pipeline": event.pipeline, "state": event.state, "seconds": round(event.duration, 3)}
            return logging.INFO, "run finished", {**fields, "counts": dict(event.counts)}
        case PluginFailed():
            return logging.WARNING, "plugin failed", {"plugin": event.plugin, "error": str(event.error)}
    return logging.DEBUG, type(event).__name__, {}
