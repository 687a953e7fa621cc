"""A clock that is wrong, or jumps, changes no result."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest
from fault_harness import FULL
from fault_harness.processes import Launcher, Zygote
from fault_harness.scenario import RUN, Scenario, own_files
from fault_harness.scenarios import ALL, APPEND, CARELESS, CHAIN, CHAIN_ON_STORAGE, TWO_NODES, config, orders
from fault_harness.shim import Fault
from fault_harness.survival import Survivor, failed, points_of

SOME = (APPEND, TWO_NODES, CHAIN, CHAIN_ON_STORAGE)
"""Scenarios of each kind."""

HOUR, DAY = 3600.0, 86_400.0

ASKS = """
import datetime, json, sqlite3, time

def writes(frame):
    times = {
        "time": time.time(), "time_ns": time.time_ns() / 1e9, "datetime": datetime.datetime.now().timestamp(),
        "gettime": time.clock_gettime(time.CLOCK_REALTIME),
        "sqlite": sqlite3.connect(":memory:").execute("SELECT unixepoch()").fetchone()[0],
        "monotonic": time.monotonic(),
    }
    json.dump(times, open("times.json", "w"))
    return frame
"""


@pytest.mark.parametrize("begins", [0, 1, 10_000])
def test_every_way_to_ask_for_the_time_gives_the_wrong_one(begins: int, zygote: Zygote, tmp_path: Path) -> None:
    scenario = Scenario("asks", config(CARELESS), orders(0, 3), [], transforms=ASKS)
    scenario.lay(tmp_path, zygote)
    found = []
    for clock in (0.0, -1000 * DAY):
        assert zygote.run(RUN, tmp_path, Fault(clock=clock, clock_at=begins)).code == 0
        found.append(json.loads((tmp_path / "times.json").read_text()))
    right, wrong = found
    # The file is opened, and so the first call counted, after the function has asked.
    expected = -1000 * DAY if begins == 0 else 0.0
    for name in right.keys() - {"monotonic"}:
        assert abs(wrong[name] - right[name] - expected) < HOUR, name
    assert 0 < wrong["monotonic"] - right["monotonic"] < HOUR


@pytest.mark.parametrize("scenario", ALL if FULL else SOME, ids=str)
def test_a_clock_that_jumps_during_a_run(survivor: Survivor) -> None:
    calls = len(survivor.undisturbed().calls)
    instants = range(0, calls + 1, 4) if FULL else (0, calls // 2)
    faults = [
        Fault(clock=clock, clock_at=at) for at in instants for clock in (-HOUR, 400 * DAY)[: 1 + (at == 0 or FULL)]
    ]
    failed([each for fault in faults for each in survivor.hampered(fault)], len(faults))


def in_the_future(scenario: Scenario) -> Scenario:
    """The same, but the clock was a month ahead in the runs before."""

    def run_before(launcher: Launcher, folder: Path) -> None:
        for _ in range(scenario.earlier):
            assert launcher.run(scenario.resume, folder, Fault(clock=30 * DAY)).code == 0

    return attrs.evolve(scenario, name=f"{scenario.name}, before in the future", earlier=0, prepare=run_before)


@pytest.mark.parametrize("scenario", [in_the_future(each) for each in SOME], ids=str)
def test_a_kill_after_the_clock_was_set_back(survivor: Survivor) -> None:
    points = points_of(survivor.undisturbed().calls, full=FULL)
    chosen = points if FULL else points[:: len(points) // 4]
    failed([each for point in chosen for each in survivor.killed(point)], len(chosen))


def test_what_a_killed_run_has_left_goes_in_two_days(zygote: Zygote, tmp_path: Path) -> None:
    survivor = Survivor(APPEND, zygote, tmp_path)
    (write,) = (call for call in survivor.undisturbed().calls if call.op == "write")
    folder = survivor.begin()
    assert zygote.run(RUN, folder, Fault("after", write.n)).killed
    assert len(own_files(folder)) == 1
    assert zygote.run(RUN, folder).code == 0
    assert len(own_files(folder)) == 1, "its writer may be slow and live on another machine"
    assert zygote.run(RUN, folder, Fault(clock=2 * DAY)).code == 0
    assert own_files(folder) == []
