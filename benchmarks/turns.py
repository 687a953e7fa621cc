"""Several that do the same, in turns in one process."""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from time import perf_counter, process_time

from benchmarks.figures import Samples


def in_turns(contenders: Mapping[str, Callable[[], None]], rounds: int) -> dict[str, Samples]:
    """Run all of them as many times, in turns; the first time is not counted.

    Args:
        contenders: by name.
        rounds: how often.
    """
    found = {who: Samples() for who in contenders}
    for count, order in enumerate(shuffled(contenders, rounds + 1)):
        for who in order:
            gc.collect()
            took, cpu = timed(contenders[who])
            if count:
                found[who].take({"seconds": [took], "parts": {"cpu": [cpu]}})
            else:
                found[who].first = took
    return found


def shuffled(names: Iterable[str], rounds: int) -> Iterator[list[str]]:
    """The names, in another order each round and the same each time: what follows upon what must not matter."""
    chosen = random.Random(1)
    order = list(names)
    for _ in range(rounds):
        yield list(order)
        chosen.shuffle(order)


def timed(run: Callable[[], object]) -> tuple[float, float]:
    """The seconds that ``run`` takes by the clock, and of CPU time of this process."""
    begin_cpu, begin = process_time(), perf_counter()
    run()
    took = perf_counter() - begin
    return took, process_time() - begin_cpu
