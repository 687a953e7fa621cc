"""A server that speaks as much of S3 as a benchmark needs, in memory, and that is not in anybody's way.

moto's server works on what it is sent for longer than any client does: beside it, all clients are alike. This one
checks no signature and no digest, and numbers its etags. Run as ``python -m benchmarks.s3_server``, it prints its port.
"""

from __future__ import annotations

import http.client
import itertools
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from email.utils import formatdate
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
_numbers = itertools.count(1)
_objects: dict[str, tuple[bytearray, str]] = {}
_uploads: dict[str, dict[int, bytearray]] = {}


@contextmanager
def running() -> Iterator[str]:
    """The address of a server of its own, as long as the block runs."""
    command = [sys.executable, "-m", "benchmarks.s3_server"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1])
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    listening = socket.create_server(("127.0.0.1", 0), backlog=64)
    print(listening.getsockname()[1], flush=True)
    while True:
        connection, _ = listening.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=_serve, args=(connection,), daemon=True).start()


def _serve(connection: socket.socket) -> None:
    with connection, connection.makefile("rb") as lines, suppress(OSError):
        while True:
            first = lines.readline().decode("latin-1").split()
            if len(first) != 3:
                return
            headers = {name.lower(): value for name, value in http.client.parse_headers(lines).items()}
            if headers.get("expect"):
                connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = bytearray(int(headers.get("content-length", 0)))
            view, at = memoryview(body), 0
            while at < len(body):
                at += lines.readinto(view[at:]) or 0
            _answer(connection, first[0], first[1], headers, body)


def _answer(connection: socket.socket, method: str, target: str, headers: Mapping[str, str], body: bytearray) -> None:
    parts = urlsplit(target)
    query, key = parse_qs(parts.query, keep_blank_values=True), parts.path
    if method == "PUT":
        etag = f'"{next(_numbers):032x}"'
        if "uploadId" in query:
            _uploads[query["uploadId"][0]][int(query["partNumber"][0])] = body
        else:
            _objects[key] = (body, etag)
        _send(connection, 200, {"ETag": etag})
    elif method == "POST" and "uploads" in query:
        upload = f"{next(_numbers):032x}"
        _uploads[upload] = {}
        text = f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
        _send(connection, 200, {"Content-Type": "application/xml"}, text.encode())
    elif method == "POST":
        kept = _uploads.pop(query["uploadId"][0])
        etag = f'"{next(_numbers):032x}"'
        _objects[key] = (bytearray().join(kept[number] for number in sorted(kept)), etag)
        text = f"<CompleteMultipartUploadResult><ETag>{etag}</ETag></CompleteMultipartUploadResult>"
        _send(connection, 200, {"Content-Type": "application/xml"}, text.encode())
    elif key not in _objects:
        _send(connection, 404, {})
    else:
        _give(connection, method, key, headers)


def _give(connection: socket.socket, method: str, key: str, headers: Mapping[str, str]) -> None:
    content, etag = _objects[key]
    told = {"ETag": etag, "Last-Modified": formatdate(usegmt=True), "Accept-Ranges": "bytes"}
    asked = _RANGE.fullmatch(headers.get("range", ""))
    if asked is None:
        _send(connection, 200, told, content, head=method == "HEAD")
        return
    first, last = int(asked[1]), min(int(asked[2] or len(content)), len(content) - 1)
    told["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
    _send(connection, 206, told, memoryview(content)[first : last + 1], head=method == "HEAD")


def _send(
    connection: socket.socket, status: int, told: Mapping[str, str], body: Any = b"", *, head: bool = False
) -> None:
    lines = [f"HTTP/1.1 {status} {http.client.responses[status]}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in told.items()]
    connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
    if not head:
        connection.sendall(body)


if __name__ == "__main__":
    main()
