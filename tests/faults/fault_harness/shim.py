"""The library that makes calls fail: building it, telling it what to do, and reading what it saw."""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote

import attrs

SOURCE = Path(__file__).resolve().parent.parent / "shim.c"

WRITING = frozenset({"write", "writev", "pwrite", "pwritev", "sendfile", "copy"})
GROWING = WRITING | {"create", "tmpfile", "allocate", "link", "symlink", "mkdir"}
"""What needs room: a full disk refuses these, and lets files be renamed and removed."""

_RANDOM = re.compile(r"(?<=\.odibi-lock/)..|\d{8}T\d{6}\.\d{6}-[0-9a-f]{8}|[0-9a-f]{16,}")
"""Ids of runs, and what the local storage and the caches make names of."""

CHANGING = GROWING | {"empty", "truncate", "rename", "unlink", "rmdir", "times", "chmod"}
SYNCING = frozenset({"fsync", "fdatasync", "syncrange"})
STOPS = frozenset(["before", "half", "after"])


class CannotBuild(Exception):
    """The library cannot be built here; says why."""


def build(folder: Path) -> Path:
    """Compile the library into ``folder``.

    Raises:
        CannotBuild: there is no compiler, or it refuses.
    """
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise CannotBuild("there is no C compiler (cc or gcc)")
    library = folder / "shim.so"
    command = [compiler, "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-fvisibility=hidden", "-o", str(library)]
    built = subprocess.run([*command, str(SOURCE), "-ldl", "-lpthread"], capture_output=True, text=True)
    if built.returncode:
        raise CannotBuild(built.stderr)
    return library


@attrs.frozen
class Fault:
    """What the library does in one process.

    Attributes:
        mode: as ``shim.c`` says; ``count`` lets everything pass.
        at: the number of the call.
        on: operations that are refused; none stands for all.
        errno: with which they are.
        signal: what stops the process.
        clock: seconds that the time of day is off.
        clock_at: the number of the call from which on it is; 0 for all the time.
    """

    mode: str = "count"
    at: int = 1
    on: frozenset[str] = frozenset()
    errno: int = errno.EIO
    signal: int = signal.SIGKILL
    clock: float = 0.0
    clock_at: int = 0

    def settings(self, roots: Sequence[Path], trace: Path | None = None, data: Path | None = None) -> dict[str, str]:
        """The environment variables that say so.

        Args:
            roots: folders whose files count.
            trace, data: files to write calls and their bytes to.
        """
        return {
            "SHIM_ROOTS": ":".join(os.path.realpath(root) for root in roots),
            "SHIM_TRACE": str(trace or ""),
            "SHIM_DATA": str(data or ""),
            "SHIM_MODE": self.mode,
            "SHIM_AT": str(self.at),
            "SHIM_ON": ",".join(sorted(self.on)),
            "SHIM_ERRNO": str(int(self.errno)),
            "SHIM_SIGNAL": str(int(self.signal)),
            "SHIM_CLOCK": str(self.clock),
            "SHIM_CLOCK_AT": str(self.clock_at),
        }

    def __str__(self) -> str:
        words = [self.mode, f"at={self.at}"]
        if self.mode in ("once", "from"):
            words.append(errno.errorcode.get(self.errno, str(self.errno)))
            words += [f"on {', '.join(sorted(self.on))}"] if self.on else []
        if self.clock:
            words.append(f"clock {self.clock:+g} s from {self.clock_at}")
        return " ".join(words)


NO_FAULT = Fault()


@attrs.frozen
class Call:
    """A call that the library saw.

    Attributes:
        n: its number.
        thread: which made it.
        op: what it does; of the note that the process is stopped ``before``, ``half`` or ``after``.
        path: absolute.
        other: of a rename or link, where to.
        inode: of the file, where the call was given an open file, or opened one.
        offset, length: of a write or truncation, in bytes.
        data: what it was to write.
        result: what the system returned; below 0 the negative errno.
    """

    n: int
    thread: int
    op: str
    path: str
    other: str
    inode: int
    offset: int
    length: int
    data: bytes | None
    flags: int
    result: int

    @property
    def effective(self) -> bool:
        """Whether the disk, or what is safe on it, is another after the call."""
        return self.result >= 0 and self.op in CHANGING | SYNCING

    def place(self, root: Path) -> str:
        """The path below ``root``, with the random parts of names taken out, so that runs can be compared."""
        return _RANDOM.sub("*", os.path.relpath(self.path, os.path.realpath(root)))


def read_trace(trace: Path, data: Path | None = None) -> list[Call]:
    """The calls in a trace, in their order; one that a killed process wrote half is left out."""
    if not trace.exists():
        return []
    content = data.read_bytes() if data is not None and data.exists() else b""
    calls = []
    for line in trace.read_bytes().splitlines(keepends=True):
        fields = line.decode("utf-8", "surrogateescape").rstrip("\n").split("\t")
        if not line.endswith(b"\n") or len(fields) != 11:
            continue
        n, thread, op, path, other, inode, offset, length, kept, flags, result = fields
        begin = int(kept)
        calls.append(
            Call(
                int(n),
                int(thread),
                op,
                unquote(path),
                unquote(other),
                int(inode),
                int(offset),
                int(length),
                content[begin : begin + int(length)] if begin >= 0 else None,
                int(flags),
                int(result),
            )
        )
    return calls


def environment(library: Path, base: Mapping[str, str], settings: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that has the library in it."""
    return {**base, **settings, "LD_PRELOAD": str(library)}
