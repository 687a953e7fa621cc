"""The first command of README.md, as somebody runs it who has just cloned the repository; then once more."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
LEFT_BEHIND = shutil.ignore_patterns(".git", ".tox", ".venv*", ".*_cache", "__pycache__", "data", "out", ".hypothesis")


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Path]:
    """What a clone holds."""
    clone = tmp_path / "clone"
    shutil.copytree(ROOT, clone, ignore=LEFT_BEHIND)
    yield clone
    shutil.rmtree(clone)  # an environment with pandas in it is too big to be kept like other test folders


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """One in which ``python3`` is the Python that runs the tests, and nothing of its packages shows."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "python3").symlink_to(Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV", "FLIGHTS"))}
    return {**kept, "PATH": f"{programs}{os.pathsep}/usr/bin{os.pathsep}/bin", "NO_COLOR": "1"}


def test_the_run_command_works_from_a_clone_twice(readme: str, clone: Path, environment: dict[str, str]) -> None:
    (command,) = re.findall(r"^<!-- quickstart:run -->\n```sh\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    for attempt in (1, 2):
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=clone,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=600,
        )
        assert done.returncode == 0, f"attempt {attempt}:\n{done.stdout}"
        assert "Traceback" not in done.stdout
        said = str(clone / "examples" / "flights" / "out" / "lake") if attempt == 1 else "gold  succeeded  9 reused"
        assert said in done.stdout
        assert "20 of 20 nodes" in done.stdout
    assert (clone / "examples/flights/out/lake/gold/carrier_scorecard.csv").is_file()
    stories = clone / "examples/flights/out/reports/stories"
    assert {page.parent.name for page in stories.rglob("*.html")} == {"bronze", "silver", "gold"}
    made = subprocess.run([clone / ".venv/bin/pip", "freeze"], capture_output=True, text=True, check=True).stdout
    assert [line.rpartition("/")[2] for line in made.splitlines() if line.startswith("odibi-")] == [
        "kernel",
        "odibi-local",
        "odibi-pandas",
        "odibi-story",
    ]
    ours = [line for line in made.splitlines() if line.startswith("odibi")]
    assert len(ours) == 4
    assert all(f"@ file://{clone}" in line for line in ours), "one came from somewhere else"
