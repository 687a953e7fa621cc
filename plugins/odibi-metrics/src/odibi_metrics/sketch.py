"""Quantiles of very many observations, in little memory and with a stated error.

The algorithm is DDSketch: observations are counted in buckets whose bounds grow by a constant factor, so that whatever
is in one bucket is the same up to a relative error. Charles Masson, Jee E. Rim and Homin K. Lee: DDSketch: A Fast and
Fully-Mergeable Quantile Sketch with Relative-Error Guarantees. PVLDB 12(12), 2019.
"""

from __future__ import annotations

import math
from collections import Counter
from itertools import repeat
from operator import mul
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

ERROR = 0.01
"""By how much a quantile may be off, as a part of itself."""

LEAST = 1e-9
"""What is smaller than this counts as nothing: of seconds, less than a nanosecond."""

MOST_BUCKETS = 2048
"""So many are kept; if there are more, the lowest become one, and low quantiles may then be off by more. From
nanoseconds to ten years it takes 2,012."""

_GAMMA = (1 + ERROR) / (1 - ERROR)
_SCALE = 1 / math.log(_GAMMA)


class Sketch:
    """Observations by their size.

    Attributes:
        count: how many there were.
        total: their sum.
        least, most: the smallest and the greatest; NaN if there were none.
    """

    __slots__ = ("_buckets", "_zeros", "count", "least", "most", "total")

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0
        self.least = self.most = math.nan
        self._zeros = 0
        self._buckets: Counter[int] = Counter()

    def add(self, values: Sequence[float]) -> None:
        """Add observations; none is negative or no number."""
        least, most = min(values), max(values)
        if not self.count:
            self.least, self.most = least, most
        else:
            self.least, self.most = min(self.least, least), max(self.most, most)
        self.count += len(values)
        self.total += math.fsum(values) if most < math.inf else math.inf
        if least < LEAST or most == math.inf:
            self._zeros += sum(value < LEAST for value in values)
            values = [min(value, 1e308) for value in values if value >= LEAST]
        self._buckets.update(map(math.ceil, map(mul, map(math.log, values), repeat(_SCALE))))
        if len(self._buckets) > MOST_BUCKETS:
            self._collapse()

    def quantile(self, part: float) -> float:
        """A value that about this part of the observations is not above.

        Args:
            part: between 0 and 1.

        Returns:
            Within :data:`ERROR` of the observation of that rank, relative to it; NaN if there is none.
        """
        if not self.count:
            return math.nan
        rank = part * (self.count - 1)
        seen = self._zeros
        if rank < seen:
            return max(0.0, self.least) if self._zeros == self.count else 0.0
        for bucket in sorted(self._buckets):
            seen += self._buckets[bucket]
            if seen > rank:
                return min(max(2 * math.exp(bucket / _SCALE) / (_GAMMA + 1), self.least), self.most)
        return self.most

    def copy(self) -> Sketch:
        """The same, which does not change any more."""
        made = Sketch()
        made.count, made.total, made.least, made.most = self.count, self.total, self.least, self.most
        made._zeros, made._buckets = self._zeros, self._buckets.copy()
        return made

    def _collapse(self) -> None:
        low = sorted(self._buckets)
        into = low[len(low) - MOST_BUCKETS]
        for bucket in low[: len(low) - MOST_BUCKETS]:
            self._buckets[into] += self._buckets.pop(bucket)
