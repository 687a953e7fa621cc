"""The pages over HTTP, with the standard library's server alone.

==================================  ====================================================================
``GET /``                           The list of runs.
``GET /events``                     What of it changes, as server-sent events.
``GET /runs/PIPELINE/RUN``          The page of a run.
``GET /runs/PIPELINE/RUN/events``   What of it changes, as server-sent events, until the run is over.
``GET /runs/PIPELINE/RUN.json``     The record of the run.
``GET /compare?a=P/R&b=P/R``        What changed between two runs.
==================================  ====================================================================

There is no TLS: what others are to reach goes behind a proxy that has it.
"""

from __future__ import annotations

import json
import logging
import select
import socket
import socketserver
import sys
import threading
import time
import traceback
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedReader, RawIOBase
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from odibi.errors import NotFound, OdibiError
from odibi_story.live.answers import HTML, Answer, Answers, headers_of
from odibi_story.live.gate import token_in, without_token
from odibi_story.live.rendering import message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from odibi_story.live.addresses import Address
    from odibi_story.live.followed import Followed
    from odibi_story.live.gate import Gate

T = TypeVar("T")

PATIENCE = 10.0
"""Seconds in which a request must have arrived, whole; and in which what is sent must have been taken."""

CONNECTIONS = 64
"""So many may be open at once; further ones are turned away."""

LISTENERS = 32
"""So many may follow a page at once."""

LONGEST_LINE = 8 * 1024
LARGEST_REQUEST = 64 * 1024
"""Bytes of a request's first line, and of all of it."""

BEAT = 15.0
"""Seconds after which a listener is sent something in any case, so that nothing between thinks it is gone."""

_LOOK = 0.25
"""Seconds between looks whether to stop listening."""

_FULL = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 5\r\nConnection: close\r\n\r\n"

_log = logging.getLogger("odibi_story")


