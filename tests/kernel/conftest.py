"""Fixtures for the kernel's tests: a host without discovery, a recorder of events, a folder for plugins."""

from __future__ import annotations

import importlib
import os
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
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


class Zoo:
    """Writes distributions as pip would leave them, into a folder that is on ``sys.path``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(
        self,
        distribution: str,
        version: str = "1.0",
        *,
        points: dict[str, str] | None = None,
        requires: tuple[str, ...] = (),
        **modules: str,
    ) -> None:
        """Install a distribution.

        Args:
            distribution, version: of it.
            points: its entry points in the group ``odibi``; by default one, named and valued as its first module.
            requires: its requirements.
            modules: their sources by name.
        """
        for name, source in modules.items():
            (self.folder / f"{name}.py").write_text(textwrap.dedent(source))
        if points is None:
            points = {next(iter(modules)): next(iter(modules))}
        lines = ["[odibi]", *(f"{name} = {value}" for name, value in points.items())]
        self.raw(distribution, version, "\n".join(lines), requires)

    def raw(self, distribution: str, version: str, entry_points: str, requires: tuple[str, ...] = ()) -> None:
        """The metadata alone."""
        info = self.folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        head = ["Metadata-Version: 2.1", f"Name: {distribution}", f"Version: {version}"]
        needs = [f"Requires-Dist: {need}" for need in requires]
        (info / "METADATA").write_text("\n".join([*head, *needs, ""]))
        (info / "entry_points.txt").write_text(entry_points)
        importlib.invalidate_caches()

    def settle(self) -> None:
        """Let the folder look as if it was written long ago, so that what is found in it may be kept."""
        for path in [*self.folder.rglob("*"), self.folder]:
            os.utime(path, (1_600_000_000, 1_600_000_000))


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Zoo]:
    """An empty folder on ``sys.path`` for plugins, and a cache folder of the test's own."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("ODIBI_PLUGINS_BLOCK", raising=False)
    monkeypatch.syspath_prepend(str(folder))
    before = set(sys.modules)
    yield Zoo(folder)
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        if file and file.startswith(str(folder)):
            del sys.modules[name]
