"""The commands that run nothing, and the entry point itself."""

from __future__ import annotations

import errno
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

import odibi
from odibi.cli import main as entry
from odibi.cli.commands import COMMANDS
from odibi.cli.main import main

PROJECT = """\
project: demo
engine: null
pipelines:
  - pipeline: first
    layer: bronze
    nodes:
      - {name: one, function: one, tags: [daily]}
      - {name: two, function: two, depends_on: [one]}
  - pipeline: second
    nodes:
      - {name: three, function: one}
"""
TRANSFORMS = "def one():\n    return 1\n\ndef two(one):\n    return one + 1\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a project, and the working folder."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "odibi.yaml").write_text(PROJECT)
    (folder / "transforms.py").write_text(TRANSFORMS)
    monkeypatch.chdir(folder)
    return folder


def said(capsys: pytest.CaptureFixture[str], code: int, *arguments: str) -> tuple[str, str]:
    """stdout and stderr of a command that ends with ``code``."""
    assert main(arguments) == code, capsys.readouterr()
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    return out, err


class TestEntry:
    def test_version(self, capsys: pytest.CaptureFixture[str]) -> None:
        for arguments in (["--version"], ["--version", "run"]):
            assert said(capsys, 0, *arguments) == (f"odibi {odibi.__version__}\n", "")

    @pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["--help", "run"]])
    def test_help_lists_every_command(self, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
        out, _ = said(capsys, 0, *arguments)
        for name, (_, words) in COMMANDS.items():
            assert f"  {name}" in out
            assert words in out

    @pytest.mark.parametrize("name", COMMANDS)
    def test_every_command_has_help(self, capsys: pytest.CaptureFixture[str], name: str) -> None:
        out, _ = said(capsys, 0, name, "--help")
        assert out.startswith(f"Usage: odibi {name}")

    def test_an_unknown_command_gets_the_nearest(self, capsys: pytest.CaptureFixture[str]) -> None:
        _, err = said(capsys, 2, "valdate")
        assert "there is no command 'valdate'. Did you mean 'validate'?" in err
        _, err = said(capsys, 2, "xyzzy")
        assert "The commands are: run, plan, runs, cache, serve" in err

    def test_an_unknown_option(self, capsys: pytest.CaptureFixture[str]) -> None:
        _, err = said(capsys, 2, "validate", "--bogus")
        assert "--bogus" in err

    @pytest.mark.parametrize("debug", [[], ["--log-level", "debug"], ["--log-level=DEBUG"]])
    def test_a_bug_is_one_line_unless_debugged(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, project: Path, debug: list[str]
    ) -> None:
        monkeypatch.setenv("SOME_TOKEN", "tok-12345")

        def broken(*_: object, **__: object) -> None:
            raise ZeroDivisionError("tok-12345 by zero")

        monkeypatch.setattr(odibi, "load", broken)
        assert main(["validate", *debug]) == 1
        out, err = capsys.readouterr()
        assert "odibi: unexpected ZeroDivisionError: *** by zero" in err
        assert "this is a bug in odibi or a plugin" in err
        assert "tok-12345" not in out + err
        assert ("Traceback" in err) == bool(debug)
        assert len(err.splitlines()) == 1 or debug

    def test_interrupted(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, project: Path
    ) -> None:
        def interrupted(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(odibi, "load", interrupted)
        assert said(capsys, 130, "validate") == ("", "odibi: interrupted\n")

    def test_a_closed_pipe_is_no_error(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        class Closed(io.TextIOWrapper):
            def write(self, text: str) -> int:
                raise BrokenPipeError(errno.EPIPE, "closed")

        stream = Closed((tmp_path / "out").open("wb"))
        monkeypatch.setattr(sys, "stdout", stream)
        assert main(["schema"]) == 141
        assert main(["plugins"]) == 141
        assert main(["--help"]) == 141
        stream.close()

    def test_a_shell_may_ask_for_completions(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("_ODIBI_COMPLETE", "bash_complete")
        monkeypatch.setenv("COMP_WORDS", "odibi val")
        monkeypatch.setenv("COMP_CWORD", "1")
        with pytest.raises(SystemExit):
            main([])
        assert capsys.readouterr().out == "plain,validate\n"

    def test_working_folders_are_no_secrets(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PWD", "/some/folder")
        monkeypatch.setenv("DB_PASSWORD", "hunter2!")
        assert entry.redactor_of_environment().redact("/some/folder hunter2!") == "/some/folder ***"

    def test_as_a_module(self) -> None:
        done = subprocess.run([sys.executable, "-m", "odibi", "nosuch"], capture_output=True, text=True)
        assert done.returncode == 2
        assert "there is no command 'nosuch'" in done.stderr


class TestPluginCommands:
    HOOK = "from odibi import hookimpl\n@hookimpl\ndef odibi_commands():\n    return {}\n"

    def test_they_are_listed_and_run(self, zoo, capsys: pytest.CaptureFixture[str]) -> None:
        code = "import click\n@click.command()\n@click.argument('n')\ndef hi(n):\n    click.echo(f'hi {n}')\n"
        zoo.add("odibi-greet", greet=self.HOOK.format("{'hi': 'greet_cli:hi'}"), greet_cli=code)
        out, _ = said(capsys, 0, "--help")
        assert "hi        From greet_cli." in out
        assert "greet_cli" not in sys.modules
        assert said(capsys, 0, "hi", "there") == ("hi there\n", "")

    @pytest.mark.parametrize(
        ("code", "words"),
        [
            ("raise SystemExit(0)", "it called sys.exit(0)"),
            ("import no_such_module", "no_such_module"),
            ("hi = 5", "is no click command"),
            ("", "has no attribute 'hi'"),
        ],
    )
    def test_a_broken_one_breaks_itself_alone(
        self, zoo, capsys: pytest.CaptureFixture[str], code: str, words: str
    ) -> None:
        zoo.add("odibi-greet", greet=self.HOOK.format("{'hi': 'greet_cli:hi'}"), greet_cli=code)
        out, _ = said(capsys, 0, "--help")
        assert "hi" in out
        _, err = said(capsys, 3, "hi")
        assert "command 'hi'" in err
        assert words in err

    def test_the_kernels_own_names_stay_its_own(self, zoo, capsys: pytest.CaptureFixture[str]) -> None:
        zoo.add("odibi-thief", thief=self.HOOK.format("{'plugins': 'thief_cli:hi'}"), thief_cli="raise SystemExit(9)")
        out, _ = said(capsys, 0, "--help")
        assert "thief_cli" not in out
        said(capsys, 0, "plugins", "--help")


class TestStories:
    """A section ``story`` is for a plugin, and a project that has one runs without it."""

    @pytest.fixture(autouse=True)
    def _without(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ODIBI_PLUGINS_BLOCK", "odibi-story")  # where it is installed

    @pytest.mark.parametrize("command", ["validate", "run"])
    def test_a_plugin_that_is_missed_is_named_once(
        self, project: Path, capsys: pytest.CaptureFixture[str], command: str
    ) -> None:
        (project / "odibi.yaml").write_text(PROJECT + "story: {path: stories/}\n")
        _, err = said(capsys, 0, command)
        assert err.count("pip install odibi-story") == 1
        assert not (project / "stories").exists()

    @pytest.mark.parametrize("story", ["", "story: {auto_generate: false}\n"])
    def test_nothing_is_missed_where_none_are_wanted(
        self, project: Path, capsys: pytest.CaptureFixture[str], story: str
    ) -> None:
        (project / "odibi.yaml").write_text(PROJECT + story)
        assert "odibi-story" not in said(capsys, 0, "validate")[1]


class TestPlugins:
    def test_table(self, zoo, capsys: pytest.CaptureFixture[str]) -> None:
        good = "from odibi import hookimpl\n@hookimpl\ndef odibi_storages():\n    return {'a': 'm:A', 'b': 'm:B'}\n"
        zoo.add("odibi-good", "2.5", good=good)
        zoo.add("odibi-bad", "0.3", bad="import no_such_lib", requires=("no-such-lib",))
        zoo.add("odibi-loud", "0.4", loud="print('\\x1b[31mred\\nlight')")
        out, err = said(capsys, 0, "plugins")
        assert err == ""
        assert "\x1b" not in out
        lines = [line.split() for line in out.splitlines()]
        assert lines[0] == ["DISTRIBUTION", "VERSION", "STATUS", "LOAD", "LOCATION"]
        assert ["odibi-good", "2.5", "loaded"] in [line[:3] for line in lines]
        assert ["storage", "a,", "b"] in lines
        assert ["odibi-bad", "0.3", "quarantined"] in [line[:3] for line in lines]
        assert "    cause      it needs 'no_such_lib', which is not installed" in out.splitlines()
        assert "    remedy     Install it: pip install no-such-lib" in out.splitlines()
        assert "    printed     [31mred light" in out

    def test_json_and_conflicts(self, zoo, capsys: pytest.CaptureFixture[str]) -> None:
        source = "from odibi import hookimpl\n@hookimpl\ndef odibi_storages():\n    return {'a': 'm:A'}\n"
        zoo.add("odibi-one", one=source)
        zoo.add("odibi-two", two=source)
        for arguments in (["plugins", "--json"], ["plugins", "--json", "--json"]):  # without click, and with it
            out, _ = said(capsys, 0, *arguments)
            data = json.loads(out)
            assert {"odibi-one", "odibi-two", "odibi-kernel"} <= {each["distribution"] for each in data["plugins"]}
            assert {"families", "status", "load_ms", "location"} <= set(data["plugins"][0])
            assert len(data["conflicts"]) == 1
        out, _ = said(capsys, 0, "plugins")
        assert "conflict: storage 'a'" in out


class TestValidate:
    def test_ok(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        for arguments in ([], ["odibi.yaml"], [str(project)]):
            assert said(capsys, 0, "validate", *arguments) == ("ok: 2 pipelines, 3 nodes\n", "")
        out, _ = said(capsys, 0, "validate", "--json")
        assert json.loads(out) == {"ok": True, "problems": [], "pipelines": 2, "nodes": 3}

    def test_all_problems_with_their_places(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        text = PROJECT.replace("function: two", "function: tow").replace("layer: bronze", "layr: bronze")
        (project / "odibi.yaml").write_text(text)
        out, err = said(capsys, 2, "validate")
        assert out == ""
        assert err.startswith("odibi.yaml:5:5: ")
        assert "Did you mean 'layer'?" in err
        out, _ = said(capsys, 2, "validate", "--json")
        data = json.loads(out)
        assert data["ok"] is False
        assert (data["problems"][0]["line"], data["problems"][0]["column"]) == (5, 5)
        assert data["problems"][0]["file"] == "odibi.yaml"

    def test_two_problems_are_counted(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        text = PROJECT.replace("function: two", "functoin: two").replace("layer: bronze", "layr: bronze")
        (project / "odibi.yaml").write_text(text)
        _, err = said(capsys, 2, "validate")
        assert err.splitlines()[-1] == f"odibi: {len(err.splitlines()) - 1} problems"
        assert len(err.splitlines()) >= 3

    @pytest.mark.parametrize("name", ["odibi.yml", "odibi.json", "odibi.toml"])
    def test_other_endings_are_found(self, project: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
        (project / "odibi.yaml").unlink()
        nodes = {
            "odibi.yml": "project: p\nengine: null\npipelines: [{pipeline: q, nodes: [{name: a, function: one}]}]\n",
            "odibi.json": '{"project": "p", "pipelines": [{"pipeline": "q", "nodes": '
            '[{"name": "a", "function": "one"}]}]}',
            "odibi.toml": 'project = "p"\n[[pipelines]]\npipeline = "q"\nnodes = [{name = "a", function = "one"}]\n',
        }
        (project / name).write_text(nodes[name])
        said(capsys, 0, "validate")

    def test_no_project(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.chdir(tmp_path)
        _, err = said(capsys, 2, "validate")
        assert err == "odibi: there is no odibi.yaml in this folder. Begin one with: odibi init\n"
        (tmp_path / "pipeline.yaml").write_text("")
        _, err = said(capsys, 2, "validate")
        assert "there are: pipeline.yaml" in err
        _, err = said(capsys, 2, "validate", "nosuch.yaml")
        assert "nosuch.yaml" in err

    def test_a_plugin_that_is_broken_and_not_needed_is_a_warning(
        self, project: Path, zoo, capsys: pytest.CaptureFixture[str]
    ) -> None:
        zoo.add("odibi-bad", bad="raise ValueError('boom')")
        out, err = said(capsys, 0, "validate")
        assert out == "ok: 2 pipelines, 3 nodes\n"
        assert err.startswith("warning: plugin 'bad' (odibi-bad 1.0) is quarantined")
        assert len(err.splitlines()) == 1

    def test_an_engine_that_is_not_installed(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (project / "odibi.yaml").write_text(PROJECT.replace("engine: null", "engine: quantum"))
        main(["validate"])
        assert "Traceback" not in capsys.readouterr().err


class TestGraph:
    def test_ascii(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        out, _ = said(capsys, 0, "graph")
        assert out == ("first  (2 nodes, 2 levels)\n○ one\n◆ two\n\nsecond  (1 node, 1 level)\n◇ three\n")

    def test_of_one_pipeline_and_of_a_selection(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        out, _ = said(capsys, 0, "graph", "-p", "second", "--format", "json")
        assert [each["name"] for each in json.loads(out)["pipelines"]] == ["second"]
        out, _ = said(capsys, 0, "graph", "--select", "tag:daily", "--format", "json")
        (pipeline,) = json.loads(out)["pipelines"]
        assert [node["name"] for node in pipeline["nodes"]] == ["one"]

    @pytest.mark.parametrize("kind", ["mermaid", "dot", "json", "ascii"])
    def test_formats(self, project: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
        out, _ = said(capsys, 0, "graph", "--format", kind)
        assert "three" in out
        assert "\x1b" not in out

    def test_what_is_not_there(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        _, err = said(capsys, 2, "graph", "-p", "third")
        assert "there is no pipeline 'third'; the project has: first, second." in err
        _, err = said(capsys, 2, "graph", "--select", "thre")
        assert "the selection 'thre' matches no node. Did you mean 'three'?" in err


class TestSchema:
    def test_printed_and_written(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        out, _ = said(capsys, 0, "schema")
        schema = json.loads(out)
        assert "pipelines" in schema["properties"]
        target = tmp_path / "schema.json"
        assert said(capsys, 0, "schema", "--out", str(target))[0] == f"wrote {target}\n"
        assert json.loads(target.read_text("utf-8")) == schema

    def test_where_it_cannot_be_written(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        _, err = said(capsys, 2, "schema", "--out", str(tmp_path / "nosuch" / "schema.json"))
        assert "cannot be written" in err


class TestDoctor:
    def test_healthy(self, project: Path, zoo, capsys: pytest.CaptureFixture[str]) -> None:
        out, _ = said(capsys, 0, "doctor")
        assert out.splitlines()[-1] == "All is well."
        assert "project    odibi.yaml" in out

    def test_findings(self, project: Path, zoo, capsys: pytest.CaptureFixture[str]) -> None:
        zoo.add("odibi-bad", bad="raise ValueError('boom')")
        (project / "odibi.yaml").write_text(PROJECT.replace("layer:", "layr:"))
        out, _ = said(capsys, 1, "doctor")
        assert "problem: plugin 'bad' (odibi-bad 1.0)" in out
        assert "layr" in out
        assert out.splitlines()[-1] == "2 found."
        out, _ = said(capsys, 1, "doctor", ".", "--json")
        assert len(json.loads(out)["problems"]) == 2

    def test_without_a_project(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zoo, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.chdir(tmp_path)
        out, _ = said(capsys, 0, "doctor")
        assert "project " not in out
        said(capsys, 2, "doctor", ".")
