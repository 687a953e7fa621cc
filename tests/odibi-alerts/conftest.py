"""Servers of the tests' own: one that answers as it is told, one that takes mail; with TLS or without."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import attrs
import pytest
import trustme

PATIENCE = 20.0
"""Seconds in which what has to happen has happened, on a machine that is busy."""


def wait_for(condition: Callable[[], Any]) -> Any:
    """What a condition says once it holds."""
    until = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < until, "it does not happen"
        time.sleep(0.005)
    return found


@attrs.define
class Taken:
    """A request that came in."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Server:
    """Answers requests with the statuses it is given, in order, and then with 200.

    Attributes:
        taken: what came in.
        answers: ``(status, headers)`` still to be given.
        hold: while it is clear, nothing is answered.
        drip: send the answer a byte at a time, without end.
    """

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.taken: list[Taken] = []
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.hold = threading.Event()
        self.hold.set()
        self.over = threading.Event()
        self.drip = False
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                outer.taken.append(Taken(self.command, self.path, headers, body))
                outer.hold.wait()
                with contextlib.suppress(OSError):  # nobody waits for it any more
                    self.answer()

            do_PUT = do_GET = do_POST

            def answer(self) -> None:
                while outer.drip and not outer.over.wait(0.02):
                    self.wfile.write(b"H")
                status, more = outer.answers.pop(0) if outer.answers else (200, {})
                self.send_response(status)
                for name, value in {"Content-Length": "0", **more}.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                pass  # a client that does not trust the certificate goes

        self._server = Quiet(("127.0.0.1", 0), Handler)
        if context is not None:
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        scheme = "http" if context is None else "https"
        self.url = f"{scheme}://localhost:{self._server.server_address[1]}/services/T0/pl4nted-token"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.over.set()
        self.hold.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@attrs.define
class Authority:
    """Who signs certificates of tests."""

    file: Path
    context: ssl.SSLContext


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = trustme.CA()
    file = tmp_path_factory.mktemp("ca") / "ca.pem"
    made.cert_pem.write_to_path(str(file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.issue_cert("localhost").configure_cert(context)
    return Authority(file, context)


@pytest.fixture
def safe_server(authority: Authority) -> Iterator[Server]:
    made = Server(authority.context)
    yield made
    made.close()
