"""Every hook, implemented by a plugin and called by the host, with all of its arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pytest

import odibi
from odibi import hookspecs
from odibi.contracts.executor import Outcome, State, Task
from odibi.events import Event, RunFinished, RunStarted
from odibi.hookspecs import REGISTERING, hookimpl
from odibi.host import Host
from odibi.model import Project
from odibi.testing.pipelines import host_with, run


@attrs.define
class Thing:
    """A component."""


def plugin(**hooks: Callable[..., Any]) -> SimpleNamespace:
    return SimpleNamespace(**{name: hookimpl(function) for name, function in hooks.items()})


def one() -> int:
    return 1


def pipeline(host: Host) -> odibi.Pipeline:
    return odibi.Pipeline("p", [one], engine=None, host=host)


@pytest.mark.parametrize("family", REGISTERING)
def test_a_registering_hook_offers_components(family: str) -> None:
    host = host_with({f"{family}.thing": Thing})
    assert host.component(family, "thing") is Thing
    assert "thing" in host.names(family)


def test_odibi_suites() -> None:
    host = Host([plugin(odibi_suites=lambda: {"storage.thing": f"{__name__}:Thing"})], discover=False)
    assert host.names("suite") == ["storage.thing"]
    assert host.target("suite", "storage.thing") == f"{__name__}:Thing"


def test_odibi_commands() -> None:
    host = Host([plugin(odibi_commands=lambda: {"thing": f"{__name__}:one"})], discover=False)
    assert host.commands() == {"thing": f"{__name__}:one"}


def test_odibi_configure(tmp_path: Path) -> None:
    told: list[Project] = []

    def odibi_configure(project: Project) -> None:
        told.append(project)

    (tmp_path / "transforms.py").write_text("def one(): return 1\n")
    (tmp_path / "odibi.yaml").write_text(
        "project: shop\npipelines: [{pipeline: p, nodes: [{name: one, function: one}]}]\n"
    )
    host = Host([plugin(odibi_configure=odibi_configure)], discover=False)
    odibi.load(tmp_path / "odibi.yaml", host=host).close()
    assert [project.name for project in told] == ["shop"]


def test_odibi_run_node() -> None:
    def odibi_run_node(task: Task) -> Outcome:
        return Outcome(task.node.name, State.SUCCEEDED, value=41 + task.attempt)

    assert run(pipeline(Host([plugin(odibi_run_node=odibi_run_node)], discover=False))).value("one") == 42


def test_odibi_run_node_may_be_wrapped() -> None:
    class Wrapper:
        @hookimpl(wrapper=True)
        def odibi_run_node(self, task: Task) -> Generator[None, Outcome, Outcome]:
            outcome = yield
            seen.append((task.node.name, outcome.state))
            return outcome

    seen: list[tuple[str, State]] = []
    assert run(pipeline(Host([Wrapper()], discover=False))).value("one") == 1
    assert seen == [("one", State.SUCCEEDED)]


def test_odibi_event() -> None:
    told: list[Event] = []

    def odibi_event(event: Event) -> None:
        told.append(event)

    ran = run(pipeline(Host([plugin(odibi_event=odibi_event)], discover=False)))
    assert isinstance(told[0], RunStarted)
    assert isinstance(told[-1], RunFinished)
    assert len(told) == len(ran.events)


def test_a_hook_that_is_not_tested_here_is_noticed() -> None:
    tested = {
        **dict.fromkeys(REGISTERING.values(), ()),
        "odibi_suites": (),
        "odibi_commands": (),
        "odibi_configure": ("project",),
        "odibi_run_node": ("task",),
        "odibi_event": ("event",),
    }
    there = {name: function for name, function in vars(hookspecs).items() if name.startswith("odibi_")}
    assert {name: tuple(inspect.signature(function).parameters) for name, function in there.items()} == tested
