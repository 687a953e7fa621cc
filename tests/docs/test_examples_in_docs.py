"""The examples in the documentation run.

A page says which of its fenced blocks count, in HTML comments on the line above a fence, which a reader never sees:

``<!-- file: NAME -->``
    The block is written to ``NAME`` in the page's own empty folder.
``<!-- run -->``, ``<!-- run: N -->``
    The block is run there, and must end with exit code 0 (or N). A block of ``python`` is run by Python, any other by
    the shell.
``<!-- output -->``
    Each line of the block must be in the output of the last run, in this order. ``...`` in a line stands for anything;
    a line of ``...`` for any lines.

The blocks of a page run one after another in one folder, so that a tutorial can build on what it did before.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = sorted(
    path.relative_to(ROOT)
    for pattern in ("*.md", "docs/**/*.md", "examples/*/*.md", "kernel/*.md", "plugins/*/*.md")
    for path in ROOT.glob(pattern)
)
MARKED = re.compile(
    r"^(?P<indent> *)<!-- (?P<verb>file|run|output)(?:: *(?P<argument>[^>]*?))? -->\n"
    r"(?P=indent)```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)


class Block(NamedTuple):
    """A fenced block that counts."""

    line: int
    verb: str
    argument: str
    language: str
    text: str


def blocks(page: str) -> Iterator[Block]:
    for match in MARKED.finditer(page):
        indent = match["indent"]
        text = "".join(line.removeprefix(indent) for line in match["text"].splitlines(keepends=True))
        yield Block(
            page.count("\n", 0, match.start()) + 1, match["verb"], match["argument"] or "", match["language"], text
        )


def run_block(block: Block, folder: Path) -> subprocess.CompletedProcess[str]:
    python = block.language in ("python", "py")
    command = [sys.executable, "-"] if python else ["bash", "-euo", "pipefail"]
    here = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "NO_COLOR": "1", "COLUMNS": "120"}
    return subprocess.run(
        command,
        input=block.text,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=folder,
        env={**os.environ, **here},
        timeout=300,
    )


def missing_line(expected: str, output: str) -> str | None:
    """The first line of ``expected`` that ``output`` does not have at its place."""
    rest = iter(output.splitlines())
    for line in expected.splitlines():
        if not line.strip() or line.strip() == "...":
            continue
        pattern = re.compile(".*".join(map(re.escape, line.rstrip().split("..."))))
        if not any(pattern.fullmatch(candidate.rstrip()) for candidate in rest):
            return line
    return None


@pytest.mark.parametrize("page", [page for page in PAGES if MARKED.search((ROOT / page).read_text("utf-8"))], ids=str)
def test_the_examples_on_a_page_run(page: Path, tmp_path: Path) -> None:
    output = None
    for block in blocks((ROOT / page).read_text("utf-8")):
        where = f"{page}:{block.line}"
        if block.verb == "file":
            target = tmp_path / block.argument
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.text, "utf-8")
        elif block.verb == "run":
            done = run_block(block, tmp_path)
            output = done.stdout
            assert done.returncode == int(block.argument or 0), f"{where} ended with {done.returncode}:\n{output}"
        else:
            assert output is not None, f"{where}: an output before any run"
            missing = missing_line(block.text, output)
            assert missing is None, f"{where}: no line {missing!r} at its place in:\n{output}"


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_mark_is_followed_by_its_fence(page: Path) -> None:
    text = (ROOT / page).read_text("utf-8")
    marks = len(re.findall(r"^ *<!-- (?:file|run|output)\b", text, re.MULTILINE))
    assert marks == len(list(blocks(text))), f"{page} marks {marks} blocks, and only some are fenced right below"


def test_an_output_is_compared_line_by_line_in_order() -> None:
    output = "one 1\ntwo 2\nthree 3\n"
    assert missing_line("one 1\nthree ...\n", output) is None
    assert missing_line("one 1\n...\nthree 3\n", output) is None
    assert missing_line("three 3\none 1\n", output) == "one 1"
    assert missing_line("one\n", output) == "one"


def test_blocks_are_found_with_their_arguments() -> None:
    page = "a\n<!-- file: x/y.yaml -->\n```yaml\nk: v\n```\n\n- b\n\n  <!-- run: 2 -->\n  ```sh\n  false\n  ```\n"
    assert list(blocks(page)) == [
        Block(2, "file", "x/y.yaml", "yaml", "k: v\n"),
        Block(9, "run", "2", "sh", "false\n"),
    ]
