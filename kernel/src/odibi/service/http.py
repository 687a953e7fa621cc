"""The service over HTTP: whether it lives, what it does, and a few levers. With the standard library's server alone.

========================================  ==============================================================================
``GET /health``                           200 while it lives, also while it drains; else 503. For what restarts it.
``GET /ready``                            200 while it leads; 503 while it stands by for another, or stops.
``GET /streams``                          How each stream is doing.
``GET /metrics``                          Prometheus' text format.
``POST /streams/NAME/pause``              Let nothing be started for a stream any more.
``POST /streams/NAME/resume``             Let it go on.
``POST /streams/NAME/fire``               Let a schedule come up now. 202, as the run begins when its turn comes.
``POST /streams/PROJECT:NAME/...``        Likewise, where several projects have such a stream.
``POST /events/TRIGGER``                  Take an event. 202 once it is durable; the run begins when its turn comes.
``POST /events/PROJECT/TRIGGER``          Likewise, where several projects have such a trigger.
========================================  ==============================================================================

All answers but the metrics are JSON; those that are no success are ``{"error": ..., "remedy": ...}``. There is no TLS:
what others are to reach goes behind a proxy that has it, as a token that is sent in the clear is nobody's secret.

An event is signed, and needs no token: whoever has the trigger's secret may send it, and may do nothing else.
"""

from __future__ import annotations

import hmac
import io
import json
import logging
import re
import socket
import socketserver
import sys
import threading
import time
import traceback
from contextlib import suppress
from http import HTTPStatus
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, TypeVar

from odibi.contracts.secret import Secret
from odibi.errors import OdibiError
from odibi.service.addresses import Address, listening, names_loopback
from odibi.service.pages import Answer, entrance, page, refuses, taken, takes_event

if TYPE_CHECKING:
    from collections.abc import Callable

    from odibi.service.service import Service

_T = TypeVar("_T")

_log = logging.getLogger("odibi.service")

PATIENCE = 10.0
"""Seconds in which a request must have arrived, whole; and in which its answer must have been taken."""

CONNECTIONS = 32
"""So many may be open at once; further ones are turned away."""

LONGEST_LINE = 8 * 1024
"""Bytes of a request's first line, by what most servers take."""

LARGEST_REQUEST = 64 * 1024
"""Bytes of a request with all that belongs to it. Only events have a body of any use; theirs counts besides."""

LOOK = 0.5
"""Seconds between looks whether to stop listening."""

_LINGER = 1.0
"""Seconds for which what is still sent is thrown away after a refusal, so that the client gets to read it."""

_AFTER_A_FAULT = 0.1
"""Seconds to wait when no connection can be taken, as there are no more file descriptors."""

_FULL = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close\r\n"


class ServiceServer:
    """Answers questions about a service over HTTP, on threads of its own.

    Args:
        service: the service; it is neither started nor stopped.
        address: ``HOST:PORT`` to listen on; port 0 is any that is free.
        token: every request must have it, as ``Authorization: Bearer TOKEN``, but ``GET /health`` on an address that
            only this machine reaches. Without one, whoever has an account on this machine may pull the levers.

    Raises:
        OdibiError: the address cannot be understood; others than this machine reach it, and there is no token; or the
            token cannot be sent in a header.
    """

    def __init__(self, service: Service, address: str = "127.0.0.1:0", token: str | Secret | None = None) -> None:
        self._service = service
        self._address = listening(address)
        self._token = _checked(token.reveal() if isinstance(token, Secret) else token)
        if self._token is None and not self._address.loopback:
            raise OdibiError(
                "other machines reach this address, and could pause and fire streams",
                where=repr(address),
                remedy="Give a token, or listen on 127.0.0.1.",
            )
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to listen; returns at once.

        Raises:
            OdibiError: the address is taken, not this machine's, or not allowed; or it was started before.
        """
        if self._server is not None:
            raise OdibiError("it was started before", where="the service's HTTP server", remedy="Make another one.")
        try:
            self._server = _Server(self._service, self._address, self._token)
        except OSError as error:
            raise OdibiError(
                f"cannot listen here: {error.strerror or error}",
                where=repr(self._address.text),
                remedy="Give another address or port; port 0 is any that is free.",
            ) from error
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(LOOK,), name="odibi-service-http", daemon=True
        )
        self._thread.start()
        _log.info("listening on %s", self.url)

    def close(self) -> None:
        """Listen no more, and cut off whoever is still connected; may be called twice."""
        server, thread = self._server, self._thread
        if server is None or thread is None:
            return
        self._thread = None
        server.shutdown()
        thread.join()
        server.server_close()
        server.hang_up()

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end.

        Raises:
            OdibiError: it was not started.
        """
        if self._server is None:
            raise OdibiError("it does not listen yet", where="the service's HTTP server", remedy="Call start() first.")
        host, port = self._server.bound
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _checked(token: str | None) -> str | None:
    """The token, if it can be sent in a header as it is."""
    if token is None or re.fullmatch(r"[!-~]+", token):
        return token
    raise OdibiError(
        "the token is empty, or has spaces, line ends or letters beyond ASCII",
        where="the service's HTTP server",
        remedy="Make one with: python -c 'import secrets; print(secrets.token_urlsafe())'",
    )


