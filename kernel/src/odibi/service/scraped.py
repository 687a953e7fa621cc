"""What several sources say to Prometheus, as one text: a metric must not be told in two places, nor a series twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_ENDS = ("_bucket", "_sum", "_count")


@attrs.define(eq=False)
class _Family:
    """One metric: its comments, and its samples by name and labels."""

    comments: dict[str, str] = attrs.field(factory=dict)
    samples: dict[str, str] = attrs.field(factory=dict)


def merged(texts: Iterable[str]) -> str:
    """Texts in Prometheus' format 0.0.4 as one.

    Of a metric that several tell of, all samples stand together, below the first's help and type; of a series that
    several have, the first counts.
    """
    families: dict[str, _Family] = {}
    for text in texts:
        for name, line in _lines(text):
            family = families.setdefault(name, _Family())
            if line.startswith("#"):
                family.comments.setdefault(line.split(" ", 2)[1], line)
            else:
                family.samples.setdefault(line.rpartition(" ")[0], line)
    found = [line for family in families.values() for line in (*family.comments.values(), *family.samples.values())]
    return "".join(f"{line}\n" for line in found)


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """Each line with the metric that it is of; comments that are neither help nor type are left out."""
    current = ""
    for line in text.split("\n"):
        words = line.split(" ", 3)
        if words[0] == "#" and len(words) > 2 and words[1] in ("HELP", "TYPE"):
            current = words[2]
            yield current, line
        elif line and not line.startswith("#"):
            name = line.partition("{")[0].partition(" ")[0]
            own = current and (name == current or name in [f"{current}{end}" for end in _ENDS])
            yield current if own else name, line
