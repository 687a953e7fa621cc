"""Chance that can be repeated: numbers drawn from a seed and the name of what they are for.

No draw depends on another, so threads cannot change each other's.
"""

from __future__ import annotations

import math
from hashlib import blake2b
from statistics import NormalDist

_NORMAL = NormalDist()
_STEPS = 1 << 53


def draw(seed: int, *name: object) -> float:
    """A number in [0, 1), the same for the same seed and name, and spread evenly over names."""
    text = "\0".join(map(str, (seed, *name))).encode("utf-8", "surrogatepass")
    return (int.from_bytes(blake2b(text, digest_size=8).digest(), "big") >> 11) / _STEPS


def lognormal(quantile: float, median: float, p99: float) -> float:
    """The value of a log-normal distribution at a quantile.

    Args:
        quantile: in [0, 1).
        median: the value at 0.5.
        p99: the value at 0.99; at least the median.
    """
    if median <= 0:
        return 0.0
    sigma = math.log(p99 / median) / _NORMAL.inv_cdf(0.99)
    within = min(max(quantile, 1e-9), 1 - 1e-9)
    return median * math.exp(sigma * _NORMAL.inv_cdf(within))
