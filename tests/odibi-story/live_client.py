"""What the tests of the live view talk to it with: bare sockets, and nothing that would mend what it does."""

from __future__ import annotations

import http.client
import json
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import odibi
import odibi_story
from odibi.run.dispatch import settle
from odibi.testing.pipelines import host_with
from odibi_story.live.addresses import address_of
from odibi_story.live.answers import Answers
from odibi_story.live.followed import Pages
from odibi_story.live.gate import Gate
from odibi_story.live.runs import Runs
from odibi_story.live.server import Server
from odibi_story.places import FolderPlace, Place
from odibi_story.shelf import Shelf

PATIENCE = 60.0
"""Seconds after which what should have happened never will."""

GATED = """
import pathlib, time

HERE = pathlib.Path(__file__).parent

def _pass(name):
    until = time.monotonic() + 60
    while not (HERE / ("go-" + name)).exists():
        if time.monotonic() > until:
            raise TimeoutError(name)
        time.sleep(0.01)

def one():
    _pass("one")
    if (HERE / "break-one").exists():
        raise ValueError("there is no file")
    return 1

def aside():
    if (HERE / "break-one").exists():
        _pass("aside")
    return 0

def two(one):
    _pass("two")
    if (HERE / "break-two").exists():
        raise ValueError("the partner's file has no header")
    return 2

def three(two):
    return 3
"""
"""Functions of nodes that wait until a file lets them go on."""

PROJECT = """
    story: {path: stories/}
    pipelines:
      - pipeline: daily
        on_error: fail_later
        nodes:
          - {name: one, function: one}
          - {name: two, function: two, depends_on: [one]}
          - {name: three, function: three, depends_on: [two]}
          - {name: aside, function: aside}
"""


def until(condition: Callable[[], Any]) -> Any:
    """Wait for something to be true, and return it."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("it never came to be")


class Gated:
    """A project of nodes that wait to be let go."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "odibi.yaml").write_text(f"project: shop\n{textwrap.dedent(PROJECT)}", "utf-8")
        (folder / "transforms.py").write_text(GATED, "utf-8")
        self._loaded = odibi.load(folder / "odibi.yaml", host=host_with({}, plugins=[odibi_story]))

    def __enter__(self) -> Gated:
        return self

    def __exit__(self, *_: object) -> None:
        self.go("one", "two", "aside")
        self._loaded.close()

    def go(self, *names: str) -> None:
        """Let these nodes go on."""
        for name in names:
            (self._folder / f"go-{name}").touch()

    def stop(self, *names: str) -> None:
        """Have them wait again."""
        for name in names:
            (self._folder / f"go-{name}").unlink()

    def run(self) -> None:
        """Run it all, until its story is told."""
        self._loaded.run(force=True, check=False)
        assert not settle(PATIENCE)


@contextmanager
def serving(
    place: Place | Path,
    token: str | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    scrub: Callable[[str], str] = str,
) -> Iterator[Server]:
    """A server for the stories of a place, on a port of its own if none is given."""
    shelf = Shelf(FolderPlace(place) if isinstance(place, Path) else place, scrub)
    address = address_of(host, port)
    server = Server(Answers(Pages(Runs(shelf))), address, Gate(address, token))
    try:
        yield server
    finally:
        server.close()


class Reply:
    """An answer, read whole."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.text = response.read().decode()


def get(server: Server, path: str, method: str = "GET", **headers: str) -> Reply:
    """Ask for a path, just as it is written."""
    connection = _connected(server)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        return Reply(connection.getresponse())
    finally:
        connection.close()


def _connected(server: Server) -> http.client.HTTPConnection:
    parts = urlsplit(server.url)
    assert parts.hostname is not None
    return http.client.HTTPConnection(parts.hostname, parts.port, timeout=PATIENCE)


class Following:
    """Follows a page by server-sent events."""

    def __init__(self, server: Server, path: str) -> None:
        self._connection = _connected(server)
        self._connection.request("GET", path)
        self.response = self._connection.getresponse()

    def __enter__(self) -> Following:
        return self

    def __exit__(self, *_: object) -> None:
        self.response.close()
        self._connection.close()

    def next(self) -> tuple[str, str, Any]:
        """The next event, its version, and its data; an event without a name when the server has ended."""
        fields: dict[str, str] = {}
        while line := self.response.readline().decode().rstrip("\n"):
            name, _, value = line.partition(": ")
            fields[name] = value
        if not fields:
            return "", "", None
        if "event" not in fields:  # a beat
            return self.next()
        return fields["event"], fields["id"], json.loads(fields["data"])

    def until(self, part: str, words: str) -> dict[str, str]:
        """Read on until a part has those words; returns the parts sent since then, by key."""
        told: dict[str, str] = {}
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            event, _, data = self.next()
            assert event == "parts", event
            told.update({key: html for _, key, html in data["put"]})
            if words in told.get(part, ""):
                return told
        raise AssertionError(f"{part!r} never said {words!r}: {told.get(part)}")
