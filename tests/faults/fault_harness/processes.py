"""Odibi in processes of its own, with the library that makes calls fail in them."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import attrs

from fault_harness.shim import NO_FAULT, Call, Fault, environment, read_trace

DEADLINE = 120.0
"""Seconds after which a process hangs. None of the projects here takes two."""

_ALONE = {"OPENBLAS_NUM_THREADS": "1", "PYTHONFAULTHANDLER": "1", "NO_COLOR": "1"}
"""No threads that a fork would lose, and a word from a process that hangs."""


@attrs.frozen
class Ended:
    """How a process ended.

    Attributes:
        code: its exit code; below 0 the negative number of the signal that killed it.
        stdout, stderr: what it said.
        calls: what the library saw.
        seconds: how long it took.
        hung: it had to be killed because it did not end.
    """

    code: int
    stdout: str
    stderr: str
    calls: Sequence[Call]
    seconds: float
    hung: bool = False

    @property
    def killed(self) -> bool:
        """Whether ``SIGKILL`` ended it."""
        return self.code == -signal.SIGKILL

    def __str__(self) -> str:
        last = f" after {len(self.calls)} calls, the last on {self.calls[-1].path}" if self.calls else ""
        said = "".join(
            f"\n  {name}: {text.strip()}" for name, text in (("out", self.stdout), ("err", self.stderr)) if text.strip()
        )
        return f"{'hung' if self.hung else f'exit code {self.code}'}{last}{said}"


class Launcher(Protocol):
    """Something that runs ``odibi``."""

    def run(
        self,
        arguments: Sequence[str],
        project: Path,
        fault: Fault = NO_FAULT,
        *,
        kill_after: float | None = None,
        payload: bool = False,
        roots: Sequence[Path] = (),
    ) -> Ended:
        """Run ``odibi`` with these arguments in the folder ``project``.

        Args:
            arguments: of the command line.
            project: the working directory.
            fault: what goes wrong.
            kill_after: seconds after which the process is killed.
            payload: keep the bytes of each write.
            roots: folders whose files count; the project's by default.
        """
        ...


class Fresh:
    """Starts an interpreter each time, as a user does.

    Args:
        library: the built shim.
    """

    def __init__(self, library: Path) -> None:
        self._library = library

    def run(
        self,
        arguments: Sequence[str],
        project: Path,
        fault: Fault = NO_FAULT,
        *,
        kill_after: float | None = None,
        payload: bool = False,
        roots: Sequence[Path] = (),
    ) -> Ended:
        """See :class:`Launcher`."""
        with TemporaryDirectory() as scratch:
            trace, data = Path(scratch, "trace"), Path(scratch, "data")
            settings = fault.settings(roots or [project], trace, data if payload else None)
            begin = time.monotonic()
            with subprocess.Popen(
                [sys.executable, "-P", "-m", "odibi", *arguments],
                cwd=project,
                env=environment(self._library, {**os.environ, **_ALONE}, settings),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            ) as process:
                hung = False
                try:
                    out, err = process.communicate(timeout=DEADLINE if kill_after is None else kill_after)
                except subprocess.TimeoutExpired:
                    hung = kill_after is None
                    process.send_signal(signal.SIGABRT if hung else signal.SIGKILL)
                    out, err = process.communicate()
            seconds = time.monotonic() - begin
            return Ended(process.returncode, out, err, read_trace(trace, data), seconds, hung)


class Zygote:
    """Forks off a process that has done its imports; see :mod:`fault_harness.zygote`.

    Args:
        library: the built shim.
        scratch: a folder for the output of the processes.
    """

    def __init__(self, library: Path, scratch: Path) -> None:
        self._scratch = scratch
        self.threads: Sequence[str] = ()
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", str(Path(__file__).with_name("zygote.py"))],
            env=environment(library, {**os.environ, **_ALONE}, NO_FAULT.settings([])),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def warm(self, arguments: Sequence[str], project: Path) -> None:
        """Run a project once, and have the zygote import all that it imported."""
        modules = self._scratch / "modules"
        ended = self.run(arguments, project, modules=modules)
        if ended.code:
            raise RuntimeError(f"the project to warm up with does not run: {ended}")
        self.threads = self._ask({"warm": json.loads(modules.read_text())})["threads"]

    def run(
        self,
        arguments: Sequence[str],
        project: Path,
        fault: Fault = NO_FAULT,
        *,
        kill_after: float | None = None,
        payload: bool = False,
        roots: Sequence[Path] = (),
        modules: Path | None = None,
    ) -> Ended:
        """See :class:`Launcher`; ``modules`` is a file to write the names of all imported modules to."""
        out, err, trace, data = (self._scratch / name for name in ("out", "err", "trace", "data"))
        for path in (out, err, trace, data):
            path.unlink(missing_ok=True)
        answer = self._ask(
            {
                "arguments": list(arguments),
                "cwd": str(project),
                "env": fault.settings(roots or [project], trace, data if payload else None),
                "stdout": str(out),
                "stderr": str(err),
                "kill_after": kill_after,
                "deadline": DEADLINE,
                "modules": str(modules or ""),
            }
        )
        said, errors = (path.read_text(errors="backslashreplace") if path.exists() else "" for path in (out, err))
        return Ended(answer["code"], said, errors, read_trace(trace, data), answer["seconds"], answer["hung"])

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        if not select.select([self._process.stdout], [], [], 2 * DEADLINE)[0]:
            raise RuntimeError("the zygote does not answer")
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the zygote has ended with {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer
