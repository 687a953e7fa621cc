"""S3 servers on loopback, for tests: moto's, as a process of its own, and a proxy that spoils what passes it."""

from __future__ import annotations

import http.client
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import attrs

KEY, SECRET = "test-key", "test-s3cret-of-nobody"
_STARTED = 60.0


@attrs.frozen
class Server:
    """A server that runs.

    Attributes:
        endpoint: its address.
        key, secret: an access key that it takes.
    """

    endpoint: str
    key: str = KEY
    secret: str = SECRET

    @property
    def port(self) -> int:
        return int(self.endpoint.rpartition(":")[2])

    def client(self) -> Any:
        """A client of boto3."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.key,
            aws_secret_access_key=self.secret,
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 2}),
        )

    def make_bucket(self, name: str, *, versions: bool = False) -> str:
        client = self.client()
        client.create_bucket(Bucket=name)
        if versions:
            client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        client.close()
        return name


@contextmanager
def moto_server() -> Iterator[Server]:
    """moto's server, which keeps everything in its memory."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        endpoint = f"http://127.0.0.1:{port}"
        _wait_for(process, f"{endpoint}/moto-api/data.json")
        yield Server(endpoint)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def _wait_for(process: subprocess.Popen[bytes], address: str) -> None:
    deadline = time.monotonic() + _STARTED
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode} before it answered")
        with suppress(OSError), urllib.request.urlopen(address, timeout=5):
            return
        time.sleep(0.05)
    raise RuntimeError("the server does not answer")


@attrs.frozen
class Asked:
    """A request that came to the proxy."""

    method: str
    target: str
    headers: dict[str, str]
    """By names in lower case."""


@attrs.frozen
class Fault:
    """What becomes of a request.

    Attributes:
        status, code: answer this at once, without asking the server.
        forward: whether the server is asked.
        cut_after: bytes of the answer's body, after which the connection is cut; -1 for the whole answer.
        wait: wait for this before the answer.
        more: added to the query, for servers that check no signatures.
        hide_etag: empty the etags in the answer's body.
    """

    status: int = 0
    code: str = ""
    forward: bool = True
    cut_after: int | None = None
    wait: threading.Event | None = None
    more: str = ""
    hide_etag: bool = False


CUT = Fault(forward=False, cut_after=-1)
"""The connection is cut before the server hears of the request."""

LOST = Fault(cut_after=-1)
"""The server does what it is asked, and its answer is lost."""


class Proxy:
    """Stands before a server of S3, on loopback, and spoils what passes as it is told.

    Attributes:
        asked: the requests that came.
        decide: says what becomes of a request; nothing by default. It may change the headers.
        closed: no connection gets anywhere while it is set.
    """

    def __init__(self, server: Server) -> None:
        self._upstream = server.port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._over = False
        self.asked: list[Asked] = []
        self.decide: Callable[[Asked], Fault | None] = lambda asked: None
        self.closed = threading.Event()
        self.server = attrs.evolve(server, endpoint=f"http://127.0.0.1:{self._listening.getsockname()[1]}")
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def spoil(self, method: str, *faults: Fault | None, containing: str = "", carrying: str = "") -> None:
        """Let the next requests of a kind have these faults, one each, and those after them none."""
        left = list(faults)
        lock = threading.Lock()

        def decide(asked: Asked) -> Fault | None:
            fits = asked.method == method and containing in asked.target
            with lock:
                return left.pop(0) if left and fits and (not carrying or carrying in asked.headers) else None

        self.decide = decide

    def count(self, method: str) -> int:
        return sum(each.method == method for each in self.asked)

    def close(self) -> None:
        self._over = True
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.hang_up()
        self._thread.join(10)

    def hang_up(self) -> None:
        """Cut all connections that there are."""
        with self._lock:
            for each in self._open:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    @contextmanager
    def shut(self) -> Iterator[None]:
        """Let nothing pass for the time of the block."""
        self.closed.set()
        self.hang_up()
        try:
            yield
        finally:
            self.closed.clear()

    def _accept(self) -> None:
        while not self._over:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.add(connection)
        try:
            with connection, connection.makefile("rb") as lines, suppress(OSError, http.client.HTTPException):
                while not self.closed.is_set() and self._pass_on(connection, lines):
                    pass
        finally:
            with self._lock:
                self._open.discard(connection)

    def _pass_on(self, connection: socket.socket, lines: Any) -> bool:
        """One request; false if it was the last of its connection."""
        first = lines.readline().decode("latin-1").split()
        if len(first) != 3:
            return False
        parsed = http.client.parse_headers(lines)
        asked = Asked(first[0], first[1], {name.lower(): value for name, value in parsed.items()})
        if asked.headers.get("expect", "").lower() == "100-continue":
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = lines.read(int(asked.headers.get("content-length", 0)))
        self.asked.append(asked)
        fault = self.decide(asked) or Fault()
        if fault.status:
            text = f"<Error><Code>{fault.code}</Code></Error>".encode() if asked.method != "HEAD" else b""
            connection.sendall(_head(fault.status, {"content-length": str(len(text))}) + text)
            return True
        if not fault.forward:
            return False
        status, headers, content = self._answer(asked, fault.more, body)
        if fault.hide_etag:
            content = re.sub(b"<ETag>[^<]*</ETag>", b"<ETag></ETag>", content)
            headers["content-length"] = str(len(content))
        if fault.wait is not None:
            fault.wait.wait(60)
        if fault.cut_after == -1 or self.closed.is_set():
            return False
        connection.sendall(_head(status, headers))
        connection.sendall(content if fault.cut_after is None else content[: fault.cut_after])
        return fault.cut_after is None

    def _answer(self, asked: Asked, more: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        upstream = http.client.HTTPConnection("127.0.0.1", self._upstream, timeout=60)
        try:
            upstream.putrequest(asked.method, asked.target + more, skip_host=True, skip_accept_encoding=True)
            for name, value in asked.headers.items():
                if name not in ("connection", "expect"):
                    upstream.putheader(name, value)
            upstream.endheaders(body)
            response = upstream.getresponse()
            content = response.read()
            headers = {name.lower(): value for name, value in response.getheaders()}
        finally:
            upstream.close()
        for name in ("connection", "transfer-encoding"):
            headers.pop(name, None)
        if asked.method != "HEAD":
            headers["content-length"] = str(len(content))
        return response.status, headers, content


def _head(status: int, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} {http.client.responses.get(status, 'Unknown')}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
