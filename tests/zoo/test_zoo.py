"""The conformance suites refuse every broken component of the zoo, and none of the sound ones."""

from __future__ import annotations

import pytest

from odibi.contracts import FAMILIES
from odibi.testing.zoo import SOUND, families, zoo_of
from odibi.testing.zoo._trial import trial

FEWEST = {"storage": 25}
"""Defects that a family's zoo has at least; 15 where nothing is said."""

ALL = [f"{family}.{name}" for family in families() for name in zoo_of(family).defects]


@pytest.mark.parametrize("family", families())
def test_a_sound_component_passes(family: str) -> None:
    done = trial(f"{family}.{SOUND}", stop=False)
    assert not done.refused, done.output
    assert done.passed > 10, done.output


@pytest.mark.parametrize("specimen", ALL)
def test_a_defect_is_seen(specimen: str) -> None:
    family, _, name = specimen.partition(".")
    done, argued = trial(specimen), zoo_of(family).defects[name].argued
    assert done.refused == (not argued), argued or done.output


@pytest.mark.parametrize("family", families())
def test_there_are_enough(family: str) -> None:
    assert len(zoo_of(family).defects) >= FEWEST.get(family, 15)
    assert family in FAMILIES
