"""The suite accepts executors that are sound: one after another, on threads, and with values that are elsewhere."""

from __future__ import annotations

from odibi.testing.executor import ExecutorSuite
from odibi.testing.executor_work import StrictWork, give, node
from odibi.testing.reference.executor import SerialExecutor, TicketExecutor
from odibi.testing.zoo.executor import Crew


class TestSerialExecutor(ExecutorSuite):
    component = SerialExecutor


class TestCrew(ExecutorSuite):
    component = Crew


class TestTicketExecutor(ExecutorSuite):
    component = TicketExecutor


def test_a_serial_executor_says_what_it_ran() -> None:
    executor = SerialExecutor()
    executor.drain(StrictWork([node("a", give, value=1), node("b", give, value=2)]))  # type: ignore[arg-type]
    assert executor.ran == ["a", "b"]
