"""Quantiles within the stated error, whatever is observed, and in bounded memory."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odibi_metrics.sketch import ERROR, MOST_BUCKETS, Sketch

SIZES = st.one_of(st.just(0.0), st.floats(1e-9, 1e12), st.floats(1e-3, 1e3))


@given(st.lists(SIZES, min_size=1, max_size=200), st.floats(0, 1), st.integers(1, 50))
def test_a_quantile_is_within_the_error_of_the_observation_of_its_rank(
    values: list[float], part: float, batch: int
) -> None:
    sketch = Sketch()
    for at in range(0, len(values), batch):
        sketch.add(values[at : at + batch])
    exact = sorted(values)[math.floor(part * (len(values) - 1))]
    assert sketch.quantile(part) == pytest.approx(exact, rel=ERROR * 1.0001)
    assert sketch.count == len(values)
    assert sketch.total == pytest.approx(math.fsum(values))
    assert (sketch.least, sketch.most) == (min(values), max(values))


@given(st.lists(SIZES, min_size=1, max_size=50))
def test_quantiles_rise(values: list[float]) -> None:
    sketch = Sketch()
    sketch.add(values)
    found = [sketch.quantile(part / 20) for part in range(21)]
    assert found == sorted(found)


def test_memory_is_bounded_and_high_quantiles_stay_right() -> None:
    sketch = Sketch()
    values = [10.0 ** (exponent / 50) for exponent in range(-450, 15_000, 1)]
    for value in values:
        sketch.add([value])
    assert len(sketch._buckets) == MOST_BUCKETS
    assert sketch.quantile(0.99) == pytest.approx(values[math.floor(0.99 * (len(values) - 1))], rel=ERROR * 1.0001)


def test_without_observations_there_is_none() -> None:
    assert math.isnan(Sketch().quantile(0.5))


def test_what_is_endless_counts_as_the_greatest() -> None:
    sketch = Sketch()
    sketch.add([1.0, math.inf])
    assert sketch.quantile(1) == math.inf or sketch.quantile(1) > 1e300
    assert sketch.total == math.inf


def test_a_copy_does_not_change() -> None:
    sketch = Sketch()
    sketch.add([1.0])
    copy = sketch.copy()
    sketch.add([1000.0])
    assert (copy.count, copy.quantile(1)) == (1, pytest.approx(1, rel=ERROR))
