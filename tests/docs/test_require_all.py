"""``ODIBI_REQUIRE_ALL`` turns every way to skip into a failure, and leaves the rest alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent.parent
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
        env={"ODIBI_REQUIRE_ALL": require_all, "ODIBI_WITHOUT": without, "PATH": ""},
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
