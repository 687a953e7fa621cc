"""Where a run can be disturbed, and what has to hold after it was."""

from __future__ import annotations

import random
import re
import shutil
import signal
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import attrs
import pytest

from fault_harness.journal import executed_nodes, finished_nodes, read
from fault_harness.powerloss import Disk, State
from fault_harness.processes import Ended, Launcher
from fault_harness.scenario import Scenario, Unreadable, Value, own_files
from fault_harness.shim import NO_FAULT, STOPS, SYNCING, WRITING, Call, Fault
from fault_harness.snapshot import Snapshot
from odibi.errors import OdibiError

SAMPLE = 12
"""Kill points a scenario where not all are asked for."""

STATES: dict[str, Callable[[Disk, random.Random], State]] = {
    "nothing unsafe": lambda disk, _: disk.nothing_unsafe(),
    "names, zeros": lambda disk, _: disk.names_without_contents(zeros=True),
    "names, empty files": lambda disk, _: disk.names_without_contents(zeros=False),
    "contents, old names": lambda disk, _: disk.contents_without_names(),
    "any": lambda disk, chance: disk.any_state(chance),
}
"""States that a power cut may leave, from the model of the disk."""

Values = dict[str, Value]


@attrs.frozen
class Undisturbed:
    """How a run goes when nothing goes wrong.

    Attributes:
        old, new: what the outputs hold before and after it.
        calls: what it does to the disk.
        seconds: how long it takes.
    """

    old: Values
    new: Values
    calls: Sequence[Call]
    seconds: float


@attrs.frozen
class Point:
    """An instant at which a run is killed.

    Attributes:
        call: before, in the middle of, or after which.
        mode: which of these.
    """

    call: Call
    mode: str

    @property
    def fault(self) -> Fault:
        """What does it."""
        return Fault(self.mode, self.call.n)

    def __str__(self) -> str:
        return f"{self.mode} call {self.call.n}, {self.call.op} {Path(self.call.path).name}"


