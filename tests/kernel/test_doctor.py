from __future__ import annotations

import json
import os
import platform

import pytest

from odibi import __version__
from odibi.doctor import diagnose
from odibi.host import Host

PROJECT = """
project: shop
engine: null
connections:
  good: {type: fine}
  away: {type: hdfs, host: b}
  bad: {type: broken}
pipelines: []
"""


@pytest.fixture
def host(zoo) -> Host:
    zoo.add(
        "odibi-fine",
        fine="""
            from odibi import hookimpl
            print('hello')

            @hookimpl
            def odibi_storages():
                return {'fine': 'fine_storage:S'}
        """,
        fine_storage="class S: pass",
        requires=("pluggy", "no-such-lib"),
    )
    zoo.add("odibi-broken", "2", broken="import no_such_lib")
    return Host()


def test_what_a_report_says(host):
    report = diagnose(host)
    assert report.python == platform.python_version()
    assert report.packages["odibi-kernel"] == __version__
    assert report.packages["odibi-fine"] == "1.0"
    assert report.packages["no-such-lib"] is None
    assert report.packages["pluggy"]
    assert [folder.purpose for folder in report.folders] == ["working", "temporary", "cache"]
    assert next(info for info in report.plugins if info.name == "fine").printed == "hello\n"
    assert report.project is None
    (line,) = report.problems
    assert line.startswith("plugin 'broken' (odibi-broken 2): it needs 'no_such_lib', which is not installed. Install")


def test_the_report_as_json(host):
    report = diagnose(host)
    data = json.loads(report.to_json())
    assert data["problems"] == report.problems
    assert {info["name"]: info["status"] for info in data["plugins"]}["broken"] == "quarantined"
    assert data["folders"][0] == {"purpose": "working", "path": os.getcwd(), "trouble": ""}


def test_a_project(host, tmp_path):
    file = tmp_path / "odibi.yaml"
    file.write_text(PROJECT)
    project = diagnose(host, file).project
    assert project.problems == ()
    assert project.connections["good"] == ""
    assert "pip install odibi-hdfs" in project.connections["away"]
    assert "no_such_lib" in project.connections["bad"]
    assert "connection 'away': No installed plugin offers the storage 'hdfs'." in "\n".join(
        diagnose(host, file).problems
    )


def test_a_project_that_does_not_load(host, tmp_path):
    file = tmp_path / "odibi.yaml"
    file.write_text("project: [\n")
    assert "odibi.yaml" in diagnose(host, file).project.problems[0]
    assert "absent.yaml" in diagnose(host, tmp_path / "absent.yaml").project.problems[0]


def test_a_project_whose_functions_end_the_process(host, tmp_path):
    (tmp_path / "odibi.yaml").write_text(PROJECT)
    (tmp_path / "transforms.py").write_text("import sys; sys.exit(0)")
    assert diagnose(host, tmp_path / "odibi.yaml").project.problems != ()


def test_folders_that_cannot_be_used(host, tmp_path, monkeypatch):
    cache = tmp_path / "cache/odibi"
    cache.mkdir(parents=True, exist_ok=True)
    cache.chmod(0o777)
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    working, _, kept = diagnose(host).folders
    assert "is gone" in working.trouble
    assert f"chmod 700 {cache}" in kept.trouble


def test_conflicts(zoo):
    for letter in "ab":
        body = "from odibi import hookimpl\n@hookimpl\ndef odibi_storages(): return {'same': 'm:S'}"
        zoo.add(f"odibi-{letter}", **{f"doctor_{letter}": body})
    report = diagnose(Host())
    (line,) = report.conflicts
    assert "odibi-a 1.0" in line
    assert "odibi-b 1.0" in line
    assert line in report.problems
