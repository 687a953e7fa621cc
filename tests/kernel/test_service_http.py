"""The service over HTTP: who is answered, with what, and what nobody can do to it."""

from __future__ import annotations

import http.client
import itertools
import json
import logging
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from odibi import model
from odibi.api import LoadedProject
from odibi.contracts.secret import Secret
from odibi.errors import OdibiError, Transient
from odibi.service import counts as counting
from odibi.service import http as serving
from odibi.service.counts import OTHERS, Counts
from odibi.service.exposition import escaped
from odibi.service.http import ServiceServer
from odibi.service.service import Service
from odibi.testing.clock import Clock
from odibi.testing.pipelines import host_with
from odibi.testing.reference.checkpoint import MemoryCheckpoints
from odibi.testing.reference.trigger import FolderSource, IntervalSchedule

LONG = 30.0
"""Seconds after which a test that waits for something gives up."""

HOUR = 3600.0
PAST = "2000-01-01T00:00+00:00"
LEVER = {"X-Odibi": "1"}
TOKEN = "s3cr3t-T0ken_of-the.tests"
_names = itertools.count()


def until(condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < deadline, f"it did not come about that {what}"
        time.sleep(0.005)


def failing() -> None:
    raise ValueError("the password is hunter2hunter2")


def project(
    *,
    folder: Path | None = None,
    store: str = "",
    name: str = "shop",
    etl: Any = None,
    checkpoints: type = MemoryCheckpoints,
) -> LoadedProject:
    """Two pipelines on a schedule of an hour each; the one called ``bad`` fails. One on files, if there is a folder."""
    pipelines = [
        model.Pipeline("etl", (model.Node("a", function=etl or (lambda: 1)),)),
        model.Pipeline("bad", (model.Node("b", function=failing),)),
    ]
    triggers = {
        "hourly": model.Trigger("interval", ("etl",), options={"every": HOUR}),
        "late": model.Trigger("interval", ("bad",), max_attempts=2, options={"every": HOUR, "until": PAST}),
    }
    if folder is not None:
        pipelines.append(model.Pipeline("load", (model.Node("c", function=lambda: 1),)))
        triggers["files"] = model.Trigger("folder", ("load",), options={"folder": str(folder)})
    return LoadedProject(
        model.Project(
            name,
            engine=None,
            pipelines=tuple(pipelines),
            checkpoints=model.Checkpoints("memory", options={"name": store or f"http {next(_names)}"}),
            triggers=triggers,
        ),
        host=host_with(
            {
                "checkpoint.memory": checkpoints,
                "trigger.interval": IntervalSchedule,
                "trigger.folder": FolderSource,
            }
        ),
    )


@contextmanager
def stopped(service: Service) -> Iterator[Service]:
    try:
        yield service
    finally:
        service.stop(drain=0)


@contextmanager
def listening(service: Service, *args: Any, **choices: Any) -> Iterator[Client]:
    server = ServiceServer(service, *args, **choices)
    server.start()
    try:
        yield Client(server)
    finally:
        server.close()


@attrs.frozen
class Said:
    """An answer."""

    status: int
    headers: http.client.HTTPMessage
    text: str

    @property
    def json(self) -> Any:
        assert self.headers["Content-Type"] == "application/json"
        return json.loads(self.text)

    @property
    def error(self) -> str:
        """What went wrong; checks that it says what to do."""
        assert set(self.json) == {"error", "remedy"}
        assert self.json["remedy"]
        return str(self.json["error"])


class Client:
    def __init__(self, server: ServiceServer) -> None:
        self.server = server
        found = urlsplit(server.url)
        assert found.hostname
        assert found.port
        self.host, self.port = found.hostname, found.port

    def ask(self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes | None = None) -> Said:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=LONG)
        try:
            connection.request(method, path, headers=headers or {}, body=body)
            answer = connection.getresponse()
            return Said(answer.status, answer.headers, answer.read().decode())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Said:
        return self.ask("GET", path, headers)

    def pull(self, stream: str, action: str, headers: dict[str, str] | None = None) -> Said:
        return self.ask("POST", f"/streams/{quote(stream, safe='')}/{action}", LEVER if headers is None else headers)

    def connect(self) -> socket.socket:
        return socket.create_connection((self.host, self.port), timeout=LONG)

    def raw(self, data: bytes) -> bytes:
        """All that comes back for some bytes."""
        with self.connect() as connection:
            connection.sendall(data)
            return rest(connection)


