from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import importlib_metadata
import pytest

from odibi.host import discovery
from odibi.host.discovery import Found, discover, normal


def names(found: tuple[Found, ...]) -> list[str]:
    return [plugin.name for plugin in found if plugin.location.endswith("site")]


@pytest.fixture
def cache(zoo, tmp_path, monkeypatch) -> Path:
    """The cache folder; the test decides what is on ``sys.path`` and that no folder changed just now."""
    assert importlib_metadata
    assert tempfile  # what discovery imports late is imported while that can still be found
    monkeypatch.setattr(sys, "path", [str(zoo.folder)])
    monkeypatch.setattr(discovery, "_memory", {})
    return tmp_path / "cache" / "odibi"


def forget() -> None:
    discovery._memory.clear()


def kept(cache: Path) -> Path:
    (file,) = cache.glob("*.json")
    return file


def poison(file: Path, value: str = "poison") -> None:
    content = json.loads(file.read_text())
    content["found"][0][1] = value
    file.write_text(json.dumps(content))


def test_what_metadata_tell(cache, zoo):
    zoo.add(
        "Odibi.Zebra",
        "2.1",
        points={"zebra": "zebra:plugin", "ant": "ant"},
        requires=("pandas>=3", "requests[socks] ; extra == 'x'"),
    )
    zoo.raw("other", "1", "[console_scripts]\nodibi = odibi:x\n[not_odibi]\nx = y")
    assert discover() == tuple(
        Found(name, value, "Odibi.Zebra", "2.1", str(zoo.folder), ("pandas", "requests"))
        for name, value in (("ant", "ant"), ("zebra", "zebra:plugin"))
    )


def test_the_order_does_not_depend_on_the_file_system(cache, zoo):
    for name in ("odibi-b", "Odibi_A", "odibi-c"):
        zoo.add(name, points={name[-1]: "x"})
    assert names(discover()) == ["A", "b", "c"]


def test_the_version_that_would_be_imported_is_the_one_that_counts(zoo, cache, tmp_path, monkeypatch):
    zoo.add("odibi-x", "2", points={"x": "new"})
    older = tmp_path / "older"
    older.mkdir()
    shutil.copytree(zoo.folder / "odibi_x-2.dist-info", older / "odibi_x-1.dist-info")
    (older / "odibi_x-1.dist-info/METADATA").write_text("Name: odibi-x\nVersion: 1\n")
    monkeypatch.setattr(sys, "path", [str(zoo.folder), str(older)])
    assert [found.version for found in discover()] == ["2"]
    (zoo.folder / "odibi_x-2.dist-info/entry_points.txt").write_text("")
    forget()
    assert discover() == ()


def test_a_second_look_takes_the_file_and_a_change_does_not(cache, zoo):
    zoo.add("odibi-x", points={"x": "true"})
    zoo.settle()
    first = discover()
    poison(kept(cache))
    assert discover() is first  # from memory
    forget()
    assert discover()[0].value == "poison"
    zoo.add("odibi-y", points={"y": "true"})
    assert names(discover()) == ["x", "y"]
    assert [found.value for found in discover()] == ["true", "true"]


def test_metadata_rewritten_in_place_are_noticed(cache, zoo):
    zoo.add("odibi-x", points={"x": "old"})
    info = zoo.folder / "odibi_x-1.0.dist-info"
    (info / "RECORD").write_text(f"{info.name}/entry_points.txt,,\n{info.name}/METADATA,,\n")
    zoo.settle()
    assert discover()[0].value == "old"
    (info / "entry_points.txt").write_text("[odibi]\nx = new")
    os.utime(zoo.folder, (1_600_000_000, 1_600_000_000))
    forget()
    assert discover()[0].value == "new"


def test_nothing_is_kept_while_folders_still_change(cache, zoo):
    zoo.add("odibi-x", points={"x": "x"})
    assert names(discover()) == ["x"]
    assert not list(cache.glob("*.json"))


def test_the_file_is_private(cache, zoo):
    zoo.settle()
    old = os.umask(0)
    try:
        discover()
    finally:
        os.umask(old)
    assert kept(cache).stat().st_mode & 0o777 == 0o600
    assert cache.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("which", ["file", "folder"])
@pytest.mark.parametrize("mode", [0o020, 0o002])
def test_what_others_can_write_is_not_believed(which, mode, cache, zoo):
    zoo.add("odibi-x", points={"x": "true"})
    zoo.settle()
    discover()
    poison(kept(cache))
    target = kept(cache) if which == "file" else cache
    target.chmod(target.stat().st_mode | mode)
    forget()
    assert discover()[0].value == "true"
    if which == "folder":  # nothing is written there either
        assert "poison" in kept(cache).read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("which", ["file", "folder"])
def test_what_belongs_to_others_is_not_believed(which, cache, zoo):
    zoo.add("odibi-x", points={"x": "true"})
    zoo.settle()
    discover()
    poison(kept(cache))
    os.chown(kept(cache) if which == "file" else cache, 12345, 12345)
    forget()
    assert discover()[0].value == "true"


