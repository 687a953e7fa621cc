"""What a project says wrongly of its schedules is reported where it stands, before anything starts."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

PROJECT = """
project: times
pipelines: []
triggers:
  it: {given}
"""


def said(place, given):
    (place / "odibi.yaml").write_text(PROJECT.replace("{given}", given), "utf-8")
    command = [sys.executable, "-m", "odibi", "validate", "odibi.yaml"]
    return subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("given", "column", "words"),
    [
        ('{type: cron, cron: "0 25 * * *"}', 26, "its hour '25' is not to be read, or not within 0 to 23"),
        ('{type: cron, cron: "@daily", zone: Europe/Berln}', 42, "did you mean 'Europe/Berlin'?"),
        ('{type: cron, cron: "@daily", until: soon}', 43, "until: 'soon' is no moment"),
        ("{type: interval, every: soon}", 31, "every: 'soon' is no duration"),
        ("{type: interval, every: 1m, jitter: 2m}", 43, "jitter: '2m' is more than every"),
        ("{type: date, at: [2026-05-01T06:00Z, now]}", 24, "at: 'now' is no moment"),
    ],
)
def test_a_mistake_is_shown_where_it_stands(tmp_path, given, column, words):
    done = said(tmp_path, given)
    shown = done.stdout + done.stderr
    assert done.returncode == 2, shown
    assert words in shown
    assert re.search(r"odibi\.yaml:5:\d+: ", shown), shown
    assert f"odibi.yaml:5:{column}: " in shown
    assert "Traceback" not in shown


def test_a_mistake_that_others_depend_on_is_told_once(tmp_path):
    triggers = (
        "{type: interval, every: soon, jitter: 1m}",
        '{type: cron, cron: "@daily", zone: Mars, start: 2026-05-01T06:00, until: 2026-05-02T06:00}',
        "{type: date, at: 2026-05-01T06:00, zone: Mars}",
    )
    for given in triggers:
        done = said(tmp_path, given)
        assert (done.stdout + done.stderr).count("odibi.yaml:5:") == 1, done.stderr
