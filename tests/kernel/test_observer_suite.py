"""The suite for observers accepts the kit's own, and runs as the kernel tells them can be told by the kit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings

from odibi.contracts.executor import State
from odibi.events import NodeFinished, NodeStarted, RunFinished, RunStarted
from odibi.testing.observer_histories import EVERYTHING, Fate, Run, runs, snapshot
from odibi.testing.reference.observer import EventList
from odibi.testing.zoo.observer import EventListSuite


class TestEventList(EventListSuite):
    pass


class TestEventListInMemory(EventListSuite):
    remembers = 4
    tells = False

    def options(self, place: Path) -> dict[str, object]:
        return {"runs": 4}


@given(runs())
@settings(deadline=None, max_examples=40)
def test_runs_are_sound(run: Run) -> None:
    events = run.events()
    assert isinstance(events[0], RunStarted)
    assert sum(isinstance(event, RunStarted) for event in events) == 1
    if run.told_to is None:
        assert isinstance(events[-1], RunFinished)
        assert sum(events[-1].counts.values()) == len(run.nodes)
        assert sorted(event.node for event in events if isinstance(event, NodeFinished)) == sorted(dict(run.nodes))
    else:
        assert not any(isinstance(event, RunFinished) for event in events)
    for name in dict(run.nodes):
        own = [event for event in events if getattr(event, "node", None) == name]
        assert [event.monotonic for event in own] == sorted(event.monotonic for event in own)
        assert [event.attempt for event in own if isinstance(event, NodeStarted)] == [1, 2, 3][
            : sum(isinstance(event, NodeStarted) for event in own)
        ]


def test_a_snapshot_sees_every_change() -> None:
    def changed(change: object) -> bool:
        events = EVERYTHING.events()
        before = [snapshot(event) for event in events]
        change(events)  # type: ignore[operator]
        return [snapshot(event) for event in events] != before

    def of(events: list[object], kind: str) -> object:
        return next(event for event in events if type(event).__name__ == kind)

    assert not changed(lambda events: None)
    assert changed(lambda events: setattr(events[0], "nodes", 0))
    assert changed(lambda events: of(events, "StepFinished").detail.update(x=1))  # type: ignore[attr-defined]
    assert changed(lambda events: of(events, "NodeRetried").error.add_note("x"))  # type: ignore[attr-defined]
    assert changed(lambda events: setattr(of(events, "NodeRetried").error, "__cause__", None))  # type: ignore[attr-defined]
    assert changed(lambda events: of(events, "RunFinished").counts.clear())  # type: ignore[attr-defined]


class TestTheList:
    def test_it_keeps_the_last_runs(self, tmp_path: Path) -> None:
        kept = EventList(runs=2, file=str(tmp_path / "events"))
        told = [Run([("a", Fate.SUCCEEDED), ("b", Fate.FAILED)]) for _ in range(3)]
        for run in told:
            for event in run.events():
                kept.handle(event)
        assert [event.run_id for event in kept.events(RunStarted)] == [run.run_id for run in told[1:]]
        assert {name: outcome.state for name, outcome in kept.outcomes().items()} == {
            "a": State.SUCCEEDED,
            "b": State.FAILED,
        }
        lines = [json.loads(line) for line in (tmp_path / "events").read_text().splitlines()]
        assert len(lines) == 3 * len(told[0].events())
        assert lines[0]["kind"] == "RunStarted"

    def test_it_keeps_at_least_one(self) -> None:
        with pytest.raises(ValueError, match="1 or more"):
            EventList(runs=0)

    def test_no_run_has_no_outcomes(self) -> None:
        assert EventList().outcomes() == {}
