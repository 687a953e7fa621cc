"""Whether a failed node is tried again, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING

from odibi.errors import OdibiError
from odibi.model import Backoff

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

    from odibi.model import Retry

_DEEPEST = 20
"""How many causes are looked at; some errors are, in a circle, their own."""


def can_pass(error: BaseException, retry: Retry) -> bool:
    """Whether trying again may succeed.

    An :class:`~odibi.errors.OdibiError` knows for itself; so do the errors that say that a connection broke or that
    something took too long. Everything else is taken for a mistake, which a retry would only repeat, unless
    ``retry_on`` names its class or one of its bases.
    """
    if not isinstance(error, Exception):
        return False
    # A step's error wraps what went wrong; the cause decides.
    for seen in causes(error):
        if isinstance(seen, OdibiError) and seen.retryable:
            return True
        if isinstance(seen, ConnectionError | TimeoutError | InterruptedError):
            return True
        if "*" in retry.retry_on or any(kind.__name__ in retry.retry_on for kind in type(seen).__mro__):
            return True
    return False


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error, what caused it, what caused that, and so on."""
    seen: BaseException | None = error
    for _ in range(_DEEPEST):
        if seen is None:
            return
        yield seen
        seen = seen.__cause__


def delay_after(attempt: int, retry: Retry, random: Random) -> float:
    """Seconds to wait after a failed attempt.

    Args:
        attempt: the one that failed, from 1.
        retry: the settings.
        random: draws the jitter.
    """
    try:
        factor = {
            Backoff.CONSTANT: 1.0,
            Backoff.LINEAR: float(attempt),
            Backoff.EXPONENTIAL: 2.0 ** (attempt - 1),
        }[retry.backoff]
    except OverflowError:
        factor = float("inf")
    delay = min(retry.delay * factor, retry.max_delay) if retry.delay else 0.0
    return delay * (1.0 - retry.jitter * random.random())
