"""Events that two processes put, one of which is killed, while the service is killed again and again.

Whatever was acknowledged is consumed exactly once by each stream, in the order of the numbers.
"""

from __future__ import annotations

import json
import random
import signal
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest
from fault_harness import FULL
from fault_harness.serving import SERVE, killed, rows, started, until

import odibi

pytest.importorskip("odibi_local")
pytest.importorskip("odibi_pandas")
pytest.importorskip("odibi_triggers")

SEED = 20_260_302
EVENTS = 60 if FULL else 12
"""Of each of the two."""
KILLS = 12 if FULL else 3
PATIENCE = 120.0

PROJECT = """
project: shop
engine: pandas
checkpoints: {type: sqlite, keep_last: 100000}  # all runs stay on record
connections:
  lake: {type: local, base_path: ./lake}
triggers:
  sent: {type: event, pipelines: [one, two], retry_delay: 0.01}
pipelines:
  - pipeline: one
    nodes:
      - {name: a, depends_on: [sent], function: row, arguments: {event: sent},
         write: {connection: lake, path: one, format: csv, mode: append}}
  - pipeline: two
    nodes:
      - {name: b, depends_on: [sent], function: row, arguments: {event: sent},
         write: {connection: lake, path: two, format: csv, mode: append}}
"""
FUNCTIONS = """
import pandas as pd


def row(event):
    return pd.DataFrame({"who": [event["who"]], "n": [event["n"]]})
"""
PUT = """
import json, sys
import odibi
who, count = sys.argv[1], int(sys.argv[2])
with odibi.load("odibi.yaml") as project:
    for n in range(count):
        number = project.fire("sent", {"who": who, "n": n}, f"{who} {n}")
        print(json.dumps([who, n, number]), flush=True)
"""


@pytest.fixture(name="place")
def _place(tmp_path: Path) -> Path:
    (tmp_path / "odibi.yaml").write_text(PROJECT)
    (tmp_path / "transforms.py").write_text(FUNCTIONS)
    (tmp_path / "lake").mkdir()
    return tmp_path


def put(place: Path, who: str) -> tuple[Path, str, str, str, str, str]:
    return place, who, "-c", PUT, who, str(EVENTS)


def acknowledged(place: Path, who: str) -> dict[tuple[str, int], int]:
    """Who and which to the number of the event; the same key never got two."""
    found: dict[tuple[str, int], int] = {}
    path = place / f"{who}.out"
    for line in path.read_text().split("\n")[:-1] if path.exists() else []:
        name, n, number = json.loads(line)
        assert found.setdefault((name, n), number) == number
    return found


def consumed(place: Path, name: str) -> Counter[tuple[str, int]]:
    return Counter({(who, int(n)): count for (who, n), count in rows(place / "lake" / name).items()})


def test_what_was_acknowledged_is_consumed_once_in_order_by_each_stream(place: Path) -> None:
    chance = random.Random(SEED)
    with ExitStack() as others:
        others.enter_context(started(*put(place, "ann")))
        bob = others.enter_context(started(*put(place, "bob")))
        until(lambda: len(acknowledged(place, "bob")) >= EVENTS // 4, place, PATIENCE)
        bob.send_signal(signal.SIGKILL)
        for at in range(KILLS):
            wanted = (at + 1) * 2 * EVENTS // (KILLS + 2)
            with killed(place, PATIENCE, chance, 0.05) as service:
                until(
                    lambda: sum(consumed(place, "one").values()) >= wanted or service.poll() is not None,  # noqa: B023
                    place,
                    PATIENCE,
                )
            if at == 0:
                others.enter_context(started(*put(place, "bob")))
        until(lambda: len(acknowledged(place, "ann")) == len(acknowledged(place, "bob")) == EVENTS, place, PATIENCE)
    with started(place, "serve", *SERVE, "--idle", "2s") as service:
        assert service.wait(PATIENCE) == 0, (place / "serve.err").read_text()

    numbers = {**acknowledged(place, "ann"), **acknowledged(place, "bob")}
    assert sorted(numbers.values()) == list(range(1, 2 * EVENTS + 1))
    for who in ("ann", "bob"):
        mine = [numbers[who, n] for n in range(EVENTS)]
        assert mine == sorted(mine)
    each_once = Counter(numbers.keys())
    with odibi.load(place / "odibi.yaml") as project:
        store = project.resources().checkpoints()
        assert store is not None
        for name in ("one", "two"):
            assert consumed(place, name) == each_once
            runs = sorted(store.runs(name), key=lambda run: run.run_id)
            offsets = [run.detail["batches"]["sent"]["offset"] for run in runs if run.state == "succeeded"]
            assert offsets == list(range(1, 2 * EVENTS + 1))
            assert not store.offsets(f"{name}/sent!dead/")
        assert not store.offsets("!event/sent/"), "what both have consumed is gone"
