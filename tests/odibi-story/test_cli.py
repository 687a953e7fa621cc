"""``odibi story``, as people type it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from odibi.cli.main import main
from odibi.run.dispatch import settle
from odibi_story.places import FolderPlace
from odibi_story.record import RunStory
from odibi_story.shelf import Shelf

PROJECT = """
project: shop
story: {path: stories/}
pipelines:
  - pipeline: daily
    nodes:
      - {name: one, function: one, params: {factor: 1}}
      - {name: two, function: two, depends_on: [one]}
"""
FUNCTIONS = """
def one(factor): return factor
def two(one): return one
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "odibi.yaml").write_text(PROJECT)
    (tmp_path / "transforms.py").write_text(FUNCTIONS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def odibi(folder: Path, capsys: pytest.CaptureFixture[str]):
    """Runs a command; gives its exit code and what it wrote to standard output and to standard error."""

    def call(*words: str) -> tuple[int, str, str]:
        code = main(list(words))
        assert not settle(30)
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def runs(folder: Path) -> list[str]:
    return [found.run for found in Shelf(FolderPlace(folder / "stories")).found()]


def test_the_last_run_is_told(odibi, folder) -> None:
    assert odibi("run")[0] == 0
    code, out, err = odibi("story", "last")
    assert (code, err) == (0, "")
    (run,) = runs(folder)
    assert "shop, pipeline daily: SUCCEEDED" in out
    assert run in out
    assert "to run it again:" in out
    assert f"cd {folder} && odibi run" in out
    assert f"{run}.html" in out
    assert [line.split()[:2] for line in out.splitlines() if line.startswith(("one", "two"))] == [
        ["one", "succeeded"],
        ["two", "succeeded"],
    ]
    told = json.loads(odibi("story", "last", "--json")[1])
    assert (told["run_id"], told["state"]) == (run, "succeeded")


def test_stories_are_listed_the_newest_first(odibi, folder) -> None:
    odibi("run")
    odibi("run")
    code, out, _ = odibi("story", "ls")
    newest, oldest = runs(folder)
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[1:]] == [newest, oldest]
    listed = json.loads(odibi("story", "ls", "--json", "-n", "1")[1])
    assert [it["run_id"] for it in listed] == [newest]
    assert Path(listed[0]["file"]).is_file()


def test_what_changed_between_two_runs(odibi, folder) -> None:
    odibi("run")
    (folder / "odibi.yaml").write_text(PROJECT.replace("factor: 1", "factor: 2").replace("shop", "store"))
    (folder / "transforms.py").write_text(FUNCTIONS.replace("return one", "raise ValueError('no')"))
    odibi("run")
    code, out, _ = odibi("story", "diff")
    assert code == 0
    assert "definition params.factor: 1 -> 2" in out or "factor: 1 -> 2" in out
    assert "state: succeeded -> failed" in out
    newest, oldest = runs(folder)
    compared = json.loads(odibi("story", "diff", oldest, newest, "--json")[1])
    assert (compared["before"]["run_id"], compared["after"]["run_id"]) == (oldest, newest)
    assert [node["change"] for node in compared["nodes"]] == ["changed", "changed"]
    assert odibi("story", "diff", newest, oldest)[1] == out, "the earlier one comes first"
    assert odibi("story", "diff", newest[-8:])[1] == out, "the end of an id is enough"


def test_a_page_is_found_and_made_anew(odibi, folder) -> None:
    odibi("run")
    code, out, _ = odibi("story", "open", "--print")
    page = Path(out.strip())
    assert code == 0
    assert page.is_file()
    before = page.read_text()
    page.unlink()
    assert odibi("story", "open", "--print")[0] == 1
    code, out, _ = odibi("story", "render", str(page.with_suffix(".json")))
    assert (code, out) == (0, f"wrote {page}\n")
    assert page.read_text() == before
    assert odibi("story", "render", str(page.with_suffix(".json")), "--to", "text")[1].startswith("shop, pipeline")
    assert odibi("story", "render", str(page.with_suffix(".json")), "--to", "json")[0] == 1, "not over itself"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("last",), "no story of a run yet"),
        (("last", "-p", "nightly"), "no story of a run of pipeline 'nightly'"),
        (("open", "2026"), "no story of a run '2026'"),
        (("diff",), "no story of a run yet"),
        (("render", "nowhere.json"), "cannot be read"),
        (("render", "odibi.yaml"), "no story of a run"),
        (("last", "--project", "nowhere"), "nowhere"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(odibi, words, told) -> None:
    code, out, err = odibi("story", *words)
    assert code in (1, 2)
    assert told in err
    assert "Traceback" not in out + err


def test_a_project_without_stories_says_how_to_have_some(odibi, folder) -> None:
    (folder / "odibi.yaml").write_text(PROJECT.replace("story: {path: stories/}\n", ""))
    assert odibi("run")[0] == 0
    code, _, err = odibi("story", "ls")
    assert code == 2
    assert "story: {path: stories/}" in err
    assert not (folder / "stories").exists()


def test_an_id_that_stands_for_several_runs_is_refused(odibi, folder) -> None:
    shelf = Shelf(FolderPlace(folder / "stories"))
    for at in range(2):
        shelf.put(RunStory(f"20260101T000000.00000{at}-00000000", "daily", "shop", "succeeded"))
    code, _, err = odibi("story", "open", "2026", "--print")
    assert code == 1
    assert "several runs" in err


def test_a_file_that_is_no_story_is_passed_over_with_a_word(odibi, folder) -> None:
    odibi("run")
    (folder / "stories" / "daily" / "20990101T000000.json").write_text('{"mine": 1}')
    assert len(odibi("story", "ls")[1].splitlines()) == 2


def test_nothing_in_a_story_speaks_to_the_terminal(odibi, folder) -> None:
    name = "\x1b[31mred\u202e"
    story = RunStory("20260101T000000.000000-00000000", name, "shop", "succeeded", problems=[name])
    Shelf(FolderPlace(folder / "stories")).put(story)
    for words in (("last",), ("ls",)):
        out = odibi("story", *words)[1]
        assert "\x1b" not in out
        assert "\u202e" not in out
        assert "red" in out