def rest(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


def status_of(answer: bytes) -> int:
    found = re.match(rb"HTTP/1\.[01] ([0-9]{3}) ", answer)
    assert found, answer
    head, _, body = answer.partition(b"\r\n\r\n")
    if int(found[1]) >= 400:
        assert set(json.loads(body)) == {"error", "remedy"}, body
        assert b"Content-Length: %d\r\n" % len(body) in head + b"\r\n"
    return int(found[1])


@pytest.fixture(autouse=True)
def _closing_is_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "LOOK", 0.01)


@pytest.fixture(name="clock")
def _clock() -> Clock:
    return Clock()


@pytest.fixture(name="service")
def _service(clock: Clock, tmp_path: Path) -> Iterator[Service]:
    """One that leads, and has nothing to do."""
    with stopped(Service([project(folder=tmp_path)], clock=clock)) as service:
        service.start()
        until(lambda: service.leading and len(service.status()) == 3, "it leads")
        yield service


@pytest.fixture(name="client")
def _client(service: Service) -> Iterator[Client]:
    with listening(service) as client:
        yield client


# --- Prometheus' text format, strictly ------------------------------------------------------------------------------

_LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*"'
_SAMPLE = re.compile(
    rf"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{{({_LABEL}(?:,{_LABEL})*)\}})? (-?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?|\+Inf|NaN)"
)
_ESCAPES = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}

Series = tuple[str, frozenset[tuple[str, str]]]


def unescaped(text: str) -> str:
    return re.sub(r'\\[\\"n]', lambda found: _ESCAPES[found[0]], text)


def parsed(text: str) -> dict[Series, float]:
    """The samples; fails where anything is not as the format has it: order, types, doubled series, histograms."""
    assert text.endswith("\n")
    samples: dict[Series, float] = {}
    kinds: dict[str, str] = {}
    helped, family = "", ""
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            helped = line.split(" ", 3)[2]
            assert line.split(" ", 3)[3]
            assert helped not in kinds, "a family is told once, in one piece"
            continue
        if line.startswith("# TYPE "):
            _, _, family, kind = line.split(" ")
            assert family == helped
            assert kind in ("counter", "gauge", "histogram")
            assert (kind == "counter") == family.endswith("_total")
            kinds[family] = kind
            continue
        found = _SAMPLE.fullmatch(line)
        assert found, line
        name = re.sub("_(bucket|sum|count)$", "", found[1]) if kinds[family] == "histogram" else found[1]
        assert name == family
        labels = [each.split("=", 1) for each in re.findall(_LABEL, found[2] or "")]
        series = (found[1], frozenset((label, unescaped(value[1:-1])) for label, value in labels))
        assert len(series[1]) == len(labels), "a label is given once"
        assert series not in samples, "a series is told once"
        samples[series] = float(found[3])
    _check_histograms(samples, [family for family, kind in kinds.items() if kind == "histogram"])
    return samples


def _check_histograms(samples: dict[Series, float], families: list[str]) -> None:
    for family in families:
        groups: dict[frozenset[tuple[str, str]], list[tuple[float, float]]] = {}
        for (name, labels), value in samples.items():
            if name == f"{family}_bucket":
                bound = float(dict(labels)["le"])
                groups.setdefault(frozenset(each for each in labels if each[0] != "le"), []).append((bound, value))
        for labels, buckets in groups.items():
            assert buckets == sorted(buckets), "bounds rise, and so do counts"
            assert [count for _, count in buckets] == sorted(count for _, count in buckets)
            assert buckets[-1] == (float("inf"), samples[f"{family}_count", labels])
            assert (f"{family}_sum", labels) in samples


def series(name: str, **labels: str) -> Series:
    return name, frozenset(labels.items())


