"""Alerts of projects whose runs fail, succeed, are retried or late, and servers that do not behave."""

from __future__ import annotations

import hmac
import json
import logging
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

import odibi
from odibi.api import LoadedProject
from odibi.contracts.secret import Secret
from odibi.errors import ConfigError
from odibi_alerts import outbox, throttle
from odibi_alerts.webhook import WebhookAlert

FUNCTIONS = """
import os
import threading

import odibi
from odibi.errors import Transient

GO = threading.Event()
TRIES = []


def fine():
    return 1


def broken(fine):
    raise ValueError("cannot log in with " + os.environ["PLANTED_PASSWORD"])


def flaky():
    TRIES.append(1)
    if len(TRIES) < 2:
        raise Transient("the server is busy")
    return 1


def waits():
    assert GO.wait(30)
    return 1
"""
PLANTED = "pl4nted-passw0rd"


@pytest.fixture(autouse=True)
def _anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PLANTED_PASSWORD", PLANTED)
    monkeypatch.setattr(outbox, "FIRST_PAUSE", 0.01)
    throttle._sent.clear()
    yield
    assert outbox.settle(20) == []


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., LoadedProject]:
    """Makes a project of some nodes with one alert."""

    def make(alert: dict[str, Any], *nodes: str, **more: Any) -> LoadedProject:
        (tmp_path / "transforms.py").write_text(FUNCTIONS)
        listed = [{"name": node, "function": node, **more} for node in nodes]
        text = {
            "project": "shop",
            "engine": None,
            "alerts": [alert],
            "pipelines": [{"pipeline": "orders", "nodes": listed}],
        }
        (tmp_path / "odibi.json").write_text(json.dumps(text))
        loaded = odibi.load(tmp_path / "odibi.json")
        loaded.redactor.register(PLANTED)
        return loaded

    return make


def told(server: Any, count: int) -> list[Any]:
    """What came in once so many requests have."""
    wait_for(lambda: len(server.taken) >= count)
    return [each.json for each in server.taken]


def wait_for(condition: Callable[[], Any]) -> Any:
    ticks = threading.Event()
    for _ in range(4000):
        if found := condition():
            return found
        ticks.wait(0.005)
    raise AssertionError("it does not happen")


def run(loaded: LoadedProject) -> Any:
    return loaded.run(check=False)


def webhook(server: Any, *events: str, **more: Any) -> dict[str, Any]:
    return {"type": "webhook", "url": server.url, "on_events": list(events) or ["on_failure"], **more}


def test_a_failed_run_is_told_with_what_failed(server: Any, project: Any) -> None:
    assert not run(project(webhook(server), "fine", "broken")).ok
    (said,) = told(server, 1)
    assert (said["event"], said["pipeline"], said["project"], said["state"]) == (
        "on_failure",
        "orders",
        "shop",
        "failed",
    )
    (failure,) = said["failures"]
    assert failure["node"] == "broken"
    assert "cannot log in with ***" in failure["message"]
    assert said["counts"]["succeeded"] == 1
    assert said["text"] == said["title"]


def test_no_secret_is_in_a_message_or_in_a_log(server: Any, project: Any, caplog: pytest.LogCaptureFixture) -> None:
    server.answers = [(404, {})]
    events = ["on_start", "on_failure"]
    with caplog.at_level(logging.DEBUG):
        for kind in ("slack", "teams", "webhook"):
            with project({"type": kind, "url": server.url, "on_events": events}, "fine", "broken") as loaded:
                run(loaded)
    told(server, 6)
    wait_for(lambda: "could not tell" in caplog.text)
    for text in (*(each.body.decode() for each in server.taken), caplog.text):
        assert PLANTED not in text
        assert "pl4nted-token" not in text


def quoting(secret):
    raise ValueError(f"cannot read {secret}")


