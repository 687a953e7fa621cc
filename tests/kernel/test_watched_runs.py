"""Runs that are watched by observers which their project asks for: what these get to see, and what they cannot do."""

from __future__ import annotations

import json
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import odibi
from odibi import model, option
from odibi.api import LoadedProject
from odibi.contracts.executor import Usage
from odibi.contracts.observer import RunFacts
from odibi.errors import ValidationFailed
from odibi.events import Event, NodeFinished, RowsSampled, RunFinished, RunStarted, StepFinished
from odibi.host import Host
from odibi.references import SecretRef, Template
from odibi.run import dispatch, usage
from odibi.run.facts import plain
from odibi.run.sensitive import declared
from odibi.testing.pipelines import host_with
from odibi.testing.reference.engine import RowsEngine, RowsFrame

PATIENCE = 20.0
PLANTED = "hunter2-and-more"


class Told:
    """What the observers of a test were told, by the run."""

    def __init__(self) -> None:
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.made = 0
        self.closed = threading.Semaphore(0)

    def all(self) -> list[Event]:
        found = []
        while not self.events.empty():
            found.append(self.events.get())
        return found


@attrs.define(eq=False)
class Watcher:
    """Hands on what it is told to the test."""

    told: ClassVar[Told]
    rows: int = option(0, help="How many rows it wants to see.")
    usage: bool = option(False, help="Whether it wants to know what nodes took.")
    broken: bool = option(False, help="Whether it cannot be built.")
    raising: bool = option(False, help="Whether it raises.")

    def __attrs_post_init__(self) -> None:
        type(self).told.made += 1
        if self.broken:
            raise OSError(f"no way to {PLANTED}")

    @property
    def samples(self) -> int:
        return self.rows

    def handle(self, event: Event) -> None:
        told = type(self).told
        told.entered.set()
        assert told.gate.wait(10 * PATIENCE)
        if self.raising:
            raise RuntimeError("it does not work")
        told.events.put(event)

    def close(self) -> None:
        type(self).told.closed.release()


@pytest.fixture
def told() -> Iterator[Told]:
    Watcher.told = Told()
    yield Watcher.told
    Watcher.told.gate.set()
    assert dispatch.settle(PATIENCE) == []


@pytest.fixture(name="host")
def _host() -> Host:
    return host_with({"observer.watcher": Watcher, "observer.story": Watcher, "engine.rows": RowsEngine})


def people() -> RowsFrame:
    return RowsFrame({"id": "int64", "name": "string"}, [[1, "ada"], [2, "bob"], [3, "eve"]])


def same(people: RowsFrame) -> RowsFrame:
    return people


Make = Callable[..., LoadedProject]


@pytest.fixture(name="project")
def _project(host: Host) -> Make:
    def make(*nodes: model.Node, observers: Any = ({},), **settings: Any) -> LoadedProject:
        configs = tuple(model.ComponentConfig("watcher", options) for options in observers)
        found = model.Project("shop", engine="rows", observers=configs, **settings)
        pipeline = model.Pipeline("sales", nodes or (model.Node("people", function=people),))
        return LoadedProject(attrs.evolve(found, pipelines=(pipeline,)), host=host)

    return make


def finished(told: Told, runs: int = 1) -> list[Event]:
    """All events, once so many runs have ended."""
    found: list[Event] = []
    while sum(isinstance(event, RunFinished) for event in found) < runs:
        found.append(told.events.get(timeout=PATIENCE))
    return found


# --- who is told ------------------------------------------------------------------------------------------------------


def test_an_observer_of_the_project_is_told_of_each_run_by_itself(project: Make, told: Told) -> None:
    loaded = project()
    for _ in range(2):
        assert loaded.run().ok
    events = finished(told, 2)
    assert [type(event) for event in events].count(RunStarted) == 2
    assert len({event.run_id for event in events}) == 2
    assert told.made == 2
    for _ in range(2):
        assert told.closed.acquire(timeout=PATIENCE)


