"""The benchmarks run; what they measure is for people to read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

KEEPERS = {
    "diskcache": "diskcache",
    "doit": "doit",
    "joblib.Memory": "joblib",
    "hamilton cache": "sf-hamilton",
    "snakemake": "snakemake",
}
PEERS = {"pipefunc": "pipefunc", "hamilton": "sf-hamilton", "dask": "dask", "kedro": "kedro"}

HIDDEN = {*PEERS, "diskcache", "doit", "joblib", "snakemake", "apscheduler", "cronsim"}


def run(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120)


@pytest.fixture
def without_peers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make no peer importable, whether it is installed or not."""
    hook = (
        "import sys\n"
        "class Hide:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] in {HIDDEN!r}:\n"
        "            raise ModuleNotFoundError(name=name)\n"
        "sys.meta_path.insert(0, Hide())\n"
    )
    (tmp_path / "sitecustomize.py").write_text(hook, "utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


@pytest.mark.usefixtures("without_peers")
def test_overhead_is_measured_with_whoever_is_there(root: Path, tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    done = run(root, "overhead", "--quick", "--json", str(figures))
    assert done.returncode == 0, done.stderr
    for peer, distribution in PEERS.items():
        assert f"{peer} is left out: '{distribution}' is not installed" in done.stdout
    measured = json.loads(figures.read_text("utf-8"))["results"]["overhead"]
    contenders = {it["contender"] for it in measured}
    assert contenders == {"bare", "pool", "odibi", "odibi events", "odibi own"}
    assert all(it.get("seconds") for it in measured), [it for it in measured if "left_out" in it]
    assert {it["graph"] for it in measured} == {"chain", "wide"}


@pytest.mark.usefixtures("without_peers")
def test_what_reuse_and_resume_cost_is_measured_with_whoever_is_there(root: Path, tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    done = run(root, "warm", "warm-process", "cache", "journal", "--quick", "--json", str(figures))
    assert done.returncode == 0, done.stderr
    for peer, distribution in KEEPERS.items():
        assert f"{peer} is left out: '{distribution}' is not installed" in done.stdout
    measured = json.loads(figures.read_text("utf-8"))["results"]
    warm = {it["contender"] for it in measured["warm"]}
    assert warm == {"look-ups", "odibi again", "odibi values", "odibi anew", "odibi first"}
    processes = {it["process"] for it in measured["warm-process"]}
    assert processes >= {"python -c pass", "odibi run", "its imports alone", "odibi script"}
    stores = {it["store"] for it in measured["cache"]}
    assert stores >= {"odibi", "Arrow file", "pickle 5, mapped"}
    assert not stores & set(KEEPERS)
    assert measured["journal"]
    everything = [it for suite in measured.values() for it in suite]
    assert all(it.get("seconds") for it in everything), [it for it in everything if not it.get("seconds")]


@pytest.mark.usefixtures("without_peers")
def test_what_the_service_costs_is_measured_with_whoever_is_there(root: Path, tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    done = run(root, "triggers", "service", "--quick", "--json", str(figures))
    assert done.returncode == 0, done.stderr
    for peer in ("cronsim", "APScheduler"):
        assert f"{peer} is left out: it is not installed" in done.stdout
    measured = json.loads(figures.read_text("utf-8"))["results"]
    assert {it["who"] for it in measured["triggers"] if "expression" in it} == {"odibi", "croniter"}
    service = measured["service"]
    assert {it["who"] for it in service if "due" in it} == {"odibi", "pool"}
    assert {it["set"] for it in service if "set" in it} == {"fill", "timers alone", "scan"}
    often = {it["store"]: it for it in service if "served" in it and it["intervals"][0] < 60}
    assert set(often) == {"memory", "sqlite"}
    assert all(it["dispatch"] and it["node"] for it in often.values())
    assert all(min(it["dispatch"]) >= 0 for it in often.values())


def test_what_measuring_costs_is_measured(root: Path, tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    done = run(root, "metrics", "--quick", "--json", str(figures))
    assert done.returncode == 0, done.stderr
    measured = {it["who"]: it for it in json.loads(figures.read_text("utf-8"))["results"]["metrics"]}
    assert {"no sink", "an observer", "memory, prometheus", "OpenTelemetry: add()"} <= set(measured)
    assert all(it["seconds"] and it["cpu"] for it in measured.values())


def test_an_unknown_benchmark_is_named(root: Path) -> None:
    done = run(root, "overheads")
    assert done.returncode == 2
    assert "there is no benchmark 'overheads'" in done.stderr
    assert "Traceback" not in done.stderr
