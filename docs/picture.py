"""Draw what the flights example finds: the mean delay of each airline in each month, as ``docs/images/delays.svg``.

``python docs/picture.py examples/flights/out/lake/gold`` after a run of the example. A test draws it again from a run
of its own, and fails if the picture says anything else.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from xml.sax.saxutils import escape

PICTURE = Path(__file__).resolve().parent / "images" / "delays.svg"
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
CELL_WIDTH, CELL_HEIGHT, LEFT, TOP, MARGIN = 46, 24, 214, 74, 20
MOST = 30.0
"""Minutes at which the colour is full."""

EARLY, NEUTRAL, LATE = (33, 102, 172), (247, 247, 247), (178, 24, 43)
"""Red, green and blue; told apart also by those who see no difference between red and green."""


def colour(minutes: float) -> str:
    """The colour of a delay: the earlier the bluer, the later the redder."""
    end = LATE if minutes > 0 else EARLY
    share = min(abs(minutes) / MOST, 1.0)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in zip(NEUTRAL, end, strict=True))


def cell(x: int, y: int, text: str) -> str:
    """One month of one airline; empty where nothing flew."""
    box = f'x="{x}" y="{y}" width="{CELL_WIDTH - 2}" height="{CELL_HEIGHT - 2}" rx="3"'
    if not text:
        return f'<rect {box} fill="none" stroke="#d0d0d0"/>'
    minutes = float(text)
    ink = "#ffffff" if abs(minutes) > 0.7 * MOST else "#222222"
    label = f"{round(minutes)}".replace("-", "\u2212")
    middle = f'x="{x + CELL_WIDTH / 2 - 1:g}" y="{y + CELL_HEIGHT / 2 + 3:g}"'
    return f'<rect {box} fill="{colour(minutes)}"/><text {middle} fill="{ink}" text-anchor="middle">{label}</text>'


def draw(rows: list[dict[str, str]]) -> str:
    """The picture as SVG.

    Args:
        rows: the table ``delay_matrix.csv``: an airline a row, a month a column, minutes in the cells.
    """
    width, height = LEFT + 12 * CELL_WIDTH + MARGIN, TOP + len(rows) * CELL_HEIGHT + MARGIN
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
            'font-family="system-ui, sans-serif" font-size="12" role="img" '
            'aria-label="Mean delay at arrival, in minutes, of each airline in each month of 2013">'
        ),
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        (
            f'<text x="{MARGIN}" y="30" font-size="16" font-weight="600" fill="#222222">'
            "Flights from New York, 2013: mean delay at arrival, in minutes</text>"
        ),
    ]
    for month, name in enumerate(MONTHS):
        x = LEFT + month * CELL_WIDTH + CELL_WIDTH / 2 - 1
        parts.append(f'<text x="{x:g}" y="{TOP - 10}" fill="#555555" text-anchor="middle">{name}</text>')
    for place, row in enumerate(rows):
        y = TOP + place * CELL_HEIGHT
        parts.append(
            f'<text x="{LEFT - 10}" y="{y + CELL_HEIGHT / 2 + 3:g}" fill="#222222" text-anchor="end">'
            f"{escape(row['airline'])}</text>"
        )
        parts += [cell(LEFT + month * CELL_WIDTH, y, row[str(month + 1)]) for month in range(12)]
    return "\n".join([*parts, "</svg>"]) + "\n"


def main(arguments: list[str]) -> int:
    """Draw the picture of the folder named; exit code 2 without one."""
    if len(arguments) != 1:
        print("usage: picture.py FOLDER-OF-GOLD", file=sys.stderr)
        return 2
    with (Path(arguments[0]) / "delay_matrix.csv").open(newline="", encoding="utf-8") as table:
        PICTURE.write_text(draw(list(csv.DictReader(table))), "utf-8")
    print(f"written: {PICTURE}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
