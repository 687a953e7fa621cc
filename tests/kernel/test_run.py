"""Runs: who runs when, with what, and what becomes of it."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import odibi
from odibi.contracts.executor import State
from odibi.errors import GraphError, NodeTimeout, RunFailed, Transient
from odibi.events import NodeFinished, NodeRetried, NodeStarted, PluginFailed, RunFinished, RunStarted
from odibi.host import Host
from odibi.model import Backoff, OnError
from odibi.run.run import new_run_id

Make = Callable[..., odibi.Pipeline]
LONG = 30.0
"""Seconds after which a test that waits for another thread gives up."""


def boom(*_: Any) -> None:
    raise ValueError("boom")


def states(result: Any) -> dict[str, str]:
    return {name: outcome.state.value for name, outcome in result.outcomes.items()}


# --- values ---------------------------------------------------------------------------------------------------------


def test_values_flow_by_name(pipeline: Make) -> None:
    @odibi.node
    def a() -> int:
        return 2

    @odibi.node(params={"factor": 10})
    def b(a: int, factor: int) -> int:
        return a * factor

    @odibi.node(arguments={"left": "a", "right": "b"})
    def c(left: int, right: int, sign: int = -1) -> int:
        return sign * (left + right)

    result = pipeline(a, b, c).run()
    assert result["c"] == -22
    assert result.ok
    assert states(result) == {"a": "succeeded", "b": "succeeded", "c": "succeeded"}
    assert a() == 2, "a decorated function is still the function"


def test_an_input_that_is_no_parameter_only_orders(pipeline: Make) -> None:
    seen: list[str] = []
    first = odibi.Node("first", function=lambda: seen.append("first"))

    @odibi.node(depends_on=["first"])
    def second() -> None:
        seen.append("second")

    pipeline(second, first).run(workers=4)
    assert seen == ["first", "second"]


def test_keyword_only_parameters_and_context_are_served_by_name(bare_host: Host) -> None:
    @odibi.node
    def a() -> int:
        return 1

    @odibi.node(params={"extra": 5})
    def b(*, a: int, extra: int) -> int:
        return a + extra

    assert odibi.Pipeline("p", [a, b], engine=None, host=bare_host).run()["b"] == 6


def test_given_values_stand_for_nodes_and_for_names_that_no_node_makes(pipeline: Make) -> None:
    @odibi.node
    def a() -> int:
        raise AssertionError("not to be run")

    @odibi.node
    def b(a: int, rate: int) -> int:
        return a * rate

    result = pipeline(a, b).run(inputs={"a": 3, "rate": 4})
    assert result["b"] == 12
    assert list(result.outcomes) == ["b"]
    with pytest.raises(GraphError, match="it depends on 'rate', which is no node"):
        pipeline(a, b).run(inputs={"a": 3})


def test_only_what_was_asked_for_is_kept(pipeline: Make) -> None:
    @odibi.node
    def a() -> str:
        return "a"

    @odibi.node
    def b(a: str) -> str:
        return a + "b"

    result = pipeline(a, b).run()
    assert dict(result.values) == {"b": "ab"}
    with pytest.raises(KeyError, match="let go after its last reader"):
        result["a"]
    with pytest.raises(KeyError, match="no node of this run"):
        result["x"]
    assert dict(pipeline(a, b).run(targets=["a", "b"]).values) == {"a": "a", "b": "ab"}


class Frame:
    """Something that can be watched as it goes."""


def test_a_value_is_let_go_after_its_last_reader(pipeline: Make) -> None:
    seen: list[weakref.ref[Frame]] = []
    alive_at_end: list[bool] = []

    def make() -> Frame:
        frame = Frame()
        seen.append(weakref.ref(frame))
        return frame

    nodes = [odibi.Node("a", function=make)]
    nodes.append(odibi.Node("b", depends_on=("a",), function=lambda a: 1))
    nodes.append(odibi.Node("c", depends_on=("a", "b"), function=lambda a, b: 2))

    def last(c: int) -> None:
        gc.collect()
        alive_at_end.append(seen[0]() is not None)

    nodes.append(odibi.Node("d", depends_on=("c",), function=last))
    pipeline(*nodes).run(workers=1)
    assert alive_at_end == [False]


# --- order and workers ----------------------------------------------------------------------------------------------


def test_there_is_no_level_barrier(pipeline: Make) -> None:
    """``slow`` ends only once a node two levels further down has run."""
    release = threading.Event()

    @odibi.node
    def slow() -> bool:
        return release.wait(LONG)

    @odibi.node
    def quick() -> int:
        return 1

    @odibi.node
    def after(quick: int) -> int:
        return quick + 1

    @odibi.node
    def opens(after: int) -> None:
        release.set()

    assert pipeline(slow, quick, after, opens).run(workers=2)["slow"] is True


def test_as_many_nodes_run_at_once_as_there_are_workers(pipeline: Make) -> None:
    meeting = threading.Barrier(4)
    nodes = [odibi.Node(f"n{at}", function=lambda: meeting.wait(LONG)) for at in range(8)]
    assert pipeline(*nodes).run(workers=4).ok


def test_all_idle_workers_come_back_when_there_is_work_for_all(pipeline: Make) -> None:
    first, second = threading.Barrier(4), threading.Barrier(4)
    before = [odibi.Node(f"a{at}", function=lambda: first.wait(LONG)) for at in range(4)]
    middle = odibi.Node("middle", depends_on=tuple(node.name for node in before), function=lambda *_: None)
    after = [odibi.Node(f"b{at}", depends_on=("middle",), function=lambda middle: second.wait(LONG)) for at in range(4)]
    assert pipeline(*before, middle, *after).run(workers=4).ok


def test_no_more_nodes_run_at_once_than_there_are_workers(pipeline: Make) -> None:
    lock = threading.Lock()
    now = [0]
    most = [0]
    pause = threading.Event()

    def body() -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        pause.wait(0.002)
        with lock:
            now[0] -= 1

    pipeline(*[odibi.Node(f"n{at}", function=body) for at in range(40)]).run(workers=3)
    assert 1 <= most[0] <= 3


def test_one_worker_takes_the_longest_remaining_path_first(pipeline: Make) -> None:
    ran: list[str] = []

    def note(name: str) -> Callable[..., None]:
        return lambda *_: ran.append(name)

    nodes = [odibi.Node(f"leaf{at}", function=note(f"leaf{at}")) for at in range(3)]
    for at in range(4):
        nodes.append(odibi.Node(f"c{at}", depends_on=(f"c{at - 1}",) if at else (), function=note(f"c{at}")))
    pipeline(*nodes).run(workers=1)
    assert ran == ["c0", "c1", "c2", "leaf0", "leaf1", "leaf2", "c3"]


def test_a_chain_stays_on_the_thread_that_began_it(pipeline: Make) -> None:
    threads: set[int] = set()

    def body(*_: Any) -> None:
        threads.add(threading.get_ident())

    nodes = [odibi.Node(f"n{at}", depends_on=(f"n{at - 1}",) if at else (), function=body) for at in range(200)]
    pipeline(*nodes).run(workers=8)
    assert threads == {threading.get_ident()}


def test_no_thread_outlives_a_run(pipeline: Make) -> None:
    before = set(threading.enumerate())
    pipeline(*[odibi.Node(f"n{at}", function=lambda: None) for at in range(50)]).run(workers=8)
    assert set(threading.enumerate()) == before


def test_the_inline_executor_runs_everything_in_the_calling_thread(pipeline: Make) -> None:
    threads: set[int] = set()
    nodes = [odibi.Node(f"n{at}", function=lambda: threads.add(threading.get_ident())) for at in range(5)]
    pipeline(*nodes).run(executor="inline")
    assert threads == {threading.get_ident()}


def test_a_hundred_thousand_nodes_in_a_chain_run(pipeline: Make) -> None:
    count = 100_000

    def add(value: int = 0) -> int:
        return value + 1

    nodes = [
        odibi.Node(f"n{at}", depends_on=(f"n{at - 1}",) if at else (), arguments={"value": f"n{at - 1}"}, function=add)
        for at in range(count)
    ]
    assert pipeline(*nodes).run(workers=8)[f"n{count - 1}"] == count


@st.composite
def runs(draw: st.DrawFn) -> tuple[list[tuple[int, ...]], dict[int, OnError], set[int], int]:
    count = draw(st.integers(1, 20))
    inputs = [tuple(sorted(draw(st.sets(st.integers(0, at - 1), max_size=3)))) if at else () for at in range(count)]
    failing = draw(st.sets(st.integers(0, count - 1), max_size=3))
    on_error = {at: draw(st.sampled_from([OnError.FAIL_LATER, OnError.IGNORE])) for at in failing}
    return inputs, on_error, failing, draw(st.integers(1, 6))


@settings(max_examples=60, deadline=None)
@given(runs())
def test_every_node_gets_the_outcome_and_the_value_that_a_plain_loop_gives(
    case: tuple[list[tuple[int, ...]], dict[int, OnError], set[int], int],
) -> None:
    inputs, on_error, failing, workers = case
    calls: Counter[int] = Counter()

    def body(at: int) -> Callable[..., int]:
        def run(*values: int) -> int:
            calls[at] += 1
            if at in failing:
                raise ValueError(at)
            return at + sum(values)

        return run

    nodes = [
        odibi.Node(
            f"n{at}", depends_on=tuple(f"n{slot}" for slot in slots), function=body(at), on_error=on_error.get(at)
        )
        for at, slots in enumerate(inputs)
    ]
    pipe = odibi.Pipeline("p", nodes, engine=None, host=Host(discover=False))
    result = pipe.run(workers=workers, targets=[f"n{at}" for at in range(len(nodes))], check=False)

    expected: dict[int, str] = {}
    value: dict[int, int] = {}
    for at, slots in enumerate(inputs):
        if any(expected[slot] != "succeeded" for slot in slots):
            expected[at] = "skipped"
        elif at in failing:
            expected[at] = "failed"
        else:
            expected[at] = "succeeded"
            value[at] = at + sum(value[slot] for slot in slots)
    assert states(result) == {f"n{at}": state for at, state in expected.items()}
    assert dict(result.values) == {f"n{at}": item for at, item in value.items()}
    assert calls == Counter(at for at, state in expected.items() if state != "skipped")
    failed_for_good = [at for at in failing if expected[at] == "failed" and on_error[at] is OnError.FAIL_LATER]
    assert result.state == ("failed" if failed_for_good else "succeeded")


# --- failures -------------------------------------------------------------------------------------------------------


def failing(on_error: OnError | None) -> list[odibi.Node]:
    return [
        odibi.Node("bad", function=boom, on_error=on_error),
        odibi.Node("child", depends_on=("bad",), function=lambda bad: 1),
        odibi.Node("grandchild", depends_on=("child",), function=lambda child: 1),
        odibi.Node("other", function=lambda: 1),
        odibi.Node("later", depends_on=("other",), function=lambda other: 1),
    ]


def test_fail_fast_starts_nothing_more(pipeline: Make) -> None:
    result = pipeline(*failing(None)).run(workers=1, check=False)
    assert result.state == "failed"
    assert states(result) == {
        "bad": "failed",
        "child": "skipped",
        "grandchild": "skipped",
        "other": "cancelled",
        "later": "cancelled",
    }
    assert result.outcomes["child"].reason == "'bad', which it needs, failed"
    assert result.outcomes["other"].reason == "the run ended before it started"


def test_fail_fast_lets_running_nodes_finish(pipeline: Make) -> None:
    failed = threading.Event()
    started = threading.Event()

    class Watch:
        def handle(self, event: Any) -> None:
            if isinstance(event, NodeFinished) and event.node == "bad":
                failed.set()

    @odibi.node
    def running() -> str:
        started.set()
        assert failed.wait(LONG)
        return "done"

    @odibi.node
    def bad() -> None:
        assert started.wait(LONG)
        raise ValueError("boom")

    result = pipeline(running, bad).run(workers=2, check=False, observers=[Watch()])
    assert states(result) == {"running": "succeeded", "bad": "failed"}


def test_fail_later_goes_on_with_what_does_not_need_the_node(pipeline: Make) -> None:
    result = pipeline(*failing(OnError.FAIL_LATER)).run(check=False)
    assert result.state == "failed"
    assert states(result) == {
        "bad": "failed",
        "child": "skipped",
        "grandchild": "skipped",
        "other": "succeeded",
        "later": "succeeded",
    }


def test_an_ignored_failure_does_not_fail_the_run(pipeline: Make) -> None:
    result = pipeline(*failing(OnError.IGNORE)).run()
    assert result.ok
    assert result.ignored == {"bad"}
    assert states(result)["grandchild"] == "skipped"
    assert states(result)["later"] == "succeeded"


def test_a_failed_run_raises_with_its_cause_and_its_result(pipeline: Make) -> None:
    with pytest.raises(RunFailed, match="pipeline 'p': node 'bad' failed: boom") as caught:
        pipeline(odibi.Node("bad", function=boom)).run()
    assert isinstance(caught.value.__cause__, ValueError)
    assert caught.value.result.outcomes["bad"].state is State.FAILED  # type: ignore[attr-defined]
    assert caught.value.exit_code == 1


def test_a_node_that_exits_fails_alone(pipeline: Make) -> None:
    def leave() -> None:
        raise SystemExit(3)

    nodes = [odibi.Node("leaves", function=leave, on_error=OnError.FAIL_LATER), odibi.Node("other", function=int)]
    result = pipeline(*nodes).run(check=False, workers=2)
    assert states(result) == {"leaves": "failed", "other": "succeeded"}


@pytest.mark.parametrize("workers", [1, 4])
def test_an_interrupt_inside_a_node_ends_the_run_and_reaches_the_caller(pipeline: Make, workers: int) -> None:
    told: list[Any] = []

    class Watch:
        def handle(self, event: Any) -> None:
            told.append(event)

    def interrupted() -> None:
        raise KeyboardInterrupt

    nodes = [odibi.Node("stops", function=interrupted), odibi.Node("after", depends_on=("stops",), function=boom)]
    with pytest.raises(KeyboardInterrupt):
        pipeline(*nodes).run(workers=workers, observers=[Watch()])
    assert isinstance(told[-1], RunFinished)
    assert told[-1].state == "cancelled"


def test_an_executor_that_breaks_ends_the_run_with_its_error(pipeline: Make) -> None:
    class Broken:
        def drain(self, work: Any) -> None:
            assert work.take() is not None
            raise RuntimeError("the cluster is gone")

        def fetch(self, ref: Any) -> Any:
            return ref

        def close(self) -> None: ...

    with pytest.raises(RuntimeError, match="the cluster is gone"):
        pipeline(odibi.Node("a", function=int)).run(executor=Broken())


# --- retries and timeouts -------------------------------------------------------------------------------------------


def flaky(failures: int, error: Exception) -> Callable[[], int]:
    calls = [0]

    def run() -> int:
        calls[0] += 1
        if calls[0] <= failures:
            raise error
        return calls[0]

    return run


QUICK = odibi.Retry(max_attempts=3, delay=0.001)


def test_an_error_that_can_pass_is_tried_again(pipeline: Make, recorder: Any) -> None:
    node = odibi.Node("a", function=flaky(2, Transient("throttled")), retry=QUICK)
    result = pipeline(node).run(observers=[recorder])
    assert result["a"] == 3
    assert result.outcomes["a"].attempts == 3
    assert [event.attempt for event in recorder.of(NodeStarted)] == [1, 2, 3]
    assert [event.attempt for event in recorder.of(NodeRetried)] == [1, 2]
    assert len(recorder.of(NodeFinished)) == 1


def test_the_duration_counts_from_the_first_attempt(pipeline: Make, recorder: Any) -> None:
    node = odibi.Node("a", function=flaky(2, Transient("throttled")), retry=QUICK)
    outcome = pipeline(node).run(observers=[recorder]).outcomes["a"]
    assert outcome.started == recorder.of(NodeStarted)[0].monotonic


def test_a_mistake_is_not_tried_again(pipeline: Make) -> None:
    result = pipeline(odibi.Node("a", function=flaky(1, ValueError("typo")), retry=QUICK)).run(check=False)
    assert result.outcomes["a"].attempts == 1
    assert result.state == "failed"


def test_retry_on_names_more_errors(pipeline: Make) -> None:
    retry = odibi.Retry(max_attempts=2, delay=0, retry_on=("LookupError",))
    assert pipeline(odibi.Node("a", function=flaky(1, KeyError("k")), retry=retry)).run()["a"] == 2


def test_attempts_end(pipeline: Make) -> None:
    result = pipeline(odibi.Node("a", function=flaky(9, ConnectionError("cut")), retry=QUICK)).run(check=False)
    assert result.outcomes["a"].attempts == 3
    assert isinstance(result.outcomes["a"].error, ConnectionError)


def test_while_a_node_waits_for_its_next_attempt_its_worker_does_other_work(pipeline: Make) -> None:
    ran: list[str] = []
    first = flaky(1, Transient("busy"))

    def a() -> int:
        ran.append("a")
        return first()

    nodes = [
        odibi.Node("a", function=a, retry=odibi.Retry(max_attempts=2, delay=0.05, jitter=0.0)),
        odibi.Node("b", function=lambda: ran.append("b")),
    ]
    pipeline(*nodes).run(workers=1)
    assert ran == ["a", "b", "a"]


def test_a_failure_whose_retry_never_came_is_not_lost(pipeline: Make) -> None:
    """``flaky`` waits an hour for its second attempt when ``bad`` ends the run."""
    failed = threading.Event()

    class Watch:
        def handle(self, event: Any) -> None:
            if isinstance(event, NodeRetried):
                failed.set()

    def bad() -> None:
        assert failed.wait(LONG)
        raise ValueError("boom")

    hour = odibi.Retry(max_attempts=2, delay=3600, max_delay=3600)
    nodes = [
        odibi.Node("flaky", function=flaky(1, Transient("throttled")), retry=hour),
        odibi.Node("after", depends_on=("flaky",), function=lambda flaky: 1),
        odibi.Node("bad", function=bad),
    ]
    result = pipeline(*nodes).run(workers=2, check=False, observers=[Watch()])
    assert states(result) == {"flaky": "failed", "after": "skipped", "bad": "failed"}
    assert str(result.outcomes["flaky"].error) == "throttled"
    assert result.outcomes["flaky"].attempts == 1
    assert result.outcomes["after"].reason == "'flaky', which it needs, failed"


def test_backoff_settings_of_the_pipeline_count_for_its_nodes(bare_host: Host) -> None:
    retry = odibi.Retry(max_attempts=2, delay=0, backoff=Backoff.CONSTANT)
    pipe = odibi.Pipeline(
        "p", [odibi.Node("a", function=flaky(1, Transient("x")))], engine=None, host=bare_host, retry=retry
    )
    assert pipe.run()["a"] == 2


@pytest.fixture(name="released")
def _released() -> Iterator[threading.Event]:
    """An event that is set when the test is over, so that no given-up call outlives it."""
    event = threading.Event()
    yield event
    event.set()


@pytest.mark.parametrize("executor", ["inline", "threads"])
def test_a_node_that_hangs_fails_at_its_timeout(pipeline: Make, released: threading.Event, executor: str) -> None:
    node = odibi.Node("hangs", function=lambda: released.wait(LONG), timeout=0.05)
    result = pipeline(node).run(executor=executor, check=False)
    error = result.outcomes["hangs"].error
    assert isinstance(error, NodeTimeout)
    assert "node 'hangs': it ran longer than its timeout of 0.05 s" in str(error)


def test_a_node_that_spins_is_stopped_at_its_timeout(pipeline: Make) -> None:
    ended = threading.Event()

    def spin() -> None:
        try:
            while True:
                pass
        finally:
            ended.set()

    assert not pipeline(odibi.Node("spins", function=spin, timeout=0.05)).run(check=False).ok
    assert ended.wait(LONG)


def test_an_interrupt_while_a_timed_node_runs_stops_the_node_too(pipeline: Make) -> None:
    code = """
