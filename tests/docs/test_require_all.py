"""``ODIBI_REQUIRE_ALL`` turns every way to skip into a failure, and ``--together`` loses no test."""

from __future__ import annotations

import configparser
import importlib.util
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

from odibi.testing.storage import StorageSuite

TESTS = Path(__file__).resolve().parent.parent
BARE = {"PATH": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
SKIPS = {
    "by a call": "import pytest\ndef test_it():\n    pytest.skip('no server')",
    "by a mark": "import pytest\n@pytest.mark.skipif(True, reason='no server')\ndef test_it(): ...",
    "in a fixture": "import pytest\n@pytest.fixture\ndef it():\n    pytest.skip('no server')\ndef test_it(it): ...",
    "as a whole module": "import pytest\npytest.skip('no server', allow_module_level=True)",
    "for want of a module": "import pytest\npytest.importorskip('no_server')",
}


def run_pytest(folder: Path, text: str, require_all: str, without: str = "") -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text((TESTS / "conftest.py").read_text("utf-8"), "utf-8")
    (folder / "test_it.py").write_text(text, "utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder), str(folder)]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=folder,
        env={**BARE, "ODIBI_REQUIRE_ALL": require_all, "ODIBI_WITHOUT": without},
    )


@pytest.mark.parametrize("text", SKIPS.values(), ids=SKIPS)
def test_a_skip_fails_where_all_is_required(tmp_path: Path, text: str) -> None:
    done = run_pytest(tmp_path, text, "1")
    assert done.returncode in (1, 2), done.stdout + done.stderr
    assert "no server" in done.stdout or "no_server" in done.stdout
    assert "nothing may be skipped" in done.stdout


@pytest.mark.parametrize("text", SKIPS.values(), ids=SKIPS)
@pytest.mark.parametrize("setting", ["", "0"])
def test_a_skip_is_a_skip_elsewhere(tmp_path: Path, text: str, setting: str) -> None:
    done = run_pytest(tmp_path, text, setting)
    assert done.returncode in (0, 5), done.stdout + done.stderr
    assert "1 skipped" in done.stdout


def test_an_expected_failure_is_no_skip(tmp_path: Path) -> None:
    text = "import pytest\n@pytest.mark.xfail\ndef test_it():\n    assert False"
    assert run_pytest(tmp_path, text, "1").returncode == 0


KIT = """
import pytest

class Suite:
    def test_it(self):
        {skip}
"""


@pytest.mark.parametrize(
    ("skip", "without", "allowed"),
    [
        ("pytest.skip('declared: it cannot')", "", True),
        ("pytest.importorskip('no_server')", "no_server, other", True),
        ("pytest.importorskip('no_server')", "other", False),
    ],
)
def test_the_kit_may_leave_out_what_is_declared(tmp_path: Path, skip: str, without: str, allowed: bool) -> None:
    kit = tmp_path / "odibi" / "testing"
    kit.mkdir(parents=True)
    (kit / "its_suite.py").write_text(KIT.format(skip=skip))
    text = f"import sys\nsys.path.insert(0, {str(kit)!r})\nfrom its_suite import Suite\nclass TestIt(Suite): ...\n"
    done = run_pytest(tmp_path, text, "1", without)
    assert (done.returncode == 0) == allowed, done.stdout + done.stderr


# --- what is passed over where everything is installed ----------------------------------------------------------------

MORE = "test_a_reader_that_goes_direct_reads_the_same"
ALL_OF_THEM = {
    "integration/test_them.py::test_it",
    "kernel/test_plan.py::test_it",
    "odibi-local/test_files.py::test_it",
    "odibi-local/test_conformance.py::test_it",
    f"odibi-local/test_conformance.py::{MORE}[a]",
}


def lay(folder: Path) -> None:
    (folder / "conftest.py").write_text((TESTS / "conftest.py").read_text("utf-8"), "utf-8")
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --import-mode=importlib\n", "utf-8")
    test = "def test_it():\n    pass\n"
    more = f"import pytest\n@pytest.mark.parametrize('it', ['a'])\ndef {MORE}(it):\n    pass\n{test}"
    for module in sorted({each.partition("::")[0] for each in ALL_OF_THEM}):
        (folder / module).parent.mkdir(exist_ok=True)
        (folder / module).write_text(more if MORE in "".join(each for each in ALL_OF_THEM if module in each) else test)


def ran(folder: Path, *arguments: str, **environment: str) -> tuple[set[str], str]:
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "--rootdir", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env={**BARE, **environment})
    return {line.split()[0] for line in done.stdout.splitlines() if " PASSED" in line}, done.stdout


def test_what_was_tested_apart_is_passed_over_where_all_is_together(tmp_path: Path) -> None:
    lay(tmp_path)
    assert ran(tmp_path)[0] == ALL_OF_THEM
    together = {"integration/test_them.py::test_it", "kernel/test_plan.py::test_it"}
    assert ran(tmp_path, "--together")[0] == together | {f"odibi-local/test_conformance.py::{MORE}[a]"}


@pytest.mark.parametrize(
    ("module", "test", "allowed"),
    [
        ("kernel/test_plan.py", "test_it", True),
        ("odibi-local/test_files.py", "test_it", False),
        ("odibi-local/test_conformance.py", "test_it", False),
        ("odibi-local/test_conformance.py", MORE, True),
    ],
)
def test_nothing_is_left_out_both_apart_and_together(tmp_path: Path, module: str, test: str, allowed: bool) -> None:
    lay(tmp_path)
    (tmp_path / module).write_text(f"import pytest\ndef {test}():\n    pytest.importorskip('no_server')\n")
    _, said = ran(tmp_path, module, ODIBI_REQUIRE_ALL="1", ODIBI_WITHOUT="no_server")
    assert ("1 skipped" in said) == allowed, said
    assert ("1 failed" in said) != allowed, said


def test_all_that_is_said_to_be_tested_apart_is_there() -> None:
    spec = importlib.util.spec_from_file_location("shared", TESTS / "conftest.py")
    assert spec is not None
    assert spec.loader is not None
    shared = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(shared)
    modules = [path.relative_to(TESTS).as_posix() for path in TESTS.rglob("test_*.py")]
    for pattern in (*shared.APART, *(each.partition("::")[0] for each in shared.NEEDS_MORE)):
        assert [each for each in modules if fnmatch(each, pattern)], pattern
    for each in shared.NEEDS_MORE:
        assert hasattr(StorageSuite, each.partition("::")[2])
    apart = {each.partition("/")[0] for each in modules if any(fnmatch(each, pattern) for pattern in shared.APART)}
    tox = configparser.RawConfigParser()
    tox.read(TESTS.parent / "tox.ini", "utf-8")
    environments = {name.strip() for name in tox["tox"]["env_list"].split(",")}
    assert {name.removeprefix("odibi-") for name in apart} <= environments, "each has an environment of its own"