def test_a_link_is_not_followed(cache, zoo, tmp_path):
    zoo.add("odibi-x", points={"x": "true"})
    zoo.settle()
    discover()
    poison(kept(cache))
    elsewhere = kept(cache).rename(tmp_path / "elsewhere.json")
    (cache / "link").symlink_to(elsewhere)
    forget()
    discover()
    file = kept(cache)
    file.unlink()
    file.symlink_to(elsewhere)
    forget()
    assert discover()[0].value == "true"


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        '{"layout": 1}',
        "[" * 100_000,
        "\0",
        '{"layout": 1, "stamps": %s, "watched": [], "found": [["x", 7, "odibi-x", "1", "", [], ""]]}',
        '{"layout": 1, "stamps": %s, "watched": [], "found": [["x", "poison"]]}',
        '{"layout": 1, "stamps": %s, "watched": 3, "found": []}',
        '{"layout": 1, "stamps": %s, "watched": [], "found": [["x", "poison", "odibi-x", "1", "", 5, ""]]}',
        '{"layout": 0, "stamps": %s, "watched": [], "found": [["x", "poison", "odibi-x", "1", "", [], ""]]}',
    ],
)
def test_a_damaged_file_is_ignored_and_replaced(content, cache, zoo):
    zoo.add("odibi-x", points={"x": "true"})
    zoo.settle()
    discover()
    file = kept(cache)
    stamps = json.dumps(json.loads(file.read_text())["stamps"])
    file.write_text(content.replace("%s", stamps))
    forget()
    assert discover()[0].value == "true"
    assert json.loads(kept(cache).read_text())["found"][0][1] == "true"


def test_a_pipe_in_its_place_does_not_hang(cache, zoo):
    zoo.add("odibi-x", points={"x": "true"})
    zoo.settle()
    discover()
    file = kept(cache)
    file.unlink()
    os.mkfifo(file)
    forget()
    assert discover()[0].value == "true"


@pytest.mark.parametrize("base", ["file", "relative", "no home"])
def test_without_a_folder_to_keep_it_in(base, cache, zoo, tmp_path, monkeypatch):
    zoo.add("odibi-x", points={"x": "true"})
    zoo.settle()
    if base == "file":
        (tmp_path / "cache").write_text("in the way")
    elif base == "relative":
        monkeypatch.setenv("XDG_CACHE_HOME", "relative")
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        monkeypatch.chdir(tmp_path)
    else:
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setenv("HOME", "")
        monkeypatch.chdir(tmp_path)
    assert names(discover()) == ["x"]
    assert not (tmp_path / "relative").exists()
    assert not (tmp_path / ".cache").exists()


def test_old_files_do_not_pile_up(cache, zoo, tmp_path, monkeypatch):
    folders = []
    for number in range(discovery._KEPT_FILES + 5):
        folder = tmp_path / f"path{number}"
        folder.mkdir()
        os.utime(folder, (1_600_000_000, 1_600_000_000))
        folders.append(folder)
        monkeypatch.setattr(sys, "path", [str(folder)])
        discover()
    assert len(list(cache.iterdir())) == discovery._KEPT_FILES
    assert len(discovery._memory) == 1


def test_odd_entries_of_the_path(cache, zoo, monkeypatch):
    zoo.add("odibi-x", points={"x": "true"})
    monkeypatch.setattr(sys, "path", ["", "/no/such/folder", str(zoo.folder), str(zoo.folder)])
    assert names(discover()) == ["x"]


def test_a_short_command_pays_for_nothing_that_it_does_not_need(zoo, tmp_path):
    """Once the answer is kept, listing plugins imports no finder, and never a dataframe library or attrs."""
    zoo.add(
        "odibi-x", x="from odibi import hookimpl\n@hookimpl\ndef odibi_storages(): return {'x': 'pandas:DataFrame'}"
    )
    zoo.settle()
    script = "import sys; from odibi.host import Host; Host().plugins(); print(*sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(zoo.folder), "PYTHONDONTWRITEBYTECODE": "1"}
    working = tmp_path / "working"
    working.mkdir()
    os.utime(working, (1_600_000_000, 1_600_000_000))
    runs = [
        subprocess.run([sys.executable, "-c", script], env=environment, cwd=working, capture_output=True, text=True)
        for _ in range(2)
    ]
    assert [run.stderr for run in runs] == ["", ""]
    loaded = [{name.partition(".")[0] for name in run.stdout.split()} for run in runs]
    assert "x" in loaded[1]
    heavy = {"attr", "cattr", "cattrs", "click", "pandas", "pathlib", "pyarrow", "rich", "structlog", "yaml"}
    assert loaded[1] & heavy == set()
    if not list((tmp_path / "cache/odibi").glob("*.json")):
        pytest.skip("the environment itself was changed a moment ago, so nothing is kept")
    assert "importlib_metadata" not in loaded[1]


@pytest.mark.parametrize(("one", "other"), [("Odibi_Azure", "odibi-azure"), ("odibi.azure", "odibi--azure")])
def test_normal(one, other):
    assert normal(one) == normal(other)