def metrics(client: Client) -> dict[Series, float]:
    answer = client.get("/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return parsed(answer.text)


@pytest.mark.parametrize(
    "text",
    [
        "a 1",
        "# HELP a b\n# TYPE a gauge\na 1",
        '# HELP a b\n# TYPE a gauge\na{x="1"} 1\na{x="1"} 2\n',
        '# HELP a b\n# TYPE a gauge\na{x="\\t"} 1\n',
        "# HELP a b\n# TYPE a gauge\na one\n",
        '# HELP a b\n# TYPE a histogram\na_bucket{le="1"} 2\na_bucket{le="+Inf"} 1\na_sum 1\na_count 1\n',
    ],
)
def test_the_parser_of_these_tests_is_strict(text: str) -> None:
    with pytest.raises((AssertionError, KeyError)):
        parsed(text)


def test_what_runs_is_counted(client: Client, service: Service, clock: Clock) -> None:
    before = metrics(client)
    assert before[series("odibi_service_leading")] == 1
    assert before[series("odibi_service_runs_running")] == 0
    assert before[series("odibi_service_streams", state="waiting")] == 3
    assert before[series("odibi_service_streams", state="broken")] == 0
    assert before[series("odibi_service_dispatch_delay_seconds_count")] == 0
    (hourly,) = [status for status in service.status() if status.name == "etl/hourly"]
    assert before[series("odibi_stream_next_seconds", project="shop", stream="etl/hourly")] == hourly.next
    assert series("odibi_stream_next_seconds", project="shop", stream="bad/late") not in before, "it comes up no more"

    assert hourly.next is not None
    clock.advance(hourly.next + 2 - clock())
    until(
        lambda: metrics(client).get(
            series("odibi_service_runs_total", project="shop", pipeline="etl", state="succeeded")
        ),
        "it ran",
    )
    until(service.idle, "it is done")
    after = metrics(client)
    assert after[series("odibi_service_batches_total", project="shop", stream="etl/hourly", verdict="consumed")] == 1
    assert after[series("odibi_service_run_duration_seconds_count", project="shop", pipeline="etl")] == 1
    assert after[series("odibi_service_run_duration_seconds_sum", project="shop", pipeline="etl")] > 0
    assert after[series("odibi_service_dispatch_delay_seconds_count")] == 1
    assert after[series("odibi_service_dispatch_delay_seconds_sum")] == pytest.approx(2)
    assert after[series("odibi_stream_next_seconds", project="shop", stream="etl/hourly")] == hourly.next + HOUR


def test_a_run_that_fails_is_counted_and_given_up_once(client: Client, service: Service, clock: Clock) -> None:
    assert client.pull("bad/late", "fire").status == 202
    failed = series("odibi_service_runs_total", project="shop", pipeline="bad", state="failed")
    until(lambda: metrics(client)[series("odibi_service_streams", state="retrying")], "it is to be tried again")
    found = metrics(client)
    assert found[failed] == 1
    assert series("odibi_service_batches_given_up_total", project="shop", stream="bad/late") not in found
    clock.advance(60)
    until(
        lambda: metrics(client).get(series("odibi_service_batches_given_up_total", project="shop", stream="bad/late")),
        "given up",
    )
    found = metrics(client)
    assert found[failed] == 2
    assert found[series("odibi_service_batches_total", project="shop", stream="bad/late", verdict="failed")] == 2
    assert found[series("odibi_service_dispatch_delay_seconds_count")] == 1, "further attempts are late on purpose"


def test_a_moment_that_is_put_off_is_late_once(clock: Clock) -> None:
    tries: list[int] = []

    def away() -> None:
        tries.append(1)
        if len(tries) < 3:
            raise Transient("the server is away")

    with stopped(Service([project(etl=away)], clock=clock)) as service, listening(service) as client:
        service.start()
        until(lambda: service.status(), "it leads")
        client.pull("etl/hourly", "fire")
        consumed = series("odibi_service_batches_total", project="shop", stream="etl/hourly", verdict="consumed")
        for number in (1, 2):
            until(lambda number=number: len(tries) == number, "it was tried")  # type: ignore[misc]
            until(lambda: {each.state for each in service.status()} >= {"retrying"}, "it is to be tried again")
            clock.advance(60)
        until(lambda: metrics(client).get(consumed), "it was consumed")
        found = metrics(client)
    assert found[series("odibi_service_dispatch_delay_seconds_count")] == 1
    assert found[series("odibi_service_batches_total", project="shop", stream="etl/hourly", verdict="put_off")] == 2
    assert found[series("odibi_service_runs_total", project="shop", pipeline="etl", state="failed")] == 2
    assert found[series("odibi_service_runs_total", project="shop", pipeline="etl", state="succeeded")] == 1


def test_a_run_that_goes_on_is_seen() -> None:
    go, begun = threading.Event(), threading.Event()

    def slow() -> None:
        begun.set()
        assert go.wait(LONG)

    with stopped(Service([project(etl=slow)])) as service, listening(service) as client:
        service.start()
        until(lambda: service.status(), "it leads")
        try:
            client.pull("etl/hourly", "fire")
            assert begun.wait(LONG)
            assert metrics(client)[series("odibi_service_runs_running")] == 1
            # The node can be faster than whoever notes that its run goes on.
            running = series("odibi_service_streams", state="running")
            until(lambda: metrics(client)[running] == 1, "the stream is told to run")
            states = {each["name"]: each["state"] for each in client.get("/streams").json["streams"]}
            assert states == {"bad/late": "waiting", "etl/hourly": "running"}
        finally:
            go.set()
        until(service.idle, "it is done")
        assert metrics(client)[series("odibi_service_runs_running")] == 0


def test_streams_of_one_name_in_two_projects_are_told_apart(clock: Clock) -> None:
    served = [project(name="one"), project(name="two")]
    with stopped(Service(served, clock=clock)) as service, listening(service) as client:
        service.start()
        until(lambda: len(service.status()) == 4, "it leads")
        found = [(each["project"], each["name"]) for each in client.get("/streams").json["streams"]]
        assert found == [("one", "bad/late"), ("two", "bad/late"), ("one", "etl/hourly"), ("two", "etl/hourly")]

        for action in ("pause", "resume", "fire"):
            answer = client.pull("etl/hourly", action)
            assert (answer.status, answer.error) == (409, "2 projects have a stream 'etl/hourly'")
            assert answer.json["remedy"] == "Name one of: one:etl/hourly, two:etl/hourly."
        for other in ("three:etl/hourly", "one:two:etl/hourly", ":etl/hourly", "one:"):
            assert client.pull(other, "pause").status == 404
        answer = client.pull("two:etl/hourly", "pause")
        assert (answer.status, answer.json["project"], answer.json["state"]) == (200, "two", "paused")
        states = {each.project: each.state for each in service.status() if each.name == "etl/hourly"}
        assert states == {"one": "waiting", "two": "paused"}
        assert client.ask("POST", "/streams/two:etl/hourly/resume", LEVER).json["state"] == "waiting"
        answer = client.pull("two:etl/hourly", "fire")
        assert (answer.status, answer.json["project"], answer.json["name"]) == (202, "two", "etl/hourly")

        ran = series("odibi_service_runs_total", project="two", pipeline="etl", state="succeeded")
        until(lambda: metrics(client).get(ran) == 1, "it ran")
        after = metrics(client)
        for name in ("one", "two"):
            assert series("odibi_stream_next_seconds", project=name, stream="etl/hourly") in after
        assert [labels for name, labels in after if name == "odibi_service_runs_total"] == [ran[1]]
        assert after[series("odibi_service_batches_total", project="two", stream="etl/hourly", verdict="consumed")] == 1


def test_a_stream_that_is_the_only_one_of_its_name_needs_no_project(client: Client) -> None:
    for name in ("etl/hourly", "shop:etl/hourly"):
        assert client.pull(name, "pause").json["state"] == "paused"
        assert client.pull(name, "resume").json["state"] == "waiting"
    assert client.pull("shop:load/files", "fire").error == "load/files is no schedule"


@given(st.text())
def test_labels_are_escaped_so_that_they_come_back(text: str) -> None:
    assert "\n" not in escaped(text)
    (found,) = parsed(f'# HELP a b\n# TYPE a gauge\na{{x="{escaped(text)}"}} 1\n')
    assert found == series("a", x=text)


@given(st.lists(st.floats(0, 1e6)))
def test_histograms_count_what_is_up_to_each_bound(delays: list[float]) -> None:
    counts = Counts()
    for delay in delays:
        counts.began(delay)
    found = counts.read().delays
    assert found.count == len(delays)
    assert found.total == pytest.approx(sum(delays))
    assert found.buckets == tuple((bound, sum(each <= bound for each in delays)) for bound in counting.DELAYS)


def test_a_clock_that_was_put_back_makes_no_negative_delay() -> None:
    counts = Counts()
    counts.began(-5.0)
    assert counts.read().delays.total == 0


def test_counts_do_not_grow_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "MOST", 2)
    counts = Counts()
    for number in range(5):
        counts.settled("a", f"p{number}", f"p{number}/t", "consumed", 1.0)
        counts.gave_up("a", f"p{number}/t")
    counts.settled("a", "p0", "p0/t", "put_off", None)
    found = counts.read()
    others = (OTHERS, OTHERS)
    assert found.runs == {("a", "p0", "succeeded"): 1, ("a", "p1", "succeeded"): 1, (*others, "succeeded"): 3}
    assert {each: taken.count for each, taken in found.durations.items()} == {("a", "p0"): 1, ("a", "p1"): 1, others: 3}
    assert found.given_up == {("a", "p0/t"): 1, ("a", "p1/t"): 1, others: 3}
    assert found.attempts[("a", "p0/t", "put_off")] == 1