class Server:
    """Serves the pages, on threads of its own.

    Args:
        answers: makes them.
        address: where to listen.
        gate: decides who may read.

    Raises:
        OdibiError: the address is taken, not this machine's, or not allowed.
    """

    def __init__(self, answers: Answers, address: Address, gate: Gate) -> None:
        try:
            self._server = _Server(answers, address, gate)
        except OSError as error:
            raise OdibiError(
                f"cannot listen here: {error.strerror or error}",
                where=repr(address.text),
                remedy="Give another --port, or another --host; without --port, it is any that is free.",
            ) from error
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_LOOK,), name="odibi-ui", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens, with a slash at the end."""
        host, port = self._server.server_address[:2]
        named = f"[{host!s}]" if ":" in str(host) else str(host)
        return f"http://{named}:{int(port)}/"

    def close(self) -> None:
        """Listen no more, and cut off whoever is still connected; may be called twice."""
        self._server.stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server.hang_up()


class _Server(ThreadingHTTPServer):
    """The listening socket, and the connections that are open."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, answers: Answers, address: Address, gate: Gate) -> None:
        self.answers = answers
        self.gate = gate
        self.address_family = address.family
        self.stopping = threading.Event()
        self.listeners = threading.BoundedSemaphore(LISTENERS)
        self._open: set[socket.socket] = set()
        self._changed = threading.Condition()
        super().__init__(address.sockaddr, _Handler)

    def server_bind(self) -> None:
        """Bind; without the look-up of the machine's own name, which can take long and is of no use here."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002
        """Whether there is room for a connection."""
        with self._changed:
            if len(self._open) < CONNECTIONS:
                self._open.add(request)
                return True
        request.setblocking(False)  # nobody may hold up those who come after
        with suppress(OSError):
            request.send(_FULL)
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
            told = self.answers.scrub(traceback.format_exc()).rstrip()
            _log.warning("a request could not be dealt with: %s", told)

    def hang_up(self) -> None:
        """Cut off all connections, and wait until their threads have let go of them."""
        with self._changed:
            for each in self._open:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
            self._changed.wait_for(lambda: not self._open, PATIENCE)


class _Arriving(RawIOBase):
    """What a client sends, as long as it does so in time and in measure: a socket's own timeout begins anew with each
    byte, and a client that sends one every few seconds would stay for ever.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._until = time.monotonic() + PATIENCE
        self._left = LARGEST_REQUEST

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
        self.rfile = BufferedReader(_Arriving(self.connection))

    def handle(self) -> None:
        """Read the request and answer it."""
        self.requestline, self.request_version, self.command = "", self.protocol_version, ""
        try:
            self.raw_requestline = self.rfile.readline(LONGEST_LINE + 1)
            if len(self.raw_requestline) > LONGEST_LINE:
                self.send_error(HTTPStatus.REQUEST_URI_TOO_LONG)
            elif self.raw_requestline and self.parse_request():
                self._answer()
        except TimeoutError:
            _log.debug("a request did not arrive in time, or its answer was not taken")
        except HTTPException:  # of what arrives: too much of it
            self.send_error(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def _answer(self) -> None:
        """A body is not read: no answer heeds one, and the connection ends."""
        path, _, query = self.path.partition("?")
        gate, port = self.server.gate, self.server.server_port
        if not gate.knows_host(self.headers):
            self._refuse(HTTPStatus.MISDIRECTED_REQUEST, "This machine is asked under another name", "Ask 127.0.0.1.")
        elif self.command not in ("GET", "HEAD"):
            self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, "These pages can only be read", "", ("Allow", "GET, HEAD"))
        elif gate.asks and gate.is_token(token_in(query) or ""):
            # Away from the address, where it would be seen, and kept in lists of what was visited.
            rest = without_token(query)
            place = "/" + quote(path.lstrip("/"), safe="/%") + (f"?{rest}" if rest else "")
            headers = (("Location", place), ("Set-Cookie", gate.cookie(port)))
            self._send(Answer(HTTPStatus.SEE_OTHER, b"", HTML, headers))
        elif not gate.lets_in(self.headers, port):
            wrong = token_in(query) is not None
            page = message(
                "This is not the token" if wrong else "These pages need a token",
                "It is what ODIBI_UI_TOKEN is where odibi ui was started.",
                asks=True,
            )
            challenge = (("WWW-Authenticate", 'Bearer realm="odibi"'),)
            self._send(Answer(HTTPStatus.UNAUTHORIZED, page.encode(), HTML, challenge))
        else:
            followed = self._made(lambda: self.server.answers.followed(path))
            if isinstance(followed, Answer):
                self._send(followed)
            elif followed is not None:
                self._follow(followed, query)
            else:
                self._send(self._made(lambda: self.server.answers.page(path, query)))

    def _made(self, make: Callable[[], T]) -> T | Answer:
        """What ``make`` gives; or an answer that says that it could not be done."""
        scrub = self.server.answers.scrub
        try:
            return make()
        except NotFound as error:
            return _says(HTTPStatus.NOT_FOUND, error.what, error.remedy)
        except OdibiError as error:
            return _says(HTTPStatus.INTERNAL_SERVER_ERROR, scrub(error.what), scrub(error.remedy))
        except Exception as error:
            told = scrub("".join(traceback.format_exception(error))).rstrip()
            _log.warning("%s could not be answered: %s", self.path.partition("?")[0], told)
            return _says(HTTPStatus.INTERNAL_SERVER_ERROR, "This could not be shown", "See what odibi ui has printed.")

    # --- what goes out ----------------------------------------------------------------------------------------------

    def _send(self, answer: Answer) -> None:
        self._begin(answer.status, (("Content-Length", str(len(answer.body))), *answer.headers), answer.content_type)
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def _begin(self, status: HTTPStatus, headers: tuple[tuple[str, str], ...], content_type: str) -> None:
        self.connection.settimeout(PATIENCE)
        self.request_version = self.protocol_version  # whatever it was: an answer of HTTP/0.9 has no status
        self.send_response(status)
        for name, value in (("Content-Type", content_type), *headers_of(), *headers):
            self.send_header(name, value)
        self.end_headers()

    def _refuse(self, status: HTTPStatus, what: str, remedy: str, *headers: tuple[str, str]) -> None:
        """Answer in plain text; nothing of what the client has sent is said again."""
        body = f"{what}. {remedy}".strip().encode() + b"\n"
        self._send(Answer(status, body, "text/plain; charset=utf-8", headers))

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """Refuse what is no request that is answered here."""
        status = HTTPStatus(code)
        self._refuse(status, status.phrase, "")

    # --- following --------------------------------------------------------------------------------------------------

    def _follow(self, followed: Followed, query: str) -> None:
        """Send what changes, until the page stays as it is, the client goes, or the server stops."""
        with self._listener() as admitted:
            if not admitted:
                self._refuse(
                    HTTPStatus.SERVICE_UNAVAILABLE, "Too many follow already", "Close a page.", ("Retry-After", "5")
                )
                return
            # A proxy before it would otherwise keep events until it has enough of them.
            self._begin(HTTPStatus.OK, (("X-Accel-Buffering", "no"),), "text/event-stream")
            if self.command == "HEAD":
                return
            version = self.headers.get("Last-Event-ID") or _since(query)
            sent, said = 0.0, ""
            while not self.server.stopping.is_set() and not self._gone():
                try:
                    changed, version_now, over = followed.after(version)
                except NotFound:
                    self._tell("gone", "{}", version)
                    return
                except OdibiError as error:  # as of a storage that is not there for a while
                    if said != (said := self.server.answers.scrub(str(error))):
                        _log.warning("%s", said)
                    changed, version_now, over = None, version, False
                if changed is not None:
                    self._tell("parts", json.dumps(changed, separators=(",", ":")), version_now)
                    version, sent = version_now, time.monotonic()
                if over:
                    self._tell("over", "{}", version)
                    return
                if time.monotonic() - sent > BEAT:
                    self.wfile.write(b":\n\n")
                    sent = time.monotonic()
                self.server.stopping.wait(self.server.answers.pause)

    @contextmanager
    def _listener(self) -> Iterator[bool]:
        admitted = self.server.listeners.acquire(blocking=False)
        try:
            yield admitted
        finally:
            if admitted:
                self.server.listeners.release()

    def _tell(self, event: str, data: str, version: str) -> None:
        self.wfile.write(f"event: {event}\nid: {version}\ndata: {data}\n\n".encode())

    def _gone(self) -> bool:
        """Whether the client has closed its side; a request has nothing that could still come."""
        readable, _, _ = select.select([self.connection], [], [], 0)
        if not readable:
            return False
        try:
            return not self.connection.recv(LARGEST_REQUEST)
        except OSError:
            return True

    # --- what is said of it -----------------------------------------------------------------------------------------

    def version_string(self) -> str:
        """What the header ``Server`` says: neither Python's version nor ours, which are nobody's business."""
        return "odibi"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:  # noqa: ARG002
        """Log a request, for those who want to know; without its query, in which the token may be."""
        _log.debug("%s: %r: %s", self.client_address[0], self.requestline.partition("?")[0], code)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log nothing else."""


def _says(status: HTTPStatus, what: str, remedy: str) -> Answer:
    return Answer(status, message(what[:1].upper() + what[1:], remedy).encode(), HTML)


def _since(query: str) -> str:
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if name == "since":
            return value
    return ""