import os, signal, threading, odibi
from odibi.host import Host

begun, ended = threading.Event(), threading.Event()

def spin():
    begun.set()
    try:
        while True:
            pass
    finally:
        ended.set()

def interrupt():
    begun.wait(30)
    os.kill(os.getpid(), signal.SIGINT)

threading.Thread(target=interrupt).start()
try:
    odibi.Pipeline("p", [odibi.Node("a", function=spin, timeout=600)], engine=None, host=Host(discover=False)).run()
except KeyboardInterrupt:
    print("interrupted", ended.wait(30))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=90, check=False)
    assert done.stdout.split() == ["interrupted", "True"], done.stderr


def test_a_timeout_can_pass(pipeline: Make, released: threading.Event) -> None:
    calls = [0]

    def first_hangs() -> int:
        calls[0] += 1
        if calls[0] == 1:
            released.wait(LONG)
        return calls[0]

    node = odibi.Node("a", function=first_hangs, timeout=0.2, retry=odibi.Retry(max_attempts=2, delay=0))
    assert pipeline(node).run()["a"] == 2


def test_a_node_within_its_timeout_is_none_the_wiser(pipeline: Make) -> None:
    assert pipeline(odibi.Node("a", function=lambda: 7, timeout=LONG)).run()["a"] == 7
    result = pipeline(odibi.Node("a", function=boom, timeout=LONG)).run(check=False)
    assert isinstance(result.outcomes["a"].error, ValueError)