def test_counts_of_many_threads_are_whole() -> None:
    counts = Counts()

    def count() -> None:
        for _ in range(500):
            counts.settled("a", "p", "p/t", "consumed", 0.0)

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts.read().runs == {("a", "p", "succeeded"): 4000}


# --- alive, ready ---------------------------------------------------------------------------------------------------


def test_health_and_readiness_follow_the_service() -> None:
    store = f"shared {next(_names)}"
    with ExitStack() as stack:
        first = stack.enter_context(stopped(Service([project(store=store)])))
        ours = stack.enter_context(listening(first))
        assert (ours.get("/health").status, ours.get("/ready").status) == (503, 503), "not started"
        assert ours.get("/health").error
        first.start()
        until(lambda: ours.get("/ready").status == 200, "it leads")
        assert ours.get("/ready").json == {"status": "leading"}
        assert ours.get("/health").json == {"status": "alive"}

        second = stack.enter_context(stopped(Service([project(store=store)])))
        theirs = stack.enter_context(listening(second))
        second.start()
        assert theirs.get("/health").status == 200
        assert theirs.get("/ready").status == 503
        assert "stands by" in theirs.get("/ready").error
        assert "stands by" in theirs.pull("etl/hourly", "fire").error
        assert metrics(theirs)[series("odibi_service_leading")] == 0

        first.stop(drain=0)
        assert ours.get("/health").status == 503
        assert ours.get("/ready").status == 503
        assert ours.pull("etl/hourly", "fire").status == 503
        until(lambda: theirs.get("/ready").status == 200, "the second one takes over")


