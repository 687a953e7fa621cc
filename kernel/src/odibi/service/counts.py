"""What the service has done since it began, in numbers: for whoever watches it."""

from __future__ import annotations

import threading
from bisect import bisect_left
from itertools import accumulate
from typing import TypeVar

import attrs

K = TypeVar("K")

DURATIONS = (0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 1800.0, 3600.0, 10800.0)
"""Bounds of the buckets for how long runs take, in seconds: from a few rows to a night's work."""

DELAYS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0)
"""Bounds of the buckets for how late runs begin, in seconds: Prometheus' own default ones, and two for a long queue."""

MOST = 10_000
"""So many pipelines, and so many streams, are told apart at most; there is no end of names in a service that lives long
enough."""

OTHERS = "(others)"
"""The name under which all further ones are counted."""

_STATES = {"consumed": "succeeded", "cancelled": "cancelled"}
"""What the verdict on an attempt says of its run; any other is of a run that failed."""


@attrs.frozen
class Histogram:
    """Observations by their size.

    Attributes:
        buckets: upper bound to the number of observations up to it, in order, without the last, which has no bound.
        count: of all observations.
        total: their sum.
    """

    buckets: tuple[tuple[float, int], ...]
    count: int
    total: float


@attrs.frozen
class Counted:
    """All numbers at one moment.

    Attributes:
        runs: project, pipeline and state (``succeeded``, ``failed``, ``cancelled``) to how many runs ended so.
        durations: project and pipeline to how long its runs took, in seconds.
        attempts: project, stream and verdict to how many attempts at batches ended so.
        given_up: project and stream to how many of its batches were given up.
        delays: how long after their moments runs of schedules began, in seconds.
    """

    runs: dict[tuple[str, str, str], int]
    durations: dict[tuple[str, str], Histogram]
    attempts: dict[tuple[str, str, str], int]
    given_up: dict[tuple[str, str], int]
    delays: Histogram


class _Buckets:
    """Observations that are counted where they fall."""

    __slots__ = ("_bounds", "_counts", "_total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._total = 0.0

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1  # a bound belongs to its bucket
        self._total += value

    def read(self) -> Histogram:
        upto = list(accumulate(self._counts))
        return Histogram(tuple(zip(self._bounds, upto[:-1], strict=True)), upto[-1], self._total)


class Counts:
    """Counts what the service does. Safe to use from many threads; its memory does not grow with the number of runs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: dict[tuple[str, str, str], int] = {}
        self._durations: dict[tuple[str, str], _Buckets] = {}
        self._attempts: dict[tuple[str, str, str], int] = {}
        self._given_up: dict[tuple[str, str], int] = {}
        self._streams: set[tuple[str, str]] = set()
        self._delays = _Buckets(DELAYS)

    def began(self, delay: float) -> None:
        """The first attempt at a moment of a schedule begins.

        Args:
            delay: seconds since the moment; one that is negative, as a clock was put back, counts as none.
        """
        with self._lock:
            self._delays.observe(max(0.0, delay))

    def settled(self, project: str, pipeline: str, stream: str, verdict: str, seconds: float | None) -> None:
        """An attempt at a batch has ended.

        Args:
            project, pipeline, stream: their names.
            verdict: the value of a :class:`~odibi.service.attempt.Verdict`.
            seconds: how long its run took; ``None`` if no run was begun.
        """
        with self._lock:
            _add(self._attempts, (*self._stream(project, stream), verdict))
            if seconds is None:
                return
            of = (project, pipeline)
            if of not in self._durations and len(self._durations) >= MOST:
                of = (OTHERS, OTHERS)
            _add(self._runs, (*of, _STATES.get(verdict, "failed")))
            self._durations.setdefault(of, _Buckets(DURATIONS)).observe(max(0.0, seconds))

    def gave_up(self, project: str, stream: str) -> None:
        """A batch of a stream was given up after its last attempt."""
        with self._lock:
            _add(self._given_up, self._stream(project, stream))

    def read(self) -> Counted:
        """The numbers now."""
        with self._lock:
            return Counted(
                dict(self._runs),
                {of: buckets.read() for of, buckets in self._durations.items()},
                dict(self._attempts),
                dict(self._given_up),
                self._delays.read(),
            )

    def _stream(self, project: str, stream: str) -> tuple[str, str]:
        found = (project, stream)
        if found in self._streams:
            return found
        if len(self._streams) >= MOST:
            return (OTHERS, OTHERS)
        self._streams.add(found)
        return found


def _add(counts: dict[K, int], key: K) -> None:
    counts[key] = counts.get(key, 0) + 1