def test_no_value_of_a_sensitive_node_is_in_a_message(server: Any) -> None:
    """Nor in what a node that has its data from one says of it."""

    @odibi.node(sensitive=True)
    def secret() -> str:
        return "078-05-1120"

    for sensitive in (True, False):
        failing = odibi.node(sensitive=sensitive)(quoting)
        pipeline = odibi.Pipeline("orders", [secret, failing], engine=None)
        alert = WebhookAlert(url=Secret(server.url))
        assert not pipeline.run(observers=[alert], check=False).ok
    said = told(server, 2)
    for each in said:
        assert "078-05-1120" not in json.dumps(each)
        assert "withheld" in each["failures"][0]["message"]


def test_metadata_is_passed_on_to_a_webhook(server: Any, project: Any) -> None:
    metadata = {"channel": "#data", "team": "data", "level": 3, "throttle_minutes": 5}
    with project(webhook(server, metadata=metadata), "fine", "broken") as loaded:
        run(loaded)
    assert told(server, 1)[0]["metadata"] == {"channel": "#data", "team": "data", "level": "3"}


def test_a_run_that_succeeds_is_told_only_if_that_is_asked_for(server: Any, project: Any) -> None:
    with project(webhook(server, "on_failure"), "fine") as loaded:
        assert run(loaded).ok
    with project(webhook(server, "on_start", "on_success"), "fine") as loaded:
        assert run(loaded).ok
    assert [said["event"] for said in told(server, 2)] == ["on_start", "on_success"]


def test_a_retry_is_told(server: Any, project: Any) -> None:
    retry = {"max_attempts": 2, "delay": 0.001}
    with project(webhook(server, "on_retry"), "flaky", retry=retry) as loaded:
        assert run(loaded).ok
    (said,) = told(server, 1)
    assert (said["event"], said["node"], said["attempt"], said["state"]) == ("on_retry", "flaky", 1, "running")
    assert "the server is busy" in said["failures"][0]["message"]


def test_a_run_that_is_late_is_told_while_it_goes_on(server: Any, project: Any) -> None:
    loaded = project(webhook(server, "on_success", sla="50ms"), "waits")
    thread = threading.Thread(target=run, args=(loaded,))
    thread.start()
    try:
        (said,) = told(server, 1)
        assert (said["event"], said["sla"], said["state"]) == ("on_sla", 0.05, "running")
        assert thread.is_alive()
    finally:
        loaded.project.functions["waits"].__globals__["GO"].set()
        thread.join()
    assert [said["event"] for said in told(server, 2)] == ["on_sla", "on_success"]


def test_a_run_in_time_is_not_late(server: Any, project: Any) -> None:
    before = threading.active_count()
    with project(webhook(server, "on_success", sla="1h"), "fine") as loaded:
        run(loaded)
    assert [said["event"] for said in told(server, 1)] == ["on_success"]
    wait_for(lambda: threading.active_count() <= before)


def test_the_run_ends_while_the_server_hangs(server: Any, project: Any) -> None:
    server.hold.clear()
    loaded = project(webhook(server, "on_start", "on_failure"), "fine", "broken")
    result = run(loaded)
    assert [outcome.state.value for outcome in result.runs[0].outcomes.values()] == ["succeeded", "failed"]
    again = run(loaded)  # while the first one's messages still wait
    assert not again.ok
    assert not server.hold.is_set()
    server.hold.set()
    assert [said["event"] for said in told(server, 4)] == ["on_start", "on_failure"] * 2


