"""Rules of the house that no linter knows."""

from __future__ import annotations

import configparser
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
HOMES = [ROOT / "kernel", *sorted(home for home in (ROOT / "plugins").iterdir() if (home / "pyproject.toml").is_file())]
OPEN_TO_PLUGINS = {"contracts", "errors", "events", "hookspecs", "testing"}


def import_rules() -> configparser.ConfigParser:
    rules = configparser.ConfigParser()
    rules.read(ROOT / ".importlinter", "utf-8")
    return rules


def listed(value: str) -> set[str]:
    return {line.strip() for line in value.splitlines() if line.strip()}


def top_level_package(home: Path) -> Path:
    (package,) = (folder for folder in (home / "src").iterdir() if (folder / "__init__.py").is_file())
    return package


@pytest.mark.parametrize("home", HOMES, ids=lambda home: home.name)
class TestEveryPackage:
    def test_is_a_distribution_of_its_own(self, home: Path) -> None:
        project = tomllib.loads((home / "pyproject.toml").read_text("utf-8"))["project"]
        assert project["name"] == ("odibi-kernel" if home.name == "kernel" else home.name)
        assert project["requires-python"] == ">=3.11"
        assert (home / "README.md").read_text("utf-8").startswith(f"# {project['name']}\n")
        assert (home / "LICENSE").read_text("utf-8") == (ROOT / "LICENSE").read_text("utf-8")

    def test_is_typed(self, home: Path) -> None:
        assert (top_level_package(home) / "py.typed").is_file()

    def test_is_known_to_every_tool(self, home: Path) -> None:
        source = top_level_package(home).parent.relative_to(ROOT).as_posix()
        settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
        assert source in settings["tool"]["mypy"]["mypy_path"]
        tox = configparser.RawConfigParser()
        tox.read(ROOT / "tox.ini", "utf-8")
        assert source in tox["testenv:type"]["commands"]
        assert source in tox["testenv:lint"]["set_env"]
        assert home.name.removeprefix("odibi-") in tox["tox"]["env_list"]
        assert top_level_package(home).name in listed(import_rules()["importlinter"]["root_packages"])


def test_plugins_know_the_kernels_open_rooms_alone() -> None:
    home = ROOT / "kernel/src/odibi"
    rooms = {path.stem for path in home.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    rooms -= {"__init__", "__pycache__", "py"} | OPEN_TO_PLUGINS
    closed = listed(import_rules()["importlinter:contract:plugins"]["forbidden_modules"])
    assert {f"odibi.{room}" for room in rooms} <= closed


def test_no_plugin_is_left_out_of_the_import_rules() -> None:
    packages = {top_level_package(home).name for home in HOMES[1:]}
    rules = import_rules()
    assert listed(rules["importlinter:contract:plugins"]["source_modules"]) == packages
    assert listed(rules["importlinter:contract:neighbours"]["modules"]) == packages
    assert packages <= listed(rules["importlinter:contract:kernel"]["forbidden_modules"])


def test_nothing_tells_of_the_machine_it_was_made_on() -> None:
    """No path of somebody's machine, no package index by its host: what is here must work anywhere."""
    found = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if found.returncode:
        files = [path for path in ROOT.rglob("*.[mpty]*") if ".tox" not in path.parts and ".venv" not in path.parts]
    else:
        files = [ROOT / name for name in found.stdout.split("\0") if name]
    hosts = "|".join(re.escape(host) for host in ("pypi" + ".org", "python" + "hosted.org"))
    telltale = re.compile(rf"{hosts}|(?<![\w.])/(?:work|root|home)/\w|(?<![\w.])/opt/\w")
    guilty = []
    for path in files:
        if path.is_file() and path != Path(__file__).resolve():
            try:
                text = path.read_text("utf-8")
            except UnicodeDecodeError:
                continue
            guilty += [f"{path.relative_to(ROOT)}: {match[0]}" for match in telltale.finditer(text)]
    assert not guilty
