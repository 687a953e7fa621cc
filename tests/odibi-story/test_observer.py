"""Runs of real projects are told where the project says, and nothing that goes wrong with that touches them."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from odibi.run.dispatch import settle
from odibi.testing.observer_histories import Fate, Run
from odibi.testing.reference.storage import cut_off
from odibi_story.observer import StoryObserver
from odibi_story.places import FolderPlace, file_name
from odibi_story.record import RunStory
from odibi_story.shelf import Shelf
from odibi_story.storing import begun, from_json, run_ended, to_json

ORDERS = """
    engine: rows
    story: {{{story}}}
    pipelines:
      - pipeline: daily
        nodes:
          - name: orders
            read: {{connection: lake, path: orders.jsonl}}
            sensitive: [email]
          - name: checked
            depends_on: [orders]
            transform:
              steps: ["SELECT id, email FROM orders WHERE id > 0"]
            validation:
              rules: [{{name: small, expression: id < 3, on_fail: warn}}]
            write: {{connection: lake, path: checked.jsonl}}
"""
ROWS = b"".join(json.dumps({"id": at, "email": f"person{at}@example.com"}).encode() + b"\n" for at in range(4))

FUNCTIONS = """
    story: {path: stories/%s}
    pipelines:
      - pipeline: daily
        nodes:
          - {name: one, function: one}
          - {name: two, function: two, depends_on: [one]}
