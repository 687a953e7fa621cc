"""What the kit gives to people who test their pipelines."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import attrs
import pytest

import odibi
from odibi.errors import ComponentNotFound
from odibi.events import NodeFinished, RunFinished, RunStarted
from odibi.host import Host
from odibi.testing.pipelines import host_with, installed, run


@attrs.define
class Shelf:
    """A component that a test defines for itself."""

    size: int = odibi.option(3, help="How long it is.")


def one() -> int:
    return 1


def two(one: int) -> int:
    return one + 1


def fails(two: int) -> int:
    raise ValueError(f"not {two}")


def test_a_host_has_what_it_is_given_and_nothing_else() -> None:
    host = host_with({"storage.shelf": Shelf, "format.rows.shelf": Shelf})
    assert host.build("storage", "shelf", {"size": 5}) == Shelf(size=5)
    assert host.names("storage") == ["shelf"]
    assert host.resolve("format", "rows", "shelf") == "rows.shelf"
    with pytest.raises(ComponentNotFound):
        host.component("storage", "local")
    assert host_with().names("storage") == [], "hosts share nothing"


@pytest.mark.parametrize("full", ["shelf", "storage", "storage.", "furniture.shelf"])
def test_a_component_needs_a_family_and_a_name(full: str) -> None:
    with pytest.raises(ValueError, match=r"is not like 'storage\.memory'"):
        host_with({full: Shelf})


def test_a_run_is_kept_with_its_events() -> None:
    ran = run(odibi.Pipeline("p", [one, two], engine=None, host=host_with()))
    assert ran.states == {"one": "succeeded", "two": "succeeded"}
    assert ran.value("two") == 2
    assert isinstance(ran.events[0], RunStarted)
    assert isinstance(ran.events[-1], RunFinished)
    assert [event.outcome.node for event in ran.of(NodeFinished)] == ["one", "two"]


def test_a_failure_is_a_result() -> None:
    ran = run(odibi.Pipeline("p", [one, two, fails], engine=None, host=host_with()))
    assert ran.states["fails"] == "failed"
    assert "not 2" in str(ran.outcome("fails").error)
    with pytest.raises(AssertionError, match=r"fails failed: .*not 2"):
        ran.value("fails")
    with pytest.raises(odibi.RunFailed):
        run(odibi.Pipeline("p", [one, two, fails], engine=None, host=host_with()), check=True)


def test_a_project_file_is_run(tmp_path: Path) -> None:
    (tmp_path / "transforms.py").write_text("def one(): return 1\ndef two(one): return one + 1\n")
    (tmp_path / "odibi.yaml").write_text(
        "project: p\npipelines:\n- pipeline: a\n  nodes: [{name: one, function: one}]\n"
        "- pipeline: b\n  nodes: [{name: one, function: one}, {name: two, function: two}]\n"
    )
    ran = run(tmp_path / "odibi.yaml", "b", observers=())
    assert ran.value("two") == 2
    with odibi.load(tmp_path / "odibi.yaml") as project:
        assert run(project, "a").states == {"one": "succeeded"}


def test_a_plugin_is_installed_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    source = """
    from odibi import hookimpl

    @hookimpl
    def odibi_storages():
        return {"shelf": "shelf_parts:Shelf"}
    """
    parts = "import attrs\n\n@attrs.define\nclass Shelf:\n    pass\n"
    before: list[Any] = sys.path[:]
    with installed(tmp_path / "site", "odibi-shelf", shelf_entry=source, shelf_parts=parts):
        (info,) = [info for info in Host().plugins() if info.distribution == "odibi-shelf"]
        assert info.families == {"storage": ("shelf",)}
        assert type(Host().build("storage", "shelf")).__name__ == "Shelf"
    assert not [info for info in Host().plugins() if info.distribution == "odibi-shelf"]
    assert (sys.path, "shelf_parts" in sys.modules) == (before, False)
