"""``odibi fire`` as users run it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import odibi

pytest.importorskip("odibi_local")
pytest.importorskip("odibi_triggers")

PROJECT = """
project: shop
engine: null
checkpoints: sqlite
triggers:
  sent: {type: event, max_bytes: 100}
  daily: {type: cron, cron: "@daily"}
  off: {type: event, enabled: false}
pipelines: [{pipeline: p, nodes: [{name: n, depends_on: [sent], function: one}]}]
"""


@pytest.fixture(name="place")
def _place(tmp_path: Path) -> Path:
    (tmp_path / "odibi.yaml").write_text(PROJECT)
    (tmp_path / "transforms.py").write_text("def one(sent):\n    return 1\n")
    return tmp_path


def fire(place: Path, *arguments: str, given: bytes = b"") -> tuple[int, str]:
    command = [sys.executable, "-m", "odibi", "fire", *arguments]
    done = subprocess.run(command, cwd=place, input=given, capture_output=True, timeout=60, check=False)
    return done.returncode, (done.stdout + done.stderr).decode().strip()


def test_payloads_come_from_wherever_they_are(place: Path) -> None:
    (place / "event.json").write_text('{"from": "a file"}')
    assert fire(place, "sent") == (0, "event 1 of sent")
    assert fire(place, "sent", "--payload", '"text"') == (0, "event 2 of sent")
    assert fire(place, "sent", "--file", "event.json", "--key", "k") == (0, "event 3 of sent")
    assert fire(place, "sent", "--key", "k") == (0, "event 3 of sent")
    assert fire(place, "sent", "--file", "-", given=b"[1]") == (0, "event 4 of sent")
    with odibi.load(place / "odibi.yaml") as project:
        found = project.events("sent").after(None, 9)
    assert found == [(1, None), (2, "text"), (3, {"from": "a file"}), (4, [1])]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("daily",), 1, "trigger 'daily': it is of type 'cron', and takes no events"),
        (("off",), 1, "trigger 'off': it is switched off"),
        (("sen",), 2, "there is no trigger 'sen'. Did you mean 'sent'?"),
        (("sent", "--payload", f'"{"x" * 99}"'), 1, "the payload has 101 bytes, and 100 are allowed"),
        (("sent", "--payload", "1e999"), 1, "the payload is no JSON"),
        (("sent", "--key", ""), 1, "the key has 0 characters"),
    ],
)
def test_what_cannot_be_fired(place: Path, arguments: tuple[str, ...], code: int, words: str) -> None:
    found, said = fire(place, *arguments)
    assert (found, said.count("Traceback")) == (code, 0)
    assert words in said
