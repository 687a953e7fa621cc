"""What a node takes of memory, and whether time grows in proportion to the nodes."""

from __future__ import annotations

import json
import subprocess
import sys
from statistics import median
from typing import Any

from benchmarks.crew import ROOT
from benchmarks.figures import Report, Table, number
from benchmarks.settings import Settings, progress

PARTS = ("nodes", "plan", "result", "peak")


def measure(settings: Settings) -> Report:
    """Chain and wide graphs, two sizes, in processes of their own."""
    sizes = (1_000, 3_000) if settings.quick else (10_000, 100_000)
    rounds = 1 if settings.quick else 3
    table = Table(
        "memory: bytes a node, and microseconds a node of a run",
        ["graph", "nodes", *(f"{part}, traced" for part in PARTS), "peak, resident", "µs a node", "growth of it"],
    )
    report = Report("memory", [table])
    for kind in ("chain", "wide"):
        before = 0.0
        for size in sizes:
            progress(f"memory: {kind}, {size:,} nodes")
            traced = _probe(kind, size, "trace")
            weighed = [_probe(kind, size, "weigh") for _ in range(rounds)]
            cost = median(it["run seconds"] for it in weighed) / size * 1e6
            resident = median(it["peak"] for it in weighed) / size
            table.rows.append(
                [
                    kind,
                    f"{size:,}",
                    *(number(traced[part] / size) for part in PARTS),
                    number(resident),
                    number(cost),
                    number(cost / before) if before else "",
                ]
            )
            report.raw.append({"graph": kind, "nodes": size, "traced": traced, "weighed": weighed})
            before = cost
    table.note(
        "nodes: the odibi.Node objects; plan: graph and plan; result: what is left after the run beside the nodes"
    )
    table.note("peak: at most, all of these and the run itself together; the target is 2,048 bytes a node")
    table.note("growth: microseconds a node over those of the size before; 1 is growth in proportion")
    return report


def _probe(kind: str, size: int, how: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.memory_probe", kind, str(size), how]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found
