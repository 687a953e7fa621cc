"""A new plugin of each family passes its tests as it is written, and fails them once it does not do its work."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from odibi.contracts import FAMILIES
from odibi.new_plugin import Names, names_of

PATIENCE = 600.0
"""Seconds for the tests of one plugin, on a machine that does much else."""


class Workshop:
    """A new plugin, installed as pip would do it in editable mode, without a network.

    Args:
        folder: for it, and for what it needs.
        family: of its component.
    """

    def __init__(self, folder: Path, family: str) -> None:
        self.names: Names = names_of(f"odibi-made-{family}", family, "made")
        self.home = folder / self.names.distribution
        site = folder / "site"
        info = site / f"{self.names.module}-0.1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {self.names.distribution}\nVersion: 0.1.0\n")
        (info / "entry_points.txt").write_text(f"[odibi]\n{self.names.plugin} = {self.names.module}\n")
        path = [str(site), str(self.home / "src"), *filter(None, sys.path)]
        self.environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "NO_COLOR": "1",
        }
        self.environment.pop("PYTEST_ADDOPTS", None)
        self.environment.pop("ODIBI_PLUGINS_BLOCK", None)

    @property
    def component(self) -> Path:
        """Where the component is."""
        return self.home / "src" / self.names.module / f"{self.names.component}.py"

    def python(self, *arguments: str, folder: Path | None = None) -> tuple[int, str]:
        """Run a module of Python; its exit code, and what it said."""
        done = subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=folder or self.home,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
        )
        return done.returncode, done.stdout


@pytest.fixture(name="workshop", params=FAMILIES)
def _workshop(request: pytest.FixtureRequest, tmp_path: Path) -> Workshop:
    made = Workshop(tmp_path, request.param)
    command = ["odibi", "new", "plugin", made.names.distribution, "--family", request.param, "--component", "made"]
    code, said = made.python(*command, folder=tmp_path)
    assert code == 0, said
    return made


def without_its_work(source: str, cls: str) -> str:
    """The same component, all public methods of which raise NotImplementedError; only closing it does not.

    If that raised, too, every test would fail in the end, whatever it is about.
    """
    tree = ast.parse(source)
    (found,) = [each for each in tree.body if isinstance(each, ast.ClassDef) and each.name == cls]
    for method in found.body:
        if isinstance(method, ast.FunctionDef) and not method.name.startswith("_") and method.name != "close":
            method.body = [ast.parse("raise NotImplementedError").body[0]]
    return ast.unparse(tree)


def test_a_new_plugin_is_sound_and_one_without_work_is_refused(workshop: Workshop) -> None:
    """Its manifest is true, all of its tests pass with no further step, and they say something."""
    code, said = workshop.python("odibi", "plugin", "manifest", workshop.names.plugin, "--check")
    assert (code, "is as the code says" in said) == (0, True), said
    code, said = workshop.python("pytest", "-q")
    assert code == 0, said
    passed = re.search(r"(\d+) passed", said)
    assert passed, said
    assert int(passed[1]) > 20, said

    workshop.component.write_text(without_its_work(workshop.component.read_text(), workshop.names.cls))
    code, said = workshop.python("pytest", "-q", "--maxfail=12", "tests/test_conformance.py")
    assert code == 1, said
    assert "NotImplementedError" in said
    assert sum(int(each) for each in re.findall(r"(\d+) failed", said)) >= 5, said


def test_a_project_can_use_it_as_its_readme_says(workshop: Workshop) -> None:
    """The lines of the README, in a project that is checked against the manifest.

    A format's engine is the kit's, which no plugin offers; that is all that is wrong with it.
    """
    (text,) = re.findall(r"```yaml\n(.*?)```", (workshop.home / "README.md").read_text(), re.DOTALL)
    use = yaml.safe_load(text)
    node: dict[str, Any] = {"name": "n", "read": {"connection": "lake", "path": "x.json", "format": "json"}}
    if "transform" in use:
        node["transform"] = use.pop("transform")
    if "nodes" in use:
        (node,) = use.pop("nodes")
        use["engine"] = "rows"
    lake = {"type": "local", "base_path": "."}
    project = {
        "project": "p",
        "pipelines": [{"pipeline": "p", "nodes": [node]}],
        **use,
        "connections": {"lake": lake, **use.get("connections", {})},
    }
    folder = workshop.home.parent / "project"
    folder.mkdir()
    (folder / "odibi.yaml").write_text(yaml.safe_dump(project))
    code, said = workshop.python("odibi", "validate", folder=folder)
    if workshop.names.family == "format":
        assert (code, "No installed plugin offers the engine 'rows'" in said) == (2, True), said
        assert len(said.strip().splitlines()) == 1, said
    else:
        assert (code, "1 pipeline, 1 node" in said) == (0, True), said


def test_what_the_suites_are_for_shows(tmp_path: Path) -> None:
    """``pytest --odibi-conformance`` finds the suite that the new plugin brings, as any that is installed."""
    made = Workshop(tmp_path, "executor")
    command = ["odibi", "new", "plugin", made.names.distribution, "--family", "executor", "--component", "made"]
    assert made.python(*command, folder=tmp_path)[0] == 0
    code, said = made.python("pytest", "-q", "--odibi-conformance", "--collect-only", "-k", "executor_made or made_ex")
    assert code == 0, said
    assert "Test_executor_made::" in said
    assert "TestPlugin_made_executor::" in said
