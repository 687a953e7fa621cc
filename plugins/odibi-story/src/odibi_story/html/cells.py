"""Rows of data as cells, each with what kind of value it is."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from odibi_story.html.columns import compare, type_of
from odibi_story.record import Column, Sample

MASK = "***"
"""What stands in a record where a value must not show; the kernel puts it there."""


@attrs.frozen
class Cell:
    """A value; ``kind`` is ``null``, ``masked``, ``number`` or ``text``."""

    text: str
    kind: str


@attrs.frozen
class Head:
    """A column of a table; ``mark`` is ``added``, ``changed`` or empty."""

    name: str
    type: str = ""
    mark: str = ""


@attrs.frozen
class Grid:
    """Rows of data. ``said`` is what they are some of."""

    heads: list[Head]
    rows: list[list[Cell]]
    said: str = ""


def cell(value: Any) -> Cell:
    """The JSON value as a cell."""
    if value is None:
        return Cell("null", "null")
    if value == MASK:
        return Cell("masked", "masked")
    if isinstance(value, bool):
        return Cell("true" if value else "false", "text")
    if isinstance(value, int | float):
        return Cell(str(value), "number")
    if isinstance(value, str):
        return Cell(value, "text")
    return Cell(json.dumps(value, ensure_ascii=False, default=str), "text")


def sampled(sample: Sample, schema: Sequence[Column], before: Sequence[Column], said: str) -> Grid:
    """A sample of a frame.

    Args:
        sample: the rows.
        schema: of the frame.
        before: of the frame that it was made from; empty if there is none to be compared with.
        said: see :class:`Grid`.
    """
    difference = compare(before, schema) if before and schema else compare(schema, schema)
    added = {each.name for each in difference.added}
    changed = {each.name for each in difference.changed}
    types = {each.name: type_of(each) for each in schema}
    heads = [
        Head(name, types.get(name, ""), "added" if name in added else "changed" if name in changed else "")
        for name in sample.columns
    ]
    return Grid(heads, [[cell(value) for value in row] for row in sample.rows], said)


def by_column(rows: Iterable[Mapping[str, Any]]) -> Grid:
    """Rows that say their columns' names; what a row lacks stays empty."""
    rows = list(rows)
    names = list(dict.fromkeys(name for row in rows for name in row))
    empty = Cell("", "text")
    return Grid(
        [Head(str(name)) for name in names],
        [[cell(row[name]) if name in row else empty for name in names] for row in rows],
    )
