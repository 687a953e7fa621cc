"""A disk that is full, fails or is read-only: the user is told, nothing is lost, and the next run makes good."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs
import pytest
from fault_harness import FULL
from fault_harness.processes import Zygote
from fault_harness.scenario import Scenario
from fault_harness.scenarios import ALL, BIG, TWO_NODES
from fault_harness.shim import CHANGING, GROWING, SYNCING, WRITING, Call, Fault
from fault_harness.survival import Survivor, failed

OPENING = frozenset(["open"])

NO_ROOM = "disk is full|free space"
"""SQLite does not always tell a full disk from one that fails; then the message names both."""


@attrs.frozen
class Trouble:
    """A way in which a disk fails.

    Attributes:
        mode: ``once`` or ``from`` some call on.
        errno: what the system says.
        on: the operations that fail.
        words: what the message has to say.
    """

    name: str
    mode: str
    errno: int
    on: frozenset[str]
    words: str

    def __str__(self) -> str:
        return self.name


TROUBLES = (
    Trouble("disk full", "from", errno.ENOSPC, GROWING, NO_ROOM),
    Trouble("disk full for a moment", "once", errno.ENOSPC, GROWING, NO_ROOM),
    Trouble("quota used up", "from", errno.EDQUOT, GROWING, "quota"),
    Trouble("sync fails", "once", errno.EIO, SYNCING, "input/output error|the disk failed"),
    Trouble("write fails", "once", errno.EIO, WRITING, "input/output error|the disk failed"),
    Trouble("disk fails", "from", errno.EIO, WRITING | SYNCING, "input/output error|the disk failed"),
    Trouble("disk turns read-only", "from", errno.EROFS, CHANGING | OPENING, "read-only"),
    Trouble("access is taken away", "from", errno.EACCES, CHANGING - WRITING | OPENING, "permission denied"),
)


def instants(calls: Sequence[Call], on: frozenset[str]) -> list[int]:
    """The calls at which a trouble can begin: all that it is about."""
    return [call.n for call in calls if call.op in on and (call.effective or call.op in OPENING)]


PAIRS = [
    pytest.param(scenario, trouble, id=f"{scenario}-{trouble}")
    for at, scenario in enumerate(ALL)
    for other, trouble in enumerate(TROUBLES)
    if FULL or (at + other) % 2 == 0
]
"""Every trouble for every scenario; in a sample every other one."""


@pytest.mark.parametrize(("scenario", "trouble"), PAIRS)
def test_a_failing_disk_is_told_and_loses_nothing(scenario: Scenario, survivor: Survivor, trouble: Trouble) -> None:
    found = instants(survivor.undisturbed().calls, trouble.on)
    if not FULL:
        # The first, the last, or one between, another for each scenario and trouble.
        turn = ALL.index(scenario) + TROUBLES.index(trouble)
        found = [found[(0, len(found) // 2, -1)[turn % 3]]]
    wrong = []
    for at in found:
        wrong += survivor.refused(Fault(trouble.mode, at, trouble.on, trouble.errno), trouble.words)
    failed(wrong, len(found))


@pytest.mark.parametrize("mode", ["short", "interrupt"])
@pytest.mark.parametrize("scenario", ALL, ids=str)
def test_writes_that_do_less_than_they_are_asked_change_nothing(survivor: Survivor, mode: str) -> None:
    failed(survivor.hampered(Fault(mode)), 1)


# --- real file systems ----------------------------------------------------------------------------------------------

SIZE, PAGE = 1 << 22, 4096


def mount(*arguments: str) -> bool:
    """Whether the system let us mount that; only root may, and not in every container."""
    return subprocess.run(["mount", *arguments], capture_output=True).returncode == 0


@pytest.fixture(name="small_disk")
def _small_disk(tmp_path: Path) -> Iterator[Path | None]:
    """A file system with little room; ``None`` where nothing can be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if not mount("-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(disk)):
        yield None
        return
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.parametrize("scenario", [BIG, TWO_NODES], ids=str)
def test_a_disk_that_is_really_full(
    scenario: Scenario, small_disk: Path | None, survivor: Survivor, zygote: Zygote
) -> None:
    if small_disk is None:
        full_from = [Fault("from", at, GROWING, errno.ENOSPC) for at in instants(survivor.undisturbed().calls, GROWING)]
        failed([each for fault in full_from for each in survivor.refused(fault, NO_ROOM)], len(full_from))
        return
    survivor = Survivor(scenario, zygote, small_disk)
    needed = sum(-(-call.length // PAGE) * PAGE for call in survivor.undisturbed().calls if call.op in WRITING)
    filler = small_disk / "filler"
    wrong, codes = [], []
    for share in range(0, 21, 1 if FULL else 4):
        folder = survivor.begin()
        room = os.statvfs(small_disk)
        free = needed * share // 10
        filler.write_bytes(bytes(room.f_bavail * room.f_frsize - free))
        ended = zygote.run(scenario.arguments, folder)
        filler.unlink()
        codes.append(ended.code)
        wrong += survivor.met(ended, f"with {free} bytes free", NO_ROOM)
    failed(wrong, len(codes))
    assert set(codes) == {0, 1}, f"the room was always enough, or never: {codes}"


@pytest.mark.parametrize("scenario", [BIG, TWO_NODES], ids=str)
def test_a_folder_that_is_really_read_only(scenario: Scenario, survivor: Survivor) -> None:
    survivor.undisturbed()
    lake = str(survivor.begin() / "lake")
    if not (mount("--bind", lake, lake) and mount("-o", "remount,bind,ro", lake)):
        failed(survivor.refused(Fault("from", 1, CHANGING | OPENING, errno.EROFS), "read-only"), 1)
        return
    try:
        ended = survivor.launcher.run(scenario.arguments, survivor.folder)
    finally:
        subprocess.run(["umount", "-l", lake], check=True)
    assert ended.code == 1
    failed(survivor.met(ended, "on a file system that is read-only", "read-only"), 1)
