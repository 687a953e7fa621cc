"""Lineage of whole runs, to a server that checks each event, and to servers that do not behave."""

from __future__ import annotations

import contextlib
import json
import logging
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

import jsonschema
import pytest
from openlineage.client import event_v2, facet_v2

import odibi
from odibi.api import LoadedProject
from odibi.contracts.secret import Secret
from odibi.errors import ConfigError
from odibi.testing.pipelines import host_with
from odibi.testing.reference.engine import RowsEngine
from odibi.testing.reference.format import JsonLines
from odibi.testing.reference.storage import FolderMemoryStorage
from odibi_lineage import outbox
from odibi_lineage.observer import OpenLineage

PLANTED = "pl4nted-passw0rd"

FACET = {
    "type": "object",
    "required": ["_producer", "_schemaURL"],
    "properties": {"_producer": {"type": "string", "format": "uri"}, "_schemaURL": {"type": "string", "format": "uri"}},
}
FACETS = {"type": "object", "additionalProperties": FACET}
DATASET = {
    "type": "object",
    "required": ["namespace", "name"],
    "properties": {
        "namespace": {"type": "string", "minLength": 1},
        "name": {"type": "string", "minLength": 1},
        "facets": FACETS,
        "inputFacets": FACETS,
        "outputFacets": FACETS,
    },
    "additionalProperties": False,
}
JOB = {
    "type": "object",
    "required": ["namespace", "name"],
    "properties": {"namespace": {"type": "string", "minLength": 1}, "name": {"type": "string", "minLength": 1}},
}
RUN = {"type": "object", "required": ["runId"], "properties": {"runId": {"type": "string", "format": "uuid"}}}
EVENT = {
    "type": "object",
    "required": ["eventTime", "eventType", "producer", "schemaURL", "run", "job"],
    "properties": {
        "eventTime": {"type": "string", "format": "date-time"},
        "eventType": {"enum": ["START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"]},
        "producer": {"type": "string", "format": "uri"},
        "schemaURL": {"const": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"},
        "run": {**RUN, "properties": {**RUN["properties"], "facets": FACETS}},  # type: ignore[dict-item]
        "job": {**JOB, "properties": {**JOB["properties"], "facets": FACETS}},  # type: ignore[dict-item]
        "inputs": {"type": "array", "items": DATASET},
        "outputs": {"type": "array", "items": DATASET},
    },
    "additionalProperties": False,
}
"""What a run event of the specification 2-0-2 has to be, in our words."""

CHECKS = jsonschema.FormatChecker(formats=())
CHECKS.checks("uuid", raises=ValueError)(lambda text: bool(UUID(text)))
CHECKS.checks("date-time", raises=ValueError)(lambda text: datetime.fromisoformat(text).tzinfo is not None)
CHECKS.checks("uri")(lambda text: ":" in text and " " not in text)


def check_event(event: dict[str, Any]) -> None:
    """Refuse what is no event, by its shape, and by the classes of the client that name its parts."""
    jsonschema.validate(event, EVENT, format_checker=CHECKS)
    event_v2.RunEvent(
        eventTime=event["eventTime"],
        run=event_v2.Run(event["run"]["runId"]),
        job=event_v2.Job(event["job"]["namespace"], event["job"]["name"]),
        eventType=event_v2.RunState(event["eventType"]),
    )
    for dataset in (*event["inputs"], *event["outputs"]):
        for field in dataset["facets"].get("schema", {}).get("fields", ()):
            facet_v2.schema_dataset.SchemaDatasetFacetFields(**field)
    parent = event["run"]["facets"].get("parent")
    if parent is not None:
        facet_v2.parent_run.ParentRunFacet(
            run=facet_v2.parent_run.Run(parent["run"]["runId"]), job=facet_v2.parent_run.Job(**parent["job"])
        )


class Server:
    """Takes events, and refuses what is none.

    Attributes:
        taken: the events.
        headers: of the requests.
        answers: statuses still to be given.
        hold: while it is clear, nothing is answered.
    """

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.wrong: list[str] = []
        self.answers: list[int] = []
        self.hold = threading.Event()
        self.hold.set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.headers.append({name.lower(): value for name, value in self.headers.items()})
                outer.hold.wait()
                status = outer.answers.pop(0) if outer.answers else 201
                if status == 201:
                    try:
                        check_event(event)
                        outer.taken.append(event)
                    except Exception as error:
                        outer.wrong.append(f"{error}")
                with contextlib.suppress(OSError):
                    self.send_response(status)
                    self.send_header("Location", outer.url)
                    self.send_header("Content-Length", "0")
                    self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

        self._server = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.hold.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.hold.set()
    assert outbox.settle(60)
    made.close()
    assert made.wrong == []


FUNCTIONS = f"""
def broken(df):
    raise ValueError("cannot log in with {PLANTED}")
"""

COPY = {
    "name": "copy",
    "read": {"connection": "lake", "path": "raw/orders.jsonl"},
    "write": {"connection": "lake", "path": "silver/orders.jsonl"},
}
ONWARD = {
    "name": "onward",
    "depends_on": ["copy"],
    "write": {"connection": "lake", "path": "gold/orders.jsonl"},
}
BROKEN = {"name": "broken", "depends_on": ["copy"], "transform": {"steps": [{"function": "broken"}]}}

_names = iter(range(10_000))


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., LoadedProject]:
    """Makes a project of some nodes over a storage in memory, with the observer."""
    shelf = f"lake-{next(_names)}"
    lake = FolderMemoryStorage(name=shelf)
    lake.write("raw/orders.jsonl", b'{"id": 1, "amount": 2.5}\n{"id": 2, "amount": 1.5}\n')
    components: dict[str, type] = {
        "storage.memory": FolderMemoryStorage,
        "engine.rows": RowsEngine,
        "format.rows.jsonl": JsonLines,
        "observer.openlineage": OpenLineage,
    }

    def make(observer: dict[str, Any], *nodes: dict[str, Any]) -> LoadedProject:
        (tmp_path / "transforms.py").write_text(FUNCTIONS)
        text = {
            "project": "shop",
            "engine": "rows",
            "connections": {"lake": {"type": "memory", "name": shelf}},
            "observers": [{"type": "openlineage", **observer}],
            "pipelines": [{"pipeline": "orders", "nodes": list(nodes)}],
        }
        (tmp_path / "odibi.json").write_text(json.dumps(text))
        loaded = odibi.load(tmp_path / "odibi.json", host=host_with(components))
        loaded.redactor.register(PLANTED)
        return loaded

    return make


