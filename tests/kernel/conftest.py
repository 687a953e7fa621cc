"""Fixtures for the kernel's tests: a host without discovery, a recorder of events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import odibi
from odibi.events import Event
from odibi.host import Host


class Recorder:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.closed = 0

    def handle(self, event: Event) -> None:
        self.events.append(event)

    def close(self) -> None:
        self.closed += 1

    def of(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture(name="recorder")
def _recorder() -> Recorder:
    return Recorder()


@pytest.fixture(name="bare_host")
def _bare_host() -> Host:
    """The kernel's own components and nothing else."""
    return Host(discover=False)


@pytest.fixture(name="pipeline")
def _pipeline(bare_host: Host) -> Callable[..., odibi.Pipeline]:
    """Makes a pipeline of functions and nodes that needs no plugin."""

    def make(*nodes: Any, **settings: Any) -> odibi.Pipeline:
        return odibi.Pipeline("p", nodes, engine=None, host=bare_host, **settings)

    return make