def test_an_alert_is_an_observer_of_its_type_and_a_story_one_of_that_name(host: Host) -> None:
    from odibi.run.observers import configured

    alert = model.Alert("slack", "https://x.invalid", ("on_failure",), {"channel": "a"}, {"sla": "1h"})
    made = model.Project("p", alerts=(alert,), story=model.Story(path="tales/", retention_days=None))
    found = {config.type: dict(config.options) for config in configured(made, host)}
    assert found == {
        "slack": {"url": "https://x.invalid", "on_events": ["on_failure"], "metadata": {"channel": "a"}, "sla": "1h"},
        "story": {"path": "tales/", "max_sample_rows": 10, "retention_days": None, "retention_count": 100},
    }
    without = attrs.evolve(made, story=model.Story(auto_generate=False))
    assert [config.type for config in configured(without, host)] == ["slack"]
    assert [config.type for config in configured(made, host_with({}))] == ["slack"], "no plugin has stories"


def test_one_that_cannot_be_built_costs_nothing_and_is_said_once(
    project: Make, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    loaded = project(observers=({"broken": True}, {}))
    loaded.redactor.register(PLANTED)
    for _ in range(3):
        assert loaded.run().ok
    finished(told, 3)
    (said,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "watcher cannot be had" in said.getMessage()
    assert "OSError" in said.getMessage()
    assert PLANTED not in said.getMessage()


def test_one_that_raises_leaves_the_result_as_it_is(project: Make, told: Told) -> None:
    result = project(observers=({"raising": True},)).run()[0]
    assert result.ok
    assert told.closed.acquire(timeout=PATIENCE)


def test_a_run_does_not_wait_for_one_that_hangs_and_the_next_run_goes_without_it(
    project: Make, told: Told, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(dispatch, "HANGS", 0.0)
    told.gate.clear()
    loaded = project()
    begin = time.monotonic()
    assert loaded.run().ok
    assert time.monotonic() - begin < dispatch.PATIENCE, "as long as it would wait for an observer of the caller"
    assert told.entered.wait(PATIENCE)
    assert loaded.run().ok
    assert told.made == 1
    assert dispatch.settle(0.01) == ["watcher"]
    assert "watcher hangs" in caplog.text
    told.gate.set()
    finished(told)
    assert dispatch.settle(PATIENCE) == []
    assert loaded.run().ok
    finished(told)
    assert told.made == 2, "it has come back"


def test_closing_the_project_lets_observers_catch_up(project: Make, told: Told) -> None:
    told.gate.clear()
    with project() as loaded:
        loaded.run()
        threading.Timer(0.05, told.gate.set).start()
    assert any(isinstance(event, RunFinished) for event in told.all())


# --- what a run is about ----------------------------------------------------------------------------------------------


def facts_of(told: Told) -> RunFacts:
    (started,) = [event for event in finished(told) if isinstance(event, RunStarted)]
    assert started.facts is not None
    return started.facts


def test_the_facts_tell_the_plan_and_the_project(project: Make, told: Told, tmp_path: Path) -> None:
    nodes = (
        model.Node("people", function=people, tags=("x",), sensitive=("name",)),
        model.Node("more", depends_on=("people",), transform=model.Transform((model.Sql("SELECT * FROM people"),))),
    )
    connection = model.Connection("lake", "memory", {"account_key": PLANTED, "base": "here", "timeout": 3})
    loaded = project(*nodes, connections={"lake": connection}, root=tmp_path)
    loaded.run()
    facts = facts_of(told)
    first, second = facts.nodes()
    assert (first.name, first.action, first.sensitive) == ("people", "run", ("name",))
    assert first.reason == "nothing is kept from earlier runs"
    assert first.definition["tags"] == ["x"]
    assert first.definition["function"].endswith(":people")
    assert second.depends_on == ("people",)
    assert second.definition == {"transform": {"steps": [{"sql": "SELECT * FROM people"}]}}
    config = facts.config()
    assert config["connections"]["lake"]["options"] == {"account_key": "***", "base": "here", "timeout": 3}
    assert config["pipelines"] == [{"name": "sales"}]
    assert PLANTED not in json.dumps(config)
    assert facts.root == tmp_path
    assert list(facts.command) == []


def test_the_facts_scrub_what_the_project_knows_to_be_secret(project: Make, told: Told) -> None:
    loaded = project(
        model.Node("people", function=people, description=f"uses {PLANTED}", version=f"of {PLANTED}"),
    )
    loaded.redactor.register(PLANTED)
    loaded.run()
    facts = facts_of(told)
    assert facts.scrub({"a": [f"x{PLANTED}"]}) == {"a": ["x***"]}
    assert PLANTED not in repr(facts.nodes())
    assert facts.nodes()[0].definition["version"] == "of ***"


def test_references_to_secrets_show_as_they_were_written() -> None:
    template = Template(("postgres://u:", SecretRef("vault", "pw"), "@h"))
    given_options = {"password": SecretRef("vault", "pw"), "url": template, "token": "abc", "sas": None}
    config = plain(model.ComponentConfig("sql", given_options))
    assert config == {
        "type": "sql",
        "options": {
            "password": "${secret:vault/pw}",
            "url": "postgres://u:${secret:vault/pw}@h",
            "token": "***",
            "sas": None,
        },
    }


def test_the_command_runs_the_same_again(tmp_path: Path, told: Told, host: Host) -> None:
    file = tmp_path / "odibi.yaml"
    file.write_text(
        "project: shop\nengine: rows\nobservers: [{type: watcher}]\n"
        "pipelines: [{pipeline: sales, nodes: [{name: people, function: make}, {name: b, function: make}]}]\n"
    )
    (tmp_path / "transforms.py").write_text(
        "from odibi.testing.reference.engine import RowsFrame\ndef make():\n    return RowsFrame({}, [])\n"
    )
    odibi.load(file, host=host).run(select=["people"], force=True)
    words = ["odibi", "run", str(file), "--pipeline", "sales", "--select", "people", "--force"]
    assert list(facts_of(told).command) == words


# --- what nodes took --------------------------------------------------------------------------------------------------


def test_usage_is_looked_at_if_an_observer_asks(project: Make, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([300, 200, 50])
    begun, seen = threading.Event(), threading.Event()

    def resident() -> int:
        if not begun.is_set():
            return 100
        found = next(looks, None)
        if found is None:
            seen.set()
        return found or 50

    def burn() -> int:
        begun.set()
        assert seen.wait(PATIENCE)
        begin = time.thread_time()
        while time.thread_time() - begin < 0.02:
            pass
        return 1

    monkeypatch.setattr(usage, "_resident", resident)
    monkeypatch.setattr(usage, "LOOK", 0.001)
    project(model.Node("burn", function=burn), observers=({"usage": True},)).run()
    (found,) = [event.outcome.usage for event in finished(told) if isinstance(event, NodeFinished)]
    assert isinstance(found, Usage)
    assert found.cpu >= 0.02
    assert found.memory == 300


def test_usage_is_not_looked_at_unasked(project: Make, told: Told) -> None:
    project().run()
    assert [event.outcome.usage for event in finished(told) if isinstance(event, NodeFinished)] == [None]


def test_where_the_system_does_not_tell_there_is_no_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert (usage._resident() or 0) > 1_000_000
    monkeypatch.setattr(usage, "_STATM", str(tmp_path / "none"))
    assert usage._resident() is None
    watch = usage.UsageWatch()
    watch.start()
    made = watch.around(lambda _: 5)(None)  # type: ignore[arg-type]
    watch.stop()
    assert made.value == 5
    assert made.usage.memory is None


# --- rows -------------------------------------------------------------------------------------------------------------


def sampled(told: Told) -> dict[tuple[str, str], RowsSampled]:
    return {(event.node, event.step): event for event in finished(told) if isinstance(event, RowsSampled)}


def test_rows_are_shown_if_an_observer_asks(project: Make, told: Told) -> None:
    nodes = (
        model.Node("people", function=people),
        model.Node(
            "adults", depends_on=("people",), transform=model.Transform((model.Sql("SELECT * FROM people WHERE id>1"),))
        ),
    )
    project(*nodes, observers=({"rows": 2}, {"rows": 1})).run()
    found = sampled(told)
    assert list(found[("people", "result")].rows) == [{"id": 1, "name": "ada"}, {"id": 2, "name": "bob"}]
    assert found[("people", "result")].total == 3
    assert [column.name for column in found[("adults", "result")].schema] == ["id", "name"]
    assert list(found[("adults", "result")].rows) == [{"id": 2, "name": "bob"}, {"id": 3, "name": "eve"}]


def test_what_is_no_table_is_not_shown_and_nothing_is_unasked(project: Make, told: Told) -> None:
    project(model.Node("number", function=lambda: 5), observers=({"rows": 5},)).run()
    assert sampled(told) == {}
    project().run()
    assert sampled(told) == {}


def test_a_sample_that_cannot_be_taken_does_not_fail_the_node(
    project: Make, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sample(*_: Any) -> Any:
        raise RuntimeError("no")

    monkeypatch.setattr(RowsEngine, "sample", sample)
    assert project(observers=({"rows": 5},)).run().ok
    assert sampled(told) == {}


def test_sensitive_columns_stay_masked_downstream(project: Make, told: Told) -> None:
    def all_hidden() -> RowsFrame:
        return RowsFrame({"id": "int64", "note": "string"}, [[1, PLANTED]])

    def number(people: RowsFrame) -> RowsFrame:
        return RowsFrame({"id": "int64", "name": "string", "n": "int64"}, [[1, "ada", 3]])

    nodes = (
        model.Node("people", function=people, sensitive=("name",)),
        model.Node("number", function=number, depends_on=("people",)),
        model.Node("hidden", function=all_hidden, sensitive=True),
        model.Node("both", function=lambda number, hidden: hidden, depends_on=("number", "hidden")),
        model.Node("other", function=lambda hidden: people(), depends_on=("hidden",)),
    )
    project(*nodes, observers=({"rows": 1},)).run()
    rows = {name: list(event.rows) for (name, _), event in sampled(told).items()}
    assert rows["people"] == [{"id": 1, "name": "***"}]
    assert rows["number"] == [{"id": 1, "name": "***", "n": 3}]
    assert rows["hidden"] == [{"id": "***", "note": "***"}]
    assert rows["both"] == [{"id": "***", "note": "***"}]
    assert rows["other"] == [{"id": "***", "name": "ada"}], "by name, of what was seen above"


@given(
    edges=st.lists(st.sets(st.integers(0, 11), max_size=3), min_size=1, max_size=12),
    own=st.lists(st.sampled_from([False, True, ("a",), ("b", "c")]), min_size=12, max_size=12),
)
def test_what_is_declared_sensitive_is_that_of_all_nodes_above(edges: list[set[int]], own: list[Any]) -> None:
    from odibi.graph import build_graph

    nodes = [
        model.Node(f"n{at}", tuple(f"n{each}" for each in sorted(above) if each < at), sensitive=own[at])
        for at, above in enumerate(edges)
    ]

    def above(at: int) -> set[int]:
        direct = {each for each in edges[at] if each < at}
        return {at}.union(*map(above, direct))

    for at, found in enumerate(declared(build_graph(nodes))):
        kinds = [own[each] for each in above(at)]
        expected = None if True in kinds else frozenset(name for kind in kinds if kind for name in kind)
        assert found == expected


# --- rules ------------------------------------------------------------------------------------------------------------


def test_how_rules_fared_is_told_also_when_they_fail_the_node(project: Make, told: Told) -> None:
    rules = (model.Rule("late", expression="id < 3"),)
    node = model.Node(
        "checked",
        depends_on=("people",),
        transform=model.Transform((model.Sql("SELECT * FROM people"),)),
        validation=model.Validation(no_nulls=("id",), rules=rules),
    )
    result = project(model.Node("people", function=people, sensitive=("name",)), node, observers=({"rows": 5},)).run(
        check=False
    )[0]
    assert isinstance(result.outcomes["checked"].error, ValidationFailed)
    events = finished(told)
    (step,) = [event for event in events if isinstance(event, StepFinished) and event.step == "validate"]
    assert step.failed
    kept, broken = step.detail["results"]
    assert (kept["rule"], kept["passed"]) == ("no_nulls(id)", True)
    assert (broken["rule"], broken["passed"], broken["failing"]) == ("late", False, 1)
    assert broken["rows"] == [{"id": 3, "name": "***"}]
    assert [column.name for column in step.schema] == ["id", "name"]
    shown = [event for event in events if isinstance(event, RowsSampled) and event.node == "checked"]
    assert [len(event.rows) for event in shown] == [3], "what the rules were held against"