def run(loaded: LoadedProject) -> bool:
    ok = loaded.run(check=False).ok
    loaded.close()
    assert outbox.settle(60)
    return ok


def by_kind(events: list[dict[str, Any]], job: str, kind: str) -> dict[str, Any]:
    (found,) = [event for event in events if event["job"]["name"] == job and event["eventType"] == kind]
    return found


def test_a_run_and_its_nodes_are_told_in_order(server: Server, project: Any) -> None:
    assert run(project({"url": server.url}, COPY, ONWARD))
    told = [(event["job"]["name"], event["eventType"]) for event in server.taken]
    assert told == [
        ("orders", "START"),
        ("orders.copy", "START"),
        ("orders.copy", "COMPLETE"),
        ("orders.onward", "START"),
        ("orders.onward", "COMPLETE"),
        ("orders", "COMPLETE"),
    ]
    assert {event["job"]["namespace"] for event in server.taken} == {"shop"}
    whole = by_kind(server.taken, "orders", "START")["run"]["runId"]
    for node in ("orders.copy", "orders.onward"):
        start, end = (by_kind(server.taken, node, kind)["run"] for kind in ("START", "COMPLETE"))
        assert start["runId"] == end["runId"] != whole
        assert end["facets"]["parent"]["run"]["runId"] == whole
        assert end["facets"]["parent"]["job"]["name"] == "orders"
        assert end["facets"]["parent"]["root"]["run"]["runId"] == whole


def test_datasets_have_their_columns_and_where_these_come_from(server: Server, project: Any) -> None:
    assert run(project({"url": server.url}, COPY, ONWARD))
    copy = by_kind(server.taken, "orders.copy", "COMPLETE")
    (read,), (written,) = copy["inputs"], copy["outputs"]
    assert read["name"] == "raw/orders.jsonl"
    assert written["name"] == "silver/orders.jsonl"
    assert read["namespace"] == written["namespace"]
    assert read["namespace"].startswith("odibi-memory://lake-")
    for dataset in (read, written):
        fields = [(field["name"], field["type"]) for field in dataset["facets"]["schema"]["fields"]]
        assert fields == [("id", "int64"), ("amount", "double")]
    assert written["outputFacets"]["outputStatistics"]["rowCount"] == 2
    fields = written["facets"]["columnLineage"]["fields"]
    assert set(fields) == {"id", "amount"}
    (source,) = fields["id"]["inputFields"]
    assert (source["name"], source["field"]) == ("raw/orders.jsonl", "id")
    # What a node makes of another one's frame is not known, so nothing is claimed.
    onward = by_kind(server.taken, "orders.onward", "COMPLETE")
    assert onward["inputs"] == []
    assert "columnLineage" not in onward["outputs"][0]["facets"]


def test_the_pipeline_has_the_datasets_of_its_nodes(server: Server, project: Any) -> None:
    again = {"name": "again", "read": {"connection": "lake", "path": "silver/orders.jsonl"}, "depends_on": ["copy"]}
    assert run(project({"url": server.url}, COPY, ONWARD, again))
    whole = by_kind(server.taken, "orders", "COMPLETE")
    assert [each["name"] for each in whole["inputs"]] == ["raw/orders.jsonl"]
    assert [each["name"] for each in whole["outputs"]] == ["silver/orders.jsonl", "gold/orders.jsonl"]


