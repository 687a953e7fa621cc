"""``odibi cache``, with a toy plugin over plain files."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from odibi.cli.amounts import ago, bytes_text, length_text, size_of, utc
from odibi.cli.main import main

PROJECT = """\
project: demo
engine: toy
cache: toy
checkpoints: toy
pipelines:
  - pipeline: p
    nodes:
      - {name: one, function: one}
      - {name: two, function: two, depends_on: [one], cache: 5h}
      - {name: gone, function: three, depends_on: [two], cache: 1ms}
"""
TRANSFORMS = "def one(): return 'x' * 1000\ndef two(one): return one * 2\ndef three(two): return two\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zoo) -> Path:
    """A folder with a project that keeps results, and the working folder."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "odibi.yaml").write_text(PROJECT)
    (folder / "transforms.py").write_text(TRANSFORMS)
    zoo.add("odibi-toy", toy_state=Path(__file__).with_name("toy_state.py").read_text())
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "80")
    return folder


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command that is to end with a code; gives what it prints on stdout, or on both if the code is not 0."""

    def run(code: int, *arguments: str) -> str:
        capsys.readouterr()
        assert main(arguments) == code, capsys.readouterr()
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return out if code == 0 else out + err

    return run


def entries(said: Callable[..., str]) -> dict[str, dict[str, object]]:
    return {entry["node"]: entry for entry in json.loads(said(0, "cache", "ls", "--json"))["entries"]}


class TestList:
    def test_nothing_yet(self, project: Path, said: Callable[..., str]) -> None:
        assert said(0, "cache", "ls") == "0 entries, 0 B\n"

    def test_entries_with_their_nodes(self, project: Path, said: Callable[..., str]) -> None:
        said(0, "run")
        *lines, last = said(0, "cache", "ls").splitlines()
        assert lines[0].split() == ["KEY", "SIZE", "KIND", "CREATED", "USED", "EXPIRES", "NODE"]
        assert max(map(len, lines)) <= 80
        assert last == "3 entries, 5.0 kB"
        one, two = (next(line for line in lines if line.endswith(f"p.{name}")) for name in ("one", "two"))
        age = r"(?:just now|\d+ s ago) +"
        assert re.fullmatch(rf"[0-9a-f]{{16}}  1.0 kB  json  {age}{age}p.one", one)
        assert re.fullmatch(rf"[0-9a-f]{{16}}  2.0 kB  json  {age}{age}in 5 h +p.two", two)
        found = entries(said)
        assert set(found) == {"p.one", "p.two", "p.gone"}
        assert (found["p.one"]["size"], found["p.one"]["label"], found["p.one"]["expires"]) == (1002, "json", None)
        assert len(str(found["p.one"]["key"])) == 64

    def test_entries_of_nobody(self, project: Path, said: Callable[..., str]) -> None:
        said(0, "run")
        (project / "runs/journal").unlink()
        assert set(entries(said)) == {None}
        (project / "odibi.yaml").write_text(PROJECT.replace("checkpoints: toy\n", ""))
        assert "p.one" not in said(0, "cache", "ls")

    @pytest.mark.parametrize("command", [["ls"], ["stats"], ["purge"], ["evict", "--all"], ["verify"]])
    def test_no_cache(self, project: Path, said: Callable[..., str], command: list[str]) -> None:
        (project / "odibi.yaml").write_text(PROJECT.replace("cache: toy\n", ""))
        out = said(1, "cache", *command)
        assert "project 'demo': the project has no cache. Add 'cache: disk' to the project file." in out
        out = said(1, "cache", *command, "--json")
        assert json.loads(out.splitlines()[0])["problems"][0]["what"] == "the project has no cache"


def test_stats(project: Path, said: Callable[..., str]) -> None:
    said(0, "run")
    assert said(0, "cache", "stats") == (
        "entries  3\nsize     5.0 kB\nhits     3 (75% of 4 look-ups)\nmisses   1\nstored   3\nevicted  0\ndamaged  0\n"
    )
    data = json.loads(said(0, "cache", "stats", "--json"))
    assert data == {"entries": 3, "bytes": 5006, "hits": 3, "misses": 1, "puts": 3, "evictions": 0, "corrupt": 0}


class TestRemove:
    def test_expired(self, project: Path, said: Callable[..., str]) -> None:
        said(0, "run")
        for path in (project / "cache").glob("*.json"):
            entry = json.loads(path.read_text())
            entry["expires"] = entry["expires"] and (entry["created"] - 1 if entry["size"] > 2000 else entry["expires"])
            path.write_text(json.dumps(entry))
        assert said(0, "cache", "ls").count("expired") == 2
        assert said(0, "cache", "purge") == "removed 2 entries\n"
        assert json.loads(said(0, "cache", "purge", "--json")) == {"removed": 0}
        assert set(entries(said)) == {"p.one"}

    def test_to_a_size(self, project: Path, said: Callable[..., str]) -> None:
        said(0, "run")
        assert said(0, "cache", "evict", "--max-size", "1GB") == "removed 0 entries\n"
        assert said(0, "cache", "evict", "--max-size", "4.5 kB") == "removed 1 entry\n"
        assert len(entries(said)) == 2
        assert json.loads(said(0, "cache", "evict", "--all", "--json")) == {"removed": 2}
        assert "3 run" in said(0, "plan", "--force")

    @pytest.mark.parametrize("arguments", [[], ["--all", "--max-size", "1"], ["--max-size", "big"]])
    def test_mistakes(self, project: Path, said: Callable[..., str], arguments: list[str]) -> None:
        assert "Usage: odibi cache evict" in said(2, "cache", "evict", *arguments)


def test_verify(project: Path, said: Callable[..., str]) -> None:
    said(0, "run")
    assert said(0, "cache", "verify") == "3 entries, all sound\n"
    assert json.loads(said(0, "cache", "verify", "--json")) == {"ok": True, "damaged": []}
    keys = {name: str(entry["key"]) for name, entry in entries(said).items()}
    for name in ("p.one", "p.two"):
        (project / f"cache/{keys[name]}.data").write_bytes(b"flipped")
    out = said(1, "cache", "verify")
    assert f"damaged and removed: {keys['p.one']} (1.0 kB, the result of p.one)\n" in out
    assert f"damaged and removed: {keys['p.two']} (2.0 kB, the result of p.two)\n" in out
    assert out.endswith("2 entries removed; what they held is computed again when it is needed\n")
    assert said(0, "cache", "verify") == "1 entry, all sound\n"
    (project / f"cache/{keys['p.gone']}.data").write_bytes(b"flipped")
    data = json.loads(said(1, "cache", "verify", "--json"))
    assert (data["ok"], [entry["node"] for entry in data["damaged"]]) == (False, ["p.gone"])


class TestAmounts:
    @pytest.mark.parametrize(
        ("text", "size"),
        [("0", 0), ("12", 12), ("12B", 12), ("1.5 kB", 1500), ("500MB", 500_000_000), ("1gb", 10**9), ("2TiB", 2**41),
         (" 3 KiB ", 3072)],
    )  # fmt: skip
    def test_sizes(self, text: str, size: int) -> None:
        assert parsed(text) == size
        assert parsed(None) is None

    @pytest.mark.parametrize("text", ["", "x", "-1", "1 XB", "1e3", "1.2.3", "1 k B", "٣x"])
    def test_what_is_no_size(self, text: str) -> None:
        with pytest.raises(click.BadParameter, match="no size"):
            parsed(text)

    @given(st.integers(0, 10**15))
    def test_a_size_is_shown_to_one_part_in_twenty(self, size: int) -> None:
        text = bytes_text(size)
        assert len(text) <= 10
        assert abs(parsed(text.replace(",", "")) - size) <= size / 20  # type: ignore[operator]

    @given(st.integers(0, 10**15), st.integers(0, 10**15))
    def test_a_larger_size_is_never_shown_as_a_smaller_one(self, one: int, other: int) -> None:
        small, large = sorted((one, other))
        assert parsed(bytes_text(small).replace(",", "")) <= parsed(bytes_text(large).replace(",", ""))  # type: ignore[operator]

    @pytest.mark.parametrize(
        ("size", "text"),
        [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (99_949, "99.9 kB"), (99_951, "100 kB"), (999_499, "999 kB"),
         (999_500, "1.0 MB"), (10**13, "10.0 TB"), (10**16, "10,000.0 TB")],
    )  # fmt: skip
    def test_sizes_as_text(self, size: int, text: str) -> None:
        assert bytes_text(size) == text

    @pytest.mark.parametrize(
        ("seconds", "text"),
        [(0, "<0.1 s"), (0.05, "0.1 s"), (59.94, "59.9 s"), (60, "1 min"), (7199, "120 min"), (7200, "2 h"),
         (172_799, "48 h"), (172_800, "2 d"), (10**9, "11,574 d")],
    )  # fmt: skip
    def test_lengths(self, seconds: float, text: str) -> None:
        assert length_text(seconds) == text

    @pytest.mark.parametrize(
        ("passed", "text"), [(-5, "just now"), (0.9, "just now"), (1, "1 s ago"), (59, "59 s ago"), (300, "5 min ago")]
    )
    def test_ages(self, passed: float, text: str) -> None:
        assert ago(1000.0, 1000.0 + passed) == text

    def test_moments(self) -> None:
        assert utc(0) == "1970-01-01 00:00:00 UTC"


def parsed(text: str | None) -> int | None:
    option = click.Option(["--max-size"])
    return size_of(click.Context(click.Command("c")), option, text)
