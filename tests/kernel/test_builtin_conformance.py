"""The kernel's own components keep what their contracts promise."""

from __future__ import annotations

from pathlib import Path

from odibi.run.executors import InlineExecutor, ThreadsExecutor
from odibi.testing.executor import ExecutorSuite


class TestInlineExecutor(ExecutorSuite):
    component = InlineExecutor


class TestThreadsExecutor(ExecutorSuite):
    component = ThreadsExecutor

    def options(self, place: Path) -> dict[str, object]:
        return {"workers": 4}
