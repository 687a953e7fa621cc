"""The part of the kit that pytest loads: what is left out and listed, known failures, and what is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SUITE = """
from odibi.testing.reference.storage import MemoryStorage
from odibi.testing.storage import StorageSuite


class TestWeak(StorageSuite):
    component = MemoryStorage

    def options(self, place):
        return {"name": str(place)}
"""

PLAIN = """
def test_that_passes():
    pass


def test_that_fails():
    assert 1 == 2


class TestAll:
    def test_that_fails(self):
        assert 1 == 2
"""


SHELF = """
import hypothesis
from odibi import hookimpl


@hookimpl
def odibi_storages():
    return {"shelf": "shelf.it:It"}
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTEST_ADDOPTS": ""}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-c",
        os.devnull,
        "--rootdir",
        str(folder),
    ]
    return subprocess.run([*command, *arguments], cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    (tmp_path / "test_plain.py").write_text(PLAIN)
    return tmp_path


def known(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    (folder / "known").write_text(text)
    return run(folder, "--odibi-known-failures", "known", "test_plain.py")


def test_known_failures_are_expected(plain: Path) -> None:
    done = known(plain, "# ours\n\ntest_plain.py::test_that_fails  # the server\nTestAll::test_that_fails  # it too\n")
    assert done.returncode == 0, done.stdout
    assert "1 passed, 2 xfailed" in done.stdout


def test_without_them_they_fail(plain: Path) -> None:
    assert run(plain, "test_plain.py").returncode == 1


def test_one_that_passes_is_a_failure(plain: Path) -> None:
    done = known(plain, "test_that_passes  # it did once\n")
    assert done.returncode == 1
    assert "[XPASS(strict)] it did once" in done.stdout


def test_a_line_that_means_no_test_is_a_failure(plain: Path) -> None:
    done = known(plain, "test_that_fails  # all of that name\ntest_that_is_gone  # once\nthat_passes  # half a name\n")
    assert done.returncode == 1
    assert "3 failed" not in done.stdout
    assert "known: test_that_is_gone: remove the line, or correct it" in done.stdout
    assert "known: that_passes: remove the line" in done.stdout


@pytest.mark.parametrize(
    ("text", "said"), [("test_that_fails\n", "known:1: say after '#' why test_that_fails is known to fail")]
)
def test_a_line_says_why(plain: Path, text: str, said: str) -> None:
    done = known(plain, text)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert said in done.stderr


def test_a_file_that_is_not_there(plain: Path) -> None:
    done = run(plain, "--odibi-known-failures", "nothing", "test_plain.py")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "nothing cannot be read" in done.stderr


def test_what_is_declared_is_left_out_and_listed(tmp_path: Path) -> None:
    (tmp_path / "test_weak.py").write_text(SUITE)
    done = run(tmp_path, "test_weak.py", "-k", "staged")
    assert done.returncode == 0, done.stdout
    listed = done.stdout.partition("left out, as declared")[2]
    assert "1 test: storage MemoryStorage has 'replace_folder': none" in listed


def test_what_a_suite_does_not_say_is_listed_apart(tmp_path: Path) -> None:
    (tmp_path / "test_weak.py").write_text(SUITE)
    done = run(tmp_path, "test_weak.py", "-k", "backend or cut_off or reach")
    assert done.returncode == 0, done.stdout
    listed = done.stdout.partition("left out, as the suite does not say how")[2]
    assert "the suite has no way to make the backend unreachable" in listed


def test_what_is_installed_is_tested(tmp_path: Path) -> None:
    site = tmp_path / "site"
    (site / "shelf").mkdir(parents=True)
    (site / "shelf" / "__init__.py").write_text(SHELF)
    (site / "shelf" / "it.py").write_text("class It: pass\n")
    info = site / "odibi_shelf-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: odibi-shelf\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[odibi]\nshelf = shelf\n")
    environment = {**os.environ, "PYTHONPATH": str(site), "XDG_CACHE_HOME": str(tmp_path), "PYTEST_ADDOPTS": ""}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "--odibi-conformance"]
    done = subprocess.run(
        [*command, "-k", "Plugin_shelf"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 1
    for wrong in (
        "hypothesis",
        "; do that where it is first used",
        "its module has no ODIBI_API",
        "odibi-plugin.json is not there",
        "storage 'shelf' is no attrs class",
    ):
        assert wrong in done.stdout, done.stdout
