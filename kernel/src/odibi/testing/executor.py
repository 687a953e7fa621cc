"""Whether an executor keeps what its contract promises.

For the author of an executor::

    from odibi.testing.executor import ExecutorSuite


    class TestMyExecutor(ExecutorSuite):
        component = MyExecutor

        def options(self, place):
            return {"workers": 2}

One that runs tasks in other processes calls ``task.node.function`` there with the values behind ``task.inputs``, by
name, and with ``task.node.params``; it declares ``{"in_process": "none"}``, and what only a thread of this process can
do is then left out. It should have at least two workers, unless it declares ``{"parallel": "none"}``. Where a task
takes long to start, make :attr:`ExecutorSuite.many` and :attr:`ExecutorSuite.examples` smaller.

Needs pytest and hypothesis: ``pip install odibi-kernel[testing]``.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from odibi.contracts.executor import State
from odibi.testing import executor_work as does
from odibi.testing.component import TOGETHER, ComponentSuite, close, needs
from odibi.testing.executor_work import ERRORS, PATIENCE, StrictWork, marks, node, states

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from odibi.contracts.executor import Executor, Work
    from odibi.model import Node

__all__ = ["ExecutorSuite"]

SHAPES: Mapping[str, Mapping[str, Sequence[str]]] = {
    "none": {},
    "one": {"a": ""},
    "chain": {"a": "", "b": "a", "c": "b", "d": "c", "e": "d"},
    "fan out": {"a": "", "b": "a", "c": "a", "d": "a", "e": "a"},
    "fan in": {"a": "", "b": "", "c": "", "d": "abc"},
    "diamond": {"a": "", "b": "a", "c": "a", "d": "bc"},
    "two diamonds": {"a": "", "b": "a", "c": "a", "d": "bc", "e": "d", "f": "d", "g": "ef"},
    "comb": {"a": "", "b": "a", "c": "b", "d": "c", "w": "a", "x": "b", "y": "c", "z": "d"},
    "apart": {"a": "", "b": "a", "x": "", "y": "x"},
    "shortcut": {"a": "", "b": "a", "c": "ab", "d": "abc"},
}
"""Node to its inputs."""

VALUES: Mapping[str, Any] = {
    "None": None,
    "zero": 0,
    "false": False,
    "no text": "",
    "no items": [],
    "an error": ValueError("a value like any other"),
    "a class": ValueError,
    "a tuple": (1, (2, 3)),
    "a mapping": {"node": "a", "state": "failed"},
    "bytes": b"\x00\xff",
    "text": "日本語 \udc80",
    "a large number": 2**200,
}
"""Results that something might take for the lack of one, or for something else."""

_IN_A_SCRIPT = """
import importlib, json, sys
from odibi.testing.executor_work import StrictWork, node, total

def main():
    home, name, options, folder = json.loads(sys.argv[1])
    component = importlib.import_module(home)
    for part in name.split("."):
        component = getattr(component, part)
    executor = component(**options)
    for round_ in range(2):
        nodes = [node("a", total, folder=folder, name="a", weight=1)]
        nodes += [node(f"n{n}", total, "a", folder=folder, name=f"n{n}", weight=n) for n in range(8)]
        work = StrictWork(nodes)
        executor.drain(work)
        work.over()
        work.check()
        print(sum(executor.fetch(work.refs[each.name]) for each in nodes))
    executor.close()

if __name__ == "__main__":
    main()
