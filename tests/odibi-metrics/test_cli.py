"""``odibi metrics``: the dashboard asks for what is measured, and so do the alerts."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from odibi.contracts.measured import BY_NAME

SERVICE = ("odibi_service_", "odibi_stream_")
"""What the names of figures begin with that the service itself shows."""


def odibi(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "odibi", "metrics", *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def measured(text: str) -> set[str]:
    """The names in expressions, without those of the service."""
    names = {name.removesuffix("_bucket") for name in re.findall(r"odibi_[a-z_]+", text)}
    return {name for name in names if not name.startswith(SERVICE)}


def test_the_dashboard_asks_for_what_is_measured() -> None:
    found = json.loads(odibi("dashboard").stdout)
    asked = measured(" ".join(each["expr"] for panel in found["panels"] for each in panel.get("targets", ())))
    assert len(asked) > 10
    assert asked <= set(BY_NAME)
    ids = [panel["id"] for panel in found["panels"]]
    assert len(set(ids)) == len(ids)
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in found["panels"]}
    assert len(places) == len(ids)
    assert max(panel["gridPos"]["x"] + panel["gridPos"]["w"] for panel in found["panels"]) == 24


def test_the_alerts_ask_for_what_is_measured(tmp_path: Path) -> None:
    file = tmp_path / "rules.yml"
    assert odibi("rules", "--write", str(file)).stdout == ""
    text = file.read_text("utf-8")
    asked = measured(text)
    assert {"odibi_runs_total", "odibi_cache_lookups_total"} <= asked <= set(BY_NAME)
    assert text == odibi("rules").stdout


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    said = odibi("rules", "--write", str(tmp_path / "nowhere" / "rules.yml"), code=1).stderr
    assert "cannot be written" in said
    assert "Traceback" not in said
