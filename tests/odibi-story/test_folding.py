"""Events become a story: at every moment a sound one, and in the end the same whether it was stored in between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from odibi.contracts.engine import Column, FrameInfo
from odibi.contracts.executor import Outcome, State, Usage
from odibi.contracts.observer import PlannedNode
from odibi.errors import NodeError, ValidationFailed
from odibi.events import (
    Event,
    NodeFinished,
    NodeRetried,
    NodeStarted,
    NodeWarned,
    PluginFailed,
    RowsSampled,
    RunFinished,
    RunStarted,
    StepFinished,
)
from odibi.testing.observer_histories import EVERYTHING, Run, raised, runs
from odibi_story.folding import Folding
from odibi_story.markdown import document
from odibi_story.record import RunStory
from odibi_story.storing import begun, counted, from_json, from_lines, node_changed, problem_met, run_ended, to_json
from odibi_story.terminal import story_text


@attrs.frozen
class Facts:
    """What a run is about, said by a test."""

    planned: Sequence[PlannedNode] = ()
    root: Path | None = None
    files: Sequence[Path] = ()
    command: Sequence[str] = ("odibi", "run", "odibi.yaml", "--pipeline", "daily")

    def scrub(self, value: Any) -> Any:
        return value.replace("hunter22", "***") if isinstance(value, str) else value

    def nodes(self) -> Sequence[PlannedNode]:
        return self.planned

    def config(self) -> Mapping[str, Any]:
        return {"project": "shop", "key": "hunter22"}


def chained(run: Run) -> list[Event]:
    """The events of a run each of whose nodes needs the one before."""
    names = [name for name, _ in run.nodes]
    planned = [
        PlannedNode(name, tuple(names[at - 1 : at]) if at else (), "run", "it has no earlier result", {"at": at})
        for at, name in enumerate(names)
    ]
    events = run.events()
    return [attrs.evolve(events[0], facts=Facts(planned)), *events[1:]]  # type: ignore[call-arg]


def folded(events: Sequence[Event]) -> RunStory:
    assert isinstance(events[0], RunStarted)
    folding = Folding(events[0])
    for event in events[1:]:
        folding.fold(event)
    return folding.story


@settings(deadline=None, max_examples=40)
@given(runs(), st.booleans())
def test_every_moment_of_a_run_is_a_sound_story(run: Run, planned: bool) -> None:
    events = chained(run) if planned else run.events()
    assert isinstance(events[0], RunStarted)
    folding = Folding(events[0])
    for event in events[1:]:
        folding.fold(event)
        story = folding.story
        assert from_json(to_json(story)) == story
        if story.state == "running":
            assert story.counts == counted(story)
        for node in story.nodes:
            assert node.started is None or node.finished is None or node.started <= node.finished
            assert [attempt.number for attempt in node.attempts] == sorted({it.number for it in node.attempts})
    assert document(folding.story)
    assert story_text(folding.story)


@settings(deadline=None, max_examples=40)
@given(runs(), st.integers(0, 60))
def test_a_story_that_was_stored_goes_on_the_same(run: Run, moment: int) -> None:
    events = chained(run)
    assert isinstance(events[0], RunStarted)
    folding = Folding(events[0])
    for at, event in enumerate(events[1:]):
        if at == moment:
            folding.story = from_json(to_json(folding.story))
        folding.fold(event)
    assert folding.story == folded(events)


@settings(deadline=None, max_examples=40)
@given(runs(), st.integers(0, 400))
def test_the_lines_of_a_run_that_goes_on_say_the_same_wherever_they_are_torn(run: Run, torn: int) -> None:
    events = chained(run)
    assert isinstance(events[0], RunStarted)
    folding = Folding(events[0])
    lines = [begun(folding.story)]
    stories = [from_json(to_json(folding.story))]
    for event in events[1:]:
        node = folding.fold(event)
        if node is not None:
            lines.append(node_changed(node))
        elif isinstance(event, PluginFailed):
            lines.append(problem_met(folding.story.problems[-1]))
        elif isinstance(event, RunFinished):
            lines.append(run_ended(folding.story))
        stories.append(from_json(to_json(folding.story)))
    text = "".join(f"{line}\n" for line in lines).encode()
    assert from_lines(text) == folding.story
    kept = max(len(text) - torn, len(lines[0].encode()) + 1)
    assert from_lines(text[:kept]) in stories


def test_a_run_in_which_everything_happens() -> None:
    story = folded(chained(EVERYTHING))
    states = {node.name.removeprefix("node_"): node.state for node in story.nodes}
    assert states["retried"] == "succeeded"
    assert states["gave_up"] == "failed"
    assert states["stopped"] == "cancelled"
    assert story.node("node_skipped").why == "an input failed"
    retried = story.node("node_retried")
    assert [bool(attempt.error) for attempt in retried.attempts] == [True, True, False]
    assert retried.attempts[0].finished is not None
    assert retried.attempts[0].finished <= retried.attempts[1].started
    invalid = story.node("node_invalid").failure
    assert invalid is not None
    assert (invalid.type, invalid.trace) == ("ValidationFailed", ""), "a mistake in data needs no traceback"
    gave_up = story.node("node_gave_up").failure
    assert gave_up is not None
    assert "TimeoutError" in gave_up.trace
    assert story.first_failure is not None
    assert story.problems == ["odibi-story 0.1.0 failed in handle: ValueError: a sink is full; it is told nothing more"]
    assert story.config == {"project": "shop", "key": "***"}


# --- one run by hand ------------------------------------------------------------------------------------------------

S = 1_000_000_000
SCHEMA = (Column("id", "int64"), Column("email", "string"))


def at(seconds: float) -> tuple[str, int, float]:
    return "20260101T000000.000000-00000000", int((100 + seconds) * S), 1_767_225_600.0 + seconds


def ran(name: str, begin: float, end: float, rows: int | None = 3, **more: Any) -> list[Event]:
    outcome = Outcome(name, State.SUCCEEDED, started=int((100 + begin) * S), finished=int((100 + end) * S), **more)
    outcome.info = FrameInfo(rows, SCHEMA, 100)
    return [NodeStarted(*at(begin), name, 1, "worker-1"), NodeFinished(*at(end), name, outcome)]


def plan(**inputs: Sequence[str]) -> list[PlannedNode]:
    return [PlannedNode(name, tuple(needs), "run", "it has no earlier result", {}) for name, needs in inputs.items()]


def started(planned: Sequence[PlannedNode]) -> RunStarted:
    return RunStarted(*at(0), "daily", "shop", len(planned), 2, facts=Facts(planned))


def test_the_critical_path_goes_back_to_what_was_waited_for() -> None:
    #  slow 0-5 -> joined 5-7 -> last 8-9; quick 0-1 -> joined; other 1-8.5 -> nothing
    planned = plan(slow=(), quick=(), other=(), joined=("slow", "quick"), last=("joined", "quick"))
    events: list[Event] = [started(planned), *ran("slow", 0, 5), *ran("quick", 0, 1), *ran("other", 1, 8.5)]
    events += [*ran("joined", 5, 7), *ran("last", 8, 9), RunFinished(*at(9), "daily", "succeeded", {"succeeded": 5}, 9)]
    story = folded(events)
    assert [node.name for node in story.nodes if node.critical] == ["slow", "joined", "last"]
    assert {node.name: node.waited for node in story.nodes} == {
        "slow": 0, "quick": 0, "other": 1, "joined": 0, "last": 1,
    }  # fmt: skip
    assert [node.rows_in for node in story.nodes] == [None, None, None, 6, 6]


def test_retries_count_on_the_critical_path() -> None:
    planned = plan(flaky=(), steady=(), joined=("flaky", "steady"))
    failed = NodeRetried(*at(1), "flaky", 1, 5.0, raised(ValueError("busy")))
    again = NodeStarted(*at(6), "flaky", 2, "worker-2")
    events: list[Event] = [started(planned), *ran("flaky", 0, 7), *ran("steady", 0, 3), *ran("joined", 7, 8)]
    events[2:2] = [failed, again]
    story = folded([*events, RunFinished(*at(8), "daily", "succeeded", {"succeeded": 3}, 8)])
    assert [node.name for node in story.nodes if node.critical] == ["flaky", "joined"]
    flaky = story.node("flaky")
    assert [(it.started, it.finished, it.worker) for it in flaky.attempts] == [(0, 1, "worker-1"), (6, 7, "worker-2")]


def test_what_an_attempt_did_that_failed_is_not_told_as_the_result() -> None:
    step = StepFinished(*at(1), "a", "sql", 0, 0.5, 3, {"sql": "SELECT 1"}, SCHEMA)
    rows = RowsSampled(*at(1), "a", "read", [{"id": 1, "email": "x"}], SCHEMA, 1)
    events: list[Event] = [started(plan(a=())), NodeStarted(*at(0), "a", 1, "w"), step, rows]
    events += [NodeRetried(*at(2), "a", 1, 0, raised(ValueError())), NodeStarted(*at(2), "a", 2, "w"), step]
    node = folded(events).node("a")
    assert len(node.steps) == 1
    assert node.samples == []
    assert node.state == "running"


def test_what_a_node_took_and_what_it_says() -> None:
    events: list[Event] = [started(plan(a=())), NodeWarned(*at(0.5), "a", "look at this")]
    events += ran("a", 0, 1, usage=Usage(0.25, 1_000_000), warnings=("look at this", "and that"), kept="k1")
    node = folded(events).node("a")
    assert (node.cpu, node.memory, node.kept, node.bytes) == (0.25, 1_000_000, "k1", 100)
    assert node.warnings == ["look at this", "and that"]
    assert [(column.name, column.type) for column in node.schema] == [("id", "int64"), ("email", "string")]


def test_sensitive_columns_stay_hidden_in_rules_and_messages_after_the_node_that_says_so() -> None:
    planned = [
        PlannedNode("people", (), "run", "", {}, sensitive=("email",)),
        PlannedNode("joined", ("people",), "run", "", {}),
    ]
    result = {
        "rule": "not_null(id)",
        "passed": False,
        "failing": 1,
        "message": "1 row is null",
        "on_fail": "error",
        "rows": [{"id": None, "email": "ann@example.com"}],
    }
    failed = ValidationFailed("the result breaks 1 rule:\n  not_null(id): null\n    id=None, email='ann@example.com'")
    failed.results = [result]
    outcome = Outcome("joined", State.FAILED, error=raised(NodeError("it failed"), failed), started=1, finished=2)
    events: list[Event] = [started(planned), *ran("people", 0, 1), NodeStarted(*at(1), "joined", 1, "w")]
    events += [
        StepFinished(*at(1.5), "joined", "validate", 0, 0.1, 1, {"results": [result], "rules": [str(failed)]}),
        NodeWarned(*at(1.6), "joined", str(failed)),
        NodeFinished(*at(2), "joined", outcome),
    ]
    story = folded(events)
    assert story.node("joined").rules[0].rows == [{"id": None, "email": "***"}]
    for text in (to_json(story), document(story), story_text(story)):
        assert "ann@example.com" not in text
    everything = attrs.evolve(planned[0], sensitive=True)
    text = to_json(folded([started([everything, planned[1]]), *events[1:]]))
    assert "ann@example.com" not in text


def test_facts_that_cannot_be_told_do_not_cost_the_story() -> None:
    class Broken(Facts):
        def nodes(self) -> Sequence[PlannedNode]:
            raise ValueError("no plan, hunter22")

    story = folded([RunStarted(*at(0), "daily", "shop", 1, 1, facts=Broken()), *ran("a", 0, 1)])
    assert story.node("a").state == "succeeded"
    assert story.problems == ["the plan cannot be told: ValueError: no plan, ***"]


@pytest.mark.parametrize("count", [1, 20, 1_000])
def test_what_a_story_holds_is_bounded_however_much_there_is_to_tell(count: int) -> None:
    wide = tuple(Column(f"column_{number}", "string") for number in range(20))
    row = {column.name: "x" * 500 for column in wide}
    events: list[Event] = [started(plan(**{f"n{number}": () for number in range(count)}))]
    for number in range(count):
        name = f"n{number}"
        done = ran(name, 0, 1)
        outcome = done[1].outcome  # type: ignore[attr-defined]
        outcome.info = FrameInfo(5, wide)
        sql = StepFinished(*at(0.5), name, "sql", 0, 0.1, 5, {"sql": "SELECT x, " * 1_000}, wide)
        shown = [RowsSampled(*at(0.6), name, step, [row] * 60, wide, 500) for step in ("read", "result")]
        events += [done[0], sql, *shown, done[1]]
    events.append(RunFinished(*at(2), "daily", "succeeded", {"succeeded": count}, 2))
    story = folded(events)
    assert len(to_json(story)) < 4_000_000
    left_out = {what for node in story.nodes for what in node.left_out}
    assert "sample rows" in left_out
    assert any("sample rows" in sentence for sentence in story.left_out)
