"""A power cut at any instant takes nothing that a run has said is done, and leaves outputs old or new."""

from __future__ import annotations

import random

import pytest
from fault_harness import FULL
from fault_harness.scenarios import ALL
from fault_harness.survival import STATES, Survivor, failed

SEED = 19_700_101
INSTANTS = 3
"""Instants a scenario where not all are asked for."""

RANDOM_STATES = 2
"""States left to chance an instant where all are asked for."""


@pytest.mark.parametrize("scenario", ALL, ids=str)
def test_a_power_cut_leaves_old_or_new_and_the_next_run_makes_good(survivor: Survivor) -> None:
    numbers = [call.n for call in survivor.undisturbed().calls if call.effective]
    step = 1 if FULL else -(-len(numbers) // INSTANTS)
    chance = random.Random(SEED)
    wrong = []
    for at in numbers[step - 1 :: step]:
        states = [*STATES, *["any"] * (RANDOM_STATES - 1)] if FULL else chance.sample(list(STATES), 2)
        for state in states:
            wrong += survivor.power_cut(at, state, chance.randrange(2**32))
    failed(wrong, len(numbers[step - 1 :: step]))


@pytest.mark.parametrize("scenario", ALL, ids=str)
def test_what_a_run_has_said_is_done_survives_a_power_cut(survivor: Survivor) -> None:
    states = list(STATES) if FULL else list(STATES)[:2]
    wrong = [each for state in states for each in survivor.power_cut(None, state, SEED)]
    failed(wrong, len(states))