@attrs.define
class Survivor:
    """A scenario in a folder, which is brought back to its beginning for each disturbance.

    Args:
        scenario: what is run.
        launcher: what runs it.
        scratch: where the folder is made.
        disturbing: what runs the run that is disturbed; by default what runs the others.
        thorough: see after each disturbance that the second run changes nothing, and not after kills alone.
    """

    scenario: Scenario
    launcher: Launcher
    scratch: Path
    disturbing: Launcher = attrs.field(default=attrs.Factory(lambda self: self.launcher, takes_self=True))
    thorough: bool = False
    _snapshot: Snapshot | None = None
    _undisturbed: Undisturbed | None = None
    _kept: int = 0

    @property
    def folder(self) -> Path:
        """The project's folder."""
        return self.scratch / "project"

    def begin(self) -> Path:
        """The project at the point where the run comes that is to be disturbed."""
        if self._snapshot is None:
            self.scenario.lay(self.folder, self.launcher)
            self._snapshot = Snapshot(self.folder, self.scratch / "snapshot")
        else:
            self._snapshot.restore()
        return self.folder

    def undisturbed(self) -> Undisturbed:
        """How the run goes when nothing goes wrong; found out once.

        Raises:
            AssertionError: something does, or a second run changes the outputs.
        """
        if self._undisturbed is None:
            folder = self.begin()
            old = self.scenario.values(folder)
            ended = self.launcher.run(self.scenario.arguments, folder)
            assert ended.code == 0, f"{self.scenario}: the run fails undisturbed: {ended}"
            new = self.scenario.values(folder)
            assert new != old, f"{self.scenario}: the run changes nothing, so that nothing can be lost"
            self._undisturbed = Undisturbed(old, new, ended.calls, ended.seconds)
            wrong = self._again(new)
            assert not wrong, f"{self.scenario}: {wrong}"
        return self._undisturbed

    # --- disturbances ---

    def killed(self, point: Point) -> list[str]:
        """Kill the run at this point and see whether it survives; what is wrong, in words."""
        self.undisturbed()
        ended = self.disturbing.run(self.scenario.arguments, self.begin(), point.fault)
        wrong = self._unhurt(ended, point.fault) if not ended.killed else []
        stopped, meant = (call.place(self.folder) for call in (ended.calls[-1], point.call))
        if ended.calls[-1].op in STOPS and stopped != meant and not self.scenario.journal:
            wrong.append(f"it was killed at {stopped}, and not at {meant}, so that runs differ")
        return self._said(f"killed {point}", wrong + self._survives(again=True, sparing=True))

    def killed_after(self, seconds: float) -> tuple[Ended, list[str]]:
        """Kill the run after a time, wherever it is then; how it ended, and what is wrong."""
        self.undisturbed()
        ended = self.disturbing.run(self.scenario.arguments, self.begin(), kill_after=seconds)
        wrong = [] if ended.code in (0, -signal.SIGKILL) else [f"it failed: {ended}"]
        return ended, self._said(f"killed after {seconds:.6f} s", wrong + self._survives(again=True, sparing=True))

    def power_cut(self, at: int | None, state: str, seed: int) -> list[str]:
        """Cut the power before call ``at``, or after the run; what is wrong after that, and after the next runs.

        Args:
            at: number of the call; ``None`` for after the run.
            state: which of :data:`STATES` is left.
            seed: of the state that is left to chance.
        """
        self.undisturbed()
        disk = Disk(self.begin())
        fault = NO_FAULT if at is None else Fault("before", at)
        ended = self.disturbing.run(self.scenario.arguments, self.folder, fault, payload=True)
        wrong = []
        if at is not None and not ended.killed:
            wrong += self._unhurt(ended, fault)
        elif at is None and ended.code:
            wrong.append(f"the run fails: {ended}")
        disk.follow(ended.calls[:-1] if ended.killed else ended.calls)
        STATES[state](disk, random.Random(seed)).put(self.folder, disk.now())
        if ended.code == 0:
            wrong += self._holds(self.undisturbed().new, "a run that succeeded")
        when = "after the run" if at is None else f"before call {at}"
        return self._said(f"with a power cut {when}, leaving {state} (seed {seed})", wrong + self._survives())

    def refused(self, fault: Fault, words: str) -> list[str]:
        """Let the system refuse calls, and then no more; what is wrong.

        Args:
            fault: which calls, and how.
            words: a regular expression of what the message has to say, if there is one.
        """
        self.undisturbed()
        disk = Disk(self.begin())
        ended = self.disturbing.run(self.scenario.arguments, self.folder, fault, payload=True)
        wrong = [] if any(call.result == -fault.errno for call in ended.calls) else self._unhurt(ended, fault)
        wrong += self._ended_well(ended, words)
        if ended.code and not (fault.mode == "from" and fault.on & (SYNCING | {"unlink"})):
            # A disk that goes on refusing to remove, or to say what is safe, may keep what was begun.
            wrong += [f"it leaves {path}" for path in own_files(self.folder)]
        if ended.code == 0:
            # Whatever was refused did not matter; then it must not matter when the power fails either.
            disk.follow(ended.calls).nothing_unsafe().put(self.folder, disk.now())
            wrong += self._holds(self.undisturbed().new, "a run that succeeded, and a power cut,")
        return self._said(f"with {fault}", wrong + self._survives())

    def hampered(self, fault: Fault) -> list[str]:
        """Let calls do less than they are asked to, which they may; the run has to succeed all the same."""
        self.undisturbed()
        ended = self.disturbing.run(self.scenario.arguments, self.begin(), fault)
        wrong = [f"it fails: {ended}"] if ended.code else self._holds(self.undisturbed().new, "the run")
        return self._said(f"with {fault}", wrong + self._survives())

    def _unhurt(self, ended: Ended, fault: Fault) -> list[str]:
        """What is wrong with a run that a fault did not reach.

        Nothing, if it keeps a journal: that is written by a thread of its own, and what comes at the same time is
        written in one go, so that neither the order of calls nor their number is always the same. Then the run may
        have had no call left that the fault is about.
        """
        left = any(call.n >= fault.at and (not fault.on or call.op in fault.on) for call in ended.calls)
        if self.scenario.journal and ended.code == 0 and not left:
            return []
        return [f"the fault did not reach it: {ended}"]

    def met(self, ended: Ended, what: str, words: str) -> list[str]:
        """What is wrong with a run that met a trouble which is over now.

        Args:
            ended: how it ended.
            what: the trouble.
            words: as in :meth:`refused`.
        """
        wrong = self._ended_well(ended, words) + [f"it leaves {path}" for path in own_files(self.folder)]
        if ended.code == 0:
            wrong += self._holds(self.undisturbed().new, "a run that succeeded")
        return self._said(what, wrong + self._survives())

    def _ended_well(self, ended: Ended, words: str) -> list[str]:
        """What is wrong with how a run ended that met a fault: the user has to be told, and in no traceback."""
        said = ended.stdout + ended.stderr
        wrong = [f"it hangs: {ended}"] if ended.hung else []
        if ended.code not in (0, 1, 2, 3):
            wrong.append(f"it ends with another exit code than a failed run does: {ended}")
        if "Traceback" in said or "this is a bug" in said:
            wrong.append(f"it ends in a traceback, or calls itself a bug: {ended}")
        if ended.code and not re.search(words, said, re.IGNORECASE):
            wrong.append(f"its message does not say {words!r}: {ended}")
        return wrong

    # --- what has to hold ---

    def _survives(self, *, again: bool = False, sparing: bool = False) -> list[str]:
        """What is wrong after a disturbance, and after the next run, or the next two, which are not disturbed.

        Args:
            again: see that the second run changes nothing.
            sparing: see that the next run does nothing again of which the journal says that it is done.
        """
        wrong = self._visible() or self._unreadable()
        if wrong:
            return wrong
        done = finished_nodes(self.folder) if sparing and self.scenario.journal else ()
        return self._recovers(again=again or self.thorough, sparing=done)

    def _visible(self) -> list[str]:
        """What is wrong with what readers see: every output has to be the old one or the new one."""
        undisturbed = self.undisturbed()
        try:
            found = self.scenario.values(self.folder)
        except Unreadable as error:
            return [f"a reader finds it torn: {error}"]
        wrong = [
            f"{path} is neither old nor new: {value}; old: {undisturbed.old[path]}; new: {undisturbed.new[path]}"
            for path, value in found.items()
            if value not in (undisturbed.old[path], undisturbed.new[path])
        ]
        return wrong + self.scenario.strays(self.folder)

    def _unreadable(self) -> list[str]:
        """Why the journal, if there is one, cannot be read."""
        if not self.scenario.journal:
            return []
        try:
            read(self.folder)
        except (OdibiError, ValueError) as error:
            return [f"the journal cannot be read: {error}"]
        return []

    def _recovers(self, *, again: bool, sparing: Collection[str]) -> list[str]:
        expected = self.undisturbed().new
        ended = self.launcher.run(self.scenario.resume, self.folder)
        if ended.code:
            return [f"the next run fails: {ended}"]
        wrong = self._holds(expected, "the next run")
        if sparing and (redone := executed_nodes(ended) & set(sparing)):
            done = ", ".join(sorted(sparing))
            wrong.append(f"the next run does {', '.join(sorted(redone))} again, of what was journalled: {done}")
        return wrong or (self._again(expected) if again else [])

    def _again(self, values: Values) -> list[str]:
        ended = self.launcher.run(self.scenario.again, self.folder)
        if ended.code:
            return [f"the run after the next fails: {ended}"]
        wrong = self._holds(values, "the run after the next")
        if self.scenario.journal and (ran := executed_nodes(ended)):
            wrong.append(f"the run after the next runs {', '.join(sorted(ran))} once more")
        return wrong

    def _holds(self, expected: Values, when: str) -> list[str]:
        try:
            found = self.scenario.values(self.folder)
        except Unreadable as error:
            return [f"after {when} it is torn: {error}"]
        wrong = [
            f"after {when} {path} holds {value}, and should hold {expected[path]}"
            for path, value in found.items()
            if value != expected[path]
        ]
        return wrong + self.scenario.strays(self.folder)

    def _said(self, what: str, wrong: list[str]) -> list[str]:
        """Each problem with what was done; the folder is kept for whoever looks into it."""
        if not wrong:
            return []
        self._kept += 1
        kept = self.scratch / f"wrong-{self._kept}"
        if self._kept <= 5:
            shutil.copytree(self.folder, kept, symlinks=True)
        return [f"{self.scenario}, {what}: {each} (left in {kept})" for each in wrong]