class _Server(ThreadingHTTPServer):
    """The listening socket, and the connections that are open."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, service: Service, address: Address, token: str | None) -> None:
        self.service = service
        self.address = address
        self.token = None if token is None else token.encode("ascii")
        self.address_family = address.family
        self._open: set[socket.socket] = set()
        self._full = False
        self._changed = threading.Condition()
        super().__init__(address.sockaddr, _Handler)

    def server_bind(self) -> None:
        """Bind; without the look-up of the machine's own name, which can take long and is of no use here."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.bound

    @property
    def bound(self) -> tuple[str, int]:
        """The host and port that the socket has."""
        return str(self.server_address[0]), int(self.server_address[1])

    def get_request(self) -> tuple[socket.socket, Any]:
        """The next connection."""
        try:
            return super().get_request()
        except OSError:
            time.sleep(_AFTER_A_FAULT)  # it would be asked for again at once, over and over
            raise

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002
        """Whether there is room for a connection."""
        with self._changed:
            if len(self._open) < CONNECTIONS:
                self._open.add(request)
                self._full = False
                return True
            told, self._full = self._full, True
        if not told:
            _log.warning("%d connections are open; turning others away", CONNECTIONS)
        body = json.dumps({"error": "too many connections are open", "remedy": "Try again in a while."}).encode()
        request.setblocking(False)  # nobody may hold up those who come after
        with suppress(OSError):
            request.send(_FULL + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        return False

    def shutdown_request(self, request: Any) -> None:
        """End a connection, however it went."""
        try:
            super().shutdown_request(request)
        finally:
            with self._changed:
                self._open.discard(request)
                self._changed.notify_all()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """Log what went wrong with a connection; nothing goes to stderr."""
        if isinstance(sys.exc_info()[1], OSError):
            _log.debug("a connection ended early", exc_info=True)
        else:
            _log.exception("a request could not be dealt with")

    def hang_up(self) -> None:
        """Cut off all connections, and wait until their threads have let go of them."""
        with self._changed:
            for each in self._open:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
            if not self._changed.wait_for(lambda: not self._open, PATIENCE):
                _log.warning("%d connections do not end", len(self._open))


class _Arriving(io.RawIOBase):
    """What a client sends, as long as it does so in time and in measure: a socket's own timeout begins anew with each
    byte, and a client that sends one every few seconds would stay for ever.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._until = time.monotonic() + PATIENCE
        self._left = LARGEST_REQUEST

    def allow(self, size: int) -> None:
        """Let so many bytes more arrive."""
        self._left += size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        seconds = self._until - time.monotonic()
        if seconds <= 0:
            raise TimeoutError("the request did not arrive in time")
        if self._left <= 0:
            raise HTTPException("the request is too large")
        self._connection.settimeout(seconds)
        count = self._connection.recv_into(buffer, min(len(buffer), self._left))
        self._left -= count
        return count


class _Handler(BaseHTTPRequestHandler):
    """One connection, which has one request."""

    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else what follows the headers waits until the client has acknowledged them

    def setup(self) -> None:
        super().setup()
        self.rfile.close()
        self._arriving = _Arriving(self.connection)
        self.rfile = io.BufferedReader(self._arriving)

    def handle(self) -> None:
        """Read the request and answer it."""
        self.requestline, self.request_version, self.command = "", self.protocol_version, ""
        try:
            self.raw_requestline = self.rfile.readline(LONGEST_LINE + 1)
            if len(self.raw_requestline) > LONGEST_LINE:
                self.send_error(HTTPStatus.REQUEST_URI_TOO_LONG)
            elif self.raw_requestline and self.parse_request():
                path = self.path.partition("?")[0]
                if takes_event(path):
                    self._take_event(path)
                elif self._body(LARGEST_REQUEST) is not None:
                    self._send(self._made(lambda: self._answer(path)))
        except TimeoutError:
            _log.debug("a request did not arrive in time, or its answer was not taken")
        except HTTPException:  # of what arrives: too much of it
            self.send_error(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    # --- what comes in, and what goes out ---------------------------------------------------------------------------

    def _send(self, answer: Answer) -> None:
        self.connection.settimeout(PATIENCE)
        self.request_version = self.protocol_version  # whatever it was: an answer of HTTP/0.9 has no status
        self.send_response(answer.status)
        for name, value in (
            ("Content-Type", answer.content_type),
            ("Content-Length", str(len(answer.body))),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            ("Connection", "close"),
            *answer.headers,
        ):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """Refuse what is no request that is answered here; nothing of what the client has sent is said again."""
        status = HTTPStatus(code)
        remedy = "Send a short request of HTTP/1.1, with nothing behind its headers, or an event with its length."
        self._refuse(refuses(status, status.phrase, remedy))

    def _refuse(self, answer: Answer) -> None:
        """Answer before all was read."""
        self._send(answer)
        # Closing a connection with something of it unread cuts off the answer, too.
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(_LINGER)
            until = time.monotonic() + _LINGER
            while time.monotonic() < until and self.connection.recv(LARGEST_REQUEST):
                pass

    def _body(self, most: int) -> bytes | None:
        """Take the body in; ``None`` if that cannot be, and the request was refused."""
        if self.headers.get("Transfer-Encoding") is not None:
            self.send_error(HTTPStatus.LENGTH_REQUIRED)
            return None
        lengths = self.headers.get_all("Content-Length", ["0"])
        if len(lengths) != 1 or re.fullmatch("[0-9]{1,18}", lengths[0].strip(), re.ASCII) is None:
            self.send_error(HTTPStatus.BAD_REQUEST)
            return None
        length = int(lengths[0])
        if length > most:
            self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return None
        body = self.rfile.read(length)
        return body if len(body) == length else None  # otherwise the client has gone in the middle of it

    def _take_event(self, path: str) -> None:
        """Read an event, as far as it may be one, and keep it."""
        service = self.server.service
        found = self._made(lambda: entrance(service, self.command, path, self.headers))
        if isinstance(found, Answer):
            self._refuse(found)
            return
        if "Content-Length" not in self.headers:
            self.send_error(HTTPStatus.LENGTH_REQUIRED)
            return
        most = found.source.max_bytes
        self._arriving.allow(most)
        body = self._body(most)
        if body is not None:
            self._send(self._made(lambda: taken(service, found, body, self.headers)))

    def version_string(self) -> str:
        """What the header ``Server`` says: neither Python's version nor ours, which are nobody's business."""
        return "odibi"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:  # noqa: ARG002
        """Log a request, for those who want to know; without its query, in which people put what they should not."""
        _log.debug("%s: %r: %s", self.client_address[0], self.requestline.partition("?")[0], code)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log nothing else."""

    # --- what is asked ----------------------------------------------------------------------------------------------

    def _answer(self, path: str) -> Answer:
        return self._host_refused() or self._token_refused(path) or self._page(path)

    def _made(self, make: Callable[[], _T]) -> _T | Answer:
        """What ``make`` gives; or an answer that says that it could not be done."""
        try:
            return make()
        except Exception as error:
            said = self.server.service.scrub("".join(traceback.format_exception(error)))
            _log.error("%s could not be answered: %s", self.command, said.rstrip())
            return refuses(HTTPStatus.INTERNAL_SERVER_ERROR, "this could not be done", "See the log of the service.")

    def _host_refused(self) -> Answer | None:
        if not self.server.address.loopback:
            return None  # what others reach has a token, which a page of some site has not
        hosts = self.headers.get_all("Host", [])
        if len(hosts) == 1 and names_loopback(hosts[0].strip()):
            return None
        return refuses(
            HTTPStatus.MISDIRECTED_REQUEST, "this machine is asked under another name", "Ask 127.0.0.1 or localhost."
        )

    def _token_refused(self, path: str) -> Answer | None:
        token = self.server.token
        if token is None or (self.server.address.loopback and path == "/health"):
            return None
        given = self.headers.get_all("Authorization", [])
        kind, _, value = given[0].strip().partition(" ") if len(given) == 1 else ("", "", "")
        if kind.lower() == "bearer" and hmac.compare_digest(value.strip().encode("utf-8", "replace"), token):
            return None
        return refuses(
            HTTPStatus.UNAUTHORIZED,
            "the token is missing or wrong",
            "Send 'Authorization: Bearer TOKEN'.",
            ("WWW-Authenticate", 'Bearer realm="odibi"'),
        )

    def _page(self, path: str) -> Answer:
        return page(self.server.service, self.command, path, meant=self.headers.get("X-Odibi") == "1")
