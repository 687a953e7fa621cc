"""What was measured so far, series by series: what all sinks of this package hold, and send in their own ways."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import attrs

from odibi.contracts.measured import BY_NAME
from odibi.contracts.metric import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from odibi.contracts.metric import Measurement


class Observations(Protocol):
    """Observations of a timer or histogram, in whatever way a sink wants to know of them."""

    count: int
    total: float

    def add(self, values: Sequence[float]) -> None:
        """Add observations; none is negative or no number."""
        ...

    def copy(self) -> Any:
        """The same, which does not change any more."""
        ...


T = TypeVar("T")
O = TypeVar("O", bound=Observations)  # noqa: E741

Labels = tuple[tuple[str, str], ...]


@attrs.define(eq=False)
class Series(Generic[O]):
    """What was measured under one name and one set of labels.

    Attributes:
        name: of the metric.
        kind: of the metric.
        labels: in the order of their names.
        value: the sum of a counter, the last value of a gauge.
        observed: the observations of a timer or histogram; ``None`` of a counter or gauge.
    """

    name: str
    kind: Kind
    labels: Labels
    value: float = 0.0
    observed: O | None = None


class Store(Generic[O]):
    """Sums up measurements. Safe to use from many threads: none holds its lock for longer than a batch takes.

    Args:
        observations: makes what holds the observations of one series.
    """

    def __init__(self, observations: Callable[[], O]) -> None:
        self._observations = observations
        self._kinds: dict[str, Kind] = {}
        self._series: dict[tuple[str, frozenset[tuple[str, str]]], Series[O]] = {}
        self._lock = threading.Lock()

    def record(self, measurements: Sequence[Measurement]) -> None:
        """Take measurements.

        Raises:
            ValueError: it cannot take one of them, for what that means; it has taken the others.
        """
        wrong: list[str] = []
        with self._lock:
            for each in measurements:
                problem = self._take(each)
                if problem:
                    wrong.append(problem)
        if wrong:
            raise ValueError("; ".join(wrong))

    def read(self) -> list[Series[O]]:
        """All series as they are now; what is recorded later does not show in them."""
        with self._lock:
            return [
                attrs.evolve(each, observed=None if each.observed is None else each.observed.copy())
                for each in self._series.values()
            ]

    def each(self, do: Callable[[Series[O]], T]) -> list[T]:
        """What a function gives of each series; nothing is recorded meanwhile."""
        with self._lock:
            return [do(series) for series in self._series.values()]

    def _take(self, each: Measurement) -> str:
        name, kind = each.name, each.kind
        known = self._kinds.get(name)
        if known is None:
            known = self._kinds[name] = kind
        if known is not kind:
            return f"{name!r} is a {known.value}, and cannot be a {kind.value} too"
        if kind is Kind.GAUGE:
            return self._put(each)
        values = (each.value, *each.more) if each.more else (each.value,)
        least = min(values)
        if not least >= 0 or math.isnan(sum(values)):
            return f"{name!r} is a {kind.value}, which takes no negative values, and nothing that is no number"
        if kind is Kind.COUNTER:
            return self._put(each)
        observed = self._found(each).observed
        assert observed is not None
        observed.add(values)
        return ""

    def _put(self, each: Measurement) -> str:
        if each.more:
            return f"{each.name!r} is a {each.kind.value}, which cannot take several values at once"
        series = self._found(each)
        series.value = float(each.value) if each.kind is Kind.GAUGE else series.value + each.value
        return ""

    def _found(self, each: Measurement) -> Series[O]:
        key = (each.name, frozenset(each.labels.items()))
        found = self._series.get(key)
        if found is None:
            observed = self._observations() if each.kind in (Kind.TIMER, Kind.HISTOGRAM) else None
            labels = tuple(sorted(each.labels.items()))
            found = self._series[key] = Series(each.name, each.kind, labels, observed=observed)
        return found


def plain(value: float) -> float | str:
    """A number as JSON can hold it: it has neither NaN nor infinity."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def rows(series: Sequence[Series[Any]]) -> Iterator[dict[str, Any]]:
    """A mapping a series, as JSON values: ``name``, ``kind``, ``labels``, and ``value`` or ``count`` and ``sum``."""
    for each in series:
        row: dict[str, Any] = {"name": each.name, "kind": each.kind.value, "labels": dict(each.labels)}
        if each.observed is None:
            yield {**row, "value": plain(each.value)}
        else:
            yield {**row, "count": each.observed.count, "sum": plain(each.observed.total)}


def meaning(name: str) -> str:
    """What a metric means, in a sentence."""
    known = BY_NAME.get(name)
    return known.meaning.replace("`", "") if known is not None else "Measured by Odibi."


def sendable(series: Series[Any]) -> dict[str, str]:
    """The labels; what UTF-8 cannot hold becomes a question mark."""
    return {name: value.encode("utf-8", "replace").decode("utf-8") for name, value in series.labels}
