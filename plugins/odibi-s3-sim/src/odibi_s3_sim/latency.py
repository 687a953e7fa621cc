"""How long a request takes: until the first byte comes, and for the bytes themselves."""

from __future__ import annotations

import math
from collections.abc import Mapping

import attrs

from odibi_s3_sim.chance import draw, lognormal

_MB = 1e6


@attrs.frozen
class Latency:
    """A model of the time that requests take.

    Attributes:
        median: seconds until the first byte of an answer, in half of the cases.
        p99: seconds in all but one of a hundred cases; in between, a log-normal distribution.
        down, up: MB (10**6 bytes) a second for one connection, out of S3 and into it; 0 for no limit.
        timeout: seconds after which a client gives up on an answer.
    """

    median: float = 0.0
    p99: float = 0.0
    down: float = 0.0
    up: float = 0.0
    timeout: float = 5.0

    def __attrs_post_init__(self) -> None:
        for name, value in attrs.asdict(self).items():
            if not (0 <= value < math.inf):
                raise ValueError(f"the latency's {name!r} is {value!r}, which is not a number of 0 or more")
        if self.p99 < self.median:
            raise ValueError(f"the latency's p99 ({self.p99}) is below its median ({self.median})")

    def first_byte(self, seed: int, operation: str, key: str, nth: int) -> float:
        """Seconds until the first byte of the answer to one request."""
        if not self.median:
            return 0.0
        return lognormal(draw(seed, "latency", operation, key, nth), self.median, self.p99)

    def transfer(self, bytes_in: int, bytes_out: int) -> float:
        """Seconds for the bytes."""
        up = bytes_in / (self.up * _MB) if self.up else 0.0
        down = bytes_out / (self.down * _MB) if self.down else 0.0
        return up + down


PRESETS: Mapping[str, Latency] = {
    "none": Latency(),
    "same_region": Latency(0.1, 0.2, 85.0, 85.0),
    "other_region": Latency(0.25, 0.5, 40.0, 40.0),
}
"""Named models. ``same_region`` is what "Performance design patterns for Amazon S3" in its user guide tells to expect:
100 to 200 ms for small objects, and 85 to 90 MB/s for one connection. ``other_region`` adds a round trip or two."""


def latency_of(given: str | Mapping[str, float]) -> Latency:
    """The model that an option means.

    Raises:
        ValueError: there is no such preset, or no such number.
    """
    if isinstance(given, str):
        if given not in PRESETS:
            raise ValueError(f"{given!r} is no preset of latency; there are: {', '.join(PRESETS)}")
        return PRESETS[given]
    known = {field.name for field in attrs.fields(Latency)}
    unknown = sorted(set(given) - known)
    if unknown:
        raise ValueError(f"latency has no {unknown[0]!r}; it has: {', '.join(sorted(known))}")
    return Latency(**{"p99": given.get("median", 0.0), **given})