@pytest.mark.parametrize("nodes", [["fine"], ["fine", "broken"]])
def test_a_command_ends_as_it_would_without_a_server_that_hangs(server: Any, project: Any, nodes: list[str]) -> None:
    server.hold.clear()
    folder = project(webhook(server, "on_start", "on_success", "on_failure"), *nodes).project.root
    done = subprocess.run(
        [sys.executable, "-m", "odibi", "run", "odibi.json"], cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == len(nodes) - 1
    assert "webhook: alerts are not sent yet after 5 s, and are given up" in done.stderr
    assert "pl4nted-token" not in done.stdout + done.stderr
    assert not server.hold.is_set()


def test_a_command_tells_before_it_ends(server: Any, project: Any) -> None:
    folder = project(webhook(server, "on_start", "on_success"), "fine").project.root
    done = subprocess.run(
        [sys.executable, "-m", "odibi", "run", "odibi.json"], cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert [each.json["event"] for each in server.taken] == ["on_start", "on_success"]
    assert server.taken[1].json["command"] == "odibi run odibi.json --pipeline orders"


def test_what_does_not_get_through_is_tried_again(server: Any, project: Any) -> None:
    server.answers = [(500, {}), (429, {"Retry-After": "0"})]
    with project(webhook(server), "fine", "broken") as loaded:
        run(loaded)
    assert len(told(server, 3)) == 3
    assert len({each.headers["idempotency-key"] for each in server.taken}) == 1


def test_what_never_gets_through_is_logged(server: Any, project: Any, caplog: pytest.LogCaptureFixture) -> None:
    server.answers = [(500, {}), (500, {"Retry-After": "60"})]
    with project(webhook(server), "fine", "broken") as loaded:
        assert not run(loaded).ok
    words = wait_for(lambda: [each for each in caplog.messages if "could not tell" in each])
    assert words[0].startswith("webhook could not tell that orders of shop failed after ")
    assert words[0].endswith("it answered 500 Internal Server Error")


def test_a_webhook_is_signed_as_events_of_odibi_are(server: Any, project: Any) -> None:
    with project(webhook(server, secret="k3y-of-both", headers={"X-Team": "data"}), "fine", "broken") as loaded:
        run(loaded)
    told(server, 1)
    (taken,) = server.taken
    moment, signed = taken.headers["x-odibi-signature"].split(",")
    wanted = hmac.new(b"k3y-of-both", moment[2:].encode() + b"." + taken.body, sha256).hexdigest()
    assert signed == f"v1={wanted}"
    assert taken.headers["x-team"] == "data"


def test_the_next_one_says_how_many_were_held_back(server: Any, project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = project(webhook(server, throttle="10m", metadata={"team": "data"}), "fine", "broken")
    moments = iter([1000.0, 1060.0, 1120.0, 1601.0])
    monkeypatch.setattr(throttle, "monotonic", lambda: next(moments))
    for _ in range(4):
        assert not run(loaded).ok
        for thread in threading.enumerate():
            if thread.name.startswith("odibi-listener"):
                thread.join(20)
    assert [said["held_back"] for said in told(server, 2)] == [0, 2]
    assert told(server, 2)[0]["metadata"] == {"team": "data"}


def test_kinds_that_were_sent_long_ago_are_forgotten() -> None:
    for at in range(throttle.MOST + 10):
        assert throttle.admit(("kind", at), 600) == 0
    assert len(throttle._sent) == throttle.MOST
    assert throttle.admit(("kind", 0), 600) == 0
    assert throttle.admit(("kind", throttle.MOST + 9), 600) is None


def test_only_so_many_wait(caplog: pytest.LogCaptureFixture) -> None:
    go = threading.Event()
    done: list[int] = []

    def wait() -> None:
        go.wait(20)

    box = outbox.Outbox("slack")
    box.put(wait)
    for at in range(outbox.MOST + 7):
        box.put(partial(done.append, at))
    go.set()
    assert box.wait(20)
    assert outbox.MOST - 1 <= len(done) <= outbox.MOST
    assert done == sorted(done)
    assert "alerts were dropped, as 100 were waiting" in caplog.text


def test_mistakes_in_alerts_are_told_with_their_places(project: Any, server: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        project(webhook(server, template="{nope}"), "fine")
    assert re.search(r"odibi\.json:1:\d+: template: there is no field 'nope'; there are attempt,", str(caught.value))
    assert "pl4nted-token" not in str(caught.value)
