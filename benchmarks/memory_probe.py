"""What a run of a graph takes of memory: ``python -m benchmarks.memory_probe SHAPE COUNT trace|weigh``; JSON to stdout.

A process of its own for each answer: tracing makes everything slow, and a process never gives back all it took.
"""

from __future__ import annotations

import gc
import json
import sys
import tracemalloc
from pathlib import Path
from time import perf_counter

import odibi
from benchmarks.contenders.ours import Counting, nodes_of
from benchmarks.shapes import SHAPES


def main() -> None:
    """Build, plan and run; say what was held after each, and how long it took."""
    kind, count, how = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    odibi.Pipeline("warm", nodes_of(SHAPES[kind](10)), engine=None).run(workers=8, observers=[Counting()])
    shape = SHAPES[kind](count)
    gc.collect()
    if how == "trace":
        tracemalloc.start()
    held = tracemalloc.get_traced_memory if how == "trace" else resident
    found: dict[str, float] = {}

    start = held()[0]
    nodes = nodes_of(shape)
    pipeline = odibi.Pipeline("benchmark", nodes, engine=None)
    found["nodes"] = held()[0] - start
    plan = pipeline.plan()
    found["plan"] = held()[0] - start - found["nodes"]
    del plan
    begin = perf_counter()
    result = pipeline.run(workers=8, observers=[Counting()])
    found["run seconds"] = perf_counter() - begin
    found["peak"] = held()[1] - start
    gc.collect()
    found["result"] = held()[0] - start - found["nodes"]
    assert result.ok
    print(json.dumps(found))


def resident() -> tuple[int, int]:
    """Bytes in memory now, and at most so far; zeros where the system does not say."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0, 0
    lines = dict(line.split(":", 1) for line in status.read_text("ascii").splitlines() if ":" in line)
    return int(lines["VmRSS"].split()[0]) * 1024, int(lines["VmHWM"].split()[0]) * 1024


if __name__ == "__main__":
    main()
