"""Tables as text, for terminals and pipes alike: no box, no control characters but colours, where these are wanted."""

from __future__ import annotations

import os
import shutil
import sys
from textwrap import wrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

NARROWEST = 20
"""Columns that the last cell of a row is given, however wide the others are."""

LONGEST = 32
"""Characters of a cell that never ends its line; a run's id is one less."""

_GAP = 2
_COLORS = {
    "run": "33", "running": "33", "reuse": "36", "reused": "36", "restore": "36", "restored": "36",
    "succeeded": "32", "failed": "1;31", "interrupted": "1;31", "skipped": "33", "cancelled": "33", "unfinished": "33",
}  # fmt: skip


def wants_color() -> bool:
    """Whether stdout is a terminal that shows colours, and nobody has said ``NO_COLOR``."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def table(
    rows: Sequence[Sequence[str]],
    *,
    header: Sequence[str] = (),
    right: Collection[int] = (),
    indent: int = 0,
    color: bool = False,
) -> Iterator[str]:
    """The rows as lines of aligned columns; the last column is wrapped at the width of the terminal.

    Columns in which every cell is empty are left out. Where they are too wide together, a very long cell ends its line,
    and the row goes on below it.

    Args:
        rows: the cells, as many in each.
        header: the columns' names.
        right: columns that are aligned at their right, by number.
        indent: spaces before each line.
        color: colour outcomes and actions, with ANSI escapes.
    """
    shown = [column for column in range(max(map(len, rows), default=0)) if any(row[column] for row in rows)]
    if not shown:
        return
    screen = shutil.get_terminal_size((80, 24)).columns
    lines = [header, *rows] if header else rows
    cells = [[row[column] for row in lines] for column in shown]
    widths = [_width(each) for each in cells]
    if indent + sum(widths[:-1]) + _GAP * (len(shown) - 1) + min(widths[-1], NARROWEST) > screen:
        widths = [_width(each, max(LONGEST, screen // 3)) for each in cells]
    starts = [indent + sum(widths[:place]) + _GAP * place for place in range(len(shown))]
    room = max(screen - starts[-1], NARROWEST)
    for number, row in enumerate(lines):
        line, end = "", 0
        for place, column in enumerate(shown[:-1]):
            cell = row[column].rjust(widths[place]) if column in right else row[column]
            line += " " * (starts[place] - end) + _painted(cell, color and number >= bool(header))
            end = starts[place] + len(cell)
            if len(cell) > widths[place]:
                yield line.rstrip()
                line, end = "", 0
        first, *more = _wrapped(row[shown[-1]], room)
        if rest := f"{line}{' ' * (starts[-1] - end)}{first}".rstrip():
            yield rest
        for part in more:
            yield " " * starts[-1] + part


def _width(cells: Sequence[str], longest: int | None = None) -> int:
    return max((len(cell) for cell in cells if longest is None or len(cell) <= longest), default=0)


def _painted(cell: str, color: bool) -> str:
    code = _COLORS.get(cell) if color else None
    return f"\x1b[{code}m{cell}\x1b[0m" if code is not None else cell


def _wrapped(text: str, room: int) -> list[str]:
    lines = [wrap(line, room, break_long_words=False, break_on_hyphens=False) or [""] for line in text.split("\n")]
    return [part for parts in lines for part in parts]