"""


class ExecutorSuite(ComponentSuite):
    """Tests of one executor; see the module for how to use it."""

    family: ClassVar[str] = "executor"

    many: ClassVar[int] = 1000
    """Nodes of a large graph."""

    examples: ClassVar[int] = 25
    """Random graphs."""

    # --- what the tests use -----------------------------------------------------------------------------------------

    def drain(self, subject: Executor, work: StrictWork) -> BaseException | None:
        """Drain on a thread; it must come to an end, with everything reported. Returns what it raised."""
        raised = self.drain_loosely(subject, work)
        work.check()
        return raised

    def drain_loosely(self, subject: Executor, work: StrictWork) -> BaseException | None:
        """The same for work that raises, of which not everything can be reported."""
        raised: list[BaseException] = []

        def run() -> None:
            try:
                subject.drain(cast("Work", work))
            except BaseException as error:  # shown to the test, whatever it is
                raised.append(error)
            work.over()

        thread = threading.Thread(target=run, name="driver", daemon=True)
        thread.start()
        thread.join(PATIENCE)
        if thread.is_alive():
            work.stop()
            work.hint = 0  # so that one that goes by it does not spin beside the other tests
            pytest.fail(f"drain() has not returned after {PATIENCE:g} s; by then: {states(work)}")
        return raised[0] if raised else None

    def run(self, subject: Executor, *nodes: Node, **how: Any) -> StrictWork:
        """Drain these nodes; nothing may go wrong but what they raise themselves."""
        work = StrictWork(nodes, **how)
        raised = self.drain(subject, work)
        assert raised is None, f"drain() raised {raised!r}"
        assert work.abandoned is None, f"it has abandoned its work: {work.abandoned!r}"
        return work

    def values(self, subject: Executor, work: StrictWork) -> dict[str, Any]:
        """What the nodes' references stand for."""
        return {name: subject.fetch(ref) for name, ref in work.refs.items()}

    # --- graphs -----------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("shape", SHAPES)
    def test_every_node_gets_the_values_of_its_inputs(self, subject: Executor, place: Path, shape: str) -> None:
        """Each is run once, after its inputs, and reported once."""
        self._check(subject, _graph(place, {name: list(inputs) for name, inputs in SHAPES[shape].items()}), place)

    def test_random_graphs(self, subject: Executor, place: Path) -> None:
        """Of up to twelve nodes, beside the same sums without an executor."""
        numbers = itertools.count()

        @settings(max_examples=self.examples, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.lists(st.lists(st.integers(0, 30), max_size=4), max_size=12))
        def law(picks: list[list[int]]) -> None:
            folder = place / str(next(numbers))
            folder.mkdir()
            graph = {"n0": list[str]()} if picks else {}
            for at, few in enumerate(picks[1:], 1):
                graph[f"n{at}"] = [f"n{n}" for n in sorted({pick % at for pick in few})]
            self._check(subject, _graph(folder, graph), folder)

        law()

    def _check(self, subject: Executor, nodes: Sequence[Node], folder: Path) -> None:
        work = self.run(subject, *nodes)
        assert work.finished()
        assert set(states(work).values()) <= {"succeeded"}, {n: o.error for n, o in work.outcomes.items() if o.error}
        assert len(work.taken) == len(nodes)
        assert self.values(subject, work) == _expected(nodes)
        assert {each.name: marks(folder, each.name) for each in nodes} == {each.name: 1 for each in nodes}

    def test_a_wide_graph(self, subject: Executor, place: Path) -> None:
        """More ready nodes than anybody has workers."""
        graph = {"a": [], **{f"n{at}": ["a"] for at in range(60)}, "z": [f"n{at}" for at in range(60)]}
        self._check(subject, _graph(place, graph), place)

    def test_a_long_chain(self, subject: Executor) -> None:
        """Each node hands its worker the next: no depth of calls may come of it."""
        nodes = [node("n0", does.give, value=1)]
        nodes += [node(f"n{at}", does.same, f"n{at - 1}") for at in range(1, self.many)]
        work = self.run(subject, *nodes)
        assert subject.fetch(work.refs[f"n{self.many - 1}"]) == 1
        assert len(work.taken) == self.many

    def test_many_nodes(self, subject: Executor) -> None:
        """None is lost and none is doubled among many short ones."""
        nodes = [node(f"n{at}", does.give, value=at) for at in range(self.many)]
        work = self.run(subject, *nodes)
        assert self.values(subject, work) == {f"n{at}": at for at in range(self.many)}
        assert [task.attempt for task in work.taken] == [1] * self.many

    # --- values -----------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("name", VALUES)
    def test_a_value_is_a_value(self, subject: Executor, name: str) -> None:
        """Whatever it is, ``None`` and errors included: it is handed on, and can be fetched."""
        work = self.run(subject, node("a", does.give, value=VALUES[name]), node("b", does.same, "a"))
        assert states(work) == {"a": "succeeded", "b": "succeeded"}
        for each in ("a", "b"):
            found = subject.fetch(work.refs[each])
            assert type(found) is type(VALUES[name])
            assert repr(found) == repr(VALUES[name])

    def test_large_values(self, subject: Executor) -> None:
        """Of some megabytes, through a chain and beside each other, to the byte."""
        data = [hashlib.sha256(bytes([at])).digest() * 100_000 for at in range(3)]
        nodes = [node(f"a{at}", does.give, value=each) for at, each in enumerate(data)]
        nodes += [node(f"b{at}", does.same, f"a{at}") for at in range(3)]
        work = self.run(subject, *nodes)
        for at, each in enumerate(data):
            assert subject.fetch(work.refs[f"a{at}"]) == each
            assert subject.fetch(work.refs[f"b{at}"]) == each

    def test_closures(self, subject: Executor) -> None:
        """Functions that are made where they are used: of them pipelines in Python consist."""
        factor = 7

        def scaled(a: int) -> int:
            return a * factor

        work = self.run(subject, node("a", lambda: 6), node("b", scaled, "a"), node("c", partial(_minus, take=2), "b"))
        assert self.values(subject, work) == {"a": 6, "b": 42, "c": 40}

    def test_a_value_can_be_fetched_again(self, subject: Executor) -> None:
        """And in any order, also after the executor has drained other work."""
        first = self.run(subject, *[node(f"n{at}", does.give, value=[at]) for at in range(5)])
        assert [subject.fetch(first.refs[f"n{at}"]) for at in reversed(range(5))] == [[4], [3], [2], [1], [0]]
        second = self.run(subject, *[node(f"n{at}", does.give, value=[-at]) for at in range(5)])
        for work, sign in ((second, -1), (first, 1), (second, -1)):
            assert self.values(subject, work) == {f"n{at}": [sign * at] for at in range(5)}

    @needs("in_process")
    def test_a_value_in_this_process_is_not_copied(self, subject: Executor) -> None:
        """It need not be one that can be sent: a lock, an open file, a connection."""
        lock = threading.Lock()
        work = self.run(subject, node("a", lambda: lock), node("b", does.same, "a"))
        assert subject.fetch(work.refs["a"]) is lock
        assert subject.fetch(work.refs["b"]) is lock

    # --- failures ---------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("name", ERRORS)
    def test_an_error_is_an_outcome(self, subject: Executor, place: Path, name: str) -> None:
        """Of whatever class, with its message: the executor goes on, as does what does not need the node."""
        work = self.run(
            subject,
            node("bad", does.fail, folder=str(place), name="bad", error=name),
            node("after", does.note, "bad", folder=str(place), name="after"),
            node("good", does.note, folder=str(place), name="good"),
            node("more", does.note, "good", folder=str(place), name="more"),
        )
        assert states(work) == {"bad": "failed", "after": "skipped", "good": "succeeded", "more": "succeeded"}
        error = work.outcomes["bad"].error
        assert isinstance(error, ERRORS[name]), f"{name} has become {error!r}"
        assert "bad went wrong" in str(error)
        assert {each: marks(place, each) for each in ("bad", "after", "good", "more")} == {
            "bad": 1,
            "after": 0,
            "good": 1,
            "more": 1,
        }

    def test_what_needs_a_failed_node_is_never_run(self, subject: Executor, place: Path) -> None:
        """However far behind it; all else is."""
        graph = {"a": [], "b": ["a"], "c": ["b"], "d": ["c", "x"], "x": [], "y": ["x"]}
        nodes = [
            each if each.name != "b" else node("b", does.fail, "a", folder=str(place), name="b", error="ValueError")
            for each in _graph(place, graph)
        ]
        work = self.run(subject, *nodes)
        wanted = {"a": "succeeded", "b": "failed", "c": "skipped", "d": "skipped", "x": "succeeded", "y": "succeeded"}
        assert states(work) == wanted
        assert {name: marks(place, name) for name in graph} == {"a": 1, "b": 1, "c": 0, "d": 0, "x": 1, "y": 1}

    def test_many_failures(self, subject: Executor, place: Path) -> None:
        """As many as there are nodes: no worker is lost with its node."""
        names = [f"n{at}" for at in range(40)]
        nodes = [node(name, does.fail, folder=str(place), name=name, error=error) for name, error in _errors(names)]
        work = self.run(subject, *nodes)
        assert states(work) == dict.fromkeys(names, "failed")
        assert all(f"{name} went wrong" in str(outcome.error) for name, outcome in work.outcomes.items())

    def test_nothing_is_started_once_the_work_stops(self, subject: Executor, place: Path) -> None:
        """After a failure that ends the run: ``take`` gives nothing more, and what was taken is reported."""
        nodes = [node("bad", does.fail, folder=str(place), name="bad", error="ValueError")]
        nodes += [node(f"n{at}", does.note, folder=str(place), name=f"n{at}") for at in range(30)]
        work = self.run(subject, *nodes, fail_fast=True)
        assert states(work)["bad"] == "failed"
        for each in nodes:
            run = sum(task.node is each for task in work.taken)
            assert marks(place, each.name) == run <= 1

    def test_a_task_that_is_tried_again(self, subject: Executor, place: Path) -> None:
        """A retry that is not due yet is work that is left: the executor waits for it, though nothing else is there."""
        work = self.run(
            subject,
            node("a", does.fail_at_first, folder=str(place), name="a", times=2),
            node("b", does.same, "a"),
            node("c", does.fail_at_first, folder=str(place), name="c", times=9),
            node("d", does.same, "c"),
            retries={"a": 3, "c": 1},
            delay=0.1,
        )
        assert states(work) == {"a": "succeeded", "b": "succeeded", "c": "failed", "d": "skipped"}
        assert (subject.fetch(work.refs["b"]), marks(place, "a"), marks(place, "c")) == (3, 3, 2)
        assert [task.attempt for task in work.taken if task.node.name == "a"] == [1, 2, 3]

    # --- drain ------------------------------------------------------------------------------------------------------

    def test_nothing_to_do(self, subject: Executor) -> None:
        """Drain returns at once."""
        assert self.run(subject).taken == []

    def test_it_drains_again_and_again(self, subject: Executor, place: Path) -> None:
        """One piece of work after another, failed ones in between; none of them knows of the others."""
        for round_ in range(6):
            folder = place / str(round_)
            folder.mkdir()
            if round_ % 2:
                work = self.run(subject, node("bad", does.fail, folder=str(folder), name="bad", error="SystemExit"))
                assert states(work) == {"bad": "failed"}
            self._check(subject, _graph(folder, {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}), folder)

    @pytest.mark.parametrize("hint", [0, 1_000_000])
    def test_what_ready_says_is_a_hint(self, subject: Executor, place: Path, hint: int) -> None:
        """With too little and with too much all is run, and no more workers than the executor has."""
        before = threading.active_count()
        graph = {"a": [], **{f"n{at}": ["a"] for at in range(20)}}
        work = self.run(subject, *_graph(place, graph), hint=hint)
        assert len(work.refs) == 21
        assert threading.active_count() < before + 200

    def test_nothing_runs_once_drain_has_returned(self, subject: Executor, place: Path) -> None:
        """What was started is waited for, though the work has stopped meanwhile; nothing is taken or reported later."""
        work: StrictWork

        def stop_soon() -> None:
            work.stop()
            does.note(str(place), "end")

        local = self.capability("in_process").is_there
        nodes = [node("a", stop_soon)] if local else [node("a", does.note, folder=str(place), name="end")]
        nodes += [node(f"n{at}", does.note, folder=str(place), name=f"n{at}") for at in range(10)]
        work = StrictWork(nodes)
        assert self.drain(subject, work) is None
        assert marks(place, "end") == 1
        count, taken = len(list(place.iterdir())), len(work.taken)
        self.run(subject, node("a", does.give, value=1))
        assert (len(list(place.iterdir())), len(work.taken)) == (count, taken)
        work.check()

    @needs("in_process")
    def test_work_that_stops_while_a_task_runs(self, subject: Executor) -> None:
        """Somebody else cancels the run: the task that runs is reported, and drain returns."""
        begun, go_on = threading.Event(), threading.Event()

        def slow() -> str:
            begun.set()
            assert go_on.wait(PATIENCE)
            return "done"

        work = StrictWork([node("a", slow), node("b", does.same, "a")])

        def cancel() -> None:
            begun.wait(PATIENCE)
            work.stop()
            go_on.set()

        canceller = threading.Thread(target=cancel, daemon=True)
        canceller.start()
        assert self.drain(subject, work) is None
        canceller.join(PATIENCE)
        assert states(work) == {"a": "succeeded"}
        assert subject.fetch(work.refs["a"]) == "done"

    @needs("in_process")
    def test_work_that_is_abandoned_while_a_task_runs(self, subject: Executor) -> None:
        """By whoever finds that it cannot go on: nothing more is taken, and drain returns."""
        work: StrictWork

        def give_up() -> str:
            work.abandon(RuntimeError("no more"))
            return "done"

        work = StrictWork([node("a", give_up), *(node(f"n{at}", does.same, "a") for at in range(10))])
        self.drain(subject, work)
        assert states(work) == {"a": "succeeded"}

    @pytest.mark.parametrize("call", ["take", "report"])
    @pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
    @pytest.mark.parametrize("at", [1, 2, 5])
    def test_a_queue_that_fails_ends_the_drain(
        self, subject: Executor, call: str, error: type[BaseException], at: int
    ) -> None:
        """A journal on a full disk, or Ctrl-C: it is raised or handed to ``abandon``, and no worker is left waiting."""
        calls = itertools.count(1)

        def trip(made: str) -> None:
            if made == call and next(calls) == at:
                raise error("no space left on device")

        work = StrictWork([node(f"n{n}", does.give, value=n) for n in range(20)], trip=trip)
        raised = self.drain_loosely(subject, work)
        if next(calls) <= at:
            work.check()  # it never called it so often
            return
        assert error in (type(raised), type(work.abandoned)), f"{error.__name__} has been swallowed"
        unreported = [what for what in work.wrong if not what.startswith("never reported")]
        assert not unreported, unreported
        after = self.run(subject, node("a", does.give, value=1))
        assert subject.fetch(after.refs["a"]) == 1

    @needs("in_process")
    @pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="declared: this system has no signals for threads")
    def test_an_interrupt_lets_what_runs_finish(self, subject: Executor) -> None:
        """Ctrl-C in the thread that drains, whatever that waits for: drain returns once what runs has ended."""
        driver = threading.main_thread()
        if threading.current_thread() is not driver:
            pytest.skip("declared: the test does not run in the main thread, which alone is interrupted")
        one_alone, begun, returned = threading.Lock(), threading.Event(), threading.Event()
        left_behind: list[bool] = []

        def interrupt() -> None:
            if threading.current_thread() is driver:
                # The other worker interrupts, while this thread has nothing to do but to wait for it.
                if begun.wait(1.0):
                    raise ValueError("the end of the run")
                signal.raise_signal(signal.SIGINT)
                return
            if one_alone.acquire(blocking=False):
                begun.set()
                until = time.monotonic() + 1.0
                while not work.outcomes and time.monotonic() < until:
                    time.sleep(0.01)
                returned.wait(0.1)
                signal.pthread_kill(driver.ident or 0, signal.SIGINT)
                left_behind.append(returned.wait(0.3))

        work = StrictWork([node("a", interrupt), node("b", interrupt)], fail_fast=True)
        error: BaseException | None = None
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            try:
                subject.drain(cast("Work", work))
            except KeyboardInterrupt as raised:
                error = raised
            returned.set()
            work.over()
        finally:
            signal.signal(signal.SIGINT, before)
        work.check()
        assert not any(left_behind), "drain() has returned while a task runs"
        assert isinstance(error or work.abandoned or work.interrupted, KeyboardInterrupt), "it has been swallowed"

    # --- at once ----------------------------------------------------------------------------------------------------

    @needs("parallel")
    def test_two_tasks_run_at_once(self, subject: Executor, place: Path) -> None:
        """Each waits for the other."""
        work = self.run(subject, *[node(f"n{at}", does.meet, folder=str(place), name=str(at), count=2) for at in "ab"])
        assert self.values(subject, work) == {"na": True, "nb": True}

    @needs("parallel")
    def test_tasks_that_become_ready_run_at_once(self, subject: Executor, place: Path) -> None:
        """Workers that had nothing to do come when there is something, also in the second piece of work."""
        for round_ in range(2):
            folder = place / str(round_)
            folder.mkdir()
            nodes = [node("n0", does.give, value=0)]
            nodes += [node(f"n{at}", does.same, f"n{at - 1}") for at in range(1, 6)]
            nodes += [node(each, does.meet, "n5", folder=str(folder), name=each, count=2) for each in "ab"]
            work = self.run(subject, *nodes)
            assert [subject.fetch(work.refs[each]) for each in "ab"] == [True, True]

    @needs("parallel")
    def test_a_long_task_does_not_hold_up_others(self, subject: Executor, place: Path) -> None:
        """There is no level: a chain is run to its end beside one node that lasts."""
        folder = str(place)
        nodes = [node("long", does.wait_for, folder=folder, name="end"), node("n0", does.give, value=0)]
        nodes += [node(f"n{at}", does.same, f"n{at - 1}") for at in range(1, 8)]
        nodes.append(node("end", does.note, "n7", folder=folder, name="end"))
        work = self.run(subject, *nodes)
        assert subject.fetch(work.refs["long"]) is True

    @needs("parallel")
    def test_a_failure_does_not_cost_a_worker(self, subject: Executor, place: Path) -> None:
        """After many nodes that failed, in ways that end threads and processes too, two still run at once."""
        folder, bad = str(place), [f"bad{at}" for at in range(24)]
        nodes = [node(name, does.fail, folder=folder, name=name, error=error) for name, error in _errors(bad)]
        nodes += [node(f"n{at}", does.meet, folder=folder, name=str(at), count=2) for at in "ab"]
        work = self.run(subject, *nodes)
        assert self.values(subject, work) == {"na": True, "nb": True}

    # --- the kernel's queue -----------------------------------------------------------------------------------------

    @needs("in_process")
    def test_it_runs_a_pipeline(self, subject: Executor) -> None:
        """With the kernel's own queue, retries and outcomes."""
        import odibi
        from odibi.host import Host
        from odibi.model import OnError

        tries = itertools.count(1)

        def flaky(a: int) -> int:
            if next(tries) < 3:
                raise ConnectionError("not yet")
            return a + 1

        def bad(a: int) -> None:
            raise ValueError(f"not {a}")

        again = odibi.Retry(max_attempts=3, delay=0.01)
        pipeline = odibi.Pipeline(
            "kit",
            [
                odibi.Node("a", function=lambda: 1),
                odibi.Node("b", depends_on=("a",), function=flaky, retry=again),
                odibi.Node("c", depends_on=("a",), function=bad),
                odibi.Node("d", depends_on=("c",), function=does.same),
                odibi.Node("e", depends_on=("a", "b"), function=lambda a, b: a * 10 + b),
            ],
            on_error=OnError.FAIL_LATER,
            host=Host(plugins=[], discover=False),
        )
        for _ in range(2):
            result = pipeline.run(executor=subject, check=False)
            found = {name: outcome.state for name, outcome in result.outcomes.items()}
            assert result["e"] == 12
            good = dict.fromkeys("abe", State.SUCCEEDED)
            assert found == {**good, "c": State.FAILED, "d": State.SKIPPED}
            assert "not 1" in str(result.outcomes["c"].error)

    # --- the end ----------------------------------------------------------------------------------------------------

    def test_it_can_be_closed_after_work(self, place: Path) -> None:
        """Twice; also after work that failed, or that raised."""

        def trip(made: str) -> None:
            if made == "report":
                raise OSError("no space left on device")

        for how in ("good", "failed", "raised"):
            subject = self.make(place)
            error = "SystemExit" if how == "failed" else "ValueError"
            nodes = [node("a", does.give, value=1)]
            if how == "failed":
                nodes = [node("a", does.fail, folder=str(place), name="a", error=error)]
            self.drain_loosely(subject, StrictWork(nodes, trip=trip if how == "raised" else None))
            close(subject)
            close(subject)

    def test_no_worker_is_left_once_it_is_closed(self, place: Path) -> None:
        """No thread that keeps the process from ending."""
        before = set(threading.enumerate())
        subject = self.make(place)
        graph = {"a": [], **{f"n{at}": ["a"] for at in range(20)}}
        work = StrictWork(_graph(place, graph))
        subject.drain(cast("Work", work))  # here: threads that a daemon starts are daemons
        work.over()
        work.check()
        close(subject)
        deadline = time.monotonic() + PATIENCE
        while left := [each for each in threading.enumerate() if each not in before and not each.daemon]:
            assert time.monotonic() < deadline, f"threads are left: {left}"
            left[0].join(0.1)

    def test_a_script_that_uses_it_comes_to_an_end(self, place: Path) -> None:
        """By itself, with exit code 0, having printed nothing of the executor's."""
        script = place / "script.py"
        script.write_text(_IN_A_SCRIPT)
        options = dict(self.options(place))
        what = json.dumps([self.component.__module__, self.component.__qualname__, options, str(place)])
        done = subprocess.run(  # noqa: S603 - our own interpreter
            [sys.executable, str(script), what],
            capture_output=True,
            check=False,
            text=True,
            timeout=TOGETHER,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        assert (done.returncode, done.stdout) == (0, "45\n45\n"), done.stderr


def _graph(folder: Path, graph: Mapping[str, Sequence[str]]) -> list[Node]:
    """Nodes that add up their inputs, in an order in which each comes after them."""
    found: dict[str, Node] = {}
    while len(found) < len(graph):
        for at, (name, inputs) in enumerate(graph.items()):
            if name not in found and all(each in found for each in inputs):
                found[name] = node(name, does.total, *inputs, folder=str(folder), name=name, weight=at + 1)
    return list(found.values())


def _expected(nodes: Sequence[Node]) -> dict[str, int]:
    """Their sums."""
    sums: dict[str, int] = {}
    for each in nodes:
        weight = each.params["weight"]
        inputs = {name: sums[name] for name in each.depends_on}
        sums[each.name] = does.add_up(weight, inputs)
    return sums


def _minus(b: int, take: int) -> int:
    return b - take


def _errors(names: Sequence[str]) -> list[tuple[str, str]]:
    return list(zip(names, itertools.cycle(ERRORS), strict=False))
