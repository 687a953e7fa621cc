"""MetricSink: where measurements go."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import attrs

if TYPE_CHECKING:
    from collections.abc import Sequence


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
    """One measurement.

    Attributes:
        name: by Prometheus' conventions, with the unit (``odibi_node_duration_seconds``).
        kind: what ``value`` means.
        value: in the name's unit.
        labels: few, and of few values each.
    """

    name: str
    kind: Kind
    value: float
    labels: Mapping[str, str] = attrs.field(factory=dict)


@runtime_checkable
class MetricSink(Protocol):
    """Takes measurements.

    Promises:
        * :meth:`record` never blocks a node: it neither waits for a network nor for a lock that a slow one holds.
        * Counters never fall while the sink lives.
        * An error in a sink never fails a run; the host cuts off a sink that keeps failing.
    """

    def record(self, measurements: Sequence[Measurement]) -> None:
        """Take measurements; called from one thread at a time."""
        ...

    def flush(self) -> None:
        """Send what is held back; called at the end of a run."""
        ...

    def export(self) -> Any:
        """What the sink holds, as JSON values; ``None`` if it holds nothing itself."""
        ...

    def close(self) -> None:
        """Flush and let go; may be called twice."""
        ...
