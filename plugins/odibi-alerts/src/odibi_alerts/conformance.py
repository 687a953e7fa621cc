"""The suites for this package's alerts, each on a small server of its own on this machine."""

from __future__ import annotations

import socketserver
import threading
from hashlib import blake2b
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from odibi.testing.observer import ObserverSuite
from odibi_alerts.mail import EmailAlert
from odibi_alerts.notice import EVENTS
from odibi_alerts.outbox import settle
from odibi_alerts.slack import SlackAlert
from odibi_alerts.teams import TeamsAlert
from odibi_alerts.webhook import WebhookAlert

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_places: dict[str, Path] = {}
_lock = threading.Lock()


class _Places:
    """What came in, by the name of the place that it is for."""

    def name(self, place: Path) -> str:
        name = blake2b(str(place).encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
        _places[name] = place
        return name

    def keep(self, name: str, text: str) -> None:
        with _lock, (_places[name] / "told").open("a", encoding="utf-8") as file:
            file.write(text + "\n")


PLACES = _Places()


class _Hook(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        PLACES.keep(self.path.strip("/"), body.decode("ascii"))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class _Mailbox(socketserver.StreamRequestHandler):
    """As much of RFC 5321 as a mail takes."""

    def handle(self) -> None:
        name = ""
        lines: list[str] | None = None
        self._say("220 ready")
        while line := self.rfile.readline():
            text = line.decode("utf-8", "replace").rstrip("\r\n")
            verb = text[:4].upper()
            if lines is not None:
                if text != ".":
                    lines.append(text)
                    continue
                PLACES.keep(name, "\n".join(lines))
                lines = None
            elif verb == "RCPT":
                name = text.partition("<")[2].partition("@")[0]
            elif verb == "DATA":
                lines = []
                self._say("354 go on")
                continue
            self._say("221 bye" if verb == "QUIT" else "250 ok")

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode("ascii"))


class _Servers:
    """Servers that begin with the first test that needs them, and stay until the process ends."""

    def __init__(self) -> None:
        self._ports: dict[type, int] = {}

    def port(self, kind: type[ThreadingHTTPServer | socketserver.ThreadingTCPServer], handler: Any) -> int:
        with _lock:
            if kind not in self._ports:
                server = kind(("127.0.0.1", 0), handler)
                server.daemon_threads = True
                threading.Thread(target=server.serve_forever, daemon=True).start()
                self._ports[kind] = server.server_address[1]
            return self._ports[kind]


SERVERS = _Servers()


class AlertSuite(ObserverSuite):
    """What the suites of all alerts share: they tell of everything."""

    @pytest.fixture(autouse=True)
    def _listening(self) -> Iterator[None]:
        """The server is there before a test counts threads, and what an earlier test told is sent."""
        self.port()
        yield
        assert not settle(60)

    def told(self, place: Path) -> str:
        """What has come in once all is sent; that goes on after an alert is closed."""
        assert not settle(60)
        return super().told(place)

    def port(self) -> int:
        """Of the server that listens."""
        return SERVERS.port(ThreadingHTTPServer, _Hook)

    def options(self, place: Path) -> Mapping[str, Any]:
        """To the place, in the server's words."""
        return {
            "url": f"http://127.0.0.1:{self.port()}/{PLACES.name(place)}",
            "on_events": list(EVENTS),
            "sla": "1h",
        }


class SlackSuite(AlertSuite):
    """Of ``slack``."""

    component: ClassVar[type] = SlackAlert


class TeamsSuite(AlertSuite):
    """Of ``teams``."""

    component: ClassVar[type] = TeamsAlert


class WebhookSuite(AlertSuite):
    """Of ``webhook``."""

    component: ClassVar[type] = WebhookAlert

    def options(self, place: Path) -> Mapping[str, Any]:
        """Signed."""
        return {**super().options(place), "secret": "not-a-good-one"}


class EmailSuite(AlertSuite):
    """Of ``email``."""

    component: ClassVar[type] = EmailAlert

    def port(self) -> int:
        """Of the mail server."""
        return SERVERS.port(socketserver.ThreadingTCPServer, _Mailbox)

    def options(self, place: Path) -> Mapping[str, Any]:
        """To an address that stands for the place."""
        return {
            "host": "127.0.0.1",
            "port": self.port(),
            "security": "none",
            "sender": "odibi@example.com",
            "to": [f"{PLACES.name(place)}@example.com"],
            "on_events": list(EVENTS),
            "sla": "1h",
        }
