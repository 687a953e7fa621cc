"""Logs of the command line."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from odibi.contracts.executor import Outcome, State
from odibi.contracts.observer import NOTICE
from odibi.events import (
    Event,
    NodeFinished,
    NodeRetried,
    NodeStarted,
    NodeWarned,
    PluginFailed,
    RunFinished,
    RunStarted,
    StepFinished,
)
from odibi.log import EventLogger, logging_to_stderr
from odibi.redact import Redactor

HEAD = ("run-1", 1, 2.0)


@pytest.fixture(autouse=True)
def _nothing_else_changes() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("odibi")
    before = (root.level, list(root.handlers), ours.level, list(ours.handlers), ours.propagate)
    config = structlog.get_config()
    yield
    assert (root.level, list(root.handlers), ours.level, list(ours.handlers), ours.propagate) == before
    assert structlog.get_config() == config
    assert not structlog.is_configured()


def secretive() -> Redactor:
    redactor = Redactor()
    redactor.register("hunter2!")
    return redactor


def json_lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_lines_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    with logging_to_stderr(logging.INFO, Redactor(), metadata={"team": "data"}):
        logging.getLogger("odibi.x").info("read %d rows", 5)
        logging.getLogger("odibi.x").debug("not this")
        logging.getLogger("elsewhere").warning("nor this")
    out, err = capsys.readouterr()
    assert out == ""
    assert "read 5 rows" in err
    assert "team=data" in err
    assert "not this" not in err
    assert "\x1b" not in err


def test_json_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with logging_to_stderr(logging.INFO, Redactor(), structured=True, metadata={"team": "data"}):
        logging.getLogger("odibi.x").warning("careful", extra={"node": "a"})
    (line,) = json_lines(capsys.readouterr().err)
    assert line.pop("timestamp")
    assert line == {"event": "careful", "level": "warning", "node": "a", "team": "data"}


@pytest.mark.parametrize("structured", [True, False])
def test_secrets_are_masked_in_messages_fields_and_tracebacks(
    capsys: pytest.CaptureFixture[str], structured: bool
) -> None:
    with logging_to_stderr(logging.DEBUG, secretive(), structured=structured, metadata={"key": "hunter2!"}):
        log = logging.getLogger("odibi.x")
        try:
            raise ValueError("no entry with hunter2!")
        except ValueError:
            log.exception("it said %s", "hunter2!", extra={"detail": {"password": ["hunter2!"]}})
    err = capsys.readouterr().err
    assert "hunter2" not in err
    assert "***" in err
    assert "ValueError" in err


def test_a_handler_is_gone_afterwards_whatever_happens() -> None:
    with pytest.raises(KeyError), logging_to_stderr(logging.INFO, Redactor()):
        raise KeyError


def outcome(state: State, error: Exception | None = None) -> Outcome:
    return Outcome("a", state, error=error, started=0, finished=1_500_000_000)


EVENTS: list[tuple[Event, str, str]] = [
    (RunStarted(*HEAD, "p", "project", 2, 4), "info", "run started"),
    (NodeStarted(*HEAD, "a", 1, "worker-1"), "debug", "node started"),
    (StepFinished(*HEAD, "a", "sql", 0, 0.5, 3, {"sql": "SELECT 1"}), "debug", "step finished"),
    (NodeRetried(*HEAD, "a", 1, 0.25, OSError("gone")), "warning", "node failed, and is tried again"),
    (NodeWarned(*HEAD, "a", "100 % of it is odd"), "warning", "100 % of it is odd"),
    (NodeFinished(*HEAD, "a", outcome(State.SUCCEEDED)), "info", "node finished"),
    (NodeFinished(*HEAD, "a", outcome(State.FAILED, KeyError("k"))), "error", "node finished"),
    (PluginFailed(*HEAD, "watcher", "handle", ValueError("v"), cut_off=True), "warning", "plugin failed"),
    (RunFinished(*HEAD, "p", "failed", {"failed": 1}, 2.0), "info", "run finished"),
]


@pytest.mark.parametrize(("event", "level", "words"), EVENTS)
def test_every_event_has_its_line(capsys: pytest.CaptureFixture[str], event: Event, level: str, words: str) -> None:
    with logging_to_stderr(logging.DEBUG, Redactor(), structured=True):
        observer = EventLogger(logging.DEBUG)
        observer.handle(event)
        observer.close()
        observer.close()
    (line,) = json_lines(capsys.readouterr().err)
    assert (line["level"], line["event"], line["run"]) == (level, words, "run-1")
    if hasattr(event, "node"):
        assert line["node"] == "a"


def test_a_node_can_have_a_level_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    with logging_to_stderr(logging.WARNING, Redactor(), structured=True):
        observer = EventLogger(logging.WARNING, {"chatty": logging.DEBUG, "quiet": logging.ERROR})
        for name in ("chatty", "quiet", "plain"):
            observer.handle(NodeStarted(*HEAD, name, 1, "worker-1"))
            observer.handle(NodeWarned(*HEAD, name, "careful"))
        observer.close()
    lines = json_lines(capsys.readouterr().err)
    assert [(line["node"], line["event"]) for line in lines] == [
        ("chatty", "node started"),
        ("chatty", "careful"),
        ("plain", "careful"),
    ]
    assert logging.getLogger("odibi.run").level == logging.NOTSET


def test_what_whoever_runs_a_command_should_see_is_between_information_and_warnings(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with logging_to_stderr(NOTICE, Redactor(), structured=True):
        logging.getLogger("odibi.x").info("not this")
        logging.getLogger("odibi.x").log(NOTICE, "it costs a dollar")
    (line,) = json_lines(capsys.readouterr().err)
    assert (line["event"], line["level"]) == ("it costs a dollar", "notice")