def test_a_failure_is_told_with_its_words_and_without_secrets(
    server: Server, project: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        assert not run(project({"url": server.url, "api_key": "pl4nted-key"}, COPY, BROKEN))
    failed = by_kind(server.taken, "orders.broken", "FAIL")
    message = failed["run"]["facets"]["errorMessage"]["message"]
    assert "cannot log in with ***" in message
    assert message in by_kind(server.taken, "orders", "FAIL")["run"]["facets"]["errorMessage"]["message"]
    for text in (json.dumps(server.taken), caplog.text):
        assert PLANTED not in text
        assert "pl4nted-key" not in text
    assert {each["authorization"] for each in server.headers} == {"Bearer pl4nted-key"}


def test_no_value_of_a_sensitive_node_is_told(server: Server) -> None:
    """Nor what a node that has its data from one says of it."""

    @odibi.node(sensitive=True)
    def secret() -> str:
        return "078-05-1120"

    def quoting(secret: str) -> None:
        raise ValueError(f"cannot read {secret}")

    for sensitive in (True, False):
        pipeline = odibi.Pipeline("orders", [secret, odibi.node(sensitive=sensitive)(quoting)], engine=None)
        assert not pipeline.run(observers=[OpenLineage(url=server.url)], check=False).ok
        assert outbox.settle(60)
    assert "078-05-1120" not in json.dumps(server.taken)
    failed = [event for event in server.taken if event["eventType"] == "FAIL"]
    assert len(failed) == 4
    assert all("withheld" in event["run"]["facets"]["errorMessage"]["message"] for event in failed)


def test_a_node_that_is_skipped_has_no_run(server: Server, project: Any) -> None:
    after = {"name": "after", "depends_on": ["broken"], "write": {"connection": "lake", "path": "x.jsonl"}}
    assert not run(project({"url": server.url}, COPY, BROKEN, after))
    assert "orders.after" not in {event["job"]["name"] for event in server.taken}


def test_the_run_ends_while_the_server_hangs(server: Server, project: Any) -> None:
    server.hold.clear()
    loaded = project({"url": server.url}, COPY, ONWARD)
    assert loaded.run().ok
    assert loaded.run().ok
    assert server.taken == []
    server.hold.set()
    assert outbox.settle(60)
    assert [event["eventType"] for event in server.taken if event["job"]["name"] == "orders"] == [
        "START",
        "COMPLETE",
    ] * 2


def test_events_are_tried_again(server: Server, project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "FIRST_PAUSE", 0.01)
    server.answers = [500, 503, 429]
    assert run(project({"url": server.url}, COPY))
    assert len(server.taken) == 4


@pytest.mark.parametrize("status", [400, 401, 404, 302, 307])
def test_an_event_that_is_refused_is_logged_and_the_others_are_sent(
    server: Server, project: Any, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    server.answers = [status]
    assert run(project({"url": server.url}, COPY))
    assert len(server.taken) == 3
    assert "openlineage: an event is not sent: it " in caplog.text
    assert "openlineage: 1 events are lost" in caplog.text


def test_a_server_that_is_away_costs_one_deadline(
    server: Server, project: Any, caplog: pytest.LogCaptureFixture
) -> None:
    server.answers = [500] * 1000
    assert run(project({"url": server.url, "deadline": "10ms"}, COPY, ONWARD))
    outbox.report()
    assert len(server.headers) == 1
    assert caplog.text.count("is not sent") == 1
    assert "openlineage: 6 events are lost" in caplog.text


def test_a_file_has_a_line_an_event(project: Any, tmp_path: Path) -> None:
    assert run(project({"transport": "file", "path": "lineage/events.jsonl", "namespace": "team"}, COPY))
    events = [json.loads(line) for line in (tmp_path / "lineage/events.jsonl").read_text().splitlines()]
    for event in events:
        check_event(event)
    assert [event["eventType"] for event in events] == ["START", "START", "COMPLETE", "COMPLETE"]
    assert {event["job"]["namespace"] for event in events} == {"team"}


def test_the_console_is_standard_error(project: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(project({"transport": "console"}, COPY))
    printed = capsys.readouterr()
    assert printed.out == ""
    events = [json.loads(line) for line in printed.err.splitlines()]
    assert len(events) == 4
    for event in events:
        check_event(event)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "url: transport http needs the address of a server"),
        ({"url": "localhost:5000"}, "url: it does not begin with https:// or http://"),
        ({"url": "https://user:s3cret@example.com"}, "url: it holds a user, a password or a query"),
        ({"transport": "file"}, "path: transport file needs the name of a file"),
        ({"transport": "pigeon"}, "pigeon"),
    ],
)
def test_options_that_make_no_sense_are_refused(project: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        project(options, COPY)
    assert words in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_the_key_does_not_show() -> None:
    assert "s3cret" not in repr(OpenLineage(url="https://example.com", api_key=Secret("s3cret")))


def test_destinations_are_remembered_up_to_a_bound() -> None:
    def connect() -> Any:
        raise AssertionError("there is nothing to send")

    made = [outbox.outbox_for(("test", at), connect, 1.0) for at in range(60)]
    assert [outbox.outbox_for(("test", at), connect, 1.0) for at in range(60)] == made
    for at in range(60, 2 * outbox.MOST_OUTBOXES):
        outbox.outbox_for(("test", at), connect, 1.0)
    assert len(outbox._outboxes) == outbox.MOST_OUTBOXES
    assert outbox.outbox_for(("test", 0), connect, 1.0) is not made[0]
