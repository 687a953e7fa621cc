"""Which process on which machine this is, and whether another one is still there.

On Linux a process can be told from every other there ever was: by the boot of its machine, its namespaces, its number
and the moment it started. Elsewhere only a process itself knows that it is there.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import attrs


@attrs.frozen
class Process:
    """A process.

    Attributes:
        machine: stands for the boot of a machine within which processes and the monotonic clock can be compared.
        host: the machine's name, for people.
        pid: its number.
        started: when it started, in the system's ticks; tells it from a later one with the same number.
    """

    machine: str
    host: str
    pid: int
    started: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


def this_process() -> Process:
    """The process that asks."""
    return _of(os.getpid())


def is_gone(process: Process) -> bool:
    """Whether a process is known to have ended; false for one on another machine, which cannot be known."""
    if process.machine != this_process().machine or process == this_process():
        return False
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass  # it is there, and somebody else's
    state, started = _status(process.pid)
    return state in ("Z", "X") or bool(process.started and started and started != process.started)


def from_json(value: Any) -> Process:
    """A process as :func:`attrs.asdict` wrote it."""
    return Process(str(value["machine"]), str(value["host"]), int(value["pid"]), str(value["started"]))


@lru_cache(1)
def _of(pid: int) -> Process:
    return Process(_machine(), socket.gethostname(), pid, _status(pid)[1])


def _machine() -> str:
    try:
        parts = [Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()]
        parts.append(str(Path("/proc/self/ns/pid").stat().st_ino))
    except OSError:
        return uuid4().hex
    with suppress(OSError):  # which Linux before 5.6 does not have
        parts.append(str(Path("/proc/self/ns/time").stat().st_ino))
    return "-".join(parts)


def _status(pid: int) -> tuple[str, str]:
    """State and start of a process as the system's table of processes has them; empty where there is none."""
    try:
        # The second field is the program's name, in brackets, and may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return "", ""
    return (fields[0].decode(), fields[19].decode()) if len(fields) > 19 else ("", "")
