"""S3 servers on loopback, for tests: moto's, as a process of its own, and a proxy that spoils what passes it."""

from __future__ import annotations

import http.client
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

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
        _stop(process)


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


# --- Ceph -----------------------------------------------------------------------------------------------------------


def has_ceph() -> bool:
    """Whether Ceph's programs are installed: ``apt-get install radosgw ceph-mon ceph-osd``."""
    return all(shutil.which(program) for program in ("ceph", "ceph-mon", "ceph-osd", "radosgw", "radosgw-admin"))


@contextmanager
def ceph_gateway(folder: Path) -> Iterator[Server]:
    """Ceph's gateway over a cluster of one monitor and one store in memory, all on loopback.

    Args:
        folder: for its files; empty.
    """
    with ExitStack() as held:
        free = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
        first, second, gateway = (each.getsockname()[1] for each in free)
    monitor = f"[v2:127.0.0.1:{first}/0,v1:127.0.0.1:{second}/0]"
    cluster = str(uuid4())
    folders = {name: folder / name for name in ("mon", "osd", "rgw", "log")}
    for each in folders.values():
        each.mkdir()
    sections = {
        "global": {
            "fsid": cluster,
            "mon host": monitor,
            "public network": "127.0.0.0/8",
            "cluster network": "127.0.0.0/8",
            **{f"auth {who} required": "none" for who in ("cluster", "service", "client")},
            "osd pool default size": 1,
            "osd pool default min size": 1,
            "osd pool default pg num": 8,
            "osd pool default pgp num": 8,
            "osd pool default pg autoscale mode": "off",
            "mon allow pool size one": "true",
            "mon data avail crit": 1,
            "mon data": folders["mon"],
            "osd data": folders["osd"],
            "osd objectstore": "memstore",
            "memstore device bytes": 2 << 30,
            "log file": folders["log"] / "$name.log",
            "pid file": folders["log"] / "$name.pid",
            "admin socket": folders["log"] / "$name.asok",
            "run dir": folders["log"],
        },
        "mon.a": {"public addrv": monitor},  # without it the monitor listens on its usual ports, and elsewhere
        "client.rgw.a": {
            "rgw frontends": f"beast endpoint=127.0.0.1:{gateway}",
            "rgw data": folders["rgw"],
            "rgw dns name": "localhost",
            "ms mon client mode": "crc",  # or the gateway waits for keys for ever
        },
    }
    settings = folder / "ceph.conf"
    text = [
        f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in each.items()) for name, each in sections.items()
    ]
    settings.write_text("\n".join(text))

    def run(*command: object) -> None:
        done = subprocess.run([*map(str, command)], cwd=folder, capture_output=True, text=True, timeout=_STARTED)
        if done.returncode:
            raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stderr[-500:]}")

    with ExitStack() as running:

        def start(*command: object) -> subprocess.Popen[bytes]:
            log = running.enter_context(open(folders["log"] / f"{command[0]}.out", "wb"))
            process = subprocess.Popen([*map(str, command), "-f", "-c", str(settings)], stdout=log, stderr=log)
            running.callback(_stop, process)
            return process

        address = monitor.replace("/0", "")
        run("monmaptool", "--create", "--addv", "a", address, "--fsid", cluster, folder / "map")
        run("ceph-mon", "--mkfs", "-i", "a", "--monmap", folder / "map", "-c", settings)
        start("ceph-mon", "-i", "a")
        store = str(uuid4())
        run("ceph", "-c", settings, "--connect-timeout", 30, "osd", "new", store)
        run("ceph-osd", "-i", 0, "-c", settings, "--mkfs", "--osd-uuid", store)
        start("ceph-osd", "-i", 0)
        process = start("radosgw", "-n", "client.rgw.a")
        endpoint = f"http://127.0.0.1:{gateway}"
        _wait_for(process, endpoint)
        user = ("--uid=test", "--display-name=test", f"--access-key={KEY}", f"--secret-key={SECRET}")
        run("radosgw-admin", "-c", settings, "user", "create", *user)
        yield Server(endpoint)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)
