"""Figures, and the tables that show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import attrs


@attrs.define
class Samples:
    """How long the same thing took, again and again, in seconds.

    Attributes:
        first: the run that is not counted.
        build: building it.
        seconds: the runs.
        parts: the same for parts of them, by name.
    """

    first: float = 0.0
    build: float = 0.0
    seconds: list[float] = attrs.field(factory=list)
    parts: dict[str, list[float]] = attrs.field(factory=dict)

    def take(self, answer: Mapping[str, Any]) -> None:
        """Add what a process answered."""
        self.seconds += answer["seconds"]
        for part, seconds in answer["parts"].items():
            self.parts.setdefault(part, []).extend(seconds)

    @property
    def median(self) -> float:
        """The run in the middle."""
        return median(self.seconds)

    @property
    def least(self) -> float:
        """The fastest run."""
        return min(self.seconds)


@attrs.define
class Table:
    """Rows under headings, with remarks below.

    Attributes:
        title: what it shows, with the unit.
        headings: one a column.
        rows: cells, as shown.
        notes: what a reader has to know.
    """

    title: str
    headings: Sequence[str]
    rows: list[Sequence[str]] = attrs.field(factory=list)
    notes: list[str] = attrs.field(factory=list)

    def note(self, text: str) -> None:
        """Add a remark, once."""
        if text not in self.notes:
            self.notes.append(text)

    def __str__(self) -> str:
        lines = [self.headings, *self.rows]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.headings))]
        texts = [self._aligned(widths)]
        head, *rest = lines
        for line in (head, ["-" * width for width in widths], *rest):
            texts.append(
                "  ".join(
                    cell.ljust(width) if column == 0 else cell.rjust(width)
                    for column, (cell, width) in enumerate(zip(line, widths, strict=True))
                ).rstrip()
            )
        return "\n".join([*texts, *(f"  - {note}" for note in self.notes), ""])

    def _aligned(self, widths: Sequence[int]) -> str:
        return f"{self.title}\n{'=' * min(len(self.title), max(sum(widths) + 2 * len(widths), 20))}"


@attrs.define
class Report:
    """What one benchmark found.

    Attributes:
        name: of the benchmark.
        tables: for people.
        raw: every figure, for programs; plain data.
    """

    name: str
    tables: list[Table] = attrs.field(factory=list)
    raw: list[dict[str, Any]] = attrs.field(factory=list)


NOTHING = "-"


def number(value: float) -> str:
    """A figure with three digits that count, or whole if it is large."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def per_node(samples: Samples | str | None, nodes: int) -> str:
    """The median in microseconds a node, and the minimum in brackets."""
    if not isinstance(samples, Samples):
        return NOTHING
    return f"{number(samples.median / nodes * 1e6)} ({number(samples.least / nodes * 1e6)})"


def spread(samples: Samples | str | None, unit: float = 1e3) -> str:
    """The median, and in brackets the minimum and the maximum; in milliseconds, or with ``unit`` to a second."""
    if not isinstance(samples, Samples):
        return NOTHING
    least, most = number(samples.least * unit), number(max(samples.seconds) * unit)
    return f"{number(samples.median * unit)} ({least} to {most})"


def cpu(samples: Samples | str | None) -> str:
    """The median of the CPU time, in milliseconds."""
    return number(median(samples.parts["cpu"]) * 1e3) if isinstance(samples, Samples) else NOTHING


def both_ratios(above: Samples | str | None, below: Samples | str | None) -> str:
    """How many times more the one takes than the other, by the clock and by CPU time."""
    if not isinstance(above, Samples) or not isinstance(below, Samples):
        return NOTHING
    return f"{ratio(above, below)} | {number(median(above.parts['cpu']) / max(median(below.parts['cpu']), 1e-9))}"


def ratio(above: Samples | str | None, below: Samples | str | None) -> str:
    """How many times more the one takes than the other, by medians."""
    if not isinstance(above, Samples) or not isinstance(below, Samples):
        return NOTHING
    return number(above.median / below.median)