def test_a_service_that_drains_is_alive_and_not_ready() -> None:
    go, begun = threading.Event(), threading.Event()

    def slow() -> None:
        begun.set()
        assert go.wait(LONG)

    with stopped(Service([project(etl=slow)])) as service, listening(service) as client:
        service.start()
        until(lambda: service.status(), "it leads")
        service.fire("etl/hourly")
        assert begun.wait(LONG)
        stopping = threading.Thread(target=service.stop)
        stopping.start()
        try:
            until(lambda: client.get("/ready").status == 503, "it stops")
            assert client.get("/health").status == 200
        finally:
            go.set()
            stopping.join()
        assert client.get("/health").status == 503


# --- streams --------------------------------------------------------------------------------------------------------


def test_streams_are_told_as_the_service_has_them(client: Client, service: Service) -> None:
    answer = client.get("/streams?pretty=1")
    assert answer.json == {"streams": [attrs.asdict(status) for status in service.status()]}
    assert {each["name"] for each in answer.json["streams"]} == {"bad/late", "etl/hourly", "load/files"}
    assert answer.headers["Cache-Control"] == "no-store"
    head = client.ask("HEAD", "/streams")
    assert (head.status, head.text, head.headers["Content-Length"]) == (200, "", str(len(answer.text)))


def test_streams_are_paused_and_go_on(client: Client, service: Service) -> None:
    answer = client.pull("etl/hourly", "pause")
    assert (answer.status, answer.json["name"], answer.json["state"]) == (200, "etl/hourly", "paused")
    assert {status.name: status.state for status in service.status()}["etl/hourly"] == "paused"
    answer = client.ask("POST", "/streams/etl/hourly/resume", LEVER)  # a slash may stand for itself
    assert (answer.status, answer.json["state"]) == (200, "waiting")


def test_a_schedule_is_fired(client: Client, service: Service) -> None:
    answer = client.ask("POST", "/streams/etl%2Fhourly/fire", LEVER, body=b'{"ignored": true}')
    assert (answer.status, answer.json["name"]) == (202, "etl/hourly")
    until(lambda: service.counts.read().runs.get(("shop", "etl", "succeeded")), "it ran")


def test_a_name_is_decoded_once_and_must_be_one(client: Client) -> None:
    assert client.pull("etl%2Fhourly", "fire").status == 404
    assert client.pull("no/such", "pause").error == "there is no stream 'no/such'"
    assert client.ask("POST", "/streams/%ff/pause", LEVER).status == 400
    assert client.pull("load/files", "fire").status == 409, "a source is no schedule"
    assert client.pull("load/files", "pause").status == 200


@pytest.mark.parametrize("headers", [{}, {"X-Odibi": "0"}, {"Content-Type": "application/json"}])
def test_no_page_in_a_browser_pulls_a_lever(client: Client, service: Service, headers: dict[str, str]) -> None:
    answer = client.pull("etl/hourly", "pause", headers)
    assert answer.status == 403
    assert "X-Odibi" in answer.json["remedy"]
    assert "paused" not in {status.state for status in service.status()}


def test_no_answer_lets_other_sites_read_it(client: Client) -> None:
    answer = client.get("/streams", Origin="http://evil.example")
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]
    asked = client.ask("OPTIONS", "/streams/etl%2Fhourly/pause", {"Access-Control-Request-Method": "POST"})
    assert asked.status == 405


