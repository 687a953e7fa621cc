"""The process in which one contender runs: ``python -m benchmarks.worker NAME``.

It reads a request a line and answers each with a line, in JSON. Each contender has a process of its own, so that what
one of them loads, keeps or leaves behind costs no other anything, and one that hangs can be ended.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from benchmarks.contenders import CONTENDERS, Job, Once
from benchmarks.shapes import Shape


def _build(name: str, request: Mapping[str, Any]) -> Once:
    shape = Shape(request["shape"], [tuple(inputs) for inputs in request["inputs"]], request["seconds"])
    folder = Path(request["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    return CONTENDERS[name].load()(Job(shape, request["workers"], request["values"], folder))


def _run(once: Once, times: int) -> dict[str, Any]:
    seconds = []
    cpu = []
    parts: dict[str, list[float]] = {}
    for _ in range(times):
        gc.collect()
        begin_cpu, begin = process_time(), perf_counter()
        said = once()
        seconds.append(perf_counter() - begin)
        cpu.append(process_time() - begin_cpu)
        for part, value in (said or {}).items():
            parts.setdefault(part, []).append(value)
    return {"seconds": seconds, "parts": {"cpu": cpu, **parts}}


def main() -> None:
    """Answer requests until there are no more."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # Whatever a framework prints must not end up among the answers.
    os.dup2(2, 1)
    name = sys.argv[1]
    once: Once | None = None
    for line in sys.stdin:
        request = json.loads(line)
        answer: dict[str, Any]
        try:
            if request["do"] == "build":
                once = None
                gc.collect()
                begin = perf_counter()
                once = _build(name, request)
                answer = {"seconds": [perf_counter() - begin], "parts": {}}
            else:
                assert once is not None
                answer = _run(once, request["times"])
        except BaseException as error:
            words = str(error).strip().split("\n")[0]
            answer = {"error": f"{type(error).__name__}: {words[:100]}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
