"""Several that do the same, in turns in one process."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from time import perf_counter, process_time

from benchmarks.figures import Samples


def in_turns(contenders: Mapping[str, Callable[[], None]], rounds: int) -> dict[str, Samples]:
    """Run all of them as many times, in turns; the first time is not counted.

    Args:
        contenders: by name; in each round in this order.
        rounds: how often.
    """
    found = {who: Samples() for who in contenders}
    for count in range(rounds + 1):
        for who, run in contenders.items():
            gc.collect()
            took, cpu = timed(run)
            if count:
                found[who].take({"seconds": [took], "parts": {"cpu": [cpu]}})
            else:
                found[who].first = took
    return found


def timed(run: Callable[[], object]) -> tuple[float, float]:
    """The seconds that ``run`` takes by the clock, and of CPU time of this process."""
    begin_cpu, begin = process_time(), perf_counter()
    run()
    took = perf_counter() - begin
    return took, process_time() - begin_cpu
