"""Logs of the command line."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

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
from odibi.log import Bound, EventLogger, bound, is_bound, logging_to_stderr
from odibi.redact import Redactor

HEAD = ("run-1", 1, 2.0)


@pytest.fixture(autouse=True)
def _nothing_else_changes() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("odibi")
    before = (root.level, list(root.handlers), ours.level, list(ours.handlers), ours.propagate, warnings.showwarning)
    config = structlog.get_config()
    yield
    after = (root.level, list(root.handlers), ours.level, list(ours.handlers), ours.propagate, warnings.showwarning)
    assert after == before
    assert not is_bound()
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
        logging.getLogger("elsewhere").info("nor that")
    out, err = capsys.readouterr()
    assert out == ""
    assert "read 5 rows" in err
    assert "team=data" in err
    assert "not this" not in err
    assert "nor that" not in err
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
    assert logging.getLogger("odibi.run.events").level == logging.NOTSET


def test_what_whoever_runs_a_command_should_see_is_between_information_and_warnings(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with logging_to_stderr(NOTICE, Redactor(), structured=True):
        logging.getLogger("odibi.x").info("not this")
        logging.getLogger("odibi.x").log(NOTICE, "it costs a dollar")
    (line,) = json_lines(capsys.readouterr().err)
    assert (line["event"], line["level"]) == ("it costs a dollar", "notice")


def test_events_of_a_node_know_the_attempt(capsys: pytest.CaptureFixture[str]) -> None:
    with logging_to_stderr(logging.DEBUG, Redactor(), structured=True):
        observer = EventLogger(logging.DEBUG)
        for event in (
            NodeStarted(*HEAD, "a", 2, "worker-1"),
            NodeWarned(*HEAD, "a", "careful"),
            NodeFinished(*HEAD, "a", outcome(State.SUCCEEDED)),
            NodeFinished(*HEAD, "b", outcome(State.SKIPPED)),
        ):
            observer.handle(event)
        observer.close()
    assert [line.get("attempt") for line in json_lines(capsys.readouterr().err)] == [2, 2, 2, None]


# --- lines of others ------------------------------------------------------------------------------------------------


def test_warnings_of_libraries_come_the_same_way(capsys: pytest.CaptureFixture[str]) -> None:
    with logging_to_stderr(logging.DEBUG, secretive(), structured=True, metadata={"team": "data"}):
        logging.getLogger("elsewhere").info("chatter")
        logging.getLogger("elsewhere").warning("careful with hunter2!")
    (line,) = json_lines(capsys.readouterr().err)
    assert (line["event"], line["level"], line["team"]) == ("careful with ***", "warning", "data")


def test_warnings_of_python_come_the_same_way(capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with logging_to_stderr(logging.INFO, secretive(), structured=True):
            warnings.warn("careful with hunter2!", UserWarning, stacklevel=1)
    (line,) = json_lines(capsys.readouterr().err)
    assert "UserWarning: careful with ***" in str(line["event"])
    assert "hunter2" not in str(line)


def test_what_a_node_logs_knows_whose_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    with logging_to_stderr(logging.INFO, Redactor(), structured=True):
        token = bound.set(Bound("run-1", "a", 2))
        logging.getLogger("mine").info("one", extra={"attempt": 7})
        structlog.get_logger().info("two", rows=3)
        logging.getLogger("mine").debug("not this")
        bound.reset(token)
    lines = json_lines(capsys.readouterr().err)
    assert [(line["event"], line["run"], line["node"], line["attempt"]) for line in lines] == [
        ("one", "run-1", "a", 7),
        ("two", "run-1", "a", 2),
    ]
    assert lines[1]["rows"] == 3
    assert lines[1]["level"] == "info"


def test_what_is_logged_through_structlog_shows_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    with logging_to_stderr(logging.INFO, secretive()):
        log = structlog.get_logger()
        try:
            raise ValueError("no entry with hunter2!")
        except ValueError:
            log.exception("it said", password="hunter2!", deep={"x": ["hunter2!"]})
    err = capsys.readouterr().err
    assert "hunter2" not in err
    assert "ValueError: no entry with ***" in err


def test_a_structlog_that_the_project_configures_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    structlog.configure(processors=[structlog.processors.JSONRenderer()])
    try:
        with logging_to_stderr(logging.INFO, Redactor(), structured=True):
            structlog.get_logger().info("mine")
        assert structlog.get_config()["processors"][0].__class__ is structlog.processors.JSONRenderer
    finally:
        structlog.reset_defaults()
    assert capsys.readouterr().out == '{"event": "mine"}\n'


PROJECT = """\
project: p
engine: null
logging: {structured: true}
retry: {max_attempts: 2, delay: 0.001}
pipelines:
  - pipeline: q
    nodes:
      - {name: plain, function: talks}
      - {name: chatty, function: talks, log_level: DEBUG, timeout: 30}
      - {name: quiet, function: talks, log_level: ERROR}
      - {name: flaky, function: fails_once}