@pytest.mark.parametrize(
    "path", ["/", "/nothing", "/health/", "/x/../health", "/streams/", "/streams/etl/pause/now", "*"]
)
def test_what_is_not_there_is_not_found(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status == 404
    assert answer.error == "there is no such page"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/health", "GET, HEAD"),
        ("DELETE", "/metrics", "GET, HEAD"),
        ("BREW", "/streams", "GET, HEAD"),
        ("GET", "/streams/etl%2Fhourly/pause", "POST"),
        ("PUT", "/streams/etl%2Fhourly/fire", "POST"),
    ],
)
def test_other_methods_are_refused(client: Client, method: str, path: str, allowed: str) -> None:
    answer = client.ask(method, path, LEVER)
    assert answer.status == 405
    assert answer.headers["Allow"] == allowed
    assert answer.error


def test_no_secret_is_told(clock: Clock) -> None:
    loaded = project()
    loaded.redactor.register("hunter2hunter2")
    with stopped(Service([loaded], clock=clock)) as service, listening(service) as client:
        service.start()
        until(lambda: service.status(), "it leads")
        client.pull("bad/late", "fire")
        until(lambda: {status.state for status in service.status()} >= {"retrying"}, "it failed")
        text = client.get("/streams").text
        assert "hunter2" not in text
        assert "the password is ***" in text


class _Locked(MemoryCheckpoints):
    """A store that lets nothing be begun while ``shut``, and says too much."""

    shut = False

    def move(self, offsets: Any, *, lock: Any = None) -> None:
        if type(self).shut:
            raise Transient("no entry with hunter2hunter2")
        super().move(offsets, lock=lock)


def test_no_secret_of_a_store_is_told(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Locked, "shut", False)
    loaded = project(checkpoints=_Locked)
    loaded.redactor.register("hunter2hunter2")
    with stopped(Service([loaded], clock=clock)) as service, listening(service) as client:
        service.start()
        until(lambda: service.status(), "it leads")
        monkeypatch.setattr(_Locked, "shut", True)
        client.pull("etl/hourly", "fire")
        until(lambda: {status.state for status in service.status()} >= {"retrying"}, "it was put off")
        text = client.get("/streams").text
        assert "no entry with ***" in text
        assert "hunter2" not in text
        assert "hunter2" not in client.pull("etl/hourly", "pause").text + client.get("/metrics").text


class _Broken(Service):
    """Its store is out of order."""

    error: Exception = RuntimeError("key=hunter2hunter2")

    def status(self) -> Any:
        raise self.error

    def pause(self, stream: str, *, paused: bool = True) -> None:
        raise self.error


def test_what_goes_wrong_inside_is_logged_and_not_told(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    loaded = project()
    loaded.redactor.register("hunter2hunter2")
    with stopped(_Broken([loaded])) as service, listening(service) as client:
        answer = client.get("/streams")
    assert (answer.status, answer.error) == (500, "this could not be done")
    assert "RuntimeError: key=***" in caplog.text
    assert "hunter2" not in caplog.text + answer.text
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("error", "status"), [(Transient("hunter2hunter2 is away"), 503), (OdibiError("it is full"), 500)]
)
def test_what_a_store_says_is_told(error: OdibiError, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Broken, "error", error)
    loaded = project()
    loaded.redactor.register("hunter2hunter2")
    with stopped(_Broken([loaded])) as service, listening(service) as client:
        answer = client.pull("etl/hourly", "pause")
    assert (answer.status, answer.json["error"]) == (status, error.what.replace("hunter2hunter2", "***"))


# --- who is answered ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "192.0.2.1:80", "[2001:db8::1]:80", "[::ffff:127.0.0.1]:0"])
def test_what_others_reach_needs_a_token(service: Service, address: str) -> None:
    with pytest.raises(OdibiError, match="Give a token, or listen on 127.0.0.1"):
        ServiceServer(service, address)


