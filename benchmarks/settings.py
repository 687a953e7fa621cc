"""What the one who runs the benchmarks chose."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import attrs


@attrs.frozen
class Settings:
    """Choices for all benchmarks.

    Attributes:
        quick: only show that everything runs; the figures say little.
        pythons: by contender, the interpreter of an environment of its own.
    """

    quick: bool = False
    pythons: Mapping[str, str] = attrs.field(factory=dict)


def progress(text: str) -> None:
    """Say what is measured now, out of the way of the tables."""
    print(f"... {text}", file=sys.stderr, flush=True)
