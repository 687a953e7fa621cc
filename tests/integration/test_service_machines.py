"""Two services for one project on two machines that share no more than a storage: one dies, the other takes over."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from served_places import PATIENCE, Place, eventually

pytest.importorskip("odibi_local")
pytest.importorskip("odibi_objects")
pytest.importorskip("odibi_pandas")
pytest.importorskip("odibi_triggers")

PROJECT = """
project: shop
engine: pandas
checkpoints: {type: storage, connection: shared, lease: 5s}
connections:
  lake: {type: local, base_path: ../lake}
  shared: {type: local, base_path: ../shared}
triggers:
  landing: {type: file_watch, connection: lake, path: "in/*.csv", complete: rename, pipelines: [orders],
            ledger_connection: shared, retry_delay: 100ms}
  tick: {type: interval, every: 500ms, misfire: all, pipelines: [ticks]}
pipelines:
  - pipeline: orders
    nodes:
      - name: orders
        read: {connection: lake, path: "in/*.csv", stream: landing}
        transform: {steps: [{function: slowly}]}
        write: {connection: lake, path: out/orders, format: csv, mode: append}
  - pipeline: ticks
    nodes:
      - name: ticked
        depends_on: [tick]
        function: moment
        write: {connection: lake, path: out/ticks, format: csv, mode: append}
"""
FUNCTIONS = """
import time
from pathlib import Path

import pandas as pd

SLOW = Path("../slow")


def slowly(df):
    if (df["id"] == 999).any():
        SLOW.touch()
        while SLOW.exists():
            time.sleep(0.01)
    return df


def moment(tick):
    return pd.DataFrame({"moment": [tick["moment"]]})
"""


@pytest.fixture(name="machine")
def _machine() -> list[str]:
    """A command that runs another as if on a machine of its own: it sees no process outside, and nobody sees its."""
    if shutil.which("unshare") is None:
        pytest.skip("no unshare here to make namespaces with")
    alone = [
        "unshare",
        *([] if os.geteuid() == 0 else ["--user", "--map-root-user"]),
        "--pid",
        "--fork",
        "--kill-child",
    ]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no namespaces may be made here")
    return alone


def test_a_service_on_another_machine_takes_over_once_the_lease_is_over(machine: list[str], tmp_path: Path) -> None:
    one, other = (Place.made(tmp_path / name, PROJECT, FUNCTIONS, tmp_path / "lake") for name in ("one", "other"))
    slow = tmp_path / "slow"
    with one.serving(command=machine) as first:
        eventually(lambda: len(one.rows("ticks")) >= 2, one)
        with other.serving(command=machine) as second:
            eventually(lambda: "standing by for 'shop'" in other.log, other)
            one.arrive("slow", 999)
            eventually(slow.exists, one)
            before = one.rows("ticks")
            os.killpg(first.pid, signal.SIGKILL)
            first.wait(PATIENCE)
            slow.unlink()
            eventually(lambda: slow.exists() or one.rows("orders"), other)
            slow.unlink(missing_ok=True)
            eventually(lambda: one.rows("orders"), other)
            one.arrive("more", 1)
            eventually(lambda: one.rows("orders") == Counter(["999", "1"]), other)
            eventually(lambda: len(one.rows("ticks")) >= len(before) + 20, other)
            service = children(second.pid)[0]
            os.kill(service, signal.SIGTERM)  # unshare itself does not pass it on
            assert second.wait(PATIENCE) == 0, other.log
    assert one.rows("orders") == Counter(["999", "1"])
    ticks = one.rows("ticks")
    assert set(ticks.values()) == {1}
    moments = sorted(datetime.fromisoformat(each) for each in ticks)
    assert len(moments) == (moments[-1] - moments[0]) / timedelta(milliseconds=500) + 1, "none is missing"
    assert "Traceback" not in one.log + other.log


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