"""


def test_a_run_is_told_with_what_its_data_looked_like(load, lake, stories, tmp_path) -> None:
    lake.write("orders.jsonl", ROWS)
    result = load(ORDERS.format(story="path: stories/")).run()
    (story,) = stories()
    (run,) = result.runs
    assert (story.run_id, story.pipeline, story.project, story.state) == (run.run_id, "daily", "shop", "succeeded")
    assert sorted(path.name for path in (tmp_path / "stories" / "daily").iterdir()) == [
        f"{run.run_id}.html", f"{run.run_id}.json", f"{run.run_id}.md",
    ]  # fmt: skip
    orders, checked = story.nodes
    assert (orders.rows, checked.rows_in, checked.rows) == (4, 4, 3)
    assert [column.name for column in checked.schema] == ["id", "email"]
    assert [step.kind for step in checked.steps] == ["sql", "validate", "write"]
    assert orders.samples[0].rows[1] == [1, "***"]
    assert [sample.step for sample in checked.samples] == ["result"]
    (rule,) = checked.rules
    assert (rule.rule, rule.passed, rule.failing, rule.on_fail) == ("small", False, 1, "warn")
    assert rule.rows == [{"id": 3, "email": "***"}], "a column that a node before hides"
    assert checked.written is not None
    assert checked.written.rows == 3
    assert checked.cpu is not None
    assert checked.critical
    assert checked.definition["write"]["path"] == "checked.jsonl"
    assert story.command[:2] == ["odibi", "run"]
    assert story.environment["python"]
    assert "person" not in "".join(path.read_text() for path in (tmp_path / "stories" / "daily").iterdir())


def test_no_sample_is_taken_where_none_is_wanted(load, lake, stories) -> None:
    lake.write("orders.jsonl", ROWS)
    load(ORDERS.format(story="path: stories/, max_sample_rows: 0")).run()
    (story,) = stories()
    assert [node.samples for node in story.nodes] == [[], []]


def test_stories_go_to_the_connection_that_is_named_when_the_run_is_over(load, lake, tmp_path) -> None:
    lake.write("orders.jsonl", ROWS)
    (run,) = load(ORDERS.format(story="connection: lake, path: told")).run().runs
    assert not settle(30)
    assert [stat.path for stat in lake.list("told")] == [
        f"told/daily/{run.run_id}{ending}" for ending in (".html", ".json", ".md")
    ]
    assert from_json(lake.read(f"told/daily/{run.run_id}.json")).state == "succeeded"
    assert not (tmp_path / "stories").exists()


def test_a_failed_run_says_why_and_what_to_run_again(load, stories, tmp_path) -> None:
    functions = "def one(): return 1\ndef two(one): raise ValueError('no such thing')\n"
    load(FUNCTIONS % "", functions).run(check=False)
    (story,) = stories()
    assert story.state == "failed"
    assert story.counts == {"succeeded": 1, "failed": 1}
    failure = story.node("two").failure
    assert failure is not None
    assert "no such thing" in failure.message
    assert "transforms.py" in failure.trace
    assert story.first_failure is story.node("two")
    text = (tmp_path / "stories" / "daily" / f"{story.run_id}.md").read_text()
    assert "no such thing" in text
    assert "odibi run" in text


# --- secrets --------------------------------------------------------------------------------------------------------

PLANTED = ("hunter22-config", "hunter22-url", "hunter22-error", "hunter22-chain", "hunter22-cell", "hunter22-key")


def test_no_secret_is_in_any_file(load, lake, stories, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("API_TOKEN", PLANTED[0])
    lake.write("orders.jsonl", json.dumps({"id": 1, "email": PLANTED[4]}).encode() + b"\n")
    text = f"""
    engine: rows
    story: {{path: stories/}}
    pipelines:
      - pipeline: daily
        on_error: fail_later
        nodes:
          - name: orders
            read: {{connection: lake, path: orders.jsonl}}
            sensitive: [email]
          - name: fails
            function: fails
            params:
              token: ${{API_TOKEN}}
              url: https://ann:{PLANTED[1]}@example.com/x
              settings: {{api_key: {PLANTED[5]}}}
          - name: warns
            depends_on: [orders]
            transform: {{steps: ["SELECT * FROM orders"]}}
            validation:
              rules: [{{name: none, expression: id > 5, on_fail: warn}}]
    """
    functions = f"""
    def fails(token, url, settings):
        try:
            raise ConnectionError(f"cannot open postgres://ann:{{'{PLANTED[3]}'}}@db/x, token {{token}}")
        except ConnectionError as error:
            raise RuntimeError("login failed: password={PLANTED[2]}") from error
    """
    load(text, functions).run(check=False)
    (story,) = stories()
    assert story.node("fails").failure is not None
    assert "login failed" in to_json(story)
    files = [path for path in (tmp_path / "stories").rglob("*") if path.is_file()]
    assert len(files) == 3
    for path in files:
        told = path.read_text("utf-8")
        assert not [secret for secret in PLANTED if secret in told], path.suffix


# --- what must not touch a run --------------------------------------------------------------------------------------


def test_a_disk_that_refuses_costs_the_story_and_not_the_run(load, stories, tmp_path, caplog) -> None:
    (tmp_path / "stories").write_text("a file where the folder should be")
    with caplog.at_level(logging.WARNING):
        result = load(FUNCTIONS % "", "def one(): return 1\ndef two(one): return one\n").run()
        assert not settle(30)
    assert result.ok
    told = [record.getMessage() for record in caplog.records]
    assert any(
        "the story cannot be written" in words and "See that the folder can be written" in words for words in told
    )


def test_a_full_disk_while_a_run_goes_on_costs_what_goes_on_only(tmp_path, caplog) -> None:
    run = Run([("node", Fate.SUCCEEDED)])
    folder = tmp_path / "daily"
    folder.mkdir()
    (folder / f"{run.run_id}.jsonl").symlink_to("/dev/full")
    observer = StoryObserver(path=str(tmp_path))
    for event in run.events():
        observer.handle(event)
    observer.close()
    assert "told no further before its end" in caplog.text
    assert sorted(path.suffix for path in folder.iterdir()) == [".html", ".json", ".md"]


def test_a_storage_that_is_cut_off_costs_the_story_and_not_the_run(load, lake, caplog) -> None:
    text = FUNCTIONS.replace("path: stories/%s", "connection: lake")
    project = load(text, "def one(): return 1\ndef two(one): return one\n")
    with cut_off(lake.name):
        assert project.run().ok
        assert not settle(30)
    assert "raised" in caplog.text


# --- retention ------------------------------------------------------------------------------------------------------


def put_stories(folder: Path, *stamps: str, pipeline: str = "daily") -> list[str]:
    shelf = Shelf(FolderPlace(folder))
    names = [f"{stamp}T000000.000000-0000000{at}" for at, stamp in enumerate(stamps)]
    for name in names:
        shelf.put(RunStory(name, pipeline, "shop", "succeeded"))
    return names


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_oldest_stories_go_when_there_are_too_many(tmp_path) -> None:
    names = put_stories(tmp_path, "20250101", "20250102", "20250103")
    other = put_stories(tmp_path, "20240101", pipeline="other")
    Shelf(FolderPlace(tmp_path)).tidy("daily", keep=names[2], days=None, count=2)
    assert {name.rpartition(".")[0] for name in left(tmp_path / "daily")} == set(names[1:])
    assert {name.rpartition(".")[0] for name in left(tmp_path / "other")} == set(other)


def test_stories_go_when_they_are_too_old(tmp_path) -> None:
    names = put_stories(tmp_path, "20250101", "20250102", "20250103")
    for name in names[:2]:
        past = time.time() - 40 * 86_400
        os.utime(tmp_path / "daily" / f"{name}.json", (past, past))
    Shelf(FolderPlace(tmp_path)).tidy("daily", keep=names[0], days=30, count=None)
    assert {name.rpartition(".")[0] for name in left(tmp_path / "daily")} == {names[0], names[2]}


def test_what_it_did_not_write_stays(tmp_path) -> None:
    put_stories(tmp_path, "20250103")
    folder = tmp_path / "daily"
    foreign = {
        "20200101T000000.json": "{}",
        "20200102T000000.json": '{"layout":1,"run_id":"another"}',
        "20200103T000000.html": "a page of mine",
        "notes.md": "mine",
        "orders.json": '{"layout":1,"run_id":"orders"}',
        "20200104T000000.jsonl": '{"mine": 1}\n',
    }
    for name, text in foreign.items():
        (folder / name).write_text(text)
        past = time.time() - 400 * 86_400
        os.utime(folder / name, (past, past))
    (folder / "20200105T000000.json").mkdir()
    before = left(folder)
    Shelf(FolderPlace(tmp_path)).tidy("daily", keep="x", days=1, count=1)
    assert left(folder) == before


def test_a_run_that_ended_as_its_story_was_not_yet_written_is_not_taken_for_killed(tmp_path) -> None:
    story = RunStory("20250101T000000.000000-00000000", "daily", "shop")
    lines = [begun(story)]
    story.state, story.duration = "failed", 2.5
    lines.append(run_ended(story))
    (tmp_path / "daily").mkdir()
    (tmp_path / "daily" / f"{story.run_id}.jsonl").write_text("".join(f"{line}\n" for line in lines))
    shelf = Shelf(FolderPlace(tmp_path))
    shelf.tidy("daily", keep="x", days=None, count=None)
    assert [told for _, told in shelf.each()] == [story]
    assert {path.suffix for path in (tmp_path / "daily").iterdir()} == {".html", ".json", ".md"}


def test_retention_is_kept_by_runs(load, stories, tmp_path) -> None:
    functions = "def one(): return 1\ndef two(one): return one\n"
    text = FUNCTIONS.replace("path: stories/%s", "path: stories/, retention_count: 2, retention_days: null")
    project = load(text, functions)
    runs = [project.run().runs[0].run_id for _ in range(4) if not settle(30)]
    assert [story.run_id for story in stories()] == runs[:1:-1]


# --- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "größe", "x" * 300, "a\0b", "-", ".hidden", "A b"])
def test_any_name_makes_a_file_name_of_its_own(name: str) -> None:
    made = file_name(name)
    assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,80}", made)
    assert made != file_name(name + "x")


def test_a_usual_name_stays() -> None:
    assert file_name("20260101T000000.123456-0a1b2c3d") == "20260101T000000.123456-0a1b2c3d"


# --- git ------------------------------------------------------------------------------------------------------------


def git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


def test_the_commit_of_the_project_and_whether_it_was_changed(load, stories, tmp_path) -> None:
    functions = "def one(): return 1\ndef two(one): return one\n"
    project = load(FUNCTIONS % "", functions)
    git(tmp_path, "init", "-b", "main")
    git(tmp_path, "add", "odibi.yaml", "transforms.py")
    git(tmp_path, "commit", "-m", "first")
    project.run()
    (first,) = stories()
    assert first.commit is not None
    assert re.fullmatch(r"[0-9a-f]{40,}", first.commit.id)
    assert (first.commit.branch, first.commit.dirty) == ("main", False), "what is not known to git does not count"
    (tmp_path / "transforms.py").write_text(functions + "# another\n")
    project.run()
    assert stories()[0].commit is not None
    assert stories()[0].commit.dirty


def test_without_git_there_is_no_commit(load, stories, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    load(FUNCTIONS % "", "def one(): return 1\ndef two(one): return one\n").run()
    (story,) = stories()
    assert story.commit is None