# --- events, handles, hooks -----------------------------------------------------------------------------------------


def test_events_come_first_to_last_and_in_order_for_each_node(pipeline: Make, recorder: Any) -> None:
    nodes = [odibi.Node(f"n{at}", depends_on=(f"n{at - 2}",) if at > 1 else (), function=int) for at in range(40)]
    for node in nodes:
        object.__setattr__(node, "function", lambda *_: 1)
    pipeline(*nodes).run(workers=4, observers=[recorder])
    assert isinstance(recorder.events[0], RunStarted)
    assert isinstance(recorder.events[-1], RunFinished)
    assert recorder.events[-1].counts == {"succeeded": 40}
    assert recorder.closed == 1
    for node in nodes:
        kinds = [type(event) for event in recorder.events if getattr(event, "node", None) == node.name]
        assert kinds == [NodeStarted, NodeFinished]


def test_nodes_that_never_started_are_told_of_too(pipeline: Make, recorder: Any) -> None:
    pipeline(*failing(None)).run(workers=1, check=False, observers=[recorder])
    told = {event.node: event.outcome.state.value for event in recorder.of(NodeFinished)}
    assert told == {
        "bad": "failed",
        "child": "skipped",
        "grandchild": "skipped",
        "other": "cancelled",
        "later": "cancelled",
    }


