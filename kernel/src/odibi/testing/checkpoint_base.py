"""What the tests of checkpoint stores share: stores, other processes that have one, and records."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from odibi.testing.component import ComponentSuite, together

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from odibi.contracts.checkpoint import CheckpointStore

NAMES = (
    "etl",
    "etl_daily",
    "etl_",
    "ETL",
    "e%",
    "%",
    "_tl",
    "etl ",
    "",
    "etl'; DROP TABLE runs; --",
    '"etl"',
    "../etl",
    "etl/daily",
    "etl\\daily",
    "*",
    "[a-z]tl",
    "é",
    "e\u0301",
    "日本語 🚀",
    "two\nlines",
    "x" * 300,
)
"""Names that something might take for one another, or for something else than a name."""

ENDS = ("succeeded", "failed", "cancelled")


def result(node: str, value: Any = 0, **more: Any) -> dict[str, Any]:
    """A record that is a node's result."""
    return {"node": node, "fingerprint": f"{value}", "value": value, **more}


def in_threads(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """What the calls return, made at the same time by a thread each; raises what one of them raised."""
    results = together(*calls)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


class CheckpointBase(ComponentSuite):
    """What a plugin says of its store, and what the tests use."""

    family = "checkpoint"

    patience: ClassVar[float] = 30.0
    """Seconds within which the store must notice that a process is dead."""

    # --- what a subclass says ---------------------------------------------------------------------------------------

    def process_code(self, place: Path) -> str:
        """Python statements that, in another process, bind ``store`` to one more handle on the data in ``place``."""
        options = json.dumps(dict(self.options(place)))
        home, name = self.component.__module__, self.component.__qualname__
        return f"import json, {home}\nstore = {home}.{name}(**json.loads({options!r}))"

    # --- what the tests use -----------------------------------------------------------------------------------------

    @pytest.fixture
    def store(self, subject: CheckpointStore) -> CheckpointStore:
        """A store."""
        return subject

    @pytest.fixture
    def other(self, place: Path) -> Iterator[CheckpointStore]:
        """Another handle on the same data."""
        store = self.make(place)
        yield store
        store.close()

    @contextmanager
    def process(self, place: Path, code: str) -> Iterator[subprocess.Popen[str]]:
        """Another process that runs ``code`` with a ``store``; it is killed at the end if it still runs."""
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        process = subprocess.Popen(  # noqa: S603 - our own code
            [sys.executable, "-c", f"{self.process_code(place)}\n{code}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    @contextmanager
    def holder(self, place: Path, pipeline: str, code: str = "") -> Iterator[subprocess.Popen[str]]:
        """Another process that holds the lock of ``pipeline``, has then run ``code``, and waits."""
        taken = f"lock = store.lock({pipeline!r})\n{code}\nprint('held', flush=True)\ninput()"
        with self.process(place, taken) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n", "the other process does not get the lock"
            yield process

    def until(self, is_so: Callable[[], bool], what: str) -> None:
        """Wait for something that must come true by itself."""
        deadline = time.monotonic() + self.patience
        while not is_so():
            assert time.monotonic() < deadline, f"after {self.patience} s: {what}"
            time.sleep(0.01)
