"""Whether and when a failed node is tried again."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odibi.errors import AccessDenied, ConfigError, DataError, NodeTimeout, TransformError, Transient
from odibi.model import Backoff, Retry
from odibi.run.retry import can_pass, delay_after

settings = st.builds(
    Retry,
    backoff=st.sampled_from(Backoff),
    delay=st.floats(0, 1e6),
    max_delay=st.floats(0, 1e6),
    jitter=st.floats(0, 1),
)


@given(settings, st.integers(1, 10_000), st.integers())
def test_no_delay_is_negative_or_longer_than_the_cap(retry: Retry, attempt: int, seed: int) -> None:
    delay = delay_after(attempt, retry, Random(seed))
    assert 0 <= delay <= retry.max_delay


@given(settings, st.integers(1, 50), st.integers())
def test_jitter_only_takes_away_and_no_more_than_it_may(retry: Retry, attempt: int, seed: int) -> None:
    whole = delay_after(attempt, Retry(1, retry.backoff, retry.delay, retry.max_delay, 0.0), Random(seed))
    drawn = delay_after(attempt, retry, Random(seed))
    assert whole * (1 - retry.jitter) <= drawn * (1 + 1e-12)
    assert drawn <= whole


@given(settings, st.integers(1, 100))
def test_delays_do_not_shrink_from_attempt_to_attempt(retry: Retry, attempt: int) -> None:
    plain = Retry(1, retry.backoff, retry.delay, retry.max_delay, 0.0)
    assert delay_after(attempt, plain, Random(0)) <= delay_after(attempt + 1, plain, Random(0))


@pytest.mark.parametrize(
    ("backoff", "expected"),
    [
        (Backoff.CONSTANT, [1, 1, 1, 1, 1]),
        (Backoff.LINEAR, [1, 2, 3, 4, 5]),
        (Backoff.EXPONENTIAL, [1, 2, 4, 8, 10]),
    ],
)
def test_the_three_ways_to_grow(backoff: Backoff, expected: list[float]) -> None:
    retry = Retry(9, backoff, delay=1, max_delay=10, jitter=0)
    assert [delay_after(attempt, retry, Random(0)) for attempt in range(1, 6)] == expected


def chained(error: Exception, cause: BaseException) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Transient("throttled"), True),
        (NodeTimeout("too long"), True),
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (chained(TransformError("step 1"), Transient("cut off")), True),
        (AccessDenied("no"), False),
        (DataError("ragged"), False),
        (ConfigError("typo"), False),
        (TransformError("wrong column"), False),
        (ValueError(), False),
        (PermissionError(), False),
        (KeyboardInterrupt(), False),
        (SystemExit(), False),
    ],
)
def test_only_what_can_pass_is_tried_again(error: BaseException, expected: bool) -> None:
    assert can_pass(error, Retry()) is expected


def test_retry_on_adds_classes_by_name_and_star_all() -> None:
    assert can_pass(KeyError(), Retry(retry_on=("LookupError",)))
    assert not can_pass(ValueError(), Retry(retry_on=("LookupError",)))
    assert can_pass(ValueError(), Retry(retry_on=("*",)))
    assert not can_pass(KeyboardInterrupt(), Retry(retry_on=("*",)))


def test_an_error_that_is_its_own_cause_is_looked_at_once_and_for_all() -> None:
    error = ValueError()
    error.__cause__ = error
    assert not can_pass(error, Retry())
