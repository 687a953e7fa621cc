"""Observations that are counted in buckets, as Prometheus and OpenTelemetry know them."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from itertools import repeat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

BOUNDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 600, 1800, 3600, 10800)
"""Upper bounds of the buckets of a duration, in seconds: from a node that does next to nothing to a night's work."""


class Buckets:
    """Observations by the bucket that each falls into.

    Args:
        bounds: upper bounds of the buckets, rising; each belongs to its bucket. What is above the last is in one more.

    Attributes:
        bounds: likewise.
        count: how many observations there were.
        total: their sum.
        least, most: the smallest and the greatest.
    """

    __slots__ = ("_found", "bounds", "count", "least", "most", "total")

    def __init__(self, bounds: Sequence[float] = BOUNDS) -> None:
        self.bounds = tuple(bounds)
        self.count = 0
        self.total = 0.0
        self.least, self.most = math.inf, -math.inf
        self._found: Counter[int] = Counter()

    def add(self, values: Sequence[float]) -> None:
        """Add observations; none is negative or no number."""
        self.count += len(values)
        self.total += math.fsum(values)
        self.least, self.most = min(self.least, *values), max(self.most, *values)
        self._found.update(map(bisect_left, repeat(self.bounds), values))

    @property
    def counts(self) -> list[int]:
        """How many fell into each bucket, the one above the last bound included."""
        return [self._found[at] for at in range(len(self.bounds) + 1)]

    def copy(self) -> Buckets:
        """The same, which does not change any more."""
        made = Buckets(self.bounds)
        made.count, made.total, made._found = self.count, self.total, self._found.copy()
        made.least, made.most = self.least, self.most
        return made


def checked(bounds: Sequence[float]) -> tuple[float, ...]:
    """Bounds as an option gives them.

    Raises:
        ValueError: they are none, or do not rise.
    """
    found = tuple(map(float, bounds))
    if not found or any(not math.isfinite(each) for each in found) or list(found) != sorted(set(found)):
        raise ValueError("the bounds of buckets are finite numbers, each greater than the one before")
    return found
