"""A sink that keeps measurements in memory, and on request in a file: for tests, and as an example of the contract."""

from __future__ import annotations

import json
import math
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from odibi.contracts.metric import Kind
from odibi.contracts.options import option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from odibi.contracts.metric import Measurement

Key = tuple[str, frozenset[tuple[str, str]]]


@attrs.define(eq=False)
class Series:
    """What was measured under one name and one set of labels.

    Attributes:
        value: the sum of a counter, the last value of a gauge, the sum of a timer's or histogram's observations.
        count: how many observations there were.
    """

    value: float = 0.0
    count: int = 0


@attrs.define(eq=False)
class MemoryMetrics:
    """Keeps the sums, and nothing of the single measurements.

    A counter's measurement that is negative or no number is left out, and so is one whose name was of another kind
    before, with an error once all others of its call are taken.
    """

    file: Path | None = option(  # noqa: RUF009
        None,
        help="A file to which what it holds is written as JSON when it is flushed.",
        is_path=True,
        converter=attrs.converters.optional(Path),
    )
    _kinds: dict[str, Kind] = attrs.field(factory=dict, init=False, repr=False)
    _series: dict[Key, Series] = attrs.field(factory=dict, init=False, repr=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False, repr=False)
    _writing: threading.Lock = attrs.field(factory=threading.Lock, init=False, repr=False)
    _closed: bool = attrs.field(default=False, init=False, repr=False)

    def record(self, measurements: Sequence[Measurement]) -> None:
        """Take measurements.

        Raises:
            ValueError: it cannot take one of them, for what that means; it has taken the others.
        """
        wrong: list[str] = []
        with self._lock:
            if self._closed:
                return
            for each in measurements:
                problem = self.take(each)
                if problem:
                    wrong.append(problem)
        if wrong:
            raise ValueError("; ".join(wrong))

    def take(self, measurement: Measurement) -> str:
        """Take one measurement, with the lock held; returns what is wrong with it."""
        name, values = measurement.name, [float(measurement.value), *map(float, measurement.more)]
        kind = self._kinds.setdefault(name, measurement.kind)
        if kind is not measurement.kind:
            return f"{name!r} is a {kind.value}, and cannot be a {measurement.kind.value} too"
        if len(values) > 1 and kind in (Kind.COUNTER, Kind.GAUGE):
            return f"{name!r} is a {kind.value}, which cannot take several values at once"
        for value in values:
            if kind is not Kind.GAUGE and (math.isnan(value) or value < 0):
                return f"{name!r} is a {kind.value}, which cannot take {value:g}"
        series = self._series.setdefault(self.key(measurement), Series())
        series.value = values[0] if kind is Kind.GAUGE else series.value + math.fsum(values)
        series.count += len(values)
        return ""

    def key(self, measurement: Measurement) -> Key:
        """Under which a measurement is summed up."""
        return (measurement.name, frozenset(measurement.labels.items()))

    def flush(self) -> None:
        """Write the file, if there is one; whoever reads it sees the old one or the new one, whole."""
        if self.file is None:
            return
        with self._writing:  # not the lock that record waits for: a file may be slow
            text = json.dumps(self.export(), indent=1, sort_keys=True)
            beside = self.file.with_name(f".{self.file.name}.{os.getpid()}")
            beside.write_text(text, encoding="utf-8")
            beside.replace(self.file)

    def export(self) -> list[dict[str, Any]]:
        """A mapping a series: ``name``, ``kind``, ``labels``, and ``value`` or ``count`` and ``sum``.

        What is no finite number is text, since JSON has none: ``"NaN"``, ``"Infinity"``, ``"-Infinity"``.
        """
        with self._lock:
            return [self.row(name, dict(labels), series) for (name, labels), series in self._series.items()]

    def row(self, name: str, labels: dict[str, str], series: Series) -> dict[str, Any]:
        """One series as JSON values."""
        kind = self._kinds[name]
        row: dict[str, Any] = {"name": name, "kind": kind.value, "labels": labels}
        if kind in (Kind.COUNTER, Kind.GAUGE):
            return {**row, "value": plain(series.value)}
        return {**row, "count": series.count, "sum": plain(series.value)}

    def close(self) -> None:
        """Flush; what is recorded afterwards is ignored."""
        if not self._closed:
            self.flush()
        with self._lock:
            self._closed = True


def plain(value: float) -> float | str:
    """A number as JSON can hold it."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
