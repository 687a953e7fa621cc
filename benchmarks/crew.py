"""The contenders' processes, seen from the one that compares them."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any

import attrs

from benchmarks.contenders import CONTENDERS, Job
from benchmarks.figures import Samples
from benchmarks.shapes import chain

ROOT = Path(__file__).resolve().parent.parent


LOADING = 60.0
"""Seconds in which a contender must have loaded its libraries."""


class GaveUp(Exception):
    """A contender failed, or took longer than it may; says which."""


@attrs.define
class _Process:
    """One contender's process; started when it is first asked."""

    name: str
    python: str
    folder: Path
    _jobs: int = attrs.field(default=0, init=False)
    _child: subprocess.Popen[str] | None = attrs.field(default=None, init=False)
    _answers: queue.Queue[str] = attrs.field(factory=queue.Queue, init=False)

    def ask(self, request: Mapping[str, Any], patience: float) -> dict[str, Any]:
        child = self._child or self._start()
        assert child.stdin is not None
        try:
            child.stdin.write(json.dumps(request) + "\n")
            child.stdin.flush()
            line = self._answers.get(timeout=patience)
        except (queue.Empty, OSError):
            self.end()
            raise GaveUp(f"no answer to '{request['do']}' in {patience:g} s") from None
        if not line:
            code = child.wait()
            self.end()
            raise GaveUp(f"its process ended with code {code}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise GaveUp(answer["error"])
        return answer

    def warm(self, patience: float) -> None:
        """Let the process load what the contender needs, by running a graph of two nodes."""
        if self._child is None:
            self.build(Job(chain(2), 2 if self.name != "bare" else 1), patience)
            self.ask({"do": "run", "times": 1}, patience)

    def build(self, job: Job, patience: float) -> dict[str, Any]:
        """Let the process build the job, in a folder of its own."""
        self._jobs += 1
        folder = self.folder / f"{self.name.replace(' ', '-')}-{self._jobs}"
        return self.ask(_request(attrs.evolve(job, folder=folder)), patience)

    def _start(self) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [self.python, "-W", "ignore", "-m", "benchmarks.worker", self.name],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._child, self._answers = child, queue.Queue()
        threading.Thread(target=_listen, args=(child, self._answers), daemon=True).start()
        return child

    def end(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.wait()


def _request(job: Job) -> dict[str, Any]:
    return {
        "do": "build",
        "shape": job.shape.name,
        "inputs": job.shape.inputs,
        "seconds": job.shape.seconds,
        "workers": job.workers,
        "values": job.values,
        "folder": str(job.folder),
    }


def _listen(child: subprocess.Popen[str], answers: queue.Queue[str]) -> None:
    assert child.stdout is not None
    for line in child.stdout:
        answers.put(line)
    answers.put("")


@attrs.frozen
class Limits:
    """How long one contender may take for one job.

    Attributes:
        build: seconds for building it; a contender that would need more is left out.
        run: the same for one run.
        budget: seconds for all rounds; there are fewer rounds where runs take longer.
        rounds: at most, and at least.
    """

    build: float = 60.0
    run: float = 10.0
    budget: float = 1.0
    rounds: tuple[int, int] = (15, 3)


@attrs.define
class Crew:
    """Contenders that run the same jobs in turns.

    Args:
        names: of the contenders.
        limits: how long each may take.
        pythons: by contender, the interpreter to run it with instead of this one.
    """

    names: Sequence[str]
    limits: Limits
    pythons: Mapping[str, str] = attrs.field(factory=dict)
    absent: dict[str, str] = attrs.field(factory=dict, init=False)
    """Those that are not installed, and what to install for them."""
    _folder: TemporaryDirectory[str] = attrs.field(factory=TemporaryDirectory, init=False)
    _processes: dict[str, _Process] = attrs.field(factory=dict, init=False)
    _retired: dict[tuple[str, str, int], str] = attrs.field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        for name in self.names:
            contender = CONTENDERS[name]
            if name not in self.pythons and contender.missing():
                self.absent[name] = contender.distribution or name
            else:
                python = self.pythons.get(name, sys.executable)
                self._processes[name] = _Process(name, python, Path(self._folder.name))

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        for process in self._processes.values():
            process.end()
        self._folder.cleanup()

    def compare(self, job: Job, *, growth: int = 1, only: Iterable[str] | None = None) -> dict[str, Samples | str]:
        """Let every contender build the job, then run it in turns.

        Args:
            job: what to run.
            growth: how many times larger the next job of this shape is; a contender that cannot finish it within the
                limits is retired, even if its time only grows in proportion.
            only: these contenders; by default all.

        Returns:
            For each contender its figures, or why there are none.
        """
        found: dict[str, Samples | str] = {}
        for name in self._processes if only is None else [name for name in only if name in self._processes]:
            key = (name, job.shape.name, job.workers)
            if key in self._retired:
                found[name] = self._retired[key]
                continue
            try:
                found[name] = self._begin(name, job, growth)
            except GaveUp as reason:
                found[name] = self._retired[key] = f"{len(job.shape):,} nodes: {reason}"
        self._rounds({name: samples for name, samples in found.items() if isinstance(samples, Samples)}, found)
        return found

    def _begin(self, name: str, job: Job, growth: int) -> Samples:
        """Build the job and run it once, which is not counted: what is loaded late is loaded by then."""
        process = self._processes[name]
        process.warm(LOADING)
        (build,) = process.build(job, self.limits.build)["seconds"]
        (first,) = process.ask({"do": "run", "times": 1}, self.limits.run)["seconds"]
        for took, limit, what in ((build, self.limits.build, "build"), (first, self.limits.run, "run")):
            if took * growth > limit:
                reason = f"not tried: {len(job.shape):,} nodes took {took:.2g} s to {what}, the limit is {limit:g} s"
                self._retired.setdefault((name, job.shape.name, job.workers), reason)
        return Samples(first=first, build=build)

    def _rounds(self, active: dict[str, Samples], found: dict[str, Samples | str]) -> None:
        most, least = self.limits.rounds
        longest = max((samples.first for samples in active.values()), default=0.0)
        rounds = max(least, min(most, int(self.limits.budget / longest))) if longest else least
        for _ in range(rounds):
            for name, samples in list(active.items()):
                times = max(1, min(10, int(self.limits.budget / rounds / max(samples.first, 1e-6))))
                try:
                    samples.take(self._processes[name].ask({"do": "run", "times": times}, times * self.limits.run))
                except GaveUp as reason:
                    del active[name]
                    found[name] = str(reason)
