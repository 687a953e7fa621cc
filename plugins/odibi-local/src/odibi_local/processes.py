"""Which process somebody is, told so that it can be known later whether that process still lives.

A process id alone does not tell: it is used again after a while, and at once after a restart of the machine or of a
container. So there are with it the time at which the process started, the boot of the machine and the namespace that
the id counts in, as Linux says them (see proc(5) and pid_namespaces(7)); other systems give the id alone.
"""

from __future__ import annotations

import os
import socket

import attrs


@attrs.frozen
class Process:
    """A process on some machine.

    Attributes:
        pid: its id.
        started: when, in ticks of the clock since the boot; 0 where the system does not say.
        boot: of the machine; empty where the system does not say.
        namespace: that the id counts in; 0 where the system does not say.
        host: the machine's name.
    """

    pid: int
    started: int = 0
    boot: str = ""
    namespace: int = 0
    host: str = ""


_this = Process(-1)


def this_process() -> Process:
    """The process that asks."""
    global _this
    pid = os.getpid()
    if _this.pid != pid:
        started, _ = _start_and_state(pid)
        _this = Process(pid, started, _boot(), _namespace(), socket.gethostname())
    return _this


def is_alive(process: Process) -> bool:
    """Whether it still lives; of what cannot be seen from here (another machine, another container) that is assumed."""
    here = this_process()
    if process.boot != here.boot:
        return process.host != here.host  # else the machine was started anew since
    if process.namespace != here.namespace or (not here.boot and process.host != here.host):
        return True
    if process.started:
        started, state = _start_and_state(process.pid)
        return started == process.started and state not in ("Z", "X")
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _start_and_state(pid: int) -> tuple[int, str]:
    """When the process started, and how it is; ``(0, "")`` if there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123
            # The second field is the program's name in parentheses, which may hold anything.
            fields = file.read().rpartition(b") ")[2].split()
        return int(fields[19]), fields[0].decode("ascii")
    except (OSError, IndexError, ValueError):
        return 0, ""


def _boot() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:  # noqa: PTH123
            return file.read().strip()
    except (OSError, ValueError):
        return ""


def _namespace() -> int:
    try:
        return os.stat("/proc/self/ns/pid").st_ino  # noqa: PTH116
    except OSError:
        return 0
