"""What ``odibi new plugin`` writes, as far as it can be told without installing it; tests/integration runs the rest."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from odibi.cli.main import main
from odibi.contracts import FAMILIES
from odibi.errors import ConfigError, OdibiError
from odibi.hookspecs import REGISTERING
from odibi.new_plugin import LONGEST, Names, names_of, plugin_files, write_plugin


def written(folder: Path) -> dict[str, str]:
    """Path to content of all files in a folder."""
    return {str(path.relative_to(folder)): path.read_text("utf-8") for path in folder.rglob("*") if path.is_file()}


def refused(*given: str | None) -> str:
    with pytest.raises(ConfigError) as caught:
        names_of(*given)  # type: ignore[arg-type]
    return str(caught.value)


class TestNames:
    """What the parts are called."""

    @pytest.mark.parametrize(
        ("distribution", "module", "plugin", "component", "cls"),
        [
            ("odibi-shelf", "odibi_shelf", "shelf", "shelf", "ShelfStorage"),
            ("shelf", "shelf", "shelf", "shelf", "ShelfStorage"),
            ("Odibi.Big_Shelf", "odibi_big_shelf", "big-shelf", "big_shelf", "BigShelfStorage"),
            ("odibi-shelf-storage", "odibi_shelf_storage", "shelf-storage", "shelf_storage", "ShelfStorage"),
            ("odibi-s3x", "odibi_s3x", "s3x", "s3x", "S3xStorage"),
            ("acme-odibi-shelf", "acme_odibi_shelf", "acme-odibi-shelf", "acme_odibi_shelf", "AcmeOdibiShelfStorage"),
        ],
    )
    def test_they_come_from_the_distribution(
        self, distribution: str, module: str, plugin: str, component: str, cls: str
    ) -> None:
        names = names_of(distribution, "storage")
        assert names == Names(distribution, module, plugin, "storage", component, cls)

    def test_the_component_may_be_called_otherwise(self) -> None:
        names = names_of("odibi-shelf", "format", "wood")
        assert (names.component, names.cls, names.registered) == ("wood", "WoodFormat", "rows.wood")
        assert names_of("odibi-3d", "cache", "solid").module == "odibi_3d"

    @pytest.mark.parametrize(
        ("name", "why"),
        [
            ("", "no name of a distribution"),
            ("-shelf", "no name of a distribution"),
            ("shelf-", "no name of a distribution"),
            ("my shelf", "no name of a distribution"),
            ("../shelf", "no name of a distribution"),
            ("odibi/shelf", "no name of a distribution"),
            ("regál", "no name of a distribution"),
            ("shelf\n", "no name of a distribution"),
            ("x" * (LONGEST + 1), "more than"),
            ("3d", "could not be imported"),
            ("class", "could not be imported"),
            ("json", "there is a module 'json' already"),
            ("odibi", "there is a module 'odibi' already"),
            ("odibi-kernel", "that is the kernel"),
        ],
    )
    def test_a_bad_name_is_refused_with_why(self, name: str, why: str) -> None:
        said = refused(name, "storage")
        assert why in said
        assert "as in 'odibi-shelf'" in said

    @pytest.mark.parametrize("component", ["Shelf", "my shelf", "3d", "class", "a.b", "../x", "a-b", "x" * 200])
    def test_a_bad_component_is_refused(self, component: str) -> None:
        assert "--component" in refused("odibi-shelf", "storage", component)

    def test_so_is_one_that_follows_from_the_name(self) -> None:
        assert "the component cannot be called '3d'" in refused("odibi-3d", "storage")

    @pytest.mark.parametrize(
        ("family", "component"), [("storage", "conformance"), ("engine", "frames"), ("checkpoint", "locks")]
    )
    def test_the_component_is_no_other_module_of_the_package(self, family: str, component: str) -> None:
        assert "has a module of that name already" in refused("odibi-shelf", family, component)

    def test_a_family_that_there_is_not_is_answered_with_the_nearest(self) -> None:
        said = refused("odibi-shelf", "storge")
        assert "there is no family 'storge'. Did you mean 'storage'?" in said
        assert all(family in said for family in FAMILIES)
        assert "Did you mean" not in refused("odibi-shelf", "zzz")

    def test_all_mistakes_are_told_at_once(self) -> None:
        with pytest.raises(ConfigError) as caught:
            names_of("my shelf", "storge")
        assert len(caught.value.problems) == 2


@pytest.fixture(name="made", scope="module", params=FAMILIES)
def _made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Names, Path, list[str]]:
    """A new plugin of each family."""
    folder = tmp_path_factory.mktemp("new") / "odibi-shelf"
    names = names_of("odibi-shelf", request.param)
    return names, folder, write_plugin(folder, names)


class TestFiles:
    """What is written, for each family."""

    def test_all_are_written_and_named(self, made: tuple[Names, Path, list[str]]) -> None:
        names, folder, paths = made
        assert paths == sorted(written(folder))
        home = "src/odibi_shelf"
        modules = ("__init__.py", "shelf.py", "conformance.py", "py.typed", "odibi-plugin.json")
        around = ("pyproject.toml", "README.md", "LICENSE", "tox.ini", ".gitignore", ".github/workflows/ci.yml")
        tests = ("tests/test_conformance.py", "tests/test_plugin.py")
        assert {*(f"{home}/{each}" for each in modules), *around, *tests} <= set(paths)
        assert set(plugin_files(names)) == {*paths} - {f"{home}/odibi-plugin.json"}
        assert [each.name for each in folder.parent.iterdir()] == [folder.name], "something is left beside it"

    def test_no_blank_is_left_to_fill_in(self, made: tuple[Names, Path, list[str]]) -> None:
        for path, content in written(made[1]).items():
            assert not re.search(r"@[A-Z_]+@", content + path), path
            assert content.endswith("\n") or not content, path

    def test_the_code_compiles_and_is_in_order(self, made: tuple[Names, Path, list[str]]) -> None:
        _, folder, _ = made
        for path, content in written(folder).items():
            if path.endswith(".py"):
                compile(content, path, "exec")
                assert max(map(len, content.splitlines())) <= 120, path
        if importlib.util.find_spec("ruff"):
            for command in (["check", "--no-cache"], ["format", "--check", "--no-cache"]):
                call = [sys.executable, "-m", "ruff", *command, "."]
                done = subprocess.run(call, cwd=folder, capture_output=True, text=True, timeout=120)
                assert done.returncode == 0, done.stdout + done.stderr

    def test_the_metadata_names_the_module(self, made: tuple[Names, Path, list[str]]) -> None:
        _, folder, _ = made
        project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
        assert project["name"] == "odibi-shelf"
        assert project["entry-points"]["odibi"] == {"shelf": "odibi_shelf"}
        assert project["dependencies"] == ["odibi-kernel>=0.1,<0.2"]
        assert project["optional-dependencies"]["test"] == ["odibi-kernel[testing]>=0.1,<0.2"]

    @pytest.mark.parametrize(
        ("version", "wanted"),
        [("0.1.0", ">=0.1,<0.2"), ("0.12.3", ">=0.12,<0.13"), ("1.0.0", ">=1.0,<2"), ("2.7.1.dev3", ">=2.7,<3")],
    )
    def test_it_works_with_kernels_of_one_series(
        self, monkeypatch: pytest.MonkeyPatch, version: str, wanted: str
    ) -> None:
        monkeypatch.setattr("odibi.new_plugin.__version__", version)
        text = plugin_files(names_of("odibi-shelf", "trigger"))["pyproject.toml"]
        assert tomllib.loads(text)["project"]["dependencies"] == [f"odibi-kernel{wanted}"]

    def test_the_manifest_says_what_the_hooks_say(self, made: tuple[Names, Path, list[str]]) -> None:
        names, folder, _ = made
        manifest = json.loads((folder / "src/odibi_shelf/odibi-plugin.json").read_text())
        offered = manifest["components"][names.family][names.registered]
        assert offered["class"] == f"odibi_shelf.shelf:{names.cls}"
        assert offered["options"]["properties"]
        assert manifest["suites"][f"{names.family}.{names.registered}"] == f"odibi_shelf.conformance:{names.cls}Suite"
        assert REGISTERING[names.family] in (folder / "src/odibi_shelf/__init__.py").read_text()

    def test_the_component_is_no_import_of_the_kit(self, made: tuple[Names, Path, list[str]]) -> None:
        """It is the author's own, to change; only a format needs an engine's frames, and takes those of the kit."""
        names, folder, _ = made
        text = (folder / "src/odibi_shelf/shelf.py").read_text()
        found = re.findall(r"(?:from|import) (odibi\.testing\S*) import (\w+)", text)
        assert {each for _, each in found} <= ({"RowsFrame"} if names.family == "format" else set())

    def test_what_is_yaml_can_be_read(self, made: tuple[Names, Path, list[str]]) -> None:
        _, folder, _ = made
        assert "jobs" in yaml.safe_load((folder / ".github/workflows/ci.yml").read_text())
        (use,) = re.findall(r"```yaml\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
        assert isinstance(yaml.safe_load(use), Mapping)


class TestCommand:
    """``odibi new plugin``."""

    @pytest.fixture(autouse=True)
    def _in_a_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)

    def test_it_writes_a_folder_and_says_what_next(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["new", "plugin", "odibi-shelf", "--family", "trigger"]) == 0
        out = capsys.readouterr().out
        assert "wrote odibi-shelf/src/odibi_shelf/shelf.py\n" in out
        assert "\nNext:\n  cd odibi-shelf\n  pip install -e '.[test]'\n  pytest\n" in out
        assert (tmp_path / "odibi-shelf" / "src" / "odibi_shelf" / "odibi-plugin.json").is_file()

    def test_the_folder_and_the_component_may_be_called_otherwise(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        command = ["new", "plugin", "odibi-shelf", "--family", "secret", "--path", "my shelf", "--component", "wood"]
        assert main(command) == 0
        assert "  cd 'my shelf'\n" in capsys.readouterr().out
        assert "class WoodSecrets:" in (tmp_path / "my shelf" / "src" / "odibi_shelf" / "wood.py").read_text()

    @pytest.mark.parametrize("what", ["folder", "file", "link"])
    def test_it_overwrites_nothing(self, tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str) -> None:
        place = tmp_path / "odibi-shelf"
        if what == "folder":
            place.mkdir()
        elif what == "file":
            place.write_text("mine")
        else:
            place.symlink_to("nowhere")
        before = os.lstat(place)
        assert main(["new", "plugin", "odibi-shelf", "--family", "trigger"]) == 2
        assert "odibi-shelf is there already. Give another name, or another --path." in capsys.readouterr().err
        assert os.lstat(place).st_ino == before.st_ino
        assert [each.name for each in tmp_path.iterdir()] == ["odibi-shelf"]

    def test_a_place_that_is_not_there_is_told(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["new", "plugin", "odibi-shelf", "--family", "trigger", "--path", "no/where"]) == 2
        assert "cannot be written" in capsys.readouterr().err
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["odibi-shelf"], "--family"),
            (["odibi-shelf", "--family", "storages"], "Did you mean 'storage'?"),
            (["odibi shelf", "--family", "storage"], "no name of a distribution"),
            (["odibi-shelf", "--family", "storage", "--component", "X"], "--component"),
        ],
    )
    def test_mistakes_are_told_and_nothing_is_written(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
    ) -> None:
        assert main(["new", "plugin", *arguments]) == 2
        assert says in capsys.readouterr().err
        assert list(tmp_path.iterdir()) == []

    def test_a_component_that_is_installed_already_is_told(self, capsys: pytest.CaptureFixture[str]) -> None:
        """The kernel's own are always there."""
        from odibi.host import Host

        taken = Host(discover=False).names("executor")[0]
        assert main(["new", "plugin", "odibi-shelf", "--family", "executor", "--component", taken]) == 0
        assert f"offers the executor {taken!r} already" in capsys.readouterr().err


def test_an_engine_comes_with_a_format_and_a_suite_for_it(tmp_path: Path) -> None:
    write_plugin(tmp_path / "x", names_of("odibi-shelf", "engine"))
    manifest = json.loads((tmp_path / "x/src/odibi_shelf/odibi-plugin.json").read_text())
    assert list(manifest["components"]["format"]) == ["shelf.json"]
    assert set(manifest["suites"]) == {"engine.shelf", "format.shelf.json"}


def test_a_manifest_that_cannot_be_made_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is there whole or not at all."""
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(OdibiError, match="manifest"):
        write_plugin(tmp_path / "odibi-shelf", names_of("odibi-shelf", "trigger"))
    assert list(tmp_path.iterdir()) == []