def failed(wrong: Sequence[str], tried: int) -> None:
    """Fail the test that runs if anything is wrong."""
    if wrong:
        said = "\n".join(wrong[:20])
        pytest.fail(f"{len(wrong)} problems with {tried} disturbances:\n{said}", pytrace=False)


def points_of(calls: Sequence[Call], *, full: bool) -> list[Point]:
    """The instants at which a run can be killed.

    Args:
        calls: of an undisturbed run.
        full: before and after every call that changes the disk, and in the middle of each write. Otherwise at most
            about :data:`SAMPLE` of these: the first and the last call of every kind, and every so many of the rest;
            killing after a call is then left to killing before the next, which leaves the same disk.
    """
    effective = [call for call in calls if call.effective]
    if full:
        points = [Point(call, mode) for call in effective for mode in ("before", "half", "after")]
        return [point for point in points if point.mode != "half" or _can_be_halved(point.call)]
    kinds: dict[str, list[int]] = {}
    for at, call in enumerate(effective):
        kinds.setdefault(call.op, []).append(at)
    kept = {place for places in kinds.values() for place in (places[0], places[-1])}
    rest = [at for at in range(len(effective)) if at not in kept]
    step = -(-len(rest) // max(1, SAMPLE - len(kept))) or 1
    points = [Point(effective[at], "before") for at in sorted(kept | set(rest[::step]))]
    writes = [call for call in effective if _can_be_halved(call)]
    points += [Point(call, "half") for call in ([writes[0], writes[-1]] if len(writes) > 1 else writes)]
    return [*points, Point(effective[-1], "after")]


def _can_be_halved(call: Call) -> bool:
    return call.op in WRITING and call.length > 1
