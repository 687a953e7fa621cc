"""The conformance suite on ``file_watch``, each way in which a file can count as complete, and told of it or not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from odibi_triggers import notices
from odibi_triggers.conformance_files import FileWatchSuite


class TestRenamed(FileWatchSuite):
    pass


class TestStable(FileWatchSuite):
    def options(self, place: Path) -> Mapping[str, Any]:
        return {**super().options(place), "complete": "stable", "settle": 0.03}


class TestMarked(FileWatchSuite):
    def options(self, place: Path) -> Mapping[str, Any]:
        return {**super().options(place), "complete": "marker", "marker": ".ok"}

    def arrive_one(self, folder: Path, name: str) -> str:
        path = super().arrive_one(folder, name)
        (folder / f"{name}.ok").touch()
        return path


class TestNotTold(FileWatchSuite):
    """As on a file system of another machine: there are listings alone."""

    @pytest.fixture(autouse=True)
    def _remote(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(notices, "is_remote", lambda folder: True)

    def options(self, place: Path) -> Mapping[str, Any]:
        return {**super().options(place), "interval": 0.05}


class TestPattern(FileWatchSuite):
    def options(self, place: Path) -> Mapping[str, Any]:
        return {**super().options(place), "path": "**/*.csv", "order": "path"}


del FileWatchSuite
