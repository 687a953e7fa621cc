"""A run that is killed at any instant loses nothing and doubles nothing."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from fault_harness import FULL
from fault_harness.processes import Fresh, Zygote
from fault_harness.scenarios import ALL, PARALLEL, TWO_NODES
from fault_harness.survival import Survivor, failed, points_of

SEED = 20_240_229
RANDOM_KILLS = 500 // len(PARALLEL) + 1 if FULL else 6
"""Kills at random instants a scenario."""


@pytest.mark.parametrize("scenario", ALL, ids=str)
def test_a_kill_at_any_call_leaves_old_or_new_and_the_next_run_makes_good(survivor: Survivor) -> None:
    points = points_of(survivor.undisturbed().calls, full=FULL)
    wrong = [each for point in points for each in survivor.killed(point)]
    failed(wrong, len(points))


def test_so_does_a_kill_of_a_process_that_was_started_as_users_start_it(
    zygote: Zygote, fresh: Fresh, tmp_path: Path
) -> None:
    survivor = Survivor(TWO_NODES, zygote, tmp_path, disturbing=fresh)
    points = points_of(survivor.undisturbed().calls, full=True)
    renames = [point for point in points if point.call.op == "rename" and point.mode == "after"]
    chosen = points[:: len(points) // 12] if FULL else [renames[1], renames[-1]]
    wrong = [each for point in chosen for each in survivor.killed(point)]
    failed(wrong, len(chosen))


@pytest.mark.parametrize("scenario", PARALLEL, ids=str)
def test_a_kill_at_a_random_instant_of_a_run_on_threads(survivor: Survivor) -> None:
    chance = random.Random(SEED)
    longest = survivor.undisturbed().seconds
    wrong, killed = [], 0
    for _ in range(RANDOM_KILLS):
        ended, found = survivor.killed_after(chance.uniform(0, longest))
        killed += ended.killed
        wrong += found
    assert killed, "every run ended before it was killed"
    failed(wrong, RANDOM_KILLS)
