"""Which modules a command may import. Time is measured by the benchmarks; what costs it is held here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    "attr", "attrs", "cattrs", "importlib.metadata", "rich", "structlog", "yaml",
    "numpy", "pandas", "pyarrow", "duckdb", "openpyxl",
}  # fmt: skip
SCRIPT = """
import json, sys
bare = set(sys.modules)
{code}
sys.stdout.flush()
print(json.dumps(sorted(set(sys.modules) - bare)), file=sys.stderr)
"""


def imported(folder: Path, code: str) -> set[str]:
    """The modules that a program imports, as a script in a folder that did not change of late."""
    script = folder / "script.py"
    script.write_text(SCRIPT.format(code=code))
    os.utime(folder, (1_600_000_000, 1_600_000_000))
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder.parent / "cache"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, env=environment, cwd=folder)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stderr.splitlines()[-1]))


def command(folder: Path, *arguments: str) -> set[str]:
    code = f"from odibi.cli.main import main\nassert main({list(arguments)!r}) == 0"
    found = imported(folder, code)
    for _ in range(50):
        # The first time plugins are looked for, and what is found is kept as soon as the folders of sys.path have been
        # as they are for two seconds: not at once where packages were installed, or first compiled, just now.
        if not found & {"importlib_metadata"}:
            break
        found = imported(folder, code)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder, and a cache of its own beside it."""
    made = tmp_path / "here"
    made.mkdir()
    return made


def test_import_odibi_imports_nothing_else(folder: Path) -> None:
    found = imported(folder, "import odibi")
    assert {name for name in found if name.startswith("odibi")} == {"odibi"}
    assert not found & (HEAVY | {"click", "pluggy", "json", "logging", "inspect", "pathlib"})


def test_version(folder: Path) -> None:
    found = command(folder, "--version")
    assert {name for name in found if name.startswith("odibi")} == {"odibi", "odibi.cli", "odibi.cli.main"}
    assert not found & (HEAVY | {"click", "pluggy", "inspect", "logging", "pathlib"})


@pytest.mark.parametrize("arguments", [["--help"], ["plugins"], ["plugins", "--json"]], ids=" ".join)
def test_help_and_plugins(folder: Path, arguments: list[str]) -> None:
    found = command(folder, *arguments)
    assert not found & (HEAVY | {"click", "importlib_metadata", "logging", "pathlib"})


@pytest.mark.parametrize("name", ["run", "plan", "runs", "cache", "init", "schema", "validate", "graph", "doctor"])
def test_help_of_a_command_imports_what_it_says_alone(folder: Path, name: str) -> None:
    found = command(folder, name, "--help")
    assert "click" in found
    assert not found & (HEAVY | {"odibi.cli.running", "odibi.scaffold", "odibi.api", "odibi.model"})


def test_looking_at_a_project_imports_no_display_and_no_data(folder: Path) -> None:
    text = "project: p\\nengine: null\\npipelines: [{pipeline: q, nodes: [{name: a, function: f}]}]\\n"
    code = f"open('odibi.yaml', 'w').write('{text}')\nopen('transforms.py', 'w').write('def f(): return 1')\n"
    code += "from odibi.cli.main import main\nassert main(['validate']) == 0\nassert main(['graph']) == 0"
    found = imported(folder, code)
    assert not found & {"rich", "structlog", "numpy", "pandas", "pyarrow", "duckdb"}


def test_a_run_without_logs_imports_no_logging_library(folder: Path) -> None:
    text = "project: p\\nengine: null\\npipelines: [{pipeline: q, nodes: [{name: a, function: f}]}]\\n"
    code = f"open('odibi.yaml', 'w').write('{text}')\nopen('transforms.py', 'w').write('def f(): return 1')\n"
    code += "from odibi.cli.main import main\nassert main(['run']) == 0"
    assert not imported(folder, code) & {"rich", "structlog", "numpy", "pandas", "pyarrow", "duckdb"}