"""
FUNCTIONS = """\
import logging
import os
import warnings

import structlog

from odibi.errors import Transient

log = logging.getLogger("mine")
slog = structlog.get_logger("theirs")
tries = []


def talks():
    log.debug("a debug line")
    log.info("an info line with %s", os.environ["DB_PASSWORD"])
    slog.info("a structlog line", key=os.environ["DB_PASSWORD"])
    warnings.warn("a warning with " + os.environ["DB_PASSWORD"])
    return 1


def fails_once():
    tries.append(1)
    log.info("try")
    if len(tries) < 2:
        raise Transient("busy")
    try:
        raise ValueError(os.environ["DB_PASSWORD"])
    except ValueError:
        log.exception("it goes on")
    return 1
"""


def test_what_functions_log_in_a_run_knows_whose_it_is(tmp_path: Path) -> None:
    connections = "secrets: {}\nvars: {x: '${DB_PASSWORD}'}\n"
    (tmp_path / "odibi.yaml").write_text(connections + PROJECT)
    (tmp_path / "transforms.py").write_text(FUNCTIONS)
    done = subprocess.run(
        [sys.executable, "-W", "always", "-m", "odibi", "run"],
        cwd=tmp_path,
        env={**os.environ, "DB_PASSWORD": "pl4nted-passw0rd"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "pl4nted" not in done.stdout + done.stderr
    lines = json_lines(done.stderr)
    (run,) = {line["run"] for line in lines}
    told = {name: [str(line["event"]) for line in lines if line.get("node") == name] for name in ("plain", "chatty")}
    assert "a debug line" in told["chatty"]
    assert "a debug line" not in told["plain"]
    for name in ("plain", "chatty"):
        assert "an info line with ***" in told[name]
        assert "a structlog line" in told[name]
        assert any("UserWarning: a warning with ***" in text for text in told[name])
    assert not [line for line in lines if line.get("node") == "quiet" and line["level"] != "error"]
    assert [line["attempt"] for line in lines if line["event"] == "try"] == [1, 2]
    (traceback,) = [line for line in lines if line["event"] == "it goes on"]
    assert "ValueError: ***" in str(traceback["exception"])
    assert {line["attempt"] for line in lines if line.get("node") == "plain"} == {1}
    assert run


def test_an_embedded_run_touches_no_logging(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import odibi

    seen: list[object] = []

    def node() -> int:
        seen.append((bound.get(), is_bound(), logging.getLogger().handlers[:], structlog.is_configured()))
        return 1

    root = logging.getLogger().handlers[:]
    assert odibi.Pipeline("p", [odibi.node(node)], engine=None).run().ok
    assert seen == [(None, False, root, False)]
    assert capsys.readouterr().err == ""


def test_loggers_made_while_a_command_logs_are_of_the_same_class() -> None:
    """Else a function whose module has a logger would have another fingerprint under a command than elsewhere."""
    before = logging.getLoggerClass()
    with logging_to_stderr(logging.INFO, Redactor()):
        assert structlog.is_configured()
        assert logging.getLoggerClass() is before
        assert type(logging.getLogger("odibi-tests.made-meanwhile")) is before
    assert logging.getLoggerClass() is before
