"""MetricSink: where measurements go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Protocol, runtime_checkable

import attrs


class Kind(str, Enum):
    """What a measurement means."""

    COUNTER = "counter"
    """Adds ``value`` to a sum that never falls."""
    GAUGE = "gauge"
    """Is the value now."""
    TIMER = "timer"
    """One duration in seconds."""
    HISTOGRAM = "histogram"
    """One observation."""


@attrs.define
class Measurement:
    """One measurement; of a timer or histogram it may be several at once.

    Attributes:
        name: by Prometheus' conventions, with the unit (``odibi_node_duration_seconds``).
        kind: what ``value`` means.
        value: in the name's unit.
        labels: few, and of few values each.
        more: further observations of the same timer or histogram, each as if it came by itself; a counter and a gauge
            have none.
    """

    name: str
    kind: Kind
    value: float
    labels: Mapping[str, str] = attrs.field(factory=dict)
    more: Sequence[float] = ()


@runtime_checkable
class MetricSink(Protocol):
    """Takes measurements, of all runs of a project.

    One may say, as the attribute ``usage``, that it wants to know how much processor time and memory each node took,
    which costs a run a few microseconds a node.

    Promises:
        * :meth:`record` never blocks a node: it neither waits for a network nor for a lock that a slow one holds.
        * Counters never fall while the sink lives.
        * An error in a sink never fails a run; the host cuts off a sink that keeps failing.
    """

    def record(self, measurements: Sequence[Measurement]) -> None:
        """Take measurements; called from one thread at a time."""
        ...

    def flush(self) -> None:
        """Send what is held back; called at the end of a run, and now and then in a long one."""
        ...

    def export(self) -> Any:
        """What the sink holds, as JSON values; ``None`` if it holds nothing itself."""
        ...

    def close(self) -> None:
        """Flush and let go; may be called twice."""
        ...


@runtime_checkable
class ScrapedSink(MetricSink, Protocol):
    """A sink that Prometheus can read; ``odibi serve`` shows what it holds on its page ``/metrics``."""

    def scrape(self) -> str:
        """What the sink holds, in Prometheus' text format 0.0.4; may be called on any thread, while it records."""
        ...
