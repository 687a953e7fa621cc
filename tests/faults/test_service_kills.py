"""A service that is killed at any call, or any instant, consumes each batch once, and each moment.

The service runs until nothing has been due for a while; whatever became of the first one, the second makes good.
"""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from pathlib import Path

import pytest
from fault_harness import FULL
from fault_harness.processes import Ended, Zygote
from fault_harness.serving import rows
from fault_harness.shim import NO_FAULT, Fault
from fault_harness.survival import points_of

pytest.importorskip("odibi_local")
pytest.importorskip("odibi_pandas")
pytest.importorskip("odibi_triggers")

SEED = 20_260_301
RANDOM_KILLS = 200 if FULL else 5
POINTS = 400 if FULL else 10
FILES = 4

PROJECT = """
project: shop
engine: pandas
checkpoints: sqlite
connections:
  lake: {type: local, base_path: ./lake}
triggers:
  landing: {type: file_watch, connection: lake, path: "in/*.csv", complete: rename, max_files: 1, pipelines: [orders],
            retry_delay: 0}
  past: {type: date, at: ["2026-01-01T00:00:00+00:00", "2026-01-02T00:00:00+00:00"], misfire: all, pipelines: [days]}
pipelines:
  - pipeline: orders
    nodes:
      - name: orders
        read: {connection: lake, path: "in/*.csv", stream: landing}
        write: {connection: lake, path: out/orders, format: csv, mode: append}
      - name: doubled
        depends_on: [orders]
        transform: {steps: ["select id * 2 as twice from orders"]}
        write: {connection: lake, path: out/doubled, format: csv, mode: append}
  - pipeline: days
    nodes:
      - name: day
        depends_on: [past]
        function: day
        write: {connection: lake, path: out/days, format: csv, mode: append}
"""
FUNCTIONS = """
import pandas as pd


def day(past):
    return pd.DataFrame({"day": [past["moment"][:10]]})
"""
SERVE = ("serve", "--idle", "400ms", "--max-runs", "2", "--no-reload")
KNOWN = ("streams", "reset", "days/past", "--to", '"2025-12-31T00:00:00+00:00"')
"""A schedule that no service has known before makes up for nothing; this one is known."""


class Place:
    """A project that is brought back to its beginning, and what its outputs hold."""

    def __init__(self, folder: Path, zygote: Zygote) -> None:
        self.folder = folder
        self._zygote = zygote
        self._laid = folder.with_name("laid")
        (self._laid / "lake" / "in").mkdir(parents=True)
        (self._laid / "odibi.yaml").write_text(PROJECT)
        (self._laid / "transforms.py").write_text(FUNCTIONS)
        for at in range(FILES):
            rows = "".join(f"{at * 10 + n},name {n}\n" for n in range(3))
            (self._laid / "lake" / "in" / f"{at}.csv").write_text(f"id,name\n{rows}")
        ended = zygote.run(KNOWN, self._laid)
        assert ended.code == 0, ended

    def begin(self) -> None:
        """Lay it out anew."""
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self._laid, self.folder)

    def serve(self, fault: Fault = NO_FAULT, kill_after: float | None = None) -> Ended:
        """Serve until nothing is due, or until it is killed."""
        return self._zygote.run(SERVE, self.folder, fault, kill_after=kill_after)

    def rows(self, name: str) -> Counter[str]:
        """What an output holds: each row with how often it is there."""
        found = rows(self.folder / "lake" / "out" / name)
        return Counter({"|".join(row): count for row, count in found.items()})

    def wrong(self) -> list[str]:
        """What is not as it must be once a service has come to its end."""
        ids = [at * 10 + n for at in range(FILES) for n in range(3)]
        wanted = {
            "orders": Counter(f"{each}|name {each % 10}" for each in ids),
            "doubled": Counter(str(2 * each) for each in ids),
            "days": Counter(["2026-01-01", "2026-01-02"]),
        }
        found = []
        for name, each_once in wanted.items():
            there = self.rows(name)
            if there != each_once:
                lost, more = each_once - there, there - each_once
                found.append(f"{name}: lost {sorted(lost)}, doubled or unknown {sorted(more)}")
        ended = self._zygote.run(("streams", "ls", "--json"), self.folder)
        for stream in json.loads(ended.stdout)["streams"]:
            if stream["state"] != "waiting" or stream["dead"]:
                found.append(f"{stream['stream']}: {stream['state']}, {stream['dead']} given up")
        return found


@pytest.fixture(scope="module")
def place(zygote: Zygote, tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("service") / "project", zygote)


@pytest.fixture(scope="module")
def undisturbed(place: Place) -> Ended:
    """How it goes when nothing goes wrong."""
    place.begin()
    ended = place.serve()
    assert ended.code == 0, ended
    assert place.wrong() == []
    return ended


def good(place: Place, killed: str) -> list[str]:
    """What is wrong after other services have come to their end.

    A busy machine may let one end before all was due; what is lost or doubled stays so however often one is started.
    """
    found: list[str] = []
    for _ in range(4):
        ended = place.serve()
        if ended.code:
            return [f"killed {killed}, the next service fails: {ended}"]
        found = [f"killed {killed}: {each}" for each in place.wrong()]
        if not found:
            break
    return found


def test_a_service_that_is_killed_at_any_call(place: Place, undisturbed: Ended) -> None:
    points = points_of(undisturbed.calls, full=True)
    chosen = random.Random(SEED).sample(points, min(POINTS, len(points)))
    wrong, killed = [], 0
    for point in chosen:
        place.begin()
        ended = place.serve(point.fault)
        killed += ended.killed
        wrong += good(place, str(point))
    assert killed >= len(chosen) // 2, "the calls come too differently from time to time"
    assert not wrong, "\n".join(wrong)


def test_a_service_that_is_killed_at_any_instant_again_and_again(place: Place, undisturbed: Ended) -> None:
    chance = random.Random(SEED)
    wrong, killed = [], 0
    for _ in range(RANDOM_KILLS):
        place.begin()
        instants = [chance.uniform(0.0, undisturbed.seconds - 0.4) for _ in range(3)]
        for instant in instants:
            killed += place.serve(kill_after=instant).killed
        wrong += good(place, f"after {', '.join(f'{each:.4f} s' for each in instants)}")
    assert killed, "every service ended before it was killed"
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_is_put_while_it_serves(place: Place, undisturbed: Ended, hours: int) -> None:
    chance = random.Random(SEED + hours)
    wrong = []
    for _ in range(20 if FULL else 2):
        place.begin()
        fault = Fault(clock=hours * 3600.0, clock_at=chance.randrange(len(undisturbed.calls)))
        ended = place.serve(fault)
        wrong += [f"it fails with {fault}: {ended}"] if ended.code else []
        wrong += good(place, f"not, but {fault}")
    assert not wrong, "\n".join(wrong)
