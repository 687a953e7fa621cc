"""README.md keeps its word: its commands are there to be found, its table is complete, its links lead somewhere."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = sorted(
    path.relative_to(ROOT)
    for pattern in ("*.md", "docs/**/*.md", "examples/*/*.md", "kernel/*.md", "plugins/*/*.md")
    for path in ROOT.glob(pattern)
)
LINK = re.compile(r"(?<!\\)\[[^\]]*\]\((?P<target>[^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def command(readme: str, which: str) -> str:
    found = re.findall(rf"^<!-- quickstart:{which} -->\n```sh\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    assert len(found) == 1, f"one fenced block right below <!-- quickstart:{which} -->"
    return str(found[0])


@pytest.mark.parametrize("which", ["run", "test"])
def test_a_quickstart_is_one_command_that_does_all_of_its_set_up(readme: str, which: str) -> None:
    lines = command(readme, which).splitlines()
    assert lines[0].startswith("python3 -m venv ")
    assert all(line.endswith("&&") for line in lines[:-1]), "so that it stops where it fails"
    assert not lines[-1].endswith("&&")
    subprocess.run(["bash", "-n"], input=command(readme, which), text=True, check=True)


def test_the_run_command_installs_from_the_clone_alone(readme: str) -> None:
    installed = next(line for line in command(readme, "run").splitlines() if "pip install" in line)
    ours = [word for word in installed.split() if "odibi" in word or word.endswith("kernel")]
    assert ours == ["./kernel", "./plugins/odibi-local", "./plugins/odibi-pandas", "./plugins/odibi-story"]
    assert all((ROOT / folder / "pyproject.toml").is_file() for folder in ours)


def test_ci_runs_the_test_command_and_nothing_else(readme: str, tmp_path: Path) -> None:
    script = tmp_path / ".ci" / "run"
    script.parent.mkdir()
    script.write_text((ROOT / ".ci" / "run").read_text("utf-8"), "utf-8")
    before, _, after = readme.partition(command(readme, "test"))
    (tmp_path / "README.md").write_text(f"{before}echo first &&\necho second &&\nexit 3\n{after}", "utf-8")
    done = subprocess.run(["bash", str(script)], capture_output=True, text=True, cwd="/")
    assert (done.stdout, done.returncode) == ("first\nsecond\n", 3)


def test_ci_fails_where_there_is_no_test_command(tmp_path: Path) -> None:
    script = tmp_path / ".ci" / "run"
    script.parent.mkdir()
    script.write_text((ROOT / ".ci" / "run").read_text("utf-8"), "utf-8")
    (tmp_path / "README.md").write_text("# Nothing\n", "utf-8")
    done = subprocess.run(["bash", str(script)], capture_output=True, text=True)
    assert done.returncode == 2
    assert "quickstart:test" in done.stderr


def test_the_test_command_ends_with_the_environment_that_runs_everything(readme: str) -> None:
    *_, packed, last = command(readme, "test").splitlines()
    assert packed.startswith("ODIBI_REQUIRE_ALL=1 ")
    assert last.startswith("ODIBI_REQUIRE_ALL=1 ")
    assert " -qq " in last, "tox would print its own summary after pytest's closing line"
    assert last.endswith(" -e all")
    named = {"all", *packed.removesuffix(" &&").rpartition(" ")[2].split(",")}
    packages = {"kernel", *(home.name.removeprefix("odibi-") for home in (ROOT / "plugins").iterdir() if home.is_dir())}
    assert named == packages | {"lint", "type", "all"}


def test_the_plugin_table_names_exactly_the_packages_there_are(readme: str) -> None:
    section = readme.partition("## Packages")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| \[`([\w-]+)`\]\(([^)]+)\)", section, re.MULTILINE)
    there = {"odibi-kernel": "kernel"}
    there.update({home.name: f"plugins/{home.name}" for home in (ROOT / "plugins").iterdir() if home.is_dir()})
    assert dict(rows) == there


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_somewhere(page: Path) -> None:
    text = FENCE.sub("", (ROOT / page).read_text("utf-8"))
    dead = []
    for target in LINK.findall(text):
        path, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", path):
            continue
        there = (ROOT / page).parent / path if path else ROOT / page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            dead.append(target)
    assert not dead


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.replace("`", "").strip().lower()).replace(" ", "-") for heading in headings}
