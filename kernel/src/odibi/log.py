"""Logs of the command line: configured for as long as a command runs, and for the logger ``odibi`` alone.

An application that embeds Odibi configures its own logging; nothing here is used then. The root logger and structlog's
global configuration are never touched.
"""

from __future__ import annotations

import logging
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

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
    from collections.abc import Callable, Iterator, Mapping

    from structlog.typing import EventDict, Processor

    from odibi.events import Event
    from odibi.redact import Redactor

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
"""What ``--log-level`` takes."""


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
    level: int, redactor: Redactor, *, structured: bool = False, metadata: Mapping[str, Any] | None = None
) -> Iterator[None]:
    """Let the logger ``odibi`` write to stderr, and put it back as it was.

    Args:
        level: as in :mod:`logging`.
        redactor: masks the secrets in every line.
        structured: JSON lines instead of text.
        metadata: bound to every line.
    """
    logging.addLevelName(NOTICE, "NOTICE")
    logger = logging.getLogger("odibi")
    handler = _StderrHandler(lambda: _formatter(redactor, structured, dict(metadata or {})))
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(level)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]


def _formatter(redactor: Redactor, structured: bool, metadata: dict[str, Any]) -> logging.Formatter:
    import structlog

    def bind(_logger: Any, _method: str, event: EventDict) -> EventDict:
        return {**metadata, **event}

    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        bind,
    ]
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
    """An observer that logs a run's events, with the run and the node bound to each line.

    Args:
        level: of the lines wanted, as in :mod:`logging`.
        node_levels: other levels for the events of some nodes.
    """

    def __init__(self, level: int, node_levels: Mapping[str, int] | None = None) -> None:
        self._level = level
        self._node_levels = dict(node_levels or {})
        logger = logging.getLogger("odibi.run")
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
