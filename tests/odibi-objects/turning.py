"""Clocks that a test turns, and leases that another machine seems to hold."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import attrs

from odibi_objects.clock import Clock


@attrs.define
class Turned:
    """The clocks of one machine.

    Attributes:
        wall: seconds since the epoch.
        ticks: of the monotonic clock.
        slept: how long somebody let time pass.
    """

    wall: float = 1_700_000_000.0
    ticks: float = 5_000.0
    slept: float = 0.0

    def pass_(self, seconds: float) -> None:
        """Let time pass, on both."""
        self.wall += seconds
        self.ticks += seconds

    def drive(self, clock: Clock) -> None:
        """Be a component's clocks."""

        def sleep(seconds: float) -> None:
            self.slept += seconds
            self.pass_(seconds)

        clock.time, clock.monotonic, clock.sleep = lambda: self.wall, lambda: self.ticks, sleep


def rewrite(storage: Any, path: str, **changes: Any) -> None:
    """Write an object as another machine would have written it, with some of its content changed."""
    head, _, body = storage.read(path).partition(b"\n")
    content = json.loads(body)
    content.update(changes)
    body = json.dumps(content, separators=(",", ":")).encode()
    magic = head[: -len(sha256(b"").hexdigest())]
    storage.write(path, magic + sha256(body).hexdigest().encode() + b"\n" + body)


def move_away(storage: Any, path: str, **changes: Any) -> None:
    """Make the holder of a lease, or of a run, a process on another machine."""
    body = storage.read(path).partition(b"\n")[2]
    holder = {**json.loads(body)["holder"], "machine": "another", "host": "elsewhere", "pid": 7}
    rewrite(storage, path, holder=holder, **changes)
