"""The Python API: the same pipeline, written in Python or in a file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import odibi
from odibi import model
from odibi.api import LoadedProject, ProjectResult
from odibi.config.load import load_project
from odibi.errors import ConfigError, RunFailed
from odibi.host import Host

TRANSFORMS = """
def orders():
    return [1, 2, 3]

def rates(context):
    return 2

def totals(orders, rates, scale, offset=0):
    return [order * rates * scale + offset for order in orders]
"""

PROJECT = """
project: Shop
engine: pandas
connections:
  lake: {type: local, base_path: data}
pipelines:
  - pipeline: sales
    tags: [daily]
    nodes:
      - {name: orders, function: orders}
      - {name: rates, function: rates}
      - {name: totals, function: totals, params: {scale: 10}, tags: [gold]}
      - name: raw
        read: {connection: lake, path: raw.csv, options: {delimiter: ";"}}
      - name: clean
        depends_on: [raw]
        transform:
          steps:
            - SELECT * FROM raw
            - {operation: rename, params: {columns: {a: b}}}
        retry: {max_attempts: 2}
      - name: save
        depends_on: [clean]
        write: {connection: lake, path: out.parquet, mode: append}
"""


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    (tmp_path / "transforms.py").write_text(TRANSFORMS)
    (tmp_path / "odibi.yaml").write_text(PROJECT)
    return tmp_path


def test_a_pipeline_in_python_is_the_one_in_the_file(folder: Path, bare_host: Host) -> None:
    project = load_project(folder / "odibi.yaml").project
    functions = project.functions
    written = odibi.Pipeline(
        "sales",
        [
            functions["orders"],
            functions["rates"],
            odibi.node(params={"scale": 10}, tags=("gold",))(functions["totals"]),
            odibi.Node("raw", read=odibi.Read("lake", path="raw.csv", options={"delimiter": ";"})),
            odibi.Node(
                "clean",
                depends_on=("raw",),
                transform=odibi.Transform(
                    (odibi.Sql("SELECT * FROM raw"), odibi.Operation("rename", {"columns": {"a": "b"}}))
                ),
                retry=odibi.Retry(max_attempts=2),
            ),
            odibi.Node(
                "save",
                depends_on=("clean",),
                write=odibi.Write("lake", path="out.parquet", mode=odibi.WriteMode.APPEND),
            ),
        ],
        tags=("daily",),
        connections={"lake": {"type": "local", "base_path": "data"}},
        host=bare_host,
    )
    loaded = project.pipeline("sales")
    assert written.model.name == loaded.name
    assert written.model.tags == loaded.tags
    for one, other in zip(written.model.nodes, loaded.nodes, strict=True):
        # The file names the function; Python holds it.
        function = functions[other.function] if isinstance(other.function, str) else other.function
        assert (one.function, one.depends_on, one.params) == (function, other.depends_on, other.params)
        for field in ("name", "read", "transform", "validation", "write", "retry", "tags", "cache", "on_error"):
            assert getattr(one, field) == getattr(other, field), (one.name, field)
    ours, theirs = written.graph(), LoadedProject(project, host=bare_host)["sales"].graph()
    assert (ours.inputs, ours.successors, ours.order) == (theirs.inputs, theirs.successors, theirs.order)


def test_a_loaded_project_runs_its_functions(folder: Path, bare_host: Host) -> None:
    loaded = LoadedProject(load_project(folder / "odibi.yaml").project, host=bare_host)
    result = loaded["sales"].run(targets=["orders", "totals"], inputs={"rates": 3})
    assert result["totals"] == [30, 60, 90]
    assert set(result.outcomes) == {"orders", "totals"}


def test_pipelines_run_one_after_another_and_stop_at_the_first_that_fails(bare_host: Host) -> None:
    def boom() -> None:
        raise ValueError("boom")

    ran: list[str] = []

    def project(*functions: Any) -> LoadedProject:
        pipelines = tuple(
            model.Pipeline(f"p{at}", (odibi.Node(f"n{at}", function=function),))
            for at, function in enumerate(functions)
        )
        return LoadedProject(odibi.Project("x", pipelines=pipelines), host=bare_host)

    result = project(lambda: ran.append("a"), lambda: ran.append("b")).run()
    assert isinstance(result, ProjectResult)
    assert result.ok
    assert ran == ["a", "b"]
    assert result["p1"].pipeline == "p1"
    failed = project(boom, lambda: ran.append("c")).run(check=False)
    assert [run.state for run in failed] == ["failed"]
    assert ran == ["a", "b"]
    with pytest.raises(RunFailed, match="boom"):
        project(boom).run()


def test_an_unknown_pipeline_is_named_with_those_there_are(folder: Path, bare_host: Host) -> None:
    loaded = LoadedProject(load_project(folder / "odibi.yaml").project, host=bare_host)
    with pytest.raises(ConfigError, match="there is no pipeline 'sale'; the project has: sales"):
        loaded.run("sale")


def test_a_wrong_setting_of_a_node_is_a_type_error_that_lists_the_right_ones() -> None:
    with pytest.raises(TypeError, match=r"no setting 'retries'; it has: .*retry"):
        odibi.node(retries=3)(lambda: 1)


def test_importing_odibi_loads_nothing_else() -> None:
    code = "import sys; before = set(sys.modules); import odibi; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert [name for name in done.stdout.split() if not name.startswith("__")] == ["odibi"]


def test_every_public_name_can_be_had() -> None:
    for name in odibi.__all__:
        assert getattr(odibi, name) is not None
    assert set(odibi.__all__) <= set(dir(odibi))
    with pytest.raises(AttributeError, match="has no attribute 'nope'"):
        odibi.nope  # type: ignore[attr-defined]