def test_a_name_that_means_other_machines_too_needs_a_token(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, 0)) for host in ("127.0.0.1", "192.0.2.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers)
    with pytest.raises(OdibiError, match="Give a token"):
        ServiceServer(service, "both.example:0")


@pytest.mark.parametrize(
    "address", ["", "8080", ":8080", "localhost", "127.0.0.1:", "127.0.0.1:99999", "::1:80", "[]:1", "a b:1"]
)
def test_what_is_no_address_is_refused(service: Service, address: str) -> None:
    with pytest.raises(OdibiError, match=r"no address to listen on.*Give a host and a port"):
        ServiceServer(service, address)


def test_a_name_that_nobody_knows_is_refused(service: Service) -> None:
    with pytest.raises(OdibiError, match="the host is not known"):
        ServiceServer(service, f"{'x' * 70}.invalid:0")


def test_an_address_that_is_taken_is_said_so(service: Service, client: Client) -> None:
    with pytest.raises(OdibiError, match="cannot listen here.*Give another address or port"):
        ServiceServer(service, f"127.0.0.1:{client.port}").start()


@pytest.mark.parametrize("token", ["", " ", "a b", "line\n", "schlüssel"])
def test_a_token_that_cannot_be_sent_is_refused(service: Service, token: str) -> None:
    with pytest.raises(OdibiError, match="the token is empty, or has spaces") as caught:
        ServiceServer(service, token=token)
    assert not token.strip() or token not in str(caught.value)


@pytest.mark.parametrize("address", ["127.0.0.1:0", "localhost:0", "[::1]:0"])
def test_loopback_is_served_under_its_names(service: Service, address: str) -> None:
    if address.startswith("[") and not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    with listening(service, address) as client:
        for host in ("127.0.0.1:1", "localhost", "LOCALHOST:8080", "[::1]:99", "127.8.9.1"):
            assert client.get("/ready", Host=host).status == 200
        for host in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "192.0.2.1", "", "0.0.0.0",
                     "[::]", "127.0.0.1:x", "user@127.0.0.1", "localhost:1:2", "[127.0.0.1]x"):  # fmt: skip
            answer = client.get("/health", Host=host)
            assert answer.status == 421, host
            assert answer.error


def test_a_request_names_one_host(client: Client) -> None:
    assert status_of(client.raw(b"GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n")) == 200
    assert status_of(client.raw(b"GET /ready HTTP/1.1\r\n\r\n")) == 421
    two = b"GET /ready HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n"
    assert status_of(client.raw(two)) == 421


@pytest.mark.parametrize("token", [TOKEN, Secret(TOKEN)])
def test_a_token_is_asked_for_but_for_health(service: Service, token: Any) -> None:
    with listening(service, token=token) as client:
        assert client.get("/health").status == 200
        for path in ("/ready", "/streams", "/metrics", "/nothing", "/health/"):
            answer = client.get(path)
            assert answer.status == 401
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
            assert TOKEN not in answer.text
        for wrong in (TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "", "\xff\xfe", f"{TOKEN} {TOKEN}"):
            assert client.get("/ready", Authorization=f"Bearer {wrong}").status == 401
        for wrong in (TOKEN, f"Basic {TOKEN}", f"Bearer{TOKEN}", "Bearer"):
            assert client.get("/ready", Authorization=wrong).status == 401
        assert client.get("/ready", Authorization=f"bearer {TOKEN}").status == 200
        assert client.pull("etl/hourly", "pause").status == 401
        assert client.pull("etl/hourly", "pause", {"Authorization": f"Bearer {TOKEN}"}).status == 403
        assert client.pull("etl/hourly", "pause", {"Authorization": f"Bearer {TOKEN}", **LEVER}).status == 200
        twice = f"Authorization: Bearer {TOKEN}\r\nAuthorization: Bearer wrong\r\n"
        assert status_of(client.raw(f"GET /ready HTTP/1.1\r\nHost: localhost\r\n{twice}\r\n".encode())) == 401


def test_what_others_reach_tells_nothing_without_the_token(service: Service) -> None:
    with listening(service, "0.0.0.0:0", token=TOKEN) as client:
        assert client.get("/health").status == 401
        answer = client.get("/health", Host="services.example", Authorization=f"Bearer {TOKEN}")
        assert answer.status == 200, "what others reach has names of its own"


# --- what clients do ------------------------------------------------------------------------------------------------

HEAD = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /" + b"x" * 10_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414),
        (b"x" * 200_000, 414),
        (HEAD + b"X: y\r\n" * 200 + b"\r\n", 431),
        (HEAD + b"X: " + b"y" * 100_000 + b"\r\n\r\n", 431),
        (HEAD + b"".join(b"X%d: %s\r\n" % (at, b"y" * 2000) for at in range(60)) + b"\r\n", 431),
        (HEAD + b"Content-Length: 1000000\r\n\r\n" + b"z" * 300_000, 413),
        (HEAD + b"Content-Length: 999999999999999999\r\n\r\n", 413),
        (HEAD + b"Content-Length: -1\r\n\r\n", 400),
        (HEAD + b"Content-Length: 1_0\r\n\r\n0123456789", 400),
        (HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nzz", 400),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
        (b"GET\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET /health HTTP/9.9\r\nHost: localhost\r\n\r\n", 505),
        (b"GET /health\r\n\r\n", 421),
        (b"GET /health HTTP/1.x\r\nHost: localhost\r\n\r\n", 400),
        (HEAD + b"Content-Length: 4\r\n\r\nbody", 200),
        (HEAD + b"X: " + b"y" * 30_000 + b"\r\n\r\n", 200),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else "",
)
def test_requests_that_are_none_are_refused(
    client: Client, data: bytes, status: int, capfd: pytest.CaptureFixture[str]
) -> None:
    assert status_of(client.raw(data)) == status
    assert client.get("/health").status == 200
    assert capfd.readouterr().err == ""


