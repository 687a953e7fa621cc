"""A project's own functions."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import odibi
from odibi.config.functions import load_functions, resolve_function
from odibi.config.load import load_project
from odibi.errors import ConfigError
from odibi.registry import transform


def write(folder: Path, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return folder


def test_marking_does_not_change_a_function() -> None:
    @transform
    def plain(current: int) -> int:
        return current + 1

    @transform("named")
    def other(current: int) -> int:
        return current

    assert transform is odibi.transform
    assert plain(1) == 2
    assert other.__odibi_transform__ == {"name": "named", "rowwise": False}  # type: ignore[attr-defined]


def test_marked_and_public_functions_are_found(tmp_path: Path) -> None:
    write(
        tmp_path,
        transforms="from os.path import join\nfrom odibi import transform\n"
        "@transform(name='tidy', rowwise=True)\ndef _tidy(current): return current\n"
        "def public(current): return current\ndef _private(current): return current\nclass Thing: pass\nvalue = len\n",
        plugins="def more(current): return current\n",
    )
    assert set(load_functions(tmp_path)) == {"tidy", "public", "more"}


def test_the_folder_above_is_asked(tmp_path: Path) -> None:
    write(tmp_path, transforms="def f(current): return current\n")
    assert set(load_functions(write(tmp_path / "config"))) == {"f"}


def test_neighbours_of_two_projects_do_not_meet(tmp_path: Path) -> None:
    path, modules = list(sys.path), set(sys.modules)
    found = []
    for name in ("one", "two"):
        folder = write(
            tmp_path / name,
            shared=f"NAME = {name!r}\n",
            transforms="import shared\ndef name(current=None): return shared.NAME\n",
        )
        found.append(load_functions(folder)["name"])
    assert [function() for function in found] == ["one", "two"]
    assert sys.path == path
    assert "shared" not in sys.modules
    assert all(name.startswith("odibi_project_") for name in set(sys.modules) - modules)


def test_a_module_of_the_application_is_left_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = write(tmp_path / "application", shared_module="NAME = 'application'\n")
    monkeypatch.syspath_prepend(theirs)
    import shared_module  # type: ignore[import-not-found]

    project = write(
        tmp_path / "project",
        shared_module="NAME = 'project'\n",
        transforms="import shared_module\ndef name(current=None): return shared_module.NAME\n",
    )
    assert load_functions(project)["name"]() == "project"
    assert sys.modules["shared_module"] is shared_module
    monkeypatch.delitem(sys.modules, "shared_module")


def test_dataclasses_and_loading_twice(tmp_path: Path) -> None:
    write(
        tmp_path,
        transforms="from __future__ import annotations\nimport dataclasses\n"
        "@dataclasses.dataclass\nclass P:\n    x: int = 1\ndef f(current=None): return P().x\n",
    )
    assert load_functions(tmp_path)["f"]() == load_functions(tmp_path)["f"]() == 1


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def f(:\n", r"transforms\.py:1:7: Python cannot read this file"),
        ("x = 1\nimport no_such_module_at_all\n", r"transforms\.py:2:1: no module named 'no_such_module_at_all'"),
        ("\n\nraise ValueError('bad')\n", r"transforms\.py:3:1: loading this file fails: ValueError: bad"),
        ("import sys\nsys.exit(3)\n", r"transforms\.py:2:1: loading this file ends the program"),
        ("from os import nothing_here\n", r"transforms\.py:1:1: loading this file fails: ImportError"),
    ],
)
def test_a_file_that_cannot_be_loaded(tmp_path: Path, source: str, words: str) -> None:
    write(tmp_path, transforms=source)
    with pytest.raises(ConfigError, match=words):
        load_functions(tmp_path)


def test_two_functions_of_one_name(tmp_path: Path) -> None:
    write(tmp_path, transforms="def f(c): return c\n", plugins="\ndef f(c): return c\n")
    with pytest.raises(
        ConfigError, match=r"plugins\.py:2:1: two functions are called 'f'; the other is at .*transforms\.py:1:1"
    ):
        load_functions(tmp_path)


def test_functions_by_module_and_name(tmp_path: Path) -> None:
    write(tmp_path, steps="class Steps:\n    @staticmethod\n    def f(c): return c\nx = 1\n")
    assert callable(resolve_function("steps:Steps.f", {}, tmp_path))
    assert "steps" not in sys.modules
    assert resolve_function("json:dumps", {}, None)([1]) == "[1]"
    for name, words in [
        ("steps:Stepz", "Did you mean 'Steps'"),
        ("steps:x", "is not a function"),
        ("no_such:x", "cannot be imported"),
        (":x", "cannot be imported"),
        ("gone", r"Define it in transforms\.py"),
    ]:
        with pytest.raises(ConfigError, match=words):
            resolve_function(name, {}, tmp_path)


def test_a_project_holds_the_functions_it_names(tmp_path: Path) -> None:
    write(tmp_path, steps="def f(current): return 'neighbour'\n")
    (tmp_path / "odibi.yaml").write_text(
        "project: p\npipelines:\n  - {pipeline: p, nodes: [{name: a, transform: {steps: [{function: 'steps:f'}]}}]}\n"
    )
    assert load_project(tmp_path / "odibi.yaml").project.functions["steps:f"](None) == "neighbour"


def test_loading_from_many_threads(tmp_path: Path) -> None:
    folders = [
        write(
            tmp_path / f"p{n}", shared=f"N = {n}\n", transforms="import shared\ndef n(current=None): return shared.N\n"
        )
        for n in range(12)
    ]
    found: dict[int, Callable[..., Any]] = {}
    threads = [
        threading.Thread(target=lambda n=n, folder=folder: found.update({n: load_functions(folder)["n"]}))
        for n, folder in enumerate(folders)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {n: function() for n, function in found.items()} == {n: n for n in range(12)}
