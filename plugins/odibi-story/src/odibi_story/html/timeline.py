"""When what ran where: a lane for each worker, a bar for each attempt."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import attrs

from odibi_story.html import words
from odibi_story.html.looks import Look, look
from odibi_story.record import RUNNING, Attempt, NodeStory, RunStory

FINEST = 1 / 1500
"""Of the whole width: shorter bars beside one another, of one state, are drawn as one."""
LONGEST_PATH = 14
"""Nodes of the critical path that are listed; of a longer one, those that took longest."""
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)


@attrs.frozen
class Bar:
    """An attempt, or the wait before one; ``left`` and ``width`` are in per cent of the time shown.

    Attributes:
        kind: ``attempt``, ``again`` (the rest between two attempts) or ``queue`` (ready, and no worker free).
        members: places of its nodes in the story.
    """

    kind: str
    left: float
    width: float
    label: str
    said: str
    look: Look
    members: tuple[int, ...]
    critical: bool = False


@attrs.frozen
class Lane:
    """What one worker did."""

    worker: str
    bars: list[Bar]
    busy: str


@attrs.frozen
class Link:
    """A node of the critical path."""

    index: int
    name: str
    took: str
    share: str


@attrs.frozen
class Timeline:
    """All of it; ``ticks`` are places in per cent with their words."""

    lanes: list[Lane]
    ticks: list[tuple[float, str]]
    path: list[Link]
    path_nodes: int
    path_took: str
    path_share: str
    absent: str


def timeline(record: RunStory) -> Timeline:
    """Lay out the attempts of a run."""
    end = _end(record)
    bars: dict[str, list[Bar]] = {}
    for index, node in enumerate(record.nodes):
        for worker, bar in _bars(index, node, end):
            bars.setdefault(worker, []).append(bar)
    lanes = [
        Lane(worker, _merged(found), words.share(sum(bar.width for bar in found if bar.kind == "attempt"), 100))
        for worker, found in sorted(bars.items(), key=lambda item: _by_number(item[0]))
    ]
    critical = [index for index, node in enumerate(record.nodes) if node.critical and node.started is not None]
    critical.sort(key=lambda index: record.nodes[index].started or 0.0)
    times = {index: _took(record.nodes[index], end) for index in critical}
    shown = sorted(sorted(critical, key=lambda index: -times[index])[:LONGEST_PATH], key=critical.index)
    whole = sum(times.values())
    links = [
        Link(index, record.nodes[index].name, words.took(times[index]), words.share(times[index], end))
        for index in shown
    ]
    never = sum(not node.attempts for node in record.nodes)
    absent = f"Not shown: {words.count(never, 'node')} that never started, or had a result already." if never else ""
    return Timeline(
        lanes, _ticks(end), links, len(critical), words.took(whole), words.share(min(whole, end), end), absent
    )


def _end(record: RunStory) -> float:
    """Seconds that the picture spans; never 0."""
    known = [1e-6, record.duration or 0.0]
    for node in record.nodes:
        known += [moment for each in node.attempts for moment in (each.started, each.finished or 0.0)]
    return max(known)


def _took(node: NodeStory, end: float) -> float:
    return (end if node.finished is None else node.finished) - (node.started or 0.0)


def _bars(index: int, node: NodeStory, end: float) -> list[tuple[str, Bar]]:
    made: list[tuple[str, Bar]] = []
    last: Attempt | None = None
    for attempt in node.attempts:
        begin = 100 * attempt.started / end
        if last is None and node.waited:
            width = min(100 * node.waited / end, begin)
            said = f"{node.name} waited {words.took(node.waited)} for a free worker"
            made.append((attempt.worker, Bar("queue", begin - width, width, "", said, look("waiting"), (index,))))
        elif last is not None and last.finished is not None:
            pause = max(0.0, attempt.started - last.finished)
            said = f"{node.name} rested {words.took(pause)} before attempt {attempt.number}"
            from_ = 100 * last.finished / end
            made.append((attempt.worker, Bar("again", from_, 100 * pause / end, "", said, look("waiting"), (index,))))
        made.append((attempt.worker, _attempt(index, node, attempt, end)))
        last = attempt
    return made


def _attempt(index: int, node: NodeStory, attempt: Attempt, end: float) -> Bar:
    final = attempt is node.attempts[-1]
    state = "failed" if attempt.error or (final and node.state == "failed") else node.state if final else "failed"
    if attempt.finished is None and final and node.state not in ("failed", "cancelled"):
        state = RUNNING
    its = look(state)
    stop = end if attempt.finished is None else attempt.finished
    said = [f"{node.name}: {its.word}"]
    if len(node.attempts) > 1:
        said.append(f"attempt {attempt.number} of {len(node.attempts)}")
    said.append(f"{words.took(stop - attempt.started)}, from {words.took(attempt.started)} after the run's start")
    if node.critical:
        said.append("on the critical path")
    left = min(100 * attempt.started / end, 100.0)
    width = max(0.0, min(100 * (stop - attempt.started) / end, 100 - left))
    return Bar("attempt", left, width, node.name, ", ".join(said), its, (index,), node.critical)


def _merged(bars: Sequence[Bar]) -> list[Bar]:
    """The bars with those that would be finer than a hair drawn together, and waits as fine left out."""
    fine = 100 * FINEST
    kept: list[Bar] = []
    bundle: list[Bar] = []

    def close() -> None:
        if len(bundle) > 1:
            first, last = bundle[0], bundle[-1]
            members = tuple(index for bar in bundle for index in bar.members)
            said = f"{words.count(len(members), 'attempt')}, {first.look.word}: {first.label} to {last.label}"
            width = last.left + last.width - first.left
            kept.append(attrs.evolve(first, width=width, label="", said=said, members=members))
        else:
            kept.extend(bundle)
        bundle.clear()

    for bar in sorted(bars, key=lambda bar: bar.left):
        if bar.kind != "attempt":
            if bar.width >= fine:
                kept.append(bar)
            continue
        if bundle:
            last = bundle[-1]
            near = bar.left - (last.left + last.width) < fine
            if bar.width >= fine or not near or (bar.look, bar.critical) != (last.look, last.critical):
                close()
        bundle.append(bar)
        if bar.width >= fine:
            close()
    close()
    # Waits lie below the bars, and what failed above them.
    return sorted(kept, key=lambda bar: (bar.kind == "attempt", bar.look.tone == "bad", bar.left))


def _ticks(end: float) -> list[tuple[float, str]]:
    """Round moments, at most 9 of them."""
    if end < 4:
        power = 10 ** math.floor(math.log10(end))
        step = next(each * power / 10 for each in (1, 2, 5, 10, 20) if end / (each * power / 10) <= 8)
    else:
        step = next((each for each in _STEPS if end / each <= 8), _STEPS[-1] * math.ceil(end / _STEPS[-1] / 8))
    return [(100 * at * step / end, _tick(at * step)) for at in range(int(end / step) + 1)]


def _tick(moment: float) -> str:
    if moment == 0:
        return "0"
    if moment < 1:
        return f"{moment * 1000:g} ms" if moment >= 1e-3 else f"{moment * 1e6:g} µs"
    if moment < 60:
        return f"{moment:g} s"
    hours, rest = divmod(round(moment), 3600)
    clock = f"{rest // 60} min" if rest % 60 == 0 else f"{rest // 60}:{rest % 60:02d} min"
    return clock if not hours else f"{hours} h" if not rest else f"{hours} h {clock}"


def _by_number(worker: str) -> list[tuple[int, int | str]]:
    """Sorts ``worker-10`` after ``worker-9``."""
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in re.split(r"(\d+)", worker) if part]
