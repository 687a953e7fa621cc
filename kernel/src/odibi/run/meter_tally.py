"""What was measured since it was last told: summed up, so that a sink gets few measurements for many events."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from odibi.contracts.measured import MOST_NAMES, MOST_NODES, OTHERS
from odibi.contracts.metric import Kind, Measurement

if TYPE_CHECKING:
    from collections.abc import Callable

    from odibi.contracts.measured import Metric

Series = tuple["Metric", tuple[str, ...]]
"""A metric and the values of its labels."""


class Names:
    """The values that labels may have: a bounded number of each, further ones are one.

    Args:
        redact: masks secrets in a text; names are people's, who may have put one there.
    """

    def __init__(self, redact: Callable[[str], str]) -> None:
        self._redact = redact
        self._known: dict[str, dict[str, str]] = {}
        self._nodes: dict[str, dict[str, str]] = {}
        self._nodes_left = MOST_NODES
        self._lock = threading.Lock()

    def name(self, what: str, text: str) -> str:
        """How a pipeline or a plugin is called.

        Args:
            what: which of the two.
            text: its name.
        """
        with self._lock:
            known = self._known.setdefault(what, {})
            if text not in known and len(known) < MOST_NAMES:
                known[text] = self._redact(text)
            return known.get(text, OTHERS)

    def node(self, pipeline: str, node: str) -> str:
        """How a node is called."""
        with self._lock:
            known = self.nodes(pipeline)
            if node not in known and self._nodes_left > 0:
                self._nodes_left -= 1
                known[node] = self._redact(node)
            return known.get(node, OTHERS)

    def nodes(self, pipeline: str) -> dict[str, str]:
        """The nodes of a pipeline that are told apart, and how each is called; not to be changed."""
        return self._nodes.setdefault(pipeline, {})


class Tally:
    """Sums of counters, last values of gauges, and all observations of timers."""

    def __init__(self) -> None:
        self._values: dict[Series, float] = {}
        self._observed: dict[Series, list[float]] = {}

    def __bool__(self) -> bool:
        return bool(self._values or self._observed)

    def add(self, metric: Metric, labels: tuple[str, ...], value: float = 1) -> None:
        """Add to a counter."""
        key = (metric, labels)
        self._values[key] = self._values.get(key, 0) + value

    def set(self, metric: Metric, labels: tuple[str, ...], value: float) -> None:
        """Put a gauge to a value."""
        self._values[metric, labels] = value

    def observe(self, metric: Metric, labels: tuple[str, ...], values: list[float]) -> None:
        """Add observations to a timer."""
        if values:
            self._observed.setdefault((metric, labels), []).extend(values)

    def take(self) -> list[Measurement]:
        """All of it as measurements; afterwards nothing is left."""
        values, self._values = self._values, {}
        observed, self._observed = self._observed, {}
        found = [
            Measurement(metric.name, metric.kind, value, dict(zip(metric.labels, labels, strict=True)))
            for (metric, labels), value in values.items()
        ]
        found += [
            Measurement(
                metric.name, Kind.TIMER, each[0], dict(zip(metric.labels, labels, strict=True)), tuple(each[1:])
            )
            for (metric, labels), each in observed.items()
        ]
        return found
