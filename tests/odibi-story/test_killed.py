"""A run that is killed leaves what was known of it, and is told to its end by the next."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from odibi_story.places import FolderPlace
from odibi_story.record import INTERRUPTED, RUNNING, RunStory
from odibi_story.shelf import Found, Shelf

PROJECT = """
project: shop
story: {path: stories/}
pipelines:
  - pipeline: daily
    nodes:
      - {name: one, function: one}
      - {name: two, function: two, depends_on: [one]}
      - {name: three, function: three, depends_on: [two]}
"""
FUNCTIONS = """
import os, time
def one(): return 1
def two(one):
    open("two", "w").close()
    while os.path.exists("wait"):
        time.sleep(0.02)
    return one
def three(two): return two
"""
PATIENCE = 60.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "odibi.yaml").write_text(PROJECT)
    (tmp_path / "transforms.py").write_text(FUNCTIONS)
    (tmp_path / "wait").touch()
    return tmp_path


@pytest.fixture
def run(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A run whose second node goes on until it is let go."""
    command = [sys.executable, "-m", "odibi", "run", "odibi.yaml"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as started:
        yield started
        if started.poll() is None:
            started.kill()


def until_two_runs(folder: Path) -> tuple[Found, RunStory]:
    """The story as it is once the second node is told to run."""
    shelf = Shelf(FolderPlace(folder / "stories"))
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for found, story in shelf.each():
            if story.state == RUNNING and story.counts.get("succeeded") == 1 and story.counts.get("running") == 1:
                return found, story
        time.sleep(0.02)
    raise AssertionError(f"the run is not told: {sorted(folder.rglob('*'))}")


def test_a_run_shows_while_it_goes_on(folder: Path, run: subprocess.Popen[bytes]) -> None:
    _, story = until_two_runs(folder)
    assert [node.state for node in story.nodes] == ["succeeded", "running", "waiting"]
    assert story.counts == {"succeeded": 1, "running": 1, "waiting": 1}
    (folder / "wait").unlink()
    said, _ = run.communicate(timeout=PATIENCE)
    assert run.returncode == 0, said
    ((found, story),) = Shelf(FolderPlace(folder / "stories")).each()
    assert (found.growing, story.state) == (False, "succeeded")
    assert not list((folder / "stories").rglob("*.jsonl"))


def test_a_run_that_is_killed_shows_as_interrupted_and_is_told_to_its_end(
    folder: Path, run: subprocess.Popen[bytes]
) -> None:
    until_two_runs(folder)
    os.kill(run.pid, signal.SIGKILL)
    run.wait(PATIENCE)
    shelf = Shelf(FolderPlace(folder / "stories"))
    ((found, story),) = shelf.each()
    assert (found.growing, story.state) == (True, INTERRUPTED)
    assert [node.state for node in story.nodes] == ["succeeded", "running", "waiting"]
    last = subprocess.run(
        [sys.executable, "-m", "odibi", "story", "last"], cwd=folder, capture_output=True, text=True, timeout=PATIENCE
    )
    assert "INTERRUPTED" in last.stdout, last.stderr
    (folder / "wait").unlink()
    again = [sys.executable, "-m", "odibi", "run", "odibi.yaml"]
    done = subprocess.run(again, cwd=folder, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    (_, newer), (older, ended) = shelf.each()
    assert newer.state == "succeeded"
    assert (older.growing, ended.state, ended.run_id) == (False, INTERRUPTED, story.run_id)
    assert sorted(path.suffix for path in (folder / "stories" / "daily").glob(f"{ended.run_id}*")) == [
        ".html",
        ".json",
        ".md",
    ]