def test_an_observer_that_raises_is_cut_off_and_named_to_the_others(
    pipeline: Make, recorder: Any, caplog: pytest.LogCaptureFixture
) -> None:
    calls = [0]

    class Bad:
        def handle(self, event: Any) -> None:
            calls[0] += 1
            raise RuntimeError("no disk")

    nodes = [odibi.Node(f"n{at}", function=int) for at in range(20)]
    result = pipeline(*nodes).run(observers=[Bad(), recorder])
    assert result.ok
    assert calls[0] == 3
    failures = recorder.of(PluginFailed)
    assert [failure.cut_off for failure in failures] == [False, False, True]
    assert {failure.plugin for failure in failures} == {"Bad"}
    assert "Bad raised RuntimeError: no disk; it is told nothing more" in caplog.text


def test_an_observer_that_hangs_does_not_hang_the_run(
    pipeline: Make, released: threading.Event, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("odibi.run.dispatch.PATIENCE", 0.05)

    class Hangs:
        def handle(self, event: Any) -> None:
            released.wait(LONG)

    assert pipeline(odibi.Node("a", function=int)).run(observers=[Hangs()]).ok
    assert "Hangs has not caught up" in caplog.text


def test_a_handle_gives_events_as_they_come_and_the_result_at_the_end(pipeline: Make) -> None:
    go = threading.Event()
    handle = pipeline(odibi.Node("a", function=lambda: go.wait(LONG))).start()
    events = handle.events()
    assert isinstance(next(events), RunStarted)
    assert isinstance(next(events), NodeStarted)
    assert not handle.done()
    with pytest.raises(TimeoutError, match="is not over after 0.01 s"):
        handle.result(timeout=0.01)
    go.set()
    assert [type(event) for event in events] == [NodeFinished, RunFinished]
    assert [type(event) for event in handle.events()] == [RunStarted, NodeStarted, NodeFinished, RunFinished]
    assert handle.result(LONG)["a"] is True
    assert handle.done()


def test_cancelling_lets_running_nodes_finish(pipeline: Make) -> None:
    started, go = threading.Event(), threading.Event()

    @odibi.node
    def a() -> bool:
        started.set()
        return go.wait(LONG)

    @odibi.node
    def b(a: bool) -> None:
        raise AssertionError("not to be run")

    handle = pipeline(a, b).start()
    assert started.wait(LONG)
    handle.cancel()
    go.set()
    result = handle.result(LONG)
    assert result.state == "cancelled"
    assert states(result) == {"a": "succeeded", "b": "cancelled"}


def test_cancelling_what_runs_asks_it_to_stop(bare_host: Host) -> None:
    started = threading.Event()

    class Plugin:
        @odibi.hookimpl
        def odibi_run_node(self, task: Any) -> None:
            started.set()
            while not task.cancelled():
                threading.Event().wait(0.001)

    host = Host(plugins=[Plugin()], discover=False)
    handle = odibi.Pipeline("p", [odibi.Node("a", function=boom)], engine=None, host=host).start()
    assert started.wait(LONG)
    handle.cancel(running=True)
    assert states(handle.result(LONG)) == {"a": "cancelled"}


def test_a_plugin_may_wrap_every_node(bare_host: Host) -> None:
    seen: list[str] = []

    class Wraps:
        @odibi.hookimpl(wrapper=True)
        def odibi_run_node(self, task: Any) -> Any:
            seen.append(f"before {task.node.name}")
            outcome = yield
            seen.append(f"after {task.node.name}: {outcome.state.value}")
            return outcome

    pipe = odibi.Pipeline(
        "p",
        [odibi.Node("a", function=lambda: 5), odibi.Node("b", depends_on=("a",), function=boom)],
        engine=None,
        host=Host(plugins=[Wraps()], discover=False),
    )
    result = pipe.run(check=False)
    assert seen == ["before a", "after a: succeeded", "before b", "after b: failed"]
    assert isinstance(result.outcomes["b"].error, ValueError)


def test_a_wrapper_that_raises_fails_the_node_and_is_named() -> None:
    class Bad:
        @odibi.hookimpl(wrapper=True)
        def odibi_run_node(self, task: Any) -> Any:
            yield
            raise RuntimeError("my own mistake")

    host = Host(plugins=[Bad()], discover=False)
    result = odibi.Pipeline("p", [odibi.Node("a", function=int)], engine=None, host=host).run(check=False)
    error = result.outcomes["a"].error
    assert isinstance(error, RuntimeError)
    assert any("odibi_run_node" in note for note in error.__notes__)


def test_two_hosts_run_side_by_side(bare_host: Host) -> None:
    seen: list[str] = []

    class Listens:
        def __init__(self, name: str) -> None:
            self.name = name

        @odibi.hookimpl
        def odibi_event(self, event: Any) -> None:
            if isinstance(event, NodeFinished):
                seen.append(f"{self.name} {event.node}")

    pipes = [
        odibi.Pipeline(
            name, [odibi.Node(name, function=int)], engine=None, host=Host(plugins=[Listens(name)], discover=False)
        )
        for name in ("one", "two")
    ]
    handles = [pipe.start() for pipe in pipes]
    assert all(handle.result(LONG).ok for handle in handles)
    assert sorted(seen) == ["one one", "two two"]


def test_run_ids_sort_by_time() -> None:
    moments = [0, 1_500_000_000, 1_500_001_000, 1_700_000_000_250_000_000, 1_700_000_000_250_001_000]
    ids = [new_run_id(moment) for moment in moments]
    assert ids == sorted(ids)
    assert len({new_run_id(5) for _ in range(50)}) == 50