def test_a_refusal_does_not_repeat_what_was_sent(client: Client) -> None:
    assert b"hunter2" not in client.raw(b"hunter2 hunter2 hunter2 hunter2\r\n\r\n")


def test_each_connection_has_one_request(client: Client) -> None:
    answer = client.raw((HEAD + b"\r\n") * 2)
    assert answer.count(b"HTTP/1.1 200") == 1
    assert b"Connection: close\r\n" in answer


def test_a_lever_is_not_pulled_by_half_a_request(client: Client, service: Service) -> None:
    with client.connect() as connection:
        request = (
            b"POST /streams/etl%2Fhourly/pause HTTP/1.1\r\nHost: localhost\r\nX-Odibi: 1\r\nContent-Length: 10\r\n\r\n"
        )
        connection.sendall(request + b"1234")
        connection.shutdown(socket.SHUT_WR)
        assert rest(connection) == b""
    assert "paused" not in {status.state for status in service.status()}


@pytest.mark.parametrize("begin", [b"", b"GET /hea", HEAD, HEAD + b"Content-Length: 1000\r\n\r\n"])
def test_who_does_not_go_on_is_hung_up_on(client: Client, monkeypatch: pytest.MonkeyPatch, begin: bytes) -> None:
    monkeypatch.setattr(serving, "PATIENCE", 0.2)
    with client.connect() as connection:
        connection.sendall(begin)
        assert rest(connection) == b""


def test_who_sends_a_byte_now_and_then_is_hung_up_on(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "PATIENCE", 0.5)
    with client.connect() as connection:
        connection.settimeout(0.05)
        deadline, open_ = time.monotonic() + LONG, True
        while open_:
            assert time.monotonic() < deadline, "it listens for ever"
            try:
                connection.sendall(b"x")
                open_ = connection.recv(1) != b""
            except TimeoutError:
                continue
            except OSError:
                open_ = False


def test_no_more_than_so_many_are_served_at_once(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(serving, "CONNECTIONS", 3)

    def turned_away() -> bool:
        try:
            return client.get("/health").status == 503
        except OSError:  # it was hung up on before it had sent everything
            return True

    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(client.connect())
        until(turned_away, "the server is full")
        assert turned_away()
    until(lambda: not turned_away(), "there is room again")
    warnings = [each for each in caplog.records if "turning others away" in each.getMessage()]
    assert 1 <= len(warnings) <= 2, "told once, and not each time"


def test_clients_that_leave_leave_nothing_on_stderr(client: Client, capfd: pytest.CaptureFixture[str]) -> None:
    for _ in range(5):
        with client.connect() as connection:
            # Closed with a reset, in the middle of the request.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            connection.sendall(HEAD)
    assert client.get("/health").status == 200
    assert capfd.readouterr().err == ""


def test_a_query_is_not_logged(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "odibi.service"):
        client.get("/ready?token=hunter2")
        until(lambda: "GET /ready" in caplog.text, "it is logged")
    assert "hunter2" not in caplog.text


# --- beginning and end ----------------------------------------------------------------------------------------------


def test_closing_hangs_up_and_frees_the_port(service: Service) -> None:
    server = ServiceServer(service)
    with pytest.raises(OdibiError, match=r"Call start\(\) first"):
        _ = server.url
    server.close()
    server.start()
    client = Client(server)
    with client.connect() as connection:
        connection.sendall(b"GET ")
        assert client.get("/health").status == 200
        server.close()
        assert connection.recv(1) == b""
    server.close()
    with pytest.raises(ConnectionRefusedError):
        client.connect()
    with pytest.raises(OdibiError, match="started before"):
        server.start()
    assert not [each.name for each in threading.enumerate() if each.name == "odibi-service-http"]
    with listening(service, f"127.0.0.1:{client.port}") as again:
        assert again.get("/health").status == 200


def test_many_ask_at_once(client: Client) -> None:
    answers: list[int] = []

    def ask() -> None:
        answers.extend(client.get(path).status for path in ("/metrics", "/streams", "/health") * 5)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 120


def test_a_service_without_it_loads_no_server() -> None:
    code = "import sys, odibi.service.service; print('http.server' in sys.modules, 'http.client' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=LONG)
    assert done.stdout.split() == ["False", "False"]
