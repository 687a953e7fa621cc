"""The end of one project's run starts another's: a signed alert is an event that the trigger ``event`` takes."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

import odibi
from odibi.contracts.secret import Secret
from odibi.errors import AccessDenied

pytest.importorskip("odibi_alerts")
pytest.importorskip("odibi_triggers")


def test_a_signed_alert_is_an_event(tmp_path: Path) -> None:
    from odibi_alerts.outbox import settle
    from odibi_triggers.event import EventTrigger

    taken: list[tuple[bytes, dict[str, str]]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            taken.append((body, {name.lower(): value for name, value in self.headers.items()}))
            self.send_response(202)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        alert = {
            "type": "webhook",
            "url": f"http://127.0.0.1:{server.server_address[1]}/events/ordered",
            "secret": "of-both-of-them",
            "on_events": ["on_success"],
        }
        nodes = [{"name": "one", "function": "one"}]
        text = {"project": "first", "engine": None, "alerts": [alert], "pipelines": [{"pipeline": "p", "nodes": nodes}]}
        (tmp_path / "odibi.json").write_text(json.dumps(text))
        (tmp_path / "transforms.py").write_text("def one():\n    return 1\n")
        with odibi.load(tmp_path / "odibi.json") as loaded:
            assert loaded.run().ok
        assert settle(30) == []
        thread.join(30)
    ((body, headers),) = taken
    payload = EventTrigger(secret=Secret("of-both-of-them")).accept(body, headers)
    assert (payload["event"], payload["pipeline"], payload["state"]) == ("on_success", "p", "succeeded")
    assert headers["idempotency-key"]
    with pytest.raises(AccessDenied):
        EventTrigger(secret=Secret("another")).accept(body, headers)
